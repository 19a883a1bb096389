//! A slice holds every policy whose scope can match its action, and no other.

use super::*;
use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityUid, Request, RestrictedExpression,
};

/// The ids of the policies that an action meets.
fn slice_of(policies: &Policies, name: &str) -> BTreeSet<String> {
    let slice = policies.slice(&action(name), &groups(name)).unwrap();
    slice
        .policies
        .policies()
        .map(|p| p.id().to_string())
        .collect()
}

/// The actions whose slice holds the policy of that scope.
fn met(scope: &str) -> BTreeSet<String> {
    let policies = load(&forbid("a", scope, "")).unwrap();
    let actions = VOCABULARY.actions();
    actions
        .filter(|name| slice_of(&policies, name).contains("a"))
        .collect()
}

/// The actions whose operation is so.
fn those(wanted: impl Fn(&str, Class, Option<Group>) -> bool) -> BTreeSet<String> {
    let is = |name: &String| {
        let (service, _) = name.split_once(':').unwrap();
        let operation = VOCABULARY.operation(name).unwrap();
        wanted(service, operation.class, operation.group)
    };
    VOCABULARY.actions().filter(is).collect()
}

#[test]
fn a_policy_is_in_the_slices_that_its_scope_says() {
    let named = ["mgn:DeleteWave", "evs:DeleteEntitlement"].map(str::to_owned);
    assert_eq!(
        met(r#"action == Action::"mgn:DeleteWave""#),
        BTreeSet::from([named[0].clone()])
    );
    assert_eq!(
        met(r#"action in [Action::"mgn:DeleteWave", Action::"evs:DeleteEntitlement"]"#),
        BTreeSet::from(named)
    );
    for class in Class::ALL {
        let of_class = those(|_, c, _| c == class);
        // A policy over a class that no operation of the catalog is in can't apply, and is refused.
        if !of_class.is_empty() {
            assert_eq!(
                met(&format!("action in Action::\"{class}\"")),
                of_class,
                "{class}"
            );
        }
    }
    for group in Group::ALL {
        let of_group = those(|_, _, g| g == Some(group));
        if !of_group.is_empty() {
            assert_eq!(
                met(&format!("action in Action::\"{group}\"")),
                of_group,
                "{group}"
            );
        }
    }
    for service in ["workspaces", "mgn", "sts"] {
        let scope = format!("action in Action::\"{service}:*\"");
        assert_eq!(met(&scope), those(|s, _, _| s == service), "{service}");
    }
    assert_eq!(met("action"), those(|_, _, _| true));
    assert_eq!(
        met(r#"action in [Action::"overwrite", Action::"sts:*"]"#),
        those(|s, _, g| s == "sts" || g == Some(Group::Overwrite))
    );
}

#[test]
fn a_slice_is_made_once_and_is_the_same_again() {
    let policies = load(&forbid("a", "action", "")).unwrap();
    let slice = || {
        policies
            .slice(&action("mgn:DeleteWave"), &groups("mgn:DeleteWave"))
            .unwrap()
    };
    assert!(Arc::ptr_eq(&slice(), &slice()));
}

#[test]
fn only_forbids_that_read_no_fact_refuse_early() {
    let text = [
        forbid("size", "action", "when { context.batchSize > 3 }"),
        forbid(
            "listed",
            r#"action in Action::"destroy""#,
            "when { resource.protected }",
        ),
        forbid(
            "tag",
            r#"action in Action::"destroy""#,
            r#"when { resource.hasTag("x") }"#,
        ),
        forbid(
            "mode",
            r#"action in Action::"destroy""#,
            "when { resource has runningMode }",
        ),
        "@id(\"all\") permit (principal, action, resource);".to_owned(),
    ];
    let policies = load(&text.concat()).unwrap();
    let name = "workspaces:TerminateWorkspaces";
    let slice = policies.slice(&action(name), &groups(name)).unwrap();
    let ids: BTreeSet<&str> = slice.conditions.early().collect();
    assert_eq!(ids, BTreeSet::from(["size", "listed"]));
}

#[test]
fn needs_name_the_policy_that_asks() {
    let text = [
        forbid(
            "tag",
            r#"action in Action::"destroy""#,
            r#"when { resource.hasTag("x") }"#,
        ),
        forbid(
            "state",
            r#"action in Action::"destroy""#,
            "when { resource has state }",
        ),
        forbid(
            "listed",
            r#"action in Action::"destroy""#,
            "when { resource.protected }",
        ),
        "@id(\"all\") permit (principal, action, resource);".to_owned(),
    ];
    let policies = load(&text.concat()).unwrap();
    let needs = |name: &str, listed: bool| {
        policies
            .slice(&action(name), &groups(name))
            .unwrap()
            .needs(listed)
    };
    let destroys = needs("mgn:DeleteWave", true);
    assert_eq!(destroys.tags.as_deref(), Some("tag"));
    assert_eq!(
        destroys.attributes,
        [(Attribute::State, "state".to_owned())].into()
    );
    assert_eq!(destroys.names.as_deref(), Some("listed"));
    assert_eq!(needs("mgn:DeleteWave", false).names, None);
    assert!(needs("mgn:PauseReplication", true).is_empty());
}

const SCOPES: [&str; 12] = [
    "action",
    r#"action in Action::"destroy""#,
    r#"action in Action::"disrupt""#,
    r#"action in Action::"interrupt""#,
    r#"action in Action::"read""#,
    r#"action in [Action::"tag", Action::"write"]"#,
    r#"action in Action::"mgn:*""#,
    r#"action in [Action::"evs:*", Action::"overwrite"]"#,
    r#"action == Action::"mgn:DeleteWave""#,
    r#"action == Action::"mgn:PauseReplication""#,
    r#"action == Action::"evs:DeleteEntitlement""#,
    r#"action in [Action::"workspaces:RebuildWorkspaces", Action::"sts:GetSessionToken"]"#,
];
const CONDITIONS: [&str; 4] = [
    "",
    "when { context.batchSize > 3 }",
    "unless { context.batchSize > 3 }",
    "when { context.selector }",
];
const ACTIONS: [&str; 8] = [
    "mgn:DeleteWave",
    "mgn:PauseReplication",
    "mgn:ListWaves",
    "mgn:TagResource",
    "evs:DeleteEntitlement",
    "workspaces:RebuildWorkspaces",
    "workspaces:CreateWorkspaces",
    "sts:GetSessionToken",
];

/// What Cedar says to an action by some policies.
fn judged(policies: &PolicySet, name: &str, size: i64) -> cedar_policy::Decision {
    let uid = |kind: &str, id: &str| -> EntityUid { format!("{kind}::\"{id}\"").parse().unwrap() };
    let ancestors = groups(name).iter().map(|g| uid("Action", g)).collect();
    let acting = Entity::new_no_attrs(uid("Action", name), ancestors);
    let entities = Entities::from_entities([acting], None).unwrap();
    let context = Context::from_pairs([
        ("batchSize".to_owned(), RestrictedExpression::new_long(size)),
        (
            "selector".to_owned(),
            RestrictedExpression::new_bool(size == 9),
        ),
    ]);
    let request = Request::new(
        uid("Caller", "ci"),
        uid("Action", name),
        uid("Resource", "r-1"),
        context.unwrap(),
        None,
    );
    Authorizer::new()
        .is_authorized(&request.unwrap(), policies, &entities)
        .decision()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_slice_decides_as_the_whole_set_does(
        rules in prop::collection::vec((any::<bool>(), 0..SCOPES.len(), 0..CONDITIONS.len()), 1..12),
        size in prop::sample::select(vec![1i64, 4, 9]),
    ) {
        let text: String = rules
            .iter()
            .enumerate()
            .map(|(n, (permits, scope, condition))| {
                let text = forbid(&format!("p{n}"), SCOPES[*scope], CONDITIONS[*condition]);
                if *permits { text.replacen("forbid", "permit", 1) } else { text }
            })
            .collect();
        let policies = load(&text).unwrap();
        let whole: PolicySet = text.parse().unwrap();
        for name in ACTIONS {
            let slice = policies.slice(&action(name), &groups(name)).unwrap();
            prop_assert_eq!(
                judged(&slice.policies, name, size),
                judged(&whole, name, size),
                "{}\n{}", name, text
            );
        }
    }
}
