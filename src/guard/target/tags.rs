//! The tags of a call's input: which keys it sets or removes.

use std::collections::{BTreeMap, BTreeSet};

use super::TargetError;
use crate::aws::catalog::model::{Operation, Service, Shape, ShapeId, Structure};
use crate::aws::class::Class;
use crate::aws::value::{Object, Value};
use crate::guard::knowledge::OperationRule;

/// What a call does to tags.
pub(super) struct Tags {
    /// The keys that it sets or removes, as far as its input names them.
    pub(super) keys: BTreeSet<String>,
    /// The tags that it sets.
    pub(super) set: BTreeMap<String, String>,
    /// Whether it takes off the present tags that it doesn't name.
    pub(super) replaces: bool,
}

/// What a call does to tags. One of class `tag` that could name keys and names none takes all tags off.
///
/// # Errors
/// [`TargetError`] where a tag is no tag, or where an operation of class `tag` has no place for keys that is known.
pub(super) fn tags(
    service: &Service,
    operation: &Operation,
    rule: &OperationRule,
    input: &Object,
) -> Result<Tags, TargetError> {
    let mut keys = BTreeSet::new();
    let mut values = BTreeMap::new();
    let mut places = 0_usize;
    if let Some(paths) = &rule.tag_keys {
        for path in paths {
            for key in path.values(input) {
                let key = key.as_str().ok_or_else(|| TargetError::NotText {
                    path: path.to_string(),
                })?;
                keys.insert(key.to_owned());
            }
        }
    } else if let Some(structure) = service.input(operation) {
        let selects = |name: &str| rule.selectors.iter().any(|path| path.first() == name);
        let of_tags = operation.class_of(input).0 == Class::Tag;
        for member in tag_members(service, structure, of_tags).filter(|m| !selects(m.name)) {
            member.read(input, &mut keys, &mut values)?;
            places = places.saturating_add(1);
        }
    }
    let is_tagging = operation.class_of(input).0 == Class::Tag;
    let unnamed = is_tagging && keys.is_empty() && rule.tag_keys.is_none();
    if unnamed && places == 0 && !rule.replaces_tags {
        let action = format!("{}:{}", service.id, operation.name);
        return Err(TargetError::NoTagKeys { action });
    }
    Ok(Tags {
        keys: with_trimmed(keys),
        set: values,
        replaces: rule.replaces_tags || unnamed,
    })
}

/// Some services take the spaces off: a policy sees the key either way.
pub(in crate::guard) fn with_trimmed(mut keys: BTreeSet<String>) -> BTreeSet<String> {
    let trimmed: Vec<String> = keys.iter().map(|key| key.trim().to_owned()).collect();
    keys.extend(trimmed);
    keys
}

/// A member of an input that carries tags or tag keys.
struct TagMember<'a> {
    name: &'a str,
    /// Where the list stands in a structure of its own: `Items`, `TagSet`.
    within: Option<&'a str>,
    form: TagForm,
}

enum TagForm {
    /// A list of structures with a key and a value.
    Pairs,
    /// A map from key to value.
    Map,
    /// A list of keys.
    Keys,
}

fn tag_members<'a>(
    service: &'a Service,
    structure: &'a Structure,
    of_tags: bool,
) -> impl Iterator<Item = TagMember<'a>> {
    structure.members.iter().filter_map(move |member| {
        let lower = member.name.to_ascii_lowercase();
        let named = match lower.as_str() {
            "tags" | "taglist" | "tagslist" | "tagset" | "tagging" | "tagstoadd" | "addtags"
            | "tagstoupdate" | "tagsmodel" | "tagkeys" | "tagkeylist" | "tagstoremove"
            | "tagstodelete" | "removetags" | "removetagkeys" | "untagkeys" => true,
            // Elsewhere these say something else.
            "resourcetags" | "resourcetagkeys" | "keys" => of_tags,
            _ => false,
        };
        if !named {
            return None;
        }
        let (within, shape) = match service.shape(member.shape)? {
            Shape::Structure(inner) => {
                let only = inner.members.first().filter(|_| inner.members.len() == 1)?;
                (Some(only.name.as_str()), only.shape)
            }
            Shape::List { .. }
            | Shape::Map { .. }
            | Shape::String { .. }
            | Shape::Blob
            | Shape::Boolean
            | Shape::Integer
            | Shape::Long
            | Shape::Float
            | Shape::Timestamp { .. }
            | Shape::Document => (None, member.shape),
        };
        Some(TagMember {
            name: &member.name,
            within,
            form: form(service, shape)?,
        })
    })
}

