"""S3 through the guard, with moto behind it: whatever a client uploads arrives byte for byte, and comes back so."""

import base64
import json
import os
import zlib
from unittest import mock

import boto3
import pytest
import requests
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

import chunks
import http2
import raw
from checks import error_of
from chunks import Chain
from cloud import REGION
from guard import Guard

BUCKET = "a-bucket-of-ours"
HOST = f"{BUCKET}.s3.{REGION}.amazonaws.com"
MIB = 1 << 20


@pytest.fixture(scope="module")
def direct(moto):
    """moto without the guard."""
    client = boto3.client(
        "s3",
        endpoint_url=moto.url,
        region_name=REGION,
        aws_access_key_id="direct",
        aws_secret_access_key="direct",
        config=Config(s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=BUCKET)
    return client


@pytest.fixture(scope="module")
def guard(moto, direct, tmp_path_factory):
    with Guard(tmp_path_factory.mktemp("uploads"), upstream=moto.url) as running:
        yield running


def client_of(guard, **settings):
    """A client whose answers nobody but the test reads."""
    with mock.patch.dict(os.environ, guard.variables()):
        return boto3.session.Session().client("s3", config=Config(**settings))


@pytest.fixture
def s3(guard):
    return client_of(guard)


def stored(direct, key):
    return direct.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def exists(direct, key):
    listed = direct.list_objects_v2(Bucket=BUCKET, Prefix=key).get("Contents", [])
    return any(found["Key"] == key for found in listed)


DATA = os.urandom(3 * MIB + 17)


@pytest.mark.parametrize("style", ["virtual", "path"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"request_checksum_calculation": "when_required"},
        {"s3": {"payload_signing_enabled": True}},
    ],
    ids=["trailer", "no checksum", "hash"],
)
def test_an_object_arrives_and_comes_back(guard, direct, style, settings):
    settings = {**settings, "s3": {**settings.get("s3", {}), "addressing_style": style}}
    client = client_of(guard, **settings)
    key = f"plain-{style}-{len(json.dumps(settings))}"
    client.put_object(Bucket=BUCKET, Key=key, Body=DATA, Metadata={"owner": "ours"})
    assert stored(direct, key) == DATA
    found = client.get_object(Bucket=BUCKET, Key=key)
    assert found["Body"].read() == DATA
    assert found["Metadata"] == {"owner": "ours"}


ODD_KEYS = [
    "a//b",
    # moto takes a slash off where a key begins with one and its bucket stands in the host.
    "trailing/",
    "a/../b",
    "a/./b",
    "with space",
    "plus+and=&;,:@",
    "percent%20%2F%",
    "Größe/✓/日本",
    "quote'\"<>\\|`{}^~[]",
    "#?!*()",
]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_keys_stay_as_they_are(s3, direct, key):
    body = key.encode()
    s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    assert stored(direct, key) == body
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body


def test_parts_arrive_in_their_order(s3, direct, tmp_path):
    data = os.urandom(12 * MIB + 5)
    (tmp_path / "file").write_bytes(data)
    transfer = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=3)
    s3.upload_file(str(tmp_path / "file"), BUCKET, "parts", Config=transfer)
    assert stored(direct, "parts") == data
    assert direct.head_object(Bucket=BUCKET, Key="parts")["ETag"].endswith('-3"')
    s3.download_file(BUCKET, "parts", str(tmp_path / "back"), Config=transfer)
    assert (tmp_path / "back").read_bytes() == data


def test_a_copy_is_a_copy(s3, direct):
    s3.put_object(Bucket=BUCKET, Key="from here", Body=DATA)
    s3.copy_object(Bucket=BUCKET, Key="to/there", CopySource={"Bucket": BUCKET, "Key": "from here"})
    assert stored(direct, "to/there") == DATA


def test_ranges_heads_and_conditions_pass(s3, direct):
    s3.put_object(Bucket=BUCKET, Key="ranged", Body=DATA)
    part = s3.get_object(Bucket=BUCKET, Key="ranged", Range="bytes=10-19")
    assert part["Body"].read() == DATA[10:20]
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert part["ContentRange"] == f"bytes 10-19/{len(DATA)}"
    head = s3.head_object(Bucket=BUCKET, Key="ranged")
    assert head["ContentLength"] == len(DATA)
    error = error_of(lambda: s3.get_object(Bucket=BUCKET, Key="ranged", IfNoneMatch=head["ETag"]))
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 304
    error = error_of(lambda: s3.head_object(Bucket=BUCKET, Key="nowhere"))
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404


TRAILERS = {"x-amz-checksum-crc32": base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode()}


