//! Whether policies can apply: their actions are known, their ids are their own, and they validate strictly.

use std::collections::{BTreeSet, HashMap};

use cedar_policy::{PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;
use serde_json::Value as Json;

use super::read::{Parsed, line_of, with_help};
use super::{PolicyFault, PolicyFile, Rule, Scope};
use crate::aws::nearest::nearest;
use crate::guard::schema::{InputRead, Vocabulary, Wanted};

/// Names of actions that stand in a policy: in its scope, and in its conditions.
fn actions_of(rule: &Rule) -> BTreeSet<String> {
    let mut found = entities_of(rule, "Action");
    if let Scope::Named { names, .. } = &rule.scope {
        found.extend(names.iter().cloned());
    }
    found
}

/// The names of the entities of one type that stand anywhere in a policy.
fn entities_of(rule: &Rule, kind: &str) -> BTreeSet<String> {
    fn walk(json: &Json, kind: &str, found: &mut BTreeSet<String>) {
        match json {
            Json::Object(members) => {
                // A literal of a record has objects in the places of these two texts.
                let text = |name: &str| members.get(name).and_then(Json::as_str);
                if text("type") == Some(kind) {
                    found.extend(text("id").map(str::to_owned));
                }
                members.values().for_each(|m| walk(m, kind, found));
            }
            Json::Array(items) => items.iter().for_each(|i| walk(i, kind, found)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    if let Ok(json) = rule.policy.to_json() {
        walk(&json, kind, &mut found);
    }
    found
}

/// The groups of callers that a policy names and nobody can be in.
pub(super) fn unknown_groups(parsed: &Parsed, vocabulary: &Vocabulary) -> Vec<PolicyFault> {
    let Parsed { rule, line, .. } = parsed;
    let known = |name: &String| vocabulary.caller_groups().any(|group| group == name);
    let unknown = entities_of(&parsed.rule, "Group").into_iter();
    unknown
        .filter(|name| !known(name))
        .map(|name| {
            let near = match nearest(&name, vocabulary.caller_groups()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let all = vocabulary.caller_groups();
                    let all: Vec<String> = all.map(|group| format!("`{group}`")).collect();
                    format!("there are {}", all.join(", "))
                }
            };
            PolicyFault {
                file: rule.file.clone(),
                line: Some(*line),
                policy: Some(rule.id.clone()),
                message: format!("no caller of the configuration is in a group `{name}`; {near}"),
            }
        })
        .collect()
}

pub(super) fn unknown_actions(parsed: &Parsed, vocabulary: &Vocabulary) -> Vec<PolicyFault> {
    let Parsed { rule, line, .. } = parsed;
    let fault = |message| PolicyFault {
        file: rule.file.clone(),
        line: Some(*line),
        policy: Some(rule.id.clone()),
        message,
    };
    let scoped = match &rule.scope {
        Scope::Named {
            names,
            groups: false,
        } => names.as_slice(),
        Scope::Named { .. } | Scope::All => &[],
    };
    let mut faults = Vec::new();
    for action in actions_of(rule) {
        if let Some(named) = vocabulary.alias(&action) {
            faults.push(fault(format!(
                "`{action}` never applies, since these calls are named by another service; write `{named}`"
            )));
        } else if vocabulary.is_group(&action) {
            if scoped.contains(&action) {
                let message = format!(
                    "`action == Action::\"{action}\"` never applies, since it is a group; write `action in Action::\"{action}\"`"
                );
                faults.push(fault(message));
            }
        } else if vocabulary.operation(&action).is_none() {
            let near = vocabulary
                .nearest(&action)
                .map(|n| format!("; did you mean `{n}`?"))
                .unwrap_or_default();
            faults.push(fault(format!("the catalog has no action `{action}`{near}")));
        }
    }
    faults
}

pub(super) fn duplicates(rules: &[Parsed]) -> Vec<PolicyFault> {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    let mut faults = Vec::new();
    for Parsed { rule, line, .. } in rules {
        if let Some(file) = seen.insert(&rule.id, &rule.file) {
            faults.push(PolicyFault {
                file: rule.file.clone(),
                line: Some(*line),
                policy: Some(rule.id.clone()),
                message: format!("its id is taken by a policy in {file}"),
            });
        }
    }
    faults
}

pub(super) fn validate(
    rules: &[Parsed],
    files: &[PolicyFile],
    vocabulary: &Vocabulary,
) -> Vec<PolicyFault> {
    let read = |rule: &Rule| InputRead {
        scope: match &rule.scope {
            Scope::All => None,
            Scope::Named { names, .. } => Some(names.clone()),
        },
        members: rule.reads.input.clone(),
    };
    let wanted = Wanted {
        names: rules
            .iter()
            .flat_map(|parsed| actions_of(&parsed.rule))
            .collect(),
        inputs: rules
            .iter()
            .filter(|parsed| !parsed.rule.reads.input.is_empty())
            .map(|parsed| read(&parsed.rule))
            .collect(),
        guarded: rules
            .iter()
            .flat_map(|parsed| parsed.rule.widens().map(str::to_owned))
            .collect(),
    };
    let whole = |message: String| {
        vec![PolicyFault {
            file: "schema".to_owned(),
            line: None,
            policy: None,
            message,
        }]
    };
    let text = match vocabulary.schema(&wanted) {
        Ok(text) => text,
        Err(e) => return whole(e.to_string()),
    };
    let schema = match Schema::from_cedarschema_str(&text) {
        Ok((schema, _)) => schema,
        Err(e) => return whole(format!("the generated schema can't be read: {e}")),
    };
    let set = match PolicySet::from_policies(rules.iter().map(|parsed| parsed.source.clone())) {
        Ok(set) => set,
        Err(e) => return whole(e.to_string()),
    };
    let lines: HashMap<&str, (&Rule, usize)> = rules
        .iter()
        .map(|p| (p.rule.id.as_str(), (&p.rule, p.line)))
        .collect();
    let fault = |id: &PolicyId, problem: &dyn Diagnostic| {
        let id = id.to_string();
        let found = lines.get(id.as_str());
        let text = found
            .and_then(|(rule, _)| files.iter().find(|f| f.name == rule.file))
            .map(|f| f.text.as_str());
        let exact = text.and_then(|text| line_of(problem, text));
        PolicyFault {
            file: found.map_or_else(|| "policies".to_owned(), |(rule, _)| rule.file.clone()),
            line: exact.or_else(|| found.map(|(_, line)| *line)),
            message: with_help(problem).replace(&format!("for policy `{id}`, "), ""),
            policy: Some(id),
        }
    };
    let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
    let errors = result.validation_errors().map(|e| fault(e.policy_id(), e));
    let warnings = result
        .validation_warnings()
        .map(|w| fault(w.policy_id(), w));
    each_once(errors.chain(warnings).collect())
}

/// The faults in order, without those that say the same for another action.
fn each_once(mut faults: Vec<PolicyFault>) -> Vec<PolicyFault> {
    fn what(fault: &PolicyFault) -> (&str, Option<usize>, Option<&str>, &str) {
        let whole = fault.message.as_str();
        let what = whole
            .split_once(" for Action::")
            .map_or(whole, |(what, _)| what);
        (&fault.file, fault.line, fault.policy.as_deref(), what)
    }
    faults.sort_by(|a, b| (what(a), &a.message).cmp(&(what(b), &b.message)));
    faults.dedup_by(|a, b| what(a) == what(b));
    faults
}
