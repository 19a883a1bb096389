//! The plan of lookups: what to ask, of which things, in which order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Attribute, Facts, Needs};
use crate::aws::value::{Number, Object, Value};
use crate::guard::knowledge::{Knowledge, LookupRule, ServiceRules, Template, TypeRule};
use crate::guard::target::{ACCOUNT, SELECTOR, Spelling, Target};

/// A call to make.
#[derive(Debug, Clone, PartialEq)]
pub struct LookupCall {
    pub operation: String,
    pub input: Object,
    /// The member of the answer that says that there is more, and the member of the next input that asks for it.
    pub next: Option<(String, String)>,
    /// How many calls of this lookup may be under way at a time.
    pub concurrency: usize,
    /// Whether the answer may be kept for a while: it tells no tags.
    pub cacheable: bool,
    pub(super) lookup: String,
    pub(super) subjects: Vec<usize>,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum LookupAnswer {
    /// Every page.
    Pages(Vec<Object>),
    /// AWS refused with this HTTP status and code.
    Error {
        status: u16,
        code: String,
        message: String,
    },
}

/// Why facts can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnquiryError {
    /// Lasting: a policy needs what nobody can look up.
    #[error("policy `{policy}` reads {fact} of `{kind}`, which can't be looked up{}", because(.why))]
    NoWay {
        policy: String,
        fact: String,
        kind: String,
        why: Option<String>,
    },
    /// Lasting: AWS doesn't know these ids.
    #[error("AWS doesn't know {}", list(.ids))]
    UnknownId { ids: Vec<String> },
    /// Lasting: the guard may not look.
    #[error(
        "the guard's own credentials may not call `{operation}`, which it needs to look at the resource: {message}"
    )]
    Denied { operation: String, message: String },
    /// Lasting: AWS doesn't take the question.
    #[error("AWS doesn't take the lookup `{operation}`: {message}")]
    Rejected { operation: String, message: String },
    /// Lasting: the caller gave a name, and nothing tells whose it is.
    #[error("`{name}` is a name of `{kind}`, which can't be resolved; give its id")]
    Unresolvable { name: String, kind: String },
    /// Passing: AWS was busy, or answered something else than was asked.
    #[error("the lookup `{operation}` failed: {message}")]
    Failed { operation: String, message: String },
}

fn because(why: &Option<String>) -> String {
    why.as_ref()
        .map(|why| format!(": {why}"))
        .unwrap_or_default()
}

fn list(ids: &[String]) -> String {
    ids.iter()
        .map(|id| format!("`{id}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The place of a call: what the variables of a template stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub partition: String,
    pub region: String,
    /// The account that the call acts in.
    pub account: String,
    /// Whether the call itself names that account, so that lookups have to name it too.
    pub account_named: bool,
}

/// A plan of lookups for the resources of one call.
#[derive(Debug)]
pub struct Enquiry<'k> {
    pub(super) rules: Option<&'k ServiceRules>,
    pub(super) place: Place,
    pub(super) needs: Needs,
    pub(super) subjects: Vec<Subject<'k>>,
    /// For each target, the subject whose facts count.
    pub(super) of: Vec<Option<usize>>,
    pub(super) asked: BTreeSet<(String, usize)>,
}

/// One thing to learn about; several targets may share it.
#[derive(Debug)]
pub(super) struct Subject<'k> {
    pub(super) spelling: Spelling,
    pub(super) kind: String,
    pub(super) rule: Option<&'k TypeRule>,
    /// The lookups to make.
    pub(super) wanted: Vec<&'k str>,
    /// Those of them that answered about this very thing.
    pub(super) answered: BTreeSet<&'k str>,
    pub(super) facts: Facts,
    /// What lookups told so far, to be held against what others tell.
    pub(super) told: BTreeMap<Attribute, Option<String>>,
}

impl<'k> Enquiry<'k> {
    /// Plans what to ask about the targets so that the needs are met.
    ///
    /// # Errors
    /// [`EnquiryError::NoWay`] if something that a policy reads can't be looked up for a target.
    pub fn new(
        knowledge: &'k Knowledge,
        service: &str,
        targets: &[Target],
        needs: Needs,
        place: Place,
    ) -> Result<Self, EnquiryError> {
        let rules = knowledge.service(service);
        let mut plan = Self {
            rules,
            place,
            needs,
            subjects: Vec::new(),
            of: Vec::new(),
            asked: BTreeSet::new(),
        };
        let mut known: HashMap<(String, Spelling), usize> = HashMap::new();
        for target in targets {
            let (spelling, kind) = plan.subject_of(target);
            let key = (kind.clone(), spelling.clone());
            let at = match known.get(&key) {
                Some(at) => *at,
                None => {
                    let at = plan.subjects.len();
                    let subject = plan.subject(spelling, kind, target)?;
                    plan.subjects.push(subject);
                    known.insert(key, at);
                    at
                }
            };
            plan.of.push(Some(at));
        }
        Ok(plan)
    }

