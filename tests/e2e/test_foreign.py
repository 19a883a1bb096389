"""Keys of AWS's own: unguarded calls go on with them, unchanged; guarded ones don't."""

import time
from unittest import mock

import pytest
from botocore.auth import SigV4Auth
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

import raw
from apis import APIS, MGN, WORKSPACES, wire
from checks import decision_id_in, denied, error_of
from guard import Guard, Key, eventually
from upstream import CREDENTIALS

THEIRS = Key("nobody", "ASIAQWERTYUIOPASDFGH", "their/Own+Secret0123456789abcdefghijklmnopq")
TOKEN = "TheirOwnSessionToken/" + "x" * 200
READS = {
    "workspaces": "describe_workspaces",
    "workspaces-instances": "list_workspace_instances",
    "servicecatalog": "list_portfolios",
    "mgn": "describe_source_servers",
    "evs": "list_environments",
    "sts": "get_caller_identity",
}


@pytest.fixture(scope="module")
def guard(_upstream, tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
    settings = {"identity.foreign_keys": "passthrough"}
    with Guard(folder, upstream=_upstream.url, ca_file=_upstream.ca, settings=settings) as running:
        yield running


@pytest.fixture(autouse=True)
def theirs(upstream):
    """AWS knows the key."""
    upstream.accepts[THEIRS.access_key_id] = Credentials(THEIRS.access_key_id, THEIRS.secret_access_key, TOKEN)


@pytest.fixture
def client(guard, monkeypatch):
    """A boto3 client with a key of its own; `sent` are its requests as they left it."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)

    def make(service, **settings):
        one = guard.client(service, key=THEIRS, **settings)
        one.sent = []
        one.meta.events.register("before-send", lambda request, **_: one.sent.append(request))
        return one

    return make


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def same(sent, seen):
    """Byte for byte what the client sent, but for what belongs to its connection."""
    assert seen.target == sent.url.split(seen.host, 1)[1]
    assert seen.body == (sent.body or b"" if not isinstance(sent.body, str) else sent.body.encode())
    headers = {name.lower(): text(value) for name, value in sent.headers.items()}
    for name in ("expect", "connection"):
        headers.pop(name, None)
    arrived = {name: value for name, value in seen.headers.items() if name in headers}
    assert arrived == headers
    assert set(seen.headers) - set(headers) <= {"host", "accept-encoding", "content-length"}


@pytest.mark.parametrize("service", READS)
def test_a_read_goes_on_as_it_was_sent(guard, upstream, client, service):
    one = client(service)
    getattr(one, READS[service])()
    [seen] = upstream.calls()
    assert seen.access_key == THEIRS.access_key_id and seen.signature_problem is None
    same(one.sent[0], seen)
    assert seen.user_agent == text(one.sent[0].headers["User-Agent"])
    [record] = guard.wait_for_records(
        lambda records: [
            found
            for found in [[r for r in records if THEIRS.access_key_id in str(r) and seen.operation in str(r["api"])]]
            if len(found) == 1
        ]
    )[0]
    user = record["actor"]["user"]
    assert (user["name"], user["credential_uid"]) == ("unverified", THEIRS.access_key_id)
    assert not user.get("groups")
    own = record["unmapped"]["palisade"]
    assert (own["verdict"], own["outcome"], own["policies"]) == ("allowed", "sent", ["base"])


def test_a_write_goes_on_too(guard, upstream, client):
    one = client("servicecatalog")
    one.create_portfolio(DisplayName="desks", ProviderName="it", IdempotencyToken="5f0c-token")
    [seen] = upstream.calls()
    assert seen.operation == "CreatePortfolio"
    same(one.sent[0], seen)


@pytest.mark.parametrize("api", APIS, ids=str)
def test_a_guarded_call_needs_a_virtual_key(guard, upstream, cloud, client, monkeypatch, api):
    one = client(api.service)
    things = api.make(cloud)
    record = denied(guard, upstream, one, lambda: api.destroy(one, things), reason="palisade keys new")
    assert record["reason"] == "foreign_key"
    assert upstream.calls() == []
    assert api.alive(cloud, things)
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    api.destroy(guard.client(api.service), things)
    [seen] = upstream.destructive()
    assert seen.access_key == CREDENTIALS.access_key


def test_a_key_that_aws_does_not_know_is_refused_by_aws(guard, upstream, client):
    upstream.accepts.clear()
    error = error_of(client("workspaces").describe_workspaces)
    assert error.response["Error"]["Code"] == "InvalidSignatureException"
    # In AWS's own words: the signature is the caller's own.
    assert "palisade" not in error.response["Error"]["Message"]
    assert len(upstream.calls()) == 1
    upstream.reset()


def test_a_policy_may_refuse_whom_it_does_not_know(new_guard, upstream, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    policies = """
        @id("base") permit (principal, action, resource);
        @id("known-only") @reason("Only callers with a key of ours write.")
        forbid (principal == Caller::"unverified", action in Action::"write", resource);
        @id("in-a-group") @reason("Never.") forbid (principal in Group::"admins", action in Action::"read", resource);
    """
    settings = {"identity.foreign_keys": "passthrough"}
    with new_guard(policies={"all.cedar": policies}, settings=settings) as guard:
        one = guard.client("servicecatalog", key=THEIRS)
        one.list_portfolios()
        upstream.reset()
        denied(
            guard,
            upstream,
            one,
            lambda: one.create_portfolio(DisplayName="desks", ProviderName="it", IdempotencyToken="5f0c-token"),
            code="AccessDeniedException",
            policy="known-only",
        )
        assert upstream.calls() == []


def test_a_read_whose_input_a_policy_reads_is_guarded(new_guard, upstream, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    policies = """
        @id("base") permit (principal, action, resource);
        @id("few") @reason("Few at a time.")
        forbid (principal, action == Action::"workspaces:DescribeWorkspaces", resource)
        when { context.input has Limit && context.input.Limit > 5 };
    """
    settings = {"identity.foreign_keys": "passthrough"}
    with new_guard(policies={"all.cedar": policies}, settings=settings) as guard:
        one = guard.client("workspaces", key=THEIRS)
        error = error_of(lambda: one.describe_workspaces(Limit=2))
        assert error.response["Error"]["Code"] == "AccessDeniedException"
        decision = decision_id_in(error.response["Error"]["Message"])
        assert guard.decision(decision)["reason"] == "foreign_key"
        assert upstream.calls() == []


def test_a_body_signed_in_chunks_passes_untouched(guard, upstream):
    """No signature of it can be checked here, and none is made anew."""
    body = b"3;chunk-signature=%s\r\n{ }\r\n0;chunk-signature=%s\r\n\r\n" % (b"0" * 64, b"1" * 64)
    headers = {
        "Content-Type": "application/json",
        "Content-Encoding": "aws-chunked",
        "X-Amz-Decoded-Content-Length": "3",
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    }
    signed = raw.signed(THEIRS, "POST", MGN.host, "/DescribeSourceServers", headers, body, service="mgn", token=TOKEN)
    signed["x-amz-content-sha256"] = headers["x-amz-content-sha256"]
    with raw.tls(guard, MGN.host) as sock:
        raw.send(sock, "POST", "/DescribeSourceServers", signed, body, host=MGN.host)
        raw.read_answer(sock)
    [seen] = upstream.calls()
    assert seen.body == body
    for name, value in signed.items():
        assert seen.headers[name.lower()] == value
    upstream.reset()


def all_headers(signer, request):
    """Signs those too that botocore leaves out, since they belong to one connection."""
    signed = HTTPHeaders()
    for name, value in request.headers.items():
        signed[name.lower()] = value
    signed["host"] = "sts.us-east-1.amazonaws.com"
    return signed


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET", "path": "/?Action=GetCallerIdentity&Version=2011-06-15"},
        {"path": "/?Action=AssumeRole&Version=2011-06-15"},
        {"body": b"Action=GetCallerIdentity&Version=2011-06-15&Action=AssumeRole"},
        {"body": b"Action=GetCallerIdentity&Version=2011-06-15&action=AssumeRole"},
        {"body": b"Action=GetCallerIdentity&Version=2011-06-15;Action=AssumeRole"},
        {"body": b"Actio%6e=GetCallerIdentity&Version=2011-06-15"},
        {"headers": {"Keep-Alive": "timeout=5"}},
    ],
    ids=["GET and body", "two places", "twice", "case", "semicolon", "escaped", "a header of one hop"],
)
def test_what_has_two_readings_is_refused(guard, upstream, change):
    request = {
        "method": "POST",
        "path": "/",
        "headers": {},
        "body": b"Action=GetCallerIdentity&Version=2011-06-15",
        **change,
    }
    method, path, body = request["method"], request["path"], request["body"]
    headers = {"Content-Type": "application/x-www-form-urlencoded", **request["headers"]}
    host = "sts.us-east-1.amazonaws.com"
    with mock.patch.object(SigV4Auth, "headers_to_sign", all_headers):
        signed = raw.signed(THEIRS, method, host, path, headers, body, service="sts", token=TOKEN)
    assert ("Keep-Alive" in headers) == (";keep-alive;" in signed["Authorization"])
    with raw.tls(guard, host) as sock:
        raw.send(sock, method, path, signed, body, host=host)
        answer = raw.read_answer(sock, method)
    assert 400 <= answer.status < 500, answer
    assert upstream.calls() == []


@pytest.mark.parametrize("how", ["unsigned", "presigned"])
def test_what_is_not_signed_in_its_header_is_refused(guard, upstream, how):
    method, path, headers, body = wire(WORKSPACES, {}, "DescribeWorkspaces")
    if how == "presigned":
        path += "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=b"
    with raw.tls(guard, WORKSPACES.host) as sock:
        raw.send(sock, method, path, headers, body, host=WORKSPACES.host)
        assert 400 <= raw.read_answer(sock).status < 500
    assert upstream.calls() == []


def test_a_virtual_key_is_still_verified(guard, upstream):
    key = Key("ci", guard.key("ci").access_key_id, "y" * 40)
    error = error_of(guard.client("workspaces", key=key).describe_workspaces)
    assert error.response["Error"]["Code"] == "InvalidSignatureException"
    unknown = Key("ci", "PALISADENOSUCHKEY001", "y" * 40)
    error = error_of(guard.client("workspaces", key=unknown).describe_workspaces)
    assert error.response["Error"]["Code"] == "UnrecognizedClientException"
    assert upstream.calls() == []


def test_the_scope_must_be_of_the_host(guard, upstream):
    method, path, headers, body = wire(WORKSPACES, {}, "DescribeWorkspaces")
    for scope in ({"service": "evs"}, {"service": "workspaces", "region": "eu-west-1"}):
        signed = raw.signed(THEIRS, method, WORKSPACES.host, path, headers, body, token=TOKEN, **scope)
        with raw.tls(guard, WORKSPACES.host) as sock:
            raw.send(sock, method, path, signed, body, host=WORKSPACES.host)
            assert 400 <= raw.read_answer(sock).status < 500
    assert upstream.calls() == []


def test_whom_nobody_knows_may_cause_few_records(guard, upstream, client):
    refused = lambda: guard.metrics()["palisade_refusals_total", ("reason", "foreign_key")]  # noqa: E731
    before, known = refused(), len(guard.journal())
    one = client("workspaces")
    calls = 40
    begun = time.monotonic()
    for _ in range(calls):
        error_of(lambda: one.terminate_workspaces(TerminateWorkspaceRequests=[{"WorkspaceId": "ws-1"}]))
    seconds = int(time.monotonic() - begun) + 2
    eventually(lambda: refused() == before + calls, "every refusal is counted")
    assert len(guard.journal()) - known <= min(10 * seconds, calls)
