"""Runs the guard's binary with a folder of its own, and reads what it leaves behind."""

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import boto3
import botocore.session
from botocore.config import Config
from prometheus_client.parser import text_string_to_metric_families

from cloud import REGION
from upstream import CREDENTIALS

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("PALISADE_BIN") or REPOSITORY / "target/debug/palisade")
START_TIMEOUT = 60
CALLERS = {"ci": ["deployers"], "root": ["admins"]}
ACCOUNTS = ["123456789012", "210987654321"]
PROTECTED = """\
[workspaces]
ids = ["ws-prod*"]
[workspaces-instances]
ids = ["wsinst-prod*"]
[servicecatalog]
ids = ["pp-prod*", "shared-desk"]
[mgn]
ids = ["s-prod*"]
[evs]
ids = ["env-prod*", "vm-9999"]
"""


class NotStarted(AssertionError):
    """The guard ended, or didn't listen in time; `output` is what it said."""

    def __init__(self, code, output):
        super().__init__(f"the guard did not start (exit {code}):\n{output}")
        self.code, self.output = code, output


@dataclass(frozen=True)
class Key:
    caller: str
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


def clean_environment(home, **more):
    """What a child gets: no proxy, no AWS, no certificates of the surroundings."""
    keep = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "RUST_BACKTRACE") if name in os.environ}
    return {**keep, "HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", **more}


