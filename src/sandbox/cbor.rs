//! CBOR bodies as the JSON that the account works with, and back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::error::ApiError;
use crate::aws::protocol::cbor::{self, Item, Numeric};

/// The members that are timestamps in the answers of the services that speak CBOR.
const TIMES: [&str; 2] = ["CreatedTime", "UpdatedTime"];

/// A request's members.
pub(super) fn read(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match cbor::parse(body) {
        Ok(Item::Map(members)) => Ok(object(members)),
        Ok(_) | Err(_) => Err(ApiError::serialization("the body is not a CBOR map")),
    }
}

/// An answer's bytes.
pub(super) fn write(value: &Value) -> Vec<u8> {
    cbor::write(&item(value))
}

fn object(members: Vec<(String, Item)>) -> Map<String, Value> {
    let values = members.into_iter().map(|(key, item)| (key, value(item)));
    values.collect()
}

fn value(item: Item) -> Value {
    match item {
        Item::Null => Value::Null,
        Item::Bool(bool) => bool.into(),
        Item::Number(number) | Item::Timestamp(number) => match number {
            Numeric::Unsigned(n) => n.into(),
            Numeric::Negative(n) => match i64::try_from(n) {
                Ok(n) => (-1 - n).into(),
                Err(_) => Value::Null,
            },
            Numeric::Float(float) => float.into(),
        },
        Item::Bytes(bytes) => STANDARD.encode(bytes).into(),
        Item::Text(text) => text.into(),
        Item::List(items) => items.into_iter().map(value).collect(),
        Item::Map(members) => Value::Object(object(members)),
    }
}

fn item(value: &Value) -> Item {
    match value {
        Value::Null => Item::Null,
        Value::Bool(bool) => Item::Bool(*bool),
        Value::Number(number) => Item::Number(numeric(number)),
        Value::String(text) => Item::Text(text.clone()),
        Value::Array(items) => Item::List(items.iter().map(item).collect()),
        Value::Object(members) => {
            let items = members.iter().map(|(key, value)| {
                let item = match value {
                    Value::Number(seconds) if TIMES.contains(&key.as_str()) => {
                        Item::Timestamp(numeric(seconds))
                    }
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::String(_)
                    | Value::Array(_)
                    | Value::Object(_) => item(value),
                };
                (key.clone(), item)
            });
            Item::Map(items.collect())
        }
    }
}

fn numeric(number: &Number) -> Numeric {
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(n), _, _) => Numeric::Unsigned(n),
        (None, Some(n), _) => Numeric::Negative((-1 - n).unsigned_abs()),
        (None, None, float) => Numeric::Float(float.unwrap_or(f64::NAN)),
    }
}
