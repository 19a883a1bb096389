//! What a newly built catalog says that the one before didn't.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::aws::catalog::compile::{Kind, Notes};
use crate::aws::catalog::{Operation, Service};
use crate::aws::class::Class;

/// The report of a build.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) version: String,
    /// What it is compared with; absent where that can't be read.
    pub(super) before: Option<String>,
    pub(super) services: usize,
    pub(super) operations: usize,
    pub(super) hosts: usize,
    pub(super) bytes: usize,
    pub(super) changes: Vec<Change>,
    /// Operations whose verb no rule lists: taken as `write`.
    pub(super) unlisted: Vec<String>,
    /// Operations that the model calls readonly and the rules don't.
    pub(super) readonly_but: Vec<(String, Kind)>,
    /// Guarded operations in which no resource was found: judged on their account.
    pub(super) nameless: Vec<String>,
    /// URLs of rule sets that no template can hold.
    pub(super) hosts_left_out: Vec<String>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    pub(super) operation: String,
    pub(super) what: What,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum What {
    New,
    Removed,
    Class,
    Resource,
}

impl Report {
    /// Takes over what the compiler noted.
    pub(super) fn note(&mut self, notes: Notes) {
        self.unlisted = notes.unlisted;
        self.readonly_but = notes.readonly_but;
        self.nameless = notes.nameless;
        self.hosts_left_out = notes.hosts_left_out;
    }
}

/// How two versions of a service differ, by operation.
pub(super) fn between(before: Option<&Service>, after: &Service) -> Vec<Change> {
    let names: BTreeSet<&String> = before
        .into_iter()
        .chain([after])
        .flat_map(|s| s.operations.keys())
        .collect();
    names
        .into_iter()
        .flat_map(|name| {
            let old = before.and_then(|s| s.operations.get(name));
            of_operation(&after.id, name, old, after.operations.get(name))
        })
        .collect()
}

fn of_operation(
    service: &str,
    name: &str,
    before: Option<&Operation>,
    after: Option<&Operation>,
) -> Vec<Change> {
    let change = |what, before, after| Change {
        operation: format!("{service}:{name}"),
        what,
        before,
        after,
    };
    match (before, after) {
        (None, Some(new)) => vec![change(What::New, None, Some(kind(new)))],
        (Some(old), None) => vec![change(What::Removed, Some(kind(old)), None)],
        (Some(old), Some(new)) => {
            let mut found = Vec::new();
            if kind(old) != kind(new) {
                found.push(change(What::Class, Some(kind(old)), Some(kind(new))));
            }
            if old.resource != new.resource {
                found.push(change(
                    What::Resource,
                    Some(resource(old)),
                    Some(resource(new)),
                ));
            }
            found
        }
        (None, None) => Vec::new(),
    }
}

/// The finer group of an operation, or its class.
pub(super) fn kind(operation: &Operation) -> String {
    match (operation.class, operation.group) {
        (Class::Disrupt, Some(group)) => group.to_string(),
        (class, _) => class.to_string(),
    }
}

/// A resource rule in one line: `environmentId / connectorId / vmIds[]`.
pub(super) fn resource(operation: &Operation) -> String {
    let Some(rule) = &operation.resource else {
        return "none".to_owned();
    };
    let mut ids = vec![rule.ids.clone()];
    ids.extend(rule.or.iter().cloned());
    let ids = ids.join(" or ");
    let path: Vec<&str> = rule
        .parents
        .iter()
        .map(String::as_str)
        .chain([ids.as_str()])
        .collect();
    path.join(" / ")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} operations of {} services, {} host templates, {} bytes",
            self.version, self.operations, self.services, self.hosts, self.bytes
        )?;
        match &self.before {
            Some(before) if self.changes.is_empty() => writeln!(f, "no change against {before}")?,
            Some(before) => writeln!(f, "{} changes against {before}:", self.changes.len())?,
            None => writeln!(f, "there is no readable catalog to compare with")?,
        }
        let width = self
            .changes
            .iter()
            .map(|c| c.operation.len())
            .max()
            .unwrap_or(0);
        for change in &self.changes {
            writeln!(
                f,
                "  {:width$}  {:8}  {} → {}",
                change.operation,
                change.what.as_str(),
                change.before.as_deref().unwrap_or("–"),
                change.after.as_deref().unwrap_or("–"),
            )?;
        }
        list(f, "no rule lists the verb, taken as write", &self.unlisted)?;
        let but: Vec<String> = self
            .readonly_but
            .iter()
            .map(|(o, k)| format!("{o} ({k})"))
            .collect();
        list(f, "readonly in the model, classed otherwise", &but)?;
        list(
            f,
            "guarded, no resource found: judged on the account",
            &self.nameless,
        )?;
        list(
            f,
            "endpoint URLs that no host template can hold",
            &self.hosts_left_out,
        )
    }
}

impl What {
    const fn as_str(self) -> &'static str {
        match self {
            What::New => "new",
            What::Removed => "removed",
            What::Class => "class",
            What::Resource => "resource",
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, title: &str, names: &[String]) -> fmt::Result {
    if names.is_empty() {
        return Ok(());
    }
    writeln!(f, "{title} ({}):", names.len())?;
    names.iter().try_for_each(|name| writeln!(f, "  {name}"))
}
