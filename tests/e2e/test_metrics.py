"""What Prometheus scrapes: DESIGN's names, closed labels, and numbers that the journal bears out."""

import socket
from collections import Counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

import raw
from apis import INSTANCES, MGN, WORKSPACES, wire
from checks import error_of
from guard import eventually
from upstream import Drop, Fail, Hang

COUNTERS = {
    "palisade_decisions_total": {"service", "operation", "class", "verdict"},
    "palisade_resources_total": {"service", "class", "verdict"},
    "palisade_refusals_total": {"reason"},
    "palisade_policy_decisions_total": {"policy", "effect"},
    "palisade_unidentified_total": {"reason"},
    "palisade_tunnels_total": {"verdict"},
    "palisade_policy_reloads_total": {"outcome"},
    "palisade_credentials_fetches_total": {"credentials", "from", "outcome"},
    "palisade_outcomes_total": {"outcome"},
    "palisade_certificates_minted_total": set(),
}
HISTOGRAMS = {
    "palisade_request_duration_seconds": {"class"},
    "palisade_decision_duration_seconds": set(),
    "palisade_lookup_duration_seconds": {"source", "outcome"},
    "palisade_upstream_duration_seconds": set(),
    "palisade_journal_append_duration_seconds": set(),
}
GAUGES = {
    "palisade_ruleset_info": {"hash"},
    "palisade_mode": {"mode"},
    "palisade_journal_sequence": set(),
    "palisade_journal_failing": set(),
    "palisade_key_ledger_age_seconds": set(),
    "palisade_policy_reload_failing": set(),
    "palisade_certificate_expiry_timestamp_seconds": {"certificate"},
    "palisade_connections": set(),
    "palisade_build_info": {"version", "catalog"},
}


@pytest.fixture
def busy(guard, upstream, cloud):
    """A guard that has allowed, refused, minted and looked up."""
    client = guard.client("workspaces")
    WORKSPACES.destroy(client, WORKSPACES.make(cloud))
    error_of(lambda: WORKSPACES.destroy(client, WORKSPACES.make(cloud, tags={"protected": "true"})))
    client.describe_workspaces()
    return guard


def test_every_name_is_there_with_its_labels(busy):
    families = {family.name: family for family in text_string_to_metric_families(busy.get("/metrics")[1])}
    kinds = [(COUNTERS, "counter"), (HISTOGRAMS, "histogram"), (GAUGES, "gauge")]
    for names, kind in kinds:
        for name, labels in names.items():
            family = families[name.removesuffix("_total") if kind == "counter" else name]
            assert family.type == kind, name
            assert family.documentation, name
            for sample in family.samples:
                assert set(sample.labels) - {"le"} == labels, name


def test_a_call_counts_once_and_its_things_each(guard, upstream, cloud):
    def count(name, **labels):
        return sum(v for k, v in guard.metrics().items() if k[0] == name and dict(k[1:]).items() >= labels.items())

    names = ["palisade_decisions_total", "palisade_resources_total"]
    what = {"service": "workspaces", "class": "destroy", "verdict": "allowed"}
    before = [count(name, **what) for name in names]
    sent = count("palisade_outcomes_total", outcome="sent")
    WORKSPACES.destroy(guard.client("workspaces"), WORKSPACES.make(cloud, 7))
    eventually(lambda: count("palisade_outcomes_total", outcome="sent") == sent + 1, "the outcome")
    assert [count(name, **what) for name in names] == [before[0] + 1, before[1] + 7]


def test_a_policy_that_refuses_is_counted(guard, upstream, cloud):
    name = ("palisade_policy_decisions_total", ("effect", "forbid"), ("policy", "protected-tag"))
    before = guard.metrics().get(name, 0)
    client = guard.client("workspaces")
    error_of(lambda: WORKSPACES.destroy(client, WORKSPACES.make(cloud, tags={"protected": "true"})))
    eventually(lambda: guard.metrics()[name] == before + 1, "the metric")


