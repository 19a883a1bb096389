//! awsQuery and ec2Query: `Action`, `Version` and the input as dotted names in a form.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};

use crate::aws::catalog::model::{
    Member, Operation, Service, Shape, ShapeId, Structure, TimestampFormat,
};
use crate::aws::value::{Object, Value};

use super::escape;
use super::form::{self, Node};
use super::form_names::Dialect;
use super::json::DEPTH_MAX;
use super::malformed::{EncodeError, Malformed};
use super::typed::{TypeError, TypeReason};
use super::{WireRequest, no_members, query_request, scalar, typed};

/// The content type of a form.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// Reads a form's pairs, `Action` and `Version` among them, as the input.
///
/// # Errors
/// [`Malformed`] saying what and where.
pub(super) fn decode(
    service: &Service,
    dialect: Dialect,
    input: Option<&Structure>,
    pairs: Vec<(String, String)>,
) -> Result<Object, Malformed> {
    form::unique(&pairs)?;
    let pairs = pairs
        .into_iter()
        .filter(|(name, _)| name != "Action" && name != "Version")
        .collect();
    let reader = Form { service, dialect };
    Ok(reader.structure(input.unwrap_or(&no_members()), Node::tree(pairs)?, 0)?)
}

/// Writes the input as a request: always a POST with a form.
///
/// # Errors
/// [`EncodeError`] where the input isn't what the model says, or has an empty group, which a form can't carry.
pub(super) fn encode(
    service: &Service,
    dialect: Dialect,
    operation: &Operation,
    input: &Object,
) -> Result<WireRequest, EncodeError> {
    let mut pairs = vec![
        ("Action".to_owned(), operation.name.clone()),
        ("Version".to_owned(), service.api_version.clone()),
    ];
    let writer = Form { service, dialect };
    let shape = service.input(operation);
    writer.write_structure(shape.unwrap_or(&no_members()), input, "", &mut pairs, 0)?;
    Ok(request(service, operation, &pairs))
}

/// Writes parameters as a request of that operation.
pub(super) fn request(
    service: &Service,
    operation: &Operation,
    pairs: &[(String, String)],
) -> WireRequest {
    let body: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", escape::encode(name), escape::encode(value)))
        .collect();
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
    );
    WireRequest {
        method: Method::POST,
        path_and_query: query_request::path(service, operation, pairs).to_owned(),
        headers,
        body: body.join("&").into_bytes(),
    }
}

struct Form<'a> {
    service: &'a Service,
    dialect: Dialect,
}

