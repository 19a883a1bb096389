//! What the catalog derived from AWS's model, in the words of service files.

use crate::aws::catalog::model::{Read, Service};
use crate::guard::knowledge::{LookupRule, Template};
use crate::guard::path::Path;

/// The ARN of a type.
#[must_use]
pub fn arn(service: &Service, kind: &str) -> Option<Template> {
    let naming = service.names.get(kind)?;
    naming.arn.clone().map(Template)
}

/// The lookups that tell of a type, with the names they go by, the best first; those of `*` where the catalog has no entry
/// for it. Each is put together as it's taken.
pub fn lookups<'s>(
    service: &'s Service,
    kind: &str,
) -> impl Iterator<Item = (String, LookupRule)> + use<'s> {
    let own = service.types.get(kind);
    let entry = own.or_else(|| service.types.get("*"));
    let reads = entry.into_iter().flat_map(|entry| &entry.reads);
    reads.filter_map(|key| {
        let rule = lookup(service.reads.get(key)?)?;
        Some((format!("catalog {key}"), rule))
    })
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
