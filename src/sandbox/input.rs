//! Reading a call's parameters as AWS checks them: types first, then constraints.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::error::ApiError;

/// The parameters of one call, or of one structure inside it. A member that is `null` is absent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    members: &'a Map<String, Value>,
}

/// What an identifier looks like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub prefix: &'static str,
    pub length: (usize, usize),
    pub alphabet: Alphabet,
    /// The model's own pattern, for the message.
    pub pattern: &'static str,
}

/// The characters after an identifier's prefix.
#[derive(Debug, Clone, Copy)]
pub(super) enum Alphabet {
    Digits,
    LowerAlphanumeric,
    Alphanumeric,
}

impl Shape {
    fn fits(self, text: &str) -> bool {
        text.strip_prefix(self.prefix).is_some_and(|rest| {
            (self.length.0..=self.length.1).contains(&rest.len())
                && rest.bytes().all(|b| match self.alphabet {
                    Alphabet::Digits => b.is_ascii_digit(),
                    Alphabet::LowerAlphanumeric => b.is_ascii_digit() || b.is_ascii_lowercase(),
                    Alphabet::Alphanumeric => b.is_ascii_alphanumeric(),
                })
        })
    }

    /// # Errors
    /// `ValidationException` where the text isn't such an identifier.
    pub(super) fn check(self, member: &str, text: &str) -> Result<(), ApiError> {
        if self.fits(text) {
            return Ok(());
        }
        Err(invalid(
            member,
            &format!("'{text}'"),
            &format!(
                "Member must satisfy regular expression pattern: {}",
                self.pattern
            ),
        ))
    }
}

impl<'a> Input<'a> {
    pub(super) fn new(members: &'a Map<String, Value>) -> Self {
        Self { members }
    }

