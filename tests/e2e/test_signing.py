"""Ways of signing besides the usual one: presigned URLs, Version 4A, and no signature at all."""

import base64
import datetime
import hashlib
import hmac
import json
import re
from unittest import mock

import botocore.auth
import pytest
from botocore.auth import S3SigV4QueryAuth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

import raw
from cloud import REGION
from guard import Guard
from sink import Sink
from upstream import CREDENTIALS

STS = "sts.us-east-1.amazonaws.com"
WHO = "/?Action=GetCallerIdentity&Version=2011-06-15"


@pytest.fixture(scope="module")
def _sink():
    sink = Sink()
    yield sink
    sink.close()


@pytest.fixture
def sink(_sink):
    _sink.reset()
    return _sink


@pytest.fixture(scope="module")
def guard(_sink, tmp_path_factory):
    with Guard(tmp_path_factory.mktemp("signing"), upstream=_sink.url) as running:
        # From here on it knows whose its own credentials are.
        assert get(running, STS, presign(running.key("ci"), STS, WHO, service="sts")).status == 200
        yield running


def presign(key, host, path, *, service, method="GET", expires=900, headers=None, at=None, of_s3=False):
    request = AWSRequest(method=method, url=f"https://{host}{path}", headers=headers or {})
    credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token)
    kind = S3SigV4QueryAuth if of_s3 else SigV4QueryAuth
    at = at or datetime.datetime.now(datetime.timezone.utc)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: at.replace(tzinfo=None)):
        kind(credentials, service, REGION, expires=expires).add_auth(request)
    return request.url.removeprefix(f"https://{host}")


def get(guard, host, path, headers=None, method="GET", body=b""):
    with raw.tls(guard, host) as sock:
        raw.send(sock, method, path, headers or {}, body, host=host)
        answer = raw.read_answer(sock, method)
    guard.shown.append(f"{answer.headers}{answer.body!r}")
    return answer


def code_of(answer):
    return re.search(rb"<Code>(\w+)</Code>", answer.body)[1].decode()


# --- presigned


def test_a_presigned_call_is_signed_in_its_header(guard, sink):
    sink.knows_itself = False
    path = presign(guard.key("ci"), STS, WHO, service="sts")
    assert get(guard, STS, path).status == 200
    [taken] = sink.taken
    assert (taken.target, bytes(taken.body)) == ("/", WHO.removeprefix("/?").encode())
    assert CREDENTIALS.access_key in taken.headers["authorization"]


@pytest.mark.parametrize(
    "change, code",
    [
        (lambda path: path.replace("GetCallerIdentity", "GetSessionToken"), "SignatureDoesNotMatch"),
        (lambda path: path.replace("X-Amz-Expires=900", "X-Amz-Expires=901"), "SignatureDoesNotMatch"),
        (lambda path: path.replace("X-Amz-Expires=900", "X-Amz-Expires=604801"), "SignatureDoesNotMatch"),
        (lambda path: path.replace("&X-Amz-Expires=900", ""), "SignatureDoesNotMatch"),
        (lambda path: path + "&x-amz-acl=private", "SignatureDoesNotMatch"),
        (lambda path: path + "&X-Amz-Date=20200101T000000Z", "SignatureDoesNotMatch"),
    ],
)
def test_a_presigned_url_cannot_be_changed(guard, sink, change, code):
    sink.knows_itself = False
    path = presign(guard.key("ci"), STS, WHO, service="sts")
    changed = change(path)
    assert changed != path
    answer = get(guard, STS, changed)
    assert (answer.status, code_of(answer)) == (403, code)
    assert sink.taken == []


def test_a_presigned_url_expires(guard, sink):
    sink.knows_itself = False
    at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=61)
    answer = get(guard, STS, presign(guard.key("ci"), STS, WHO, service="sts", expires=60, at=at))
    assert code_of(answer) == "RequestExpired"
    assert sink.taken == []
    # It may be older than a header's signature, as long as it says so.
    at -= datetime.timedelta(hours=1)
    assert get(guard, STS, presign(guard.key("ci"), STS, WHO, service="sts", expires=7200, at=at)).status == 200


def test_a_url_that_aws_presigned_is_not_passed_on(guard, sink):
    sink.knows_itself = False
    key = mock.Mock(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key="x", session_token=None)
    answer = get(guard, STS, presign(key, STS, WHO, service="sts"))
    assert (answer.status, code_of(answer)) == (403, "InvalidClientTokenId")
    assert sink.taken == []


def test_a_browsers_form_is_refused_by_name(guard, sink):
    body = b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n--b--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = get(guard, "bucket.s3.us-east-1.amazonaws.com", "/", headers, "POST", body)
    assert answer.status in (400, 403)
    assert sink.taken == []


# --- Version 4A

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
EVENTS = "events.us-east-1.amazonaws.com"


def ecdsa_key(access_key_id, secret):
    for counter in range(1, 255):
        text = b"\0\0\0\1AWS4-ECDSA-P256-SHA256\0" + access_key_id.encode() + bytes([counter]) + b"\0\0\1\0"
        number = int.from_bytes(hmac.new(b"AWS4A" + secret.encode(), text, hashlib.sha256).digest(), "big")
        if number <= ORDER - 2:
            return ec.derive_private_key(number + 1, ec.SECP256R1())
    raise AssertionError


