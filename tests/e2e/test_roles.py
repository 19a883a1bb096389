"""Least power: what signs upstream is a role, and the one that may delete signs nothing but what was allowed."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from apis import EVS, WORKSPACES
from checks import decision_id_in, denied, error_of
from cloud import ACCOUNT
from guard import eventually
from roles import SOURCE
from upstream import CREDENTIALS, Delay, Drop, Fail

WORK = f"arn:aws:iam::{ACCOUNT}:role/palisade/work"
GUARDED = f"arn:aws:iam::{ACCOUNT}:role/palisade/guarded"
ROLES = {
    "accounts": [ACCOUNT],
    "role_arn": WORK.replace(ACCOUNT, "{account}"),
    "guarded_role_arn": GUARDED.replace(ACCOUNT, "{account}"),
    "external_id": "team/42",
}
ONCE = {"total_max_attempts": 1}
RETRYABLE = {"ThrottlingException", "Throttling", "ServiceUnavailable", "ServiceUnavailableException"}


@pytest.fixture
def sts(upstream):
    upstream.sts.trust(WORK, external_id="team/42")
    upstream.sts.trust(GUARDED, external_id="team/42")
    return upstream.sts


@pytest.fixture
def start(new_guard):
    """Starts a guard with those keys in its table of credentials."""

    def make(credentials=ROLES, **settings):
        return new_guard(credentials=credentials, **settings).start()

    return make


def assumed(upstream):
    """The roles that were assumed, in order."""
    return [seen.input["RoleArn"] for seen in upstream.calls("AssumeRole")]


def signers(upstream, operation):
    return [seen.signer for seen in upstream.calls(operation)]


def roles_on_record(guard, operation, wanted=1):
    """`upstream_role` of each record of an operation's decisions and outcomes."""

    def found(records):
        ours = [r for r in records if r["api"]["operation"] == operation]
        return [r["unmapped"]["palisade"].get("upstream_role") for r in ours]

    eventually(lambda: len(found(guard.journal())) >= wanted, f"{wanted} records of {operation}")
    return found(guard.journal())


def test_the_work_role_looks_and_the_guarded_role_deletes(start, upstream, sts, cloud):
    guard = start()
    client = guard.client("workspaces")
    client.describe_workspaces()
    assert assumed(upstream) == [WORK]
    WORKSPACES.destroy(client, WORKSPACES.make(cloud))
    assert assumed(upstream) == [WORK, GUARDED]
    assert signers(upstream, "AssumeRole") == [SOURCE, SOURCE]
    assert set(signers(upstream, "DescribeTags") + signers(upstream, "DescribeWorkspaces")) == {WORK}
    assert signers(upstream, "TerminateWorkspaces") == [GUARDED]
    for session in sts.sessions.values():
        assert (session.name, session.source_identity, session.external_id) == ("ci", "ci", "team/42")
    # Whose account it is needs no asking.
    assert upstream.calls("GetCallerIdentity") == []
    assert {seen.host for seen in upstream.calls("AssumeRole")} == {"sts.us-east-1.amazonaws.com"}
    assert roles_on_record(guard, "TerminateWorkspaces", 2) == [GUARDED, GUARDED]
    assert roles_on_record(guard, "DescribeWorkspaces") == [WORK]
    [account] = {r["cloud"]["account"]["uid"] for r in guard.journal() if r["api"]["operation"] == "TerminateWorkspaces"}
    assert account == ACCOUNT


def test_a_refused_call_never_has_the_guarded_role(start, upstream, sts, cloud):
    guard = start()
    client = guard.client("workspaces")
    things = WORKSPACES.make(cloud, tags={"protected": "true"})
    denied(guard, upstream, client, lambda: WORKSPACES.destroy(client, things), policy="protected-tag")
    assert assumed(upstream) == [WORK]
    assert roles_on_record(guard, "TerminateWorkspaces") == [WORK]


def test_what_a_monitoring_guard_lets_go_on_has_the_guarded_role_too(start, upstream, sts, cloud):
    guard = start(settings={"mode": "monitor"})
    things = WORKSPACES.make(cloud, tags={"protected": "true"})
    WORKSPACES.destroy(guard.client("workspaces"), things)
    assert signers(upstream, "TerminateWorkspaces") == [GUARDED]
    verdicts = {own["verdict"] for own in guard.records(phase="decision") if own["class"] == "destroy"}
    assert verdicts == {"would_refuse"}


def test_without_a_work_role_the_source_looks(start, upstream, sts, cloud):
    guard = start({key: ROLES[key] for key in ("accounts", "guarded_role_arn", "external_id")})
    WORKSPACES.destroy(guard.client("workspaces"), WORKSPACES.make(cloud))
    assert assumed(upstream) == [GUARDED]
    assert set(signers(upstream, "DescribeTags")) == {SOURCE}
    assert signers(upstream, "TerminateWorkspaces") == [GUARDED]


