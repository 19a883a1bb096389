//! The inputs of lookups: their templates, filled.

use super::Attribute;
use super::enquiry::{Place, Subject};
use crate::aws::value::{Number, Object, Value};
use crate::guard::knowledge::Template;
use crate::guard::target::Spelling;

/// The input of a call about some subjects.
pub(super) fn fill(place: &Place, table: &toml::Table, of: &[&Subject<'_>]) -> Object {
    table
        .iter()
        .map(|(key, value)| (key.clone(), fill_value(place, value, of)))
        .collect()
}

fn fill_value(place: &Place, value: &toml::Value, of: &[&Subject<'_>]) -> Value {
    match value {
        toml::Value::Table(table) => Value::Object(fill(place, table, of)),
        toml::Value::Array(items) => Value::List(
            items
                .iter()
                .flat_map(|item| fill_item(place, item, of))
                .collect(),
        ),
        toml::Value::String(text) => match of.first() {
            Some(subject) => fill_text(place, text, subject),
            None => Value::String(text.clone()),
        },
        toml::Value::Boolean(b) => Value::Bool(*b),
        toml::Value::Integer(n) => Value::Number(Number::from(*n)),
        toml::Value::Float(f) => Value::String(f.to_string()),
        toml::Value::Datetime(d) => Value::String(d.to_string()),
    }
}

/// An item of a list: one value for each subject where it names the subject, else one value.
fn fill_item(place: &Place, item: &toml::Value, of: &[&Subject<'_>]) -> Vec<Value> {
    match item.as_str() {
        Some(text) if text.contains("{id}") || text.contains("{arn}") => of
            .iter()
            .map(|subject| fill_text(place, text, subject))
            .collect(),
        Some(_) | None => vec![fill_value(place, item, of)],
    }
}

fn fill_text(place: &Place, text: &str, subject: &Subject<'_>) -> Value {
    let template = Template(text.to_owned());
    let filled = template.fill(|name| variable(place, name, subject));
    filled.map_or(Value::Null, Value::String)
}

/// What a variable stands for; `None` where it isn't known.
pub(super) fn variable(place: &Place, variable: &str, subject: &Subject<'_>) -> Option<String> {
    match variable {
        "id" => subject.facts.id.clone(),
        "name" => match &subject.spelling {
            Spelling::Name(name) => Some(name.clone()),
            Spelling::Id(_) => None,
        },
        "arn" => subject.facts.attributes.get(&Attribute::Arn).cloned(),
        "partition" => Some(place.partition.clone()),
        "region" => Some(place.region.clone()),
        "account" => Some(place.account.clone()),
        "parent" => subject.parents.last().cloned(),
        _ => {
            let at: usize = variable.strip_prefix("parent")?.parse().ok()?;
            subject.parents.get(at).cloned()
        }
    }
}
