//! Smithy's RPC v2 with CBOR: the service and the operation in the path, the whole input as one CBOR map.
//!
//! <https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use crate::aws::catalog::Protocol;
use crate::aws::catalog::model::{Operation, Service, Structure};
use crate::aws::head::Head;
use crate::aws::value::Object;

use super::cbor::shaped::{self, Unknown};
use super::cbor::{self, Item};
use super::identify::{SMITHY, media_type, names};
use super::malformed::{EncodeError, Malformed, OutputError};
use super::path::shown;
use super::rest_headers::single;
use super::typed::Timestamps;
use super::{Identified, WireRequest, no_members, typed};

/// The value of the header [`HEADER`].
pub(super) const MARK: &str = "rpc-v2-cbor";
pub(super) const HEADER: &str = "smithy-protocol";
pub(super) const MEDIA_TYPE: &str = "application/cbor";
const NAME: &str = super::malformed::name(Protocol::RpcV2Cbor);
const EXPECTED: &str = "`application/cbor`";

/// Tells the operation of a request that says `smithy-protocol`.
///
/// # Errors
/// [`Malformed`]; a path that names another service than the host is one that isn't known.
pub(super) fn identify(
    candidates: &[Arc<Service>],
    head: &Head<'_>,
) -> Result<Identified, Malformed> {
    let mark = single(head.headers, HEADER)?.unwrap_or_default();
    if mark != MARK {
        return Err(Malformed::SmithyProtocol(shown(mark)));
    }
    let speakers = || {
        let listed = |s: &&Arc<Service>| s.protocols.contains(&Protocol::RpcV2Cbor);
        candidates.iter().filter(listed)
    };
    if speakers().next().is_none() {
        return Err(Malformed::NotItsProtocol {
            services: names(candidates),
            protocol: NAME,
        });
    }
    // Smithy has servers refuse it, as it could name another operation.
    if head.headers.contains_key("x-amzn-target") {
        return Err(Malformed::TwoSignals {
            first: SMITHY,
            second: "the header `x-amzn-target`",
        });
    }
    if *head.method != Method::POST {
        return Err(Malformed::Method {
            protocol: NAME,
            expected: "POST",
            found: shown(head.method.as_str()),
        });
    }
    if head.query.is_some_and(|q| !q.is_empty()) {
        return Err(Malformed::Query { protocol: NAME });
    }
    match media_type(head.headers)? {
        None => {}
        Some(found) if found == MEDIA_TYPE => {}
        Some(found) => return Err(content_type(found)),
    }
    let (service, operation) = parts(head.path).ok_or_else(|| Malformed::Path {
        protocol: NAME,
        expected: "`/service/…/operation/…`",
        found: shown(head.path),
    })?;
    speakers()
        .filter(|s| is_named(s, service))
        .find_map(|s| Identified::new(s, operation, Protocol::RpcV2Cbor, None))
        .ok_or_else(|| Malformed::UnknownOperation {
            services: names(candidates),
            operation: shown(&format!("{service}.{operation}")),
        })
}

/// Reads a body as the input. None at all is an input without members, whose content type may be missing too.
///
/// # Errors
/// [`Malformed`] saying what and where.
pub(super) fn decode(
    service: &Service,
    input: Option<&Structure>,
    head: &Head<'_>,
    body: &[u8],
) -> Result<Object, Malformed> {
    if !body.is_empty() && media_type(head.headers)?.is_none() {
        return Err(content_type("none".to_owned()));
    }
    let none = no_members();
    let shape = input.unwrap_or(&none);
    let items = map(body)?.ok_or(Malformed::BodyNotMap)?;
    let wire = shaped::members(service, shape, items, Unknown::Refused)?;
    Ok(typed::decode_with(
        service,
        shape,
        wire,
        Timestamps::EpochSeconds,
    )?)
}

/// Writes the input as a request, with the headers that AWS's SDKs send. An operation without an input has no body.
///
/// # Errors
/// [`EncodeError`] where the input isn't what the model says.
pub(super) fn encode(
    service: &Service,
    operation: &Operation,
    input: &Object,
) -> Result<WireRequest, EncodeError> {
    let none = no_members();
    let shape = service.input(operation);
    let wire = typed::encode_with(
        service,
        shape.unwrap_or(&none),
        input,
        Timestamps::EpochSeconds,
    )?;
    let name = name(service).ok_or_else(|| EncodeError::Catalog {
        operation: operation.name.clone(),
        what: "the service's name in paths",
    })?;
    let mut headers = HeaderMap::new();
    headers.insert(HEADER, HeaderValue::from_static(MARK));
    headers.insert(ACCEPT, HeaderValue::from_static(MEDIA_TYPE));
    let body = match shape {
        Some(shape) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
            cbor::write(&shaped::item(service, shape, &wire)?)
        }
        None => Vec::new(),
    };
    Ok(WireRequest {
        method: Method::POST,
        path_and_query: format!("/service/{name}/operation/{}", operation.name),
        headers,
        body,
    })
}

/// Reads an answer's members.
///
/// # Errors
/// [`OutputError`] where the body can't be read or something known has the wrong type.
pub(super) fn decode_output(
    service: &Service,
    shape: &Structure,
    body: &[u8],
) -> Result<Object, OutputError> {
    let items = map(body)?.ok_or(OutputError::NotObject)?;
    let wire = shaped::members(service, shape, items, Unknown::Dropped)?;
    Ok(typed::decode_output(service, shape, wire)?)
}

/// A body's members; an empty one has none, and `None` stands for what isn't a map.
///
/// # Errors
/// [`cbor::CborError`].
pub(super) fn map(body: &[u8]) -> Result<Option<Vec<(String, Item)>>, cbor::CborError> {
    if body.is_empty() {
        return Ok(Some(Vec::new()));
    }
    match cbor::parse(body)? {
        Item::Map(items) => Ok(Some(items)),
        Item::Null
        | Item::Bool(_)
        | Item::Number(_)
        | Item::Bytes(_)
        | Item::Text(_)
        | Item::List(_)
        | Item::Timestamp(_) => Ok(None),
    }
}

/// The service and the operation that a path names. AWS's services have no prefix before it, though Smithy allows one.
fn parts(path: &str) -> Option<(&str, &str)> {
    let mut segments = path.strip_prefix('/')?.split('/');
    let all = (
        segments.next(),
        segments.next(),
        segments.next(),
        segments.next(),
        segments.next(),
    );
    match all {
        (Some("service"), Some(service), Some("operation"), Some(operation), None) => {
            Some((service, operation))
        }
        _ => None,
    }
}

/// Whether a segment names a service: by its shape's name, or with the namespace before it as botocore sends it for a
/// service whose target prefix has one.
fn is_named(service: &Service, segment: &str) -> bool {
    service.target_prefix.as_deref() == Some(segment) || name(service) == Some(segment)
}

/// The name of the service's shape, without its namespace.
fn name(service: &Service) -> Option<&str> {
    let prefix = service.target_prefix.as_deref()?;
    Some(prefix.rsplit_once('.').map_or(prefix, |(_, name)| name))
}

fn content_type(found: String) -> Malformed {
    Malformed::ContentType {
        protocol: NAME,
        expected: EXPECTED,
        found,
    }
}

#[cfg(test)]
mod tests;
