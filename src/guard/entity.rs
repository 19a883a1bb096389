//! The kinds of entities that policies speak of, by Cedar's names.

use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

pub(super) static CALLER: LazyLock<EntityTypeName> = LazyLock::new(|| type_name("Caller"));
pub(super) static GROUP: LazyLock<EntityTypeName> = LazyLock::new(|| type_name("Group"));
pub(super) static ACTION: LazyLock<EntityTypeName> = LazyLock::new(|| type_name("Action"));
pub(super) static RESOURCE: LazyLock<EntityTypeName> = LazyLock::new(|| type_name("Resource"));
pub(super) static SERVICE: LazyLock<EntityTypeName> = LazyLock::new(|| type_name("Service"));
pub(super) static ACCOUNT: LazyLock<EntityTypeName> = LazyLock::new(|| type_name("Account"));
pub(super) static TAGS: LazyLock<EntityTypeName> = LazyLock::new(|| type_name("Tags"));

/// Names an entity.
pub(super) fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

#[expect(
    clippy::expect_used,
    reason = "the names are constants of this file, each built by its test"
)]
fn type_name(name: &str) -> EntityTypeName {
    EntityTypeName::from_str(name).expect("a plain identifier")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_that_cedar_takes() {
        let kinds = [
            &CALLER, &GROUP, &ACTION, &RESOURCE, &SERVICE, &ACCOUNT, &TAGS,
        ];
        let names = kinds.map(|kind| uid(kind, "a b").to_string());
        assert_eq!(names[0], "Caller::\"a b\"");
        assert_eq!(
            names
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .len(),
            kinds.len()
        );
    }
}
