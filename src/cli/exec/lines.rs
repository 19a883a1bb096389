//! What `exec` tells on standard error: whom it guards, each refusal, what it came to. Pure: events in, lines out.
//!
//! INVARIANT: nothing in a line can act on a terminal, whoever chose the text.

use std::path::Path;

use crate::cli::table::printable;
use crate::guard::call::{Mode, Outcome, Verdict};
use crate::journal::Phase;
use crate::journal::event::Event;

/// How many resources of one call are named.
const RESOURCES_MAX: usize = 3;
/// How much of a reason is shown; the whole of it is in the journal.
const WHY_CHARS_MAX: usize = 400;

/// Whom and by what a command is guarded.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Guarding {
    /// The profile, or what else the credentials are called by.
    pub(in crate::cli) profile: String,
    /// `None` where the policies let nobody ask.
    pub(in crate::cli) account: Option<String>,
    pub(in crate::cli) caller: String,
    /// How many policies there are.
    pub(in crate::cli) policies: usize,
    /// Where they are from; `None`: they are the starter set.
    pub(in crate::cli) folder: Option<std::path::PathBuf>,
    pub(in crate::cli) mode: Mode,
}

/// What a command's calls came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Every call that was judged.
    pub(super) calls: u64,
    /// Those of them that were guarded.
    guarded: u64,
    allowed: u64,
    /// Allowed only because the guard, or the policy, monitors.
    would_refuse: u64,
    refused: u64,
    /// Calls that weren't guarded, and refused all the same.
    others_refused: u64,
    /// Guarded calls that AWS didn't answer.
    unknown: u64,
    /// Connections to hosts that aren't AWS's.
    pub(super) tunnels: u64,
}

impl Guarding {
    /// The first line.
    pub(in crate::cli) fn line(&self) -> String {
        let account = self.account.as_ref().map(|a| format!(" ({a})"));
        let one = if self.policies == 1 {
            "policy"
        } else {
            "policies"
        };
        let policies = match &self.folder {
            None => format!("{} starter {one}", self.policies),
            Some(folder) => format!("{} {one} from {}", self.policies, folder.display()),
        };
        line(&format!(
            "palisade: guarding {}{} as {} · {policies} · {}",
            self.profile,
            account.unwrap_or_default(),
            self.caller,
            self.mode.as_str()
        ))
    }
}

impl Tally {
    /// Counts a record.
    pub(super) fn count(&mut self, event: &Event) {
        let own = &event.unmapped.palisade;
        match own.phase {
            Phase::Lifecycle => {}
            Phase::Tunnel => add(&mut self.tunnels),
            Phase::Outcome => {
                if own.outcome == Some(Outcome::Unknown) {
                    add(&mut self.unknown);
                }
            }
            Phase::Decision => {
                add(&mut self.calls);
                let guarded = is_guarded(event);
                if guarded {
                    add(&mut self.guarded);
                }
                match own.verdict {
                    Some(Verdict::WouldRefuse) => add(&mut self.would_refuse),
                    Some(Verdict::Allowed) if guarded => add(&mut self.allowed),
                    Some(Verdict::Allowed) | None => {}
                    Some(Verdict::Refused) if guarded => add(&mut self.refused),
                    Some(Verdict::Refused) => add(&mut self.others_refused),
                }
            }
        }
    }

    /// The last line; `journal` is where the records are.
    pub(super) fn line(&self, journal: &Path) -> String {
        let calls = if self.calls == 1 { "call" } else { "calls" };
        let mut text = format!(
            "palisade: {} {calls}, {} guarded: {} allowed, {} refused",
            self.calls, self.guarded, self.allowed, self.refused
        );
        for (number, what) in [
            (self.would_refuse, "would be refused"),
            (self.unknown, "of unknown outcome"),
            (self.others_refused, "unguarded refused"),
        ] {
            if number > 0 {
                text.push_str(&format!(", {number} {what}"));
            }
        }
        line(&format!("{text} · journal {}", journal.display()))
    }
}

/// What there is to say of a record while the command runs: a refusal, or an outcome that isn't known. `named` are the
/// resources of the decision that an outcome is of, which its own record doesn't repeat.
pub(super) fn of_event(event: &Event, named: &str) -> Option<String> {
    let own = &event.unmapped.palisade;
    let (verb, resources, why) = match (own.phase, own.verdict, own.outcome) {
        (Phase::Decision, Some(Verdict::Refused), _) => ("REFUSED", resources(event), why(event)),
        (Phase::Decision, Some(Verdict::WouldRefuse), _) => {
            ("WOULD REFUSE", resources(event), why(event))
        }
        (Phase::Outcome, _, Some(Outcome::Unknown)) => (
            "UNKNOWN",
            named.to_owned(),
            "sent, and no answer came: look before you repeat it".to_owned(),
        ),
        (Phase::Decision | Phase::Outcome | Phase::Tunnel | Phase::Lifecycle, _, _) => return None,
    };
    let id = own.decision_id.map(|id| id.to_string());
    let (action, id) = (event.action(), id.unwrap_or_default());
    Some(line(&format!("{verb} {action}{resources} · {why} · {id}")))
}

