//! `classes.toml`: which class an operation is in.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::conditions::Test;
use crate::aws::catalog::condition::matches_glob;
use crate::aws::class::{Class, Group};

/// A class or, for `disrupt`, one of its finer groups: what the data speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Kind {
    Class(Class),
    Disrupt(Group),
}

impl Kind {
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Kind::Class(class) => class,
            Kind::Disrupt(_) => Class::Disrupt,
        }
    }

    /// The finer group, inside `disrupt`.
    #[must_use]
    pub const fn group(self) -> Option<Group> {
        match self {
            Kind::Class(_) => None,
            Kind::Disrupt(group) => Some(group),
        }
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Class(class) => class.as_str(),
            Kind::Disrupt(group) => group.as_str(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.as_str().to_owned()
    }
}

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let class = Class::ALL
            .into_iter()
            .filter(|c| *c != Class::Disrupt)
            .map(Kind::Class);
        let groups = Group::ALL.into_iter().map(Kind::Disrupt);
        class
            .chain(groups)
            .find(|k| k.as_str() == text)
            .ok_or_else(|| format!("`{text}` is neither a class nor a group of `disrupt`"))
    }
}

/// Which rule said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Name,
    Pattern,
    Verb,
    /// None did.
    Unlisted,
}

/// Why rules can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    #[error("the rules don't parse: {0}")]
    Syntax(String),
    #[error("the rules put {what} both in `{first}` and in `{second}`")]
    Twice {
        what: String,
        first: Kind,
        second: Kind,
    },
    #[error("the rules name `{0}`, which the model doesn't have; take it out or correct it")]
    Unknown(String),
    #[error(
        "`{operation}` is an HTTP DELETE and would be a `{kind}`; class it under [operations] in the rules"
    )]
    DeleteUnguarded { operation: String, kind: Kind },
    #[error(
        "the rules look at `{place}` in the input of `{operation}`, which has no such place; take it out or correct it"
    )]
    NoPlace { operation: String, place: String },
}

/// The rules, read and checked.
#[derive(Debug, Clone)]
pub struct Rules {
    prefixes: Vec<String>,
    verbs: BTreeMap<String, Kind>,
    patterns: Vec<(String, Kind)>,
    conditions: Vec<General>,
    inputs: BTreeMap<String, BTreeMap<String, Tests>>,
    hands: Hands,
    operations: BTreeMap<String, BTreeMap<String, Kind>>,
}

type ByKind = BTreeMap<Kind, Vec<String>>;
type Tests = BTreeMap<Kind, Vec<Test>>;

/// Conditions for every operation whose name fits.
#[derive(Debug, Clone, Deserialize)]
struct General {
    /// Globs of operations' names; one with a colon is of `service:Operation`.
    of: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    #[serde(flatten)]
    tests: Tests,
}

/// How members that hand over a role or code are told, by globs of their names in any letter case.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hands {
    roles: Vec<String>,
    code: Vec<String>,
    /// Names that fit and hand over nothing, or nothing that can be turned against other things.
    harmless: Vec<String>,
    /// Globs of operations, `service:Operation`, that hand over nothing whatever their members are called.
    except: Vec<String>,
}

/// One test that the rules make of an operation's inputs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) test: &'a Test,
    pub(super) kind: Kind,
    /// Whether it is said of the service's operations by name, and not of all that are called like this.
    pub(super) particular: bool,
    /// Whether the place must be in the operation's input.
    pub(super) must_be_there: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    prefixes: Vec<String>,
    verbs: ByKind,
    patterns: ByKind,
    #[serde(default)]
    conditions: Vec<General>,
    #[serde(default)]
    inputs: BTreeMap<String, BTreeMap<String, Tests>>,
    #[serde(default)]
    hands: Hands,
    operations: BTreeMap<String, ByKind>,
}

