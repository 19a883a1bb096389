//! `resources.toml`: where the ids of a call's resources stand that no general rule finds, which members select, and
//! which guarded operations are about the account as a whole.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::aws::catalog::model::ParentRule;

/// The data, read and checked.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// Members that look like ids and name nothing that a call affects.
    #[serde(default)]
    never_ids: BTreeSet<String>,
    /// Members that a call has to give and in which nothing stands.
    #[serde(default)]
    never_parents: BTreeSet<String>,
    /// Members that select what a call affects without naming it.
    #[serde(default)]
    selectors: BTreeSet<String>,
    /// By service and operation: where the rules would look in the wrong place.
    #[serde(default)]
    operations: BTreeMap<String, BTreeMap<String, Named>>,
    /// By service and operation: what is about the account as a whole, each with the reason.
    #[serde(default)]
    account: BTreeMap<String, BTreeMap<String, String>>,
}

/// Where an operation's resource stands, said by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    /// The path of the ids; empty: it can only select, or names nothing but its parents.
    #[serde(default)]
    pub ids: String,
    /// Paths that name the same thing another way where `ids` is absent.
    #[serde(default)]
    pub or: Vec<String>,
    /// Paths that name further things.
    #[serde(default)]
    pub also: Vec<ParentRule>,
    /// Outermost first.
    #[serde(default)]
    pub parents: Vec<ParentRule>,
    /// What kind of thing it is, where it isn't the operation's noun.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Members that select.
    #[serde(default)]
    pub selectors: Vec<String>,
    /// Whether a call may leave the ids out.
    #[serde(default)]
    pub optional: bool,
}

/// Why the data can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacesError {
    #[error("the resource rules don't parse: {0}")]
    Syntax(String),
    #[error(
        "the resource rules name `{0}`, which the model doesn't have; take it out or correct it"
    )]
    Unknown(String),
    #[error("the resource rules say of `{0}` both where its ids stand and that it has none")]
    Twice(String),
}

impl Places {
    /// Reads the data, in TOML.
    ///
    /// # Errors
    /// [`PlacesError`] where it doesn't parse or says two things of one operation.
    pub fn parse(text: &str) -> Result<Self, PlacesError> {
        let places: Self = toml::from_str(text).map_err(|e| PlacesError::Syntax(e.to_string()))?;
        for (service, operations) in &places.account {
            let twice = operations
                .keys()
                .find(|operation| places.named(service, operation).is_some());
            if let Some(operation) = twice {
                return Err(PlacesError::Twice(format!("{service}:{operation}")));
            }
        }
        Ok(places)
    }

    /// Whether members of that name never name a resource, whatever they look like.
    #[must_use]
    pub(super) fn is_never_id(&self, member: &str) -> bool {
        self.never_ids.contains(member)
    }

    /// Whether nothing stands in what members of that name say.
    #[must_use]
    pub(super) fn is_never_parent(&self, member: &str) -> bool {
        self.never_parents.contains(member)
    }

    /// Whether members of that name select what a call affects.
    #[must_use]
    pub(super) fn is_selector(&self, member: &str) -> bool {
        self.selectors.contains(member)
    }

    /// What is said by name about an operation's resource.
    #[must_use]
    pub(super) fn named(&self, service: &str, operation: &str) -> Option<&Named> {
        self.operations.get(service)?.get(operation)
    }

    /// Why an operation is about the account as a whole, where it is.
    #[must_use]
    pub fn about_account(&self, service: &str, operation: &str) -> Option<&str> {
        self.account
            .get(service)?
            .get(operation)
            .map(String::as_str)
    }

    /// Checks that every operation the data speaks of in a service is there.
    ///
    /// # Errors
    /// [`PlacesError::Unknown`] naming one that isn't.
    pub fn check_names(
        &self,
        service: &str,
        is_there: impl Fn(&str) -> bool,
    ) -> Result<(), PlacesError> {
        let named = self
            .operations
            .get(service)
            .into_iter()
            .flat_map(BTreeMap::keys);
        let account = self
            .account
            .get(service)
            .into_iter()
            .flat_map(BTreeMap::keys);
        match named.chain(account).find(|o| !is_there(o)) {
            Some(missing) => Err(PlacesError::Unknown(format!("{service}:{missing}"))),
            None => Ok(()),
        }
    }
}
