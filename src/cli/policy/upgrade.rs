//! What changes for operations from what a guard served by to what this release, with its catalog and service files, would:
//! for people who are about to roll it out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::aws::catalog::Catalog;
use crate::cli::catalog::{Change, What};
use crate::cli::table;
use crate::guard::knowledge::Knowledge;
use crate::guard::policies::PolicyFault;
use crate::ruleset::served::{FILE, Kind, Served, ServedError};

/// More changes of one sort than this are counted for people; programs get all.
const LISTED_MAX: usize = 20;

/// What a guard served by, as far as that is known.
pub(super) enum Before {
    /// There is nothing to compare with, since no guard has left its list there.
    Unknown(PathBuf),
    /// There is, but it can't be read.
    Unreadable(ServedError),
    Served {
        file: PathBuf,
        served: Box<Served>,
    },
}

/// What changes.
pub(super) struct Upgrade {
    before: Before,
    /// In the order of their names.
    changes: Vec<Changed>,
    after: String,
}

struct Changed {
    change: Change,
    was_guarded: bool,
    is_guarded: bool,
}

impl Before {
    /// The list that the command line names.
    ///
    /// # Errors
    /// [`ServedError`] where there is none in that file.
    pub(super) fn named(file: &Path) -> Result<Self, ServedError> {
        match Served::read(file)? {
            Some(served) => Ok(Self::of(file, served)),
            None => Err(ServedError::Read {
                path: file.to_owned(),
                error: std::io::ErrorKind::NotFound.into(),
            }),
        }
    }

    /// The list that the guard of a state folder has left.
    pub(super) fn of_state(folder: &Path) -> Self {
        let file = folder.join(FILE);
        match Served::read(&file) {
            Ok(Some(served)) => Self::of(&file, served),
            Ok(None) => Self::Unknown(file),
            Err(error) => Self::Unreadable(error),
        }
    }

    fn of(file: &Path, served: Served) -> Self {
        Self::Served {
            file: file.to_owned(),
            served: Box::new(served),
        }
    }
}

impl Upgrade {
    pub(super) fn new(before: Before, catalog: &Catalog, knowledge: &Knowledge) -> Self {
        let changes = match &before {
            Before::Unknown(_) | Before::Unreadable(_) => Vec::new(),
            Before::Served { served, .. } => between(served, &Served::now(catalog, knowledge)),
        };
        Self {
            before,
            changes,
            after: catalog.version().to_owned(),
        }
    }

    /// For people. `faults` are those of the policy set: an operation that is gone is told with the policies that it
    /// spoils.
    pub(super) fn text(&self, faults: &[PolicyFault]) -> String {
        let (file, served) = match &self.before {
            Before::Unknown(file) => {
                return format!(
                    "not compared with what a guard serves by: there is no `{}` (`--against` names one)\n",
                    table::printable(&file.display().to_string())
                );
            }
            Before::Unreadable(error) => {
                let error = table::printable(&error.to_string());
                return format!("warning: not compared with what a guard serves by: {error}\n");
            }
            Before::Served { file, served } => (file.display().to_string(), served),
        };
        let against = table::printable(&format!(
            "what palisade {} served by ({}, `{file}`)",
            served.palisade, served.catalog
        ));
        if self.changes.is_empty() {
            return format!("no operation changes against {against}\n");
        }
        let mut rows = Vec::new();
        let mut more = 0;
        for what in [What::Class, What::Conditions, What::Removed, What::New] {
            let listed = self.changes.iter().filter(|c| c.is_listed(what));
            let found: Vec<[String; 4]> = listed.map(|c| c.row(faults)).collect();
            more += found.len().saturating_sub(LISTED_MAX);
            rows.extend(found.into_iter().take(LISTED_MAX));
        }
        let mut text = if rows.is_empty() {
            String::new()
        } else {
            table::text(&["OPERATION", "BEFORE", "NOW", "MEANS"], &rows)
        };
        if more > 0 {
            text.push_str(&format!("and {more} more, which `--json` lists\n"));
        }
        let count = |what, guarded: Option<bool>| {
            let of_kind = |c: &&Changed| {
                c.change.what == what && guarded.is_none_or(|guarded| c.is_guarded == guarded)
            };
            self.changes.iter().filter(of_kind).count()
        };
        text.push_str(&format!(
            "\nwith {}, against {against}: {} operations are of another class, {} by other inputs, {} are gone, {} that are guarded and {} that aren't are new\n",
            self.after,
            count(What::Class, None),
            count(What::Conditions, None),
            count(What::Removed, None),
            count(What::New, Some(true)),
            count(What::New, Some(false)),
        ));
        text
    }

