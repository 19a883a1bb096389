//! Smithy's RPC v2 with JSON: the whole input as one JSON object, timestamps always as seconds since 1970.

use crate::aws::catalog::model::{Operation, Service, Structure};
use crate::aws::head::Head;
use crate::aws::value::Object;

use super::malformed::{EncodeError, Malformed};
use super::rpc_v2::{self, JSON};
use super::typed::Timestamps;
use super::{WireRequest, aws_json, json, no_members, typed};

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
    rpc_v2::says_its_type(JSON, head, body)?;
    let none = no_members();
    let wire = aws_json::object(body)?;
    let shape = input.unwrap_or(&none);
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
    let body = shape.map(|_| json::write_object(&wire));
    rpc_v2::request(JSON, service, operation, body)
}
