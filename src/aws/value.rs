//! A call's parameters as values: an exact tree, whatever protocol they came in.
//!
//! INVARIANT: the keys of an [`Object`] are unique, and a [`Number`] keeps the digits it was
//! written with, so that what is encoded again equals what was decoded.

use std::collections::HashSet;
use std::fmt;

/// One value of a call's input or of an answer. What it stands for (a timestamp, a blob) is said by its shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    List(Vec<Value>),
    /// A structure or a map.
    Object(Object),
}

/// A number as RFC 8259 spells it, kept as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(String);

/// Members in the order in which they came, each key once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    members: Vec<(String, Value)>,
}

/// A key that stands twice in one object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key `{0}` stands twice")]
pub struct DuplicateKey(pub String);

impl Object {
    #[must_use]
    pub const fn new() -> Self {
        Self {
            members: Vec::new(),
        }
    }

    /// Adds a member.
    ///
    /// # Errors
    /// [`DuplicateKey`] when the key is there already.
    pub fn insert(&mut self, key: String, value: Value) -> Result<(), DuplicateKey> {
        if self.get(&key).is_some() {
            return Err(DuplicateKey(key));
        }
        self.members.push((key, value));
        Ok(())
    }

    /// Takes members that came together, in time linear in their number.
    ///
    /// # Errors
    /// [`DuplicateKey`] when a key stands twice.
    pub fn from_members(members: Vec<(String, Value)>) -> Result<Self, DuplicateKey> {
        match first_repeated(&members) {
            Some(key) => Err(DuplicateKey(key.to_owned())),
            None => Ok(Self { members }),
        }
    }

    /// Sets a member, in its place where it was there, else at the end.
    pub fn set(&mut self, key: &str, value: Value) {
        match self.members.iter_mut().find(|(k, _)| k == key) {
            Some((_, slot)) => *slot = value,
            None => self.members.push((key.to_owned(), value)),
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.members.iter().position(|(k, _)| k == key)?;
        Some(self.members.remove(at).1)
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.members.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.members.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// The members, given away.
    #[must_use]
    pub fn into_members(self) -> Vec<(String, Value)> {
        self.members
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

/// The first key that stands for a second time.
pub(crate) fn first_repeated<V>(members: &[(String, V)]) -> Option<&str> {
    // Most objects are small: comparing beats hashing there, and nowhere is it quadratic.
    const SMALL: usize = 16;
    let mut keys = members.iter().map(|(key, _)| key.as_str()).enumerate();
    if members.len() <= SMALL {
        let found = keys.find(|(n, key)| members.iter().take(*n).any(|(k, _)| k == key));
        return found.map(|(_, key)| key);
    }
    let mut seen = HashSet::with_capacity(members.len());
    keys.find(|(_, key)| !seen.insert(*key)).map(|(_, key)| key)
}

impl Number {
    /// Takes text that is a number under RFC 8259 section 6; `None` otherwise.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('-').unwrap_or(text).as_bytes();
        let (int, rest) = digits(rest);
        if int.is_empty() || (int.len() > 1 && int.first() == Some(&b'0')) {
            return None;
        }
        let rest = match rest.split_first() {
            Some((b'.', after)) => {
                let (fraction, rest) = digits(after);
                if fraction.is_empty() {
                    return None;
                }
                rest
            }
            _ => rest,
        };
        let rest = match rest.split_first() {
            Some((b'e' | b'E', after)) => {
                let after = match after.split_first() {
                    Some((b'+' | b'-', signed)) => signed,
                    _ => after,
                };
                let (exponent, rest) = digits(after);
                if exponent.is_empty() {
                    return None;
                }
                rest
            }
            _ => rest,
        };
        rest.is_empty().then(|| Self(text.to_owned()))
    }

    /// The digits as they were written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number as an integer, where it is written as one and fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }
}

impl From<i64> for Number {
    fn from(n: i64) -> Self {
        Self(n.to_string())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes
        .iter()
        .position(|b| !b.is_ascii_digit())
        .unwrap_or(bytes.len());
    bytes.split_at(end)
}

impl Value {
    /// The string, where this is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(s) => Some(s),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => {
                None
            }
        }
    }

    /// The integer, if this is a number that is written as one and fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Number(number) => number.as_i64(),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::List(_) | Value::Object(_) => {
                None
            }
        }
    }

    /// The list, where this is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => None,
        }
    }

    /// The object, where this is one.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Value::Object(o) => Some(o),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::List(_) => {
                None
            }
        }
    }

    /// The value as `serde_json` has it, for records. Numbers that `serde_json` cannot hold exactly become strings.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Number(n) => exact(n),
            Value::String(s) => s.as_str().into(),
            Value::List(items) => items.iter().map(Value::to_json).collect(),
            Value::Object(o) => o.to_json(),
        }
    }
}

impl Object {
    /// The object as `serde_json` has it, for records.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::Value::Object(
            self.iter()
                .map(|(k, v)| (k.to_owned(), v.to_json()))
                .collect(),
        )
    }
}

fn exact(n: &Number) -> serde_json::Value {
    match serde_json::from_str::<serde_json::Number>(n.as_str()) {
        Ok(parsed) if parsed.to_string() == n.as_str() => parsed.into(),
        _ => n.as_str().into(),
    }
}

impl FromIterator<(String, Value)> for Object {
    /// Collects members; of a key that stands twice the last one stays.
    fn from_iter<T: IntoIterator<Item = (String, Value)>>(iter: T) -> Self {
        let mut object = Self::new();
        for (key, value) in iter {
            object.set(&key, value);
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_rfc_8259() {
        for good in [
            "0",
            "-0",
            "12",
            "1.50",
            "1e9",
            "-1.0E+10",
            "123456789012345678901234567890",
        ] {
            assert_eq!(Number::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "", "-", "01", "+1", ".5", "1.", "1e", "0x1", "NaN", "1 ", "1_0",
        ] {
            assert!(Number::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_key_cannot_stand_twice() {
        let mut o = Object::new();
        o.insert("a".into(), Value::Null).unwrap();
        assert_eq!(
            o.insert("a".into(), Value::Bool(true)),
            Err(DuplicateKey("a".into()))
        );
        let twice = ["a", "b", "a"].map(|k| (k.to_owned(), Value::Null));
        assert_eq!(
            Object::from_members(twice.to_vec()),
            Err(DuplicateKey("a".into()))
        );
        let many = (0..40).map(|n| ((n % 39).to_string(), Value::Null));
        assert_eq!(
            Object::from_members(many.collect()),
            Err(DuplicateKey("0".into()))
        );
    }
}
