"""deploy/container: the image, built from the binary under test and run as a cluster would run it."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

import kubelet
import kustomize
from cloud import ACCOUNT, REGION
from guard import BINARY, REPOSITORY, Guard, clean_environment, eventually

FOLDER = REPOSITORY / "deploy/container"
USER = 65532
# What a sandbox without a resource control of its own lets a container have.
CONFINED = ["--network=host", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096"]


# The exit codes of podman where it, or its runtime, can't start anything at all.
RUNTIME_FAILS = {125, 126}


def final_stage(name):
    """The lines that make the image itself, whatever folder its files come from."""
    lines = (FOLDER / name).read_text().partition("FROM scratch\n")[2].splitlines()
    return [line.replace("--from=builder ", "").replace(" /image/", " ") for line in lines]


def test_both_recipes_make_the_same_image():
    one, other = (final_stage(name) for name in ("Containerfile", "Containerfile.prebuilt"))
    assert one == other and len(one) > 5


def test_the_builder_is_pinned_to_the_release_of_rust_that_is_asked_for():
    asked = re.search(r'^rust-version = "(.+)"$', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert f"ARG BUILDER=docker.io/library/rust:{asked}-bookworm\n" in (FOLDER / "Containerfile").read_text()


@pytest.fixture(scope="module")
def tree():
    """The image's files."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "image"
        done = subprocess.run([FOLDER / "rootfs", BINARY, made], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        yield made


def test_the_tree_holds_the_guard_and_what_it_needs_and_no_more(tree):
    files = {str(path.relative_to(tree / "root")) for path in (tree / "root").rglob("*") if not path.is_dir()}
    libraries = {name for name in files if name.startswith(("lib", "usr/lib"))}
    assert files - libraries == {
        "usr/local/bin/palisade",
        "etc/palisade/palisade.toml",
        "etc/ssl/certs/ca-certificates.crt",
        "etc/nsswitch.conf",
        "etc/passwd",
        "etc/group",
    }
    assert all(re.search(r"/(?:ld-|lib(?:c|m|gcc_s)\.so)", name) for name in libraries), libraries
    for path in (tree / "root").rglob("*"):
        mode = path.lstat().st_mode
        assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH | stat.S_IWGRP), path
    assert (tree / "own/palisade").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change a process's root folder")
