//! Why a plan can't be made or followed.

use super::Subject;

/// Why facts can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnquiryError {
    /// Lasting: a policy needs what nobody can look up.
    #[error("policy `{policy}` reads {fact} of `{kind}`, which can't be looked up{}", because(.why))]
    NoWay {
        policy: String,
        fact: String,
        kind: String,
        why: Option<String>,
    },
    /// Lasting: AWS doesn't know these ids.
    #[error("AWS doesn't know {}", list(.ids))]
    UnknownId { ids: Vec<String> },
    /// Lasting: the guard may not look.
    #[error(
        "the guard's own credentials may not call `{operation}`, which it needs to look at the resource: {message}"
    )]
    Denied { operation: String, message: String },
    /// Lasting: AWS doesn't take the question.
    #[error("AWS doesn't take the lookup `{operation}`: {message}")]
    Rejected { operation: String, message: String },
    /// Lasting: the caller gave a name, and nothing tells whose it is.
    #[error("`{name}` is a name of `{kind}`, which can't be resolved; give its id")]
    Unresolvable { name: String, kind: String },
    /// Passing: AWS was busy, or answered something else than was asked.
    #[error("the lookup `{operation}` failed: {message}")]
    Failed { operation: String, message: String },
}

fn because(why: &Option<String>) -> String {
    why.as_ref()
        .map(|why| format!(": {why}"))
        .unwrap_or_default()
}

fn list(ids: &[String]) -> String {
    ids.iter()
        .map(|id| format!("`{id}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

pub(in crate::guard::facts) fn no_way(
    policy: &str,
    fact: &str,
    subject: &Subject<'_>,
    why: Option<String>,
) -> EnquiryError {
    EnquiryError::NoWay {
        policy: policy.to_owned(),
        fact: fact.to_owned(),
        kind: subject.kind.clone(),
        why,
    }
}