fn form(service: &Service, shape: ShapeId) -> Option<TagForm> {
    match service.shape(shape)? {
        Shape::Map { .. } => Some(TagForm::Map),
        Shape::List { member, .. } => match service.shape(*member)? {
            Shape::Structure(_) => Some(TagForm::Pairs),
            Shape::String { .. } => Some(TagForm::Keys),
            Shape::List { .. }
            | Shape::Map { .. }
            | Shape::Blob
            | Shape::Boolean
            | Shape::Integer
            | Shape::Long
            | Shape::Float
            | Shape::Timestamp { .. }
            | Shape::Document => None,
        },
        Shape::Structure(_)
        | Shape::String { .. }
        | Shape::Blob
        | Shape::Boolean
        | Shape::Integer
        | Shape::Long
        | Shape::Float
        | Shape::Timestamp { .. }
        | Shape::Document => None,
    }
}

impl TagMember<'_> {
    fn read(
        &self,
        input: &Object,
        keys: &mut BTreeSet<String>,
        values: &mut BTreeMap<String, String>,
    ) -> Result<(), TargetError> {
        let held = match (input.get(self.name), self.within) {
            (Some(Value::Object(holder)), Some(within)) => holder.get(within),
            (found, _) => found,
        };
        let Some(value) = held else {
            return Ok(());
        };
        match self.form {
            TagForm::Keys => {
                for item in value.as_list().unwrap_or_default() {
                    keys.insert(self.string(Some(item))?.to_owned());
                }
            }
            TagForm::Map => {
                for (key, value) in value.as_object().into_iter().flat_map(Object::iter) {
                    let value = self.string(Some(value))?;
                    set(key, value, keys, values)?;
                }
            }
            TagForm::Pairs => {
                for item in value.as_list().unwrap_or_default() {
                    let (key, value) = pair(item).ok_or_else(|| self.not_text())?;
                    set(key, value, keys, values)?;
                }
            }
        }
        Ok(())
    }

    fn string<'v>(&self, value: Option<&'v Value>) -> Result<&'v str, TargetError> {
        value.and_then(Value::as_str).ok_or_else(|| self.not_text())
    }

    fn not_text(&self) -> TargetError {
        TargetError::NotText {
            path: self.name.to_owned(),
        }
    }
}

fn set(
    key: &str,
    value: &str,
    keys: &mut BTreeSet<String>,
    values: &mut BTreeMap<String, String>,
) -> Result<(), TargetError> {
    keys.insert(key.to_owned());
    match values.insert(key.to_owned(), value.to_owned()) {
        Some(_) => Err(TargetError::TagTwice {
            key: key.to_owned(),
        }),
        None => Ok(()),
    }
}

/// The key and the value of a tag as a structure, whichever way AWS spells the members. A tag without a
/// value has an empty one.
pub(crate) fn pair(item: &Value) -> Option<(&str, &str)> {
    let object = item.as_object()?;
    let member = |names: [&str; 4]| names.into_iter().find_map(|name| object.get(name));
    let key = member(["Key", "key", "TagKey", "tagKey"])?.as_str()?;
    let value = match member(["Value", "value", "TagValue", "tagValue"]) {
        Some(value) => value.as_str()?,
        None => "",
    };
    Some((key, value))
}
