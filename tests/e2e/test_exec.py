"""Commands run by `palisade exec`: real clients with a user's AWS files, which never see a real key."""

import datetime
import http.server
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from botocore.credentials import Credentials

import signature
import upstream as stand_in
from cloud import ACCOUNT, REGION
from guard import BINARY, clean_environment
from parent import Parent
from tls import make_server_files

ID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
FIRST = re.compile(r"palisade: guarding (\S+) \((\d{12})\) as (\S+) · (\d+) starter policies · enforce")
LAST = re.compile(
    r"palisade: (\d+) calls?, (\d+) guarded: (\d+) allowed, (\d+) refused((?:, \d+ [a-z ]+)*) · journal (\S+)"
)
AWS = [sys.executable, "-m", "awscli"]


def keys(name):
    """A key pair of a profile's own."""
    return Credentials(f"AKIA{name.upper():>016}".replace(" ", "0"), f"{name}/Secret+{'x' * (32 - len(name))}")


KEYS = {name: keys(name) for name in ("default", "other", "process", "environment")}
ROLE = Credentials("ASIAROLEOFTHEPROFILE", "role/Secret+ofTheProfile0123456789abcdef", "RoleSessionToken" * 20)
REAL = [*KEYS.values(), ROLE]
SECRETS = [text for key in REAL for text in (key.access_key, key.secret_key, key.token) if text]
SECRETS += [stand_in.CREDENTIALS.secret_key, stand_in.CREDENTIALS.token]


class Sts(http.server.BaseHTTPRequestHandler):
    """STS as a role profile finds it: gives the role to the one key that may have it."""

    protocol_version = "HTTP/1.1"
    log_message = lambda *_: None  # noqa: E731
    seen = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        given = dict(parse_qsl(body.decode()))
        problem = signature.problem(
            "POST", self.path, headers, body, credentials=KEYS["default"], region=REGION, service="sts"
        )
        self.seen.append((given, problem))
        expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        text = (
            '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
            f"<AccessKeyId>{ROLE.access_key}</AccessKeyId><SecretAccessKey>{ROLE.secret_key}</SecretAccessKey>"
            f"<SessionToken>{ROLE.token}</SessionToken><Expiration>{expires:%Y-%m-%dT%H:%M:%SZ}</Expiration>"
            "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
        ).encode()
        self.send_response(403 if problem else 200)
        self.send_header("content-type", "text/xml")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture(scope="module", autouse=True)
def many_keys():
    """The stand-in takes the key of every profile."""
    by_id = {key.access_key: key for key in REAL}
    checked = signature.problem

    def problem(method, target, headers, body, *, credentials, region, service):
        credentials = by_id.get(signature.access_key_of(headers), credentials)
        return checked(method, target, headers, body, credentials=credentials, region=region, service=service)

    signature.problem = problem
    yield
    signature.problem = checked


