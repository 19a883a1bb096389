//! What a guarded call would affect, as its input names it: [`Targets`].
//!
//! The place of the ids comes from the service file where it says one, else from the catalog's rule. A call
//! that names nothing is judged on its account; one that selects (by tags, filters) on a resource of type
//! `selector`.

mod canonical;
mod place;
mod tags;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::aws::catalog::model::{Operation, Service};
use crate::aws::value::{Object, Value};
use crate::guard::knowledge::{Knowledge, OperationRule};
use crate::guard::path::Path;

pub(in crate::guard) use canonical::canonical;
use place::{Other, Place};
pub(crate) use tags::pair;
pub(in crate::guard) use tags::with_trimmed;
use tags::{Tags, tags};
use walk::Spot;

/// The type of the resource that stands for the account itself.
pub const ACCOUNT: &str = "account";
/// The type of the resource that stands for whatever a selector matches.
pub const SELECTOR: &str = "selector";

/// Everything that a guarded call names.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// Distinct, in the order of the call; at least one, unless the call is judged on its service.
    pub targets: Vec<Target>,
    /// How many items the call's list has; 1 where there is no list.
    pub batch_size: usize,
    /// Whether the call selects resources without naming them.
    pub selector: bool,
    /// The account that the call acts in, where it says another than that of its credentials.
    pub account: Option<String>,
    /// Where the name stands that the call gives, and where the id belongs that takes its place.
    pub named: Option<NamePlace>,
    /// Tag keys that the call sets or removes, as far as its input names them.
    pub tag_keys: BTreeSet<String>,
    /// Whether the call also takes off the tags that its resources have and that it doesn't name.
    pub replaces_tags: bool,
    /// Tags that the call sets.
    pub request_tags: BTreeMap<String, String>,
}

/// The two members of which a call gives one to name its resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePlace {
    pub name: Path,
    pub id: Path,
}

/// One thing that a call names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    pub spelling: Spelling,
    /// CloudFormation's name, else `service:Noun`.
    pub kind: String,
    /// Outermost first.
    pub parents: Vec<ParentId>,
    /// Other spellings of the same thing: as the caller wrote it where that isn't its id.
    pub also: Vec<String>,
    /// Its ARN, where it is known without asking.
    pub arn: Option<String>,
    /// Whether nothing but a lookup tells which id the thing has: it may have been named by another name.
    pub loose: bool,
}

impl Target {
    /// A thing, spelt as it is everywhere.
    #[must_use]
    pub fn new(spelling: Spelling, kind: &str, parents: Vec<ParentId>) -> Self {
        Self {
            spelling,
            kind: kind.to_owned(),
            parents,
            also: Vec::new(),
            arn: None,
            loose: false,
        }
    }
}

/// How the caller named the thing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Spelling {
    Id(String),
    /// By a name, which a lookup has to resolve.
    Name(String),
}

impl Spelling {
    /// The text, whichever it is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Spelling::Id(text) | Spelling::Name(text) => text,
        }
    }
}

/// A thing that another stands in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParentId {
    pub id: String,
    pub kind: String,
}

/// Why what a call names can't be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    #[error("`{path}` names no resource: the list is empty")]
    Empty { path: String },
    #[error("`{path}` is missing: the call names no resource")]
    Unnamed { path: String },
    #[error("`{path}` is an empty string; write the id of the resource")]
    Blank { path: String },
    #[error("`{path}` has spaces around it, or characters that can't be seen")]
    Unseen { path: String },
    #[error("`{path}` is not a string")]
    NotText { path: String },
    #[error("an item of `{path}` names no resource")]
    ItemWithout { path: String },
    #[error("give either `{id}` or `{name}`, not both")]
    Both { id: String, name: String },
    #[error("give `{id}` or `{name}`: the call names no resource")]
    Neither { id: String, name: String },
    #[error("`{path}`, in which the resource stands, is missing")]
    NoParent { path: String },
    #[error("`{path}` names several parents for each resource; that isn't understood")]
    ParentList { path: String },
    #[error("the tag key `{key}` is set twice")]
    TagTwice { key: String },
    #[error(
        "`{action}` changes tags, and nothing in it is known to name their keys, so that no policy can tell which"
    )]
    NoTagKeys { action: String },
}

