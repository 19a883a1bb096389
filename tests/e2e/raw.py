"""A client that sends what no SDK would: CONNECT, TLS and HTTP by hand, signed by botocore or not at all."""

import datetime
import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from unittest import mock

import botocore.auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cloud import REGION

TIMEOUT = 20


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.headers.get("x-amzn-errortype") or self.json.get("__type")

    @property
    def message(self):
        return self.json["message"]


class Refused(Exception):
    """The proxy didn't open the way; `status` and `text` are its answer."""

    def __init__(self, status, text):
        super().__init__(f"{status} {text}")
        self.status, self.text = status, text


def connect(guard, authority):
    """A socket behind CONNECT."""
    host, port = guard.listen.rsplit(":", 1)
    sock = socket.create_connection((host, int(port)), timeout=TIMEOUT)
    sock.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    answer = read_answer(sock, "CONNECT")
    if answer.status != 200:
        sock.close()
        raise Refused(answer.status, answer.body.decode())
    return sock


def tls(guard, host, *, sni=None, port=443):
    """TLS with the guard's leaf, verified for `host` unless another name is sent as SNI."""
    context = ssl.create_default_context(cafile=str(guard.ca))
    context.check_hostname = sni is None
    return context.wrap_socket(connect(guard, f"{host}:{port}"), server_hostname=sni or host)


def read_answer(sock, method="POST"):
    # Unbuffered, so that not a byte of what comes after the head of a CONNECT's answer is taken.
    answer = http.client.HTTPResponse(_Unbuffered(sock) if method == "CONNECT" else sock, method=method)
    answer.begin()
    if method == "CONNECT" and answer.status == 200:
        return Answer(200, {}, b"")
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, headers, answer.read())


class _Unbuffered:
    def __init__(self, sock):
        self.sock = sock

    def makefile(self, mode):
        return self.sock.makefile(mode, buffering=0)


def signed(key, method, host, path, headers, body, *, service, region=REGION, clock=None, token=None):
    """The headers with a signature, dated now or at `clock`."""
    request = AWSRequest(method=method, url=f"https://{host}{path}", data=body, headers=headers)
    credentials = Credentials(key.access_key_id, key.secret_access_key, token)
    at = clock or datetime.datetime.now(datetime.timezone.utc)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda *_, **__: at.replace(tzinfo=None)):
        SigV4Auth(credentials, service, region).add_auth(request)
    return dict(request.headers.items())


def send(sock, method, path, headers, body, *, host):
    """Writes one request, framed by its length unless the headers frame it."""
    headers = {"Host": host, **headers}
    framed = {name.lower() for name in headers} & {"content-length", "transfer-encoding"}
    if not framed:
        headers["Content-Length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    sock.sendall("\r\n".join(lines).encode("latin-1") + body)


def call(guard, host, method, path, headers, body, *, service, caller="ci", key=None, extra=(), **signing):
    """One request through the guard. `extra` headers are added after signing."""
    key = key or guard.key(caller)
    headers = signed(key, method, host, path, headers, body, service=service, **signing)
    with tls(guard, host) as sock:
        send(sock, method, path, {**headers, **dict(extra)}, body, host=host)
        answer = read_answer(sock, method)
    guard.shown.append(f"{answer.headers}{answer.body!r}")
    return answer
