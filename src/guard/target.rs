//! What a guarded call would affect, as its input names it: [`Targets`].
//!
//! The place of the ids comes from the service file where it says one, else from the catalog's rule. A call
//! that names nothing is judged on its account; one that selects (by tags, filters) on a resource of type
//! `selector`.

mod tags;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::aws::catalog::model::{Operation, Service};
use crate::aws::value::{Object, Value};
use crate::guard::knowledge::{Knowledge, OperationRule, Parent, ResourcePlace};
use crate::guard::path::Path;

pub(crate) use tags::pair;
use tags::tags;

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
    /// Tag keys that the call sets or removes.
    pub tag_keys: BTreeSet<String>,
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
    #[error("`{action}` changes tags, but the catalog doesn't say where their keys stand")]
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
    let selector = rule.selectors.iter().any(|path| selects(path, input));
    let account = knowledge
        .service(&service.id)
        .and_then(|rules| rules.account.as_ref());
    let account = account.map(|path| text(path, input)).transpose()?.flatten();
    let Named {
        mut targets,
        batch_size,
        by,
    } = if operation.may_be_guarded() {
        named(service, operation, rule, input)?
    } else {
        Named::nothing()
    };
    if selector {
        let text = rule
            .selectors
            .iter()
            .filter(|p| selects(p, input))
            .map(Path::to_string);
        let spelling = Spelling::Id(text.collect::<Vec<_>>().join(","));
        targets.push(Target {
            spelling,
            kind: SELECTOR.to_owned(),
            parents: Vec::new(),
        });
    }
    let (tag_keys, request_tags) = tags(service, operation, rule, input)?;
    Ok(Targets {
        targets,
        batch_size,
        selector,
        account,
        named: by,
        tag_keys,
        request_tags,
    })
}

