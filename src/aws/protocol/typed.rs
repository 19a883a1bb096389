//! Values held against the shapes of the model: wire names to model names and back, every type checked.
//!
//! INVARIANT: what [`decode`] and [`encode`] let through has only members that the model knows, all that it
//! requires, and no null but where the model's list or map is sparse or the member is a document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::aws::catalog::model::{Member, Service, Shape, ShapeId, Structure, TimestampFormat};
use crate::aws::value::{Object, Value};

use super::json::DEPTH_MAX;
use super::path::Path;
use super::timestamp;

/// Where and why a value is not what the model says. The path has names as they stand on the side that was
/// read: the wire's when decoding, the model's when encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} {reason}")]
pub struct TypeError {
    pub path: Path,
    pub reason: TypeReason,
}

/// What is wrong at that place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypeReason {
    #[error("isn't known to the catalog; a newer catalog may know it")]
    Unknown,
    #[error("is required and missing")]
    Missing,
    #[error("must be {expected}, not {found}")]
    Wrong {
        expected: &'static str,
        found: &'static str,
    },
    #[error("must not be null")]
    Null,
    #[error("must be a whole number of {bits} bits")]
    Range { bits: u32 },
    #[error("must be a finite number")]
    Finite,
    #[error("is a document, which CBOR can't carry")]
    Document,
    #[error("must be base64 with padding")]
    Base64,
    #[error("must be a timestamp written as {expected}")]
    Timestamp { expected: &'static str },
    #[error("must have exactly one member, not {found}")]
    Union { found: usize },
    #[error("must have {min} or more items, not {found}")]
    TooFew { min: u64, found: usize },
    #[error("must have no more than {max} items, not {found}")]
    TooMany { max: u64, found: usize },
    #[error("lies deeper than {DEPTH_MAX} levels")]
    Depth,
    #[error("stands twice")]
    Twice,
    #[error("has text where only elements stand")]
    Text,
    #[error("isn't the namespace that the catalog has there")]
    Namespace,
    #[error("has characters that XML can't carry")]
    Xml,
    #[error("is empty, which the protocol can't carry")]
    Empty,
    #[error("has no shape in the catalog, which is damaged")]
    NoShape,
}

impl TypeReason {
    /// The error of a value at the top.
    #[must_use]
    pub const fn at_top(self) -> TypeError {
        TypeError {
            path: Path::top(),
            reason: self,
        }
    }

    /// The error of a member of the input.
    #[must_use]
    pub fn at(self, member: &str) -> TypeError {
        TypeError {
            path: Path::of(member),
            reason: self,
        }
    }
}

/// How timestamps are spelt in a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timestamps {
    /// As the model says: member, then shape, else seconds since 1970.
    Modelled,
    /// As seconds since 1970, whatever the model says.
    EpochSeconds,
}

/// Takes a structure's members from JSON: names as in the model, nulls dropped, everything checked.
///
/// # Errors
/// [`TypeError`] for the first thing that the model doesn't have so.
pub fn decode(service: &Service, shape: &Structure, wire: Object) -> Result<Object, TypeError> {
    decode_with(service, shape, wire, Timestamps::Modelled)
}

/// As [`decode`], for a protocol with its own way of writing timestamps.
///
/// # Errors
/// As [`decode`].
pub fn decode_with(
    service: &Service,
    shape: &Structure,
    wire: Object,
    timestamps: Timestamps,
) -> Result<Object, TypeError> {
    Walk {
        timestamps,
        ..walk(service, Mode::Decode)
    }
    .structure(shape, wire, 0)
}

/// Gives a structure's members their names on the wire; checks as [`decode`] does.
///
/// # Errors
/// [`TypeError`] for the first thing that the model doesn't have so.
pub fn encode(service: &Service, shape: &Structure, input: &Object) -> Result<Object, TypeError> {
    encode_with(service, shape, input, Timestamps::Modelled)
}

/// As [`encode`], for a protocol with its own way of writing timestamps.
///
/// # Errors
/// As [`encode`].
pub fn encode_with(
    service: &Service,
    shape: &Structure,
    input: &Object,
    timestamps: Timestamps,
) -> Result<Object, TypeError> {
    Walk {
        timestamps,
        ..walk(service, Mode::Encode)
    }
    .structure(shape, input.clone(), 0)
}

/// As [`decode`], for one value of any shape: a REST payload.
///
/// # Errors
/// As [`decode`].
pub fn decode_value(service: &Service, id: ShapeId, wire: Value) -> Result<Value, TypeError> {
    walk(service, Mode::Decode).value(id, wire, None, 0)
}

/// As [`encode`], for one value of any shape: a REST payload.
///
/// # Errors
/// As [`encode`].
pub fn encode_value(service: &Service, id: ShapeId, input: &Value) -> Result<Value, TypeError> {
    walk(service, Mode::Encode).value(id, input.clone(), None, 0)
}

