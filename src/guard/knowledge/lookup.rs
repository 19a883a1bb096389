//! How a lookup is made and how its answer is read: [`LookupRule`].

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::guard::facts::Attribute;
use crate::guard::path::Path;

/// How one lookup is made and how its answer is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupRule {
    /// The service that is asked, where it isn't the file's own: `ec2` knows the volumes of others.
    pub service: Option<String>,
    pub operation: String,
    /// How many resources one call may ask for.
    #[serde(default = "one")]
    pub batch: usize,
    /// How many calls go at a time.
    #[serde(default = "eight")]
    pub concurrency: usize,
    /// The inputs; each is sent, and what they answer is taken together. A string may hold `{id}`, `{arn}`,
    /// `{account}`, `{region}`, `{parent}` (the nearest parent's id) and `{parent0}` (the outermost's), `{parent1}` …;
    /// a list whose one item is `"{id}"` is filled with all the ids of the call.
    pub inputs: Vec<toml::Table>,
    /// The inputs where the resource was given by name: with `{name}`.
    #[serde(default)]
    pub inputs_by_name: Vec<toml::Table>,
    /// The member that is sent only where the call acts in another account, and takes its number.
    pub account: Option<String>,
    /// Where the items stand; absent: the answer is about one resource, as a whole or in `item`.
    pub items: Option<Path>,
    pub item: Option<Path>,
    /// Each item is one tag of the resource whose `id` it has; one that has no item has no tags.
    #[serde(default)]
    pub each_is_a_tag: bool,
    /// In an item: the id as AWS spells it. It has to be the one that was asked for, or `spellings` have to say how it
    /// was spelt.
    pub id: Option<Path>,
    /// What may stand before an id and says nothing: `/hostedzone/`.
    pub id_prefix: Option<String>,
    /// In an item: what else the caller may have written for the id, and the call would take.
    #[serde(default)]
    pub spellings: Vec<Path>,
    /// The caller may write a beginning or an end of the ARN, where AWS finds the thing by it.
    #[serde(default)]
    pub partial_arn: bool,
    /// AWS takes small and capital letters in an id for the same.
    #[serde(default)]
    pub fold_case: bool,
    pub name: Option<Path>,
    pub arn: Option<Path>,
    /// What stands after an ARN and isn't part of it: `:*`.
    pub arn_suffix: Option<String>,
    /// Other names of the same thing, for the protected list.
    #[serde(default)]
    pub aliases: Vec<Path>,
    /// In an item: its tags, a list of key and value or a map.
    pub tags: Option<Path>,
    #[serde(default)]
    pub attributes: BTreeMap<Attribute, AttributePlace>,
    /// What AWS means where an attribute is absent.
    #[serde(default)]
    pub defaults: BTreeMap<Attribute, String>,
    /// Whether an answer proves that the resource exists: asked whenever anything about it is.
    #[serde(default)]
    pub confirms: bool,
    /// Paging: the member of the answer and the member of the next input.
    pub next: Option<(String, String)>,
    /// Error codes by which AWS says that it doesn't know the id. One that comes to a batch has it asked for singly.
    #[serde(default)]
    pub unknown_id: Vec<String>,
    /// Error codes by which AWS says that the resource has none of what was asked for: `NoSuchTagSet`.
    #[serde(default)]
    pub none: Vec<String>,
}

/// Where an attribute stands in an item, and how it is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum AttributePlace {
    /// `"DBInstanceStatus"`.
    At(Path),
    /// `{ path = "DeregistrationProtection", one_of = ["enabled"] }`: true for these words, else false.
    OneOf(OneOf),
    /// `{ path = "DeletionProtection", none_of = ["none"] }`: false for these words, else true.
    NoneOf(NoneOf),
    /// `{ in = "Attributes[]", key = "Key", is = "deletion_protection.enabled", value = "Value" }`.
    Named(Named),
    /// `{ millis = "creationTime" }`: a time in milliseconds since the epoch.
    Millis(Millis),
    /// `{ count = "StackResourceSummaries[]" }`: how many there are, on all pages.
    Count(Count),
    /// `{ empty = ["Versions[]", "DeleteMarkers[]"] }`: true where nothing stands at any of these.
    Empty(Empty),
}

/// See [`AttributePlace::OneOf`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneOf {
    pub path: Path,
    pub one_of: Vec<String>,
}

/// See [`AttributePlace::NoneOf`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoneOf {
    pub path: Path,
    pub none_of: Vec<String>,
}

/// See [`AttributePlace::Named`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    #[serde(rename = "in")]
    pub list: Path,
    pub key: Path,
    pub is: String,
    pub value: Path,
}

/// See [`AttributePlace::Millis`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Millis {
    pub millis: Path,
}

/// See [`AttributePlace::Count`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    pub count: Path,
}

/// See [`AttributePlace::Empty`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {
    pub empty: Vec<Path>,
}

impl LookupRule {
    /// A lookup that tells nothing yet.
    #[must_use]
    pub fn asking(operation: &str, input: toml::Table) -> Self {
        Self {
            service: None,
            operation: operation.to_owned(),
            batch: one(),
            concurrency: eight(),
            inputs: vec![input],
            inputs_by_name: Vec::new(),
            account: None,
            items: None,
            item: None,
            each_is_a_tag: false,
            id: None,
            id_prefix: None,
            spellings: Vec::new(),
            partial_arn: false,
            fold_case: false,
            name: None,
            arn: None,
            arn_suffix: None,
            aliases: Vec::new(),
            tags: None,
            attributes: BTreeMap::new(),
            defaults: BTreeMap::new(),
            confirms: false,
            next: None,
            unknown_id: Vec::new(),
            none: Vec::new(),
        }
    }

    /// Whether it tells the tags of a resource.
    #[must_use]
    pub const fn tells_tags(&self) -> bool {
        self.tags.is_some() || self.each_is_a_tag
    }

    /// Whether it tells an attribute.
    #[must_use]
    pub fn tells(&self, attribute: Attribute) -> bool {
        match attribute {
            Attribute::Arn => self.arn.is_some(),
            Attribute::BillingMode
            | Attribute::RunningMode
            | Attribute::State
            | Attribute::CreatedAt
            | Attribute::DeletionProtection
            | Attribute::ResourceCount
            | Attribute::Versioning
            | Attribute::Empty => self.attributes.contains_key(&attribute),
        }
    }

    /// Whether it tells the id behind a name.
    #[must_use]
    pub fn resolves(&self) -> bool {
        !self.inputs_by_name.is_empty() && self.id.is_some()
    }

    /// Whether it tells names of a thing besides its id.
    #[must_use]
    pub fn names_more(&self) -> bool {
        self.name.is_some() || !self.aliases.is_empty()
    }

    /// Whether its inputs hold a variable whose name begins so: `arn`; `parent` finds `parent1` too.
    #[must_use]
    pub fn uses(&self, variable: &str) -> bool {
        fn any(value: &toml::Value, variable: &str) -> bool {
            match value {
                toml::Value::String(text) => {
                    let mut opened = text.split('{').skip(1);
                    opened.any(|name| name.starts_with(variable))
                }
                toml::Value::Array(items) => items.iter().any(|item| any(item, variable)),
                toml::Value::Table(table) => table.values().any(|value| any(value, variable)),
                toml::Value::Integer(_)
                | toml::Value::Float(_)
                | toml::Value::Boolean(_)
                | toml::Value::Datetime(_) => false,
            }
        }
        let mut values = self.inputs.iter().flat_map(toml::Table::values);
        values.any(|value| any(value, variable))
    }
}

const fn one() -> usize {
    1
}

const fn eight() -> usize {
    8
}
