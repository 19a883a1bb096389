//! Where something stands in an input or an answer: `TerminateWorkspaceRequests[].WorkspaceId`.

use std::fmt;

use serde::Deserialize;

use crate::aws::value::{Object, Value};

/// A path of member names; `[]` after a name steps into each item of a list, `{}` into each value of a map. `[/]` at the end
/// takes the items of a list for one text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Path {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Step {
    member: String,
    into: Into,
}

/// What a path does with what stands at a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Into {
    /// Takes it as it is.
    Whole,
    /// `[]`: each item of the list.
    Items,
    /// `{}`: each value of the map; at the end of a path that names something, its keys.
    Values,
    /// `[/]`: the items of the list together.
    Joined,
}

impl Into {
    const fn as_str(self) -> &'static str {
        match self {
            Into::Whole => "",
            Into::Items => "[]",
            Into::Values => "{}",
            Into::Joined => "[/]",
        }
    }

    /// Whether a path goes on from here more than once.
    #[must_use]
    pub const fn is_each(self) -> bool {
        matches!(self, Into::Items | Into::Values)
    }
}

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a path: write member names joined by dots, `[]` after one that is a list, `{{}}` after a map"
)]
pub struct PathError(String);

impl Path {
    /// Reads `a.b[].c`.
    ///
    /// # Errors
    /// [`PathError`] for an empty name or a bracket out of place.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let bad = || PathError(text.to_owned());
        let steps: Vec<Step> = text
            .split('.')
            .map(|part| {
                let (member, into) = [Into::Items, Into::Values, Into::Joined]
                    .into_iter()
                    .find_map(|into| Some((part.strip_suffix(into.as_str())?, into)))
                    .unwrap_or((part, Into::Whole));
                let plain = !member.is_empty() && !member.contains(['[', ']', '{', '}', ' ']);
                plain.then(|| Step {
                    member: member.to_owned(),
                    into,
                })
            })
            .collect::<Option<_>>()
            .ok_or_else(bad)?;
        let inside = steps.split_last().map_or(&[][..], |(_, before)| before);
        if inside.iter().any(|step| step.into == Into::Joined) {
            return Err(bad());
        }
        Ok(Self { steps })
    }

    /// The name of the outermost member.
    #[must_use]
    pub fn first(&self) -> &str {
        self.steps.first().map_or("", |s| s.member.as_str())
    }

    /// The names of the members, and what the path does with what stands at each.
    pub fn steps(&self) -> impl Iterator<Item = (&str, Into)> {
        self.steps
            .iter()
            .map(|step| (step.member.as_str(), step.into))
    }

    /// Whether the path steps into a list or a map.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.steps.iter().any(|s| s.into.is_each())
    }

    /// Every value that stands there; members that are absent or null give none.
    #[must_use]
    pub fn values<'a>(&self, object: &'a Object) -> Vec<&'a Value> {
        let mut found = Vec::new();
        walk(&self.steps, object, &mut found);
        found
    }

    /// The one value that stands there, for a path without lists.
    #[must_use]
    pub fn value<'a>(&self, object: &'a Object) -> Option<&'a Value> {
        self.values(object).into_iter().next()
    }

    /// Sets the value there, making the objects on the way; for a path without lists.
    pub fn set(&self, object: &mut Object, value: Value) {
        place(&self.steps, object, value);
    }
}

fn walk<'a>(steps: &[Step], object: &'a Object, found: &mut Vec<&'a Value>) {
    let Some((step, rest)) = steps.split_first() else {
        return;
    };
    let Some(value) = object.get(&step.member) else {
        return;
    };
    match (step.into, value) {
        (Into::Items, Value::List(items)) => {
            items.iter().for_each(|item| descend(rest, item, found));
        }
        (Into::Values, Value::Object(members)) => {
            members
                .iter()
                .for_each(|(_, value)| descend(rest, value, found));
        }
        (Into::Whole | Into::Joined | Into::Items | Into::Values, value) => {
            descend(rest, value, found);
        }
    }
}

fn descend<'a>(rest: &[Step], value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Null => {}
        value if rest.is_empty() => found.push(value),
        Value::Object(object) => walk(rest, object, found),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::List(_) => {}
    }
}

fn place(steps: &[Step], object: &mut Object, value: Value) {
    let Some((step, rest)) = steps.split_first() else {
        return;
    };
    if rest.is_empty() {
        object.set(&step.member, value);
        return;
    }
    let mut inner = match object.remove(&step.member) {
        Some(Value::Object(inner)) => inner,
        _ => Object::new(),
    };
    place(rest, &mut inner, value);
    object.set(&step.member, Value::Object(inner));
}

impl TryFrom<String> for Path {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        Self::parse(&text)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            write!(f, "{dot}{}{}", step.member, step.into.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: &str) -> Object {
        let value = crate::aws::protocol::json::parse(json.as_bytes()).unwrap();
        value.as_object().unwrap().clone()
    }

    fn check(path: &str, json: &str, expected: &[&str]) {
        let path = Path::parse(path).unwrap();
        let object = object(json);
        let found: Vec<_> = path
            .values(&object)
            .into_iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn a_path_finds_what_stands_there() {
        check("A", r#"{"A":"x"}"#, &["x"]);
        check("A.B", r#"{"A":{"B":"x"}}"#, &["x"]);
        check(
            "A[].B",
            r#"{"A":[{"B":"x"},{"B":"y"},{"C":"z"}]}"#,
            &["x", "y"],
        );
        check("A[]", r#"{"A":["x","y"]}"#, &["x", "y"]);
        check(
            "A{}.B",
            r#"{"A":{"k":{"B":"x"},"l":{"B":"y"}}}"#,
            &["x", "y"],
        );
        check("A.B", r#"{"A":"x"}"#, &[]);
        check("B", r#"{"A":"x"}"#, &[]);
    }

    #[test]
    fn a_null_is_nothing() {
        check("A", r#"{"A":null}"#, &[]);
        check("A[]", r#"{"A":["x",null]}"#, &["x"]);
    }

    #[test]
    fn setting_makes_the_objects_on_the_way_and_keeps_what_stands_there() {
        let mut object = object(r#"{"A":{"B":"x"},"C":"y"}"#);
        let value = || Value::String("z".into());
        Path::parse("A.D.E").unwrap().set(&mut object, value());
        Path::parse("C.F").unwrap().set(&mut object, value());
        assert_eq!(
            object.to_json().to_string(),
            r#"{"A":{"B":"x","D":{"E":"z"}},"C":{"F":"z"}}"#
        );
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in [
            "", ".", "a..b", "[]", "{}", "a[0]", "a[", "a b", "a[/].b", "a{}[]",
        ] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }
}
