//! restJson1: the input spread over labels, query string, headers and a JSON body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};

use crate::aws::catalog::model::{
    Location, Member, Operation, Service, Shape, ShapeId, Structure, TimestampFormat,
};
use crate::aws::catalog::template::{Segment, Template};
use crate::aws::head::Head;
use crate::aws::value::{Object, Value};

use super::identify::media_type;
use super::malformed::{EncodeError, Malformed};
use super::route::RequestPath;
use super::typed::{TypeError, TypeReason};
use super::{
    WireRequest, aws_json, escape, json, no_members, rest_headers, rest_query, scalar, typed,
};

const NAME: &str = "restJson1";
const JSON: &str = "application/json";

/// Reads a request as the input.
///
/// # Errors
/// [`Malformed`] saying what and where.
pub(super) fn decode(
    service: &Service,
    operation: &Operation,
    input: Option<&Structure>,
    head: &Head<'_>,
    body: &[u8],
) -> Result<Object, Malformed> {
    let none = no_members();
    let shape = input.unwrap_or(&none);
    let template = &operation.uri;
    let mut members = labels(service, template, shape, head.path)?;
    members.extend(rest_query::decode(service, template, shape, head.query)?);
    members.extend(rest_headers::decode(service, shape, head.headers)?);
    members.extend(body_members(service, shape, head.headers, body)?);
    let members = Object::from_members(members).map_err(|e| TypeReason::Twice.at(&e.0))?;
    typed::complete(shape, |m| members.get(&m.name).is_some(), Member::wire_name)?;
    Ok(members)
}

