//! Whatever a model allows is written so that it reads back the same: inputs generated from shapes.
//!
//! The shapes are those of `tests/cases/protocol/kitchen`, which has every kind of member in every place.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::{decode, encode, identify, needs_body, xml};
use crate::aws::catalog::few::{REVIEWED, few};
use crate::aws::catalog::model::{
    Location, Member, Shape, ShapeId, Signature, Structure, TimestampFormat,
};
use crate::aws::catalog::{Catalog, Protocol, Service};
use crate::aws::endpoint::Addressed;
use crate::aws::head::Head;
use crate::aws::value::{Number, Object, Value};

/// Where a value stands, which bounds what it can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Json,
    /// XML, in which empty lists and maps may have no element.
    Xml,
    Cbor,
    Form,
    /// A form of ec2Query, which has no empty lists.
    Ec2Form,
    Label,
    Query,
    Header,
}

fn kitchen(which: &str) -> Arc<Service> {
    let text = include_str!("../../../tests/cases/protocol/kitchen/services.json");
    let mut services: BTreeMap<String, Service> = serde_json::from_str(text).unwrap();
    Arc::new(services.remove(which).unwrap())
}

/// The JSON kitchen, which speaks CBOR instead.
fn kitchen_in_cbor() -> Arc<Service> {
    let mut service = Service::clone(&kitchen("json"));
    service.protocols = vec![Protocol::RpcV2Cbor];
    service.target_prefix = Some("com.example.Kitchen_20260101".to_owned());
    Arc::new(service)
}

/// The JSON kitchen, which speaks Smithy's JSON instead.
fn kitchen_in_rpc_v2_json() -> Arc<Service> {
    let mut service = Service::clone(&kitchen_in_cbor());
    service.protocols = vec![Protocol::RpcV2Json];
    Arc::new(service)
}

/// The kitchen of forms, which speaks as EC2 does.
fn kitchen_in_ec2() -> Arc<Service> {
    let mut service = Service::clone(&kitchen("query"));
    service.protocols = vec![Protocol::Ec2Query];
    Arc::new(service)
}

fn check(service: &Arc<Service>, operation: &str, protocol: Protocol, input: &Object) {
    let operation = &service.operations[operation];
    let wire = encode(service, operation, protocol, input, &Addressed::Service).unwrap();
    let (path, query) = match wire.path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (wire.path_and_query.as_str(), None),
    };
    let head = Head {
        method: &wire.method,
        path,
        query,
        headers: &wire.headers,
        addressed: &Addressed::Service,
    };
    let body = needs_body(&head).then_some(wire.body.as_slice());
    let identified = identify(&[Arc::clone(service)], &head, body).unwrap();
    assert_eq!(identified.operation().name, operation.name);
    let again = decode(&identified, &head, &wire.body).unwrap();
    assert_eq!(
        sorted(&Value::Object(again)),
        sorted(&Value::Object(input.clone()))
    );
}

