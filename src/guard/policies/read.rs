//! From a policy file's text to its policies: what each must say of itself, and where it stands.

use std::str::FromStr;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet};
use miette::Diagnostic;
use serde_json::{Value as Json, json};

use super::named::looked_into;
use super::{PolicyFault, PolicyFile, Rule, Scope};
use crate::aws::nearest::nearest;
use crate::guard::call::Mode;
use crate::guard::reads::Reads;

/// A policy as its file has it, for validation: parsed from text, it knows where it stands.
pub(super) struct Parsed {
    pub(super) rule: Rule,
    /// The line on which it begins, from 1.
    pub(super) line: usize,
    pub(super) source: Policy,
}

/// The policies of a file.
pub(super) fn read(file: &PolicyFile) -> Result<Vec<Parsed>, Vec<PolicyFault>> {
    let set = PolicySet::from_str(&file.text).map_err(|errors| {
        errors
            .iter()
            .map(|error| PolicyFault {
                file: file.name.clone(),
                line: line_of(error, &file.text),
                policy: None,
                message: with_help(error),
            })
            .collect::<Vec<_>>()
    })?;
    let (mut rules, mut faults) = (Vec::new(), Vec::new());
    let mut from = 0;
    let mut policies: Vec<&Policy> = set.policies().collect();
    policies.sort_by_key(|p| {
        p.id()
            .to_string()
            .trim_start_matches("policy")
            .parse::<usize>()
            .unwrap_or(usize::MAX)
    });
    for policy in policies {
        let text = policy.to_string();
        let at = file
            .text
            .get(from..)
            .and_then(|rest| rest.find(text.as_str()))
            .map_or(from, |at| from + at);
        let line = file
            .text
            .get(..at)
            .unwrap_or_default()
            .matches('\n')
            .count()
            + 1;
        from = at + text.len();
        match rule(file, policy) {
            Ok((rule, source)) => rules.push(Parsed { rule, line, source }),
            Err((policy, message)) => {
                faults.push(PolicyFault {
                    file: file.name.clone(),
                    line: Some(line),
                    policy,
                    message,
                });
            }
        }
    }
    if set.templates().next().is_some() {
        let message =
            "templates (`?principal`, `?resource`) can't be linked here; write the policy out"
                .to_owned();
        faults.push(PolicyFault {
            file: file.name.clone(),
            line: None,
            policy: None,
            message,
        });
    }
    if faults.is_empty() {
        Ok(rules)
    } else {
        Err(faults)
    }
}

fn rule(file: &PolicyFile, policy: &Policy) -> Result<(Rule, Policy), (Option<String>, String)> {
    let id = match policy.annotation("id") {
        Some(id) if !id.is_empty() && id.chars().all(is_printable) && id.len() <= 128 => {
            id.to_owned()
        }
        Some(_) => {
            return Err((
                None,
                "`@id` must be 1 to 128 printable characters".to_owned(),
            ));
        }
        None => {
            return Err((
                None,
                "it has no `@id(\"…\")`: refusals and records name policies by it".to_owned(),
            ));
        }
    };
    let fault = |message: String| (Some(id.clone()), message);
    for (key, value) in policy.annotations() {
        match key {
            "id" => {}
            "reason"
                if !value.is_empty() && value.chars().all(is_printable) && value.len() <= 512 => {}
            "reason" => {
                return Err(fault(
                    "`@reason` must be 1 to 512 printable characters".to_owned(),
                ));
            }
            "mode" if ["enforce", "monitor"].contains(&value) => {}
            "mode" => {
                return Err(fault(format!(
                    "`@mode(\"{}\")` is no mode: write `@mode(\"monitor\")`, or leave it out",
                    value.escape_debug()
                )));
            }
            "approval" => {
                return Err(fault(format!("`@{key}` isn't built yet; take it out")));
            }
            other => {
                let near = nearest(other, ["id", "reason", "mode", "approval"].into_iter());
                let near = near
                    .map(|n| format!("; did you mean `@{n}`?"))
                    .unwrap_or_default();
                return Err(fault(format!("`@{other}` is no annotation{near}")));
            }
        }
    }
    let mode = match policy.annotation("mode") {
        Some("monitor") => Mode::Monitor,
        Some(_) | None => Mode::Enforce,
    };
    if mode == Mode::Monitor && policy.effect() == Effect::Permit {
        return Err(fault(
            "`@mode(\"monitor\")` is for a forbid: a permit that isn't enforced permits nothing; take it out"
                .to_owned(),
        ));
    }
    let reason = policy.annotation("reason").map(str::to_owned);
    if reason.is_none() && policy.effect() == Effect::Forbid {
        return Err(fault(
            "it has no `@reason(\"…\")`: a denied user reads it".to_owned(),
        ));
    }
    let renamed = policy.new_id(PolicyId::new(&id));
    let mut json = renamed.to_json().map_err(|e| fault(e.to_string()))?;
    let scope = scope(&json).ok_or_else(|| fault("its action scope can't be read".to_owned()))?;
    if let Some(entity) = looked_into(&json) {
        return Err(fault(format!(
            "it looks into `{entity}`, of which nothing is known: ask `resource`, `principal` or `action` instead, and compare them with what you name (`resource in {entity}`)"
        )));
    }
    let reads = Reads::of(&json);
    // The slice is chosen by this scope, once; Cedar would compare it in every decision.
    if let Some(action) = json.get_mut("action") {
        *action = json!({ "op": "All" });
    }
    // A policy parsed from text shares counters that every evaluation writes to; one read from JSON doesn't.
    let evaluated =
        Policy::from_json(Some(PolicyId::new(&id)), json).map_err(|e| fault(e.to_string()))?;
    let effect = policy.effect();
    Ok((
        Rule {
            reason,
            effect,
            mode,
            reads,
            scope,
            policy: evaluated,
            file: file.name.clone(),
            id,
        },
        renamed,
    ))
}

fn is_printable(c: char) -> bool {
    !c.is_control() && c != '\u{2028}' && c != '\u{2029}'
}

fn scope(policy: &Json) -> Option<Scope> {
    let action = policy.get("action")?;
    let named = |entities: Vec<&Json>, groups| {
        let names = entities
            .into_iter()
            .map(|e| Some(e.get("id")?.as_str()?.to_owned()));
        Some(Scope::Named {
            names: names.collect::<Option<_>>()?,
            groups,
        })
    };
    match (
        action.get("op")?.as_str()?,
        action.get("entity"),
        action.get("entities"),
    ) {
        ("All", _, _) => Some(Scope::All),
        ("==", Some(entity), _) => named(vec![entity], false),
        ("in", Some(entity), _) => named(vec![entity], true),
        ("in", None, Some(entities)) => named(entities.as_array()?.iter().collect(), true),
        _ => None,
    }
}

pub(super) fn with_help(problem: &dyn Diagnostic) -> String {
    match problem.help() {
        Some(help) => format!("{problem}; {help}"),
        None => problem.to_string(),
    }
}

pub(super) fn line_of(problem: &dyn Diagnostic, text: &str) -> Option<usize> {
    let label = problem.labels()?.next()?;
    Some(text.get(..label.offset())?.matches('\n').count() + 1)
}
