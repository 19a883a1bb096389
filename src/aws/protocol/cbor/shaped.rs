//! CBOR items as values and back, by the shapes of the model: what CBOR has types for (bytes, timestamps, floats) stands
//! in a value as JSON spells it. What else the model asks of a value is [`typed`](super::super::typed)'s to check.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::aws::catalog::model::{Member, Service, Shape, ShapeId, Structure};
use crate::aws::value::{Number, Object, Value};

use super::super::typed::{TypeError, TypeReason, is_special_float};
use super::{Item, Numeric};

/// What becomes of a member that the model doesn't have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::aws::protocol) enum Unknown {
    Refused,
    Dropped,
}

/// Takes a structure's members, by their names on the wire.
///
/// # Errors
/// [`TypeError`] for the first item that isn't of its shape's type.
pub(in crate::aws::protocol) fn members(
    service: &Service,
    shape: &Structure,
    items: Vec<(String, Item)>,
    unknown: Unknown,
) -> Result<Object, TypeError> {
    Reading { service, unknown }.structure(shape, items)
}

/// Gives a structure's members, by their names on the wire, as a map.
///
/// # Errors
/// [`TypeError`] for the first value that isn't of its shape's type.
pub(in crate::aws::protocol) fn item(
    service: &Service,
    shape: &Structure,
    members: &Object,
) -> Result<Item, TypeError> {
    Writing { service }.structure(shape, members)
}

struct Reading<'a> {
    service: &'a Service,
    unknown: Unknown,
}

impl Reading<'_> {
    fn structure(
        &self,
        shape: &Structure,
        items: Vec<(String, Item)>,
    ) -> Result<Object, TypeError> {
        let mut members = Vec::with_capacity(items.len());
        for (key, item) in items {
            match (by_wire_name(shape, &key), self.unknown) {
                (Some(member), _) => {
                    let value = self
                        .value(member.shape, item)
                        .map_err(|e| within(e, &key))?;
                    members.push((key, value));
                }
                (None, Unknown::Refused) => return Err(TypeReason::Unknown.at(&key)),
                (None, Unknown::Dropped) => {}
            }
        }
        object(members)
    }

    fn value(&self, id: ShapeId, item: Item) -> Result<Value, TypeError> {
        let shape = shape_of(self.service, id)?;
        let wrong = |expected, item: &Item| {
            TypeReason::Wrong {
                expected,
                found: item.kind(),
            }
            .at_top()
        };
        match (shape, item) {
            // Who may be null is the typed reading's to say.
            (_, Item::Null) => Ok(Value::Null),
            (Shape::Structure(shape), Item::Map(items)) => {
                self.structure(shape, items).map(Value::Object)
            }
            (Shape::Map { value, .. }, Item::Map(items)) => {
                self.map(*value, items).map(Value::Object)
            }
            (Shape::List { member, .. }, Item::List(items)) => {
                self.list(*member, items).map(Value::List)
            }
            (Shape::String { .. }, Item::Text(text)) => Ok(Value::String(text)),
            (Shape::Boolean, Item::Bool(bool)) => Ok(Value::Bool(bool)),
            (Shape::Blob, Item::Bytes(bytes)) => Ok(Value::String(STANDARD.encode(bytes))),
            (
                Shape::Integer | Shape::Long,
                Item::Number(number @ (Numeric::Unsigned(_) | Numeric::Negative(_))),
            )
            | (Shape::Float, Item::Number(number))
            | (Shape::Timestamp { .. }, Item::Timestamp(number)) => written(number),
            (Shape::Document, _) => Err(TypeReason::Document.at_top()),
            (Shape::Structure(_), item) => Err(wrong("an object", &item)),
            (Shape::Map { .. }, item) => Err(wrong("a map", &item)),
            (Shape::List { .. }, item) => Err(wrong("a list", &item)),
            (Shape::String { .. }, item) => Err(wrong("a string", &item)),
            (Shape::Boolean, item) => Err(wrong("a boolean", &item)),
            (Shape::Blob, item) => Err(wrong("bytes", &item)),
            // A float isn't taken for a whole number even where it is one: no SDK writes it so.
            (Shape::Integer | Shape::Long, item) => Err(wrong("a whole number", &item)),
            (Shape::Float, item) => Err(wrong("a number", &item)),
            (Shape::Timestamp { .. }, item) => Err(wrong("a timestamp (tag 1)", &item)),
        }
    }

    fn list(&self, member: ShapeId, items: Vec<Item>) -> Result<Vec<Value>, TypeError> {
        let values = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| self.value(member, item).map_err(|e| within_item(e, index)));
        values.collect()
    }

    fn map(&self, shape: ShapeId, items: Vec<(String, Item)>) -> Result<Object, TypeError> {
        let members = items.into_iter().map(|(key, item)| {
            let value = self.value(shape, item).map_err(|e| within(e, &key))?;
            Ok((key, value))
        });
        object(members.collect::<Result<_, TypeError>>()?)
    }
}

struct Writing<'a> {
    service: &'a Service,
}

