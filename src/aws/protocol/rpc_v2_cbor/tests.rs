//! Requests as AWS's SDKs write them, and what differs from them.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value as Json, json};

use super::super::cases::service;
use super::super::{Identified, decode, encode, identify, json, needs_body};
use super::*;
use crate::aws::catalog::Protocol;
use crate::aws::endpoint::Addressed;

const PATH: &str = "/service/WorkspacesService/operation/TerminateWorkspaces";

struct Request {
    method: Method,
    path: String,
    query: Option<String>,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
}

impl Request {
    /// A call that ends one WorkSpace, as botocore writes it.
    fn terminate() -> Self {
        Self {
            method: Method::POST,
            path: PATH.to_owned(),
            query: None,
            headers: vec![
                ("smithy-protocol", "rpc-v2-cbor"),
                ("content-type", "application/cbor"),
                ("accept", "application/cbor"),
            ],
            body: terminate("a1", "6477732d31"),
        }
    }

    fn at(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::terminate()
        }
    }

    fn with(name: &'static str, value: &'static str) -> Self {
        let mut request = Self::terminate();
        request.headers.push((name, value));
        request
    }

    fn of(body: Vec<u8>) -> Self {
        Self {
            body,
            ..Self::terminate()
        }
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| *n != name);
        self
    }

    fn read_by(&self, service: &Arc<Service>) -> Result<(Identified, Object), Malformed> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let head = Head {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &headers,
            addressed: &Addressed::Service,
        };
        let body = needs_body(&head).then_some(self.body.as_slice());
        let identified = identify(&[Arc::clone(service)], &head, body)?;
        let input = decode(&identified, &head, &self.body)?;
        Ok((identified, input))
    }

    fn refused(&self, expected: &str) {
        let error = self.read_by(&service("workspaces")).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let pairs = digits.chunks(2).map(String::from_iter);
    pairs
        .map(|pair| u8::from_str_radix(&pair, 16).unwrap())
        .collect()
}

/// `TerminateWorkspaceRequests` with one request of `id` (a whole item), in a map of that head.
fn terminate(head: &str, id: &str) -> Vec<u8> {
    [
        bytes(head),
        name("TerminateWorkspaceRequests"),
        bytes("81a1"),
        name("WorkspaceId"),
        bytes(id),
    ]
    .concat()
}

fn name(text: &str) -> Vec<u8> {
    cbor::write(&Item::Text(text.to_owned()))
}

fn ws_1() -> Json {
    json!({"TerminateWorkspaceRequests": [{"WorkspaceId": "ws-1"}]})
}

#[test]
fn a_call_is_told_by_its_path_and_rebuilt_as_sdks_write_it() {
    let request = Request::terminate();
    let service = service("workspaces");
    let (identified, input) = request.read_by(&service).unwrap();
    assert_eq!(identified.operation().name, "TerminateWorkspaces");
    assert_eq!(identified.protocol(), Protocol::RpcV2Cbor);
    assert_eq!(input.to_json(), ws_1());

    let again = encode(
        &service,
        identified.operation(),
        Protocol::RpcV2Cbor,
        &input,
        &Addressed::Service,
    )
    .unwrap();
    assert_eq!(again.method, Method::POST);
    assert_eq!(again.path_and_query, PATH);
    assert_eq!(again.body, request.body);
    let headers: Vec<_> = again
        .headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.to_str().unwrap()))
        .collect();
    assert_eq!(
        headers,
        [
            ("smithy-protocol", "rpc-v2-cbor"),
            ("accept", "application/cbor"),
            ("content-type", "application/cbor"),
        ]
    );
}

