"""`palisade doctor`: each fault is made, found and named, and mended by what the finding says."""

import datetime
import json
import socket
import subprocess
import time

import pytest

from cloud import REGION
from guard import BINARY, clean_environment
from parent import Parent
from tls import make_server_files
from upstream import CREDENTIALS

ROLE = "arn:aws:iam::123456789012:role/work"
GUARDED = "arn:aws:iam::123456789012:role/guarded"
SECRETS = (CREDENTIALS.secret_key, CREDENTIALS.token)


@pytest.fixture(autouse=True)
def unsigned_requests_are_meant(upstream):
    """The way to AWS is tried by a request without a signature, which the stand-in takes amiss."""
    yield
    upstream.reset()


class Report:
    """What it found, by check."""

    def __init__(self, done):
        assert done.returncode in (0, 1), done.stderr
        assert not [secret for secret in SECRETS if secret in done.stdout + done.stderr]
        said = json.loads(done.stdout)
        self.code = done.returncode
        self.by_check = {found["check"]: found for found in said["findings"]}
        assert len(self.by_check) == len(said["findings"])
        assert said["fault"] == bool(self.of("fault")) == (self.code == 1)
        for found in self.by_check.values():
            assert found["state"] in ("ok", "warning", "fault", "skipped")
            assert found["fix"] or found["state"] in ("ok", "skipped"), found

    def of(self, state):
        return sorted(check for check, found in self.by_check.items() if found["state"] == state)

    def state(self, check):
        return self.by_check[check]["state"]

    def is_fault(self, check, *words, fix):
        """Found and named, with what mends it."""
        found = self.by_check[check]
        assert found["state"] == "fault", found
        for word in words:
            assert word in found["what"], found
        assert fix in found["fix"], found
        return found


def host(guard, **more):
    """Asked on the guard's host, where the environment names no proxy."""
    environment = {name: value for name, value in guard.environment.items() if "PROXY" not in name}
    return run({**environment, **more}, "--config", guard.config)


def client(guard, folder, **more):
    """Asked where a client runs: there is no configuration."""
    return run({**clean_environment(folder, **guard.variables()), **more}, folder=folder)


