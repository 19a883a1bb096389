//! What came of a case, and in what it differs from what was expected.

use std::collections::BTreeMap;

use super::{Expect, object};
use crate::aws::value::{Object, Value};
use crate::guard::call::Verdict;
use crate::guard::decide::ResourceVerdict;
use crate::guard::refusal::Refusal;

/// What came of a case.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub verdict: Verdict,
    /// The policies that decided.
    pub policies: Vec<String>,
    pub refusal: Option<Refusal>,
    pub resources: Vec<ResourceVerdict>,
    /// The lookups that were made, in order.
    pub lookups: Vec<String>,
    /// The parameters that would be sent, where it is allowed.
    pub sent: Option<Object>,
}

impl Outcome {
    /// In what it differs from what was expected; empty where it doesn't.
    #[must_use]
    pub fn differences(&self, expect: &Expect) -> Vec<String> {
        let mut found = Vec::new();
        let mut differ = |what: &str, expected: String, is: String| {
            if expected != is {
                found.push(format!("{what}: expected {expected}, got {is}"));
            }
        };
        let why = self.refusal.as_ref().map(|r| r.why().into_owned());
        differ(
            "verdict",
            expect.verdict.as_str().to_owned(),
            self.verdict.as_str().to_owned(),
        );
        if let Some(policies) = &expect.policies {
            let mut policies = policies.clone();
            policies.sort();
            differ("policies", names(&policies), names(&self.policies));
        }
        if let Some(refusal) = &expect.refusal {
            let is = self.refusal.as_ref().map_or("none", Refusal::reason);
            differ("refusal", refusal.clone(), is.to_owned());
        }
        for (id, verdict) in &expect.resources {
            let is = self.resources.iter().find(|r| r.id == *id);
            let is = is.map_or("nothing", |r| r.verdict.as_str());
            differ(
                &format!("`{id}`"),
                verdict.as_str().to_owned(),
                is.to_owned(),
            );
        }
        if let Some(lookups) = &expect.lookups {
            let (mut lookups, mut made) = (lookups.clone(), self.lookups.clone());
            lookups.sort();
            made.sort();
            differ("lookups", names(&lookups), names(&made));
        }
        if let Some(sent) = &expect.sent {
            let is = self.sent.as_ref().map_or("nothing".to_owned(), sorted);
            differ("sent", sorted(&object(sent)), is);
        }
        if let Some(reason) = &expect.reason
            && !why.as_ref().is_some_and(|why| why.contains(reason))
        {
            let why = why.clone().unwrap_or_else(|| "none".to_owned());
            found.push(format!("reason: expected `{reason}` in `{why}`"));
        }
        if let (false, Some(why)) = (found.is_empty(), why) {
            found.push(format!("it {} because: {why}", was(self.verdict)));
        }
        found
    }
}

fn was(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allowed => "was allowed",
        Verdict::WouldRefuse => "would be refused",
        Verdict::Refused => "was refused",
    }
}

fn names(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}

/// An object as text in which the order of members says nothing.
fn sorted(object: &Object) -> String {
    let members: BTreeMap<&str, String> = object
        .iter()
        .map(|(key, value)| {
            let text = match value {
                Value::Object(inner) => sorted(inner),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::List(_) => value.to_json().to_string(),
            };
            (key, text)
        })
        .collect();
    format!("{members:?}")
}
