//! Answers, read leniently: what the catalog doesn't know is dropped, what it knows must have its type.

use http::HeaderMap;

use crate::aws::catalog::model::{
    Operation, Protocol, Service, Shape, ShapeId, Structure, TimestampFormat,
};
use crate::aws::value::{Object, Value};

use super::json::DEPTH_MAX;
use super::malformed::{self, OutputError};
use super::rest_json::{in_body, located, payload, shape_of};
use super::typed::{TypeError, TypeReason};
use super::xml::Element;
use super::{json, rest_headers, rpc_v2_cbor, scalar, typed, xml};
use crate::aws::catalog::model::Location;

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
        Protocol::AwsQuery => aws_query(service, operation, shape, body),
        Protocol::RpcV2Cbor => rpc_v2_cbor::decode_output(service, shape, body),
        Protocol::RestXml | Protocol::Ec2Query => Err(OutputError::NotSpoken {
            protocol: malformed::name(protocol),
        }),
    }
}

fn rest_json(
    service: &Service,
    shape: &Structure,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Object, OutputError> {
    let in_headers = Structure {
        members: located(shape, Location::Header).cloned().collect(),
        ..Structure::default()
    };
    let mut members = rest_headers::decode(service, &in_headers, headers)
        .map_err(|e| OutputError::Header(e.to_string()))?;
    match payload(shape) {
        None => {
            let wire = object(body)?;
            let body = typed::decode_output(service, &in_body(shape), wire)?;
            members.extend(body.into_members());
        }
        Some(member) => {
            if let Shape::Structure(inner) = shape_of(service, member.shape)? {
                let value = typed::decode_output(service, inner, object(body)?)?;
                members.push((member.name.clone(), Value::Object(value)));
            }
        }
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

fn aws_query(
    service: &Service,
    operation: &Operation,
    shape: &Structure,
    body: &[u8],
) -> Result<Object, OutputError> {
    let root = xml::parse(body)?;
    let wrapper = format!("{}Result", operation.name);
    match root.child(&wrapper) {
        Some(result) => Ok(structure(service, shape, result, 0)?),
        None if shape.members.is_empty() => Ok(Object::new()),
        None => Err(OutputError::NoElement(wrapper)),
    }
}

fn structure(
    service: &Service,
    shape: &Structure,
    element: &Element,
    depth: usize,
) -> Result<Object, TypeError> {
    let mut members = Vec::new();
    for member in &shape.members {
        let member_shape = shape_of(service, member.shape)?;
        let name = match member_shape {
            Shape::List {
                flattened: true,
                location_name: Some(name),
                ..
            } => name,
            Shape::List { .. }
            | Shape::Structure(_)
            | Shape::Map { .. }
            | Shape::String { .. }
            | Shape::Blob
            | Shape::Boolean
            | Shape::Integer
            | Shape::Long
            | Shape::Float
            | Shape::Timestamp { .. }
            | Shape::Document => member.wire_name(),
        };
        let found: Vec<&Element> = element.children.iter().filter(|c| c.name == name).collect();
        if found.is_empty() {
            continue;
        }
        let value = elements(service, member.shape, &found, member.timestamp, depth + 1)
            .map_err(|e| within(e, name))?;
        members.push((member.name.clone(), value));
    }
    Object::from_members(members).map_err(|e| TypeReason::Twice.at(&e.0))
}

/// The value of the elements of one name; several only for a flattened list or map.
fn elements(
    service: &Service,
    id: ShapeId,
    found: &[&Element],
    format: Option<TimestampFormat>,
    depth: usize,
) -> Result<Value, TypeError> {
    if depth >= DEPTH_MAX {
        return Err(TypeReason::Depth.at_top());
    }
    let shape = shape_of(service, id)?;
    let one = || match found {
        [one] => Ok(*one),
        _ => Err(TypeReason::Twice.at_top()),
    };
    match shape {
        Shape::Structure(shape) => structure(service, shape, one()?, depth).map(Value::Object),
        Shape::List {
            member,
            location_name,
            flattened,
            ..
        } => {
            let item = location_name.as_deref().unwrap_or("member");
            let items: Vec<&Element> = if *flattened {
                found.to_vec()
            } else {
                let children = one()?.children.iter();
                children.filter(|c| c.name == item).collect()
            };
            let mut out = Vec::with_capacity(items.len());
            for element in items {
                out.push(elements(service, *member, &[element], None, depth + 1)?);
            }
            Ok(Value::List(out))
        }
        Shape::Map {
            value,
            key_name,
            value_name,
            flattened,
            ..
        } => {
            let entries: Vec<&Element> = if *flattened {
                found.to_vec()
            } else {
                let children = one()?.children.iter();
                children.filter(|c| c.name == "entry").collect()
            };
            let key_name = key_name.as_deref().unwrap_or("key");
            let value_name = value_name.as_deref().unwrap_or("value");
            let mut members = Vec::new();
            for entry in entries {
                let part = |name: &str| {
                    entry
                        .child(name)
                        .ok_or_else(|| TypeReason::Missing.at(name))
                };
                let inner = elements(service, *value, &[part(value_name)?], None, depth + 1)?;
                members.push((part(key_name)?.text.clone(), inner));
            }
            Object::from_members(members)
                .map(Value::Object)
                .map_err(|e| TypeReason::Twice.at(&e.0))
        }
        Shape::String { .. }
        | Shape::Blob
        | Shape::Boolean
        | Shape::Integer
        | Shape::Long
        | Shape::Float
        | Shape::Timestamp { .. }
        | Shape::Document => {
            let text = one()?.text.clone();
            scalar::decode(shape, text, format, TimestampFormat::DateTime)
                .map_err(TypeReason::at_top)
        }
    }
}

fn within(error: TypeError, name: &str) -> TypeError {
    TypeError {
        path: error.path.within(name),
        ..error
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
