//! The policies in force: loaded, checked, and sliced by action.
//!
//! INVARIANT: a policy that can't apply, errs or says more than is built stops the load; nothing is skipped.
//! INVARIANT: a slice holds exactly the policies whose scope matches its action: they are evaluated without that
//! scope.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, RwLock};

use cedar_policy::{
    Effect, Entities, Entity, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator,
};
use miette::Diagnostic;
use serde_json::{Value as Json, json};

use crate::aws::nearest::nearest;
use crate::guard::call::Action;
use crate::guard::entity::{ACTION, uid};
use crate::guard::facts::{Attribute, Facts, Needs};
use crate::guard::reads::{Names, Reads};
use crate::guard::schema::{Vocabulary, Wanted};

/// A policy file: its name as people know it, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFile {
    pub name: String,
    pub text: String,
}

/// The policies in force.
#[derive(Debug)]
pub struct Policies {
    rules: Vec<Rule>,
    by_action: HashMap<String, Vec<usize>>,
    everywhere: Vec<usize>,
    guarded: BTreeSet<String>,
    slices: RwLock<HashMap<Action, Arc<Slice>>>,
}

/// One policy.
#[derive(Debug, Clone)]
pub struct Rule {
    pub id: String,
    pub file: String,
    /// What the denied user reads.
    pub reason: Option<String>,
    pub effect: Effect,
    pub reads: Reads,
    scope: Scope,
    /// Without its scope on actions.
    policy: Policy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    All,
    /// Names of actions or of action groups.
    Named {
        names: Vec<String>,
        groups: bool,
    },
}

impl Rule {
    /// The actions that the rule makes guarded: those that its scope names and whose input it reads.
    fn widens(&self) -> impl Iterator<Item = &str> {
        let names = match &self.scope {
            Scope::Named { names, .. } if !self.reads.input.is_empty() => names.as_slice(),
            Scope::Named { .. } | Scope::All => &[],
        };
        let names = names.iter().map(String::as_str);
        names.filter(|name| name.contains(':') && !name.ends_with(":*"))
    }
}

/// The policies that can apply to one action.
#[derive(Debug)]
pub struct Slice {
    /// The one that these policies may judge, since they don't look at it again.
    pub action: Action,
    /// That action in its groups.
    pub entities: Entities,
    /// All of the policies.
    pub policies: PolicySet,
    /// The forbids that read nothing which has to be looked up: they may refuse before any lookup.
    pub early: Option<PolicySet>,
    /// What they read, taken together.
    pub reads: Reads,
    needs: Needs,
    reasons: BTreeMap<String, Option<String>>,
}

impl Slice {
    /// What has to be known about a resource before these policies may judge it. `names`: whether the service has
    /// protected ids.
    #[must_use]
    pub fn needs(&self, names: bool) -> Needs {
        let mut needs = self.needs.clone();
        needs.names = needs.names.filter(|_| names);
        needs
    }

    /// The first thing that these policies read of a resource and that nobody looked up: the policy and the fact.
    pub(super) fn unlearnt(&self, facts: &Facts) -> Option<(&str, String)> {
        if let Some(policy) = self.needs.tags.as_ref().filter(|_| facts.tags.is_none()) {
            return Some((policy, "the tags".to_owned()));
        }
        let unknown = |attribute: &Attribute| {
            !facts.attributes.contains_key(attribute) && !facts.absent.contains(attribute)
        };
        let mut needed = self.needs.attributes.iter();
        let (attribute, policy) = needed.find(|(attribute, _)| unknown(attribute))?;
        Some((policy, format!("`{attribute}`")))
    }

    /// The reason that a policy gives.
    #[must_use]
    pub fn reason(&self, policy: &str) -> Option<&str> {
        self.reasons.get(policy)?.as_deref()
    }
}

/// A policy as its file has it, for validation: parsed from text, it knows where it stands.
struct Parsed {
    rule: Rule,
    /// The line on which it begins, from 1.
    line: usize,
    source: Policy,
}

