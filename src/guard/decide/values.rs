//! Cedar's values and entities, made at once: its public interface makes an expression of each first, and evaluates that.
//!
//! INVARIANT: what is made here equals what the expression would have come to.

use std::collections::HashSet;
use std::sync::LazyLock;

use cedar_policy_core::ast::{Entity, EntityUID, Name, PartialValue, Value, ValueKind};
use cedar_policy_core::extensions::Extensions;

static IP: LazyLock<Name> = LazyLock::new(|| function_name("ip"));
static DECIMAL: LazyLock<Name> = LazyLock::new(|| function_name("decimal"));
static DATETIME: LazyLock<Name> = LazyLock::new(|| function_name("datetime"));

/// An address or a range.
pub(super) fn ip(text: &str) -> Result<Value, String> {
    made_by(&IP, text)
}

/// A number with one to four decimals.
pub(super) fn decimal(text: &str) -> Result<Value, String> {
    made_by(&DECIMAL, text)
}

/// A moment.
pub(super) fn datetime(text: &str) -> Result<Value, String> {
    made_by(&DATETIME, text)
}

/// A record.
///
/// # Errors
/// Two fields have the same name.
pub(super) fn record(pairs: Vec<(String, Value)>) -> Result<Value, String> {
    let count = pairs.len();
    let record = Value::record(pairs, None);
    if matches!(record.value_kind(), ValueKind::Record(fields) if fields.len() == count) {
        Ok(record)
    } else {
        Err("two fields of a record have the same name".to_owned())
    }
}

/// An entity. `ancestors`: all there are, not the nearest alone.
pub(super) fn entity<'n>(
    uid: EntityUID,
    attributes: impl IntoIterator<Item = (&'n str, Value)>,
    ancestors: HashSet<EntityUID>,
    tags: impl IntoIterator<Item = (&'n str, &'n str)>,
) -> Entity {
    let attributes = attributes.into_iter();
    let tags = tags.into_iter();
    Entity::new_with_attr_partial_value(
        uid,
        attributes.map(|(name, value)| (name.into(), PartialValue::Value(value))),
        HashSet::new(),
        ancestors,
        tags.map(|(key, value)| (key.into(), PartialValue::Value(value.into()))),
    )
}

/// What a constructor of Cedar's makes of a text.
fn made_by(constructor: &Name, text: &str) -> Result<Value, String> {
    let constructor = Extensions::all_available().func(constructor);
    let constructor = constructor.map_err(|e| e.to_string())?;
    match constructor.call(&[text.into()]) {
        Ok(PartialValue::Value(value)) => Ok(value),
        Ok(PartialValue::Residual(_)) => Err(format!("`{text}` has no value")),
        Err(e) => Err(e.to_string()),
    }
}

#[expect(
    clippy::expect_used,
    reason = "the names are constants of this file, each built by its test"
)]
fn function_name(name: &str) -> Name {
    Name::parse_unqualified_name(name).expect("a plain identifier")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_none_of_its_kind_is_no_value() {
        for (made, is) in [
            (ip("10.0.0.1"), true),
            (ip("::1"), true),
            (ip("10.0.0"), false),
            (decimal("-0.5"), true),
            (decimal("1"), false),
            (datetime("2026-01-01T00:00:00.000Z"), true),
            (datetime("yesterday"), false),
        ] {
            assert_eq!(made.is_ok(), is, "{made:?}");
        }
    }

    #[test]
    fn no_field_of_a_record_hides_another() {
        let field = |name: &str, value: i64| (name.to_owned(), Value::from(value));
        assert!(record(vec![field("a", 1), field("b", 2)]).is_ok());
        assert!(record(vec![field("a", 1), field("a", 1)]).is_err());
    }
}