/// Writes the input as a request.
///
/// # Errors
/// [`EncodeError`] where the input isn't what the model says, or can't stand where the model puts it.
pub(super) fn encode(
    service: &Service,
    operation: &Operation,
    input: &Object,
) -> Result<WireRequest, EncodeError> {
    let none = no_members();
    let shape = service.input(operation).unwrap_or(&none);
    let there = |m: &Member| input.get(&m.name).is_some_and(|v| *v != Value::Null);
    typed::complete(shape, there, |m| &m.name)?;
    if let Some((name, _)) = input.iter().find(|(name, _)| shape.member(name).is_none()) {
        return Err(TypeReason::Unknown.at(name).into());
    }
    let method =
        Method::from_bytes(operation.method.as_bytes()).map_err(|_| EncodeError::Catalog {
            operation: operation.name.clone(),
            what: "a plain method",
        })?;
    let template = &operation.uri;
    let mut path_and_query = path(service, operation, template, shape, input)?;
    let pairs = rest_query::encode(service, template, shape, input)?;
    for (n, (name, value)) in pairs.iter().enumerate() {
        path_and_query.push(if n == 0 { '?' } else { '&' });
        path_and_query.push_str(&escape::encode(name));
        path_and_query.push('=');
        path_and_query.push_str(&escape::encode(value));
    }
    let mut headers = rest_headers::encode(service, shape, input)?;
    let (content_type, body) = body_bytes(service, &method, shape, input)?;
    // Where the model makes it a member, one that we added would read as the caller's.
    let modelled = located(shape, Location::Header)
        .any(|m| m.wire_name().eq_ignore_ascii_case(CONTENT_TYPE.as_str()));
    if !body.is_empty() && !modelled {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    Ok(WireRequest {
        method,
        path_and_query,
        headers,
        body,
    })
}

fn labels(
    service: &Service,
    template: &Template,
    shape: &Structure,
    path: &str,
) -> Result<Vec<(String, Value)>, Malformed> {
    let labels = RequestPath::parse(path)?.labels(template)?;
    let mut members = Vec::new();
    for (name, text) in labels.unwrap_or_default() {
        let member = located(shape, Location::Label)
            .find(|m| m.wire_name() == name)
            .ok_or_else(|| TypeReason::Unknown.at(&name))?;
        let leaf = shape_of(service, member.shape)?;
        let value = scalar::decode(leaf, text, member.timestamp, TimestampFormat::DateTime)
            .map_err(|r| r.at(&name))?;
        members.push((member.name.clone(), value));
    }
    Ok(members)
}

fn path(
    service: &Service,
    operation: &Operation,
    template: &Template,
    shape: &Structure,
    input: &Object,
) -> Result<String, EncodeError> {
    let mut path = String::new();
    for segment in template.segments() {
        path.push('/');
        let name = match segment {
            Segment::Literal(text) => {
                path.push_str(text);
                continue;
            }
            Segment::Label(name) | Segment::Greedy(name) => name,
        };
        let member = located(shape, Location::Label)
            .find(|m| m.wire_name() == *name)
            .ok_or_else(|| EncodeError::Catalog {
                operation: operation.name.clone(),
                what: "a label's member",
            })?;
        let missing = || TypeReason::Missing.at(&member.name);
        let value = input.get(&member.name).ok_or_else(missing)?;
        let leaf = shape_of(service, member.shape)?;
        let text = scalar::encode(leaf, value, member.timestamp, TimestampFormat::DateTime)
            .map_err(|r| r.at(&member.name))?;
        let parts: Vec<&str> = match segment {
            Segment::Greedy(_) => text.split('/').collect(),
            Segment::Label(_) | Segment::Literal(_) => vec![&text],
        };
        if parts.iter().any(|p| matches!(*p, "" | "." | "..")) {
            return Err(not_expressible(member, "a path"));
        }
        let parts: Vec<String> = parts.into_iter().map(escape::encode).collect();
        path.push_str(&parts.join("/"));
    }
    path.push_str(template.end());
    Ok(path)
}

fn body_members(
    service: &Service,
    shape: &Structure,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<(String, Value)>, Malformed> {
    if let Some(member) = payload(shape) {
        let value = payload_value(service, member, headers, body)?;
        return Ok(Vec::from_iter(value.map(|v| (member.name.clone(), v))));
    }
    let carried = in_body(shape);
    if body.is_empty() && carried.members.is_empty() {
        return Ok(Vec::new());
    }
    if !body.is_empty() {
        is_json(headers)?;
    }
    let wire = aws_json::object(body)?;
    if carried.members.is_empty() && !wire.is_empty() {
        return Err(Malformed::BodyNotEmpty);
    }
    Ok(typed::decode(service, &carried, wire)?.into_members())
}

fn payload_value(
    service: &Service,
    member: &Member,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Option<Value>, Malformed> {
    if body.is_empty() && !member.required {
        return Ok(None);
    }
    let name = member.wire_name();
    match shape_of(service, member.shape)? {
        Shape::Blob => Ok(Some(Value::String(STANDARD.encode(body)))),
        Shape::String { .. } => match std::str::from_utf8(body) {
            Ok(text) => Ok(Some(Value::String(text.to_owned()))),
            Err(_) => Err(wrong(name, "UTF-8", "other bytes").into()),
        },
        Shape::Structure(_) | Shape::List { .. } | Shape::Map { .. } | Shape::Document => {
            is_json(headers)?;
            let wire = json::parse(body)?;
            let value =
                typed::decode_value(service, member.shape, wire).map_err(|e| within(e, name))?;
            Ok(Some(value))
        }
        Shape::Boolean | Shape::Integer | Shape::Long | Shape::Float | Shape::Timestamp { .. } => {
            Err(TypeReason::NoShape.at(name).into())
        }
    }
}

/// The body and the content type that it has unless a member says else.
fn body_bytes(
    service: &Service,
    method: &Method,
    shape: &Structure,
    input: &Object,
) -> Result<(&'static str, Vec<u8>), EncodeError> {
    let Some(member) = payload(shape) else {
        let carried = in_body(shape);
        let own = input
            .iter()
            .filter(|(name, _)| carried.member(name).is_some())
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect();
        let wire = typed::encode(service, &carried, &own)?;
        let bodiless = [Method::GET, Method::HEAD, Method::DELETE].contains(method);
        let none = carried.members.is_empty() || (bodiless && wire.is_empty());
        let body = if none {
            Vec::new()
        } else {
            json::write_object(&wire)
        };
        return Ok((JSON, body));
    };
    let Some(value) = input.get(&member.name).filter(|v| **v != Value::Null) else {
        return Ok((JSON, Vec::new()));
    };
    let (content_type, body) = match (shape_of(service, member.shape)?, value) {
        (Shape::Blob, Value::String(text)) => {
            let bytes = STANDARD
                .decode(text)
                .map_err(|_| TypeReason::Base64.at(&member.name))?;
            ("application/octet-stream", bytes)
        }
        (Shape::String { .. }, Value::String(text)) => ("text/plain", text.clone().into_bytes()),
        (Shape::Blob | Shape::String { .. }, value) => {
            return Err(wrong(&member.name, "a string", typed::kind(value)).into());
        }
        (_, value) => {
            let wire = typed::encode_value(service, member.shape, value)
                .map_err(|e| within(e, &member.name))?;
            (JSON, json::write(&wire))
        }
    };
    if body.is_empty() && !member.required {
        return Err(not_expressible(member, "a body"));
    }
    Ok((content_type, body))
}

fn is_json(headers: &HeaderMap) -> Result<(), Malformed> {
    match media_type(headers)? {
        None => Ok(()),
        Some(found) if found == JSON => Ok(()),
        Some(found) => Err(Malformed::ContentType {
            protocol: NAME,
            expected: "`application/json`",
            found,
        }),
    }
}

/// The members at one place of a request.
pub(super) fn located(shape: &Structure, location: Location) -> impl Iterator<Item = &Member> {
    shape.members.iter().filter(move |m| m.location == location)
}

/// The members that stand in the JSON body, as a structure of their own.
pub(super) fn in_body(shape: &Structure) -> Structure {
    Structure {
        members: located(shape, Location::Body).cloned().collect(),
        payload: None,
        ..*shape
    }
}

/// The member that is the whole body.
pub(super) fn payload(shape: &Structure) -> Option<&Member> {
    shape.member(shape.payload.as_deref()?)
}

/// The shape behind an id.
pub(super) fn shape_of(service: &Service, id: ShapeId) -> Result<&Shape, TypeError> {
    service.shape(id).ok_or(TypeReason::NoShape.at_top())
}

/// A member's value that can't stand in `place`.
pub(super) fn not_expressible(member: &Member, place: &'static str) -> EncodeError {
    EncodeError::NotExpressible {
        member: member.name.clone(),
        place,
    }
}

fn wrong(name: &str, expected: &'static str, found: &'static str) -> TypeError {
    TypeReason::Wrong { expected, found }.at(name)
}

fn within(error: TypeError, name: &str) -> TypeError {
    TypeError {
        path: error.path.within(name),
        ..error
    }
}
