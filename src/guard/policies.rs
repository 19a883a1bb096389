//! The policies in force: loaded, checked, and sliced by action.
//!
//! INVARIANT: a policy that can't apply, errs or says more than is built stops the load; nothing is skipped.
//! INVARIANT: a slice holds exactly the policies whose scope matches its action: they are evaluated without that
//! scope.

mod check;
mod granted;
mod named;
mod read;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, RwLock};

use cedar_policy::{Effect, Policy, PolicySet};
use cedar_policy_core::ast::{Entity, EntityUID};

use crate::guard::call::{Action, Call, Mode};
use crate::guard::decide::{Conditions, Settled, action_groups};
use crate::guard::entity::{ACTION, uid};
use crate::guard::facts::{Attribute, Facts, Needs};
use crate::guard::reads::{Names, Reads};
use crate::guard::schema::Vocabulary;

use check::{duplicates, unknown_actions, unknown_groups, validate};

pub use granted::{MAY_ASSUME, may_assume};

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
    /// The actions that policies make guarded, and whether one that is enforced does.
    guarded: BTreeMap<String, Mode>,
    /// By action; of one whose input tells its class, one for each of its classes.
    slices: RwLock<foldhash::HashMap<Action, Vec<Arc<Slice>>>>,
}

/// One policy.
#[derive(Debug, Clone)]
pub struct Rule {
    pub id: String,
    pub file: String,
    /// What the denied user reads.
    pub reason: Option<String>,
    pub effect: Effect,
    /// `@mode`: a forbid that only monitors is recorded, and refuses nothing.
    pub mode: Mode,
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
    /// The names of the action's groups, nearest first.
    pub groups: Vec<String>,
    /// That action as policies know it.
    pub(super) uid: Arc<EntityUID>,
    /// That action in its groups.
    pub(super) entity: Arc<Entity>,
    /// All of the policies, for Cedar's own authorizer to be asked beside what is evaluated of them.
    #[cfg(test)]
    pub(super) policies: PolicySet,
    /// What is evaluated of all of the policies.
    pub(super) conditions: Arc<Conditions>,
    /// What they read, taken together.
    pub reads: Reads,
    needs: Needs,
    reasons: BTreeMap<String, Option<String>>,
    /// The same without the policies that only monitor; `None` where there are none.
    enforced: Option<Box<Slice>>,
    pub(super) settled: Settled,
}

impl Slice {
    /// Whether these are the policies of the call: of its action, in the groups that this very call is in.
    #[must_use]
    pub fn is_of(&self, call: &Call) -> bool {
        let of_service = |name: &str| name.strip_suffix(":*") == Some(&call.action.service);
        let group = call.group.iter().map(|group| group.as_str());
        let nearest = group.chain([call.class.as_str()]);
        match self.groups.split_last() {
            Some((last, others)) => {
                self.action == call.action
                    && of_service(last)
                    && others.iter().map(String::as_str).eq(nearest)
            }
            None => false,
        }
    }

    /// What has to be known about a resource before these policies may judge it. `names`: whether the service has
    /// protected ids. `tag_keys` is among them for calls that take off tags that they don't name.
    #[must_use]
    pub fn needs(&self, names: bool) -> Needs {
        let mut needs = self.needs.clone();
        needs.names = needs.names.filter(|_| names);
        needs
    }

