//! What in a call's input makes its class another than its operation's: [`Condition`], and the [`Place`] it looks at.
//!
//! INVARIANT: a condition only raises. A call is in the most guarded of the classes that its operation and the
//! conditions that hold put it in, so that an input never makes a call less guarded than its operation.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::model::Operation;
use crate::aws::class::{Class, Group};
use crate::aws::value::{Object, Value};

/// Input that puts a call in another class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Where to look: `RequestItems{}[].DeleteRequest`.
    pub path: Place,
    /// What must stand there, once at least.
    #[serde(default, skip_serializing_if = "When::is_present")]
    pub when: When,
    pub class: Class,
    /// The finer group, for [`Class::Disrupt`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Anything but null.
    #[default]
    Present,
    /// One of these, as text: `false`, `0`, `DELETE`, `arn:*:lambda:*`. Letter case doesn't count.
    Is(Vec<String>),
    /// None of these, exactly as written.
    Not(Vec<String>),
}

impl When {
    const fn is_present(&self) -> bool {
        matches!(self, When::Present)
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            When::Present => true,
            When::Is(texts) => texts.iter().any(|t| says(value, t)),
            When::Not(texts) => !texts.iter().any(|t| says_exactly(value, t)),
        }
    }
}

/// A path into an input.
///
/// Member names joined by dots. After a name, `[]` goes into each item of a list, `{}` into each value of a map, `{key}` into
/// the value of that key. `[Member=a|b]` goes on only where that member of the object, or of each item of a list, is one of
/// these; it may also come first, about the whole input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Step {
    Member(String),
    Items,
    Values,
    At(String),
    Where { member: String, is: Vec<String> },
}

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a path: write member names joined by dots, with `[]`, `{{}}`, `{{key}}` or `[Member=value]` after them"
)]
pub struct PlaceError(String);

impl Place {
    /// Reads `A.B[].C`, `A{}[].B`, `A{key}`, `A[Key=x|y].Value` or `[Attribute=x].Value`.
    ///
    /// # Errors
    /// [`PlaceError`] for an empty name or a bracket out of place.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        steps(text)
            .map(|steps| Self { steps })
            .ok_or_else(|| PlaceError(text.to_owned()))
    }

    pub(super) const fn of(steps: Vec<Step>) -> Self {
        Self { steps }
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The members of the input that it begins at.
    pub(super) fn members(&self) -> impl Iterator<Item = &str> {
        let first = self
            .steps
            .iter()
            .take_while(|s| matches!(s, Step::Where { .. }));
        let own = self.steps.iter().find(|s| !matches!(s, Step::Where { .. }));
        first.chain(own).map(|step| match step {
            Step::Member(member) | Step::Where { member, .. } => member.as_str(),
            // Of no input: as if the whole were looked at.
            Step::Items | Step::Values | Step::At(_) => "",
        })
    }

    /// Whether a value that isn't null stands there and is what it must be.
    fn any(&self, input: &Object, when: &When) -> bool {
        within_object(&self.steps, input, when)
    }
}

impl Condition {
    /// Whether a call with this input is in the condition's class.
    #[must_use]
    pub fn holds(&self, input: &Object) -> bool {
        self.path.any(input, &self.when)
    }
}

impl Operation {
    /// Whether a call of the operation can be in a class, whatever its input.
    #[must_use]
    pub fn may_be(&self, class: Class) -> bool {
        self.class == class || self.conditions.iter().any(|c| c.class == class)
    }

    /// The class of a call of the operation with this input, decoded by the model.
    #[must_use]
    pub fn class_of(&self, input: &Object) -> (Class, Option<Group>) {
        let mut most = (self.class, self.group);
        for condition in self.conditions.iter().filter(|c| c.holds(input)) {
            if condition.class.weight() > most.0.weight() {
                most = (condition.class, condition.group);
            }
        }
        most
    }

    /// Whether calls of the operation are judged on what they name: where some of them are guarded, all are.
    #[must_use]
    pub const fn may_be_guarded(&self) -> bool {
        self.class.is_guarded() || self.is_conditional()
    }