def lookups(guard, service):
    """How many lookups at a service ended in which way."""
    counts = Counter()
    for key, value in guard.metrics().items():
        labels = dict(key[1:])
        if key[0] == "palisade_lookup_duration_seconds_count" and labels["source"].startswith(f"{service}:"):
            counts[labels["outcome"]] += value
    return counts


@pytest.mark.parametrize(
    "act",
    [
        Fail("ThrottlingException", "slow down", 400),
        Fail("AccessDeniedException", "not authorized", 400),
        Drop(),
        Hang(),
    ],
    ids=["throttled", "denied", "dropped", "out of time"],
)
def test_a_lookup_without_an_answer_to_its_question_has_failed(guard, upstream, cloud, act):
    client = guard.client("mgn", retries={"total_max_attempts": 1})
    before = lookups(guard, "mgn")
    with upstream.fault("DescribeSourceServers", act):
        error_of(lambda: MGN.destroy(client, MGN.make(cloud)))
    assert set(lookups(guard, "mgn") - before) == {"failed"}


def test_a_lookup_of_what_aws_does_not_know_has_not_failed(guard, upstream):
    client = guard.client("workspaces-instances")
    before = lookups(guard, "workspaces-instances")
    error_of(lambda: INSTANCES.destroy(client, ["wsinst-nowhere01"]))
    assert set(lookups(guard, "workspaces-instances") - before) == {"absent"}


def test_a_lookup_that_finds_is_counted_so(guard, upstream, cloud):
    before = lookups(guard, "mgn")
    MGN.destroy(guard.client("mgn"), MGN.make(cloud))
    assert set(lookups(guard, "mgn") - before) == {"found"}


def test_labels_do_not_grow_with_what_clients_send(guard, upstream):
    def series_after(operations):
        for operation in operations:
            method, path, headers, body = wire(WORKSPACES, {}, operation)
            raw.call(guard, WORKSPACES.host, method, path, headers, body, service="workspaces")
        return set(guard.metrics())

    first = series_after(["MadeUp"])
    assert series_after([f"MadeUp{n}" for n in range(5)]) == first
    assert "MadeUp" not in str(first)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health(guard, upstream, path):
    assert guard.get(path)[0] == 200


@pytest.mark.parametrize("path", ["/", "/metrics/x", "/debug", "/healthz/../metrics/.."])
def test_nothing_else_is_served(guard, upstream, path):
    assert guard.get(path)[0] in (400, 404)


def test_the_admin_port_is_no_proxy(guard, upstream):
    host, port = guard.admin.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(f"CONNECT {WORKSPACES.host}:443 HTTP/1.1\r\nHost: {WORKSPACES.host}\r\n\r\n".encode())
        assert int(sock.recv(100).split()[1]) >= 400


@pytest.mark.last
def test_the_count_of_decisions_is_that_of_the_journal(guard):
    def counted():
        return {
            tuple(dict(name[1:])[label] for label in ("service", "operation", "class", "verdict")): int(value)
            for name, value in guard.metrics().items()
            if name[0] == "palisade_decisions_total" and value
        }

    def recorded(records):
        return Counter(
            (
                record["api"]["service"]["name"],
                record["api"]["operation"],
                record["unmapped"]["palisade"].get("class", "other"),
                record["unmapped"]["palisade"]["verdict"],
            )
            for record in records
            if record["unmapped"]["palisade"]["phase"] == "decision"
        )

    guard.client("workspaces").describe_workspaces()
    try:
        eventually(lambda: counted() == recorded(guard.journal()), "the same counts")
    except AssertionError:
        assert counted() == dict(recorded(guard.journal()))
        raise


@pytest.mark.last
def test_the_count_of_outcomes_and_the_sequence_are_those_of_the_journal(guard):
    def agree():
        metrics, records = guard.metrics(), guard.journal()
        outcomes = Counter(own["outcome"] for own in guard.records() if "outcome" in own)
        counted = {dict(k[1:])["outcome"]: v for k, v in metrics.items() if k[0] == "palisade_outcomes_total" and v}
        return counted == outcomes and metrics["palisade_journal_sequence",] == records[-1]["metadata"]["sequence"]

    eventually(agree, "the same outcomes and sequence")
