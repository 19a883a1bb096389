"""Clients of Amazon S3 through the guard, with moto behind it: each uploads in the ways that it knows, and all of it
arrives byte for byte. What a policy denies is told at the first attempt, in S3's own words."""

import os
import shutil
import subprocess
import sys

import boto3
import pytest
import requests
from botocore.config import Config

from checks import decision_id_in
from clients import JAVASCRIPT, NODE, PROGRAMS
from cloud import REGION
from guard import CALLERS, PROTECTED, REPOSITORY, Guard, clean_environment
from s3_clients import MIB, Commands, Lines, digest
from upstream import CREDENTIALS

BUCKET = "a-bucket-for-clients"
TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CLIENTS = ["JavaScript", "AWS CLI"]
NO_UPLOADS = """
@id("no-uploads") @reason("Readers only read.")
forbid (principal in Group::"readers", action in [Action::"s3:PutObject", Action::"s3:UploadPart"], resource);
"""


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
    protected = f'{PROTECTED}[s3]\nids = ["{BUCKET}/kept*"]\n'
    policies = {file.name: file.read_text() for file in sorted((REPOSITORY / "policies").glob("*.cedar"))}
    policies["uploads.cedar"] = NO_UPLOADS
    how = {"protected": protected, "policies": policies, "callers": {**CALLERS, "reader": ["readers"]}}
    with Guard(tmp_path_factory.mktemp("s3"), upstream=moto.url, **how) as running:
        yield running