@pytest.fixture(scope="module")
def sts():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sts)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class User:
    """Somebody with AWS files, a configuration of Palisade's and a shell."""

    def __init__(self, home, upstream, sts, *, callers=()):
        self.home = home
        self.state = home / "state"
        aws = home / ".aws"
        aws.mkdir(parents=True)
        process = home / "my process"
        process.write_text(
            f'#!/bin/sh\necho \'{{"Version": 1, "AccessKeyId": "{KEYS["process"].access_key}",'
            f' "SecretAccessKey": "{KEYS["process"].secret_key}"}}\'\n'
        )
        process.chmod(0o755)
        (aws / "config").write_text(
            f"[default]\nregion = {REGION}\noutput = json\n"
            f"[profile role]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/deploy\nsource_profile = default\nregion = {REGION}\n"
            f"[profile process]\ncredential_process = '{process}'\nregion = {REGION}\n"
            f"[profile sso]\nsso_session = corp\nsso_account_id = {ACCOUNT}\nsso_role_name = Admin\nregion = {REGION}\n"
            "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = us-east-1\n"
            "sso_registration_scopes = sso:account:access\n"
        )
        (aws / "credentials").write_text(
            "".join(
                f"[{name}]\naws_access_key_id = {KEYS[name].access_key}\naws_secret_access_key = {KEYS[name].secret_key}\n"
                for name in ("default", "other")
            )
            + f"region = {REGION}\n"
        )
        self.config = home / "palisade.toml"
        self.config.write_text(
            f'state_dir = "{self.state}"\n'
            f'[upstream]\ndangerous_override = "{upstream.url}"\nca_file = "{upstream.ca}"\ntimeout = "6s"\n' + "".join(callers)
        )
        self.environment = clean_environment(
            home,
            USER="anna",
            PALISADE_CONFIG=str(self.config),
            AWS_ENDPOINT_URL_STS=sts,
        )

    def start(self, *arguments, **settings):
        environment = {**self.environment, **settings.pop("environment", {})}
        return subprocess.Popen(
            [BINARY, *arguments],
            env={k: v for k, v in environment.items() if v is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **settings,
        )

    def run(self, *arguments, timeout=60, **settings):
        process = self.start(*arguments, **settings)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def exec(self, *command, options=(), **settings):
        return self.run("exec", *options, "--", *command, **settings)

    def python(self, script, *arguments, **settings):
        return self.exec(sys.executable, "-c", script, *arguments, **settings)


@pytest.fixture
def user(tmp_path, upstream, sts):
    return User(tmp_path / "home", upstream, sts)


def lines(done):
    """First line, those between, last line."""
    first, *between, last = done.stderr.splitlines()
    return first, between, last


BOTO = """
import sys, boto3
from botocore.exceptions import ClientError
service, method, arguments = sys.argv[1:4]
session = boto3.Session(profile_name=sys.argv[4] if len(sys.argv) > 4 else None)
try:
    print(getattr(session.client(service), method)(**eval(arguments)))
except ClientError as error:
    print(error.response["Error"]["Code"], error)
    sys.exit(3)
"""


# --- what it tells


def test_calls_are_guarded_and_told(user, upstream, cloud):
    free, kept = cloud.add_workspace(), cloud.add_workspace(tags={"protected": "true"})
    script = """
import sys, boto3
desks = boto3.client("workspaces")
desks.describe_workspaces()
desks.terminate_workspaces(TerminateWorkspaceRequests=[{"WorkspaceId": sys.argv[1]}])
try:
    desks.terminate_workspaces(TerminateWorkspaceRequests=[{"WorkspaceId": sys.argv[2]}])
except desks.exceptions.ClientError as error:
    print(error.response["Error"]["Code"])
"""
    done = user.python(script, free, kept)
    assert (done.returncode, done.stdout) == (0, "AccessDeniedException\n"), done.stderr
    first, between, last = lines(done)
    assert FIRST.fullmatch(first).group(1, 2, 3) == ("default", ACCOUNT, "anna")
    assert len(between) == 1
    assert re.fullmatch(
        rf"REFUSED workspaces:TerminateWorkspaces {kept} · protected-tag: It is tagged protected\. .* · {ID}", between[0]
    )
    assert LAST.fullmatch(last).groups() == ("3", "2", "1", "1", "", str(user.state / "journal"))
    assert free not in cloud.workspaces and kept in cloud.workspaces
    assert {seen.access_key for seen in upstream.calls()} == {KEYS["default"].access_key}


def test_a_command_that_never_reached_the_guard_is_named(user):
    done = user.exec("/bin/sh", "-c", "exit 0")
    _, between, last = lines(done)
    assert LAST.fullmatch(between[0]).group(1) == "0"
    assert last.startswith("palisade: `sh` made no call through the guard: ")


def test_the_folder_and_the_keys_die_with_the_command(user):
    done = user.exec("/bin/sh", "-c", "echo $PALISADE_EXEC $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY")
    folder, key, secret = done.stdout.split()
    assert key.startswith("PALISADE") and not Path(folder).exists()
    assert not (user.state / "keys").exists()
    left = b"".join(path.read_bytes() for path in user.state.rglob("*") if path.is_file())
    assert secret.encode() not in left


# --- profiles


@pytest.mark.parametrize("profile", ["default", "other", "process", "role"])
@pytest.mark.parametrize("by", ["exec", "tool", "environment"])
def test_every_kind_of_profile_signs_with_its_own(user, upstream, cloud, profile, by):
    ident = cloud.add_workspace()
    arguments = ["workspaces", "terminate_workspaces", f'{{"TerminateWorkspaceRequests": [{{"WorkspaceId": "{ident}"}}]}}']
    options = ["--profile", profile] if by == "exec" else []
    environment = {"AWS_PROFILE": profile} if by == "environment" else {}
    done = user.python(BOTO, *arguments, *([profile] if by == "tool" else []), options=options, environment=environment)
    assert done.returncode == 0, done.stderr
    assert FIRST.fullmatch(lines(done)[0]).group(1) == ("default" if by == "tool" else profile)
    expected = ROLE if profile == "role" else KEYS[profile]
    assert {seen.access_key for seen in upstream.calls("TerminateWorkspaces")} == {expected.access_key}
    assert ident not in cloud.workspaces
    if profile == "role":
        given, problem = Sts.seen[-1]
        assert problem is None and given["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/deploy"


@pytest.mark.parametrize("profile", [None, "other", "role"])
def test_the_aws_cli_by_profile(user, upstream, cloud, profile):
    ident = cloud.add_workspace(tags={"protected": "yes"})
    command = ["workspaces", "terminate-workspaces", "--terminate-workspace-requests", ident]
    done = user.exec(*AWS, *command, *(["--profile", profile] if profile else []))
    assert done.returncode == 255, done.stderr
    assert "AccessDeniedException" in done.stderr and "protected-tag" in done.stderr
    assert f"REFUSED workspaces:TerminateWorkspaces {ident} · protected-tag: " in done.stderr
    assert not upstream.destructive()


def test_keys_of_the_environment_come_first_and_are_not_passed_on(user, upstream):
    key = KEYS["environment"]
    environment = {"AWS_ACCESS_KEY_ID": key.access_key, "AWS_SECRET_ACCESS_KEY": key.secret_key, "AWS_PROFILE": "other"}
    done = user.python(BOTO, "workspaces", "describe_workspaces", "{}", environment=environment)
    assert done.returncode == 0, done.stderr
    assert FIRST.fullmatch(lines(done)[0]).group(1) == "AWS_ACCESS_KEY_ID"
    assert {seen.access_key for seen in upstream.calls("DescribeWorkspaces")} == {key.access_key}


def test_nothing_that_the_command_sees_is_real(user):
    """Its environment, its files, and whatever its credential processes print."""
    script = """
import os, subprocess
print(dict(os.environ))
for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE"):
    assert os.stat(os.environ[name]).st_mode & 0o777 == 0o600, name
    print(open(os.environ[name]).read())
assert os.stat(os.environ["PALISADE_EXEC"]).st_mode & 0o777 == 0o700
for at, _, names in os.walk(os.environ["PALISADE_EXEC"]):
    for name in names:
        if name != "s":
            print(open(os.path.join(at, name)).read())
for line in open(os.environ["AWS_CONFIG_FILE"]):
    if line.startswith("credential_process"):
        print(subprocess.run(line.split("=", 1)[1], shell=True, capture_output=True, text=True))
"""
    key = KEYS["environment"]
    given = {
        "AWS_SESSION_TOKEN": None,
        "AWS_ACCESS_KEY_ID": key.access_key,
        "AWS_SECRET_ACCESS_KEY": key.secret_key,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": SECRETS[0],
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/secret/token",
        "AWS_ENDPOINT_URL_WORKSPACES": "https://elsewhere.example",
    }
    done = user.python(script, environment=given)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert not [secret for secret in SECRETS if secret in said]
    for gone in ("AWS_ENDPOINT_URL", "AWS_CONTAINER", "AWS_WEB_IDENTITY", "elsewhere.example", "source_profile", "role_arn"):
        assert gone not in said, gone
    assert said.count("'AccessKeyId'") + said.count('"AccessKeyId"') == 4  # default, other, process, role; not sso
    journal = b"".join(path.read_bytes() for path in (user.state / "journal").iterdir()).decode()
    assert not [secret for secret in SECRETS if secret in journal]


def test_a_key_of_the_command_is_good_nowhere_else(user, guard):
    """Another guard doesn't know it."""
    done = user.exec("/bin/sh", "-c", "echo $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY")
    ident, secret = done.stdout.split()
    key = type(guard.key("ci"))("ci", ident, secret)
    with pytest.raises(Exception, match="UnrecognizedClientException|InvalidClientTokenId|InvalidAccessKeyId"):
        guard.client("workspaces", key=key).describe_workspaces()


# --- the login


def test_nobody_without_the_commands_key_comes_in(user, upstream):
    """The port is open to everybody on the machine, and leads out as the shell's user."""
    script = """
import base64, os, socket, urllib.parse
proxy = urllib.parse.urlsplit(os.environ["HTTPS_PROXY"])
def connect(host, *headers):
    with socket.create_connection((proxy.hostname, proxy.port)) as sock:
        sock.sendall("\\r\\n".join([f"CONNECT {host}:443 HTTP/1.1", f"Host: {host}:443", *headers, "", ""]).encode())
        return sock.recv(100).split()[1].decode()
def basic(password):
    return "Proxy-Authorization: Basic " + base64.b64encode(f"{proxy.username}:{password}".encode()).decode()
aws = "workspaces.us-east-1.amazonaws.com"
print(connect(aws), connect("example.invalid"), connect(aws, basic("x" * 40)), connect(aws, basic(proxy.password)))
"""
    done = user.python(script)
    assert done.stdout.split() == ["407", "407", "407", "200"], done.stderr


def test_a_login_that_is_over_stops_with_the_command_that_renews_it(user):
    done = user.exec("/bin/echo", "ran", options=["--profile", "sso"])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "palisade: profile `sso`: there is no login, or it has expired; run `aws sso login --profile sso`\n"
    )


def test_a_key_that_aws_does_not_take_stops_too(user, upstream):
    environment = {"AWS_ACCESS_KEY_ID": "AKIANOBODY0000000000", "AWS_SECRET_ACCESS_KEY": "none"}
    done = user.exec("/bin/echo", "ran", environment=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("palisade: the keys in the environment: ") and done.stderr.count("\n") == 1
    upstream.reset()


def test_a_profile_of_the_tool_whose_login_is_over_says_so(user):
    done = user.python(BOTO, "workspaces", "describe_workspaces", "{}", "sso")
    assert done.returncode == 1
    assert "aws sso login --profile sso" in done.stderr


def test_an_unknown_profile_is_named(user):
    done = user.exec("true", options=["--profile", "othr"])
    assert done.returncode == 2
    assert done.stderr == (
        "palisade: there is no profile `othr` in your AWS configuration\nhelp: did you mean `other`?\n"
    )


def test_it_is_not_run_inside_itself(user):
    done = user.exec(BINARY, "exec", "--", "true")
    assert done.returncode == 2
    assert "this is inside of a `palisade exec` already" in done.stderr


# --- exit status and signals


@pytest.mark.parametrize("status", [0, 1, 2, 77, 255])
def test_the_exit_status_is_the_commands(user, status):
    assert user.exec("/bin/sh", "-c", f"exit {status}").returncode == status


def test_what_cannot_run_ends_as_env_ends(user, tmp_path):
    done = user.exec("no-such-command")
    assert done.returncode == 127
    assert done.stderr.splitlines()[-1] == "palisade: `no-such-command`: command not found"
    (tmp_path / "text").write_text("text")
    assert user.exec(str(tmp_path / "text")).returncode == 126


def test_a_command_that_a_signal_ended_ends_us_so(user):
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        assert user.exec("/bin/sh", "-c", f"kill -{int(number)} $$").returncode == -number


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "QUIT", "USR1"])
def test_a_signal_is_passed_on_and_the_command_decides(user, name):
    script = f"trap 'echo got; exit 9' {name}; echo ready; while :; do sleep 0.05; done"
    process = user.start("exec", "--", "/bin/sh", "-c", script, start_new_session=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(getattr(signal, f"SIG{name}"))
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (9, "got\n"), err
    assert LAST.fullmatch(err.splitlines()[-2])


def test_ctrl_c_of_a_terminal_reaches_the_command_once(user, tmp_path):
    """On a terminal of its own: the terminal signals both, and only the command acts."""
    import pty

    script = "trap 'echo got >>$0.log' INT; echo ready; i=0; while [ $i -lt 20 ]; do sleep 0.05; i=$((i+1)); done; exit 5"
    log = tmp_path / "run"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(BINARY, [BINARY, "exec", "--", "/bin/sh", "-c", script, str(log)], user.environment)
    seen = b""
    while b"ready" not in seen:
        seen += os.read(terminal, 4096)
    os.write(terminal, b"\x03")
    deadline = time.monotonic() + 20
    status = None
    while status is None and time.monotonic() < deadline:
        try:
            os.read(terminal, 4096)
        except OSError:
            pass
        done, code = os.waitpid(pid, os.WNOHANG)
        status = code if done else None
    assert os.waitstatus_to_exitcode(status) == 5
    assert Path(f"{log}.log").read_text() == "got\n"


def test_the_command_has_the_limit_of_open_files_that_the_shell_gave(user):
    done = user.run("exec", "--", "/bin/sh", "-c", "ulimit -n", preexec_fn=lambda: __import__("resource").setrlimit(7, (777, 4096)))
    assert done.stdout == "777\n", done.stderr


# --- several guards


def test_two_commands_at_once_have_a_guard_each(user, upstream):
    script = "echo ready; read line; exec \"$@\""
    call = [sys.executable, "-c", BOTO, "workspaces", "describe_workspaces", "{}"]
    first = subprocess.Popen(
        [BINARY, "exec", "--", "/bin/sh", "-c", script, "sh", *call],
        env=user.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert first.stdout.readline() == "ready\n"
    second = user.exec(*call)
    assert second.returncode == 0, second.stderr
    assert LAST.fullmatch(lines(second)[2]).group(1, 6) == ("1", str(user.state / "exec/2/journal"))
    out, err = first.communicate("go\n", timeout=60)
    assert first.returncode == 0, err
    assert LAST.fullmatch(err.splitlines()[-1]).group(1, 6) == ("1", str(user.state / "journal"))


def test_beside_a_guard_that_serves_it_uses_that_one(new_guard, cloud, upstream, tmp_path):
    guard = new_guard().start()
    kept = cloud.add_workspace(tags={"protected": "true"})
    environment = {**clean_environment(tmp_path, USER="anna"), "AWS_DEFAULT_REGION": REGION}

    def run(*arguments, options=("--caller", "ci")):
        return subprocess.run(
            [BINARY, "exec", "--config", guard.config, *options, "--", *arguments],
            env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    done = run(sys.executable, "-c", BOTO, "workspaces", "terminate_workspaces",
               f'{{"TerminateWorkspaceRequests": [{{"WorkspaceId": "{kept}"}}]}}')  # fmt: skip
    assert done.returncode == 3, done.stderr
    first, between, last = lines(done)
    assert FIRST.fullmatch(first).group(1, 2, 3) == ("prod", ACCOUNT, "ci")
    assert len(between) == 1 and between[0].startswith(f"REFUSED workspaces:TerminateWorkspaces {kept} · protected-tag: ")
    assert LAST.fullmatch(last).groups() == ("1", "1", "0", "1", "", str(guard.state / "journal"))
    assert {r["actor"]["user"]["name"] for r in guard.journal() if r["api"]["operation"] == "TerminateWorkspaces"} == {"ci"}
    listed = json.loads(guard.run("keys", "list", "--json").stdout)
    assert [key["state"] for key in listed] == ["revoked"]
    several = run("true", options=())
    assert several.returncode == 2
    assert "choose one by --caller: ci, root" in several.stderr


# --- other hosts


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A host that isn't AWS's, by https."""
    files = make_server_files(tmp_path_factory.mktemp("elsewhere"), "localhost")

    class Handler(http.server.BaseHTTPRequestHandler):
        log_message = lambda *_: None  # noqa: E731

        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"package")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.chain, files.key)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}/simple", files.ca
    server.shutdown()
    server.server_close()


def test_other_hosts_are_reached_through_a_tunnel_with_the_users_own_certificates(user, elsewhere):
    url, ca = elsewhere
    script = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())
"""
    done = user.python(script, url, environment={"SSL_CERT_FILE": str(ca)})
    assert (done.returncode, done.stdout) == (0, "package\n"), done.stderr
    assert lines(done)[2] == (
        f"palisade: `{Path(sys.executable).name}` made no AWS call through the guard, only connections to other hosts"
    )
    records = [json.loads(line) for path in (user.state / "journal").iterdir() for line in path.read_text().splitlines()]
    tunnels = [r for r in records if r["unmapped"]["palisade"]["phase"] == "tunnel"]
    assert [t["dst_endpoint"]["hostname"] for t in tunnels] == ["localhost"]


def test_no_proxy_that_would_lead_around_the_guard_is_left_out_and_told(user, upstream):
    environment = {"NO_PROXY": "localhost,.amazonaws.com", "SSL_CERT_FILE": "/gone.pem"}
    done = user.python(BOTO, "workspaces", "describe_workspaces", "{}", environment=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[1:3] == [
        "palisade: no certificate can be read from `/gone.pem`, which `SSL_CERT_FILE` names: left out",
        "palisade: NO_PROXY has `.amazonaws.com`, which would lead around the guard: left out for the command",
    ]
    assert len(upstream.calls("DescribeWorkspaces")) == 1


# --- behind the shell's own proxy


@pytest.fixture
def parent():
    proxy = Parent("anna", "open-sesame")
    yield proxy
    proxy.close()


REACH = """
import boto3, urllib.request
boto3.client("workspaces").describe_workspaces()
try:
    urllib.request.urlopen("https://packages.example/simple", timeout=20)
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_the_shells_proxy_becomes_the_parent(user, upstream, parent, name):
    done = user.python(REACH, environment={name: parent.url})
    assert done.returncode == 0, done.stderr
    assert f"localhost:{upstream.port}" in parent.asked and "packages.example:443" in parent.asked
    assert LAST.fullmatch(lines(done)[2]).group(1) == "1"
    assert "open-sesame" not in done.stdout + done.stderr
    inside = user.exec("/bin/sh", "-c", "env", environment={"HTTPS_PROXY": parent.url})
    assert "open-sesame" not in inside.stdout


def test_what_the_shell_reaches_directly_stays_direct(user, upstream, parent):
    done = user.python(REACH, environment={"HTTPS_PROXY": parent.url, "NO_PROXY": "localhost"})
    assert done.returncode == 0, done.stderr
    assert parent.asked == ["packages.example:443"]
    assert len(upstream.calls("DescribeWorkspaces")) == 1


def test_a_proxy_that_is_not_spoken_stops_without_its_password(user):
    done = user.exec("true", environment={"ALL_PROXY": "socks5://anna:open-sesame@127.0.0.1:1080"})
    assert done.returncode == 2
    assert done.stderr.startswith("palisade: `ALL_PROXY`, which would be the guard's parent proxy: ")
    assert "open-sesame" not in done.stderr


# --- the environment of a shell, and the credential process


def test_env_sets_a_shell_up_for_the_guard_that_serves(new_guard, cloud, tmp_path):
    guard = new_guard(callers={"ci": ["deployers"]}).start()
    ident = cloud.add_workspace(tags={"protected": "true"})
    environment = {**clean_environment(tmp_path), "AWS_DEFAULT_REGION": REGION, "AWS_PROFILE": "prod", "AWS_SESSION_TOKEN": "real"}
    script = f'eval "$({BINARY} env --config {guard.config})" && exec "$@"'

    def shell(*command):
        return subprocess.run(
            ["/bin/sh", "-c", script, "sh", *command], env=environment, capture_output=True, text=True, timeout=60
        )

    done = shell(*AWS, "workspaces", "terminate-workspaces", "--terminate-workspace-requests", ident)
    assert done.returncode == 255 and "protected-tag" in done.stderr, done.stderr
    assert "PALISADE" not in done.stderr
    assert len({shell("/bin/sh", "-c", "echo $AWS_ACCESS_KEY_ID").stdout for _ in range(2)}) == 1
    said = guard.run("env", "--json")
    variables = json.loads(said.stdout)
    assert variables["HTTPS_PROXY"] == f"http://{guard.listen}"
    assert variables["AWS_SESSION_TOKEN"] is None
    for name in ("AWS_CONFIG_FILE", "AWS_CA_BUNDLE"):
        path = Path(variables[name])
        assert path.stat().st_mode & 0o777 == 0o600 and path.is_relative_to(guard.state / "env/ci")


def test_a_guard_that_asks_who_comes_is_told(new_guard, upstream, tmp_path):
    guard = new_guard(callers={"ci": ["deployers"]}, settings={"listener.require_proof": True}).start()
    environment = {**clean_environment(tmp_path), "AWS_DEFAULT_REGION": REGION}
    call = [sys.executable, "-c", BOTO, "workspaces", "describe_workspaces", "{}"]
    for command in (
        [BINARY, "exec", "--config", guard.config, "--", *call],
        ["/bin/sh", "-c", f'eval "$({BINARY} env --config {guard.config})" && exec "$@"', "sh", *call],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    assert len(upstream.calls("DescribeWorkspaces")) == 2


def test_env_and_credentials_say_what_to_do_where_no_guard_serves(user):
    for arguments in (["env"], ["credentials", "--profile", "default"]):
        done = user.run(*arguments)
        assert done.returncode == 1
        assert done.stderr == (
            f"palisade: no guard serves on `{user.state}`\n"
            "help: run `palisade serve`, or the command itself by `palisade exec -- …`\n"
        )


def test_credentials_of_a_guard_that_serves_are_good_for_an_hour(new_guard, upstream, tmp_path):
    guard = new_guard(callers={"ci": ["deployers"]}).start()
    done = guard.run("credentials", "--profile", "prod")
    assert done.returncode == 0, done.stderr
    key = json.loads(done.stdout)
    left = datetime.datetime.fromisoformat(key["Expiration"].replace("Z", "+00:00")) - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(minutes=59) < left <= datetime.timedelta(hours=1)
    environment = clean_environment(
        tmp_path,
        **{**guard.variables("ci"), "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
           "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"], "AWS_SESSION_TOKEN": key["SessionToken"]},
    )  # fmt: skip
    called = subprocess.run([*AWS, "workspaces", "describe-workspaces"], env=environment, capture_output=True, text=True, timeout=60)
    assert called.returncode == 0, called.stderr
    assert len(upstream.calls("DescribeWorkspaces")) == 1
