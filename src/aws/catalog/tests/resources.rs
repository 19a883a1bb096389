//! What every guarded operation names, over all of AWS.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::*;
use crate::aws::catalog::compile::{Places, Rules, is_about_account};
use crate::aws::catalog::model::{ParentRule, ResourceRule};

/// Where a review found the ids of a Delete* or Terminate* operation, and of what they stand in.
#[derive(Deserialize)]
struct Reviewed {
    ids: Vec<String>,
    parents: Vec<String>,
}

fn places() -> Places {
    Places::parse(include_str!("../../../../config/resources.toml")).unwrap()
}

/// Every path that a rule names, but for those that select.
fn paths(rule: &ResourceRule) -> BTreeSet<&str> {
    let others = rule.parents.iter().chain(&rule.also);
    let others = others.flat_map(|ParentRule { id, or, .. }| [Some(id), or.as_ref()]);
    let own = [&rule.ids].into_iter().chain(&rule.or);
    own.chain(others.flatten())
        .map(String::as_str)
        .filter(|path| !path.is_empty())
        .collect()
}

#[test]
fn what_is_deleted_is_what_the_table_says_or_an_exception_with_its_reason() {
    let table = include_str!("../../../../tests/data/resources.json");
    let table: BTreeMap<String, Reviewed> = serde_json::from_str(table).unwrap();
    let exceptions = include_str!("../../../../tests/data/resources-exceptions.toml");
    let exceptions: BTreeMap<String, BTreeSet<String>> = toml::from_str(exceptions).unwrap();
    let excepted: BTreeSet<&String> = exceptions.values().flatten().collect();
    let catalog = catalog();
    let mut differ = BTreeSet::new();
    let mut compared = 0;
    for (action, reviewed) in &table {
        let (service, operation) = action.split_once(':').unwrap();
        let Some(service) = catalog.service(service).unwrap() else {
            continue;
        };
        let Some(operation) = service.operations.get(operation) else {
            continue;
        };
        compared += 1;
        let wanted: BTreeSet<&str> = reviewed
            .ids
            .iter()
            .chain(&reviewed.parents)
            .map(String::as_str)
            .collect();
        let agrees = match &operation.resource {
            Some(rule) => reviewed.ids.contains(&rule.ids) && paths(rule) == wanted,
            None => wanted.is_empty(),
        };
        if !agrees {
            differ.insert(action);
        }
    }
    assert!(compared > 2200, "only {compared} are in the catalog");
    let unexplained: Vec<_> = differ.difference(&excepted).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    let stale: Vec<_> = excepted.difference(&differ).collect();
    assert!(stale.is_empty(), "these agree: {stale:#?}");
}

#[test]
fn every_guarded_operation_names_something_or_says_why_not() {
    let rules = Rules::parse(include_str!("../../../../config/classes.toml")).unwrap();
    let (places, catalog) = (places(), catalog());
    let mut nameless = Vec::new();
    let mut guarded = 0;
    for id in catalog.service_ids() {
        let service = catalog.service(id).unwrap().unwrap();
        for operation in service.operations.values() {
            if !operation.may_be_guarded() {
                continue;
            }
            guarded += 1;
            let explained = || is_about_account(&service, operation, &rules, &places);
            if operation.resource.is_none() && !explained() {
                nameless.push(format!("{id}:{}", operation.name));
            }
        }
    }
    assert!(guarded > 4000, "only {guarded} are guarded");
    assert!(nameless.is_empty(), "{nameless:#?}");
}

#[test]
fn every_path_leads_to_text_in_the_input() {
    let catalog = catalog();
    for id in catalog.service_ids() {
        let service = catalog.service(id).unwrap().unwrap();
        for operation in service.operations.values() {
            for path in operation.resource.iter().flat_map(|rule| paths(rule)) {
                assert!(
                    is_text(&service, operation, path),
                    "{id}:{} {path}",
                    operation.name
                );
            }
        }
    }
}

fn is_text(service: &Service, operation: &Operation, path: &str) -> bool {
    let mut shape = operation.input.and_then(|id| service.shape(id));
    for step in path.split('.') {
        let name = step.trim_end_matches(['[', ']', '{', '}', '/']);
        let Some(Shape::Structure(structure)) = shape else {
            return false;
        };
        let Some(member) = structure.member(name) else {
            return false;
        };
        shape = match (step.strip_prefix(name), service.shape(member.shape)) {
            (Some(""), shape) => shape,
            (Some("[]" | "[/]"), Some(Shape::List { member, .. })) => service.shape(*member),
            // The keys of a map are text.
            (Some("{}"), Some(Shape::Map { .. })) => return true,
            _ => return false,
        };
    }
    matches!(
        shape,
        Some(Shape::String { .. } | Shape::Integer | Shape::Long)
    )
}

#[test]
fn nothing_secret_and_no_document_is_an_id() {
    let never = [
        "Password",
        "password",
        "Document",
        "PolicyText",
        "Sql",
        "QueryString",
        "Secret",
        "CertificateBody",
        "ertificatePem",
    ];
    let catalog = catalog();
    for id in catalog.service_ids() {
        let service = catalog.service(id).unwrap().unwrap();
        for operation in service.operations.values() {
            let Some(rule) = &operation.resource else {
                continue;
            };
            let bad = never.iter().any(|end| rule.ids.ends_with(end));
            assert!(!bad, "{id}:{} {}", operation.name, rule.ids);
        }
    }
}

fn check_kind(action: &str, expected: &str) {
    let (service, operation) = action.split_once(':').unwrap();
    let service = catalog().service(service).unwrap().unwrap();
    let rule = service.operations[operation].resource.as_ref().unwrap();
    assert_eq!(rule.kind, expected, "{action}");
}

#[test]
fn kinds_are_cloudformations_where_it_has_one() {
    for (action, kind) in [
        ("ec2:TerminateInstances", "AWS::EC2::Instance"),
        ("ec2:StopInstances", "AWS::EC2::Instance"),
        ("ec2:ModifyInstanceAttribute", "AWS::EC2::Instance"),
        ("ec2:DeleteVolume", "AWS::EC2::Volume"),
        ("ec2:DeleteVpc", "AWS::EC2::VPC"),
        ("ec2:ReleaseAddress", "AWS::EC2::EIP"),
        ("ec2:DeleteSnapshot", "ec2:Snapshot"),
        ("rds:DeleteDBInstance", "AWS::RDS::DBInstance"),
        ("docdb:DeleteDBCluster", "AWS::DocDB::DBCluster"),
        ("neptune:DeleteDBCluster", "AWS::Neptune::DBCluster"),
        ("s3:DeleteBucket", "AWS::S3::Bucket"),
        ("dynamodb:DeleteItem", "AWS::DynamoDB::Table"),
        (
            "elb:DeleteLoadBalancer",
            "AWS::ElasticLoadBalancing::LoadBalancer",
        ),
        (
            "elbv2:DeleteLoadBalancer",
            "AWS::ElasticLoadBalancingV2::LoadBalancer",
        ),
        (
            "stepfunctions:DeleteStateMachine",
            "AWS::StepFunctions::StateMachine",
        ),
        ("efs:DeleteFileSystem", "AWS::EFS::FileSystem"),
        ("iam:DeletePolicy", "AWS::IAM::ManagedPolicy"),
        ("kms:ScheduleKeyDeletion", "AWS::KMS::Key"),
        ("mgn:DeleteSourceServer", "mgn:SourceServer"),
    ] {
        check_kind(action, kind);
    }
}