/// Finds what a guarded call names.
///
/// # Errors
/// [`TargetError`] where the input names things in a way that isn't one: an empty list, two names.
pub fn targets(
    service: &Service,
    operation: &Operation,
    knowledge: &Knowledge,
    input: &Object,
) -> Result<Targets, TargetError> {
    let nothing = OperationRule::default();
    let rule = knowledge
        .operation(&service.id, &operation.name)
        .unwrap_or(&nothing);
    let selecting: Vec<String> = selecting(operation, rule, input)?;
    let account = knowledge
        .service(&service.id)
        .and_then(|rules| rules.account.as_ref());
    let account = account.map(|path| text(path, input)).transpose()?.flatten();
    let place = Place::of(service, operation, rule).map_err(|_| TargetError::NotText {
        path: operation.name.clone(),
    })?;
    let Named {
        mut targets,
        batch_size,
        by,
    } = match place.filter(|_| operation.may_be_guarded()) {
        Some(place) => named(&place, input, !selecting.is_empty())?,
        None => Named::nothing(),
    };
    let selector = !selecting.is_empty();
    if selector {
        let spelling = Spelling::Id(selecting.join(","));
        targets.push(Target::new(spelling, SELECTOR, Vec::new()));
    }
    let Tags {
        keys,
        set,
        replaces,
    } = tags(service, operation, rule, input)?;
    Ok(Targets {
        targets,
        batch_size,
        selector,
        account,
        named: by,
        tag_keys: keys,
        replaces_tags: replaces,
        request_tags: set,
    })
}