def test_the_binary_runs_with_nothing_but_the_tree(tree):
    chroot = shutil.which("chroot") or "/usr/sbin/chroot"
    done = subprocess.run(
        [chroot, f"--userspec={USER}:{USER}", tree / "root", "/usr/local/bin/palisade", "policy", "check"],
        env={},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "the embedded starter set is valid" in done.stdout


# --- with podman


class Podman:
    """podman with storage of its own, and the first of its runtimes that works here."""

    def __init__(self, folder):
        places = {"root": "root", "runroot": "run", "tmpdir": "tmp"}
        self._base = ["podman", "--storage-driver=vfs", *(f"--{option}={folder}/{at}" for option, at in places.items())]
        self._environment = clean_environment(folder)
        self.runtime = []

    def command(self, *arguments):
        return [*self._base, *self.runtime, *map(str, arguments)]

    def __call__(self, *arguments, timeout=120):
        return subprocess.run(
            self.command(*arguments), env=self._environment, capture_output=True, text=True, timeout=timeout
        )

    def start(self, *arguments):
        return subprocess.Popen(self.command(*arguments), env=self._environment)


@pytest.fixture(scope="module")
def podman(tree):
    """podman, with the image built as `palisade`; a skip that says why where there is none that works."""
    if not shutil.which("podman"):
        pytest.skip("podman isn't installed: the container image is neither built nor run")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        podman = Podman(folder)
        try:
            # What fails here already is the surroundings' fault; what fails afterwards is the recipe's.
            probe = Path(folder) / "Containerfile"
            probe.write_text(f"FROM scratch\nCOPY --chown={USER}:{USER} own/ /\n")
            tried = podman("build", "--isolation=chroot", "--quiet", "-f", probe, tree)
            if tried.returncode != 0:
                pytest.skip(f"podman can't build images here: {tried.stderr.strip()[-200:]}")
            recipe = FOLDER / "Containerfile.prebuilt"
            built = podman("build", "--isolation=chroot", "--quiet", "-f", recipe, "-t", "palisade", tree)
            assert built.returncode == 0, built.stderr
            said = []
            for runtime in ("crun", "runc"):
                podman.runtime = [f"--runtime={runtime}"]
                tried = podman("run", "--rm", *CONFINED, "palisade", "--version")
                if tried.returncode == 0:
                    break
                assert tried.returncode in RUNTIME_FAILS, tried.stderr
                said.append(tried.stderr.strip()[-200:])
            else:
                pytest.skip(f"podman can't run containers here: {'; '.join(said)}")
            yield podman
        finally:
            # An image's files are other users' too: podman itself takes them away.
            podman("rmi", "--all", "--force")


HARDENED = [*CONFINED, "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"]


def test_the_image_runs_as_nobody_and_has_no_shell(podman):
    [image] = json.loads(podman("image", "inspect", "palisade").stdout)
    config = image["Config"]
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == ["/usr/local/bin/palisade"] and config["Cmd"] == ["serve"]
    shell = podman("run", "--rm", *HARDENED, "--entrypoint=/bin/sh", "palisade", "-c", "true")
    assert shell.returncode == 127, shell.stderr


def test_the_image_serves_on_a_read_only_root_and_stops_in_order(podman):
    name, ports = "palisade-serves", [free_port(), free_port()]
    addresses = [f"--env=PALISADE_{key}=127.0.0.1:{port}" for key, port in zip(("LISTEN", "ADMIN"), ports, strict=True)]
    running = podman.start("run", "--rm", f"--name={name}", *HARDENED, *addresses, "palisade")
    try:
        assert "ok" in wait_ready(running, ports[1])
        listed = podman("exec", name, "palisade", "keys", "list")
        assert listed.returncode == 0, listed.stderr
        assert podman("kill", "--signal=TERM", name).returncode == 0
        assert running.wait(30) == 0
    finally:
        end(running, podman, name)


def test_a_pod_of_the_fleet_runs_in_the_image(podman, upstream):
    """The overlay's own files at their own paths, as the kubelet lays them out, and the pod's own restrictions."""
    objects = kustomize.render(REPOSITORY / "deploy/kubernetes/fleet")
    [stateful] = [one for one in objects if one["kind"] == "StatefulSet"]
    for role in ("work", "guarded"):
        upstream.sts.trust(f"arn:aws:iam::{ACCOUNT}:role/palisade/{role}")
    with tempfile.TemporaryDirectory() as folder:
        issuer = Guard(Path(folder) / "issuer", callers={"ci": ["deployers"]})
        key, ca = issuer.key("ci"), issuer.ca
        secrets = kubelet.secrets(issuer.state)
        mounted = kubelet.mount(f"{folder}/pod", stateful, objects, secrets)
        pod = stateful["spec"]["template"]["spec"]
        security = pod["securityContext"]
        name, ports = "palisade-pod", [free_port(), free_port()]
        [state] = [path for path in mounted if path.startswith("/var/")]
        running = podman.start(
            "run",
            "--rm",
            f"--name={name}",
            *HARDENED,
            f"--user={security['runAsUser']}:{security['runAsGroup']}",
            f"--group-add={security['fsGroup']}",
            *(f"--volume={at}:{path}:{'rw' if path == state else 'ro'}" for path, at in mounted.items()),
            f"--volume={upstream.ca}:/upstream-ca.pem:ro",
            f"--env=PALISADE_LISTEN=127.0.0.1:{ports[0]}",
            f"--env=PALISADE_ADMIN=127.0.0.1:{ports[1]}",
            f"--env=PALISADE_UPSTREAM_DANGEROUS_OVERRIDE={upstream.url}",
            "--env=PALISADE_UPSTREAM_CA_FILE=/upstream-ca.pem",
            *(f"--env={n}={v}" for n, v in issuer.environment.items() if n.startswith("AWS_")),
            "palisade",
            *pod["containers"][0]["args"],
        )
        try:
            assert wait_ready(running, ports[1]) == "ok\n"
            client = boto3.client(
                "workspaces",
                REGION,
                aws_access_key_id=key.access_key_id,
                aws_secret_access_key=key.secret_access_key,
                verify=str(ca),
                config=Config(proxies={"https": f"http://127.0.0.1:{ports[0]}"}, retries={"mode": "standard"}),
            )
            assert client.describe_workspaces()["ResponseMetadata"]["HTTPStatusCode"] == 200
            with pytest.raises(client.exceptions.ClientError, match="protected"):
                client.terminate_workspaces(TerminateWorkspaceRequests=[{"WorkspaceId": "ws-prod00001"}])
            assert upstream.calls("TerminateWorkspaces") == []
            assert list((mounted[state] / "state/journal").glob("*.jsonl"))
        finally:
            end(running, podman, name)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_ready(running, port):
    """What `/readyz` says, once something answers there."""

    def asked():
        assert running.poll() is None, f"the container ended: {running.returncode}"
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as one:
                one.sendall(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")
                answer = b""
                while more := one.recv(4096):
                    answer += more
        except OSError:
            return None
        head, _, body = answer.decode().partition("\r\n\r\n")
        return body if head.startswith("HTTP/1.1 200") else None

    return eventually(asked, "/readyz", 30)


def end(running, podman, name):
    if running.poll() is None:
        podman("kill", "--signal=KILL", name)
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
            running.wait()
