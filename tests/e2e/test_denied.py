"""What a policy of the starter set refuses: AWS's own AccessDenied with the policy's reason, at the first attempt."""

import json
from pathlib import Path

import pytest

from apis import APIS, BATCHES, INSTANCES, WORKSPACES
from checks import CLIENT_ERROR, denied, error_of, reasons
from guard import REPOSITORY

REASONS = reasons("\n".join(Path(f).read_text() for f in sorted((REPOSITORY / "policies").glob("*.cedar"))))
MODES = ["legacy", "standard", "adaptive"]
# What every API can be refused for: the policy, and the traits of a thing that it refuses.
TRAITS = [
    ("protected-tag", {"tags": {"protected": "true"}}),
    ("protected-tag", {"tags": {"protected": ""}}),
    ("production", {"tags": {"environment": "production"}}),
    ("production", {"tags": {"Environment": "Prod"}}),
    ("protected-id", {"listed": True}),
]


@pytest.mark.parametrize("policy, traits", TRAITS, ids=lambda v: v if isinstance(v, str) else json.dumps(v))
@pytest.mark.parametrize("api", APIS, ids=str)
def test_boto3_raises_access_denied(guard, upstream, cloud, api, policy, traits):
    things = api.make(cloud, **traits)
    client = guard.client(api.service)
    denied(guard, upstream, client, lambda: api.destroy(client, things), policy=policy, reason=REASONS[policy])
    assert api.alive(cloud, things) == things


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("api", APIS, ids=str)
def test_no_retry_mode_tries_again(guard, upstream, cloud, api, mode):
    things = api.make(cloud, tags={"protected": "true"})
    client = guard.client(api.service, retries={"mode": mode, "total_max_attempts": 5})
    denied(guard, upstream, client, lambda: api.destroy(client, things), policy="protected-tag")


@pytest.mark.parametrize("api", APIS, ids=str)
def test_the_cli_prints_the_reason_and_fails(guard, upstream, cloud, aws, api):
    things = api.make(cloud, tags={"protected": "true"})
    done = aws(*api.command(things))
    assert done.returncode == CLIENT_ERROR
    assert "An error occurred (AccessDeniedException) when calling the" in done.stderr
    assert REASONS["protected-tag"] in done.stderr
    assert "reached max retries" not in done.stderr
    assert upstream.destructive() == []


@pytest.mark.parametrize("api", BATCHES, ids=str)
def test_a_batch_that_is_too_large_is_refused_whole(guard, upstream, cloud, api):
    things = api.make(cloud, api.batch_max + 1)
    client = guard.client(api.service)
    record = denied(
        guard,
        upstream,
        client,
        lambda: api.destroy(client, things),
        policy=api.batch_policy,
        reason=REASONS[api.batch_policy],
    )
    assert record["batch_size"] == api.batch_max + 1
    assert api.alive(cloud, things) == things


@pytest.mark.parametrize("api", BATCHES, ids=str)
def test_one_thing_twice_counts_as_one(guard, upstream, cloud, api):
    """Effects count, not spellings: a list of one id is one, or is refused; it is never more."""
    things = api.make(cloud) * (api.batch_max + 1)
    client = guard.client(api.service)
    try:
        api.destroy(client, things)
    except client.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] in ("AccessDeniedException", "ValidationException")
    assert len(upstream.destructive()) <= 1


@pytest.mark.parametrize("api", [a for a in BATCHES if a.service != "evs"], ids=str)
def test_one_refused_thing_refuses_its_batch(guard, upstream, cloud, api):
    """evs is left out: the things of one call stand in one environment, whose tags they share."""
    things = [*api.make(cloud, 3), *api.make(cloud, tags={"protected": "true"}), *api.make(cloud, 2)]
    client = guard.client(api.service)
    record = denied(guard, upstream, client, lambda: api.destroy(client, things), policy="protected-tag")
    verdicts = {resource["id"]: resource["verdict"] for resource in record["resources"]}
    assert len(verdicts) == 6
    assert verdicts[things[3]] == "refused"
    assert api.alive(cloud, things) == things


def test_the_message_names_the_thing_that_was_refused(guard, upstream, cloud):
    things = [*WORKSPACES.make(cloud, 2), *WORKSPACES.make(cloud, tags={"protected": "true"})]
    client = guard.client("workspaces")
    error = error_of(lambda: WORKSPACES.destroy(client, things))
    assert things[2] in error.response["Error"]["Message"]


def test_a_monthly_instance_is_kept(guard, upstream, cloud):
    things = INSTANCES.make(cloud, billing="MONTHLY")
    client = guard.client("workspaces-instances")
    denied(
        guard,
        upstream,
        client,
        lambda: INSTANCES.destroy(client, things),
        policy="monthly-billing",
        reason=REASONS["monthly-billing"],
    )
    root = guard.client("workspaces-instances", "root")
    denied(guard, upstream, root, lambda: INSTANCES.destroy(root, things), policy="monthly-billing")


def test_the_cli_is_told_of_monthly_billing(guard, upstream, cloud, aws):
    done = aws(*INSTANCES.command(INSTANCES.make(cloud, billing="MONTHLY")))
    assert done.returncode == CLIENT_ERROR
    assert REASONS["monthly-billing"] in done.stderr


def test_an_instance_without_billing_mode_is_hourly(guard, upstream, cloud):
    things = INSTANCES.make(cloud, billing=None)
    INSTANCES.destroy(guard.client("workspaces-instances"), things)
    assert not INSTANCES.alive(cloud, things)


def test_an_always_on_workspace_is_kept_unless_an_admin_asks(guard, upstream, cloud):
    things = WORKSPACES.make(cloud, mode="ALWAYS_ON")
    client = guard.client("workspaces")
    denied(
        guard,
        upstream,
        client,
        lambda: WORKSPACES.destroy(client, things),
        policy="running-mode",
        reason=REASONS["running-mode"],
    )
    WORKSPACES.destroy(guard.client("workspaces", "root"), things)
    assert not WORKSPACES.alive(cloud, things)


def test_admins_do_not_pass_the_protected_tag(guard, upstream, cloud):
    for api in APIS:
        things = api.make(cloud, tags={"protected": "true"})
        client = guard.client(api.service, "root")
        denied(guard, upstream, client, lambda: api.destroy(client, things), policy="protected-tag")
