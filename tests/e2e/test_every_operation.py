"""Every operation of the services that the catalog holds, with whole inputs that botocore's models describe.

Where policies allow all, whatever AWS's own SDK serialises arrives at AWS as the same call, signed anew: nothing is
lost, added or changed when the guard takes a guarded call apart and builds it again.
"""

import datetime
import json
import subprocess
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

import botocore.session
import pytest
from botocore.exceptions import ClientError

import cbor
import speak
from checks import denied
from guard import BINARY, Guard, clean_environment
from upstream import SERVICES

CLOSED = {"unprotect", "indirect", "credentials", "grant"}
EVERYTHING = '@id("all") permit (principal, action, resource);'
_session = botocore.session.get_session()
MODELS = {service: _session.get_service_model(service) for service in SERVICES}


def signed_operations():
    for service, model in MODELS.items():
        for name in model.operation_names:
            if model.operation_model(name).auth_type != "none":
                yield service, name


OPERATIONS = set(signed_operations())
# The guard answers it by itself, see test_sessions.py.
ANSWERED = {("sts", "AssumeRole")}
# Each service in the protocol that botocore prefers, and in CBOR where its model lists it.
SPOKEN = [(service, model.resolved_protocol) for service, model in MODELS.items()]
SPOKEN += [(service, speak.CBOR) for service in speak.CBOR_SERVICES]


def speaking(guard, service, protocol, **settings):
    if protocol == MODELS[service].resolved_protocol:
        return guard.client(service, **settings)
    return speak.client(guard, protocol, service, **settings)


def given_to(service, operation, *, whole):
    """An input of an operation: with every member, or with those that it requires."""
    shape = MODELS[service].operation_model(operation).input_shape
    if shape is None:
        return {}
    given = value(shape, whole=whole)
    # Some name one thing in two ways, of which AWS wants one.
    for name in [n for n in EITHER if {f"{n}Id", f"{n}Name"} <= set(shape.members)]:
        given[f"{name}Id"] = "id-0123456789012"
        given.pop(f"{name}Name", None)
    # Optional in the model, and without it the call names nothing.
    if operation == "DeleteWorkspaceBundle":
        given["BundleId"] = "wsb-0123456789"
    # The credentials act only in accounts that they reach.
    if "accountID" in given:
        given["accountID"] = "123456789012"
    return given


EITHER = ("ProvisionedProduct", "Product")


def value(shape, depth=0, *, whole=True, nth=0):
    """What the shape describes; `nth` tells the items of a list apart. The items of a list are always whole."""
    kind = shape.type_name
    if kind == "structure":
        names = shape.members if whole and depth < 6 else shape.required_members
        if getattr(shape, "is_tagged_union", False):
            names = list(shape.members)[:1]
        # An empty structure is nothing in a form: where it is required, it has members.
        names = names or (shape.members if depth else [])
        return {n: value(shape.members[n], depth + 1, whole=whole, nth=nth) for n in names}
    if kind == "list":
        least = shape.metadata.get("min") or 1
        count = min(max(least, 2 if whole else 1), shape.metadata.get("max") or 100)
        return [value(shape.member, depth + 1, nth=n) for n in range(count)]
    if kind == "map":
        return {value(shape.key, depth + 1, nth=n): value(shape.value, depth + 1, nth=n) for n in range(2)}
    if kind == "string":
        if shape.enum:
            return shape.enum[-1]
        length = max(shape.metadata.get("min") or 1, min(12, shape.metadata.get("max") or 12))
        return (f'{nth}/b ö✓%+&<"\\' * (length // 11 + 1))[:length]
    if kind in ("integer", "long"):
        return max(shape.metadata.get("min") or 0, min(7, shape.metadata.get("max") or 7))
    if kind in ("float", "double"):
        return 0.1
    if kind == "boolean":
        return True
    if kind == "timestamp":
        return datetime.datetime(2026, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
    assert kind == "blob", kind
    return b"\x00\xff bytes"


def content(protocol, body):
    """A body by what it means."""
    if not body:
        return None
    if protocol == speak.CBOR:
        return cbor.decode(body)
    if protocol == "query":
        text = body if isinstance(body, str) else body.decode()
        return sorted(parse_qsl(text, keep_blank_values=True))
    return json.loads(body)


def parts(url):
    url = urlsplit(url)
    return unquote(url.path), parse_qs(url.query, keep_blank_values=True)


@pytest.fixture(scope="module")
def open_guard(_upstream, tmp_path_factory):
    with Guard(
        tmp_path_factory.mktemp("everything"),
        upstream=_upstream.url,
        ca_file=_upstream.ca,
        policies={"all.cedar": EVERYTHING},
        protected=None,
    ) as guard:
        yield guard


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "least"])
@pytest.mark.parametrize("service, protocol", SPOKEN)
def test_what_the_sdk_says_is_what_aws_hears(open_guard, upstream, service, protocol, whole):
    model = MODELS[service]
    client = speaking(open_guard, service, protocol, retries={"total_max_attempts": 1}, parameter_validation=False)
    problems = []
    for name in model.operation_names:
        if (service, name) not in OPERATIONS - ANSWERED:
            continue
        upstream.reset()
        sent, error = [], None
        client.meta.events.register("before-send", lambda request, **_: sent.append(request), unique_id="keep")
        try:
            client._make_api_call(name, given_to(service, name, whole=whole))
        except ClientError as raised:
            error = raised
        finally:
            client.meta.events.unregister("before-send", unique_id="keep")
        heard = upstream.calls(f"{service}:{name}")
        if len(heard) != 1:
            problems.append(f"{name}: arrived {len(heard)} times, {error}")
            continue
        [request], [seen] = sent, heard
        if seen.signature_problem:
            problems.append(f"{name}: {seen.signature_problem}")
        if parts(request.url) != parts(seen.target):
            problems.append(f"{name}: {request.url} became {seen.target}")
        if content(protocol, request.body) != content(protocol, seen.body):
            problems.append(f"{name}: {request.body} became {seen.body}")
    assert not problems, "\n".join(problems)


def classes():
    """Every operation's class, as the catalog says."""
    found = {}
    for service in SERVICES:
        shown = subprocess.run(
            [BINARY, "catalog", "show", service, "--json"],
            env=clean_environment("/nonexistent"),
            capture_output=True,
            text=True,
            check=True,
        )
        for operation in json.loads(shown.stdout)["operations"]:
            name = operation["action"].split(":", 1)[1]
            found[service, name] = operation["class"]
    return found


@pytest.mark.parametrize("service, protocol", SPOKEN)
def test_a_closed_class_is_refused_to_all_but_admins(guard, upstream, service, protocol):
    """`unprotect`, `indirect`, `credentials` and `grant`: final, at the first attempt, and AWS hears of none."""
    client = speaking(guard, service, protocol, parameter_validation=False)
    code = "AccessDenied" if service == "sts" else "AccessDeniedException"
    for (owner, name), group in classes().items():
        if owner != service or group not in CLOSED or (service, name) not in OPERATIONS:
            continue
        given = given_to(service, name, whole=False)
        upstream.reset()
        record = denied(guard, upstream, client, lambda: client._make_api_call(name, given), code=code)
        assert record["class"] == group
        assert upstream.calls(f"{service}:{name}") == []
