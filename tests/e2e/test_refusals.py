"""Refusals in every service's own shape: botocore raises access-denied at the first attempt, in each retry mode."""

import base64
import json
import multiprocessing
from types import SimpleNamespace

import botocore.session
import pytest
from botocore.parsers import create_parser

import refused
from checks import decision_id_in
from guard import REPOSITORY, Guard

PROCESSES = 2
REASON = "Nothing may happen here."
POLICIES = {"none.cedar": f'@id("nothing-at-all") @reason("{REASON}") forbid (principal, action, resource);'}
SERVICES = botocore.session.Session().get_available_services()
# Calls whose signature isn't Signature Version 4, so that nobody knows whose they are: refused, and not by a policy.
UNVERIFIED = {
    "account-access-runtime": "carries a bearer token instead of a signature",
    "codecatalyst": "carries a bearer token instead of a signature",
    "sdb": "is signed with Signature Version 2",
}
# Every operation of these goes unsigned.
UNSIGNED = {"sso"}
DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AccessForbidden",
    "AuthorizationError",
    "AuthorizationErrorException",
    "CloudHsmAccessDeniedException",
    "ForbiddenError",
    "ForbiddenException",
    "NotAuthorizedException",
    "UnauthorizedException",
    "UnauthorizedOperation",
    "UnauthorizedOperationException",
}
# awsJson and rpcv2Cbor say so with 400, the others with 403.
STATUS = {"json": 400, "smithy-rpc-v2-cbor": 400}
# Answers and requests that stream, which SDKs read and write in ways of their own.
STREAMS = [
    ("s3", "GetObject"),
    ("s3", "PutObject"),
    ("s3", "SelectObjectContent"),
    ("bedrock-runtime", "InvokeModelWithResponseStream"),
    ("bedrock-runtime", "ConverseStream"),
    ("kinesis", "SubscribeToShard"),
    ("lambda", "InvokeWithResponseStream"),
    ("logs", "StartLiveTail"),
    ("polly", "SynthesizeSpeech"),
    ("apigateway", "GetExport"),
]


@pytest.fixture(scope="module")
def closed(_upstream, tmp_path_factory):
    """A guard that forbids everything."""
    folder = tmp_path_factory.mktemp("closed")
    with Guard(folder, upstream=_upstream.url, ca_file=_upstream.ca, policies=POLICIES, protected=None) as guard:
        yield guard


@pytest.fixture(scope="module")
def pool(closed):
    context = multiprocessing.get_context("spawn")
    with context.Pool(PROCESSES, refused.begin, [closed.variables()]) as workers:
        yield workers


@pytest.fixture(scope="module")
def told(pool):
    """What a call of every service came to, by service."""
    tasks = [(service,) for service in SERVICES]
    answers = pool.imap_unordered(refused.work, tasks, chunksize=4)
    return {answer[0]["service"]: answer for answer in answers if answer}


def is_denied(one, *, policy="nothing-at-all"):
    """One attempt, and the service's own denial with the decision's id."""
    told = json.dumps(one)
    assert "failed" not in one, told
    assert one["attempts"] == 1 and one["retries"] == 0, told
    assert one["code"] in DENIED, told
    assert one["status"] == STATUS.get(one["protocol"], 403), told
    assert one["id"] == decision_id_in(one["message"]), told
    assert policy in one["message"] and REASON in one["message"], told


@pytest.mark.timeout(600)
@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_refused_at_the_first_attempt(told, service):
    if service in UNSIGNED:
        assert service not in told
        return
    answers = told[service]
    assert [one["mode"] for one in answers] == list(refused.MODES)
    for one in answers:
        if service in UNVERIFIED:
            assert one["attempts"] == 1 and one["status"] in (400, 401, 403), one
            assert "palisade" in one["message"], one
        else:
            is_denied(one)


def test_the_guard_counts_as_many_refusals_as_there_were_calls(closed, told):
    attempts = sum(one["attempts"] for answers in told.values() for one in answers)
    refusals = sum(n for (name, *_), n in closed.metrics().items() if name == "palisade_refusals_total")
    assert refusals >= attempts > 1200


def test_an_exception_of_the_services_own_is_raised_where_it_has_one(told):
    """Where the model has an access-denied exception, the code is its, and botocore raises it."""
    for service, code in {
        "sns": "AuthorizationError",
        "medialive": "ForbiddenException",
        "discovery": "AuthorizationErrorException",
        "apigateway": "UnauthorizedException",
        "lambda": "AccessDeniedException",
        "ec2": "UnauthorizedOperation",
        "rds": "AccessDenied",
        # They spoke the query protocol before, and their clients go by its codes.
        "sqs": "AccessDenied",
        "cloudwatch": "AccessDenied",
        # It models AccessDeniedException as one to try again.
        "migrationhuborchestrator": "AccessDenied",
    }.items():
        assert {one["code"] for one in told[service]} == {code}, told[service]
    own = [one for answers in told.values() for one in answers if one.get("modelled")]
    assert len({one["service"] for one in own}) > 250
    assert all(one["raised"] != "ClientError" for one in own)


@pytest.mark.timeout(600)
def test_each_protocol_of_a_service_is_refused_as_it_asks(pool):
    several = {service: refused.speaks(service) for service in SERVICES}
    others = [(s, protocol, None, ("standard",)) for s, listed in several.items() for protocol in listed[1:]]
    assert len(others) > 40
    for answers in pool.imap_unordered(refused.work, others, chunksize=4):
        for one in answers:
            is_denied(one)


@pytest.mark.parametrize("service, operation", STREAMS, ids=lambda v: v)
def test_what_streams_is_refused_like_the_rest(pool, service, operation):
    for one in pool.apply(refused.ask, (service, None, operation)):
        is_denied(one)


@pytest.mark.parametrize("operation", ["HeadObject", "HeadBucket"])
def test_a_head_is_refused_without_a_body(pool, operation):
    for one in pool.apply(refused.ask, ("s3", None, operation)):
        assert (one["attempts"], one["retries"]) == (1, 0), one
        # botocore has nothing but the status to go by.
        assert (one["code"], one["status"], one["message"]) == ("403", 403, "Forbidden"), one
        assert decision_id_in(one["id"]) == one["id"]


ANSWERS = json.loads((REPOSITORY / "tests/cases/protocol/answers.json").read_text())
PARSERS = {"s3": "rest-xml", "s3control": "rest-xml"}


@pytest.mark.parametrize("case", ANSWERS)
def test_botocore_reads_every_kind_of_answer(case):
    """The table that the guard's answers are held against, read by botocore's own parsers."""
    family, kind = case.split(" ")
    answer = ANSWERS[case]
    response = {
        "body": base64.b64decode(answer["body"]),
        "headers": answer["headers"],
        "status_code": answer["status"],
    }
    model = SimpleNamespace(metadata={}, error_shapes=[], shape_for_error_code=lambda _: None)
    shape = SimpleNamespace(metadata={}, serialization={}, members={}, type_name="structure", service_model=model)
    parser = create_parser(PARSERS.get(family, family))
    parsed = parser.parse(response, shape)
    assert parsed["Error"]["Code"] == answer["code"]
    assert "said" in parsed["Error"]["Message"], (kind, parsed)
    assert parsed["ResponseMetadata"]["RequestId"] == "id-1"