impl Rules {
    /// Reads rules in TOML.
    ///
    /// # Errors
    /// [`RulesError`] where they don't parse or say two things of one.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let text: Text = toml::from_str(text).map_err(|e| RulesError::Syntax(e.to_string()))?;
        Ok(Self {
            prefixes: text.prefixes,
            verbs: flatten(text.verbs, "the verb")?,
            patterns: flatten(text.patterns, "the pattern")?.into_iter().collect(),
            conditions: text.conditions,
            inputs: text.inputs,
            hands: text.hands.lower(),
            operations: text
                .operations
                .into_iter()
                .map(|(service, kinds)| {
                    let operations = flatten(kinds, &format!("the operation of `{service}`"))?;
                    Ok((service, operations))
                })
                .collect::<Result<_, RulesError>>()?,
        })
    }

    /// The class of an operation whatever its input, and which rule said so.
    ///
    /// # Errors
    /// [`RulesError::Twice`] where two patterns disagree.
    pub fn kind(&self, service: &str, operation: &str) -> Result<(Kind, Source), RulesError> {
        if let Some(kind) = self.operations.get(service).and_then(|o| o.get(operation)) {
            return Ok((*kind, Source::Name));
        }
        if let Some(kind) = self.pattern(operation)? {
            return Ok((kind, Source::Pattern));
        }
        let verb = self.verb(operation).0;
        let Some(kind) = self.verbs.get(verb).copied() else {
            return Ok((Kind::Class(Class::Write), Source::Unlisted));
        };
        Ok((kind, Source::Verb))
    }

    /// An operation's verb and noun: `BatchDeleteImage` is `Delete` and `Image`.
    #[must_use]
    pub fn verb<'a>(&self, operation: &'a str) -> (&'a str, &'a str) {
        let (first, rest) = first_word(operation);
        if !rest.is_empty() && self.prefixes.iter().any(|p| p == first) {
            return first_word(rest);
        }
        (first, rest)
    }

    /// What the rules test in the inputs of an operation.
    pub(super) fn tests<'a>(
        &'a self,
        service: &'a str,
        operation: &'a str,
    ) -> impl Iterator<Item = Said<'a>> {
        let general = self
            .conditions
            .iter()
            .filter(move |g| {
                fits(&g.of, service, operation) && !fits(&g.except, service, operation)
            })
            .flat_map(|g| said(&g.tests, Particular::No));
        let particular = self
            .inputs
            .get(service)
            .into_iter()
            .flatten()
            .filter(move |(glob, _)| matches_glob(glob, operation))
            .flat_map(|(glob, tests)| match glob.contains('*') {
                true => said(tests, Particular::Glob),
                false => said(tests, Particular::Name),
            });
        general.chain(particular)
    }

    /// Whether a member of that name hands over a role or code.
    pub(super) fn is_hand(&self, member: &str) -> bool {
        let member = member.to_ascii_lowercase();
        let any = |globs: &[String]| globs.iter().any(|g| matches_glob(g, &member));
        (any(&self.hands.roles) || any(&self.hands.code)) && !any(&self.hands.harmless)
    }

    /// Whether an operation's members are looked at for what they hand over.
    pub(super) fn may_hand(&self, service: &str, operation: &str) -> bool {
        !fits(&self.hands.except, service, operation)
    }

    /// Whether members of that name are looked for anywhere in inputs.
    pub(super) fn is_looked_for(&self, member: &str) -> bool {
        let general = self.conditions.iter().map(|g| &g.tests);
        let particular = self.inputs.values().flat_map(BTreeMap::values);
        self.is_hand(member)
            || general
                .chain(particular)
                .flat_map(BTreeMap::values)
                .flatten()
                .any(|test| test.wanders_to(member))
    }

    /// Checks that every name the rules speak of in a service is there.
    ///
    /// # Errors
    /// [`RulesError::Unknown`] naming one that isn't.
    pub fn check_names(
        &self,
        service: &str,
        is_there: impl Fn(&str) -> bool,
    ) -> Result<(), RulesError> {
        let classed = self
            .operations
            .get(service)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .map(String::as_str);
        let tested = self
            .inputs
            .get(service)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .map(String::as_str)
            .filter(|o| !o.contains('*'));
        match classed.chain(tested).find(|o| !is_there(o)) {
            Some(missing) => Err(RulesError::Unknown(format!("{service}:{missing}"))),
            None => Ok(()),
        }
    }

    fn pattern(&self, operation: &str) -> Result<Option<Kind>, RulesError> {
        let mut found: Option<Kind> = None;
        for (glob, kind) in &self.patterns {
            if !matches_glob(glob, operation) {
                continue;
            }
            match found {
                Some(first) if first != *kind => {
                    return Err(RulesError::Twice {
                        what: format!("the pattern of `{operation}`"),
                        first,
                        second: *kind,
                    });
                }
                Some(_) | None => found = Some(*kind),
            }
        }
        Ok(found)
    }
}

