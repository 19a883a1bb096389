"""Under systemd: the unit's confinement, sockets that outlive a restart, and what the service manager is told."""

import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import raw
from apis import WORKSPACES, wire
from checks import error_of
from guard import BINARY, REPOSITORY, NotStarted, eventually
from http2 import Client
from tls import make_server_files
from upstream import CREDENTIALS, Delay

UNITS = REPOSITORY / "deploy/systemd"
# What systemd does before it runs the binary: the sockets are descriptors 3 and on, and the process is named.
HAND_OVER = """
import os, sys
descriptors = [os.dup(int(fd)) for fd in sys.argv[1].split(",")]
for number, descriptor in enumerate(descriptors, start=3):
    os.dup2(descriptor, number)
    os.set_inheritable(number, True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


def needs(tool):
    found = shutil.which(tool)
    if not found:
        pytest.skip(f"there is no {tool}: install the package systemd")
    return found


# --- the files


def test_the_unit_is_confined():
    done = subprocess.run(
        [needs("systemd-analyze"), "security", "--offline=true", "--no-pager", UNITS / "palisade.service"],
        capture_output=True,
        text=True,
    )
    levels = re.findall(r"Overall exposure level for palisade.service: ([0-9.]+)", done.stdout)
    assert levels and float(levels[0]) <= 1.5, done.stdout + done.stderr


def test_the_units_say_nothing_that_systemd_does_not_know(tmp_path):
    """But for the type that those before 253 don't know, and which stands behind one that they do."""
    analyze = needs("systemd-analyze")
    for unit in (UNITS / "palisade.service", UNITS / "palisade.socket"):
        text = unit.read_text().replace("/usr/bin/palisade", str(BINARY))
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        [analyze, "verify", "--man=no", *sorted(tmp_path.glob("palisade.*"))],
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )
    said = [line for line in done.stderr.splitlines() if "palisade" in line and "notify-reload" not in line]
    assert said == []


def test_the_sockets_are_where_the_configuration_listens_unless_told_otherwise():
    listens = re.findall(r"^ListenStream=(.+)$", (UNITS / "palisade.socket").read_text(), re.M)
    shown = (REPOSITORY / "config/palisade.toml").read_text()
    assert listens == [re.search(rf'^{key} = "(.+)"$', shown, re.M)[1] for key in ("listen", "admin")]


def test_the_user_and_the_folders_are_made(tmp_path):
    sysusers, tmpfiles = needs("systemd-sysusers"), needs("systemd-tmpfiles")
    if os.getuid() != 0:
        pytest.skip("only root can make users and folders of theirs")
    (tmp_path / "etc").mkdir()
    subprocess.run([sysusers, f"--root={tmp_path}", UNITS / "sysusers.d/palisade.conf"], check=True)
    [(ident, group)] = re.findall(r"^palisade:x:(\d+):(\d+):", (tmp_path / "etc/passwd").read_text(), re.M)
    subprocess.run(
        [tmpfiles, "--create", f"--root={tmp_path}", UNITS / "tmpfiles.d/palisade.conf"],
        check=True,
        capture_output=True,
    )
    state = (tmp_path / "var/lib/palisade").stat()
    assert (state.st_uid, state.st_gid, state.st_mode & 0o777) == (int(ident), int(group), 0o700)
    secrets = (tmp_path / "etc/palisade/credentials").stat()
    assert (secrets.st_uid, secrets.st_mode & 0o777) == (0, 0o700)


# --- sockets


@pytest.fixture
def sockets():
    """Listening sockets as systemd has them: of the proxy and of the admin port."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4096)) for _ in range(2)]


def on_sockets(guard, sockets, names=("proxy", "admin")):
    """The guard takes over what it is handed, in place of opening it."""
    numbers = [s.fileno() for s in sockets]
    guard.pass_fds = numbers
    guard.wrapper = [sys.executable, "-c", HAND_OVER, ",".join(map(str, numbers))]
    guard.environment |= {"LISTEN_FDS": str(len(numbers)), "LISTEN_FDNAMES": ":".join(names)}
    return guard


def address(sock):
    host, port = sock.getsockname()
    return f"{host}:{port}"


def settings_of(sockets):
    return dict(zip(("listen", "admin"), map(address, sockets)))


@pytest.mark.parametrize("names", [("proxy", "admin"), ("palisade.socket", "palisade.socket")], ids=" ".join)
def test_the_guard_listens_on_what_it_is_handed(new_guard, upstream, sockets, names):
    guard = on_sockets(new_guard(settings=settings_of(sockets)), sockets, names)
    with guard:
        assert {"listen": guard.listen, "admin": guard.admin} == settings_of(sockets)
        assert guard.get("/readyz")[0] == 200
        assert guard.client("workspaces").describe_workspaces()


def test_the_guard_is_started_by_its_first_client(new_guard, upstream, sockets):
    """By systemd's own tool, which listens first and starts it when somebody comes."""
    activate = needs("systemd-socket-activate")
    settings = settings_of(sockets)
    for each in sockets:
        each.close()
    guard = new_guard(settings=settings)
    key = guard.issue("ci")
    guard.wrapper = [
        activate,
        *(f"--listen={settings[key]}" for key in ("listen", "admin")),
        "--fdname=proxy:admin",
        *(f"--setenv={name}={value}" for name, value in guard.environment.items()),
    ]
    knock = threading.Thread(target=eventually, args=(lambda: knocked(settings["listen"]), "the socket"))
    knock.start()
    guard.start()
    knock.join()
    assert guard.listen == settings["listen"]
    assert guard.client("workspaces", key=key).describe_workspaces()
    assert guard.stop() == 0


