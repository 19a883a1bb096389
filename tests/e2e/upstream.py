"""A stand-in for AWS that takes nothing on trust.

An HTTPS server for every AWS host. It recomputes each request's signature with botocore's signer, reads the input
by botocore's service models and refuses what they don't know, records what it saw, and fails on demand.
"""

import json
import re
import socket
import ssl
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

import botocore.session
from botocore.credentials import Credentials
from botocore.validate import ParamValidator

import cbor
import signature
from cloud import HANDLERS, REGION, AwsError, Cloud, is_destructive
from roles import Sts

SERVICES = ("workspaces", "workspaces-instances", "servicecatalog", "mgn", "evs", "sts")

# What the guard signs with. Made up; the token is long, as real ones are.
CREDENTIALS = Credentials(
    "ASIAUPSTREAMGUARD001",
    "upstream/Secret+OfTheGuard0123456789abcdefg",
    "UpstreamSessionToken" + "0123456789abcdefghij" * 12,
)


@dataclass
class Seen:
    """One request, as it arrived."""

    host: str
    service: str
    operation: str
    input: dict
    headers: dict
    body: bytes
    target: str
    access_key: str
    signature_problem: str | None
    signer: str  # the role's ARN, or `roles.SOURCE`
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    at: float = field(default_factory=time.monotonic)

    @property
    def action(self):
        return f"{self.service}:{self.operation}"

    @property
    def destructive(self):
        return is_destructive(self.operation)

    @property
    def user_agent(self):
        return self.headers.get("user-agent", "")


class Drop:
    """Reads the request, then closes without an answer."""

    def __call__(self, handler, seen):
        handler.hang_up()


class Truncate:
    """Begins an answer and closes before its end."""

    def __call__(self, handler, seen):
        handler.wfile.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 500\r\n\r\n{"
        )
        handler.hang_up()


class Garbage:
    """Answers what isn't HTTP."""

    def __call__(self, handler, seen):
        handler.wfile.write(b"\x00\x01 no answer at all\r\n\r\n")
        handler.hang_up()


class Hang:
    """Reads the request and answers nothing, until released or the peer goes."""

    def __init__(self):
        self.released = threading.Event()

    def __call__(self, handler, seen):
        self.released.wait(60)
        handler.hang_up()


class Delay:
    """Answers as usual, but only once released."""

    def __init__(self):
        self.released = threading.Event()

    def __call__(self, handler, seen):
        self.released.wait(60)
        return False


class Fail:
    """Answers an error."""

    def __init__(self, code, message="on demand", status=400):
        self.error = AwsError(code, message, status)

    def __call__(self, handler, seen):
        handler.answer_error(seen, self.error)


class Answer:
    """Answers this in place of the truth."""

    def __init__(self, body):
        self.body = body

    def __call__(self, handler, seen):
        handler.answer(seen, self.body)


@dataclass
class _Fault:
    operation: str
    act: object
    times: int


class Upstream:
    """The server. `cloud` is its state, `sts` its roles; `calls()` is what it saw since the last `reset()`."""

    def __init__(self, files):
        self.cloud = Cloud()
        self.sts = Sts(CREDENTIALS)
        self._seen, self._faults = [], []
        self.accepts = {}  # credentials besides the guard's, by access key id
        self._changed = threading.Condition()
        self._models = _Models()
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"upstream": self}))
        server.daemon_threads = True
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(files.chain, files.key)
        # The handshake happens on the connection's own thread, at its first read.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda request, address: None
        self._server = server
        self.ca = files.ca
        self.port = server.server_address[1]
        self.url = f"https://localhost:{self.port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def reset(self):
        with self._changed:
            self._seen.clear()
            self._faults.clear()
            self.accepts.clear()
        self.sts.reset()

    def calls(self, name=None):
        """What was seen; `name` is an operation or an action (`service:Operation`)."""
        with self._changed:
            return [s for s in self._seen if name is None or name in (s.operation, s.action)]

    def destructive(self):
        return [s for s in self.calls() if s.destructive]

    def wait_for(self, name, timeout=10):
        """The first call of an operation, once it has arrived."""
        with self._changed:
            found = self._changed.wait_for(lambda: next((s for s in self._seen if s.operation == name), None), timeout)
        assert found, f"{name} did not arrive within {timeout} s"
        return found

    @contextmanager
    def fault(self, name, act, times=1000):
        """While inside, the next `times` calls of an operation fail so."""
        fault = _Fault(name, act, times)
        with self._changed:
            self._faults.append(fault)
        try:
            yield act
        finally:
            with self._changed:
                if fault in self._faults:
                    self._faults.remove(fault)
            released = getattr(act, "released", None)
            if released:
                released.set()

    def _record(self, seen):
        with self._changed:
            self._seen.append(seen)
            self._changed.notify_all()
            for fault in self._faults:
                if fault.operation == seen.operation and fault.times > 0:
                    fault.times -= 1
                    return fault.act
        return None


