"""The protocols of XML by the clients that speak them, with moto behind the guard: REST-XML of Amazon Route 53 and the
queries of Amazon EC2. What is denied is told at the first attempt in the service's own shape; what is allowed is done.
"""

import itertools

import boto3
import pytest

from checks import decision_id_in
from clients import BOTO3, CLI, JAVASCRIPT
from cloud import REGION
from guard import Guard

CLIENTS = [BOTO3[0], CLI, JAVASCRIPT[0]]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def aws(moto):
    """Clients of moto itself, by service."""
    settings = {"region_name": REGION, "aws_access_key_id": "direct", "aws_secret_access_key": "direct"}
    return {service: boto3.client(service, endpoint_url=moto.url, **settings) for service in ("route53", "ec2")}


@pytest.fixture(scope="module")
def guard(moto, tmp_path_factory):
    with Guard(tmp_path_factory.mktemp("xml"), upstream=moto.url) as running:
        yield running


class Zones:
    service, operation, code = "route53", "DeleteHostedZone", "AccessDenied"

    @staticmethod
    def make(aws, tags):
        made = aws["route53"].create_hosted_zone(Name="example.com", CallerReference=f"{next(_numbers)}")
        ident = made["HostedZone"]["Id"].removeprefix("/hostedzone/")
        added = [{"Key": key, "Value": value} for key, value in tags.items()]
        aws["route53"].change_tags_for_resource(ResourceType="hostedzone", ResourceId=ident, AddTags=added)
        return {"Id": ident}

    @staticmethod
    def alive(aws, given):
        zones = aws["route53"].list_hosted_zones()["HostedZones"]
        return f"/hostedzone/{given['Id']}" in [zone["Id"] for zone in zones]


class Volumes:
    service, operation, code = "ec2", "DeleteVolume", "UnauthorizedOperation"

    @staticmethod
    def make(aws, tags):
        kind = [{"ResourceType": "volume", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]
        made = aws["ec2"].create_volume(AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=kind)
        return {"VolumeId": made["VolumeId"]}

    @staticmethod
    def alive(aws, given):
        return given["VolumeId"] in [volume["VolumeId"] for volume in aws["ec2"].describe_volumes()["Volumes"]]


THINGS = [Zones, Volumes]
# The class that is raised: neither service's model names a denial among its errors.
EXCEPTIONS = {
    ("boto3", "route53"): "ClientError",
    ("boto3", "ec2"): "ClientError",
    ("AWS", "route53"): "exit 255",
    ("AWS", "ec2"): "exit 255",
    ("JavaScript", "route53"): "Route53ServiceException",
    ("JavaScript", "ec2"): "EC2ServiceException",
}


@pytest.mark.parametrize("things", THINGS, ids=lambda things: things.service)
@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_what_is_allowed_is_done(guard, aws, tmp_path, client, things):
    given = things.make(aws, {"owner": "finance"})
    told = client.call(guard, tmp_path, things.service, things.operation, given)
    assert told.ok, told.text
    assert told.attempts in (1, None)
    assert not things.alive(aws, given)


@pytest.mark.parametrize("things", THINGS, ids=lambda things: things.service)
@pytest.mark.parametrize("client", CLIENTS, ids=str)
def test_what_is_denied_is_told_at_once_in_the_services_words(guard, aws, tmp_path, client, things):
    given = things.make(aws, {"protected": "true"})
    before = len(refusals(guard))
    told = client.call(guard, tmp_path, things.service, things.operation, given)
    assert not told.ok
    exception = EXCEPTIONS[client.name.split()[0], things.service]
    assert (told.exception, told.code) == (exception, things.code), told.text
    assert told.attempts in (1, None)
    assert "protected-tag" in told.message
    decision = decision_id_in(told.message)
    assert told.request_id in (decision, None)
    assert guard.decision(decision)["verdict"] == "refused"
    # One that tries again is refused again.
    assert len(refusals(guard)) == before + 1
    assert things.alive(aws, given)


def refusals(guard):
    return [record for record in guard.records(phase="decision") if record["verdict"] == "refused"]
