//! Smithy's RPC v2 with CBOR: the whole input as one CBOR map.

use crate::aws::catalog::model::{Operation, Service, Structure};
use crate::aws::head::Head;
use crate::aws::value::Object;

use super::cbor::shaped::{self, Unknown};
use super::cbor::{self, Item};
use super::malformed::{EncodeError, Malformed, OutputError};
use super::rpc_v2::{self, CBOR};
use super::typed::Timestamps;
use super::{WireRequest, no_members, typed};

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
    rpc_v2::says_its_type(CBOR, head, body)?;
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

/// Writes the input as a request.
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
    let item = shape.map(|shape| shaped::item(service, shape, &wire));
    let body = item.transpose()?.map(|item| cbor::write(&item));
    rpc_v2::request(CBOR, service, operation, body)
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

#[cfg(test)]
mod tests;