impl Writing<'_> {
    fn structure(&self, shape: &Structure, members: &Object) -> Result<Item, TypeError> {
        let items = members.iter().map(|(key, value)| {
            let member = by_wire_name(shape, key).ok_or_else(|| TypeReason::Unknown.at(key))?;
            let item = self
                .value(member.shape, value)
                .map_err(|e| within(e, key))?;
            Ok((key.to_owned(), item))
        });
        items.collect::<Result<_, _>>().map(Item::Map)
    }

    fn value(&self, id: ShapeId, value: &Value) -> Result<Item, TypeError> {
        let shape = shape_of(self.service, id)?;
        let wrong = |expected| {
            TypeReason::Wrong {
                expected,
                found: super::super::typed::kind(value),
            }
            .at_top()
        };
        match (shape, value) {
            (_, Value::Null) => Ok(Item::Null),
            (Shape::Structure(shape), Value::Object(members)) => self.structure(shape, members),
            (Shape::Map { value, .. }, Value::Object(members)) => {
                let items = members.iter().map(|(key, member)| {
                    let item = self.value(*value, member).map_err(|e| within(e, key))?;
                    Ok((key.to_owned(), item))
                });
                items.collect::<Result<_, _>>().map(Item::Map)
            }
            (Shape::List { member, .. }, Value::List(values)) => {
                let items = values.iter().enumerate().map(|(index, value)| {
                    self.value(*member, value)
                        .map_err(|e| within_item(e, index))
                });
                items.collect::<Result<_, _>>().map(Item::List)
            }
            (Shape::String { .. }, Value::String(text)) => Ok(Item::Text(text.clone())),
            (Shape::Boolean, Value::Bool(bool)) => Ok(Item::Bool(*bool)),
            (Shape::Blob, Value::String(text)) => STANDARD
                .decode(text)
                .map(Item::Bytes)
                .map_err(|_| TypeReason::Base64.at_top()),
            (Shape::Integer, Value::Number(number)) => whole(number, 32).map(Item::Number),
            (Shape::Long, Value::Number(number)) => whole(number, 64).map(Item::Number),
            (Shape::Float, Value::Number(number)) => read(number).map(Item::Number),
            (Shape::Float, Value::String(text)) if is_special_float(text) => {
                Ok(Item::Number(Numeric::Float(special(text))))
            }
            (Shape::Timestamp { .. }, Value::Number(number)) => read(number).map(Item::Timestamp),
            (Shape::Document, _) => Err(TypeReason::Document.at_top()),
            (Shape::Structure(_), _) => Err(wrong("an object")),
            (Shape::Map { .. }, _) => Err(wrong("a map")),
            (Shape::List { .. }, _) => Err(wrong("a list")),
            (Shape::String { .. }, _) => Err(wrong("a string")),
            (Shape::Boolean, _) => Err(wrong("a boolean")),
            (Shape::Blob, _) => Err(wrong("a string of base64")),
            (Shape::Integer | Shape::Long, _) => Err(wrong("a whole number")),
            (Shape::Float, _) => Err(wrong("a number")),
            (Shape::Timestamp { .. }, _) => Err(wrong("a number of seconds since 1970")),
        }
    }
}

/// A number as text, as a value has it: whole ones without a point, floats with one or an exponent, so that each is
/// written again as the kind that it was; what JSON has no number for by its name.
fn written(number: Numeric) -> Result<Value, TypeError> {
    let text = match number {
        Numeric::Unsigned(n) => n.to_string(),
        Numeric::Negative(n) => (-1 - i128::from(n)).to_string(),
        Numeric::Float(float) if float.is_nan() => return Ok(Value::String("NaN".to_owned())),
        Numeric::Float(f64::INFINITY) => return Ok(Value::String("Infinity".to_owned())),
        Numeric::Float(f64::NEG_INFINITY) => return Ok(Value::String("-Infinity".to_owned())),
        Numeric::Float(float) => format!("{float:?}"),
    };
    Number::parse(&text)
        .map(Value::Number)
        .ok_or(TypeReason::Finite.at_top())
}

/// The inverse of [`written`]; text that is neither a whole number of 64 bits nor an exact float is the nearest one.
fn read(number: &Number) -> Result<Numeric, TypeError> {
    let text = number.as_str();
    let whole = text.parse::<i128>().ok().filter(|n| *n != 0 || text == "0");
    let exact = whole.and_then(|n| match u64::try_from(n) {
        Ok(n) => Some(Numeric::Unsigned(n)),
        Err(_) => u64::try_from(-1 - n).ok().map(Numeric::Negative),
    });
    if let Some(exact) = exact {
        return Ok(exact);
    }
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() => Ok(Numeric::Float(float)),
        Ok(_) | Err(_) => Err(TypeReason::Finite.at_top()),
    }
}

fn whole(number: &Number, bits: u32) -> Result<Numeric, TypeError> {
    match number.as_i64() {
        Some(n) => Ok(match u64::try_from(n) {
            Ok(n) => Numeric::Unsigned(n),
            Err(_) => Numeric::Negative((-1 - n).unsigned_abs()),
        }),
        None => Err(TypeReason::Range { bits }.at_top()),
    }
}

fn special(text: &str) -> f64 {
    match text {
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        _ => f64::NAN,
    }
}

fn by_wire_name<'s>(shape: &'s Structure, name: &str) -> Option<&'s Member> {
    shape.members.iter().find(|m| m.wire_name() == name)
}

fn shape_of(service: &Service, id: ShapeId) -> Result<&Shape, TypeError> {
    service.shape(id).ok_or(TypeReason::NoShape.at_top())
}

fn object(members: Vec<(String, Value)>) -> Result<Object, TypeError> {
    Object::from_members(members).map_err(|e| TypeReason::Twice.at(&e.0))
}

fn within(error: TypeError, name: &str) -> TypeError {
    TypeError {
        path: error.path.within(name),
        ..error
    }
}

fn within_item(error: TypeError, index: usize) -> TypeError {
    TypeError {
        path: error.path.within_item(index),
        ..error
    }
}