class _Models:
    """botocore's models of the services, and how a request names its operation."""

    def __init__(self):
        session = botocore.session.get_session()
        self.models = {service: session.get_service_model(service) for service in SERVICES}
        self.routes = [
            (http["method"], _route(urlsplit(http["requestUri"]).path), name)
            for name in self.models["mgn"].operation_names
            for http in [self.models["mgn"].operation_model(name).http]
        ]

    def read(self, service, method, target, headers, body):
        """Operation and input of a request.

        Raises AwsError if AWS's models don't describe it.
        """
        model = self.models[service]
        protocol = model.resolved_protocol
        if cbor.speaks(model, headers):
            name, given = cbor.read(model, target, headers, body)
        elif protocol == "json":
            name, given = self._json(model, headers, body)
        elif protocol == "rest-json":
            name, given = self._rest(model, method, target, body)
        else:
            given = dict(parse_qsl(body.decode(), strict_parsing=True))
            name = given.pop("Action", None)
            if given.pop("Version", None) != model.api_version:
                raise AwsError("InvalidParameterValue", "another Version")
        if name not in model.operation_names:
            raise AwsError("UnknownOperationException", f"no operation {name}")
        shape = model.operation_model(name).input_shape
        if protocol == "query":
            # A form is flat: that its parameters are the operation's is what can be told at once.
            unknown = {key.split(".")[0] for key in given} - set(shape.members if shape else ())
            if unknown:
                raise AwsError("InvalidParameterValue", f"{name} has no {unknown}")
            return name, given
        report = ParamValidator().validate(given, shape) if shape else None
        if report and report.has_errors():
            raise AwsError("ValidationException", f"{name}: {report.generate_report()}")
        return name, given

    def _json(self, model, headers, body):
        prefix, _, name = headers.get("x-amz-target", "").partition(".")
        expected = f"application/x-amz-json-{model.metadata['jsonVersion']}"
        if prefix != model.metadata["targetPrefix"] or headers.get("content-type") != expected:
            raise AwsError("UnknownOperationException", f"{headers.get('x-amz-target')} {headers.get('content-type')}")
        return name, json.loads(body)

    def _rest(self, model, method, target, body):
        url = urlsplit(target)
        for verb, route, name in self.routes:
            found = route.fullmatch(url.path)
            if verb != method or not found:
                continue
            given = {key: unquote(value) for key, value in found.groupdict().items()}
            shape = model.operation_model(name).input_shape
            query = parse_qs(url.query, keep_blank_values=True)
            for member, member_shape in (shape.members if shape else {}).items():
                location = member_shape.serialization
                if location.get("location") == "querystring":
                    values = query.pop(location.get("name", member), None)
                    if values is not None:
                        given[member] = values if member_shape.type_name == "list" else _scalar(member_shape, values[0])
            if query:
                raise AwsError("ValidationException", f"unknown query parameters {query}")
            if body:
                given.update(json.loads(body))
            return name, given
        raise AwsError("UnknownOperationException", f"{method} {target}", 404)


def _scalar(shape, text):
    """A query parameter by its type."""
    return int(text) if shape.type_name in ("integer", "long") else text


