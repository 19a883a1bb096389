"""A release goes on where others stopped, beside them, and leaves alone what only newer ones understand."""

import hashlib
import json
import shutil
from datetime import datetime, timezone

import pytest
from cryptography import x509

from apis import WORKSPACES
from checks import error_of
from guard import NotStarted, eventually
from old import FOLDERS, continued

NEWER = "9999.1.0"


def test_there_is_what_a_release_left_behind():
    assert [folder.name for folder in FOLDERS][:1] == ["state-0.1.0"]
    for folder in FOLDERS:
        assert (folder / "README.md").exists(), "say how it was made"


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    ca = x509.load_pem_x509_certificate((request.param / "ca.pem").read_bytes())
    if ca.not_valid_after_utc < datetime.now(timezone.utc):
        pytest.skip(f"the authority of {request.param.name} has expired, and no guard starts with such a one")
    return request.param


@pytest.fixture
def old(new_guard, _upstream, folder):
    """Today's guard on what a release left behind, not started yet."""
    return continued(new_guard, _upstream, folder)


def version_of(folder):
    return folder.name.removeprefix("state-")


def lines(state):
    segments = sorted((state / "journal").glob("*.jsonl"))
    return [line for segment in segments for line in segment.read_bytes().splitlines()]


# --- what an older release left behind