    fn present(self, name: &str) -> Option<&'a Value> {
        self.members.get(name).filter(|v| !v.is_null())
    }

    /// A string.
    pub(super) fn text(self, name: &str) -> Result<Option<&'a str>, ApiError> {
        self.present(name)
            .map(|v| v.as_str().ok_or_else(|| wrong_type(name, "a string")))
            .transpose()
    }

    pub(super) fn required_text(self, name: &str) -> Result<&'a str, ApiError> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// An identifier that must be there.
    pub(super) fn required_id(self, name: &str, shape: Shape) -> Result<&'a str, ApiError> {
        let text = self.required_text(name)?;
        shape.check(name, text)?;
        Ok(text)
    }

    /// One of a closed set of words.
    pub(super) fn word(
        self,
        name: &str,
        words: &[&'static str],
    ) -> Result<Option<&'static str>, ApiError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        words
            .iter()
            .copied()
            .find(|w| *w == text)
            .map(Some)
            .ok_or_else(|| {
                invalid(
                    name,
                    &format!("'{text}'"),
                    &format!("Member must satisfy enum value set: [{}]", words.join(", ")),
                )
            })
    }

    pub(super) fn boolean(self, name: &str) -> Result<Option<bool>, ApiError> {
        self.present(name)
            .map(|v| v.as_bool().ok_or_else(|| wrong_type(name, "a boolean")))
            .transpose()
    }

    /// An integer within bounds.
    pub(super) fn integer(self, name: &str, bounds: (u64, u64)) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.present(name) else {
            return Ok(None);
        };
        let number = value
            .as_i64()
            .ok_or_else(|| wrong_type(name, "an integer"))?;
        u64::try_from(number)
            .ok()
            .filter(|n| (bounds.0..=bounds.1).contains(n))
            .map(Some)
            .ok_or_else(|| {
                invalid(
                    name,
                    &format!("'{number}'"),
                    &format!(
                        "Member must have value between {} and {}",
                        bounds.0, bounds.1
                    ),
                )
            })
    }

    /// A structure.
    pub(super) fn object(self, name: &str) -> Result<Option<Input<'a>>, ApiError> {
        self.present(name)
            .map(|v| {
                v.as_object()
                    .map(Input::new)
                    .ok_or_else(|| wrong_type(name, "a structure"))
            })
            .transpose()
    }

    /// A list whose length is within bounds.
    fn list(self, name: &str, bounds: (usize, usize)) -> Result<Option<&'a [Value]>, ApiError> {
        let Some(value) = self.present(name) else {
            return Ok(None);
        };
        let items = value.as_array().ok_or_else(|| wrong_type(name, "a list"))?;
        if !(bounds.0..=bounds.1).contains(&items.len()) {
            return Err(invalid(
                name,
                &format!("of length {}", items.len()),
                &format!(
                    "Member must have length between {} and {}",
                    bounds.0, bounds.1
                ),
            ));
        }
        Ok(Some(items))
    }

    /// A list of strings.
    pub(super) fn texts(
        self,
        name: &str,
        bounds: (usize, usize),
    ) -> Result<Option<Vec<&'a str>>, ApiError> {
        let Some(items) = self.list(name, bounds)? else {
            return Ok(None);
        };
        items
            .iter()
            .map(|v| {
                v.as_str()
                    .ok_or_else(|| wrong_type(name, "a list of strings"))
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A list of identifiers.
    pub(super) fn ids(
        self,
        name: &str,
        bounds: (usize, usize),
        shape: Shape,
    ) -> Result<Option<Vec<&'a str>>, ApiError> {
        let ids = self.texts(name, bounds)?;
        for id in ids.iter().flatten() {
            shape.check(name, id)?;
        }
        Ok(ids)
    }

    /// A list of structures that must be there.
    pub(super) fn required_objects(
        self,
        name: &str,
        bounds: (usize, usize),
    ) -> Result<Vec<Input<'a>>, ApiError> {
        self.objects(name, bounds)?.ok_or_else(|| missing(name))
    }

    /// A list of structures.
    pub(super) fn objects(
        self,
        name: &str,
        bounds: (usize, usize),
    ) -> Result<Option<Vec<Input<'a>>>, ApiError> {
        let Some(items) = self.list(name, bounds)? else {
            return Ok(None);
        };
        items
            .iter()
            .map(|v| {
                v.as_object()
                    .map(Input::new)
                    .ok_or_else(|| wrong_type(name, "a list of structures"))
            })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// Tags as `[{Key, Value}]`.
    pub(super) fn tag_list(self, name: &str) -> Result<Option<Vec<(String, String)>>, ApiError> {
        let Some(items) = self.objects(name, (0, 50))? else {
            return Ok(None);
        };
        items
            .iter()
            .map(|tag| {
                let key = tag.required_text("Key")?;
                let value = tag.text("Value")?.unwrap_or_default();
                check_tag(name, key, value)?;
                Ok((key.to_owned(), value.to_owned()))
            })
            .collect::<Result<_, ApiError>>()
            .map(Some)
    }

    /// Tags as a map.
    pub(super) fn tag_map(self, name: &str) -> Result<Option<Vec<(String, String)>>, ApiError> {
        let Some(value) = self.present(name) else {
            return Ok(None);
        };
        let map = value.as_object().ok_or_else(|| wrong_type(name, "a map"))?;
        if map.len() > 200 {
            return Err(invalid(
                name,
                "given",
                "Member must have length less than or equal to 200",
            ));
        }
        map.iter()
            .map(|(key, value)| {
                let value = value
                    .as_str()
                    .ok_or_else(|| wrong_type(name, "a map of strings"))?;
                check_tag(name, key, value)?;
                Ok((key.clone(), value.to_owned()))
            })
            .collect::<Result<_, ApiError>>()
            .map(Some)
    }

    /// The parameters as they came.
    pub(super) fn to_value(self) -> Value {
        Value::Object(self.members.clone())
    }
}