class Guard:
    """A guard before the stand-in `upstream` (a URL and a CA file)."""

    def __init__(
        self,
        folder,
        *,
        upstream=None,
        ca_file=None,
        policies=None,
        protected=PROTECTED,
        callers=CALLERS,
        credentials=None,
        may_assume=None,
        settings=(),
        variables=None,
    ):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.state = folder / "state"
        self.config = folder / "palisade.toml"
        self.log = folder / "guard.log"
        self.process = None
        self.keys = {}
        self.issued = []
        self.shown = []  # what clients were shown
        self.arguments = []
        self.restore_signals = True
        self.binary = BINARY
        self.runs_as = {}  # the user and groups of its processes, as subprocess takes them
        self.wrapper = []  # the command that runs the binary, where it isn't run as it is
        self.pass_fds = ()
        tables = {"lookup": {"timeout": "2s"}, "upstream": {"timeout": "6s"}}
        if upstream:
            tables["upstream"]["dangerous_override"] = upstream
        if ca_file:
            tables["upstream"]["ca_file"] = str(ca_file)
        top = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "state_dir": str(self.state)}
        if protected is not None:
            (folder / "protected.toml").write_text(protected)
            top["protected"] = "protected.toml"
        if policies is not None:
            self.write_policies(policies)
            top["policies"] = "policies"
        for key, value in dict(settings).items():
            table, _, name = key.rpartition(".")
            (tables.setdefault(table, {}) if table else top)[name] = value
        self.credentials = {"source": "default", "accounts": ACCOUNTS, **(credentials or {})}
        self.config.write_text(_toml(top, tables, callers, self.credentials, may_assume or {}))
        # The guard itself must not heed proxy variables.
        self.environment = clean_environment(
            folder,
            AWS_ACCESS_KEY_ID=CREDENTIALS.access_key,
            AWS_SECRET_ACCESS_KEY=CREDENTIALS.secret_key,
            AWS_SESSION_TOKEN=CREDENTIALS.token,
            HTTPS_PROXY="http://127.0.0.1:1",
            HTTP_PROXY="http://127.0.0.1:1",
            **(variables or {}),
        )

    def write_policies(self, files):
        (self.folder / "policies").mkdir(exist_ok=True)
        for name, text in files.items():
            (self.folder / "policies" / name).write_text(text)

    # --- the process

    def run(self, *arguments, timeout=60):
        """Another subcommand, on the same configuration."""
        return subprocess.run(
            [self.binary, *arguments, "--config", self.config],
            env=self.environment,
            **self.runs_as,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def start(self):
        with self.log.open("ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(
                [*self.wrapper, self.binary, "serve", *self.arguments, "--config", self.config],
                env=self.environment,
                **self.runs_as,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                restore_signals=self.restore_signals,
                pass_fds=self.pass_fds,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            addresses = self._addresses()
            if addresses and addresses["pid"] == self.process.pid:
                self.listen, self.admin = addresses["listen"], addresses["admin"]
                return self
            code = self.process.poll()
            if code is not None:
                raise NotStarted(code, self.log.read_bytes()[begin:].decode())
            time.sleep(0.02)
        self.process.kill()
        raise NotStarted(None, self.log.read_bytes()[begin:].decode())

    def _addresses(self):
        try:
            return json.loads((self.state / "run.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def stop(self):
        """As a service manager would: SIGTERM, and it ends in order."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("the guard did not stop within 20 s of SIGTERM") from None
        return self.process and self.process.returncode

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # --- keys and clients

    def issue(self, caller):
        """A new virtual key pair, by `palisade keys new`."""
        done = self.run("keys", "new", caller, "--json")
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["caller"] == caller
        key = Key(caller, answer["access_key_id"], answer["secret_access_key"])
        self.issued.append(key)
        return key

    def key(self, caller):
        if caller not in self.keys:
            self.keys[caller] = self.issue(caller)
        return self.keys[caller]

    @property
    def ca(self):
        """The file of `palisade ca`, which clients trust."""
        path = self.folder / "ca.pem"
        if not path.exists():
            done = self.run("ca")
            assert done.returncode == 0, done.stderr
            # Several threads may ask for it: it is there whole, or not at all.
            beside = path.with_suffix(f".{threading.get_ident()}")
            beside.write_text(done.stdout)
            beside.replace(path)
        return path

    def variables(self, caller="ci", *, key=None):
        """What a user of this guard sets in the environment."""
        key = key or self.key(caller)
        return {
            "HTTPS_PROXY": f"http://{self.listen}",
            "AWS_CA_BUNDLE": str(self.ca),
            "AWS_ACCESS_KEY_ID": key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            **({"AWS_SESSION_TOKEN": key.session_token} if key.session_token else {}),
        }

    def client(self, service, caller="ci", *, key=None, retries=None, endpoint=None, **settings):
        """A boto3 client that knows of the guard only by the environment. Its attempts are counted."""

        retries = retries or {"mode": "standard"}
        with mock.patch.dict(os.environ, self.variables(caller, key=key)):
            client = boto3.session.Session(botocore_session=botocore.session.Session()).client(
                service,
                endpoint_url=endpoint,
                config=Config(retries=retries, connect_timeout=5, read_timeout=30, **settings),
            )
        client.attempts = 0

        def count(**_):
            client.attempts += 1

        client.meta.events.register("before-send", count)
        client.meta.events.register("after-call", lambda http_response, **_: self._show(http_response))
        return client

    def _show(self, response):
        self.shown.append(f"{response.headers}{response.content!r}")

    # --- what it leaves behind

    def journal(self):
        """Every record, in order."""
        records = []
        for segment in sorted((self.state / "journal").glob("*.jsonl")):
            for line in segment.read_bytes().splitlines():
                try:
                    records.append(json.loads(line))
                except ValueError:
                    continue  # a line that is being written, or was torn
        return records

    def records(self, decision_id=None, phase=None):
        """The guard's own fields of the records of a decision or a phase."""
        return [
            own
            for record in self.journal()
            for own in [record["unmapped"]["palisade"]]
            if (decision_id is None or own.get("decision_id") == decision_id)
            and (phase is None or own["phase"] == phase)
        ]

    def decision(self, decision_id):
        """The record of a decision, once it is written."""
        return eventually(lambda: self.records(decision_id, "decision"), f"decision {decision_id}")[0]

    def outcome(self, decision_id, timeout=10):
        """The record of what became of it, once it is written."""
        return eventually(lambda: self.records(decision_id, "outcome"), f"outcome of {decision_id}", timeout)[0]

    def wait_for_records(self, wanted, timeout=10):
        """The journal, once `wanted(records)` is truthy: some records are not awaited by the client's answer."""
        return eventually(lambda: wanted(self.journal()), "the journal", timeout)

    def get(self, path):
        """Status and text of an admin endpoint."""
        try:
            with _direct.open(f"http://{self.admin}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self):
        """{(sample, (label, value)…): number}."""
        status, text = self.get("/metrics")
        assert status == 200
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def eventually(probe, what, timeout=10):
    """What `probe` answers, once it is truthy."""
    deadline = time.monotonic() + timeout
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(0.02)


def _toml(top, tables, callers, credentials, may_assume):
    lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
    for table, entries in {**tables, "credentials.prod": credentials}.items():
        lines += ["", f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in entries.items())]
    for name, groups in callers.items():
        lines += ["", "[[caller]]", f'name = "{name}"', f"groups = {json.dumps(groups)}", 'credentials = "prod"']
        if name in may_assume:
            lines.append(f"may_assume = {json.dumps(may_assume[name])}")
    return "\n".join([*lines, ""])