def knocked(address):
    host, port = address.split(":")
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port))):
        return True


@pytest.mark.parametrize(
    "names, settings, said",
    [
        (("proxy", "admin"), {"listen": "127.0.0.2:0"}, ["listen", "127.0.0.2:0", "set both alike"]),
        (("proxy", "proxy"), {}, ["two sockets for `listen`"]),
        (("a", "b"), {"listen": "127.0.0.2:0", "admin": "127.0.0.3:0"}, ["`a`", "neither `listen` nor `admin`"]),
        (("proxy",), {}, ["LISTEN_FDNAMES"]),
    ],
    ids=["elsewhere", "twice", "unknown", "too few names"],
)
def test_what_is_handed_over_by_mistake_is_not_served(new_guard, sockets, names, settings, said):
    guard = on_sockets(new_guard(settings=settings), sockets, names)
    with pytest.raises(NotStarted) as refused:
        guard.start()
    assert refused.value.code not in (None, 0)
    for words in said:
        assert words in refused.value.output


def test_a_restart_refuses_nobody(new_guard, upstream, cloud, sockets):
    """Clients come all the time, each call on a new connection; a guarded call is on its way at each stop."""
    guard = on_sockets(new_guard(settings=settings_of(sockets)), sockets)
    guard.start()
    callers = Callers(guard)
    try:
        for _ in range(2):
            eventually(lambda before=callers.answered: callers.answered > before + 5, "calls")
            upstream.reset()
            old = guard.process
            method, path, headers, body = wire(WORKSPACES, WORKSPACES.params(WORKSPACES.make(cloud)))
            with upstream.fault("TerminateWorkspaces", Delay()) as held:
                signed = raw.signed(guard.key("ci"), method, WORKSPACES.host, path, headers, body, service="workspaces")
                with raw.tls(guard, WORKSPACES.host) as sock:
                    raw.send(sock, method, path, signed, body, host=WORKSPACES.host)
                    upstream.wait_for("TerminateWorkspaces")
                    old.send_signal(signal.SIGTERM)
                    # The next guard is there before this one is done, and waits for it.
                    starting = threading.Thread(target=guard.start)
                    starting.start()
                    eventually(lambda: guard.process is not old, "the next guard")
                    assert old.poll() is None
                    held.released.set()
                    assert raw.read_answer(sock).status == 200
            starting.join()
            assert old.wait(20) == 0
            before = callers.answered
            eventually(lambda before=before: callers.answered > before + 5, "calls of the next guard")
    finally:
        callers.stop()
    assert callers.failed == []
    assert guard.stop() == 0
    starts = [r for r in guard.records(phase="lifecycle") if r.get("event") == "start"]
    assert len(starts) == 3


class Callers:
    """Read on, each time on a new connection: two over HTTP/1.1, one over HTTP/2."""

    def __init__(self, guard):
        self.guard, self.answered, self.failed = guard, 0, []
        self.key, _ = guard.key("ci"), guard.ca
        self.done = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(how,)) for how in (self.one, self.one, self.two)]
        for thread in self.threads:
            thread.start()

    def run(self, call):
        while not self.done.is_set():
            try:
                status = call()
                assert status == 200, status
            except Exception as error:  # noqa: BLE001
                self.failed.append(repr(error))
            with self.lock:
                self.answered += 1

    def one(self):
        request = wire(WORKSPACES, {}, "DescribeWorkspaces")
        return raw.call(self.guard, WORKSPACES.host, *request, service="workspaces", key=self.key).status

    def two(self):
        request = wire(WORKSPACES, {}, "DescribeWorkspaces")
        with Client(self.guard, WORKSPACES.host) as client:
            return client.answer(client.send(*request, signed_by=self.key, service="workspaces")).status

    def stop(self):
        self.done.set()
        for thread in self.threads:
            thread.join()


# --- what the service manager is told


class Manager:
    """The socket that a service manager listens on: `said` is all it was told, each message as a dictionary."""

    def __init__(self, folder):
        self.path = folder / "notify"
        self.said = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        with contextlib.suppress(OSError):
            while True:
                lines = self.socket.recv(65536).decode().splitlines()
                self.said.append(dict(line.split("=", 1) for line in lines))

    def told(self, name, after=0):
        """The place of the first message after these that says so, once it was sent."""

        def found():
            return next((n for n, said in enumerate(self.said) if n >= after and name in said), None)

        eventually(lambda: found() is not None, f"{name} in {self.said}")
        return found()


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path)
    yield made
    made.socket.close()


