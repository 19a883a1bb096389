//! What only monitors refuses nothing, and changes nothing of what is enforced.

use super::tests::{PERMIT, bare, deleting, forbid, load, resource};
use super::*;
use crate::guard::facts::Facts;
use crate::guard::policies::Policies;

fn monitors(id: &str, condition: &str) -> String {
    format!("@mode(\"monitor\") {}", forbid(id, condition))
}

fn ask(mode: Mode, policies: &Policies, question: Question) -> Result<Decision, Denial> {
    let groups = action_groups(&question.call);
    let slice = policies.slice(&question.call.action, &groups).unwrap();
    decide(mode, &slice, question, ()).map(|allowed| allowed.decision().clone())
}

fn two() -> Question {
    deleting(vec![resource("a", bare("a")), resource("b", bare("b"))])
}

const OF_A: &str = "resource.id == \"a\"";

#[test]
fn a_forbid_that_monitors_is_noted_and_refuses_nothing() {
    let policies = load(&format!("{PERMIT}{}", monitors("m", OF_A)));
    let decision = ask(Mode::Enforce, &policies, two()).unwrap();
    assert_eq!(decision.verdict, Verdict::WouldRefuse);
    assert_eq!(decision.policies, ["m"]);
    let verdicts: Vec<Verdict> = decision.resources.iter().map(|r| r.verdict).collect();
    assert_eq!(verdicts, [Verdict::WouldRefuse, Verdict::Allowed]);
    let would = decision.would.unwrap();
    assert_eq!(would.reason(), "forbidden");
    assert!(would.why().contains("because of m"), "{}", would.why());
}

#[test]
fn what_is_enforced_refuses_beside_what_monitors() {
    let text = format!("{PERMIT}{}{}", monitors("m", OF_A), forbid("f", OF_A));
    let Err(Denial::Forbidden { decision, .. }) = ask(Mode::Enforce, &load(&text), two()) else {
        panic!()
    };
    assert_eq!(decision.policies, ["f"]);
    assert_eq!(decision.would, None);
}

#[test]
fn a_forbid_that_monitors_and_does_not_apply_is_not_noted() {
    let policies = load(&format!(
        "{PERMIT}{}",
        monitors("m", "resource.id == \"c\"")
    ));
    let decision = ask(Mode::Enforce, &policies, two()).unwrap();
    assert_eq!(decision.verdict, Verdict::Allowed);
    assert_eq!(decision.would, None);
}

#[test]
fn a_policy_that_monitors_and_errs_refuses_nothing() {
    let overflows = "9223372036854775807 + context.batchSize > 1";
    let policies = load(&format!("{PERMIT}{}", monitors("m", overflows)));
    let decision = ask(Mode::Enforce, &policies, two()).unwrap();
    assert_eq!(decision.would.unwrap().reason(), "policy_error");
    let enforced = load(&format!("{PERMIT}{}", forbid("f", overflows)));
    assert!(matches!(
        ask(Mode::Enforce, &enforced, two()),
        Err(Denial::Error { .. })
    ));
}

#[test]
fn what_only_a_policy_that_monitors_reads_need_not_be_known() {
    let tagged = monitors("m", "resource.hasTag(\"keep\")");
    let policies = load(&format!("{PERMIT}{tagged}"));
    let unknown = deleting(vec![resource("a", Facts::default())]);
    let decision = ask(Mode::Enforce, &policies, unknown).unwrap();
    assert_eq!(decision.verdict, Verdict::WouldRefuse);
}

#[test]
fn a_policy_that_monitors_refuses_nothing_before_lookups_either() {
    let policies = load(&format!(
        "{PERMIT}{}",
        monitors("m", "context.batchSize > 1")
    ));
    let mut question = two();
    question.batch_size = 2;
    let groups = action_groups(&question.call);
    let slice = policies.slice(&question.call.action, &groups).unwrap();
    assert_eq!(decide_early(&slice, &mut question), None);
}

#[test]
fn what_was_judged_before_the_lookups_changes_nothing_of_what_monitors_or_is_enforced() {
    let policies = load(&format!(
        "{PERMIT}{}{}{}",
        forbid("size", "context.batchSize > 9"),
        monitors("m", "context.batchSize > 1"),
        forbid("tagged", "resource.hasTag(\"x\")")
    ));
    let asked = || Question {
        batch_size: 2,
        ..two()
    };
    let groups = action_groups(&asked().call);
    let slice = policies.slice(&asked().call.action, &groups).unwrap();
    for (tagged, says) in [(false, Ok("m")), (true, Err("tagged"))] {
        let mut question = asked();
        assert_eq!(decide_early(&slice, &mut question), None);
        assert!(question.early.is_some());
        let mut facts = bare("a");
        facts.tags = Some(
            tagged
                .then(|| ("x".to_owned(), String::new()))
                .into_iter()
                .collect(),
        );
        question.on = On::Resources(vec![resource("a", facts)]);
        match decide(Mode::Enforce, &slice, question, ()) {
            Ok(allowed) => assert_eq!(Ok(allowed.decision().policies[0].as_str()), says),
            Err(Denial::Forbidden { decision, .. }) => {
                assert_eq!(Err(decision.policies[0].as_str()), says);
            }
            Err(denial) => panic!("{denial:?}"),
        }
    }
}

#[test]
fn in_monitor_mode_nothing_that_is_judged_is_refused() {
    for (text, reason) in [
        (format!("{PERMIT}{}", forbid("f", OF_A)), "forbidden"),
        (forbid("f", "resource.id == \"c\""), "not_permitted"),
    ] {
        let policies = load(&text);
        assert!(ask(Mode::Enforce, &policies, two()).is_err());
        let decision = ask(Mode::Monitor, &policies, two()).unwrap();
        assert_eq!(decision.verdict, Verdict::WouldRefuse);
        assert_eq!(decision.would.unwrap().reason(), reason);
    }
    let decision = ask(Mode::Monitor, &load(PERMIT), two()).unwrap();
    assert_eq!(decision.verdict, Verdict::Allowed);
}

#[test]
fn what_could_not_be_judged_goes_on_in_monitor_mode_only() {
    let refusal = || Refusal::LookupFailed {
        message: "no answer".to_owned(),
    };
    assert!(matches!(
        go_on(Mode::Enforce, refusal(), two(), ()),
        Err(Refusal::LookupFailed { .. })
    ));
    let allowed = go_on(Mode::Monitor, refusal(), two(), ()).unwrap();
    assert_eq!(allowed.decision().verdict, Verdict::WouldRefuse);
    assert_eq!(allowed.decision().would, Some(Box::new(refusal())));
}
