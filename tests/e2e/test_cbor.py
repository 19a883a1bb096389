"""rpcv2Cbor through the guard: botocore's own serialiser and parser, and by hand what no SDK would write."""

import struct

import pytest

import cbor
import raw
import speak
from apis import CATALOG, INSTANCES, WORKSPACES
from checks import decision_id_in, denied, error_of
from upstream import CREDENTIALS

APIS = [WORKSPACES, INSTANCES, CATALOG]
HEADERS = {"Smithy-Protocol": "rpc-v2-cbor", "Content-Type": "application/cbor", "Accept": "application/cbor"}


def client_of(guard, api, caller="ci", **settings):
    return speak.client(guard, speak.CBOR, api.service, caller, **settings)


def path_of(api, operation=None):
    return f"/service/{api.target}/operation/{operation or api.operation}"


# --- CBOR by hand


def head(major, length):
    if length < 24:
        return bytes([major << 5 | length])
    if length < 256:
        return bytes([major << 5 | 24, length])
    return bytes([major << 5 | 25]) + struct.pack(">H", length)


def text(value):
    return head(3, len(value.encode())) + value.encode()


def item(value):
    """What `value` is in CBOR; bytes are CBOR already."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(item, value))
    pairs = list(value.items())
    return head(5, len(pairs)) + b"".join(item(k) + item(v) for k, v in pairs)


def endless(value):
    """The same, with every structure, list and string until a break."""
    if isinstance(value, str):
        half = len(value) // 2
        return b"\x7f" + text(value[:half]) + text(value[half:]) + b"\xff"
    if isinstance(value, list):
        return b"\x9f" + b"".join(map(endless, value)) + b"\xff"
    return b"\xbf" + b"".join(endless(k) + endless(v) for k, v in value.items()) + b"\xff"


def send(guard, api, body, *, path=None, headers=HEADERS, method="POST", extra=()):
    path = path or path_of(api)
    return raw.call(guard, api.host, method, path, headers, body, service=api.service, extra=extra)


def refused(answer, code):
    """The answer is a refusal as CBOR has it; its message."""
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/cbor"
    assert answer.headers["smithy-protocol"] == "rpc-v2-cbor"
    error = cbor.decode(answer.body)
    assert set(error) == {"__type", "message"}
    assert error["__type"] == code
    assert decision_id_in(answer.headers["x-amzn-requestid"])
    return error["message"]


# --- allowed and denied


@pytest.mark.parametrize("caller", ["ci", "root"])
@pytest.mark.parametrize("api", APIS, ids=str)
def test_an_allowed_call_is_rebuilt_and_signed(guard, upstream, cloud, api, caller):
    things = api.make(cloud)
    answer = api.destroy(client_of(guard, api, caller), things)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert not api.alive(cloud, things)
    [seen] = upstream.destructive()
    assert seen.signature_problem is None
    assert seen.access_key == CREDENTIALS.access_key
    assert seen.target == path_of(api)
    sent = {name: seen.headers.get(name) for name in ("smithy-protocol", "content-type", "accept")}
    assert sent == {name.lower(): value for name, value in HEADERS.items()}
    assert "x-amz-target" not in seen.headers
    signed = seen.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    assert {"smithy-protocol", "content-type", "accept", "host", "x-amz-date"} <= set(signed)
    record = guard.decision(decision_id_in(seen.user_agent))
    assert record["verdict"] == "allowed"


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
@pytest.mark.parametrize("api", APIS, ids=str)
def test_a_denied_call_raises_access_denied_at_once(guard, upstream, cloud, api, mode):
    things = api.make(cloud, tags={"protected": "true"})
    client = client_of(guard, api, retries={"mode": mode, "total_max_attempts": 5})
    denied(guard, upstream, client, lambda: api.destroy(client, things), policy="protected-tag")
    assert api.alive(cloud, things) == things


def test_an_unguarded_call_passes_and_its_answer_is_read(guard, upstream, cloud):
    things = WORKSPACES.make(cloud)
    client = client_of(guard, WORKSPACES)
    found = client.describe_workspaces(WorkspaceIds=things)["Workspaces"]
    assert [workspace["WorkspaceId"] for workspace in found] == things
    [seen] = upstream.calls("workspaces:DescribeWorkspaces")
    assert seen.target == path_of(WORKSPACES, "DescribeWorkspaces")
    assert "smithy-protocol" in seen.headers["authorization"]


def test_an_error_of_aws_keeps_its_shape(guard, upstream, cloud):
    client = client_of(guard, INSTANCES, "root")
    error = error_of(lambda: INSTANCES.destroy(client, ["wsinst-0000000000"]))
    assert error.response["ResponseMetadata"]["RetryAttempts"] == 0
    assert error.response["Error"]["Code"]


# --- by hand


def test_indefinite_lengths_are_read_and_sent_on_definite(guard, upstream, cloud):
    """As the Rust SDK begins every structure, and further than any SDK goes."""
    for spell in (item, endless):
        [thing] = WORKSPACES.make(cloud)
        params = WORKSPACES.params([thing])
        answer = send(guard, WORKSPACES, spell(params))
        assert answer.status == 200, answer.body
        assert not WORKSPACES.alive(cloud, [thing])
        assert upstream.destructive()[-1].body == item(params)


WS = "ws-0123456789"
ONE = WORKSPACES.params([WS])
LIST, ID = "TerminateWorkspaceRequests", "WorkspaceId"


def twice(key, first, second):
    return head(5, 2) + text(key) + item(first) + text(key) + item(second)


MALFORMED = {
    "a key twice": (twice(LIST, ONE[LIST], []), "`TerminateWorkspaceRequests` stands twice"),
    "a key twice, to a break": (b"\xbf" + twice(LIST, [], [])[1:] + b"\xff", "stands twice"),
    "a key twice, once in pieces": (
        head(5, 2) + text(LIST) + item([]) + endless(LIST) + item(ONE[LIST]),
        "stands twice",
    ),
    "a key twice within": (item({LIST: [twice(ID, WS, "ws-9876543210")]}), "`WorkspaceId` stands twice"),
    "trailing bytes": (item(ONE) + b"\xa0", "after the end"),
    "a trailing break": (item(ONE) + b"\xff", "after the end"),
    "cut short": (item(ONE)[:-1], "too early"),
    "a length beyond the end": (b"\xbb" + b"\xff" * 8, "too early"),
    "no map": (item([]), "must be a CBOR map"),
    "JSON": (b'{"TerminateWorkspaceRequests":[]}', "at byte"),
    "a number as a key": (b"\xa1\x01\x80", "a key that is no text"),
    "null": (item({LIST: b"\xf6"}), "`TerminateWorkspaceRequests` is required"),
    "undefined": (item({LIST: b"\xf7"}), "`TerminateWorkspaceRequests` is required"),
    "null in a list": (item({LIST: [b"\xf6"]}), "must not be null"),
    "null as an id": (item({LIST: [{ID: b"\xf6"}]}), "is required"),
    "an unknown member": (item({**ONE, "Force": b"\xf5"}), "`Force` isn't known"),
    "a member in another case": (item({LIST: [{ID: WS, "workspaceId": WS}]}), "isn't known"),
    "bytes for a string": (item({LIST: [{ID: head(2, len(WS)) + WS.encode()}]}), "must be a string, not bytes"),
    "a number for a string": (item({LIST: [{ID: b"\x01"}]}), "must be a string"),
    "an object for a list": (item({LIST: {}}), "must be a list"),
    "a big number": (item({LIST: b"\xc2\x41\x01"}), "tag 2"),
    "a tag": (item({LIST: b"\xd9\xd9\xf7" + item(ONE[LIST])}), "tag 55799"),
    "a break outside": (item({LIST: b"\xff"}), "a break"),
    "pieces of another type": (item({LIST: [{ID: b"\x7f\x41a\xff"}]}), "a piece"),
    "pieces within pieces": (item({LIST: [{ID: b"\x7f\x7f\x61a\xff\xff"}]}), "a piece"),
    "no UTF-8": (item({LIST: [{ID: b"\x62\xc3\x28"}]}), "not UTF-8"),
    "too deep": (b"\x81" * 5000, "levels"),
    "a reserved length": (item({LIST: b"\x9c"}), "reserved"),
}


@pytest.mark.parametrize("body, naming", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_body_is_refused_in_cbor(guard, upstream, body, naming):
    answer = send(guard, WORKSPACES, body)
    assert naming in refused(answer, "ValidationException")
    assert answer.headers["connection"] == "close"
    assert upstream.calls() == []
    record = guard.decision(answer.headers["x-amzn-requestid"])
    assert record["verdict"] == "refused"


@pytest.mark.parametrize("name", ["x-amz-target", "x-amzn-target"])
def test_a_target_beside_the_path_is_one_signal_too_many(guard, upstream, name):
    answer = send(guard, WORKSPACES, item(ONE), extra={name: "WorkspacesService.DescribeWorkspaces"})
    message = refused(answer, "ValidationException")
    assert "`smithy-protocol`" in message and f"`{name}`" in message
    assert upstream.calls() == []


def test_an_action_beside_the_path_is_refused(guard, upstream):
    path = f"{path_of(WORKSPACES)}?Action=DescribeWorkspaces&Version=2015-04-08"
    assert "query string" in refused(send(guard, WORKSPACES, item(ONE), path=path), "ValidationException")
    form = {**HEADERS, "Content-Type": "application/x-www-form-urlencoded"}
    answer = send(guard, WORKSPACES, b"Action=DescribeWorkspaces", headers=form)
    assert "content type" in refused(answer, "ValidationException")
    assert upstream.calls() == []


def test_the_path_names_the_hosts_own_service(guard, upstream):
    for path in (
        path_of(INSTANCES),
        "/service/workspacesservice/operation/TerminateWorkspaces",
        path_of(WORKSPACES, "TerminateEverything"),
    ):
        # It reads well and isn't known: final, so that no SDK retries.
        assert "has no operation" in refused(
            send(guard, WORKSPACES, item(ONE), path=path), "AccessDeniedException"
        )
    for path in ("/v1" + path_of(WORKSPACES), path_of(WORKSPACES) + "/", "/"):
        assert "the path is" in refused(send(guard, WORKSPACES, item(ONE), path=path), "ValidationException")
    assert upstream.calls() == []


def test_the_path_alone_is_not_enough(guard, upstream):
    """Without `smithy-protocol` AWS may take the request for another protocol's."""
    headers = {name: value for name, value in HEADERS.items() if name != "Smithy-Protocol"}
    answer = send(guard, WORKSPACES, item(ONE), headers=headers)
    assert "`smithy-protocol`" in refused(answer, "ValidationException")
    other = {**HEADERS, "Smithy-Protocol": "rpc-v2-json"}
    answer = send(guard, WORKSPACES, item(ONE), headers=other)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert b"rpcv2Json" in answer.body
    assert upstream.calls() == []


def test_a_service_that_speaks_no_cbor_is_not_spoken_to_in_it(guard, upstream):
    answer = raw.call(
        guard,
        "evs.us-east-1.amazonaws.com",
        "POST",
        "/service/AmazonElasticVMwareService/operation/DeleteEnvironment",
        HEADERS,
        b"\xa0",
        service="evs",
    )
    assert "speaks no rpcv2Cbor" in refused(answer, "ValidationException")
    assert upstream.calls() == []


def test_a_body_that_is_too_large_is_refused(guard, upstream):
    answer = send(guard, WORKSPACES, item({LIST: []}) + bytes(2 << 20))
    assert 400 <= answer.status < 500 and answer.status != 429
    assert upstream.calls() == []


def test_a_key_that_isnt_known_is_told_so_in_cbor(guard, upstream):
    key = type(guard.key("ci"))("nobody", "PALISADEUNKNOWNKEY01", "secret")
    answer = raw.call(
        guard, WORKSPACES.host, "POST", path_of(WORKSPACES), HEADERS, item(ONE), service="workspaces", key=key
    )
    refused(answer, "UnrecognizedClientException")
    assert upstream.calls() == []
