"""What can be read in two ways, or not at all, is a 400 that names what and where, and reaches nobody."""

import gzip
import json

import pytest

import raw
from apis import APIS, CATALOG, EVS, INSTANCES, MGN, WORKSPACES, wire
from checks import error_of

THINGS = {
    WORKSPACES: ["ws-12345678"],
    INSTANCES: ["wsinst-12345678"],
    CATALOG: ["pp-1234567890123"],
    MGN: ["s-12345678901234567"],
    EVS: [("env-1234567890", "cnctr-1234567890", "vm-1")],
}
BODIES = {api: json.dumps(api.params(things)) for api, things in THINGS.items()}
# A list of the input, if there is one, and the member that names a resource, as they stand on the wire.
LISTS = {WORKSPACES: "TerminateWorkspaceRequests", MGN: "sourceServerIDs", EVS: "vmIds"}
NAMES = {
    WORKSPACES: "WorkspaceId",
    INSTANCES: "WorkspaceInstanceId",
    CATALOG: "ProvisionedProductId",
    MGN: "sourceServerIDs",
    EVS: "environmentId",
}


def malformed(guard, upstream, api, body, *, naming, extra=(), path=None, operation=None):
    """The guard answers 400 in the service's shape and closes; the message holds `naming`."""
    before = len(upstream.calls())
    method, own_path, headers, body = wire(api, body, operation)
    answer = raw.call(guard, api.host, method, path or own_path, headers, body, service=api.service, extra=extra)
    assert answer.status == 400, answer
    assert answer.headers.get("connection", "").lower() == "close"
    assert answer.headers["content-type"] == ("application/json" if api is MGN else headers["Content-Type"])
    assert "AccessDenied" not in answer.code
    for word in [naming] if isinstance(naming, str) else naming:
        assert word in answer.message, answer.message
    assert len(upstream.calls()) == before
    return answer


@pytest.mark.parametrize("api", APIS, ids=str)
class TestABody:
    def test_with_a_duplicate_key(self, guard, upstream, api):
        name = next(iter(api.params(THINGS[api])))
        twice = BODIES[api][:-1] + f', "{name}": null}}'
        malformed(guard, upstream, api, twice, naming=[name, "twice"])

    def test_with_a_duplicate_key_in_another_spelling(self, guard, upstream, api):
        name = next(iter(api.params(THINGS[api])))
        twice = BODIES[api][:-1] + f', "\\u{ord(name[0]):04x}{name[1:]}": "x"}}'
        malformed(guard, upstream, api, twice, naming=[name, "twice"])

    def test_that_is_too_deep(self, guard, upstream, api):
        malformed(guard, upstream, api, BODIES[api][:-1] + ', "x": ' + "[" * 40 + "]" * 40 + "}", naming="levels")

    def test_with_bytes_behind_it(self, guard, upstream, api):
        malformed(guard, upstream, api, BODIES[api] + "{}", naming="after the end")

    def test_that_ends_too_early(self, guard, upstream, api):
        malformed(guard, upstream, api, BODIES[api][:-1], naming="early")

    def test_with_an_unknown_member(self, guard, upstream, api):
        malformed(guard, upstream, api, BODIES[api][:-1] + ', "Surprise": 1}', naming="Surprise")

    def test_with_a_member_in_other_case(self, guard, upstream, api):
        name = next(iter(api.params(THINGS[api])))
        malformed(guard, upstream, api, BODIES[api].replace(name, name.swapcase()), naming=name.swapcase())

    def test_with_a_wrong_type(self, guard, upstream, api):
        name = NAMES[api]
        body = json.loads(BODIES[api])
        if api is WORKSPACES:
            body["TerminateWorkspaceRequests"][0]["WorkspaceId"] = ["ws-12345678"]
        else:
            body[name] = {"x": "y"}
        malformed(guard, upstream, api, body, naming=name)

    def test_with_a_number_for_an_id(self, guard, upstream, api):
        name = NAMES[api]
        body = json.loads(BODIES[api])
        if api is WORKSPACES:
            body["TerminateWorkspaceRequests"][0]["WorkspaceId"] = 7
        elif api is MGN:
            body[name] = [7]
        else:
            body[name] = 7
        malformed(guard, upstream, api, body, naming=name)

    def test_without_what_it_needs(self, guard, upstream, api):
        first = {**NAMES, WORKSPACES: "TerminateWorkspaceRequests", CATALOG: "TerminateToken"}[api]
        malformed(guard, upstream, api, {}, naming=[first, "missing"])

    def test_that_is_a_list(self, guard, upstream, api):
        malformed(guard, upstream, api, [BODIES[api]], naming="object")

    def test_that_is_not_utf_8(self, guard, upstream, api):
        malformed(guard, upstream, api, BODIES[api].encode()[:-1] + b', "x": "\xff"}', naming="UTF-8")

    def test_with_half_a_surrogate_pair(self, guard, upstream, api):
        malformed(guard, upstream, api, BODIES[api][:-1] + ', "x": "\\ud800"}', naming="surrogate")

    def test_that_is_compressed(self, guard, upstream, api):

        malformed(
            guard,
            upstream,
            api,
            gzip.compress(BODIES[api].encode()),
            naming="Content-Encoding",
            extra={"Content-Encoding": "gzip"},
        )

    def test_beside_a_query_string(self, guard, upstream, api):
        path = wire(api, b"")[1] + "?Action=DescribeWorkspaces&Version=2015-04-08"
        malformed(guard, upstream, api, BODIES[api], naming="", path=path)


