//! Tests of the classes that the embedded catalog gives: every operation, against a table made without it, and by input.

mod by_input;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use super::Catalog;
use super::compile::{Rules, Source};
use super::model::{Operation, Service};
use crate::aws::class::{Class, Group};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::embedded().unwrap());

/// Operations by the kind that their names suggest. `by-input`: a write that takes something away only if its input says so.
const TABLE: &str = include_str!("../../../tests/data/classes.json");
const EXCEPTIONS: &str = include_str!("../../../tests/data/class_exceptions.toml");
const RULES: &str = include_str!("../../../config/classes.toml");

fn each(mut see: impl FnMut(&Service, &Operation)) {
    for id in CATALOG.service_ids() {
        let service = CATALOG.service(id).unwrap().unwrap();
        service.operations.values().for_each(|o| see(&service, o));
    }
}

fn kind((class, group): (Class, Option<Group>)) -> &'static str {
    group.map_or(class.as_str(), Group::as_str)
}

/// The kinds that calls of the operation can be of.
fn kinds(operation: &Operation) -> BTreeSet<&'static str> {
    let conditions = operation.conditions.iter().map(|c| (c.class, c.group));
    let base = (operation.class, operation.group);
    conditions.chain([base]).map(kind).collect()
}

fn agrees(operation: &Operation, expected: &str) -> bool {
    let takes_away = |k: &&str| !["read", "write", "tag", "credentials", "grant"].contains(k);
    match expected {
        "by-input" => kinds(operation).iter().any(takes_away),
        expected => kinds(operation).contains(expected),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    exception: Vec<Exception>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    because: String,
    operations: Vec<String>,
}

#[test]
fn the_table_and_the_rules_disagree_only_where_a_reason_stands() {
    let table: BTreeMap<String, Vec<String>> = serde_json::from_str(TABLE).unwrap();
    let exceptions: Exceptions = toml::from_str(EXCEPTIONS).unwrap();
    assert!(exceptions.exception.iter().all(|e| !e.because.is_empty()));
    let mut excepted: BTreeSet<String> = BTreeSet::new();
    for operation in exceptions.exception.into_iter().flat_map(|e| e.operations) {
        assert!(excepted.insert(operation.clone()), "{operation} twice");
    }
    let mut compared = 0;
    let mut disagree = BTreeSet::new();
    for (expected, names) in &table {
        for name in names {
            let (service, operation) = name.split_once(':').unwrap();
            let service = CATALOG.service(service).unwrap();
            // The table speaks of services and operations that AWS has since ended.
            let Some(operation) = service.as_ref().and_then(|s| s.operations.get(operation)) else {
                continue;
            };
            compared += 1;
            if !agrees(operation, expected) {
                disagree.insert(name.clone());
            }
        }
    }
    assert!(compared > 4_100, "{compared}");
    assert_eq!(disagree, excepted);
}

#[test]
fn every_verb_is_known() {
    let rules = Rules::parse(RULES).unwrap();
    each(|service, operation| {
        let (_, source) = rules.kind(&service.id, &operation.name).unwrap();
        assert_ne!(
            source,
            Source::Unlisted,
            "{}:{}",
            service.id,
            operation.name
        );
    });
}

#[test]
fn every_http_delete_is_guarded() {
    let mut seen = 0;
    each(|service, operation| {
        if operation.method == "DELETE" {
            seen += 1;
            let guarded = operation.class.is_guarded();
            assert!(guarded, "{}:{}", service.id, operation.name);
        }
    });
    assert!(seen > 1_300, "{seen}");
}

#[test]
fn every_delete_and_terminate_is_guarded() {
    let mut seen = 0;
    each(|service, operation| {
        let name = &operation.name;
        if ["Delete", "Terminate", "BatchDelete"]
            .iter()
            .any(|verb| name.starts_with(verb))
        {
            seen += 1;
            assert!(operation.class.is_guarded(), "{}:{name}", service.id);
        }
    });
    assert!(seen > 2_400, "{seen}");
}

#[test]
fn a_condition_only_raises() {
    let mut seen = 0;
    each(|service, operation| {
        for condition in &operation.conditions {
            seen += 1;
            let raises = condition.class.weight() > operation.class.weight();
            assert!(raises, "{}:{} {condition}", service.id, operation.name);
        }
    });
    assert!(seen > 1_500, "{seen}");
}

#[test]
fn a_body_that_streams_is_judged_by_its_head_alone() {
    let s3 = CATALOG.service("s3").unwrap().unwrap();
    let put = &s3.operations["PutObject"];
    assert!(put.may_be(Class::Grant));
    let body = s3.body_beside(put).map(|member| member.name.as_str());
    assert_eq!(body, Some("Body"));
    assert!(s3.body_beside(&s3.operations["CopyObject"]).is_none());
    assert!(s3.body_beside(&s3.operations["UploadPart"]).is_none());
    for name in [
        "s3:UploadPart",
        "glacier:UploadArchive",
        "mediastore-data:PutObject",
        "ebs:PutSnapshotBlock",
    ] {
        let (service, operation) = name.split_once(':').unwrap();
        let service = CATALOG.service(service).unwrap().unwrap();
        assert!(!service.operations[operation].is_conditional(), "{name}");
    }
}

#[test]
fn all_classes_and_groups_are_there() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    each(|_, operation| {
        *seen
            .entry(kind((operation.class, operation.group)))
            .or_default() += 1;
    });
    let classes = Class::ALL.into_iter().filter(|c| *c != Class::Disrupt);
    let groups = Group::ALL.into_iter().map(Group::as_str);
    for kind in classes.map(Class::as_str).chain(groups) {
        assert!(seen.get(kind).is_some_and(|n| *n > 15), "{kind}: {seen:?}");
    }
    assert_eq!(seen.get("disrupt"), None, "{seen:?}");
}

#[test]
fn what_is_handed_over_is_named() {
    for (name, hand) in [
        ("lambda:CreateFunction", "Role"),
        ("lambda:CreateFunction", "Code.ZipFile"),
        ("ec2:RunInstances", "IamInstanceProfile"),
        ("ec2:RunInstances", "UserData"),
        ("ecs:RegisterTaskDefinition", "taskRoleArn"),
        ("codebuild:CreateProject", "source.buildspec"),
        ("cloudformation:CreateStack", "TemplateBody"),
    ] {
        let (service, operation) = name.split_once(':').unwrap();
        let service = CATALOG.service(service).unwrap().unwrap();
        let hands = &service.operations[operation].hands;
        assert!(hands.iter().any(|h| h == hand), "{name} {hand}: {hands:?}");
    }
}
