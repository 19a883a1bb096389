//! awsJson1_0 and awsJson1_1: the operation in `x-amz-target`, the whole input as one JSON object.

use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};

use crate::aws::catalog::Protocol;
use crate::aws::catalog::model::{Operation, Service, Structure};
use crate::aws::value::{Object, Value};

use super::malformed::{EncodeError, Malformed};
use super::{WireRequest, json, no_members, typed};

/// The media type before the version.
pub(super) const MEDIA_TYPE: &str = "application/x-amz-json-";

/// Reads a body as the input. An empty one is `{}`.
///
/// # Errors
/// [`Malformed`] saying what and where.
pub(super) fn decode(
    service: &Service,
    input: Option<&Structure>,
    body: &[u8],
) -> Result<Object, Malformed> {
    let wire = object(body)?;
    Ok(typed::decode(
        service,
        input.unwrap_or(&no_members()),
        wire,
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
    let shape = service.input(operation);
    let wire = typed::encode(service, shape.unwrap_or(&no_members()), input)?;
    let lacks = |what| EncodeError::Catalog {
        operation: operation.name.clone(),
        what,
    };
    let prefix = service
        .target_prefix
        .as_deref()
        .ok_or_else(|| lacks("the target prefix"))?;
    let version = service.json_version.as_deref().unwrap_or("1.0");
    let target = HeaderValue::try_from(format!("{prefix}.{}", operation.name))
        .map_err(|_| lacks("a plain name"))?;
    let content_type = HeaderValue::try_from(format!("{MEDIA_TYPE}{version}"))
        .map_err(|_| lacks("a plain JSON version"))?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert("x-amz-target", target);
    Ok(WireRequest {
        method: Method::POST,
        path_and_query: "/".to_owned(),
        headers,
        body: json::write_object(&wire),
    })
}

/// A body as a JSON object; an empty one is `{}`.
///
/// # Errors
/// [`Malformed::Json`], [`Malformed::BodyNotObject`].
pub(super) fn object(body: &[u8]) -> Result<Object, Malformed> {
    if body.is_empty() {
        return Ok(Object::new());
    }
    match json::parse(body)? {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::List(_) => {
            Err(Malformed::BodyNotObject)
        }
    }
}

/// The protocol's name, for messages.
pub(super) const NAME: &str = super::malformed::name(Protocol::AwsJson);
