//! Which actions of IAM's an operation needs: by rule, held to AWS's list of actions (`config/iam-actions.txt`), and as
//! `config/iam.toml` says where the rule doesn't tell.
//!
//! INVARIANT: an action that is told stands in the list; an operation without one is told as such, never left out.

mod also;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use also::{Also, Beside};

use super::catalog::{Operation, Service};
use super::class::Class;

const ACTIONS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/config/iam-actions.txt"
));
const EXCEPTIONS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/iam.toml"));

/// An action of IAM's: `s3:DeleteObject`. Two are one where they differ in capitals only, as they are to IAM.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Action {
    /// `s3`.
    pub prefix: String,
    /// In small letters, as the list has it: `deleteobject`.
    pub key: String,
    /// As people write it: `DeleteObject`.
    pub name: String,
}

/// What IAM asks for when an operation is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needs {
    /// These, one of them or all; at least one.
    Actions(Vec<Action>),
    /// Something that a policy of an organization can't forbid, or is not to: why.
    Left(String),
    /// Nothing that AWS's list has: what was looked for, `monitoring:DeleteAlarms`.
    Unknown(String),
}

/// AWS's list of actions, and how operations are told from it.
#[derive(Debug)]
pub struct Iam {
    actions: BTreeMap<&'static str, BTreeSet<&'static str>>,
    resource_control: ResourceControl,
    exceptions: BTreeMap<String, Exceptions>,
    also: Vec<Also>,
    by_name: also::ByName,
}

/// What IAM asks for when a call of an operation has an input by which it is guarded, and only then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByInput {
    /// The class of these inputs.
    pub class: Class,
    pub actions: Vec<Action>,
    /// Whether it asks for them for every such input.
    pub all: bool,
}

/// Which actions resource control policies may hold.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceControl {
    /// The page of AWS's that lists them.
    pub source: String,
    /// When it was read: `2026-09-26`.
    pub date: String,
    /// The prefixes of their actions, in order: `kms`.
    pub prefixes: Vec<String>,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum IamError {
    #[error("`config/iam.toml`: {0}")]
    Syntax(String),
    #[error(
        "`config/iam.toml`: `{service}:{operation}` needs `{action}`, which AWS's list of actions hasn't"
    )]
    Action {
        service: String,
        operation: String,
        action: String,
    },
    #[error(
        "`config/iam.toml`: AWS's list of actions hasn't `{0}`, of those that no operation needs"
    )]
    Also(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    resource_control: ResourceControl,
    service: BTreeMap<String, Exceptions>,
    #[serde(default)]
    also: Vec<Also>,
    also_by_name: also::ByName,
}

/// What `config/iam.toml` says of one service.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "a reason stands by each, for those who read the file"
        )
    )]
    why: String,
    #[serde(default)]
    prefixes: Vec<String>,
    #[serde(default)]
    by_method: bool,
    #[serde(default)]
    actions: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    left: BTreeMap<String, String>,
    #[serde(default)]
    by_input: BTreeMap<String, AskedByInput>,
}

/// What `config/iam.toml` says of one operation's inputs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedByInput {
    class: Class,
    actions: Vec<String>,
    #[serde(default)]
    all: bool,
}

impl ResourceControl {
    /// Whether these policies may hold actions of this prefix.
    #[must_use]
    pub fn holds(&self, prefix: &str) -> bool {
        self.prefixes.iter().any(|p| p == prefix)
    }
}

impl Iam {
    /// The table that this binary carries.
    ///
    /// # Errors
    /// [`IamError`] where the file is wrong, or names an action that there isn't.
    pub fn embedded() -> Result<Self, IamError> {
        Self::parse(EXCEPTIONS)
    }