/// Something wrong with one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFault {
    pub file: String,
    /// From 1; `None` where it's about the file as a whole.
    pub line: Option<usize>,
    pub policy: Option<String>,
    pub message: String,
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(policy) = &self.policy {
            write!(f, ": policy `{policy}`")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Why a policy set is refused: everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct PoliciesError {
    pub faults: Vec<PolicyFault>,
}

impl Policies {
    /// Loads and validates a policy set.
    ///
    /// # Errors
    /// [`PoliciesError`] with every fault, each naming file, line and policy.
    pub fn load(files: &[PolicyFile], vocabulary: &Vocabulary) -> Result<Self, PoliciesError> {
        let mut faults = Vec::new();
        let mut rules = Vec::new();
        for file in files {
            match read(file) {
                Ok(read) => rules.extend(read),
                Err(more) => faults.extend(more),
            }
        }
        faults.extend(duplicates(&rules));
        faults.extend(
            rules
                .iter()
                .flat_map(|parsed| unknown_actions(parsed, vocabulary)),
        );
        if rules.is_empty() && faults.is_empty() {
            let file = files
                .first()
                .map_or_else(|| "policies".to_owned(), |f| f.name.clone());
            let message = "there is no policy: without one nothing is allowed; leave `policies` out of the configuration to use the embedded starter set".to_owned();
            faults.push(PolicyFault {
                file,
                line: None,
                policy: None,
                message,
            });
        }
        if faults.is_empty() {
            faults = validate(&rules, files, vocabulary);
        }
        if !faults.is_empty() {
            return Err(PoliciesError { faults });
        }
        Ok(Self::index(
            rules.into_iter().map(|parsed| parsed.rule).collect(),
        ))
    }

    /// The policies, in the order of their files.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether a policy makes the action guarded: it names the action and reads its input.
    #[must_use]
    pub fn guards(&self, action: &Action) -> bool {
        self.guarded.contains(&action.to_string())
    }

    /// Tag keys that policies read of a resource and that no policy on `context.tagKeys` mentions: whoever may tag
    /// can switch these policies off. With the policy that reads each.
    #[must_use]
    pub fn unguarded_tag_keys(&self) -> Vec<(String, String)> {
        let watching: Vec<String> = self
            .rules
            .iter()
            .filter(|rule| rule.effect == Effect::Forbid && rule.reads.context.contains("tagKeys"))
            .map(|rule| rule.policy.to_string())
            .collect();
        let mut found = BTreeMap::new();
        for rule in &self.rules {
            if let Names::Some(keys) = &rule.reads.tags {
                for key in keys {
                    let quoted = format!("\"{}\"", key.escape_debug());
                    if !watching.iter().any(|text| text.contains(&quoted)) {
                        found.entry(key.clone()).or_insert_with(|| rule.id.clone());
                    }
                }
            }
        }
        found.into_iter().collect()
    }

    /// The policies that can apply to an action, given the names of its groups.
    ///
    /// # Errors
    /// The message of Cedar, if policies that were accepted at load can't be put together again.
    pub fn slice(&self, action: &Action, groups: &[String]) -> Result<Arc<Slice>, String> {
        if let Some(slice) = self
            .slices
            .read()
            .ok()
            .and_then(|slices| slices.get(action).cloned())
        {
            return Ok(slice);
        }
        let mut which: BTreeSet<usize> = self.everywhere.iter().copied().collect();
        for name in groups.iter().chain([&action.to_string()]) {
            which.extend(self.by_action.get(name).into_iter().flatten());
        }
        let rules: Vec<&Rule> = which.iter().filter_map(|at| self.rules.get(*at)).collect();
        let slice = Arc::new(Slice::of(action, groups, &rules)?);
        if let Ok(mut slices) = self.slices.write() {
            slices.insert(action.clone(), Arc::clone(&slice));
        }
        Ok(slice)
    }

    fn index(rules: Vec<Rule>) -> Self {
        let mut by_action: HashMap<String, Vec<usize>> = HashMap::new();
        let (mut everywhere, mut guarded) = (Vec::new(), BTreeSet::new());
        for (at, rule) in rules.iter().enumerate() {
            match &rule.scope {
                Scope::All => everywhere.push(at),
                Scope::Named { names, .. } => {
                    for name in names {
                        by_action.entry(name.clone()).or_default().push(at);
                    }
                    guarded.extend(rule.widens().map(str::to_owned));
                }
            }
        }
        Self {
            rules,
            by_action,
            everywhere,
            guarded,
            slices: RwLock::default(),
        }
    }
}

impl Slice {
    fn of(action: &Action, groups: &[String], rules: &[&Rule]) -> Result<Self, String> {
        let in_groups = groups.iter().map(|group| uid(&ACTION, group)).collect();
        let entity = Entity::new_no_attrs(uid(&ACTION, &action.to_string()), in_groups);
        let mut reads = Reads::default();
        let mut needs = Needs::default();
        for rule in rules {
            reads.join(&rule.reads);
            if !rule.reads.tags.is_empty() {
                needs.tags.get_or_insert_with(|| rule.id.clone());
            }
            if rule.reads.resource.contains("protected") {
                needs.names.get_or_insert_with(|| rule.id.clone());
            }
            for attribute in Attribute::ALL
                .into_iter()
                .filter(|a| rule.reads.resource.contains(a.as_str()))
            {
                needs
                    .attributes
                    .entry(attribute)
                    .or_insert_with(|| rule.id.clone());
            }
        }
        let early: Vec<&&Rule> = rules
            .iter()
            .filter(|r| r.effect == Effect::Forbid && !needs_facts(&r.reads))
            .collect();
        let set = |rules: &mut dyn Iterator<Item = &Rule>| {
            PolicySet::from_policies(rules.map(|r| r.policy.clone())).map_err(|e| e.to_string())
        };
        Ok(Self {
            action: action.clone(),
            entities: Entities::from_entities([entity], None).map_err(|e| e.to_string())?,
            policies: set(&mut rules.iter().copied())?,
            early: if early.is_empty() {
                None
            } else {
                Some(set(&mut early.into_iter().copied())?)
            },
            reads,
            needs,
            reasons: rules
                .iter()
                .map(|r| (r.id.clone(), r.reason.clone()))
                .collect(),
        })
    }
}

fn needs_facts(reads: &Reads) -> bool {
    !reads.tags.is_empty()
        || Attribute::ALL
            .iter()
            .any(|a| reads.resource.contains(a.as_str()))
}

/// The policies of a file.
fn read(file: &PolicyFile) -> Result<Vec<Parsed>, Vec<PolicyFault>> {
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
            "mode" | "approval" => {
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
    let reason = policy.annotation("reason").map(str::to_owned);
    if reason.is_none() && policy.effect() == Effect::Forbid {
        return Err(fault(
            "it has no `@reason(\"…\")`: a denied user reads it".to_owned(),
        ));
    }
    let renamed = policy.new_id(PolicyId::new(&id));
    let mut json = renamed.to_json().map_err(|e| fault(e.to_string()))?;
    let scope = scope(&json).ok_or_else(|| fault("its action scope can't be read".to_owned()))?;
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

/// Names of actions that stand in a policy: in its scope, and in its conditions.
fn actions_of(rule: &Rule) -> BTreeSet<String> {
    fn walk(json: &Json, found: &mut BTreeSet<String>) {
        match json {
            Json::Object(members) => {
                let entity = members.get("__entity");
                if let Some(entity) =
                    entity.filter(|e| e.get("type").and_then(Json::as_str) == Some("Action"))
                {
                    found.extend(entity.get("id").and_then(Json::as_str).map(str::to_owned));
                }
                members.values().for_each(|m| walk(m, found));
            }
            Json::Array(items) => items.iter().for_each(|i| walk(i, found)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    if let Scope::Named { names, .. } = &rule.scope {
        found.extend(names.iter().cloned());
    }
    if let Ok(json) = rule.policy.to_json() {
        walk(&json, &mut found);
    }
    found
}

fn unknown_actions(parsed: &Parsed, vocabulary: &Vocabulary) -> Vec<PolicyFault> {
    let Parsed { rule, line, .. } = parsed;
    let groups: BTreeSet<String> = vocabulary.action_groups().collect();
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
        if groups.contains(&action) {
            if scoped.contains(&action) {
                let message = format!(
                    "`action == Action::\"{action}\"` never applies, since it is a group; write `action in Action::\"{action}\"`"
                );
                faults.push(fault(message));
            }
        } else if vocabulary.operation(&action).is_none() {
            let known: Vec<String> = vocabulary.actions().chain(groups.iter().cloned()).collect();
            let near = nearest(&action, known.iter().map(String::as_str));
            let near = near
                .map(|n| format!("; did you mean `{n}`?"))
                .unwrap_or_default();
            faults.push(fault(format!("the catalog has no action `{action}`{near}")));
        }
    }
    faults
}

fn duplicates(rules: &[Parsed]) -> Vec<PolicyFault> {
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

fn validate(rules: &[Parsed], files: &[PolicyFile], vocabulary: &Vocabulary) -> Vec<PolicyFault> {
    let wanted = Wanted {
        actions: rules
            .iter()
            .flat_map(|parsed| actions_of(&parsed.rule))
            .collect(),
        input: rules
            .iter()
            .fold(Reads::default(), |mut all, parsed| {
                all.join(&parsed.rule.reads);
                all
            })
            .input,
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
    let schema = match Schema::from_cedarschema_str(&vocabulary.schema(&wanted)) {
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

fn with_help(problem: &dyn Diagnostic) -> String {
    match problem.help() {
        Some(help) => format!("{problem}; {help}"),
        None => problem.to_string(),
    }
}

fn line_of(problem: &dyn Diagnostic, text: &str) -> Option<usize> {
    let label = problem.labels()?.next()?;
    Some(text.get(..label.offset())?.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests;
