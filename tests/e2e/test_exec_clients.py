"""Every client in `palisade exec`, with every API, by each way of naming a profile: none of them is set up for the guard,
and each call is signed by the profile that was asked for."""

import json
import sys

import pytest

from apis import APIS
from clients import CLIENTS, KINDS, RETRIES
from test_exec import KEYS, ROLE, SECRETS, User, many_keys, sts  # noqa: F401

# What the profiles sign with.
SIGNERS = {"other": KEYS["other"], "role": ROLE}
# Runs the commands of a list, and prints what became of each.
RUN_ALL = """
import json, subprocess, sys
done = [subprocess.run(command, capture_output=True, text=True) for command in json.loads(sys.argv[1])]
print(json.dumps([(one.args, one.returncode, one.stdout, one.stderr) for one in done]))
"""


class Shown:
    """What a client printed, as a `CompletedProcess` has it."""

    def __init__(self, args, returncode, stdout, stderr):
        self.args, self.returncode, self.stdout, self.stderr = args, returncode, stdout, stderr


@pytest.fixture
def user(tmp_path, upstream, sts):  # noqa: F811
    return User(tmp_path / "home", upstream, sts)


@pytest.mark.parametrize("profile", SIGNERS)
@pytest.mark.parametrize("named", ["to exec", "to the command"])
@pytest.mark.parametrize("client", KINDS, ids=str)
def test_every_client_calls_as_the_profile_that_was_named(user, upstream, cloud, client, named, profile):
    spoken = [api for api in APIS if api.service in client.speaks]
    free = {api: api.make(cloud) for api in spoken}
    kept = {api: api.make(cloud, tags={"protected": "true"}) for api in spoken}
    inside = profile if named == "to the command" else None
    commands = [
        client.command(api.service, api.operation, api.params(things[api]), inside)
        for api in spoken
        for things in (free, kept)
    ]
    options = [] if inside else ["--profile", profile]
    done = user.python(RUN_ALL, json.dumps(commands), options=options, environment={**RETRIES, **client.more}, timeout=110)
    assert done.returncode == 0, done.stderr
    told = [client.read(Shown(*one)) for one in json.loads(done.stdout)]
    for api, allowed, denied in zip(spoken, told[::2], told[1::2], strict=True):
        assert allowed.ok, allowed.text
        assert not api.alive(cloud, free[api])
        assert denied.code == "AccessDeniedException", denied.text
        assert "protected-tag" in denied.message
        assert denied.attempts in (1, None)
        assert api.alive(cloud, kept[api]) == kept[api]
        assert done.stderr.count(f"REFUSED {api} ") == 1
    assert [seen.action for seen in upstream.destructive()] == [str(api) for api in spoken]
    assert {seen.access_key for seen in upstream.calls() if seen.service != "sts"} == {SIGNERS[profile].access_key}
    said = done.stdout + done.stderr
    assert not [secret for secret in SECRETS if secret in said]
    assert f" {2 * len(spoken)} calls, {2 * len(spoken)} guarded: {len(spoken)} allowed, {len(spoken)} refused" in done.stderr


def test_the_kinds_are_all_of_the_matrix():
    assert {client.program for client in KINDS} == {client.program for client in CLIENTS}
