//! Answers in XML: those of awsQuery, ec2Query and restXml are one tree, begun at different elements.
//!
//! INVARIANT: nothing is taken for an empty list because its items go by another name than the model's.

use crate::aws::catalog::model::{
    Member, Operation, Service, Shape, ShapeId, Structure, TimestampFormat,
};
use crate::aws::value::{Object, Value};

use super::json::DEPTH_MAX;
use super::malformed::OutputError;
use super::path::shown;
use super::rest::shape_of;
use super::scalar;
use super::typed::{TypeError, TypeReason};
use super::xml::{self, Element};

/// The name of a list's items where the model says none.
const ITEM: &str = "member";
/// The same in ec2Query's answers.
const EC2_ITEM: &str = "item";

/// Reads awsQuery's: the members stand in `…Result`.
///
/// # Errors
/// [`OutputError`].
pub(super) fn aws_query(
    service: &Service,
    operation: &Operation,
    shape: &Structure,
    body: &[u8],
) -> Result<Object, OutputError> {
    let root = xml::parse(body)?;
    let wrapper = format!("{}Result", operation.name);
    match root.child(&wrapper) {
        Some(result) => Ok(reader(service, ITEM).structure(shape, result, 0)?),
        None if shape.members.is_empty() => Ok(Object::new()),
        None => Err(OutputError::NoElement(wrapper)),
    }
}

/// Reads ec2Query's: the members stand in `…Response` itself.
///
/// # Errors
/// [`OutputError`].
pub(super) fn ec2_query(
    service: &Service,
    operation: &Operation,
    shape: &Structure,
    body: &[u8],
) -> Result<Object, OutputError> {
    let root = xml::parse(body)?;
    let expected = format!("{}Response", operation.name);
    if root.name != expected {
        return Err(OutputError::NoElement(expected));
    }
    Ok(reader(service, EC2_ITEM).structure(shape, &root, 0)?)
}

/// Reads a structure that is a whole body, as restXml has it; none where the body is empty.
///
/// # Errors
/// [`OutputError`].
pub(super) fn whole(
    service: &Service,
    shape: &Structure,
    body: &[u8],
) -> Result<Object, OutputError> {
    if body.is_empty() || shape.members.is_empty() {
        return Ok(Object::new());
    }
    let root = xml::parse(body)?;
    let reader = reader(service, ITEM);
    // Of GetBucketLocation the answer is its one member, without an element around it.
    if let [only] = shape.members.as_slice()
        && only.wire_name() == root.name
        && root.child(&root.name).is_none()
    {
        let member = reader.member(only, &[&root], 0)?;
        return Ok(member.into_iter().collect());
    }
    Ok(reader.structure(shape, &root, 0)?)
}

const fn reader<'a>(service: &'a Service, item: &'static str) -> Reader<'a> {
    Reader { service, item }
}

struct Reader<'a> {
    service: &'a Service,
    item: &'static str,
}

