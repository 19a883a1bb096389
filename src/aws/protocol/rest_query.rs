//! Members of a REST input that stand in the query string, both ways.

use std::collections::HashMap;

use crate::aws::catalog::model::{
    Location, Member, Service, Shape, ShapeId, Structure, TimestampFormat,
};
use crate::aws::catalog::routes::X_ID;
use crate::aws::catalog::template::Template;
use crate::aws::value::{Object, Value};

use super::escape::Plus;
use super::malformed::{EncodeError, Malformed};
use super::rest::{located, not_expressible, shape_of};
use super::typed::{TypeError, TypeReason};
use super::{form, scalar, typed};

/// Reads the members that the query string carries; the template's own parameters carry none.
///
/// # Errors
/// [`Malformed`] for an unknown parameter, one that stands twice, and a value of the wrong type.
pub(super) fn decode(
    service: &Service,
    template: &Template,
    shape: &Structure,
    query: Option<&str>,
) -> Result<Vec<(String, Value)>, Malformed> {
    let pairs = form::pairs(query.unwrap_or(""), Plus::Refused, "in the query string")?;
    let (constants, pairs): (Vec<_>, Vec<_>) = pairs
        .into_iter()
        .partition(|(name, _)| is_constant(template, name));
    form::unique(&constants)?;
    let mut members = Vec::new();
    let mut spread = None;
    let mut grouped = Grouped::of(pairs);
    for member in located(shape, Location::Query) {
        match shape_of(service, member.shape)? {
            Shape::Map { value, .. } => spread = Some((member, *value)),
            Shape::Structure(_)
            | Shape::List { .. }
            | Shape::String { .. }
            | Shape::Blob
            | Shape::Boolean
            | Shape::Integer
            | Shape::Long
            | Shape::Float
            | Shape::Timestamp { .. }
            | Shape::Document => {
                if let Some(texts) = grouped.take(member.wire_name()) {
                    let value = value(service, member.shape, member, texts)
                        .map_err(|e| within(e, member.wire_name()))?;
                    members.push((member.name.clone(), value));
                }
            }
        }
    }
    let rest = grouped.rest();
    match (spread, rest.first()) {
        (_, None) => {}
        (None, Some((name, _))) => return Err(TypeReason::Unknown.at(name).into()),
        (Some((member, shape)), Some(_)) => {
            let map = rest
                .into_iter()
                .map(|(name, texts)| {
                    let value =
                        value(service, shape, member, texts).map_err(|e| within(e, &name))?;
                    Ok((name, value))
                })
                .collect::<Result<Vec<_>, TypeError>>()?;
            let map = Object::from_members(map).map_err(|e| TypeReason::Twice.at(&e.0))?;
            members.push((member.name.clone(), Value::Object(map)));
        }
    }
    Ok(members)
}

/// The pairs of the query string, not yet escaped: the template's own, then the members in the model's order.
///
/// # Errors
/// [`EncodeError`] for a wrong type, an empty list or map, and a map's key that is another parameter's name.
pub(super) fn encode(
    service: &Service,
    template: &Template,
    shape: &Structure,
    input: &Object,
) -> Result<Vec<(String, String)>, EncodeError> {
    let mut pairs: Vec<(String, String)> = template.query().to_vec();
    for member in located(shape, Location::Query) {
        let Some(value) = input.get(&member.name).filter(|v| **v != Value::Null) else {
            continue;
        };
        let before = pairs.len();
        match (shape_of(service, member.shape)?, value) {
            (Shape::Map { value: item, .. }, Value::Object(map)) => {
                for (name, value) in map.iter() {
                    if is_constant(template, name)
                        || located(shape, Location::Query).any(|m| m.wire_name() == name)
                    {
                        return Err(not_expressible(
                            member,
                            "a query string beside its namesake",
                        ));
                    }
                    let texts = texts(service, *item, member, value)
                        .map_err(|e| within(within(e, name), &member.name))?;
                    if texts.is_empty() {
                        return Err(not_expressible(member, "a query string"));
                    }
                    pairs.extend(texts.into_iter().map(|text| (name.to_owned(), text)));
                }
            }
            (_, value) => {
                let texts = texts(service, member.shape, member, value)
                    .map_err(|e| within(e, &member.name))?;
                let name = member.wire_name();
                pairs.extend(texts.into_iter().map(|text| (name.to_owned(), text)));
            }
        }
        if pairs.len() == before {
            return Err(not_expressible(member, "a query string"));
        }
    }
    Ok(pairs)
}

