//! The head of a REST request alone, both ways: for calls whose bodies are bytes that nobody has to read to tell what the
//! call is.
//!
//! INVARIANT: what a presigned URL has of headers in its query counts as those headers: it can't hide there.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::aws::catalog::model::{Location, Member, Operation, Service, Structure};
use crate::aws::catalog::routes::X_ID;
use crate::aws::catalog::template::Template;
use crate::aws::endpoint::Addressed;
use crate::aws::head::Head;
use crate::aws::value::{Object, Value};

use super::escape::Plus;
use super::malformed::{EncodeError, Malformed};
use super::path::shown;
use super::rest::{self, Asked};
use super::typed::{self, TypeReason};
use super::{WireRequest, form, rest_headers, rest_query};

/// What becomes of headers and parameters that the model doesn't know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    Refused,
    /// For a request that goes on as it came.
    PassedOver,
}

/// Reads the members that stand in labels, query and headers.
///
/// # Errors
/// [`Malformed`] saying what and where.
pub(super) fn decode(
    service: &Service,
    operation: &Operation,
    head: &Head<'_>,
    unknown: Unknown,
) -> Result<Object, Malformed> {
    let shape = in_head(service, operation);
    let template = &operation.uri;
    let Lowered { query, hoisted } = lowered(template, &shape, head.query, unknown)?;
    let headers = joined(head.headers, hoisted)?;
    let mut members = rest::labels(service, template, &shape, head)?;
    members.extend(rest_query::decode(
        service,
        template,
        &shape,
        query.as_deref(),
    )?);
    members.extend(rest_headers::decode(service, &shape, &headers)?);
    if unknown == Unknown::Refused {
        rest_headers::all_known(service, &shape, &headers)?;
    }
    let members = Object::from_members(members).map_err(|e| TypeReason::Twice.at(&e.0))?;
    let there = |m: &Member| members.get(&m.name).is_some_and(|v| *v != Value::Null);
    typed::complete(&shape, there, Member::wire_name)?;
    Ok(members)
}

/// Writes the members that stand in labels, query and headers.
///
/// # Errors
/// [`EncodeError`] where the input isn't what the model says, or has what stands in the body.
pub(super) fn encode(
    service: &Service,
    operation: &Operation,
    input: &Object,
    addressed: &Addressed,
) -> Result<WireRequest, EncodeError> {
    let shape = &in_head(service, operation);
    let asked = Asked {
        service,
        operation,
        shape,
    };
    rest::encode_head(asked, input, addressed)
}

/// The input without what stands in the body.
fn in_head(service: &Service, operation: &Operation) -> Structure {
    let mut shape = service
        .input(operation)
        .cloned()
        .unwrap_or_else(super::no_members);
    let body = shape.payload.take();
    let stays = |m: &Member| m.location != Location::Body && Some(&m.name) != body.as_ref();
    shape.members.retain(stays);
    shape
}

/// A query string without the headers that a presigned URL has in it, and those by name and value.
struct Lowered {
    query: Option<String>,
    hoisted: Vec<(String, String)>,
}

fn lowered(
    template: &Template,
    shape: &Structure,
    query: Option<&str>,
    unknown: Unknown,
) -> Result<Lowered, Malformed> {
    let query = query.unwrap_or_default();
    let mut hoisted = Vec::new();
    let mut kept = Vec::new();
    for raw in query.split('&') {
        let mut pairs = form::pairs(raw, Plus::Refused, "in the query string")?;
        let Some((name, value)) = pairs.pop() else {
            continue;
        };
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("x-amz-") {
            hoisted.push((lower, value));
            continue;
        }
        let own = name == X_ID
            || template.query().iter().any(|(n, _)| *n == name)
            || rest::located(shape, Location::Query).any(|m| m.wire_name() == name);
        if own || unknown == Unknown::Refused {
            kept.push(raw);
        }
    }
    let query = (!kept.is_empty()).then(|| kept.join("&"));
    Ok(Lowered { query, hoisted })
}