def string_to_sign(method, path, headers, names, body, at, scope):
    canonical = "\n".join(
        [method, path, "", *(f"{name}:{headers[name]}" for name in names), "", ";".join(names)]
        + [hashlib.sha256(body).hexdigest()]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return f"AWS4-ECDSA-P256-SHA256\n{at}\n{scope}\n{digest}".encode()


def signed_4a(key, method, host, path, headers, body, *, service, regions, secret=None):
    at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {name.lower(): value for name, value in headers.items()}
    headers |= {"host": host, "x-amz-date": at, "x-amz-region-set": regions}
    names, scope = sorted(headers), f"{at[:8]}/{service}/aws4_request"
    text = string_to_sign(method, path, headers, names, body, at, scope)
    private = ecdsa_key(key.access_key_id, secret or key.secret_access_key)
    signature = private.sign(text, ec.ECDSA(hashes.SHA256())).hex()
    headers["authorization"] = (
        f"AWS4-ECDSA-P256-SHA256 Credential={key.access_key_id}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    headers.pop("host")
    return headers


def put_events(guard, regions, **how):
    body = json.dumps({"Entries": []}).encode()
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSEvents.PutEvents"}
    headers = signed_4a(guard.key("ci"), "POST", EVENTS, "/", headers, body, service="events", regions=regions, **how)
    return get(guard, EVENTS, "/", headers, "POST", body), body


@pytest.mark.parametrize("regions", ["*", "us-east-1,eu-west-1", "us-*"])
def test_version_4a_is_verified_and_signed_alike(guard, sink, regions):
    answer, body = put_events(guard, regions)
    assert answer.status == 200, answer.body
    [taken] = sink.taken
    headers = taken.headers
    assert headers["x-amz-region-set"] == regions
    found = re.fullmatch(
        r"AWS4-ECDSA-P256-SHA256 Credential=([^/]+)/(\d{8}/events/aws4_request), SignedHeaders=([^,]+), Signature=(\w+)",
        headers["authorization"],
    )
    access_key_id, scope, names, signature = found.groups()
    assert access_key_id == CREDENTIALS.access_key
    text = string_to_sign("POST", "/", headers, names.split(";"), body, headers["x-amz-date"], scope)
    public = ecdsa_key(CREDENTIALS.access_key, CREDENTIALS.secret_key).public_key()
    public.verify(bytes.fromhex(signature), text, ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        public.verify(bytes.fromhex(signature), text + b"x", ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("how", [{"regions": "eu-west-1"}, {"regions": "*", "secret": "another"}])
def test_another_key_or_region_of_version_4a_is_refused(guard, sink, how):
    answer, _ = put_events(guard, **how)
    assert answer.code == "InvalidSignatureException"
    assert sink.taken == []


# --- unsigned operations

COGNITO = "cognito-idp.us-east-1.amazonaws.com"


def unsigned(guard, operation, given):
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"AWSCognitoIdentityProviderService.{operation}",
    }
    return get(guard, COGNITO, "/", headers, "POST", json.dumps(given).encode())


def test_what_nobody_signs_goes_on_unsigned_and_on_record(guard, sink):
    given = {"ClientId": "abc", "Username": "u", "Password": "p"}
    answer = unsigned(guard, "SignUp", given)
    assert answer.status == 200, answer.body
    [taken] = sink.taken
    assert json.loads(bytes(taken.body)) == given
    assert "authorization" not in taken.headers and "x-amz-security-token" not in taken.headers
    [record] = guard.wait_for_records(
        lambda records: [r for r in records if r["api"]["operation"] == "SignUp"],
    )
    assert record["actor"]["user"]["name"] == "unverified"


def test_an_operation_that_is_signed_needs_its_signature(guard, sink):
    answer = unsigned(guard, "AdminDeleteUser", {"UserPoolId": "us-east-1_a", "Username": "u"})
    assert answer.code == "MissingAuthenticationTokenException"
    assert sink.taken == []


def form(guard, host, **given):
    body = "&".join(f"{name}={value}" for name, value in given.items()).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return get(guard, host, "/", headers, "POST", body)


def test_keys_are_minted_for_nobody(guard, sink):
    sink.knows_itself = False
    token = base64.urlsafe_b64encode(b"{}").decode().rstrip("=")
    answer = form(
        guard,
        STS,
        Action="AssumeRoleWithWebIdentity",
        Version="2011-06-15",
        RoleArn="arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fr",
        RoleSessionName="s",
        WebIdentityToken=token,
    )
    assert (answer.status, code_of(answer)) == (403, "AccessDenied")
    assert sink.taken == []
    portal = "portal.sso.us-east-1.amazonaws.com"
    path = "/federation/credentials?role_name=r&account_id=123456789012"
    answer = get(guard, portal, path, {"x-amz-sso_bearer_token": "t"})
    assert answer.status == 403 and "no policy permits it" in answer.message
    assert sink.taken == []


def test_a_policy_may_let_nobody_have_keys(_sink, tmp_path):
    _sink.reset()
    policies = {
        "sso.cedar": '@id("sso") permit (principal == Caller::"unverified", '
        'action == Action::"sso:GetRoleCredentials", resource);'
    }
    portal = "portal.sso.us-east-1.amazonaws.com"
    path = "/federation/credentials?role_name=r&account_id=123456789012"
    with Guard(tmp_path, upstream=_sink.url, policies=policies) as guard:
        answer = get(guard, portal, path, {"x-amz-sso_bearer_token": "t"})
        assert answer.status == 200, answer.body
        [taken] = _sink.taken
        assert taken.headers["x-amz-sso_bearer_token"] == "t"
        assert "authorization" not in taken.headers
        other = get(guard, portal, "/assignment/accounts", {"x-amz-sso_bearer_token": "t"})
        assert other.status == 403
