//! The starter set is held to its cases, and what a case lacks is told.

use std::sync::LazyLock;

use super::*;
use crate::guard::refusal::Refusal;
use crate::ruleset::{Ruleset, starter, starter_cases};

static RULESET: LazyLock<Ruleset> = LazyLock::new(|| {
    let catalog = Catalog::embedded().unwrap();
    let groups = ["deployers"].into();
    Ruleset::new(catalog, &[], &starter(), None, &groups, true).unwrap()
});

fn cases() -> Vec<(String, Case)> {
    let files = starter_cases().into_iter();
    let named = |(file, text): (String, String)| {
        let cases = parse(&file, &text).unwrap();
        cases.into_iter().map(move |case| (file.clone(), case))
    };
    files.flat_map(named).collect()
}

fn outcome(case: &Case) -> Result<Outcome, CaseFault> {
    run(case, &RULESET.catalog, RULESET.rules())
}

#[test]
fn the_starter_set_says_what_its_cases_expect() {
    let mut wrong = Vec::new();
    for (file, case) in cases() {
        let differences = match outcome(&case) {
            Ok(outcome) => outcome.differences(&case.expect),
            Err(fault) => vec![fault.to_string()],
        };
        if !differences.is_empty() {
            wrong.push(format!("{file}: {}: {}", case.name, differences.join("; ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The list of policies is the starter set's own: one that is added without cases fails here.
#[test]
fn every_starter_policy_has_a_case_that_it_refuses_and_one_that_it_lets_pass() {
    let ran: Vec<(Case, Outcome)> = cases()
        .into_iter()
        .map(|(_, case)| {
            let outcome = outcome(&case).unwrap();
            (case, outcome)
        })
        .collect();
    let meets = |case: &Case, policy: &str| {
        let (service, operation) = find(case, &RULESET.catalog).unwrap();
        let action = Action {
            service: service.id.clone(),
            operation: operation.name.clone(),
        };
        let groups = operation.group.map(|g| g.as_str().to_owned()).into_iter();
        let groups: Vec<String> = groups
            .chain([
                operation.class.as_str().to_owned(),
                format!("{}:*", service.id),
            ])
            .collect();
        let slice = RULESET.policies.slice(&action, &groups).unwrap();
        slice
            .policies
            .policies()
            .any(|p| p.id().to_string() == policy)
    };
    for rule in RULESET.policies.rules() {
        let id = rule.id.as_str();
        let decided = |outcome: &Outcome| outcome.policies.iter().any(|p| p == id);
        let refuses = ran
            .iter()
            .any(|(_, o)| o.verdict == Verdict::Refused && decided(o));
        let allows = ran
            .iter()
            .any(|(_, o)| o.verdict == Verdict::Allowed && decided(o));
        let passes = ran
            .iter()
            .any(|(case, o)| o.verdict == Verdict::Allowed && meets(case, id));
        let (first, second) = match rule.effect {
            cedar_policy::Effect::Forbid => (refuses, passes),
            cedar_policy::Effect::Permit => (allows, allows),
        };
        assert!(first, "no case is decided by `{id}`");
        assert!(second, "no case passes `{id}`");
    }
    let not_permitted = |o: &Outcome| matches!(o.refusal, Some(Refusal::NotPermitted { .. }));
    assert!(ran.iter().any(|(_, o)| not_permitted(o)));
}

fn case(text: &str) -> Case {
    let text = format!("[[case]]\nname = \"x\"\n{text}");
    parse("x.toml", &text).unwrap().remove(0)
}

fn fault_of(text: &str) -> String {
    outcome(&case(text)).unwrap_err().to_string()
}

const ONE: &str = "action = \"workspaces:TerminateWorkspaces\"\n\
                   input = { TerminateWorkspaceRequests = [{ WorkspaceId = \"ws-1\" }] }\n\
                   expect = { verdict = \"allowed\" }\n";

#[test]
fn what_a_case_does_not_give_fails_it_by_name() {
    assert_eq!(
        fault_of(ONE),
        "`DescribeTags` is asked about `ws-1`, of which the case gives nothing: add `resources.\"ws-1\"`"
    );
    assert_eq!(
        fault_of(&format!(
            "{ONE}resources.\"ws-1\" = {{ runningMode = \"AUTO_STOP\" }}"
        )),
        "`DescribeTags` is asked for the tags of `ws-1`, which the case doesn't give"
    );
    assert_eq!(
        fault_of(&format!("{ONE}resources.\"ws-1\" = {{ tags = {{}} }}")),
        "`DescribeWorkspaces` is asked for `runningMode` of `ws-1`, which the case doesn't give"
    );
    let answered = format!(
        "{ONE}answer = [{{ operation = \"DescribeTags\", input = {{ ResourceId = \"ws-2\" }}, pages = [{{}}] }}]"
    );
    assert_eq!(
        fault_of(&answered),
        "no answer to `DescribeTags` fits the input {\"ResourceId\":\"ws-1\"}"
    );
    for bad in ["", "pages = [], error = \"X\""] {
        let answered = format!("{ONE}answer = [{{ operation = \"DescribeTags\", {bad} }}]")
            .replace(",  }", " }");
        assert!(
            fault_of(&answered).contains("needs `pages` or `error`"),
            "{bad}"
        );
    }
    let nonsense =
        format!("{ONE}answer = [{{ operation = \"DescribeTags\", pages = [{{ TagList = 3 }}] }}]");
    assert!(fault_of(&nonsense).starts_with("the answer to `DescribeTags` can't be read"));
}

#[test]
fn a_case_that_is_none_is_told() {
    let expect = "expect = { verdict = \"allowed\" }";
    assert_eq!(
        fault_of(&format!("action = \"mgn:DeleteWaves\"\n{expect}")),
        "the catalog has no action `mgn:DeleteWaves`; did you mean `mgn:DeleteWave`?"
    );
    assert!(
        fault_of(&format!("action = \"mgn\"\n{expect}"))
            .starts_with("the catalog has no action `mgn`")
    );
    assert_eq!(
        fault_of(&format!(
            "action = \"mgn:ListWaves\"\ninput = {{}}\n{expect}"
        )),
        "`mgn:ListWaves` isn't guarded, so that its input isn't parsed; leave `input` out"
    );
    assert_eq!(
        fault_of(&format!(
            "action = \"mgn:ListWaves\"\nnow = \"noon\"\n{expect}"
        )),
        "`now` is `noon`; write a time such as `2026-01-31T12:00:00Z`"
    );
    for text in [
        "[[case]]\nname = \"x\"",
        "[[case]]\nname = \"x\"\naction = \"a:B\"\nexpects = 1",
        "[[case]]\nname = \"x\"\naction = \"a:B\"\nexpect = { verdict = \"maybe\" }",
        "nonsense",
    ] {
        let fault = parse("x.toml", text).unwrap_err().to_string();
        assert!(fault.starts_with("x.toml: "), "{fault}");
    }
    let twice = format!("[[case]]\nname = \"x\"\n{ONE}").repeat(2);
    assert_eq!(
        parse("x.toml", &twice).unwrap_err().to_string(),
        "x.toml: the case `x` stands twice"
    );
}

#[test]
fn what_differs_is_said() {
    let text = format!(
        "{ONE}resources.\"ws-1\" = {{ tags = {{ protected = \"1\" }}, runningMode = \"AUTO_STOP\" }}"
    );
    let mut case = case(&text);
    case.expect.policies = Some(vec!["base".to_owned()]);
    case.expect.refusal = Some("none".to_owned());
    case.expect.resources = [
        ("ws-1".to_owned(), Verdict::Allowed),
        ("ws-2".to_owned(), Verdict::Allowed),
    ]
    .into();
    case.expect.reason = Some("because".to_owned());
    case.expect.lookups = Some(Vec::new());
    case.expect.sent = Some(toml::Table::new());
    let differences = outcome(&case).unwrap().differences(&case.expect);
    for expected in [
        "verdict: expected allowed, got refused",
        "policies: expected base, got protected-tag",
        "refusal: expected none, got forbidden",
        "`ws-1`: expected allowed, got refused",
        "`ws-2`: expected allowed, got nothing",
        "lookups: expected none, got DescribeTags, DescribeWorkspaces",
        "sent: expected {}, got nothing",
    ] {
        assert!(
            differences.iter().any(|d| d == expected),
            "{expected}: {differences:#?}"
        );
    }
    assert!(
        differences
            .iter()
            .any(|d| d.starts_with("reason: expected `because` in `"))
    );
}

#[test]
fn the_moment_the_source_and_the_client_are_the_cases() {
    let policies = "@id(\"office\") permit (principal, action, resource) when { \
        context.now < datetime(\"2026-02-01\") && context.source.ip.isInRange(ip(\"10.0.0.0/8\")) && \
        context.source has userAgent && context.source.userAgent like \"aws-cli*\" };";
    let file = crate::guard::policies::PolicyFile {
        name: "x.cedar".to_owned(),
        text: policies.to_owned(),
    };
    let ruleset = Ruleset::new(
        Catalog::embedded().unwrap(),
        &[],
        &[file],
        None,
        &[].into(),
        false,
    )
    .unwrap();
    let verdict = |more: &str| {
        let text =
            format!("action = \"mgn:ListWaves\"\nexpect = {{ verdict = \"allowed\" }}\n{more}");
        run(&case(&text), &ruleset.catalog, ruleset.rules())
            .unwrap()
            .verdict
    };
    let from = "source_ip = \"10.1.2.3\"\nuser_agent = \"aws-cli/1\"\n";
    assert_eq!(verdict(from), Verdict::Allowed);
    assert_eq!(
        verdict(&format!("{from}now = \"2026-02-01T00:00:00Z\"")),
        Verdict::Refused
    );
    assert_eq!(verdict("user_agent = \"aws-cli/1\""), Verdict::Refused);
}
