//! Entities that a policy names itself, `Resource::"env-1"`: they can be compared with, and nothing else is known of them.
//!
//! INVARIANT: no policy in force looks into an entity that it names. Only the caller, the action and the resource of the
//! question are there to look into: of any other Cedar says, without an error, that it has no such attribute or tag and is
//! in no group, and a forbid that asks for one never forbids.

use serde_json::Value as Json;

use crate::guard::reads::single;

/// The first entity that a policy names and looks into, as it is spelt. `policy`: its JSON form (Cedar's EST).
pub(super) fn looked_into(policy: &Json) -> Option<String> {
    let conditions = policy.get("conditions")?.as_array()?;
    conditions
        .iter()
        .find_map(|condition| within(condition.get("body")?))
}

/// What an expression, or a part of it, looks into.
fn within(expression: &Json) -> Option<String> {
    let (operator, operands) = single(expression)?;
    let looks = match operator {
        "." | "has" | "hasTag" | "getTag" | "in" => true,
        "is" => operands.get("in").is_some(),
        "Value" => return None,
        _ => false,
    };
    if looks && let Some(named) = operands.get("left").and_then(named) {
        return Some(named);
    }
    match operands {
        Json::Array(items) => items.iter().find_map(within),
        Json::Object(parts) => parts.values().find_map(within),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
    }
}

/// The entity that an expression may come to, where the policy names it.
fn named(expression: &Json) -> Option<String> {
    let (operator, operands) = single(expression)?;
    match operator {
        "Value" => {
            let entity = operands.get("__entity")?;
            let part = |name: &str| entity.get(name).and_then(Json::as_str).unwrap_or_default();
            Some(format!(
                "{}::\"{}\"",
                part("type"),
                part("id").escape_debug()
            ))
        }
        "if-then-else" => ["then", "else"]
            .iter()
            .find_map(|branch| named(operands.get(*branch)?)),
        "." => named(operands.get("left")?),
        "Record" => operands.as_object()?.values().find_map(named),
        "Set" => operands.as_array()?.iter().find_map(named),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::Policy;

    use super::*;

    fn found(condition: &str) -> Option<String> {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        looked_into(&Policy::parse(None, text).unwrap().to_json().unwrap())
    }

    #[test]
    fn an_entity_that_is_looked_into_is_found_wherever_it_stands() {
        for condition in [
            r#"Resource::"a".protected"#,
            r#"Resource::"a" has state"#,
            r#"Resource::"a".hasTag("env")"#,
            r#"Resource::"a".getTag("env") == "prod""#,
            r#"Resource::"a" in Service::"mgn""#,
            r#"Resource::"a" in [Resource::"b", Resource::"c"]"#,
            r#"Resource::"a" is Resource in Service::"mgn""#,
            r#"(if resource.protected then Resource::"a" else resource).protected"#,
            r#"(if true then resource else (if true then resource else Resource::"a")).protected"#,
            r#"{a: Resource::"a"}.a.protected"#,
            r#"{"left": {"has": Resource::"a"}}.left["has"] has state"#,
            r#"!(context.batchSize > 3 || ["x"].contains(Resource::"a".state))"#,
            r#"resource.hasTag(Resource::"a".state)"#,
            r#"{x: [Resource::"a" has state]} == {x: [true]}"#,
            r#"if Resource::"a" has state then true else false"#,
            r#"Resource::"a".state like "x*""#,
        ] {
            assert_eq!(
                found(condition).as_deref(),
                Some("Resource::\"a\""),
                "{condition}"
            );
        }
    }

    #[test]
    fn an_entity_may_be_compared_with() {
        for condition in [
            r#"resource == Resource::"a" || Resource::"a" == resource"#,
            r#"resource in Resource::"a" && resource in [Resource::"b", Service::"mgn"]"#,
            r#"principal in Group::"a" && action in Action::"destroy""#,
            r#"[Resource::"a", Resource::"b"].contains(resource)"#,
            r#"(if principal in Group::"a" then resource else resource).protected"#,
            r#"resource is Resource in Account::"123456789012""#,
            r#"{"in": Resource::"a"} == {"in": resource}"#,
            r#"Resource::"a" is Resource"#,
            r#"context.requestTags.hasTag("env") && resource.hasTag("left")"#,
        ] {
            assert_eq!(found(condition), None, "{condition}");
        }
    }
}