/// Takes an answer's members from JSON. Lenient where services are: unknown members and nulls are dropped, bounds
/// and required members are not held against it; the type of what is known must be right.
///
/// # Errors
/// [`TypeError`] for the first wrong type.
pub fn decode_output(
    service: &Service,
    shape: &Structure,
    wire: Object,
) -> Result<Object, TypeError> {
    walk(service, Mode::Output).structure(shape, wire, 0)
}

/// Checks a value that is neither structure, list nor map. `format` is how a timestamp is spelt here.
///
/// # Errors
/// The reason why it isn't one of that shape.
pub fn leaf(shape: &Shape, value: &Value, format: TimestampFormat) -> Result<(), TypeReason> {
    let wrong = |expected| TypeReason::Wrong {
        expected,
        found: kind(value),
    };
    match (shape, value) {
        (Shape::String { .. }, Value::String(_)) | (Shape::Boolean, Value::Bool(_)) => Ok(()),
        (Shape::String { .. }, _) => Err(wrong("a string")),
        (Shape::Boolean, _) => Err(wrong("a boolean")),
        (Shape::Integer, Value::Number(n)) => match n.as_i64().map(i32::try_from) {
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) | None => Err(TypeReason::Range { bits: 32 }),
        },
        (Shape::Long, Value::Number(n)) => match n.as_i64() {
            Some(_) => Ok(()),
            None => Err(TypeReason::Range { bits: 64 }),
        },
        (Shape::Integer | Shape::Long, _) => Err(wrong("a whole number")),
        (Shape::Float, Value::Number(n)) if finite(n.as_str()) => Ok(()),
        (Shape::Float, Value::Number(_)) => Err(TypeReason::Finite),
        (Shape::Float, Value::String(s)) if is_special_float(s) => Ok(()),
        (Shape::Float, _) => Err(wrong("a number")),
        (Shape::Blob, Value::String(s)) if STANDARD.decode(s).is_ok() => Ok(()),
        (Shape::Blob, Value::String(_)) => Err(TypeReason::Base64),
        (Shape::Blob, _) => Err(wrong("a string of base64")),
        (Shape::Timestamp { .. }, value) => timestamp::check(format, value),
        (Shape::Document, _) => Ok(()),
        (Shape::Structure(_), _) => Err(wrong("an object")),
        (Shape::List { .. }, _) => Err(wrong("a list")),
        (Shape::Map { .. }, _) => Err(wrong("a map")),
    }
}

/// Whether a text is one of the floats that JSON has no number for.
#[must_use]
pub fn is_special_float(text: &str) -> bool {
    matches!(text, "NaN" | "Infinity" | "-Infinity")
}

/// Checks the number of a list's items against the model.
///
/// # Errors
/// [`TypeReason::TooFew`], [`TypeReason::TooMany`].
pub fn bounds(found: usize, min: Option<u64>, max: Option<u64>) -> Result<(), TypeReason> {
    let count = u64::try_from(found).unwrap_or(u64::MAX);
    match (min, max) {
        (Some(min), _) if count < min => Err(TypeReason::TooFew { min, found }),
        (_, Some(max)) if count > max => Err(TypeReason::TooMany { max, found }),
        _ => Ok(()),
    }
}

/// Checks that what a structure requires is there, and that a union has one member. `named` says how a
/// message names a member.
///
/// # Errors
/// [`TypeReason::Missing`] for the first one missing, [`TypeReason::Union`].
pub fn complete<'a, S: AsRef<str>>(
    shape: &'a Structure,
    is_there: impl Fn(&Member) -> bool,
    named: impl Fn(&'a Member) -> S,
) -> Result<(), TypeError> {
    if shape.union {
        let found = shape.members.iter().filter(|m| is_there(m)).count();
        if found != 1 {
            return Err(TypeReason::Union { found }.at_top());
        }
    }
    match shape.members.iter().find(|m| m.required && !is_there(m)) {
        Some(member) => Err(TypeReason::Missing.at(named(member).as_ref())),
        None => Ok(()),
    }
}

/// What a value is, for messages.
#[must_use]
pub const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::List(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Decode,
    Encode,
    Output,
}

impl Mode {
    const fn is_strict(self) -> bool {
        matches!(self, Mode::Decode | Mode::Encode)
    }

    fn name(self, member: &Member) -> &str {
        match self {
            Mode::Decode | Mode::Output => member.wire_name(),
            Mode::Encode => &member.name,
        }
    }

    fn other_name(self, member: &Member) -> &str {
        match self {
            Mode::Decode | Mode::Output => &member.name,
            Mode::Encode => member.wire_name(),
        }
    }
}

struct Walk<'a> {
    service: &'a Service,
    mode: Mode,
    timestamps: Timestamps,
}

const fn walk(service: &Service, mode: Mode) -> Walk<'_> {
    Walk {
        service,
        mode,
        timestamps: Timestamps::Modelled,
    }
}