def test_configuration_and_policies_of_it_are_valid(old, folder):
    done = old.run("policy", "check", "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 0 and said["valid"], done.stdout
    assert "frozen-desks" in {policy["id"] for policy in said["policies"]}
    assert said["upgrade"]["against"]["palisade"] == version_of(folder)
    assert said["upgrade"]["against"]["file"] == str(old.state / "operations.json")


def test_every_record_of_it_is_read(old, folder):
    """More than one segment, two runs, calls, refusals, tunnels, sessions, keys and reloads among it."""
    kept = lines(folder / "state")
    assert len(list((folder / "state/journal").glob("*.jsonl"))) > 2
    shown = old.run("journal", "show", "--json").stdout.splitlines()
    assert [line.encode() for line in shown] == kept
    table = old.run("journal", "show", "-n", "1000").stdout
    assert len(table.splitlines()) == 1 + len(kept) and "not a record" not in table
    own = [json.loads(line)["unmapped"]["palisade"] for line in kept]
    assert {record["phase"] for record in own} == {"decision", "outcome", "tunnel", "lifecycle"}
    events = {"start", "stop", "reload", "reload_refused", "key_issued", "key_first_used", "key_revoked"}
    assert {record["event"] for record in own if "event" in record} >= events
    for action, verdict in [("workspaces:TerminateWorkspaces", "refused"), ("sts:AssumeRole", "allowed")]:
        assert action in old.run("journal", "show", "--action", action, "--verdict", verdict).stdout


def test_it_is_gone_on_with_in_one_chain(old, folder, upstream, cloud):
    kept = lines(folder / "state")
    [left] = {
        record["decision_id"]
        for record in map(_own, kept)
        if record["phase"] == "decision" and record["verdict"] == "allowed" and "outcome" not in record
    } - {record["decision_id"] for record in map(_own, kept) if record["phase"] == "outcome"}
    with old:
        things = WORKSPACES.make(cloud)
        WORKSPACES.destroy(old.client("workspaces"), things)
        assert not WORKSPACES.alive(cloud, things)
    assert lines(old.state)[: len(kept)] == kept
    assert old.outcome(left)["outcome"] == "unknown"
    assert [r["metadata"]["sequence"] for r in old.journal()] == list(range(1, len(lines(old.state)) + 1))
    done = old.run("journal", "verify")
    assert done.returncode == 0, done.stdout + done.stderr


def _own(line):
    return json.loads(line)["unmapped"]["palisade"]


def test_its_keys_and_its_authority_are_the_same(old, folder, upstream, cloud):
    assert old.run("ca").stdout == (folder / "ca.pem").read_text()
    with old:
        assert old.client("workspaces", "ci").describe_workspaces()
        error = error_of(lambda: old.client("workspaces", "former").describe_workspaces())
        assert error.response["Error"]["Code"] == "UnrecognizedClientException"
        frozen = WORKSPACES.make(cloud, tags={"team": "design"})
        error = error_of(lambda: WORKSPACES.destroy(old.client("workspaces", "root"), frozen))
        assert "`frozen-desks`" in error.response["Error"]["Message"]
    listed = json.loads(old.run("keys", "list", "--json").stdout)
    assert {key["access_key_id"] for key in listed} == {key.access_key_id for key in old.keys.values()}


def test_guards_share_its_keys_and_authority_and_keep_journals_of_their_own(new_guard, _upstream, upstream, folder):
    """One that goes on from the old journal, and one that is new beside it, behind the same address."""
    issuer = continued(new_guard, _upstream, folder, "issuer")
    shared = {"PALISADE_STATE_KEYS": issuer.state / "keys", "PALISADE_STATE_CA": issuer.state / "ca"}
    fleet = [continued(new_guard, _upstream, folder, name) for name in ("one", "two")]
    shutil.rmtree(fleet[1].state)
    for guard in fleet:
        guard.environment |= {name: str(path) for name, path in shared.items()}
        guard.start()
        # A client trusts the authority that it has always trusted.
        shutil.copy(folder / "ca.pem", guard.folder / "ca.pem")
        assert guard.client("workspaces", "ci").describe_workspaces()
    assert issuer.run("keys", "revoke", issuer.keys["ci"].access_key_id).returncode == 0
    for guard in fleet:
        client = guard.client("workspaces", "ci")
        eventually(lambda: _fails(client.describe_workspaces), "the revocation")
        assert guard.stop() == 0
        assert guard.run("journal", "verify").returncode == 0
    assert len(lines(fleet[0].state)) > len(lines(folder / "state")) > len(lines(fleet[1].state))


def _fails(call):
    try:
        call()
    except Exception:
        return True
    return False


# --- what a newer release left behind


def newer_record(state, **own):
    """Appends a record as a newer release would: its version, the chain, and words of its own."""
    segment = max((state / "journal").glob("*.jsonl"))
    last = segment.read_bytes().splitlines()[-1]
    record = json.loads(last)
    record["metadata"]["product"]["version"] = NEWER
    record["metadata"]["sequence"] += 1
    record["unmapped"]["palisade"] |= {"previous": hashlib.sha256(last).hexdigest(), **own}
    with segment.open("ab") as file:
        file.write(json.dumps(record).encode() + b"\n")


@pytest.fixture
def used(new_guard, upstream):
    """A guard of today that was used, and stopped."""
    guard = new_guard()
    with guard:
        guard.client("workspaces").describe_workspaces()
    return guard


def test_a_journal_in_which_a_newer_release_said_more_is_gone_on_with(used):
    newer_record(used.state, weather="fair")
    used.start()
    assert used.stop() == 0
    assert used.run("journal", "verify").returncode == 0
    assert '"weather"' in used.run("journal", "show", "--json").stdout


@pytest.mark.parametrize("own", [{"phase": "approval"}, {"phase": "decision", "verdict": "postponed"}])
def test_a_journal_that_only_a_newer_release_reads_is_left_alone(used, own):
    newer_record(used.state, **own)
    before = lines(used.state)
    with pytest.raises(NotStarted) as refused:
        used.start()
    assert f"is a record of palisade {NEWER}" in refused.value.output
    assert "`state_dir` of its own" in refused.value.output
    assert lines(used.state) == before
    for command in ("verify", "show"):
        done = used.run("journal", command)
        assert done.returncode == 1 and f"of palisade {NEWER}" in done.stdout + done.stderr, command


def test_a_state_folder_that_a_newer_release_laid_out_is_left_alone(used):
    marker = used.state / "format.json"
    assert json.loads(marker.read_text())["format"] == 1
    marker.write_text(json.dumps({"format": 2, "palisade": NEWER, "index": []}))
    with pytest.raises(NotStarted) as refused:
        used.start()
    assert f"by palisade {NEWER} in format 2" in refused.value.output
    assert f"use palisade {NEWER}" in refused.value.output
    for command in (["ca"], ["keys", "list"], ["keys", "new", "ci"]):
        done = used.run(*command)
        assert done.returncode != 0 and NEWER in done.stderr, command
    # Another release of the same format says so, and is followed by this one.
    marker.write_text(json.dumps({"format": 1, "palisade": NEWER, "index": []}))
    used.start()
    assert used.stop() == 0
    assert json.loads(marker.read_text())["palisade"] != NEWER


def test_a_start_that_fails_leaves_the_folder_to_the_release_that_ran_last(new_guard, upstream):
    guard = new_guard(policies={"all.cedar": '@id("all") permit (principal, action, resource);'})
    marker = guard.state / "format.json"
    guard.start()
    assert guard.stop() == 0
    this = marker.read_text()
    before = json.dumps({"format": 1, "palisade": "0.0.1"})
    marker.write_text(before)
    guard.write_policies({"all.cedar": "permit (principal, action, thing);"})
    with pytest.raises(NotStarted):
        guard.start()
    assert guard.run("keys", "list").returncode == 0
    assert guard.run("policy", "check").returncode == 1
    assert marker.read_text() == before
    guard.write_policies({"all.cedar": '@id("all") permit (principal, action, resource);'})
    guard.start()
    assert marker.read_text() == this


def test_a_ledger_that_only_a_newer_release_reads_stops_a_start_and_makes_a_guard_unready(used):
    ledger = used.state / "keys/ledger.jsonl"
    used.start()
    eventually(lambda: used.get("/readyz")[0] == 200, "readiness")
    kept = ledger.read_text()
    entry = {"event": "narrowed", "access_key_id": used.key("ci").access_key_id, "to": "read", "since": NEWER}
    ledger.write_text(kept + json.dumps(entry) + "\n")
    unready = eventually(lambda: used.get("/readyz")[1] if used.get("/readyz")[0] == 503 else "", "unreadiness")
    assert f"palisade {NEWER} or newer reads it" in unready
    assert used.stop() == 0
    with pytest.raises(NotStarted) as refused:
        used.start()
    assert f"palisade {NEWER} or newer reads it" in refused.value.output
    ledger.write_text(kept)
    used.start()
    eventually(lambda: used.get("/readyz")[0] == 200, "readiness")


# --- what an upgrade changes


def squeezed(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def edit(file, *pairs):
    """Makes a list of operations that of a guard that knew other ones."""
    text = file.read_text()
    for now, before in pairs:
        assert text.count(now) == 1, now
        text = text.replace(now, before)
    file.write_text(text)


def test_the_check_tells_what_an_upgrade_changes(used):
    same = used.run("policy", "check")
    assert same.returncode == 0 and "no operation changes against what palisade" in same.stdout
    edit(
        used.state / "operations.json",
        ('"TerminateWorkspaces":"destroy"', '"TerminateWorkspaces":"write"'),
        ('"StopWorkspaces":"', '"HaltWorkspaces":"'),
    )
    done = used.run("policy", "check")
    told = squeezed(done.stdout)
    assert done.returncode == 0, done.stderr
    assert "workspaces:TerminateWorkspaces write destroy guarded from now on" in told
    assert "workspaces:HaltWorkspaces interrupt - calls of it are refused" in told
    assert "workspaces:StopWorkspaces - interrupt new, and guarded" in told
    changes = json.loads(used.run("policy", "check", "--json").stdout)["upgrade"]["changes"]
    assert {change["operation"].removeprefix("workspaces:"): change["what"] for change in changes} == {
        "TerminateWorkspaces": "class",
        "HaltWorkspaces": "removed",
        "StopWorkspaces": "new",
    }
    # The next start serves by what there is now.
    used.start()
    used.stop()
    assert used.run("policy", "check").stdout == same.stdout


def test_the_check_tells_other_inputs_that_put_a_call_in_a_class(used):
    known = json.loads((used.state / "operations.json").read_text())["conditions"]
    assert known["dynamodb"]["TransactWriteItems"] == ["destroy, by TransactItems[].Delete"]
    edit(
        used.state / "operations.json",
        ('"destroy, by TransactItems[].Delete"', '"destroy, by TransactItems[].Update"'),
        ('"BatchWriteItem":["destroy, by RequestItems{}[].DeleteRequest"]', '"BatchWriteItem":[]'),
    )
    told = squeezed(used.run("policy", "check").stdout)
    assert (
        "dynamodb:TransactWriteItems destroy, by TransactItems[].Update destroy, by TransactItems[].Delete "
        "other calls of it are guarded, or of another class"
    ) in told
    assert any("dynamodb:BatchWriteItem - destroy, by RequestItems{}[].DeleteRequest more calls of it" in line for line in told)
    assert any("0 operations are of another class, 2 by other inputs, 0 are gone" in line for line in told)
    changes = json.loads(used.run("policy", "check", "--json").stdout)["upgrade"]["changes"]
    assert {change["what"] for change in changes} == {"conditions"}


def test_the_check_names_policies_that_an_operation_that_is_gone_spoils(new_guard, upstream):
    halt = 'action == Action::"workspaces:HaltWorkspaces"'
    names = f'@id("halted") @reason("Nobody halts.") forbid (principal, {halt}, resource);\n'
    base = '@id("base") permit (principal, action, resource);\n'
    guard = new_guard(policies={"all.cedar": base})
    with guard:
        pass
    edit(guard.state / "operations.json", ('"StopWorkspaces":"', '"HaltWorkspaces":"'))
    guard.write_policies({"all.cedar": base + names})
    done = guard.run("policy", "check")
    assert done.returncode == 1
    assert "the catalog has no action `workspaces:HaltWorkspaces`; did you mean" in done.stderr
    gone = "workspaces:HaltWorkspaces interrupt - calls of it are refused; no longer valid: `halted`"
    assert gone in squeezed(done.stdout)
    said = json.loads(guard.run("policy", "check", "--json").stdout)
    assert not said["valid"] and said["faults"][0]["policy"] == "halted"
    assert {change["operation"] for change in said["upgrade"]["changes"]} == {
        "workspaces:HaltWorkspaces",
        "workspaces:StopWorkspaces",
    }


def test_the_check_takes_what_another_guards_release_printed(new_guard, tmp_path):
    guard = new_guard()
    nothing = guard.run("policy", "check")
    assert nothing.returncode == 0 and "not compared with what a guard serves by" in nothing.stdout
    assert json.loads(guard.run("policy", "check", "--json").stdout)["upgrade"] is None
    classes = tmp_path / "classes.json"
    classes.write_text(guard.run("catalog", "show", "--classes").stdout)
    edit(classes, ('"TerminateWorkspaces":"destroy"', '"TerminateWorkspaces":"read"'))
    done = guard.run("policy", "check", "--against", str(classes))
    assert "workspaces:TerminateWorkspaces read destroy guarded from now on" in squeezed(done.stdout)
    for text, problem in [("{}", "is no list of operations"), ('{"format":2,"palisade":"9999.1.0"}', NEWER)]:
        classes.write_text(text)
        done = guard.run("policy", "check", "--against", str(classes))
        assert done.returncode == 2 and problem in done.stderr
    assert guard.run("policy", "check", "--against", str(tmp_path / "none")).returncode == 2
    # What a state folder holds is a note: one that can't be read is said, and spoils nothing.
    with guard:
        pass
    (guard.state / "operations.json").write_text("{}")
    done = guard.run("policy", "check")
    assert done.returncode == 0 and "warning: not compared" in done.stdout
