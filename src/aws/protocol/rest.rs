//! What restJson1 and restXml share: the input spread over labels, query string, headers and a body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::aws::catalog::model::{
    Location, Member, Operation, Service, Shape, ShapeId, Structure, TimestampFormat,
};
use crate::aws::catalog::routes::{Paths, Routes};
use crate::aws::catalog::template::{Segment, Template};
use crate::aws::endpoint::Addressed;
use crate::aws::head::Head;
use crate::aws::value::{Object, Value};

use super::malformed::{EncodeError, Malformed};
use super::route::{RequestPath, is_key};
use super::typed::{self, TypeError, TypeReason};
use super::{
    WireRequest, checksum, escape, no_members, rest_headers, rest_json, rest_query, rest_xml,
    scalar,
};

/// In what a body's structures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Xml,
}

/// An operation and its input's shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) service: &'a Service,
    pub(super) operation: &'a Operation,
    pub(super) shape: &'a Structure,
}

/// Reads a request as the input. `template` is the one of the operation's that the path has.
///
/// # Errors
/// [`Malformed`] saying what and where.
pub(super) fn decode(
    service: &Service,
    operation: &Operation,
    template: &Template,
    format: Format,
    head: &Head<'_>,
    body: &[u8],
) -> Result<Object, Malformed> {
    let none = no_members();
    let shape = service.input(operation).unwrap_or(&none);
    let asked = Asked {
        service,
        operation,
        shape,
    };
    let mut members = labels(service, template, shape, head)?;
    members.extend(rest_query::decode(service, template, shape, head.query)?);
    members.extend(rest_headers::decode(service, shape, head.headers)?);
    rest_headers::all_known(service, shape, head.headers)?;
    members.extend(body_members(asked, format, head.headers, body)?);
    checksum::verify(asked, head.headers, body)?;
    let members = Object::from_members(members).map_err(|e| TypeReason::Twice.at(&e.0))?;
    typed::complete(shape, |m| members.get(&m.name).is_some(), Member::wire_name)?;
    Ok(members)
}

/// Writes the input as a request to a host that says `addressed`.
///
/// # Errors
/// [`EncodeError`] where the input isn't what the model says, or can't stand where the model puts it.
pub(super) fn encode(
    service: &Service,
    operation: &Operation,
    format: Format,
    input: &Object,
    addressed: &Addressed,
) -> Result<WireRequest, EncodeError> {
    let none = no_members();
    let shape = service.input(operation).unwrap_or(&none);
    let asked = Asked {
        service,
        operation,
        shape,
    };
    let mut wire = encode_head(asked, input, addressed)?;
    let (content_type, body) = body_bytes(asked, format, input)?;
    let headers = &mut wire.headers;
    // Where the model makes it a member, one that we added would read as the caller's.
    if !body.is_empty() && !says_content_type(shape) && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    checksum::renew(asked, input, &body, headers)?;
    wire.body = body;
    Ok(wire)
}

/// Writes what of the input stands in the head.
///
/// # Errors
/// [`EncodeError`] where the input isn't what the model says, or can't stand where the model puts it.
pub(super) fn encode_head(
    asked: Asked<'_>,
    input: &Object,
    addressed: &Addressed,
) -> Result<WireRequest, EncodeError> {
    let Asked {
        service,
        operation,
        shape,
    } = asked;
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
    let mut path_and_query = path(asked, input, addressed)?;
    let mut mark = '?';
    for (name, value) in rest_query::encode(service, template, shape, input)? {
        path_and_query.push(mark);
        mark = '&';
        path_and_query.push_str(&escape::encode(&name));
        // A flag stands without `=`, as SDKs send it.
        if !(value.is_empty() && template.query().iter().any(|(n, _)| *n == name)) {
            path_and_query.push('=');
            path_and_query.push_str(&escape::encode(&value));
        }
    }
    let mut headers = rest_headers::encode(service, shape, input)?;
    for (name, value) in &service.headers {
        let catalog = |_| EncodeError::Catalog {
            operation: operation.name.clone(),
            what: "a plain header",
        };
        let name: HeaderName = name.parse().map_err(|_| catalog(()))?;
        let value = HeaderValue::from_str(value).map_err(|_| catalog(()))?;
        headers.insert(name, value);
    }
    Ok(WireRequest {
        method,
        path_and_query,
        headers,
        body: Vec::new(),
    })
}

