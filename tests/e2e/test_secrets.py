"""No path hands out a real credential: neither to a client, nor to a log, a journal, a page of metrics or a file.

Each test drives a guard of its own that logs all it can, then looks for the upstream credentials, in every spelling that
they could have, in whatever came out of it.
"""

import base64
import gzip
import json
import urllib.parse

import pytest

import raw
from apis import APIS, EVS, INSTANCES, WORKSPACES, wire
from checks import error_of
from clients import CLI, KINDS
from cloud import ACCOUNT, AwsError
from guard import Key
from roles import SOURCE
from upstream import CREDENTIALS, Drop, Fail, Garbage, Truncate

REAL = {
    "access key id": CREDENTIALS.access_key,
    "secret access key": CREDENTIALS.secret_key,
    "session token": CREDENTIALS.token,
}
LEVELS = {"PALISADE_LOG": "trace"}


class Repeat:
    """AWS's answer to a signature that isn't right: it repeats what it would have signed, headers and all."""

    def __init__(self, code="InvalidSignatureException"):
        self.code = code

    def __call__(self, handler, seen):
        lines = "\n".join(f"{name}:{value}" for name, value in sorted(seen.headers.items()))
        message = (
            "The request signature we calculated does not match the signature you provided.\n\n"
            f"The Canonical String for this request should have been\n'POST\n/\n\n{lines}\n'"
        )
        handler.answer_error(seen, AwsError(self.code, message, 403))


class RepeatEncoded(Repeat):
    """The same, and its code too, in an encoding."""

    def __init__(self, encoding, encode):
        super().__init__()
        self.encoding, self.encode = encoding, encode

    def __call__(self, handler, seen):
        headers = "\n".join(f"{name}:{value}" for name, value in sorted(seen.headers.items()))
        body = json.dumps({"__type": self.code, "message": headers}).encode()
        handler._write(seen, 403, self.encode(body), handler._json_type(seen), **{"Content-Encoding": self.encoding})


class RepeatAtLength(Repeat):
    """The same, too long for an error, without its code in a header, in words that aren't JSON."""

    def __call__(self, handler, seen):
        headers = "\n".join(f"{name}:{value}" for name, value in sorted(seen.headers.items()))
        body = (f"<Error><Code>Whatever</Code><Token>{headers}" + "x" * 70_000).encode()
        handler._write(seen, 400, body, handler._json_type(seen))


def spellings(secret):
    data = secret.encode()
    yield secret
    yield urllib.parse.quote(secret, safe="")
    yield secret.replace("/", "\\/")
    yield data.hex()
    # base64 by each place in a group of three that it may begin at; ends that depend on neighbours are left out.
    for shift in range(3):
        yield base64.b64encode(b"\0" * shift + data).decode()[4:-4]


def leaks(guard, sessions=()):
    """Each real credential that came out of the guard, and where; `sessions` are those of roles."""
    real = [*REAL.items()]
    for session in sessions:
        keys = session.credentials
        real += [(session.role, text) for text in (keys.access_key, keys.secret_key, keys.token)]
    texts = {f"client {n}": text for n, text in enumerate(guard.shown)}
    texts["log"] = guard.log.read_text(errors="replace")
    for path in guard.state.rglob("*"):
        if path.is_file():
            texts[str(path)] = path.read_bytes().decode("latin-1")
    return [
        (name, place)
        for place, text in texts.items()
        for name, secret in real
        if any(spelling in text for spelling in spellings(secret))
    ]


@pytest.fixture
def guard(new_guard):
    return new_guard(variables=LEVELS).start()


def show(guard, *arguments):
    """Another subcommand; what it prints is shown to its user."""
    done = guard.run(*arguments)
    guard.shown.append(done.stdout + done.stderr)
    return done


def call(guard, api, things, **more):
    method, path, headers, body = wire(api, api.params(things))
    return raw.call(guard, api.host, method, path, headers, body, service=api.service, **more)


@pytest.mark.parametrize("client", KINDS, ids=str)
def test_not_to_a_client_that_is_allowed_or_denied(guard, upstream, cloud, tmp_path, client):
    for api in APIS:
        if api.service in client.speaks:
            client.call(guard, tmp_path, api.service, api.operation, api.params(api.make(cloud)))
            guarded = api.params(api.make(cloud, tags={"protected": "true"}))
            client.call(guard, tmp_path, api.service, api.operation, guarded)
    assert upstream.destructive()
    assert len(guard.shown) > 1
    assert leaks(guard) == []


