//! Into the lists and maps of an input, and back to what stands beside.
//!
//! A [`Spot`] is one way through the lists that a path steps into. Whatever else is asked there, is of the same items.

use super::{TargetError, id_text};
use crate::aws::value::{Object, Value};
use crate::guard::path::{Into, Path};

/// One way through the lists and maps of a path.
#[derive(Debug, Clone)]
pub(super) struct Spot<'a> {
    input: &'a Object,
    /// The path as far as its last list or map.
    way: Vec<(String, Into)>,
    /// What was entered at each list or map on the way, in order.
    entered: Vec<Entered<'a>>,
}

#[derive(Debug, Clone, Copy)]
struct Entered<'a> {
    /// The key, in a map.
    key: Option<&'a str>,
    value: &'a Value,
}

/// The spots of a path: one where it steps into no list, none where the list isn't there.
///
/// # Errors
/// [`TargetError`] where a list is empty, or isn't one.
pub(super) fn spots<'a>(path: &Path, input: &'a Object) -> Result<Vec<Spot<'a>>, TargetError> {
    let whole = || path.to_string();
    let steps: Vec<(String, Into)> = path
        .steps()
        .map(|(member, into)| (member.to_owned(), into))
        .collect();
    let end = steps.iter().rposition(|(_, into)| into.is_each());
    let mut open = vec![Spot {
        input,
        way: Vec::new(),
        entered: Vec::new(),
    }];
    let mut at: Vec<Option<&'a Object>> = vec![Some(input)];
    for (member, into) in steps.iter().take(end.map_or(0, |end| end + 1)) {
        let inside = open.iter().any(|spot| !spot.entered.is_empty());
        let mut next = Vec::new();
        let mut next_at = Vec::new();
        for (mut spot, object) in open.into_iter().zip(at) {
            if object.is_none() {
                return Err(TargetError::NotText { path: whole() });
            }
            let value = object.and_then(|object| object.get(member));
            let value = value.filter(|value| **value != Value::Null);
            spot.way.push((member.clone(), *into));
            let Some(value) = value else {
                if inside {
                    return Err(TargetError::ItemWithout { path: whole() });
                }
                continue;
            };
            let entries: Vec<Entered<'a>> = match (into, value) {
                (Into::Whole | Into::Joined, value) => {
                    next.push(spot);
                    next_at.push(value.as_object());
                    continue;
                }
                (Into::Items, Value::List(items)) => items
                    .iter()
                    .map(|value| Entered { key: None, value })
                    .collect(),
                (Into::Values, Value::Object(members)) => members
                    .iter()
                    .map(|(key, value)| Entered {
                        key: Some(key),
                        value,
                    })
                    .collect(),
                (Into::Items | Into::Values, _) => {
                    return Err(TargetError::NotText { path: whole() });
                }
            };
            if entries.is_empty() {
                let path = whole();
                return Err(if inside {
                    TargetError::ItemWithout { path }
                } else {
                    TargetError::Empty { path }
                });
            }
            for entry in entries {
                let mut spot = spot.clone();
                spot.entered.push(entry);
                next_at.push(entry.value.as_object());
                next.push(spot);
            }
        }
        (open, at) = (next, next_at);
    }
    Ok(open)
}

impl<'a> Spot<'a> {
    /// The input itself.
    pub(super) const fn root(input: &'a Object) -> Self {
        Self {
            input,
            way: Vec::new(),
            entered: Vec::new(),
        }
    }

    /// Whether it is inside of a list or a map.
    pub(super) fn is_inside(&self) -> bool {
        !self.entered.is_empty()
    }

    /// The text that stands at a path here. A path may step only into those lists that were entered.
    ///
    /// # Errors
    /// [`TargetError`] where what stands there names nothing that a reader could see, or is one of several.
    pub(super) fn text(&self, path: &Path) -> Result<Option<String>, TargetError> {
        self.find(path).map_err(|fault| fault.at(&path.to_string()))
    }

    fn find(&self, path: &Path) -> Result<Option<String>, TargetError> {
        let several = || TargetError::ParentList {
            path: path.to_string(),
        };
        let steps: Vec<(&str, Into)> = path.steps().collect();
        let last = steps.len().saturating_sub(1);
        let mut entered = self.entered.iter();
        let mut shared = true;
        let mut object = Some(self.input);
        for (at, (member, into)) in steps.iter().enumerate() {
            let way = self.way.get(at);
            shared = shared && way.is_some_and(|(m, i)| m == member && i == into);
            let value = match into {
                Into::Items | Into::Values if !shared => return Err(several()),
                Into::Items | Into::Values => {
                    let entry = entered.next().ok_or_else(several)?;
                    if let (true, Some(key)) = (at == last, entry.key) {
                        return id_text(&Value::String(key.to_owned())).map(Some);
                    }
                    Some(entry.value)
                }
                Into::Whole | Into::Joined => object.and_then(|object| object.get(member)),
            };
            let Some(value) = value.filter(|value| **value != Value::Null) else {
                return Ok(None);
            };
            if at == last {
                return match (into, value) {
                    (Into::Joined, Value::List(items)) => joined(items),
                    (Into::Whole | Into::Items | Into::Values | Into::Joined, value) => {
                        id_text(value).map(Some)
                    }
                };
            }
            object = Some(value.as_object().ok_or(TargetError::NotText {
                path: path.to_string(),
            })?);
        }
        Ok(None)
    }
}

/// The items of a list as one id.
fn joined(items: &[Value]) -> Result<Option<String>, TargetError> {
    let texts: Vec<String> = items.iter().map(id_text).collect::<Result<_, _>>()?;
    Ok((!texts.is_empty()).then(|| texts.join("/")))
}
