"""What the configuration names is read anew while the guard runs: as a whole, or not at all."""

import signal

import pytest

from apis import WORKSPACES
from checks import error_of
from guard import eventually
from tls import make_server_files

PERMIT = '@id("base") permit (principal, action, resource);\n'


def forbid(ident, reason="as the test wants it", scope='action in Action::"destroy"'):
    return f'@id("{ident}") @reason("{reason}") forbid (principal, {scope}, resource);\n'


def reloads(guard, outcome):
    return guard.metrics()["palisade_policy_reloads_total", ("outcome", outcome)]


def wait_for(guard, outcome, count):
    eventually(lambda: reloads(guard, outcome) >= count, f"{count} reloads {outcome}")


def hang_up(guard):
    guard.process.send_signal(signal.SIGHUP)


def hash_in_force(guard):
    [found] = [dict(key[1:])["hash"] for key in guard.metrics() if key[0] == "palisade_ruleset_info"]
    return found


def lifecycle(guard, event):
    return [own for own in guard.records(phase="lifecycle") if own.get("event") == event]


@pytest.fixture
def guard(new_guard):
    return new_guard(policies={"all.cedar": PERMIT}).start()


def terminate(client, ids=("ws-00000001",)):
    return client.terminate_workspaces(TerminateWorkspaceRequests=[{"WorkspaceId": one} for one in ids])


def test_a_hang_up_puts_changed_policies_in_force(guard, cloud):
    things = WORKSPACES.make(cloud, 2)
    client = guard.client("workspaces")
    WORKSPACES.destroy(client, things[:1])
    before = hash_in_force(guard)
    guard.write_policies({"more.cedar": forbid("frozen", "nothing is deleted today")})
    hang_up(guard)
    wait_for(guard, "applied", 1)
    # The same client, over the connection that it has kept.
    error = error_of(lambda: WORKSPACES.destroy(client, things[1:]))
    assert "nothing is deleted today (policy `frozen`)" in error.response["Error"]["Message"]
    [record] = lifecycle(guard, "reload")
    assert record["detail"] == {"old": before, "new": hash_in_force(guard)}
    assert before != hash_in_force(guard)
    judged = [own["ruleset_hash"] for own in guard.records(phase="decision") if own["class"] == "destroy"]
    assert judged == [before, hash_in_force(guard)]


def test_a_changed_file_is_read_without_being_told(guard, cloud):
    things = WORKSPACES.make(cloud)
    client = guard.client("workspaces")
    guard.write_policies({"more.cedar": forbid("frozen")})
    wait_for(guard, "applied", 1)
    assert "`frozen`" in error_of(lambda: WORKSPACES.destroy(client, things)).response["Error"]["Message"]
    (guard.folder / "policies" / "more.cedar").unlink()
    wait_for(guard, "applied", 2)
    WORKSPACES.destroy(client, things)


def test_the_protected_list_is_read_anew(new_guard, cloud):
    guard = new_guard(protected="[workspaces]\nids = []\n").start()
    things = WORKSPACES.make(cloud)
    (guard.folder / "protected.toml").write_text('[workspaces]\nids = ["ws-*"]\n')
    hang_up(guard)
    wait_for(guard, "applied", 1)
    assert "protected" in error_of(lambda: WORKSPACES.destroy(guard.client("workspaces"), things)).response["Error"]["Message"]
    assert WORKSPACES.alive(cloud, things)


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda guard: guard.write_policies({"more.cedar": "forbid (principal"}), ["more.cedar"]),
        (lambda guard: (guard.folder / "protected.toml").write_text("[workspaces]\nids = 1\n"), ["protected.toml"]),
        (lambda guard: guard.config.write_text(guard.config.read_text() + "\n[limits]\nbody_byte_max = 1\n"), ["body_byte_max"]),
        (lambda guard: guard.config.unlink(), ["palisade.toml"]),
        (lambda guard: [path.unlink() for path in (guard.folder / "policies").iterdir()], ["holds no policy file"]),
        (
            lambda guard: guard.config.write_text(guard.config.read_text().replace('listen = "127.0.0.1:0"', 'listen = "127.0.0.1:1"')),
            ["`listen` can't change while the guard runs"],
        ),
    ],
    ids=["policy", "protected list", "setting", "no configuration", "no policy", "listener"],
)
def test_a_bad_set_keeps_the_last_good_one_and_says_so(guard, cloud, spoil, words):
    client = guard.client("workspaces")
    before = hash_in_force(guard)
    kept = guard.config.read_text(), (guard.folder / "protected.toml").read_text()
    spoil(guard)
    hang_up(guard)
    wait_for(guard, "refused", 1)
    assert reloads(guard, "applied") == 0
    assert hash_in_force(guard) == before
    things = WORKSPACES.make(cloud)
    WORKSPACES.destroy(client, things)
    status, text = guard.get("/readyz")
    assert status == 200
    assert before in text
    record = eventually(lambda: lifecycle(guard, "reload_refused"), "the record")[0]
    assert record["ruleset_hash"] == before
    for word in words:
        assert word in text
        assert word in record["detail"]["error"]
    # Mended, nothing is said any more.
    guard.config.write_text(kept[0])
    (guard.folder / "protected.toml").write_text(kept[1])
    guard.write_policies({"all.cedar": PERMIT, "more.cedar": forbid("frozen")})
    hang_up(guard)
    wait_for(guard, "applied", 1)
    assert guard.get("/readyz") == (200, "ok\n")
    assert hash_in_force(guard) != before


