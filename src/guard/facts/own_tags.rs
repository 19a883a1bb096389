//! Which tags a thing itself has, for calls that take off those that they don't name.
//!
//! INVARIANT: these are the tags of what the call names, never those of what it stands in.

use std::collections::BTreeSet;

use super::Facts;
use super::enquiry::{Enquiry, EnquiryError, Subject, no_way};
use crate::guard::target::{Spelling, Target};

impl Enquiry<'_> {
    /// The subject whose own tags a call changes, where those that count for its resource are another's. `None` where
    /// they are the resource's own.
    ///
    /// # Errors
    /// [`EnquiryError::NoWay`] where no lookup tells them.
    pub(super) fn plan_own_tags(&mut self, target: &Target) -> Result<Option<usize>, EnquiryError> {
        let Some(policy) = self.needs.tag_keys.clone() else {
            return Ok(None);
        };
        let rule = self.type_rule(&target.kind).filter(|r| r.facts_of_parent);
        let Some(rule) = rule.filter(|_| !target.parents.is_empty()) else {
            return Ok(None);
        };
        let parents = target.parents.iter().map(|parent| parent.id.clone());
        let (spelling, kind) = (target.spelling.clone(), target.kind.clone());
        let mut subject = Subject::new(spelling, kind, parents.collect());
        let lookup = rule.own_tags.as_ref().and_then(|name| {
            let lookup = self.rules?.lookups.get(name)?;
            Some((name, lookup))
        });
        let (Some((name, lookup)), Spelling::Id(id)) = (lookup, &target.spelling) else {
            return Err(no_way(&policy, "the tags that go", &subject, None));
        };
        subject.facts.id = Some(id.clone());
        subject.asked = Some(id.clone());
        subject.wanted.insert(name.clone());
        if !lookup.tells_tags() || !self.can_ask(&subject, lookup, &[]) {
            return Err(no_way(&policy, "the tags that go", &subject, None));
        }
        self.lookups
            .insert(name.clone(), std::borrow::Cow::Borrowed(lookup));
        self.subjects.push(subject);
        Ok(Some(self.subjects.len().saturating_sub(1)))
    }

    /// The keys of the tags that the subject of a target's own tags has, once they were looked up.
    pub(super) fn keys_of(&self, subject: Option<usize>) -> Option<BTreeSet<String>> {
        self.needs.tag_keys.as_ref()?;
        let Facts { tags, .. } = &self.subjects.get(subject?)?.facts;
        Some(tags.as_ref()?.keys().cloned().collect())
    }
}