    /// For programs; null where there is nothing to compare with.
    pub(super) fn json(&self) -> Value {
        match &self.before {
            Before::Unknown(_) => Value::Null,
            Before::Unreadable(error) => json!({ "error": error.to_string() }),
            Before::Served { file, served } => {
                let changes = self.changes.iter().map(|changed| {
                    let Change {
                        operation,
                        what,
                        before,
                        after,
                    } = &changed.change;
                    json!({
                        "operation": operation,
                        "what": what,
                        "before": before,
                        "after": after,
                        "was_guarded": changed.was_guarded,
                        "is_guarded": changed.is_guarded,
                    })
                });
                json!({
                    "against": {
                        "file": file.display().to_string(),
                        "palisade": served.palisade,
                        "catalog": served.catalog,
                    },
                    "catalog": self.after,
                    "changes": changes.collect::<Vec<_>>(),
                })
            }
        }
    }
}

impl Changed {
    /// Whether it is told by its name, and not only counted: new ones only where they are guarded.
    fn is_listed(&self, what: What) -> bool {
        self.change.what == what && (what != What::New || self.is_guarded)
    }

    fn row(&self, faults: &[PolicyFault]) -> [String; 4] {
        let cell = |kind: &Option<String>| kind.clone().unwrap_or_else(|| "-".to_owned());
        let Change {
            operation,
            what,
            before,
            after,
        } = &self.change;
        let means = match (what, self.was_guarded, self.is_guarded) {
            (What::Removed, _, _) => {
                let spoilt: Vec<String> = spoilt(operation, faults);
                match spoilt.is_empty() {
                    true => "calls of it are refused".to_owned(),
                    false => format!(
                        "calls of it are refused; no longer valid: {}",
                        spoilt.join(", ")
                    ),
                }
            }
            (What::New, _, _) => "new, and guarded".to_owned(),
            (What::Conditions, _, _) => match (before, after) {
                (Some(_), Some(_)) => "other calls of it are guarded, or of another class",
                (None, _) => "more calls of it are guarded, or of another class",
                (_, None) => "fewer calls of it are guarded, or of another class",
            }
            .to_owned(),
            (_, false, true) => "guarded from now on".to_owned(),
            (_, true, false) => "not guarded any more".to_owned(),
            (_, true, true) | (_, false, false) => "other policies apply".to_owned(),
        };
        [operation.clone(), cell(before), cell(after), means]
    }
}

/// The policies that aren't valid because of an operation.
fn spoilt(operation: &str, faults: &[PolicyFault]) -> Vec<String> {
    let names = format!("`{operation}`");
    let about = faults.iter().filter(|f| f.message.contains(&names));
    let policies = about.filter_map(|f| f.policy.as_ref());
    policies.map(|id| format!("`{id}`")).collect()
}