@pytest.mark.parametrize("api", LISTS, ids=str)
def test_an_empty_list_names_nothing(guard, upstream, api):
    body = json.loads(BODIES[api])
    body[LISTS[api]] = []
    malformed(guard, upstream, api, body, naming=LISTS[api])


@pytest.mark.parametrize("api", LISTS, ids=str)
def test_a_null_in_a_list_is_no_id(guard, upstream, api):
    body = json.loads(BODIES[api])
    body[LISTS[api]].append(None)
    malformed(guard, upstream, api, body, naming=[LISTS[api], "null"])


@pytest.mark.parametrize("api", APIS, ids=str)
def test_an_empty_id_is_no_id(guard, upstream, api):
    body = BODIES[api]
    for value in ("ws-12345678", "wsinst-12345678", "pp-1234567890123", "s-12345678901234567", "vm-1"):
        body = body.replace(f'"{value}"', '""')
    malformed(guard, upstream, api, body, naming="")


def test_two_targets_are_one_too_many(guard, upstream):
    """The second stands beside the signed one; a proxy and AWS might take either."""
    malformed(
        guard,
        upstream,
        WORKSPACES,
        BODIES[WORKSPACES],
        naming="",
        extra={"x-amz-target": "WorkspacesService.DescribeWorkspaces"},
    )


def test_a_target_and_another_protocols_mark_are_one_too_many(guard, upstream):
    method, path, headers, body = wire(WORKSPACES, BODIES[WORKSPACES])
    extra = {"smithy-protocol": "rpc-v2-cbor"}
    answer = raw.call(guard, WORKSPACES.host, method, path, headers, body, service="workspaces", extra=extra)
    assert answer.status == 400
    assert answer.headers["connection"] == "close"
    assert b"`smithy-protocol`" in answer.body and b"`x-amz-target`" in answer.body
    assert upstream.calls() == []


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Http-Method", "X-Method-Override"])
def test_a_header_that_would_change_the_method_is_refused(guard, upstream, name):
    malformed(guard, upstream, MGN, BODIES[MGN], naming=name.lower(), extra={name: "GET"})


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: {n}\r\nTransfer-Encoding: chunked",
        "Content-Length: {n}\r\nContent-Length: 0",
        "Content-Length: +{n}",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Content-Length: {n}\r\nX-Folded: a\r\n b",
        "Content-Length : {n}",
    ],
)
def test_framing_that_can_be_read_in_two_ways(guard, upstream, framing):
    method, path, headers, body = wire(WORKSPACES, BODIES[WORKSPACES])
    headers = raw.signed(guard.key("ci"), method, WORKSPACES.host, path, headers, body, service="workspaces")
    lines = [f"{name}: {value}" for name, value in {"Host": WORKSPACES.host, **headers}.items()]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, framing.format(n=len(body)), "", ""])
    with raw.tls(guard, WORKSPACES.host) as sock:
        sock.sendall(head.encode() + body)
        answer = raw.read_answer(sock)
        assert answer.status == 400
        assert sock.recv(1) == b"", "the connection closes"
    assert upstream.calls() == []


def test_a_body_that_is_too_large_is_refused(guard, upstream):
    """1 MiB for what is guarded. The client gets to read the answer though it is still sending, and tries no more."""
    client = guard.client("workspaces", retries={"mode": "standard", "total_max_attempts": 5})
    error = error_of(lambda: WORKSPACES.destroy(client, ["ws-" + "1" * (3 << 20)]))
    assert 400 <= error.response["ResponseMetadata"]["HTTPStatusCode"] < 500
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] != 429
    assert client.attempts == 1
    assert upstream.calls() == []


def test_an_operation_that_does_not_exist_is_denied(guard, upstream):
    """It reads well and isn't known: perhaps AWS knows it. Final, so that no SDK retries."""
    method, path, headers, body = wire(WORKSPACES, {}, "TerminateEverything")
    answer = raw.call(guard, WORKSPACES.host, method, path, headers, body, service="workspaces")
    assert answer.status == 400
    assert answer.code == "AccessDeniedException"
    assert "TerminateEverything" in answer.message
    assert upstream.calls() == []


def test_a_path_of_another_spelling_is_no_other_operation(guard, upstream):
    for path in ("/terminatetargetinstances", "//TerminateTargetInstances", "/x/../TerminateTargetInstances"):
        method, _, headers, body = wire(MGN, BODIES[MGN])
        answer = raw.call(guard, MGN.host, method, path, headers, body, service="mgn")
        assert 400 <= answer.status < 500, path
    assert upstream.calls() == []


def test_a_refused_request_is_on_record(guard, upstream):
    answer = malformed(guard, upstream, WORKSPACES, BODIES[WORKSPACES] + "{}", naming="after the end")
    record = guard.decision(answer.headers["x-amzn-requestid"])
    assert record["verdict"] == "refused"