#[test]
fn indefinite_lengths_are_read_and_written_definite() {
    // As the Rust SDK writes it: structures until a break, lists and strings definite; then all of it until breaks.
    let rust = [
        bytes("bf"),
        name("TerminateWorkspaceRequests"),
        bytes("81bf"),
        name("WorkspaceId"),
        bytes("6477732d31 ff ff"),
    ];
    let all = [
        bytes("bf"),
        name("TerminateWorkspaceRequests"),
        bytes("9fbf"),
        name("WorkspaceId"),
        bytes("7f 627773 622d31 ff ff ff ff"),
    ];
    let service = service("workspaces");
    for body in [rust.concat(), all.concat()] {
        let (identified, input) = Request::of(body).read_by(&service).unwrap();
        assert_eq!(input.to_json(), ws_1());
        let again = encode(
            &service,
            identified.operation(),
            Protocol::RpcV2Cbor,
            &input,
            &Addressed::Service,
        )
        .unwrap();
        assert_eq!(again.body, Request::terminate().body);
    }
}

#[test]
fn exactly_one_signal_names_the_operation() {
    Request::with("x-amz-target", "WorkspacesService.DescribeWorkspaces").refused(
        "both the header `smithy-protocol` and the header `x-amz-target` name what is asked; send one of them",
    );
    Request::with("x-amzn-target", "WorkspacesService.DescribeWorkspaces").refused(
        "both the header `smithy-protocol` and the header `x-amzn-target` name what is asked; send one of them",
    );
    Request::with("smithy-protocol", "rpc-v2-cbor")
        .refused("the header `smithy-protocol` stands twice");
    Request::terminate()
        .without("smithy-protocol")
        .refused("nothing names what is asked; `workspaces` expects the header `smithy-protocol`");
    let mut other = Request::with("smithy-protocol", "rpc-v2-json");
    other.headers.remove(0);
    other.refused("`workspaces` speaks no rpcv2Json");
    let query = Request {
        query: Some("Action=DescribeWorkspaces".to_owned()),
        ..Request::terminate()
    };
    query.refused("a query string stands where rpcv2Cbor has none");
    let get = Request {
        method: Method::GET,
        ..Request::terminate()
    };
    get.refused("the method is `GET`; rpcv2Cbor uses POST");
    for found in [
        "application/x-amz-json-1.1",
        "application/x-www-form-urlencoded",
        "application/vnd.amazon.eventstream",
    ] {
        let mut request = Request::with("content-type", found);
        request.headers.remove(1);
        request.refused(&format!(
            "the content type is `{found}`; rpcv2Cbor uses `application/cbor`"
        ));
    }
    Request::terminate()
        .without("content-type")
        .refused("the content type is `none`; rpcv2Cbor uses `application/cbor`");
    Request::with("content-encoding", "gzip")
        .refused("the body is encoded with `gzip`; send it without Content-Encoding");
}

#[test]
fn a_path_has_four_segments_and_names_the_hosts_own_service() {
    for path in [
        "/",
        "/v1/service/WorkspacesService/operation/TerminateWorkspaces",
        "/service/WorkspacesService/operation/TerminateWorkspaces/",
        "/service/WorkspacesService/operation/TerminateWorkspaces/x",
        "//service/WorkspacesService/operation/TerminateWorkspaces",
        "/Service/WorkspacesService/operation/TerminateWorkspaces",
        "/%73ervice/WorkspacesService/operation/TerminateWorkspaces",
    ] {
        Request::at(path).refused(&format!(
            "the path is `{path}`; rpcv2Cbor uses `/service/…/operation/…`"
        ));
    }
    for (path, found) in [
        (
            "/service/EUCMIFrontendAPIService/operation/TerminateWorkspaces",
            "EUCMIFrontendAPIService.TerminateWorkspaces",
        ),
        (
            "/service/workspacesservice/operation/TerminateWorkspaces",
            "workspacesservice.TerminateWorkspaces",
        ),
        (
            "/service/com.amazonaws.WorkspacesService/operation/TerminateWorkspaces",
            "com.amazonaws.WorkspacesService.TerminateWorkspaces",
        ),
        (
            "/service/WorkspacesService/operation/ExplodeWorkspaces",
            "WorkspacesService.ExplodeWorkspaces",
        ),
        (
            "/service/WorkspacesService/operation/%54erminateWorkspaces",
            "WorkspacesService.%54erminateWorkspaces",
        ),
        (
            "/service/WorkspacesService/operation/",
            "WorkspacesService.",
        ),
    ] {
        let error = Request::at(path)
            .read_by(&service("workspaces"))
            .unwrap_err();
        assert!(error.is_unknown_operation(), "{path}");
        assert_eq!(
            error.to_string(),
            format!(
                "`workspaces` has no operation `{found}` in this catalog; a newer catalog may know it"
            )
        );
    }
    let unmarked = Request::terminate().without("smithy-protocol");
    assert_eq!(
        unmarked.read_by(&service("evs")).unwrap_err().to_string(),
        "nothing names what is asked; `evs` expects the header `x-amz-target`"
    );
    let error = Request::terminate().read_by(&service("evs")).unwrap_err();
    assert_eq!(error.to_string(), "`evs` speaks no rpcv2Cbor");
}