fn selects(path: &Path, input: &Object) -> bool {
    path.values(input).into_iter().any(|value| match value {
        Value::Null => false,
        Value::List(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    })
}

/// What a call names.
struct Named {
    targets: Vec<Target>,
    /// The size of the list that names them.
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
}

fn named(
    service: &Service,
    operation: &Operation,
    rule: &OperationRule,
    input: &Object,
) -> Result<Named, TargetError> {
    let place = match (&rule.resources, &operation.resource) {
        (Some(place), _) => place.clone(),
        (None, Some(found)) => from_catalog(service, found)?,
        (None, None) => return Ok(Named::nothing()),
    };
    if let Some(name) = &place.name {
        let parents = parents(&place, input)?;
        let (spelling, by) = one_of(&place.ids, name, input)?;
        let target = Target {
            spelling,
            kind: place.kind.clone(),
            parents,
        };
        return Ok(Named {
            targets: vec![target],
            batch_size: 1,
            by,
        });
    }
    match place.ids.list() {
        Some((list, rest)) => listed(&place, &list, rest.as_ref(), input),
        None => single(&place, input),
    }
}

/// The one thing that a call names, or what it stands in, where the call says only that.
fn single(place: &ResourcePlace, input: &Object) -> Result<Named, TargetError> {
    let mut parents = parents(place, input)?;
    let (id, kind) = match (text(&place.ids, input)?, parents.pop()) {
        (Some(id), parent) => {
            parents.extend(parent);
            (id, place.kind.clone())
        }
        (None, Some(parent)) => (parent.id, parent.kind),
        (None, None) => {
            return Err(TargetError::Unnamed {
                path: place.ids.to_string(),
            });
        }
    };
    let target = Target {
        spelling: Spelling::Id(id),
        kind,
        parents,
    };
    Ok(Named {
        targets: vec![target],
        batch_size: 1,
        by: None,
    })
}

/// What each item of a list names, each once. The batch is as large as the list, and larger where items name several.
fn listed(
    place: &ResourcePlace,
    list: &Path,
    rest: Option<&Path>,
    input: &Object,
) -> Result<Named, TargetError> {
    let items = list.values(input);
    let whole = || place.ids.to_string();
    if items.is_empty() {
        return Err(match input.get(list.first()) {
            Some(_) => TargetError::Empty { path: whole() },
            None => TargetError::Unnamed { path: whole() },
        });
    }
    let mut seen = HashSet::new();
    let mut targets = Vec::new();
    let mut batch_size = 0;
    for item in &items {
        let parents = parents_of(place, list, item, input)?;
        let ids = match (rest, item.as_object()) {
            (Some(rest), Some(item)) => texts(rest, item),
            (Some(_), None) => Err(TargetError::NotText { path: whole() }),
            (None, _) => id_text(item).map(|id| vec![id]),
        };
        let ids = ids.map_err(|fault| fault.at(&whole()))?;
        if ids.is_empty() {
            return Err(TargetError::ItemWithout { path: whole() });
        }
        batch_size += ids.len();
        for id in ids {
            let target = Target {
                spelling: Spelling::Id(id),
                kind: place.kind.clone(),
                parents: parents.clone(),
            };
            if seen.insert(target.clone()) {
                targets.push(target);
            }
        }
    }
    Ok(Named {
        targets,
        batch_size,
        by: None,
    })
}

/// Exactly one of an id and a name.
fn one_of(
    id: &Path,
    name: &Path,
    input: &Object,
) -> Result<(Spelling, Option<NamePlace>), TargetError> {
    match (text(id, input)?, text(name, input)?) {
        (Some(id), None) => Ok((Spelling::Id(id), None)),
        (None, Some(text)) => {
            let by = NamePlace {
                name: name.clone(),
                id: id.clone(),
            };
            Ok((Spelling::Name(text), Some(by)))
        }
        (Some(_), Some(_)) => Err(TargetError::Both {
            id: id.to_string(),
            name: name.to_string(),
        }),
        (None, None) => Err(TargetError::Neither {
            id: id.to_string(),
            name: name.to_string(),
        }),
    }
}

/// The parents, the same for each resource of the call.
fn parents(place: &ResourcePlace, input: &Object) -> Result<Vec<ParentId>, TargetError> {
    place
        .parents
        .iter()
        .map(|parent| parent_id(parent, &parent.id, input))
        .collect()
}

/// The parents of an item of a list. One that stands inside the list is that item's own.
fn parents_of(
    place: &ResourcePlace,
    list: &Path,
    item: &Value,
    input: &Object,
) -> Result<Vec<ParentId>, TargetError> {
    let one = |parent: &Parent| match (parent.id.list(), item.as_object()) {
        (None, _) => parent_id(parent, &parent.id, input),
        (Some((of, Some(rest))), Some(item)) if of == *list && !rest.is_list() => {
            parent_id(parent, &rest, item)
        }
        (Some(_), _) => Err(TargetError::ParentList {
            path: parent.id.to_string(),
        }),
    };
    place.parents.iter().map(one).collect()
}

fn parent_id(parent: &Parent, path: &Path, object: &Object) -> Result<ParentId, TargetError> {
    let whole = || parent.id.to_string();
    if path.is_list() {
        return Err(TargetError::ParentList { path: whole() });
    }
    let id = text(path, object).map_err(|fault| fault.at(&whole()))?;
    Ok(ParentId {
        id: id.ok_or_else(|| TargetError::NoParent { path: whole() })?,
        kind: parent.kind.clone(),
    })
}

fn from_catalog(
    service: &Service,
    found: &crate::aws::catalog::model::ResourceRule,
) -> Result<ResourcePlace, TargetError> {
    let path = |text: &str| {
        Path::parse(text).map_err(|_| TargetError::NotText {
            path: text.to_owned(),
        })
    };
    let parents = found.parents.iter().map(|text| {
        let id = path(text)?;
        let kind = format!("{}:{}", service.id, noun(text));
        Ok(Parent { id, kind })
    });
    Ok(ResourcePlace {
        ids: path(&found.ids)?,
        name: found.or.first().map(|name| path(name)).transpose()?,
        parents: parents.collect::<Result<_, _>>()?,
        kind: found.kind.clone(),
    })
}

/// What a member's path calls the thing: `Server` for `Items[].serverID`.
fn noun(path: &str) -> String {
    let member = path.rsplit('.').next().unwrap_or(path);
    let member = member.trim_end_matches("[]");
    let endings = ["Ids", "IDs", "Id", "ID", "Arn", "ARN", "Name"];
    let stripped = endings.iter().find_map(|end| member.strip_suffix(end));
    let noun = stripped.filter(|noun| !noun.is_empty()).unwrap_or(member);
    let mut chars = noun.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

fn text(path: &Path, input: &Object) -> Result<Option<String>, TargetError> {
    Ok(texts(path, input)?.into_iter().next())
}

fn texts(path: &Path, input: &Object) -> Result<Vec<String>, TargetError> {
    let values = path.values(input).into_iter();
    values
        .map(|value| id_text(value).map_err(|fault| fault.at(&path.to_string())))
        .collect()
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
mod tests;
