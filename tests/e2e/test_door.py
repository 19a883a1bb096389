"""The proxy port on a network that isn't trusted: TLS, client certificates, Proxy-Authorization, and one caller only."""

import base64
import socket
import ssl
import subprocess
from dataclasses import replace
from http.client import HTTPException

import pytest
from botocore.exceptions import BotoCoreError, ClientError

import raw
from apis import WORKSPACES
from checks import allowed, decision_id_in, error_of
from guard import NotStarted, eventually
from tls import ClientAuthority, make_server_files

CI_URI = "spiffe://corp/ci"
CERTIFICATES = {"ci": f"URI:{CI_URI}", "root": "CN:root"}


@pytest.fixture
def authority(tmp_path):
    return ClientAuthority(tmp_path / "clients")


@pytest.fixture
def make_door(new_guard, authority, tmp_path):
    """Makes guards whose proxy port speaks TLS as `localhost`."""

    def make(client_auth="required", **settings):
        files = make_server_files(tmp_path / "door", "localhost")
        listener = {"tls": True, "tls_cert": str(files.chain), "tls_key": str(files.key)}
        if client_auth != "none":
            listener |= {"client_auth": client_auth, "client_ca": str(authority.ca)}
        settings = {**{f"listener.{key}": value for key, value in listener.items()}, **settings}
        guard = new_guard(settings=settings)
        guard.door_ca = str(files.ca)
        if client_auth != "none":
            give_certificates(guard)
        return guard

    return make


def give_certificates(guard):
    text = guard.config.read_text()
    for name, certificate in CERTIFICATES.items():
        text = text.replace(f'name = "{name}"', f'name = "{name}"\ncertificate = "{certificate}"')
    guard.config.write_text(text)


def client(guard, certificate=None, *, user=None, caller="ci", service="workspaces"):
    """A boto3 client behind the `https://` proxy, with a certificate or a user and password or neither."""
    port = guard.listen.rsplit(":", 1)[1]
    login = f"{user.access_key_id}:{user.secret_access_key}@" if user else ""
    proxy = {"proxy_ca_bundle": guard.door_ca}
    if certificate:
        proxy["proxy_client_cert"] = certificate
    return guard.client(
        service,
        caller,
        retries={"total_max_attempts": 1},
        proxies={"https": f"https://{login}localhost:{port}"},
        proxies_config=proxy,
    )


def shut_out(guard, upstream, certificate=None, **more):
    """Nothing of the client gets in, and nothing of it is recorded."""
    one = client(guard, certificate, **more)
    before = len(guard.records(phase="decision"))
    with pytest.raises(BotoCoreError) as raised:
        one.describe_workspaces()
    assert upstream.calls() == []
    assert len(guard.records(phase="decision")) == before
    return repr(raised.value.kwargs.get("error"))


def refusals(guard, reason):
    return guard.metrics()["palisade_refusals_total", ("reason", reason)]


def test_a_client_certificate_lets_its_caller_in(make_door, authority, upstream, cloud):
    with make_door() as guard:
        one = client(guard, authority.issue("whoever", uri=CI_URI))
        things = WORKSPACES.make(cloud)
        WORKSPACES.destroy(one, things)
        _, decision = allowed(guard, upstream, WORKSPACES)
        assert not WORKSPACES.alive(cloud, things)
        [record] = [r for r in guard.journal() if decision in str(r) and r["unmapped"]["palisade"]["phase"] == "decision"]
        assert record["actor"]["user"]["name"] == "ci"


def test_without_a_good_certificate_nobody_comes_in(make_door, authority, upstream, tmp_path):
    stranger = ClientAuthority(tmp_path / "strangers")
    with make_door() as guard:
        shut_out(guard, upstream)
        shut_out(guard, upstream, authority.issue("ci", uri=CI_URI, expired=True))
        shut_out(guard, upstream, stranger.issue("ci", uri=CI_URI))
        eventually(lambda: refusals(guard, "entrance") == 3, "the metric")
        told = shut_out(guard, upstream, authority.issue("nobody", uri="spiffe://corp/nobody"))
        assert "403" in told
        assert refusals(guard, "client_certificate") == 1
        with pytest.raises((OSError, HTTPException)):
            raw.connect(guard, "workspaces.us-east-1.amazonaws.com:443")  # in the clear


