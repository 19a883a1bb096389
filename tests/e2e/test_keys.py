"""Virtual keys: issued, listed, revoked, all while the guard runs."""

import json
import shutil
import time

from checks import error_of
from guard import Key, eventually

ROLE = "arn:aws:iam::210987654321:role/teams/deploy"


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


# --- a ledger that can't be read any more

UNREAD_MAX = 8


def guards_with_ledgers(new_guard, tmp_path):
    """Guards of which each will lose its ledger in another way: key, file, and what makes it unreadable."""
    settings = {"state.keys_unread_max": f"{UNREAD_MAX}s"}

    def damage(file):
        with file.open("a") as ledger:
            ledger.write('{"event":"rev')

    for name, spoil in [("gone", lambda file: file.unlink()), ("damaged", damage)]:
        guard = new_guard(name, settings=settings, may_assume={"ci": [ROLE]})
        guard.start()
        yield guard, guard.issue("ci"), guard.state / "keys/ledger.jsonl", spoil
    issuer, shared = new_guard("issuer"), tmp_path / "shared"
    key = issuer.issue("ci")
    shared.mkdir(mode=0o700)
    for name in ("master.key", "ledger.jsonl"):
        shutil.copy(issuer.state / "keys" / name, shared)
    guard = new_guard("shares", settings={**settings, "state.keys": str(shared)}, may_assume={"ci": [ROLE]})
    guard.start()
    yield guard, key, shared / "ledger.jsonl", lambda file: shutil.rmtree(file.parent)


def refused_once(client):
    """Denied for good at the first attempt."""
    error = error_of(client.describe_workspaces)
    assert client.attempts == 1
    assert error.response["Error"]["Code"] == "AccessDeniedException"
    assert "none is taken until it can" in error.response["Error"]["Message"]


def test_no_key_is_taken_while_nobody_can_tell_what_is_revoked(new_guard, upstream, tmp_path):
    upstream.sts.trust(ROLE)
    lost = []
    for guard, key, ledger, spoil in guards_with_ledgers(new_guard, tmp_path):
        answer = guard.client("sts", key=key).assume_role(RoleArn=ROLE, RoleSessionName="tf")["Credentials"]
        session = Key("ci", answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])
        clients = [guard.client("workspaces", key=key) for key in (key, session)]
        eventually(lambda guard=guard: guard.get("/readyz")[0] == 200, "readiness")
        lost.append((guard, (key, session), clients, ledger, spoil))
    kept = {ledger: (ledger.read_bytes(), ledger.with_name("master.key").read_bytes()) for *_, ledger, _ in lost}
    for *_, ledger, spoil in lost:
        spoil(ledger)
    for guard, _, clients, *_ in lost:
        eventually(lambda guard=guard: guard.get("/readyz")[0] == 503, "unreadiness", 2)
        for client in clients:
            assert client.describe_workspaces(), "for a while it goes on with what it knew"
    for guard, keys, *_ in lost:

        def age(guard=guard):
            return guard.metrics()[("palisade_key_ledger_age_seconds",)]

        eventually(lambda age=age: age() > UNREAD_MAX, "a ledger that is too old", UNREAD_MAX + 5)
        seen = len(upstream.calls())
        for key in keys:
            refused_once(guard.client("workspaces", key=key))
        assert len(upstream.calls()) == seen
        assert guard.metrics()[("palisade_refusals_total", ("reason", "ledger_unread"))] >= 2
        reasons = guard.get("/readyz")[1]
        assert "keys: the key ledger can't be read" in reasons and "revocations: " in reasons
    for *_, ledger, _ in lost:
        ledger.parent.mkdir(mode=0o700, exist_ok=True)
        for name, contents in zip(("ledger.jsonl", "master.key"), kept[ledger]):
            file = ledger.with_name(name)
            file.touch(mode=0o600)
            file.write_bytes(contents)
    for guard, _, clients, *_ in lost:
        eventually(lambda guard=guard: guard.get("/readyz")[0] == 200, "readiness", 2)
        assert guard.metrics()[("palisade_key_ledger_age_seconds",)] <= 2
        for client in clients:
            assert client.describe_workspaces()
