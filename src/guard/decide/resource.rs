//! One thing that a call would affect, and every name that it has.

use crate::guard::facts::{Attribute, Facts};
use crate::guard::protected::{Protected, arn_parts};
use crate::guard::target::{Spelling, Target};

/// One thing that the call would affect, with what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    pub target: Target,
    pub account: String,
    pub facts: Facts,
    pub protected: bool,
}

impl Resource {
    /// Puts together what a call names and what lookups learnt about it.
    #[must_use]
    pub fn new(
        target: Target,
        account: &str,
        facts: Facts,
        protected: &Protected,
        service: &str,
    ) -> Self {
        let account = arn_account(target.spelling.as_str())
            .unwrap_or(account)
            .to_owned();
        let mut resource = Self {
            target,
            account,
            facts,
            protected: false,
        };
        resource.protected = protected.covers(service, resource.names().iter().map(String::as_str));
        resource
    }

    /// The id as AWS spells it: canonical where a lookup told, else the caller's spelling.
    #[must_use]
    pub fn id(&self) -> &str {
        match (&self.facts.id, &self.target.spelling) {
            (Some(id), Spelling::Name(_)) => id,
            (_, spelling) => spelling.as_str(),
        }
    }

    /// Whether the caller gave a name and no lookup has told whose it is.
    pub(super) fn is_unresolved(&self) -> bool {
        self.facts.id.is_none() && matches!(self.target.spelling, Spelling::Name(_))
    }

    /// The entity id: parents first, joined by `/`.
    #[must_use]
    pub fn entity_id(&self) -> String {
        let parents = self.target.parents.iter().map(|p| p.id.as_str());
        parents.chain([self.id()]).collect::<Vec<_>>().join("/")
    }

    /// The entity ids of its parents, outermost first.
    pub(super) fn parent_ids(&self) -> Vec<String> {
        let ids: Vec<&str> = self.target.parents.iter().map(|p| p.id.as_str()).collect();
        (1..=ids.len())
            .filter_map(|n| ids.get(..n))
            .map(|ids| ids.join("/"))
            .collect()
    }

    /// Every name that the protected list may know it, or a parent, by.
    fn names(&self) -> Vec<String> {
        let mut names = vec![
            self.id().to_owned(),
            self.entity_id(),
            self.target.spelling.as_str().to_owned(),
        ];
        names.extend(self.target.also.iter().cloned());
        names.extend(self.target.arn.clone());
        names.extend(self.facts.id.clone());
        names.extend(self.facts.aliases.iter().cloned());
        names.extend(self.facts.attributes.get(&Attribute::Arn).cloned());
        names.extend(self.parent_ids());
        names.extend(self.target.parents.iter().map(|p| p.id.clone()));
        let parts: Vec<String> = names
            .iter()
            .flat_map(|name| arn_parts(name))
            .map(str::to_owned)
            .collect();
        names.extend(parts);
        names
    }
}

fn arn_account(name: &str) -> Option<&str> {
    let mut parts = name.strip_prefix("arn:")?.split(':');
    parts
        .nth(3)
        .filter(|account| account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()))
}