#[test]
fn a_service_may_be_named_with_its_namespace_where_its_target_has_one() {
    let mut named = Service::clone(&service("workspaces"));
    named.target_prefix = Some("com.example.WorkspacesService".to_owned());
    let named = Arc::new(named);
    for path in [
        PATH,
        "/service/com.example.WorkspacesService/operation/TerminateWorkspaces",
    ] {
        let (identified, input) = Request::at(path).read_by(&named).unwrap();
        let again = encode(
            &named,
            identified.operation(),
            Protocol::RpcV2Cbor,
            &input,
            &Addressed::Service,
        )
        .unwrap();
        assert_eq!(again.path_and_query, PATH);
    }
    let other = Request::at("/service/org.example.WorkspacesService/operation/TerminateWorkspaces");
    assert!(other.read_by(&named).unwrap_err().is_unknown_operation());
}

#[test]
fn a_body_that_isnt_what_the_model_says_is_refused_with_what_and_where() {
    let body = |parts: &[Vec<u8>]| Request::of(parts.concat());
    let list = || name("TerminateWorkspaceRequests");
    let (id, ws) = (|| name("WorkspaceId"), || bytes("6477732d31"));

    body(&[bytes("a2"), list(), bytes("80"), list(), bytes("80")]).refused(
        "in the body, the key `TerminateWorkspaceRequests` stands twice at byte 0, in the input",
    );
    body(&[bytes("a1"), list(), bytes("81a2"), id(), ws(), id(), ws()])
        .refused("in the body, the key `WorkspaceId` stands twice at byte 30, in `TerminateWorkspaceRequests[0]`");
    let mut trailing = Request::terminate();
    trailing.body.push(0xa0);
    trailing.refused(
        "in the body, something stands after the end of the item at byte 48, in the input",
    );
    body(&[bytes("a1"), bytes("01"), bytes("80")])
        .refused("in the body, a key that is no text stands at byte 1, in the input");
    for hex in ["80", "f6", "6161", "00", "c101"] {
        Request::of(bytes(hex)).refused("the body must be a CBOR map");
    }
    body(&[
        bytes("a2"),
        list(),
        bytes("81a1"),
        id(),
        ws(),
        name("Force"),
        bytes("f5"),
    ])
    .refused("`Force` isn't known to the catalog; a newer catalog may know it");
    body(&[bytes("a1"), list(), bytes("81a2"), id(), ws(), name("__type"), bytes("6161")])
        .refused("`TerminateWorkspaceRequests[0].__type` isn't known to the catalog; a newer catalog may know it");
    for (hex, found) in [
        ("4477732d31", "bytes"),
        ("01", "a whole number"),
        ("fb3ff199999999999a", "a float"),
        ("f5", "a boolean"),
        ("a0", "an object"),
        ("80", "a list"),
        ("c101", "a timestamp"),
    ] {
        Request::of(terminate("a1", hex)).refused(&format!(
            "`TerminateWorkspaceRequests[0].WorkspaceId` must be a string, not {found}"
        ));
    }
    for hex in ["f6", "f7"] {
        Request::of(terminate("a1", hex))
            .refused("`TerminateWorkspaceRequests[0].WorkspaceId` is required and missing");
        body(&[bytes("a1"), list(), bytes("81"), bytes(hex)])
            .refused("`TerminateWorkspaceRequests[0]` must not be null");
        body(&[bytes("a1"), list(), bytes(hex)])
            .refused("`TerminateWorkspaceRequests` is required and missing");
    }
    body(&[]).refused("`TerminateWorkspaceRequests` is required and missing");
}

