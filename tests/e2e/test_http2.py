"""HTTP/2 towards the client and towards AWS: the same judgement, many calls on one connection."""

import json
import signal

import pytest

import raw
from apis import APIS, WORKSPACES, wire
from checks import allowed, decision_id_in, denied
from http2 import Client, front
from tls import make_server_files
from upstream import CREDENTIALS, Delay


@pytest.mark.parametrize("api", APIS, ids=str)
def test_an_allowed_call_gets_awss_own_answer(guard, upstream, cloud, api):
    things = api.make(cloud, tags={"owner": "finance"})
    with Client(guard, api.host) as client:
        stream = client.send(*wire(api, api.params(things)), signed_by=guard.key("ci"), service=api.service)
        answer = client.answer(stream)
    assert answer.status == 200, answer.body
    assert not api.alive(cloud, things)
    seen, decision = allowed(guard, upstream, api)
    assert answer.headers["x-amzn-requestid"] == seen.request_id
    assert seen.headers["host"] == api.host
    assert guard.outcome(decision)["outcome"] == "sent"


@pytest.mark.parametrize("api", APIS, ids=str)
def test_a_denied_call_gets_the_services_own_refusal(guard, upstream, cloud, api):
    things = api.make(cloud, tags={"protected": "true"})
    with Client(guard, api.host) as client:
        stream = client.send(*wire(api, api.params(things)), signed_by=guard.key("ci"), service=api.service)
        answer = client.answer(stream)
        # The connection stands: a denial is no fault of the framing.
        again = client.send(*wire(api, api.params(things)), signed_by=guard.key("ci"), service=api.service)
        assert client.answer(again).status == answer.status
    over_one = raw.call(guard, api.host, *wire(api, api.params(things)), service=api.service)
    assert (answer.status, answer.code) == (over_one.status, over_one.code)
    assert "AccessDenied" in answer.code
    assert upstream.destructive() == []
    assert guard.decision(decision_id_in(answer.body.decode()))["verdict"] == "refused"


def test_what_no_key_signed_is_refused(guard, upstream, cloud):
    method, path, headers, body = wire(WORKSPACES, WORKSPACES.params(WORKSPACES.make(cloud)))
    headers = raw.signed(guard.key("ci"), method, WORKSPACES.host, path, headers, body, service="workspaces")
    with Client(guard, WORKSPACES.host) as client:
        changed = client.send(method, path, headers, body + b" ")
        unsigned = client.send(method, path, {"content-type": "application/x-amz-json-1.1"}, body)
        assert client.answer(changed).code == "InvalidSignatureException"
        assert client.answer(unsigned).status in (400, 403)
    assert upstream.calls() == []


def test_another_authority_is_misdirected(guard, upstream, cloud):
    request = wire(WORKSPACES, WORKSPACES.params(WORKSPACES.make(cloud)))
    for authority, headers in [
        ("evs.us-east-1.amazonaws.com", {}),
        ("evs.us-east-1.amazonaws.com", {"host": WORKSPACES.host}),
        (WORKSPACES.host, {"host": "evs.us-east-1.amazonaws.com"}),
        (f"{WORKSPACES.host}:8443", {}),
    ]:
        method, path, own, body = request
        signed = raw.signed(guard.key("ci"), method, WORKSPACES.host, path, own, body, service="workspaces")
        with Client(guard, WORKSPACES.host) as client:
            stream = client.send(method, path, {**signed, **headers}, body, authority=authority)
            assert client.answer(stream).status == 421
            client.end()
            assert client.goaway is not None
    assert upstream.calls() == []


def test_many_calls_share_a_connection(guard, upstream, cloud):
    cloud.add_workspace()
    request = wire(WORKSPACES, {}, "DescribeWorkspaces")
    with Client(guard, WORKSPACES.host) as client:
        streams = [client.send(*request, signed_by=guard.key("ci"), service="workspaces") for _ in range(60)]
        assert {client.answer(stream).status for stream in streams} == {200}
    assert len(upstream.calls("DescribeWorkspaces")) == 60


def test_a_stop_says_goaway_and_waits_for_what_is_on_its_way(new_guard, upstream, cloud):
    guard = new_guard()
    guard.start()
    request = wire(WORKSPACES, WORKSPACES.params(WORKSPACES.make(cloud)))
    read = wire(WORKSPACES, {}, "DescribeWorkspaces")
    with Client(guard, WORKSPACES.host) as client, Client(guard, WORKSPACES.host) as idle:
        assert idle.answer(idle.send(*read, signed_by=guard.key("ci"), service="workspaces")).status == 200
        with upstream.fault("TerminateWorkspaces", Delay()):
            stream = client.send(*request, signed_by=guard.key("ci"), service="workspaces")
            decision = decision_id_in(upstream.wait_for("TerminateWorkspaces").user_agent)
            guard.process.send_signal(signal.SIGTERM)
            idle.end()
            assert idle.goaway.error_code == 0
        answer = client.answer(stream)
        assert (answer.status, json.loads(answer.body)) == (200, {"FailedRequests": []})
        client.end()
        assert client.goaway.error_code == 0
    assert guard.process.wait(20) == 0
    assert guard.outcome(decision)["outcome"] == "sent"


@pytest.fixture
def behind(upstream, new_guard, tmp_path):
    """A guard whose AWS speaks nothing but HTTP/2."""
    with front(upstream, make_server_files(tmp_path / "front", "localhost")) as server:
        guard = new_guard(upstream=server.url, ca_file=server.ca)
        with guard:
            yield guard, server


def test_aws_is_spoken_to_over_http_2_where_it_chooses_so(behind, upstream, cloud):
    guard, server = behind
    for api in APIS:
        upstream.reset()
        things = api.make(cloud, tags={"owner": "finance"})
        api.destroy(guard.client(api.service), things)
        assert not api.alive(cloud, things)
        seen, decision = allowed(guard, upstream, api)
        assert seen.access_key == CREDENTIALS.access_key
        assert guard.outcome(decision)["upstream_status"] == 200
        kept = api.make(cloud, tags={"protected": "true"})
        upstream.reset()
        client = guard.client(api.service)
        denied(guard, upstream, client, lambda: api.destroy(client, kept))
        assert api.alive(cloud, kept)
    for _, _, headers in server.requests:
        names = [name for name, _ in headers]
        assert names.count(":authority") == 1 and "host" not in names
        assert not {"connection", "transfer-encoding", "expect", "keep-alive"} & set(names)


def test_a_guarded_call_that_http_2_lost_is_unknown_and_sent_once(behind, upstream, cloud):
    guard, _ = behind
    api = WORKSPACES
    things = api.make(cloud)
    with upstream.fault("TerminateWorkspaces", lambda handler, seen: handler.hang_up()):
        answer = raw.call(guard, api.host, *wire(api, api.params(things)), service="workspaces")
    assert answer.status == 409
    [seen] = upstream.destructive()
    assert guard.outcome(decision_id_in(seen.user_agent))["outcome"] == "unknown"
