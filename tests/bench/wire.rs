//! How long AWS's wire takes: telling and reading a call, verifying its signature, signing it anew.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark whose fixture is broken should stop"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use criterion::{Criterion, criterion_group, criterion_main};
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use palisade::aws::catalog::model::Signature;
use palisade::aws::catalog::{Catalog, Protocol, Service};
use palisade::aws::endpoint::Addressed;
use palisade::aws::head::Head;
use palisade::aws::protocol::{decode, encode, identify};
use palisade::aws::sigv4::{Authorization, Unsigned, payload_hash, sha256_hex, sign, verify};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "eu-west-1";

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(40)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = reading, routing, verifying, signing
}
criterion_main!(benches);

/// One call on the wire.
struct Sent {
    service: Arc<Service>,
    path: &'static str,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Sent {
    fn head(&self) -> Head<'_> {
        Head {
            method: &Method::POST,
            path: self.path,
            query: None,
            headers: &self.headers,
            addressed: &Addressed::Service,
        }
    }
}

fn reading(c: &mut Criterion) {
    let catalog = Catalog::embedded().unwrap();
    let json = terminate_workspaces(&catalog, 25);
    let rest = terminate_target_instances(&catalog, 25);
    let cbor = in_cbor(&json);
    for (name, sent) in [("json", &json), ("rest", &rest), ("cbor", &cbor)] {
        let candidates = [Arc::clone(&sent.service)];
        c.bench_function(&format!("identify/{name}"), |b| {
            b.iter(|| identify(&candidates, black_box(&sent.head()), None).unwrap());
        });
        let identified = identify(&candidates, &sent.head(), None).unwrap();
        c.bench_function(&format!("decode 25 ids/{name}"), |b| {
            b.iter(|| decode(&identified, &sent.head(), black_box(&sent.body)).unwrap());
        });
        let input = decode(&identified, &sent.head(), &sent.body).unwrap();
        let (service, operation) = (identified.service(), identified.operation());
        c.bench_function(&format!("encode 25 ids/{name}"), |b| {
            b.iter(|| {
                encode(
                    service,
                    operation,
                    identified.protocol(),
                    black_box(&input),
                    &Addressed::Service,
                )
                .unwrap()
            });
        });
    }
}

/// Routes of the services whose paths tell the least, and of one with many: by bucket in the host, by parameter, by
/// header, by an escaped label far down the path.
fn routing(c: &mut Criterion) {
    let catalog = Catalog::embedded().unwrap();
    let bucket = Addressed::Bucket("pics".to_owned());
    let copy = header_map(&[("x-amz-copy-source", "/other/key")]);
    let plain = HeaderMap::new();
    let routes = [
        (
            "s3 object",
            "s3",
            Method::DELETE,
            "/a/b/c/d%20e.jpg",
            "versionId=v1",
            &plain,
        ),
        ("s3 copy", "s3", Method::PUT, "/a/b/c/d.jpg", "", &copy),
        (
            "s3 part",
            "s3",
            Method::PUT,
            "/a/b/c/d.jpg",
            "partNumber=7&uploadId=u",
            &plain,
        ),
        ("s3 policy", "s3", Method::DELETE, "/", "policy", &plain),
        (
            "apigateway method",
            "apigateway",
            Method::DELETE,
            "/restapis/a1b2c3d4e5/resources/x1y2z3/methods/GET/responses/200",
            "",
            &plain,
        ),
        (
            "lambda layer",
            "lambda",
            Method::DELETE,
            "/2018-10-31/layers/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Alayer%3Ax/versions/7",
            "",
            &plain,
        ),
    ];
    for (name, service, method, path, query, headers) in &routes {
        let candidates = [catalog.service(service).unwrap().unwrap()];
        let head = Head {
            method,
            path,
            query: Some(query),
            headers,
            addressed: if *service == "s3" {
                &bucket
            } else {
                &Addressed::Service
            },
        };
        c.bench_function(&format!("identify/{name}"), |b| {
            b.iter(|| identify(&candidates, black_box(&head), None).unwrap());
        });
    }
}

