//! Which calls of one service are another's: the same hosts, version and route.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::json::{members, text};
use super::{CompileError, HostFacts, Models};
use crate::aws::catalog::model::Service;

/// How a request says which operation it is; two operations that say the same are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Said(String);

/// What is named by another service: `docdb` by `rds`, where all of its operations are that one's, else each that is,
/// `greengrassv2:TagResource` by `greengrass`.
pub(super) fn named(
    all: &[Models],
    aliases: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, CompileError> {
    let mut found = BTreeMap::new();
    for (alias, target) in aliases {
        let (Some(own), Some(others)) = (model(all, alias), model(all, target)) else {
            continue;
        };
        let (own, others) = (calls(own), calls(others));
        let shared: Vec<&String> = own
            .iter()
            .filter(|call| others.contains(*call))
            .map(|(name, _)| name)
            .collect();
        if shared.is_empty() {
            return Err(CompileError::Odd {
                service: alias.clone(),
                what: format!("no operation is also one of `{target}`"),
            });
        }
        if shared.len() == own.len() {
            found.insert(alias.clone(), target.clone());
        } else {
            let each = shared.into_iter().map(|name| format!("{alias}:{name}"));
            found.extend(each.map(|name| (name, target.clone())));
        }
    }
    Ok(found)
}

/// Marks the operations of services that are another's.
pub fn fold(services: &mut [Service], all: &[Models], facts: &HostFacts) {
    for service in services {
        let Some(target) = facts.aliases().get(&service.id) else {
            continue;
        };
        let (Some(own), Some(others)) = (model(all, &service.id), model(all, target)) else {
            continue;
        };
        let (own, others) = (calls(own), calls(others));
        for operation in service.operations.values_mut() {
            let is_others = |(name, said): &(String, Said)| {
                *name == operation.name && others.contains(&(name.clone(), said.clone()))
            };
            operation.alias = own.iter().any(is_others).then(|| target.clone());
        }
    }
}

fn model<'m>(all: &'m [Models], id: &str) -> Option<&'m Value> {
    all.iter().find(|m| m.id == id).map(|m| &m.service)
}

/// Each operation of a model with what requests say.
fn calls(model: &Value) -> BTreeSet<(String, Said)> {
    let none = Value::Null;
    let metadata = model.get("metadata").unwrap_or(&none);
    let of_service = |key| text(metadata, key).unwrap_or_default();
    members(model, "operations")
        .map(|(name, operation)| {
            let of_http = |key| {
                operation
                    .get("http")
                    .and_then(|h| text(h, key))
                    .unwrap_or_default()
            };
            let route = without_names(of_http("requestUri"));
            let said = [
                of_service("protocol"),
                of_service("targetPrefix"),
                of_service("apiVersion"),
                of_http("method"),
                &route,
            ];
            let said = if of_service("protocol").starts_with("rest") {
                format!("{} {route}", of_http("method"))
            } else {
                said.join(" ")
            };
            (name.to_owned(), Said(said))
        })
        .collect()
}

/// A route without the names of its labels.
fn without_names(route: &str) -> String {
    let mut parts = route.split('{');
    let mut found = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.split_once('}').map_or("", |(_, rest)| rest);
        found.push_str("{}");
        found.push_str(rest);
    }
    found
}
