"""Virtual sessions: `sts:AssumeRole` answered by the guard, and what its keys are good for."""

import json
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

from cloud import REGION
from guard import Key, clean_environment, eventually
from upstream import CREDENTIALS

ACCOUNT = "210987654321"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/teams/deploy"
OTHER = f"arn:aws:iam::{ACCOUNT}:role/other"
FORBIDS = """
@id("all") permit (principal, action, resource);
@id("no-roles") @reason("No roles today.") forbid (principal, action == Action::"sts:AssumeRole", resource);
"""


@pytest.fixture
def guard(new_guard, upstream):
    """A guard at which `ci` may assume one role, which AWS gives it."""
    upstream.sts.trust(ROLE)
    made = new_guard(may_assume={"ci": [ROLE]})
    made.start()
    return made


def sts(guard, caller="ci", *, key=None, **settings):
    return guard.client("sts", caller, key=key, **settings)


def assume(client, role=ROLE, name="tf", **more):
    return client.assume_role(RoleArn=role, RoleSessionName=name, **more)


def key_of(answer, caller="ci"):
    keys = answer["Credentials"]
    return Key(caller, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])


def refused(call, *arguments, **parameters):
    with pytest.raises(ClientError) as error:
        call(*arguments, **parameters)
    return error.value.response["Error"]