pub(super) fn labels(
    service: &Service,
    template: &Template,
    shape: &Structure,
    head: &Head<'_>,
) -> Result<Vec<(String, Value)>, Malformed> {
    let paths = Routes::of(service).paths;
    let labels = RequestPath::parse(head, paths)?.labels(template, paths)?;
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

fn path(asked: Asked<'_>, input: &Object, addressed: &Addressed) -> Result<String, EncodeError> {
    let template = &asked.operation.uri;
    let paths = Routes::of(asked.service).paths;
    let mut path = String::new();
    for (at, segment) in template.segments().iter().enumerate() {
        let name = match segment {
            Segment::Literal(text) => {
                path.push('/');
                path.push_str(text);
                continue;
            }
            Segment::Label(name) | Segment::Greedy(name) => name,
        };
        let (member, text) = label(asked, name, input)?;
        match (addressed, paths) {
            // It stands in the host.
            (Addressed::Bucket(bucket), Paths::Keys) if at == 0 => {
                if text != *bucket {
                    return Err(not_expressible(
                        member,
                        "a request to another bucket's host",
                    ));
                }
                continue;
            }
            (Addressed::Service | Addressed::Prefix(_) | Addressed::Bucket(_), _) => {}
        }
        let parts: Vec<&str> = match segment {
            Segment::Greedy(_) => text.split('/').collect(),
            Segment::Label(_) | Segment::Literal(_) => vec![&text],
        };
        let plain = || parts.iter().all(|p| !matches!(*p, "" | "." | ".."));
        let fits = match (paths, segment) {
            (Paths::Keys, Segment::Greedy(_)) => is_key(&text),
            (Paths::Keys | Paths::Segments, _) => plain(),
        };
        if !fits {
            return Err(not_expressible(member, "a path"));
        }
        path.push('/');
        let parts: Vec<String> = parts.into_iter().map(escape::encode).collect();
        path.push_str(&parts.join("/"));
    }
    if path.is_empty() {
        path.push('/');
    } else {
        path.push_str(template.end());
    }
    Ok(path)
}

/// The member that a label names, and its text.
fn label<'a>(
    asked: Asked<'a>,
    name: &str,
    input: &Object,
) -> Result<(&'a Member, String), EncodeError> {
    let member = located(asked.shape, Location::Label)
        .find(|m| m.wire_name() == name)
        .ok_or_else(|| EncodeError::Catalog {
            operation: asked.operation.name.clone(),
            what: "a label's member",
        })?;
    let missing = || TypeReason::Missing.at(&member.name);
    let value = input.get(&member.name).ok_or_else(missing)?;
    let leaf = shape_of(asked.service, member.shape)?;
    let text = scalar::encode(leaf, value, member.timestamp, TimestampFormat::DateTime)
        .map_err(|r| r.at(&member.name))?;
    Ok((member, text))
}

