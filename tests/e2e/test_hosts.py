"""Every host that botocore's rule sets give is the API it came from: the catalog against botocore's own evaluation.

The binary is asked in one go. What differs is listed below with its reason; anything else fails.
"""

import json
import os
import subprocess
from collections import Counter

import botocore
import pytest
from botocore.loaders import Loader

import guard
from hosts import cases, services

# Services whose calls are named by another's.
ALIASES = {
    "docdb": "rds",
    "neptune": "rds",
    "pinpoint-sms-voice": "sms-voice",
    "signer-data": "signer",
    "wisdom": "qconnect",
}

# Other services have these names for their own, so that the prefix says nothing: geo-maps, geo-places and geo-routes beside `location`.
SHARED_PREFIX = ("maps.geo", "places.geo", "routes.geo")


def loader() -> Loader:
    found = Loader()
    found.search_paths.append(os.path.join(os.path.dirname(botocore.__file__), "data"))
    return found


@pytest.fixture(scope="module")
def expected():
    models = loader()
    partitions = models.load_data("partitions")
    found = {}
    for service in services(models):
        for case in cases(models, service, partitions):
            # A pseudo region names no host.
            if not any(label.endswith("-global") and label != "s3-global" for label in case.host.split(".")):
                found.setdefault(case.host, set()).add(case)
    return found, {p["id"]: p for p in partitions["partitions"]}


@pytest.fixture(scope="module")
def told(expected, tmp_path_factory):
    hosts, _ = expected
    config = tmp_path_factory.mktemp("hosts") / "palisade.toml"
    config.write_text(f'state_dir = "{config.parent / "state"}"\n')
    # What the tests themselves are told by isn't configuration.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PALISADE_")}
    ran = subprocess.run(
        [guard.BINARY, "--config", config, "catalog", "hosts", "--json"],
        input="".join(f"{host}\n" for host in hosts),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert ran.returncode == 0, ran.stderr
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [f["host"] for f in found] == list(hosts)
    return {f["host"]: f for f in found}


def difference(case, told, alike, partitions) -> str | None:
    """What of a host is otherwise than the rule set says; `known: …` where that is as it should be."""
    service = ALIASES.get(case.service, case.service)
    partition = partitions[case.partition]
    own = [label for label in case.host.split(".") if label in partition["regions"]]
    if told["kind"] != "api":
        suffixes = [partition["outputs"]["dnsSuffix"], partition["outputs"]["dualStackDnsSuffix"], "on.aws"]
        if not any(case.host.endswith(f".{suffix}") for suffix in suffixes):
            return "known: the rule set puts the region under another partition's suffix"
        return f"is {told['kind']}"
    if service not in told["services"]:
        return f"is {told['services']}"
    if told["partition"] != case.partition:
        if any(c.partition == told["partition"] and c.service == case.service for c in alike):
            return "known: a host without a region of its own, which two partitions' rules give, is the first's"
        return f"is in {told['partition']}"
    region = case.signing_region or (own[-1] if own else partition["outputs"]["implicitGlobalRegion"])
    if told["region"] != region and not told["any_region"]:
        return f"is signed for {told['region']}, not {region}"
    if case.signing_name and case.signing_name not in told["signing_names"]:
        return f"is signed for {told['signing_names']}, not {case.signing_name}"
    if told["fips"] != all(c.fips for c in alike) or told["dualstack"] != all(c.dualstack for c in alike):
        return "has other flags"
    if case.bucket and ".mrap" in case.bucket:
        # Its account isn't in the host.
        return None if told.get("bucket") == case.bucket.rsplit("/", 1)[1] else f"is bucket {told.get('bucket')}"
    if told.get("bucket") != case.bucket:
        return f"is bucket {told.get('bucket')}, not {case.bucket}"
    if case.prefix and told.get("prefix") != case.prefix:
        if case.host.startswith(SHARED_PREFIX):
            return "known: the prefix makes another service's own host"
        return f"has prefix {told.get('prefix')}, not {case.prefix}"
    return None


def test_every_host_of_the_rule_sets_is_the_service_it_came_from(expected, told):
    hosts, partitions = expected
    assert len(hosts) > 80_000
    counted, wrong = Counter(), []
    for host, alike in hosts.items():
        for case in alike:
            differs = difference(case, told[host], alike, partitions)
            if differs is None:
                counted["right"] += 1
            elif differs.startswith("known: "):
                counted[differs] += 1
            else:
                wrong.append(f"{host} of {case.service}: {differs}")
    print(dict(counted), f"{len(wrong)} wrong of {len(hosts)} hosts")
    assert not wrong, wrong[:20]
    known = sum(n for what, n in counted.items() if what != "right")
    assert known < 1_000, counted


def test_every_service_of_botocore_has_a_host(expected):
    hosts, _ = expected
    have = {case.service for alike in hosts.values() for case in alike}
    assert have == set(services(loader()))