def test_without_a_guarded_role_the_work_role_signs_all(start, upstream, sts, cloud):
    guard = start({key: ROLES[key] for key in ("accounts", "role_arn", "external_id")})
    WORKSPACES.destroy(guard.client("workspaces"), WORKSPACES.make(cloud))
    assert assumed(upstream) == [WORK]
    assert {seen.signer for seen in upstream.calls() if seen.service == "workspaces"} == {WORK}


def test_without_roles_the_record_names_none(start, upstream, cloud):
    guard = start({})
    WORKSPACES.destroy(guard.client("workspaces"), WORKSPACES.make(cloud))
    assert roles_on_record(guard, "TerminateWorkspaces", 2) == [None, None]


def test_each_caller_has_sessions_of_its_own(start, upstream, sts):
    guard = start(callers={"ci": [], "x": []})
    for caller in ("ci", "x"):
        guard.client("workspaces", caller).describe_workspaces()
    first, second = (seen.input for seen in upstream.calls("AssumeRole"))
    assert first["SourceIdentity"] == "ci"
    # AWS takes no name of one letter: it is fitted, and stays its own.
    assert second["SourceIdentity"].startswith("x-")
    described = upstream.calls("DescribeWorkspaces")
    assert [sts.sessions[seen.access_key].source_identity for seen in described] == ["ci", second["SourceIdentity"]]


def test_fifty_calls_at_a_time_assume_once(start, upstream, sts):
    guard = start()
    client = guard.client("evs", max_pool_connections=50)
    gate = threading.Barrier(50)

    def call(_):
        gate.wait(10)
        return client.list_environments()

    with upstream.fault("AssumeRole", Delay()) as held, ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(call, number) for number in range(50)]
        upstream.wait_for("AssumeRole")
        eventually(lambda: gate.broken or gate.n_waiting == 0, "all calls have begun")
        held.released.set()
        for one in calls:
            one.result(30)
    assert assumed(upstream) == [WORK]
    assert signers(upstream, "ListEnvironments") == [WORK] * 50


@pytest.mark.parametrize(
    "outage",
    [
        Drop(),
        Fail("ServiceUnavailable", "busy", 503),
        Fail("Throttling", "slow down", 400),
        Fail("AccessDenied", "no more", 403),
    ],
    ids=["no answer", "unavailable", "throttled", "denied"],
)
def test_an_outage_of_sts_does_not_stop_what_is_at_hand(start, upstream, sts, cloud, outage):
    guard = start()
    client = guard.client("workspaces")
    WORKSPACES.destroy(client, WORKSPACES.make(cloud))
    with upstream.fault("AssumeRole", outage):
        for _ in range(5):
            WORKSPACES.destroy(client, WORKSPACES.make(cloud))
        error_of(guard.client("workspaces", "root", retries=ONCE).describe_workspaces)
    assert signers(upstream, "TerminateWorkspaces") == [GUARDED] * 6


def test_a_role_that_may_not_be_assumed_is_final_and_says_what_to_do(start, upstream, sts, cloud):
    del sts.roles[WORK]
    guard = start()
    client = guard.client("workspaces")
    record = denied(guard, upstream, client, lambda: WORKSPACES.destroy(client, WORKSPACES.make(cloud)), reason=WORK)
    assert record["reason"] == "credentials_lasting"
    assert "upstream_role" not in record
    message = error_of(client.describe_workspaces).response["Error"]["Message"]
    for word in ("[credentials.prod]", "AWS's own chain", "trust policy", "sts:SetSourceIdentity", "external id"):
        assert word in message
    assert {seen.operation for seen in upstream.calls()} == {"AssumeRole"}
    # What AWS said about the guard itself is for the log.
    assert "is not authorized to perform" not in message
    assert "is not authorized to perform" in guard.log.read_text()


def test_the_wrong_external_id_is_final(start, upstream, sts):
    guard = start({**ROLES, "external_id": "another"})
    client = guard.client("evs")
    denied(guard, upstream, client, client.list_environments, reason=WORK)


@pytest.mark.parametrize(
    "fault",
    [Fail("ServiceUnavailable", "busy", 503), Fail("Throttling", "slow down", 400), Drop()],
    ids=["unavailable", "throttled", "no answer"],
)
def test_sts_out_of_order_is_worth_a_retry_and_nothing_is_sent(start, upstream, sts, cloud, fault):
    guard = start()
    things = WORKSPACES.make(cloud)
    client = guard.client("workspaces", retries=ONCE)
    with upstream.fault("AssumeRole", fault):
        error = error_of(lambda: WORKSPACES.destroy(client, things))
    assert error.response["Error"]["Code"] in RETRYABLE
    assert {seen.operation for seen in upstream.calls()} == {"AssumeRole"}
    record = guard.decision(decision_id_in(error.response["Error"]["Message"]))
    assert record["reason"] == "credentials_passing"
    client = guard.client("workspaces", retries={"mode": "standard", "total_max_attempts": 5})
    WORKSPACES.destroy(client, things)
    assert WORKSPACES.alive(cloud, things) == []