/// The value with the members of every object in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let members: BTreeMap<_, _> = object
                .iter()
                .map(|(k, v)| (k.to_owned(), sorted(v)))
                .collect();
            Value::Object(members.into_iter().collect())
        }
        Value::List(items) => Value::List(items.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn input(service: &Arc<Service>, operation: &str, place: Place) -> BoxedStrategy<Object> {
    let shape = service.input(&service.operations[operation]).unwrap();
    structure(service, shape, place, 3)
}

fn structure(
    service: &Arc<Service>,
    shape: &Structure,
    place: Place,
    depth: u32,
) -> BoxedStrategy<Object> {
    let names: Vec<String> = shape
        .members
        .iter()
        .filter(|m| m.location == Location::Query)
        .map(|m| m.wire_name().to_owned())
        .chain(["fixed".to_owned(), "x-id".to_owned()])
        .collect();
    let members: Vec<BoxedStrategy<Option<(String, Value)>>> = shape
        .members
        .iter()
        .filter(|m| m.required || depth > 0 || last_of_union(service, shape, m))
        .filter(|m| place != Place::Cbor || !is_document(service, m.shape))
        .filter(|m| !is_made(m))
        .map(|m| {
            let place = match m.location {
                Location::Body => place,
                Location::Label => Place::Label,
                Location::Query => Place::Query,
                Location::Header | Location::Headers => Place::Header,
                Location::Status => panic!("no input has it"),
            };
            let name = m.name.clone();
            let names = names.clone();
            let any_value = value(
                service,
                m.shape,
                m.timestamp,
                place,
                depth.saturating_sub(1),
            );
            let is_bucket = m.name == "Bucket" && service.signature == Signature::S3v4;
            let value = if is_bucket && place == Place::Label {
                "[a-z][a-z0-9-]{2,9}".prop_map(Value::String).boxed()
            } else {
                any_value
            };
            let told_by = m.required && place == Place::Query;
            let value = value
                .prop_filter("an operation isn't told by nothing", move |v| {
                    !told_by || v.as_str() != Some("")
                })
                .prop_filter("another parameter's name", move |v| {
                    place != Place::Query
                        || v.as_object()
                            .is_none_or(|o| names.iter().all(|n| o.get(n).is_none()))
                })
                .prop_map(move |v| (name.clone(), v));
            if m.required || shape.union {
                value.prop_map(Some).boxed()
            } else {
                prop::option::of(value).boxed()
            }
        })
        .collect();
    let union = shape.union;
    (members, any::<prop::sample::Index>())
        .prop_map(move |(members, pick)| {
            let mut members: Vec<_> = members.into_iter().flatten().collect();
            if union {
                members = vec![members.swap_remove(pick.index(members.len()))];
            }
            members.into_iter().collect()
        })
        .boxed()
}

/// Whether a member is made from the body when a request is written.
fn is_made(member: &Member) -> bool {
    let header = member.wire_name().to_ascii_lowercase();
    member.location == Location::Header
        && (header == "content-md5"
            || header == "content-length"
            || header == "x-amz-sdk-checksum-algorithm"
            || header.starts_with("x-amz-checksum-"))
}

/// Whether a member may stand where nothing deeper may: a union has one in any case, a plain one if it can.
fn last_of_union(service: &Service, shape: &Structure, member: &Member) -> bool {
    let plain = |m: &Member| {
        !matches!(
            service.shape(m.shape),
            Some(Shape::Structure(_) | Shape::List { .. } | Shape::Map { .. })
        )
    };
    let first = shape
        .members
        .iter()
        .find(|m| plain(m))
        .or(shape.members.first());
    shape.union && first.is_some_and(|m| m.name == member.name)
}

/// CBOR carries no documents.
fn is_document(service: &Service, id: ShapeId) -> bool {
    matches!(service.shape(id), Some(Shape::Document))
}

fn value(
    service: &Arc<Service>,
    id: ShapeId,
    format: Option<TimestampFormat>,
    place: Place,
    depth: u32,
) -> BoxedStrategy<Value> {
    let format_here = |own: Option<TimestampFormat>| {
        let modelled = format.or(own).filter(|_| place != Place::Cbor);
        modelled.unwrap_or(match place {
            Place::Json | Place::Cbor => TimestampFormat::EpochSeconds,
            Place::Xml | Place::Form | Place::Ec2Form | Place::Label | Place::Query => {
                TimestampFormat::DateTime
            }
            Place::Header => TimestampFormat::HttpDate,
        })
    };
    let fewest = usize::from(!matches!(place, Place::Json | Place::Cbor));
    match service.shape(id).unwrap() {
        Shape::Structure(shape) => structure(service, shape, place, depth)
            .prop_map(Value::Object)
            .boxed(),
        Shape::List {
            member,
            sparse,
            min,
            max,
            ..
        } => {
            let item = value(service, *member, None, place, depth.saturating_sub(1));
            let item = if *sparse {
                prop_oneof![Just(Value::Null), item].boxed()
            } else {
                item
            };
            // A form can carry an empty list; a query string or a header can't.
            let fewest = if place == Place::Form { 0 } else { fewest };
            let least = min.map_or(fewest, |m| usize::try_from(m).unwrap());
            let most = max.map_or(4, |m| usize::try_from(m).unwrap());
            prop::collection::vec(item, least..=most)
                .prop_map(Value::List)
                .boxed()
        }
        Shape::Map {
            value: inner,
            sparse,
            ..
        } => {
            let item = value(service, *inner, None, place, depth.saturating_sub(1));
            let item = if *sparse {
                prop_oneof![Just(Value::Null), item].boxed()
            } else {
                item
            };
            let key = match place {
                Place::Header => "[a-z0-9-]{1,8}".boxed(),
                Place::Xml => text(place),
                Place::Json
                | Place::Cbor
                | Place::Form
                | Place::Ec2Form
                | Place::Label
                | Place::Query => any::<String>().boxed(),
            };
            prop::collection::vec((key, item), fewest..4)
                .prop_map(|m| Value::Object(m.into_iter().collect()))
                .boxed()
        }
        Shape::String { .. } => text(place).prop_map(Value::String).boxed(),
        Shape::Blob => prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(|bytes| {
                use base64::Engine as _;
                Value::String(base64::engine::general_purpose::STANDARD.encode(bytes))
            })
            .boxed(),
        Shape::Boolean => any::<bool>().prop_map(Value::Bool).boxed(),
        Shape::Integer => any::<i32>()
            .prop_map(|n| Value::Number(i64::from(n).into()))
            .boxed(),
        Shape::Long => any::<i64>().prop_map(|n| Value::Number(n.into())).boxed(),
        Shape::Float if place == Place::Cbor => prop_oneof![
            number(),
            Just(Value::String("NaN".into())),
            Just(Value::String("-Infinity".into())),
        ]
        .boxed(),
        Shape::Timestamp { .. } if place == Place::Cbor => number().boxed(),
        Shape::Float => prop_oneof![
            r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?"
                .prop_map(|t| Value::Number(Number::parse(&t).unwrap())),
            Just(Value::String("NaN".into())),
            Just(Value::String("-Infinity".into())),
        ]
        .boxed(),
        Shape::Timestamp { format: own } => match format_here(*own) {
            TimestampFormat::EpochSeconds => r"-?[1-9][0-9]{0,9}(\.[0-9]{1,3})?"
                .prop_map(|t| Value::Number(Number::parse(&t).unwrap()))
                .boxed(),
            TimestampFormat::DateTime => {
                r"20[0-9]{2}-0[1-9]-[12][0-8]T[01][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z"
                    .prop_map(Value::String)
                    .boxed()
            }
            TimestampFormat::HttpDate => Just("Sat, 31 Jan 2026 12:00:00 GMT")
                .prop_map(|t| Value::String(t.into()))
                .boxed(),
        },
        Shape::Document => document().boxed(),
    }
}

/// A number as it reads from CBOR: a whole one of 64 bits and a sign, or a float.
fn number() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<u64>().prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| (-1 - i128::from(n)).to_string()),
        any::<f64>()
            .prop_filter("has no number", |n| n.is_finite())
            .prop_map(|n| format!("{n:?}")),
        any::<f32>()
            .prop_filter("has no number", |n| n.is_finite())
            .prop_map(|n| format!("{:?}", f64::from(n))),
    ];
    text.prop_map(|t| Value::Number(Number::parse(&t).unwrap()))
}

