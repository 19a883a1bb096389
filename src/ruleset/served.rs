//! What operations a guard serves by and of which kinds, kept in its state folder, so that the next release can tell what
//! it changes before it is rolled out.
//!
//! It is a note for people: nothing is decided by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::aws::catalog::Catalog;
use crate::aws::catalog::outline::Outline;
use crate::aws::class::{Class, Group};
use crate::guard::knowledge::Knowledge;
use crate::guard::release::THIS;

/// Its name in the state folder.
pub const FILE: &str = "operations.json";

/// The form that this release writes. Members that are added don't make another.
const FORMAT: u64 = 1;

/// Many times what all of AWS takes.
const BYTES_MAX: u64 = 16 << 20;

/// What a guard served by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    format: u64,
    /// The release of Palisade: `0.1.0`.
    pub palisade: String,
    /// What its catalog was made from: `botocore-1.44.5`.
    pub catalog: String,
    /// Reads and writes that a service file guards: `workspaces-instances:ListInstanceTypes`.
    guarded: BTreeSet<String>,
    /// By service and name, the kinds that calls can be of, the operation's own first: `write|destroy`.
    operations: BTreeMap<String, BTreeMap<String, String>>,
    /// By service and name, what in its input puts a call in another class, in order: `destroy, by Mode=DELETE`. Of an
    /// operation of more than one kind that isn't here nobody has written it down.
    #[serde(default)]
    conditions: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

/// What a guard did with calls of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind<'s> {
    /// The kinds that its calls can be of, its own first: `write|destroy`.
    pub words: &'s str,
    /// A service file guards it, whatever its class.
    pub by_file: bool,
}

/// Why it can't be told what a guard served by.
#[derive(Debug, thiserror::Error)]
pub enum ServedError {
    #[error("`{}` can't be read: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("`{}` is larger than {BYTES_MAX} bytes, as no list of operations is", .0.display())]
    TooLarge(PathBuf),
    #[error(
        "`{}` was written by palisade {version} in a form that {THIS} doesn't know: use that release or a newer one",
        path.display()
    )]
    Newer { path: PathBuf, version: String },
    #[error(
        "`{}` is no list of operations: a guard writes one as `{FILE}` into its state folder, and `palisade catalog show --classes` prints one",
        .0.display()
    )]
    NoList(PathBuf),
}

/// What each form says of itself.
#[derive(Deserialize)]
struct Head {
    format: u64,
    palisade: String,
}

impl Served {
    /// What this release serves by, with this catalog and these service files.
    #[must_use]
    pub fn now(catalog: &Catalog, knowledge: &Knowledge) -> Self {
        let guarded = knowledge.services().flat_map(|rules| {
            let guarded = rules.operations.iter().filter(|(_, rule)| rule.guarded);
            guarded.map(|(operation, _)| format!("{}:{operation}", rules.service))
        });
        let operations = catalog.outlines().map(|(service, outline)| {
            let kinds = outline.operations();
            let kinds = kinds.map(|brief| (brief.name.to_owned(), brief.kind.to_owned()));
            (service.to_owned(), kinds.collect())
        });
        Self {
            format: FORMAT,
            palisade: THIS.to_owned(),
            catalog: catalog.version().to_owned(),
            guarded: guarded.collect(),
            operations: operations.collect(),
            conditions: catalog.outlines().filter_map(conditions).collect(),
        }
    }

    /// Reads what a guard has left; `None` where there is no such file.
    ///
    /// # Errors
    /// [`ServedError`] where the file is there and can't be read, or isn't one.
    pub fn read(path: &Path) -> Result<Option<Self>, ServedError> {
        let failed = |error| ServedError::Read {
            path: path.to_owned(),
            error,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if u64::try_from(bytes.len()).map_or(true, |length| length > BYTES_MAX) {
            return Err(ServedError::TooLarge(path.to_owned()));
        }
        let no_list = |_| ServedError::NoList(path.to_owned());
        let head: Head = serde_json::from_slice(&bytes).map_err(no_list)?;
        if head.format > FORMAT {
            return Err(ServedError::Newer {
                path: path.to_owned(),
                version: head.palisade,
            });
        }
        serde_json::from_slice(&bytes).map_err(no_list).map(Some)
    }

    /// As the file has it: JSON, a line for each service.
    ///
    /// # Errors
    /// None that is known: names and words always have a spelling in JSON.
    pub fn text(&self) -> serde_json::Result<String> {
        let mut text = format!(
            "{{\"format\":{},\"palisade\":{},\"catalog\":{},\n\"guarded\":{},\n\"operations\":{{",
            self.format,
            serde_json::to_string(&self.palisade)?,
            serde_json::to_string(&self.catalog)?,
            serde_json::to_string(&self.guarded)?,
        );
        for (at, (service, operations)) in self.operations.iter().enumerate() {
            text.push_str(if at == 0 { "\n" } else { ",\n" });
            text.push_str(&serde_json::to_string(service)?);
            text.push(':');
            text.push_str(&serde_json::to_string(operations)?);
        }
        text.push_str("\n},\n\"conditions\":{");
        for (at, (service, operations)) in self.conditions.iter().enumerate() {
            text.push_str(if at == 0 { "\n" } else { ",\n" });
            text.push_str(&serde_json::to_string(service)?);
            text.push(':');
            text.push_str(&serde_json::to_string(operations)?);
        }
        text.push_str("\n}}\n");
        Ok(text)
    }

    /// Every operation, as `service` and name, in order.
    pub fn operations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.operations.iter().flat_map(|(service, operations)| {
            operations
                .keys()
                .map(|name| (service.as_str(), name.as_str()))
        })
    }