#[test]
fn numbers_keep_their_kind_and_their_bounds() {
    let shapes = json!([
        {"structure": {"members": [
            {"name": "Int", "shape": 1}, {"name": "Long", "shape": 2}, {"name": "Float", "shape": 3},
            {"name": "At", "shape": 4}, {"name": "Blob", "shape": 5}, {"name": "Any", "shape": 6},
        ]}},
        "integer", "long", "float", {"timestamp": {"format": "iso8601"}}, "blob", "document",
    ]);
    let mut made = Service::clone(&service("workspaces"));
    made.shapes = serde_json::from_value(shapes).unwrap();
    made.operations
        .retain(|name, _| name == "TerminateWorkspaces");
    made.operations.values_mut().for_each(|o| {
        o.input = Some(crate::aws::catalog::ShapeId(0));
        o.output = None;
    });
    let made = Arc::new(made);
    let read = |member: &str, hex: &str| {
        let request = Request::of([bytes("a1"), name(member), bytes(hex)].concat());
        let (identified, input) = request.read_by(&made).map_err(|e| e.to_string())?;
        let again = encode(
            &made,
            identified.operation(),
            Protocol::RpcV2Cbor,
            &input,
            &Addressed::Service,
        )
        .unwrap();
        let (_, twice) = Request::of(again.body.clone()).read_by(&made).unwrap();
        assert_eq!(twice, input, "{member} {hex}");
        let value = input.into_members().remove(0).1;
        let written: String = again
            .body
            .iter()
            .skip(2 + member.len())
            .map(|b| format!("{b:02x}"))
            .collect();
        Ok::<_, String>(format!("{} {written}", json::write(&value).escape_ascii()))
    };
    let ok = |member: &str, hex: &str, expected: &str| {
        assert_eq!(read(member, hex), Ok(expected.to_owned()), "{member} {hex}");
    };
    let bad = |member: &str, hex: &str, expected: &str| {
        assert_eq!(
            read(member, hex),
            Err(format!("`{member}` {expected}")),
            "{member} {hex}"
        );
    };
    ok("Int", "1a7fffffff", "2147483647 1a7fffffff");
    ok("Int", "3a7fffffff", "-2147483648 3a7fffffff");
    bad("Int", "1a80000000", "must be a whole number of 32 bits");
    ok(
        "Long",
        "1b7fffffffffffffff",
        "9223372036854775807 1b7fffffffffffffff",
    );
    ok(
        "Long",
        "3b7fffffffffffffff",
        "-9223372036854775808 3b7fffffffffffffff",
    );
    bad(
        "Long",
        "1b8000000000000000",
        "must be a whole number of 64 bits",
    );
    bad(
        "Long",
        "3b8000000000000000",
        "must be a whole number of 64 bits",
    );
    // No SDK writes a whole number so, though Smithy lets a float be written as one.
    bad("Long", "f93c00", "must be a whole number, not a float");
    ok("Float", "01", "1 01");
    ok("Float", "f93c00", "1.0 fa3f800000");
    ok("Float", "fb3fb999999999999a", "0.1 fb3fb999999999999a");
    ok("Float", "fa3dcccccd", "0.10000000149011612 fa3dcccccd");
    ok("Float", "f98000", "-0.0 fa80000000");
    ok(
        "Float",
        "1bffffffffffffffff",
        "18446744073709551615 1bffffffffffffffff",
    );
    ok(
        "Float",
        "3bffffffffffffffff",
        "-18446744073709551616 3bffffffffffffffff",
    );
    ok("Float", "fb7e37e43c8800759c", "1e300 fb7e37e43c8800759c");
    ok("Float", "f97e00", "\\\"NaN\\\" fa7fc00000");
    ok("Float", "fb7ff8000000000001", "\\\"NaN\\\" fa7fc00000");
    ok("Float", "f9fc00", "\\\"-Infinity\\\" faff800000");
    bad("Float", "634e614e", "must be a number, not a string");
    // Whatever the model says of its spelling, a timestamp is a tagged number.
    ok("At", "c11a514b67b0", "1363896240 c11a514b67b0");
    ok(
        "At",
        "c1fb41d452d9ec200000",
        "1363896240.5 c1fb41d452d9ec200000",
    );
    ok(
        "At",
        "c1fb41d452d9ec000000",
        "1363896240.0 c1fb41d452d9ec000000",
    );
    bad(
        "At",
        "1a514b67b0",
        "must be a timestamp (tag 1), not a whole number",
    );
    bad(
        "At",
        "74323031332d30332d32315432303a30343a30305a",
        "must be a timestamp (tag 1), not a string",
    );
    bad(
        "At",
        "c1f97e00",
        "must be a timestamp written as a number of seconds since 1970",
    );
    ok("Blob", "4300ff10", "\\\"AP8Q\\\" 4300ff10");
    ok("Blob", "5f410042ff10ff", "\\\"AP8Q\\\" 4300ff10");
    bad("Blob", "6441503851", "must be bytes, not a string");
    bad("Any", "a0", "is a document, which CBOR can't carry");
    assert_eq!(
        read("Long", "c249010000000000000000"),
        Err("in the body, an arbitrarily long number (tag 2) stands, which no input here takes at byte 6, in `Long`".to_owned())
    );
}

