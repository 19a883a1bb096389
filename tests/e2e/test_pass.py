"""What isn't guarded passes, re-signed; tags that policies read are guarded."""

import json

import pytest

from checks import denied, error_of
from cloud import ACCOUNT, REGION
from upstream import CREDENTIALS, Fail

READS = [
    ("workspaces", "describe_workspaces", {}),
    ("workspaces", "describe_workspace_directories", {}),
    ("workspaces-instances", "list_workspace_instances", {"MaxResults": 5}),
    ("servicecatalog", "search_provisioned_products", {}),
    ("servicecatalog", "list_portfolios", {}),
    ("mgn", "describe_source_servers", {}),
    ("mgn", "list_tags_for_resource", {"resourceArn": f"arn:aws:mgn:{REGION}:{ACCOUNT}:source-server/s-1"}),
    ("evs", "list_environments", {}),
    ("sts", "get_caller_identity", {}),
]
WRITES = [
    ("workspaces", "start_workspaces", {"StartWorkspaceRequests": [{"WorkspaceId": "ws-12345678"}]}),
    ("servicecatalog", "create_portfolio", {"DisplayName": "Größe ✓", "ProviderName": "p", "IdempotencyToken": "1"}),
    ("mgn", "create_application", {"name": "app"}),
]


def camel(method):
    return "".join(part.capitalize() for part in method.split("_"))


@pytest.mark.parametrize("service, method, given", READS + WRITES, ids=lambda v: v if isinstance(v, str) else "")
def test_an_unguarded_call_passes_resigned(guard, upstream, service, method, given):
    client = guard.client(service)
    answer = getattr(client, method)(**given)
    [seen] = upstream.calls(camel(method))
    assert seen.input.items() >= given.items()
    assert seen.access_key == CREDENTIALS.access_key
    assert seen.signature_problem is None
    assert answer["ResponseMetadata"]["RequestId"] == seen.request_id
    assert len(upstream.calls()) == 1
    assert client.attempts == 1


def test_an_unguarded_call_is_on_record_with_its_outcome(guard, upstream):
    answer = guard.client("evs").list_environments()
    request_id = answer["ResponseMetadata"]["RequestId"]
    [record] = guard.wait_for_records(
        lambda records: [r for r in records if r["unmapped"]["palisade"].get("aws_request_id") == request_id]
    )
    own = record["unmapped"]["palisade"]
    assert (own["phase"], own["verdict"], own["outcome"], own["class"]) == ("decision", "allowed", "sent", "read")
    assert record["api"]["operation"] == "ListEnvironments"
    assert record["actor"]["user"]["name"] == "ci"


@pytest.mark.parametrize("service", ["workspaces", "evs", "sts"])
def test_the_cli_reads(guard, upstream, cloud, aws, service):
    cloud.add_workspace()
    command = {
        "workspaces": ["workspaces", "describe-workspaces"],
        "evs": ["evs", "list-environments"],
        "sts": ["sts", "get-caller-identity"],
    }[service]
    done = aws(*command)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    if service == "sts":
        assert answer["Account"] == ACCOUNT
    assert [seen.service for seen in upstream.calls()] == [service]


def test_an_error_of_aws_passes(guard, upstream, cloud):
    client = guard.client("workspaces")
    error = error_of(lambda: client.describe_tags(ResourceId="ws-nowhere1"))
    assert isinstance(error, client.exceptions.ResourceNotFoundException)
    assert error.response["ResponseMetadata"]["RequestId"] == upstream.calls()[0].request_id


def test_the_clients_retries_of_unguarded_calls_work(guard, upstream):
    """A 500 is AWS's to give and the SDK's to retry."""
    client = guard.client("workspaces")
    with upstream.fault("DescribeWorkspaces", Fail("InternalFailure", "again", 500), times=1):
        client.describe_workspaces()
    assert client.attempts == 2
    assert len(upstream.calls("DescribeWorkspaces")) == 2


