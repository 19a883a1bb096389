//! Which operation a form asks for: `Action` and `Version`, all in the body of a POST or all in the query of a GET.
//!
//! INVARIANT: every parameter stands once and in one place, and a path says nothing that the parameters don't.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Method};

use crate::aws::catalog::model::{Operation, Service};
use crate::aws::head::Head;

use super::escape::{EscapeError, Plus};
use super::form_names::Dialect;
use super::identify::{media_type, names, unencoded};
use super::malformed::{self, Malformed};
use super::path::shown;
use super::rest_headers::single;
use super::{Identified, form, query};

type Pairs = Vec<(String, String)>;

/// What SDKs add to the query of a presigned GET. The signature covers it and no operation has it.
const PRESIGNED: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

/// Tells which operation of which candidate a form asks for.
///
/// # Errors
/// [`Malformed`].
pub(super) fn identify(
    candidates: &[Arc<Service>],
    head: &Head<'_>,
    body: Option<&[u8]>,
) -> Result<Identified, Malformed> {
    let spoken = |s: &'_ Arc<Service>| Dialect::spoken(s);
    let Some(dialect) = candidates.iter().find_map(spoken) else {
        return Err(Malformed::NotItsProtocol {
            services: names(candidates),
            protocol: malformed::name(Dialect::AwsQuery.protocol()),
        });
    };
    let pairs = pairs(dialect, head, body)?;
    form::unique(&pairs)?;
    let value = |name| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v);
    let action = value("Action").ok_or(Malformed::NoParameter("Action"))?;
    let version = value("Version").ok_or(Malformed::NoParameter("Version"))?;
    let services = || names(candidates);
    let mut versions = candidates
        .iter()
        .filter_map(|s| Some((s, spoken(s)?)))
        .filter(|(s, _)| s.api_version == *version)
        .peekable();
    if versions.peek().is_none() {
        return Err(Malformed::UnknownVersion {
            services: services(),
            version: shown(version),
        });
    }
    let identified = versions
        .find_map(|(s, dialect)| Identified::new(s, action, dialect.protocol(), None))
        .ok_or_else(|| Malformed::UnknownOperation {
            services: services(),
            operation: shown(action),
        })?;
    placed(&identified, dialect, head, pairs)?;
    Ok(identified)
}

/// The parameters of a form that was identified, those that its path stands for among them.
///
/// # Errors
/// [`Malformed`] where they can't be read, or stand in two places.
pub(super) fn parameters(
    identified: &Identified,
    dialect: Dialect,
    head: &Head<'_>,
    body: &[u8],
) -> Result<Pairs, Malformed> {
    let pairs = pairs(dialect, head, Some(body))?;
    form::unique(&pairs)?;
    placed(identified, dialect, head, pairs)
}

/// The pairs as they stand, in their order.
fn pairs(dialect: Dialect, head: &Head<'_>, body: Option<&[u8]>) -> Result<Pairs, Malformed> {
    let protocol = malformed::name(dialect.protocol());
    unencoded(head.headers, None)?;
    let query = head.query.unwrap_or("");
    if *head.method == Method::GET {
        if body.is_some_and(|b| !b.is_empty()) {
            return Err(Malformed::TwoPlaces);
        }
        let mut pairs = form::pairs(query, Plus::Refused, "in the query string")?;
        if pairs.iter().any(|(name, _)| name == "X-Amz-Signature") {
            form::unique(&pairs)?;
            pairs.retain(|(name, _)| !PRESIGNED.contains(&name.as_str()));
        }
        return Ok(pairs);
    }
    if *head.method != Method::POST {
        return Err(Malformed::Method {
            protocol,
            expected: "POST",
            found: shown(head.method.as_str()),
        });
    }
    let found = media_type(head.headers)?;
    if !found.is_some_and(|found| found.is(query::FORM)) {
        return Err(Malformed::ContentType {
            protocol,
            expected: "`application/x-www-form-urlencoded`",
            found: found.map_or_else(|| "none".to_owned(), String::from),
        });
    }
    in_utf_8(head.headers, protocol)?;
    let body = body.ok_or(Malformed::BodyNeeded)?;
    let text = std::str::from_utf8(body).map_err(|_| Malformed::Escape {
        place: "in the body",
        error: EscapeError::NotUtf8,
    })?;
    form::pairs(text, Plus::Blank, "in the body")
}

/// Holds path and query against what the operation's have to be: a POST has no query but the
/// model's own, and the path is
/// `/` or that of the URL that the service's requests may go to ([`Service::url_member`]). That URL is added where only
/// the path says it.
fn placed(
    identified: &Identified,
    dialect: Dialect,
    head: &Head<'_>,
    mut pairs: Pairs,
) -> Result<Pairs, Malformed> {
    let protocol = malformed::name(dialect.protocol());
    if *head.method == Method::POST {
        let query = head.query.unwrap_or("");
        let stands = form::pairs(query, Plus::Refused, "in the query string")?;
        if !stands.is_empty() && stands != identified.operation.uri.query() {
            return Err(Malformed::Query { protocol });
        }
    }
    if head.path == "/" {
        return Ok(pairs);
    }
    let elsewhere = || Malformed::Path {
        protocol,
        expected: "`/`",
        found: shown(head.path),
    };
    let (service, operation) = (&identified.service, &identified.operation);
    let name = url_member(service, operation).ok_or_else(elsewhere)?;
    if !is_plain(head.path) {
        return Err(elsewhere());
    }
    match pairs.iter().find(|(n, _)| n == name) {
        Some((_, url)) if path_of(url) == Some(head.path) => {}
        Some(_) => return Err(Malformed::PathDisagrees(name.to_owned())),
        None => {
            let host = single(head.headers, &HOST)?.ok_or_else(elsewhere)?;
            pairs.push((name.to_owned(), format!("https://{host}{}", head.path)));
        }
    }
    Ok(pairs)
}

/// Where a form goes: `/`, or the path of the URL that it names.
pub(super) fn path<'p>(
    service: &Service,
    operation: &Operation,
    pairs: &'p [(String, String)],
) -> &'p str {
    let url = url_member(service, operation)
        .and_then(|name| pairs.iter().find(|(n, _)| n == name))
        .and_then(|(_, url)| path_of(url));
    url.filter(|path| is_plain(path)).unwrap_or("/")
}

fn url_member<'s>(service: &'s Service, operation: &Operation) -> Option<&'s str> {
    let name = service.url_member.as_deref()?;
    service.input(operation)?.member(name)?;
    Some(name)
}

/// The path of a URL, or a text that is one.
fn path_of(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.get(rest.find('/')?..)
}

/// Whether a path reads the same everywhere: no escapes, no empty segment, no way up.
fn is_plain(path: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    path.strip_prefix('/').is_some_and(|rest| {
        rest.split('/')
            .all(|segment| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain))
    })
}

/// Refuses a form whose content type has parameters other than one `charset` of UTF-8: a server that heeds another
/// charset reads other parameters.
fn in_utf_8(headers: &HeaderMap, protocol: &'static str) -> Result<(), Malformed> {
    let text = single(headers, &CONTENT_TYPE)?.unwrap_or_default();
    let Some((_, parameters)) = text.split_once(';') else {
        return Ok(());
    };
    let charset = parameters
        .trim()
        .split_once('=')
        .is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("charset")
                && (value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("\"utf-8\""))
        });
    if charset || parameters.trim().is_empty() {
        return Ok(());
    }
    Err(Malformed::ContentType {
        protocol,
        expected: "`charset=utf-8` or none",
        found: shown(text),
    })
}

#[cfg(test)]
mod tests;
