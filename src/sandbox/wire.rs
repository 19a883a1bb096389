//! From a request to an operation and its parameters, and from a result to the service's answer.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Map, Value};

use super::cbor;
use super::error::ApiError;
use super::service::{Service, Wire};
use super::signature::percent_decode;
use crate::aws::head::Head;
use crate::aws::protocol::json::parse;
use crate::aws::protocol::query_answer_in;
use crate::aws::protocol::xml::escaped;
use crate::aws::value::Object;

const SMITHY_PROTOCOL: &str = "smithy-protocol";
const RPC_V2_CBOR: &str = "rpc-v2-cbor";
const CBOR: &str = "application/cbor";

/// The operation that a request asks for, and the parameters that stand outside its body.
#[derive(Debug)]
pub(super) struct Route {
    pub operation: String,
    members: Map<String, Value>,
}

/// How a request speaks to a service; where it names a protocol that the service lacks, as the service is used to.
pub(super) fn spoken(service: Service, headers: &HeaderMap) -> Wire {
    let named = headers.contains_key(SMITHY_PROTOCOL);
    let smithy = named.then(|| service.smithy_wire()).flatten();
    smithy.unwrap_or_else(|| service.wire())
}

/// Which operation a request asks for.
pub(super) fn route(
    service: Service,
    wire: Wire,
    head: &Head<'_>,
    body: &[u8],
) -> Result<Route, ApiError> {
    match wire {
        Wire::AwsJson { target, .. } => awsjson_route(service, target, head),
        Wire::RpcV2Cbor { service: name, .. } => cbor_route(service, name, head),
        Wire::RestJson => rest_route(service, head),
        Wire::Query { version, .. } => query_route(service, version, head, body),
    }
}

/// The parameters of the operation.
pub(super) fn input(wire: Wire, route: Route, body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let mut members = route.members;
    match wire {
        Wire::AwsJson { .. } => members.extend(json_body(body)?),
        Wire::RpcV2Cbor { .. } => members.extend(cbor::read(body)?),
        Wire::RestJson if body.is_empty() => {}
        Wire::RestJson => {
            for (name, value) in json_body(body)? {
                if members.contains_key(&name) {
                    return Err(ApiError::serialization(format!(
                        "`{name}` stands in path or query"
                    )));
                }
                members.insert(name, value);
            }
        }
        Wire::Query { .. } => {}
    }
    Ok(members)
}

fn awsjson_route(service: Service, target: &str, head: &Head<'_>) -> Result<Route, ApiError> {
    let asked = text(head.headers, "x-amz-target");
    let operation = asked.strip_prefix(target).and_then(|o| o.strip_prefix('.'));
    let media = text(head.headers, "content-type");
    let json = matches!(
        media,
        "application/x-amz-json-1.0" | "application/x-amz-json-1.1"
    );
    match operation {
        Some(operation) if head.method == Method::POST && head.path == "/" && json => Ok(Route {
            operation: operation.to_owned(),
            members: Map::new(),
        }),
        Some(_) | None => Err(ApiError::unknown_operation(service, asked)),
    }
}

/// Smithy has a server refuse a target beside the path.
fn cbor_route(service: Service, name: &str, head: &Head<'_>) -> Result<Route, ApiError> {
    let operation = head
        .path
        .strip_prefix("/service/")
        .and_then(|rest| rest.strip_prefix(name))
        .and_then(|rest| rest.strip_prefix("/operation/"));
    let protocol = text(head.headers, SMITHY_PROTOCOL) == RPC_V2_CBOR;
    let plain = !head.headers.contains_key("x-amz-target") && head.query.is_none();
    let cbor = text(head.headers, "content-type") == CBOR;
    match operation {
        Some(operation) if head.method == Method::POST && protocol && plain && cbor => Ok(Route {
            operation: operation.to_owned(),
            members: Map::new(),
        }),
        Some(_) | None => Err(ApiError::unknown_operation(service, head.path)),
    }
}

fn rest_route(service: Service, head: &Head<'_>) -> Result<Route, ApiError> {
    let unknown =
        || ApiError::unknown_operation(service, &format!("{} {}", head.method, head.path));
    let mut members = Map::new();
    let Some(raw) = head.path.strip_prefix("/tags/") else {
        let operation = head.path.strip_prefix('/').unwrap_or_default();
        let known = !operation.is_empty() && operation.bytes().all(|b| b.is_ascii_alphanumeric());
        if head.method != Method::POST || !known {
            return Err(unknown());
        }
        return Ok(Route {
            operation: operation.to_owned(),
            members,
        });
    };
    let operation = match *head.method {
        Method::GET => "ListTagsForResource",
        Method::POST => "TagResource",
        Method::DELETE => "UntagResource",
        _ => return Err(unknown()),
    };
    // The ARN is one segment: its slash must come escaped.
    if raw.contains('/') {
        return Err(unknown());
    }
    members.insert("resourceArn".to_owned(), decoded(raw)?.into());
    if operation == "UntagResource" {
        let mut keys = Vec::new();
        for pair in head.query.unwrap_or_default().split('&') {
            if let Some(key) = pair.strip_prefix("tagKeys=") {
                keys.push(Value::String(decoded(key)?));
            }
        }
        members.insert("tagKeys".to_owned(), keys.into());
    }
    Ok(Route {
        operation: operation.to_owned(),
        members,
    })
}

