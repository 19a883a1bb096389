//! What real calls name, and that each way of spelling a thing is the same thing to policies and to the protected list.

use std::sync::LazyLock;

use super::*;
use crate::aws::catalog::Catalog;
use crate::guard::decide::Resource;
use crate::guard::facts::{Enquiry, Facts, Needs, Place as Where};
use crate::guard::protected::Protected;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::embedded().unwrap());

fn here() -> Where {
    Where {
        partition: "aws".to_owned(),
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        account_named: false,
    }
}

fn of(action: &str, input: &str) -> Result<Targets, TargetError> {
    let (service, operation) = action.split_once(':').unwrap();
    let service = CATALOG.service(service).unwrap().unwrap();
    let input = crate::aws::protocol::json::parse(input.as_bytes()).unwrap();
    let input = input.as_object().unwrap();
    let knowledge = Knowledge::default();
    let operation = &service.operations[operation];
    let mut found = targets(&service, operation, &knowledge, input)?;
    found.targets = canonical(&service, found.targets, &here());
    Ok(found)
}

fn resource(action: &str, target: Target, protected: &Protected) -> Resource {
    let service = action.split_once(':').unwrap().0;
    Resource::new(target, "123456789012", Facts::default(), protected, service)
}

#[track_caller]
fn check(action: &str, input: &str, expected: &[&str]) {
    let found = of(action, input).unwrap_or_else(|e| panic!("{action} {input}: {e}"));
    let nothing = Protected::default();
    let ids = found.targets.into_iter();
    let ids: Vec<String> = ids
        .map(|target| resource(action, target, &nothing).entity_id())
        .collect();
    assert_eq!(ids, expected, "{action} {input}");
}

#[track_caller]
fn refused(action: &str, input: &str, expected: &str) {
    match of(action, input) {
        Ok(found) => panic!("{action} {input} names {found:?}"),
        Err(error) => assert_eq!(error.to_string(), expected, "{action} {input}"),
    }
}

