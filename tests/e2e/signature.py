"""Signature Version 4, recomputed by botocore: an oracle that shares no code with the guard."""

import datetime
import hashlib
import re

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;.-]+), ?Signature=([0-9a-f]{64})"
)
CLOCK_SKEW_MAX = datetime.timedelta(minutes=5)


class _Recompute(SigV4Auth):
    """Signs over exactly the headers that were signed."""

    def headers_to_sign(self, request):
        headers = HTTPHeaders()
        for name, value in request.headers.items():
            headers[name.lower()] = value
        return headers


def access_key_of(headers):
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    return found and found[1]


def problem(method, target, headers, body, *, credentials, region, service):
    """What is wrong with a request's signature; `None` if AWS would accept it. `headers` have lower-case names."""
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if not found:
        return f"no signature: {headers.get('authorization')!r}"
    access_key, day, scope_region, scope_service, names, signature = found.groups()
    signed = names.split(";")
    if access_key != credentials.access_key:
        return f"unknown access key {access_key}"
    if (scope_region, scope_service) != (region, service):
        return f"scope {scope_region}/{scope_service}, the host is {region}/{service}"
    if signed != sorted(set(signed)):
        return f"signed headers not in order: {names}"
    for name in signed:
        if name not in headers:
            return f"signed header {name} absent"
    for name in headers:
        if (name == "host" or name.startswith("x-amz-")) and name not in signed:
            return f"header {name} not signed"
    if credentials.token and headers.get("x-amz-security-token") != credentials.token:
        return "wrong session token"
    stamp = headers.get("x-amz-date", "")
    try:
        made = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return f"x-amz-date is {stamp!r}"
    if abs(datetime.datetime.now(datetime.timezone.utc) - made) > CLOCK_SKEW_MAX or not stamp.startswith(day):
        return f"stale: {stamp}"
    declared = headers.get("x-amz-content-sha256")
    if declared not in (None, hashlib.sha256(body).hexdigest()):
        return f"x-amz-content-sha256 is {declared}, the body's hash is another"

    request = AWSRequest(
        method=method,
        url=f"https://{headers['host']}{target}",
        data=body,
        headers={name: headers[name] for name in signed},
    )
    request.context["timestamp"] = stamp
    signer = _Recompute(Credentials(credentials.access_key, credentials.secret_key), service, region)
    canonical = signer.canonical_request(request)
    expected = signer.signature(signer.string_to_sign(request, canonical), request)
    if signature != expected:
        return f"signature mismatch over\n{canonical}"
    return None
