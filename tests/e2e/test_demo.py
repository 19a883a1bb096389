"""`palisade demo` and `serve --sandbox`: the main job on a machine without AWS."""

import re
import subprocess

import pytest

from checks import error_of, reasons
from guard import BINARY, REPOSITORY, Guard, clean_environment

STARTER = "\n".join(path.read_text() for path in sorted((REPOSITORY / "policies").glob("*.cedar")))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    home = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [BINARY, "demo", "--once"],
        env=clean_environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return home, done


def test_the_demo_succeeds(demo):
    home, done = demo
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("policy", sorted(reasons(STARTER)))
def test_the_demo_shows_each_starter_policy(demo, policy):
    _, done = demo
    assert re.search(rf"\b{re.escape(policy)}\b", done.stdout), done.stdout


def test_the_demo_shows_what_is_allowed_too(demo):
    _, done = demo
    assert "allowed" in done.stdout
    assert "refused" in done.stdout


def test_the_demo_leaves_nothing_behind(demo):
    home, _ = demo
    assert [path for path in home.rglob("*") if path.is_file()] == []


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    """`serve --sandbox`, with a configuration that names callers and no credentials of AWS."""
    guard = Guard(tmp_path_factory.mktemp("sandbox"), protected='[workspaces]\nids = ["ws-prod*"]\n')
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        del guard.environment[name]
    guard.arguments = ["--sandbox"]
    with guard:
        yield guard


def test_the_sandbox_takes_real_clients(sandbox):
    client = sandbox.client("workspaces")
    client.terminate_workspaces(TerminateWorkspaceRequests=[{"WorkspaceId": "ws-plain0001"}])
    left = client.describe_workspaces(WorkspaceIds=["ws-plain0001"])["Workspaces"]
    assert left == [] or left[0]["State"] in ("TERMINATING", "TERMINATED")


def test_the_sandbox_has_something_to_refuse(sandbox):
    client = sandbox.client("workspaces")
    for ident in ("ws-guarded01", "ws-live00001", "ws-alwayson1", "ws-prod00001"):
        error = error_of(lambda: client.terminate_workspaces(TerminateWorkspaceRequests=[{"WorkspaceId": ident}]))
        assert error.response["Error"]["Code"] == "AccessDeniedException"
    billed = sandbox.client("workspaces-instances")
    error = error_of(lambda: billed.delete_workspace_instance(WorkspaceInstanceId="wsinst-monthly01"))
    assert "monthly-billing" in error.response["Error"]["Message"]


def test_the_sandbox_knows_who_it_is(sandbox):
    assert re.fullmatch(r"\d{12}", sandbox.client("sts").get_caller_identity()["Account"])
