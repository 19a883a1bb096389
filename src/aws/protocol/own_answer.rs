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

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::aws::protocol::cases::service;
    use crate::aws::protocol::decode_output;

    const PROTOCOLS: [Protocol; 7] = [
        Protocol::AwsJson,
        Protocol::RestJson,
        Protocol::RestXml,
        Protocol::AwsQuery,
        Protocol::Ec2Query,
        Protocol::RpcV2Cbor,
        Protocol::RpcV2Json,
    ];

    fn object(text: &str) -> Object {
        let value = json::parse(text.as_bytes()).unwrap();
        value.as_object().unwrap().clone()
    }

    /// A result is answered with this content type, and read back as it was.
    #[track_caller]
    fn check(id: &str, operation: &str, protocol: Protocol, result: &str, content_type: &str) {
        let service = service(id);
        let operation = &service.operations[operation];
        let result = object(result);
        let (told, body) = answer(&service, operation, protocol, &result, "id-1").unwrap();
        assert_eq!(told, content_type);
        let read = decode_output(&service, operation, protocol, &HeaderMap::new(), &body);
        assert_eq!(read.unwrap(), result);
    }

    #[test]
    fn what_is_answered_is_read_back_with_the_content_type_of_its_protocol() {
        check(
            "sts",
            "GetCallerIdentity",
            Protocol::AwsQuery,
            r#"{"UserId":"A:b","Account":"123456789012","Arn":"arn:aws:sts::1:assumed-role/x&y/b"}"#,
            "text/xml",
        );
        check(
            "workspaces",
            "DescribeWorkspaces",
            Protocol::AwsJson,
            r#"{"Workspaces":[{"WorkspaceId":"ws-\"1\"\n"}]}"#,
            "application/x-amz-json-1.1",
        );
        check(
            "mgn",
            "DescribeSourceServers",
            Protocol::RestJson,
            r#"{"items":[{"sourceServerID":"s-1"}]}"#,
            "application/json",
        );
    }

    #[test]
    fn the_version_of_json_is_the_services_and_the_older_where_it_says_none() {
        let mut service = (*service("workspaces")).clone();
        let operation = service.operations["DescribeWorkspaces"].clone();
        for (version, expected) in [
            (Some("1.1"), "application/x-amz-json-1.1"),
            (Some("1.0"), "application/x-amz-json-1.0"),
            (None, "application/x-amz-json-1.0"),
        ] {
            service.json_version = version.map(str::to_owned);
            let result = Object::new();
            let answer = answer(&service, &operation, Protocol::AwsJson, &result, "id-1");
            assert_eq!(answer, Some((expected, b"{}".to_vec())));
        }
    }

    #[test]
    fn a_protocol_is_said_to_be_answered_where_it_is() {
        let sts = service("sts");
        let operation = &sts.operations["GetCallerIdentity"];
        let is_answered = |protocol: &Protocol| {
            let answered = answer(&sts, operation, *protocol, &Object::new(), "id-1").is_some();
            assert_eq!(answered, is_answered(*protocol), "{protocol:?}");
            answered
        };
        assert_eq!(PROTOCOLS.iter().filter(|p| is_answered(p)).count(), 3);
    }
}