fn check_tag(member: &str, key: &str, value: &str) -> Result<(), ApiError> {
    if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
        return Err(invalid(
            member,
            &format!("'{key}'"),
            "Member must have a key of 1 to 128 characters and a value of up to 256",
        ));
    }
    Ok(())
}

/// A required member that isn't there.
pub(super) fn missing(member: &str) -> ApiError {
    invalid(member, "null", "Member must not be null")
}

/// A constraint that a member breaks, in AWS's words.
pub(super) fn invalid(member: &str, value: &str, constraint: &str) -> ApiError {
    let mut chars = member.chars();
    let member: String = chars
        .next()
        .map(|c| c.to_ascii_lowercase())
        .into_iter()
        .chain(chars)
        .collect();
    ApiError::new(
        "ValidationException",
        format!(
            "1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {constraint}"
        ),
    )
}

fn wrong_type(member: &str, wanted: &str) -> ApiError {
    ApiError::serialization(format!("`{member}` is not {wanted}"))
}

/// Which way a list is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// One page of `items`, which come in ascending order of their keys; see [`page_in`].
pub(super) fn page<K: AsRef<str>, T>(
    operation: &str,
    items: impl Iterator<Item = (K, T)>,
    token: Option<&str>,
    size: usize,
) -> Result<(Vec<T>, Option<String>), BadToken> {
    page_in(Order::Ascending, operation, items, token, size)
}

/// One page of `items`, which come in the order of their keys: those after `token`, `size` at most, and the
/// token of the next page. A token names the operation that gave it and the last key on its page, so that a
/// page follows on even where an item went away in between.
///
/// # Errors
/// [`BadToken`] where the token wasn't given by this operation: each service has its own code for that.
pub(super) fn page_in<K: AsRef<str>, T>(
    order: Order,
    operation: &str,
    items: impl Iterator<Item = (K, T)>,
    token: Option<&str>,
    size: usize,
) -> Result<(Vec<T>, Option<String>), BadToken> {
    let after = token.map(|t| read_token(operation, t)).transpose()?;
    let seen = |key: &str| match (&after, order) {
        (None, _) => false,
        (Some(last), Order::Ascending) => key <= last.as_str(),
        (Some(last), Order::Descending) => key >= last.as_str(),
    };
    let mut rest = items.skip_while(|(key, _)| seen(key.as_ref()));
    let mut taken = Vec::new();
    let mut last = String::new();
    for (key, item) in rest.by_ref().take(size) {
        key.as_ref().clone_into(&mut last);
        taken.push(item);
    }
    let next = rest
        .next()
        .is_some()
        .then(|| URL_SAFE_NO_PAD.encode(format!("{operation}\n{last}")));
    Ok((taken, next))
}

/// A page token that this operation did not give.
#[derive(Debug)]
pub(super) struct BadToken;

fn read_token(operation: &str, token: &str) -> Result<String, BadToken> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
    let text = String::from_utf8(bytes).map_err(|_| BadToken)?;
    let (of, key) = text.split_once('\n').ok_or(BadToken)?;
    if of != operation || key.is_empty() {
        return Err(BadToken);
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_on_one_another() {
        let items = ["a", "b", "c", "d", "e"];
        let all = || items.iter().map(|i| (*i, *i));
        let (first, token) = page("List", all(), None, 2).unwrap();
        assert_eq!(first, ["a", "b"]);
        let (second, token) = page("List", all(), token.as_deref(), 2).unwrap();
        assert_eq!(second, ["c", "d"]);
        let (third, token) = page("List", all(), token.as_deref(), 2).unwrap();
        assert_eq!((third, token), (vec!["e"], None));
    }

    #[test]
    fn a_token_belongs_to_its_operation() {
        let (_, token) = page("List", [("a", 1), ("b", 2)].into_iter(), None, 1).unwrap();
        assert!(page("Describe", [("a", 1)].into_iter(), token.as_deref(), 1).is_err());
        assert!(page("List", [("a", 1)].into_iter(), Some("nonsense"), 1).is_err());
    }
}
