"""What is deleted most, against moto: a stand-in that we didn't write, whose answers are read by the embedded files.

Each row makes things in moto directly and deletes them through the guard: one that is tagged stays, one that isn't goes,
and one whose looked-up attribute a policy minds stays too.
"""

import io
import itertools
import sys
import types
import zipfile
from dataclasses import dataclass, field
from typing import Callable

import boto3
import pytest
from moto.server import ThreadedMotoServer

from checks import error_of
from cloud import REGION
from guard import Guard

# moto's stacks import its API Gateway, and that a validator which nothing here needs.
_validator = {
    name: types.ModuleType(name)
    for name in (
        "openapi_spec_validator",
        "openapi_spec_validator.validation",
        "openapi_spec_validator.validation.exceptions",
    )
}
_validator["openapi_spec_validator"].validate = None
_validator["openapi_spec_validator.validation.exceptions"].OpenAPIValidationError = ValueError
for _name, _module in _validator.items():
    sys.modules.setdefault(_name, _module)

ROLE = "arn:aws:iam::123456789012:role/any"
_numbers = itertools.count(1)


def name(kind):
    return f"{kind}-{next(_numbers)}"


def pairs(tags, key="Key", value="Value"):
    return [{key: k, value: v} for k, v in tags.items()]


def tag_specification(kind, tags):
    return [{"ResourceType": kind, "Tags": pairs(tags)}] if tags else []


@dataclass(frozen=True)
class Row:
    """`make(aws, tags, minded)` gives what identifies the thing; `delete(client, ident)` deletes it through the guard."""

    title: str
    service: str
    action: str
    make: Callable
    delete: Callable
    # What a policy minds beside tags, and what `make` has to do for it to be so; none where there is nothing of the kind.
    minds: str = ""
    # How the client is set up.
    settings: dict = field(default_factory=dict)


def instance(aws, tags, minded):
    made = aws.ec2.run_instances(
        ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=tag_specification("instance", tags)
    )
    ident = made["Instances"][0]["InstanceId"]
    if minded:
        aws.ec2.modify_instance_attribute(InstanceId=ident, DisableApiTermination={"Value": True})
    return ident


def volume(aws, tags, minded):
    zone = f"{REGION}a"
    made = aws.ec2.create_volume(AvailabilityZone=zone, Size=1, TagSpecifications=tag_specification("volume", tags))
    if minded:
        run = aws.ec2.run_instances(
            ImageId="ami-12c6146b", MinCount=1, MaxCount=1, Placement={"AvailabilityZone": zone}
        )
        owner = run["Instances"][0]["InstanceId"]
        aws.ec2.attach_volume(Device="/dev/sdf", InstanceId=owner, VolumeId=made["VolumeId"])
    return made["VolumeId"]


def snapshot(aws, tags, minded):
    of = volume(aws, {}, False)
    return aws.ec2.create_snapshot(VolumeId=of, TagSpecifications=tag_specification("snapshot", tags))["SnapshotId"]


def image(aws, tags, minded):
    of = instance(aws, {}, False)
    return aws.ec2.create_image(InstanceId=of, Name=name("image"), TagSpecifications=tag_specification("image", tags))[
        "ImageId"
    ]


def db_instance(aws, tags, minded):
    ident = name("db")
    aws.rds.create_db_instance(
        DBInstanceIdentifier=ident,
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        MasterUsername="root",
        MasterUserPassword="password1",
        AllocatedStorage=20,
        DeletionProtection=minded,
        Tags=pairs(tags),
    )
    return ident


def db_cluster(aws, tags, minded):
    ident = name("cluster")
    aws.rds.create_db_cluster(
        DBClusterIdentifier=ident,
        Engine="aurora-postgresql",
        MasterUsername="root",
        MasterUserPassword="password1",
        DeletionProtection=minded,
        Tags=pairs(tags),
    )
    return ident


def bucket(aws, tags, minded):
    ident = name("bucket")
    aws.s3.create_bucket(Bucket=ident, **({} if REGION == "us-east-1" else LOCATION))
    if tags:
        aws.s3.put_bucket_tagging(Bucket=ident, Tagging={"TagSet": pairs(tags)})
    if minded:
        aws.s3.put_bucket_versioning(Bucket=ident, VersioningConfiguration={"Status": "Enabled"})
    return ident


LOCATION = {"CreateBucketConfiguration": {"LocationConstraint": REGION}}


def filled_bucket(aws, tags, minded):
    ident = bucket(aws, tags, False)
    if minded:
        aws.s3.put_object(Bucket=ident, Key="a", Body=b"a")
    return ident


