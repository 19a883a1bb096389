//! Leaf values as text: labels, query strings, headers and forms.

use crate::aws::catalog::model::{Shape, TimestampFormat};
use crate::aws::value::{Number, Value};

use super::typed::{self, TypeReason};

/// Takes a text as a value of a leaf shape. `place` is how timestamps are spelt there unless the model says else;
/// `own` is what the member says.
///
/// # Errors
/// The reason why it isn't one.
pub(super) fn decode(
    shape: &Shape,
    text: String,
    own: Option<TimestampFormat>,
    place: TimestampFormat,
) -> Result<Value, TypeReason> {
    let format = format(shape, own, place);
    let number = |text: &str| Number::parse(text).map(Value::Number);
    let value = match shape {
        Shape::Boolean => match text.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::String(text),
        },
        Shape::Integer | Shape::Long | Shape::Float => number(&text).unwrap_or(Value::String(text)),
        Shape::Timestamp { .. } if format == TimestampFormat::EpochSeconds => {
            number(&text).unwrap_or(Value::String(text))
        }
        Shape::Document => {
            return Err(TypeReason::Wrong {
                expected: "a document, which only JSON can carry",
                found: "a text",
            });
        }
        Shape::String { .. }
        | Shape::Blob
        | Shape::Timestamp { .. }
        | Shape::Structure(_)
        | Shape::List { .. }
        | Shape::Map { .. } => Value::String(text),
    };
    typed::leaf(shape, &value, format)?;
    Ok(value)
}

/// Gives a leaf value's text: the inverse of [`decode`].
///
/// # Errors
/// The reason why the value isn't one of that shape.
pub(super) fn encode(
    shape: &Shape,
    value: &Value,
    own: Option<TimestampFormat>,
    place: TimestampFormat,
) -> Result<String, TypeReason> {
    typed::leaf(shape, value, format(shape, own, place))?;
    match value {
        Value::Bool(true) => Ok("true".to_owned()),
        Value::Bool(false) => Ok("false".to_owned()),
        Value::Number(number) if !matches!(shape, Shape::Document) => {
            Ok(number.as_str().to_owned())
        }
        Value::String(text) if !matches!(shape, Shape::Document) => Ok(text.clone()),
        Value::Null | Value::Number(_) | Value::String(_) | Value::List(_) | Value::Object(_) => {
            Err(TypeReason::Wrong {
                expected: "a plain value",
                found: typed::kind(value),
            })
        }
    }
}

fn format(shape: &Shape, own: Option<TimestampFormat>, place: TimestampFormat) -> TimestampFormat {
    let shaped = match shape {
        Shape::Timestamp { format } => *format,
        Shape::Structure(_)
        | Shape::List { .. }
        | Shape::Map { .. }
        | Shape::String { .. }
        | Shape::Blob
        | Shape::Boolean
        | Shape::Integer
        | Shape::Long
        | Shape::Float
        | Shape::Document => None,
    };
    own.or(shaped).unwrap_or(place)
}
