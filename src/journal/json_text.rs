//! JSON that a record holds as text: made once, by whoever knows what it is made of, and written as it is.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::json;

/// JSON as text, on one line; nothing where it is `null`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct JsonText(Option<Box<RawValue>>);

impl JsonText {
    /// `null`.
    pub const NULL: Self = Self(None);

    /// A value as JSON. What can't be put into JSON is told in its place.
    #[must_use]
    pub fn of(value: &(impl Serialize + ?Sized)) -> Self {
        let text = to_raw_value(value)
            .or_else(|error| to_raw_value(&json!({ "left_out": error.to_string() })));
        Self(text.ok().filter(|text| text.get() != "null"))
    }

    /// Whether there is nothing.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        self.0.is_none()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("null", |text| text.get())
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(text) => serializer.serialize_newtype_struct(json::TEXT, text),
            None => serializer.serialize_none(),
        }
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
