//! What of a service is kept packed until it's looked at: a service has thousands of shapes, and a guard's calls look at few
//! of them.

use std::sync::OnceLock;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};

/// A value that is kept as JSON until it's first looked at. One that is read is checked before it's kept so.
#[derive(Debug, Clone)]
pub struct Packed<T> {
    /// Empty where the value was never packed.
    text: Box<str>,
    value: OnceLock<Option<Box<T>>>,
}

impl<T: DeserializeOwned> Packed<T> {
    /// The value. `None` only where what was written isn't read back.
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        let unpack = || serde_json::from_str(&self.text).ok();
        self.value.get_or_init(unpack).as_deref()
    }
}

impl<T> From<T> for Packed<T> {
    fn from(value: T) -> Self {
        Self {
            text: Box::default(),
            value: OnceLock::from(Some(Box::new(value))),
        }
    }
}

impl<T: DeserializeOwned + PartialEq> PartialEq for Packed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: DeserializeOwned + Serialize> Serialize for Packed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let lost = || ser::Error::custom("what was packed isn't read back");
        self.get().ok_or_else(lost)?.serialize(serializer)
    }
}

impl<'de, T: DeserializeOwned + Serialize> Deserialize<'de> for Packed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = T::deserialize(deserializer)?;
        let text = serde_json::to_string(&value).map_err(D::Error::custom)?;
        Ok(Self {
            // A copy: what it was written into has room to spare, which would be kept.
            text: text.as_str().into(),
            value: OnceLock::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::catalog::{Catalog, Shape, ShapeId};

    #[test]
    fn a_value_is_packed_until_it_is_looked_at() {
        let read: Packed<Shape> = serde_json::from_str(r#"{ "list": { "member": 3 } }"#).unwrap();
        assert_eq!(
            (&*read.text, read.value.get()),
            (r#"{"list":{"member":3}}"#, None)
        );
        let Some(Shape::List { member, .. }) = read.get() else {
            panic!("{read:?}");
        };
        assert_eq!(*member, ShapeId(3));
        assert_eq!(serde_json::to_string(&read).unwrap(), &*read.text);
        let made = Packed::from(read.get().unwrap().clone());
        assert!(made.text.is_empty() && made == read);
        assert_ne!(made, Packed::from(Shape::Blob));
    }

    #[test]
    fn what_is_no_value_is_refused_when_it_is_read() {
        for text in ["{}", r#"{"list":{}}"#, r#""lists""#] {
            assert!(
                serde_json::from_str::<Packed<Shape>>(text).is_err(),
                "{text}"
            );
        }
    }

    /// What is decoded stays in memory for as long as the guard runs.
    #[test]
    fn a_service_that_is_read_has_no_shape_decoded() {
        let catalog = Catalog::embedded().unwrap();
        let ec2 = catalog.service("ec2").unwrap().unwrap();
        let decoded = || {
            ec2.shapes
                .iter()
                .filter(|s| s.value.get().is_some())
                .count()
        };
        assert!(ec2.shapes.len() > 1_000);
        assert_eq!(decoded(), 0);
        assert!(ec2.input(&ec2.operations["TerminateInstances"]).is_some());
        assert_eq!(decoded(), 1);
    }
}
