//! Which operation a request is, and in which protocol it says so.
//!
//! INVARIANT: exactly one protocol signal is present. The order is Smithy's wire-protocol guide's; a request that
//! two protocols could claim is refused rather than given to the first.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, Method, header};

use crate::aws::catalog::Protocol;
use crate::aws::catalog::model::{Location, Member, Service, Structure};
use crate::aws::catalog::routes::Routes;
use crate::aws::head::{Head, SMITHY_PROTOCOL, X_AMZ_TARGET};

use super::escape::Plus;
use super::malformed::Malformed;
use super::path::shown;
use super::rest_headers::single;
use super::route;
use super::{Identified, JsonVersion, aws_json, form, host_prefix, query, query_request, rpc_v2};

/// Headers by which a client or a proxy could mean another method or path than the request line's.
const OVERRIDES: [&str; 6] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-original-method",
];

const TARGET: &str = "the header `x-amz-target`";
pub(super) const SMITHY: &str = "the header `smithy-protocol`";
const SERVICE_PATH: &str = "a path `/service/…/operation/…`";
const FORM_BODY: &str = "a form body";
const ACTION: &str = "the parameter `Action`";

/// Whether the body has to be read before [`identify`] can tell the operation: the form protocols' case.
#[must_use]
pub fn needs_body(head: &Head<'_>) -> bool {
    single(head.headers, &header::CONTENT_TYPE)
        .is_ok_and(|text| text.is_some_and(|t| essence(t).eq_ignore_ascii_case(query::FORM)))
}

/// Tells which operation of which candidate a request is. `candidates` are the services behind the host, at least
/// one; `body` is needed where [`needs_body`] says so.
///
/// # Errors
/// [`Malformed`]; where [`Malformed::is_unknown_operation`], the request is well-formed.
pub fn identify(
    candidates: &[Arc<Service>],
    head: &Head<'_>,
    body: Option<&[u8]>,
) -> Result<Identified, Malformed> {
    let overrides = |name: &HeaderName| OVERRIDES.into_iter().find(|known| name == known);
    if let Some(name) = head.headers.keys().find_map(overrides) {
        return Err(Malformed::Override(name));
    }
    let is_member = |name: &str| {
        candidates
            .iter()
            .any(|s| Routes::of(s).has_underscored(name))
    };
    let lookalike = |name: &&HeaderName| is_lookalike(name.as_str()) && !is_member(name.as_str());
    if let Some(name) = head.headers.keys().find(lookalike) {
        return Err(Malformed::Lookalike(shown(name.as_str())));
    }
    let identified = match signal(candidates, head)? {
        Some(SMITHY) => rpc_v2::identify(candidates, head),
        Some(SERVICE_PATH) => Err(Malformed::NoSignal {
            services: names(candidates),
            expected: if speaks_rpc_v2(candidates) {
                SMITHY
            } else {
                expected(candidates)
            },
        }),
        Some(TARGET) => aws_json(candidates, head),
        Some(_) => query_request::identify(candidates, head, body),
        None => rest(candidates, head),
    }?;
    host_prefix::fits(identified.operation(), head.addressed)?;
    Ok(identified)
}

/// Whether a header becomes one that says what the request is where a server takes `_` and `-` for the same, as those do
/// that hand headers on as environment variables.
fn is_lookalike(name: &str) -> bool {
    if !name.contains('_') {
        return false;
    }
    let hyphened = name.replace('_', "-");
    hyphened.starts_with("x-amz-")
        || OVERRIDES.contains(&hyphened.as_str())
        || [
            "content-type",
            "content-length",
            "content-encoding",
            "transfer-encoding",
            "smithy-protocol",
            "host",
        ]
        .contains(&hyphened.as_str())
}

/// A content type without its parameters. Letter case doesn't count.
#[derive(Debug, Clone, Copy)]
pub(super) struct MediaType<'a>(&'a str);

impl<'a> MediaType<'a> {
    pub(super) fn is(self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name)
    }

    /// What stands after the beginning of a name.
    fn after(self, begin: &str) -> Option<&'a str> {
        let (head, rest) = self.0.split_at_checked(begin.len())?;
        head.eq_ignore_ascii_case(begin).then_some(rest)
    }
}