def table(aws, tags, minded):
    ident = name("table")
    aws.dynamodb.create_table(
        TableName=ident,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=minded,
        Tags=pairs(tags),
    )
    return ident


def function(aws, tags, minded):
    ident = name("function")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("f.py", "")
    role = aws.iam.create_role(RoleName=name("role"), AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    aws.lambda_.create_function(
        FunctionName=ident, Runtime="python3.12", Role=role, Handler="f.f", Code={"ZipFile": code.getvalue()}, Tags=tags
    )
    return ident


def ecs_cluster(aws, tags, minded):
    return aws.ecs.create_cluster(clusterName=name("cluster"), tags=pairs(tags, "key", "value"))["cluster"][
        "clusterName"
    ]


def ecs_service(aws, tags, minded):
    # The cluster's tags say nothing of the service.
    cluster = ecs_cluster(aws, {"keep": "not the service"}, False)
    task = aws.ecs.register_task_definition(
        family=name("task"), containerDefinitions=[{"name": "c", "image": "i", "memory": 64}]
    )["taskDefinition"]["taskDefinitionArn"]
    ident = name("service")
    aws.ecs.create_service(
        cluster=cluster, serviceName=ident, taskDefinition=task, desiredCount=0, tags=pairs(tags, "key", "value")
    )
    return cluster, ident


def eks_cluster(aws, tags, minded):
    ident = name("cluster")
    aws.eks.create_cluster(name=ident, roleArn=ROLE, resourcesVpcConfig={"subnetIds": []}, tags=tags)
    return ident


TOPIC = '"T%d": {"Type": "AWS::SNS::Topic", "Properties": {}}'


def stack(aws, tags, minded):
    ident = name("stack")
    body = '{"Resources": {%s}}' % ", ".join(TOPIC % n for n in range(3 if minded else 1))
    aws.cloudformation.create_stack(StackName=ident, TemplateBody=body, Tags=pairs(tags))
    return ident


def key(aws, tags, minded):
    ident = aws.kms.create_key(Tags=pairs(tags, "TagKey", "TagValue"))["KeyMetadata"]["KeyId"]
    if minded:
        aws.kms.disable_key(KeyId=ident)
    return ident


def secret(aws, tags, minded):
    ident = name("secret")
    aws.secretsmanager.create_secret(Name=ident, SecretString="s", Tags=pairs(tags))
    return ident


def balancer(aws, tags, minded):
    tagged = {"Tags": pairs(tags)} if tags else {}
    made = aws.elbv2.create_load_balancer(Name=name("lb"), Subnets=aws.subnets, **tagged)
    arn = made["LoadBalancers"][0]["LoadBalancerArn"]
    if minded:
        aws.elbv2.modify_load_balancer_attributes(
            LoadBalancerArn=arn, Attributes=[{"Key": "deletion_protection.enabled", "Value": "true"}]
        )
    return arn


def file_system(aws, tags, minded):
    return aws.efs.create_file_system(CreationToken=name("fs"), Tags=pairs(tags))["FileSystemId"]


def role(aws, tags, minded):
    return aws.iam.create_role(RoleName=name("role"), AssumeRolePolicyDocument="{}", Tags=pairs(tags))["Role"][
        "RoleName"
    ]


def user(aws, tags, minded):
    return aws.iam.create_user(UserName=name("user"), Tags=pairs(tags))["User"]["UserName"]


def log_group(aws, tags, minded):
    ident = f"/x/{name('group')}"
    aws.logs.create_log_group(logGroupName=ident, **({"tags": tags} if tags else {}))
    return ident


def zone(aws, tags, minded):
    made = aws.route53.create_hosted_zone(Name=f"{name('z')}.example.", CallerReference=name("ref"))
    ident = made["HostedZone"]["Id"].rpartition("/")[2]
    if tags:
        aws.route53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=ident, AddTags=pairs(tags))
    return ident


def scaling_group(aws, tags, minded):
    ident, launch = name("group"), name("launch")
    aws.autoscaling.create_launch_configuration(
        LaunchConfigurationName=launch, ImageId="ami-12c6146b", InstanceType="t3.micro"
    )
    aws.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=ident,
        LaunchConfigurationName=launch,
        MinSize=0,
        MaxSize=0,
        AvailabilityZones=[f"{REGION}a"],
        Tags=[{"ResourceId": ident, "ResourceType": "auto-scaling-group", "Key": k, "Value": v} for k, v in tags.items()],
    )
    return ident


def topic(aws, tags, minded):
    return aws.sns.create_topic(Name=name("topic"), Tags=pairs(tags))["TopicArn"]