fn query_route(
    service: Service,
    version: &str,
    head: &Head<'_>,
    body: &[u8],
) -> Result<Route, ApiError> {
    let form = std::str::from_utf8(body).map_err(|_| malformed_query())?;
    let media = text(head.headers, "content-type");
    if head.method != Method::POST || !media.starts_with("application/x-www-form-urlencoded") {
        return Err(ApiError::unknown_operation(service, head.method.as_str()));
    }
    let mut members = Map::new();
    for pair in form.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(&name.replace('+', " ")).map_err(|_| malformed_query())?;
        let value = decoded(&value.replace('+', " ")).map_err(|_| malformed_query())?;
        if members.insert(name, value.into()).is_some() {
            return Err(malformed_query());
        }
    }
    let action = members.remove("Action");
    let operation = action.as_ref().and_then(Value::as_str).unwrap_or_default();
    if members.remove("Version").as_ref().and_then(Value::as_str) != Some(version) {
        return Err(ApiError::unknown_operation(service, operation));
    }
    Ok(Route {
        operation: operation.to_owned(),
        members,
    })
}

fn json_body(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    serde_json::from_slice(body)
        .map_err(|_| ApiError::serialization("the body is not a JSON object"))
}

fn malformed_query() -> ApiError {
    ApiError::with_status(
        400,
        "MalformedQueryString",
        "The query string is malformed.",
    )
}

fn decoded(text: &str) -> Result<String, ApiError> {
    percent_decode(text)
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| ApiError::serialization("the path or query has a bad escape"))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
}

/// A result in the service's shape.
pub(super) fn result(
    service: Service,
    wire: Wire,
    operation: &str,
    value: &Value,
    request_id: &str,
) -> Response<Vec<u8>> {
    let status = match (service, operation) {
        (Service::Mgn, "TerminateTargetInstances") => StatusCode::ACCEPTED,
        (Service::Mgn, "DeleteSourceServer") => StatusCode::NO_CONTENT,
        _ => StatusCode::OK,
    };
    if status == StatusCode::NO_CONTENT {
        return respond(status, None, Vec::new(), request_id);
    }
    match wire {
        Wire::RpcV2Cbor { .. } => cbor_answer(status, value, request_id),
        Wire::AwsJson { content_type, .. } => respond(
            status,
            Some(content_type),
            value.to_string().into_bytes(),
            request_id,
        ),
        Wire::RestJson => respond(
            status,
            Some("application/json"),
            value.to_string().into_bytes(),
            request_id,
        ),
        Wire::Query { xmlns, .. } => {
            let value = parse(value.to_string().as_bytes()).ok();
            let result = value.as_ref().and_then(|value| value.as_object());
            let nothing = Object::new();
            let result = result.unwrap_or(&nothing);
            let body = query_answer_in(Some(xmlns), operation, result, request_id);
            respond(status, Some("text/xml"), body, request_id)
        }
    }
}

/// An error in the service's shape.
pub(super) fn error(
    service: Service,
    wire: Wire,
    error: &ApiError,
    request_id: &str,
) -> Response<Vec<u8>> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut body: Map<String, Value> = error
        .members
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    match wire {
        Wire::AwsJson {
            content_type,
            namespace,
            ..
        } => {
            name_error(service, namespace, error, &mut body);
            let body = Value::Object(body).to_string().into_bytes();
            respond(status, Some(content_type), body, request_id)
        }
        Wire::RpcV2Cbor { namespace, .. } => {
            name_error(service, namespace, error, &mut body);
            cbor_answer(status, &Value::Object(body), request_id)
        }
        Wire::RestJson => {
            body.insert("code".to_owned(), error.code.into());
            body.insert("message".to_owned(), error.message.as_str().into());
            let body = Value::Object(body).to_string().into_bytes();
            let mut response = respond(status, Some("application/json"), body, request_id);
            response
                .headers_mut()
                .insert("x-amzn-errortype", HeaderValue::from_static(error.code));
            response
        }
        Wire::Query { xmlns, .. } => {
            let code = match error.code {
                "ValidationException" => "ValidationError",
                other => other,
            };
            let side = if error.status >= 500 {
                "Receiver"
            } else {
                "Sender"
            };
            let body = format!(
                "<ErrorResponse xmlns=\"{xmlns}\"><Error><Type>{side}</Type><Code>{code}</Code><Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
                escaped(&error.message)
            );
            respond(status, Some("text/xml"), body.into_bytes(), request_id)
        }
    }
}

/// Adds code and message to an error's members, as the protocols have them whose errors name themselves in the body.
fn name_error(service: Service, namespace: &str, error: &ApiError, body: &mut Map<String, Value>) {
    let code = match namespace {
        "" => error.code.to_owned(),
        namespace => format!("{namespace}#{}", error.code),
    };
    body.insert("__type".to_owned(), code.into());
    let message = match service {
        Service::WorkspacesInstances => "Message",
        Service::Workspaces
        | Service::ServiceCatalog
        | Service::Evs
        | Service::Mgn
        | Service::Sts => "message",
    };
    body.insert(message.to_owned(), error.message.as_str().into());
}

fn cbor_answer(status: StatusCode, value: &Value, request_id: &str) -> Response<Vec<u8>> {
    let mut response = respond(status, Some(CBOR), cbor::write(value), request_id);
    let protocol = HeaderValue::from_static(RPC_V2_CBOR);
    response.headers_mut().insert(SMITHY_PROTOCOL, protocol);
    response
}

/// An answer with the headers that every AWS answer has; hyper adds the date.
pub(super) fn respond(
    status: StatusCode,
    content_type: Option<&'static str>,
    body: Vec<u8>,
    request_id: &str,
) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}