    /// Whether a call's class can't be told before its input is decoded.
    #[must_use]
    pub const fn is_conditional(&self) -> bool {
        !self.conditions.is_empty()
    }
}

fn within_object(steps: &[Step], object: &Object, when: &When) -> bool {
    match steps.split_first() {
        None => when.is_present(),
        Some((Step::Member(name), rest)) => object
            .get(name)
            .is_some_and(|value| within(rest, value, when)),
        Some((Step::Values, rest)) => object.iter().any(|(_, value)| within(rest, value, when)),
        Some((Step::At(key), rest)) => object
            .iter()
            .any(|(k, value)| k.eq_ignore_ascii_case(key) && within(rest, value, when)),
        Some((Step::Where { member, is }, rest)) => {
            let found = object.get(member);
            found.is_some_and(|value| is.iter().any(|t| says(value, t)))
                && within_object(rest, object, when)
        }
        Some((Step::Items, _)) => false,
    }
}

fn within(steps: &[Step], value: &Value, when: &When) -> bool {
    match (steps.split_first(), value) {
        (_, Value::Null) => false,
        (None, value) => when.holds(value),
        (Some((Step::Items, rest)), Value::List(items)) => {
            items.iter().any(|item| within(rest, item, when))
        }
        (Some((Step::Where { .. }, _)), Value::List(items)) => {
            items.iter().any(|item| within(steps, item, when))
        }
        (Some(_), Value::Object(object)) => within_object(steps, object, when),
        (Some(_), Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::List(_)) => false,
    }
}

fn says(value: &Value, text: &str) -> bool {
    match value {
        Value::Bool(_) | Value::Number(_) => says_exactly(value, text),
        Value::String(s) if text.contains('*') => {
            matches_glob(&text.to_ascii_lowercase(), &s.to_ascii_lowercase())
        }
        Value::String(s) => s.eq_ignore_ascii_case(text),
        Value::Null | Value::List(_) | Value::Object(_) => false,
    }
}

/// Whether a name fits a pattern in which `*` stands for any characters.
pub(super) fn matches_glob(glob: &str, name: &str) -> bool {
    let mut parts = glob.split('*');
    let Some(first) = parts.next() else {
        return false;
    };
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

fn says_exactly(value: &Value, text: &str) -> bool {
    match value {
        Value::Bool(true) => text == "true",
        Value::Bool(false) => text == "false",
        Value::Number(n) => n.as_str() == text,
        Value::String(s) => s == text,
        Value::Null | Value::List(_) | Value::Object(_) => false,
    }
}

fn steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (inner, after) = inner.split_once(']')?;
            steps.push(bracket(inner)?);
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let (key, after) = inner.split_once('}')?;
            steps.push(match key {
                "" => Step::Values,
                key => Step::At(key.to_owned()),
            });
            rest = after;
        } else {
            let name = match steps.is_empty() {
                true => rest,
                false => rest.strip_prefix('.')?,
            };
            let end = name.find(['.', '[', '{']).unwrap_or(name.len());
            let (name, after) = name.split_at_checked(end)?;
            let plain = !name.is_empty() && !name.contains([']', '}', ' ', '=', '|']);
            plain.then(|| steps.push(Step::Member(name.to_owned())))?;
            rest = after;
        }
    }
    (!steps.is_empty()).then_some(steps)
}

fn bracket(inner: &str) -> Option<Step> {
    if inner.is_empty() {
        return Some(Step::Items);
    }
    let (member, is) = inner.split_once('=')?;
    let is: Vec<String> = is.split('|').map(str::to_owned).collect();
    let whole = !member.is_empty() && is.iter().all(|v| !v.is_empty());
    whole.then(|| Step::Where {
        member: member.to_owned(),
        is,
    })
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Member(name) if at == 0 => f.write_str(name)?,
                Step::Member(name) => write!(f, ".{name}")?,
                Step::Items => f.write_str("[]")?,
                Step::Values => f.write_str("{}")?,
                Step::At(key) => write!(f, "{{{key}}}")?,
                Step::Where { member, is } => write!(f, "[{member}={}]", is.join("|"))?,
            }
        }
        Ok(())
    }
}

