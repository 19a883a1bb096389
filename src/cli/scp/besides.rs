//! What destroys and is no operation: which of it the policies forbid, and which they leave open.
//!
//! INVARIANT: what isn't forbidden is told, and nothing is forbidden by its action that something unguarded needs.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use serde::Serialize;

use super::choice::{Forbidden, Key, Others, Wanted, key_of, spelt};
use crate::aws::class::Class;
use crate::aws::iam::{Action, Beside, Iam};

/// How a reason names that option.
const OPTION: &str = "--also";
/// Every group.
const ALL: &str = "all";

/// An action that destroys, that no policy forbids and no guard sees.
#[derive(Debug, Serialize)]
pub(super) struct LeftOpen {
    /// `es:ESHttpDelete`.
    pub(super) action: String,
    pub(super) group: String,
    pub(super) calls: String,
}

/// An action that `--also` forbids.
#[derive(Debug, Serialize)]
pub(super) struct Denied {
    pub(super) action: String,
    /// The operations that the guard makes with it; where there is none, nobody but a role for emergencies may do it.
    #[serde(rename = "guardedOperations")]
    pub(super) operations: Vec<String>,
}

/// What there is, of what was asked for.
pub(super) struct Besides<'a> {
    iam: &'a Iam,
    all: Vec<Beside<'a>>,
    groups: BTreeSet<&'a str>,
    free: &'a BTreeMap<Key, Others>,
}

impl<'a> Besides<'a> {
    /// `prefixes` are those of the services that are asked for; `free` and `forbidden` together are what operations need.
    pub(super) fn new(
        iam: &'a Iam,
        wanted: &Wanted<'_>,
        prefixes: &BTreeSet<String>,
        free: &'a BTreeMap<Key, Others>,
        forbidden: &Forbidden,
    ) -> Self {
        let needed: BTreeSet<(&str, &str)> = free
            .keys()
            .chain(forbidden.keys())
            .map(|(prefix, key)| (prefix.as_str(), key.as_str()))
            .collect();
        let all = iam.beside(|prefix, key| needed.contains(&(prefix, key)));
        let groups = all.iter().map(|beside| beside.group).collect();
        let is_wanted = |beside: &Beside<'_>| match beside.services {
            [] => wanted.services.is_empty() || prefixes.contains(&beside.action.prefix),
            services => services.iter().any(|id| wanted.is_of(id)),
        };
        let mut all = all;
        all.retain(|beside| wanted.classes.contains(&Class::Destroy) && is_wanted(beside));
        Self {
            iam,
            all,
            groups,
            free,
        }
    }

    /// Forbids what is asked for: actions, groups of them, or all.
    ///
    /// # Errors
    /// Where there is no such group or action, or one that something unguarded needs.
    pub(super) fn deny(
        &self,
        asked: &[String],
        forbidden: &mut Forbidden,
    ) -> anyhow::Result<Vec<Denied>> {
        let mut chosen: BTreeMap<Key, Action> = BTreeMap::new();
        for word in asked {
            let actions = match word.contains(':') {
                true => vec![self.named(word)?],
                false => self.of_group(word)?,
            };
            chosen.extend(actions.into_iter().map(|a| (key_of(&a), a)));
        }
        let mut denied = Vec::new();
        for (key, action) in chosen {
            let others = self.free.get(&key).into_iter().flat_map(|o| &o.names);
            let mine = forbidden.what_for(&action).into_iter().flatten();
            let operations: BTreeSet<String> = others.chain(mine).cloned().collect();
            denied.push(Denied {
                action: spelt(&action),
                operations: operations.into_iter().collect(),
            });
            forbidden.insert(action, OPTION);
        }
        Ok(denied)
    }

    /// What isn't forbidden.
    pub(super) fn left_open(&self, forbidden: &Forbidden) -> Vec<LeftOpen> {
        let open = self.all.iter();
        open.filter(|beside| forbidden.what_for(&beside.action).is_none())
            .map(|beside| LeftOpen {
                action: spelt(&beside.action),
                group: beside.group.to_owned(),
                calls: beside.calls.to_owned(),
            })
            .collect()
    }

    fn of_group(&self, word: &str) -> anyhow::Result<Vec<Action>> {
        if word != ALL && !self.groups.contains(word) {
            let groups: Vec<&str> = self.groups.iter().copied().collect();
            bail!(
                "`{word}` is no group of actions; there are {}, and `{ALL}`, and each action of IAM's by its name, such as `es:ESHttpDelete`",
                groups.join(", ")
            );
        }
        let all = self.all.iter();
        let mine = all.filter(|beside| word == ALL || beside.group == word);
        let mine: Vec<Action> = mine.map(|beside| beside.action.clone()).collect();
        if mine.is_empty() {
            bail!(
                "nothing of `{word}` destroys at the services, and is of the classes, that are asked for"
            );
        }
        Ok(mine)
    }

    fn named(&self, word: &str) -> anyhow::Result<Action> {
        let Some(action) = self.iam.action(word) else {
            bail!("AWS's list of actions, as of this release, has no `{word}`");
        };
        let others = self.free.get(&key_of(&action));
        if let Some(others) = others.filter(|others| others.is_of_work) {
            let names: Vec<&str> = others.names.iter().take(3).map(String::as_str).collect();
            bail!(
                "`{word}` is what calls that aren't guarded need, too ({}): no policy can leave them to the guard by it",
                names.join(", ")
            );
        }
        Ok(action)
    }
}