def test_a_certificate_of_one_caller_and_keys_of_another_are_refused_and_recorded(
    make_door, authority, upstream, cloud
):
    with make_door() as guard:
        one = client(guard, authority.issue("ci", uri=CI_URI), caller="root")
        things = WORKSPACES.make(cloud)
        for call in (lambda: WORKSPACES.destroy(one, things), one.describe_workspaces):
            before = one.attempts
            error = error_of(call)
            assert error.response["Error"]["Code"] == "AccessDeniedException"
            assert one.attempts == before + 1
            message = error.response["Error"]["Message"]
            assert "`ci`" in message and "`root`" in message
            record = guard.decision(decision_id_in(message))
            assert (record["verdict"], record["reason"]) == ("refused", "other_caller")
        assert upstream.calls() == []
        assert WORKSPACES.alive(cloud, things)


def test_a_virtual_key_is_user_and_password_too(make_door, upstream):
    with make_door("none", **{"listener.require_proof": True}) as guard:
        key = guard.key("ci")
        client(guard, user=key).describe_workspaces()
        assert len(upstream.calls("DescribeWorkspaces")) == 1
        upstream.reset()
        assert "407" in shut_out(guard, upstream)
        assert "407" in shut_out(guard, upstream, user=replace(key, secret_access_key="x" * 40))
        assert "407" in shut_out(guard, upstream, user=replace(key, access_key_id="PALISADENOSUCHKEY001"))
        assert refusals(guard, "unproven") == 1 and refusals(guard, "wrong_password") == 2
        error = error_of(client(guard, user=key, caller="root").describe_workspaces)
        assert "other" not in error.response["Error"]["Code"] and upstream.calls() == []
        guard.run("keys", "revoke", key.access_key_id)
        eventually(lambda: is_refused(guard, key), "the revocation")
        left = guard.log.read_text() + str(guard.journal())
        assert key.secret_access_key not in left


def is_refused(guard, user):
    try:
        client(guard, user=user).describe_workspaces()
    except BotoCoreError as error:
        return "407" in repr(error.kwargs.get("error"))
    except ClientError:
        pass  # revoked between the door and the call
    return False


def test_two_proofs_must_be_of_one_caller(make_door, authority, upstream):
    certificate = authority.issue("ci", uri=CI_URI)
    with make_door("optional", **{"listener.require_proof": True}) as guard:
        client(guard, certificate, user=guard.key("ci")).describe_workspaces()
        assert len(upstream.calls("DescribeWorkspaces")) == 1
        upstream.reset()
        assert "403" in shut_out(guard, upstream, certificate, user=guard.key("root"))
        assert refusals(guard, "two_callers") == 1
        assert "407" in shut_out(guard, upstream)


def test_a_tunnel_needs_proof_and_is_its_callers(make_door, authority, upstream, tmp_path):
    """With curl, through a name that Palisade's own authority certifies."""
    server = socket.create_server(("127.0.0.1", 0))
    place = f"127.0.0.1:{server.getsockname()[1]}"
    settings = {
        "listener.tls": True,
        "listener.names": ["palisade.internal"],
        "listener.tls_cert": "",
        "listener.tls_key": "",
        "listener.require_proof": True,
        "egress.allow": ["127.0.0.1"],
        "egress.private_addresses": "allow",
    }
    with make_door("optional", **settings) as guard:
        port = guard.listen.rsplit(":", 1)[1]

        def curl(*arguments):
            return subprocess.run(
                [
                    "curl",
                    "-sSv",
                    "--max-time",
                    "10",
                    "--proxytunnel",
                    "--resolve",
                    f"palisade.internal:{port}:127.0.0.1",
                    "--proxy",
                    f"https://palisade.internal:{port}",
                    "--proxy-cacert",
                    str(guard.ca),
                    *arguments,
                    f"http://{place}/",
                ],
                env={"PATH": "/usr/bin:/bin"},
                capture_output=True,
                text=True,
                timeout=30,
            ).stderr

        told = curl()
        assert "HTTP/1.1 407" in told and "palisade" in told
        key = guard.key("ci")
        certificate, private = authority.issue("ci", uri=CI_URI)
        for proof in (
            ["--proxy-user", f"{key.access_key_id}:{key.secret_access_key}"],
            ["--proxy-cert", certificate, "--proxy-key", private],
        ):
            server.settimeout(10)
            told = curl(*proof, "--max-time", "1")
            far, _ = server.accept()
            far.close()
            assert "HTTP/1.1 200" in told, told
        tunnels = guard.wait_for_records(
            lambda records: [
                found
                for found in [[r for r in records if r["unmapped"]["palisade"]["phase"] == "tunnel"]]
                if len(found) == 2
            ]
        )[0]
        assert [tunnel["actor"]["user"]["name"] for tunnel in tunnels] == ["ci", "ci"]
    server.close()


