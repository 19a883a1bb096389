//! Every kind in every shape, held against `tests/cases/protocol/answers.json`, which botocore's own parsers read.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::*;
use crate::aws::endpoint::Addressed;
use crate::aws::protocol::decode_error;

fn formats() -> Vec<(&'static str, Protocol, Format)> {
    let namespace = Some("https://example.com/doc/2026-01-01/?a&b".to_owned());
    vec![
        (
            "json",
            Protocol::AwsJson,
            Format::AwsJson(JsonVersion::V1_1),
        ),
        ("rest-json", Protocol::RestJson, Format::RestJson),
        ("smithy-rpc-v2-cbor", Protocol::RpcV2Cbor, Format::RpcV2Cbor),
        (
            "query",
            Protocol::AwsQuery,
            Format::AwsQuery {
                namespace: namespace.clone(),
            },
        ),
        ("ec2", Protocol::Ec2Query, Format::Ec2Query),
        ("rest-xml", Protocol::RestXml, Format::RestXml { namespace }),
        ("s3", Protocol::RestXml, Format::S3 { bare: true }),
        ("s3control", Protocol::RestXml, Format::S3 { bare: false }),
    ]
}

fn shape(format: Format) -> Shape {
    Shape {
        format,
        denied: None,
        query_compatible: false,
        bodiless: false,
    }
}

const MESSAGE: &str = "`<a>` & \"b\" said\u{1}\r\nno: ü 😀";

#[test]
fn every_kind_has_its_answer_in_every_shape() {
    let mut table: BTreeMap<String, Json> = BTreeMap::new();
    for (name, protocol, format) in formats() {
        for kind in Kind::ALL {
            let answer = refusal(&shape(format.clone()), kind, MESSAGE, "id-1");
            let (status, code) = status_and_code(&format, kind);
            assert_eq!(answer.status, status);
            let error = decode_error(protocol, status, &answer.headers, &answer.body);
            assert_eq!(error.code, code, "{name} {kind:?}");
            let headers: BTreeMap<&str, &str> = answer
                .headers
                .iter()
                .map(|(n, v)| (n.as_str(), v.to_str().unwrap()))
                .collect();
            let body = STANDARD.encode(&answer.body);
            table.insert(
                format!("{name} {kind:?}"),
                json!({"status": status.as_u16(), "code": code, "headers": headers, "body": body}),
            );
        }
    }
    let expected: BTreeMap<String, Json> =
        serde_json::from_str(include_str!("../../../tests/cases/protocol/answers.json")).unwrap();
    assert!(table == expected, "{}", json!(table));
}

#[test]
fn only_retry_looks_retryable() {
    let retried = [429, 500, 502, 503, 504, 509];
    for (name, _, format) in formats() {
        for kind in Kind::ALL {
            let (status, code) = status_and_code(&format, kind);
            let throttles =
                code.contains("Thrott") || matches!(code, "SlowDown" | "RequestLimitExceeded");
            let looks = retried.contains(&status.as_u16()) || throttles;
            assert_eq!(looks, kind == Kind::Retry, "{name} {kind:?}");
        }
    }
}

#[test]
fn the_bodies_are_those_of_the_protocols() {
    let body = |format| {
        let answer = refusal(&shape(format), Kind::Denied, "no <b>", "id-1");
        String::from_utf8(answer.body).unwrap()
    };
    assert_eq!(
        body(Format::AwsJson(JsonVersion::V1_0)),
        r#"{"__type":"AccessDeniedException","message":"no <b>","Message":"no <b>"}"#
    );
    assert_eq!(
        body(Format::RestJson),
        r#"{"message":"no <b>","Message":"no <b>"}"#
    );
    assert_eq!(
        body(Format::AwsQuery {
            namespace: Some("https://sts.amazonaws.com/doc/2011-06-15/".into())
        }),
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no &lt;b&gt;</Message></Error><RequestId>id-1</RequestId></ErrorResponse>"
    );
    assert!(body(Format::Ec2Query).contains("<RequestID>id-1</RequestID>"));
    assert!(body(Format::S3 { bare: true }).contains("<HostId>id-1</HostId>"));
}

