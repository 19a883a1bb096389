"""Calls that take off tags without naming them, against moto: judged by the tags that are there."""

import boto3
import pytest
from moto.server import ThreadedMotoServer

from checks import error_of
from cloud import REGION
from guard import Guard

POLICIES = """
@id("base") permit (principal, action in [Action::"write", Action::"tag"], resource);
@id("keys") @reason("That tag stays.") forbid (principal, action in Action::"tag", resource)
when { context.tagKeys.contains("Protected") };
"""
BUCKET, OBJECT = "tagged", "a folder/with +signs"


def pairs(tags):
    return {"TagSet": [{"Key": key, "Value": value} for key, value in tags.items()]}


def tags_of(answer):
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


class Bucket:
    names = {"Bucket": BUCKET}
    put, get, delete = "put_bucket_tagging", "get_bucket_tagging", "delete_bucket_tagging"


class Object:
    names = {"Bucket": BUCKET, "Key": OBJECT}
    put, get, delete = "put_object_tagging", "get_object_tagging", "delete_object_tagging"


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://127.0.0.1:{port}"
    settings = {"endpoint_url": url, "region_name": REGION, "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    direct = {service: boto3.client(service, **settings) for service in ("s3", "ec2")}
    location = {} if REGION == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
    direct["s3"].create_bucket(Bucket=BUCKET, **location)
    direct["s3"].put_object(Bucket=BUCKET, Key=OBJECT, Body=b"x")
    yield url, direct
    server.stop()


@pytest.fixture(scope="module")
def guard(moto, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tags")
    settings = {"lookup.timeout": "20s", "upstream.timeout": "30s"}
    with Guard(folder, upstream=moto[0], policies={"p.cedar": POLICIES}, protected=None, settings=settings) as running:
        yield running


@pytest.fixture(scope="module")
def direct(moto):
    return moto[1]


@pytest.mark.parametrize("kind", [Bucket, Object])
def test_a_tag_that_stays_goes_neither_with_all_nor_for_another(guard, direct, kind):
    before = {"Protected": "yes", "team": "web"}
    getattr(direct["s3"], kind.put)(**kind.names, Tagging=pairs(before))
    s3 = guard.client("s3")
    for off in (
        lambda: getattr(s3, kind.delete)(**kind.names),
        lambda: getattr(s3, kind.put)(**kind.names, Tagging=pairs({"team": "app"})),
        lambda: getattr(s3, kind.put)(**kind.names, Tagging=pairs({})),
    ):
        error = error_of(off)
        assert error.response["Error"]["Code"] == "AccessDenied"
        assert "That tag stays." in error.response["Error"]["Message"]
        [record] = guard.records(error.response["ResponseMetadata"]["RequestId"])
        assert "Protected" in record["context"]["tagKeys"], "what was judged is recorded"
        assert tags_of(getattr(direct["s3"], kind.get)(**kind.names)) == before


@pytest.mark.parametrize("kind", [Bucket, Object])
def test_other_tags_go(guard, direct, kind):
    getattr(direct["s3"], kind.put)(**kind.names, Tagging=pairs({"team": "web", "cost": "1"}))
    s3 = guard.client("s3")
    getattr(s3, kind.put)(**kind.names, Tagging=pairs({"team": "app"}))
    assert tags_of(getattr(direct["s3"], kind.get)(**kind.names)) == {"team": "app"}
    getattr(s3, kind.delete)(**kind.names)
    left = error_of(lambda: direct["s3"].get_bucket_tagging(Bucket=BUCKET)) if kind is Bucket else None
    assert left is None or left.response["Error"]["Code"] == "NoSuchTagSet"
    if kind is Object:
        assert tags_of(direct["s3"].get_object_tagging(**kind.names)) == {}


def test_each_version_of_an_object_has_its_own_tags(guard, direct):
    s3, names = direct["s3"], {"Bucket": BUCKET, "Key": "versioned"}
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    old, new = (s3.put_object(**names, Body=body)["VersionId"] for body in (b"old", b"new"))
    s3.put_object_tagging(**names, VersionId=old, Tagging=pairs({"Protected": "yes"}))
    s3.put_object_tagging(**names, VersionId=new, Tagging=pairs({"team": "web"}))
    through = guard.client("s3")
    assert "That tag stays." in str(error_of(lambda: through.delete_object_tagging(**names, VersionId=old)))
    through.delete_object_tagging(**names, VersionId=new)
    assert tags_of(s3.get_object_tagging(**names, VersionId=old)) == {"Protected": "yes"}
    assert tags_of(s3.get_object_tagging(**names, VersionId=new)) == {}


def test_who_names_no_key_takes_all_off(guard, direct):
    made = direct["ec2"].create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    direct["ec2"].create_tags(Resources=[made], Tags=[{"Key": "Protected", "Value": "yes"}])
    ec2 = guard.client("ec2")
    assert "That tag stays." in str(error_of(lambda: ec2.delete_tags(Resources=[made])))
    direct["ec2"].delete_tags(Resources=[made], Tags=[{"Key": "Protected"}])
    ec2.delete_tags(Resources=[made])


def test_what_cant_be_looked_up_stays(guard):
    error = error_of(lambda: guard.client("s3").delete_bucket_tagging(Bucket="nobody-has-this"))
    assert error.response["Error"]["Code"] == "AccessDenied"
    assert "nobody-has-this" in error.response["Error"]["Message"]