    fn parse(exceptions: &str) -> Result<Self, IamError> {
        let file: File = toml::from_str(exceptions).map_err(|e| IamError::Syntax(e.to_string()))?;
        let lines = ACTIONS.lines().filter(|line| !line.starts_with('#'));
        let actions = lines.filter_map(|line| {
            let (prefix, actions) = line.split_once(' ')?;
            Some((prefix, actions.split(' ').collect()))
        });
        let iam = Self {
            actions: actions.collect(),
            resource_control: file.resource_control,
            exceptions: file.service,
            also: file.also,
            by_name: file.also_by_name,
        };
        iam.check_also()?;
        for (service, said) in &iam.exceptions {
            for (operation, actions) in &said.actions {
                if let Some(action) = actions.iter().find(|a| {
                    // Without prefixes of its own it is the signing name's, which the catalog alone knows.
                    let is_explicit = a.contains(':') || !said.prefixes.is_empty();
                    is_explicit && iam.named(&said.prefixes, a).is_empty()
                }) {
                    return Err(IamError::Action {
                        service: service.clone(),
                        operation: operation.clone(),
                        action: action.clone(),
                    });
                }
            }
        }
        Ok(iam)
    }

    /// Every action under a prefix, in small letters; `None` where there is no such prefix.
    #[must_use]
    pub fn under(&self, prefix: &str) -> Option<&BTreeSet<&'static str>> {
        self.actions.get(prefix)
    }

    /// Which actions resource control policies may hold.
    #[must_use]
    pub const fn resource_control(&self) -> &ResourceControl {
        &self.resource_control
    }

    /// What IAM asks for when this operation is called.
    #[must_use]
    pub fn needs(&self, service: &Service, operation: &Operation) -> Needs {
        let said = self.exceptions.get(&service.id);
        if let Some(why) = said.and_then(|s| s.left.get(&operation.name)) {
            return Needs::Left(why.clone());
        }
        let signing = std::slice::from_ref(&service.signing_name);
        let prefixes = match said {
            Some(said) if !said.prefixes.is_empty() => said.prefixes.as_slice(),
            Some(_) | None => signing,
        };
        if let Some(names) = said.and_then(|s| s.actions.get(&operation.name)) {
            let found = names.iter().map(|name| self.named(prefixes, name));
            // One that isn't there makes the whole unknown: half of what an operation needs may be all it takes.
            let found: Vec<Vec<Action>> = found.collect();
            if found.iter().all(|actions| !actions.is_empty()) {
                return Needs::Actions(found.into_iter().flatten().collect());
            }
            return Needs::Unknown(names.join(", "));
        }
        let mut found = self.named(prefixes, &operation.name);
        if found.is_empty() && said.is_some_and(|s| s.by_method) {
            found = self.named(prefixes, &operation.method);
        }
        if found.is_empty() {
            let prefix = prefixes.first().map_or("", String::as_str);
            return Needs::Unknown(format!("{prefix}:{}", operation.name));
        }
        Needs::Actions(found)
    }

    /// What IAM asks for by the input of a call; `None` where the operation is judged as a whole.
    #[must_use]
    pub fn needs_by_input(&self, service: &Service, operation: &Operation) -> Option<ByInput> {
        let said = self.exceptions.get(&service.id)?;
        let asked = said.by_input.get(&operation.name)?;
        let prefixes = match said.prefixes.is_empty() {
            true => std::slice::from_ref(&service.signing_name),
            false => said.prefixes.as_slice(),
        };
        let names = asked.actions.iter();
        Some(ByInput {
            class: asked.class,
            actions: names.flat_map(|name| self.named(prefixes, name)).collect(),
            all: asked.all,
        })
    }

    /// The actions of that name: `prefix:Name`, or `Name` under each of the prefixes that has it.
    fn named(&self, prefixes: &[String], name: &str) -> Vec<Action> {
        let of = |prefix: &str, name: &str| {
            let key = name.to_ascii_lowercase();
            let is_there = self.under(prefix)?.contains(key.as_str());
            is_there.then(|| Action {
                prefix: prefix.to_owned(),
                key,
                name: name.to_owned(),
            })
        };
        match name.split_once(':') {
            Some((prefix, name)) => of(prefix, name).into_iter().collect(),
            None => prefixes.iter().filter_map(|p| of(p, name)).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
