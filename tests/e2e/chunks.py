"""aws-chunked bodies, signed and read with botocore's primitives: an oracle that shares no code with the guard.

What follows here is <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html> and its sibling on trailers.
"""

import datetime
import hashlib
import hmac
import re

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cloud import REGION

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EVENTS = "STREAMING-AWS4-HMAC-SHA256-EVENTS"
_EMPTY = hashlib.sha256(b"").hexdigest()
_AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?.*Signature=([0-9a-f]{64})")


class _Keyword(S3SigV4Auth):
    """Signs a keyword in the place of the body's hash."""

    def __init__(self, keyword, *arguments):
        super().__init__(*arguments)
        self.keyword = keyword

    def payload(self, request):
        return self.keyword


def sign_head(key, method, host, path, headers, keyword, *, service="s3", region=REGION):
    """The signed headers of a request whose body is declared by a keyword, or by a hash."""
    request = AWSRequest(method=method, url=f"https://{host}{path}", headers=headers)
    credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token)
    _Keyword(keyword, credentials, service, region).add_auth(request)
    return dict(request.headers.items())


class Chain:
    """The signatures of a body's pieces, from those of its request's head on."""

    def __init__(self, headers, secret):
        headers = {name.lower(): value for name, value in headers.items()}
        _, day, region, service, self.previous = _AUTHORIZATION.fullmatch(headers["authorization"]).groups()
        self.at = headers["x-amz-date"]
        self.secret, self.region, self.service = secret, region, service
        self.scope = f"{day}/{region}/{service}/aws4_request"
        self.key = self._key(day)

    def _key(self, day):
        key = b"AWS4" + self.secret.encode()
        for part in (day, self.region, self.service, "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key

    def _next(self, *lines):
        self.previous = hmac.new(self.key, "\n".join(lines).encode(), hashlib.sha256).hexdigest()
        return self.previous

    def chunk(self, data):
        digest = hashlib.sha256(data).hexdigest()
        return self._next("AWS4-HMAC-SHA256-PAYLOAD", self.at, self.scope, self.previous, _EMPTY, digest)

    def trailers(self, text):
        digest = hashlib.sha256(text.encode()).hexdigest()
        return self._next("AWS4-HMAC-SHA256-TRAILER", self.at, self.scope, self.previous, digest)

    def event(self, millis, header, payload):
        """`header` is the encoded `:date` header."""
        at = datetime.datetime.fromtimestamp(millis // 1000, datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{at[:8]}/{self.region}/{self.service}/aws4_request"
        self.key = self._key(at[:8])
        digests = (hashlib.sha256(part).hexdigest() for part in (header, payload))
        return self._next("AWS4-HMAC-SHA256-PAYLOAD", at, scope, self.previous, *digests)


def write(data, size, *, chain=None, trailers=None):
    """`data` in chunks."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)] + [b""]
    out = bytearray()
    for piece in pieces:
        signature = f";chunk-signature={chain.chunk(piece)}" if chain else ""
        out += f"{len(piece):x}{signature}\r\n".encode()
        out += piece + b"\r\n" if piece else b""
    for name, value in sorted((trailers or {}).items()):
        out += f"{name}:{value}\r\n".encode()
    if chain and trailers:
        text = "".join(f"{name}:{value}\n" for name, value in sorted(trailers.items()))
        out += f"x-amz-trailer-signature:{chain.trailers(text)}\r\n".encode()
    return bytes(out + b"\r\n")


def read(body, *, chain=None):
    """The data and the trailers of a body in chunks; every signature is checked where there is a chain."""
    data, trailers, rest = bytearray(), {}, body
    while True:
        head, rest = rest.split(b"\r\n", 1)
        size, _, extension = head.decode().partition(";")
        length = int(size, 16)
        piece, rest = rest[:length], rest[length:]
        if chain:
            assert extension == f"chunk-signature={chain.chunk(piece)}"
        else:
            assert extension == ""
        if not length:
            break
        data += piece
        assert rest.startswith(b"\r\n")
        rest = rest[2:]
    text = ""
    while True:
        line, rest = rest.split(b"\r\n", 1)
        if not line:
            break
        name, _, value = line.decode().partition(":")
        if name == "x-amz-trailer-signature":
            assert value == chain.trailers(text)
        else:
            trailers[name] = value
            text += f"{name}:{value}\n"
    assert rest == b""
    return bytes(data), trailers
