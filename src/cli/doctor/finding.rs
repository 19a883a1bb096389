//! What a check found, and how findings are shown.
//!
//! INVARIANT: a warning and a fault say what mends them; no finding holds a secret.

use serde_json::{Value as Json, json};

use crate::cli::failure::Failure;
use crate::cli::table;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ok,
    /// It works, or does for most; something is not as it should be.
    Warning,
    /// Calls fail, or go around the guard.
    Fault,
    /// There was nothing to look at; the text says why.
    Skipped,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// `client.…` for what concerns a guard's client, `host.…` for what concerns the host of a guard.
    pub(super) check: String,
    pub(super) state: State,
    pub(super) what: String,
    /// What to do next.
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: &str, what: impl Into<String>) -> Self {
        Self::new(check, State::Ok, what.into(), None)
    }

    pub(super) fn skipped(check: &str, why: impl Into<String>) -> Self {
        Self::new(check, State::Skipped, why.into(), None)
    }

    pub(super) fn warning(check: &str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(check, State::Warning, what.into(), Some(fix.into()))
    }

    pub(super) fn fault(check: &str, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(check, State::Fault, what.into(), Some(fix.into()))
    }

    /// A command's failure as a fault: its help is the fix.
    pub(super) fn failed(check: &str, failure: &Failure, otherwise: &str) -> Self {
        let fix = failure.help().unwrap_or(otherwise);
        Self::fault(check, failure.error(), one_line(fix))
    }

    fn new(check: &str, state: State, what: String, fix: Option<String>) -> Self {
        let check = check.to_owned();
        Self {
            check,
            state,
            what,
            fix,
        }
    }

    fn as_json(&self) -> Json {
        json!({
            "check": self.check,
            "state": self.state.word(),
            "what": self.what,
            "fix": self.fix,
        })
    }
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Fault => "fault",
            State::Skipped => "skipped",
        }
    }
}

/// Whether something is at fault.
pub(super) fn is_at_fault(findings: &[Finding]) -> bool {
    findings.iter().any(|f| f.state == State::Fault)
}

/// The findings for a person: a line each, what mends it below, and a line that counts them.
pub(super) fn for_people(findings: &[Finding]) -> String {
    let row = |f: &Finding| [f.state.word().to_owned(), f.check.clone(), f.what.clone()];
    let rows: Vec<[String; 3]> = findings.iter().map(row).collect();
    let table = table::text(&["STATE", "CHECK", "WHAT"], &rows);
    let mut text = String::new();
    let mut lines = table.lines();
    text.extend(lines.next().map(|head| format!("{head}\n")));
    for (line, finding) in lines.zip(findings) {
        text.push_str(&format!("{line}\n"));
        if let Some(fix) = &finding.fix {
            text.push_str(&format!("         fix: {}\n", table::printable(fix)));
        }
    }
    let count = |state| findings.iter().filter(|f| f.state == state).count();
    text.push_str(&format!(
        "\n{} ok, {} warning, {} fault, {} skipped\n",
        count(State::Ok),
        count(State::Warning),
        count(State::Fault),
        count(State::Skipped),
    ));
    text
}

/// The same for a program: one line.
pub(super) fn for_programs(findings: &[Finding]) -> String {
    let all: Vec<Json> = findings.iter().map(Finding::as_json).collect();
    let json = json!({"fault": is_at_fault(findings), "findings": all});
    format!("{json}\n")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_a_line_and_its_fix_stands_below() {
        let findings = [
            Finding::ok("client.proxy", "fine"),
            Finding::fault("host.journal", "no\u{1b}[2J", "mend it"),
        ];
        assert_eq!(
            for_people(&findings),
            "STATE  CHECK         WHAT\n\
             ok     client.proxy  fine\n\
             fault  host.journal  no\\u{1b}[2J\n         fix: mend it\n\
             \n1 ok, 0 warning, 1 fault, 0 skipped\n"
        );
        assert!(is_at_fault(&findings));
    }

    #[test]
    fn only_a_fault_is_a_fault() {
        let findings = [
            Finding::warning("a", "b", "c"),
            Finding::skipped("d", "e"),
            Finding::ok("f", "g"),
        ];
        assert!(!is_at_fault(&findings));
        assert_eq!(
            for_programs(&findings),
            "{\"fault\":false,\"findings\":[\
             {\"check\":\"a\",\"state\":\"warning\",\"what\":\"b\",\"fix\":\"c\"},\
             {\"check\":\"d\",\"state\":\"skipped\",\"what\":\"e\",\"fix\":null},\
             {\"check\":\"f\",\"state\":\"ok\",\"what\":\"g\",\"fix\":null}]}\n"
        );
    }
}
