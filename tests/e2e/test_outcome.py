"""What became of a call that was sent: known, or said to be unknown; never sent twice."""

import json
import signal
import socket

import pytest

import raw
from apis import APIS, INSTANCES, WORKSPACES, wire
from checks import CLIENT_ERROR, allowed, decision_id_in, error_of
from upstream import Delay, Drop, Fail, Garbage, Hang, Truncate


def unknown(guard, upstream, client, call):
    """The client is told that the outcome is unknown, once, and so is the journal."""
    error = error_of(call)
    assert error.response["Error"]["Code"] == "GuardOutcomeUnknown"
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert error.response["ResponseMetadata"]["RetryAttempts"] == 0
    assert client.attempts == 1
    [_] = upstream.destructive()
    decision = decision_id_in(error.response["Error"]["Message"])
    assert guard.decision(decision)["verdict"] == "allowed"
    assert guard.outcome(decision)["outcome"] == "unknown"


@pytest.mark.parametrize("api", APIS, ids=str)
def test_aws_drops_the_connection_after_reading(guard, upstream, cloud, api):
    things = api.make(cloud)
    client = guard.client(api.service)
    with upstream.fault(api.operation, Drop()):
        unknown(guard, upstream, client, lambda: api.destroy(client, things))


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_no_retry_mode_sends_again_what_may_have_happened(guard, upstream, cloud, mode):
    things = WORKSPACES.make(cloud)
    client = guard.client("workspaces", retries={"mode": mode, "total_max_attempts": 5})
    with upstream.fault("TerminateWorkspaces", Drop()):
        unknown(guard, upstream, client, lambda: WORKSPACES.destroy(client, things))


def test_the_cli_says_that_the_outcome_is_unknown(guard, upstream, cloud, aws):
    things = WORKSPACES.make(cloud)
    with upstream.fault("TerminateWorkspaces", Drop()):
        done = aws(*WORKSPACES.command(things))
    assert done.returncode == CLIENT_ERROR
    assert "GuardOutcomeUnknown" in done.stderr
    assert len(upstream.destructive()) == 1


def test_aws_answers_what_is_not_http(guard, upstream, cloud):
    things = WORKSPACES.make(cloud)
    client = guard.client("workspaces")
    with upstream.fault("TerminateWorkspaces", Garbage()):
        unknown(guard, upstream, client, lambda: WORKSPACES.destroy(client, things))


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_an_answer_that_breaks_off_makes_boto3_send_nothing_again(guard, upstream, cloud, mode):
    """AWS's status arrived, so the outcome is known; boto3 takes the rest for an answer or an error, never a retry."""
    things = WORKSPACES.make(cloud)
    client = guard.client("workspaces", retries={"mode": mode, "total_max_attempts": 3})
    with upstream.fault("TerminateWorkspaces", Truncate()):
        try:
            WORKSPACES.destroy(client, things)
        except client.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "GuardOutcomeUnknown"
    assert client.attempts == 1
    [seen] = upstream.destructive()
    assert guard.outcome(decision_id_in(seen.user_agent))["outcome"] in ("sent", "unknown")


def test_aws_does_not_answer_in_time(guard, upstream, cloud):
    things = WORKSPACES.make(cloud)
    client = guard.client("workspaces")
    with upstream.fault("TerminateWorkspaces", Hang()):
        unknown(guard, upstream, client, lambda: WORKSPACES.destroy(client, things))


@pytest.mark.parametrize("api", APIS, ids=str)
def test_a_fault_of_aws_is_told_as_unknown_and_nobody_sends_again(guard, upstream, cloud, api):
    """A 500 doesn't say that nothing was destroyed, and an SDK would send the call again."""
    things = api.make(cloud)
    client = guard.client(api.service)
    with upstream.fault(api.operation, Fail("InternalServerException", "oops", 500)):
        error = error_of(lambda: api.destroy(client, things))
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert error.response["Error"]["Code"] == "GuardOutcomeUnknown"
    assert "AWS answered 500" in error.response["Error"]["Message"]
    assert "InternalServerException: oops" in error.response["Error"]["Message"]
    assert client.attempts == 1
    _, decision = allowed(guard, upstream, api)
    outcome = guard.outcome(decision)
    assert (outcome["outcome"], outcome["upstream_status"]) == ("sent", 500)


@pytest.mark.parametrize("code, status", [("ThrottlingException", 400), ("ServiceUnavailableException", 503)])
def test_that_aws_is_too_busy_is_passed_on_and_the_sdk_tries_again(guard, upstream, cloud, code, status):
    things = WORKSPACES.make(cloud)
    client = guard.client("workspaces")
    with upstream.fault("TerminateWorkspaces", Fail(code, "slow down", status), times=1):
        WORKSPACES.destroy(client, things)
    assert client.attempts == 2
    assert not WORKSPACES.alive(cloud, things)