impl Form<'_> {
    fn value(
        &self,
        id: ShapeId,
        node: Node,
        format: Option<TimestampFormat>,
        depth: usize,
    ) -> Result<Value, TypeError> {
        deeper(depth)?;
        let shape = self.shape(id)?;
        match shape {
            Shape::Structure(shape) => self.structure(shape, node, depth).map(Value::Object),
            Shape::List {
                member, min, max, ..
            } => {
                let empty = node.children.is_empty() && node.value.as_deref() == Some("");
                if empty && self.dialect.writes_empty_lists() {
                    typed::bounds(0, *min, *max).map_err(TypeReason::at_top)?;
                    return Ok(Value::List(Vec::new()));
                }
                let items = numbered(group(node)?, self.dialect.item(shape))?;
                typed::bounds(items.len(), *min, *max).map_err(TypeReason::at_top)?;
                items
                    .into_iter()
                    .map(|(path, node)| {
                        self.value(*member, node, None, depth + 1)
                            .map_err(|e| within_all(e, &path))
                    })
                    .collect::<Result<_, _>>()
                    .map(Value::List)
            }
            Shape::Map { .. } => self.map(shape, node, depth).map(Value::Object),
            Shape::String { .. }
            | Shape::Blob
            | Shape::Boolean
            | Shape::Integer
            | Shape::Long
            | Shape::Float
            | Shape::Timestamp { .. }
            | Shape::Document => {
                let text = plain(node)?;
                scalar::decode(shape, text, format, TimestampFormat::DateTime)
                    .map_err(TypeReason::at_top)
            }
        }
    }

    fn structure(&self, shape: &Structure, node: Node, depth: usize) -> Result<Object, TypeError> {
        let mut members = Vec::new();
        for (name, child) in group(node)?.children {
            let named = |m: &&Member| self.dialect.names(self.service, m, &name);
            let Some(member) = shape.members.iter().find(named) else {
                return Err(TypeReason::Unknown.at(&name));
            };
            let value = self
                .value(member.shape, child, member.timestamp, depth + 1)
                .map_err(|e| within_all(e, &[name]))?;
            members.push((member.name.clone(), value));
        }
        let members = Object::from_members(members).map_err(|e| TypeReason::Twice.at(&e.0))?;
        typed::complete(shape, |m| members.get(&m.name).is_some(), |m| self.name(m))?;
        Ok(members)
    }

    fn map(&self, shape: &Shape, node: Node, depth: usize) -> Result<Object, TypeError> {
        let Shape::Map {
            value: value_shape,
            key_name,
            value_name,
            ..
        } = shape
        else {
            return Err(TypeReason::NoShape.at_top());
        };
        let key_name = key_name.as_deref().unwrap_or("key");
        let value_name = value_name.as_deref().unwrap_or("value");
        let mut members = Vec::new();
        for (path, node) in numbered(group(node)?, self.dialect.item(shape))? {
            let mut parts = group(node).map_err(|e| within_all(e, &path))?.children;
            let mut take = |name| {
                parts
                    .remove(name)
                    .ok_or_else(|| within_all(TypeReason::Missing.at(name), &path))
            };
            let (key, value) = (take(key_name)?, take(value_name)?);
            if let Some(other) = parts.keys().next() {
                return Err(within_all(TypeReason::Unknown.at(other), &path));
            }
            let key = plain(key).map_err(|e| within_all(within_all(e, &[key_name]), &path))?;
            let value = self
                .value(*value_shape, value, None, depth + 1)
                .map_err(|e| within_all(within_all(e, &[value_name]), &path))?;
            members.push((key, value));
        }
        Object::from_members(members).map_err(|e| TypeReason::Twice.at(&e.0))
    }

    fn write(
        &self,
        id: ShapeId,
        value: &Value,
        format: Option<TimestampFormat>,
        prefix: &str,
        pairs: &mut Vec<(String, String)>,
        depth: usize,
    ) -> Result<(), EncodeError> {
        deeper(depth)?;
        let shape = self.shape(id)?;
        let before = pairs.len();
        match (shape, value) {
            (Shape::Structure(shape), Value::Object(object)) => {
                self.write_structure(shape, object, prefix, pairs, depth)?;
            }
            (
                Shape::List {
                    member, min, max, ..
                },
                Value::List(items),
            ) => {
                typed::bounds(items.len(), *min, *max).map_err(|r| r.at(prefix))?;
                if items.is_empty() && self.dialect.writes_empty_lists() {
                    pairs.push((prefix.to_owned(), String::new()));
                }
                for (n, item) in items.iter().enumerate() {
                    let prefix = format!("{}.{}", dotted(prefix, self.dialect.item(shape)), n + 1);
                    self.write(*member, item, None, &prefix, pairs, depth + 1)?;
                }
            }
            (
                Shape::Map {
                    value: value_shape,
                    key_name,
                    value_name,
                    ..
                },
                Value::Object(object),
            ) => {
                let key_name = key_name.as_deref().unwrap_or("key");
                let value_name = value_name.as_deref().unwrap_or("value");
                for (n, (key, value)) in object.iter().enumerate() {
                    let entry = format!("{}.{}", dotted(prefix, self.dialect.item(shape)), n + 1);
                    pairs.push((dotted(&entry, Some(key_name)), key.to_owned()));
                    let prefix = dotted(&entry, Some(value_name));
                    self.write(*value_shape, value, None, &prefix, pairs, depth + 1)?;
                }
            }
            (shape, value) => {
                let text = scalar::encode(shape, value, format, TimestampFormat::DateTime)
                    .map_err(|r| r.at(prefix))?;
                pairs.push((prefix.to_owned(), text));
            }
        }
        if pairs.len() == before {
            return Err(EncodeError::NotExpressible {
                member: prefix.to_owned(),
                place: "a form, which has no empty groups",
            });
        }
        Ok(())
    }

    fn write_structure(
        &self,
        shape: &Structure,
        object: &Object,
        prefix: &str,
        pairs: &mut Vec<(String, String)>,
        depth: usize,
    ) -> Result<(), EncodeError> {
        for (name, value) in object.iter() {
            let Some(member) = shape.member(name) else {
                return Err(TypeReason::Unknown.at(&dotted(prefix, Some(name))).into());
            };
            if *value == Value::Null {
                continue;
            }
            let prefix = dotted(prefix, Some(&self.name(member)));
            self.write(
                member.shape,
                value,
                member.timestamp,
                &prefix,
                pairs,
                depth + 1,
            )?;
        }
        let there = |m: &Member| object.get(&m.name).is_some_and(|v| *v != Value::Null);
        typed::complete(shape, there, |m| &m.name)?;
        Ok(())
    }

    fn shape(&self, id: ShapeId) -> Result<&Shape, TypeError> {
        self.service.shape(id).ok_or(TypeReason::NoShape.at_top())
    }

    fn name<'m>(&'m self, member: &'m Member) -> Cow<'m, str> {
        self.dialect.member(self.service, member)
    }
}

