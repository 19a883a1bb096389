"""The journal and what stands in it, told apart from what must never."""

import json
import resource
import shutil

import pytest

from apis import WORKSPACES
from checks import allowed, decision_id_in, error_of
from upstream import CREDENTIALS


def test_a_record_says_who_did_what_to_which_and_why(guard, upstream, cloud):
    [ident] = WORKSPACES.make(cloud, tags={"environment": "prod", "owner": "finance"})
    client = guard.client("workspaces")
    decision = decision_id_in(str(error_of(lambda: WORKSPACES.destroy(client, [ident]))))
    guard.decision(decision)
    [record] = [r for r in guard.journal() if r["unmapped"]["palisade"].get("decision_id") == decision]
    assert record["class_uid"] == 6003
    assert set(record["metadata"]["profiles"]) == {"cloud", "security_control"}
    assert record["api"]["operation"] == "TerminateWorkspaces"
    assert record["api"]["service"]["name"] == "workspaces"
    assert record["actor"]["user"]["name"] == "ci"
    assert record["cloud"]["region"] == "us-east-1"
    assert record["src_endpoint"]["ip"] == "127.0.0.1"
    assert [r["uid"] for r in record["resources"]] == [ident]
    own = record["unmapped"]["palisade"]
    assert own["class"] == "destroy"
    assert own["verdict"] == "refused"
    assert own["policies"] == ["production"]
    assert own["groups"] == ["deployers"]
    assert own["mode"] == "enforce"
    assert own["batch_size"] == 1
    assert own["input"] == WORKSPACES.params([ident])
    assert "finance" in json.dumps(own["facts"])
    assert own["resources"] == [{"id": ident, "verdict": "refused", "policies": ["production"]}]
    assert own["ruleset_hash"]
    assert own["upstream_override"].startswith("https://localhost:")


def test_the_chain_is_checked(new_guard, upstream, cloud, tmp_path):
    """Verify passes on what was written, and names the record after a change, a loss or an exchange."""
    guard = new_guard()
    with guard:
        client = guard.client("workspaces")
        for _ in range(3):
            WORKSPACES.destroy(client, WORKSPACES.make(cloud))
    assert guard.run("journal", "verify").returncode == 0
    [segment] = sorted((guard.state / "journal").glob("*.jsonl"))
    lines = segment.read_bytes().splitlines(keepends=True)
    assert len(lines) >= 7
    keep = tmp_path / "kept"
    shutil.copy(segment, keep)
    at = next(n for n, line in enumerate(lines) if b'"allowed"' in line)
    damages = {
        "changed": lines[:at] + [lines[at].replace(b'"allowed"', b'"refused"')] + lines[at + 1 :],
        "lost": lines[:2] + lines[3:],
        "exchanged": lines[:2] + [lines[3], lines[2]] + lines[4:],
    }
    for name, damaged in damages.items():
        assert damaged != lines, name
        segment.write_bytes(b"".join(damaged))
        done = guard.run("journal", "verify")
        assert done.returncode != 0, name
        assert done.stdout + done.stderr, name
    shutil.copy(keep, segment)
    assert guard.run("journal", "verify").returncode == 0


def test_a_second_guard_on_the_same_folder_is_refused(guard, upstream):
    done = guard.run("serve")
    assert done.returncode != 0
    assert str(guard.state) in done.stderr or "state_dir" in done.stderr


def test_start_and_stop_are_records(new_guard, upstream):
    guard = new_guard()
    with guard:
        guard.issue("ci")
        guard.client("workspaces").describe_workspaces()
    events = [own.get("event") for own in guard.records(phase="lifecycle")]
    assert events[0] == "start"
    assert events[-1] == "stop"
    assert "key_issued" in events
    assert "key_first_used" in events


def test_sequences_have_no_gap(guard, upstream):
    numbers = [record["metadata"]["sequence"] for record in guard.journal()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_what_cannot_be_journaled_is_not_sent(new_guard, upstream, cloud):
    """The disk is full: nothing guarded goes on, and readiness says so."""
    guard = new_guard()
    guard.restore_signals = False  # SIGXFSZ stays ignored: a write that doesn't fit is an error, as ENOSPC is
    with guard:
        client = guard.client("workspaces", retries={"total_max_attempts": 1})
        WORKSPACES.destroy(client, WORKSPACES.make(cloud))
        upstream.reset()
        limit_file_size(guard.process.pid)
        things = WORKSPACES.make(cloud)
        error = error_of(lambda: WORKSPACES.destroy(client, things))
        assert error.response["Error"]["Code"] == "AccessDeniedException"
        assert upstream.destructive() == []
        assert WORKSPACES.alive(cloud, things) == things
        assert guard.get("/readyz")[0] == 503
        guard.kill()


def limit_file_size(pid):
    """From here on the process can't make any file longer: as good as a full disk, without filling one."""
    if not hasattr(resource, "prlimit"):
        pytest.skip("needs prlimit")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))


@pytest.mark.last
def test_the_whole_runs_journal_verifies(guard):
    done = guard.run("journal", "verify")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.last
def test_no_secret_is_anywhere(guard, upstream):
    """The guard's credentials and the callers' secrets: not in state, logs, metrics, nor what clients saw."""
    secrets = [CREDENTIALS.secret_key, CREDENTIALS.token, *(key.secret_access_key for key in guard.issued)]
    assert len(secrets) >= 3
    assert guard.shown
    texts = {"metrics": guard.get("/metrics")[1], "log": guard.log.read_text(errors="replace")}
    texts |= {f"client {n}": text for n, text in enumerate(guard.shown)}
    for path in guard.state.rglob("*"):
        if path.is_file():
            texts[str(path)] = path.read_bytes().decode("latin-1")
    for place, text in texts.items():
        for secret in secrets:
            assert secret not in text, place


@pytest.mark.last
def test_every_allowed_decision_has_its_outcome(guard):
    outcomes = {own["decision_id"] for own in guard.records(phase="outcome")}
    for own in guard.records(phase="decision"):
        if own["verdict"] == "allowed" and "outcome" not in own:
            assert own["decision_id"] in outcomes, own
        elif own["verdict"] == "refused":
            assert own["decision_id"] not in outcomes


@pytest.mark.last
def test_one_log_line_a_decision(guard):
    log = guard.log.read_text()
    logged = [line for line in map(as_json, log.splitlines()) if line]
    assert logged, "JSON where it isn't a terminal"
    for own in guard.records(phase="decision")[-50:]:
        assert sum(own["decision_id"] in line for line in log.splitlines()) >= 1


def as_json(line):
    try:
        return json.loads(line)
    except ValueError:
        return None


def test_an_allowed_call_leaves_facts_and_context(guard, upstream, cloud):
    [ident] = WORKSPACES.make(cloud, tags={"owner": "finance"})
    WORKSPACES.destroy(guard.client("workspaces"), [ident])
    _, decision = allowed(guard, upstream, WORKSPACES)
    record = guard.decision(decision)
    assert "finance" in json.dumps(record["facts"])
    assert record["context"]["batchSize"] == 1
