"""Uploads that say who may read what they make: judged by their heads, while their bodies stream."""

import os
from unittest import mock

import boto3
import pytest
import requests
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from checks import error_of
from cloud import REGION
from guard import Guard, eventually

BUCKET = "of-ours"
# Longer than a guarded call's body may be.
DATA = os.urandom((3 << 20) + 17)

WRITES = '@id("base") permit (principal, action in [Action::"read", Action::"write"], resource);\n'
GRANTS = '@id("grants") permit (principal, action in Action::"grant", resource) when { resource.id like "*open/*" };\n'
OURS = '@id("tagged") @reason("That bucket is closed.") forbid (principal, action, resource) when { resource.hasTag("closed") };\n'

SETTINGS = {
    "trailer": {},
    "no checksum": {"request_checksum_calculation": "when_required"},
    "hash": {"s3": {"payload_signing_enabled": True}},
    "path": {"s3": {"addressing_style": "path"}},
}


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(scope="module")
def direct(moto):
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    client = boto3.client(
        "s3", endpoint_url=moto, region_name=REGION, config=Config(s3={"addressing_style": "path"}), **keys
    )
    location = {} if REGION == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
    for name in (BUCKET, "closed"):
        client.create_bucket(Bucket=name, **location)
    client.put_bucket_tagging(Bucket="closed", Tagging={"TagSet": [{"Key": "closed", "Value": "1"}]})
    return client


@pytest.fixture(scope="module")
def guard(moto, direct, tmp_path_factory):
    folder = tmp_path_factory.mktemp("acl")
    settings = {"lookup.timeout": "20s", "upstream.timeout": "30s"}
    policies = {"policy.cedar": WRITES + GRANTS + OURS}
    with Guard(folder, upstream=moto, policies=policies, protected=None, settings=settings) as running:
        yield running


def client_of(guard, **settings):
    with mock.patch.dict(os.environ, guard.variables()):
        return boto3.session.Session().client("s3", config=Config(**settings))


def stored(direct, key):
    return direct.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def exists(direct, key):
    return "Contents" in direct.list_objects_v2(Bucket=BUCKET, Prefix=key)


def is_open(direct, key):
    grants = direct.get_object_acl(Bucket=BUCKET, Key=key)["Grants"]
    return any(grant["Grantee"].get("URI", "").endswith("/AllUsers") for grant in grants)


@pytest.mark.parametrize(
    "given",
    [
        {"ACL": "public-read"},
        {"ACL": "authenticated-read"},
        {"GrantRead": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'},
        {"GrantFullControl": 'id="1"'},
    ],
    ids=lambda given: next(iter(given)),
)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_an_upload_that_grants_is_refused_to_whoever_may_only_write(guard, direct, settings, given):
    put = lambda: client_of(guard, **settings).put_object(Bucket=BUCKET, Key="shut", Body=DATA, **given)
    error = error_of(put)
    assert error.response["Error"]["Code"] == "AccessDenied"
    assert error.response["ResponseMetadata"]["RetryAttempts"] == 0
    [record] = guard.records(error.response["ResponseMetadata"]["RequestId"])
    assert (record["class"], record["verdict"]) == ("grant", "refused")
    assert not exists(direct, "shut")


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_an_upload_that_grants_streams_where_it_is_permitted(guard, direct, settings):
    key = f"open/{abs(hash(str(settings)))} +ü"
    client = client_of(guard, **settings)
    client.put_object(
        Bucket=BUCKET, Key=key, Body=DATA, ACL="public-read", Metadata={"a": "b"}, ContentType="text/x-ours"
    )
    assert stored(direct, key) == DATA
    assert is_open(direct, key)
    head = direct.head_object(Bucket=BUCKET, Key=key)
    assert (head["Metadata"], head["ContentType"]) == ({"a": "b"}, "text/x-ours")

    def phases():
        own = [r["unmapped"]["palisade"] for r in guard.journal()]
        mine = {r.get("decision_id") for r in own if (r.get("input") or {}).get("Key") == key}
        return [r["phase"] for r in own if r.get("decision_id") in mine]

    eventually(lambda: phases() == ["decision", "outcome"], "two records: the first durable before it was sent")


@pytest.mark.parametrize("given", [{}, {"ACL": "private"}, {"ACL": "bucket-owner-full-control"}], ids=str)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_an_upload_that_grants_nothing_is_a_write(guard, direct, settings, given):
    key = f"plain/{abs(hash(str((settings, given))))}"
    client_of(guard, **settings).put_object(Bucket=BUCKET, Key=key, Body=DATA, **given)
    assert stored(direct, key) == DATA
    mine = lambda: [
        r["unmapped"]["palisade"]
        for r in guard.journal()
        if (r["unmapped"]["palisade"].get("input") or {}).get("Key") == key
    ]
    [record] = eventually(mine, "a record")
    assert (record["class"], record["verdict"], record["outcome"]) == ("write", "allowed", "sent")


def test_an_upload_is_judged_on_the_bucket_it_goes_to(guard):
    client = client_of(guard)
    assert "That bucket is closed." in str(error_of(lambda: client.put_object(Bucket="closed", Key="k", Body=DATA)))


def through(guard):
    return {"proxies": {"https": f"http://{guard.listen}"}, "verify": str(guard.ca)}


def presigned(guard, key, **query):
    with mock.patch.dict(os.environ, guard.variables()):
        credentials = boto3.session.Session().get_credentials()
    url = f"https://{BUCKET}.s3.{REGION}.amazonaws.com/{key}"
    request = AWSRequest("PUT", url, params=query)
    S3SigV4QueryAuth(credentials, "s3", REGION, expires=60).add_auth(request)
    return request.prepare().url


@pytest.mark.parametrize("name", ["x-amz-acl", "X-Amz-Acl"])
def test_an_access_list_in_a_presigned_query_is_one(guard, direct, name):
    url = presigned(guard, "query", **{name: "public-read"})
    assert requests.put(url, data=b"x", **through(guard)).status_code == 403
    assert not exists(direct, "query")
    assert requests.put(presigned(guard, "query", **{"x-amz-meta-a": "b"}), data=b"x", **through(guard)).ok
    assert stored(direct, "query") == b"x"
    direct.delete_object(Bucket=BUCKET, Key="query")


def test_an_access_list_that_stands_twice_is_none(guard, direct):
    url = presigned(guard, "twice", **{"x-amz-acl": "private"})
    put = requests.put(url, data=b"x", headers={"x-amz-acl": "public-read"}, **through(guard))
    assert put.status_code in (400, 403)
    assert not exists(direct, "twice")
