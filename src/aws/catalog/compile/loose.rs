//! Whether a member may name a thing in more ways than by its id, as its documentation says.

use serde_json::Value;

use super::json::text;

/// How documentation says that a thing has other names than its id.
const SAYS: [&str; 11] = [
    "name or id",
    "id or name",
    "name or the id",
    "id or the name",
    "names or ids",
    "ids or names",
    "name or identifier",
    "identifier or name",
    "name, id",
    "id, name",
    "alias",
];

/// Whether the member at a path of an operation's input takes a name, or an alias, as well as an id.
pub(super) fn is_loose(model: &Value, operation: &str, path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or(path);
    if last.to_ascii_lowercase().contains("alias") {
        return false;
    }
    let said = documentation(model, operation, path).unwrap_or_default();
    let said = said.to_ascii_lowercase();
    let plain: String = said.split(['<', '>']).step_by(2).collect();
    SAYS.iter().any(|says| plain.contains(says))
}

/// What the model says of the member at a path: on the member and on its shape.
fn documentation(model: &Value, operation: &str, path: &str) -> Option<String> {
    let shapes = model.get("shapes")?;
    let described = model.get("operations")?.get(operation)?;
    let mut shape = shapes.get(text(described.get("input")?, "shape")?)?;
    let mut said = String::new();
    for step in path.split('.') {
        let name = step.trim_end_matches(['[', ']', '{', '}', '/']);
        let member = shape.get("members")?.get(name)?;
        shape = shapes.get(text(member, "shape")?)?;
        said = [text(member, "documentation"), text(shape, "documentation")]
            .into_iter()
            .flatten()
            .collect();
        let inner = ["member", "value"]
            .into_iter()
            .find_map(|key| shape.get(key));
        if let Some(inner) = inner.filter(|_| name != step) {
            shape = shapes.get(text(inner, "shape")?)?;
            said.extend(text(shape, "documentation"));
        }
    }
    Some(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_takes_another_name_is_loose() {
        let model = |said: &str| {
            json!({
                "operations": {"DeleteThing": {"input": {"shape": "In"}}},
                "shapes": {
                    "In": {"type": "structure", "members": {"ThingId": {"shape": "S", "documentation": said}}},
                    "S": {"type": "string"}
                }
            })
        };
        let loose = |said: &str| is_loose(&model(said), "DeleteThing", "ThingId");
        assert!(loose("<p>The name or ID of the thing.</p>"));
        assert!(loose("The <code>ID</code> or name of the thing."));
        assert!(loose("The key, or an alias of it."));
        assert!(!loose("<p>The ID of the thing.</p>"));
        assert!(!loose("The name or ARN of the thing."));
        assert!(!is_loose(&model("The name or ID"), "DeleteThing", "Other"));
    }
}
