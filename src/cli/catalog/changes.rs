//! What a newly built catalog says that the one before didn't.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

use super::show::in_words;
use crate::aws::catalog::compile::{Kind, Notes};
use crate::aws::catalog::{Operation, Service};
use crate::aws::class::Class;

/// The report of a build.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Report {
    pub(super) version: String,
    /// What it is compared with; absent where that can't be read.
    pub(super) before: Option<String>,
    pub(super) services: usize,
    pub(super) operations: usize,
    pub(super) hosts: usize,
    pub(super) bytes: usize,
    pub(super) older: Older,
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

/// What older releases added.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Older {
    /// Services that today's release has no more.
    pub(super) services: Vec<String>,
    /// Operations of others that it has no more.
    pub(super) operations: Vec<String>,
    /// Operations that are sent in another form too, once for each.
    pub(super) forms: Vec<String>,
    /// Services that spoke another protocol.
    pub(super) protocols: Vec<String>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub(crate) operation: String,
    pub(crate) what: What,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What {
    New,
    Removed,
    Class,
    /// What in its input puts a call in another class.
    Conditions,
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

/// How two versions of a service differ, by operation; either may be without it.
pub(super) fn between(before: Option<&Service>, after: Option<&Service>) -> Vec<Change> {
    let both = || before.into_iter().chain(after);
    let id = both().map(|s| s.id.as_str()).next().unwrap_or_default();
    let names: BTreeSet<&String> = both().flat_map(|s| s.operations.keys()).collect();
    names
        .into_iter()
        .flat_map(|name| {
            let old = before.and_then(|s| s.operations.get(name));
            let new = after.and_then(|s| s.operations.get(name));
            of_operation(id, name, old, new)
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
            if old.conditions != new.conditions {
                found.push(change(
                    What::Conditions,
                    Some(conditions(old)),
                    Some(conditions(new)),
                ));
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

/// What in an operation's input puts a call in another class, in one line.
fn conditions(operation: &Operation) -> String {
    if operation.conditions.is_empty() {
        return "none".to_owned();
    }
    let words = operation.conditions.iter().map(in_words);
    words.collect::<Vec<_>>().join("; ")
}

/// A resource rule in one line: `environmentId / connectorId / vmIds[]`.
pub(super) fn resource(operation: &Operation) -> String {
    let Some(rule) = &operation.resource else {
        return "none".to_owned();
    };
    let or = |id: &str, others: &[String]| {
        let all = [id].into_iter().chain(others.iter().map(String::as_str));
        all.collect::<Vec<_>>().join(" or ")
    };
    let parents = rule
        .parents
        .iter()
        .map(|parent| or(&parent.id, parent.or.as_slice()));
    let ids = (!rule.ids.is_empty()).then(|| or(&rule.ids, &rule.or));
    let path: Vec<String> = parents.chain(ids).collect();
    let further = rule.also.iter().map(|also| format!(" and {}", also.id));
    let selects = rule
        .selectors
        .iter()
        .map(|selector| format!(" by {selector}"));
    path.join(" / ") + &further.chain(selects).collect::<String>()
}

/// A group of more than this many is counted, not listed, unless everything is asked for.
const LISTED_MAX: usize = 10;

impl Report {
    /// The report for people: what there is, how much changed, and what is worth a look; with `details`, all of it.
    pub(super) fn text(&self, details: bool) -> String {
        let mut out = format!(
            "{}: {} operations of {} services, {} host templates, {} bytes\n",
            self.version, self.operations, self.services, self.hosts, self.bytes
        );
        let mut groups = Vec::new();
        let older = &self.older;
        groups.push(Group::new(
            "older releases: services that are gone",
            &older.services,
        ));
        groups.push(Group::new(
            "older releases: operations that are gone",
            &older.operations,
        ));
        groups.push(Group::new(
            "older releases: another route or protocol",
            &older.forms,
        ));
        groups.push(Group::new(
            "older releases: services with another protocol",
            &older.protocols,
        ));
        match &self.before {
            Some(before) if self.changes.is_empty() => {
                let _ = writeln!(out, "no change against {before}");
            }
            Some(before) => {
                let _ = writeln!(out, "{} changes against {before}", self.changes.len());
            }
            None => out.push_str("there is no readable catalog to compare with\n"),
        }
        for what in What::ALL {
            let of_kind = self.changes.iter().filter(|c| c.what == what);
            let lines: Vec<String> = of_kind.map(Change::line).collect();
            groups.push(Group {
                title: what.title(),
                lines,
            });
        }
        groups.push(Group::new(
            "no rule lists the verb, taken as write",
            &self.unlisted,
        ));
        let but = self.readonly_but.iter().map(|(o, k)| format!("{o} ({k})"));
        groups.push(Group {
            title: "readonly in the model, classed otherwise",
            lines: but.collect(),
        });
        let title = "guarded, no resource found: judged on the account";
        groups.push(Group::new(title, &self.nameless));
        let title = "endpoint URLs that no host template can hold";
        groups.push(Group::new(title, &self.hosts_left_out));
        let mut cut = false;
        for group in groups.iter().filter(|group| !group.lines.is_empty()) {
            let _ = writeln!(out, "{:6}  {}", group.lines.len(), group.title);
            if details || group.lines.len() <= LISTED_MAX {
                for line in &group.lines {
                    let _ = writeln!(out, "          {line}");
                }
            } else {
                cut = true;
            }
        }
        if cut {
            out.push_str("`--details` lists them all, `--json` for programs\n");
        }
        out
    }
}

/// Lines of the report under one title.
struct Group {
    title: &'static str,
    lines: Vec<String>,
}

impl Group {
    fn new(title: &'static str, lines: &[String]) -> Self {
        Self {
            title,
            lines: lines.to_vec(),
        }
    }
}

impl Change {
    fn line(&self) -> String {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => format!("{}: {before} → {after}", self.operation),
            (Some(one), None) | (None, Some(one)) => format!("{} ({one})", self.operation),
            (None, None) => self.operation.clone(),
        }
    }
}

impl What {
    const ALL: [Self; 5] = [
        What::New,
        What::Removed,
        What::Class,
        What::Conditions,
        What::Resource,
    ];

    const fn title(self) -> &'static str {
        match self {
            What::New => "operations that are new",
            What::Removed => "operations that it has no more",
            What::Class => "operations of another class",
            What::Conditions => "operations that other input puts in another class",
            What::Resource => "operations with another resource",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::catalog::Catalog;

    #[test]
    fn other_input_that_puts_an_operation_in_another_class_is_a_change() {
        let catalog = Catalog::embedded().unwrap();
        let now = catalog.service("dynamodb").unwrap().unwrap();
        let mut before = Service::clone(&now);
        let operation = before.operations.get_mut("BatchWriteItem").unwrap();
        operation.conditions.clear();
        let [change] = between(Some(&before), Some(&now)).try_into().unwrap();
        assert_eq!(
            (change.operation.as_str(), change.what),
            ("dynamodb:BatchWriteItem", What::Conditions)
        );
        assert_eq!(change.before.as_deref(), Some("none"));
        let after = change.after.unwrap();
        assert!(
            after.starts_with("destroy, where RequestItems{}[].DeleteRequest"),
            "{after}"
        );
        assert!(between(Some(&now), Some(&now)).is_empty());
    }
}
