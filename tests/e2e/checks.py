"""What many tests assert of an answer."""

import re

import pytest
from botocore.exceptions import ClientError

from upstream import CREDENTIALS

# How the AWS CLI (v1) ends when AWS answered an error.
CLIENT_ERROR = 255
UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def decision_id_in(text):
    found = re.search(UUID7, text)
    assert found, f"no decision id in {text!r}"
    return found[0]


def reasons(policies):
    """The `@reason` of each policy by `@id`, of Cedar text."""
    pairs = re.findall(r'@id\("([^"]+)"\)\s*@reason\("((?:[^"\\]|\\.)*)"\)', policies)
    return {ident: reason.replace('\\"', '"') for ident, reason in pairs}


def error_of(call):
    """The ClientError that `call` raises."""
    with pytest.raises(ClientError) as raised:
        call()
    return raised.value


def denied(guard, upstream, client, call, *, policy=None, reason=None, code="AccessDeniedException"):
    """`call` raises AWS's own denial at the first attempt, nothing destructive was sent, and it is on record.

    Returns the record.
    """
    before = client.attempts
    error = error_of(call)
    assert error.response["Error"]["Code"] == code, error
    modelled = getattr(client.exceptions, code, None) if _has_exception(client, code) else None
    if modelled:
        assert isinstance(error, modelled)
    metadata = error.response["ResponseMetadata"]
    assert metadata["RetryAttempts"] == 0
    assert client.attempts == before + 1
    assert upstream.destructive() == []
    message = error.response["Error"]["Message"]
    if reason:
        assert reason in message
    if policy:
        assert policy in message
    decision = decision_id_in(message)
    assert metadata["RequestId"] == decision
    record = guard.decision(decision)
    assert len(guard.records(decision)) == 1
    assert record["verdict"] == "refused"
    if policy:
        assert policy in record["policies"]
    return record


def _has_exception(client, code):
    return code in {shape.name for shape in client.meta.service_model.error_shapes}


def allowed(guard, upstream, api):
    """Exactly one destructive call reached AWS, signed by the guard; returns it and its decision id."""
    [seen] = upstream.destructive()
    assert seen.action == str(api)
    assert seen.signature_problem is None
    assert seen.access_key == CREDENTIALS.access_key
    for key in guard.issued:
        assert key.access_key_id not in repr(seen.headers) + seen.body.decode()
    found = re.search(rf"(?:^| )palisade/({UUID7})$", seen.user_agent)
    assert found, seen.user_agent
    return seen, found[1]
