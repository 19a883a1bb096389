//! Plays the steps through the proxy, and holds what became of each against what was expected: by the client's
//! answer, by the journal, and by what reached the stand-in.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use aws_credential_types::Credentials;

use crate::aws::protocol::{UpstreamError, json};
use crate::aws::value::{Object, Value};
use crate::guard::call::Verdict;
use crate::journal::event::Event;
use crate::journal::{JournalError, Phase, visit};
use crate::sandbox::{Sandbox, SeenSignature};

use super::client::Answer;
use super::stage::{Stage, credentials};
use super::steps::{Expected, Scene, Step, Who};

/// How long the journal has to show what was decided: records of unguarded calls aren't waited for elsewhere.
const JOURNALLED: Duration = Duration::from_secs(5);

/// A call that was made, and what became of it.
#[derive(Debug)]
pub(super) struct Played {
    pub(super) step: Step,
    answer: Answer,
    /// What the journal says; `None` where nothing is recorded, because nobody signed.
    event: Option<Event>,
    /// How many calls of this step reached the stand-in, each validly signed with its key or not.
    reached: Vec<SeenSignature>,
}

/// A scene after it was played.
#[derive(Debug)]
pub(super) struct PlayedScene {
    pub(super) title: &'static str,
    pub(super) calls: Vec<Played>,
}

/// Makes every call, then reads from the journal what was decided.
///
/// # Errors
/// Where a call got no answer at all, or the journal lacks a record.
pub(super) async fn play(stage: &Stage, scenes: Vec<Scene>) -> anyhow::Result<Vec<PlayedScene>> {
    let mut played = Vec::new();
    for scene in scenes {
        let mut calls = Vec::new();
        for step in scene.steps {
            let action = step.action;
            let call = make(stage, step).await;
            calls.push(call.with_context(|| format!("`{action}` got no answer"))?);
        }
        played.push(PlayedScene {
            title: scene.title,
            calls,
        });
    }
    let recorded = |p: &&Played| p.step.expected != Expected::Unauthenticated;
    let count = played
        .iter()
        .flat_map(|s| &s.calls)
        .filter(recorded)
        .count();
    let mut events = journalled(&stage.journal(), count).await?;
    for call in played.iter_mut().flat_map(|s| &mut s.calls) {
        call.event = events.take(call);
    }
    Ok(played)
}

async fn make(stage: &Stage, step: Step) -> anyhow::Result<Played> {
    let keys = match step.who {
        Who::Me => credentials(&stage.me),
        Who::Admin => credentials(&stage.admin),
        Who::Stranger => Credentials::new("AKIAIOSFODNN7EXAMPLE", "example", None, None, "demo"),
    };
    let input = object(&step.input)?;
    let before = reached(&stage.sandbox, step.action).len();
    let answer = stage.client.call(&keys, step.action, &input).await?;
    let reached = reached(&stage.sandbox, step.action).split_off(before);
    Ok(Played {
        step,
        answer,
        event: None,
        reached,
    })
}

/// The calls of an action that came to the stand-in on behalf of a caller; the guard's own lookups are left out.
fn reached(sandbox: &Sandbox, action: &str) -> Vec<SeenSignature> {
    let forwarded = sandbox.seen().into_iter().filter(|seen| {
        let name = seen.service.zip(seen.operation.as_deref());
        let agent = seen.user_agent.as_deref().unwrap_or_default();
        name.is_some_and(|(s, o)| format!("{}:{o}", s.id()) == action)
            && agent.starts_with("palisade-demo")
    });
    forwarded.map(|seen| seen.signature).collect()
}

fn object(input: &serde_json::Value) -> anyhow::Result<Object> {
    match json::parse(input.to_string().as_bytes())? {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::List(_) => {
            bail!("an input is an object")
        }
    }
}

impl Played {
    /// Whether the guard let it through.
    pub(super) fn is_allowed(&self) -> bool {
        self.own()
            .is_some_and(|own| own.verdict == Some(Verdict::Allowed))
    }