fn between(before: &Served, now: &Served) -> Vec<Changed> {
    let mut found = Vec::new();
    let mut all: Vec<(&str, &str)> = before.operations().chain(now.operations()).collect();
    all.sort_unstable();
    all.dedup();
    for (service, name) in all {
        let (old, new) = (before.kind(service, name), now.kind(service, name));
        let mut tell = |what, before, after| {
            found.push(Changed {
                change: Change {
                    operation: format!("{service}:{name}"),
                    what,
                    before,
                    after,
                },
                was_guarded: old.is_some_and(|kind| kind.is_guarded()),
                is_guarded: new.is_some_and(|kind| kind.is_guarded()),
            });
        };
        let what = match (old, new) {
            (None, _) => What::New,
            (_, None) => What::Removed,
            (Some(_), Some(_)) => What::Class,
        };
        if old != new {
            let words = |kind: Option<Kind<'_>>| kind.map(|kind| kind.in_words());
            tell(what, words(old), words(new));
        }
        // Only where both are known: of a release that wrote none down nothing can be told.
        if let (Some(old), Some(new)) = (
            before.conditions(service, name),
            now.conditions(service, name),
        ) && old != new
        {
            let only = |these: &BTreeSet<String>, those: &BTreeSet<String>| {
                let mine: Vec<&str> = these.difference(those).map(String::as_str).collect();
                (!mine.is_empty()).then(|| mine.join("; "))
            };
            tell(What::Conditions, only(old, new), only(new, old));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::catalog::few::few;

    fn embedded() -> (Catalog, Knowledge) {
        (Catalog::embedded().unwrap(), Knowledge::embedded().unwrap())
    }

    /// What changes against a guard whose list had other words in it.
    fn against(pairs: &[(&str, &str)]) -> Upgrade {
        let (catalog, knowledge) = embedded();
        let mut text = Served::now(&catalog, &knowledge).text().unwrap();
        for (now, before) in pairs {
            assert_eq!(text.matches(now).count(), 1, "{now}");
            text = text.replace(now, before);
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), text).unwrap();
        Upgrade::new(Before::of_state(folder.path()), &catalog, &knowledge)
    }

    fn fault(policy: &str, message: &str) -> PolicyFault {
        PolicyFault {
            file: "all.cedar".to_owned(),
            line: Some(1),
            policy: Some(policy.to_owned()),
            message: message.to_owned(),
        }
    }

    #[track_caller]
    fn check(upgrade: &Upgrade, faults: &[PolicyFault], expected: &[&str]) {
        let text = upgrade.text(faults);
        let squeezed: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        for part in expected {
            assert!(
                squeezed.iter().any(|line| line.contains(part)),
                "`{part}` in:\n{text}"
            );
        }
    }

    #[test]
    fn the_same_changes_nothing() {
        let upgrade = against(&[]);
        check(
            &upgrade,
            &[],
            &["no operation changes against what palisade"],
        );
        assert_eq!(upgrade.json()["changes"], json!([]));
    }

    #[test]
    fn another_class_says_whether_it_is_guarded_now() {
        let upgrade = against(&[
            (
                r#""TerminateWorkspaces":"destroy""#,
                r#""TerminateWorkspaces":"write""#,
            ),
            (
                r#""DescribeWorkspacesPools":"read""#,
                r#""DescribeWorkspacesPools":"destroy""#,
            ),
            (
                r#""RebuildWorkspaces":"overwrite""#,
                r#""RebuildWorkspaces":"write|overwrite""#,
            ),
            (
                r#""workspaces-instances:ListInstanceTypes""#,
                r#""workspaces-instances:Other""#,
            ),
        ]);
        check(
            &upgrade,
            &[],
            &[
                "workspaces:TerminateWorkspaces write destroy guarded from now on",
                "workspaces:DescribeWorkspacesPools destroy read not guarded any more",
                "workspaces:RebuildWorkspaces write|overwrite overwrite other policies apply",
                "workspaces-instances:ListInstanceTypes read read, guarded guarded from now on",
                "4 operations are of another class, 0 by other inputs, 0 are gone, 0 that are guarded and 0 that aren't are new",
            ],
        );
        let first = &upgrade.json()["changes"][0];
        assert_eq!(first["operation"], "workspaces:DescribeWorkspacesPools");
        assert_eq!(
            (&first["was_guarded"], &first["is_guarded"]),
            (&json!(true), &json!(false))
        );
    }

    #[test]
    fn other_inputs_that_put_a_call_in_a_class_are_told() {
        let knowledge = Knowledge::embedded().unwrap();
        let catalog = few(&["dynamodb", "sts"]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let now = Served::now(&catalog, &knowledge).text().unwrap();
        let against = |pairs: &[(&str, &str)]| {
            let mut text = now.clone();
            for (now, before) in pairs {
                assert_eq!(text.matches(now).count(), 1, "{now}");
                text = text.replace(now, before);
            }
            std::fs::write(&file, text).unwrap();
            Upgrade::new(Before::named(&file).unwrap(), &catalog, &knowledge)
        };
        let upgrade = against(&[
            (
                "destroy, by TransactItems[].Delete",
                "destroy, by TransactItems[].Put",
            ),
            (
                r#""BatchWriteItem":["#,
                r#""BatchWriteItem":["destroy, by Whim=yes","#,
            ),
            (r#""destroy, by GlobalTableWitnessUpdates[].Delete","#, ""),
        ]);
        check(
            &upgrade,
            &[],
            &[
                "dynamodb:TransactWriteItems destroy, by TransactItems[].Put destroy, by TransactItems[].Delete other calls of it",
                "dynamodb:BatchWriteItem destroy, by Whim=yes - fewer calls of it",
                "dynamodb:UpdateTable - destroy, by GlobalTableWitnessUpdates[].Delete more calls of it",
                "0 operations are of another class, 3 by other inputs, 0 are gone",
            ],
        );
        assert_eq!(upgrade.json()["changes"][0]["what"], "conditions");
        // What wrote no conditions down is compared by its classes.
        let (older, _) = now.split_once(",\n\"conditions\"").unwrap();
        std::fs::write(&file, format!("{older}}}")).unwrap();
        let upgrade = Upgrade::new(Before::named(&file).unwrap(), &catalog, &knowledge);
        assert_eq!(upgrade.json()["changes"], json!([]));
    }

    #[test]
    fn what_is_gone_names_the_policies_that_it_spoils() {
        let upgrade = against(&[(r#""TerminateWorkspaces":"#, r#""TerminateDesktops":"#)]);
        let faults = [
            fault(
                "desks",
                "the catalog has no action `workspaces:TerminateDesktops`; did you mean …",
            ),
            fault(
                "other",
                "the catalog has no action `workspaces:TerminateDesktop`",
            ),
        ];
        check(
            &upgrade,
            &faults,
            &[
                "workspaces:TerminateDesktops destroy - calls of it are refused; no longer valid: `desks`",
                "workspaces:TerminateWorkspaces - destroy new, and guarded",
                "1 are gone, 1 that are guarded and 0 that aren't are new",
            ],
        );
        check(
            &upgrade,
            &[],
            &["TerminateDesktops destroy - calls of it are refused"],
        );
    }

    #[test]
    fn a_catalog_that_knew_less_is_told_by_what_is_guarded_now() {
        let (catalog, knowledge) = embedded();
        let older = few(&["sts", "evs"]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        std::fs::write(&file, Served::now(&older, &knowledge).text().unwrap()).unwrap();
        let upgrade = Upgrade::new(Before::named(&file).unwrap(), &catalog, &knowledge);
        let all = upgrade.json()["changes"].as_array().unwrap().len();
        let known = older.outlines().flat_map(|(_, o)| o.names()).count();
        let there = catalog.outlines().flat_map(|(_, o)| o.names()).count();
        assert_eq!(all, there - known);
        let text = upgrade.text(&[]);
        let listed = text
            .lines()
            .filter(|line| line.ends_with("new, and guarded"));
        assert_eq!(listed.count(), LISTED_MAX);
        check(
            &upgrade,
            &[],
            &[
                "more, which `--json` lists",
                "0 operations are of another class",
            ],
        );
        // The other way round, as when a release is taken back.
        std::fs::write(&file, Served::now(&catalog, &knowledge).text().unwrap()).unwrap();
        let back = Upgrade::new(Before::named(&file).unwrap(), &older, &knowledge);
        check(
            &back,
            &[],
            &[&format!("{} are gone, 0 that are guarded", there - known)],
        );
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let (catalog, knowledge) = embedded();
        let folder = tempfile::tempdir().unwrap();
        let nothing = Upgrade::new(Before::of_state(folder.path()), &catalog, &knowledge);
        check(
            &nothing,
            &[],
            &["not compared with what a guard serves by: there is no"],
        );
        assert_eq!(nothing.json(), Value::Null);
        let file = folder.path().join(FILE);
        assert!(Before::named(&file).is_err());
        std::fs::write(&file, "{}").unwrap();
        let damaged = Upgrade::new(Before::of_state(folder.path()), &catalog, &knowledge);
        check(
            &damaged,
            &[],
            &["warning: not compared", "is no list of operations"],
        );
        assert!(Before::named(&file).is_err());
    }
}
