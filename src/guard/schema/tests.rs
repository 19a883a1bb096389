//! The schema that policies are written against, whole and reduced.

use std::sync::LazyLock;

use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};

use super::*;
use crate::aws::catalog::Catalog;
use crate::ruleset::starter;

static SERVICES: LazyLock<Vec<Arc<Service>>> = LazyLock::new(|| {
    let catalog = Catalog::embedded().unwrap();
    let ids: Vec<String> = catalog.service_ids().map(str::to_owned).collect();
    let service = |id: &String| catalog.service(id).unwrap().unwrap();
    ids.iter().map(service).collect()
});

fn vocabulary() -> Vocabulary {
    let knowledge = Knowledge::embedded().unwrap();
    let ids = SERVICES.iter().map(|s| s.id.as_str());
    Vocabulary::new(["deployers"].into_iter(), ids, SERVICES.clone(), &knowledge)
}

fn schema(text: &str) -> Schema {
    let (schema, warnings) = Schema::from_cedarschema_str(text).unwrap();
    assert_eq!(warnings.count(), 0);
    schema
}

fn policies(text: &str) -> PolicySet {
    text.parse().unwrap()
}

/// What strict validation says of policies.
fn faults(schema: &Schema, policies: &PolicySet) -> Vec<String> {
    let result = Validator::new(schema.clone()).validate(policies, ValidationMode::Strict);
    let errors = result.validation_errors().map(ToString::to_string);
    let warnings = result.validation_warnings().map(ToString::to_string);
    errors.chain(warnings).collect()
}

#[test]
fn the_schema_of_the_whole_catalog_has_every_action_and_takes_the_starter_set() {
    let vocabulary = vocabulary();
    let schema = schema(&vocabulary.whole(&[]));
    let declared: BTreeSet<String> = schema.actions().map(ToString::to_string).collect();
    for action in vocabulary.actions().chain(vocabulary.action_groups()) {
        assert!(
            declared.contains(&format!("Action::\"{action}\"")),
            "{action}"
        );
    }
    for file in starter() {
        assert_eq!(
            faults(&schema, &policies(&file.text)),
            [""; 0],
            "{}",
            file.name
        );
    }
}

#[test]
fn the_schema_of_one_service_has_its_actions_alone() {
    let text = vocabulary().whole(&["evs".to_owned()]);
    let schema = schema(&text);
    let declared = |name: &str| {
        schema
            .actions()
            .any(|a| a.to_string() == format!("Action::\"{name}\""))
    };
    assert!(declared("evs:DeleteEntitlement") && declared("evs:*") && declared("mgn:*"));
    assert!(!declared("mgn:DeleteWave"));
}

#[test]
fn entities_and_context_have_the_names_that_policies_are_written_with() {
    let schema = schema(&vocabulary().whole(&[]));
    let types: BTreeSet<String> = schema.entity_types().map(ToString::to_string).collect();
    let expected = ["Account", "Caller", "Group", "Resource", "Service", "Tags"];
    assert!(expected.iter().all(|t| types.contains(*t)), "{types:?}");
    // Each line reads one name by the type that it must have.
    let reads = r#"
        principal.name == "ci" || principal in Group::"admins" || principal in Group::"deployers" ||
        resource.id == "x" || (resource has arn && resource.arn == "x") || resource.type == "x" ||
        resource.service == "x" || resource.region == "x" || resource.account == "x" || resource.protected ||
        (resource has billingMode && resource.billingMode == "x") || (resource has runningMode && resource.runningMode == "x") ||
        (resource has state && resource.state == "x") || (resource has createdAt && resource.createdAt < context.now) ||
        (resource.hasTag("x") && resource.getTag("x") == "y") || resource in Service::"workspaces" ||
        resource in Account::"123456789012" || resource in Resource::"env-1" ||
        context.batchSize > 3 || context.now > datetime("2026-01-01") || context.source.ip.isLoopback() ||
        (context.source has userAgent && context.source.userAgent like "*x*") || context.approved || context.dryRun ||
        context.selector || context.tagKeys.contains("x") || context.requestTags.hasTag("x") || context.used == {} ||
        context.input == {}"#;
    let text = format!(
        "permit (principal, action == Action::\"servicecatalog:DisableAWSOrganizationsAccess\", resource) when {{ {reads} }};"
    );
    assert_eq!(faults(&schema, &policies(&text)), [""; 0]);
}

#[test]
fn an_action_is_in_its_class_its_finer_group_and_its_service() {
    let schema = schema(&vocabulary().whole(&[]));
    for group in ["disrupt", "overwrite", "workspaces:*"] {
        let text = format!(
            "permit (principal, action in Action::\"{group}\", resource) when {{ action == Action::\"workspaces:RebuildWorkspaces\" }};"
        );
        assert_eq!(faults(&schema, &policies(&text)), [""; 0], "{group}");
    }
}

