//! Values of answers, read as facts.

use std::collections::BTreeMap;

use super::{Attribute, AttributeType};
use crate::aws::value::{Number, Object, Value};
use crate::guard::knowledge::AttributePlace;
use crate::guard::path::Path;
use crate::guard::target::pair;

/// An attribute, read from all that an answer says about a thing; `None` where AWS says nothing of it.
///
/// # Errors
/// The path at which something stands that isn't such a value.
pub(super) fn attribute<'p>(
    attribute: Attribute,
    place: &'p AttributePlace,
    all: &[&Object],
) -> Result<Option<String>, &'p Path> {
    let values = |path: &Path| all.iter().flat_map(|o| path.values(o)).collect::<Vec<_>>();
    match place {
        AttributePlace::At(path) => match values(path).first() {
            Some(value) => text(attribute.kind(), value).map(Some).ok_or(path),
            None => Ok(None),
        },
        AttributePlace::OneOf(of) => match values(&of.path).first() {
            Some(value) => {
                let word = value.as_str().ok_or(&of.path)?;
                Ok(Some(of.one_of.iter().any(|w| w == word).to_string()))
            }
            None => Ok(None),
        },
        AttributePlace::NoneOf(of) => match values(&of.path).first() {
            Some(value) => {
                let word = value.as_str().ok_or(&of.path)?;
                Ok(Some((!of.none_of.iter().any(|w| w == word)).to_string()))
            }
            None => Ok(None),
        },
        AttributePlace::Named(named) => {
            let items = values(&named.list).into_iter().filter_map(Value::as_object);
            let is_it = |item: &&Object| {
                let key = named.key.value(item).and_then(Value::as_str);
                key == Some(named.is.as_str())
            };
            match items.filter(is_it).find_map(|item| named.value.value(item)) {
                Some(value) => text(attribute.kind(), value).map(Some).ok_or(&named.value),
                None => Ok(None),
            }
        }
        AttributePlace::Millis(at) => match values(&at.millis).first() {
            Some(Value::Number(millis)) => seconds(millis)
                .and_then(|seconds| text(attribute.kind(), &seconds))
                .map(Some)
                .ok_or(&at.millis),
            Some(_) => Err(&at.millis),
            None => Ok(None),
        },
        AttributePlace::Count(of) => Ok(Some(values(&of.count).len().to_string())),
        AttributePlace::Empty(of) => {
            let any = of.empty.iter().any(|path| !values(path).is_empty());
            Ok(Some((!any).to_string()))
        }
    }
}

/// Milliseconds as seconds.
fn seconds(millis: &Number) -> Option<Value> {
    let millis = millis.as_i64()?;
    let (whole, rest) = (millis.div_euclid(1000), millis.rem_euclid(1000));
    Number::parse(&format!("{whole}.{rest:03}")).map(Value::Number)
}

/// A value as facts spell it; a time as RFC 3339 in UTC, whole seconds or milliseconds.
fn text(kind: AttributeType, value: &Value) -> Option<String> {
    let spelt = match (kind, value) {
        (AttributeType::Time, value) => return crate::guard::time::rfc3339(value),
        (AttributeType::Flag, Value::Bool(flag)) => flag.to_string(),
        (AttributeType::Count, Value::Number(number)) => number.as_i64()?.to_string(),
        (AttributeType::Text | AttributeType::Flag, value) => value.as_str()?.to_owned(),
        (AttributeType::Count, _) => return None,
    };
    kind.admits(&spelt).then_some(spelt)
}

/// Takes tags that stand as a list of pairs or as a map; `None` where they are neither, or a key stands twice.
pub(super) fn read_tags(value: Option<&Value>, tags: &mut BTreeMap<String, String>) -> Option<()> {
    match value {
        None | Some(Value::Null) => {}
        Some(Value::List(items)) => {
            for item in items {
                let (key, value) = pair(item)?;
                if tags.insert(key.to_owned(), value.to_owned()).is_some() {
                    return None;
                }
            }
        }
        Some(Value::Object(members)) => {
            for (key, value) in members.iter() {
                if tags
                    .insert(key.to_owned(), value.as_str()?.to_owned())
                    .is_some()
                {
                    return None;
                }
            }
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => return None,
    }
    Some(())
}