    /// What in its input puts a call of an operation in another class; `None` where that isn't known, and nothing where
    /// there is nothing.
    #[must_use]
    pub fn conditions(&self, service: &str, operation: &str) -> Option<&BTreeSet<String>> {
        const NONE: &BTreeSet<String> = &BTreeSet::new();
        let known = self.conditions.get(service).and_then(|s| s.get(operation));
        match self.kind(service, operation)?.words.contains('|') {
            true => known,
            false => Some(known.unwrap_or(NONE)),
        }
    }

    /// What was done with an operation's calls; `None` where there is no such operation.
    #[must_use]
    pub fn kind(&self, service: &str, operation: &str) -> Option<Kind<'_>> {
        Some(Kind {
            words: self.operations.get(service)?.get(operation)?,
            by_file: self.guarded.contains(&format!("{service}:{operation}")),
        })
    }
}

/// What in the inputs of a service's operations puts calls in another class; `None` where nothing does.
fn conditions<'a>(
    (service, outline): (&'a str, Outline<'a>),
) -> Option<(String, BTreeMap<String, BTreeSet<String>>)> {
    let mut found = BTreeMap::new();
    for brief in outline.operations() {
        let conditions = brief.conditions();
        let conditions: BTreeSet<String> = conditions
            .map(|(kind, condition)| format!("{kind}, by {condition}"))
            .collect();
        if !conditions.is_empty() {
            found.insert(brief.name.to_owned(), conditions);
        }
    }
    (!found.is_empty()).then(|| (service.to_owned(), found))
}

impl Kind<'_> {
    /// Whether its calls can be guarded. A kind that this release doesn't know is.
    #[must_use]
    pub fn is_guarded(self) -> bool {
        let open = |word: &str| {
            [Class::Read, Class::Write]
                .iter()
                .any(|c| c.as_str() == word)
        };
        self.by_file || !self.words.split('|').all(open)
    }

    /// In words: `write|destroy`, `read, guarded`.
    #[must_use]
    pub fn in_words(self) -> String {
        let known = |word: &str| {
            Class::ALL.iter().any(|c| c.as_str() == word)
                || Group::ALL.iter().any(|g| g.as_str() == word)
        };
        let words: Vec<String> = self
            .words
            .split('|')
            .map(|word| match known(word) {
                true => word.to_owned(),
                false => format!("{} (unknown)", word.escape_debug()),
            })
            .collect();
        let by_file = if self.by_file { ", guarded" } else { "" };
        words.join("|") + by_file
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::catalog::few::few;

    fn now() -> Served {
        Served::now(
            &Catalog::embedded().unwrap(),
            &Knowledge::embedded().unwrap(),
        )
    }

    fn read(text: &str) -> Result<Option<Served>, ServedError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Served::read(file.path())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let now = now();
        assert_eq!(read(&now.text().unwrap()).unwrap(), Some(now));
    }

    #[test]
    fn it_tells_every_kind_and_what_service_files_guard() {
        let now = now();
        let check = |service, operation, words: &str, guarded| {
            let kind = now.kind(service, operation).unwrap();
            assert_eq!(
                (kind.in_words().as_str(), kind.is_guarded()),
                (words, guarded)
            );
        };
        check("workspaces", "TerminateWorkspaces", "destroy", true);
        check("workspaces", "StopWorkspaces", "interrupt", true);
        check("dynamodb", "BatchWriteItem", "write|destroy", true);
        check("sts", "GetCallerIdentity", "read", false);
        check(
            "workspaces-instances",
            "ListInstanceTypes",
            "read, guarded",
            true,
        );
        assert_eq!(now.kind("workspaces", "TerminateWorkspace"), None);
        assert!(now.operations().count() > 10_000);
    }

    #[test]
    fn it_tells_what_in_an_input_puts_a_call_in_another_class() {
        let now = Served::now(&few(&["dynamodb", "sts"]), &Knowledge::embedded().unwrap());
        assert_eq!(read(&now.text().unwrap()).unwrap(), Some(now.clone()));
        let batch = now.conditions("dynamodb", "BatchWriteItem").unwrap();
        let expected = "destroy, by RequestItems{}[].DeleteRequest";
        assert_eq!(Vec::from_iter(batch), [expected]);
        let none = now.conditions("sts", "GetCallerIdentity").unwrap();
        assert!(none.is_empty());
        assert_eq!(now.conditions("sts", "GetNothing"), None);
        // A release that wrote no conditions.
        let mut older = now;
        older.conditions.clear();
        assert_eq!(older.conditions("dynamodb", "BatchWriteItem"), None);
        assert!(
            older
                .conditions("sts", "GetCallerIdentity")
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn additions_of_a_newer_release_are_no_matter_and_another_form_is_an_error() {
        let text = now().text().unwrap();
        let more = text.replacen("{\"format\"", "{\"more\":[1],\"format\"", 1);
        assert_eq!(read(&more).unwrap(), Some(now()));
        let error = read(r#"{"format":2,"palisade":"9999.1.0"}"#).unwrap_err();
        assert!(
            error.to_string().contains("written by palisade 9999.1.0"),
            "{error}"
        );
        for bad in ["", "{}", "[]", r#"{"format":1,"palisade":"0.1.0"}"#] {
            let error = read(bad).unwrap_err();
            assert!(matches!(error, ServedError::NoList(_)), "{bad}: {error}");
        }
        assert_eq!(Served::read(Path::new("/nowhere/at-all")).unwrap(), None);
    }
}
