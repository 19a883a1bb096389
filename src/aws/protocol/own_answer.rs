//! Successful answers that the guard gives in AWS's place, as far as it speaks the protocols of what it answers.

use crate::aws::catalog::model::{Operation, Protocol, Service};
use crate::aws::protocol::{json, query_answer};
use crate::aws::value::Object;

/// Whether answers are written in a protocol.
#[must_use]
pub const fn is_answered(protocol: Protocol) -> bool {
    match protocol {
        Protocol::AwsQuery | Protocol::AwsJson | Protocol::RestJson => true,
        Protocol::RestXml | Protocol::Ec2Query | Protocol::RpcV2Cbor | Protocol::RpcV2Json => false,
    }
}

/// The content type and the body of a successful answer whose members are all in the body; `None` where answers aren't
/// written in the protocol.
#[must_use]
pub fn answer(
    service: &Service,
    operation: &Operation,
    protocol: Protocol,
    result: &Object,
    request_id: &str,
) -> Option<(&'static str, Vec<u8>)> {
    match protocol {
        Protocol::AwsQuery => {
            let body = query_answer(service, &operation.name, result, request_id);
            Some(("text/xml", body))
        }
        Protocol::AwsJson => {
            let content_type = match service.json_version.as_deref() {
                Some("1.1") => "application/x-amz-json-1.1",
                Some(_) | None => "application/x-amz-json-1.0",
            };
            Some((content_type, json::write_object(result)))
        }
        Protocol::RestJson => Some(("application/json", json::write_object(result))),
        Protocol::RestXml | Protocol::Ec2Query | Protocol::RpcV2Cbor | Protocol::RpcV2Json => None,
    }
}
