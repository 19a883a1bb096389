"""Calls whose input tells what they do: one operation, judged as what it does this time."""

import boto3
import pytest
from moto.server import ThreadedMotoServer

from checks import error_of
from cloud import REGION
from guard import Guard, eventually

NO_DELETIONS = """
@id("base") permit (principal, action in [Action::"read", Action::"write"], resource);
@id("no-deletions") @reason("Nothing is deleted.") forbid (principal, action in Action::"destroy", resource);
@id("no-unprotecting") @reason("Protections stay.") forbid (principal, action in Action::"unprotect", resource);
"""


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://127.0.0.1:{port}"
    direct = boto3.client(
        "dynamodb", endpoint_url=url, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
    )
    direct.create_table(
        TableName="things",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield url, direct
    server.stop()


@pytest.fixture(scope="module")
def guard(moto, tmp_path_factory):
    url, _ = moto
    folder = tmp_path_factory.mktemp("conditions")
    with Guard(folder, upstream=url, policies={"policy.cedar": NO_DELETIONS}, protected=None) as running:
        yield running


def batch(*requests):
    return {"RequestItems": {"things": list(requests)}}


def put(name):
    return {"PutRequest": {"Item": {"id": {"S": name}}}}


DELETE = {"DeleteRequest": {"Key": {"id": {"S": "kept"}}}}


def test_a_write_that_deletes_nothing_passes_as_a_write(guard, moto):
    _, direct = moto
    guard.client("dynamodb").batch_write_item(**batch(put("kept")))
    assert direct.get_item(TableName="things", Key={"id": {"S": "kept"}})["Item"] == {"id": {"S": "kept"}}
    recorded = eventually(lambda: [r for r in guard.journal() if r["api"]["operation"] == "BatchWriteItem"], "a record")
    own = [r["unmapped"]["palisade"] for r in recorded]
    # One record, of the decision and its outcome together: nothing waited for the disk.
    assert [(r["class"], r["verdict"], r["outcome"]) for r in own] == [("write", "allowed", "sent")]


@pytest.mark.parametrize("requests", [[DELETE], [put("other"), DELETE]], ids=["alone", "beside a put"])
def test_a_write_that_deletes_is_a_deletion(guard, moto, requests):
    _, direct = moto
    direct.put_item(TableName="things", Item={"id": {"S": "kept"}})
    error = error_of(lambda: guard.client("dynamodb").batch_write_item(**batch(*requests)))
    assert error.response["Error"]["Code"] == "AccessDeniedException"
    assert "no-deletions" in error.response["Error"]["Message"]
    assert error.response["ResponseMetadata"]["RetryAttempts"] == 0
    assert "Item" in direct.get_item(TableName="things", Key={"id": {"S": "kept"}})
    assert "Item" not in direct.get_item(TableName="things", Key={"id": {"S": "other"}})
    refused = guard.records(error.response["ResponseMetadata"]["RequestId"])
    assert [(r["class"], r["verdict"]) for r in refused] == [("destroy", "refused")]


def test_an_update_that_switches_a_protection_off_is_refused_and_one_that_switches_it_on_is_not(guard):
    client = guard.client("dynamodb")
    client.update_table(TableName="things", DeletionProtectionEnabled=True)
    error = error_of(lambda: client.update_table(TableName="things", DeletionProtectionEnabled=False))
    assert "no-unprotecting" in error.response["Error"]["Message"]
    assert client.describe_table(TableName="things")["Table"]["DeletionProtectionEnabled"] is True
