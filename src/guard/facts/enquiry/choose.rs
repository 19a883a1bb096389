//! Which lookups meet the needs for a subject, or why none does.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::super::fill::variable;
use super::{Attribute, Enquiry, EnquiryError, Facts, Subject, no_way};
use crate::guard::knowledge::{LookupRule, TypeRule, derived};
use crate::guard::target::{Spelling, Target};

/// The most parents whose ids a lookup may ask with.
const PARENTS_MAX: usize = 4;

impl<'k> Enquiry<'k> {
    /// What may have been called by another name than the protected list has, is that only where AWS tells its id.
    pub(super) fn names_surely(
        &self,
        subject: &Subject<'k>,
        target: &Target,
    ) -> Result<(), EnquiryError> {
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
    pub(super) fn know(&mut self, subject: &mut Subject<'k>) {
        let none = TypeRule::default();
        let said = self.type_rule(&subject.kind);
        let rule = said.unwrap_or(&none);
        let of_file = rule.lookups.iter().filter_map(|name| {
            let (name, lookup) = self.rules?.lookups.get_key_value(name)?;
            Some((name.clone(), Cow::Borrowed(lookup)))
        });
        let mut lookups: Vec<(String, Cow<'k, LookupRule>)> = of_file.collect();
        let tagless = rule.untagged || rule.tags_unreadable.is_some() || rule.facts_of_parent;
        if !tagless && !lookups.iter().any(|(_, lookup)| lookup.tells_tags()) {
            let derived = derived::lookups(self.service, &subject.kind);
            lookups.extend(derived.map(|(name, lookup)| (name, Cow::Owned(lookup))));
        }
        subject.rule = match (said, derived::arn(self.service, &subject.kind)) {
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
    pub(super) fn selects(&self, subject: &Subject<'k>) -> Result<(), EnquiryError> {
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
    pub(super) fn has_nothing(&self, facts: &mut Facts) {
        facts.tags = Some(BTreeMap::new());
        facts.absent = Attribute::ALL.into();
    }

    pub(in crate::guard::facts) fn name_arn(&self, subject: &mut Subject<'k>) {
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
    pub(super) fn want(&self, subject: &mut Subject<'k>) -> Result<(), EnquiryError> {
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
    pub(in crate::guard::facts) fn can_ask(
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
        let there = |at| subject.parents.len() > at || !lookup.uses(&format!("parent{at}"));
        let parents = !subject.parents.is_empty() && (0..PARENTS_MAX).all(there);
        (arn || !lookup.uses("arn")) && (parents || !lookup.uses("parent"))
    }

    pub(super) fn lookups_of(&self, subject: &Subject<'k>) -> Vec<(&String, &Cow<'k, LookupRule>)> {
        subject
            .lookups
            .iter()
            .filter_map(|name| self.lookups.get_key_value(name))
            .collect()
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
