//! Members of a REST input or answer that stand in headers, both ways.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AsHeaderName;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::aws::catalog::model::{Location, Member, Service, Shape, Structure, TimestampFormat};
use crate::aws::value::{Object, Value};

use super::malformed::{EncodeError, Malformed};
use super::path::shown;
use super::rest::{located, not_expressible, shape_of};
use super::typed::{TypeError, TypeReason};
use super::{scalar, typed};

const HEADER: &str = "a header";

/// Headers that any request may carry beside its members: authentication, framing, and what SDKs say of themselves.
const GENERAL: [&str; 10] = [
    "x-amz-api-version",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-region-set",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-target",
    "x-amz-trailer",
    "x-amz-user-agent",
];

/// Headers that make a request conditional.
const CONDITIONS: [&str; 5] = [
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
];

/// The text of a header that stands at most once; `None` where it doesn't stand.
///
/// # Errors
/// [`Malformed::DuplicateHeader`], [`Malformed::HeaderNotText`].
pub(super) fn single<N>(headers: &HeaderMap, name: N) -> Result<Option<&str>, Malformed>
where
    N: AsHeaderName + AsRef<str> + Copy,
{
    let mut values = headers.get_all(name).into_iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Malformed::DuplicateHeader(shown(name.as_ref())));
    }
    let text = value
        .to_str()
        .map_err(|_| Malformed::HeaderNotText(shown(name.as_ref())))?;
    Ok(Some(text))
}

/// Reads the members that headers carry.
///
/// # Errors
/// [`Malformed`] for a header that stands twice, isn't ASCII, or has a value of the wrong type.
pub(super) fn decode(
    service: &Service,
    shape: &Structure,
    headers: &HeaderMap,
) -> Result<Vec<(String, Value)>, Malformed> {
    let mut members = Vec::new();
    for member in located(shape, Location::Header) {
        if let Some(text) = single(headers, member.wire_name())? {
            members.push((member.name.clone(), value(service, member, text)?));
        }
    }
    for member in located(shape, Location::Headers) {
        let map = spread(headers, &member.wire_name().to_ascii_lowercase())?;
        if !map.is_empty() {
            members.push((member.name.clone(), Value::Object(map)));
        }
    }
    Ok(members)
}

/// Refuses headers that could say what is asked, and are no members: they would be missing in what is rebuilt.
///
/// # Errors
/// [`Malformed::UnknownHeader`].
pub(super) fn all_known(
    service: &Service,
    shape: &Structure,
    headers: &HeaderMap,
) -> Result<(), Malformed> {
    let is_member = |name: &str| {
        shape.members.iter().any(|m| match m.location {
            Location::Header => m.wire_name().eq_ignore_ascii_case(name),
            Location::Headers => {
                let prefix = name.get(..m.wire_name().len());
                prefix.is_some_and(|p| p.eq_ignore_ascii_case(m.wire_name()))
            }
            Location::Body | Location::Label | Location::Query | Location::Status => false,
        })
    };
    let asks = |name: &&HeaderName| {
        let name = name.as_str();
        let amazons = name.starts_with("x-amz-")
            && !name.starts_with("x-amz-checksum-")
            && !GENERAL.contains(&name);
        (amazons || CONDITIONS.contains(&name)) && !is_member(name)
    };
    let constant = |name: &HeaderName| {
        let own = service.headers.iter().find(|(n, _)| name.as_str() == n);
        own.is_some_and(|(_, value)| headers.get(name).is_some_and(|v| v == value))
    };
    match headers.keys().find(|name| asks(name) && !constant(name)) {
        Some(name) => Err(Malformed::UnknownHeader(shown(name.as_str()))),
        None => Ok(()),
    }
}

/// Writes the members that headers carry.
///
/// # Errors
/// [`EncodeError`] for a wrong type, and for a value that a header would not carry unchanged.
pub(super) fn encode(
    service: &Service,
    shape: &Structure,
    input: &Object,
) -> Result<HeaderMap, EncodeError> {
    let mut headers = HeaderMap::new();
    for member in located(shape, Location::Header) {
        if let Some(value) = input.get(&member.name).filter(|v| **v != Value::Null) {
            let text = text(service, member, value)?;
            insert(&mut headers, member, member.wire_name(), &text)?;
        }
    }
    for member in located(shape, Location::Headers) {
        match input.get(&member.name) {
            None | Some(Value::Null) => {}
            Some(Value::Object(map)) if !map.is_empty() => {
                for (key, value) in map.iter() {
                    let value = value
                        .as_str()
                        .ok_or_else(|| not_expressible(member, HEADER))?;
                    if key.bytes().any(|b| b.is_ascii_uppercase()) {
                        return Err(not_expressible(member, "a header's name"));
                    }
                    let name = format!("{}{key}", member.wire_name());
                    insert(&mut headers, member, &name, value)?;
                }
            }
            Some(_) => return Err(not_expressible(member, HEADER)),
        }
    }
    Ok(headers)
}

