"""Event streams over HTTP/2: each event verified and signed anew, while the answer's events come back."""

import json
import queue
import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

import chunks
import events
from chunks import Chain
from guard import Guard
from http2 import Client, Gone
from sink import IDENTITY
from tls import make_server_files
from upstream import CREDENTIALS

HOST = "polly.us-east-1.amazonaws.com"
PATH = "/v1/synthesisStream"
OF_EVENTS = "application/vnd.amazon.eventstream"


class Echo:
    """Speaks HTTP/2 alone: answers at once, checks each event's signature, and sends the event back."""

    def __init__(self, files):
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(files.chain, files.key)
        self.context.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.ca, self.url = files.ca, f"https://localhost:{self.listener.getsockname()[1]}"
        self.streams, self.problems = [], queue.Queue()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            with self.context.wrap_socket(sock, server_side=True) as tls:
                self._speak(tls)
        except (OSError, ssl.SSLError):
            pass
        except Exception as problem:  # an assertion of the oracle's, for the test to see
            self.problems.put(problem)

    def _speak(self, tls):
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        tls.sendall(connection.data_to_send())
        open_streams = {}
        while data := tls.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    headers = dict(event.headers)
                    stream = {"headers": headers, "ended": False, "reset": False, "rest": b"", "events": []}
                    open_streams[event.stream_id] = stream
                    if not headers[":authority"].startswith("sts."):
                        self.streams.append(stream)
                        stream["chain"] = Chain(headers, CREDENTIALS.secret_key)
                        connection.send_headers(event.stream_id, [(":status", "200"), ("content-type", OF_EVENTS)])
                elif isinstance(event, h2.events.DataReceived):
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    stream = open_streams[event.stream_id]
                    if "chain" in stream:
                        self._echo(connection, event.stream_id, stream, event.data)
                elif isinstance(event, h2.events.StreamEnded):
                    stream = open_streams[event.stream_id]
                    stream["ended"] = True
                    if "chain" in stream:
                        connection.end_stream(event.stream_id)
                    else:
                        fields = [(":status", "200"), ("content-type", "text/xml")]
                        connection.send_headers(event.stream_id, fields)
                        connection.send_data(event.stream_id, IDENTITY, end_stream=True)
                elif isinstance(event, h2.events.StreamReset):
                    open_streams[event.stream_id]["reset"] = True
            tls.sendall(connection.data_to_send())

    def _echo(self, connection, number, stream, data):
        stream["rest"] += data
        while found := events.take(stream["rest"]):
            headers, payload, stream["rest"] = found
            event = events.opened(stream["chain"], headers, payload)
            stream["events"].append(event)
            if event:
                connection.send_data(number, event)


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    server = Echo(make_server_files(tmp_path_factory.mktemp("echo"), "localhost"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def guard(echo, tmp_path_factory):
    with Guard(tmp_path_factory.mktemp("events"), upstream=echo.url, ca_file=echo.ca) as running:
        yield running


class Talk(Client):
    """One event stream, which the test writes and reads by turns."""

    def begin(self, key):
        self.echoed = b""
        headers = {"Content-Type": OF_EVENTS, "x-amzn-Engine": "generative", "x-amzn-VoiceId": "Joanna"}
        headers |= {"x-amzn-OutputFormat": "mp3"}
        headers = chunks.sign_head(key, "POST", HOST, PATH, headers, chunks.EVENTS, service="polly")
        self.chain = Chain(headers, key.secret_access_key)
        fields = [(":method", "POST"), (":scheme", "https"), (":authority", HOST), (":path", PATH)]
        fields += [(name.lower(), value) for name, value in headers.items()]
        self.stream = self.connection.get_next_available_stream_id()
        self.connection.send_headers(self.stream, fields)
        self.answers[self.stream] = [{}, b"", False]
        self._flush()

    def say(self, data, end=False):
        while data:
            room = min(self.connection.local_flow_control_window(self.stream), 16384)
            if not room:
                self._read()
                continue
            self.connection.send_data(self.stream, data[:room])
            data = data[room:]
            self._flush()
        if end:
            self.connection.end_stream(self.stream)
            self._flush()

    def hear(self):
        """The next event that comes back."""
        while True:
            found = events.take(self.answers[self.stream][1])
            if found:
                headers, payload, self.answers[self.stream][1] = found
                return headers, payload
            if self.stream in self.resets:
                raise Gone(f"reset: {self.resets[self.stream]}")
            assert not self.answers[self.stream][2], self.answers[self.stream]
            self._read()


def event(number, length=20):
    headers = events.string_header(":event-type", "TextEvent") + events.string_header(":message-type", "event")
    return events.message(headers, json.dumps({"Text": f"{number}" * length}).encode())


@pytest.fixture
def talk(guard):
    with Talk(guard, HOST) as one:
        one.begin(guard.key("ci"))
        yield one


def test_events_flow_both_ways_at_once(talk, echo):
    for number in range(5):
        said = event(number, 20 if number < 4 else 15_000)
        talk.say(events.signed(talk.chain, said))
        headers, payload = talk.hear()
        assert events.message(headers, payload) == said
    talk.say(events.signed(talk.chain, b""), end=True)
    while not talk.answers[talk.stream][2]:
        talk._read()
    assert talk.answers[talk.stream][0][":status"] == "200"
    stream = echo.streams[-1]
    assert stream["ended"] and len(stream["events"]) == 6
    assert CREDENTIALS.access_key in stream["headers"]["authorization"]
    assert stream["headers"]["x-amz-content-sha256"] == chunks.EVENTS
    assert echo.problems.empty()


@pytest.mark.parametrize("what", ["signature", "order", "frame", "cut off", "stale"])
def test_a_wrong_event_ends_the_stream_and_never_reaches_aws(talk, echo, what):
    seed = talk.chain.previous
    stale = events.signed(talk.chain, event(3), millis=1_600_000_000_000)
    talk.chain.previous = seed
    first, second = (events.signed(talk.chain, event(number)) for number in (1, 2))
    if what == "order":
        wrong = second
    elif what == "signature":
        headers, payload, _ = events.take(first)
        assert payload == event(1)
        head, body, _ = events.take(payload)
        wrong = events.message(headers, events.message(head, body.replace(b"1", b"2")))
    elif what == "stale":
        wrong = stale
    elif what == "frame":
        wrong = first[:-1] + bytes([first[-1] ^ 1])
    else:
        wrong = first[:-10]
    talk.say(wrong, end=what == "cut off")
    headers, _, ended = talk.answers[talk.stream]
    while talk.stream not in talk.resets and not ended:
        talk._read()
        headers, _, ended = talk.answers[talk.stream]
    # It says why where AWS hasn't begun to answer.
    assert talk.stream in talk.resets or headers[":status"] in ("400", "403")
    stream = echo.streams[-1]
    assert stream["events"] == [] and not stream["ended"]


def test_a_stream_that_nobody_signed_is_refused(guard, echo):
    before = len(echo.streams)
    with Client(guard, HOST) as client:
        stream = client.send("POST", PATH, {"content-type": OF_EVENTS}, event(1))
        assert client.answer(stream).status == 403
    assert len(echo.streams) == before