fn text(place: Place) -> BoxedStrategy<String> {
    match place {
        Place::Json | Place::Cbor | Place::Form | Place::Ec2Form | Place::Query => {
            any::<String>().boxed()
        }
        Place::Xml => {
            let carried = |c: char| xml::is_text(c.encode_utf8(&mut [0; 4]));
            any::<String>()
                .prop_map(move |t| t.chars().filter(|c| carried(*c)).collect())
                .boxed()
        }
        Place::Label => any::<String>()
            .prop_filter("no path has it", |t| {
                !t.split('/').any(|s| matches!(s, "" | "." | ".."))
            })
            .boxed(),
        Place::Header => r#"[!-~]([ -~]{0,10}[!-~])?"#.boxed(),
    }
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| Value::Number(n.into())),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn aws_json_keeps_every_input(input in input(&kitchen("json"), "Cook", Place::Json)) {
        check(&kitchen("json"), "Cook", Protocol::AwsJson, &input);
    }

    #[test]
    fn rest_json_keeps_every_input(input in input(&kitchen("rest"), "Cook", Place::Json)) {
        check(&kitchen("rest"), "Cook", Protocol::RestJson, &input);
    }

    #[test]
    fn a_greedy_label_and_a_payload_keep_every_input(input in input(&kitchen("rest"), "Store", Place::Json)) {
        check(&kitchen("rest"), "Store", Protocol::RestJson, &input);
    }

    #[test]
    fn bytes_as_the_whole_body_keep_every_input(input in input(&kitchen("rest"), "Upload", Place::Json)) {
        check(&kitchen("rest"), "Upload", Protocol::RestJson, &input);
    }

    #[test]
    fn rpc_v2_json_keeps_every_input(input in input(&kitchen_in_rpc_v2_json(), "Cook", Place::Cbor)) {
        check(&kitchen_in_rpc_v2_json(), "Cook", Protocol::RpcV2Json, &input);
    }

    #[test]
    fn cbor_keeps_every_input(input in input(&kitchen_in_cbor(), "Cook", Place::Cbor)) {
        check(&kitchen_in_cbor(), "Cook", Protocol::RpcV2Cbor, &input);
    }

    #[test]
    fn aws_query_keeps_every_input(input in input(&kitchen("query"), "Cook", Place::Form)) {
        check(&kitchen("query"), "Cook", Protocol::AwsQuery, &input);
    }

    #[test]
    fn ec2_query_keeps_every_input(input in input(&kitchen_in_ec2(), "Cook", Place::Ec2Form)) {
        check(&kitchen_in_ec2(), "Cook", Protocol::Ec2Query, &input);
    }
}