impl Hands {
    fn lower(self) -> Self {
        let lower = |globs: Vec<String>| globs.iter().map(|g| g.to_ascii_lowercase()).collect();
        Self {
            roles: lower(self.roles),
            code: lower(self.code),
            harmless: lower(self.harmless),
            except: self.except,
        }
    }
}

/// Of whom a test is said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Particular {
    No,
    Glob,
    Name,
}

fn said(tests: &Tests, of: Particular) -> impl Iterator<Item = Said<'_>> {
    tests.iter().flat_map(move |(kind, tests)| {
        tests.iter().map(move |test| Said {
            test,
            kind: *kind,
            particular: of != Particular::No,
            must_be_there: of == Particular::Name,
        })
    })
}

/// Whether one of the globs is of the operation; one with a colon is of the service too.
fn fits(globs: &[String], service: &str, operation: &str) -> bool {
    globs.iter().any(|glob| match glob.split_once(':') {
        Some((of, name)) => matches_glob(of, service) && matches_glob(name, operation),
        None => matches_glob(glob, operation),
    })
}

fn flatten(kinds: ByKind, what: &str) -> Result<BTreeMap<String, Kind>, RulesError> {
    let mut flat = BTreeMap::new();
    for (kind, names) in kinds {
        for name in names {
            if let Some(first) = flat.insert(name.clone(), kind) {
                return Err(RulesError::Twice {
                    what: format!("{what} `{name}`"),
                    first,
                    second: kind,
                });
            }
        }
    }
    Ok(flat)
}

/// The first word of a name in camel case, and the rest: `GetAWSOrganization` is `Get` and `AWSOrganization`.
fn first_word(name: &str) -> (&str, &str) {
    let end = name
        .char_indices()
        .skip(1)
        .find(|(_, c)| !c.is_ascii_lowercase())
        .map_or(name.len(), |(at, _)| at);
    name.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        prefixes = ["Batch"]
        [verbs]
        read = ["Get"]
        write = ["Update"]
        destroy = ["Delete"]
        interrupt = ["Stop"]
        [patterns]
        tag = ["Delete*Tags"]
        [operations.sts]
        credentials = ["GetSessionToken"]
    "#;

    fn check(operation: &str, expected: &str) {
        let rules = Rules::parse(RULES).unwrap();
        let (kind, _) = rules.kind("sts", operation).unwrap();
        assert_eq!(kind.as_str(), expected, "{operation}");
    }

    #[test]
    fn the_most_particular_rule_decides() {
        check("GetSessionToken", "credentials");
        check("GetCallerIdentity", "read");
        check("DeleteThing", "destroy");
        check("BatchDeleteThing", "destroy");
        check("DeleteThingTags", "tag");
        check("UpdateThing", "write");
        check("StopThing", "interrupt");
        check("FrobThing", "write");
    }

    #[test]
    fn a_verb_in_two_kinds_is_refused() {
        let twice = RULES.replace(r#"["Stop"]"#, r#"["Stop", "Get"]"#);
        assert!(matches!(
            Rules::parse(&twice),
            Err(RulesError::Twice { .. })
        ));
    }

    #[test]
    fn an_unknown_kind_is_refused() {
        let odd = RULES.replace("interrupt", "disrupt");
        assert!(matches!(Rules::parse(&odd), Err(RulesError::Syntax(_))));
    }

    #[test]
    fn a_name_that_the_model_lacks_is_refused() {
        let rules = Rules::parse(RULES).unwrap();
        assert_eq!(
            rules.check_names("sts", |_| false),
            Err(RulesError::Unknown("sts:GetSessionToken".into()))
        );
        assert_eq!(rules.check_names("mgn", |_| false), Ok(()));
    }

    #[test]
    fn globs_match_whole_names() {
        for (glob, name, expected) in [
            ("AddTags", "AddTags", true),
            ("AddTags", "AddTagsToResource", false),
            ("AddTags*", "AddTagsToResource", true),
            ("Put*Policy", "PutRetentionPolicy", true),
            ("Put*Policy", "PutPolicyX", false),
            ("*a*b", "xaxb", true),
            ("*a*b", "xbxa", false),
        ] {
            assert_eq!(matches_glob(glob, name), expected, "{glob} {name}");
        }
    }
}
