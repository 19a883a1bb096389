//! The kinds of entities that policies speak of, by Cedar's names.

use std::sync::LazyLock;

use cedar_policy_core::ast::{Eid, EntityType, EntityUID};

pub(super) static CALLER: LazyLock<EntityType> = LazyLock::new(|| type_name("Caller"));
pub(super) static GROUP: LazyLock<EntityType> = LazyLock::new(|| type_name("Group"));
pub(super) static ACTION: LazyLock<EntityType> = LazyLock::new(|| type_name("Action"));
pub(super) static RESOURCE: LazyLock<EntityType> = LazyLock::new(|| type_name("Resource"));
pub(super) static SERVICE: LazyLock<EntityType> = LazyLock::new(|| type_name("Service"));
pub(super) static ACCOUNT: LazyLock<EntityType> = LazyLock::new(|| type_name("Account"));
pub(super) static TAGS: LazyLock<EntityType> = LazyLock::new(|| type_name("Tags"));

/// Names an entity.
pub(super) fn uid(kind: &EntityType, id: &str) -> EntityUID {
    EntityUID::from_components(kind.clone(), Eid::new(id), None)
}

#[expect(
    clippy::expect_used,
    reason = "the names are constants of this file, each built by its test"
)]
fn type_name(name: &str) -> EntityType {
    // Where it was parsed from would be copied with each id.
    let parsed = EntityType::from_normalized_str(name).expect("a plain identifier");
    parsed.with_loc(None)
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
