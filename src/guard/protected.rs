//! The protected list: ids that nothing may touch, a table a service, with globs.
//!
//! ```toml
//! [workspaces]
//! ids = ["ws-0123456789", "ws-prod*"]
//! ```
//!
//! INVARIANT: no spelling of a protected thing gets past: case counts for nothing, and an ARN on the list protects
//! what is called by its last part alone.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Protected ids, by service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Protected {
    services: BTreeMap<String, Vec<Glob>>,
}

/// A pattern in which `*` stands for any run of characters and `?` for one; case counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(String);

/// The parts of an ARN's resource: `workspace` and `ws-1` of `arn:aws:workspaces:eu-west-1:123456789012:workspace/ws-1`.
/// None where the text is no ARN.
pub(super) fn arn_parts(text: &str) -> impl Iterator<Item = &str> {
    let is_arn = text
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("arn:"));
    let resource = text.splitn(6, ':').nth(5).filter(|_| is_arn);
    let parts = resource.into_iter().flat_map(|r| r.split(['/', ':']));
    parts.filter(|part| !part.is_empty())
}

/// Why a protected list can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtectedError {
    #[error("{file}: {message}")]
    Syntax { file: String, message: String },
    #[error("{file}: `[{service}]` is no service of the catalog{}", suggestion(.nearest))]
    NoService {
        file: String,
        service: String,
        nearest: Option<String>,
    },
    #[error("{file}: `[{service}]` protects an empty id")]
    EmptyId { file: String, service: String },
}

/// The line, from 1, on which something begins.
fn line(text: &str, span: Option<std::ops::Range<usize>>) -> usize {
    let before = span.and_then(|span| text.get(..span.start));
    before.unwrap_or_default().matches('\n').count() + 1
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|n| format!("; did you mean `[{n}]`?"))
        .unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    ids: Vec<String>,
}

impl Protected {
    /// Reads a list. `services` are the names that it may speak of.
    ///
    /// # Errors
    /// [`ProtectedError`] naming what is wrong: a service that doesn't exist would protect nothing.
    pub fn parse(file: &str, text: &str, services: &[&str]) -> Result<Self, ProtectedError> {
        let tables: BTreeMap<String, Table> =
            toml::from_str(text).map_err(|e| ProtectedError::Syntax {
                file: file.to_owned(),
                message: format!("line {}: {}", line(text, e.span()), e.message()),
            })?;
        let mut protected = Self::default();
        for (service, table) in tables {
            if !services.contains(&service.as_str()) {
                let nearest = crate::aws::nearest::nearest(&service, services.iter().copied())
                    .map(str::to_owned);
                return Err(ProtectedError::NoService {
                    file: file.to_owned(),
                    service,
                    nearest,
                });
            }
            if table.ids.iter().any(String::is_empty) {
                return Err(ProtectedError::EmptyId {
                    file: file.to_owned(),
                    service,
                });
            }
            let globs = table.ids.iter().flat_map(|id| Glob::of(id));
            protected.services.insert(service, globs.collect());
        }
        Ok(protected)
    }

    /// Whether nothing is protected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.values().all(Vec::is_empty)
    }

    /// Whether anything of the service is protected.
    #[must_use]
    pub fn speaks_of(&self, service: &str) -> bool {
        self.services
            .get(service)
            .is_some_and(|ids| !ids.is_empty())
    }

    /// Whether one of a thing's names is on the list.
    pub fn covers<'a>(&self, service: &str, mut names: impl Iterator<Item = &'a str>) -> bool {
        let globs = self
            .services
            .get(service)
            .map(Vec::as_slice)
            .unwrap_or_default();
        !globs.is_empty() && names.any(|name| globs.iter().any(|glob| glob.matches(name)))
    }
}

impl Glob {
    /// The pattern itself, and, where it is an ARN whose last part says something, that part: a call may name the
    /// thing by it alone.
    fn of(text: &str) -> Vec<Self> {
        let last = arn_parts(text).last();
        let last = last.filter(|part| part.contains(|c| c != '*' && c != '?'));
        let patterns = [Some(text), last].into_iter().flatten();
        patterns.map(Self::new).collect()
    }

    fn new(text: &str) -> Self {
        Self(text.to_lowercase())
    }