fn value(
    service: &Service,
    id: ShapeId,
    member: &Member,
    texts: Vec<String>,
) -> Result<Value, TypeError> {
    let shape = shape_of(service, id)?;
    let leaf = |shape, text| {
        scalar::decode(shape, text, member.timestamp, TimestampFormat::DateTime)
            .map_err(TypeReason::at_top)
    };
    if let Shape::List {
        member: item,
        min,
        max,
        ..
    } = shape
    {
        typed::bounds(texts.len(), *min, *max).map_err(TypeReason::at_top)?;
        let item = shape_of(service, *item)?;
        let mut items = Vec::with_capacity(texts.len());
        for text in texts {
            let value = leaf(item, text).map_err(|e| within_item(e, items.len()))?;
            items.push(value);
        }
        return Ok(Value::List(items));
    }
    let mut texts = texts.into_iter();
    match (texts.next(), texts.next()) {
        (Some(text), None) => leaf(shape, text),
        (_, Some(_)) => Err(TypeReason::Twice.at_top()),
        (None, None) => Err(TypeReason::Missing.at_top()),
    }
}

fn texts(
    service: &Service,
    id: ShapeId,
    member: &Member,
    value: &Value,
) -> Result<Vec<String>, TypeError> {
    let leaf = |shape, value| {
        scalar::encode(shape, value, member.timestamp, TimestampFormat::DateTime)
            .map_err(TypeReason::at_top)
    };
    match (shape_of(service, id)?, value) {
        (
            Shape::List {
                member: item,
                min,
                max,
                ..
            },
            Value::List(items),
        ) => {
            typed::bounds(items.len(), *min, *max).map_err(TypeReason::at_top)?;
            let item = shape_of(service, *item)?;
            let items = items.iter().enumerate();
            items
                .map(|(n, value)| leaf(item, value).map_err(|e| within_item(e, n)))
                .collect()
        }
        (shape, value) => Ok(vec![leaf(shape, value)?]),
    }
}

/// Parameters by name, each with its values in order.
struct Grouped(Vec<(String, Option<Vec<String>>)>);

impl Grouped {
    fn of(pairs: Vec<(String, String)>) -> Self {
        let mut groups: Vec<(String, Option<Vec<String>>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (name, text) in pairs {
            let place = *places.entry(name.clone()).or_insert_with(|| {
                groups.push((name, None));
                groups.len() - 1
            });
            if let Some((_, texts)) = groups.get_mut(place) {
                texts.get_or_insert_default().push(text);
            }
        }
        Self(groups)
    }

    fn take(&mut self, name: &str) -> Option<Vec<String>> {
        self.0.iter_mut().find(|(n, _)| n == name)?.1.take()
    }

    fn rest(self) -> Vec<(String, Vec<String>)> {
        self.0
            .into_iter()
            .filter_map(|(name, texts)| Some((name, texts?)))
            .collect()
    }
}

fn is_constant(template: &Template, name: &str) -> bool {
    name == X_ID || template.query().iter().any(|(n, _)| *n == name)
}

fn within(error: TypeError, name: &str) -> TypeError {
    TypeError {
        path: error.path.within(name),
        ..error
    }
}

fn within_item(error: TypeError, index: usize) -> TypeError {
    TypeError {
        path: error.path.within_item(index),
        ..error
    }
}