/// As rules write it: `DeletionProtection=false`, `Action=DELETE|REMOVE`, `Status!=Enabled`, `DeleteRequest`.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.when {
            When::Present => write!(f, "{}", self.path),
            When::Is(values) => write!(f, "{}={}", self.path, values.join("|")),
            When::Not(values) => write!(f, "{}!={}", self.path, values.join("|")),
        }
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

impl TryFrom<String> for Place {
    type Error = PlaceError;

    fn try_from(text: String) -> Result<Self, PlaceError> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: &str) -> Object {
        let value = crate::aws::protocol::json::parse(json.as_bytes()).unwrap();
        value.as_object().unwrap().clone()
    }

    fn holds(path: &str, when: &When, json: &str) -> bool {
        let place = Place::parse(path).unwrap();
        assert_eq!(place.to_string(), path);
        place.any(&object(json), when)
    }

    fn is(value: &str) -> When {
        When::Is(vec![value.to_owned()])
    }

    #[test]
    fn a_place_is_found_through_lists_maps_and_filters() {
        for (path, json, expected) in [
            ("A", r#"{"A":false}"#, true),
            ("A", r#"{"A":null}"#, false),
            ("A", r#"{"B":1}"#, false),
            ("A.B", r#"{"A":{"B":1}}"#, true),
            ("A[].B", r#"{"A":[{"C":1},{"B":1}]}"#, true),
            ("A[].B", r#"{"A":[{"C":1}]}"#, false),
            ("A[].B", r#"{"A":{"B":1}}"#, false),
            ("A{}[].B", r#"{"A":{"t":[{"B":{}}]}}"#, true),
            ("A{}[].B", r#"{"A":{"t":[{"C":{}}]}}"#, false),
            ("A{Policy}", r#"{"A":{"policy":"x"}}"#, true),
            ("A{Policy}", r#"{"A":{"Other":"x"}}"#, false),
            (
                "A[Key=x.y|z].Value",
                r#"{"A":[{"Key":"x.y","Value":1}]}"#,
                true,
            ),
            (
                "A[Key=x.y|z].Value",
                r#"{"A":[{"Key":"q","Value":1},{"Key":"z"}]}"#,
                false,
            ),
            ("[Name=x].Value", r#"{"Name":"x","Value":1}"#, true),
            ("[Name=x].Value", r#"{"Name":"y","Value":1}"#, false),
            ("A[B=x]", r#"{"A":{"B":"x"}}"#, true),
        ] {
            assert_eq!(holds(path, &When::Present, json), expected, "{path} {json}");
        }
    }

    #[test]
    fn values_are_compared_as_text() {
        assert!(holds("A", &is("false"), r#"{"A":false}"#));
        assert!(!holds("A", &is("false"), r#"{"A":true}"#));
        assert!(holds("A", &is("false"), r#"{"A":"False"}"#));
        assert!(holds("A", &is("0"), r#"{"A":0}"#));
        assert!(!holds("A", &is("0"), r#"{"A":10}"#));
        assert!(holds("A", &is("DELETE"), r#"{"A":"Delete"}"#));
        assert!(!holds("A", &is("x"), r#"{"A":["x"]}"#));
        assert!(holds(
            "A[]",
            &is("arn:*:lambda:*"),
            r#"{"A":["arn:aws:lambda:eu:1:f"]}"#
        ));
        assert!(!holds(
            "A[]",
            &is("arn:*:lambda:*"),
            r#"{"A":["arn:aws:sns:eu:1:t"]}"#
        ));
    }

    #[test]
    fn what_must_not_stand_there_is_compared_exactly() {
        let not = When::Not(vec!["Enabled".into()]);
        assert!(!holds("A", &not, r#"{"A":"Enabled"}"#));
        assert!(holds("A", &not, r#"{"A":"enabled"}"#));
        assert!(holds("A", &not, r#"{"A":"Suspended"}"#));
        assert!(!holds("A", &not, r#"{}"#));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for bad in [
            "", ".", "A..B", "A.", "A[", "A{", "A[x]", "A[=x]", "A[x=]", "A[]B", "A b", "A=x",
        ] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }
}
