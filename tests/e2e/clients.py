"""Real clients as programs: each makes one call, knows of the guard only by its environment, and tells what its user
gets."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from botocore import xform_name

from guard import REPOSITORY, clean_environment

PROGRAMS = REPOSITORY / "tests/clients"
SDK = Path(os.environ.get("PALISADE_SDK") or REPOSITORY / "target/debug/examples/sdk")
NODE = os.environ.get("NODE", "node")
# More than any of them takes by default: one that tries again is seen to.
RETRIES = {"AWS_MAX_ATTEMPTS": "5"}


@dataclass(frozen=True)
class Told:
    """What the user of a client gets of a call."""

    ok: bool
    # The class that is raised, and the code that it carries.
    exception: str | None
    code: str | None
    message: str
    # How often the client sent; `None` where it doesn't say.
    attempts: int | None
    request_id: str | None
    # AWS's answer, as the client shows it; `None` where it shows none.
    output: object
    # All that it printed.
    text: str


def told_of(told, text):
    """Of what a client printed as JSON."""
    # Where a client tells a number of its own, it is what was counted.
    assert told.get("attempts_told") in (None, told["attempts"])
    return Told(
        told["ok"],
        told.get("exception"),
        told.get("code"),
        told.get("message") or "",
        told["attempts"],
        told.get("request_id"),
        told.get("output"),
        text,
    )


@dataclass(frozen=True)
class Client:
    """A client that prints what it got as JSON."""

    name: str
    program: tuple
    # What its user sets besides a proxy, a key and a region: where it finds the certificate authority.
    trust: str
    more: dict = field(default_factory=dict, hash=False)
    arguments: tuple = ()
    speaks: tuple = ("workspaces", "workspaces-instances", "servicecatalog", "mgn", "evs")

    def __str__(self):
        return self.name

    def command(self, service, operation, given, profile=None):
        return [*self.program, service, operation, json.dumps(given), *self.arguments, *([profile] if profile else [])]

    def variables(self, guard, caller="ci", *, key=None):
        """What its user sets in the environment."""
        known = guard.variables(caller, key=key)
        bundle = known.pop("AWS_CA_BUNDLE")
        return {**known, self.trust: bundle, "AWS_REGION": known["AWS_DEFAULT_REGION"], **RETRIES, **self.more}

    def call(self, guard, home, service, operation, given, *, caller="ci", key=None, timeout=60):
        environment = clean_environment(home, **self.variables(guard, caller, key=key))
        done = subprocess.run(
            self.command(service, operation, given), env=environment, capture_output=True, text=True, timeout=timeout
        )
        guard.shown.append(done.stdout + done.stderr)
        return self.read(done)

    def read(self, done):
        """What it tells, of what it printed."""
        lines = done.stdout.strip().splitlines()
        assert lines, done.stderr
        told = json.loads(lines[-1])
        assert (done.returncode == 0) == told["ok"], done
        return told_of(told, done.stdout + done.stderr)


class Cli(Client):
    """The AWS CLI: an exit code, and a line on stderr."""

    _ERROR = re.compile(r"An error occurred \((\w+)\) when calling the (\w+) operation(?: \([^)]*\))?: (.*)", re.DOTALL)

    def command(self, service, operation, given, profile=None):
        named = ["--profile", profile] if profile else []
        return [*self.program, service, xform_name(operation, "-"), "--cli-input-json", json.dumps(given), *named]

    def read(self, done):
        text = done.stdout + done.stderr
        if done.returncode == 0:
            output = json.loads(done.stdout) if done.stdout.startswith("{") else None
            return Told(True, None, None, "", None, None, output, text)
        found = self._ERROR.search(done.stderr)
        code, message = (found[1], found[3].strip()) if found else (None, done.stderr)
        return Told(False, f"exit {done.returncode}", code, message, None, None, None, text)


def boto3(mode):
    program = (sys.executable, str(PROGRAMS / "call.py"))
    return Client(f"boto3 {mode}", program, "AWS_CA_BUNDLE", {"AWS_RETRY_MODE": mode})


def javascript(mode, protocol="json", **more):
    program = (NODE, "--no-warnings", str(PROGRAMS / "js/call.mjs"))
    name = f"JavaScript {protocol} {mode}"
    return Client(name, program, "NODE_EXTRA_CA_CERTS", {"AWS_RETRY_MODE": mode}, (protocol,), **more)


def rust(mode):
    more = {"AWS_RETRY_MODE": mode}
    return Client(f"Rust {mode}", (str(SDK),), "SSL_CERT_FILE", more, speaks=("workspaces-instances", "evs"))


BOTO3 = [boto3(mode) for mode in ("standard", "legacy", "adaptive")]
CLI = Cli("AWS CLI", (sys.executable, "-m", "awscli"), "AWS_CA_BUNDLE")
JAVASCRIPT = [javascript(mode) for mode in ("standard", "adaptive")]
# The services whose models list rpcv2Cbor.
JAVASCRIPT_CBOR = javascript("standard", "cbor", speaks=("workspaces", "workspaces-instances", "servicecatalog"))
RUST = rust("standard")
CLIENTS = [*BOTO3, CLI, *JAVASCRIPT, JAVASCRIPT_CBOR, RUST]
# One of each kind.
KINDS = [BOTO3[0], CLI, JAVASCRIPT[0], JAVASCRIPT_CBOR, RUST]