    /// Whether the whole name fits, in time proportional to the product of the lengths at worst.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let (mut pattern, mut rest) = (self.0.as_str(), name.as_str());
        let mut retry: Option<(&str, &str)> = None;
        loop {
            let mut chars = pattern.chars();
            let matched = match (chars.next(), rest.chars().next()) {
                (Some('*'), _) => {
                    retry = Some((chars.as_str(), rest));
                    pattern = chars.as_str();
                    continue;
                }
                (None, None) => return true,
                (Some('?'), Some(_)) => true,
                (Some(p), Some(c)) => p == c,
                (_, None) | (None, Some(_)) => false,
            };
            if matched {
                pattern = chars.as_str();
                rest = after_first(rest);
            } else {
                match retry {
                    Some((after_star, from)) if !from.is_empty() => {
                        let from = after_first(from);
                        retry = Some((after_star, from));
                        (pattern, rest) = (after_star, from);
                    }
                    _ => return false,
                }
            }
        }
    }
}

fn after_first(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(glob: &str, name: &str, expected: bool) {
        assert_eq!(
            Glob::new(glob).matches(name),
            expected,
            "`{glob}` on `{name}`"
        );
    }

    #[test]
    fn globs_match_whole_names() {
        check("ws-1", "ws-1", true);
        check("ws-1", "ws-12", false);
        check("ws-prod*", "ws-prod", true);
        check("ws-prod*", "ws-prod-9", true);
        check("*prod*", "ws-prod-9", true);
        check("ws-?", "ws-1", true);
        check("ws-?", "ws-", false);
        check("a*b*c", "a-b-b-c", true);
        check("a*b*c", "a-b-b", false);
        check("*", "", true);
    }

    #[test]
    fn case_counts_for_nothing() {
        check("ws-Prod*", "WS-PROD1", true);
        check("WS-1", "ws-1", true);
    }

    fn covers(id: &str, name: &str) -> bool {
        let list = format!("[mgn]\nids = [\"{id}\"]");
        let protected = Protected::parse("protected.toml", &list, &["mgn"]).unwrap();
        protected.covers("mgn", [name].into_iter())
    }

    #[test]
    fn an_arn_on_the_list_protects_what_is_called_by_its_id() {
        let arn = "arn:aws:mgn:eu-west-1:123456789012:source-server/s-1";
        assert!(covers(arn, "s-1"));
        assert!(covers(arn, arn));
        assert!(!covers(arn, "s-12"));
        assert!(!covers(arn, "source-server"));
        assert!(covers("arn:aws:mgn:*:*:source-server/s-prod*", "s-prod-2"));
        assert!(!covers("arn:aws:mgn:eu-west-1:123456789012:*", "s-1"));
    }

    #[test]
    fn a_list_of_one_service_speaks_of_no_other() {
        let list = "[mgn]\nids = [\"s-1\"]\n[evs]\nids = []";
        let protected = Protected::parse("protected.toml", list, &["mgn", "evs"]).unwrap();
        assert!(protected.speaks_of("mgn"));
        assert!(!protected.speaks_of("evs"));
        assert!(!protected.speaks_of("workspaces"));
        assert!(!protected.covers("evs", ["s-1"].into_iter()));
    }

    #[test]
    fn an_empty_id_or_an_unknown_key_is_an_error() {
        for bad in [
            "[mgn]\nids = [\"\"]",
            "[mgn]\nid = [\"x\"]",
            "[mgn]\nids = \"x\"",
            "[mgn",
        ] {
            assert!(
                Protected::parse("protected.toml", bad, &["mgn"]).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_arn_has_parts_only_after_its_account() {
        let parts = |text| arn_parts(text).collect::<Vec<_>>();
        assert_eq!(
            parts("arn:aws:evs:eu-west-1:123456789012:environment/env-1/host/h-1"),
            ["environment", "env-1", "host", "h-1"]
        );
        assert_eq!(parts("ARN:aws:s3:::bucket"), ["bucket"]);
        assert!(parts("arn:aws:evs").is_empty());
        assert!(parts("env:a:b:c:d:e/f").is_empty());
    }

    #[test]
    fn a_hostile_glob_ends() {
        check(&"*a".repeat(200), &"a".repeat(199), false);
    }

    #[test]
    fn a_misspelt_key_is_an_error_that_says_where() {
        let text = "[workspaces]\nid = [\"x\"]";
        let refused = Protected::parse("protected.toml", text, &["workspaces"]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "protected.toml: line 2: unknown field `id`, expected `ids`"
        );
    }

    #[test]
    fn a_misspelt_service_is_an_error() {
        let refused = Protected::parse(
            "protected.toml",
            "[workspace]\nids = [\"x\"]",
            &["workspaces"],
        )
        .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "protected.toml: `[workspace]` is no service of the catalog; did you mean `[workspaces]`?"
        );
    }
}
