//! Answers, read leniently: what the catalog doesn't know is dropped, what it knows must have its type.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use crate::aws::catalog::model::{Operation, Protocol, Service, Shape, Structure};
use crate::aws::value::{Object, Value};

use super::malformed::OutputError;
use super::rest::{in_body, payload, shape_of};
use super::typed::TypeReason;
use super::{json, output_xml, rest_headers, rpc_v2_cbor, typed};

/// Reads a successful answer's output, members by their names in the model. An operation whose output the catalog
/// lacks gives an empty object. The caller bounds the body.
///
/// # Errors
/// [`OutputError`] where the body can't be read or something known has the wrong type.
pub fn decode_output(
    service: &Service,
    operation: &Operation,
    protocol: Protocol,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Object, OutputError> {
    let Some(id) = operation.output else {
        return Ok(Object::new());
    };
    let Shape::Structure(shape) = shape_of(service, id)? else {
        return Err(TypeReason::NoShape.at_top().into());
    };
    match protocol {
        Protocol::AwsJson => {
            let wire = object(body)?;
            Ok(typed::decode_output(service, shape, wire)?)
        }
        Protocol::RestJson => rest_json(service, shape, headers, body),
        Protocol::RestXml => rest_xml(service, shape, headers, body),
        Protocol::AwsQuery => output_xml::aws_query(service, operation, shape, body),
        Protocol::Ec2Query => output_xml::ec2_query(service, operation, shape, body),
        Protocol::RpcV2Cbor => rpc_v2_cbor::decode_output(service, shape, body),
        Protocol::RpcV2Json => Ok(typed::decode_output(service, shape, object(body)?)?),
    }
}

fn rest_json(
    service: &Service,
    shape: &Structure,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Object, OutputError> {
    let in_json = |shape: &Structure| {
        let wire = object(body)?;
        Ok::<_, OutputError>(typed::decode_output(service, shape, wire)?)
    };
    rest(service, shape, headers, body, in_json)
}

fn rest_xml(
    service: &Service,
    shape: &Structure,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Object, OutputError> {
    let in_xml = |shape: &Structure| output_xml::whole(service, shape, body);
    rest(service, shape, headers, body, in_xml)
}

/// Members in headers, and those in the body or the one that is the body; `structure` reads the body as one.
fn rest(
    service: &Service,
    shape: &Structure,
    headers: &HeaderMap,
    body: &[u8],
    structure: impl Fn(&Structure) -> Result<Object, OutputError>,
) -> Result<Object, OutputError> {
    let mut members = rest_headers::decode(service, shape, headers)
        .map_err(|e| OutputError::Header(e.to_string()))?;
    match payload(shape) {
        None => members.extend(structure(&in_body(shape))?.into_members()),
        Some(_) if body.is_empty() => {}
        Some(member) => match shape_of(service, member.shape)? {
            Shape::Structure(inner) => {
                members.push((member.name.clone(), Value::Object(structure(inner)?)));
            }
            Shape::String { .. } => {
                let text = std::str::from_utf8(body).map_err(|_| OutputError::NotText)?;
                members.push((member.name.clone(), Value::String(text.to_owned())));
            }
            Shape::Blob => {
                members.push((member.name.clone(), Value::String(STANDARD.encode(body))));
            }
            Shape::List { .. }
            | Shape::Map { .. }
            | Shape::Boolean
            | Shape::Integer
            | Shape::Long
            | Shape::Float
            | Shape::Timestamp { .. }
            | Shape::Document => {}
        },
    }
    Object::from_members(members).map_err(|e| TypeReason::Twice.at(&e.0).into())
}

fn object(body: &[u8]) -> Result<Object, OutputError> {
    if body.is_empty() {
        return Ok(Object::new());
    }
    match json::parse(body)? {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::List(_) => {
            Err(OutputError::NotObject)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::protocol::cases::service;
    use crate::aws::protocol::preferred;

    fn check(id: &str, operation: &str, body: &str, expected: Result<&str, &str>) {
        let service = service(id);
        let operation = &service.operations[operation];
        let protocol = preferred(&service).unwrap();
        let found = decode_output(
            &service,
            operation,
            protocol,
            &HeaderMap::new(),
            body.as_bytes(),
        );
        let found = found
            .map(|o| o.to_json().to_string())
            .map_err(|e| e.to_string());
        assert_eq!(
            found,
            expected.map(str::to_owned).map_err(str::to_owned),
            "{body}"
        );
    }

    #[test]
    fn unknown_members_and_nulls_of_an_answer_are_dropped() {
        check(
            "workspaces",
            "DescribeWorkspaces",
            r#"{"Workspaces":[{"WorkspaceId":"ws-1","State":"NEW_STATE","Novel":[1],"UserName":null}],"NextToken":null}"#,
            Ok(r#"{"Workspaces":[{"WorkspaceId":"ws-1","State":"NEW_STATE"}]}"#),
        );
        check("workspaces", "DescribeWorkspaces", "", Ok("{}"));
    }

    #[test]
    fn members_of_an_answer_go_by_their_names_in_the_model() {
        check(
            "mgn",
            "DescribeSourceServers",
            r#"{"items":[{"sourceServerID":"s-1","lifeCycle":{"state":"CUTOVER"},"tags":{"a":"b"}}]}"#,
            Ok(
                r#"{"items":[{"sourceServerID":"s-1","lifeCycle":{"state":"CUTOVER"},"tags":{"a":"b"}}]}"#,
            ),
        );
        check(
            "sts",
            "GetCallerIdentity",
            r#"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/a&amp;b</Arn><UserId>AIDA</UserId><Account>123456789012</Account><New/></GetCallerIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>"#,
            Ok(r#"{"UserId":"AIDA","Account":"123456789012","Arn":"arn:aws:iam::1:user/a&b"}"#),
        );
    }

    #[test]
    fn a_known_member_of_the_wrong_type_is_an_error() {
        check(
            "workspaces",
            "DescribeWorkspaces",
            r#"{"Workspaces":[{"WorkspaceId":7}]}"#,
            Err("in the answer, `Workspaces[0].WorkspaceId` must be a string, not a number"),
        );
        check(
            "workspaces",
            "DescribeWorkspaces",
            "[]",
            Err("the answer isn't an object"),
        );
        check(
            "sts",
            "GetCallerIdentity",
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>1</Account><Account>2</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
            Err("in the answer, `Account` stands twice"),
        );
        check(
            "sts",
            "GetCallerIdentity",
            "<html></html>",
            Err("the answer lacks the element `GetCallerIdentityResult`"),
        );
    }
}