def test_the_service_manager_is_told_what_the_guard_is_at(new_guard, upstream, manager):
    guard = new_guard(policies={"all.cedar": '@id("base") permit (principal, action, resource);\n'})
    guard.environment |= {"NOTIFY_SOCKET": str(manager.path)}
    guard.start()
    ready = manager.told("READY")
    assert guard.get("/readyz")[0] == 200
    assert manager.said[ready]["STATUS"] == f"guarding on {guard.listen} by 1 policies"

    guard.process.send_signal(signal.SIGHUP)
    reloading = manager.told("RELOADING", ready + 1)
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert 0 <= now - int(manager.said[reloading]["MONOTONIC_USEC"]) < 60_000_000
    again = manager.told("READY", reloading)
    assert "refused" not in manager.said[again]["STATUS"]

    guard.write_policies({"all.cedar": "forbid (\n"})
    guard.process.send_signal(signal.SIGHUP)
    reloading = manager.told("RELOADING", again + 1)
    again = manager.told("READY", reloading)
    assert "the last reload was refused" in manager.said[again]["STATUS"]

    assert guard.stop() == 0
    stopping = manager.told("STOPPING", again)
    assert "30 seconds" in manager.said[stopping]["STATUS"]
    assert not any("READY" in said for said in manager.said[stopping:])
    assert not any("WATCHDOG" in said for said in manager.said)


def test_a_watched_guard_says_that_it_works_until_it_does_not(new_guard, upstream, manager):
    guard = new_guard()
    guard.environment |= {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "300000"}
    guard.start()

    def pings():
        return sum("WATCHDOG" in said for said in manager.said)

    eventually(lambda: pings() > 5, "pings")
    # It is stuck: it doesn't end, and does nothing.
    guard.process.send_signal(signal.SIGSTOP)
    stuck = pings()
    time.sleep(0.6)
    assert pings() <= stuck + 1
    guard.process.send_signal(signal.SIGCONT)
    eventually(lambda: pings() > stuck + 3, "pings")
    assert guard.stop() == 0


def test_a_full_disk_is_no_reason_to_start_anew(new_guard, upstream, cloud, manager):
    """The guard refuses, says why, and goes on by itself once there is room: another would do no better."""
    guard = new_guard()
    guard.restore_signals = False  # SIGXFSZ stays ignored: a write that doesn't fit is an error, as ENOSPC is
    guard.environment |= {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "300000"}
    guard.start()
    client = guard.client("workspaces", retries={"total_max_attempts": 1})
    assert client.describe_workspaces()
    # As good as a full disk, without filling one.
    resource.prlimit(guard.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    error_of(lambda: WORKSPACES.destroy(client, WORKSPACES.make(cloud)))
    assert guard.get("/readyz")[0] == 503
    manager.told("WATCHDOG", len(manager.said) + 3)
    assert guard.get("/readyz")[0] == 503
    guard.kill()


# --- secrets


def test_the_guard_reads_its_secrets_where_systemd_puts_them(new_guard, upstream, tmp_path):
    """Each that the drop-in names, as its lines say: files of one folder, which the guard can read and not write."""
    drop_in = (UNITS / "palisade.service.d/credentials.conf").read_text()
    loaded = dict(re.findall(r"^#LoadCredential=(\S+?):/etc/palisade/credentials/(\S+)$", drop_in, re.M))
    assert all(name == source for name, source in loaded.items())
    variables = dict(re.findall(r"^#Environment=(\w+)=(\S+)$", drop_in, re.M))

    issuer = new_guard("issuer")
    key, _ = issuer.issue("ci"), issuer.ca
    files = make_server_files(tmp_path / "tls", "localhost")
    sources = {
        "aws": f"[default]\naws_access_key_id = {CREDENTIALS.access_key}\n"
        f"aws_secret_access_key = {CREDENTIALS.secret_key}\naws_session_token = {CREDENTIALS.token}\n",
        "ca.pem": (issuer.state / "ca/ca.pem").read_text(),
        "ca.key": (issuer.state / "ca/ca.key").read_text(),
        "master.key": (issuer.state / "keys/master.key").read_text(),
        "ledger.jsonl": (issuer.state / "keys/ledger.jsonl").read_text(),
        "tls.key": files.key.read_text(),
    }
    assert sources.keys() == loaded.keys()
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for name, text in sources.items():
        (credentials / name).write_text(text)
        (credentials / name).chmod(0o440)
    credentials.chmod(0o550)

    guard = new_guard(settings={"listener.tls": True, "listener.tls_cert": str(files.chain)})
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        del guard.environment[name]
    guard.environment |= {name: value.replace("%d", str(credentials)) for name, value in variables.items()}
    with guard:
        assert guard.ca.read_text() == sources["ca.pem"]
        port = guard.listen.rsplit(":", 1)[1]
        client = guard.client(
            "workspaces",
            key=key,
            proxies={"https": f"https://localhost:{port}"},
            proxies_config={"proxy_ca_bundle": str(files.ca)},
        )
        assert client.describe_workspaces()
        assert upstream.calls("DescribeWorkspaces")[0].access_key == CREDENTIALS.access_key
        assert not (guard.state / "keys/master.key").exists()
        assert not (guard.state / "ca/ca.key").exists()