def test_a_client_that_leaves_does_not_take_the_outcome_with_it(guard, upstream, cloud):
    things = WORKSPACES.make(cloud)
    method, path, headers, body = wire(WORKSPACES, WORKSPACES.params(things))
    headers = raw.signed(guard.key("ci"), method, WORKSPACES.host, path, headers, body, service="workspaces")
    with upstream.fault("TerminateWorkspaces", Delay()):
        sock = raw.tls(guard, WORKSPACES.host)
        raw.send(sock, method, path, headers, body, host=WORKSPACES.host)
        seen = upstream.wait_for("TerminateWorkspaces")
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()
    decision = decision_id_in(seen.user_agent)
    assert guard.outcome(decision)["outcome"] == "sent"
    assert not WORKSPACES.alive(cloud, things)
    assert len(upstream.destructive()) == 1


def test_the_decision_is_on_disk_before_the_call_is_sent(guard, upstream, cloud):
    things = INSTANCES.make(cloud)
    method, path, headers, body = wire(INSTANCES, INSTANCES.params(things))
    headers = raw.signed(guard.key("ci"), method, INSTANCES.host, path, headers, body, service=INSTANCES.service)
    with upstream.fault("DeleteWorkspaceInstance", Delay()):
        with raw.tls(guard, INSTANCES.host) as sock:
            raw.send(sock, method, path, headers, body, host=INSTANCES.host)
            decision = decision_id_in(upstream.wait_for("DeleteWorkspaceInstance").user_agent)
            [record] = guard.records(decision)
            assert (record["phase"], record["verdict"]) == ("decision", "allowed")
            assert [r["id"] for r in record["resources"]] == things


def test_a_guard_killed_between_decision_and_outcome_says_unknown(new_guard, upstream, cloud):
    guard = new_guard()
    guard.start()
    things = WORKSPACES.make(cloud)
    method, path, headers, body = wire(WORKSPACES, WORKSPACES.params(things))
    headers = raw.signed(guard.key("ci"), method, WORKSPACES.host, path, headers, body, service="workspaces")
    with upstream.fault("TerminateWorkspaces", Hang()):
        with raw.tls(guard, WORKSPACES.host) as sock:
            raw.send(sock, method, path, headers, body, host=WORKSPACES.host)
            decision = decision_id_in(upstream.wait_for("TerminateWorkspaces").user_agent)
            guard.kill()
    assert [r["phase"] for r in guard.records(decision)] == ["decision"]
    guard.start()
    assert guard.outcome(decision)["outcome"] == "unknown"
    # It goes on where it was: same keys, same CA, one chain.
    assert guard.client("workspaces").describe_workspaces()
    assert guard.stop() == 0
    done = guard.run("journal", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(upstream.destructive()) == 1


def test_a_torn_last_line_is_sealed(new_guard, upstream):
    guard = new_guard()
    with guard:
        guard.client("workspaces").describe_workspaces()
        guard.wait_for_records(lambda records: [r for r in records if r["api"]["operation"] == "DescribeWorkspaces"])
        guard.kill()
    [segment] = sorted((guard.state / "journal").glob("*.jsonl"))
    segment.write_bytes(segment.read_bytes() + b'{"torn":')
    with guard:
        guard.client("workspaces").describe_workspaces()
    done = guard.run("journal", "verify")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stop_waits_for_what_is_on_its_way(new_guard, upstream, cloud):
    """SIGTERM while AWS is at work: the client still gets its answer, the journal its outcome."""
    guard = new_guard()
    guard.start()
    things = WORKSPACES.make(cloud)
    method, path, headers, body = wire(WORKSPACES, WORKSPACES.params(things))
    headers = raw.signed(guard.key("ci"), method, WORKSPACES.host, path, headers, body, service="workspaces")
    with raw.tls(guard, WORKSPACES.host) as sock:
        with upstream.fault("TerminateWorkspaces", Delay()):
            raw.send(sock, method, path, headers, body, host=WORKSPACES.host)
            decision = decision_id_in(upstream.wait_for("TerminateWorkspaces").user_agent)
            guard.process.send_signal(signal.SIGTERM)
        answer = raw.read_answer(sock)
    assert answer.status == 200
    assert json.loads(answer.body) == {"FailedRequests": []}
    assert guard.process.wait(20) == 0
    assert guard.outcome(decision)["outcome"] == "sent"