def test_not_to_a_client_that_logs_every_byte(guard, upstream, cloud, aws):
    for given in ({}, {"tags": {"protected": "true"}}):
        done = aws("--debug", *WORKSPACES.command(WORKSPACES.make(cloud, **given)), guard=guard)
        assert "Response headers" in done.stderr
    aws("--debug", "sts", "get-caller-identity", guard=guard)
    assert leaks(guard) == []


@pytest.mark.parametrize(
    "act",
    [
        Fail("InternalFailure", "broken", 500),
        Fail("ExpiredTokenException", "The security token included in the request is expired", 403),
        Drop(),
        Truncate(),
        Garbage(),
        Repeat(),
        Repeat("SignatureDoesNotMatch"),
        RepeatEncoded("gzip", gzip.compress),
        RepeatAtLength(),
        RepeatEncoded("x-unheard-of", bytes),
    ],
    ids=lambda act: getattr(act, "encoding", None) or getattr(act, "code", None) or type(act).__name__,
)
def test_not_by_what_aws_says_of_a_call_that_fails(guard, upstream, cloud, act):
    """Guarded and not, and in a lookup; the last says what it was signed with."""
    things = {api: api.make(cloud) for api in (WORKSPACES, INSTANCES, EVS)}
    for name, api in [
        ("TerminateWorkspaces", WORKSPACES),
        ("ListTagsForResource", INSTANCES),
        ("GetEnvironment", EVS),
    ]:
        with upstream.fault(name, act):
            assert call(guard, api, things[api]).status != 200
    read = WORKSPACES.host, "POST", "/", {"X-Amz-Target": f"{WORKSPACES.target}.DescribeWorkspaces"}
    headers = {**read[3], "Content-Type": "application/x-amz-json-1.1"}
    with upstream.fault("DescribeWorkspaces", act):
        try:
            raw.call(guard, *read[:3], headers, b"{}", service="workspaces")
        except (OSError, raw.http.client.HTTPException):
            pass  # cut off, as AWS cut it off
    assert leaks(guard) == []


def test_not_by_asking_sts(guard, upstream, tmp_path):
    """Nobody without leave gets keys from STS, which would make them from the guard's own."""
    role = {"RoleArn": "arn:aws:iam::123456789012:role/admin", "RoleSessionName": "me"}
    for operation, given in [
        ("GetSessionToken", {}),
        ("GetFederationToken", {"Name": "me"}),
        ("AssumeRole", role),
        ("AssumeRoleWithWebIdentity", {**role, "WebIdentityToken": "eyJhbGciOiJub25lIn0.e30."}),
        ("AssumeRoot", {"TargetPrincipal": "210987654321", "TaskPolicyArn": {"arn": "arn:aws:iam::aws:policy/x"}}),
    ]:
        told = CLI.call(guard, tmp_path, "sts", operation, given)
        assert not told.ok, operation
        assert upstream.calls(operation) == []
    CLI.call(guard, tmp_path, "sts", "GetCallerIdentity", {})
    CLI.call(guard, tmp_path, "sts", "GetAccessKeyInfo", {"AccessKeyId": guard.key("ci").access_key_id})
    assert leaks(guard) == []


