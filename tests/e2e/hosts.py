"""Every host that botocore would call, by its own evaluation of the rule sets: what test_hosts.py holds the catalog against."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointResolutionError
from botocore.loaders import Loader

ACCOUNT = "123456789012"

# What an SDK could be given for S3's `Bucket`; `{p}` and `{r}` are partition and region.
BUCKETS = [
    "my-bucket",
    "my.dotted.bucket",
    "us-west-2",
    "s3",
    "arn:{p}:s3:{r}:123456789012:accesspoint/my-point",
    "arn:{p}:s3-object-lambda:{r}:123456789012:accesspoint/my-lambda",
    "arn:{p}:s3-outposts:{r}:123456789012:outpost/op-01234567890123456/accesspoint/my-point",
    "arn:{p}:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
    "my-bucket--use1-az4--x-s3",
    "my-point-abcdefghijklmnopqrstuvwxyz0123456789-s3alias",
]

# What the other parameters of rule sets are given, by name.
VALUES = {
    "AccountId": ACCOUNT,
    "ResourceArn": "arn:{p}:dynamodb:{r}:210987654321:table/one",
    "StreamArn": "arn:{p}:dynamodb:{r}:210987654321:table/one/stream/2024",
    "EndpointId": "abcde.veo",
    "SpaceId": "space-0123456789",
    "KvsARN": "arn:{p}:cloudfront::123456789012:key-value-store/0123",
    "EventBusArn": "arn:{p}:eventsv2:{r}:210987654321:event-bus/one",
    "StreamId": "abcdefghij0123456789-abc",
    "StreamARN": "arn:{p}:kinesis:{r}:210987654321:stream/one",
    "ConsumerARN": "arn:{p}:kinesis:{r}:210987654321:stream/one/consumer/two:1",
    "ChannelARN": "arn:{p}:kinesis:{r}:210987654321:channel/ch-1",
    "QueueARN": "arn:{p}:kinesis:{r}:210987654321:queue/q-1",
    "ResourceARN": "arn:{p}:kinesis:{r}:210987654321:stream/one",
    "OutpostId": "op-01234567890123456",
    "AccessPointName": "arn:{p}:s3-outposts:{r}:123456789012:outpost/op-01234567890123456/accesspoint/my-point",
}

# What the labels of host prefixes are given.
LABELS = {"AccountId": ACCOUNT, "graphIdentifier": "g-0123456789", "RequestRoute": "io-use1-0123"}


@dataclass(frozen=True)
class Case:
    """One host that a client of a service would call, and what the rule set says of it."""

    host: str
    service: str
    partition: str
    # The region that the client is made for.
    region: str
    # The region and the service of the credential scope, where the rule set says one.
    signing_region: str | None
    signing_name: str | None
    fips: bool
    dualstack: bool
    prefix: str
    bucket: str | None


def services(loader: Loader) -> list[str]:
    """The services that have a rule set."""
    return loader.list_available_services("endpoint-rule-set-1")


def cases(loader: Loader, service: str, partitions: dict) -> Iterator[Case]:
    """Every host of a service, in every region and variant."""
    rules = loader.load_service_model(service, "endpoint-rule-set-1")
    model = loader.load_service_model(service, "service-2")
    provider = EndpointProvider(rules, partitions)
    kinds = _kinds(model)
    declared = rules["parameters"]
    for partition in partitions["partitions"]:
        for region in partition["regions"]:
            for fips, dualstack in itertools.product([False, True], repeat=2):
                base = {"Region": region}
                if "UseFIPS" in declared:
                    base["UseFIPS"] = fips
                if "UseDualStack" in declared:
                    base["UseDualStack"] = dualstack
                for fixed, prefixes in kinds:
                    for more in _more(declared, partition["id"], region):
                        given = {**base, **fixed, **more}
                        try:
                            found = provider.resolve_endpoint(**given)
                        except (EndpointResolutionError, ValueError):
                            continue
                        yield from _of(found, given, service, partition["id"], region, prefixes if not more else [])


def _of(found, given, service, partition, region, prefixes) -> Iterator[Case]:
    host = urlsplit(found.url).netloc
    schemes = [s for s in found.properties.get("authSchemes", []) if s["name"] != "sigv4a"]
    scheme = schemes[0] if schemes else {}
    name = scheme.get("signingName") or next((s.get("signingName") for s in found.properties.get("authSchemes", [])), None)
    bucket = given.get("Bucket")
    # A bucket in the path isn't in the host.
    if bucket and urlsplit(found.url).path.strip("/"):
        bucket = None
    for text in prefixes or [""]:
        text = text.format(**LABELS)
        whole = host if host.startswith(text) else text + host
        yield Case(
            host=whole,
            service=service,
            partition=partition,
            region=region,
            signing_region=scheme.get("signingRegion"),
            signing_name=name,
            fips=given.get("UseFIPS", False),
            dualstack=given.get("UseDualStack", False),
            prefix=text,
            bucket=bucket,
        )


def _kinds(model: dict) -> list[tuple[dict, list[str]]]:
    """The static parameters that operations have, each set once, with the host prefixes of those operations."""
    kinds: dict[str, set[str]] = {"{}": {""}}
    for operation in model["operations"].values():
        fixed = {name: p["value"] for name, p in operation.get("staticContextParams", {}).items()}
        prefixes = kinds.setdefault(json.dumps(fixed, sort_keys=True), set())
        prefixes.add(operation.get("endpoint", {}).get("hostPrefix", ""))
    return [(json.loads(fixed), sorted(prefixes)) for fixed, prefixes in kinds.items()]


def _more(declared: dict, partition: str, region: str) -> Iterator[dict]:
    """What a client could give beside its region."""
    yield {}

    def fill(text: str) -> str:
        return text.format(p=partition, r=region)

    if "Bucket" in declared and "Accelerate" in declared:
        for bucket, accelerate, path, global_ in itertools.product(BUCKETS, [False, True], [False, True], [False, True]):
            yield {
                "Bucket": fill(bucket),
                "Accelerate": accelerate,
                "ForcePathStyle": path,
                "UseGlobalEndpoint": global_,
                "UseArnRegion": True,
            }
        yield {"UseGlobalEndpoint": True}
    for name, value in VALUES.items():
        if name in declared:
            yield {name: fill(value)}
    if "AccountIdEndpointMode" in declared:
        yield {"AccountId": ACCOUNT, "AccountIdEndpointMode": "preferred"}
    if "UseGlobalEndpoint" in declared and "Bucket" not in declared:
        yield {"UseGlobalEndpoint": True}
