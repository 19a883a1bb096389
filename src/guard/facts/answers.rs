//! What answers tell, and what their silence means.

use std::collections::{BTreeMap, BTreeSet};

use super::enquiry::{Enquiry, EnquiryError, LookupAnswer, LookupCall, Subject};
use super::{Attribute, Facts, Needs};
use crate::aws::value::{Object, Value};
use crate::guard::knowledge::LookupRule;
use crate::guard::path::Path;
use crate::guard::target::{ACCOUNT, SELECTOR, Spelling, pair};

impl<'k> Enquiry<'k> {
    /// How a call is made and read.
    #[must_use]
    pub fn rule(&self, call: &LookupCall) -> Option<&'k LookupRule> {
        self.rules?.lookups.get(&call.lookup)
    }

    /// What a call asks about: how the caller spelt each thing, and its id where that is known.
    #[must_use]
    pub fn subjects(&self, call: &LookupCall) -> Vec<(&Spelling, Option<&str>)> {
        let subjects = call.subjects.iter().filter_map(|at| self.subjects.get(*at));
        subjects
            .map(|subject| (&subject.spelling, subject.facts.id.as_deref()))
            .collect()
    }

    /// What the enquiry is for.
    #[must_use]
    pub const fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Takes what came of a call.
    ///
    /// # Errors
    /// [`EnquiryError`] if AWS refused the call, doesn't know an id, or answered about something else.
    pub fn absorb(&mut self, call: &LookupCall, answer: LookupAnswer) -> Result<(), EnquiryError> {
        let rules = self.rules;
        let known = rules.and_then(|rules| rules.lookups.get_key_value(&call.lookup));
        let Some((name, lookup)) = known else {
            return Ok(());
        };
        let pages = match answer {
            LookupAnswer::Pages(pages) => pages,
            LookupAnswer::Error {
                status,
                code,
                message,
            } => {
                return Err(self.refused(call, lookup, status, &code, message));
            }
        };
        match &lookup.items {
            Some(items) => {
                for page in &pages {
                    for item in items.values(page) {
                        self.absorb_item(call, name, lookup, item)?;
                    }
                }
                Ok(())
            }
            None => {
                let page = pages.into_iter().next().unwrap_or_default();
                let item = match &lookup.item {
                    Some(path) => path.value(&page).and_then(Value::as_object).cloned(),
                    None => Some(page),
                };
                let item = item.ok_or_else(|| failed(call, "the answer is about nothing"))?;
                let at = call.subjects.first().copied().unwrap_or_default();
                self.learn(call, name, lookup, at, &item)
            }
        }
    }

    /// An item of a list: for the subject whose id it has, exactly; others are passed over.
    fn absorb_item(
        &mut self,
        call: &LookupCall,
        name: &'k str,
        lookup: &LookupRule,
        item: &Value,
    ) -> Result<(), EnquiryError> {
        let item = item
            .as_object()
            .ok_or_else(|| failed(call, "an item of the answer is no structure"))?;
        let id = lookup
            .id
            .as_ref()
            .and_then(|path| path.value(item))
            .and_then(Value::as_str);
        let of = call.subjects.iter().copied().find(|at| {
            self.subjects
                .get(*at)
                .is_some_and(|s| id.is_some() && s.facts.id.as_deref() == id)
        });
        match of {
            Some(at) => self.learn(call, name, lookup, at, item),
            None => Ok(()),
        }
    }

    fn learn(
        &mut self,
        call: &LookupCall,
        lookup_name: &'k str,
        lookup: &LookupRule,
        at: usize,
        item: &Object,
    ) -> Result<(), EnquiryError> {
        let text = |path: &Path| path.value(item).and_then(Value::as_str).map(str::to_owned);
        let id = lookup
            .id
            .as_ref()
            .map(|path| text(path).ok_or_else(|| failed(call, "the answer has no id")));
        let id = id.transpose()?;
        let Some(subject) = self.subjects.get_mut(at) else {
            return Ok(());
        };
        match (&subject.facts.id, &id) {
            (Some(asked), Some(answered)) if asked != answered => {
                return Err(failed(
                    call,
                    &format!("asked for `{asked}`, it answered about `{answered}`"),
                ));
            }
            (None, Some(answered)) => subject.facts.id = Some(answered.clone()),
            _ => {}
        }
        let name = lookup.name.as_ref().and_then(text);
        if let (Spelling::Name(asked), Some(answered)) = (&subject.spelling, &name)
            && asked != answered
        {
            return Err(failed(
                call,
                &format!("asked for `{asked}`, it answered about `{answered}`"),
            ));
        }
        subject.facts.aliases.extend(name);
        subject
            .facts
            .aliases
            .extend(lookup.aliases.iter().filter_map(text));
        if let Some(arn) = lookup.arn.as_ref().and_then(text) {
            subject
                .tell(Attribute::Arn, Some(arn))
                .map_err(|message| failed(call, &message))?;
        }
        for (attribute, path) in &lookup.attributes {
            let value = path
                .value(item)
                .map(|value| attribute_text(*attribute, value));
            let value = match value {
                Some(value) => {
                    Some(value.ok_or_else(|| failed(call, &format!("`{path}` can't be read")))?)
                }
                None => lookup.defaults.get(attribute).cloned(),
            };
            subject
                .tell(*attribute, value)
                .map_err(|message| failed(call, &message))?;
        }
        if let Some(path) = &lookup.tags {
            let tags = read_tags(path.value(item))
                .ok_or_else(|| failed(call, &format!("`{path}` can't be read")))?;
            if subject
                .facts
                .tags
                .as_ref()
                .is_some_and(|known| *known != tags)
            {
                return Err(failed(call, "two answers disagree about the tags"));
            }
            subject.facts.tags = Some(tags);
        }
        subject.answered.insert(lookup_name);
        Ok(())
    }

    fn refused(
        &self,
        call: &LookupCall,
        lookup: &LookupRule,
        status: u16,
        code: &str,
        message: String,
    ) -> EnquiryError {
        let operation = call.operation.clone();
        if lookup.unknown_id.iter().any(|known| known == code) {
            return EnquiryError::UnknownId {
                ids: self.spelled(&call.subjects),
            };
        }
        let denied = [
            "AccessDenied",
            "AccessDeniedException",
            "UnauthorizedOperation",
            "NotAuthorized",
        ];
        if denied.contains(&code) {
            return EnquiryError::Denied { operation, message };
        }
        let message = format!("{code}: {message}");
        if is_passing(status, code) {
            EnquiryError::Failed { operation, message }
        } else {
            EnquiryError::Rejected { operation, message }
        }
    }

    fn spelled(&self, subjects: &[usize]) -> Vec<String> {
        let subjects = subjects.iter().filter_map(|at| self.subjects.get(*at));
        subjects.map(|s| s.spelling.as_str().to_owned()).collect()
    }

    /// The facts of each target, in the targets' order.
    ///
    /// # Errors
    /// [`EnquiryError::UnknownId`] naming every id that AWS was asked about and didn't answer for.
    pub fn finish(mut self) -> Result<Vec<Facts>, EnquiryError> {
        let unknown: Vec<usize> = (0..self.subjects.len())
            .filter(|at| self.is_unknown(*at))
            .collect();
        if !unknown.is_empty() {
            return Err(EnquiryError::UnknownId {
                ids: self.spelled(&unknown),
            });
        }
        let arns: Vec<usize> = (0..self.subjects.len()).collect();
        for at in arns {
            let Some(mut subject) = self.take(at) else {
                continue;
            };
            self.name_arn(&mut subject);
            if let Some(slot) = self.subjects.get_mut(at) {
                *slot = subject;
            }
        }
        let facts = |at: &Option<usize>| {
            at.and_then(|at| self.subjects.get(at))
                .map(|s| s.facts.clone())
        };
        Ok(self
            .of
            .iter()
            .map(|at| facts(at).unwrap_or_default())
            .collect())
    }

    fn take(&mut self, at: usize) -> Option<Subject<'k>> {
        let slot = self.subjects.get_mut(at)?;
        let empty = Subject {
            spelling: Spelling::Id(String::new()),
            kind: String::new(),
            rule: None,
            wanted: Vec::new(),
            answered: BTreeSet::new(),
            facts: Facts::default(),
            told: BTreeMap::new(),
        };
        Some(std::mem::replace(slot, empty))
    }

    /// Whether AWS was asked and didn't answer about the subject what was wanted.
    fn is_unknown(&self, at: usize) -> bool {
        let Some(subject) = self.subjects.get(at) else {
            return false;
        };
        let unanswered = subject
            .wanted
            .iter()
            .any(|name| !subject.answered.contains(name));
        let exists = subject.kind != ACCOUNT && subject.kind != SELECTOR;
        unanswered || exists && subject.facts.id.is_none()
    }
}

