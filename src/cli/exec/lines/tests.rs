use super::*;
use crate::aws::class::Class;
use crate::guard::decide::{Decision, ResourceVerdict};
use crate::guard::refusal::Refusal;
use crate::journal::json_text::JsonText;
use crate::journal::record::Would;
use crate::journal::tests::{allowed, call, noon, outcome, read, sent};
use crate::journal::{
    self, Happened, Judgement, Lifecycle, OutcomeRecord, Record, Refused, Resource, Tunnel,
};

fn guarding() -> Guarding {
    Guarding {
        profile: "prod".to_owned(),
        account: Some("123456789012".to_owned()),
        caller: "anna".to_owned(),
        policies: 9,
        folder: None,
        mode: Mode::Enforce,
    }
}

/// A decision that says so of each resource.
fn judged(policies: &[&str], resources: &[(&str, Verdict)]) -> Decision {
    let policies: Vec<String> = policies.iter().map(|p| (*p).to_owned()).collect();
    let of = |(id, verdict): &(&str, Verdict)| ResourceVerdict {
        id: (*id).to_owned(),
        verdict: *verdict,
        policies: policies.clone(),
    };
    Decision {
        verdict: Verdict::Refused,
        would: None,
        resources: resources.iter().map(of).collect(),
        policies,
    }
}

/// The record of a refusal, as the guard makes it.
fn refused(class: Class, refusal: &Refusal, resources: &[(&str, Verdict)]) -> Record {
    let call = call(0x0198, class);
    let action = call.action.to_string();
    let resource = |(id, verdict): &(&str, Verdict)| Resource {
        id: (*id).to_owned(),
        arn: None,
        kind: "AWS::WorkSpaces::Workspace".to_owned(),
        verdict: *verdict,
        policies: Vec::new(),
    };
    Record::decision(journal::Decision {
        time: noon(),
        call: &call,
        source_port: None,
        judgement: Judgement::Refused(Refused {
            reason: refusal.reason(),
            status: 400,
            code: "AccessDeniedException".to_owned(),
            message: refusal.told(Some(&action), call.id),
        }),
        would: None,
        policies: refusal
            .decision()
            .map(|d| d.policies.clone())
            .unwrap_or_default(),
        ruleset_hash: "abc".to_owned(),
        mode: Mode::Enforce,
        batch_size: 1,
        upstream_role: None,
        upstream_override: None,
        input: JsonText::NULL,
        facts: JsonText::NULL,
        context: JsonText::NULL,
        resources: resources.iter().map(resource).collect(),
    })
}

fn forbidden(policies: &[&str], reason: &str, resources: &[(&str, Verdict)]) -> Record {
    let refusal = Refusal::Forbidden {
        decision: judged(policies, resources),
        reason: Some(reason.to_owned()),
    };
    refused(Class::Destroy, &refusal, resources)
}

#[test]
fn the_first_line_says_whom_it_guards_and_by_what() {
    let check = |guarding: Guarding, expected: &str| assert_eq!(guarding.line(), expected);
    check(
        guarding(),
        "palisade: guarding prod (123456789012) as anna · 9 starter policies · enforce\n",
    );
    check(
        Guarding {
            policies: 1,
            folder: Some("/etc/palisade/policies".into()),
            account: None,
            mode: Mode::Monitor,
            ..guarding()
        },
        "palisade: guarding prod as anna · 1 policy from /etc/palisade/policies · monitor\n",
    );
}

#[track_caller]
fn check(record: &Record, expected: &str) {
    assert_eq!(of_event(record.event(), " ws-1").as_deref(), Some(expected));
}

#[test]
fn a_refusal_says_what_by_which_policy_and_why() {
    check(
        &forbidden(
            &["monthly-billing"],
            "paid to the end of the month",
            &[("ws-0a1b", Verdict::Refused)],
        ),
        "REFUSED workspaces:TerminateWorkspaces ws-0a1b · monthly-billing: paid to the end of the month · 00000000-0000-0000-0000-000000000198\n",
    );
}