def test_a_role_is_assumed_at_the_guard_and_its_session_works(guard, upstream, cloud):
    workspace = cloud.add_workspace()
    client = sts(guard)
    before = datetime.now(timezone.utc)
    answer = assume(client)
    key = key_of(answer)
    assert re.fullmatch("PALISADE[A-Z2-7]{32}", key.access_key_id)
    assert len(key.session_token) <= 4096
    user = answer["AssumedRoleUser"]
    assert user["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/tf"
    assert re.fullmatch("AROAPALISADE[A-Z2-7]{9}:tf", user["AssumedRoleId"])
    lasts = answer["Credentials"]["Expiration"] - before
    assert timedelta(minutes=59) < lasts <= timedelta(minutes=60, seconds=1)
    assert client.attempts == 1

    found = guard.client("workspaces", key=key).describe_workspaces(WorkspaceIds=[workspace])
    assert [w["WorkspaceId"] for w in found["Workspaces"]] == [workspace]
    guard.client("workspaces", key=key).terminate_workspaces(
        TerminateWorkspaceRequests=[{"WorkspaceId": workspace}]
    )
    assert {seen.signer for seen in upstream.calls() if seen.service == "workspaces"} == {ROLE}
    identity = sts(guard, key=key).get_caller_identity()
    assert identity["Arn"] == user["Arn"]


def test_the_call_itself_does_not_reach_aws(guard, upstream):
    """What AWS sees is the guard's own question, whether it can have the role."""
    answer = assume(sts(guard), DurationSeconds=900, ExternalId="e-1")
    (seen,) = upstream.calls("AssumeRole")
    assert seen.input["SourceIdentity"] == "ci" and seen.input["DurationSeconds"] == "3600"
    assert (seen.input["RoleArn"], seen.input["ExternalId"]) == (ROLE, "e-1")
    (session,) = upstream.sts.sessions.values()
    real = (CREDENTIALS, session.credentials)
    shown = json.dumps(answer, default=str) + "".join(guard.shown)
    for secret in (secret for keys in real for secret in (keys.access_key, keys.secret_key, keys.token)):
        assert secret not in shown


def test_the_records_say_who_in_which_session_and_hold_no_secret(guard, upstream, cloud):
    workspace = cloud.add_workspace()
    key = key_of(assume(sts(guard)))
    guard.client("workspaces", key=key).terminate_workspaces(TerminateWorkspaceRequests=[{"WorkspaceId": workspace}])
    records = guard.journal()
    assumed = [r for r in records if r["api"]["operation"] == "AssumeRole"]
    decision, outcome = (r["unmapped"]["palisade"] for r in assumed)
    assert decision["verdict"] == "allowed" and decision["policies"] == ["may_assume ci"]
    assert decision["input"]["RoleArn"] == ROLE
    assert outcome["phase"] == "outcome" and outcome["outcome"] == "answered"
    assert "session" not in assumed[0]["actor"]
    assert decision["session"] == outcome["session"] == key.access_key_id
    ended = next(r for r in records if r["api"]["operation"] == "TerminateWorkspaces")
    assert ended["actor"]["user"]["name"] == "ci"
    assert ended["actor"]["session"] == {
        "uid": key.access_key_id,
        "uid_alt": f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/tf",
        "issuer": ROLE,
        "credential_uid": guard.key("ci").access_key_id,
        "created_time": ended["actor"]["session"]["created_time"],
        "expiration_time": ended["actor"]["session"]["created_time"] + 3_600_000,
    }
    assert ended["cloud"]["account"]["uid"] == ACCOUNT
    left = json.dumps(records) + guard.log.read_text() + guard.get("/metrics")[1]
    for secret in (key.secret_access_key, key.session_token):
        assert secret not in left
    assert guard.metrics()["palisade_outcomes_total", ("outcome", "answered")] == 1
    assert guard.run("journal", "verify").returncode == 0


@pytest.mark.parametrize(
    "host, region", [("sts.amazonaws.com", "us-east-1"), *((f"sts.{r}.amazonaws.com", r) for r in (REGION, "eu-west-1"))]
)
def test_each_endpoint_of_sts_answers(guard, host, region):
    client = sts(guard, endpoint=f"https://{host}", region_name=region)
    assert key_of(assume(client)).access_key_id.startswith("PALISADE")


def test_a_role_that_is_not_listed_is_refused_for_everyone(guard, upstream):
    for caller, role in [("ci", OTHER), ("ci", f"{ROLE}2"), ("root", ROLE)]:
        client = sts(guard, caller)
        error = refused(assume, client, role)
        assert error["Code"] == "AccessDenied"
        assert f"`{caller}` may not assume `{role}`" in error["Message"] and "may_assume" in error["Message"]
        assert client.attempts == 1
    assert not upstream.calls("AssumeRole")
    refusals = [own for own in guard.records(phase="decision") if own.get("reason") == "not_assumable"]
    assert len(refusals) == 3


def test_what_may_be_assumed_is_listed_with_the_policies(guard):
    done = guard.run("policy", "check")
    assert done.returncode == 0, done.stderr
    assert "may_assume ci" in done.stdout


def test_a_policy_that_forbids_holds_against_may_assume(new_guard, upstream):
    guard = new_guard(may_assume={"ci": [ROLE]}, policies={"all.cedar": FORBIDS})
    guard.start()
    error = refused(assume, sts(guard))
    assert error["Code"] == "AccessDenied" and "No roles today." in error["Message"]
    assert not upstream.calls("AssumeRole")


MONITORS = FORBIDS.replace('@id("no-roles")', '@id("no-roles") @mode("monitor")')


@pytest.mark.parametrize("policies, settings", [(FORBIDS, {"mode": "monitor"}), (MONITORS, {})])
def test_what_only_monitors_lets_a_listed_role_be_assumed_and_no_other(new_guard, upstream, policies, settings):
    upstream.sts.trust(ROLE)
    guard = new_guard(may_assume={"ci": [ROLE]}, policies={"all.cedar": policies}, settings=settings)
    guard.start()
    assert key_of(assume(sts(guard))).access_key_id.startswith("PALISADE")
    decision = guard.records(phase="decision")[-1]
    assert (decision["verdict"], decision["policies"]) == ("would_refuse", ["no-roles"])
    assert refused(assume, sts(guard), OTHER)["Code"] == "AccessDenied"
    assert refused(assume, sts(guard), Policy="{}")["Code"] == "AccessDenied"
    assert {seen.input["RoleArn"] for seen in upstream.calls("AssumeRole")} == {ROLE}


@pytest.mark.parametrize(
    "parameters, code, said",
    [
        ({"Policy": "{}"}, "AccessDenied", "`Policy` isn't honoured"),
        ({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]}, "AccessDenied", "`PolicyArns`"),
        ({"Tags": [{"Key": "a", "Value": "b"}]}, "AccessDenied", "`Tags`"),
        ({"SerialNumber": "123456789", "TokenCode": "123456"}, "AccessDenied", "`SerialNumber`"),
        ({"SourceIdentity": "root"}, "AccessDenied", "`SourceIdentity` is always the caller, `ci`"),
        ({"DurationSeconds": 899}, "ValidationError", "`DurationSeconds` must be 900 to 43200"),
        ({"DurationSeconds": 43201}, "ValidationError", "`DurationSeconds` must be 900 to 43200"),
        ({"name": "a b"}, "ValidationError", "`RoleSessionName`"),
    ],
)
def test_what_cannot_be_honoured_is_refused(guard, upstream, parameters, code, said):
    error = refused(assume, sts(guard, parameter_validation=False), **parameters)
    assert (error["Code"], said in error["Message"]) == (code, True), error
    assert not upstream.calls("AssumeRole")


def test_what_can_be_honoured_is(guard):
    parameters = {"DurationSeconds": 43200, "ExternalId": "e/1", "SourceIdentity": "ci"}
    answer = assume(sts(guard), **parameters)
    lasts = answer["Credentials"]["Expiration"] - datetime.now(timezone.utc)
    assert timedelta(hours=11, minutes=59) < lasts <= timedelta(hours=12, seconds=1)
    assert answer["SourceIdentity"] == "ci"