impl Subject<'_> {
    /// Takes what a lookup told of an attribute; `None` that there is no such thing.
    fn tell(&mut self, attribute: Attribute, value: Option<String>) -> Result<(), String> {
        match self.told.insert(attribute, value.clone()) {
            Some(before) if before != value => {
                return Err(format!("two answers disagree about `{attribute}`"));
            }
            Some(_) | None => {}
        }
        match value {
            Some(value) => {
                self.facts.absent.remove(&attribute);
                self.facts.attributes.insert(attribute, value);
            }
            None => {
                self.facts.absent.insert(attribute);
            }
        }
        Ok(())
    }
}

/// Whether an error of AWS's heals by itself: it is busy, or at fault itself.
#[must_use]
pub fn is_passing(status: u16, code: &str) -> bool {
    status >= 500 || status == 429 || is_busy(code)
}

/// Whether an error of AWS's says that it was too busy to take the call.
#[must_use]
pub fn is_busy(code: &str) -> bool {
    const BUSY: [&str; 5] = [
        "Throttl",
        "TooManyRequests",
        "RequestLimitExceeded",
        "SlowDown",
        "ServiceUnavailable",
    ];
    BUSY.iter().any(|busy| code.contains(busy))
}

fn failed(call: &LookupCall, message: &str) -> EnquiryError {
    EnquiryError::Failed {
        operation: call.operation.clone(),
        message: message.to_owned(),
    }
}

/// An attribute as text; a time as RFC 3339 in UTC, whole seconds or milliseconds.
fn attribute_text(attribute: Attribute, value: &Value) -> Option<String> {
    match attribute {
        Attribute::CreatedAt => crate::guard::time::rfc3339(value),
        Attribute::Arn | Attribute::BillingMode | Attribute::RunningMode | Attribute::State => {
            value.as_str().map(str::to_owned)
        }
    }
}

/// Tags as a list of pairs or as a map; `None` where they are neither, or a key stands twice.
fn read_tags(value: Option<&Value>) -> Option<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    match value {
        None | Some(Value::Null) => {}
        Some(Value::List(items)) => {
            for item in items {
                let (key, value) = pair(item)?;
                if tags.insert(key.to_owned(), value.to_owned()).is_some() {
                    return None;
                }
            }
        }
        Some(Value::Object(members)) => {
            for (key, value) in members.iter() {
                tags.insert(key.to_owned(), value.as_str()?.to_owned());
            }
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => return None,
    }
    Some(tags)
}