impl Reader<'_> {
    fn structure(
        &self,
        shape: &Structure,
        element: &Element,
        depth: usize,
    ) -> Result<Object, TypeError> {
        let mut members = Vec::new();
        for member in &shape.members {
            if member.xml.as_ref().is_some_and(|x| x.attribute) {
                members.extend(self.attribute(member, element)?);
                continue;
            }
            let name = self.name(member)?;
            let found: Vec<&Element> = element.children.iter().filter(|c| c.name == name).collect();
            if !found.is_empty() {
                members.extend(self.member(member, &found, depth)?);
            }
        }
        Object::from_members(members).map_err(|e| TypeReason::Twice.at(&e.0))
    }

    /// A member's name and value; `None` for an element without a value where the shape has no empty one.
    fn member(
        &self,
        member: &Member,
        found: &[&Element],
        depth: usize,
    ) -> Result<Option<(String, Value)>, TypeError> {
        if let [only] = found
            && only.children.is_empty()
            && only.text.trim().is_empty()
            && !has_empty_value(shape_of(self.service, member.shape)?)
        {
            return Ok(None);
        }
        let flattened = member.xml.as_ref().is_some_and(|x| x.flattened);
        let value = self
            .value(member.shape, found, member.timestamp, flattened, depth + 1)
            .map_err(|e| within(e, member.wire_name()))?;
        Ok(Some((member.name.clone(), value)))
    }

    /// A member that an attribute carries.
    fn attribute(
        &self,
        member: &Member,
        element: &Element,
    ) -> Result<Option<(String, Value)>, TypeError> {
        let name = member.wire_name();
        let Some((_, text)) = element.attributes.iter().find(|(n, _)| n == name) else {
            return Ok(None);
        };
        let shape = shape_of(self.service, member.shape)?;
        let value = scalar::decode(
            shape,
            text.clone(),
            member.timestamp,
            TimestampFormat::DateTime,
        );
        Ok(Some((
            member.name.clone(),
            value.map_err(|reason| reason.at(name))?,
        )))
    }

    /// The name of a member's elements: a flattened list goes by the name of its items, where they have one.
    fn name<'m>(&'m self, member: &'m Member) -> Result<&'m str, TypeError> {
        let here = member.xml.as_ref().is_some_and(|x| x.flattened);
        Ok(match shape_of(self.service, member.shape)? {
            Shape::List {
                flattened,
                location_name: Some(name),
                ..
            } if here || *flattened => name,
            Shape::List { .. }
            | Shape::Structure(_)
            | Shape::Map { .. }
            | Shape::String { .. }
            | Shape::Blob
            | Shape::Boolean
            | Shape::Integer
            | Shape::Long
            | Shape::Float
            | Shape::Timestamp { .. }
            | Shape::Document => member.wire_name(),
        })
    }

    /// The value of the elements of one name; several only for a list or map that its shape or, as `here` says, its member
    /// has flattened.
    fn value(
        &self,
        id: ShapeId,
        found: &[&Element],
        format: Option<TimestampFormat>,
        here: bool,
        depth: usize,
    ) -> Result<Value, TypeError> {
        if depth >= DEPTH_MAX {
            return Err(TypeReason::Depth.at_top());
        }
        let shape = shape_of(self.service, id)?;
        let one = || match found {
            [one] => Ok(*one),
            _ => Err(TypeReason::Twice.at_top()),
        };
        match shape {
            Shape::Structure(shape) => self.structure(shape, one()?, depth).map(Value::Object),
            Shape::List {
                member,
                location_name,
                flattened,
                ..
            } => {
                let items: Vec<&Element> = if here || *flattened {
                    found.to_vec()
                } else {
                    all(one()?, location_name.as_deref().unwrap_or(self.item))?
                };
                items
                    .into_iter()
                    .map(|element| self.value(*member, &[element], None, false, depth + 1))
                    .collect::<Result<_, _>>()
                    .map(Value::List)
            }
            Shape::Map {
                value,
                key_name,
                value_name,
                flattened,
                ..
            } => {
                let entries: Vec<&Element> = if here || *flattened {
                    found.to_vec()
                } else {
                    all(one()?, "entry")?
                };
                let key_name = key_name.as_deref().unwrap_or("key");
                let value_name = value_name.as_deref().unwrap_or("value");
                let mut members = Vec::new();
                for entry in entries {
                    let part = |name: &str| {
                        entry
                            .child(name)
                            .ok_or_else(|| TypeReason::Missing.at(name))
                    };
                    let inner = self.value(*value, &[part(value_name)?], None, false, depth + 1)?;
                    members.push((part(key_name)?.text.clone(), inner));
                }
                Object::from_members(members)
                    .map(Value::Object)
                    .map_err(|e| TypeReason::Twice.at(&e.0))
            }
            Shape::String { .. }
            | Shape::Blob
            | Shape::Boolean
            | Shape::Integer
            | Shape::Long
            | Shape::Float
            | Shape::Timestamp { .. }
            | Shape::Document => leaf(shape, one()?, format).map_err(TypeReason::at_top),
        }
    }
}

/// A plain value. Some services spell a time in another way than their model says.
fn leaf(
    shape: &Shape,
    element: &Element,
    format: Option<TimestampFormat>,
) -> Result<Value, TypeReason> {
    if !element.children.is_empty() {
        return Err(TypeReason::Wrong {
            expected: "a plain value",
            found: "elements",
        });
    }
    let read = |format| {
        let text = element.text.clone();
        scalar::decode(shape, text, format, TimestampFormat::DateTime)
    };
    let usual = read(format);
    if usual.is_ok() || !matches!(shape, Shape::Timestamp { .. }) {
        return usual;
    }
    let others = [
        TimestampFormat::DateTime,
        TimestampFormat::EpochSeconds,
        TimestampFormat::HttpDate,
    ];
    let other = others.into_iter().find_map(|other| read(Some(other)).ok());
    other.map_or(usual, Ok)
}

/// The children of an element, all of one name.
fn all<'e>(element: &'e Element, name: &str) -> Result<Vec<&'e Element>, TypeError> {
    match element.children.iter().find(|c| c.name != name) {
        Some(other) => Err(TypeReason::Unknown.at(&shown(&other.name))),
        None => Ok(element.children.iter().collect()),
    }
}

/// Whether an element without text or children is a value of that shape.
const fn has_empty_value(shape: &Shape) -> bool {
    match shape {
        Shape::Structure(_)
        | Shape::List { .. }
        | Shape::Map { .. }
        | Shape::String { .. }
        | Shape::Blob => true,
        Shape::Boolean
        | Shape::Integer
        | Shape::Long
        | Shape::Float
        | Shape::Timestamp { .. }
        | Shape::Document => false,
    }
}

fn within(error: TypeError, name: &str) -> TypeError {
    TypeError {
        path: error.path.within(name),
        ..error
    }
}

#[cfg(test)]
mod tests;