#[test]
fn cbor_texts_of_every_length_have_the_shortest_head() {
    let body = |length| {
        let message = "x".repeat(length);
        refusal(&shape(Format::RpcV2Cbor), Kind::Denied, &message, "id-1").body
    };
    let start = [b"\xa2\x66__type\x75AccessDeniedException\x67message".as_slice()].concat();
    for (length, head) in [
        (23, vec![0x77]),
        (24, vec![0x78, 24]),
        (255, vec![0x78, 255]),
        (256, vec![0x79, 1, 0]),
        (65_536, vec![0x7a, 0, 1, 0, 0]),
    ] {
        let expected = [start.clone(), head, vec![b'x'; length]].concat();
        assert!(body(length) == expected, "{length}");
    }
}

#[test]
fn a_request_that_was_not_understood_is_answered_as_it_looks() {
    let asked = |method: Method, headers: &[(&'static str, &str)]| {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let head = Head {
            method: &method,
            path: "/",
            query: None,
            headers: &map,
            addressed: &Addressed::Service,
        };
        Shape::asked(&[], &head)
    };
    let json = asked(
        Method::POST,
        &[
            ("content-type", "application/x-amz-json-1.1; charset=utf-8"),
            ("x-amzn-query-mode", "true"),
        ],
    );
    assert_eq!(json.format, Format::AwsJson(JsonVersion::V1_1));
    let answer = refusal(&json, Kind::Denied, "no", "id-1");
    assert_eq!(answer.headers["content-type"], "application/x-amz-json-1.1");
    assert_eq!(answer.headers["x-amzn-query-error"], "AccessDenied;Sender");
    let form = asked(
        Method::POST,
        &[("content-type", "application/x-www-form-urlencoded")],
    );
    assert_eq!(form.format, Format::AwsQuery { namespace: None });
    let cbor = asked(Method::POST, &[("smithy-protocol", "rpc-v2-cbor")]);
    assert_eq!(cbor.format, Format::RpcV2Cbor);
    let unmarked = asked(Method::POST, &[("content-type", "application/cbor")]);
    assert_eq!(unmarked.format, Format::RpcV2Cbor);
    let head = asked(Method::HEAD, &[]);
    assert_eq!(head.format, Format::RestJson);
    assert!(refusal(&head, Kind::Denied, "no", "id-1").body.is_empty());
}

#[test]
fn a_form_that_a_service_has_no_forms_for_is_answered_as_the_service_answers() {
    let json = serde_json::json!({
        "id": "s", "full_name": "S", "signing_name": "s", "signature": "v4", "api_version": "1", "protocols": ["rest-json"],
        "denied": "ForbiddenException", "operations": {}, "shapes": [],
    });
    let service: Arc<Service> = Arc::new(serde_json::from_value(json).unwrap());
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        "application/x-www-form-urlencoded".parse().unwrap(),
    );
    let head = Head {
        method: &Method::POST,
        path: "/2013-01-01/search",
        query: None,
        headers: &headers,
        addressed: &crate::aws::endpoint::Addressed::Service,
    };
    let shape = Shape::asked(&[service], &head);
    assert_eq!(shape.format, Format::RestJson);
    let answer = refusal(&shape, Kind::Denied, "no", "id-1");
    assert_eq!(
        (answer.code.as_str(), answer.status.as_u16()),
        ("ForbiddenException", 403)
    );
    assert_eq!(answer.headers["x-amzn-errortype"], "ForbiddenException");
    // Only a denial has a code of the service's own.
    assert_eq!(
        refusal(&shape, Kind::Retry, "no", "id-1").code,
        "ThrottlingException"
    );
}