    /// The policies that decided.
    pub(super) fn policies(&self) -> &[String] {
        self.own().map_or(&[], |own| &own.policies)
    }

    /// The ids of what it would have touched, as the journal has them.
    pub(super) fn resources(&self) -> Vec<&str> {
        let resources = self.event.iter().flat_map(|event| &event.resources);
        resources.map(|r| r.uid.as_str()).collect()
    }

    /// Why, as the client reads it, without what stands in other columns; for what was sent, what AWS said.
    pub(super) fn reason(&self) -> String {
        match &self.answer.result {
            Ok(output) if self.step.sees.is_empty() => text(output, "Arn")
                .map(|arn| format!("signed as {arn}"))
                .unwrap_or_default(),
            Ok(output) => {
                let seen = states(output);
                let seen = seen.iter().map(|(id, state)| format!("{id} is {state}"));
                seen.collect::<Vec<_>>().join(", ")
            }
            Err(error) if self.is_allowed() => {
                format!("AWS itself: {}: {}", error.code, error.message)
            }
            Err(error) => self.why(error),
        }
    }

    fn why(&self, error: &UpstreamError) -> String {
        let whole = error.message.as_str();
        let without = |text, tail| str::rsplit_once(text, tail).map_or(text, |(text, _)| text);
        let text = without(without(whole, " (decision "), " (policy `");
        let head = format!(" {}: ", self.step.action);
        let text = text.split_once(&head).map_or(text, |(_, text)| text);
        let Some(own) = self.own() else {
            return text.to_owned();
        };
        let all = own.resources.iter().all(|r| r.verdict == Verdict::Refused);
        let text = if all { without_ids(text) } else { text };
        match (own.policies.is_empty(), own.class) {
            (true, Some(class)) => format!("{text}: its class is `{class}`"),
            (true, None) | (false, _) => text.to_owned(),
        }
    }

    fn own(&self) -> Option<&crate::journal::event::Palisade> {
        self.event.as_ref().map(|event| &event.unmapped.palisade)
    }

    /// Everything in which this is not what was expected; empty where it is.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let (sent, verdict, policies): (bool, Option<Verdict>, &[&str]) = match self.step.expected {
            Expected::Done(ref by) | Expected::RefusedByAws(ref by) => {
                (true, Some(Verdict::Allowed), std::slice::from_ref(by))
            }
            Expected::Forbidden(by) => (false, Some(Verdict::Refused), by),
            Expected::NotPermitted => (false, Some(Verdict::Refused), &[]),
            Expected::Unauthenticated => (false, None, &[]),
        };
        let told = self.own().and_then(|own| own.verdict);
        if told != verdict {
            faults.push(format!("the journal says {told:?}, not {verdict:?}"));
        }
        if self.policies() != policies {
            let by = self.policies();
            faults.push(format!("decided by {by:?}, not by {policies:?}"));
        }
        let valid = self.reached.iter().all(|s| *s == SeenSignature::Valid);
        if self.reached.len() != usize::from(sent) || !valid {
            let reached = &self.reached;
            faults.push(format!("what reached the stand-in: {reached:?}"));
        }
        faults.extend(self.answer_fault());
        faults
    }

    /// What is wrong with what the client got.
    fn answer_fault(&self) -> Option<String> {
        match (&self.answer.result, self.step.expected) {
            (Ok(output), Expected::Done(_)) => {
                if let Some(Value::List(failed)) = output.get("FailedRequests")
                    && !failed.is_empty()
                {
                    return Some(format!("AWS did {} of its items not", failed.len()));
                }
                let seen = states(output);
                let wanted = self.step.sees.iter();
                let wanted: BTreeMap<&str, &str> =
                    wanted.map(|(id, state)| (id.as_str(), *state)).collect();
                (!wanted.is_empty() && seen != wanted).then(|| format!("seen: {seen:?}"))
            }
            (Err(error), Expected::RefusedByAws(_)) => {
                (!error.code.starts_with("AccessDenied")).then(|| format!("AWS said {error}"))
            }
            (Err(error), Expected::Forbidden(_) | Expected::NotPermitted) => {
                (!error.code.starts_with("AccessDenied")).then(|| format!("it was told {error}"))
            }
            (Err(error), Expected::Unauthenticated) => (error.code
                != "UnrecognizedClientException")
                .then(|| format!("it was told {error}")),
            (Err(error), Expected::Done(_)) => Some(format!("it was told {error}")),
            (
                Ok(_),
                Expected::RefusedByAws(_)
                | Expected::Forbidden(_)
                | Expected::NotPermitted
                | Expected::Unauthenticated,
            ) => Some("it was done".to_owned()),
        }
    }
}

