"""What may happen happens: once, signed with the guard's key, and AWS's answer comes back."""

import json

import pytest

import raw
from apis import APIS, WORKSPACES, wire
from checks import allowed, error_of
from upstream import Fail


@pytest.mark.parametrize("api", APIS, ids=str)
def test_boto3_gets_awss_own_answer(guard, upstream, cloud, api):
    things = api.make(cloud, tags={"owner": "finance"})
    client = guard.client(api.service)
    answer = api.destroy(client, things)
    assert not api.alive(cloud, things)
    seen, decision = allowed(guard, upstream, api)
    assert seen.input == api.params(things)
    assert answer["ResponseMetadata"]["RequestId"] == seen.request_id
    assert answer["ResponseMetadata"]["HTTPHeaders"]["server"] == "stand-in"
    assert client.attempts == 1
    before, after = guard.decision(decision), guard.outcome(decision)
    assert (before["phase"], before["verdict"]) == ("decision", "allowed")
    assert (after["phase"], after["outcome"], after["upstream_status"]) == ("outcome", "sent", 200)
    assert after["aws_request_id"] == seen.request_id


@pytest.mark.parametrize("api", APIS, ids=str)
def test_the_cli_gets_awss_own_answer(guard, upstream, cloud, aws, api):
    things = api.make(cloud)
    done = aws(*api.command(things))
    assert done.returncode == 0, done.stderr
    assert not api.alive(cloud, things)
    seen, _ = allowed(guard, upstream, api)
    assert seen.input == api.params(things)
    if done.stdout:
        json.loads(done.stdout)


@pytest.mark.parametrize("api", [api for api in APIS if api.batch_policy], ids=str)
def test_the_largest_batch_that_policies_allow_goes_in_one_call(guard, upstream, cloud, api):
    things = api.make(cloud, api.batch_max)
    api.destroy(guard.client(api.service), things)
    assert not api.alive(cloud, things)
    seen, decision = allowed(guard, upstream, api)
    assert seen.input == api.params(things)
    assert guard.decision(decision)["batch_size"] == api.batch_max


@pytest.mark.parametrize("tag", [{"protected": "false"}, {"environment": "test"}], ids=str)
def test_tags_that_no_policy_means_do_not_refuse(guard, upstream, cloud, tag):
    for api in APIS:
        upstream.reset()
        things = api.make(cloud, tags=tag)
        api.destroy(guard.client(api.service), things)
        allowed(guard, upstream, api)


def test_admins_may_delete_production(guard, upstream, cloud):
    for api in APIS:
        upstream.reset()
        things = api.make(cloud, tags={"environment": "production"})
        api.destroy(guard.client(api.service, "root"), things)
        allowed(guard, upstream, api)


def test_awss_own_refusal_comes_back_unchanged(guard, upstream, cloud):
    """AWS refuses what the guard allows: its error, its request id."""
    [ident] = APIS[1].make(cloud)
    with upstream.fault("DeleteWorkspaceInstance", Fail("ConflictException", "still attached")):
        client = guard.client("workspaces-instances")
        error = error_of(lambda: APIS[1].destroy(client, [ident]))
    assert isinstance(error, client.exceptions.ConflictException)
    assert error.response["Error"]["Message"] == "still attached"
    seen, decision = allowed(guard, upstream, APIS[1])
    assert error.response["ResponseMetadata"]["RequestId"] == seen.request_id
    assert guard.outcome(decision)["upstream_status"] == 400


def test_what_was_judged_is_what_is_sent(guard, upstream, cloud):
    """The client's bytes and framing don't go on: the call is rebuilt, and white space and order are the guard's."""
    [ident] = WORKSPACES.make(cloud)
    body = '{ "TerminateWorkspaceRequests" :\n [ { "WorkspaceId" : "%s" } ]\t}' % ident.replace("w", "\\u0077")
    method, path, headers, body = wire(WORKSPACES, body)
    answer = raw.call(guard, WORKSPACES.host, method, path, {**headers, "X-Odd": "1"}, body, service="workspaces")
    assert answer.status == 200
    seen, _ = allowed(guard, upstream, WORKSPACES)
    assert json.loads(seen.body) == WORKSPACES.params([ident])
    assert seen.body != body
    assert "x-odd" not in seen.headers
