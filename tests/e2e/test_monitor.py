"""Monitoring: what would have been refused goes on, and the record says what would have refused it."""

import pytest
from botocore.exceptions import ClientError

import raw
from apis import APIS, WORKSPACES
from checks import error_of
from guard import eventually
from test_journal import limit_file_size
from upstream import Fail

PERMIT = '@id("base") permit (principal, action, resource);\n'


def policy(ident, condition="true", mode="monitor", scope='action in Action::"destroy"'):
    return (
        f'@id("{ident}") @reason("because of {ident}") @mode("{mode}")\n'
        f"forbid (principal, {scope}, resource) when {{ {condition} }};\n"
    )


@pytest.fixture
def monitor(new_guard):
    def start(*policies, **settings):
        return new_guard(policies={"all.cedar": "".join([PERMIT, *policies])}, **settings).start()

    return start


def judged(guard, action):
    """The one decision on an operation, and its outcome."""
    operation = action.split(":")[1]
    found = guard.wait_for_records(
        lambda records: [r for r in records if r["api"]["operation"] == operation and r["unmapped"]["palisade"]["phase"] == "decision"]
    )
    assert len(found) == 1
    return found[0], found[0]["unmapped"]["palisade"]


@pytest.mark.parametrize("api", APIS, ids=str)
def test_a_policy_that_monitors_is_recorded_and_the_call_goes_on(monitor, cloud, upstream, api):
    guard = monitor(policy("later"))
    things = api.make(cloud)
    client = guard.client(api.service)
    api.destroy(client, things)
    assert not api.alive(cloud, things)
    assert client.attempts == 1
    record, own = judged(guard, str(api))
    assert own["verdict"] == "would_refuse"
    assert own["reason"] == "forbidden"
    assert own["policies"] == ["later"]
    assert "because of later (policy `later`)" in own["message"]
    assert {r["verdict"] for r in own["resources"]} == {"would_refuse"}
    assert record["action"] == "Allowed"
    assert record["disposition"] == "Logged"
    assert guard.outcome(own["decision_id"])["outcome"] == "sent"
    metrics = guard.metrics()
    labels = dict(service=api.service, operation=api.operation, verdict="would_refuse")
    assert [v for k, v in metrics.items() if k[0] == "palisade_decisions_total" and labels.items() <= dict(k[1:]).items()] == [1]
    assert metrics["palisade_policy_decisions_total", ("effect", "forbid"), ("policy", "later")] == 1
    assert metrics["palisade_refusals_total", ("reason", "forbidden")] == 0
    assert guard.run("journal", "verify").returncode == 0


def test_what_is_enforced_refuses_all_the_same(monitor, cloud):
    guard = monitor(policy("later"), policy("now", mode="enforce"))
    things = WORKSPACES.make(cloud)
    message = error_of(lambda: WORKSPACES.destroy(guard.client("workspaces"), things)).response["Error"]["Message"]
    assert "`now`" in message and "`later`" not in message
    assert WORKSPACES.alive(cloud, things)


def test_a_lookup_that_only_monitoring_needs_refuses_nothing_when_it_fails(monitor, cloud, upstream):
    guard = monitor(policy("tagged", 'resource.hasTag("keep")'))
    things = WORKSPACES.make(cloud)
    with upstream.fault("DescribeTags", Fail("InternalServerException", status=500)):
        WORKSPACES.destroy(guard.client("workspaces"), things)
    assert not WORKSPACES.alive(cloud, things)
    _, own = judged(guard, "workspaces:TerminateWorkspaces")
    assert (own["verdict"], own["reason"]) == ("would_refuse", "lookup_failed")


def test_a_read_that_only_monitoring_guards_passes_as_it_is(monitor, cloud, upstream):
    named = 'action == Action::"workspaces:DescribeWorkspaces"'
    guard = monitor(policy("reads", "context.input has BundleId", scope=named))
    client = guard.client("workspaces", parameter_validation=False)
    client.describe_workspaces(BundleId="wsb-1")
    _, own = judged(guard, "workspaces:DescribeWorkspaces")
    assert (own["verdict"], own["policies"]) == ("would_refuse", ["reads"])


def test_in_monitor_mode_no_judgement_refuses(monitor, cloud, upstream):
    forbids = policy("now", 'resource.hasTag("x") || true', mode="enforce")
    guard = monitor(forbids, settings={"mode": "monitor"})
    things = WORKSPACES.make(cloud, 2)
    client = guard.client("workspaces")
    WORKSPACES.destroy(client, things[:1])
    with upstream.fault("DescribeTags", Fail("InternalServerException", status=500)):
        WORKSPACES.destroy(client, things[1:])
    assert not WORKSPACES.alive(cloud, things)
    own = [o for o in guard.records(phase="decision") if o["class"] == "destroy"]
    assert [o["verdict"] for o in own] == ["would_refuse"] * 2
    assert [o["reason"] for o in own] == ["forbidden", "lookup_failed"]
    assert {o["mode"] for o in own} == {"monitor"}
    assert guard.metrics()["palisade_mode", ("mode", "monitor")] == 1


