//! Cases as data, from `tests/cases/protocol`: requests that botocore 1.44.5 serialised, read and written again;
//! and malformed variants of them with the message that each gets.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Identified, Malformed, decode, encode, identify, needs_body};
use crate::aws::catalog::{Protocol, Service};
use crate::aws::endpoint::Addressed;
use crate::aws::head::Head;
use crate::aws::value::Object;

#[derive(Deserialize)]
pub(super) struct Fixture {
    service: Service,
    requests: Vec<Request>,
}

#[derive(Deserialize, Clone)]
struct Request {
    operation: String,
    method: String,
    path: String,
    query: Option<String>,
    headers: serde_json::Map<String, Json>,
    body: String,
    input: Json,
}

#[derive(Deserialize)]
struct MalformedCase {
    /// `service/Operation`: the request that this one is a variant of.
    like: String,
    method: Option<String>,
    path: Option<String>,
    query: Option<String>,
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    with: Vec<(String, String)>,
    body: Option<String>,
    /// The message.
    refused: String,
    /// Whether it is well-formed, and merely not known.
    #[serde(default)]
    unknown: bool,
}

fn fixtures() -> Vec<Fixture> {
    [
        include_str!("../../../tests/cases/protocol/workspaces/requests.json"),
        include_str!("../../../tests/cases/protocol/workspaces-instances/requests.json"),
        include_str!("../../../tests/cases/protocol/servicecatalog/requests.json"),
        include_str!("../../../tests/cases/protocol/mgn/requests.json"),
        include_str!("../../../tests/cases/protocol/evs/requests.json"),
        include_str!("../../../tests/cases/protocol/sts/requests.json"),
    ]
    .map(|text| serde_json::from_str(text).unwrap())
    .into()
}

/// The service of a fixture.
pub(super) fn service(id: &str) -> Arc<Service> {
    let found = fixtures().into_iter().find(|f| f.service.id == id);
    Arc::new(found.unwrap().service)
}

struct Sent {
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Sent {
    fn of(request: &Request) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            add(&mut headers, name, value.as_str().unwrap());
        }
        Self {
            method: request.method.parse().unwrap(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers,
            body: request.body.clone().into_bytes(),
        }
    }

    fn read(&self, service: &Arc<Service>) -> Result<(Identified, Object), Malformed> {
        let head = Head {
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            addressed: &Addressed::Service,
        };
        let body = needs_body(&head).then_some(self.body.as_slice());
        let identified = identify(&[Arc::clone(service)], &head, body)?;
        let input = decode(&identified, &head, &self.body)?;
        Ok((identified, input))
    }
}

fn add(headers: &mut HeaderMap, name: &str, value: &str) {
    headers.append(
        name.parse::<HeaderName>().unwrap(),
        HeaderValue::from_bytes(value.as_bytes()).unwrap(),
    );
}

#[test]
fn what_botocore_sends_is_read_and_written_again_the_same() {
    for fixture in fixtures() {
        let service = Arc::new(fixture.service);
        for request in &fixture.requests {
            let sent = Sent::of(request);
            let name = &request.operation;
            let (identified, input) = sent
                .read(&service)
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(identified.operation().name, *name);
            assert_eq!(input.to_json(), request.input, "{name}");

            let protocol = identified.protocol();
            let again = encode(
                &service,
                identified.operation(),
                protocol,
                &input,
                &Addressed::Service,
            )
            .unwrap();
            let (path, query) = match again.path_and_query.split_once('?') {
                Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
                None => (again.path_and_query.clone(), None),
            };
            assert_eq!(again.method, sent.method, "{name}");
            assert_eq!((&path, &query), (&sent.path, &sent.query), "{name}");
            assert_eq!(again.headers, sent.headers, "{name}");
            if protocol != Protocol::AwsQuery && !sent.body.is_empty() {
                let json = |bytes: &[u8]| serde_json::from_slice::<Json>(bytes).unwrap();
                assert_eq!(json(&again.body), json(&sent.body), "{name}");
            }
            let rewritten = Sent {
                method: again.method,
                path,
                query,
                headers: again.headers,
                body: again.body,
            };
            assert_eq!(
                rewritten.read(&service).unwrap().1.to_json(),
                request.input,
                "{name}"
            );
        }
    }
}

#[test]
fn what_is_malformed_is_refused_with_what_and_where() {
    let cases: Vec<MalformedCase> =
        serde_json::from_str(include_str!("../../../tests/cases/protocol/malformed.json")).unwrap();
    let fixtures = fixtures();
    let mut wrong = Vec::new();
    for case in cases {
        let (id, operation) = case.like.split_once('/').unwrap();
        let fixture = fixtures.iter().find(|f| f.service.id == id).unwrap();
        let request = fixture.requests.iter().find(|r| r.operation == operation);
        let mut sent = Sent::of(request.unwrap());
        if let Some(method) = case.method {
            sent.method = method.parse().unwrap();
        }
        sent.path = case.path.unwrap_or(sent.path);
        sent.query = case.query.or(sent.query);
        for name in &case.without {
            sent.headers.remove(name);
        }
        for (name, value) in &case.with {
            add(&mut sent.headers, name, value);
        }
        sent.body = case.body.map_or(sent.body, String::into_bytes);
        let service = Arc::new(fixture.service.clone());
        let found = match sent.read(&service) {
            Ok((identified, _)) => (format!("read as {}", identified.operation().name), false),
            Err(e) => (e.to_string(), e.is_unknown_operation()),
        };
        if found != (case.refused.clone(), case.unknown) {
            wrong.push(format!(
                "expected {:?}\n   found {found:?}",
                (case.refused, case.unknown)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_query_call_may_stand_in_the_query_string_of_a_get() {
    let service = service("sts");
    let sent = |query: &str, body: &str| Sent {
        method: Method::GET,
        path: "/".to_owned(),
        query: Some(query.to_owned()),
        headers: HeaderMap::new(),
        body: body.as_bytes().to_vec(),
    };
    let whole = "Action=GetCallerIdentity&Version=2011-06-15";
    let (identified, input) = sent(whole, "").read(&service).unwrap();
    assert_eq!(identified.operation().name, "GetCallerIdentity");
    assert!(input.is_empty());
    assert_eq!(
        sent(whole, "Action=AssumeRole").read(&service).unwrap_err(),
        Malformed::TwoPlaces
    );
}
