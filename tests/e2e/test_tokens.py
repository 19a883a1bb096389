"""What SDKs work out by themselves, made by the guard: tokens of clusters and databases, presigned URLs.

Each is compared with what botocore or the AWS CLI make of the guard's own credentials at the same moment.
"""

import base64
import contextlib
import datetime
import json
import re
import subprocess
import urllib.parse
import urllib.request
from unittest import mock

import boto3
import botocore.auth
import botocore.crt.auth
import botocore.session
import pytest
from awscli.customizations.eks.get_token import TokenGenerator
from botocore.config import Config
from moto.server import ThreadedMotoServer

from cloud import ACCOUNT, REGION
from guard import BINARY, Guard, clean_environment
from upstream import CREDENTIALS

POLICIES = {
    "tokens.cedar": """
@id("work")
permit (principal, action in [Action::"read", Action::"write", Action::"destroy"], resource);
@id("tokens")
permit (principal in Group::"deployers", action in Action::"credentials", resource)
unless { context has input && context.input has Expires && context.input.Expires > 900 };
@id("kept")
@reason("clusters and databases that are kept are logged into by administrators alone")
forbid (principal, action in [Action::"eks:GetToken", Action::"rds:GenerateDBAuthToken"], resource)
when { resource.hasTag("keep") };
@id("readers")
@reason("tokens are for the user reader")
forbid (principal, action == Action::"rds:GenerateDBAuthToken", resource)
unless { context.input has DBUsername && context.input.DBUsername == "reader" };
@id("secret-bucket")
@reason("nobody reads the secret bucket")
forbid (principal, action == Action::"s3:GetObject", resource)
when { context.input has Bucket && context.input.Bucket == "secret-bucket" };
"""
}
STYLE = {"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"}
CALLERS = {"ci": ["deployers"], "guest": ["guests"]}


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(scope="module")
def aws(moto):
    """Clients of moto itself."""
    settings = {"endpoint_url": moto, "region_name": REGION}
    keys = {"aws_access_key_id": "direct", "aws_secret_access_key": "direct"}

    def client(service):
        return boto3.client(service, **settings, **keys)

    eks, rds, s3 = client("eks"), client("rds"), client("s3")
    for name, tags in (("open", {"team": "a"}), ("shut", {"keep": "yes"})):
        eks.create_cluster(
            name=name, roleArn="arn:aws:iam::123456789012:role/any", resourcesVpcConfig={"subnetIds": []}, tags=tags
        )
        rds.create_db_instance(
            DBInstanceIdentifier=f"{name}-db",
            DBInstanceClass="db.t3.micro",
            Engine="postgres",
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
    for bucket in ("open-bucket", "secret-bucket"):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="a b/ü+c", Body=b"hello")
    return {"eks": eks, "rds": rds, "s3": s3}


@pytest.fixture(scope="module")
def guard(moto, aws, tmp_path_factory):
    settings = {"lookup.timeout": "20s", "upstream.timeout": "30s"}
    folder = tmp_path_factory.mktemp("tokens")
    with Guard(
        folder, upstream=moto, policies=POLICIES, protected=None, callers=CALLERS, settings=settings
    ) as running:
        yield running