/// As a request arrives: its `Authorization` read, its body hashed, its signature made again.
fn verifying(c: &mut Criterion) {
    let catalog = Catalog::embedded().unwrap();
    for count in [1, 25] {
        let mut sent = terminate_workspaces(&catalog, count);
        sent.headers.insert(
            USER_AGENT,
            HeaderValue::from_static("Boto3/1.43.5 md/Botocore#1.43.5 ua/2.1 os/linux#6.8"),
        );
        let credentials = Credentials::new("PALISADEEXAMPLE", SECRET, None, None, "bench");
        let added = signed(&sent, &sha256_hex(&sent.body), &credentials);
        sent.headers.extend(added);
        sent.headers.insert(HOST, host(&sent).parse().unwrap());
        c.bench_function(&format!("verify/{count} ids"), |b| {
            b.iter(|| {
                let head = black_box(sent.head());
                let auth = Authorization::of(&head).unwrap();
                let payload = payload_hash(&head, &sent.body).unwrap();
                verify(&auth, &head, &payload, SECRET, now(), Signature::V4).unwrap();
            });
        });
    }
}

/// As a guarded call is signed, the body's hash at hand; with credentials that have a session token, and without.
fn signing(c: &mut Criterion) {
    let catalog = Catalog::embedded().unwrap();
    let sent = terminate_workspaces(&catalog, 1);
    let payload = sha256_hex(&sent.body);
    let token = "IQoJb3JpZ2luX2VjEXAMPLETOKEN".repeat(25);
    for (name, token) in [("key", None), ("session", Some(token))] {
        let credentials = Credentials::new("ASIAEXAMPLE", SECRET, token, None, "bench");
        c.bench_function(&format!("sign/{name}"), |b| {
            b.iter(|| signed(black_box(&sent), &payload, &credentials));
        });
    }
}

fn signed(sent: &Sent, payload: &str, credentials: &Credentials) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = HeaderMap::new();
    for name in [CONTENT_TYPE, HeaderName::from_static("x-amz-target")] {
        headers.extend(sent.headers.get(&name).map(|value| (name, value.clone())));
    }
    let host = host(sent);
    let unsigned = Unsigned {
        method: &Method::POST,
        host: &host,
        path: sent.path,
        query: None,
        headers: &headers,
        payload,
    };
    let name = &sent.service.signing_name;
    sign(unsigned, credentials, REGION, name, now(), Signature::V4).unwrap()
}

fn host(sent: &Sent) -> String {
    format!("{}.{REGION}.amazonaws.com", sent.service.id)
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

fn terminate_workspaces(catalog: &Catalog, count: usize) -> Sent {
    let ids = list(count, |n| format!("{{\"WorkspaceId\": \"ws-{n:09x}\"}}"));
    let headers = [
        ("x-amz-target", "WorkspacesService.TerminateWorkspaces"),
        ("content-type", "application/x-amz-json-1.1"),
    ];
    Sent {
        service: catalog.service("workspaces").unwrap().unwrap(),
        path: "/",
        headers: header_map(&headers),
        body: format!("{{\"TerminateWorkspaceRequests\": [{ids}]}}").into_bytes(),
    }
}

fn terminate_target_instances(catalog: &Catalog, count: usize) -> Sent {
    let ids = list(count, |n| format!("\"s-{n:017x}\""));
    Sent {
        service: catalog.service("mgn").unwrap().unwrap(),
        path: "/TerminateTargetInstances",
        headers: header_map(&[("content-type", "application/json")]),
        body: format!("{{\"sourceServerIDs\": [{ids}]}}").into_bytes(),
    }
}

/// A call that was made in awsJson, in CBOR.
fn in_cbor(sent: &Sent) -> Sent {
    let identified = identify(&[Arc::clone(&sent.service)], &sent.head(), None).unwrap();
    let input = decode(&identified, &sent.head(), &sent.body).unwrap();
    let (service, operation) = (identified.service(), identified.operation());
    let wire = encode(
        service,
        operation,
        Protocol::RpcV2Cbor,
        &input,
        &Addressed::Service,
    )
    .unwrap();
    Sent {
        service: Arc::clone(service),
        path: "/service/WorkspacesService/operation/TerminateWorkspaces",
        headers: wire.headers,
        body: wire.body,
    }
}

fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for n in 0..count {
        let comma = if n == 0 { "" } else { ", " };
        write!(text, "{comma}{}", item(n)).unwrap();
    }
    text
}

fn header_map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = headers.iter().map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    pairs.collect()
}
