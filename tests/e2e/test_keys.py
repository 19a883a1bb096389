"""Virtual keys: issued, listed, revoked, all while the guard runs."""

import json
import time

from checks import error_of


def test_a_new_key_works_at_once(guard, upstream):
    key = guard.issue("ci")
    assert key.access_key_id.startswith("PALISADE")
    assert guard.client("workspaces", key=key).describe_workspaces()


def test_a_revoked_key_stops_working_within_a_second(guard, upstream):
    key = guard.issue("ci")
    client = guard.client("workspaces", key=key)
    client.describe_workspaces()
    done = guard.run("keys", "revoke", key.access_key_id)
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        try:
            client.describe_workspaces()
        except client.exceptions.ClientError:
            break
    upstream.reset()
    error = error_of(client.describe_workspaces)
    assert error.response["Error"]["Code"] == "UnrecognizedClientException"
    assert upstream.calls() == []
    assert guard.client("workspaces").describe_workspaces(), "others go on"


def test_a_revoked_key_stays_revoked(new_guard, upstream):
    guard = new_guard()
    with guard:
        key = guard.issue("ci")
        other = guard.issue("ci")
        assert guard.run("keys", "revoke", key.access_key_id).returncode == 0
    with guard:
        error = error_of(guard.client("workspaces", key=key).describe_workspaces)
        assert error.response["Error"]["Code"] == "UnrecognizedClientException"
        assert guard.client("workspaces", key=other).describe_workspaces()


def test_keys_are_listed_without_their_secrets(guard, upstream):
    key = guard.key("ci")
    done = guard.run("keys", "list", "--json")
    assert done.returncode == 0, done.stderr
    assert key.access_key_id in done.stdout
    assert json.loads(done.stdout)
    for one in guard.issued:
        assert one.secret_access_key not in done.stdout


def test_no_key_for_a_caller_that_is_not_configured(guard, upstream):
    done = guard.run("keys", "new", "cy", "--json")
    assert done.returncode != 0
    assert "`cy`" in done.stderr
    assert done.stdout == ""


def test_revoking_what_does_not_exist_fails(guard, upstream):
    done = guard.run("keys", "revoke", "PALISADENOSUCHKEY001")
    assert done.returncode != 0
    assert "PALISADENOSUCHKEY001" in done.stderr


def test_a_key_of_a_caller_that_was_taken_out_stops_working(new_guard, upstream):
    guard = new_guard("one")
    with guard:
        key = guard.issue("root")
        guard.client("workspaces", key=key).describe_workspaces()
    without = guard.config.read_text().split('[[caller]]\nname = "root"')[0]
    guard.config.write_text(without)
    with guard:
        error = error_of(guard.client("workspaces", key=key).describe_workspaces)
        assert error.response["Error"]["Code"] == "UnrecognizedClientException"