#[test]
fn objects_stand_in_their_bucket_and_versions_in_their_object() {
    check("s3:DeleteBucket", r#"{"Bucket":"b"}"#, &["b"]);
    check(
        "s3:DeleteObject",
        r#"{"Bucket":"b","Key":"a/k"}"#,
        &["b/a/k"],
    );
    check(
        "s3:DeleteObject",
        r#"{"Bucket":"b","Key":"k","VersionId":"v"}"#,
        &["b/k/v"],
    );
    check(
        "s3:DeleteObjects",
        r#"{"Bucket":"b","Delete":{"Objects":[{"Key":"k1"},{"Key":"k2","VersionId":"v"},{"Key":"k1"}]}}"#,
        &["b/k1", "b/k2/v"],
    );
    refused(
        "s3:DeleteObjects",
        r#"{"Bucket":"b","Delete":{"Objects":[]}}"#,
        "`Delete.Objects[].VersionId` names no resource: the list is empty",
    );
    refused(
        "s3:DeleteObjects",
        r#"{"Bucket":"b","Delete":{"Objects":[{"VersionId":"v"}]}}"#,
        "`Delete.Objects[].Key`, in which the resource stands, is missing",
    );
}

#[test]
fn lists_maps_and_tuples_name_each_of_theirs() {
    check(
        "ec2:TerminateInstances",
        r#"{"InstanceIds":["i-1","i-2","i-1"]}"#,
        &["i-1", "i-2"],
    );
    check(
        "ec2:DeleteTags",
        r#"{"Resources":["i-1","vol-1"],"Tags":[{"Key":"a"}]}"#,
        &["i-1", "vol-1"],
    );
    check(
        "ec2:DeleteLaunchTemplateVersions",
        r#"{"LaunchTemplateName":"web","Versions":["1","2"]}"#,
        &["web/1", "web/2"],
    );
    check(
        "ec2:DeleteRoute",
        r#"{"RouteTableId":"rtb-1","DestinationIpv6CidrBlock":"::/0"}"#,
        &["rtb-1/::/0"],
    );
    check(
        "glue:BatchDeletePartition",
        r#"{"DatabaseName":"d","TableName":"t","PartitionsToDelete":[{"Values":["2026","01"]},{"Values":["2026","02"]}]}"#,
        &["d/t/2026/01", "d/t/2026/02"],
    );
    check(
        "dynamodb:BatchWriteItem",
        r#"{"RequestItems":{"a":[{"DeleteRequest":{"Key":{}}}],"b":[]}}"#,
        &["a", "b"],
    );
    check(
        "dynamodb:TransactWriteItems",
        r#"{"TransactItems":[{"Delete":{"TableName":"a","Key":{}}},{"Put":{"TableName":"b","Item":{}}}]}"#,
        &["a", "b"],
    );
    check(
        "sqs:DeleteMessageBatch",
        r#"{"QueueUrl":"https://q/1","Entries":[{"Id":"1","ReceiptHandle":"h"}]}"#,
        &["https://q/1/h"],
    );
    check(
        "medialive:BatchDelete",
        r#"{"ChannelIds":["1"],"InputIds":["2","3"]}"#,
        &["1", "2", "3"],
    );
    check("medialive:BatchDelete", r#"{"InputIds":["2"]}"#, &["2"]);
    check(
        "iam:DeleteAccessKey",
        r#"{"AccessKeyId":"AKIA"}"#,
        &["AKIA"],
    );
    check(
        "iam:DeleteAccessKey",
        r#"{"AccessKeyId":"AKIA","UserName":"ada"}"#,
        &["ada/AKIA"],
    );
    check(
        "ecs:DeleteService",
        r#"{"service":"web"}"#,
        &["default/web"],
    );
    check(
        "cloudformation:DeleteStackInstances",
        r#"{"StackSetName":"s","Accounts":["1"],"Regions":["r"],"RetainStacks":false}"#,
        &["s/1"],
    );
    check(
        "appflow:CancelFlowExecutions",
        r#"{"flowName":"f"}"#,
        &["f"],
    );
}

#[test]
fn the_batch_is_as_large_as_the_lists() {
    let batch = |action: &str, input: &str| of(action, input).unwrap().batch_size;
    assert_eq!(
        batch(
            "ec2:TerminateInstances",
            r#"{"InstanceIds":["i-1","i-2","i-1"]}"#
        ),
        3
    );
    assert_eq!(
        batch(
            "medialive:BatchDelete",
            r#"{"ChannelIds":["1"],"InputIds":["2","3"]}"#
        ),
        3
    );
    assert_eq!(batch("s3:DeleteBucket", r#"{"Bucket":"b"}"#), 1);
}

#[test]
fn what_selects_is_a_selector() {
    let selector = |action: &str, input: &str| {
        let found = of(action, input).unwrap();
        (found.selector, found.targets.last().map(|t| t.kind.clone()))
    };
    let is = (true, Some(SELECTOR.to_owned()));
    let by_tag = r#"{"DocumentName":"d","Targets":[{"Key":"tag:a","Values":["b"]}]}"#;
    assert_eq!(selector("ssm:SendCommand", by_tag), is);
    let all = r#"{"DeleteInAllRegions":true}"#;
    assert_eq!(
        selector("resource-explorer-2:DeleteResourceExplorerSetup", all),
        is
    );
    let none = r#"{"RegionList":["eu-west-1"],"DeleteInAllRegions":false}"#;
    let setup = "resource-explorer-2:DeleteResourceExplorerSetup";
    assert!(!selector(setup, none).0);
    let units = r#"{"StackSetName":"s","DeploymentTargets":{"OrganizationalUnitIds":["ou-1"]},"Regions":["r"]}"#;
    assert_eq!(selector("cloudformation:DeleteStackInstances", units), is);
    check("resource-explorer-2:DeleteResourceExplorerSetup", "{}", &[]);
}

#[test]
fn an_arn_is_the_thing_that_its_id_names() {
    let instance = "arn:aws:ec2:eu-west-1:123456789012:instance/i-1";
    let tags = |id: &str| format!(r#"{{"InstanceIds":["{id}","i-1"]}}"#);
    check("ec2:TerminateInstances", &tags(instance), &["i-1"]);
    for spelt in [
        "f",
        "f:7",
        "function:f",
        "123456789012:function:f",
        "123456789012:function:f:live",
        "arn:aws:lambda:eu-west-1:123456789012:function:f",
        "arn:aws:lambda:eu-west-1:123456789012:function:f:live",
    ] {
        check(
            "lambda:DeleteFunction",
            &format!(r#"{{"FunctionName":"{spelt}"}}"#),
            &["f"],
        );
    }
    for (action, member, spelt, id) in [
        (
            "rds:DeleteDBInstance",
            "DBInstanceIdentifier",
            "Prod-DB",
            "prod-db",
        ),
        (
            "rds:DeleteDBInstance",
            "DBInstanceIdentifier",
            "arn:aws:rds:eu-west-1:123456789012:db:prod",
            "prod",
        ),
        (
            "dynamodb:DeleteTable",
            "TableName",
            "arn:aws:dynamodb:eu-west-1:123456789012:table/t",
            "t",
        ),
        (
            "logs:DeleteLogGroup",
            "logGroupName",
            "arn:aws:logs:eu-west-1:123456789012:log-group:/a/b:*",
            "/a/b",
        ),
        ("route53:DeleteHostedZone", "Id", "/hostedzone/Z1", "Z1"),
        (
            "kms:ScheduleKeyDeletion",
            "KeyId",
            "arn:aws:kms:eu-west-1:123456789012:key/k",
            "k",
        ),
        (
            "cloudformation:DeleteStack",
            "StackName",
            "arn:aws:cloudformation:eu-west-1:123456789012:stack/s/uuid",
            "s",
        ),
        ("s3:DeleteBucket", "Bucket", "arn:aws:s3:::b", "b"),
        (
            "iam:DeleteRole",
            "RoleName",
            "arn:aws:iam::123456789012:role/a/b/r",
            "r",
        ),
    ] {
        check(action, &format!(r#"{{"{member}":"{spelt}"}}"#), &[id]);
    }
    check(
        "ecs:DeleteService",
        r#"{"cluster":"arn:aws:ecs:eu-west-1:123456789012:cluster/c","service":"arn:aws:ecs:eu-west-1:123456789012:service/c/web"}"#,
        &["c/web"],
    );
}

#[test]
fn an_arn_of_another_place_is_another_thing() {
    for arn in [
        "arn:aws:ec2:us-east-1:123456789012:instance/i-1",
        "arn:aws:ec2:eu-west-1:210987654321:instance/i-1",
        "arn:aws-cn:ec2:eu-west-1:123456789012:instance/i-1",
        "arn:aws:ec2:eu-west-1:123456789012:volume/vol-1",
    ] {
        check(
            "ec2:TerminateInstances",
            &format!(r#"{{"InstanceIds":["{arn}"]}}"#),
            &[arn],
        );
    }
    let other = "arn:aws:ec2:eu-west-1:210987654321:instance/i-1";
    let found = of(
        "ec2:TerminateInstances",
        &format!(r#"{{"InstanceIds":["{other}"]}}"#),
    )
    .unwrap();
    let target = found.targets.into_iter().next().unwrap();
    let resource = resource("ec2:TerminateInstances", target, &Protected::default());
    assert_eq!(resource.account, "210987654321");
}

#[track_caller]
fn check_protected(listed: &str, action: &str, input: &str, expected: bool) {
    let service = action.split_once(':').unwrap().0;
    let list = format!("[{service}]\nids = [\"{listed}\"]");
    let protected = Protected::parse("protected.toml", &list, &[service]).unwrap();
    let found = of(action, input).unwrap();
    let covered = found
        .targets
        .into_iter()
        .any(|target| resource(action, target, &protected).protected);
    assert_eq!(covered, expected, "`{listed}`: {action} {input}");
}

#[test]
fn no_spelling_gets_past_the_protected_list() {
    let queue = r#"{"QueueUrl":"https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"}"#;
    check_protected("jobs", "sqs:DeleteQueue", queue, true);
    let secret =
        r#"{"SecretId":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:db/prod-AbCdEf"}"#;
    check_protected("db/prod", "secretsmanager:DeleteSecret", secret, true);
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:f";
    for spelt in ["f", "F", "123456789012:function:f:7", arn] {
        let input = format!(r#"{{"FunctionName":"{spelt}"}}"#);
        check_protected("f", "lambda:DeleteFunction", &input, true);
        check_protected(arn, "lambda:DeleteFunction", &input, true);
        check_protected("g", "lambda:DeleteFunction", &input, false);
    }
    check_protected("b", "s3:DeleteObject", r#"{"Bucket":"b","Key":"k"}"#, true);
    check_protected(
        "b/k",
        "s3:DeleteObject",
        r#"{"Bucket":"b","Key":"k","VersionId":"v"}"#,
        true,
    );
    let cluster =
        r#"{"service":"web","cluster":"arn:aws:ecs:eu-west-1:123456789012:cluster/prod"}"#;
    check_protected("prod", "ecs:DeleteService", cluster, true);
}

fn names_surely(action: &str, input: &str) -> bool {
    let found = of(action, input).unwrap();
    let service = action.split_once(':').unwrap().0;
    let needs = Needs {
        names: Some("protected-id".to_owned()),
        ..Needs::default()
    };
    let knowledge = Knowledge::default();
    let catalog = Catalog::embedded().unwrap();
    let service = catalog.service(service).unwrap().unwrap();
    Enquiry::new(&knowledge, &service, &found.targets, needs, here()).is_ok()
}

#[test]
fn a_name_behind_which_a_protected_thing_may_stand_is_refused() {
    let key = |id: &str| format!(r#"{{"KeyId":"{id}"}}"#);
    assert!(names_surely("kms:DisableKey", &key("1234")));
    assert!(names_surely(
        "kms:DisableKey",
        &key("arn:aws:kms:eu-west-1:123456789012:key/1234")
    ));
    assert!(!names_surely("kms:DisableKey", &key("alias/prod")));
    assert!(!names_surely(
        "kms:DisableKey",
        &key("arn:aws:kms:eu-west-1:123456789012:alias/prod")
    ));
    assert!(names_surely(
        "ec2:ReleaseAddress",
        r#"{"AllocationId":"eipalloc-1"}"#
    ));
    assert!(!names_surely(
        "ec2:ReleaseAddress",
        r#"{"PublicIp":"192.0.2.1"}"#
    ));
    assert!(!names_surely(
        "ec2:DeleteSecurityGroup",
        r#"{"GroupName":"web"}"#
    ));
    // Aliases of access points, behind which any bucket may stand.
    let bucket = |name: &str| format!(r#"{{"Bucket":"{name}","Key":"k"}}"#);
    assert!(names_surely("s3:DeleteObject", &bucket("any-bucket")));
    for alias in [
        "ap-abcdefghijkl-s3alias",
        "mfzwi23gnjvgw.mrap",
        "my-ap-1234567890--op-s3",
        "my-ap-1234567890--ol-s3",
        "my-ap-1234567890-ext-s3alias",
    ] {
        assert!(!names_surely("s3:DeleteObject", &bucket(alias)), "{alias}");
    }
    // Of a queue's URL one spelling is known.
    let queue = |url: &str| format!(r#"{{"QueueUrl":"{url}"}}"#);
    let host = "sqs.eu-west-1.amazonaws.com";
    let known = format!("https://{host}/123456789012/jobs");
    assert!(names_surely("sqs:DeleteQueue", &queue(&known)));
    assert!(names_surely("sqs:DeleteQueue", &queue("jobs")));
    for url in [
        format!("http://{host}/123456789012/jobs"),
        format!("https://{host}:443/123456789012/jobs"),
        format!("https://{host}/123456789012//jobs"),
        format!("https://{host}/123456789012/jobs/"),
        "/123456789012/jobs".to_owned(),
        "123456789012/jobs".to_owned(),
    ] {
        assert!(!names_surely("sqs:DeleteQueue", &queue(&url)), "{url}");
    }
    // Its documentation says that it takes a name as well as an id.
    assert!(!names_surely(
        "pcs:DeleteCluster",
        r#"{"clusterIdentifier":"x"}"#
    ));
}