    /// The first of these policies that reads which tag keys a call changes.
    pub(super) fn reads_tag_keys(&self) -> Option<&str> {
        self.needs.tag_keys.as_deref()
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

    /// The same without the policies that only monitor, where there are any.
    #[must_use]
    pub fn enforced(&self) -> Option<&Self> {
        self.enforced.as_deref()
    }

    /// The reason that a policy gives.
    #[must_use]
    pub fn reason(&self, policy: &str) -> Option<&str> {
        self.reasons.get(policy)?.as_deref()
    }
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
            match read::read(file) {
                Ok(read) => rules.extend(read),
                Err(more) => faults.extend(more),
            }
        }
        faults.extend(duplicates(&rules));
        for parsed in &rules {
            faults.extend(unknown_actions(parsed, vocabulary));
            faults.extend(unknown_groups(parsed, vocabulary));
        }
        let written = rules.iter().any(|parsed| parsed.rule.file != MAY_ASSUME);
        if !written && faults.is_empty() {
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

    /// Whether a policy makes the action guarded, since it names the action and reads its input: `Monitor` if only
    /// policies that monitor do.
    #[must_use]
    pub fn guards(&self, action: &Action) -> Option<Mode> {
        self.guarded.get(&action.name()).copied()
    }

    /// Tag keys that policies read of a resource and that no policy on `context.tagKeys` mentions: whoever may tag
    /// can switch these policies off. With the policy that reads each.
    #[must_use]
    pub fn unguarded_tag_keys(&self) -> Vec<(String, String)> {
        let watching: Vec<String> = self
            .rules
            .iter()
            .filter(|rule| rule.effect == Effect::Forbid && rule.mode == Mode::Enforce)
            .filter(|rule| rule.reads.context.contains("tagKeys"))
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

    /// The policies that can apply to a call.
    ///
    /// # Errors
    /// As [`Self::slice`].
    pub fn slice_of(&self, call: &Call) -> Result<Arc<Slice>, String> {
        match self.known(&call.action, |slice| slice.is_of(call)) {
            Some(slice) => Ok(slice),
            None => self.slice(&call.action, &action_groups(call)),
        }
    }

    /// The policies that can apply to an action, given the names of its groups.
    ///
    /// # Errors
    /// The message of Cedar, if policies that were accepted at load can't be put together again.
    pub fn slice(&self, action: &Action, groups: &[String]) -> Result<Arc<Slice>, String> {
        if let Some(slice) = self.known(action, |slice| slice.groups == groups) {
            return Ok(slice);
        }
        let mut which: BTreeSet<usize> = self.everywhere.iter().copied().collect();
        for name in groups.iter().chain([&action.to_string()]) {
            which.extend(self.by_action.get(name).into_iter().flatten());
        }
        let rules: Vec<&Rule> = which.iter().filter_map(|at| self.rules.get(*at)).collect();
        let slice = Arc::new(Slice::of(action, groups, &rules)?);
        if let Ok(mut slices) = self.slices.write() {
            let known = slices.entry(action.clone()).or_default();
            if known.iter().all(|other| other.groups != groups) {
                known.push(Arc::clone(&slice));
            }
        }
        Ok(slice)
    }

    /// A slice of an action that was made before.
    fn known(&self, action: &Action, is_it: impl Fn(&Slice) -> bool) -> Option<Arc<Slice>> {
        let slices = self.slices.read().ok()?;
        let found = slices.get(action)?.iter().find(|slice| is_it(slice));
        found.map(Arc::clone)
    }

    fn index(rules: Vec<Rule>) -> Self {
        let mut by_action: HashMap<String, Vec<usize>> = HashMap::new();
        let (mut everywhere, mut guarded) = (Vec::new(), BTreeMap::new());
        for (at, rule) in rules.iter().enumerate() {
            match &rule.scope {
                Scope::All => everywhere.push(at),
                Scope::Named { names, .. } => {
                    for name in names {
                        by_action.entry(name.clone()).or_default().push(at);
                    }
                    for name in rule.widens() {
                        let mode = guarded.entry(name.to_owned()).or_insert(rule.mode);
                        if rule.mode == Mode::Enforce {
                            *mode = Mode::Enforce;
                        }
                    }
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
        let is_enforced = |rule: &&&Rule| rule.mode == Mode::Enforce;
        let enforced: Vec<&Rule> = rules.iter().filter(is_enforced).copied().collect();
        let enforced = if enforced.len() == rules.len() {
            None
        } else {
            Some(Box::new(Self::of(action, groups, &enforced)?))
        };
        let own = uid(&ACTION, &action.to_string());
        let in_groups = groups.iter().map(|group| uid(&ACTION, group)).collect();
        let entity =
            Entity::new_with_attr_partial_value(own.clone(), [], HashSet::new(), in_groups, []);
        let mut reads = Reads::default();
        let mut needs = Needs::default();
        for rule in rules {
            reads.join(&rule.reads);
            if !rule.reads.tags.is_empty() {
                needs.tags.get_or_insert_with(|| rule.id.clone());
            }
            if rule.reads.context.contains("tagKeys") {
                needs.tag_keys.get_or_insert_with(|| rule.id.clone());
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
        // The forbids that read nothing which has to be looked up: they may refuse before any lookup.
        let early = rules
            .iter()
            .filter(is_enforced)
            .filter(|r| r.effect == Effect::Forbid && !needs_facts(&r.reads))
            .map(|r| r.id.as_str());
        let policies = PolicySet::from_policies(rules.iter().map(|r| r.policy.clone()));
        let policies = policies.map_err(|e| e.to_string())?;
        Ok(Self {
            action: action.clone(),
            groups: groups.to_vec(),
            uid: Arc::new(own),
            entity: Arc::new(entity),
            conditions: Arc::new(Conditions::of(&policies, &early.collect())),
            #[cfg(test)]
            policies,
            reads,
            needs,
            enforced,
            settled: Settled::default(),
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

#[cfg(test)]
mod tests;
