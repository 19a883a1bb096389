//! Where something stands in an input or an answer: `TerminateWorkspaceRequests[].WorkspaceId`.

use std::fmt;

use serde::Deserialize;

use crate::aws::value::{Object, Value};

/// A path of member names; `[]` after a name steps into each item of a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Path {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Step {
    member: String,
    each: bool,
}

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a path: write member names joined by dots, `[]` after one that is a list")]
pub struct PathError(String);

impl Path {
    /// Reads `a.b[].c`.
    ///
    /// # Errors
    /// [`PathError`] for an empty name or a bracket out of place.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let steps = text
            .split('.')
            .map(|part| {
                let (member, each) = match part.strip_suffix("[]") {
                    Some(member) => (member, true),
                    None => (part, false),
                };
                let plain = !member.is_empty() && !member.contains(['[', ']', ' ']);
                plain.then(|| Step {
                    member: member.to_owned(),
                    each,
                })
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| PathError(text.to_owned()))?;
        Ok(Self { steps })
    }

    /// The name of the outermost member.
    #[must_use]
    pub fn first(&self) -> &str {
        self.steps.first().map_or("", |s| s.member.as_str())
    }

    /// The names of the members, and whether the path steps into each item of what stands there.
    pub fn steps(&self) -> impl Iterator<Item = (&str, bool)> {
        self.steps
            .iter()
            .map(|step| (step.member.as_str(), step.each))
    }

    /// Whether the path steps into a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.steps.iter().any(|s| s.each)
    }

    /// The outermost list on the path, and where in each of its items the rest stands: `A.B[].C` is `C` in each of
    /// `A.B[]`. `None` for a path without lists; no rest where the items themselves are meant.
    #[must_use]
    pub fn list(&self) -> Option<(Self, Option<Self>)> {
        let at = self.steps.iter().position(|step| step.each)?;
        let (list, rest) = self.steps.split_at_checked(at + 1)?;
        let path = |steps: &[Step]| Self {
            steps: steps.to_vec(),
        };
        Some((path(list), (!rest.is_empty()).then(|| path(rest))))
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
    match value.as_list() {
        Some(items) if step.each => items.iter().for_each(|item| descend(rest, item, found)),
        Some(_) | None => descend(rest, value, found),
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
            let each = if step.each { "[]" } else { "" };
            write!(f, "{dot}{}{each}", step.member)?;
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
        check("A.B", r#"{"A":"x"}"#, &[]);
        check("B", r#"{"A":"x"}"#, &[]);
    }

    #[test]
    fn a_path_is_parted_at_its_outermost_list() {
        let parted = |path: &str| {
            let (list, rest) = Path::parse(path).unwrap().list()?;
            Some((list.to_string(), rest.map(|rest| rest.to_string())))
        };
        assert_eq!(parted("A.B"), None);
        assert_eq!(parted("A[]"), Some(("A[]".into(), None)));
        assert_eq!(parted("A.B[].C"), Some(("A.B[]".into(), Some("C".into()))));
        assert_eq!(parted("A[].B[]"), Some(("A[]".into(), Some("B[]".into()))));
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
        for bad in ["", ".", "a..b", "[]", "a[0]", "a[", "a b"] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }
}
