//! What of a call's input may stand in a record: members that the model marks sensitive are replaced by a keyed
//! hash, so that equal values can be told to be equal and none can be guessed from the record.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value as Json};
use sha2::Sha256;

use crate::aws::catalog::model::{Operation, Service, Shape, ShapeId, Structure};
use crate::aws::value::{Object, Value};

/// The input as a record holds it, keyed by member name. What the model doesn't describe is hashed too.
#[must_use]
pub fn redact(service: &Service, operation: &Operation, input: &Object, key: &[u8; 32]) -> Json {
    let redactor = Redactor { service, key };
    match service.input(operation) {
        Some(structure) if !structure.sensitive => redactor.members(structure, input),
        Some(_) | None if input.is_empty() => Json::Object(Map::new()),
        Some(_) | None => redactor.hash(&Value::Object(input.clone())),
    }
}

struct Redactor<'a> {
    service: &'a Service,
    key: &'a [u8; 32],
}

impl Redactor<'_> {
    fn members(&self, structure: &Structure, object: &Object) -> Json {
        let member = |(name, value): (&str, &Value)| {
            let json = match structure.member(name) {
                Some(member) if !member.sensitive => self.value(member.shape, value),
                Some(_) | None => self.hash(value),
            };
            (name.to_owned(), json)
        };
        Json::Object(object.iter().map(member).collect())
    }

    fn value(&self, shape: ShapeId, value: &Value) -> Json {
        match (self.service.shape(shape), value) {
            (Some(Shape::Structure(s)), Value::Object(o)) if !s.sensitive => self.members(s, o),
            (Some(Shape::List { member, .. }), Value::List(items)) => {
                items.iter().map(|item| self.value(*member, item)).collect()
            }
            (Some(Shape::Map { value: member, .. }), Value::Object(o)) => Json::Object(
                o.iter()
                    .map(|(k, v)| (k.to_owned(), self.value(*member, v)))
                    .collect(),
            ),
            (
                Some(
                    Shape::String {
                        sensitive: false, ..
                    }
                    | Shape::Blob
                    | Shape::Boolean
                    | Shape::Integer
                    | Shape::Long
                    | Shape::Float
                    | Shape::Timestamp { .. }
                    | Shape::Document,
                ),
                value,
            ) => value.to_json(),
            (Some(_), Value::Null) => Json::Null,
            (Some(_) | None, value) => self.hash(value),
        }
    }

    fn hash(&self, value: &Value) -> Json {
        let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(self.key) else {
            return Json::from("[redacted]");
        };
        mac.update(value.to_json().to_string().as_bytes());
        let mut text = String::from("hmac-sha256:");
        for byte in mac.finalize().into_bytes() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Json::from(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service() -> (Service, Operation) {
        let service: Service = serde_json::from_value(json!({
            "id": "s", "full_name": "S", "signing_name": "s", "signature": "v4", "protocols": ["json"], "api_version": "1",
            "operations": {"Op": {"name": "Op", "class": "destroy", "method": "POST", "uri": "/", "input": 0}},
            "shapes": [
                {"structure": {"members": [
                    {"name": "Id", "shape": 1},
                    {"name": "Password", "shape": 1, "sensitive": true},
                    {"name": "Secrets", "shape": 2},
                    {"name": "Whole", "shape": 4},
                ]}},
                {"string": {}},
                {"list": {"member": 3}},
                {"string": {"sensitive": true}},
                {"structure": {"members": [], "sensitive": true}},
            ]
        }))
        .unwrap();
        let operation = service.operations["Op"].clone();
        (service, operation)
    }

    fn text(s: &str) -> Value {
        Value::String(s.to_owned())
    }

    #[test]
    fn sensitive_members_are_hashed_wherever_the_model_marks_them() {
        let (service, operation) = service();
        let input = Object::from_iter([
            ("Id".to_owned(), text("ws-1")),
            ("Password".to_owned(), text("hunter2")),
            ("Secrets".to_owned(), Value::List(vec![text("hunter2")])),
            (
                "Whole".to_owned(),
                Value::Object(Object::from_iter([("a".to_owned(), text("hunter2"))])),
            ),
            ("Unmodelled".to_owned(), text("hunter2")),
        ]);
        let json = redact(&service, &operation, &input, &[7; 32]);
        assert_eq!(json["Id"], "ws-1");
        assert!(!json.to_string().contains("hunter2"), "{json}");
        let hash = json["Password"].as_str().unwrap();
        assert!(hash.starts_with("hmac-sha256:"), "{hash}");
        assert_eq!(json["Secrets"][0], hash, "equal values hash equally");
        assert_ne!(
            redact(&service, &operation, &input, &[8; 32])["Password"],
            hash,
            "the key matters"
        );
    }
}
