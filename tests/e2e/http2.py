"""HTTP/2: a client that goes through the guard, and a front that lets the stand-in be reached by it."""

import queue
import socket
import ssl
import threading
from contextlib import contextmanager

import h2.config
import h2.connection
import h2.events

import raw
from raw import TIMEOUT, Answer


class Gone(Exception):
    """The guard said GOAWAY, or closed."""


class Client:
    """One connection to an AWS host, through CONNECT and TLS. Requests may be sent before others are answered."""

    def __init__(self, guard, host):
        self.guard, self.host = guard, host
        context = ssl.create_default_context(cafile=str(guard.ca))
        context.set_alpn_protocols(["h2", "http/1.1"])
        self.sock = context.wrap_socket(raw.connect(guard, f"{host}:443"), server_hostname=host)
        assert self.sock.selected_alpn_protocol() == "h2"
        # What no library would send is what some tests send.
        config = h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False
        )
        self.connection = h2.connection.H2Connection(config)
        # A GOAWAY leaves what is in flight as it is (RFC 9113, section 6.8); the library would read nothing after it.
        machine, goaway = self.connection.state_machine, h2.connection.ConnectionInputs.RECV_GOAWAY
        stay = {(state, goaway): (None, state) for state in h2.connection.ConnectionState}
        machine._transitions = {**machine._transitions, **stay}
        self.connection.initiate_connection()
        self._flush()
        self.answers = {}  # by stream: [headers, body, whether it ended]
        self.resets = {}
        self.goaway = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, method, path, headers, body, *, authority=None, signed_by=None, service=None):
        """Sends a request, signed with a key or as it is; returns its stream."""
        authority = authority or self.host
        if signed_by:
            headers = raw.signed(signed_by, method, self.host, path, headers, body, service=service)
        fields = [
            (":method", method),
            (":scheme", "https"),
            (":authority", authority),
            (":path", path),
            *((name.lower(), value) for name, value in headers.items()),
        ]
        stream = self.connection.get_next_available_stream_id()
        self.connection.send_headers(stream, fields, end_stream=not body)
        self.answers[stream] = [{}, b"", False]
        self._flush()
        self._send_body(stream, body)
        return stream

    def _send_body(self, stream, body):
        """As the guard gives room for it, until it has answered."""
        while body and not self.answers[stream][2] and stream not in self.resets:
            room = min(self.connection.local_flow_control_window(stream), self.connection.max_outbound_frame_size)
            if not room:
                self._read()
                continue
            self.connection.send_data(stream, body[:room], end_stream=len(body) <= room)
            self._flush()
            body = body[room:]

    def answer(self, stream):
        """The answer on a stream."""
        while not self.answers[stream][2]:
            if stream in self.resets:
                raise Gone(f"stream {stream} was reset: {self.resets[stream]}")
            self._read()
        headers, body, _ = self.answers[stream]
        self.guard.shown.append(f"{headers}{body!r}")
        return Answer(int(headers[":status"]), headers, body)

    def end(self):
        """Reads until the guard closes."""
        try:
            while True:
                self._read()
        except Gone:
            pass

    def _read(self):
        data = self.sock.recv(65536)
        if not data:
            raise Gone("the guard closed the connection")
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.answers[event.stream_id][0] = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                self.answers[event.stream_id][1] += event.data
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self.answers[event.stream_id][2] = True
            elif isinstance(event, h2.events.StreamReset):
                self.resets[event.stream_id] = event.error_code
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.goaway = event
        self._flush()

    def _flush(self):
        self.sock.sendall(self.connection.data_to_send())


class Front:
    """A server that speaks HTTP/2 only and asks the stand-in behind it over HTTP/1.1, once for each request."""

    def __init__(self, upstream, files):
        self.behind = ("127.0.0.1", upstream.port)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(files.chain, files.key)
        self.context.set_alpn_protocols(["h2"])
        self.trusting = ssl.create_default_context(cafile=str(upstream.ca))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.ca = files.ca
        self.url = f"https://localhost:{self.listener.getsockname()[1]}"
        self.connections = 0
        self.requests = []  # (connection, stream, headers)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock, number):
        try:
            with self.context.wrap_socket(sock, server_side=True) as tls:
                assert tls.selected_alpn_protocol() == "h2"
                self._speak(tls, number)
        except (OSError, ssl.SSLError):
            pass

    def _speak(self, tls, number):
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        tls.sendall(connection.data_to_send())
        requests, answers = {}, queue.Queue()
        tls.settimeout(0.02)
        while True:
            try:
                data = tls.recv(65536)
                if not data:
                    return
            except TimeoutError:
                data = b""
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    requests[event.stream_id] = [event.headers, b""]
                elif isinstance(event, h2.events.DataReceived):
                    requests[event.stream_id][1] += event.data
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    headers, body = requests.pop(event.stream_id)
                    self.requests.append((number, event.stream_id, headers))
                    arguments = (event.stream_id, headers, body, answers)
                    threading.Thread(target=self._ask, args=arguments, daemon=True).start()
            while not answers.empty():
                stream, answer = answers.get()
                if answer is None:
                    connection.reset_stream(stream)
                    continue
                headers = [(":status", str(answer.status))]
                headers += [(n, v) for n, v in answer.headers.items() if n not in ("connection", "transfer-encoding")]
                connection.send_headers(stream, headers, end_stream=not answer.body)
                if answer.body:
                    connection.send_data(stream, answer.body, end_stream=True)
            tls.sendall(connection.data_to_send())

    def _ask(self, stream, fields, body, answers):
        fields = dict(fields)
        host = fields.pop(":authority")
        method, path = fields.pop(":method"), fields.pop(":path")
        fields.pop(":scheme")
        try:
            with socket.create_connection(self.behind, timeout=TIMEOUT) as sock:
                with self.trusting.wrap_socket(sock, server_hostname="localhost") as tls:
                    raw.send(tls, method, path, fields, body, host=host)
                    answers.put((stream, raw.read_answer(tls, method)))
        except (OSError, ValueError, AttributeError):
            answers.put((stream, None))


@contextmanager
def front(upstream, files):
    running = Front(upstream, files)
    try:
        yield running
    finally:
        running.close()