#[test]
fn of_a_batch_those_are_named_for_whose_sake_it_was_refused() {
    let (yes, no) = (Verdict::Allowed, Verdict::Refused);
    check(
        &forbidden(
            &["protected-tag", "production"],
            "It is tagged: leave it.",
            &[("ws-1", yes), ("ws-2", no), ("ws-3", no)],
        ),
        "REFUSED workspaces:TerminateWorkspaces ws-2, ws-3 · protected-tag, production: It is tagged: leave it. · 00000000-0000-0000-0000-000000000198\n",
    );
    check(
        &forbidden(
            &["max-batch"],
            "Too many.",
            &[("a", no), ("b", no), ("c", no), ("d", no), ("e", no)],
        ),
        "REFUSED workspaces:TerminateWorkspaces a, b, c +2 · max-batch: Too many. · 00000000-0000-0000-0000-000000000198\n",
    );
}

#[test]
fn what_no_policy_refused_says_by_its_name_why() {
    let refusal = Refusal::CredentialsLasting {
        message: "there is no login: run `aws sso login --profile prod`".to_owned(),
    };
    check(
        &refused(Class::Read, &refusal, &[]),
        "REFUSED workspaces:DescribeWorkspaces · credentials lasting: there is no login: run `aws sso login --profile prod` · 00000000-0000-0000-0000-000000000198\n",
    );
    let refusal = Refusal::NotPermitted {
        decision: judged(&[], &[("ws-1", Verdict::Refused)]),
    };
    check(
        &refused(Class::Grant, &refusal, &[("ws-1", Verdict::Refused)]),
        "REFUSED workspaces:Other ws-1 · not permitted: no policy permits it · 00000000-0000-0000-0000-000000000198\n",
    );
}

#[test]
fn a_terminal_is_told_nothing_that_it_would_act_on() {
    let record = forbidden(
        &["p"],
        "a\u{1b}[2Jb\nc\u{202e}d",
        &[("ws-\u{7}", Verdict::Refused)],
    );
    let text = of_event(record.event(), "").unwrap();
    assert_eq!(text.matches('\n').count(), 1);
    assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
    assert!(!text.contains('\u{202e}'));
}

#[test]
fn a_long_reason_ends_early() {
    let record = forbidden(&["p"], &"x".repeat(5000), &[]);
    let text = of_event(record.event(), "").unwrap();
    assert!(text.chars().count() < 550, "{text}");
    assert!(text.contains("xx… · 0"), "{text}");
}

/// A decision to go on with what a policy that only monitors would refuse.
fn monitored(judgement: Judgement, class: Class) -> Record {
    let call = call(7, class);
    let resources = [("ws-1", Verdict::WouldRefuse)];
    let refusal = Refusal::Forbidden {
        decision: judged(&["trial"], &resources),
        reason: Some("On trial.".to_owned()),
    };
    Record::decision(journal::Decision {
        time: noon(),
        call: &call,
        source_port: None,
        judgement,
        would: Some(Would {
            reason: refusal.reason(),
            message: refusal.told(Some(&call.action.to_string()), call.id),
        }),
        policies: vec!["trial".to_owned()],
        ruleset_hash: "abc".to_owned(),
        mode: Mode::Enforce,
        batch_size: 1,
        upstream_role: None,
        upstream_override: None,
        input: JsonText::NULL,
        facts: JsonText::NULL,
        context: JsonText::NULL,
        resources: vec![Resource {
            id: "ws-1".to_owned(),
            arn: None,
            kind: "AWS::WorkSpaces::Workspace".to_owned(),
            verdict: Verdict::WouldRefuse,
            policies: Vec::new(),
        }],
    })
}

#[test]
fn what_would_be_refused_is_told_too() {
    check(
        &monitored(Judgement::Allowed, Class::Destroy),
        "WOULD REFUSE workspaces:TerminateWorkspaces ws-1 · trial: On trial. · 00000000-0000-0000-0000-000000000007\n",
    );
    check(
        &monitored(Judgement::Done(sent()), Class::Read),
        "WOULD REFUSE workspaces:DescribeWorkspaces ws-1 · trial: On trial. · 00000000-0000-0000-0000-000000000007\n",
    );
    let all = [monitored(Judgement::Allowed, Class::Destroy)];
    assert_eq!(
        tally(&all).line(Path::new("/j")),
        "palisade: 1 call, 1 guarded: 0 allowed, 0 refused, 1 would be refused · journal /j\n"
    );
}

