//! `classes.toml`: which class an operation is in, and where a resource stands that no general rule finds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

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
    Member,
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
}

/// The rules, read and checked.
#[derive(Debug, Clone)]
pub struct Rules {
    prefixes: Vec<String>,
    verbs: BTreeMap<String, Kind>,
    patterns: Vec<(String, Kind)>,
    member_verbs: BTreeSet<String>,
    members: BTreeMap<String, Kind>,
    operations: BTreeMap<String, BTreeMap<String, Kind>>,
    never_ids: BTreeSet<String>,
    resources: BTreeMap<String, NamedResource>,
}

/// Where an operation's resource stands, said by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedResource {
    /// The path of the ids; `None`: the operation names nothing.
    #[serde(default)]
    pub ids: Option<String>,
    #[serde(default)]
    pub or: Vec<String>,
    #[serde(default)]
    pub parents: Vec<String>,
    /// What kind of thing it is, where it isn't the operation's noun.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
}

type ByKind = BTreeMap<Kind, Vec<String>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    prefixes: Vec<String>,
    verbs: ByKind,
    patterns: ByKind,
    members: Members,
    operations: BTreeMap<String, ByKind>,
    #[serde(default)]
    never_ids: BTreeSet<String>,
    #[serde(default)]
    resources: BTreeMap<String, NamedResource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    verbs: Vec<String>,
    unprotect: Vec<String>,
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
            member_verbs: text.members.verbs.into_iter().collect(),
            members: text
                .members
                .unprotect
                .into_iter()
                .map(|m| (m, Kind::Class(Class::Unprotect)))
                .collect(),
            operations: text
                .operations
                .into_iter()
                .map(|(service, kinds)| {
                    let operations = flatten(kinds, &format!("the operation of `{service}`"))?;
                    Ok((service, operations))
                })
                .collect::<Result<_, RulesError>>()?,
            never_ids: text.never_ids,
            resources: text.resources,
        })
    }

    /// The class of an operation, and which rule said so. `members` are the names of its input's members.
    ///
    /// # Errors
    /// [`RulesError::Twice`] where two patterns disagree.
    pub fn kind<'a>(
        &self,
        service: &str,
        operation: &str,
        members: impl Iterator<Item = &'a str>,
    ) -> Result<(Kind, Source), RulesError> {
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
        if kind == Kind::Class(Class::Write) && self.member_verbs.contains(verb) {
            let mut hits = members.filter_map(|m| self.members.get(m));
            if let Some(kind) = hits.next() {
                return Ok((*kind, Source::Member));
            }
        }
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

    /// Whether members of that name never name a resource, whatever they look like.
    #[must_use]
    pub(super) fn is_never_id(&self, member: &str) -> bool {
        self.never_ids.contains(member)
    }

    /// What is said by name about an operation's resource.
    #[must_use]
    pub fn resource(&self, service: &str, operation: &str) -> Option<&NamedResource> {
        self.resources.get(&format!("{service}:{operation}"))
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
        let located = self
            .resources
            .keys()
            .filter_map(|k| k.split_once(':'))
            .filter(|(s, _)| *s == service)
            .map(|(_, o)| o);
        match classed.chain(located).find(|o| !is_there(o)) {
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

/// Whether a name fits a pattern in which `*` stands for any characters.
fn matches_glob(glob: &str, name: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(first) = parts.next() else {
        return false;
    };
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
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
        [members]
        verbs = ["Update"]
        unprotect = ["DeletionProtection"]
        [operations.sts]
        credentials = ["GetSessionToken"]
    "#;

    fn check(operation: &str, members: &[&str], expected: &str) {
        let rules = Rules::parse(RULES).unwrap();
        let (kind, _) = rules
            .kind("sts", operation, members.iter().copied())
            .unwrap();
        assert_eq!(kind.as_str(), expected, "{operation}");
    }

    #[test]
    fn the_most_particular_rule_decides() {
        check("GetSessionToken", &[], "credentials");
        check("GetCallerIdentity", &[], "read");
        check("DeleteThing", &[], "destroy");
        check("BatchDeleteThing", &[], "destroy");
        check("DeleteThingTags", &[], "tag");
        check("UpdateThing", &["Name"], "write");
        check("UpdateThing", &["DeletionProtection"], "unprotect");
        check("DeleteThing", &["DeletionProtection"], "destroy");
        check("StopThing", &[], "interrupt");
        check("FrobThing", &[], "write");
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