impl Walk<'_> {
    fn value(
        &self,
        id: ShapeId,
        value: Value,
        format: Option<TimestampFormat>,
        depth: usize,
    ) -> Result<Value, TypeError> {
        let shape = self.service.shape(id).ok_or(TypeReason::NoShape.at_top())?;
        match (shape, value) {
            (Shape::Structure(shape), Value::Object(object)) => {
                self.structure(shape, object, depth).map(Value::Object)
            }
            (
                Shape::List {
                    member,
                    sparse,
                    min,
                    max,
                    ..
                },
                Value::List(items),
            ) => {
                if self.mode.is_strict() {
                    bounds(items.len(), *min, *max).map_err(TypeReason::at_top)?;
                }
                self.list(*member, *sparse, items, depth).map(Value::List)
            }
            (Shape::Map { value, sparse, .. }, Value::Object(object)) => {
                self.map(*value, *sparse, object, depth).map(Value::Object)
            }
            (Shape::Document, value) => document_depth(&value, depth)
                .map(|()| value)
                .map_err(TypeReason::at_top),
            (Shape::Timestamp { .. }, value @ (Value::Number(_) | Value::String(_)))
                if self.mode == Mode::Output =>
            {
                Ok(value)
            }
            (Shape::Timestamp { format: own }, value) => {
                let format = match self.timestamps {
                    Timestamps::Modelled => format.or(*own),
                    Timestamps::EpochSeconds => None,
                };
                let format = format.unwrap_or(TimestampFormat::EpochSeconds);
                leaf(shape, &value, format).map_err(TypeReason::at_top)?;
                Ok(value)
            }
            (shape, value) => {
                leaf(shape, &value, TimestampFormat::EpochSeconds).map_err(TypeReason::at_top)?;
                Ok(value)
            }
        }
    }

    fn structure(
        &self,
        shape: &Structure,
        object: Object,
        depth: usize,
    ) -> Result<Object, TypeError> {
        deeper(depth)?;
        let mut members = Vec::with_capacity(object.len());
        for (key, value) in object.into_members() {
            let Some(member) = shape.members.iter().find(|m| self.mode.name(m) == key) else {
                if self.mode.is_strict() {
                    return Err(TypeReason::Unknown.at(&key));
                }
                continue;
            };
            if value == Value::Null && !self.is_document(member) {
                continue;
            }
            let value = self
                .value(member.shape, value, member.timestamp, depth + 1)
                .map_err(|e| within(e, &key))?;
            members.push((self.mode.other_name(member).to_owned(), value));
        }
        let members = Object::from_members(members).map_err(|e| TypeReason::Twice.at(&e.0))?;
        if self.mode.is_strict() {
            complete(
                shape,
                |m| members.get(self.mode.other_name(m)).is_some(),
                |m| self.mode.name(m),
            )?;
        }
        Ok(members)
    }

    fn list(
        &self,
        member: ShapeId,
        sparse: bool,
        items: Vec<Value>,
        depth: usize,
    ) -> Result<Vec<Value>, TypeError> {
        deeper(depth)?;
        let mut out = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let value = self
                .item(member, sparse, item, depth)
                .map_err(|e| TypeError {
                    path: e.path.within_item(index),
                    ..e
                })?;
            out.extend(value);
        }
        Ok(out)
    }

    fn map(
        &self,
        shape: ShapeId,
        sparse: bool,
        object: Object,
        depth: usize,
    ) -> Result<Object, TypeError> {
        deeper(depth)?;
        let mut members = Vec::with_capacity(object.len());
        for (key, value) in object.into_members() {
            let value = self
                .item(shape, sparse, value, depth)
                .map_err(|e| within(e, &key))?;
            members.extend(value.map(|v| (key, v)));
        }
        Object::from_members(members).map_err(|e| TypeReason::Twice.at(&e.0))
    }

    /// An item of a list or map; `None` for a null that an answer should not have had.
    fn item(
        &self,
        shape: ShapeId,
        sparse: bool,
        value: Value,
        depth: usize,
    ) -> Result<Option<Value>, TypeError> {
        let document = matches!(self.service.shape(shape), Some(Shape::Document));
        match value {
            Value::Null if sparse || document => Ok(Some(Value::Null)),
            Value::Null if self.mode.is_strict() => Err(TypeReason::Null.at_top()),
            Value::Null => Ok(None),
            value @ (Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::List(_)
            | Value::Object(_)) => self.value(shape, value, None, depth + 1).map(Some),
        }
    }

    fn is_document(&self, member: &Member) -> bool {
        matches!(self.service.shape(member.shape), Some(Shape::Document))
    }
}

fn within(error: TypeError, name: &str) -> TypeError {
    TypeError {
        path: error.path.within(name),
        ..error
    }
}

const fn deeper(depth: usize) -> Result<(), TypeError> {
    if depth >= DEPTH_MAX {
        return Err(TypeReason::Depth.at_top());
    }
    Ok(())
}

fn document_depth(value: &Value, depth: usize) -> Result<(), TypeReason> {
    match value {
        Value::List(_) | Value::Object(_) if depth >= DEPTH_MAX => Err(TypeReason::Depth),
        Value::List(items) => items.iter().try_for_each(|v| document_depth(v, depth + 1)),
        Value::Object(o) => o.iter().try_for_each(|(_, v)| document_depth(v, depth + 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn finite(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}
