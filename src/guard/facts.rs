//! What lookups learn about resources: [`Facts`], and the plan that learns them: [`Enquiry`].
//!
//! The plan is pure. It says which calls to make next ([`Enquiry::next_round`]), takes their answers
//! ([`Enquiry::absorb`]), and ends with facts for every resource or with the reason why there are none.
//!
//! INVARIANT: failure is not absence. A tag or an attribute is absent only if AWS answered about that very
//! resource without it.

mod answers;
mod enquiry;
mod fill;
mod own_tags;
mod read;
mod spelling;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

pub use answers::{is_busy, is_passing};
pub use enquiry::{Enquiry, EnquiryError, LookupAnswer, LookupCall, Place};

/// An attribute of a resource that a lookup can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Attribute {
    Arn,
    BillingMode,
    RunningMode,
    State,
    CreatedAt,
    /// Whether AWS itself refuses to delete the thing.
    DeletionProtection,
    /// How many resources a stack has.
    ResourceCount,
    /// A bucket's: `Enabled` or `Suspended`; absent where it never was on.
    Versioning,
    /// Whether nothing is in a bucket, versions and delete markers included.
    Empty,
}

/// What an attribute's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeType {
    Text,
    /// RFC 3339 in UTC.
    Time,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Count,
}

impl AttributeType {
    /// Whether a text is such a value, spelt as facts spell it.
    #[must_use]
    pub fn admits(self, text: &str) -> bool {
        match self {
            AttributeType::Text | AttributeType::Time => true,
            AttributeType::Flag => matches!(text, "true" | "false"),
            AttributeType::Count => text.parse::<i64>().is_ok(),
        }
    }
}

impl Attribute {
    /// Every attribute.
    pub const ALL: [Attribute; 9] = [
        Attribute::Arn,
        Attribute::BillingMode,
        Attribute::RunningMode,
        Attribute::State,
        Attribute::CreatedAt,
        Attribute::DeletionProtection,
        Attribute::ResourceCount,
        Attribute::Versioning,
        Attribute::Empty,
    ];

    /// The name as policies spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Attribute::Arn => "arn",
            Attribute::BillingMode => "billingMode",
            Attribute::RunningMode => "runningMode",
            Attribute::State => "state",
            Attribute::CreatedAt => "createdAt",
            Attribute::DeletionProtection => "deletionProtection",
            Attribute::ResourceCount => "resourceCount",
            Attribute::Versioning => "versioning",
            Attribute::Empty => "empty",
        }
    }

    /// What its value is.
    #[must_use]
    pub const fn kind(self) -> AttributeType {
        match self {
            Attribute::Arn
            | Attribute::BillingMode
            | Attribute::RunningMode
            | Attribute::State
            | Attribute::Versioning => AttributeType::Text,
            Attribute::CreatedAt => AttributeType::Time,
            Attribute::DeletionProtection | Attribute::Empty => AttributeType::Flag,
            Attribute::ResourceCount => AttributeType::Count,
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a decision has to know, each with the policy that asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    pub tags: Option<String>,
    pub attributes: BTreeMap<Attribute, String>,
    /// The protected list of the service must be compared with every name of the thing.
    pub names: Option<String>,
    /// Which tags the thing itself has, since the call takes off those that it doesn't name.
    pub tag_keys: Option<String>,
}

impl Needs {
    /// Whether nothing has to be looked up.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self {
            tags,
            attributes,
            names,
            tag_keys,
        } = self;
        tags.is_none() && attributes.is_empty() && names.is_none() && tag_keys.is_none()
    }
}

/// What is known about one resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// `None`: not looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// Attributes that AWS answered, or that it means where it answers none, as [`Attribute::kind`] says.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<Attribute, String>,
    /// Attributes that AWS answered without, or has no such thing as. One in neither place wasn't looked up.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub absent: BTreeSet<Attribute>,
    /// The id as AWS spells it, where a lookup told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Other names of the same thing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The keys of the tags that the thing itself has, where a call takes them off. `None`: not looked up.
    #[serde(skip)]
    pub tag_keys: Option<BTreeSet<String>>,
    /// Whether `id` is sent in place of the caller's spelling.
    #[serde(skip)]
    pub send_id: bool,
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