def test_not_by_roles_and_their_sessions(new_guard, upstream, cloud, tmp_path):
    """What STS hands out for a role stays with the guard; whoever assumes one gets keys of the guard's."""
    work, guarded, mine, broken = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("work", "guarded", "mine", "broken"))
    for role, by in ((work, SOURCE), (guarded, SOURCE), (mine, work)):
        upstream.sts.trust(role, by=(by,))
    guard = new_guard(
        variables=LEVELS,
        credentials={"accounts": [ACCOUNT], "role_arn": work, "guarded_role_arn": guarded},
        may_assume={"ci": [mine, broken]},
    ).start()
    told = CLI.call(guard, tmp_path, "sts", "AssumeRole", {"RoleArn": mine, "RoleSessionName": "me"})
    assert told.ok, told.text
    keys = told.output["Credentials"]
    session = Key("ci", keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    for key in (None, session):
        for api in APIS:
            api.destroy(guard.client(api.service, key=key), api.make(cloud))
            things = api.make(cloud, tags={"protected": "true"})
            error_of(lambda api=api, key=key, things=things: api.destroy(guard.client(api.service, key=key), things))
    for act in (Repeat("SignatureDoesNotMatch"), Fail("AccessDenied", "no", 403), Garbage()):
        with upstream.fault("AssumeRole", act):
            assert not CLI.call(guard, tmp_path, "sts", "AssumeRole", {"RoleArn": broken, "RoleSessionName": "me"}).ok
    sessions = upstream.sts.sessions.values()
    assert {one.role for one in sessions} == {work, guarded, mine}
    assert {seen.signer for seen in upstream.destructive()} == {guarded}
    assert {seen.signer for seen in upstream.calls("DescribeTags")} == {work, mine}
    for path in ("/metrics", "/readyz"):
        guard.shown.append(guard.get(path)[1])
    show(guard, "journal", "show", "--json")
    assert leaks(guard, sessions) == []


def test_not_to_those_who_ask_wrongly(guard, upstream, cloud):
    things = WORKSPACES.make(cloud)
    method, path, headers, body = wire(WORKSPACES, WORKSPACES.params(things))
    host = WORKSPACES.host

    def send(body=body, headers=headers, **more):
        return raw.call(guard, host, method, path, headers, body, **{"service": "workspaces", **more})

    assert send(body=b'{"TerminateWorkspaceRequests":').status == 400
    assert send(body=body[:-1] + b',"Unknown":1}').status in (400, 403)
    assert send(headers={**headers, "X-Amz-Target": "WorkspacesService.Destroy"}).status in (400, 403)
    assert send(service="evs").status in (400, 403)
    assert send(token="x" * 200).status in (400, 403)
    wrong = guard.issue("ci")
    stranger = type(wrong)("ci", "AKIASTRANGER00000001", "x" * 40)
    assert send(key=stranger).status in (400, 403)
    forged = type(wrong)("ci", wrong.access_key_id, "x" * 40)
    assert send(key=forged).status in (400, 403)
    # As AWS's own would be: the guard's, with a secret that isn't its.
    assert send(key=type(wrong)("ci", CREDENTIALS.access_key[:-1] + "9", "x" * 40)).status in (400, 403)
    for authority in ("169.254.169.254:80", "169.254.170.2:80", "localhost:9901", "sts.amazonaws.com:22"):
        with pytest.raises(raw.Refused) as refused:
            raw.connect(guard, authority)
        guard.shown.append(refused.value.text)
    assert upstream.destructive() == []
    assert leaks(guard) == []


def test_not_by_a_subcommand_or_a_page(guard, upstream, cloud):
    for given in ({}, {"tags": {"protected": "true"}}):
        call(guard, WORKSPACES, WORKSPACES.make(cloud, **given))
    for path in ("/metrics", "/healthz", "/readyz", "/", "/config", "/debug", "/keys"):
        guard.shown.append(guard.get(path)[1])
    for arguments in [
        ("keys", "list"),
        ("keys", "list", "--json"),
        ("keys", "new", "ci", "--json"),
        ("journal", "show"),
        ("journal", "show", "--json"),
        ("journal", "verify"),
        ("policy", "check"),
        ("ca",),
        ("serve",),  # a second on one state folder
    ]:
        show(guard, *arguments)
    guard.stop()
    assert leaks(guard) == []


@pytest.mark.parametrize(
    "output",
    [
        "{secrets}",
        '{{"Version": 1, "AccessKeyId": "{id}", "SecretAccessKey": "{secret}", "SessionToken": "{token}", }}',
        '{{"Version": 2, "AccessKeyId": "{id}", "SecretAccessKey": "{secret}", "SessionToken": "{token}"}}',
        '{{"Version": 1, "AccessKeyId": "{id}", "SecretAccessKey": "{secret}", "SessionToken": "{token}", '
        '"Expiration": "2001-01-01T00:00:00Z"}}',
    ],
    ids=["not JSON", "nearly JSON", "another version", "expired"],
)
def test_not_by_a_source_of_credentials_that_fails(new_guard, upstream, cloud, tmp_path, output):
    """What a `credential_process` printed is not repeated."""
    ident, secret, token = REAL.values()
    printed = output.format(secrets=" ".join(REAL.values()), id=ident, secret=secret, token=token)
    process = tmp_path / "process"
    process.write_text(f"#!/bin/sh\ncat <<'END'\n{printed}\nEND\n")
    process.chmod(0o755)
    profiles = tmp_path / "config"
    profiles.write_text(f"[profile prod]\ncredential_process = {process}\n")
    guard = new_guard(variables={**LEVELS, "AWS_CONFIG_FILE": str(profiles)})
    text = guard.config.read_text().replace('source = "default"', 'profile = "prod"')
    guard.config.write_text(text)
    guard.start()
    answer = call(guard, WORKSPACES, WORKSPACES.make(cloud))
    assert answer.status != 200
    assert "prod" in json.dumps(answer.json)
    assert upstream.calls() == []
    guard.shown.append(guard.get("/readyz")[1])
    assert leaks(guard) == []
