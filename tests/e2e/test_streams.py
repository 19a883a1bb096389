"""Bodies that stream: verified piece by piece, signed anew, and never whole at AWS where they aren't right."""

import base64
import hashlib
import os
import time
import zlib

import pytest

import chunks
import raw
from chunks import Chain
from guard import Guard, eventually
from sink import Sink
from upstream import CREDENTIALS

HOST = "ebs.us-east-1.amazonaws.com"
PATH = "/snapshots/snap-0123456789abcdef0/blocks/0"
DATA = os.urandom(300_000)
CRC = "x-amz-checksum-crc32"


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
    with Guard(tmp_path_factory.mktemp("streams"), upstream=_sink.url) as running:
        yield running


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def headers_for(data, keyword, trailers=()):
    headers = {
        "Content-Encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(len(data)),
        "x-amz-Data-Length": str(len(data)),
    }
    if trailers:
        headers["x-amz-trailer"] = ",".join(trailers)
    return headers


def send(guard, headers, body, *, framed=True, pieces=None, host=HOST, path=PATH, method="PUT"):
    """Sends what is already signed. Not `framed`: in HTTP chunks."""
    with raw.tls(guard, host) as sock:
        lines = {"Host": host, **headers}
        lines["Content-Length" if framed else "Transfer-Encoding"] = str(len(body)) if framed else "chunked"
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{n}: {v}" for n, v in lines.items()), "", ""])
        sock.sendall(head.encode())
        for piece in pieces or [body]:
            sock.sendall(piece if framed else f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if not framed:
            sock.sendall(b"0\r\n\r\n")
        return raw.read_answer(sock, method)


def chunked(guard, keyword, data=DATA, size=65536, change=None, trailers=None, length=None, **how):
    """One upload in chunks."""
    key = guard.key("ci")
    headers = headers_for(data if length is None else b"x" * length, keyword, trailers or ())
    headers = chunks.sign_head(key, "PUT", HOST, PATH, headers, keyword, service="ebs")
    chain = None if keyword == chunks.UNSIGNED_TRAILER else Chain(headers, key.secret_access_key)
    body = chunks.write(data, size, chain=chain, trailers=trailers)
    if change:
        body = change(body)
    return send(guard, headers, body, **how)


def told(answer):
    return answer.json["message"]


@pytest.mark.parametrize("framed", [True, False], ids=["length", "chunks of HTTP"])
@pytest.mark.parametrize("size", [8192, 65536, 1 << 20])
@pytest.mark.parametrize("trailers", [None, {CRC: crc32(DATA)}], ids=["bare", "trailer"])
def test_signed_chunks_are_signed_anew(guard, sink, size, trailers, framed):
    keyword = chunks.SIGNED_TRAILER if trailers else chunks.SIGNED
    answer = chunked(guard, keyword, size=size, trailers=trailers, framed=framed)
    assert answer.status == 200
    [taken] = sink.taken
    assert taken.whole
    assert taken.headers["x-amz-content-sha256"] == keyword
    assert taken.headers["content-encoding"] == "aws-chunked"
    assert CREDENTIALS.access_key in taken.headers["authorization"]
    assert ("content-length" in taken.headers) == framed
    data, found = chunks.read(bytes(taken.body), chain=Chain(taken.headers, CREDENTIALS.secret_key))
    assert data == DATA
    assert found == (trailers or {})


@pytest.mark.parametrize("framed", [True, False], ids=["length", "chunks of HTTP"])
def test_unsigned_chunks_pass_as_they_are(guard, sink, framed):
    trailers = {CRC: crc32(DATA)}
    assert chunked(guard, chunks.UNSIGNED_TRAILER, trailers=trailers, framed=framed).status == 200
    [taken] = sink.taken
    assert bytes(taken.body) == chunks.write(DATA, 65536, trailers=trailers)


def flip(at):
    return lambda body: body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def swap(old, new):
    def change(body):
        assert old in body
        return body.replace(old, new, 1)

    return change


BAD = {
    "data of the first chunk": (chunks.SIGNED, {"change": flip(1000)}, "InvalidSignatureException"),
    "data of the last chunk": (chunks.SIGNED, {"change": flip(-200)}, "InvalidSignatureException"),
    "a chunk's signature": (chunks.SIGNED, {"change": flip(40)}, "InvalidSignatureException"),
    "the last chunk's signature": (chunks.SIGNED, {"change": flip(-10)}, "InvalidSignatureException"),
    "the trailer": (
        chunks.SIGNED_TRAILER,
        {"trailers": {CRC: crc32(DATA)}, "change": swap(crc32(DATA).encode(), b"AAAAAA==")},
        "InvalidSignatureException",
    ),
    "the trailer's signature": (
        chunks.SIGNED_TRAILER,
        {"trailers": {CRC: crc32(DATA)}, "change": flip(-10)},
        "InvalidSignatureException",
    ),
    "another trailer": (
        chunks.UNSIGNED_TRAILER,
        {"trailers": {CRC: crc32(DATA)}, "change": swap(b"checksum-crc32:", b"checksum-crc33:")},
        "ValidationException",
    ),
    "no trailer": (
        chunks.UNSIGNED_TRAILER,
        {"trailers": {CRC: crc32(DATA)}, "change": swap(f"{CRC}:{crc32(DATA)}\r\n".encode(), b"")},
        "ValidationException",
    ),
    "a longer body": (chunks.SIGNED, {"length": len(DATA) + 1}, "ValidationException"),
    "a shorter body": (chunks.SIGNED, {"length": len(DATA) - 1}, "ValidationException"),
    "a longer unsigned body": (
        chunks.UNSIGNED_TRAILER,
        {"length": len(DATA) + 1, "trailers": {CRC: crc32(DATA)}},
        "ValidationException",
    ),
    "a body cut off": (chunks.SIGNED, {"change": lambda body: body[:-100]}, "ValidationException"),
    "a body cut off in the data": (chunks.SIGNED, {"change": lambda body: body[:100_000]}, "ValidationException"),
    "a body cut off between chunks": (
        chunks.UNSIGNED_TRAILER,
        {"trailers": {CRC: crc32(DATA)}, "change": lambda body: body[: 65536 + 9]},
        "ValidationException",
    ),
    "a body cut off between signed chunks": (
        chunks.SIGNED,
        {"change": lambda body: body[: 65536 + 90]},
        "ValidationException",
    ),
    "something after the end": (chunks.SIGNED, {"change": lambda body: body + b"0\r\n\r\n"}, "ValidationException"),
    "no chunks": (chunks.SIGNED, {"change": lambda body: b"x" * len(body)}, "ValidationException"),
}


@pytest.mark.parametrize("framed", [True, False], ids=["length", "chunks of HTTP"])
@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_never_comes_whole_upstream(guard, sink, what, framed):
    keyword, how, code = BAD[what]
    answer = chunked(guard, keyword, framed=framed, **how)
    assert answer.code == code, told(answer)
    time.sleep(0.1)
    assert not any(taken.whole for taken in sink.taken)
    for taken in sink.taken:
        # What went on is the beginning of a right body.
        assert "data of the first chunk" != what or taken.length == 0


def test_a_broken_body_is_on_record_as_not_sent(guard, sink):
    answer = chunked(guard, chunks.SIGNED, change=flip(1000))
    [record] = eventually(
        lambda: guard.records(answer.headers["x-amzn-requestid"]),
        "the record",
    )
    assert (record["verdict"], record["outcome"]) == ("allowed", "not_sent")


def test_a_chunk_that_is_too_large_to_hold_is_refused(guard, sink):
    data = b"x" * (9 * 1024 * 1024)
    answer = chunked(guard, chunks.SIGNED, data=data, size=len(data))
    assert "larger than 8388608 bytes" in told(answer)
    assert not any(taken.whole for taken in sink.taken)


def test_a_hash_is_held_against_the_body(guard, sink):
    key = guard.key("ci")
    for body, status in ((DATA, 200), (DATA[:-1] + b"!", 403)):
        digest = hashlib.sha256(DATA).hexdigest()
        headers = {"x-amz-Data-Length": str(len(DATA))}
        headers = chunks.sign_head(key, "PUT", HOST, PATH, headers, digest, service="ebs")
        answer = send(guard, headers, body)
        assert answer.status == status
    # The wrong one may end before anybody takes it.
    right, *wrong = sink.taken
    assert right.whole and bytes(right.body) == DATA
    assert not any(taken.whole for taken in wrong)


# --- Expect


def expecting(guard, headers, body=None):
    """What the guard says before the body, and after it."""
    with raw.tls(guard, HOST) as sock:
        lines = {"Host": HOST, "Expect": "100-continue", "Content-Length": str(len(DATA)), **headers}
        head = "\r\n".join([f"PUT {PATH} HTTP/1.1", *(f"{n}: {v}" for n, v in lines.items()), "", ""])
        sock.sendall(head.encode())
        first = b""
        while not first.endswith(b"\r\n\r\n"):
            first += sock.recv(1)
        if first.startswith(b"HTTP/1.1 100"):
            sock.sendall(body or DATA)
            return first, raw.read_answer(sock, "PUT"), b""
        sock.settimeout(5)
        rest = b""
        while piece := sock.recv(65536):
            rest += piece
        return first, None, rest


def test_a_body_is_asked_for_once_it_may_go_on(guard, sink):
    headers = {"x-amz-Data-Length": str(len(DATA))}
    headers = chunks.sign_head(guard.key("ci"), "PUT", HOST, PATH, headers, "UNSIGNED-PAYLOAD", service="ebs")
    first, answer, _ = expecting(guard, headers)
    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.status == 200
    [taken] = sink.taken
    assert bytes(taken.body) == DATA
    assert "expect" not in taken.headers


def test_a_refused_body_is_never_asked_for(guard, sink):
    first, answer, rest = expecting(guard, {"x-amz-Data-Length": "1"})
    assert answer is None
    assert first.startswith(b"HTTP/1.1 403")
    assert b"MissingAuthenticationToken" in first + rest
    # The connection is closed: what the client sends after all is read by nobody.
    assert sink.taken == []


@pytest.mark.parametrize("expect", [{}, {"Expect": "100-continue"}], ids=["plain", "expecting"])
def test_a_client_that_waits_for_no_word_reads_its_refusal(guard, sink, expect):
    """Such as the SDK for JavaScript, behind a proxy: it says that it waits, and doesn't."""
    body = bytes(32 << 20)
    with raw.tls(guard, HOST) as sock:
        raw.send(sock, "PUT", PATH, {"x-amz-Data-Length": str(len(body)), **expect}, body, host=HOST)
        answer = raw.read_answer(sock, "PUT")
    assert answer.status == 403
    assert sink.taken == []


# --- memory


def resident(pid):
    with open(f"/proc/{pid}/status") as lines:
        found = dict(line.split(":", 1) for line in lines)
    return int(found["VmRSS"].split()[0]) * 1024


LENGTH = int(float(os.environ.get("UPLOAD_MIB", 512)) * 1024 * 1024)
PIECE = 1 << 20


class Uploads:
    """Ways to send `LENGTH` zeros: the keyword, and the body in pieces with its length."""

    @staticmethod
    def unsigned(headers, secret):
        head = f"{LENGTH:x}\r\n".encode()
        tail = f"\r\n0\r\n{CRC}:AAAAAA==\r\n\r\n".encode()
        zeros = bytes(PIECE)
        return len(head) + LENGTH + len(tail), [head], (zeros for _ in range(LENGTH // PIECE)), [tail]

    @staticmethod
    def signed(headers, secret):
        chain, zeros = Chain(headers, secret), bytes(PIECE)

        def pieces():
            for _ in range(LENGTH // PIECE):
                yield f"{PIECE:x};chunk-signature={chain.chunk(zeros)}\r\n".encode() + zeros + b"\r\n"

        def tail():
            yield f"0;chunk-signature={chain.chunk(b'')}\r\n\r\n".encode()

        framing = len(f"{PIECE:x};chunk-signature=") + 64 + 4
        return LENGTH // PIECE * (PIECE + framing) + 1 + 17 + 64 + 4, [], pieces(), tail()


# A write, and one that its head makes a guarded call.
BLOCK = (HOST, PATH, "ebs", {"x-amz-Data-Length": str(LENGTH)})
OPEN = ("bucket.s3.us-east-1.amazonaws.com", "/long", "s3", {"x-amz-acl": "public-read"})


@pytest.fixture(scope="module")
def granting(_sink, tmp_path_factory):
    policies = {"all.cedar": '@id("all") permit (principal, action, resource);'}
    folder = tmp_path_factory.mktemp("granting")
    with Guard(folder, upstream=_sink.url, policies=policies, protected=None) as running:
        yield running


@pytest.mark.timeout(3600)
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
@pytest.mark.parametrize("keyword", [chunks.UNSIGNED_TRAILER, chunks.SIGNED])
@pytest.mark.parametrize("what", [BLOCK, OPEN], ids=["a block", "an object for all"])
def test_a_long_upload_takes_little_memory(granting, sink, keyword, what):
    guard, (host, path, service, own) = granting, what
    key = guard.key("ci")
    headers = {
        "Content-Encoding": "aws-chunked",
        "x-amz-decoded-content-length": str(LENGTH),
        **own,
    }
    if keyword == chunks.UNSIGNED_TRAILER:
        headers["x-amz-trailer"] = CRC
    headers = chunks.sign_head(key, "PUT", host, path, headers, keyword, service=service)
    way = Uploads.unsigned if keyword == chunks.UNSIGNED_TRAILER else Uploads.signed
    length, *parts = way(headers, key.secret_access_key)
    before = most = resident(guard.process.pid)
    with raw.tls(guard, host) as sock:
        sock.settimeout(600)
        lines = {"Host": host, "Content-Length": str(length), **headers}
        head = "\r\n".join([f"PUT {path} HTTP/1.1", *(f"{n}: {v}" for n, v in lines.items()), "", ""])
        sock.sendall(head.encode())
        for part in parts:
            for number, piece in enumerate(part):
                sock.sendall(piece)
                if number % 16 == 0:
                    most = max(most, resident(guard.process.pid))
        answer = raw.read_answer(sock, "PUT")
    most = max(most, resident(guard.process.pid))
    assert answer.status == 200, answer.body
    [taken] = sink.taken
    assert taken.whole and taken.length == length
    print(f"{LENGTH >> 20} MiB of {keyword}: {(most - before) / (1 << 20):.1f} MiB more")
    assert most - before < 64 << 20
