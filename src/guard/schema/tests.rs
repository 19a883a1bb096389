//! The schema that policies are written against, whole and reduced.

use std::sync::LazyLock;

use cedar_policy::{PolicySet, Schema, ValidationMode, Validator};

use super::types::cedar_type;
use super::*;
use crate::aws::catalog::few::{REVIEWED, few};
use crate::aws::catalog::model::{Shape, ShapeId, Structure};
use crate::aws::catalog::packed::Packed;
use crate::ruleset::starter;

/// The words with all of AWS.
fn vocabulary() -> Vocabulary {
    of(Catalog::embedded().unwrap())
}

fn of(catalog: Catalog) -> Vocabulary {
    let knowledge = Knowledge::embedded().unwrap();
    Vocabulary::new(["deployers"].into_iter(), Arc::new(catalog), &knowledge)
}

/// The schema of the reviewed services, whole.
static WHOLE: LazyLock<String> = LazyLock::new(|| {
    let vocabulary = vocabulary();
    vocabulary.whole(&REVIEWED.map(str::to_owned)).unwrap()
});

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
fn the_schema_of_a_whole_catalog_has_every_action_and_takes_the_starter_set() {
    let vocabulary = of(few(&REVIEWED));
    let schema = schema(&vocabulary.whole(&[]).unwrap());
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
    let text = vocabulary().whole(&["evs".to_owned()]).unwrap();
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
    let schema = schema(&WHOLE);
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
    let schema = schema(&WHOLE);
    for group in ["disrupt", "overwrite", "workspaces:*"] {
        let text = format!(
            "permit (principal, action in Action::\"{group}\", resource) when {{ action == Action::\"workspaces:RebuildWorkspaces\" }};"
        );
        assert_eq!(faults(&schema, &policies(&text)), [""; 0], "{group}");
    }
}

