"""Makes `tests/data/state-VERSION` by the binary of that version: what a guard leaves behind that was used and killed.

    PALISADE_BIN=FILE tests/.venv/bin/python tests/e2e/make_state.py

Once for each release, before it is published; what is there is never made anew.
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import conftest  # noqa: F401  (nothing of the surroundings reaches the guard)
import raw
from apis import INSTANCES, WORKSPACES, wire
from checks import error_of
from guard import BINARY, REPOSITORY, Guard, eventually
from old import elsewhere
from tls import make_server_files
from upstream import Hang, Upstream

ROLE = "arn:aws:iam::210987654321:role/teams/deploy"
CONFIG = f"""\
# What a platform team wrote for this release.
mode = "enforce"
policies = "policies"
protected = "protected.toml"
services = "services"
state_dir = "state"

[identity]
foreign_keys = "refuse"

[[caller]]
name = "ci"
groups = ["deployers"]
credentials = "prod"
may_assume = ["{ROLE}"]

[[caller]]
name = "root"
groups = ["admins"]
credentials = "prod"

[[caller]]
name = "former"
groups = []
credentials = "prod"

[credentials.prod]
source = "default"
accounts = ["123456789012", "210987654321"]

[egress]
other_hosts = "refuse"
allow = ["localhost"]
private_addresses = "allow"
private_cidrs = ["10.0.0.0/8"]
vpc_endpoints = [{{ id = "vpce-0123456789abcdef0", service = "ec2" }}]

[upstream]
timeout = "6s"

[lookup]
timeout = "2s"
cache_ttl = "5s"

[batch]
partial = "refuse"

[journal]
fsync = true

[state]
store = "embedded"

[limits]
body_bytes_max = "1MiB"
body_buffer_max = "64MiB"
buffer_total_max = "512MiB"
connections_max = 1000
"""
SERVICES = '[operations.DescribeWorkspaceBundles]\nguarded = true\n'
TEAM = """\
@id("frozen-desks")
@reason("The desks of the design team stay as they are.")
forbid (principal, action in Action::"destroy", resource in Service::"workspaces")
when { resource.hasTag("team") && resource.getTag("team") == "design" };
"""


def main():
    said = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout
    version = said.removeprefix("palisade ").strip()
    folder = REPOSITORY / "tests/data" / f"state-{version}"
    if folder.exists():
        sys.exit(f"`{folder}` is there: what a release left behind is never made anew")
    with tempfile.TemporaryDirectory() as scratch:
        guard = use(Path(scratch))
        keep(guard, folder)
    print(f"{folder}: write its README.md, and commit it")


def use(scratch):
    upstream = Upstream(make_server_files(scratch / "upstream", "localhost"))
    guard = Guard(scratch / "guard", variables=elsewhere(upstream))
    guard.config.write_text(CONFIG)
    (guard.folder / "services").mkdir()
    (guard.folder / "services/workspaces.toml").write_text('service = "workspaces"\n' + SERVICES)
    policies = {path.name: path.read_text() for path in (REPOSITORY / "policies").glob("*.cedar")}
    guard.write_policies({**policies, "team.cedar": TEAM})
    cloud = upstream.cloud
    guard.start()
    for caller in ("ci", "root", "former"):
        guard.key(caller)

    # Which machine made it is nobody's business.
    def of(service, caller="ci"):
        return guard.client(service, caller, user_agent="Boto3")

    client = of("workspaces")
    client.describe_workspaces()
    WORKSPACES.destroy(client, WORKSPACES.make(cloud))
    error_of(lambda: WORKSPACES.destroy(client, WORKSPACES.make(cloud, tags={"team": "design"})))
    error_of(lambda: WORKSPACES.destroy(client, ["ws-prod0001"]))
    INSTANCES.destroy(of("workspaces-instances"), INSTANCES.make(cloud))
    of("workspaces", "former").describe_workspaces()
    assert guard.run("keys", "revoke", guard.key("former").access_key_id).returncode == 0
    upstream.sts.trust(ROLE)
    of("sts").assume_role(RoleArn=ROLE, RoleSessionName="tf")
    raw.connect(guard, f"localhost:{upstream.url.rsplit(':', 1)[1]}").close()

    reload(guard, {"more.cedar": '@id("more") permit (principal, action in Action::"read", resource);\n'}, "applied")
    reload(guard, {"more.cedar": "permit (principal"}, "refused")
    (guard.folder / "policies/more.cedar").unlink()
    guard.process.send_signal(signal.SIGHUP)
    guard.stop()

    # A second run that nobody stops in order: a call was sent, and nothing is known of what came of it.
    guard.start()
    WORKSPACES.destroy(of("workspaces"), WORKSPACES.make(cloud))
    things = WORKSPACES.make(cloud)
    method, path, headers, body = wire(WORKSPACES, WORKSPACES.params(things))
    headers = raw.signed(guard.key("ci"), method, WORKSPACES.host, path, headers, body, service="workspaces")
    upstream.reset()
    with upstream.fault("TerminateWorkspaces", Hang()):
        with raw.tls(guard, WORKSPACES.host) as sock:
            raw.send(sock, method, path, headers, body, host=WORKSPACES.host)
            upstream.wait_for("TerminateWorkspaces")
            guard.kill()
    upstream.close()
    return guard


def reload(guard, policies, outcome):
    key = "palisade_policy_reloads_total", ("outcome", outcome)
    count = guard.metrics()[key]
    guard.write_policies(policies)
    guard.process.send_signal(signal.SIGHUP)
    eventually(lambda: guard.metrics()[key] > count, f"a reload {outcome}")


def keep(guard, folder):
    for name in ("policies", "services", "state"):
        shutil.copytree(guard.folder / name, folder / name)
    for name in ("palisade.toml", "protected.toml"):
        shutil.copy(guard.folder / name, folder)
    keys = [{k: v for k, v in asdict(key).items() if v} for key in guard.keys.values()]
    (folder / "keys.json").write_text(json.dumps(keys, indent=1) + "\n")
    for path in [*folder.rglob("lock"), folder / "state/run.json"]:
        path.unlink(missing_ok=True)
    (folder / "ca.pem").write_bytes(guard.ca.read_bytes())
    split(folder / "state/journal")
    shorten(folder / "state/operations.json")


def split(journal, lines_max=12):
    """Segments as a guard begins them, only shorter: a file for some lines, named by the sequence of its first."""
    [whole] = journal.glob("*.jsonl")
    lines = whole.read_bytes().splitlines(keepends=True)
    whole.unlink()
    for at in range(0, len(lines), lines_max):
        (journal / f"{at + 1:020}.jsonl").write_bytes(b"".join(lines[at : at + lines_max]))


def shorten(operations):
    """The services of these policies alone: the rest is long, and in the catalog."""
    text = operations.read_text()
    kept = re.findall(r'^"(?:workspaces|workspaces-instances|sts)":\{[^}]*\}', text, re.MULTILINE)
    head = text[: text.index('"operations":{')]
    operations.write_text(head + '"operations":{\n' + ",\n".join(kept) + "\n}}\n")


if __name__ == "__main__":
    main()