#[test]
fn every_operation_that_speaks_cbor_keeps_its_inputs() {
    let catalog = Catalog::embedded().unwrap();
    let mut operations = 0;
    for id in REVIEWED {
        let service = catalog.service(id).unwrap().unwrap();
        if !service.protocols.contains(&Protocol::RpcV2Cbor) {
            continue;
        }
        for operation in service.operations.keys() {
            operations += 1;
            if service.input(&service.operations[operation]).is_none() {
                check(&service, operation, Protocol::RpcV2Cbor, &Object::new());
                continue;
            }
            let mut runner = TestRunner::deterministic();
            let inputs = input(&service, operation, Place::Cbor);
            for _ in 0..4 {
                let tree = inputs.new_tree(&mut runner).unwrap();
                check(&service, operation, Protocol::RpcV2Cbor, &tree.current());
            }
        }
    }
    assert!(operations > 150, "{operations}");
}

/// Operations whose requests are another's: of two with one route the newer is meant, and `GET /` of Amazon S3 asks for
/// directory buckets at a host of its own.
const ANOTHERS: [&str; 5] = [
    "GetBucketLifecycle",
    "GetBucketNotification",
    "ListDirectoryBuckets",
    "PutBucketLifecycle",
    "PutBucketNotification",
];

#[test]
fn every_guarded_operation_of_these_rest_services_keeps_its_inputs() {
    let catalog = few(&["apigateway", "cloudfront", "route53", "s3", "s3control"]);
    let mut operations = 0;
    for id in catalog.service_ids() {
        let service = catalog.service(id).unwrap().unwrap();
        let protocol = service.protocols[0];
        let place = if protocol == Protocol::RestXml {
            Place::Xml
        } else {
            Place::Json
        };
        // Calls that are never rebuilt needn't be.
        let guarded = |name: &&String| service.operations[*name].class.is_guarded();
        for name in service.operations.keys().filter(guarded) {
            if ANOTHERS.contains(&name.as_str()) {
                continue;
            }
            operations += 1;
            let mut runner = TestRunner::deterministic();
            let inputs = input(&service, name, place);
            for _ in 0..2 {
                let tree = inputs.new_tree(&mut runner).unwrap();
                check(&service, name, protocol, &tree.current());
            }
        }
    }
    assert!(operations > 130, "{operations}");
}

#[test]
fn what_would_not_read_back_the_same_is_not_written() {
    let refused = |which, operation: &str, protocol, json: &str| {
        let service = kitchen(which);
        let Value::Object(input) = super::json::parse(json.as_bytes()).unwrap() else {
            panic!("an object")
        };
        let error = encode(
            &service,
            &service.operations[operation],
            protocol,
            &input,
            &Addressed::Service,
        );
        error.unwrap_err().to_string()
    };
    let store = |json: &str| refused("rest", "Store", Protocol::RestJson, json);
    for key in ["", "..", "a/../b", "a//b", "/a", "a/"] {
        let expected = "`Key` has a value that can't stand in a path";
        assert_eq!(store(&format!("{{\"Key\":\"{key}\"}}")), expected);
    }
    assert_eq!(
        store(r#"{"Key":"a","QMap":{}}"#),
        "`QMap` has a value that can't stand in a query string"
    );
    assert_eq!(store("{}"), "`Key` is required and missing");
    assert_eq!(
        store(r#"{"Key":"a","Other":1}"#),
        "`Other` isn't known to the catalog; a newer catalog may know it"
    );
    let cook = |json: &str| refused("rest", "Cook", Protocol::RestJson, json);
    for header in [r"a\nb", " a", "ü"] {
        let at = "2026-01-31T12:00:00Z";
        assert_eq!(
            cook(&format!(
                r#"{{"Name":"a","Number":1,"At":"{at}","H":"{header}"}}"#
            )),
            "`H` has a value that can't stand in a header"
        );
    }
    assert_eq!(
        refused(
            "json",
            "Cook",
            Protocol::AwsJson,
            r#"{"Bound":["a"],"Node":{"Id":"x","Count":"1"}}"#
        ),
        "`Node.Count` must be a whole number, not a string"
    );
    assert_eq!(
        refused(
            "query",
            "Cook",
            Protocol::AwsQuery,
            r#"{"Node":{"Id":"x"},"Map":{}}"#
        ),
        "`Map` has a value that can't stand in a form, which has no empty groups"
    );
}