    fn subject_of(&self, target: &Target) -> (Spelling, String) {
        let of_parent = self
            .type_rule(&target.kind)
            .is_some_and(|rule| rule.facts_of_parent);
        match target.parents.first() {
            Some(parent) if of_parent => (Spelling::Id(parent.id.clone()), parent.kind.clone()),
            _ => (target.spelling.clone(), target.kind.clone()),
        }
    }

    fn type_rule(&self, kind: &str) -> Option<&'k TypeRule> {
        let types = &self.rules?.types;
        types.get(kind).or_else(|| types.get("*"))
    }

    fn subject(
        &self,
        spelling: Spelling,
        kind: String,
        target: &Target,
    ) -> Result<Subject<'k>, EnquiryError> {
        let mut subject = Subject {
            spelling,
            rule: None,
            kind,
            wanted: Vec::new(),
            answered: BTreeSet::new(),
            facts: Facts::default(),
            told: BTreeMap::new(),
        };
        if target.kind == SELECTOR {
            return self.selects(&subject).map(|()| subject);
        }
        if target.kind == ACCOUNT {
            self.has_nothing(&mut subject.facts);
            return Ok(subject);
        }
        subject.rule = self.type_rule(&subject.kind);
        let is_own = subject.kind == target.kind && subject.spelling == target.spelling;
        if let Some(arn) = target.arn.as_ref().filter(|_| is_own) {
            let facts = &mut subject.facts;
            facts.attributes.insert(Attribute::Arn, arn.clone());
        }
        if target.loose {
            self.names_surely(&subject, target)?;
        }
        if let Spelling::Id(id) = &subject.spelling {
            subject.facts.id = Some(id.clone());
        }
        self.name_arn(&mut subject);
        self.want(&mut subject)?;
        Ok(subject)
    }

    /// What may have been called by another name than the protected list has, is that only where AWS tells its id.
    fn names_surely(&self, subject: &Subject<'k>, target: &Target) -> Result<(), EnquiryError> {
        let Some(policy) = &self.needs.names else {
            return Ok(());
        };
        let told = |(_, lookup): &(&str, &LookupRule)| lookup.confirms && lookup.id.is_some();
        let by_name = matches!(target.spelling, Spelling::Name(_));
        let is_own = subject.kind == target.kind;
        if by_name || is_own && self.lookups_of(subject).iter().any(told) {
            return Ok(());
        }
        let why = format!(
            "`{}` may be another name of a thing on the protected list; give its id or its ARN",
            target.spelling.as_str()
        );
        Err(no_way(policy, "`protected`", subject, Some(why)))
    }

    /// What a selector matches can't be looked up: nobody knows it before AWS does.
    fn selects(&self, subject: &Subject<'k>) -> Result<(), EnquiryError> {
        let why = || {
            Some(format!(
                "the call selects by `{}`",
                subject.spelling.as_str()
            ))
        };
        if let Some(policy) = &self.needs.tags {
            return Err(no_way(policy, "the tags", subject, why()));
        }
        if let Some((attribute, policy)) = self.needs.attributes.first_key_value() {
            return Err(no_way(policy, &format!("`{attribute}`"), subject, why()));
        }
        match &self.needs.names {
            Some(policy) => Err(no_way(policy, "`protected`", subject, why())),
            None => Ok(()),
        }
    }

    /// The account as a whole has neither tags nor attributes.
    fn has_nothing(&self, facts: &mut Facts) {
        facts.tags = Some(BTreeMap::new());
        facts.absent = Attribute::ALL.into();
    }

    pub(super) fn name_arn(&self, subject: &mut Subject<'k>) {
        if subject.facts.attributes.contains_key(&Attribute::Arn) {
            return;
        }
        let Some(id) = subject.facts.id.clone() else {
            return;
        };
        let arn = if id.starts_with("arn:") {
            Some(id)
        } else {
            let template = subject.rule.and_then(|rule| rule.arn.as_ref());
            template.and_then(|template| template.fill(|variable| self.variable(variable, subject)))
        };
        if let Some(arn) = arn {
            subject.facts.attributes.insert(Attribute::Arn, arn);
        }
    }

    fn variable(&self, variable: &str, subject: &Subject<'_>) -> Option<String> {
        match variable {
            "id" => subject.facts.id.clone(),
            "name" => match &subject.spelling {
                Spelling::Name(name) => Some(name.clone()),
                Spelling::Id(_) => None,
            },
            "arn" => subject.facts.attributes.get(&Attribute::Arn).cloned(),
            "partition" => Some(self.place.partition.clone()),
            "region" => Some(self.place.region.clone()),
            "account" => Some(self.place.account.clone()),
            _ => None,
        }
    }

    /// Chooses the lookups that meet the needs for a subject.
    fn want(&self, subject: &mut Subject<'k>) -> Result<(), EnquiryError> {
        let none = TypeRule::default();
        let rule = subject.rule.unwrap_or(&none);
        let lookups: Vec<(&'k str, &'k LookupRule)> = self.lookups_of(subject);
        let mut wanted: BTreeSet<&'k str> = BTreeSet::new();
        if rule.untagged {
            subject.facts.tags = Some(BTreeMap::new());
        }
        subject.facts.absent.extend(rule.never.iter().copied());
        if let Some(policy) = self.needs.tags.as_ref().filter(|_| !rule.untagged) {
            let telling = lookups.iter().find(|(_, l)| l.tags.is_some());
            let (name, _) = telling
                .ok_or_else(|| no_way(policy, "the tags", subject, rule.tags_unreadable.clone()))?;
            wanted.insert(name);
        }
        for (attribute, policy) in &self.needs.attributes {
            if subject.facts.attributes.contains_key(attribute) || rule.never.contains(attribute) {
                continue;
            }
            let tells = |l: &LookupRule| match attribute {
                Attribute::Arn => l.arn.is_some(),
                Attribute::BillingMode
                | Attribute::RunningMode
                | Attribute::State
                | Attribute::CreatedAt => l.attributes.contains_key(attribute),
            };
            let telling = lookups.iter().find(|(_, l)| tells(l));
            let (name, _) =
                telling.ok_or_else(|| no_way(policy, &format!("`{attribute}`"), subject, None))?;
            wanted.insert(name);
        }
        if self.needs.names.is_some() {
            // A confirmed id is spelt as AWS spells it, so that no other spelling of it gets past the list.
            wanted.extend(
                lookups
                    .iter()
                    .filter(|(_, l)| names_more(l) || l.confirms)
                    .map(|(name, _)| *name),
            );
        }
        if let Spelling::Name(given) = &subject.spelling {
            let resolving = lookups.iter().find(|(_, l)| l.resolves());
            let (name, _) = resolving.ok_or_else(|| EnquiryError::Unresolvable {
                name: given.clone(),
                kind: subject.kind.clone(),
            })?;
            wanted.insert(name);
        }
        if !wanted.is_empty() {
            wanted.extend(
                lookups
                    .iter()
                    .filter(|(_, l)| l.confirms)
                    .map(|(name, _)| *name),
            );
        }
        let arn_unknown = !subject.facts.attributes.contains_key(&Attribute::Arn);
        let needs_arn = lookups
            .iter()
            .any(|(name, l)| wanted.contains(name) && uses(l, "arn"));
        if needs_arn && arn_unknown {
            let telling = lookups.iter().find(|(_, l)| l.arn.is_some());
            let (name, _) = telling.ok_or_else(|| {
                no_way(
                    self.needs.tags.as_deref().unwrap_or_default(),
                    "the ARN",
                    subject,
                    None,
                )
            })?;
            wanted.insert(name);
        }
        subject.wanted = wanted.into_iter().collect();
        Ok(())
    }

    fn lookups_of(&self, subject: &Subject<'k>) -> Vec<(&'k str, &'k LookupRule)> {
        let (Some(rules), Some(rule)) = (self.rules, subject.rule) else {
            return Vec::new();
        };
        rule.lookups
            .iter()
            .filter_map(|name| rules.lookups.get_key_value(name))
            .map(|(name, lookup)| (name.as_str(), lookup))
            .collect()
    }

    /// The calls that can be made now; empty when all is known.
    ///
    /// # Errors
    /// [`EnquiryError::Failed`] where what is still wanted can't be asked for, since an answer lacked it.
    pub fn next_round(&mut self) -> Result<Vec<LookupCall>, EnquiryError> {
        let Some(rules) = self.rules else {
            return Ok(Vec::new());
        };
        let mut calls = Vec::new();
        let mut waiting = None;
        for (name, lookup) in &rules.lookups {
            let open: Vec<usize> = (0..self.subjects.len())
                .filter(|at| self.is_open(*at, name))
                .collect();
            let (by_name, by_id): (Vec<usize>, Vec<usize>) =
                open.into_iter().partition(|at| self.is_nameless(*at));
            for at in by_name {
                if lookup.inputs_by_name.is_empty() {
                    waiting = waiting.or(Some(lookup.operation.clone()));
                    continue;
                }
                self.calls(name, lookup, &lookup.inputs_by_name, &[at], &mut calls);
            }
            let (ready, not): (Vec<usize>, Vec<usize>) =
                by_id.into_iter().partition(|at| self.is_ready(*at, lookup));
            if !not.is_empty() {
                waiting = waiting.or(Some(lookup.operation.clone()));
            }
            for batch in ready.chunks(lookup.batch) {
                self.calls(name, lookup, &lookup.inputs, batch, &mut calls);
            }
        }
        match waiting {
            Some(operation) if calls.is_empty() => Err(EnquiryError::Failed {
                operation,
                message: "an earlier answer lacked what it has to be asked with".to_owned(),
            }),
            _ => Ok(calls),
        }
    }

    fn is_open(&self, at: usize, lookup: &str) -> bool {
        let wanted = self
            .subjects
            .get(at)
            .is_some_and(|s| s.wanted.contains(&lookup));
        wanted && !self.asked.contains(&(lookup.to_owned(), at))
    }

    fn is_nameless(&self, at: usize) -> bool {
        self.subjects.get(at).is_some_and(|s| s.facts.id.is_none())
    }

    fn is_ready(&self, at: usize, lookup: &LookupRule) -> bool {
        let arn = self
            .subjects
            .get(at)
            .is_some_and(|s| s.facts.attributes.contains_key(&Attribute::Arn));
        arn || !uses(lookup, "arn")
    }

    fn calls(
        &mut self,
        name: &str,
        lookup: &LookupRule,
        inputs: &[toml::Table],
        subjects: &[usize],
        calls: &mut Vec<LookupCall>,
    ) {
        for at in subjects {
            self.asked.insert((name.to_owned(), *at));
        }
        let of: Vec<&Subject<'_>> = subjects
            .iter()
            .filter_map(|at| self.subjects.get(*at))
            .collect();
        for input in inputs {
            let mut filled = self.fill(input, &of);
            if let (Some(member), true) = (&lookup.account, self.place.account_named) {
                filled.set(member, Value::String(self.place.account.clone()));
            }
            calls.push(LookupCall {
                operation: lookup.operation.clone(),
                input: filled,
                next: lookup.next.clone(),
                concurrency: lookup.concurrency,
                cacheable: lookup.tags.is_none(),
                lookup: name.to_owned(),
                subjects: subjects.to_vec(),
            });
        }
    }

    fn fill(&self, table: &toml::Table, of: &[&Subject<'_>]) -> Object {
        table
            .iter()
            .map(|(key, value)| (key.clone(), self.fill_value(value, of)))
            .collect()
    }

    fn fill_value(&self, value: &toml::Value, of: &[&Subject<'_>]) -> Value {
        match value {
            toml::Value::Table(table) => Value::Object(self.fill(table, of)),
            toml::Value::Array(items) => Value::List(
                items
                    .iter()
                    .flat_map(|item| self.fill_item(item, of))
                    .collect(),
            ),
            toml::Value::String(text) => match of.first() {
                Some(subject) => self.fill_text(text, subject),
                None => Value::String(text.clone()),
            },
            toml::Value::Boolean(b) => Value::Bool(*b),
            toml::Value::Integer(n) => Value::Number(Number::from(*n)),
            toml::Value::Float(f) => Value::String(f.to_string()),
            toml::Value::Datetime(d) => Value::String(d.to_string()),
        }
    }

    /// An item of a list: one value for each subject where it names the subject, else one value.
    fn fill_item(&self, item: &toml::Value, of: &[&Subject<'_>]) -> Vec<Value> {
        match item.as_str() {
            Some(text) if text.contains("{id}") || text.contains("{arn}") => of
                .iter()
                .map(|subject| self.fill_text(text, subject))
                .collect(),
            Some(_) | None => vec![self.fill_value(item, of)],
        }
    }

    fn fill_text(&self, text: &str, subject: &Subject<'_>) -> Value {
        let template = Template(text.to_owned());
        let filled = template.fill(|variable| self.variable(variable, subject));
        filled.map_or(Value::Null, Value::String)
    }
}

fn no_way(policy: &str, fact: &str, subject: &Subject<'_>, why: Option<String>) -> EnquiryError {
    EnquiryError::NoWay {
        policy: policy.to_owned(),
        fact: fact.to_owned(),
        kind: subject.kind.clone(),
        why,
    }
}

impl LookupRule {
    /// Whether it tells the id behind a name.
    fn resolves(&self) -> bool {
        !self.inputs_by_name.is_empty() && self.id.is_some()
    }
}

fn names_more(lookup: &LookupRule) -> bool {
    lookup.name.is_some() || !lookup.aliases.is_empty()
}

fn uses(lookup: &LookupRule, variable: &str) -> bool {
    fn any(value: &toml::Value, needle: &str) -> bool {
        match value {
            toml::Value::String(text) => text.contains(needle),
            toml::Value::Array(items) => items.iter().any(|item| any(item, needle)),
            toml::Value::Table(table) => table.values().any(|value| any(value, needle)),
            toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_) => false,
        }
    }
    let needle = format!("{{{variable}}}");
    lookup
        .inputs
        .iter()
        .any(|table| table.values().any(|value| any(value, &needle)))
}