/// The members by which the call selects, as the service file and the catalog know them.
fn selecting(
    operation: &Operation,
    rule: &OperationRule,
    input: &Object,
) -> Result<Vec<String>, TargetError> {
    let known = operation.resource.iter().flat_map(|found| &found.selectors);
    let known = known.map(|text| {
        Path::parse(text).map_err(|_| TargetError::NotText {
            path: text.to_owned(),
        })
    });
    let mut paths = rule.selectors.clone();
    for path in known {
        let path = path?;
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let used = paths.iter().filter(|path| selects(path, input));
    Ok(used.map(Path::to_string).collect())
}

fn selects(path: &Path, input: &Object) -> bool {
    path.values(input).into_iter().any(|value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::List(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => true,
    })
}

/// What a call names.
struct Named {
    targets: Vec<Target>,
    /// The size of the lists that name them.
    batch_size: usize,
    by: Option<NamePlace>,
}

impl Named {
    const fn nothing() -> Self {
        Self {
            targets: Vec::new(),
            batch_size: 1,
            by: None,
        }
    }

    /// Each thing once; the batch is as large as the lists are.
    fn of(found: Vec<Target>, by: Option<NamePlace>) -> Self {
        let batch_size = found.len().max(1);
        Self {
            targets: distinct(found),
            batch_size,
            by,
        }
    }
}

/// Each target once, in their order.
pub(super) fn distinct(targets: Vec<Target>) -> Vec<Target> {
    let mut seen = HashSet::new();
    let mut kept = targets;
    kept.retain(|target| seen.insert(target.clone()));
    kept
}

/// What the place finds in the input. `selects`: the call selects, so that it may name nothing.
fn named(place: &Place, input: &Object, selects: bool) -> Result<Named, TargetError> {
    let mut found = Vec::new();
    let mut by = None;
    if let Some(ids) = &place.ids {
        for spot in walk::spots(ids, input)? {
            let (named, name) = named_at(place, ids, &spot)?;
            by = by.or(name);
            match named {
                Some(target) => found.push(target),
                None if spot.is_inside() => {
                    let path = ids.to_string();
                    return Err(TargetError::ItemWithout { path });
                }
                None => {}
            }
        }
    }
    for further in &place.also {
        for spot in walk::spots(&further.ids, input)? {
            if let Some(id) = spot.text(&further.ids)? {
                let parents = parents(place, &Spot::root(input))?;
                found.push(Target::new(Spelling::Id(id), &further.kind, parents));
            }
        }
    }
    if found.is_empty() {
        found.extend(innermost(parents(place, &Spot::root(input))?));
    }
    match (&place.ids, found.is_empty() && !selects && !place.optional) {
        (Some(ids), true) => Err(unnamed(ids, &place.or)),
        (Some(_) | None, _) => Ok(Named::of(found, by)),
    }
}

/// What a call names at one spot; where its id is left out, what that stands in.
fn named_at(
    place: &Place,
    ids: &Path,
    spot: &Spot<'_>,
) -> Result<(Option<Target>, Option<NamePlace>), TargetError> {
    let mut given: Option<(&Path, Spelling, bool)> = None;
    let own = [(ids, false, true)].into_iter();
    let others = place.or.iter().map(|o| (&o.path, o.is_name, false));
    for (path, is_name, first) in own.chain(others) {
        let Some(text) = spot.text(path)? else {
            continue;
        };
        if let Some((before, ..)) = given {
            return Err(TargetError::Both {
                id: before.to_string(),
                name: path.to_string(),
            });
        }
        let spelling = if is_name {
            Spelling::Name(text)
        } else {
            Spelling::Id(text)
        };
        // An ARN is the same thing's, whatever else the member takes.
        let is_arn = spelling.as_str().starts_with("arn:");
        given = Some((path, spelling, (!first || place.loose) && !is_arn));
    }
    let parents = parents(place, spot)?;
    let Some((path, spelling, loose)) = given else {
        return Ok((innermost(parents).filter(|_| spot.is_inside()), None));
    };
    // A lookup may tell the id of what stands there, which then goes in its place.
    let takes_id = matches!(spelling, Spelling::Name(_)) || path == ids && !spot.is_inside();
    let by = takes_id.then(|| NamePlace {
        name: path.clone(),
        id: ids.clone(),
    });
    let target = Target {
        loose,
        ..Target::new(spelling, &place.kind, parents)
    };
    Ok((Some(target), by))
}

/// The innermost of the parents as what the call is about.
fn innermost(mut parents: Vec<ParentId>) -> Option<Target> {
    let ParentId { id, kind } = parents.pop()?;
    Some(Target::new(Spelling::Id(id), &kind, parents))
}

fn parents(place: &Place, spot: &Spot<'_>) -> Result<Vec<ParentId>, TargetError> {
    let mut found = Vec::new();
    for within in &place.parents {
        let other = within.or.as_ref().map(|path| spot.text(path)).transpose()?;
        let id = match (spot.text(&within.id)?, other.flatten()) {
            (Some(_), Some(_)) => {
                let name = within.or.as_ref().map(Path::to_string);
                return Err(TargetError::Both {
                    id: within.id.to_string(),
                    name: name.unwrap_or_default(),
                });
            }
            (Some(id), None) | (None, Some(id)) => Some(id),
            (None, None) => within.default.clone(),
        };
        match id {
            Some(id) => found.push(ParentId {
                id,
                kind: within.kind.clone(),
            }),
            None if within.optional => {}
            None => {
                let path = within.id.to_string();
                return Err(TargetError::NoParent { path });
            }
        }
    }
    Ok(found)
}

fn unnamed(ids: &Path, or: &[Other]) -> TargetError {
    match or.first() {
        Some(other) => TargetError::Neither {
            id: ids.to_string(),
            name: other.path.to_string(),
        },
        None => TargetError::Unnamed {
            path: ids.to_string(),
        },
    }
}

fn text(path: &Path, input: &Object) -> Result<Option<String>, TargetError> {
    Spot::root(input).text(path)
}

/// An id or a name as the caller spells it. What a reader can't see in it would make it another's on a list and in
/// a record, and the same at AWS.
fn id_text(value: &Value) -> Result<String, TargetError> {
    let path = String::new();
    match value {
        Value::String(s) if s.is_empty() => Err(TargetError::Blank { path }),
        Value::String(s) if s.trim() != s || s.chars().any(is_unseen) => {
            Err(TargetError::Unseen { path })
        }
        Value::String(s) => Ok(s.clone()),
        Value::Number(n) => Ok(n.to_string()),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_) => {
            Err(TargetError::NotText { path })
        }
    }
}

/// Control characters, and those that join, turn or hide others.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl TargetError {
    /// The fault of a value, with the place where that value stands.
    fn at(self, place: &str) -> Self {
        let path = place.to_owned();
        match self {
            TargetError::Blank { .. } => TargetError::Blank { path },
            TargetError::Unseen { .. } => TargetError::Unseen { path },
            TargetError::NotText { .. } => TargetError::NotText { path },
            other @ (TargetError::Empty { .. }
            | TargetError::Unnamed { .. }
            | TargetError::ItemWithout { .. }
            | TargetError::Both { .. }
            | TargetError::Neither { .. }
            | TargetError::NoParent { .. }
            | TargetError::ParentList { .. }
            | TargetError::TagTwice { .. }
            | TargetError::NoTagKeys { .. }) => other,
        }
    }
}

#[cfg(test)]
mod spelling_tests;
#[cfg(test)]
mod tests;