fn unknown(n: u128) -> Record {
    Record::outcome(OutcomeRecord {
        time: noon(),
        pending: allowed(n).into_pending().unwrap(),
        happened: Happened {
            outcome: Outcome::Unknown,
            ..sent()
        },
    })
}

#[test]
fn an_outcome_that_is_not_known_is_told() {
    check(
        &unknown(7),
        "UNKNOWN workspaces:TerminateWorkspaces ws-1 · sent, and no answer came: look before you repeat it · 00000000-0000-0000-0000-000000000007\n",
    );
}

#[test]
fn what_passes_is_not_told() {
    for record in [allowed(1), outcome(&allowed(1)), read(2), stop(), tunnel()] {
        assert_eq!(of_event(record.event(), ""), None);
    }
}

fn stop() -> Record {
    Record::lifecycle(noon(), Lifecycle::Stop)
}

fn tunnel() -> Record {
    Record::tunnel(Tunnel {
        time: noon(),
        host: "pypi.org".to_owned(),
        port: 443,
        source: "127.0.0.1:5".parse().unwrap(),
        verdict: Verdict::Allowed,
        reason: None,
        caller: None,
    })
}

fn tally(records: &[Record]) -> Tally {
    let mut tally = Tally::default();
    for record in records {
        tally.count(record.event());
    }
    tally
}

#[test]
fn the_last_line_says_what_it_came_to() {
    let check = |records: &[Record], expected: &str| {
        let line = tally(records).line(Path::new("/s/journal"));
        assert_eq!(line, expected);
    };
    check(
        &[],
        "palisade: 0 calls, 0 guarded: 0 allowed, 0 refused · journal /s/journal\n",
    );
    let no = forbidden(&["p"], "no", &[]);
    let mut all = vec![
        allowed(1),
        outcome(&allowed(1)),
        allowed(2),
        outcome(&allowed(2)),
        no.clone(),
        stop(),
        tunnel(),
    ];
    all.extend((10..221).map(plain));
    check(
        &all,
        "palisade: 214 calls, 3 guarded: 2 allowed, 1 refused · journal /s/journal\n",
    );
    let refusal = Refusal::CredentialsLasting {
        message: String::new(),
    };
    let mut rarer = vec![allowed(1), unknown(1)];
    rarer.push(refused(Class::Read, &refusal, &[]));
    check(
        &rarer,
        "palisade: 2 calls, 1 guarded: 1 allowed, 0 refused, 1 of unknown outcome, 1 unguarded refused · journal /s/journal\n",
    );
    assert_eq!(tally(&all).tunnels, 1);
}

/// A call that isn't guarded, and so isn't parsed.
fn plain(n: u128) -> Record {
    let call = call(n, Class::Read);
    Record::decision(journal::Decision {
        time: noon(),
        call: &call,
        source_port: None,
        judgement: Judgement::Done(sent()),
        would: None,
        policies: Vec::new(),
        ruleset_hash: "abc".to_owned(),
        mode: Mode::Enforce,
        batch_size: 1,
        upstream_role: None,
        upstream_override: None,
        input: JsonText::NULL,
        facts: JsonText::NULL,
        context: JsonText::NULL,
        resources: Vec::new(),
    })
}

#[test]
fn a_command_that_never_reached_the_guard_is_named() {
    assert_eq!(
        silent("terraform", Reached::Never),
        "palisade: `terraform` made no call through the guard: either it called no AWS API, or it ignores HTTPS_PROXY; then look for a proxy setting of its own (what it sent past the guard was signed with keys that AWS doesn't know)\n"
    );
    assert_eq!(
        silent("java", Reached::Aws),
        "palisade: `java` reached the guard and made no call that it could judge: either the guard refused it, as the command's own error says (a service that the catalog doesn't have, keys that aren't the guard's), or the command doesn't trust the guard's certificate (AWS_CA_BUNDLE and SSL_CERT_FILE name it; Java and others want it in a store of their own: `palisade ca`)\n"
    );
    assert_eq!(
        silent("pip\u{1b}", Reached::Others),
        "palisade: `pip\\u{1b}` made no AWS call through the guard, only connections to other hosts\n"
    );
}
