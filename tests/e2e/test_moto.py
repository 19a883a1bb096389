"""moto as a second upstream: a stand-in that we didn't write, over plain HTTP on loopback."""

import boto3
import pytest

from apis import WORKSPACES
from checks import error_of
from guard import Guard


@pytest.fixture(scope="module")
def desks(moto):
    """Makes WorkSpaces in moto, directly."""
    settings = {
        "endpoint_url": moto.url,
        "region_name": "us-east-1",
        "aws_access_key_id": "direct",
        "aws_secret_access_key": "direct",
    }
    ec2, ds, workspaces = (boto3.client(service, **settings) for service in ("ec2", "ds", "workspaces"))
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for n, zone in enumerate("ab")
    ]
    directory = ds.create_directory(
        Name="corp.example.com", Password="Passw0rd!", Size="Small", VpcSettings={"VpcId": vpc, "SubnetIds": subnets}
    )["DirectoryId"]
    workspaces.register_workspace_directory(DirectoryId=directory, SubnetIds=subnets)

    def make(mode="AUTO_STOP", **tags):
        made = workspaces.create_workspaces(
            Workspaces=[
                {
                    "DirectoryId": directory,
                    "UserName": "user",
                    "BundleId": "wsb-bh8rsxt14",
                    "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                    "WorkspaceProperties": {"RunningMode": mode},
                }
            ]
        )
        return made["PendingRequests"][0]["WorkspaceId"]

    make.alive = lambda ident: bool(workspaces.describe_workspaces(WorkspaceIds=[ident])["Workspaces"])
    return make


@pytest.fixture(scope="module")
def guard(moto, tmp_path_factory):
    with Guard(tmp_path_factory.mktemp("moto"), upstream=moto.url) as running:
        yield running


def test_moto_is_read_through_the_guard(guard, desks):
    ident = desks(owner="finance")
    found = guard.client("workspaces").describe_workspaces(WorkspaceIds=[ident])["Workspaces"]
    assert [w["WorkspaceId"] for w in found] == [ident]


def test_an_allowed_workspace_is_gone(guard, desks):
    ident, other = desks(owner="finance"), desks()
    answer = WORKSPACES.destroy(guard.client("workspaces"), [ident])
    assert answer["FailedRequests"] == []
    assert not desks.alive(ident)
    assert desks.alive(other)


@pytest.mark.parametrize(
    "policy, traits",
    [
        ("protected-tag", {"protected": "true"}),
        ("production", {"environment": "production"}),
        ("running-mode", {"mode": "ALWAYS_ON"}),
    ],
)
def test_a_guarded_workspace_stays(guard, desks, policy, traits):
    ident = desks(**traits)
    error = error_of(lambda: WORKSPACES.destroy(guard.client("workspaces"), [ident]))
    assert error.response["Error"]["Code"] == "AccessDeniedException"
    assert policy in error.response["Error"]["Message"]
    assert desks.alive(ident)


def test_a_batch_with_one_guarded_workspace_stays(guard, desks):
    idents = [desks(), desks(protected="yes"), desks()]
    error_of(lambda: WORKSPACES.destroy(guard.client("workspaces"), idents))
    assert all(desks.alive(ident) for ident in idents)


def test_an_unknown_workspace_is_refused(guard, desks):
    """moto itself fails on one, with a 500: not known is not untagged, so the batch stays."""
    ident = desks()
    client = guard.client("workspaces", retries={"total_max_attempts": 1})
    error = error_of(lambda: WORKSPACES.destroy(client, [ident, "ws-nowhere01"]))
    assert error.response["Error"]["Code"] in ("AccessDeniedException", "ThrottlingException")
    assert desks.alive(ident)


def test_a_tag_set_in_moto_counts_at_the_next_call(guard, desks):
    ident, other = desks(), desks()
    root = guard.client("workspaces", "root")
    root.create_tags(ResourceId=ident, Tags=[{"Key": "protected", "Value": "true"}])
    error = error_of(lambda: WORKSPACES.destroy(guard.client("workspaces"), [ident]))
    assert "protected-tag" in error.response["Error"]["Message"]
    assert desks.alive(ident)
    root.create_tags(ResourceId=other, Tags=[{"Key": "protected", "Value": "false"}])
    WORKSPACES.destroy(guard.client("workspaces"), [other])
    assert not desks.alive(other)
