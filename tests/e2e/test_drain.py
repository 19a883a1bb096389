"""A stop: nothing new is accepted, and what is on its way comes to its end, within 30 seconds."""

import json
import signal
import socket
import threading
import time

import pytest

import raw
from apis import WORKSPACES, wire
from checks import decision_id_in
from guard import eventually
from http2 import Client
from upstream import Delay, Hang

TUNNELS = {"egress.allow": ["localhost"], "egress.private_addresses": "allow"}


class Halves:
    """Sends an answer's first half, and the other once released."""

    BODY = json.dumps({"Workspaces": [], "padding": "x" * 200_000}).encode()

    def __init__(self):
        self.begun, self.released = threading.Event(), threading.Event()

    def __call__(self, handler, seen):
        half = len(self.BODY) // 2
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {len(self.BODY)}\r\n\r\n"
        handler.wfile.write(head.encode() + self.BODY[:half])
        handler.wfile.flush()
        self.begun.set()
        self.released.wait(60)
        handler.wfile.write(self.BODY[half:])


@pytest.fixture
def echo():
    """The port of a server that sends back what it reads."""

    def serve():
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(sock,), daemon=True).start()

    def answer(sock):
        with sock:
            while data := sock.recv(4096):
                sock.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def ask(guard, sock, operation, body):
    """Sends a signed request over HTTP/1.1 without waiting for its answer."""
    method, path, headers, body = wire(WORKSPACES, body, operation)
    headers = raw.signed(guard.key("ci"), method, WORKSPACES.host, path, headers, body, service="workspaces")
    raw.send(sock, method, path, headers, body, host=WORKSPACES.host)


def is_refused(guard):
    host, port = guard.listen.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_what_is_on_its_way_comes_to_its_end(new_guard, upstream, cloud, echo):
    guard = new_guard(settings=TUNNELS)
    guard.start()
    first, second = WORKSPACES.make(cloud), WORKSPACES.make(cloud)
    read = wire(WORKSPACES, {}, "DescribeWorkspaces")
    with (
        raw.tls(guard, WORKSPACES.host) as guarded,
        raw.tls(guard, WORKSPACES.host) as half,
        raw.tls(guard, WORKSPACES.host) as idle,
        raw.tls(guard, WORKSPACES.host) as fresh,
        Client(guard, WORKSPACES.host) as many,
        raw.connect(guard, f"localhost:{echo}") as tunnel,
    ):
        # One that was heard before, and one that comes to say something only now.
        ask(guard, idle, "DescribeTags", {"ResourceId": first[0]})
        assert raw.read_answer(idle).status == 200
        with (
            upstream.fault("TerminateWorkspaces", Delay()),
            upstream.fault("DescribeWorkspaceBundles", Halves()) as answer,
        ):
            ask(guard, half, "DescribeWorkspaceBundles", {})
            assert answer.begun.wait(10)
            ask(guard, guarded, None, WORKSPACES.params(first))
            stream = many.send(
                *wire(WORKSPACES, WORKSPACES.params(second)), signed_by=guard.key("ci"), service="workspaces"
            )
            eventually(lambda: len(upstream.calls("TerminateWorkspaces")) == 2, "both calls")
            tunnel.sendall(b"before")
            assert tunnel.recv(100) == b"before"

            guard.process.send_signal(signal.SIGTERM)
            eventually(lambda: is_refused(guard), "the end of accepting")
            assert idle.recv(1) == b""
            status, why = guard.get("/readyz")
            assert status == 503 and "stopping" in why
            ask(guard, fresh, "DescribeTags", {"ResourceId": second[0]})
            assert raw.read_answer(fresh).status == 200
            assert fresh.recv(1) == b""
            tunnel.sendall(b"after")
            assert tunnel.recv(100) == b"after"
            assert guard.process.poll() is None
        for got in (raw.read_answer(guarded), many.answer(stream)):
            assert (got.status, json.loads(got.body)) == (200, {"FailedRequests": []})
        got = raw.read_answer(half)
        assert (got.status, got.body) == (200, Halves.BODY)
        many.end()
        assert many.goaway.error_code == 0
        # All that is left is a tunnel.
        assert guard.process.poll() is None
    assert guard.process.wait(10) == 0
    decisions = [decision_id_in(seen.user_agent) for seen in upstream.calls("TerminateWorkspaces")]
    assert [guard.outcome(decision)["outcome"] for decision in decisions] == ["sent", "sent"]


def test_what_takes_longer_than_30_seconds_is_cut(new_guard, upstream, cloud, echo):
    guard = new_guard(settings={**TUNNELS, "upstream.timeout": "50s"})
    guard.start()
    with raw.tls(guard, WORKSPACES.host) as guarded, raw.connect(guard, f"localhost:{echo}") as tunnel:
        guarded.settimeout(40)
        tunnel.settimeout(40)
        with upstream.fault("TerminateWorkspaces", Hang()):
            ask(guard, guarded, None, WORKSPACES.params(WORKSPACES.make(cloud)))
            decision = decision_id_in(upstream.wait_for("TerminateWorkspaces").user_agent)
            began = time.monotonic()
            guard.process.send_signal(signal.SIGTERM)
            assert tunnel.recv(1) == b""
            assert guard.process.wait(10) == 0
            assert 29 < time.monotonic() - began < 35
    # What became of the call nobody knows, and the journal says so, at the latest when it is opened again.
    with guard:
        assert guard.outcome(decision)["outcome"] == "unknown"
