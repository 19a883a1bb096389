//! The plan of lookups: what to ask, of which things, in which order.

mod choose;
mod error;
mod rounds;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Attribute, Facts, Needs};
use crate::aws::catalog::model::Service;
use crate::aws::value::Object;
use crate::guard::knowledge::{Knowledge, LookupRule, ServiceRules, TypeRule};
use crate::guard::target::{ACCOUNT, SELECTOR, Spelling, Target};

pub use self::error::EnquiryError;
pub(super) use self::error::no_way;

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
}
