//! What answers tell, and what their silence means.

use std::collections::BTreeMap;

use super::enquiry::{Enquiry, EnquiryError, LookupAnswer, LookupCall, Subject};
use super::read::{self, read_tags};
use super::spelling::{self, text};
use super::{Attribute, Facts, Needs};
use crate::aws::value::{Object, Value};
use crate::guard::knowledge::LookupRule;
use crate::guard::target::{ACCOUNT, SELECTOR, Spelling, pair};

/// What an answer says about one thing: an item of its list, or all of its pages.
struct Told<'a> {
    /// The item, or the first page.
    item: &'a Object,
    /// The item alone, or every page.
    all: &'a [&'a Object],
}

impl Enquiry<'_> {
    /// How a call is made and read.
    #[must_use]
    pub fn rule(&self, call: &LookupCall) -> Option<&LookupRule> {
        self.lookups.get(&call.lookup).map(AsRef::as_ref)
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
        let Some(lookup) = self.lookups.get(&call.lookup).cloned() else {
            return Ok(());
        };
        let pages = match answer {
            LookupAnswer::Pages(pages) => pages,
            LookupAnswer::Error { code, .. } if lookup.none.contains(&code) => vec![Object::new()],
            LookupAnswer::Error { code, .. }
                if call.subjects.len() > 1 && lookup.unknown_id.contains(&code) =>
            {
                self.ask_singly(call);
                return Ok(());
            }
            LookupAnswer::Error {
                status,
                code,
                message,
            } => {
                return Err(self.refused(call, &lookup, status, &code, message));
            }
        };
        match &lookup.items {
            Some(items) if lookup.each_is_a_tag => {
                let items = pages.iter().flat_map(|page| items.values(page));
                self.absorb_tags(call, &lookup, items)
            }
            Some(items) => {
                let items = pages.iter().flat_map(|page| items.values(page));
                items
                    .into_iter()
                    .try_for_each(|item| self.absorb_item(call, &lookup, item))
            }
            None => {
                let found = pages.iter().filter_map(|page| match &lookup.item {
                    Some(path) => path.value(page).and_then(Value::as_object),
                    None => Some(page),
                });
                let all: Vec<&Object> = found.collect();
                let item = all
                    .first()
                    .ok_or_else(|| failed(call, "the answer is about nothing"))?;
                let at = call.subjects.first().copied().unwrap_or_default();
                self.learn(call, &lookup, at, &Told { item, all: &all })
            }
        }
    }

    /// AWS refuses a batch as a whole for one id that it doesn't know: each is asked for by itself.
    fn ask_singly(&mut self, call: &LookupCall) {
        self.singly.insert(call.lookup.clone());
        for at in &call.subjects {
            self.asked.remove(&(call.lookup.clone(), *at));
        }
    }

    /// An item of a list: for each subject that it is about; others are passed over.
    fn absorb_item(
        &mut self,
        call: &LookupCall,
        lookup: &LookupRule,
        item: &Value,
    ) -> Result<(), EnquiryError> {
        let item = item
            .as_object()
            .ok_or_else(|| failed(call, "an item of the answer is no structure"))?;
        let Some(id) = lookup.id.as_ref().and_then(|path| text(path, item)) else {
            return Ok(());
        };
        for at in &call.subjects {
            let is_about = |s: &Subject<'_>| s.is_called(lookup, item, &id);
            if self.subjects.get(*at).is_some_and(is_about) {
                let told = Told { item, all: &[item] };
                self.learn(call, lookup, *at, &told)?;
            }
        }
        Ok(())
    }

    /// Items that are a tag each, of the resource whose id they have. A resource that none is of has none.
    fn absorb_tags<'v>(
        &mut self,
        call: &LookupCall,
        lookup: &LookupRule,
        items: impl Iterator<Item = &'v Value>,
    ) -> Result<(), EnquiryError> {
        let mut found: BTreeMap<usize, BTreeMap<String, String>> = BTreeMap::new();
        for item in items {
            let unreadable = || failed(call, "an item of the answer is no tag");
            let (key, value) = pair(item).ok_or_else(unreadable)?;
            let item = item.as_object().ok_or_else(unreadable)?;
            let id = lookup.id.as_ref().and_then(|path| text(path, item));
            let id = id.ok_or_else(unreadable)?;
            for at in &call.subjects {
                let is_about = |s: &Subject<'_>| s.is_called(lookup, item, &id);
                if self.subjects.get(*at).is_some_and(is_about)
                    && let Some(before) = found
                        .entry(*at)
                        .or_default()
                        .insert(key.to_owned(), value.to_owned())
                    && before != value
                {
                    return Err(failed(call, "two answers disagree about the tags"));
                }
            }
        }
        for at in &call.subjects {
            let tags = found.remove(at).unwrap_or_default();
            if let Some(subject) = self.subjects.get_mut(*at) {
                subject.tag(tags).map_err(|message| failed(call, message))?;
                subject.answered.insert(call.lookup.clone());
            }
        }
        Ok(())
    }

    fn learn(
        &mut self,
        call: &LookupCall,
        lookup: &LookupRule,
        at: usize,
        told: &Told<'_>,
    ) -> Result<(), EnquiryError> {
        let item = told.item;
        let is_silent = item.is_empty() && !lookup.none.is_empty();
        let id = lookup.id.as_ref().filter(|_| !is_silent);
        let id =
            id.map(|path| text(path, item).ok_or_else(|| failed(call, "the answer has no id")));
        let id = id.transpose()?;
        let Some(subject) = self.subjects.get_mut(at) else {
            return Ok(());
        };
        if let Some(answered) = &id {
            subject
                .identify(lookup, item, answered)
                .map_err(|message| failed(call, &message))?;
        }
        let name = lookup.name.as_ref().and_then(|path| text(path, item));
        if let (Spelling::Name(asked), Some(answered)) = (&subject.spelling, &name)
            && asked != answered
        {
            return Err(failed(
                call,
                &format!("asked for `{asked}`, it answered about `{answered}`"),
            ));
        }
        let aliases = lookup.aliases.iter().filter_map(|path| text(path, item));
        subject
            .facts
            .aliases
            .extend(name.into_iter().chain(aliases));
        if let Some(arn) = spelling::arn(lookup, item) {
            subject
                .tell(Attribute::Arn, Some(arn))
                .map_err(|message| failed(call, &message))?;
        }
        for (attribute, place) in &lookup.attributes {
            let value = read::attribute(*attribute, place, told.all)
                .map_err(|path| failed(call, &format!("`{path}` can't be read")))?;
            let value = value.or_else(|| lookup.defaults.get(attribute).cloned());
            subject
                .tell(*attribute, value)
                .map_err(|message| failed(call, &message))?;
        }
        if let Some(path) = &lookup.tags {
            let mut tags = BTreeMap::new();
            for page in told.all {
                read_tags(path.value(page), &mut tags)
                    .ok_or_else(|| failed(call, &format!("`{path}` can't be read")))?;
            }
            subject.tag(tags).map_err(|message| failed(call, message))?;
        }
        subject.answered.insert(call.lookup.clone());
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
        let mut subjects = std::mem::take(&mut self.subjects);
        for subject in &mut subjects {
            self.name_arn(subject);
            let sends = subject.rule.as_ref().is_some_and(|rule| rule.send_id);
            subject.facts.send_id = sends && subject.told_id.is_some();
        }
        self.subjects = subjects;
        let facts = |(at, own): (&Option<usize>, &Option<usize>)| {
            let subject = at.and_then(|at| self.subjects.get(at));
            let mut facts = subject.map(|s| s.facts.clone()).unwrap_or_default();
            facts.tag_keys = self.keys_of(*own);
            facts
        };
        Ok(self.of.iter().zip(&self.own).map(facts).collect())
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
    /// Whether an item with this id is about the subject, by whatever it has been called so far.
    fn is_called(&self, lookup: &LookupRule, item: &Object, id: &str) -> bool {
        let asked = [&self.facts.id, &self.asked].into_iter().flatten();
        asked
            .into_iter()
            .any(|asked| spelling::is_same(lookup, item, id, asked))
    }

    /// Takes the id that a lookup told: as AWS spells it. What the caller called it is one more name then.
    fn identify(
        &mut self,
        lookup: &LookupRule,
        item: &Object,
        answered: &str,
    ) -> Result<(), String> {
        let id = spelling::bare(lookup, answered).to_owned();
        if let Some(asked) = self.facts.id.clone() {
            if !self.is_called(lookup, item, answered) {
                return Err(format!(
                    "asked for `{asked}`, it answered about `{answered}`"
                ));
            }
            if asked != id {
                self.facts.aliases.push(asked);
            }
        }
        if self.told_id.as_ref().is_some_and(|before| *before != id) {
            return Err("two answers disagree about the id".to_owned());
        }
        self.told_id = Some(id.clone());
        self.facts.id = Some(id);
        Ok(())
    }

    /// Takes the tags that a lookup told.
    fn tag(&mut self, tags: BTreeMap<String, String>) -> Result<(), &'static str> {
        if self.facts.tags.as_ref().is_some_and(|known| *known != tags) {
            return Err("two answers disagree about the tags");
        }
        self.facts.tags = Some(tags);
        Ok(())
    }

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