@pytest.mark.parametrize("over", [1, 2], ids=["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize(
    "keyword, trailers",
    [(chunks.SIGNED, None), (chunks.SIGNED_TRAILER, TRAILERS), (chunks.UNSIGNED_TRAILER, TRAILERS)],
    ids=["signed", "signed with a trailer", "unsigned"],
)
def test_chunks_arrive(guard, direct, keyword, trailers, over):
    key = f"chunked-{keyword}-{over}"
    answer = put_chunks(guard, key, keyword, trailers=trailers, over=over)
    assert answer.status == 200, answer.body
    assert stored(direct, key) == DATA


@pytest.mark.parametrize("over", [1, 2], ids=["HTTP/1.1", "HTTP/2"])
def test_a_wrong_chunk_leaves_nothing_behind(guard, direct, over):
    def change(body):
        return body[:-200] + bytes([body[-200] ^ 1]) + body[-199:]

    answer = put_chunks(guard, f"broken-{over}", change=change, over=over)
    assert answer.status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in answer.body
    assert not exists(direct, f"broken-{over}")


def put_chunks(guard, name, keyword=chunks.SIGNED, *, change=None, trailers=None, over=1):
    key, path = guard.key("ci"), f"/{name}"
    headers = {"Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(DATA))}
    if trailers:
        headers["x-amz-trailer"] = ",".join(trailers)
    headers = chunks.sign_head(key, "PUT", HOST, path, headers, keyword)
    chain = None if keyword == chunks.UNSIGNED_TRAILER else Chain(headers, key.secret_access_key)
    body = chunks.write(DATA, 64 * 1024, chain=chain, trailers=trailers)
    if change:
        body = change(body)
    if over == 2:
        with http2.Client(guard, HOST) as client:
            return client.answer(client.send("PUT", path, headers, body))
    with raw.tls(guard, HOST) as sock:
        raw.send(sock, "PUT", path, headers, body, host=HOST)
        return raw.read_answer(sock, "PUT")


# --- presigned


def presigned(guard, operation, key, **given):
    client = client_of(guard, signature_version="s3v4")
    url = client.generate_presigned_url(operation, Params={"Bucket": BUCKET, "Key": key, **given}, ExpiresIn=60)
    assert "X-Amz-Algorithm" in url
    return url


def through(guard):
    return {"proxies": {"https": f"http://{guard.listen}"}, "verify": str(guard.ca)}


@pytest.mark.parametrize("key", ["presigned", "a//pre signed/ü+1"])
def test_presigned_urls_put_and_get(guard, direct, key):
    put = requests.put(presigned(guard, "put_object", key), data=DATA, **through(guard))
    assert put.status_code == 200, put.text
    assert stored(direct, key) == DATA
    got = requests.get(presigned(guard, "get_object", key), **through(guard))
    assert got.content == DATA
    part = requests.get(presigned(guard, "get_object", key), headers={"Range": "bytes=0-4"}, **through(guard))
    assert (part.status_code, part.content) == (206, DATA[:5])


def test_a_presigned_url_is_for_what_it_says(guard, direct, s3):
    s3.put_object(Bucket=BUCKET, Key="mine", Body=b"mine")
    url = presigned(guard, "get_object", "mine")
    for wrong in (url.replace("/mine", "/theirs"), url + "&versionId=1"):
        got = requests.get(wrong, **through(guard))
        assert (got.status_code, "SignatureDoesNotMatch" in got.text) == (403, True)
    deleted = requests.delete(url, **through(guard))
    assert deleted.status_code == 403
    assert stored(direct, "mine") == b"mine"


def test_a_presigned_upload_carries_its_headers(guard, direct):
    url = presigned(guard, "put_object", "typed", ContentType="text/x-ours", Metadata={"a": "b"})
    headers = {"Content-Type": "text/x-ours", "x-amz-meta-a": "b"}
    assert requests.put(url, data=b"x", headers=headers, **through(guard)).status_code == 200
    head = direct.head_object(Bucket=BUCKET, Key="typed")
    assert (head["ContentType"], head["Metadata"]) == ("text/x-ours", {"a": "b"})


def test_nobody_comes_in_without_a_signature(guard, s3):
    s3.put_object(Bucket=BUCKET, Key="public", Body=b"x")
    got = requests.get(f"https://{HOST}/public", **through(guard))
    assert (got.status_code, "AccessDenied" in got.text) == (403, True)
    form = {"key": "k", "policy": "e30=", "x-amz-signature": "0" * 64}
    sent = requests.post(f"https://{HOST}/", data=form, files={"file": b"x"}, **through(guard))
    assert sent.status_code in (400, 403)
    assert "POST policy" in sent.text


# --- other clients


def test_the_cli_copies_files(guard, aws, direct, tmp_path):
    data = os.urandom(9 * MIB + 3)
    (tmp_path / "file").write_bytes(data)
    done = aws("s3", "cp", str(tmp_path / "file"), f"s3://{BUCKET}/cli/file", guard=guard)
    assert done.returncode == 0, done.stderr
    assert stored(direct, "cli/file") == data
    done = aws("s3", "cp", f"s3://{BUCKET}/cli/file", str(tmp_path / "back"), guard=guard)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back").read_bytes() == data
