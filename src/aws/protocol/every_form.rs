//! Every operation of every service that speaks a form protocol, with as little and with as much input as its model has:
//! what is written is read again the same, as that operation.

use std::sync::Arc;

use super::form_names::Dialect;
use super::{decode, encode, identify};
use crate::aws::catalog::model::{Operation, Shape, ShapeId, Structure, TimestampFormat};
use crate::aws::catalog::routes::Routes;
use crate::aws::catalog::{Catalog, Service};
use crate::aws::endpoint::Addressed;
use crate::aws::head::Head;
use crate::aws::value::{Object, Value};

/// How deep shapes that hold themselves are followed.
const LEVELS: usize = 6;

#[derive(Clone, Copy, PartialEq)]
enum Amount {
    Required,
    All,
}

fn structure(service: &Service, shape: &Structure, amount: Amount, levels: usize) -> Object {
    let wanted = |required: bool| required || (amount == Amount::All && levels > 0);
    let mut members: Vec<(String, Value)> = shape
        .members
        .iter()
        .filter(|m| wanted(m.required))
        .filter_map(|m| {
            let value = value(
                service,
                m.shape,
                m.timestamp,
                amount,
                levels.saturating_sub(1),
            )?;
            Some((m.name.clone(), value))
        })
        .collect();
    if shape.union {
        members.truncate(1);
    }
    members.into_iter().collect()
}

/// A value of a shape; `None` where a form can't carry it: an empty group.
fn value(
    service: &Service,
    id: ShapeId,
    format: Option<TimestampFormat>,
    amount: Amount,
    levels: usize,
) -> Option<Value> {
    let text = |text: &str| Some(Value::String(text.to_owned()));
    match service.shape(id).unwrap() {
        Shape::Structure(shape) => {
            let mut object = structure(service, shape, amount, levels);
            // An empty group can't stand in a form: the least that can has some member.
            if object.is_empty() && amount == Amount::Required {
                object = structure(service, shape, Amount::All, 2);
            }
            (!object.is_empty()).then_some(Value::Object(object))
        }
        Shape::List {
            member, min, max, ..
        } => {
            let count = min.unwrap_or(0).max(2).min(max.unwrap_or(2));
            let item = value(service, *member, None, amount, levels)?;
            let items = (0..count).map(|_| item.clone()).collect::<Vec<_>>();
            (!items.is_empty()).then_some(Value::List(items))
        }
        Shape::Map { value: inner, .. } => {
            let inner = value(service, *inner, None, amount, levels)?;
            let keys = ["a key", "b.c=d&e"].map(|k| (k.to_owned(), inner.clone()));
            Some(Value::Object(keys.into_iter().collect()))
        }
        Shape::String { values, .. } => match values.first() {
            Some(first) => text(first),
            None => text("a +%&=ü/\n"),
        },
        Shape::Blob => text("AP8r"),
        Shape::Boolean => Some(Value::Bool(true)),
        Shape::Integer | Shape::Long | Shape::Float => Some(Value::Number(7.into())),
        Shape::Timestamp { format: own } => match format.or(*own) {
            None | Some(TimestampFormat::DateTime) => text("2026-01-31T12:00:00Z"),
            Some(TimestampFormat::EpochSeconds) => Some(Value::Number(1_770_000_000.into())),
            Some(TimestampFormat::HttpDate) => text("Sat, 31 Jan 2026 12:00:00 GMT"),
        },
        Shape::Document => panic!("no form carries a document"),
    }
}

fn check(service: &Arc<Service>, dialect: Dialect, operation: &Operation, input: &Object) {
    let name = format!("{}:{}", service.id, operation.name);
    let (protocol, addressed) = (dialect.protocol(), &Addressed::Service);
    let wire = encode(service, operation, protocol, input, addressed)
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    let (path, query) = match wire.path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (wire.path_and_query.as_str(), None),
    };
    let head = Head {
        method: &wire.method,
        path,
        query,
        headers: &wire.headers,
        addressed,
    };
    let identified = identify(&[Arc::clone(service)], &head, Some(&wire.body))
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(identified.operation().name, operation.name, "{name}");
    assert_eq!(identified.protocol(), protocol, "{name}");
    let again = decode(&identified, &head, &wire.body).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(again.to_json(), input.to_json(), "{name}");
}

#[test]
fn every_operation_in_a_form_keeps_its_input() {
    let catalog = Catalog::embedded().unwrap();
    let (mut of_query, mut of_ec2) = (0, 0);
    for id in catalog.service_ids() {
        let service = catalog.service(id).unwrap().unwrap();
        let Some(dialect) = Dialect::spoken(&service) else {
            continue;
        };
        for name in service.operations.keys() {
            let form = Routes::of(&service).form(&service, name, dialect.protocol());
            let Some(operation) = form.as_deref() else {
                // Another service's.
                assert!(service.operations[name].alias.is_some(), "{id}:{name}");
                continue;
            };
            for amount in [Amount::Required, Amount::All] {
                let shape = service.input(operation);
                let input = shape.map(|s| structure(&service, s, amount, LEVELS));
                check(&service, dialect, operation, &input.unwrap_or_default());
            }
            match dialect {
                Dialect::AwsQuery => of_query += 1,
                Dialect::Ec2Query => of_ec2 += 1,
            }
        }
    }
    assert!(of_query > 1_000 && of_ec2 > 800, "{of_query} {of_ec2}");
}
