"""What somebody tries who wants a call judged as another, a send repeated, or the guard worn out."""

import pytest

import raw
from apis import MGN, WORKSPACES, wire
from checks import decision_id_in
from guard import Key

STS = "sts.amazonaws.com"
HARMLESS = "Action=GetCallerIdentity&Version=2011-06-15"
MINTING = "Action=GetSessionToken&Version=2011-06-15"
FORM = "application/x-www-form-urlencoded"


class TestAFormThatCouldBeReadAsAnother:
    """An unguarded form goes on with the client's own bytes: they may have one reading only."""

    def refused(self, guard, upstream, method, path, headers, body):
        before = len(upstream.calls())
        answer = raw.call(guard, STS, method, path, headers, body, service="sts")
        assert len(upstream.calls()) == before
        assert answer.status == 400, answer
        return answer

    def test_a_get_with_a_body(self, guard, upstream):
        for kind in [FORM, "text/plain", "application/x-www-form-urlencoded,x"]:
            headers = {"Content-Type": kind}
            self.refused(guard, upstream, "GET", "/?" + HARMLESS, headers, MINTING.encode())
        self.refused(guard, upstream, "GET", "/?" + HARMLESS, {}, MINTING.encode())

    @pytest.mark.parametrize("charset", ["utf-16be", "utf-7", "ibm037", "iso-8859-1", '"utf-16"', "utf-8; charset=utf-16"])
    def test_in_another_charset(self, guard, upstream, charset):
        body = f"{HARMLESS}&X=".encode() + f"&{MINTING}".encode("utf-16be")
        self.refused(guard, upstream, "POST", "/", {"Content-Type": f"{FORM}; charset={charset}"}, body)

    def test_with_semicolons_between_parameters(self, guard, upstream):
        body = f"{HARMLESS}&X=;{MINTING.replace('&', ';')}".encode()
        raw.call(guard, STS, "POST", "/", {"Content-Type": FORM}, body, service="sts")
        [seen] = upstream.calls()
        assert b";" not in seen.body
        assert b"%3BAction%3D" in seen.body

    @pytest.mark.parametrize("kind", [FORM, FORM + "; charset=utf-8", FORM + ';charset="UTF-8"'])
    def test_but_what_sdks_send_passes(self, guard, upstream, kind):
        answer = raw.call(guard, STS, "POST", "/", {"Content-Type": kind}, HARMLESS.encode(), service="sts")
        assert answer.status == 200, answer.body
        answer = raw.call(guard, STS, "GET", "/?" + HARMLESS, {}, b"", service="sts")
        assert answer.status == 200, answer.body


class Break:
    """Begins a chunked answer and closes before its end."""

    def __call__(self, handler, seen):
        handler.wfile.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{\n\r\n"
        )
        handler.hang_up()


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_a_chunked_answer_that_breaks_off_is_not_sent_again(guard, upstream, cloud, mode):
    things = WORKSPACES.make(cloud)
    client = guard.client("workspaces", retries={"mode": mode, "total_max_attempts": 3})
    with upstream.fault("TerminateWorkspaces", Break()):
        with pytest.raises(client.exceptions.ClientError) as caught:
            WORKSPACES.destroy(client, things)
    assert client.attempts == 1
    assert caught.value.response["Error"]["Code"] == "GuardOutcomeUnknown"
    [seen] = upstream.destructive()
    assert guard.outcome(decision_id_in(seen.user_agent))["outcome"] == "sent"


def test_an_underscored_header_is_not_passed_on(guard, upstream):
    method, path, headers, body = wire(WORKSPACES, {}, "DescribeWorkspaces")
    answer = raw.call(
        guard, WORKSPACES.host, method, path, headers, body, service="workspaces",
        extra={"x_amz_target": "WorkspacesService.TerminateWorkspaces"},
    )
    assert answer.status == 400, answer
    assert not upstream.calls()


@pytest.mark.parametrize("path", ["/tags/a;x", "/tags/a%5C..%2F..%2Fx", "/tags/a%2F..%2F..%2FDeleteWave"])
def test_a_path_that_servers_read_in_two_ways(guard, upstream, path):
    answer = raw.call(guard, MGN.host, "GET", path, {}, b"", service="mgn")
    assert answer.status == 400, answer
    assert not upstream.calls()


def test_a_stranger_is_refused_before_the_body_is_read(guard, upstream):
    """Bodies take memory that all share, and strangers could hold all of it."""
    for api in [WORKSPACES, MGN]:
        method, path, headers, body = wire(api, {}, "DescribeWorkspaces" if api is WORKSPACES else "ListWaves")
        stranger = Key("nobody", "PALISADEAAAAAAAAAAAA", "s" * 40)
        headers = raw.signed(stranger, method, api.host, path, headers, body, service=api.service)
        with raw.tls(guard, api.host) as sock:
            sock.settimeout(5)
            raw.send(sock, method, path, {**headers, "Content-Length": "60000000"}, body, host=api.host)
            assert raw.read_answer(sock, method).status in (400, 403)
    assert not upstream.calls()


def test_a_form_of_countless_parameters_is_refused_at_once(guard, upstream):
    body = (HARMLESS + "&a=1" * 3_000_000).encode()
    answer = raw.call(guard, STS, "POST", "/", {"Content-Type": FORM}, body, service="sts")
    assert answer.status == 400, answer
    assert not upstream.calls()


def test_a_long_user_agent_does_not_fill_the_journal(guard, upstream, cloud):
    things = WORKSPACES.make(cloud)
    method, path, headers, body = wire(WORKSPACES, WORKSPACES.params(things))
    answer = raw.call(
        guard, WORKSPACES.host, method, path, headers, body, service="workspaces", extra={"User-Agent": "x" * 40_000}
    )
    assert answer.status == 200, answer
    record = guard.decision(decision_id_in(upstream.destructive()[0].user_agent))
    assert len(record["context"]["source"]["userAgent"]) == 512
