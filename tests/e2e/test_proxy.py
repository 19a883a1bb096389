"""The proxy port: one host per connection, no way around, nowhere private."""

import datetime
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509

import raw
from apis import WORKSPACES, wire
from guard import Guard, NotStarted, eventually

AWS_HOST = WORKSPACES.host


@pytest.fixture
def echo():
    """A server on loopback that answers bytes with the same bytes; its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return
            with sock:
                while data := sock.recv(4096):
                    sock.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


def refused(guard, authority):
    with pytest.raises(raw.Refused) as caught:
        raw.connect(guard, authority)
    assert caught.value.status == 403
    return caught.value


@pytest.mark.parametrize(
    "authority", ["example.com:443", "registry.terraform.io:443", "amazonaws.com.example.com:443", "localhost:443"]
)
def test_a_host_that_is_not_aws_is_refused(guard, upstream, authority):
    assert authority.split(":")[0] in refused(guard, authority).text


@pytest.mark.parametrize(
    "authority",
    [
        "abc123.lambda-url.us-east-1.on.aws:443",
        "abc123.execute-api.us-east-1.amazonaws.com:443",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com:443",
        "nosuchservice.us-east-1.amazonaws.com:443",
    ],
)
def test_an_aws_host_without_an_api_is_refused(guard, upstream, authority):
    """Inside TLS, as an SDK can read it, and before anybody is dialled."""
    host = authority.split(":")[0]
    answer = raw.call(guard, host, "GET", "/", {}, b"", service="execute-api")
    assert answer.status == 403
    assert answer.code == "AccessDeniedException"
    assert host in answer.message
    assert upstream.calls() == []


@pytest.mark.parametrize("authority", [f"{AWS_HOST}:80", f"{AWS_HOST}:8443"])
def test_an_api_is_proxied_on_its_port_only(guard, upstream, authority):
    refused(guard, authority)


def test_a_request_that_is_no_connect_is_refused(guard, upstream):
    host, port = guard.listen.rsplit(":", 1)
    for target in (f"http://{AWS_HOST}/", "/", "http://bob:a-secret@example.com/x?a-secret"):
        with socket.create_connection((host, int(port)), timeout=10) as sock:
            sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {AWS_HOST}\r\n\r\n".encode())
            answer = raw.read_answer(sock, "GET")
            assert 400 <= answer.status < 500
    assert upstream.calls() == []
    assert "a-secret" not in guard.log.read_text()


def test_an_allowed_host_is_tunnelled_where_private_addresses_are_allowed(new_guard, upstream, echo):
    with new_guard(settings={"egress.allow": ["localhost"], "egress.private_addresses": "allow"}) as guard:
        with raw.connect(guard, f"localhost:{echo}") as sock:
            sock.sendall(b"not http, not tls\x00\xff")
            assert sock.recv(100) == b"not http, not tls\x00\xff"
        refused(guard, f"ip6-localhost:{echo}")
        [record] = guard.wait_for_records(
            lambda records: [
                r
                for r in records
                if r["unmapped"]["palisade"]["phase"] == "tunnel" and r["unmapped"]["palisade"]["verdict"] == "allowed"
            ]
        )
        assert record["dst_endpoint"]["hostname"] == "localhost"
        # A record is counted once it is written.
        eventually(lambda: guard.metrics()["palisade_tunnels_total", ("verdict", "allowed")] == 1, "the metric")


def test_an_allowed_host_with_a_private_address_is_refused(new_guard, upstream, echo):
    with new_guard(settings={"egress.allow": ["localhost"]}) as guard:
        refused_or_unreachable(guard, f"localhost:{echo}")


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254:80",
        "169.254.170.2:80",
        "[fd00:ec2::254]:80",
        "127.0.0.1:{admin}",
        "[::1]:80",
        "[::ffff:127.0.0.1]:{admin}",
        "10.0.0.1:443",
        "0.0.0.0:{admin}",
        "2130706433:{admin}",
        "0x7f.1:{admin}",
        "127.1:{admin}",
    ],
)
def test_private_addresses_are_not_dialled_even_where_any_host_may_be(open_guard, upstream, address):
    admin = open_guard.admin.rsplit(":", 1)[1]
    refused_or_unreachable(open_guard, address.format(admin=admin))


@pytest.fixture(scope="module")
def open_guard(_upstream, tmp_path_factory):
    """A guard that tunnels to whatever isn't AWS."""
    with Guard(
        tmp_path_factory.mktemp("open"),
        upstream=_upstream.url,
        ca_file=_upstream.ca,
        settings={"egress.other_hosts": "tunnel"},
    ) as guard:
        yield guard


def refused_or_unreachable(guard, authority):
    with pytest.raises(raw.Refused) as caught:
        raw.connect(guard, authority)
    assert caught.value.status in (400, 403, 502)


def test_an_api_host_is_never_tunnelled(new_guard, upstream):
    """Named in `allow`, or with every host allowed: it is intercepted all the same."""
    settings = {"egress.allow": [AWS_HOST], "egress.other_hosts": "tunnel"}
    guard = new_guard(settings=settings)

    try:
        guard.start()
    except NotStarted as error:
        assert AWS_HOST in error.output  # refusing the configuration by name is as good
        return
    with raw.tls(guard, AWS_HOST) as sock:
        assert "palisade" in str(sock.getpeercert()["issuer"]).lower()


