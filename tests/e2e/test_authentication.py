"""Who isn't known, or can't prove it, gets AWS's own error for that, and nothing is sent or decided."""

import datetime
from dataclasses import replace
from unittest import mock

import botocore.auth
import botocore.crt.auth
import pytest
from botocore.auth import SigV4Auth

import raw
from apis import APIS, WORKSPACES, wire
from checks import CLIENT_ERROR, error_of
from guard import Key

UNKNOWN = Key("nobody", "PALISADENOSUCHKEY001", "x" * 40)
FOREIGN = Key("nobody", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
# What each service answers: (unknown key, bad signature).
CODES = {
    "sts": ("InvalidClientTokenId", "SignatureDoesNotMatch"),
    **{api.service: ("UnrecognizedClientException", "InvalidSignatureException") for api in APIS},
}
READ = {
    "workspaces": "describe_workspaces",
    "workspaces-instances": "list_workspace_instances",
    "servicecatalog": "list_portfolios",
    "mgn": "describe_source_servers",
    "evs": "list_environments",
    "sts": "get_caller_identity",
}


def refused(guard, upstream, service, key, code, **settings):
    client = guard.client(service, key=key, **settings)
    error = error_of(getattr(client, READ[service]))
    assert error.response["Error"]["Code"] == code
    assert upstream.calls() == []
    assert "date" in error.response["ResponseMetadata"]["HTTPHeaders"]
    assert key.secret_access_key not in repr(error.response)
    assert client.attempts <= 5
    return client, error


@pytest.mark.parametrize("service", CODES)
def test_an_unknown_key(guard, upstream, service):
    client, _ = refused(guard, upstream, service, UNKNOWN, CODES[service][0])
    assert client.attempts == 1


@pytest.mark.parametrize("service", CODES)
def test_a_key_of_aws(guard, upstream, service):
    client, error = refused(guard, upstream, service, FOREIGN, CODES[service][0])
    assert client.attempts == 1


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
@pytest.mark.parametrize("service", CODES)
def test_a_wrong_secret(guard, upstream, service, mode):
    wrong = replace(guard.key("ci"), secret_access_key="y" * 40)
    client, _ = refused(guard, upstream, service, wrong, CODES[service][1], retries={"mode": mode})
    assert client.attempts == 1


def test_a_callers_key_does_not_sign_for_another(guard, upstream):
    mixed = replace(guard.key("ci"), access_key_id=guard.key("root").access_key_id)
    refused(guard, upstream, "workspaces", mixed, "InvalidSignatureException")


def test_the_cli_shows_awss_error(guard, upstream, aws):
    done = aws("workspaces", "describe-workspaces", key=UNKNOWN)
    assert done.returncode == CLIENT_ERROR
    assert "(UnrecognizedClientException)" in done.stderr


@pytest.mark.parametrize("minutes", [-6, 6, -60 * 24 * 7])
def test_a_clock_that_is_wrong(guard, upstream, minutes):
    """The SDK is told the time by `Date` and may correct itself once; it doesn't try for ever."""
    off = datetime.timedelta(minutes=minutes)
    real = botocore.auth.get_current_datetime

    def wrong(*args, **kwargs):
        return real(*args, **kwargs) + off

    # Whichever signer botocore takes.
    with (
        mock.patch.object(botocore.auth, "get_current_datetime", wrong),
        mock.patch.object(botocore.crt.auth, "get_current_datetime", wrong),
    ):
        refused(guard, upstream, "workspaces", guard.key("ci"), "InvalidSignatureException")


@pytest.mark.parametrize("minutes", [-4, 4])
def test_a_clock_that_is_a_little_off_passes(guard, upstream, cloud, minutes):
    method, path, headers, body = wire(WORKSPACES, {}, "DescribeWorkspaces")
    clock = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    answer = raw.call(guard, WORKSPACES.host, method, path, headers, body, service="workspaces", clock=clock)
    assert answer.status == 200


def test_a_stale_signature_says_what_to_do(guard, upstream):
    method, path, headers, body = wire(WORKSPACES, {}, "DescribeWorkspaces")
    clock = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    answer = raw.call(guard, WORKSPACES.host, method, path, headers, body, service="workspaces", clock=clock)
    assert answer.code == "InvalidSignatureException"
    assert "Signature expired" in answer.message or "clock" in answer.message
    assert "date" in answer.headers


def test_no_signature_at_all(guard, upstream):
    method, path, headers, body = wire(WORKSPACES, {}, "DescribeWorkspaces")
    with raw.tls(guard, WORKSPACES.host) as sock:
        raw.send(sock, method, path, headers, body, host=WORKSPACES.host)
        answer = raw.read_answer(sock)
    assert answer.code == "MissingAuthenticationTokenException"
    assert answer.status in (400, 403)
    assert upstream.calls() == []


def alter_body(body, headers, path):
    return body.replace(b"ws-1", b"ws-2"), headers, path


def alter_target(body, headers, path):
    return body, {**headers, "X-Amz-Target": "WorkspacesService.TerminateWorkspaces"}, path


def alter_query(body, headers, path):
    return body, headers, path + "?x=1"


def alter_scope(body, headers, path):
    return body, {**headers, "Authorization": headers["Authorization"].replace("/workspaces/", "/evs/")}, path


def alter_signature(body, headers, path):
    *start, last = headers["Authorization"]
    return body, {**headers, "Authorization": "".join(start) + ("0" if last != "0" else "1")}, path


@pytest.mark.parametrize(
    "alter", [alter_body, alter_target, alter_query, alter_scope, alter_signature], ids=lambda f: f.__name__
)
def test_whatever_is_changed_after_signing_is_noticed(guard, upstream, alter):
    method, path, headers, body = wire(WORKSPACES, {"WorkspaceIds": ["ws-1"]}, "DescribeWorkspaces")
    headers = raw.signed(guard.key("ci"), method, WORKSPACES.host, path, headers, body, service="workspaces")
    body, headers, path = alter(body, headers, path)
    with raw.tls(guard, WORKSPACES.host) as sock:
        raw.send(sock, method, path, headers, body, host=WORKSPACES.host)
        answer = raw.read_answer(sock)
    assert 400 <= answer.status < 500
    assert upstream.calls() == []


@pytest.mark.parametrize("name", ["X-Amz-Target", "Host", "X-Amz-Date"])
def test_a_header_that_decides_must_be_signed(guard, upstream, name):
    """A signature that leaves out what the call is would let it be any call."""
    method, path, headers, body = wire(WORKSPACES, {}, "DescribeWorkspaces")
    original = SigV4Auth.headers_to_sign

    def without(self, request):
        kept = original(self, request)
        del kept[name.lower()]
        return kept

    with mock.patch.object(SigV4Auth, "headers_to_sign", without):
        answer = raw.call(guard, WORKSPACES.host, method, path, headers, body, service="workspaces")
    assert 400 <= answer.status < 500
    assert upstream.calls() == []


def test_a_session_token_is_not_taken_for_part_of_a_virtual_key(guard, upstream):
    method, path, headers, body = wire(WORKSPACES, {}, "DescribeWorkspaces")
    answer = raw.call(guard, WORKSPACES.host, method, path, headers, body, service="workspaces", token="token")
    assert answer.code == "UnrecognizedClientException"
    assert upstream.calls() == []


def test_a_presigned_query_is_refused(guard, upstream):
    method, path, headers, body = wire(WORKSPACES, {}, "DescribeWorkspaces")
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=b"
    with raw.tls(guard, WORKSPACES.host) as sock:
        raw.send(sock, method, f"{path}?{query}", headers, body, host=WORKSPACES.host)
        answer = raw.read_answer(sock)
    assert 400 <= answer.status < 500
    assert upstream.calls() == []


def test_the_scope_must_be_of_the_host(guard, upstream):
    """The signature is good, for another service or region than the host is."""
    method, path, headers, body = wire(WORKSPACES, {}, "DescribeWorkspaces")
    for scope in ({"service": "evs"}, {"service": "workspaces", "region": "eu-west-1"}):
        answer = raw.call(guard, WORKSPACES.host, method, path, headers, body, **scope)
        assert 400 <= answer.status < 500
    assert upstream.calls() == []


def test_failed_authentication_is_counted_and_not_recorded(guard, upstream):
    before = len(guard.journal())
    count = lambda: sum(v for k, v in guard.metrics().items() if k[0] == "palisade_refusals_total")  # noqa: E731
    refusals = count()
    refused(guard, upstream, "workspaces", UNKNOWN, "UnrecognizedClientException")
    assert count() == refusals + 1
    assert [r for r in guard.journal()[before:] if UNKNOWN.access_key_id in str(r)] == []
