//! What form a request must have, and for whom it must be, over HTTP/1.1 and over HTTP/2.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version, request};
use hyper::body::Incoming;

use super::super::connect::authority;
use super::super::framing::{Framing, HEADERS_MAX, is_plain_number};
use super::super::headers::nominated;
use super::Plan;

/// Why a request isn't handled.
pub(super) enum Fault {
    /// It is for another host.
    Misdirected(String),
    /// It can't be read in one way.
    Malformed(String),
}

fn malformed<T>(why: &str) -> Result<T, Fault> {
    Err(Fault::Malformed(why.to_owned()))
}

/// Checks framing, form and host of a request over HTTP/1.1; makes the target origin-form.
pub(super) fn check_framed(
    plan: &Plan,
    framing: Option<Framing>,
    request: Request<Incoming>,
) -> Result<Request<Incoming>, Fault> {
    match framing {
        Some(Framing::Plain | Framing::Chunked) => {}
        Some(Framing::Ambiguous(why)) => return malformed(&why.to_string()),
        None => return malformed("the request's framing is not clear"),
    }
    let (mut parts, body) = request.into_parts();
    check_form(&parts)?;
    let path = check_hosts(plan, &parts)?;
    parts.uri = Uri::from(path);
    Ok(Request::from_parts(parts, body))
}

fn check_form(parts: &request::Parts) -> Result<(), Fault> {
    if parts.version != Version::HTTP_11 {
        return malformed("the request is not HTTP/1.1");
    }
    if parts.headers.contains_key(UPGRADE) {
        return malformed("protocol upgrades are not supported");
    }
    if let Some(name) = nominated(&parts.headers) {
        return malformed(&format!("the Connection header names `{name}`"));
    }
    check_purpose(parts)
}

/// What is refused over either version.
fn check_purpose(parts: &request::Parts) -> Result<(), Fault> {
    if parts.method == Method::CONNECT {
        return malformed("CONNECT is not understood inside TLS");
    }
    let expects = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !parts.headers.get_all(EXPECT).iter().all(expects) {
        return malformed("only `Expect: 100-continue` is understood");
    }
    Ok(())
}

/// Headers that belong to a connection: HTTP/2 has none (RFC 9113, section 8.2.2).
static OF_CONNECTIONS: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Checks form and host of a request over HTTP/2; makes the target origin-form, `:authority` the `Host` header, and
/// one header of the cookie's crumbs. From here on it is as if it had come over HTTP/1.1.
///
/// INVARIANT: what the `Host` header says is what `:authority` said, byte for byte: the client signed it.
pub(super) fn check_stream(
    plan: &Plan,
    request: Request<Incoming>,
) -> Result<Request<Incoming>, Fault> {
    let (mut parts, body) = request.into_parts();
    check_stream_form(&parts)?;
    let host = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().to_owned());
    let Some(host) = host else {
        return Err(Fault::Misdirected(
            "the request must have an `:authority`".to_owned(),
        ));
    };
    // HTTP/1.1's rules hold for the rest, where `:authority` is both.
    if !parts.headers.contains_key(HOST) {
        let host = HeaderValue::from_str(&host);
        let host = host.or_else(|_| malformed("the `:authority` can't be read"))?;
        parts.headers.insert(HOST, host);
    } else if parts.headers.get_all(HOST).iter().any(|h| h != &host) {
        return Err(Fault::Misdirected(
            "the request's Host header and its `:authority` differ".to_owned(),
        ));
    }
    let path = check_hosts(plan, &parts)?;
    parts.uri = Uri::from(path);
    join_crumbs(&mut parts.headers);
    Ok(Request::from_parts(parts, body))
}

/// The h2 crate has seen to most of this; nothing here relies on it. What it can't show any more is a fragment in the
/// target, which it drops: nothing behind it is judged, verified or sent.
fn check_stream_form(parts: &request::Parts) -> Result<(), Fault> {
    if parts.version != Version::HTTP_2 {
        return malformed("the request is not HTTP/2");
    }
    if parts.extensions.get::<hyper::ext::Protocol>().is_some() {
        return malformed("protocol upgrades are not supported");
    }
    if parts.headers.len() > HEADERS_MAX {
        return malformed("the request has too many headers");
    }
    if let Some(name) = OF_CONNECTIONS
        .iter()
        .find(|name| parts.headers.contains_key(*name))
    {
        return malformed(&format!("`{name}` is no header of HTTP/2"));
    }
    if parts.headers.get_all(TE).iter().any(|te| te != "trailers") {
        return malformed("only `TE: trailers` is understood");
    }
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    if lengths
        .next()
        .is_some_and(|l| !is_plain_number(l.as_bytes()))
    {
        return malformed("the request's Content-Length is not a plain number");
    }
    if lengths.next().is_some() {
        return malformed("the request has more than one Content-Length");
    }
    check_purpose(parts)
}

/// A cookie may come in crumbs, which HTTP/1.1 knows nothing of (RFC 9113, section 8.2.3).
fn join_crumbs(headers: &mut HeaderMap) {
    let crumbs: Vec<_> = headers.get_all(COOKIE).iter().cloned().collect();
    if crumbs.len() < 2 {
        return;
    }
    let whole = crumbs
        .iter()
        .map(HeaderValue::as_bytes)
        .collect::<Vec<_>>()
        .join(b"; ".as_slice());
    // Of values only, with a separator that is one.
    if let Ok(whole) = HeaderValue::from_bytes(&whole) {
        headers.insert(COOKIE, whole);
    }
}

/// Every name of the host must be the connection's; the path and query of the target.
fn check_hosts(plan: &Plan, parts: &request::Parts) -> Result<PathAndQuery, Fault> {
    let agrees = |text: &str| {
        authority(text)
            .is_some_and(|(host, port)| host == plan.host && port.is_none_or(|p| p == plan.port))
    };
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (Some(value), None) = (hosts.next(), hosts.next()) else {
        return Err(Fault::Misdirected(
            "the request must have exactly one Host header".to_owned(),
        ));
    };
    // Nearly every client spells it so.
    if value != plan.host.as_str() {
        let named = String::from_utf8_lossy(value.as_bytes());
        if !agrees(&named) {
            return Err(Fault::Misdirected(format!(
                "the request's Host header says `{named}`"
            )));
        }
    }
    if let Some(target) = parts.uri.authority() {
        if !agrees(target.as_str()) {
            return Err(Fault::Misdirected(format!(
                "the request's target says `{target}`"
            )));
        }
        if parts.uri.scheme_str() != Some("https") {
            return malformed("the request's target is not an https one");
        }
    }
    match parts.uri.path_and_query() {
        Some(path) if path.as_str().starts_with('/') => Ok(path.clone()),
        // `https://host?query`: the path is `/` (RFC 9112, section 3.2.1).
        Some(path) if path.as_str().starts_with('?') && parts.uri.authority().is_some() => {
            PathAndQuery::try_from(format!("/{}", path.as_str()))
                .or_else(|_| malformed("the request's target is not a path"))
        }
        Some(_) | None => malformed("the request's target is not a path"),
    }
}