#[test]
fn an_input_has_the_types_of_its_model() {
    let schema = schema(&vocabulary().whole(&[]));
    for (action, condition) in [
        (
            "workspaces-instances:CreateWorkspaceInstance",
            r#"context.input has BillingConfiguration.BillingMode && context.input.BillingConfiguration.BillingMode == "MONTHLY""#,
        ),
        (
            "mgn:TerminateTargetInstances",
            r#"context.input has tags && context.input.tags.hasTag("x")"#,
        ),
        (
            "mgn:TerminateTargetInstances",
            r#"context.input has sourceServerIDs && context.input.sourceServerIDs.contains("s-1")"#,
        ),
        (
            "servicecatalog:TerminateProvisionedProduct",
            "context.input has IgnoreErrors && context.input.IgnoreErrors",
        ),
        (
            "sts:AssumeRole",
            "context.input has DurationSeconds && context.input.DurationSeconds > 3600",
        ),
    ] {
        let text = format!(
            "permit (principal, action == Action::\"{action}\", resource) when {{ {condition} }};"
        );
        assert_eq!(
            faults(&schema, &policies(&text)),
            [""; 0],
            "{action}: {condition}"
        );
    }
}

#[test]
fn the_reduced_schema_has_each_named_action_and_one_for_the_rest_of_each_class() {
    let vocabulary = vocabulary();
    let wanted = Wanted {
        actions: ["mgn:DeleteWave".to_owned()].into(),
        input: Names::Some(["BillingConfiguration".to_owned()].into()),
        guarded: BTreeSet::new(),
    };
    let text = vocabulary.schema(&wanted);
    let whole = vocabulary.whole(&[]);
    assert!(
        text.len() * 3 < whole.len(),
        "{} of {}",
        text.len(),
        whole.len()
    );
    let schema = schema(&text);
    let declared: BTreeSet<String> = schema.actions().map(ToString::to_string).collect();
    let has = |name: &str| declared.contains(&format!("Action::\"{name}\""));
    assert!(has("mgn:DeleteWave") && has("workspaces-instances:CreateWorkspaceInstance"));
    for service in SERVICES.iter() {
        for operation in service.operations.values() {
            let alike = service.operations.values().any(|other| {
                (other.class, other.group) == (operation.class, operation.group)
                    && has(&format!("{}:{}", service.id, other.name))
            });
            assert!(
                alike,
                "nothing stands for {}:{}",
                service.id, operation.name
            );
        }
    }
}

#[test]
fn the_input_of_what_is_not_guarded_is_empty_unless_a_policy_guards_it() {
    let vocabulary = vocabulary();
    let action = "workspaces:CreateWorkspaces".to_owned();
    let line = |guarded: bool| {
        let wanted = Wanted {
            actions: [action.clone()].into(),
            input: Names::Some(["Workspaces".to_owned()].into()),
            guarded: guarded.then(|| action.clone()).into_iter().collect(),
        };
        let text = vocabulary.schema(&wanted);
        let line = text
            .lines()
            .find(|l| l.starts_with(&format!("action \"{action}\"")));
        line.unwrap().to_owned()
    };
    assert!(line(false).contains("input: {}"));
    assert!(line(true).contains("\"Workspaces\"?: Set<"));
}

#[test]
fn what_has_no_end_or_no_type_is_left_out() {
    let member = |name: &str, shape: u32| crate::aws::catalog::model::Member {
        name: name.to_owned(),
        location_name: None,
        location: crate::aws::catalog::model::Location::Body,
        shape: ShapeId(shape),
        required: false,
        sensitive: false,
        idempotency_token: false,
        query_name: None,
        host_label: false,
        timestamp: None,
    };
    let list = |of: u32| Shape::List {
        member: ShapeId(of),
        location_name: None,
        flattened: false,
        sparse: false,
        min: None,
        max: None,
    };
    let map = |of: u32| Shape::Map {
        value: ShapeId(of),
        key_name: None,
        value_name: None,
        flattened: false,
        sparse: false,
    };
    let tree = Structure {
        members: vec![
            member("children", 1),
            member("any", 2),
            member("anys", 3),
            member("size", 4),
            member("sizes", 5),
            member("named", 6),
        ],
        ..Structure::default()
    };
    let mut service = SERVICES[0].as_ref().clone();
    service.shapes = vec![
        Shape::Structure(tree),
        list(0),
        Shape::Document,
        list(2),
        Shape::Long,
        map(4),
        map(0),
    ];
    assert_eq!(
        cedar_type(&service, ShapeId(0), &mut Vec::new()).unwrap(),
        r#"{"size"?: Long, "sizes"?: Set<{"key": String, "value": Long}>}"#
    );
    assert_eq!(cedar_type(&service, ShapeId(2), &mut Vec::new()), None);
    assert_eq!(cedar_type(&service, ShapeId(99), &mut Vec::new()), None);
}