TAGGED = [
    (
        "workspaces",
        lambda cloud: cloud.add_workspace(tags={"team": "a"}),
        lambda client, ident, tags: client.create_tags(
            ResourceId=ident, Tags=[{"Key": k, "Value": v} for k, v in tags.items()]
        ),
        lambda client, ident, keys: client.delete_tags(ResourceId=ident, TagKeys=keys),
        lambda cloud, ident: cloud.workspaces[ident]["tags"],
    ),
    (
        "workspaces-instances",
        lambda cloud: cloud.add_instance(tags={"team": "a"}),
        lambda client, ident, tags: client.tag_resource(
            WorkspaceInstanceId=ident, Tags=[{"Key": k, "Value": v} for k, v in tags.items()]
        ),
        lambda client, ident, keys: client.untag_resource(WorkspaceInstanceId=ident, TagKeys=keys),
        lambda cloud, ident: cloud.instances[ident]["tags"],
    ),
    (
        "mgn",
        lambda cloud: cloud.add_server(tags={"team": "a"}),
        lambda client, ident, tags: client.tag_resource(
            resourceArn=f"arn:aws:mgn:{REGION}:{ACCOUNT}:source-server/{ident}", tags=tags
        ),
        lambda client, ident, keys: client.untag_resource(
            resourceArn=f"arn:aws:mgn:{REGION}:{ACCOUNT}:source-server/{ident}", tagKeys=keys
        ),
        lambda cloud, ident: cloud.servers[ident]["tags"],
    ),
    (
        "evs",
        lambda cloud: cloud.add_environment(tags={"team": "a"})[0],
        lambda client, ident, tags: client.tag_resource(
            resourceArn=f"arn:aws:evs:{REGION}:{ACCOUNT}:environment/{ident}", tags=tags
        ),
        lambda client, ident, keys: client.untag_resource(
            resourceArn=f"arn:aws:evs:{REGION}:{ACCOUNT}:environment/{ident}", tagKeys=keys
        ),
        lambda cloud, ident: cloud.environments[ident]["tags"],
    ),
]


@pytest.mark.parametrize("service, make, tag, untag, tags_of", TAGGED, ids=[t[0] for t in TAGGED])
def test_a_tag_that_policies_read_is_changed_by_admins_only(guard, upstream, cloud, service, make, tag, untag, tags_of):
    ident = make(cloud)
    client, root = guard.client(service), guard.client(service, "root")
    for key in ("protected", "environment", "Environment"):
        denied(guard, upstream, client, lambda: tag(client, ident, {"team": "b", key: "x"}), policy="guarded-tags")
        denied(guard, upstream, client, lambda: untag(client, ident, [key]), policy="guarded-tags")
    assert tags_of(cloud, ident) == {"team": "a"}
    tag(root, ident, {"protected": "true"})
    assert tags_of(cloud, ident) == {"team": "a", "protected": "true"}
    untag(root, ident, ["protected"])
    assert tags_of(cloud, ident) == {"team": "a"}


@pytest.mark.parametrize("service, make, tag, untag, tags_of", TAGGED, ids=[t[0] for t in TAGGED])
def test_a_tag_that_no_policy_reads_is_anybodys(guard, upstream, cloud, service, make, tag, untag, tags_of):
    ident = make(cloud)
    client = guard.client(service)
    tag(client, ident, {"team": "b & <c> ✓"})
    assert tags_of(cloud, ident) == {"team": "b & <c> ✓"}
    untag(client, ident, ["team"])
    assert tags_of(cloud, ident) == {}


def test_tags_are_read_anew_for_each_call(guard, upstream, cloud):
    """A tag that an admin sets counts at once, though attributes may be remembered for a while."""
    ident = cloud.add_instance(tags={"protected": "true"})
    client = guard.client("workspaces-instances")
    denied(
        guard,
        upstream,
        client,
        lambda: client.delete_workspace_instance(WorkspaceInstanceId=ident),
        policy="protected-tag",
    )
    cloud.instances[ident]["tags"].clear()
    client.delete_workspace_instance(WorkspaceInstanceId=ident)
    assert ident not in cloud.instances
