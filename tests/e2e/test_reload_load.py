"""A thousand reloads under load, half of them of sets that don't read well: every call is judged by one good set.

Two sets take turns. One refuses to end workspaces that are tagged and allows to end instances, the other the reverse:
so a call whose lookups follow one set and whose judgement follows the other is seen, for it lacks the tags that it is
judged by. Between them come sets that open everything and have one thing wrong.
"""

import http.client
import itertools
import re
import signal
import threading
import time
from bisect import bisect_right
from dataclasses import dataclass

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import raw
from apis import INSTANCES, MGN, WORKSPACES, wire
from checks import decision_id_in
from cloud import REGION
from guard import PROTECTED, eventually
from upstream import Answer

RELOADS = 1000
# It takes a quarter of this on two cores that have nothing else to do.
SECONDS_MAX = 900
CLIENTS = 3
# Between two calls of a client: the cores are for the reloads too.
PAUSE_SECONDS = 0.005
PERMIT = '@id("base") permit (principal, action, resource);\n'


def forbid(ident, action, condition="true"):
    return (
        f'@id("{ident}") @reason("The set says {ident}.")\n'
        f'forbid (principal, action == Action::"{action}", resource) when {{ {condition} }};\n'
    )


KEPT = 'resource.hasTag("kept")'
NEVER = forbid("never", str(MGN))
SETS = {
    "workspaces": PERMIT + NEVER + forbid("keeps-workspaces", str(WORKSPACES), KEPT),
    "instances": PERMIT + NEVER + forbid("keeps-instances", str(INSTANCES), KEPT),
}
# What each set makes of each call: the verdict, and the policies that decided.
VERDICTS = {
    "workspaces": {
        str(WORKSPACES): ("refused", ["keeps-workspaces"]),
        str(INSTANCES): ("allowed", ["base"]),
        str(MGN): ("refused", ["never"]),
    },
    "instances": {
        str(WORKSPACES): ("allowed", ["base"]),
        str(INSTANCES): ("refused", ["keeps-instances"]),
        str(MGN): ("refused", ["never"]),
    },
}


# What each file holds in a set with one thing wrong; whatever else stands in it, everything would be allowed.
def spoilt(guard):
    settings = guard.config.read_text()
    yield from itertools.cycle(
        [
            {"policies/all.cedar": PERMIT + "forbid (principal"},
            {"policies/all.cedar": PERMIT + forbid("x", "mgn:TerminateTargetInstance")},
            {"policies/all.cedar": PERMIT, "protected.toml": "[mgn]\nids = 1\n"},
            {"policies/all.cedar": PERMIT + PERMIT},
            {"policies/all.cedar": PERMIT, "palisade.toml": settings + "\n[limits]\nbody_byte_max = 1\n"},
            {"policies/all.cedar": PERMIT + forbid("x", str(MGN), 'resource.colour == "red"')},
        ]
    )


@dataclass(frozen=True)
class Told:
    """What a client was told of a call, and when."""

    action: str
    begun: float
    ended: float
    status: int
    text: str


class Hammer(threading.Thread):
    """Makes one call after the other over connections that it keeps."""

    def __init__(self, guard, calls, stop):
        super().__init__(daemon=True)
        self.guard, self.calls, self.stop = guard, calls, stop
        key = guard.key("ci")
        self.credentials = Credentials(key.access_key_id, key.secret_access_key)
        self.connections = {}
        self.told = []
        self.failure = None

    def run(self):
        try:
            for api, body in itertools.cycle(self.calls):
                if self.stop.is_set():
                    break
                self.call(api, body)
                time.sleep(PAUSE_SECONDS)
        except Exception as error:  # noqa: BLE001
            self.failure = error

    def call(self, api, given):
        method, path, headers, body = wire(api, given)
        request = AWSRequest(method=method, url=f"https://{api.host}{path}", data=body, headers=headers)
        SigV4Auth(self.credentials, api.service, REGION).add_auth(request)
        if api.host not in self.connections:
            self.connections[api.host] = raw.tls(self.guard, api.host)
        sock = self.connections[api.host]
        begun = time.monotonic()
        raw.send(sock, method, path, dict(request.headers.items()), body, host=api.host)
        answer = raw.read_answer(sock)
        self.told.append(Told(str(api), begun, time.monotonic(), answer.status, answer.body.decode()))


class Reloads:
    """Puts sets in force, and knows from the metrics when they are."""

    def __init__(self, guard):
        self.guard = guard
        self.admin = http.client.HTTPConnection(guard.admin, timeout=20)
        self.whole = {"palisade.toml": guard.config.read_text(), "protected.toml": PROTECTED}

    def read(self):
        self.admin.request("GET", "/metrics")
        text = self.admin.getresponse().read().decode()
        counted = dict(re.findall(r'^palisade_policy_reloads_total\{outcome="(\w+)"\} (\d+)$', text, re.MULTILINE))
        [in_force] = re.findall(r'^palisade_ruleset_info\{hash="(\w+)"\} 1$', text, re.MULTILINE)
        return {name: int(count) for name, count in counted.items()}, in_force

    def write(self, files):
        """Each file is whole at any time, and they come one after the other, as they would from an editor."""
        for name, text in {**self.whole, **files}.items():
            path = self.guard.folder / name
            if path.exists() and path.read_text() == text:
                continue
            beside = path.with_suffix(".new")
            beside.write_text(text)
            beside.replace(path)

    def put(self, files, seen):
        """Writes a set, asks for a reload, and waits until `seen(counted, in_force)`."""
        self.write(files)
        self.guard.process.send_signal(signal.SIGHUP)
        eventually(lambda: seen(*self.read()), f"the reload of {files}", timeout=30)


