//! Bad sets: each fault is told with file, line and what to do.

use super::*;

/// The faults of a set of one file, as people read them.
fn faults(text: &str) -> Vec<String> {
    let error = load(text).expect_err(text);
    error.faults.iter().map(ToString::to_string).collect()
}

/// The one fault of a set holds each of these.
fn check(text: &str, expected: &[&str]) {
    let found = faults(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    for part in expected {
        assert!(found[0].contains(part), "`{part}` isn't in: {}", found[0]);
    }
}

#[test]
fn a_syntax_error_has_file_and_line() {
    check(
        "@id(\"a\")\npermit (principal, action, resource)\nwhen { context.batchSize >> 3 };",
        &["x.cedar:3: "],
    );
    check("permit (principal, action, resource)", &["x.cedar"]);
    check("permit (principal, action);", &["x.cedar:1: "]);
}

#[test]
fn every_fault_of_every_file_is_told_at_once() {
    let file = |name: &str, text: String| PolicyFile {
        name: name.to_owned(),
        text,
    };
    let files = [
        file(
            "a.cedar",
            "permit (principal, action, resource);".to_owned(),
        ),
        file(
            "b.cedar",
            forbid("b", r#"action == Action::"mgn:Nope""#, ""),
        ),
        file("c.cedar", "nonsense".to_owned()),
    ];
    let error = Policies::load(&files, &VOCABULARY).unwrap_err();
    let named: Vec<&str> = error.faults.iter().map(|f| f.file.as_str()).collect();
    for name in ["a.cedar", "b.cedar", "c.cedar"] {
        assert!(named.contains(&name), "{name}: {error}");
    }
}

#[test]
fn an_action_that_calls_arent_named_by_comes_with_the_one_they_are() {
    for (scope, named) in [
        (
            r#"action == Action::"docdb:DeleteDBCluster""#,
            "rds:DeleteDBCluster",
        ),
        (r#"action in Action::"neptune:*""#, "rds:*"),
        (
            r#"action == Action::"greengrassv2:TagResource""#,
            "greengrass:TagResource",
        ),
    ] {
        check(&forbid("a", scope, ""), &[&format!("write `{named}`")]);
    }
}

#[test]
fn an_unknown_action_comes_with_the_nearest() {
    let text = format!(
        "\n\n{}",
        forbid(
            "a",
            r#"action == Action::"workspaces:TerminateWorkspace""#,
            ""
        )
    );
    check(
        &text,
        &[
            "x.cedar:3: policy `a`: the catalog has no action `workspaces:TerminateWorkspace`",
            "did you mean `workspaces:TerminateWorkspaces`?",
        ],
    );
    for scope in [
        r#"action in [Action::"destroy", Action::"evs:DeleteEntitlements"]"#,
        r#"action in Action::"Destroy""#,
        r#"action in Action::"workspace:*""#,
    ] {
        check(
            &forbid("a", scope, ""),
            &["the catalog has no action", "did you mean"],
        );
    }
}

#[test]
fn an_unknown_action_in_a_condition_is_told_too() {
    check(
        &forbid(
            "a",
            "action",
            r#"when { action == Action::"mgn:DeleteWaves" }"#,
        ),
        &[
            "no action `mgn:DeleteWaves`",
            "did you mean `mgn:DeleteWave`?",
        ],
    );
}

#[test]
fn a_group_named_with_equals_never_applies() {
    for group in ["destroy", "interrupt", "evs:*"] {
        check(
            &forbid("a", &format!("action == Action::\"{group}\""), ""),
            &[
                "never applies, since it is a group",
                "write `action in Action::",
            ],
        );
    }
}

#[test]
fn an_unknown_group_of_callers_comes_with_the_nearest() {
    let text = forbid("a", "action", "");
    for in_group in [
        text.replacen("principal", "principal in Group::\"deployer\"", 1),
        text.replacen("principal", "principal is Caller in Group::\"deployer\"", 1),
        forbid("a", "action", "unless { principal in Group::\"deployer\" }"),
        forbid(
            "a",
            "action",
            "when { principal in [Group::\"admins\", Group::\"deployer\"] }",
        ),
    ] {
        check(
            &in_group,
            &[
                "x.cedar:1: policy `a`: no caller of the configuration is in a group `deployer`",
                "did you mean `deployers`?",
            ],
        );
    }
    check(
        &text.replacen("principal", "principal in Group::\"everyone-else\"", 1),
        &["there are `admins`, `deployers`"],
    );
    // A record that looks like one isn't one.
    let record = r#"when { {type: "Group", id: "nobody"}.id == "nobody" }"#;
    assert!(load(&forbid("a", "action", record)).is_ok());
}

#[test]
fn an_unknown_service_is_a_fault() {
    let scope = r#"resource in Service::"workspace""#;
    let text = forbid("a", "action", "").replacen("resource", scope, 1);
    check(&text, &["x.cedar:1: policy `a`: "]);
    assert!(
        load(&forbid(
            "a",
            "action",
            r#"unless { principal in Group::"deployers" }"#
        ))
        .is_ok()
    );
}

#[test]
fn an_id_and_a_reason_are_required() {
    check(
        "\npermit (principal, action, resource);",
        &["x.cedar:2: ", "no `@id("],
    );
    check(
        "@id(\"\") permit (principal, action, resource);",
        &["1 to 128 printable"],
    );
    check(
        &forbid(&"x".repeat(129), "action", ""),
        &["1 to 128 printable"],
    );
    check(
        "@id(\"a\")\nforbid (principal, action, resource);",
        &["policy `a`: it has no `@reason("],
    );
    for reason in ["", "a\\nb", "\\u{2028}", "\\u{1b}[2J"] {
        let text =
            format!("@id(\"a\") @reason(\"{reason}\") forbid (principal, action, resource);");
        check(&text, &["policy `a`: `@reason` must be 1 to 512 printable"]);
    }
    assert!(load("@id(\"a\") permit (principal, action, resource);").is_ok());
}

#[test]
fn an_id_is_taken_once() {
    let twice = format!("{}{}", forbid("a", "action", ""), forbid("a", "action", ""));
    check(
        &twice,
        &["x.cedar:2: policy `a`: its id is taken by a policy in x.cedar"],
    );
}

#[test]
fn an_annotation_that_is_not_built_or_not_known_is_refused() {
    let annotated = |text: &str| format!("@{text} {}", forbid("a", "action", ""));
    check(
        &annotated("approval(\"admins\")"),
        &["policy `a`: `@approval` isn't built yet; take it out"],
    );
    check(
        &annotated("mod(\"x\")"),
        &["`@mod` is no annotation; did you mean `@mode`?"],
    );
    check(&annotated("owner(\"x\")"), &["`@owner` is no annotation"]);
    let text = "@reasons(\"x\") @id(\"a\") permit (principal, action, resource);";
    check(text, &["did you mean `@reason`?"]);
}

#[test]
fn a_mode_is_one_that_there_is_and_stands_on_a_forbid() {
    let annotated = |text: &str| format!("@{text} {}", forbid("a", "action", ""));
    check(
        &annotated("mode(\"monitro\")"),
        &["policy `a`: `@mode(\"monitro\")` is no mode: write `@mode(\"monitor\")`"],
    );
    check(
        "@mode(\"monitor\") @id(\"a\") permit (principal, action, resource);",
        &["policy `a`: `@mode(\"monitor\")` is for a forbid"],
    );
    load(&annotated("mode(\"enforce\")")).unwrap();
}

#[test]
fn a_template_is_refused() {
    check(
        "@id(\"a\") permit (principal == ?principal, action, resource);",
        &["x.cedar: templates"],
    );
}

#[test]
fn a_policy_that_can_not_apply_is_refused() {
    for (scope, condition) in [
        ("action", "when { false }"),
        (
            "action",
            "when { context.batchSize > 3 && context.batchSize < 2 && false }",
        ),
        ("action in []", ""),
        (
            r#"action == Action::"mgn:ListWaves""#,
            "when { resource is Resource }",
        ),
        (
            r#"action in Action::"read""#,
            r#"when { resource has billingMode }"#,
        ),
    ] {
        let found = faults(&forbid("a", scope, condition));
        assert!(
            found
                .iter()
                .all(|f| f.starts_with("x.cedar:1: policy `a`: ")),
            "{found:?}"
        );
    }
}

#[test]
fn a_type_error_has_its_own_line() {
    let text = forbid(
        "a",
        r#"action in Action::"destroy""#,
        "when {\n  context.batchSize > 3 &&\n  resource.protected == \"yes\"\n}",
    );
    check(&text, &["x.cedar:3: policy `a`: "]);
    for (condition, hint) in [
        (
            "when { resource.billingMode == \"MONTHLY\" }",
            "billingMode",
        ),
        ("when { resource.getTag(\"x\") == \"y\" }", "tag"),
        ("when { resource.colour == \"red\" }", "colour"),
        ("when { context.batchsize > 3 }", "batchsize"),
        ("when { context.used.hourly > 3 }", "hourly"),
        ("when { ip(\"300.0.0.1\").isLoopback() }", "300.0.0.1"),
    ] {
        let text = forbid("a", r#"action in Action::"destroy""#, condition);
        check(&text, &["x.cedar:1: policy `a`: ", hint]);
    }
}

#[test]
fn a_member_that_no_input_has_is_told() {
    check(
        &forbid(
            "a",
            r#"action == Action::"workspaces:TerminateWorkspaces""#,
            "when { context.input has TerminateWorkspaceRequest }",
        ),
        &["x.cedar:1: policy `a`: "],
    );
}

/// An unguarded call isn't parsed: a policy on its input would never fire, and says nothing of it.
#[test]
fn a_policy_on_an_input_that_is_never_parsed_is_refused() {
    for (scope, condition) in [
        (
            r#"action in Action::"write""#,
            "when { context.input has AccountName }",
        ),
        (
            r#"action in [Action::"read", Action::"write"]"#,
            "when { context.input has WorkspaceIds }",
        ),
        (
            "action",
            r#"when { action == Action::"workspaces:CreateWorkspaces" && context.input has Workspaces }"#,
        ),
    ] {
        let found = faults(&forbid("a", scope, condition));
        assert!(!found.is_empty(), "{scope} {condition}");
    }
    let named = r#"action == Action::"workspaces:CreateWorkspaces""#;
    assert!(load(&forbid("a", named, "when { context.input has Workspaces }")).is_ok());
    let by_file = r#"action == Action::"workspaces-instances:CreateWorkspaceInstance""#;
    let both = format!("{by_file} && context.input has BillingConfiguration");
    assert!(load(&forbid("a", "action", &format!("when {{ {both} }}"))).is_ok());
}

#[test]
fn an_empty_set_is_refused() {
    check("", &["there is no policy"]);
    check("// nothing but words\n", &["there is no policy"]);
    assert!(Policies::load(&[], &VOCABULARY).is_err());
}

#[test]
fn a_policy_that_looks_into_what_it_names_itself_is_refused() {
    check(
        &forbid(
            "a",
            r#"action in Action::"destroy""#,
            r#"when { Resource::"env-1".hasTag("env") && Resource::"env-1".getTag("env") == "prod" }"#,
        ),
        &[
            "x.cedar:1: policy `a`: it looks into `Resource::\"env-1\"`, of which nothing is known",
            "(`resource in Resource::\"env-1\"`)",
        ],
    );
}
