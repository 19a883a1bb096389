"""moto as a server of its own, over plain HTTP on loopback: a stand-in for AWS that we didn't write."""

from dataclasses import dataclass

from moto.server import ThreadedMotoServer


@dataclass(frozen=True)
class Came:
    """The head of a request as moto got it."""

    method: str
    path: str
    headers: dict


class Moto:
    """`came` is what came since the last `reset()`."""

    def __init__(self):
        self.reset()
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        inner = self.server._server.app

        def noting(environ, start_response):
            headers = {
                name.removeprefix("HTTP_").replace("_", "-").lower(): value
                for name, value in environ.items()
                if name.startswith("HTTP_") or name in ("CONTENT_LENGTH", "CONTENT_TYPE")
            }
            self.came.append(Came(environ["REQUEST_METHOD"], environ["REQUEST_URI"], headers))
            return inner(environ, start_response)

        self.server._server.app = noting

    def reset(self):
        self.came = []

    def close(self):
        self.server.stop()