def own_address():
    """An address of this machine that isn't loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
        return None if address.startswith("127.") else address


@pytest.mark.skipif(own_address() is None, reason="this machine has no address but loopback")
def test_a_password_in_the_clear_from_elsewhere_is_refused(new_guard, upstream):
    with new_guard(settings={"listen": f"{own_address()}:0"}) as guard:
        key = guard.key("ci")
        place = "workspaces.us-east-1.amazonaws.com:443"
        token = base64.b64encode(f"{key.access_key_id}:{key.secret_access_key}".encode()).decode()
        host, port = guard.listen.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=10) as sock:
            sock.sendall(f"CONNECT {place} HTTP/1.1\r\nProxy-Authorization: Basic {token}\r\n\r\n".encode())
            answer = raw.read_answer(sock, "CONNECT")
        assert answer.status == 403 and b"in the clear" in answer.body
        assert refusals(guard, "password_in_clear") == 1
        assert key.secret_access_key not in guard.log.read_text()
        assert "listener.tls" in guard.log.read_text()  # the warning at the start
        raw.connect(guard, place).close()


def test_an_authority_that_is_changed_counts_at_once(make_door, authority, upstream, tmp_path):
    with make_door() as guard:
        certificate = authority.issue("ci", uri=CI_URI)
        client(guard, certificate).describe_workspaces()
        upstream.reset()
        authority.ca.write_bytes(ClientAuthority(tmp_path / "next").ca.read_bytes())
        eventually(
            lambda: guard.metrics()["palisade_policy_reloads_total", ("outcome", "applied")] == 1, "the reload"
        )
        shut_out(guard, upstream, certificate)


def test_the_proxy_port_speaks_tls_1_2_and_later_and_http_1_1(make_door, upstream):
    with make_door("none") as guard:
        host, port = guard.listen.rsplit(":", 1)
        context = ssl.create_default_context(cafile=guard.door_ca)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with socket.create_connection((host, int(port)), timeout=10) as tcp:
            with context.wrap_socket(tcp, server_hostname="localhost") as sock:
                assert sock.selected_alpn_protocol() == "http/1.1"
                assert sock.version() in ("TLSv1.2", "TLSv1.3")


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"listener.tls_cert": "nowhere.pem"}, ["listener.tls_cert", "nowhere.pem"]),
        ({"listener.client_ca": "nowhere.pem"}, ["listener.client_ca", "nowhere.pem"]),
    ],
    ids=["certificate", "authority"],
)
def test_a_file_that_is_not_there_is_named(make_door, settings, words):
    with pytest.raises(NotStarted) as refused:
        make_door(**settings).start()
    assert all(word in refused.value.output for word in words), refused.value.output
    assert "panicked" not in refused.value.output


def test_a_name_that_the_authority_was_not_made_for_is_told(new_guard):
    guard = new_guard()
    assert guard.ca.exists()
    text = guard.config.read_text()
    guard.config.write_text(text + '\n[listener]\ntls = true\nnames = ["palisade.internal"]\n')
    with pytest.raises(NotStarted) as refused:
        guard.start()
    assert "ca.pem" in refused.value.output and "palisade.internal" in refused.value.output