@pytest.mark.parametrize(
    "operation, body, reason",
    [
        ("TerminateWorkspaces", '{"TerminateWorkspaceRequests":[{"WorkspaceId":"WS"}],"Force":true}', "malformed"),
        ("TerminateWorkspaces", '{"TerminateWorkspaceRequests":[],"TerminateWorkspaceRequests":[{"WorkspaceId":"WS"}]}', "malformed"),
        ("TerminateWorkspacesAtOnce", '{"WorkspaceId":"WS"}', "not_understood"),
    ],
    ids=["unknown member", "key twice", "unknown operation"],
)
def test_in_monitor_mode_what_is_not_understood_goes_on_as_it_is(monitor, cloud, upstream, operation, body, reason):
    guard = monitor(settings={"mode": "monitor"})
    [thing] = WORKSPACES.make(cloud)
    body = body.replace("WS", thing).encode()
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"WorkspacesService.{operation}"}
    raw.call(guard, WORKSPACES.host, "POST", "/", headers, body, service="workspaces")
    [seen] = [seen for seen in upstream.calls() if seen.body == body]
    assert seen.signature_problem is None
    [own] = eventually(lambda: [o for o in guard.records(phase="decision") if o.get("reason")], "the record")
    assert (own["verdict"], own["reason"]) == ("would_refuse", reason)


@pytest.mark.parametrize(
    "body",
    [
        "Action=AssumeRole&Action=GetCallerIdentity&Version=2011-06-15",
        "Action=AssumeRoleForFree&Version=2011-06-15",
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::123456789012:role/x&RoleSessionName=ab&Extra=1",
    ],
    ids=["twice", "unknown", "unknown member"],
)
def test_in_monitor_mode_nothing_that_could_mint_keys_goes_on_unread(monitor, upstream, body):
    guard = monitor(settings={"mode": "monitor"})
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = raw.call(guard, "sts.us-east-1.amazonaws.com", "POST", "/", headers, body.encode(), service="sts")
    assert answer.status in (400, 403)
    assert [seen for seen in upstream.calls() if b"AssumeRole" in seen.body] == []


def test_in_monitor_mode_what_mints_keys_needs_its_permit_all_the_same(new_guard, upstream):
    guard = new_guard(settings={"mode": "monitor"}).start()
    sts = guard.client("sts", region_name="us-east-1")
    assert error_of(sts.get_session_token).response["Error"]["Code"] == "AccessDenied"
    sts.get_caller_identity()
    assert [seen for seen in upstream.calls() if b"GetSessionToken" in seen.body] == []


def test_in_monitor_mode_an_operation_that_nothing_is_known_of_is_refused(monitor, upstream):
    guard = monitor(settings={"mode": "monitor"})
    headers = {"content-type": "application/x-www-form-urlencoded"}
    body = b"Action=CreateEverything&Version=2010-05-08&UserName=x"
    answer = raw.call(guard, "iam.amazonaws.com", "POST", "/", headers, body, service="iam", region="us-east-1")
    assert answer.status == 403
    assert upstream.calls() == []


def test_in_monitor_mode_a_stranger_is_refused_all_the_same(monitor, cloud):
    guard = monitor(settings={"mode": "monitor"})
    key = guard.key("ci")
    stranger = type(key)("ci", key.access_key_id, "x" * 40)
    things = WORKSPACES.make(cloud)
    with pytest.raises(ClientError, match="InvalidSignature"):
        WORKSPACES.destroy(guard.client("workspaces", key=stranger), things)
    assert WORKSPACES.alive(cloud, things)


def test_in_monitor_mode_what_cannot_be_journaled_is_not_sent(new_guard, cloud, upstream):
    guard = new_guard(policies={"all.cedar": PERMIT}, settings={"mode": "monitor"})
    guard.restore_signals = False
    with guard:
        client = guard.client("workspaces", retries={"total_max_attempts": 1})
        WORKSPACES.destroy(client, WORKSPACES.make(cloud))
        limit_file_size(guard.process.pid)
        things = WORKSPACES.make(cloud)
        error_of(lambda: WORKSPACES.destroy(client, things))
        assert WORKSPACES.alive(cloud, things) == things
        guard.kill()