/// For a message.
impl From<MediaType<'_>> for String {
    fn from(media_type: MediaType<'_>) -> Self {
        shown(&media_type.0.to_ascii_lowercase())
    }
}

/// The content type; `None` where there is none.
///
/// # Errors
/// [`Malformed`] where the header stands twice or isn't ASCII.
pub(super) fn media_type(headers: &HeaderMap) -> Result<Option<MediaType<'_>>, Malformed> {
    let found = single(headers, &header::CONTENT_TYPE)?;
    Ok(found.map(|text| MediaType(essence(text))))
}

/// A content type without its parameters.
fn essence(text: &str) -> &str {
    text.split_once(';')
        .map_or(text, |(essence, _)| essence)
        .trim()
}

/// Refuses a body that is encoded. Where the encoding is a member of the input it is the object's own, and no business of
/// the request's, but for the framing in chunks.
///
/// # Errors
/// [`Malformed::ContentEncoding`], [`Malformed::DuplicateHeader`].
pub(super) fn unencoded(headers: &HeaderMap, input: Option<&Structure>) -> Result<(), Malformed> {
    let name = header::CONTENT_ENCODING;
    let is_member = || {
        let own = |m: &Member| m.location == Location::Header && name == m.wire_name();
        input.is_some_and(|shape| shape.members.iter().any(own))
    };
    let framed = |text: &str| {
        let mut parts = text.split(',').map(str::trim);
        parts.any(|part| part.eq_ignore_ascii_case("aws-chunked"))
    };
    match single(headers, &name)? {
        None => Ok(()),
        Some(text) if is_member() && !framed(text) => Ok(()),
        Some(text) if text.trim().eq_ignore_ascii_case("identity") => Ok(()),
        Some(text) => Err(Malformed::ContentEncoding(shown(text))),
    }
}