/// A reason without the ids before it.
fn without_ids(text: &str) -> &str {
    let ids = if text.starts_with('`') { text } else { "" };
    let cut = ids.split_once(" more: ").or_else(|| ids.split_once("`: "));
    cut.map_or(text, |(_, reason)| reason)
}

fn text<'o>(output: &'o Object, member: &str) -> Option<&'o str> {
    let Some(Value::String(text)) = output.get(member) else {
        return None;
    };
    Some(text)
}

/// WorkSpaces and their states, of an answer that lists them.
fn states(output: &Object) -> BTreeMap<&str, &str> {
    let Some(Value::List(items)) = output.get("Workspaces") else {
        return BTreeMap::new();
    };
    let shown = items.iter().filter_map(|item| {
        let Value::Object(item) = item else {
            return None;
        };
        text(item, "WorkspaceId").zip(text(item, "State"))
    });
    shown.collect()
}

/// Decisions that the journal holds.
struct Decisions {
    by_id: HashMap<String, Event>,
    /// Ids of allowed ones, by caller and action, in the order of arrival.
    allowed: HashMap<(String, String), Vec<String>>,
}

impl Decisions {
    /// The one of a call: by its id, which a refusal tells, else the earliest allowed one of its kind.
    fn take(&mut self, call: &Played) -> Option<Event> {
        if let Some(event) = call
            .answer
            .request_id
            .as_ref()
            .and_then(|id| self.by_id.remove(id))
        {
            return Some(event);
        }
        let caller = match call.step.who {
            Who::Me => "me",
            Who::Admin => "admin",
            Who::Stranger => return None,
        };
        let kind = (caller.to_owned(), call.step.action.to_owned());
        let waiting = self.allowed.get_mut(&kind)?;
        let id = (!waiting.is_empty()).then(|| waiting.remove(0))?;
        self.by_id.remove(&id)
    }
}

/// Reads the journal until it holds that many decisions.
async fn journalled(folder: &Path, count: usize) -> anyhow::Result<Decisions> {
    let until = tokio::time::Instant::now() + JOURNALLED;
    loop {
        let decisions = decisions(folder)?;
        let found = decisions.by_id.len();
        if found == count {
            return Ok(decisions);
        }
        if found > count || tokio::time::Instant::now() >= until {
            return Err(anyhow!(
                "the journal holds {found} decisions of {count} calls"
            ));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn decisions(folder: &Path) -> Result<Decisions, JournalError> {
    let mut decisions = Decisions {
        by_id: HashMap::new(),
        allowed: HashMap::new(),
    };
    visit(folder, |_, event| {
        let Some(event) = event else {
            return Ok::<_, JournalError>(());
        };
        let own = &event.unmapped.palisade;
        if let (Phase::Decision, Some(id)) = (own.phase, own.decision_id) {
            let id = id.to_string();
            if own.verdict == Some(Verdict::Allowed) {
                let kind = (event.caller().to_owned(), event.action());
                decisions.allowed.entry(kind).or_default().push(id.clone());
            }
            decisions.by_id.insert(id, event);
        }
        Ok(())
    })?;
    for ids in decisions.allowed.values_mut() {
        // They begin with the time.
        ids.sort();
    }
    Ok(decisions)
}
