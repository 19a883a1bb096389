"""An upstream that takes bodies of any length: it keeps the short ones, counts and hashes the long ones."""

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEPT = 4 * 1024 * 1024
# What STS tells the guard about its own credentials.
IDENTITY = b"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::123456789012:user/guard</Arn><UserId>AIDAGUARD</UserId><Account>123456789012</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""


@dataclass
class Taken:
    """One request. `whole`: its body came to its end."""

    method: str
    target: str
    headers: dict
    body: bytearray = field(default_factory=bytearray)
    length: int = 0
    sha256: object = field(default_factory=hashlib.sha256)
    whole: bool = False
    continued: bool = False

    def add(self, piece):
        self.length += len(piece)
        self.sha256.update(piece)
        if self.length <= KEPT:
            self.body += piece


class Sink:
    """`taken` is what came since the last `reset()`. `answer` may be set to answer in another way, and `knows_itself` to
    treat calls of STS as any others."""

    def __init__(self):
        self.reset()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self):
                headers = {name.lower(): value for name, value in self.headers.items()}
                taken = Taken(self.command, self.path, headers)
                if headers.get("host", "").startswith("sts.") and sink.knows_itself:
                    b"".join(self.pieces())
                    return self.say(200, IDENTITY, ("Content-Type", "text/xml"))
                sink.taken.append(taken)
                if sink.answer:
                    return sink.answer(self, taken)
                try:
                    for piece in self.pieces():
                        taken.add(piece)
                    taken.whole = True
                except (ConnectionError, ValueError):
                    self.close_connection = True
                    return None
                return self.say(200, b"", ("ETag", '"0"'))

            def say(self, status, body, *headers):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

            def pieces(self):
                if self.headers.get("transfer-encoding", "").lower() == "chunked":
                    while True:
                        line = self.rfile.readline()
                        if not line.endswith(b"\r\n"):
                            raise ConnectionError("the body broke off")
                        length = int(line, 16)
                        yield from self.exactly(length)
                        if self.rfile.readline() != b"\r\n":
                            raise ConnectionError("the body broke off")
                        if not length:
                            return
                yield from self.exactly(int(self.headers.get("content-length") or 0))

            def exactly(self, left):
                while left:
                    piece = self.rfile.read(min(left, 256 * 1024))
                    if not piece:
                        raise ConnectionError("the body broke off")
                    left -= len(piece)
                    yield piece

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reset(self):
        self.taken, self.answer, self.knows_itself = [], None, True

    def close(self):
        self.server.shutdown()
        self.server.server_close()