def _route(template):
    pattern = re.sub(r"\\\{(\w+)\\\+\\\}", r"(?P<\1>.+)", re.escape(template))
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 70
    disable_nagle_algorithm = True
    upstream = None

    def log_message(self, *args):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, ssl.SSLError, OSError):
            self.close_connection = True

    def hang_up(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _serve(self):
        headers = {}
        for name, value in self.headers.items():
            name = name.lower()
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        if "transfer-encoding" in headers:
            body = b"".join(iter(self._chunk, b""))
        else:
            body = self.rfile.read(int(headers.get("content-length", 0)))
        host = headers.get("host", "")
        service, region = _service_of(host)
        name, given, error = "?", {}, None
        try:
            if service is None:
                raise AwsError("UnknownHost", f"no service behind {host}")
            name, given = self.upstream._models.read(service, self.command, self.path, headers, body)
        except AwsError as refused:
            error = refused
        except ValueError as unread:
            error = AwsError("SerializationException", str(unread))
        key, sts = signature.access_key_of(headers), self.upstream.sts
        credentials = self.upstream.accepts.get(key) or sts.credentials(key)
        problem = signature.problem(
            self.command, self.path, headers, body, credentials=credentials, region=region, service=service
        )
        signer = sts.signer(key)
        seen = Seen(host, service or "?", name, given, headers, body, self.path, key, problem, signer)
        act = self.upstream._record(seen)
        if act is not None and act(self, seen) is not False:
            return
        if problem:
            error = AwsError("InvalidSignatureException", problem, 403)
        try:
            if error:
                raise error
            handler = HANDLERS.get((service, name), lambda cloud, body: {})
            if seen.action == "sts:AssumeRole":
                return self.answer(seen, sts.assume(given, key))
            if seen.action == "sts:GetCallerIdentity":
                return self.answer(seen, sts.identity(key))
            self.answer(seen, handler(self.upstream.cloud, given))
        except AwsError as refused:
            self.answer_error(seen, refused)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _serve

    def _chunk(self):
        chunk = self.rfile.read(int(self.rfile.readline().split(b";")[0], 16))
        self.rfile.readline()
        return chunk

    def answer(self, seen, body):
        if seen.service == "sts":
            members = _xml(body)
            text = (
                f'<{seen.operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
                f"<{seen.operation}Result>{members}</{seen.operation}Result>"
                f"<ResponseMetadata><RequestId>{seen.request_id}</RequestId></ResponseMetadata>"
                f"</{seen.operation}Response>"
            )
            return self._write(seen, 200, text.encode(), "text/xml")
        model = self.upstream._models.models[seen.service]
        if cbor.speaks(model, seen.headers):
            shape = model.operation_model(seen.operation).output_shape
            return self._write(seen, 200, cbor.encode(body, shape) if shape else b"", cbor.CONTENT_TYPE, **cbor.HEADERS)
        return self._write(seen, 200, json.dumps(body).encode(), self._json_type(seen))

    def answer_error(self, seen, error):
        if seen.service == "sts":
            text = (
                '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
                f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
                f"<RequestId>{seen.request_id}</RequestId></ErrorResponse>"
            )
            return self._write(seen, error.status, text.encode(), "text/xml")
        if seen.service in SERVICES and cbor.speaks(self.upstream._models.models[seen.service], seen.headers):
            body = cbor.encode_error(error.code, error.message)
            return self._write(seen, error.status, body, cbor.CONTENT_TYPE, **cbor.HEADERS)
        body = {"__type": error.code, "message": error.message}
        more = {"x-amzn-ErrorType": error.code}
        return self._write(seen, error.status, json.dumps(body).encode(), self._json_type(seen), **more)

    def _json_type(self, seen):
        return seen.headers.get("content-type", "") if seen.service != "mgn" else "application/json"

    def _write(self, seen, status, body, content_type, **more):
        lines = [
            f"HTTP/1.1 {status} Some Reason",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            f"x-amzn-RequestId: {seen.request_id}",
            f"Date: {self.date_time_string()}",
            "Server: stand-in",
            *(f"{name}: {value}" for name, value in more.items()),
        ]
        # In one write: a body that waits for the head's acknowledgement costs 40 ms.
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + (b"" if self.command == "HEAD" else body))


def _xml(members):
    return "".join(f"<{k}>{_xml(v) if isinstance(v, dict) else escape(v)}</{k}>" for k, v in members.items())


def _service_of(host):
    """Service and region of a host, the five services and STS."""
    if host == "sts.amazonaws.com":
        return "sts", REGION
    found = re.fullmatch(r"([a-z-]+)\.([a-z]+-[a-z]+-\d)\.(amazonaws\.com|api\.aws)", host)
    if found and found[1] in SERVICES:
        return found[1], found[2]
    return None, None
