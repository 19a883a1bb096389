//! What the catalog derived from AWS's model, in the words of service files.

use crate::aws::catalog::model::{Read, Service};
use crate::guard::knowledge::{LookupRule, Template};
use crate::guard::path::Path;

/// What is derived of a type, or of every type that the catalog has no entry for: its ARN, and the lookups that tell
/// of it with the names they go by, the best first.
#[must_use]
pub fn derived(service: &Service, kind: &str) -> (Option<Template>, Vec<(String, LookupRule)>) {
    let own = service.types.get(kind);
    let entry = own.or_else(|| service.types.get("*"));
    let reads = entry.into_iter().flat_map(|entry| &entry.reads);
    let lookups = reads.filter_map(|key| {
        let rule = lookup(service.reads.get(key)?)?;
        Some((format!("catalog {key}"), rule))
    });
    let arn = service
        .names
        .get(kind)
        .and_then(|naming| naming.arn.clone());
    let arn = arn.map(Template);
    (arn, lookups.collect())
}

/// A read as a lookup. `None` where a path of it is none: the catalog is damaged, and there is no lookup.
fn lookup(read: &Read) -> Option<LookupRule> {
    let path = |text: &Option<String>| match text {
        Some(text) => Path::parse(text).ok().map(Some),
        None => Some(None),
    };
    let mut input = toml::Table::new();
    for (member, text) in &read.input {
        let text = toml::Value::String(text.clone());
        match member.strip_suffix("[]") {
            Some(list) => input.insert(list.to_owned(), toml::Value::Array(vec![text])),
            None => input.insert(member.clone(), text),
        };
    }
    let items = path(&read.items)?;
    let id = path(&read.id)?;
    let arn = path(&read.arn)?;
    let single = items.is_none();
    let mut rule = LookupRule::asking(&read.operation, input);
    // What a single answer calls the thing needn't be spelt as the caller spelt it: it is one more name.
    rule.aliases = id.iter().filter(|_| single).cloned().collect();
    rule.id = id.filter(|_| !single);
    rule.items = items;
    rule.arn = arn;
    rule.tags = path(&read.tags)?;
    rule.next = read.next.clone();
    rule.unknown_id = read.unknown.clone();
    Some(rule)
}