def queue(aws, tags, minded):
    return aws.sqs.create_queue(QueueName=name("queue"), tags=tags)["QueueUrl"]


def repository(aws, tags, minded):
    return aws.ecr.create_repository(repositoryName=name("repository"), tags=pairs(tags))["repository"]["repositoryName"]


def network(aws, tags, minded):
    return aws.ec2.create_vpc(CidrBlock="10.1.0.0/16", TagSpecifications=tag_specification("vpc", tags))["Vpc"]["VpcId"]


PROTECTED = "resource has deletionProtection && resource.deletionProtection"

ROWS = [
    Row("instance", "ec2", "TerminateInstances", instance, lambda c, i: c.terminate_instances(InstanceIds=[i]), PROTECTED),
    Row(
        "volume",
        "ec2",
        "DeleteVolume",
        volume,
        lambda c, i: c.delete_volume(VolumeId=i),
        'resource has state && resource.state == "in-use"',
    ),
    Row("snapshot", "ec2", "DeleteSnapshot", snapshot, lambda c, i: c.delete_snapshot(SnapshotId=i)),
    Row("image", "ec2", "DeregisterImage", image, lambda c, i: c.deregister_image(ImageId=i)),
    Row(
        "db instance",
        "rds",
        "DeleteDBInstance",
        db_instance,
        lambda c, i: c.delete_db_instance(DBInstanceIdentifier=i.upper(), SkipFinalSnapshot=True),
        PROTECTED,
    ),
    Row(
        "db cluster",
        "rds",
        "DeleteDBCluster",
        db_cluster,
        lambda c, i: c.delete_db_cluster(DBClusterIdentifier=i, SkipFinalSnapshot=True),
        PROTECTED,
    ),
    Row(
        "versioned bucket",
        "s3",
        "DeleteBucket",
        bucket,
        lambda c, i: c.delete_bucket(Bucket=i),
        'resource has versioning && resource.versioning == "Enabled"',
    ),
    Row(
        "filled bucket",
        "s3",
        "DeleteBucket",
        filled_bucket,
        lambda c, i: c.delete_bucket(Bucket=i),
        "resource has empty && !resource.empty",
        # The bucket in the path; the row above has it in the host.
        {"s3": {"addressing_style": "path"}},
    ),
    Row("table", "dynamodb", "DeleteTable", table, lambda c, i: c.delete_table(TableName=i), PROTECTED),
    Row("function", "lambda", "DeleteFunction", function, lambda c, i: c.delete_function(FunctionName=i)),
    Row("ecs cluster", "ecs", "DeleteCluster", ecs_cluster, lambda c, i: c.delete_cluster(cluster=i)),
    Row(
        "ecs service",
        "ecs",
        "DeleteService",
        ecs_service,
        lambda c, i: c.delete_service(cluster=i[0], service=i[1], force=True),
    ),
    Row("eks cluster", "eks", "DeleteCluster", eks_cluster, lambda c, i: c.delete_cluster(name=i)),
    Row(
        "stack of many",
        "cloudformation",
        "DeleteStack",
        stack,
        lambda c, i: c.delete_stack(StackName=i),
        "resource has resourceCount && resource.resourceCount > 2",
    ),
    Row(
        "key",
        "kms",
        "ScheduleKeyDeletion",
        key,
        lambda c, i: c.schedule_key_deletion(KeyId=i),
        'resource has state && resource.state == "Disabled"',
    ),
    Row("secret", "secretsmanager", "DeleteSecret", secret, lambda c, i: c.delete_secret(SecretId=i)),
    Row(
        "load balancer",
        "elbv2",
        "DeleteLoadBalancer",
        balancer,
        lambda c, i: c.delete_load_balancer(LoadBalancerArn=i),
        PROTECTED,
    ),
    Row("file system", "efs", "DeleteFileSystem", file_system, lambda c, i: c.delete_file_system(FileSystemId=i)),
    Row("role", "iam", "DeleteRole", role, lambda c, i: c.delete_role(RoleName=i)),
    Row("user", "iam", "DeleteUser", user, lambda c, i: c.delete_user(UserName=i)),
    Row("log group", "logs", "DeleteLogGroup", log_group, lambda c, i: c.delete_log_group(logGroupName=i)),
    Row("hosted zone", "route53", "DeleteHostedZone", zone, lambda c, i: c.delete_hosted_zone(Id=i)),
    Row(
        "scaling group",
        "autoscaling",
        "DeleteAutoScalingGroup",
        scaling_group,
        lambda c, i: c.delete_auto_scaling_group(AutoScalingGroupName=i),
    ),
    # Without a table of a service file: as the catalog derives it from the model.
    Row("topic", "sns", "DeleteTopic", topic, lambda c, i: c.delete_topic(TopicArn=i)),
    Row("queue", "sqs", "DeleteQueue", queue, lambda c, i: c.delete_queue(QueueUrl=i)),
    Row("repository", "ecr", "DeleteRepository", repository, lambda c, i: c.delete_repository(repositoryName=i)),
    Row("network", "ec2", "DeleteVpc", network, lambda c, i: c.delete_vpc(VpcId=i)),
]