def run(environment, *arguments, folder=None):
    begun = time.monotonic()
    done = subprocess.run(
        [BINARY, "doctor", "--json", *arguments],
        env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1", **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert time.monotonic() - begun < 30
    return Report(done)


# --- a client


def test_a_client_that_is_set_up_has_no_fault(guard, tmp_path):
    report = client(guard, tmp_path)
    assert report.of("fault") == [], report.by_check
    for check in ("proxy", "no_proxy", "endpoints", "guard", "keys", "clock", "trust.aws", "metadata"):
        assert report.state(f"client.{check}") == "ok", report.by_check
    assert "arn:aws:sts::123456789012:" in report.by_check["client.keys"]["what"]
    # Others trust by variables of their own, and the system doesn't know the guard.
    assert report.of("warning") == ["client.trust.native", "client.trust.node"]
    assert report.state("host.configuration") == "skipped"


def test_what_env_prints_leaves_nothing_to_mend(guard, tmp_path):
    done = guard.run("env", "--caller", "ci", "--json")
    variables = {name: value for name, value in json.loads(done.stdout).items() if value is not None}
    report = run({**clean_environment(tmp_path), **variables, "AWS_REGION": REGION}, folder=tmp_path)
    assert (report.of("fault"), report.of("warning")) == ([], []), report.by_check


def test_an_environment_without_a_guard_is_no_client(tmp_path):
    report = run(clean_environment(tmp_path), folder=tmp_path)
    assert report.code == 0
    assert report.state("client.proxy") == report.state("client.trust") == "skipped"


@pytest.mark.parametrize(
    ("variable", "check"),
    [
        ("AWS_CA_BUNDLE", "client.trust.aws"),
        ("NODE_EXTRA_CA_CERTS", "client.trust.node"),
        ("SSL_CERT_FILE", "client.trust.native"),
    ],
)
def test_a_bundle_without_the_guards_authority(guard, tmp_path, variable, check):
    bundle = make_server_files(tmp_path / "other", "localhost").ca
    more = {variable: str(bundle)}
    fix = f"add what `palisade ca` prints on the guard's host to `{bundle}`"
    client(guard, tmp_path, **more).is_fault(check, str(bundle), variable, fix=fix)
    bundle.write_text(bundle.read_text() + guard.run("ca").stdout)
    assert client(guard, tmp_path, **more).of("fault") == []


def test_a_bundle_that_is_gone(guard, tmp_path):
    gone = tmp_path / "gone.pem"
    report = client(guard, tmp_path, AWS_CA_BUNDLE=str(gone))
    report.is_fault("client.trust.aws", str(gone), fix="write what `palisade ca` prints")
    gone.write_text(guard.run("ca").stdout)
    assert client(guard, tmp_path, AWS_CA_BUNDLE=str(gone)).state("client.trust.aws") == "ok"


def test_no_proxy_that_leads_around_the_guard(guard, tmp_path):
    report = client(guard, tmp_path, NO_PROXY="localhost,.amazonaws.com")
    report.is_fault("client.no_proxy", "`.amazonaws.com`", fix="take `.amazonaws.com` out of NO_PROXY and no_proxy")
    assert client(guard, tmp_path, NO_PROXY="localhost").state("client.no_proxy") == "ok"


def test_two_proxies(guard, tmp_path):
    report = client(guard, tmp_path, https_proxy="http://127.0.0.1:1")
    report.is_fault("client.proxy", "different proxies", fix="set both to the guard's")
    assert client(guard, tmp_path, https_proxy=f"http://{guard.listen}").state("client.proxy") == "ok"


def test_virtual_keys_without_a_proxy(guard, tmp_path):
    report = client(guard, tmp_path, HTTPS_PROXY="")
    report.is_fault("client.proxy", "virtual key", fix="HTTPS_PROXY")


def test_a_proxy_where_nobody_listens(guard, tmp_path):
    report = client(guard, tmp_path, HTTPS_PROXY="http://me:hunter2@127.0.0.1:1")
    report.is_fault("client.guard", "127.0.0.1:1", fix="start the guard")
    assert "hunter2" not in str(report.by_check)


def test_a_proxy_that_says_nothing_holds_nobody_up(guard, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        report = client(guard, tmp_path, HTTPS_PROXY=f"http://127.0.0.1:{silent.getsockname()[1]}")
    report.is_fault("client.guard", fix="start the guard")


def test_a_proxy_that_is_no_guard(guard, upstream, tmp_path, monkeypatch):
    """It leads to AWS all the same: nothing is guarded, and no tool says so."""
    relay = Parent()
    monkeypatch.setattr("parent.socket.create_connection", lambda *_, **__: _connected(upstream.port))
    report = client(guard, tmp_path, HTTPS_PROXY=relay.url)
    relay.close()
    report.is_fault("client.guard", "isn't a guard", fix="where the guard listens")


def test_a_proxy_of_the_hosts_own_is_no_fault_there(new_guard):
    """A guard doesn't read the variable, and this environment holds no virtual key."""
    report = host(new_guard(), HTTPS_PROXY="http://127.0.0.1:1")
    assert report.state("client.guard") == "warning"
    assert report.of("fault") == [], report.by_check


def _connected(port):
    sock = socket.socket()
    sock.connect(("127.0.0.1", port))
    return sock


def test_keys_that_the_guard_does_not_take(guard, tmp_path):
    real = {"AWS_ACCESS_KEY_ID": CREDENTIALS.access_key, "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_key}
    client(guard, tmp_path, **real).is_fault("client.keys", "isn't a virtual key", fix="palisade keys new")
    wrong = client(guard, tmp_path, AWS_SECRET_ACCESS_KEY="x" * 40)
    wrong.is_fault("client.keys", fix="palisade keys new")


def test_programs_that_heed_no_proxy_variable(guard, tmp_path):
    manifest = tmp_path / "package.json"
    manifest.write_text('{"dependencies": {"@aws-sdk/client-s3": "^3"}}')
    report = client(guard, tmp_path)
    assert report.state("client.sdk.javascript") == "warning"
    assert "https-proxy-agent" in report.by_check["client.sdk.javascript"]["fix"]
    manifest.write_text('{"dependencies": {"@aws-sdk/client-s3": "^3", "https-proxy-agent": "^7"}}')
    assert client(guard, tmp_path).state("client.sdk.javascript") == "ok"


# --- a host


def test_a_host_that_is_set_up_has_no_fault(new_guard):
    guard = new_guard().start()
    report = host(guard)
    assert report.of("fault") == [], report.by_check
    for check in ("configuration", "policies", "state", "authority", "listen", "admin", "upstream", "clock"):
        assert report.state(f"host.{check}") == "ok", report.by_check
    assert report.state("host.journal") in ("ok", "warning")
    assert f"process {guard.process.pid}," in report.by_check["host.listen"]["what"]
    assert "arn:aws:sts::123456789012:" in report.by_check["host.credentials.prod"]["what"]
    assert guard.get("/readyz")[0] == 200


def test_it_makes_nothing(new_guard):
    guard = new_guard()
    assert host(guard).of("fault") == []
    assert not guard.state.exists()


def test_a_configuration_that_does_not_load(new_guard):
    guard = new_guard()
    sound = guard.config.read_text()
    guard.config.write_text("listn = 1\n" + sound)
    host(guard).is_fault("host.configuration", "`listn` is not a key", fix="did you mean `listen`?")
    guard.config.write_text(sound)
    assert host(guard).state("host.configuration") == "ok"


def test_a_spoilt_policy(new_guard):
    spoilt = {"a.cedar": '@id("a") permit (principal, action, resource) when { nonsense };'}
    guard = new_guard(policies=spoilt, protected=None)
    host(guard).is_fault("host.policies", "a.cedar", fix="palisade policy check")
    guard.write_policies({"a.cedar": '@id("a") permit (principal, action, resource);'})
    assert host(guard).state("host.policies") == "ok"


def test_a_journal_that_cannot_be_written(new_guard):
    guard = new_guard().start()
    guard.stop()
    journal = guard.state / "journal"
    journal.chmod(0o500)
    found = host(guard).is_fault("host.journal", str(journal), fix=f"chmod 700 '{journal}'")
    subprocess.run(["/bin/sh", "-c", found["fix"].removeprefix("run: ")], check=True)
    assert host(guard).state("host.journal") != "fault"


def test_a_port_that_is_taken(new_guard):
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = f"127.0.0.1:{other.getsockname()[1]}"
        guard = new_guard(settings={"listen": place})
        host(guard).is_fault("host.listen", place, fix="end the process that has it")
    assert host(guard).state("host.listen") == "ok"


def test_a_clock_that_is_off(new_guard, upstream, monkeypatch):
    def ahead(_):
        when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=10)
        return when.strftime("%a, %d %b %Y %H:%M:%S GMT")

    guard = new_guard()
    with monkeypatch.context() as patch:
        patch.setattr(upstream._server.RequestHandlerClass, "date_time_string", ahead)
        host(guard).is_fault("host.clock", "behind", fix="timedatectl set-ntp true")
    assert host(guard).state("host.clock") == "ok"


def test_an_upstream_that_is_not_trusted(new_guard, upstream, tmp_path):
    other = make_server_files(tmp_path / "other", "localhost").ca
    guard = new_guard(ca_file=other)
    host(guard).is_fault("host.upstream", "TLS handshake failed", fix="upstream.ca_file")
    other.write_bytes(upstream.ca.read_bytes())
    assert host(guard).state("host.upstream") == "ok"


def test_a_parent_proxy_that_is_not_there(new_guard):
    guard = new_guard(settings={"upstream.proxy": "http://127.0.0.1:1"})
    host(guard).is_fault("host.upstream", "parent proxy `http://127.0.0.1:1`", fix="see that the parent proxy runs")


def test_credentials_that_sts_refuses(new_guard):
    guard = new_guard()
    wrong = {"AWS_ACCESS_KEY_ID": "AKIANOBODY0000000000", "AWS_SECRET_ACCESS_KEY": "none", "AWS_SESSION_TOKEN": ""}
    host(guard, **wrong).is_fault("host.credentials.prod", "AWS doesn't take", fix="renew them")
    assert host(guard).state("host.credentials.prod") == "ok"


def test_a_role_that_may_not_be_assumed(new_guard, upstream):
    guard = new_guard(credentials={"role_arn": ROLE, "guarded_role_arn": GUARDED, "external_id": "team/42"})
    upstream.sts.trust(ROLE, external_id="team/42")
    report = host(guard)
    assert report.state("host.credentials.prod.role_arn") == "ok", report.by_check
    report.is_fault("host.credentials.prod.guarded_role_arn", GUARDED, fix="trust policy")
    upstream.sts.trust(GUARDED, external_id="team/42")
    assert host(guard).of("fault") == []
    # Nothing else was asked: `?` is the request without a signature.
    assert {seen.operation for seen in upstream.calls()} == {"?", "GetCallerIdentity", "AssumeRole"}


def test_a_clients_shell_on_the_host_says_where_to_look(guard):
    report = host(guard, **guard.variables(), AWS_SESSION_TOKEN="")
    assert report.state("host.credentials") == "skipped"
    assert report.of("fault") == [], report.by_check


def test_people_read_a_table_with_what_to_do(new_guard):
    guard = new_guard(policies={"a.cedar": "permit"})
    done = guard.run("doctor")
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["STATE", "CHECK", "WHAT"]
    at = next(n for n, line in enumerate(lines) if line.split()[:2] == ["fault", "host.policies"])
    assert lines[at + 1].startswith("         fix: ")
    assert " fault, " in lines[-1]
