//! The plan of lookups: what to ask, of which things, in which order.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::fill::{fill, variable};
use super::{Attribute, Facts, Needs};
use crate::aws::catalog::model::Service;
use crate::aws::value::{Object, Value};
use crate::guard::knowledge::{Knowledge, LookupRule, ServiceRules, TypeRule, derived};
use crate::guard::target::{ACCOUNT, SELECTOR, Spelling, Target};

/// A call to make.
#[derive(Debug, Clone, PartialEq)]
pub struct LookupCall {
    /// The service that is asked.
    pub service: String,
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

/// The most parents whose ids a lookup may ask with.
const PARENTS_MAX: usize = 4;

/// A plan of lookups for the resources of one call.
#[derive(Debug)]
pub struct Enquiry<'k> {
    service: &'k Service,
    pub(super) rules: Option<&'k ServiceRules>,
    /// The lookups of the subjects' types by name: those of the service file as they stand there, and those that the
    /// catalog derived.
    pub(super) lookups: BTreeMap<String, Cow<'k, LookupRule>>,
    pub(super) place: Place,
    pub(super) needs: Needs,
    pub(super) subjects: Vec<Subject<'k>>,
    /// For each target, the subject whose facts count.
    pub(super) of: Vec<Option<usize>>,
    /// For each target, the subject whose tags a call would change that takes tags off.
    pub(super) own: Vec<Option<usize>>,
    pub(super) asked: BTreeSet<(String, usize)>,
    /// Lookups that AWS refused a batch of for an id in it: each subject is asked for by itself.
    pub(super) singly: BTreeSet<String>,
}

/// One thing to learn about; several targets may share it.
#[derive(Debug)]
pub(super) struct Subject<'k> {
    pub(super) spelling: Spelling,
    pub(super) kind: String,
    /// Whether the tags that a call changes are its own; not where only its facts count for something in it.
    is_whole: bool,
    /// The ids of its parents as the caller spelt them, outermost first.
    pub(super) parents: Vec<String>,
    pub(super) rule: Option<Cow<'k, TypeRule>>,
    /// The lookups that its type has, the best first.
    lookups: Vec<String>,
    /// Whether its ARN was put together here, so that nobody has said that there is one.
    made_arn: bool,
    /// The lookups to make.
    pub(super) wanted: BTreeSet<String>,
    /// Those of them that answered about this very thing.
    pub(super) answered: BTreeSet<String>,
    pub(super) facts: Facts,
    /// The id that it is asked for by first.
    pub(super) asked: Option<String>,
    /// The id as AWS spells it, once a lookup told.
    pub(super) told_id: Option<String>,
    /// What lookups told so far, to be held against what others tell.
    pub(super) told: BTreeMap<Attribute, Option<String>>,
}

impl<'k> Subject<'k> {
    pub(super) fn new(spelling: Spelling, kind: String, parents: Vec<String>) -> Self {
        Self {
            spelling,
            kind,
            is_whole: true,
            parents,
            rule: None,
            lookups: Vec::new(),
            made_arn: false,
            wanted: BTreeSet::new(),
            answered: BTreeSet::new(),
            facts: Facts::default(),
            asked: None,
            told_id: None,
            told: BTreeMap::new(),
        }
    }
}

impl<'k> Enquiry<'k> {
    /// Plans what to ask about the targets so that the needs are met.
    ///
    /// # Errors
    /// [`EnquiryError::NoWay`] if something that a policy reads can't be looked up for a target.
    pub fn new(
        knowledge: &'k Knowledge,
        service: &'k Service,
        targets: &[Target],
        needs: Needs,
        place: Place,
    ) -> Result<Self, EnquiryError> {
        let mut plan = Self {
            service,
            rules: knowledge.service(&service.id),
            lookups: BTreeMap::new(),
            place,
            needs,
            subjects: Vec::new(),
            of: Vec::new(),
            own: Vec::new(),
            asked: BTreeSet::new(),
            singly: BTreeSet::new(),
        };
        let mut known: HashMap<(String, Spelling, Vec<String>, bool), usize> = HashMap::new();
        for target in targets {
            let own = plan.plan_own_tags(target)?;
            let (spelling, kind, parents) = plan.subject_of(target);
            let key = (
                kind.clone(),
                spelling.clone(),
                parents.clone(),
                own.is_none(),
            );
            let at = match known.get(&key) {
                Some(at) => *at,
                None => {
                    let at = plan.subjects.len();
                    let mut subject = Subject::new(spelling, kind, parents);
                    subject.is_whole = own.is_none();
                    let subject = plan.subject(subject, target)?;
                    plan.subjects.push(subject);
                    known.insert(key, at);
                    at
                }
            };
            plan.of.push(Some(at));
            plan.own.push(own.or(Some(at)));
        }
        Ok(plan)
    }