MINDED = [row for row in ROWS if row.minds]


def policies():
    texts = [
        '@id("all") permit (principal, action, resource);',
        '@id("kept") @reason("It is tagged to be kept.") forbid (principal, action in '
        '[Action::"destroy", Action::"disrupt", Action::"indirect"], resource) when { resource.hasTag("keep") };',
    ]
    for row in MINDED:
        texts.append(
            f'@id("minds {row.title}") @reason("Somebody minds.") forbid (principal, '
            f'action == Action::"{row.service}:{row.action}", resource) when {{ {row.minds} }};'
        )
    return {"all.cedar": "\n".join(texts)}


@pytest.fixture(scope="module")
def moto():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(scope="module")
def aws(moto):
    """Clients of moto itself, by service."""
    settings = {
        "endpoint_url": moto,
        "region_name": REGION,
        "aws_access_key_id": "direct",
        "aws_secret_access_key": "direct",
    }
    services = {row.service for row in ROWS} | {"iam"}
    clients = {service: boto3.client(service, **settings) for service in services}
    found = types.SimpleNamespace(**{service.replace("lambda", "lambda_"): c for service, c in clients.items()})
    vpc = found.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    found.subnets = [
        found.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"{REGION}{letter}")["Subnet"][
            "SubnetId"
        ]
        for n, letter in enumerate("ab")
    ]
    return found


@pytest.fixture(scope="module")
def guard(moto, tmp_path_factory):
    settings = {"lookup.timeout": "20s", "upstream.timeout": "30s"}
    folder = tmp_path_factory.mktemp("facts")
    with Guard(folder, upstream=moto, policies=policies(), protected=None, settings=settings) as running:
        yield running


def refused(guard, row, ident, policy):
    """The delete is refused by that policy, and nothing else of it went out: what is refused has one record."""
    client = guard.client(row.service, **row.settings)
    error = error_of(lambda: row.delete(client, ident))
    message = error.response["Error"]["Message"]
    assert policy in message, message
    assert error.response["ResponseMetadata"]["RetryAttempts"] == 0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_what_is_tagged_stays_and_what_is_not_goes(guard, aws, row):
    kept, plain = row.make(aws, {"keep": "yes", "other": "x"}, False), row.make(aws, {"other": "x"}, False)
    refused(guard, row, kept, "kept")
    row.delete(guard.client(row.service, **row.settings), plain)
    record = [r for r in guard.records(phase="decision") if r["verdict"] == "allowed"][-1]
    (facts,) = record["facts"] if isinstance(record["facts"], list) else [record["facts"]]
    assert '"other"' in str(facts).replace("'", '"')


@pytest.mark.parametrize("row", MINDED, ids=lambda row: row.title)
def test_what_a_policy_minds_beside_tags_stays(guard, aws, row):
    refused(guard, row, row.make(aws, {}, True), f"minds {row.title}")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_what_aws_does_not_know_is_not_taken_for_untagged(guard, aws, row):
    ident = row.make(aws, {}, False)
    row.delete(guard.client(row.service, **row.settings), ident)
    nowhere = (ident[0], "nowhere") if isinstance(ident, tuple) else ident[:-3] + "000"
    client = guard.client(row.service, retries={"total_max_attempts": 1}, **row.settings)
    before = len(guard.records(phase="outcome"))
    error_of(lambda: row.delete(client, nowhere))
    assert len(guard.records(phase="outcome")) == before


def test_a_volume_of_workspaces_instances_is_looked_up_at_ec2(guard, aws):
    kept = volume(aws, {"keep": "yes"}, False)
    error = error_of(lambda: guard.client("workspaces-instances").delete_volume(VolumeId=kept))
    assert "policy `kept`" in error.response["Error"]["Message"]
    assert aws.ec2.describe_volumes(VolumeIds=[kept])["Volumes"]


def test_a_batch_with_one_unknown_instance_stays(guard, aws):
    idents = [instance(aws, {}, False), "i-0123456789abcdef0"]
    error = error_of(lambda: guard.client("ec2").terminate_instances(InstanceIds=idents))
    assert "AWS doesn't know `i-0123456789abcdef0`" in error.response["Error"]["Message"]