#[test]
fn an_operation_without_input_has_no_body_and_takes_an_empty_one() {
    let mut made = Service::clone(&service("workspaces"));
    made.operations.values_mut().for_each(|o| o.input = None);
    let made = Arc::new(made);
    for body in ["", "a0", "bfff"] {
        let request = Request::of(bytes(body));
        let (identified, input) = request.read_by(&made).unwrap();
        assert!(input.is_empty());
        let again = encode(
            &made,
            identified.operation(),
            Protocol::RpcV2Cbor,
            &input,
            &Addressed::Service,
        )
        .unwrap();
        assert!(again.body.is_empty());
        assert!(!again.headers.contains_key("content-type"));
    }
    let bare = Request::of(Vec::new()).without("content-type");
    assert!(bare.read_by(&made).is_ok());
    let full = Request::of(bytes("a1616101")).read_by(&made).unwrap_err();
    assert_eq!(
        full.to_string(),
        "`a` isn't known to the catalog; a newer catalog may know it"
    );
}

#[test]
fn answers_are_read_leniently() {
    let service = service("workspaces");
    let shape = service
        .input(&service.operations["TerminateWorkspaces"])
        .unwrap();
    let answer = |hex: &str| {
        decode_output(&service, shape, &bytes(hex))
            .map(|o| o.to_json())
            .map_err(|e| e.to_string())
    };
    assert_eq!(answer(""), Ok(json!({})));
    assert_eq!(answer("bf6161c101ff"), Ok(json!({})));
    assert_eq!(answer("f6"), Err("the answer isn't an object".to_owned()));
    assert_eq!(
        answer("a1"),
        Err("in the answer, the bytes end too early at byte 1, in the input".to_owned())
    );
    let wrong = [bytes("a1"), name("TerminateWorkspaceRequests"), bytes("01")].concat();
    assert_eq!(
        decode_output(&service, shape, &wrong)
            .unwrap_err()
            .to_string(),
        "in the answer, `TerminateWorkspaceRequests` must be a list, not a whole number"
    );
}