fn body_members(
    asked: Asked<'_>,
    format: Format,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<(String, Value)>, Malformed> {
    let none = HeaderMap::new();
    let headers = if says_content_type(asked.shape) {
        &none
    } else {
        headers
    };
    if let Some(member) = payload(asked.shape) {
        let value = payload_value(asked.service, member, format, headers, body)?;
        return Ok(Vec::from_iter(value.map(|v| (member.name.clone(), v))));
    }
    let carried = in_body(asked.shape);
    if body.is_empty() && carried.members.is_empty() {
        return Ok(Vec::new());
    }
    let members = match format {
        Format::Json => rest_json::members(asked.service, &carried, headers, body)?,
        Format::Xml => rest_xml::members(asked, &carried, headers, body)?,
    };
    Ok(members.into_members())
}

fn payload_value(
    service: &Service,
    member: &Member,
    format: Format,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Option<Value>, Malformed> {
    let name = member.wire_name();
    let shape = shape_of(service, member.shape)?;
    if is_event_stream(shape) {
        return Err(Malformed::EventStream);
    }
    let may_be_empty = matches!(shape, Shape::Blob | Shape::String { .. });
    if body.is_empty() && !(member.required && may_be_empty) {
        return Ok(None);
    }
    match shape {
        Shape::Blob => Ok(Some(Value::String(STANDARD.encode(body)))),
        Shape::String { .. } => match std::str::from_utf8(body) {
            Ok(text) => Ok(Some(Value::String(text.to_owned()))),
            Err(_) => Err(wrong(name, "UTF-8", "other bytes").into()),
        },
        Shape::Structure(_) | Shape::List { .. } | Shape::Map { .. } | Shape::Document => {
            let value = match format {
                Format::Json => rest_json::payload(service, member, headers, body)?,
                Format::Xml => rest_xml::payload(service, member, headers, body)?,
            };
            Ok(Some(value))
        }
        Shape::Boolean | Shape::Integer | Shape::Long | Shape::Float | Shape::Timestamp { .. } => {
            Err(TypeReason::NoShape.at(name).into())
        }
    }
}

/// The body and the content type that it has unless a member says else.
fn body_bytes(
    asked: Asked<'_>,
    format: Format,
    input: &Object,
) -> Result<(&'static str, Vec<u8>), EncodeError> {
    let service = asked.service;
    let content_type = match format {
        Format::Json => rest_json::MEDIA_TYPE,
        Format::Xml => rest_xml::MEDIA_TYPE,
    };
    let Some(member) = payload(asked.shape) else {
        let carried = in_body(asked.shape);
        let own: Object = input
            .iter()
            .filter(|(name, _)| carried.member(name).is_some())
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect();
        let body = match format {
            Format::Json => rest_json::body(service, &carried, &own)?,
            Format::Xml => rest_xml::body(asked, &carried, &own)?,
        };
        return Ok((content_type, body));
    };
    let shape = shape_of(service, member.shape)?;
    if is_event_stream(shape) {
        return Err(not_expressible(member, "a body: it is a stream of events"));
    }
    let Some(value) = input.get(&member.name).filter(|v| **v != Value::Null) else {
        return Ok((content_type, Vec::new()));
    };
    let (content_type, body) = match (shape, value) {
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
            let body = match format {
                Format::Json => rest_json::payload_body(service, member, value)?,
                Format::Xml => rest_xml::payload_body(service, member, value)?,
            };
            (content_type, body)
        }
    };
    if body.is_empty() && !member.required {
        return Err(not_expressible(member, "a body"));
    }
    Ok((content_type, body))
}

/// Whether the content type is a member of the input, and says nothing of how the body is written.
fn says_content_type(shape: &Structure) -> bool {
    located(shape, Location::Header)
        .any(|m| m.wire_name().eq_ignore_ascii_case(CONTENT_TYPE.as_str()))
}

fn is_event_stream(shape: &Shape) -> bool {
    matches!(
        shape,
        Shape::Structure(Structure {
            event_stream: true,
            ..
        })
    )
}

/// The members at one place of a request.
pub(super) fn located(shape: &Structure, location: Location) -> impl Iterator<Item = &Member> {
    shape.members.iter().filter(move |m| m.location == location)
}

/// The members that stand in the body, as a structure of their own.
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

/// A member of another type than the model's.
pub(super) fn wrong(name: &str, expected: &'static str, found: &'static str) -> TypeError {
    TypeReason::Wrong { expected, found }.at(name)
}

/// The same error, seen from one level further out.
pub(super) fn within(error: TypeError, name: &str) -> TypeError {
    TypeError {
        path: error.path.within(name),
        ..error
    }
}
