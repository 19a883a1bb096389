//! JSON that a record holds as text: made once, by whoever knows what it is made of, and written as it is.

use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::json;

/// JSON as text, on one line; nothing where it is `null`.
#[derive(Debug, Clone, Default)]
pub struct JsonText(Option<Box<str>>);

impl JsonText {
    /// `null`.
    pub const NULL: Self = Self(None);

    /// A value as JSON: one of our own types, or of `serde_json`. What can't be put into JSON is told in its place, and a
    /// map's key that is no text can't.
    #[must_use]
    pub fn of(value: &(impl Serialize + ?Sized)) -> Self {
        let text =
            written(value).or_else(|error| written(&json!({ "left_out": error.to_string() })));
        Self(text.ok().filter(|text| &**text != "null"))
    }

    /// Whether there is nothing.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        self.0.is_none()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("null")
    }
}

fn written(value: &(impl Serialize + ?Sized)) -> serde_json::Result<Box<str>> {
    let mut text = Vec::with_capacity(256);
    json::write(value, &mut text)?;
    let text = String::from_utf8(text).map_err(serde_json::Error::custom)?;
    Ok(text.into_boxed_str())
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(text) => serializer.serialize_newtype_struct(json::TEXT, &Text(text)),
            None => serializer.serialize_none(),
        }
    }
}

struct Text<'t>(&'t str);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The journal's own: what is JSON already is not read once more.
        if !serializer.is_human_readable() {
            return serializer.serialize_str(self.0);
        }
        let json: &RawValue = serde_json::from_str(self.0).map_err(S::Error::custom)?;
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: Option<Box<RawValue>> = Deserialize::deserialize(deserializer)?;
        Ok(Self(text.map(Into::into)))
    }
}

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl From<Value> for JsonText {
    fn from(value: Value) -> Self {
        Self::of(&value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_is_written_and_read_back_as_it_is() {
        for text in [
            "null",
            "{}",
            r#"{"b":[1,2.50,"\n"],"a":null}"#,
            "\"\u{e9}\"",
        ] {
            let read: JsonText = serde_json::from_str(text).unwrap();
            assert_eq!(read.as_str(), text);
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
            assert_eq!(read.is_null(), text == "null");
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), value);
            assert_eq!(JsonText::from(value).is_null(), text == "null");
        }
    }

    #[test]
    fn what_cannot_be_json_is_told() {
        let keys = JsonText::of(&BTreeMap::from([(vec![1], 2)]));
        assert_eq!(keys.as_str(), r#"{"left_out":"key must be a string"}"#);
    }
}
