//! What a policy set may say, what is said of a bad one, and which policies an action meets.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::aws::catalog::few::{REVIEWED, few};
use crate::aws::class::{Class, Group};
use crate::guard::knowledge::Knowledge;
use crate::ruleset::starter;

mod bad;
mod scopes;
mod slices;

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let catalog = Arc::new(few(&REVIEWED));
    let knowledge = Knowledge::embedded().unwrap();
    Vocabulary::new(["deployers"].into_iter(), catalog, &knowledge)
});

fn load(text: &str) -> Result<Policies, PoliciesError> {
    let file = PolicyFile {
        name: "x.cedar".to_owned(),
        text: text.to_owned(),
    };
    Policies::load(&[file], &VOCABULARY)
}

/// A policy with an id and a reason.
fn forbid(id: &str, scope: &str, rest: &str) -> String {
    format!("@id(\"{id}\") @reason(\"no\") forbid (principal, {scope}, resource) {rest};\n")
}

fn action(name: &str) -> Action {
    let (service, operation) = name.split_once(':').unwrap();
    Action {
        service: service.to_owned(),
        operation: operation.to_owned(),
    }
}

/// The names of the groups of an action, as a decision has them.
fn groups(name: &str) -> Vec<String> {
    let (service, _) = name.split_once(':').unwrap();
    let operation = VOCABULARY.operation(name).unwrap();
    let group = operation.group.map(|g| g.as_str().to_owned());
    let class = operation.class.as_str().to_owned();
    group
        .into_iter()
        .chain([class, format!("{service}:*")])
        .collect()
}

#[test]
fn the_starter_set_is_sound() {
    let policies = Policies::load(&starter(), &VOCABULARY).unwrap();
    assert!(policies.rules().len() >= 10);
    assert_eq!(policies.unguarded_tag_keys(), []);
}

#[test]
fn a_policy_knows_its_file_its_reason_and_what_it_reads() {
    let text = format!(
        "\n{}",
        forbid("one", "action", r#"when { resource.hasTag("x") }"#)
            .replace("action", r#"action in Action::"destroy""#)
    );
    let policies = load(&text).unwrap();
    let [rule] = policies.rules() else { panic!() };
    assert_eq!(
        (rule.id.as_str(), rule.file.as_str(), rule.reason.as_deref()),
        ("one", "x.cedar", Some("no"))
    );
    assert!(rule.reads.tags.contains("x"));
}

#[test]
fn a_read_or_write_that_is_named_and_whose_input_is_read_is_guarded() {
    let guards = |scope: &str, condition: &str, name: &str| {
        let policies = load(&forbid("a", scope, condition)).unwrap();
        policies.guards(&action(name)) == Some(Mode::Enforce)
    };
    let import = "workspaces:CreateWorkspaces";
    let named = format!("action == Action::\"{import}\"");
    let listed = format!("action in [Action::\"{import}\", Action::\"mgn:CreateWave\"]");
    let of_it = "when { context.input has Workspaces }";
    assert!(guards(&named, of_it, import));
    assert!(guards(&listed, of_it, import));
    assert!(guards(&listed, of_it, "mgn:CreateWave"));
    assert!(!guards(&named, "when { context.batchSize > 3 }", import));
    assert!(!guards(&named, of_it, "workspaces:DescribeWorkspaces"));
}

#[test]
fn a_scope_over_a_group_or_everything_never_widens() {
    let reads = "when { context.input has ResourceId }";
    for scope in [
        "action",
        r#"action in Action::"tag""#,
        r#"action in [Action::"tag", Action::"read"]"#,
        r#"action in Action::"workspaces:*""#,
    ] {
        let policies = load(&forbid("a", scope, reads)).unwrap();
        for name in VOCABULARY.actions() {
            assert!(
                policies.guards(&action(&name)).is_none(),
                "{scope} guards {name}"
            );
        }
    }
}

#[test]
fn a_policy_that_monitors_widens_only_what_nothing_else_does() {
    let named = "action == Action::\"workspaces:CreateWorkspaces\"";
    let of_it = "when { context.input has Workspaces }";
    let enforced = forbid("a", named, of_it);
    let monitors = format!("@mode(\"monitor\") {}", forbid("b", named, of_it));
    let mode = |text: &str| {
        let guards = load(text).unwrap();
        guards.guards(&action("workspaces:CreateWorkspaces"))
    };
    assert_eq!(mode(&enforced), Some(Mode::Enforce));
    assert_eq!(mode(&monitors), Some(Mode::Monitor));
    assert_eq!(mode(&format!("{enforced}{monitors}")), Some(Mode::Enforce));
    assert_eq!(mode(&format!("{monitors}{enforced}")), Some(Mode::Enforce));
}

#[test]
fn a_tag_that_nobody_watches_is_told() {
    let reads = forbid(
        "reads",
        r#"action in Action::"destroy""#,
        r#"when { resource.hasTag("keep") }"#,
    );
    let watches = |key: &str| {
        forbid(
            "watches",
            r#"action in Action::"tag""#,
            &format!("when {{ context.tagKeys.contains(\"{key}\") }}"),
        )
    };
    let open = |text: &str| load(text).unwrap().unguarded_tag_keys();
    let told = [("keep".to_owned(), "reads".to_owned())];
    assert_eq!(open(&reads), told);
    assert_eq!(open(&format!("{reads}{}", watches("kept"))), told);
    assert_eq!(open(&format!("{reads}{}", watches("keep"))), []);
    // A permit on the same keys protects nothing.
    let permits = watches("keep").replace("forbid", "permit");
    assert_eq!(open(&format!("{reads}{permits}")), told);
    // Nor does what only monitors.
    let monitors = format!("@mode(\"monitor\") {}", watches("keep"));
    assert_eq!(open(&format!("{reads}{monitors}")), told);
}
