"""Failure is not absence: what can't be looked up is not taken for untagged."""

import time

import pytest

from apis import APIS, CATALOG, EVS, INSTANCES, MGN, WORKSPACES
from checks import allowed, denied, error_of
from upstream import Answer, Drop, Fail, Hang

# The lookups that each API's resources need, and a thing that AWS doesn't know.
LOOKUPS = {
    WORKSPACES: ["DescribeTags", "DescribeWorkspaces"],
    INSTANCES: ["ListTagsForResource", "GetWorkspaceInstance"],
    CATALOG: ["DescribeProvisionedProduct", "SearchProvisionedProducts"],
    MGN: ["DescribeSourceServers"],
    EVS: ["GetEnvironment", "ListTagsForResource"],
}
UNKNOWN = {
    WORKSPACES: "ws-nowhere01",
    INSTANCES: "wsinst-nowhere01",
    CATALOG: "pp-nowhere000001",
    MGN: "s-nowhere0000000001",
    EVS: ("env-nowhere001", "cnctr-nowhere001", "vm-1"),
}
PAIRS = [(api, lookup) for api, lookups in LOOKUPS.items() for lookup in lookups]
ONCE = {"total_max_attempts": 1}
RETRYABLE = {"ThrottlingException", "Throttling", "ServiceUnavailable", "ServiceUnavailableException"}


def not_sent_but_worth_a_retry(upstream, client, call):
    error = error_of(call)
    assert error.response["Error"]["Code"] in RETRYABLE, error
    assert upstream.destructive() == []
    return error


@pytest.mark.parametrize("api, lookup", PAIRS, ids=lambda v: str(v))
class TestALookup:
    def test_that_is_throttled_is_worth_a_retry(self, guard, upstream, cloud, api, lookup):
        things = api.make(cloud, tags={"protected": "true"})
        client = guard.client(api.service, retries=ONCE)
        with upstream.fault(lookup, Fail("ThrottlingException", "slow down", 400)):
            not_sent_but_worth_a_retry(upstream, client, lambda: api.destroy(client, things))
        assert api.alive(cloud, things) == things

    def test_that_fails_at_aws_is_worth_a_retry(self, guard, upstream, cloud, api, lookup):
        things = api.make(cloud)
        client = guard.client(api.service, retries=ONCE)
        with upstream.fault(lookup, Fail("InternalFailure", "oops", 500)):
            not_sent_but_worth_a_retry(upstream, client, lambda: api.destroy(client, things))

    def test_that_gets_no_answer_is_worth_a_retry(self, guard, upstream, cloud, api, lookup):
        things = api.make(cloud)
        client = guard.client(api.service, retries=ONCE)
        with upstream.fault(lookup, Drop()):
            not_sent_but_worth_a_retry(upstream, client, lambda: api.destroy(client, things))

    def test_that_the_guard_may_not_make_is_final(self, guard, upstream, cloud, api, lookup):
        things = api.make(cloud)
        client = guard.client(api.service)
        with upstream.fault(lookup, Fail("AccessDeniedException", "not authorized to perform this", 400)):
            denied(guard, upstream, client, lambda: api.destroy(client, things), reason=lookup)

    def test_that_answers_nonsense_refuses(self, guard, upstream, cloud, api, lookup):
        things = api.make(cloud)
        client = guard.client(api.service, retries=ONCE)
        with upstream.fault(lookup, Answer(["nothing"])):
            error_of(lambda: api.destroy(client, things))
        assert upstream.destructive() == []
        assert api.alive(cloud, things) == things


@pytest.mark.parametrize("api", APIS, ids=str)
def test_an_id_that_aws_does_not_know_is_final(guard, upstream, cloud, api):
    client = guard.client(api.service)
    thing = UNKNOWN[api]
    name = thing[0] if isinstance(thing, tuple) else thing
    denied(guard, upstream, client, lambda: api.destroy(client, [thing]), reason=name)


@pytest.mark.parametrize("api", [WORKSPACES, MGN], ids=str)
def test_one_unknown_id_refuses_its_batch(guard, upstream, cloud, api):
    things = api.make(cloud, 3)
    client = guard.client(api.service)
    denied(guard, upstream, client, lambda: api.destroy(client, [*things, UNKNOWN[api]]), reason=UNKNOWN[api])
    assert api.alive(cloud, things) == things


@pytest.mark.parametrize("api", [WORKSPACES, EVS], ids=str)
def test_a_lookup_that_hangs_refuses_in_time(guard, upstream, cloud, api):
    """All lookups of one call have 2 s."""
    things = api.make(cloud)
    client = guard.client(api.service, retries=ONCE)
    begin = time.monotonic()
    with upstream.fault(LOOKUPS[api][-1], Hang()):
        not_sent_but_worth_a_retry(upstream, client, lambda: api.destroy(client, things))
    assert 1.5 < time.monotonic() - begin < 6


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_the_clients_own_retry_gets_through_once_it_heals(guard, upstream, cloud, mode):
    things = WORKSPACES.make(cloud)
    client = guard.client("workspaces", retries={"mode": mode, "total_max_attempts": 5})
    with upstream.fault("DescribeTags", Fail("ThrottlingException", "slow down", 400), times=1):
        WORKSPACES.destroy(client, things)
    allowed(guard, upstream, WORKSPACES)


def test_facts_are_of_the_whole_batch(guard, upstream, cloud):
    """One tag lookup per WorkSpace, and one call describes all."""
    things = WORKSPACES.make(cloud, 9)
    WORKSPACES.destroy(guard.client("workspaces"), things)
    assert sorted(seen.input["ResourceId"] for seen in upstream.calls("DescribeTags")) == sorted(things)
    [described] = upstream.calls("DescribeWorkspaces")
    assert sorted(described.input["WorkspaceIds"]) == sorted(things)


def test_what_no_policy_reads_is_not_looked_up(new_guard, upstream, cloud):
    policy = '@id("all") permit (principal, action, resource);'
    with new_guard(policies={"all.cedar": policy}, protected=None) as guard:
        for api in (WORKSPACES, INSTANCES, EVS):
            things = api.make(cloud, tags={"protected": "true"})
            api.destroy(guard.client(api.service), things)
    assert {seen.operation for seen in upstream.calls() if not seen.destructive} <= {"GetCallerIdentity"}


def test_lookups_are_signed_with_the_guards_key(guard, upstream, cloud):
    WORKSPACES.destroy(guard.client("workspaces"), WORKSPACES.make(cloud))
    for seen in upstream.calls():
        assert seen.signature_problem is None
        assert "palisade" in seen.user_agent


def test_an_answer_about_another_thing_is_no_answer(guard, upstream, cloud):
    """The tags of the wrong instance, or none of the right one, must not pass for the right one's."""
    [ident] = INSTANCES.make(cloud, tags={"protected": "true"})
    client = guard.client("workspaces-instances", retries=ONCE)
    wrong = {"WorkspaceInstanceId": "wsinst-another1", "ProvisionState": "ALLOCATED"}
    with upstream.fault("GetWorkspaceInstance", Answer(wrong)):
        error_of(lambda: INSTANCES.destroy(client, [ident]))
    assert upstream.destructive() == []
