//! Forms (`application/x-www-form-urlencoded`): pairs, and the tree that dotted names make of them.

use std::collections::{BTreeMap, HashSet};

use super::escape::{self, Plus};
use super::json::DEPTH_MAX;
use super::malformed::Malformed;
use super::path::shown;

/// The most parameters of a form or query string. The largest that SDKs send (a batch of metrics) have some thousand.
const PARAMETERS_MAX: usize = 20_000;

/// Splits and decodes a query string or form, in its order. `plus` is what a `+` stands for.
///
/// # Errors
/// [`Malformed::TooManyParameters`]; [`Malformed::Escape`], naming `place`.
pub(super) fn pairs(
    text: &str,
    plus: Plus,
    place: &'static str,
) -> Result<Vec<(String, String)>, Malformed> {
    // Counted before anything is made of them: a parameter takes many times the memory that its bytes do.
    if text.bytes().filter(|b| *b == b'&').count() >= PARAMETERS_MAX {
        return Err(Malformed::TooManyParameters {
            max: PARAMETERS_MAX,
        });
    }
    let decode = |t| escape::decode(t, plus).map_err(|error| Malformed::Escape { place, error });
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Refuses a name that stands twice.
///
/// # Errors
/// [`Malformed::DuplicateParameter`].
pub(super) fn unique(pairs: &[(String, String)]) -> Result<(), Malformed> {
    let mut seen = HashSet::with_capacity(pairs.len());
    match pairs.iter().find(|(name, _)| !seen.insert(name.as_str())) {
        Some((name, _)) => Err(Malformed::DuplicateParameter(shown(name))),
        None => Ok(()),
    }
}

/// What stands under one part of a dotted name: `A.member.1` is a value under `1` under `member` under `A`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Node {
    pub(super) value: Option<String>,
    pub(super) children: BTreeMap<String, Node>,
}

impl Node {
    /// Makes a tree of pairs, whose names are unique.
    ///
    /// # Errors
    /// [`Malformed`] for a name that is a value and a group at once, has an empty part, or too many.
    pub(super) fn tree(pairs: Vec<(String, String)>) -> Result<Self, Malformed> {
        let mut root = Self::default();
        for (name, value) in pairs {
            root.insert(&name, value)?;
        }
        Ok(root)
    }

    fn insert(&mut self, name: &str, value: String) -> Result<(), Malformed> {
        let mut node = self;
        for (depth, part) in name.split('.').enumerate() {
            if part.is_empty() || depth >= 2 * DEPTH_MAX {
                return Err(Malformed::ParameterName(shown(name)));
            }
            if node.value.is_some() {
                return Err(Malformed::TwoKinds(shown(name)));
            }
            node = node.children.entry(part.to_owned()).or_default();
        }
        if !node.children.is_empty() {
            return Err(Malformed::TwoKinds(shown(name)));
        }
        node.value = Some(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_before_they_are_read() {
        let read = |n: usize| pairs(&vec!["a=1"; n].join("&"), Plus::Blank, "here");
        assert_eq!(read(PARAMETERS_MAX).unwrap().len(), PARAMETERS_MAX);
        assert!(matches!(
            read(PARAMETERS_MAX + 1),
            Err(Malformed::TooManyParameters { .. })
        ));
    }
}