@pytest.fixture
def palisade(guard, tmp_path):
    """Runs a subcommand as a client of the guard, which has no configuration."""

    def run(*arguments, caller="ci", **more):
        variables = {**guard.variables(caller), **more}
        return subprocess.run(
            [BINARY, *arguments],
            env={name: value for name, value in clean_environment(tmp_path, **variables).items() if value is not None},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def given(done):
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.removesuffix("\n")


def refused(done):
    assert done.returncode == 1, done
    assert done.stdout == ""
    return done.stderr


@contextlib.contextmanager
def at(query):
    """botocore's clock, as a signed query says it."""
    stamp = urllib.parse.parse_qs(query)["X-Amz-Date"][0]
    moment = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ")
    age = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - moment
    assert abs(age) < datetime.timedelta(minutes=1)
    def now(remove_tzinfo=True):
        return moment if remove_tzinfo else moment.replace(tzinfo=datetime.timezone.utc)

    with contextlib.ExitStack() as stack:
        # With awscrt there, some are signed by it.
        for module in (botocore.auth, botocore.crt.auth):
            stack.enter_context(mock.patch.object(module, "get_current_datetime", side_effect=now))
        yield


def upstream_session():
    """botocore with the credentials that the guard signs with."""
    session = botocore.session.Session()
    session.set_credentials(CREDENTIALS.access_key, CREDENTIALS.secret_key, CREDENTIALS.token)
    return session


def parameters(url):
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc, parts.path, sorted(urllib.parse.parse_qsl(parts.query, strict_parsing=True))


def test_a_clusters_token_is_the_one_that_the_aws_cli_makes_of_the_guards_credentials(guard, palisade):
    credential = json.loads(given(palisade("token", "eks", "--cluster", "open")))
    assert credential["kind"] == "ExecCredential"
    assert credential["apiVersion"] == "client.authentication.k8s.io/v1beta1"
    expires = datetime.datetime.fromisoformat(credential["status"]["expirationTimestamp"])
    left = expires - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(minutes=12) < left <= datetime.timedelta(minutes=14)
    token = credential["status"]["token"]
    prefix, encoded = token.split(".", 1)
    assert prefix == "k8s-aws-v1"
    url = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()

    sts = upstream_session().create_client("sts", REGION, endpoint_url=f"https://sts.{REGION}.amazonaws.com")

    def retrieve(params, context, **_):
        context["eks_cluster"] = params.pop("x-k8s-aws-id", None)

    def inject(request, **_):
        request.headers["x-k8s-aws-id"] = request.context["eks_cluster"]

    sts.meta.events.register("provide-client-params.sts.GetCallerIdentity", retrieve)
    sts.meta.events.register("before-sign.sts.GetCallerIdentity", inject)
    with at(url.partition("?")[2]):
        theirs = TokenGenerator(sts).get_token("open")
    theirs = theirs.split(".", 1)[1]
    theirs = base64.urlsafe_b64decode(theirs + "=" * (-len(theirs) % 4)).decode()
    assert parameters(url) == parameters(theirs)


def test_kubectl_is_answered_in_its_own_version(palisade):
    info = json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "spec": {}})
    done = palisade("token", "eks", "--cluster-name", "open", KUBERNETES_EXEC_INFO=info)
    assert json.loads(given(done))["apiVersion"] == "client.authentication.k8s.io/v1"


def test_a_databases_token_is_the_one_that_botocore_makes_of_the_guards_credentials(palisade):
    host = f"open-db.cabc123.{REGION}.rds.amazonaws.com"
    token = given(palisade("token", "rds", "--hostname", host, "--port", "5432", "--username", "reader"))
    rds = upstream_session().create_client("rds", REGION)
    with at(token.partition("?")[2]):
        theirs = rds.generate_db_auth_token(DBHostname=host, Port=5432, DBUsername="reader")
    assert parameters(f"https://{token}") == parameters(f"https://{theirs}")


def test_policies_judge_what_a_token_is_for(guard, palisade):
    told = refused(palisade("token", "eks", "--cluster", "shut"))
    assert "AccessDeniedException" in told and "kept" in told and "administrators alone" in told
    host = f"shut-db.cabc123.{REGION}.rds.amazonaws.com"
    assert "kept" in refused(palisade("token", "rds", "--hostname", host, "--port", "5432", "--username", "reader"))
    host = f"open-db.cabc123.{REGION}.rds.amazonaws.com"
    told = refused(palisade("token", "rds", "--hostname", host, "--port", "5432", "--username", "admin"))
    assert "readers" in told
    told = refused(palisade("token", "eks", "--cluster", "open", caller="guest"))
    assert "no policy permits" in told.lower()


def test_what_is_handed_out_is_on_record_and_its_secret_is_not(guard, palisade):
    token = json.loads(given(palisade("token", "eks", "--cluster", "open")))["status"]["token"]
    records = guard.wait_for_records(
        lambda records: [r for r in records if r["api"]["operation"] == "GetToken"][-2:]
    )
    decision, outcome = (r["unmapped"]["palisade"] for r in records)
    assert (decision["class"], decision["verdict"], decision["policies"]) == ("credentials", "allowed", ["tokens"])
    assert outcome["outcome"] == "answered"
    assert token not in json.dumps(guard.journal())


def test_a_cluster_that_is_not_there_has_no_token(palisade):
    assert "nowhere" in refused(palisade("token", "eks", "--cluster", "nowhere"))


def fetch(moto, url, method="GET", body=None):
    """What AWS would answer: asked of moto by the URL's path and query, with its host."""
    parts = urllib.parse.urlsplit(url)
    request = urllib.request.Request(
        f"{moto}{parts.path}?{parts.query}", method=method, data=body, headers={"Host": parts.netloc}
    )
    if body:
        request.add_header("Content-Type", "application/octet-stream")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        return answer.read()


def theirs(operation, url, bucket="open-bucket", key="a b/ü+c", expires=900, **more):
    """The URL that boto3 presigns with the guard's credentials at the moment that a URL says."""
    session = upstream_session()
    s3 = session.create_client("s3", REGION, config=Config(signature_version="s3v4", s3=STYLE))
    with at(url.partition("?")[2]):
        return s3.generate_presigned_url(operation, {"Bucket": bucket, "Key": key, **more}, ExpiresIn=expires)