/// Headers with those of the query; one that stands in both stands twice.
fn joined(headers: &HeaderMap, hoisted: Vec<(String, String)>) -> Result<HeaderMap, Malformed> {
    let mut headers = headers.clone();
    for (name, value) in hoisted {
        let unreadable = || Malformed::HeaderNotText(shown(&name));
        let header = HeaderName::try_from(&name).map_err(|_| unreadable())?;
        let value = HeaderValue::try_from(value).map_err(|_| unreadable())?;
        headers.append(header, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::aws::catalog::Catalog;
    use crate::aws::protocol::{self, Identified};

    const PATH: &str = "/bucket/a%20key";

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn put(
        query: Option<&str>,
        lines: &[(&str, &str)],
        unknown: Unknown,
    ) -> Result<Object, String> {
        let service = Catalog::embedded().unwrap().service("s3").unwrap().unwrap();
        let headers = headers(lines);
        let head = Head {
            method: &http::Method::PUT,
            path: PATH,
            query,
            headers: &headers,
            addressed: &Addressed::Service,
        };
        let identified = identified(&service, &head);
        protocol::decode_head(&identified, &head, unknown).map_err(|e| e.to_string())
    }

    fn identified(service: &Arc<Service>, head: &Head<'_>) -> Identified {
        let identified = protocol::identify(&[Arc::clone(service)], head, None).unwrap();
        assert_eq!(identified.operation().name, "PutObject");
        assert!(protocol::body_beside(&identified).is_some());
        identified
    }

    fn acl(found: Result<Object, String>) -> Option<String> {
        let found = found.unwrap();
        assert_eq!(found.get("Key").and_then(Value::as_str), Some("a key"));
        found.get("ACL").and_then(Value::as_str).map(str::to_owned)
    }

    #[test]
    fn an_access_list_is_found_in_headers_and_in_a_presigned_query() {
        for unknown in [Unknown::Refused, Unknown::PassedOver] {
            let public = Some("public-read".to_owned());
            assert_eq!(
                acl(put(None, &[("X-Amz-Acl", "public-read")], unknown)),
                public
            );
            for query in [
                "x-amz-acl=public-read",
                "x-id=PutObject&X-Amz-%41cl=public%2Dread",
            ] {
                assert_eq!(acl(put(Some(query), &[], unknown)), public, "{query}");
            }
            assert_eq!(acl(put(None, &[("content-length", "3")], unknown)), None);
        }
    }

    #[test]
    fn what_stands_twice_is_refused() {
        let twice = [("x-amz-acl", "private"), ("x-amz-acl", "public-read")];
        let once = twice.get(..1).unwrap();
        for (query, lines) in [
            (None, twice.as_slice()),
            (Some("x-amz-acl=public-read"), once),
            (Some("x-amz-acl=private&X-AMZ-ACL=public-read"), &[]),
        ] {
            let refused = put(query, lines, Unknown::PassedOver).unwrap_err();
            assert!(refused.contains("stands twice"), "{refused}");
        }
    }

    #[test]
    fn what_isnt_known_is_refused_only_where_the_head_is_written_anew() {
        for (query, lines) in [
            (Some("colour=red"), [].as_slice()),
            (None, &[("x-amz-colour", "red")]),
            (Some("x-amz-colour=red"), &[]),
        ] {
            assert!(put(query, lines, Unknown::Refused).is_err(), "{query:?}");
            assert_eq!(acl(put(query, lines, Unknown::PassedOver)), None);
        }
    }

    #[test]
    fn a_head_is_written_as_it_was_read() {
        let service = Catalog::embedded().unwrap().service("s3").unwrap().unwrap();
        let lines = [
            ("x-amz-acl", "public-read"),
            ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
            ("x-amz-meta-a", "b"),
            ("content-type", "text/x"),
        ];
        let head_lines = headers(&lines);
        let head = Head {
            method: &http::Method::PUT,
            path: PATH,
            query: None,
            headers: &head_lines,
            addressed: &Addressed::Service,
        };
        let identified = identified(&service, &head);
        let input = protocol::decode_head(&identified, &head, Unknown::Refused).unwrap();
        let wire = protocol::encode_head(&identified, &input, &Addressed::Service).unwrap();
        assert!(wire.path_and_query.starts_with(PATH), "{wire:?}");
        assert_eq!((wire.body.len(), wire.headers), (0, head_lines));
        // What stands in the body can't come along.
        let mut whole = input;
        whole.set("Body", Value::String("eA==".to_owned()));
        assert!(protocol::encode_head(&identified, &whole, &Addressed::Service).is_err());
    }
}
