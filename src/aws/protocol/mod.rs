//! AWS protocols: which operation a request is, its input, and back again.
//!
//! [`identify`] → [`decode`] → (judged) → [`encode`]. INVARIANT: what [`decode`] gives, [`encode`] writes so that
//! it decodes to the same; nothing that [`decode`] didn't understand is left out silently.

use std::sync::Arc;

use http::{HeaderMap, Method};

use crate::aws::catalog::model::{Member, Operation, Protocol, Service, Structure};
use crate::aws::catalog::routes::Routes;
use crate::aws::catalog::template::Template;
use crate::aws::class::Class;
use crate::aws::endpoint::Addressed;
use crate::aws::head::Head;
use crate::aws::value::Object;

mod aws_json;
pub mod cbor;
mod checksum;
pub mod escape;
mod failure;
mod form;
mod form_names;
mod host_prefix;
mod identify;
pub mod json;
mod malformed;
mod output;
mod output_xml;
pub mod own_answer;
pub mod path;
mod query;
mod query_answer;
mod query_request;
mod rest;
mod rest_head;
mod rest_headers;
mod rest_json;
mod rest_query;
mod rest_xml;
mod route;
mod rpc_v2;
mod rpc_v2_cbor;
mod rpc_v2_json;
mod scalar;
mod timestamp;
pub mod typed;
pub mod xml;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod every_form;
#[cfg(test)]
mod round_trip;

use form_names::Dialect;
use rest::Format;

use route::Routed;

pub use failure::{UpstreamError, decode_error};
pub use host_prefix::at;
pub use identify::{identify, needs_body};
pub use malformed::{EncodeError, Malformed, OutputError, name};
pub use output::decode_output;
pub use own_answer::{answer, is_answered};
pub use query_answer::{query_answer, query_answer_in};
pub use rest_head::Unknown;

/// A request whose operation is known. Made by [`identify`], and for one that isn't known by [`Identified::unknown`].
#[derive(Debug, Clone)]
pub struct Identified {
    service: Arc<Service>,
    operation: Arc<Operation>,
    protocol: Protocol,
    json_version: Option<JsonVersion>,
}

/// The name of an operation that isn't known.
pub const UNKNOWN: &str = "Unknown";

/// The version that an awsJson request asked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonVersion {
    V1_0,
    V1_1,
}

/// A request as it goes on the wire, before host, user agent and signature.
#[derive(Debug, Clone, PartialEq)]
pub struct WireRequest {
    pub method: Method,
    /// The raw path, beginning with `/`, and the query if there is one; both escaped.
    pub path_and_query: String,
    /// The content type, what names operation and protocol, and the members that stand in headers.
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Identified {
    fn new(
        service: &Arc<Service>,
        operation: &str,
        protocol: Protocol,
        json_version: Option<JsonVersion>,
    ) -> Option<Self> {
        let operation = Routes::of(service).form(service, operation, protocol)?;
        Some(Self {
            service: Arc::clone(service),
            operation,
            protocol,
            json_version,
        })
    }

    /// A request that took a route of a REST protocol.
    fn routed(routed: Routed<'_>, protocol: Protocol) -> Option<Self> {
        let Routed {
            service,
            operation,
            older,
        } = routed;
        let table = Routes::of(service);
        let operation = match older {
            Some(at) => table.older(service, at)?,
            None => table.operation(service, operation)?,
        };
        Some(Self {
            service: Arc::clone(service),
            operation,
            protocol,
            json_version: None,
        })
    }

    /// A request of which nothing more is known than whose it is: an operation that the model doesn't have.
    #[must_use]
    pub fn unknown(service: &Arc<Service>, head: &Head<'_>) -> Self {
        Self {
            service: Arc::clone(service),
            operation: Arc::new(Operation {
                name: UNKNOWN.to_owned(),
                class: Class::Write,
                group: None,
                conditions: Vec::new(),
                hands: Vec::new(),
                method: head.method.to_string(),
                uri: Template::from("/".to_owned()),
                success_status: None,
                host_prefix: None,
                input: None,
                output: None,
                unsigned: false,
                resource: None,
                alias: None,
                errors: Vec::new(),
                deprecated: false,
                own_host: false,
                xml_root: None,
                checksum: None,
                gone: None,
                answers: None,
            }),
            // Never written anew: a protocol in which requests pass as they are.
            protocol: Protocol::RestJson,
            json_version: None,
        }
    }

    #[must_use]
    pub const fn service(&self) -> &Arc<Service> {
        &self.service
    }

    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The version asked in, for [`Protocol::AwsJson`].
    #[must_use]
    pub const fn json_version(&self) -> Option<JsonVersion> {
        self.json_version
    }
}

impl JsonVersion {
    /// `application/x-amz-json-1.0` or `-1.1`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            JsonVersion::V1_0 => "application/x-amz-json-1.0",
            JsonVersion::V1_1 => "application/x-amz-json-1.1",
        }
    }
}

/// The protocol to send a service's requests in: the first of its own that is spoken here, CBOR only where it is the only
/// one; `None` where none is.
#[must_use]
pub fn preferred(service: &Service) -> Option<Protocol> {
    let first = |spoken: &[Protocol]| {
        service
            .protocols
            .iter()
            .find(|p| spoken.contains(p))
            .copied()
    };
    let usual = [
        Protocol::AwsJson,
        Protocol::RestJson,
        Protocol::RestXml,
        Protocol::AwsQuery,
        Protocol::Ec2Query,
    ];
    first(&usual).or_else(|| first(&[Protocol::RpcV2Cbor]))
}