@pytest.mark.parametrize("spelling", [AWS_HOST.upper(), f"{AWS_HOST}."], ids=["capitals", "dot"])
def test_another_spelling_of_an_api_host_is_the_api_host(open_guard, upstream, spelling):
    """It is intercepted or refused; a tunnel would show the name's own certificate, or nothing."""
    try:
        sock = raw.connect(open_guard, f"{spelling}:443")
    except raw.Refused as error:
        assert 400 <= error.status < 500
        return

    context = ssl.create_default_context(cafile=str(open_guard.ca))
    context.check_hostname = False
    with context.wrap_socket(sock, server_hostname=AWS_HOST) as secure:
        assert "palisade" in str(secure.getpeercert()["issuer"]).lower()


def misdirected(guard, upstream, *, sni=None, host_header=AWS_HOST):
    method, path, headers, body = wire(WORKSPACES, {}, "DescribeWorkspaces")
    headers = raw.signed(guard.key("ci"), method, host_header, path, headers, body, service="workspaces")
    with raw.tls(guard, AWS_HOST, sni=sni) as sock:
        raw.send(sock, method, path, headers, body, host=host_header)
        answer = raw.read_answer(sock)
    assert answer.status == 421
    assert upstream.calls() == []


@pytest.mark.parametrize("sni", ["evs.us-east-1.amazonaws.com", "workspaces.eu-west-1.amazonaws.com", "example.com"])
def test_sni_must_be_the_connect_host(guard, upstream, sni):
    misdirected(guard, upstream, sni=sni)


@pytest.mark.parametrize(
    "header",
    ["evs.us-east-1.amazonaws.com", "workspaces.eu-west-1.amazonaws.com", f"{AWS_HOST}:8443", "169.254.169.254"],
)
def test_the_host_header_must_be_the_connect_host(guard, upstream, header):
    misdirected(guard, upstream, host_header=header)


def test_leaves_are_short_lived_and_of_the_guards_ca(guard, upstream):
    with raw.tls(guard, AWS_HOST) as sock:
        leaf = x509.load_der_x509_certificate(sock.getpeercert(binary_form=True))
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert life <= datetime.timedelta(hours=25)
    ca = x509.load_pem_x509_certificate(guard.ca.read_bytes())
    assert leaf.issuer == ca.subject
    permitted = ca.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees
    names = {name.value for name in permitted}
    assert {"amazonaws.com", "on.aws", "api.aws", "amazonaws.com.cn"} <= {name.lstrip(".") for name in names}


def test_the_ca_key_is_its_owners_alone(guard):
    keys = [path for path in guard.state.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert keys
    for path in keys:
        assert path.stat().st_mode & 0o077 == 0
    assert "PRIVATE KEY" not in guard.ca.read_text()


def test_one_connection_serves_many_calls(guard, upstream):
    method, path, headers, body = wire(WORKSPACES, {}, "DescribeWorkspaces")
    with raw.tls(guard, AWS_HOST) as sock:
        for _ in range(3):
            signed = raw.signed(guard.key("ci"), method, AWS_HOST, path, headers, body, service="workspaces")
            raw.send(sock, method, path, signed, body, host=AWS_HOST)
            assert raw.read_answer(sock).status == 200
    assert len(upstream.calls()) == 3


def test_expect_100_continue_is_answered(guard, upstream):
    method, path, headers, body = wire(WORKSPACES, {}, "DescribeWorkspaces")
    headers = raw.signed(guard.key("ci"), method, AWS_HOST, path, headers, body, service="workspaces")
    headers |= {"Expect": "100-continue", "Content-Length": str(len(body))}
    with raw.tls(guard, AWS_HOST) as sock:
        raw.send(sock, method, path, headers, b"", host=AWS_HOST)
        sock.settimeout(10)
        assert sock.recv(100).startswith(b"HTTP/1.1 100")
        sock.sendall(body)
        assert raw.read_answer(sock).status == 200


def test_a_chunked_body_is_read_and_sent_whole(guard, upstream, cloud):
    [ident] = WORKSPACES.make(cloud)
    method, path, headers, body = wire(WORKSPACES, WORKSPACES.params([ident]))
    headers = raw.signed(guard.key("ci"), method, AWS_HOST, path, headers, body, service="workspaces")
    headers["Transfer-Encoding"] = "chunked"
    chunks = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (10, body[:10], len(body) - 10, body[10:])
    with raw.tls(guard, AWS_HOST) as sock:
        raw.send(sock, method, path, headers, chunks, host=AWS_HOST)
        assert raw.read_answer(sock).status == 200
    [seen] = upstream.destructive()
    assert seen.headers["content-length"] == str(len(seen.body))
    assert "transfer-encoding" not in seen.headers


def test_many_clients_at_once_are_each_answered(guard, upstream, cloud):
    idents = WORKSPACES.make(cloud, 24)
    client = guard.client("workspaces", max_pool_connections=12)
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda ident: WORKSPACES.destroy(client, [ident]), idents))
    assert not WORKSPACES.alive(cloud, idents)
    assert len(upstream.destructive()) == 24