def test_an_objects_url_is_the_one_that_boto3_presigns_with_the_guards_credentials(guard, palisade, moto):
    url = given(palisade("presign", "s3://open-bucket/a b/ü+c", "--expires", "900"))
    assert parameters(url) == parameters(theirs("get_object", url))
    assert fetch(moto, url) == b"hello"
    [decision] = [r for r in guard.records(phase="decision") if "url" in r.get("facts", {})][-1:]
    assert decision["facts"]["url"] == {"action": "s3:GetObject", "policies": ["work"]}


def test_a_url_that_was_presigned_with_a_virtual_key_is_presigned_anew(guard, palisade, moto):
    with mock.patch.dict("os.environ", guard.variables()):
        s3 = boto3.session.Session(botocore_session=botocore.session.Session()).client(
            "s3", config=Config(signature_version="s3v4", s3=STYLE)
        )
    more = {"ResponseContentType": "text/plain"}
    url = s3.generate_presigned_url("get_object", {"Bucket": "open-bucket", "Key": "a b/ü+c", **more})
    made = given(palisade("presign", url, "--expires", "60"))
    assert "PALISADE" not in made
    assert parameters(made) == parameters(theirs("get_object", made, expires=60, **more))

    url = s3.generate_presigned_url("put_object", {"Bucket": "open-bucket", "Key": "new"})
    made = given(palisade("presign", url, "--method", "put", "--expires", "60"))
    assert parameters(made) == parameters(theirs("put_object", made, key="new", expires=60))
    fetch(moto, made, "PUT", b"put by a URL")
    assert fetch(moto, given(palisade("presign", "s3://open-bucket/new", "--expires", "60"))) == b"put by a URL"


def test_the_call_that_a_url_makes_is_judged_too(guard, palisade):
    told = refused(palisade("presign", "s3://secret-bucket/k", "--expires", "60"))
    assert "secret-bucket" in told
    # No URL without a permit for URLs, though the call itself is permitted.
    told = refused(palisade("presign", "s3://open-bucket/k", "--expires", "60", caller="guest"))
    assert "palisade:PresignUrl" in told
    assert "palisade:PresignUrl" in refused(palisade("presign", "s3://open-bucket/k", "--expires", "901"))


@pytest.mark.parametrize(
    "method, url, why",
    [
        ("DELETE", "https://open-bucket.s3.us-east-1.amazonaws.com/k", "destroy"),
        ("PUT", "https://open-bucket.s3.us-east-1.amazonaws.com/k?acl&x-amz-acl=public-read", "grant"),
        ("GET", "https://eks.us-east-1.amazonaws.com/clusters/open/palisade-token", "answered by the guard alone"),
        ("GET", "https://example.com/", "example.com"),
        ("GET", "https://s3.cn-north-1.amazonaws.com.cn/b/k", "partition"),
    ],
)
def test_only_what_may_be_done_again_by_anybody_is_presigned(palisade, method, url, why):
    assert why in refused(palisade("presign", url, "--method", method, "--expires", "60"))


def test_who_has_no_virtual_key_or_no_guard_is_told_what_to_do(palisade):
    done = palisade("token", "eks", "--cluster", "open", AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE")
    assert done.returncode == 2 and "isn't a virtual key" in done.stderr and "aws eks get-token" in done.stderr
    done = palisade("token", "eks", "--cluster", "open", HTTPS_PROXY=None)
    assert done.returncode == 2 and "no guard is known" in done.stderr and "palisade exec" in done.stderr
    done = palisade("token", "eks", "--cluster", "open", AWS_DEFAULT_REGION=None)
    assert done.returncode == 2 and "--region" in done.stderr
    done = palisade("token", "rds", "--hostname", "db.example.com", "--port", "5432", "--username", "reader")
    assert done.returncode == 2 and "name.hash.region.rds.amazonaws.com" in done.stderr
    done = palisade("token", "eks", "--cluster", "open", HTTPS_PROXY="http://127.0.0.1:1")
    assert done.returncode == 1 and "the guard gives no answer" in done.stderr


def test_a_url_ends_with_the_credentials_that_signed_it_and_says_so(new_guard, upstream, tmp_path):
    work = upstream.sts.trust(f"arn:aws:iam::{ACCOUNT}:role/palisade/work")
    policies = {"all.cedar": '@id("all")\npermit (principal, action, resource);'}
    guard = new_guard(credentials={"accounts": [ACCOUNT], "role_arn": work}, policies=policies, protected=None).start()
    environment = clean_environment(tmp_path, **guard.variables())

    def said(seconds):
        command = [BINARY, "presign", "s3://open-bucket/k", "--expires", str(seconds)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and f"X-Amz-Expires={seconds}" in done.stdout, done
        return done.stderr

    assert said(900) == ""
    found = re.fullmatch(r"palisade: good until (\S+) only, when the credentials end that signed it\n", said(7200))
    end = datetime.datetime.fromisoformat(found[1]) - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(minutes=50) < end <= datetime.timedelta(hours=1)