/// The one signal of a protocol other than REST.
fn signal(candidates: &[Arc<Service>], head: &Head<'_>) -> Result<Option<&'static str>, Malformed> {
    let queries = speaks(candidates, Protocol::AwsQuery) || speaks(candidates, Protocol::Ec2Query);
    let targeted = head.headers.contains_key(&X_AMZ_TARGET);
    let mut found = Found::default();
    if head.headers.contains_key(&SMITHY_PROTOCOL) {
        found.push(SMITHY);
    } else if is_service_path(head.path) && (speaks_rpc_v2(candidates) || !is_rest(candidates)) {
        found.push(SERVICE_PATH);
    }
    if targeted {
        found.push(TARGET);
    }
    let form_body = (queries || targeted) && needs_body(head);
    if form_body {
        found.push(FORM_BODY);
    }
    if (queries || targeted) && has_action(head.query.unwrap_or("")) {
        if form_body {
            return Err(Malformed::TwoPlaces);
        }
        found.push(ACTION);
    }
    match found {
        Found {
            first: Some(first),
            second: Some(second),
        } => Err(Malformed::TwoSignals { first, second }),
        Found { first, .. } => Ok(first),
    }
}

/// Signals that were found: one, or more than one may be.
#[derive(Default)]
struct Found {
    first: Option<&'static str>,
    second: Option<&'static str>,
}

impl Found {
    fn push(&mut self, signal: &'static str) {
        let slot = match self.first {
            None => &mut self.first,
            Some(_) => &mut self.second,
        };
        slot.get_or_insert(signal);
    }
}

fn aws_json(candidates: &[Arc<Service>], head: &Head<'_>) -> Result<Identified, Malformed> {
    let protocol = aws_json::NAME;
    if !speaks(candidates, Protocol::AwsJson) {
        let services = names(candidates);
        return Err(Malformed::NotItsProtocol { services, protocol });
    }
    only_post(head, protocol)?;
    if head.query.is_some_and(|q| !q.is_empty()) {
        return Err(Malformed::Query { protocol });
    }
    let found = media_type(head.headers)?;
    let version = match found.and_then(|found| found.after(aws_json::MEDIA_TYPE)) {
        Some("1.0") => JsonVersion::V1_0,
        Some("1.1") => JsonVersion::V1_1,
        Some(_) | None => {
            return Err(Malformed::ContentType {
                protocol,
                expected: "`application/x-amz-json-1.0` or `-1.1`",
                found: found.map_or_else(|| "none".to_owned(), String::from),
            });
        }
    };
    let target = single(head.headers, &X_AMZ_TARGET)?.unwrap_or_default();
    let (prefix, operation) = target
        .rsplit_once('.')
        .filter(|(prefix, operation)| !prefix.is_empty() && !operation.is_empty())
        .ok_or_else(|| Malformed::Target(shown(target)))?;
    let unknown = || Malformed::UnknownOperation {
        services: names(candidates),
        operation: shown(target),
    };
    candidates
        .iter()
        .filter(|s| s.protocols.contains(&Protocol::AwsJson))
        .filter(|s| s.target_prefix.as_deref() == Some(prefix))
        .find_map(|s| Identified::new(s, operation, Protocol::AwsJson, Some(version)))
        .ok_or_else(unknown)
}

fn rest(candidates: &[Arc<Service>], head: &Head<'_>) -> Result<Identified, Malformed> {
    if !is_rest(candidates) {
        return Err(Malformed::NoSignal {
            services: names(candidates),
            expected: expected(candidates),
        });
    }
    let pairs = form::pairs(
        head.query.unwrap_or(""),
        Plus::Itself,
        "in the query string",
    )?;
    let speakers = candidates.iter().filter(|s| rest_protocol(s).is_some());
    let Some(routed) = route::route(speakers, head, &pairs)? else {
        return Err(unrouted(candidates, head));
    };
    if let Some(found) = route::disagrees(&pairs, routed.operation) {
        return Err(Malformed::Disagrees {
            found: shown(found),
            operation: routed.operation.to_owned(),
        });
    }
    rest_protocol(routed.service)
        .and_then(|protocol| Identified::routed(routed, protocol))
        .ok_or_else(|| unrouted(candidates, head))
}

/// The REST protocol that a service speaks.
fn rest_protocol(service: &Service) -> Option<Protocol> {
    let rest = |p: &&Protocol| matches!(p, Protocol::RestJson | Protocol::RestXml);
    service.protocols.iter().find(rest).copied()
}

fn unrouted(candidates: &[Arc<Service>], head: &Head<'_>) -> Malformed {
    Malformed::UnknownOperation {
        services: names(candidates),
        operation: shown(&format!("{} {}", head.method, head.path)),
    }
}

fn only_post(head: &Head<'_>, protocol: &'static str) -> Result<(), Malformed> {
    if *head.method != Method::POST {
        return Err(Malformed::Method {
            protocol,
            expected: "POST",
            found: shown(head.method.as_str()),
        });
    }
    at_root(head, protocol)
}

fn at_root(head: &Head<'_>, protocol: &'static str) -> Result<(), Malformed> {
    if head.path != "/" {
        return Err(Malformed::Path {
            protocol,
            expected: "`/`",
            found: shown(head.path),
        });
    }
    Ok(())
}

fn has_action(query: &str) -> bool {
    form::pairs(query, Plus::Itself, "in the query string")
        .is_ok_and(|pairs| pairs.iter().any(|(name, _)| name == "Action"))
}

fn is_service_path(path: &str) -> bool {
    let mut parts = path.rsplit('/').skip(1);
    parts.next() == Some("operation") && parts.nth(1) == Some("service")
}

fn speaks(candidates: &[Arc<Service>], protocol: Protocol) -> bool {
    candidates.iter().any(|s| s.protocols.contains(&protocol))
}

fn speaks_rpc_v2(candidates: &[Arc<Service>]) -> bool {
    speaks(candidates, Protocol::RpcV2Cbor) || speaks(candidates, Protocol::RpcV2Json)
}

fn is_rest(candidates: &[Arc<Service>]) -> bool {
    speaks(candidates, Protocol::RestJson) || speaks(candidates, Protocol::RestXml)
}

fn expected(candidates: &[Arc<Service>]) -> &'static str {
    if speaks(candidates, Protocol::AwsJson) {
        TARGET
    } else if speaks_rpc_v2(candidates) {
        SMITHY
    } else {
        ACTION
    }
}

pub(super) fn names(candidates: &[Arc<Service>]) -> String {
    let ids: Vec<String> = candidates.iter().map(|s| format!("`{}`", s.id)).collect();
    ids.join(", ")
}