#[test]
fn an_input_has_the_types_of_its_model() {
    let schema = schema(&WHOLE);
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

/// What a policy on these actions, which reads these members, asks of the schema.
fn wanted(scope: Option<&[&str]>, members: &[&str]) -> Wanted {
    let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let scope = scope.map(owned);
    Wanted {
        names: scope.iter().flatten().cloned().collect(),
        inputs: vec![InputRead {
            scope,
            members: Names::Some(owned(members).into_iter().collect()),
        }],
        guarded: BTreeSet::new(),
    }
}

/// The operations that a schema declares, as `service:Operation`.
fn declared(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter_map(|l| l.strip_prefix("action \""));
    let named = lines.filter_map(|l| l.split_once('"'));
    let operation = |(name, _): (&str, &str)| (!name.ends_with(":*")).then(|| name.to_owned());
    named.filter_map(operation).collect()
}

fn line(text: &str, action: &str) -> String {
    let start = format!("action \"{action}\"");
    text.lines()
        .find(|l| l.starts_with(&start))
        .unwrap_or_else(|| panic!("{action} isn't declared"))
        .to_owned()
}

#[test]
fn the_reduced_schema_has_each_named_action_and_one_for_the_rest_of_each_class() {
    let vocabulary = vocabulary();
    let mut asked = wanted(Some(&["mgn:DeleteWave", "ec2:*", "destroy"]), &[]);
    asked.inputs.clear();
    let declared = declared(&vocabulary.schema(&asked).unwrap());
    assert!(declared.contains("mgn:DeleteWave"));
    assert_eq!(vocabulary.catalog.decoded(), 0);
    assert!(declared.len() < 200, "{}", declared.len());
    let kind = |action: &String| {
        let brief = vocabulary.operation(action).unwrap();
        let service = service_of(action).filter(|id| ["mgn", "ec2"].contains(id));
        (service.map(str::to_owned), brief.kind.to_owned())
    };
    let unnamed = declared.iter().filter(|a| *a != "mgn:DeleteWave");
    let stood_for: Vec<_> = unnamed.map(kind).collect();
    let each: BTreeSet<_> = stood_for.iter().cloned().collect();
    assert_eq!(each.len(), stood_for.len(), "one of each kind");
    let all: Vec<String> = vocabulary.actions().collect();
    let kinds: BTreeSet<_> = all.iter().map(kind).collect();
    assert_eq!(each, kinds);
}

#[test]
fn an_input_that_is_read_is_there_for_each_type_that_it_has_and_for_each_class() {
    let vocabulary = vocabulary();
    let text = vocabulary.schema(&wanted(None, &["Force"])).unwrap();
    let types: BTreeSet<&str> = text
        .lines()
        .filter_map(|l| l.split_once("\"Force\"?: ")?.1.split(' ').next())
        .collect();
    assert!(types.len() > 1, "{types:?}");
    // Nothing is declared twice over: 3,000 operations would be.
    assert!(declared(&text).len() < 200, "{}", declared(&text).len());
    schema(&text);
}

#[test]
fn only_what_a_scope_covers_has_the_members_that_its_policy_reads() {
    let vocabulary = vocabulary();
    let scope: &[&str] = &["ec2:TerminateInstances", "mgn:*"];
    let text = vocabulary
        .schema(&wanted(Some(scope), &["InstanceIds", "waveID"]))
        .unwrap();
    assert!(line(&text, "ec2:TerminateInstances").contains("\"InstanceIds\"?: Set<String>"));
    let has = |id: &str, member: &str| {
        let start = format!("action \"{id}:");
        let mut lines = text.lines().filter(|l| l.starts_with(&start));
        lines.any(|l| l.contains(&format!("\"{member}\"?")))
    };
    assert!(has("mgn", "waveID"));
    let others = text.matches("InstanceIds").count();
    assert_eq!(others, 1, "ec2:StopInstances isn't in the scope");
    assert_eq!(vocabulary.catalog.decoded(), 2);
}

#[test]
fn what_applies_nowhere_is_refused_and_what_applies_somewhere_is_not() {
    let check = |scope: &str, condition: &str, wanted: &Wanted, sound: bool| {
        let text = format!("permit (principal, {scope}, resource) when {{ {condition} }};");
        let schema = schema(&vocabulary().schema(wanted).unwrap());
        let found = faults(&schema, &policies(&text));
        assert_eq!(found.is_empty(), sound, "{text}: {found:?}");
    };
    let named = |names: &[&str]| Wanted {
        names: names.iter().map(|n| (*n).to_owned()).collect(),
        ..Wanted::default()
    };
    check(
        r#"action in Action::"s3:*""#,
        "true",
        &named(&["s3:*"]),
        true,
    );
    check(
        r#"action in Action::"grant""#,
        "true",
        &named(&["grant"]),
        true,
    );
    let both = named(&["s3:*", "destroy"]);
    check(
        r#"action in Action::"s3:*""#,
        r#"action in Action::"destroy""#,
        &both,
        true,
    );
    // sts destroys nothing.
    let never = named(&["sts:*", "destroy"]);
    check(
        r#"action in Action::"sts:*""#,
        r#"action in Action::"destroy""#,
        &never,
        false,
    );
    let one = named(&["s3:DeleteBucket", "read"]);
    let bucket = r#"action == Action::"s3:DeleteBucket""#;
    check(bucket, r#"action in Action::"read""#, &one, false);
    // A representative isn't the named one: the rest of its class stays possible.
    let others = r#"!(action == Action::"s3:DeleteBucket")"#;
    check(
        r#"action in Action::"destroy""#,
        others,
        &named(&["s3:DeleteBucket", "destroy"]),
        true,
    );
    // Members by their own type alone.
    let force = |text: &str, sound| {
        let condition = format!("context.input has Force && context.input.Force == {text}");
        let scope: &[&str] = &["ecs:DeleteService"];
        let asked = wanted(Some(scope), &["force", "Force"]);
        check(
            r#"action == Action::"ecs:DeleteService""#,
            &condition.replace("Force", "force"),
            &asked,
            sound,
        );
    };
    force("true", true);
    force("3", false);
}

#[test]
fn what_its_input_may_make_a_deletion_is_declared_as_both() {
    let vocabulary = vocabulary();
    let action = "dynamodb:BatchWriteItem";
    let brief = vocabulary.operation(action).unwrap();
    assert_eq!(brief.kind, "write|destroy");
    let text = vocabulary
        .schema(&wanted(Some(&[action]), &["RequestItems"]))
        .unwrap();
    let declared = line(&text, action);
    assert!(
        declared.contains("in [write, destroy, \"dynamodb:*\"]"),
        "{declared}"
    );
    assert!(declared.contains("resource: [Resource]"), "{declared}");
    assert!(declared.contains("\"RequestItems\"?: "), "{declared}");
    schema(&text);
}

#[test]
fn a_class_without_operations_in_the_catalog_has_no_policy() {
    let vocabulary = of(few(&["sts"]));
    let wanted = Wanted {
        names: ["destroy".to_owned()].into(),
        ..Wanted::default()
    };
    let schema = schema(&vocabulary.schema(&wanted).unwrap());
    let text = "permit (principal, action in Action::\"destroy\", resource);";
    assert!(!faults(&schema, &policies(text)).is_empty());
}

#[test]
fn the_nearest_name_is_one_of_the_right_kind() {
    let vocabulary = vocabulary();
    for (name, expected) in [
        ("Destroy", Some("destroy")),
        ("ec2:TerminateInstance", Some("ec2:TerminateInstances")),
        (
            "workspace:TerminateWorkspaces",
            Some("workspaces:TerminateWorkspaces"),
        ),
        ("workspace:*", Some("workspaces:*")),
        (
            "nothing-like-it:TerminateWorkspaces",
            Some("workspaces:TerminateWorkspaces"),
        ),
        ("nothing-like-it:NothingLikeIt", None),
    ] {
        assert_eq!(vocabulary.nearest(name).as_deref(), expected, "{name}");
    }
}

#[test]
fn the_input_of_what_is_not_guarded_is_empty_unless_a_policy_guards_it() {
    let vocabulary = vocabulary();
    let action = "workspaces:CreateWorkspaces";
    let declared = |guarded: bool| {
        let mut wanted = wanted(Some(&[action]), &["Workspaces"]);
        wanted.guarded = guarded.then(|| action.to_owned()).into_iter().collect();
        line(&vocabulary.schema(&wanted).unwrap(), action)
    };
    assert!(declared(false).contains("input: {}"));
    assert!(declared(true).contains("\"Workspaces\"?: Set<"));
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
        json_value: false,
        xml: None,
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
    let catalog = Catalog::embedded().unwrap();
    let mut service = catalog.service("evs").unwrap().unwrap().as_ref().clone();
    service.shapes = [
        Shape::Structure(tree),
        list(0),
        Shape::Document,
        list(2),
        Shape::Long,
        map(4),
        map(0),
    ]
    .map(Packed::from)
    .into();
    assert_eq!(
        cedar_type(&service, ShapeId(0), &mut Vec::new()).unwrap(),
        r#"{"size"?: Long, "sizes"?: Set<{"key": String, "value": Long}>}"#
    );
    assert_eq!(cedar_type(&service, ShapeId(2), &mut Vec::new()), None);
    assert_eq!(cedar_type(&service, ShapeId(99), &mut Vec::new()), None);
}