def test_a_session_begins_another_that_does_not_outlive_it(guard):
    first = assume(sts(guard), DurationSeconds=900)
    chained = sts(guard, key=key_of(first))
    second = assume(chained, name="next")
    assert second["Credentials"]["Expiration"] == first["Credentials"]["Expiration"]
    assert sts(guard, key=key_of(second)).get_caller_identity()["Account"] == ACCOUNT
    error = refused(assume, chained, DurationSeconds=3601)
    assert error["Code"] == "ValidationError"
    assert refused(assume, chained, OTHER)["Code"] == "AccessDenied"


def test_a_token_fits_its_own_key_alone(guard, upstream):
    one, two = key_of(assume(sts(guard), name="one")), key_of(assume(sts(guard), name="two"))
    lasting = guard.key("ci")
    upstream.reset()
    for key in (
        Key("ci", one.access_key_id, one.secret_access_key, two.session_token),
        Key("ci", one.access_key_id, one.secret_access_key, one.session_token[:-1]),
        Key("ci", one.access_key_id, one.secret_access_key),
        Key("ci", lasting.access_key_id, lasting.secret_access_key, one.session_token),
        Key("ci", one.access_key_id, lasting.secret_access_key, one.session_token),
    ):
        workspaces = refused(guard.client("workspaces", key=key).describe_workspaces)
        whole = key.session_token == one.session_token and key.access_key_id == one.access_key_id
        assert workspaces["Code"] == ("InvalidSignatureException" if whole else "UnrecognizedClientException")
        identity = refused(sts(guard, key=key).get_caller_identity)
        assert identity["Code"] == ("SignatureDoesNotMatch" if whole else "InvalidClientTokenId")
    assert not upstream.calls()


def test_a_session_ends_when_its_key_is_revoked(guard):
    lasting = guard.issue("ci")
    session, other = key_of(assume(sts(guard, key=lasting))), key_of(assume(sts(guard)))
    assert sts(guard, key=session).get_caller_identity()
    assert guard.run("keys", "revoke", lasting.access_key_id).returncode == 0

    def revoked():
        try:
            sts(guard, key=session).get_caller_identity()
        except ClientError as error:
            return error.response["Error"]["Code"]

    assert eventually(revoked, "the session's end") == "InvalidClientTokenId"
    assert sts(guard, key=other).get_caller_identity()


def test_a_session_ends_when_its_role_is_taken_off_the_list(guard):
    session = key_of(assume(sts(guard)))
    assert sts(guard, key=session).get_caller_identity()
    text = guard.config.read_text()
    guard.config.write_text(text.replace(ROLE, OTHER))

    def gone():
        try:
            sts(guard, key=session).get_caller_identity()
        except ClientError as error:
            return error.response["Error"]["Code"]

    assert eventually(gone, "the session's end") == "InvalidClientTokenId"


def test_a_role_that_aws_does_not_give_is_refused_at_once(guard, upstream):
    upstream.sts.roles.clear()
    client = sts(guard)
    error = refused(assume, client)
    assert error["Code"] == "AccessDenied" and client.attempts == 1
    assert f"assume the role `{ROLE}`" in error["Message"]
    assert guard.records(phase="decision")[-1]["verdict"] == "refused"


def test_a_caller_with_several_accounts_begins_by_assuming_a_role(new_guard, upstream, cloud):
    work = "arn:aws:iam::{account}:role/work"
    upstream.sts.trust(work.replace("{account}", ACCOUNT))
    upstream.sts.trust(ROLE, by=(work.replace("{account}", ACCOUNT),))
    accounts = [ACCOUNT, "345678901234"]
    guard = new_guard(may_assume={"ci": [ROLE]}, credentials={"role_arn": work, "accounts": accounts})
    guard.start()
    error = refused(sts(guard).get_caller_identity)
    assert "`may_assume`" in error["Message"]
    key = key_of(assume(sts(guard)))
    assert sts(guard, key=key).get_caller_identity()["Account"] == ACCOUNT


def test_a_role_profile_of_the_aws_cli_works(guard, upstream, cloud, tmp_path):
    cloud.add_workspace()
    key = guard.key("ci")
    config = tmp_path / "aws-config"
    config.write_text(
        f"[profile base]\naws_access_key_id = {key.access_key_id}\naws_secret_access_key = {key.secret_access_key}\n"
        f"[profile deploy]\nrole_arn = {ROLE}\nsource_profile = base\nregion = {REGION}\n"
    )
    variables = {n: v for n, v in guard.variables().items() if "KEY" not in n}
    done = subprocess.run(
        [sys.executable, "-m", "awscli", "--profile", "deploy", "workspaces", "describe-workspaces"],
        env=clean_environment(tmp_path, **variables, AWS_CONFIG_FILE=str(config)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Workspaces"]
    assert {seen.signer for seen in upstream.calls("DescribeWorkspaces")} == {ROLE}
    seen = [r["actor"].get("session", {}).get("issuer") for r in guard.journal() if r["api"]["operation"] == "DescribeWorkspaces"]
    assert seen == [ROLE]