/// What is said of a command that made no call; `reached` tells whether it asked the guard for a host of AWS's.
pub(super) fn silent(command: &str, reached: Reached) -> String {
    let why = match reached {
        Reached::Never => {
            "made no call through the guard: either it called no AWS API, or it ignores HTTPS_PROXY; then look for a proxy \
             setting of its own (what it sent past the guard was signed with keys that AWS doesn't know)"
        }
        Reached::Aws => {
            "reached the guard and made no call that it could judge: either the guard refused it, as the command's own \
             error says (a service that the catalog doesn't have, keys that aren't the guard's), or the command doesn't \
             trust the guard's certificate (AWS_CA_BUNDLE and SSL_CERT_FILE name it; Java and others want it in a store \
             of their own: `palisade ca`)"
        }
        Reached::Others => "made no AWS call through the guard, only connections to other hosts",
    };
    line(&format!("palisade: `{command}` {why}"))
}

/// How far a command came that made no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    Never,
    /// It asked for a host of AWS's.
    Aws,
    /// It asked for other hosts alone.
    Others,
}

/// One line that a terminal shows as it is.
pub(super) fn line(text: &str) -> String {
    format!("{}\n", printable(text))
}

fn add(number: &mut u64) {
    *number = number.saturating_add(1);
}

/// Whether a decision was about a guarded call: by its class, or because it was parsed, or because its outcome has a
/// record of its own.
fn is_guarded(event: &Event) -> bool {
    let own = &event.unmapped.palisade;
    own.class.is_some_and(|class| class.is_guarded())
        || !own.input.is_null()
        || (own.verdict.is_some_and(Verdict::goes_on) && own.outcome.is_none())
}

/// The first few of the resources for whose sake a call was refused, or of all where it was for none of them; behind a
/// blank, where there are any.
pub(super) fn resources(event: &Event) -> String {
    let all = &event.unmapped.palisade.resources;
    let refused: Vec<_> = all
        .iter()
        .filter(|r| r.verdict != Verdict::Allowed)
        .collect();
    let named: Vec<_> = if refused.is_empty() {
        all.iter().collect()
    } else {
        refused
    };
    let shown: Vec<&str> = named
        .iter()
        .take(RESOURCES_MAX)
        .map(|r| r.id.as_str())
        .collect();
    if shown.is_empty() {
        return String::new();
    }
    match named.len().saturating_sub(RESOURCES_MAX) {
        0 => format!(" {}", shown.join(", ")),
        more => format!(" {} +{more}", shown.join(", ")),
    }
}

/// Why a call was refused: the policy and its reason, or the refusal's name and what the client was told. The record
/// has what the client was told in one sentence; what the line says beside it is taken off.
fn why(event: &Event) -> String {
    let own = &event.unmapped.palisade;
    // Of a call that went on, the status is that of AWS's answer.
    let told = own.message.as_deref().or(event.status_detail.as_deref());
    let told = told.unwrap_or_default();
    let id = own.decision_id.map(|id| format!(" (decision {id})"));
    let told = told
        .strip_suffix(id.as_deref().unwrap_or_default())
        .unwrap_or(told);
    // `palisade refused workspaces:TerminateWorkspaces: …`
    let told = told.split_once(": ").map_or(told, |(_, why)| why);
    let policies = format!(" (policy `{}`)", own.policies.join("`, `"));
    let told = told.strip_suffix(policies.as_str()).unwrap_or(told);
    let told = without_resources(event, told);
    let by = if own.policies.is_empty() {
        own.reason.as_deref().unwrap_or("refused").replace('_', " ")
    } else {
        own.policies.join(", ")
    };
    let why: String = told.chars().take(WHY_CHARS_MAX).collect();
    let end = if why.len() < told.len() { "…" } else { "" };
    format!("{by}: {why}{end}")
}

/// Takes off the resources that a reason begins with: `` `ws-1`, `ws-2`: `` or `` `ws-1`, … and 4 more: ``.
fn without_resources<'t>(event: &Event, told: &'t str) -> &'t str {
    let all = &event.unmapped.palisade.resources;
    let begins = |id: &str| told.starts_with(&format!("`{id}`"));
    if !all.iter().any(|r| begins(&r.id)) {
        return told;
    }
    let ends = ["`: ", " more: "];
    let ends = ends
        .iter()
        .filter_map(|end| told.find(end).map(|at| at + end.len()));
    ends.min().and_then(|at| told.get(at..)).unwrap_or(told)
}

#[cfg(test)]
mod tests;