@pytest.fixture(scope="module")
def clients(guard, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    program = [NODE, "--no-warnings", str(PROGRAMS / "js/s3.mjs")]
    made = {
        (name, caller): make(name, *arguments, guard, folder / f"{name} {caller}", caller)
        for name, make, arguments in [("JavaScript", Lines, (JAVASCRIPT[0], program)), ("AWS CLI", Commands, ())]
        for caller in ("ci", "reader")
    }
    yield made
    for client in made.values():
        client.close()


@pytest.fixture(params=CLIENTS)
def client(request, clients):
    return clients[request.param, "ci"]


@pytest.fixture
def js(clients):
    return clients["JavaScript", "ci"]


@pytest.fixture
def cli(clients):
    return clients["AWS CLI", "ci"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files by their length."""
    folder = tmp_path_factory.mktemp("files")

    def of(length):
        path = folder / str(length)
        if not path.exists():
            path.write_bytes(os.urandom(length))
        return path

    return of


def stored(direct, key):
    return direct.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def arrived(direct, key, path):
    return digest(stored(direct, key)) == digest(path)


def keys(direct, prefix=""):
    return [found["Key"] for found in direct.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def fine(told):
    assert told.ok, told.text
    assert told.attempts in (1, None)
    return told.output


def only_put(moto):
    """The one request with a body that reached moto, signed by the guard."""
    [came] = [came for came in moto.came if came.method == "PUT"]
    assert CREDENTIALS.access_key in came.headers["authorization"]
    return came


# --- what goes up


@pytest.mark.parametrize("length", [0, 1000, 6 * MIB + 11])
def test_an_object_arrives_and_comes_back(client, direct, files, moto, length):
    key = f"{client}/object-{length}"
    moto.reset()
    fine(client.put(BUCKET, key, files(length)))
    only_put(moto)
    assert arrived(direct, key, files(length))
    assert digest(client.get(BUCKET, key)) == digest(files(length))


@pytest.mark.parametrize("length", [0, 1000, 6 * MIB + 11])
@pytest.mark.parametrize("style", ["virtual", "path"])
def test_a_streamed_object_arrives_with_its_trailer(js, direct, files, moto, style, length):
    key = f"streamed-{style}-{length}"
    moto.reset()
    fine(js.put(BUCKET, key, files(length), stream=True, settings={"forcePathStyle": style == "path"}))
    came = only_put(moto)
    assert came.headers["x-amz-content-sha256"] == TRAILER
    assert came.headers["x-amz-trailer"] == "x-amz-checksum-crc32"
    assert came.headers["x-amz-decoded-content-length"] == str(length)
    assert arrived(direct, key, files(length))


def test_the_cli_sends_its_trailer(cli, direct, files, moto):
    moto.reset()
    fine(cli.put(BUCKET, "trailer", files(1000)))
    came = only_put(moto)
    assert came.headers["x-amz-content-sha256"] == TRAILER
    assert arrived(direct, "trailer", files(1000))


@pytest.mark.parametrize("algorithm", ["CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_other_checksums_arrive_too(js, direct, files, moto, algorithm):
    moto.reset()
    key = f"checksum-{algorithm}"
    fine(js.put(BUCKET, key, files(100_000), stream=True, ChecksumAlgorithm=algorithm))
    came = only_put(moto)
    assert came.headers["x-amz-trailer"] == f"x-amz-checksum-{algorithm.lower()}"
    assert arrived(direct, key, files(100_000))


def test_an_upload_in_parts_arrives_in_their_order(client, direct, files):
    path = files(21 * MIB + 7)
    key = f"{client}/parts"
    told = client.upload(BUCKET, key, path)
    assert told.ok, told.text
    # To begin, five parts, and to end.
    assert told.attempts in (7, None)
    assert arrived(direct, key, path)
    assert direct.head_object(Bucket=BUCKET, Key=key)["ETag"].endswith('-5"')
    assert digest(client.get(BUCKET, key)) == digest(path)


def test_the_cli_sends_what_it_reads_from_a_pipe(cli, direct, files):
    path = files(12 * MIB + 5)
    done = cli.run("s3", "cp", "-", f"s3://{BUCKET}/piped", given=path)
    assert done.returncode == 0, done.stderr
    assert arrived(direct, "piped", path)


@pytest.mark.parametrize("length", [0, 1000, 12 * MIB + 5])
def test_transfers_over_the_common_runtime_arrive(guard, direct, files, moto, tmp_path, length):
    path, back, key = files(length), tmp_path / "back", f"crt-{length}"
    moto.reset()
    environment = clean_environment(tmp_path, **guard.variables(), SSL_CERT_FILE=str(guard.ca))
    command = [sys.executable, str(PROGRAMS / "transfer.py"), BUCKET, key, str(path), str(back)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    # boto3 has transfers of its own where the runtime can't be had.
    ours = [came for came in moto.came if came.path.startswith(f"/{key}")]
    assert all("CRTS3NativeClient" in came.headers["user-agent"] for came in ours)
    assert {came.headers["x-amz-content-sha256"] for came in ours if came.method == "PUT"} == {TRAILER}
    assert len([came for came in ours if came.method == "PUT"]) == (3 if length > 5 * MIB else 1)
    assert arrived(direct, key, path)
    assert digest(back) == digest(path)


@pytest.fixture(params=CLIENTS)
def reader(request, clients):
    return clients[request.param, "reader"]


@pytest.mark.parametrize("length", [0, 1000, 6 * MIB + 11])
@pytest.mark.parametrize("stream", [False, True], ids=["bytes", "stream"])
def test_an_upload_that_is_denied_is_told_at_once(reader, direct, guard, files, stream, length):
    """Whatever of its body is on the way still, the client reads the refusal, and doesn't try again."""
    key = f"{reader}/denied"
    before = len(refusals(guard))
    told = reader.put(BUCKET, key, files(length), stream=stream)
    assert not told.ok
    assert (told.exception, told.code) == (EXCEPTIONS[reader.name], "AccessDenied"), told.text
    assert told.attempts in (1, None)
    assert "no-uploads" in told.message
    guard.decision(decision_id_in(told.message))
    assert len(refusals(guard)) == before + 1
    assert keys(direct, key) == []


def test_an_upload_whose_parts_are_denied_is_given_up(reader, direct, files):
    told = reader.upload(BUCKET, f"{reader}/denied parts", files(21 * MIB + 7))
    assert not told.ok
    assert "no-uploads" in told.text
    assert keys(direct, f"{reader}/denied") == []
    assert "Uploads" not in direct.list_multipart_uploads(Bucket=BUCKET)


# --- names

ODD_KEYS = [
    "with space",
    "plus+and=&;,:@$",
    "percent%20%2F%",
    "a%2Fb",
    "Größe/✓/日本",
    "quote'\"<>\\|`{}^~[]",
    "#?!*()",
    # What a file system or a careless path makes another of.
    "a//b",
    "a/../b",
    "a/./b",
    "a/%2e%2e/b",
    "trailing/",
]


@pytest.mark.parametrize("style", ["virtual", "path"])
def test_keys_stay_as_they_are(js, direct, tmp_path, style):
    path = tmp_path / "body"
    for number, key in enumerate(ODD_KEYS):
        key = f"{style}/{key}"
        settings = {"forcePathStyle": style == "path"}
        path.write_text(f"{number}")
        fine(js.put(BUCKET, key, path, settings=settings))
        assert stored(direct, key) == path.read_bytes(), key
        assert js.get(BUCKET, key, settings=settings) == path.read_bytes(), key
    listed = fine(js.ask("ListObjectsV2", Bucket=BUCKET, Prefix=f"{style}/"))
    assert {found["Key"] for found in listed["Contents"]} == {f"{style}/{key}" for key in ODD_KEYS}


def test_a_folder_of_odd_names_goes_there_and_back(cli, direct, tmp_path):
    there, back = tmp_path / "there", tmp_path / "back"
    names = [key for key in ODD_KEYS if "//" not in key and "/." not in key and not key.endswith("/")]
    for name in names:
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_text(name)
    done = cli.run("s3", "cp", "--recursive", there, f"s3://{BUCKET}/folder/")
    assert done.returncode == 0, done.stderr
    assert {key: stored(direct, key).decode() for key in keys(direct, "folder/")} == {
        f"folder/{name}": name for name in names
    }
    done = cli.run("s3", "sync", f"s3://{BUCKET}/folder/", back)
    assert done.returncode == 0, done.stderr
    assert {name: (back / name).read_text() for name in names} == {name: name for name in names}


@pytest.mark.parametrize("key", ["cli/a//b", "cli/a/../b+c d"])
def test_the_cli_keeps_what_looks_like_a_path(cli, direct, files, key):
    fine(cli.put(BUCKET, key, files(1000)))
    assert arrived(direct, key, files(1000))
    assert digest(cli.get(BUCKET, key)) == digest(files(1000))
    listed = fine(cli.ask("ListObjectsV2", Bucket=BUCKET, Prefix=key))
    assert [found["Key"] for found in listed["Contents"]] == [key]


# --- what is read, and copied


def test_ranges_heads_and_copies(client, direct, files):
    path, key = files(6 * MIB + 11), f"{client}/ranged + é"
    direct.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes(), Metadata={"owner": "ours"})
    assert client.get(BUCKET, key, Range="bytes=1000-1999") == path.read_bytes()[1000:2000]
    head = fine(client.ask("HeadObject", Bucket=BUCKET, Key=key))
    assert (head["ContentLength"], head["Metadata"]) == (6 * MIB + 11, {"owner": "ours"})
    fine(client.copy(BUCKET, key, f"{client}/copy"))
    assert arrived(direct, f"{client}/copy", path)
    missing = client.ask("HeadObject", Bucket=BUCKET, Key=f"{client}/nothing")
    assert not missing.ok
    assert missing.attempts in (1, None)
    assert missing.code in ("404", "NotFound")


# --- what is deleted


def test_deleting_is_judged(client, direct, guard):
    given = {name: f"{client}/{name}" for name in ("one", "two", "three")}
    kept = f"kept-{client}"
    for key in [*given.values(), kept]:
        direct.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    fine(client.ask("DeleteObject", Bucket=BUCKET, Key=given["one"]))
    assert keys(direct, f"{client}/one") == []
    both = [{"Key": given["two"]}, {"Key": given["three"]}]
    deleted = fine(client.ask("DeleteObjects", Bucket=BUCKET, Delete={"Objects": both}))
    assert {found["Key"] for found in deleted["Deleted"]} == {given["two"], given["three"]}
    assert keys(direct, f"{client}/t") == []

    refused(guard, client, "DeleteObject", Key=kept)
    direct.put_object(Bucket=BUCKET, Key=given["one"], Body=b"x")
    both = [{"Key": given["one"]}, {"Key": kept}]
    refused(guard, client, "DeleteObjects", Delete={"Objects": both})
    assert keys(direct, given["one"]) == [given["one"]]
    assert keys(direct, kept) == [kept]


def test_removing_a_folder_leaves_what_is_protected(cli, direct):
    for key in ("kept-folder/one", "going/one", "going/two"):
        direct.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    done = cli.run("s3", "rm", "--recursive", f"s3://{BUCKET}/going/")
    assert done.returncode == 0, done.stderr
    done = cli.run("s3", "rm", "--recursive", f"s3://{BUCKET}/kept-folder/")
    assert done.returncode == 1
    assert "(AccessDenied) when calling the DeleteObject operation: " in done.stdout + done.stderr
    assert "protected-id" in done.stdout + done.stderr
    moved = cli.run("s3", "mv", f"s3://{BUCKET}/kept-folder/one", f"s3://{BUCKET}/going/moved")
    assert moved.returncode == 1, moved
    assert keys(direct, "kept-folder/") == ["kept-folder/one"]
    # A move is a copy first.
    assert keys(direct, "going/") == ["going/moved"]


def refused(guard, client, operation, **given):
    """In S3's words, at once, and since the list of the protected says so."""
    before = len(refusals(guard))
    told = client.ask(operation, Bucket=BUCKET, **given)
    assert not told.ok
    assert (told.exception, told.code) == (EXCEPTIONS[client.name], "AccessDenied")
    assert told.attempts in (1, None)
    assert "protected-id" in told.message
    decision = decision_id_in(told.message)
    assert told.request_id in (decision, None)
    record = guard.decision(decision)
    assert record["verdict"] == "refused"
    # One that tries again is refused again.
    assert len(refusals(guard)) == before + 1


def refusals(guard):
    return [record for record in guard.records(phase="decision") if record["verdict"] == "refused"]


EXCEPTIONS = {"JavaScript": "AccessDenied", "AWS CLI": "exit 255"}


# --- presigned


def curl_speaks_http_2():
    return shutil.which("curl") and "HTTP2" in subprocess.check_output(["curl", "--version"], text=True)


@pytest.mark.parametrize("key", ["presigned", "a//pre signed/ü+1"])
def test_a_url_that_was_presigned_elsewhere_passes(client, direct, guard, key):
    direct.put_object(Bucket=BUCKET, Key=key, Body=b"presigned")
    through = {"proxies": {"https": f"http://{guard.listen}"}, "verify": str(guard.ca)}
    url = client.presign("GetObject", BUCKET, key)
    got = requests.get(url, **through)
    assert (got.status_code, got.content) == (200, b"presigned"), got.text
    wrong = requests.get(url.replace("presigned" if key == "presigned" else "signed", "other"), **through)
    assert (wrong.status_code, "SignatureDoesNotMatch" in wrong.text) == (403, True)


@pytest.mark.skipif(not curl_speaks_http_2(), reason="needs curl with HTTP/2")
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_curl_takes_presigned_urls(js, direct, guard, files, tmp_path, version):
    key, path, back = f"by curl {version}", files(6 * MIB + 11), tmp_path / "back"
    how = [version, "--silent", "--show-error", "--proxy", f"http://{guard.listen}", "--cacert", str(guard.ca)]
    told = ["--write-out", "%{http_version} %{http_code}"]

    def curl(*arguments):
        command = ["curl", *how, *told, *arguments]
        return subprocess.run(command, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=30)

    # Over HTTP/1.1 it expects a word before it sends so much.
    put = curl("--upload-file", str(path), js.presign("PutObject", BUCKET, key))
    spoken = version.removeprefix("--http")
    assert put.stdout == f"{spoken} 200", put
    assert arrived(direct, key, path)
    got = curl("--output", str(back), js.presign("GetObject", BUCKET, key))
    assert got.stdout == f"{spoken} 200", got
    assert digest(back) == digest(path)


def test_a_presigned_upload_arrives(js, direct, guard, files):
    through = {"proxies": {"https": f"http://{guard.listen}"}, "verify": str(guard.ca)}
    url = js.presign("PutObject", BUCKET, "put here", ContentType="text/x-ours")
    body = files(6 * MIB + 11)
    put = requests.put(url, data=body.read_bytes(), headers={"Content-Type": "text/x-ours"}, **through)
    assert put.status_code == 200, put.text
    assert arrived(direct, "put here", body)