/// Reads an identified request's input, strictly: members by their names in the model, in no given order.
///
/// # Errors
/// [`Malformed`] saying what and where: an encoded body, a duplicate key, an unknown member, a wrong type …
pub fn decode(identified: &Identified, head: &Head<'_>, body: &[u8]) -> Result<Object, Malformed> {
    let service = identified.service.as_ref();
    let operation = &identified.operation;
    let input = service.input(operation);
    identify::unencoded(head.headers, input)?;
    if operation.input.is_some() && input.is_none() {
        return Err(typed::TypeReason::NoShape.at_top().into());
    }
    let decoded = match identified.protocol {
        Protocol::AwsJson => aws_json::decode(service, input, body),
        Protocol::RestJson => rest(identified, Format::Json, head, body),
        Protocol::RestXml => rest(identified, Format::Xml, head, body),
        Protocol::AwsQuery => form_input(identified, Dialect::AwsQuery, head, body),
        Protocol::Ec2Query => form_input(identified, Dialect::Ec2Query, head, body),
        Protocol::RpcV2Cbor => rpc_v2_cbor::decode(service, input, head, body),
        Protocol::RpcV2Json => rpc_v2_json::decode(service, input, head, body),
    }?;
    host_prefix::holds(operation, head.addressed, &decoded)?;
    Ok(decoded)
}

fn form_input(
    identified: &Identified,
    dialect: Dialect,
    head: &Head<'_>,
    body: &[u8],
) -> Result<Object, Malformed> {
    let service = identified.service.as_ref();
    let pairs = query_request::parameters(identified, dialect, head, body)?;
    query::decode(
        service,
        dialect,
        service.input(&identified.operation),
        pairs,
    )
}

fn rest(
    identified: &Identified,
    format: Format,
    head: &Head<'_>,
    body: &[u8],
) -> Result<Object, Malformed> {
    let operation = identified.operation();
    let template = &operation.uri;
    rest::decode(&identified.service, operation, template, format, head, body)
}

/// The member that is the whole body of a request and goes on unread, since the head alone tells what the call is.
#[must_use]
pub fn body_beside(identified: &Identified) -> Option<&Member> {
    let rest = identified.protocol.is_rest();
    let operation = identified.operation();
    rest.then(|| identified.service.body_beside(operation))?
}

/// Reads what an identified request's head says of its input, strictly; its body stays unread. What a presigned URL
/// has of headers in its query is read as those headers.
///
/// # Errors
/// [`Malformed`] as of [`decode`]. What the model doesn't know is passed over where `unknown` says so.
pub fn decode_head(
    identified: &Identified,
    head: &Head<'_>,
    unknown: Unknown,
) -> Result<Object, Malformed> {
    let operation = identified.operation();
    let decoded = rest_head::decode(&identified.service, operation, head, unknown)?;
    host_prefix::holds(operation, head.addressed, &decoded)?;
    Ok(decoded)
}

/// Writes the head of a request whose body goes on unread: [`WireRequest::body`] is empty, and no header says a checksum
/// that the input doesn't say.
///
/// # Errors
/// [`EncodeError`] as of [`encode`].
pub fn encode_head(
    identified: &Identified,
    input: &Object,
    addressed: &Addressed,
) -> Result<WireRequest, EncodeError> {
    rest_head::encode(
        &identified.service,
        identified.operation(),
        input,
        addressed,
    )
}

/// Writes a form's request anew from the parameters that it was identified by, its input unread, so that it has one
/// reading only: a POST whose body alone names what is asked. `None` for protocols that name it in the head.
///
/// # Errors
/// [`Malformed`] where the parameters can't be read, or stand in the query and the body.
pub fn restate(
    identified: &Identified,
    head: &Head<'_>,
    body: &[u8],
) -> Result<Option<WireRequest>, Malformed> {
    let Some(dialect) = Dialect::of(identified.protocol) else {
        return Ok(None);
    };
    let pairs = query_request::parameters(identified, dialect, head, body)?;
    let request = query::request(&identified.service, &identified.operation, &pairs);
    Ok(Some(request))
}

/// Writes an input, keyed by names in the model, as a request of that protocol. Checks as strictly as [`decode`].
/// `addressed` is what of the call stands in the host that the request goes to: a bucket there isn't in the path.
///
/// # Errors
/// [`EncodeError`] where the input isn't what the model says, or can't be written so that it reads back the same.
pub fn encode(
    service: &Service,
    operation: &Operation,
    protocol: Protocol,
    input: &Object,
    addressed: &Addressed,
) -> Result<WireRequest, EncodeError> {
    if operation.input.is_some() && service.input(operation).is_none() {
        return Err(typed::TypeReason::NoShape.at_top().into());
    }
    match protocol {
        Protocol::AwsJson => aws_json::encode(service, operation, input),
        Protocol::RestJson => rest::encode(service, operation, Format::Json, input, addressed),
        Protocol::RestXml => rest::encode(service, operation, Format::Xml, input, addressed),
        Protocol::AwsQuery => query::encode(service, Dialect::AwsQuery, operation, input),
        Protocol::Ec2Query => query::encode(service, Dialect::Ec2Query, operation, input),
        Protocol::RpcV2Cbor => rpc_v2_cbor::encode(service, operation, input),
        Protocol::RpcV2Json => rpc_v2_json::encode(service, operation, input),
    }
}

/// The input of an operation that takes none.
const fn no_members() -> Structure {
    Structure {
        members: Vec::new(),
        union: false,
        payload: None,
        sensitive: false,
        event_stream: false,
    }
}