def test_a_guarded_role_out_of_reach_refuses_what_was_allowed_and_only_that(start, upstream, sts, cloud):
    guard = start()
    things = WORKSPACES.make(cloud)
    client = guard.client("workspaces", retries=ONCE)
    client.describe_workspaces()
    with upstream.fault("AssumeRole", Fail("ServiceUnavailable", "busy", 503)):
        error = error_of(lambda: WORKSPACES.destroy(client, things))
        assert error.response["Error"]["Code"] in RETRYABLE
        client.describe_workspaces()
    record = guard.decision(decision_id_in(error.response["Error"]["Message"]))
    assert (record["verdict"], record["reason"]) == ("refused", "credentials_passing")
    assert upstream.destructive() == []
    del sts.roles[GUARDED]
    # A fault is kept for a second.
    code = lambda: error_of(lambda: WORKSPACES.destroy(client, things)).response["Error"]["Code"]  # noqa: E731
    eventually(lambda: code() == "AccessDeniedException", "the denial")
    assert upstream.destructive() == []
    assert signers(upstream, "DescribeTags")[-1] == WORK


def test_an_account_that_could_be_any_is_asked_of_the_caller(start, upstream, sts):
    guard = start({**ROLES, "accounts": ["111111111111", "222222222222"]})
    client = guard.client("evs")
    message = denied(guard, upstream, client, client.list_environments, reason="may_assume")
    assert message["reason"] == "account"
    assert assumed(upstream) == []


def test_of_several_accounts_the_sources_own_is_meant(start, upstream, sts):
    guard = start({**ROLES, "accounts": ["111111111111", ACCOUNT]})
    client = guard.client("evs")
    client.list_environments()
    client.list_environments()
    assert signers(upstream, "ListEnvironments") == [WORK, WORK]
    assert signers(upstream, "GetCallerIdentity") == [SOURCE]


def test_a_guarded_role_of_another_account_than_the_judged_one_deletes_nothing(start, upstream, sts, cloud):
    elsewhere = upstream.sts.trust("arn:aws:iam::210987654321:role/guarded")
    guard = start({"guarded_role_arn": elsewhere})
    client = guard.client("workspaces")
    record = denied(guard, upstream, client, lambda: WORKSPACES.destroy(client, WORKSPACES.make(cloud)), reason=elsewhere)
    assert record["reason"] == "account"
    assert assumed(upstream) == []


def test_a_reload_keeps_the_sessions_of_a_table_that_is_as_it_was(start, upstream, sts):
    guard = start()
    client = guard.client("evs")
    client.list_environments()
    reloads = lambda: guard.metrics()["palisade_policy_reloads_total", ("outcome", "applied")]  # noqa: E731

    def reload(text):
        before = reloads()
        guard.config.write_text(text)
        guard.process.send_signal(signal.SIGHUP)
        eventually(lambda: reloads() > before, "a reload")
        client.list_environments()

    text = guard.config.read_text()
    reload(text + '\n[batch]\npartial = "refuse"\n')
    assert len(assumed(upstream)) == 1
    upstream.sts.trust(WORK, external_id="team/43")
    reload(text.replace("team/42", "team/43"))
    assert [session.external_id for session in sts.sessions.values()] == ["team/42", "team/43"]


def test_nobody_is_shown_a_key_of_a_role(start, upstream, sts, cloud):
    guard = start(variables={"PALISADE_LOG": "debug"})
    client = guard.client("workspaces")
    WORKSPACES.destroy(client, WORKSPACES.make(cloud))
    client.describe_workspaces()
    EVS.destroy(guard.client("evs"), EVS.make(cloud))
    seen = "".join([*guard.shown, guard.log.read_text(), str(guard.journal()), str(guard.metrics())])
    for keys in [CREDENTIALS, *(session.credentials for session in sts.sessions.values())]:
        assert keys.secret_key not in seen
        assert keys.token not in seen


def test_a_role_out_of_reach_of_its_table_stops_the_start(new_guard):
    guard = new_guard(credentials={**ROLES, "guarded_role_arn": "arn:aws:iam::999999999999:role/x"})
    done = guard.run("policy", "check")
    assert done.returncode != 0
    assert "`999999999999` isn't among `accounts`" in done.stderr
