"""What the tests share: one stand-in for AWS, one guard before it, and clients of both kinds."""

import os
import subprocess
import sys

import pytest

# Nothing of the surroundings may reach the clients: each gets what a test gives it.
for _name in list(os.environ):
    if _name.upper().startswith("AWS_") or _name.upper() in {
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    }:
        del os.environ[_name]
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

from guard import Guard, clean_environment  # noqa: E402
from moto_server import Moto  # noqa: E402
from tls import make_server_files  # noqa: E402
from upstream import Upstream  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "last: judges what the whole run left behind; runs after all others")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture(scope="session")
def _upstream(tmp_path_factory):
    server = Upstream(make_server_files(tmp_path_factory.mktemp("upstream"), "localhost"))
    yield server
    server.close()


@pytest.fixture
def upstream(_upstream):
    """The stand-in, with nothing seen yet. After each test, whatever it saw was signed as AWS wants it."""
    _upstream.reset()
    yield _upstream
    problems = [f"{seen.action}: {seen.signature_problem}" for seen in _upstream.calls() if seen.signature_problem]
    assert not problems


@pytest.fixture
def cloud(upstream):
    return upstream.cloud


@pytest.fixture(scope="module")
def moto():
    """A stand-in that we didn't write."""
    server = Moto()
    yield server
    server.close()


@pytest.fixture(scope="session")
def guard(_upstream, tmp_path_factory):
    """The guard that most tests share."""
    with Guard(tmp_path_factory.mktemp("guard"), upstream=_upstream.url, ca_file=_upstream.ca) as running:
        know_the_account(running)
        yield running


def know_the_account(guard):
    """A first guarded call, so that the guard has asked STS whose its credentials are before any test counts."""
    client = guard.client("evs")
    try:
        client.tag_resource(resourceArn="arn:aws:evs:us-east-1:123456789012:environment/env-0", tags={"protected": "x"})
    except client.exceptions.ClientError:
        pass


@pytest.fixture
def new_guard(_upstream, tmp_path):
    """Makes guards of a test's own, not started yet; those that run are stopped at the end."""
    made = []

    def make(name="guard", **settings):
        settings.setdefault("upstream", _upstream.url)
        settings.setdefault("ca_file", _upstream.ca)
        made.append(Guard(tmp_path / name, **settings))
        return made[-1]

    yield make
    for one in made:
        if one.process and one.process.poll() is None:
            one.kill()


@pytest.fixture
def aws(guard, tmp_path):
    """Runs the AWS CLI through the guard."""

    def run(*arguments, caller="ci", guard=guard, key=None, timeout=60):
        done = subprocess.run(
            [sys.executable, "-m", "awscli", *arguments],
            env=clean_environment(tmp_path, **guard.variables(caller, key=key)),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        guard.shown.append(done.stdout + done.stderr)
        return done

    return run
