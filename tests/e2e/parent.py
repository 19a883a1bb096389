"""A parent proxy: CONNECT alone, with or without a password, that notes what it is asked for."""

import base64
import socket
import threading


class Parent:
    """On loopback. `asked` are the places of the CONNECTs; `refusal` is answered in place of opening the way."""

    def __init__(self, user=None, password=None):
        self.authorization = user and "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.asked, self.refusal = [], None
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        login = f"{user}:{password}@" if user else ""
        self.url = f"http://{login}127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._server.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = sock.recv(1)
            if not byte:
                return
            head += byte
        first, *lines = head.decode().split("\r\n")
        method, place, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        assert method == "CONNECT" and headers["host"] == place
        self.asked.append(place)
        if self.authorization and headers.get("proxy-authorization") != self.authorization:
            sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n")
            return sock.close()
        if self.refusal:
            sock.sendall(f"HTTP/1.1 {self.refusal}\r\n\r\n".encode())
            return sock.close()
        host, port = place.rsplit(":", 1)
        try:
            far = socket.create_connection((host, int(port)), timeout=10)
        except OSError:
            sock.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return sock.close()
        far.settimeout(None)
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=_copy, args=(far, sock), daemon=True).start()
        _copy(sock, far)


def _copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
