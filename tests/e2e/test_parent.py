"""Behind a parent proxy: everything goes through it, and its password stays with it."""

import socket
import threading

import pytest

import raw
from apis import WORKSPACES
from checks import allowed, error_of
from parent import Parent

SECRET = "pArEnT-s3cret"


@pytest.fixture
def parent():
    one = Parent("ann", SECRET)
    yield one
    one.close()


def test_calls_and_lookups_go_through_it(new_guard, upstream, cloud, parent):
    with new_guard(settings={"upstream.proxy": parent.url}) as guard:
        client = guard.client("workspaces")
        things = WORKSPACES.make(cloud, 2)
        WORKSPACES.destroy(client, things)
        allowed(guard, upstream, WORKSPACES)
        assert not WORKSPACES.alive(cloud, things)
        client.describe_workspaces()
        assert upstream.calls("DescribeTags")
        assert set(parent.asked) == {f"localhost:{upstream.port}"}
        kept = guard.log.read_text() + str(guard.journal()) + guard.get("/metrics")[1]
        assert SECRET not in kept


def test_what_no_proxy_names_goes_around_it(new_guard, upstream, parent):
    settings = {"upstream.proxy": parent.url, "upstream.no_proxy": ["localhost"]}
    with new_guard(settings=settings) as guard:
        guard.client("workspaces").describe_workspaces()
        assert upstream.calls("DescribeWorkspaces")
        assert parent.asked == []


@pytest.mark.parametrize("refusal", [None, "403 Forbidden"], ids=["password", "rules"])
def test_its_refusal_lasts_and_is_told_at_the_first_attempt(new_guard, upstream, parent, refusal):
    url = parent.url if refusal else parent.url.replace(SECRET, "wrong")
    parent.refusal = refusal
    with new_guard(settings={"upstream.proxy": url}) as guard:
        client = guard.client("sts")
        error = error_of(client.get_caller_identity)
        assert error.response["Error"]["Code"] == "AccessDenied"
        assert client.attempts == 1
        message = error.response["Error"]["Message"]
        assert f"http://127.0.0.1:{parent.port}" in message
        assert (refusal or "upstream.proxy") in message
        assert SECRET not in message + guard.log.read_text() and "ann" not in message
        assert upstream.calls() == []


def test_its_failure_passes_and_is_tried_again(new_guard, upstream, parent):
    parent.refusal = "503 Busy"
    with new_guard(settings={"upstream.proxy": parent.url}) as guard:
        client = guard.client("workspaces", retries={"mode": "standard", "total_max_attempts": 2})
        error = error_of(client.describe_workspaces)
        assert error.response["Error"]["Code"] != "AccessDeniedException"
        assert client.attempts == 2
        parent.refusal = None
        client.describe_workspaces()
        assert len(upstream.calls("DescribeWorkspaces")) == 1


def test_tunnels_go_through_it_and_addresses_are_still_judged(new_guard, upstream, parent):
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def greet():
        sock, _ = server.accept()
        sock.sendall(b"220 ready\r\n")
        sock.close()

    threading.Thread(target=greet, daemon=True).start()
    settings = {
        "upstream.proxy": parent.url,
        "egress.other_hosts": "tunnel",
    }
    with new_guard(settings=settings) as guard:
        for place in (f"127.0.0.1:{port}", f"localhost:{port}", "169.254.169.254:80", "[::ffff:10.0.0.1]:443"):
            with pytest.raises(raw.Refused) as caught:
                raw.connect(guard, place)
            assert caught.value.status == 403
        assert parent.asked == []
        with pytest.raises(raw.Refused) as caught:
            raw.connect(guard, "no-such-name.invalid:443")
        assert caught.value.status == 502
        assert parent.asked == ["no-such-name.invalid:443"]
    with new_guard("open", settings={**settings, "egress.private_addresses": "allow"}) as guard:
        with raw.connect(guard, f"localhost:{port}") as sock:
            assert sock.recv(100) == b"220 ready\r\n"
        assert parent.asked[-1] == f"localhost:{port}"
    server.close()