fn dotted(prefix: &str, name: Option<&str>) -> String {
    match name {
        Some(name) if prefix.is_empty() => name.to_owned(),
        Some(name) => format!("{prefix}.{name}"),
        None => prefix.to_owned(),
    }
}

/// The items of a list or map in order, each with its path: numbers from 1 on without a gap.
fn numbered(node: Node, name: Option<&str>) -> Result<Vec<(Vec<String>, Node)>, TypeError> {
    let mut children = node.children;
    let mut path = Vec::new();
    if let Some(name) = name {
        let inner = children.remove(name);
        if let Some(other) = children.keys().next() {
            return Err(TypeReason::Unknown.at(other));
        }
        path.push(name.to_owned());
        children = match inner {
            Some(inner) => group(inner).map_err(|e| within_all(e, &path))?.children,
            None => return Err(TypeReason::Missing.at(name)),
        };
    }
    let mut out = Vec::with_capacity(children.len());
    for number in 1..=children.len() {
        let number = number.to_string();
        let mut path = path.clone();
        path.push(number.clone());
        let Some(child) = children.remove(&number) else {
            return Err(within_all(TypeReason::Missing.at_top(), &path));
        };
        out.push((path, child));
    }
    Ok(out)
}

fn group(node: Node) -> Result<Node, TypeError> {
    if node.value.is_some() {
        return Err(wrong("a group of parameters", "a value"));
    }
    Ok(node)
}

fn plain(node: Node) -> Result<String, TypeError> {
    node.value
        .ok_or_else(|| wrong("a value", "a group of parameters"))
}

fn wrong(expected: &'static str, found: &'static str) -> TypeError {
    TypeReason::Wrong { expected, found }.at_top()
}

fn within_all<S: AsRef<str>>(error: TypeError, names: &[S]) -> TypeError {
    let outwards = names.iter().rev();
    TypeError {
        path: outwards.fold(error.path, |path, name| path.within(name.as_ref())),
        ..error
    }
}

const fn deeper(depth: usize) -> Result<(), TypeError> {
    if depth >= DEPTH_MAX {
        return Err(TypeReason::Depth.at_top());
    }
    Ok(())
}