    fn subject_of(&self, target: &Target) -> (Spelling, String, Vec<String>) {
        let of_parent = self
            .type_rule(&target.kind)
            .is_some_and(|rule| rule.facts_of_parent);
        match target.parents.first() {
            Some(parent) if of_parent => (
                Spelling::Id(parent.id.clone()),
                parent.kind.clone(),
                Vec::new(),
            ),
            _ => {
                let parents = target.parents.iter().map(|parent| parent.id.clone());
                let spelling = target.spelling.clone();
                (spelling, target.kind.clone(), parents.collect())
            }
        }
    }

    pub(super) fn type_rule(&self, kind: &str) -> Option<&'k TypeRule> {
        let types = &self.rules?.types;
        types.get(kind).or_else(|| types.get("*"))
    }

    fn subject(
        &mut self,
        mut subject: Subject<'k>,
        target: &Target,
    ) -> Result<Subject<'k>, EnquiryError> {
        if subject.kind == SELECTOR {
            return self.selects(&subject).map(|()| subject);
        }
        if subject.kind == ACCOUNT {
            if let Some(policy) = &self.needs.tag_keys {
                return Err(no_way(policy, "the tags that go", &subject, None));
            }
            self.has_nothing(&mut subject.facts);
            return Ok(subject);
        }
        self.know(&mut subject);
        let is_own = subject.kind == target.kind && subject.spelling == target.spelling;
        if let Some(arn) = target.arn.as_ref().filter(|_| is_own) {
            let facts = &mut subject.facts;
            facts.attributes.insert(Attribute::Arn, arn.clone());
            subject.made_arn = !target.also.contains(arn) && target.spelling.as_str() != arn;
        }
        if target.loose {
            self.names_surely(&subject, target)?;
        }
        if let Spelling::Id(id) = &subject.spelling {
            // Where the id that is told is sent, what the caller wrote whole isn't looked up by a part of it: the
            // part may have come to mean another thing.
            let whole = target.also.iter().find(|also| also.starts_with("arn:"));
            let sends = subject.rule.as_ref().is_some_and(|rule| rule.send_id);
            let asked = whole.filter(|_| sends && is_own).unwrap_or(id);
            subject.facts.id = Some(asked.clone());
            subject.asked = Some(asked.clone());
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
        let told =
            |(_, lookup): &(&String, &Cow<'k, LookupRule>)| lookup.confirms && lookup.id.is_some();
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

    /// Puts together what is known of the subject's type: from the service file, and from the catalog where that says
    /// nothing of its tags.
    fn know(&mut self, subject: &mut Subject<'k>) {
        let none = TypeRule::default();
        let said = self.type_rule(&subject.kind);
        let rule = said.unwrap_or(&none);
        let of_file = rule.lookups.iter().filter_map(|name| {
            let (name, lookup) = self.rules?.lookups.get_key_value(name)?;
            Some((name.clone(), Cow::Borrowed(lookup)))
        });
        let mut lookups: Vec<(String, Cow<'k, LookupRule>)> = of_file.collect();
        let tagless = rule.untagged || rule.tags_unreadable.is_some() || rule.facts_of_parent;
        let (arn, derived) = derived(self.service, &subject.kind);
        if !tagless && !lookups.iter().any(|(_, lookup)| lookup.tells_tags()) {
            let derived = derived.into_iter();
            lookups.extend(derived.map(|(name, lookup)| (name, Cow::Owned(lookup))));
        }
        subject.rule = match (said, arn) {
            (Some(said), None) => Some(Cow::Borrowed(said)),
            (Some(said), Some(_)) if said.arn.is_some() => Some(Cow::Borrowed(said)),
            (None, None) => None,
            (said, arn) => Some(Cow::Owned(TypeRule {
                arn,
                ..said.cloned().unwrap_or_default()
            })),
        };
        subject.lookups = lookups.iter().map(|(name, _)| name.clone()).collect();
        self.lookups.extend(lookups);
    }

    /// What a selector matches can't be looked up: nobody knows it before AWS does.
    fn selects(&self, subject: &Subject<'k>) -> Result<(), EnquiryError> {
        let why = || {
            Some(format!(
                "the call selects by `{}`",
                subject.spelling.as_str()
            ))
        };
        if let Some(policy) = self.needs.tags.as_ref().or(self.needs.tag_keys.as_ref()) {
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
            let template = subject.rule.as_ref().and_then(|rule| rule.arn.as_ref());
            subject.made_arn = template.is_some();
            template.and_then(|template| template.fill(|name| variable(&self.place, name, subject)))
        };
        if let Some(arn) = arn {
            subject.facts.attributes.insert(Attribute::Arn, arn);
        }
    }

    /// Chooses the lookups that meet the needs for a subject.
    fn want(&self, subject: &mut Subject<'k>) -> Result<(), EnquiryError> {
        let none = TypeRule::default();
        let rule = subject.rule.as_deref().unwrap_or(&none);
        let lookups = self.lookups_of(subject);
        let first = |tells: &dyn Fn(&LookupRule) -> bool| {
            let mut telling = lookups.iter();
            let found = telling.find(|l| tells(l.1) && self.can_ask(subject, l.1, &lookups));
            found.map(|(name, _)| (*name).clone())
        };
        let mut wanted: BTreeSet<String> = BTreeSet::new();
        let mut facts = subject.facts.clone();
        if rule.untagged {
            facts.tags = Some(BTreeMap::new());
        }
        facts.absent.extend(rule.never.iter().copied());
        // What has the facts of another has a subject of its own for the tags that go.
        let keys = self.needs.tag_keys.as_ref().filter(|_| subject.is_whole);
        let by = self.needs.tags.as_ref().or(keys);
        if let Some(policy) = by.filter(|_| !rule.untagged) {
            let name = first(&LookupRule::tells_tags);
            wanted.insert(name.ok_or_else(|| {
                let why = rule.tags_unreadable.clone();
                let why = why.or_else(|| no_arn(&lookups));
                no_way(policy, "the tags", subject, why)
            })?);
        }
        for (attribute, policy) in &self.needs.attributes {
            if facts.attributes.contains_key(attribute) || rule.never.contains(attribute) {
                continue;
            }
            let name = first(&|lookup| lookup.tells(*attribute));
            wanted.insert(
                name.ok_or_else(|| no_way(policy, &format!("`{attribute}`"), subject, None))?,
            );
        }
        if self.needs.names.is_some() {
            // A confirmed id is spelt as AWS spells it, so that no other spelling of it gets past the list.
            let telling = lookups.iter().filter(|(_, l)| l.names_more() || l.confirms);
            wanted.extend(telling.map(|(name, _)| (*name).clone()));
        }
        if let Spelling::Name(given) = &subject.spelling {
            let resolving = lookups.iter().find(|(_, l)| l.resolves());
            let (name, _) = resolving.ok_or_else(|| EnquiryError::Unresolvable {
                name: given.clone(),
                kind: subject.kind.clone(),
            })?;
            wanted.insert((*name).clone());
        }
        if !wanted.is_empty() {
            let confirming = lookups.iter().filter(|(_, l)| l.confirms);
            wanted.extend(confirming.map(|(name, _)| (*name).clone()));
        }
        let mut asked = lookups.iter().filter(|(name, _)| wanted.contains(*name));
        if asked.any(|(_, l)| l.uses("arn")) && !facts.attributes.contains_key(&Attribute::Arn) {
            let telling = lookups.iter().find(|(_, l)| tells_arn(l));
            let (name, _) = telling.ok_or_else(|| {
                let policy = self.needs.tags.as_deref().unwrap_or_default();
                no_way(policy, "the ARN", subject, None)
            })?;
            wanted.insert((*name).clone());
        }
        subject.facts = facts;
        subject.wanted = wanted;
        Ok(())
    }

    /// Whether a lookup can be made about a subject: its ARN can be had, and its parents are there. An ARN that was put
    /// together here serves only where AWS says so if it doesn't know it: silence would be about nothing.
    pub(super) fn can_ask(
        &self,
        subject: &Subject<'k>,
        lookup: &LookupRule,
        lookups: &[(&String, &Cow<'k, LookupRule>)],
    ) -> bool {
        let known = subject.facts.attributes.contains_key(&Attribute::Arn);
        let silent = lookup.unknown_id.is_empty() && lookup.id.is_none();
        let arn = if known {
            !(silent && subject.made_arn)
        } else {
            lookups.iter().any(|(_, l)| tells_arn(l))
        };
        let parents = (0..PARENTS_MAX)
            .all(|at| !lookup.uses(&format!("parent{at}")) || subject.parents.len() > at);
        let parent = !lookup.uses("parent") || !subject.parents.is_empty();
        (arn || !lookup.uses("arn")) && parents && parent
    }

    fn lookups_of(&self, subject: &Subject<'k>) -> Vec<(&String, &Cow<'k, LookupRule>)> {
        subject
            .lookups
            .iter()
            .filter_map(|name| self.lookups.get_key_value(name))
            .collect()
    }

    /// The calls that can be made now; empty when all is known.
    ///
    /// # Errors
    /// [`EnquiryError::Failed`] where what is still wanted can't be asked for, since an answer lacked it.
    pub fn next_round(&mut self) -> Result<Vec<LookupCall>, EnquiryError> {
        let mut calls = Vec::new();
        let mut waiting = None;
        let lookups: Vec<String> = self.lookups.keys().cloned().collect();
        for name in &lookups {
            let Some(lookup) = self.lookups.get(name).cloned() else {
                continue;
            };
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
                self.calls(name, &lookup, &lookup.inputs_by_name, &[at], &mut calls);
            }
            let (ready, not): (Vec<usize>, Vec<usize>) = by_id
                .into_iter()
                .partition(|at| self.is_ready(*at, &lookup));
            if !not.is_empty() {
                waiting = waiting.or(Some(lookup.operation.clone()));
            }
            for batch in self.batches(name, &lookup, ready) {
                self.calls(name, &lookup, &lookup.inputs, &batch, &mut calls);
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

    /// The subjects of a lookup, as many to a call as AWS takes. Where the call names their parents, only those that
    /// have the same go together.
    fn batches(&self, name: &str, lookup: &LookupRule, ready: Vec<usize>) -> Vec<Vec<usize>> {
        let size = if self.singly.contains(name) {
            1
        } else {
            lookup.batch
        };
        let mut groups: BTreeMap<&[String], Vec<usize>> = BTreeMap::new();
        let nobody: &[String] = &[];
        let of_parents = lookup.uses("parent");
        for at in ready {
            let parents = self.subjects.get(at).map(|s| s.parents.as_slice());
            let key = parents.filter(|_| of_parents).unwrap_or(nobody);
            groups.entry(key).or_default().push(at);
        }
        let chunks = groups.values().flat_map(|group| group.chunks(size));
        chunks.map(<[usize]>::to_vec).collect()
    }

    fn is_open(&self, at: usize, lookup: &str) -> bool {
        let wanted = self
            .subjects
            .get(at)
            .is_some_and(|s| s.wanted.contains(lookup));
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
        arn || !lookup.uses("arn")
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
            let mut filled = fill(&self.place, input, &of);
            if let (Some(member), true) = (&lookup.account, self.place.account_named) {
                filled.set(member, Value::String(self.place.account.clone()));
            }
            calls.push(LookupCall {
                service: match &lookup.service {
                    Some(other) => other.clone(),
                    None => self.service.id.clone(),
                },
                operation: lookup.operation.clone(),
                input: filled,
                next: lookup.next.clone(),
                concurrency: lookup.concurrency,
                cacheable: !lookup.tells_tags(),
                lookup: name.to_owned(),
                subjects: subjects.to_vec(),
            });
        }
    }
}

/// Whether a lookup tells the ARN to whoever doesn't know it.
fn tells_arn(lookup: &LookupRule) -> bool {
    lookup.arn.is_some() && !lookup.uses("arn")
}

/// Why no lookup of the tags can be made: all of them ask by an ARN.
fn no_arn(lookups: &[(&String, &Cow<'_, LookupRule>)]) -> Option<String> {
    let mut telling = lookups.iter().filter(|(_, l)| l.tells_tags());
    let (_, lookup) = telling.next()?;
    let by = "asks by the ARN, which isn't known";
    Some(format!("`{}` {by}", lookup.operation)).filter(|_| lookup.uses("arn"))
}

pub(super) fn no_way(
    policy: &str,
    fact: &str,
    subject: &Subject<'_>,
    why: Option<String>,
) -> EnquiryError {
    EnquiryError::NoWay {
        policy: policy.to_owned(),
        fact: fact.to_owned(),
        kind: subject.kind.clone(),
        why,
    }
}
