//! Smithy's RPC v2, in CBOR or JSON: the service and the operation in the path, the whole input as the body.
//!
//! <https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use crate::aws::catalog::Protocol;
use crate::aws::catalog::model::{Operation, Service};
use crate::aws::head::{Head, SMITHY_PROTOCOL};

use super::identify::{SMITHY, media_type, names};
use super::malformed::{self, EncodeError, Malformed};
use super::path::shown;
use super::rest_headers::single;
use super::{Identified, WireRequest};

/// One protocol of the family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speech {
    protocol: Protocol,
    /// The value of the header [`SMITHY_PROTOCOL`].
    mark: &'static str,
    media_type: &'static str,
    /// The media type as messages show it.
    expected: &'static str,
}

pub(super) const CBOR: Speech = Speech {
    protocol: Protocol::RpcV2Cbor,
    mark: "rpc-v2-cbor",
    media_type: "application/cbor",
    expected: "`application/cbor`",
};

pub(super) const JSON: Speech = Speech {
    protocol: Protocol::RpcV2Json,
    mark: "rpc-v2-json",
    media_type: "application/json",
    expected: "`application/json`",
};

/// Tells the operation of a request that says `smithy-protocol`.
///
/// # Errors
/// [`Malformed`]; a path that names another service than the host is one that isn't known.
pub(super) fn identify(
    candidates: &[Arc<Service>],
    head: &Head<'_>,
) -> Result<Identified, Malformed> {
    let mark = single(head.headers, &SMITHY_PROTOCOL)?.unwrap_or_default();
    let speech = [CBOR, JSON]
        .into_iter()
        .find(|s| s.mark == mark)
        .ok_or_else(|| Malformed::SmithyProtocol(shown(mark)))?;
    let protocol = malformed::name(speech.protocol);
    let speakers = || {
        let listed = |s: &&Arc<Service>| s.protocols.contains(&speech.protocol);
        candidates.iter().filter(listed)
    };
    if speakers().next().is_none() {
        return Err(Malformed::NotItsProtocol {
            services: names(candidates),
            protocol,
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
            protocol,
            expected: "POST",
            found: shown(head.method.as_str()),
        });
    }
    if head.query.is_some_and(|q| !q.is_empty()) {
        return Err(Malformed::Query { protocol });
    }
    match media_type(head.headers)? {
        None => {}
        Some(found) if found.is(speech.media_type) => {}
        Some(found) => return Err(content_type(speech, found.into())),
    }
    let (service, operation) = parts(head.path).ok_or_else(|| Malformed::Path {
        protocol,
        expected: "`/service/…/operation/…`",
        found: shown(head.path),
    })?;
    speakers()
        .filter(|s| is_named(s, service))
        .find_map(|s| Identified::new(s, operation, speech.protocol, None))
        .ok_or_else(|| Malformed::UnknownOperation {
            services: names(candidates),
            operation: shown(&format!("{service}.{operation}")),
        })
}

/// Refuses a body whose content type isn't said. Without a body it may be missing.
///
/// # Errors
/// [`Malformed::ContentType`].
pub(super) fn says_its_type(speech: Speech, head: &Head<'_>, body: &[u8]) -> Result<(), Malformed> {
    if !body.is_empty() && media_type(head.headers)?.is_none() {
        return Err(content_type(speech, "none".to_owned()));
    }
    Ok(())
}

/// A request with the headers that AWS's SDKs send. An operation without an input has no body: `None`.
///
/// # Errors
/// [`EncodeError::Catalog`] where the service has no name for paths.
pub(super) fn request(
    speech: Speech,
    service: &Service,
    operation: &Operation,
    body: Option<Vec<u8>>,
) -> Result<WireRequest, EncodeError> {
    let name = name(service).ok_or_else(|| EncodeError::Catalog {
        operation: operation.name.clone(),
        what: "the service's name in paths",
    })?;
    let media_type = HeaderValue::from_static(speech.media_type);
    let mut headers = HeaderMap::new();
    headers.insert(SMITHY_PROTOCOL, HeaderValue::from_static(speech.mark));
    headers.insert(ACCEPT, media_type.clone());
    if body.is_some() {
        headers.insert(CONTENT_TYPE, media_type);
    }
    Ok(WireRequest {
        method: Method::POST,
        path_and_query: format!("/service/{name}/operation/{}", operation.name),
        headers,
        body: body.unwrap_or_default(),
    })
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

fn content_type(speech: Speech, found: String) -> Malformed {
    Malformed::ContentType {
        protocol: malformed::name(speech.protocol),
        expected: speech.expected,
        found,
    }
}
