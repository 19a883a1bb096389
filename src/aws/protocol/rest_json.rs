//! restJson1's bodies: members as one JSON object, or a payload as any JSON value.

use http::HeaderMap;

use crate::aws::catalog::model::{Member, Service, Structure};
use crate::aws::value::{Object, Value};

use super::identify::media_type;
use super::malformed::{EncodeError, Malformed};
use super::rest::within;
use super::{aws_json, json, typed};

const NAME: &str = "restJson1";
/// A body's content type.
pub(super) const MEDIA_TYPE: &str = "application/json";

/// Reads the members that a body carries. An empty one is `{}`.
///
/// # Errors
/// [`Malformed`] saying what and where.
pub(super) fn members(
    service: &Service,
    carried: &Structure,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Object, Malformed> {
    if !body.is_empty() {
        is_json(headers)?;
    }
    let wire = aws_json::object(body)?;
    if carried.members.is_empty() && !wire.is_empty() {
        return Err(Malformed::BodyNotEmpty);
    }
    Ok(typed::decode(service, carried, wire)?)
}

/// Reads a member that is the whole body.
///
/// # Errors
/// [`Malformed`] saying what and where.
pub(super) fn payload(
    service: &Service,
    member: &Member,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Value, Malformed> {
    is_json(headers)?;
    let wire = json::parse(body)?;
    Ok(typed::decode_value(service, member.shape, wire)
        .map_err(|e| within(e, member.wire_name()))?)
}

/// Writes the members that a body carries, `{}` where none are given; no body for what has none.
///
/// # Errors
/// [`EncodeError`] where the input isn't what the model says.
pub(super) fn body(
    service: &Service,
    carried: &Structure,
    own: &Object,
) -> Result<Vec<u8>, EncodeError> {
    let wire = typed::encode(service, carried, own)?;
    if carried.members.is_empty() {
        return Ok(Vec::new());
    }
    Ok(json::write_object(&wire))
}

/// Writes a member that is the whole body.
///
/// # Errors
/// [`EncodeError`] where the value isn't what the model says.
pub(super) fn payload_body(
    service: &Service,
    member: &Member,
    value: &Value,
) -> Result<Vec<u8>, EncodeError> {
    let wire =
        typed::encode_value(service, member.shape, value).map_err(|e| within(e, &member.name))?;
    Ok(json::write(&wire))
}

fn is_json(headers: &HeaderMap) -> Result<(), Malformed> {
    match media_type(headers)? {
        None => Ok(()),
        Some(found) if found.is(MEDIA_TYPE) => Ok(()),
        Some(found) => Err(Malformed::ContentType {
            protocol: NAME,
            expected: "`application/json`",
            found: found.into(),
        }),
    }
}