fn insert(
    headers: &mut HeaderMap,
    member: &Member,
    name: &str,
    text: &str,
) -> Result<(), EncodeError> {
    let name =
        HeaderName::try_from(name).map_err(|_| not_expressible(member, "a header's name"))?;
    let plain = text.bytes().all(|b| (b' '..=b'~').contains(&b)) && text.trim() == text;
    let value = HeaderValue::try_from(text)
        .ok()
        .filter(|_| plain)
        .ok_or_else(|| not_expressible(member, HEADER))?;
    match headers.insert(name, value) {
        Some(_) => Err(not_expressible(member, "a header that another member has")),
        None => Ok(()),
    }
}

fn value(service: &Service, member: &Member, text: &str) -> Result<Value, Malformed> {
    let leaf = |shape, text: String| {
        scalar::decode(shape, text, member.timestamp, TimestampFormat::HttpDate)
    };
    let name = member.wire_name();
    let at = |e: TypeError| TypeError {
        path: e.path.within(name),
        ..e
    };
    let shape = shape_of(service, member.shape)?;
    if member.json_value {
        let json = STANDARD.decode(text).ok().map(String::from_utf8);
        let json = json.and_then(Result::ok);
        let json = json.ok_or_else(|| TypeReason::Base64.at(name))?;
        return Ok(leaf(shape, json).map_err(|r| r.at(name))?);
    }
    let Shape::List {
        member: item,
        min,
        max,
        ..
    } = shape
    else {
        return Ok(leaf(shape, text.to_owned()).map_err(|r| r.at(name))?);
    };
    let parts = split(text).ok_or_else(|| Malformed::HeaderList(shown(name)))?;
    typed::bounds(parts.len(), *min, *max).map_err(|r| r.at(name))?;
    let item = shape_of(service, *item)?;
    let mut items = Vec::with_capacity(parts.len());
    for part in parts {
        let value = leaf(item, part).map_err(|r| {
            let error = r.at_top();
            at(TypeError {
                path: error.path.within_item(items.len()),
                ..error
            })
        })?;
        items.push(value);
    }
    Ok(Value::List(items))
}

fn text(service: &Service, member: &Member, value: &Value) -> Result<String, EncodeError> {
    let leaf = |shape, value| {
        scalar::encode(shape, value, member.timestamp, TimestampFormat::HttpDate)
            .map_err(|r| r.at(&member.name))
    };
    match (shape_of(service, member.shape)?, value) {
        (
            Shape::List {
                member: item,
                min,
                max,
                ..
            },
            Value::List(items),
        ) => {
            typed::bounds(items.len(), *min, *max).map_err(|r| r.at(&member.name))?;
            if items.is_empty() {
                return Err(not_expressible(member, HEADER));
            }
            let item = shape_of(service, *item)?;
            let parts = items
                .iter()
                .map(|value| leaf(item, value).map(|text| quoted(&text)))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(parts.join(","))
        }
        (shape, value) if member.json_value => Ok(STANDARD.encode(leaf(shape, value)?)),
        (shape, value) => Ok(leaf(shape, value)?),
    }
}

/// The map that headers of a common prefix make. A prefix of nothing would take in every header: refused.
fn spread(headers: &HeaderMap, prefix: &str) -> Result<Object, Malformed> {
    let mut members = Vec::new();
    for name in headers.keys() {
        let Some(key) = name.as_str().strip_prefix(prefix) else {
            continue;
        };
        if prefix.is_empty() {
            return Err(TypeReason::NoShape.at(name.as_str()).into());
        }
        let text = single(headers, name)?.unwrap_or_default();
        members.push((key.to_owned(), Value::String(text.to_owned())));
    }
    Ok(Object::from_members(members).map_err(|e| TypeReason::Twice.at(&e.0))?)
}

/// The items of a list in a header: split at commas, quotes taken off; `None` where quotes don't close.
fn split(text: &str) -> Option<Vec<String>> {
    let mut items = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let after = if let Some(inner) = rest.strip_prefix('"') {
            let (item, after) = unquote(inner)?;
            items.push(item);
            after.trim_start()
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (item, after) = rest.split_at_checked(end)?;
            if item.contains('"') {
                return None;
            }
            items.push(item.trim().to_owned());
            after
        };
        if after.is_empty() {
            return Some(items);
        }
        rest = after.strip_prefix(',')?.trim_start();
    }
}

fn unquote(inner: &str) -> Option<(String, &str)> {
    let mut item = String::new();
    let mut chars = inner.chars();
    loop {
        match chars.next()? {
            '"' => return Some((item, chars.as_str())),
            // Any other character after a backslash is read as itself by some, and with the backslash by others.
            '\\' => item.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => item.push(c),
        }
    }
}

fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains([',', '"', '\\']) || text.trim() != text {
        let inner = text.replace('\\', "\\\\").replace('"', "\\\"");
        return format!("\"{inner}\"");
    }
    text.to_owned()
}