@pytest.mark.timeout(SECONDS_MAX)
def test_a_thousand_reloads_mix_no_decision_and_let_nothing_slip(new_guard, upstream, cloud):
    calls = [
        (WORKSPACES, WORKSPACES.params(WORKSPACES.make(cloud, 2, tags={"kept": "yes"}))),
        (INSTANCES, INSTANCES.params(INSTANCES.make(cloud, tags={"kept": "yes"}))),
        (MGN, MGN.params(MGN.make(cloud))),
    ]
    guard = new_guard(policies={"all.cedar": SETS["workspaces"]}).start()
    reloads = Reloads(guard)
    _, first = reloads.read()
    hashes = {"workspaces": first}
    reloads.put({"policies/all.cedar": SETS["instances"]}, lambda _, in_force: in_force != first)
    _, hashes["instances"] = reloads.read()
    stop = threading.Event()
    hammers = [Hammer(guard, calls[n:] + calls[:n], stop) for n in range(CLIENTS)]
    # They end nothing in truth, so that there is always something to end.
    with upstream.fault(WORKSPACES.operation, Answer({"FailedRequests": []}), times=10**9):
        with upstream.fault(INSTANCES.operation, Answer({}), times=10**9):
            for hammer in hammers:
                hammer.start()
            epochs = reload_again_and_again(guard, reloads, hashes)
            stop.set()
            for hammer in hammers:
                hammer.join(30)
    assert [hammer.failure for hammer in hammers] == [None] * CLIENTS
    counted, _ = reloads.read()
    assert counted["applied"] >= RELOADS / 2
    assert counted["refused"] >= RELOADS / 2
    told = [one for hammer in hammers for one in hammer.told]
    judged = records_of(guard)
    every_decision_is_of_one_set(judged, hashes)
    every_client_was_told_what_was_decided(told, judged)
    what_was_acknowledged_judges(told, judged, epochs, hashes)
    what_reached_aws_was_allowed(upstream, judged)


def reload_again_and_again(guard, reloads, hashes):
    """Answers when each good set was in force: (since when, until when, its hash)."""
    bad = spoilt(guard)
    good = itertools.cycle(["workspaces", "instances"])
    epochs, since, current = [], time.monotonic(), hashes["instances"]
    for _ in range(RELOADS // 2):
        before = reloads.read()[0]["refused"]
        reloads.put(next(bad), lambda counted, _, before=before: counted["refused"] > before)
        assert reloads.read()[1] == current, "what doesn't read well changes nothing"
        name = next(good)
        wanted = hashes[name]
        epochs.append((since, time.monotonic(), current))
        reloads.put({"policies/all.cedar": SETS[name]}, lambda _, in_force, wanted=wanted: in_force == wanted)
        since, current = time.monotonic(), wanted
    return epochs


def records_of(guard):
    """What was decided of the calls: decision id → (action, the guard's own fields)."""
    return {
        record["unmapped"]["palisade"]["decision_id"]: (
            f"{record['api']['service']['name']}:{record['api']['operation']}",
            record["unmapped"]["palisade"],
        )
        for record in guard.journal()
        if record["unmapped"]["palisade"]["phase"] == "decision"
    }


def every_decision_is_of_one_set(judged, hashes):
    names = {hash_: name for name, hash_ in hashes.items()}
    for action, own in judged.values():
        verdict, policies = VERDICTS[names[own["ruleset_hash"]]][action]
        assert (own["verdict"], own["policies"]) == (verdict, policies), own
        assert {part["verdict"] for part in own["resources"]} == {verdict}
    assert {(names[own["ruleset_hash"]], action) for action, own in judged.values()} == {
        (name, action) for name in VERDICTS for action in VERDICTS[name]
    }, "each set judged each call"


def every_client_was_told_what_was_decided(told, judged):
    assert len(told) == len(judged)
    for one in told:
        if one.status == 200:
            assert one.action != str(MGN)
            continue
        action, own = judged[decision_id_in(one.text)]
        assert action == one.action
        [policy] = own["policies"]
        assert f"The set says {policy}." in one.text


def what_was_acknowledged_judges(told, judged, epochs, hashes):
    """A call that began after a set was in force and ended before the next was written is judged by that set."""
    names = {hash_: name for name, hash_ in hashes.items()}
    begins = [since for since, _, _ in epochs]
    within = 0
    for one in told:
        place = bisect_right(begins, one.begun) - 1
        if place < 0 or one.ended > epochs[place][1]:
            continue
        within += 1
        in_force = epochs[place][2]
        if one.status != 200:
            assert judged[decision_id_in(one.text)][1]["ruleset_hash"] == in_force
        # An answer of AWS carries no decision id, but only one of the two sets allows the call.
        assert (one.status == 200) == (VERDICTS[names[in_force]][one.action][0] == "allowed"), one
    assert within > RELOADS / 10, "the load ran while sets were in force"


def what_reached_aws_was_allowed(upstream, judged):
    sent = upstream.destructive()
    ids = [decision_id_in(seen.user_agent) for seen in sent]
    assert len(set(ids)) == len(ids)
    assert set(ids) == {ident for ident, (_, own) in judged.items() if own["verdict"] == "allowed"}
    assert not [seen for seen in sent if seen.service == "mgn"]