def test_callers_come_and_go(guard, cloud):
    root = guard.client("workspaces", "root")
    ci = guard.client("workspaces", "ci")
    root.describe_workspaces()
    guard.config.write_text(guard.config.read_text().replace('name = "root"', 'name = "toor"').replace('["deployers"]', '["frozen"]'))
    guard.write_policies({"more.cedar": forbid("group").replace("(principal,", '(principal in Group::"frozen",')})
    hang_up(guard)
    wait_for(guard, "applied", 1)
    assert error_of(root.describe_workspaces).response["Error"]["Code"] == "UnrecognizedClientException"
    things = WORKSPACES.make(cloud)
    assert "`group`" in error_of(lambda: WORKSPACES.destroy(ci, things)).response["Error"]["Message"]
    WORKSPACES.destroy(guard.client("workspaces", "toor"), things)


def test_a_key_stays_revoked_after_a_reload(guard):
    key = guard.issue("ci")
    client = guard.client("workspaces", key=key)
    client.describe_workspaces()
    assert guard.run("keys", "revoke", key.access_key_id).returncode == 0
    hang_up(guard)
    wait_for(guard, "applied", 1)
    assert error_of(client.describe_workspaces).response["Error"]["Code"] == "UnrecognizedClientException"
    # The ledger's own follower still tells what became of it.
    eventually(lambda: lifecycle(guard, "key_issued"), "its issue")
    [_] = eventually(lambda: lifecycle(guard, "key_revoked"), "its end")


def test_other_certificates_are_trusted_from_then_on(new_guard, upstream, cloud, tmp_path):
    ca_file = tmp_path / "trusted.pem"
    right = upstream.ca.read_text()
    wrong = make_server_files(tmp_path / "stranger", "localhost").ca.read_text()
    ca_file.write_text(right)
    guard = new_guard(policies={"all.cedar": PERMIT}, ca_file=ca_file).start()
    client = guard.client("workspaces", retries={"total_max_attempts": 1})
    client.describe_workspaces()
    ca_file.write_text(wrong)
    wait_for(guard, "applied", 1)
    # Not over a connection of before either.
    assert "can't be reached" in error_of(client.describe_workspaces).response["Error"]["Message"]
    ca_file.write_text(right)
    wait_for(guard, "applied", 2)
    client.describe_workspaces()


def test_before_the_sandbox_one_change_is_one_reload(new_guard):
    guard = new_guard(upstream=None, ca_file=None, policies={"all.cedar": PERMIT})
    guard.arguments = ["--sandbox"]
    guard.start()
    hang_up(guard)
    wait_for(guard, "applied", 1)
    with pytest.raises(AssertionError, match="2 reloads"):
        eventually(lambda: reloads(guard, "applied") >= 2, "2 reloads", 3)
    guard.stop()
    assert list(guard.state.glob("sandbox-ca*")) == []
