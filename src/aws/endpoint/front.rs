//! What stands in a host before its endpoint's own name: read by the fronts that the catalog has for it.

use std::sync::Arc;

use foldhash::HashMap;
use regex::Regex;

use super::Addressed;
use crate::aws::catalog::CatalogError;
use crate::aws::catalog::index::{Front, Meaning};

/// A front, ready to be held against a text.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: String,
    regex: Arc<Regex>,
    meaning: Meaning,
}

/// What a front says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) addressed: Addressed,
    /// What the host leads to, without the dot at its end.
    pub(super) route: Option<String>,
}

impl Pattern {
    /// Makes the pattern of a front. `known` keeps those already made: the same few stand at many hosts.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] where it can't be one.
    pub(super) fn new(
        front: Front,
        known: &mut HashMap<String, Arc<Regex>>,
    ) -> Result<Self, CatalogError> {
        let expression = expression(&front);
        let regex = match known.get(&expression) {
            Some(regex) => Arc::clone(regex),
            None => {
                let regex = Regex::new(&expression);
                let regex = Arc::new(regex.map_err(|e| CatalogError::Damaged {
                    what: format!("what stands before a host, `{}`: {e}", front.text),
                })?);
                known.insert(expression, Arc::clone(&regex));
                regex
            }
        };
        Ok(Self {
            text: front.text,
            regex,
            meaning: front.meaning,
        })
    }

    /// The front that is one fixed text, part of its template.
    pub(super) fn fixed(&self) -> Option<Read> {
        (!self.text.contains('{')).then(|| Read {
            addressed: Addressed::Prefix(self.text.clone()),
            route: None,
        })
    }

    /// What a text says by this front, dot at its end included; `None` where it isn't one.
    pub(super) fn read(&self, text: &str, partition: &str, region: &str) -> Option<Read> {
        let found = self.regex.captures(text)?;
        let (addressed, route) = match &self.meaning {
            Meaning::Prefix => (Addressed::Prefix(text.to_owned()), None),
            Meaning::Route => {
                let led = text.strip_suffix('.').unwrap_or(text);
                (Addressed::Service, Some(led.to_owned()))
            }
            Meaning::Free => (Addressed::Service, None),
            Meaning::Bucket(bucket) => {
                let mut name = bucket
                    .replace("{partition}", partition)
                    .replace("{region}", region);
                for variable in self.regex.capture_names().flatten() {
                    let value = found.name(variable).map_or("", |m| m.as_str());
                    name = name.replace(&format!("{{{variable}}}"), value);
                }
                (Addressed::Bucket(name), None)
            }
        };
        Some(Read { addressed, route })
    }
}

/// A front's expression: `{Bucket}` and a resource are one or more labels, what ends in `ccountId` twelve digits, others a part
/// of a label.
fn expression(front: &Front) -> String {
    let mut found = String::from("^");
    let mut rest = front.text.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let Some((variable, behind)) = after.split_once('}') else {
            break;
        };
        found.push_str(&regex::escape(before));
        let value = match (variable, &front.meaning) {
            (v, _) if v.ends_with("ccountId") => "[0-9]{12}",
            ("Bucket", _) | (_, Meaning::Route) => "[a-z0-9_.-]+",
            (_, Meaning::Bucket(_) | Meaning::Prefix | Meaning::Free) => "[a-z0-9_-]+",
        };
        found.push_str(&format!("(?<{variable}>{value})"));
        rest = behind;
    }
    found.push_str(&regex::escape(rest));
    found.push('$');
    found
}
