//! Actions that destroy and that no operation is called as: those that `config/iam.toml` judges, and whatever else AWS's
//! list has that is called like one.
//!
//! INVARIANT: an action that no operation needs, and that begins with a word for destroying, is found: what nobody has
//! judged is of the last group, never left out.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Action, Iam, IamError};

/// Actions of one kind that no guard sees called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Also {
    /// What they are asked for as: `data`.
    pub group: String,
    /// Whose they are, as the AWS CLI names services.
    pub services: Vec<String>,
    /// What they do, and by which way.
    pub calls: String,
    /// `es:ESHttpDelete`.
    actions: Vec<String>,
}

/// The rest, by how its names begin.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ByName {
    group: String,
    calls: String,
    words: Vec<String>,
    /// Actions that begin so and destroy nothing that anybody keeps.
    harmless: Vec<String>,
}

/// An action that destroys, beside the operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside<'i> {
    /// `data`.
    pub group: &'i str,
    /// What it does, and by which way.
    pub calls: &'i str,
    /// Whose it is, as the AWS CLI names services; empty where that isn't known.
    pub services: &'i [String],
    pub action: Action,
}

impl Iam {
    /// What destroys beside the operations, those that are judged first. `is_needed` tells of a prefix and a key whether an
    /// operation needs that action.
    pub fn beside(&self, is_needed: impl Fn(&str, &str) -> bool) -> Vec<Beside<'_>> {
        let mut found = Vec::new();
        let mut judged: BTreeSet<(String, String)> = BTreeSet::new();
        for also in &self.also {
            for action in also.actions.iter().filter_map(|name| self.action(name)) {
                judged.insert((action.prefix.clone(), action.key.clone()));
                found.push(Beside {
                    group: &also.group,
                    calls: &also.calls,
                    services: &also.services,
                    action,
                });
            }
        }
        let harmless = self.by_name.harmless.iter();
        let harmless = harmless.filter_map(|name| self.action(name));
        judged.extend(harmless.map(|action| (action.prefix, action.key)));
        for (prefix, keys) in &self.actions {
            for key in keys.iter().filter(|key| !is_needed(prefix, key)) {
                let Some(name) = self.by_name.spelt(key) else {
                    continue;
                };
                if judged.contains(&((*prefix).to_owned(), (*key).to_owned())) {
                    continue;
                }
                found.push(Beside {
                    group: &self.by_name.group,
                    calls: &self.by_name.calls,
                    services: &[],
                    action: Action {
                        prefix: (*prefix).to_owned(),
                        key: (*key).to_owned(),
                        name,
                    },
                });
            }
        }
        found
    }

    /// The action that is spelt so, in whatever letters: `es:ESHttpDelete`.
    #[must_use]
    pub fn action(&self, spelt: &str) -> Option<Action> {
        spelt.contains(':').then(|| self.named(&[], spelt).pop())?
    }

    /// # Errors
    /// [`IamError`] where an action that is judged isn't one.
    pub(super) fn check_also(&self) -> Result<(), IamError> {
        let judged = self.also.iter().flat_map(|also| &also.actions);
        let mut all = judged.chain(&self.by_name.harmless);
        match all.find(|name| self.action(name).is_none()) {
            Some(name) => Err(IamError::Also(name.clone())),
            None => Ok(()),
        }
    }
}

impl ByName {
    /// A key that begins with one of the words, with a capital where the word ends: `DeleteDomain`.
    fn spelt(&self, key: &str) -> Option<String> {
        let fits = |word: &&String| key.starts_with(&word.to_ascii_lowercase());
        let word = self.words.iter().find(fits)?;
        let mut rest = key.chars().skip(word.chars().count());
        let first = rest.next().map(|c| c.to_ascii_uppercase());
        Some(word.chars().chain(first).chain(rest).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::catalog::Catalog;
    use crate::aws::iam::Needs;

    /// The actions that operations need, and those that operations need which aren't guarded.
    fn needed(iam: &Iam, catalog: &Catalog) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut needed, mut open) = (BTreeSet::new(), BTreeSet::new());
        for id in catalog.service_ids() {
            let service = catalog.service(id).unwrap().unwrap();
            for operation in service.operations.values() {
                if let Needs::Actions(actions) = iam.needs(&service, operation) {
                    let keys = actions.iter().map(|a| format!("{}:{}", a.prefix, a.key));
                    needed.extend(keys.clone());
                    if !operation.class.is_guarded() {
                        open.extend(keys);
                    }
                }
            }
        }
        (needed, open)
    }

    #[test]
    fn what_is_judged_is_of_services_that_there_are_and_needed_by_nothing_unguarded() {
        let (iam, catalog) = (Iam::embedded().unwrap(), Catalog::embedded().unwrap());
        let (_, open) = needed(&iam, &catalog);
        for also in &iam.also {
            assert!(["data", "access", "beside"].contains(&also.group.as_str()));
            for service in &also.services {
                assert!(catalog.outline(service).is_some(), "{service}");
            }
            for name in &also.actions {
                assert!(!open.contains(&name.to_ascii_lowercase()), "{name}");
            }
        }
    }

    #[test]
    fn what_begins_with_a_word_for_destroying_is_an_operations_or_found() {
        let (iam, catalog) = (Iam::embedded().unwrap(), Catalog::embedded().unwrap());
        let (needed, _) = needed(&iam, &catalog);
        let is_needed = |prefix: &str, key: &str| needed.contains(&format!("{prefix}:{key}"));
        let beside = iam.beside(is_needed);
        let found = |action: &str| {
            let mut all = beside.iter();
            all.find(|b| format!("{}:{}", b.action.prefix, b.action.name) == action)
                .map(|b| b.group)
        };
        assert_eq!(found("es:ESHttpDelete"), Some("data"));
        assert_eq!(found("kafka-cluster:DeleteTopic"), Some("data"));
        assert_eq!(found("aoss:APIAccessAll"), Some("access"));
        assert_eq!(found("codecommit:GitPush"), Some("access"));
        assert_eq!(found("s3:ReplicateDelete"), Some("beside"));
        assert_eq!(found("chime:DeleteDomain"), Some("other"));
        assert_eq!(found("ec2messages:DeleteMessage"), None);
        assert_eq!(found("s3:DeleteBucket"), None);
        let all: BTreeSet<&Action> = beside.iter().map(|b| &b.action).collect();
        assert_eq!(all.len(), beside.len(), "an action is told twice");
        for (prefix, keys) in &iam.actions {
            for key in keys.iter().filter(|k| k.contains("delete")) {
                let is_told = beside
                    .iter()
                    .any(|b| b.action.prefix == *prefix && b.action.key == *key);
                let is_known = is_needed(prefix, key) || is_told;
                assert!(
                    is_known || !key.starts_with("delete") || *prefix == "ec2messages",
                    "{prefix}:{key}"
                );
            }
        }
    }
}
