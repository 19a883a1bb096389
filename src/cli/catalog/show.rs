//! What the catalog knows about AWS, a service or an operation, for people who write policies.

mod input;
mod operation;

use std::fmt::Write;

use anyhow::bail;
use serde_json::{Value, json};

pub(super) use self::operation::in_words;
use super::changes::{kind, resource};
use crate::aws::catalog::{Catalog, Outline, Service};
use crate::aws::class::Class;
use crate::aws::nearest::nearest;
use crate::cli::table;
use crate::guard::knowledge::Knowledge;

/// All about one operation (`SERVICE:OPERATION`), a service's operations (`SERVICE`), or every service.
///
/// # Errors
/// Where there is none of that name; the nearest right one is named.
pub(super) fn text(
    catalog: &Catalog,
    knowledge: &Knowledge,
    what: Option<&str>,
) -> anyhow::Result<String> {
    let Some(what) = what else {
        return Ok(of_all(catalog));
    };
    let (service, operation) = find(catalog, what)?;
    let mut out = String::new();
    match operation {
        Some(name) => {
            let Some(operation) = service.operations.get(name) else {
                bail!("{}", unknown_operation(catalog, &service, name));
            };
            operation::text(&mut out, &service, operation, knowledge)?;
        }
        None => of_service(&mut out, catalog, &service)?,
    }
    Ok(out)
}

/// The same for programs.
///
/// # Errors
/// As [`text`].
pub(super) fn json(
    catalog: &Catalog,
    knowledge: &Knowledge,
    what: Option<&str>,
) -> anyhow::Result<Value> {
    let Some(what) = what else {
        return Ok(all_json(catalog));
    };
    let (service, operation) = find(catalog, what)?;
    let Some(name) = operation else {
        let operations = service.operations.values();
        let operations = operations.map(|o| operation::brief_json(&service, o));
        return Ok(json!({
            "service": service.id,
            "name": service.full_name,
            "catalog": catalog.version(),
            "signingName": service.signing_name,
            "protocols": service.protocols,
            "hosts": catalog.templates(&service.id)?,
            "operations": operations.collect::<Vec<_>>(),
        }));
    };
    match service.operations.get(name) {
        Some(operation) => Ok(operation::json(&service, operation, knowledge)),
        None => bail!("{}", unknown_operation(catalog, &service, name)),
    }
}

/// Every service with how many operations of each class it has.
fn of_all(catalog: &Catalog) -> String {
    let mut head = vec!["SERVICE".to_owned(), "ALL".to_owned()];
    head.extend(Class::ALL.iter().map(|class| class.as_str().to_uppercase()));
    let cells = |name: &str, counts: &[usize]| {
        let all: usize = counts.iter().sum();
        let counts = counts.iter().map(|n| match n {
            0 => "·".to_owned(),
            n => n.to_string(),
        });
        let cells = [name.to_owned(), all.to_string()].into_iter();
        cells.chain(counts).collect::<Vec<_>>()
    };
    let mut sum = vec![0; Class::ALL.len()];
    let mut rows = Vec::new();
    for (id, outline) in catalog.outlines() {
        let counts = by_class(outline);
        sum.iter_mut().zip(&counts).for_each(|(sum, n)| *sum += n);
        rows.push(cells(id, &counts));
    }
    rows.push(cells(&format!("{} services", rows.len()), &sum));
    let older = catalog.older();
    let older = match (older.first(), older.last()) {
        (Some(newest), Some(oldest)) => format!(", and what SDKs sent from {oldest} to {newest}"),
        _ => String::new(),
    };
    let version = catalog.version();
    format!("{}\nfrom {version}{older}\n", table::columns(&head, &rows))
}

fn all_json(catalog: &Catalog) -> Value {
    let service = |(id, outline): (&str, Outline<'_>)| {
        let counts = Class::ALL
            .iter()
            .map(|c| c.as_str().to_owned())
            .zip(by_class(outline));
        let counts: serde_json::Map<String, Value> = counts.map(|(c, n)| (c, json!(n))).collect();
        json!({ "service": id, "operations": outline.names().count(), "classes": counts })
    };
    json!({
        "catalog": catalog.version(),
        "older": catalog.older(),
        "digest": catalog.digest(),
        "services": catalog.outlines().map(service).collect::<Vec<_>>(),
    })
}

/// How many operations of each class there are, in the order of [`Class::ALL`].
fn by_class(outline: Outline<'_>) -> Vec<usize> {
    let classes: Vec<Class> = outline.operations().map(|brief| brief.class).collect();
    let count = |class: &Class| classes.iter().filter(|c| *c == class).count();
    Class::ALL.iter().map(count).collect()
}

fn find<'a>(
    catalog: &Catalog,
    what: &'a str,
) -> anyhow::Result<(std::sync::Arc<Service>, Option<&'a str>)> {
    let (id, operation) = match what.split_once(':') {
        Some((id, operation)) => (id, Some(operation)),
        None => (what, None),
    };
    match catalog.service(id)? {
        Some(service) => Ok((service, operation)),
        None => match nearest(id, catalog.known_ids()) {
            Some(near) => bail!("there is no service `{id}`; did you mean `{near}`?"),
            None => {
                bail!("there is no service `{id}`; services are named as the AWS CLI names them")
            }
        },
    }
}

fn unknown_operation(catalog: &Catalog, service: &Service, name: &str) -> String {
    let id = &service.id;
    if service.operations.is_empty() {
        return format!(
            "this catalog holds no operations of `{id}`; `palisade catalog build --service {id}` makes one that does"
        );
    }
    match catalog.nearest_action(&format!("{id}:{name}")) {
        Some(near) => format!("`{id}` has no operation `{name}`; did you mean `{near}`?"),
        None => {
            format!("`{id}` has no operation `{name}`; `palisade catalog show {id}` lists them")
        }
    }
}

fn of_service(out: &mut String, catalog: &Catalog, service: &Service) -> anyhow::Result<()> {
    writeln!(
        out,
        "{} ({}), from {}",
        service.id,
        service.full_name,
        catalog.version()
    )?;
    let protocols: Vec<String> = service.protocols.iter().map(name_of).collect();
    writeln!(
        out,
        "speaks {}; signs as `{}`",
        protocols.join(", "),
        service.signing_name
    )?;
    let hosts = catalog.templates(&service.id)?;
    for (at, host) in hosts.iter().enumerate() {
        let head = if at == 0 { "hosts" } else { "" };
        writeln!(out, "{head:6}{host}")?;
    }
    if service.operations.is_empty() {
        writeln!(
            out,
            "this catalog knows its hosts and none of its operations: calls are refused"
        )?;
        return Ok(());
    }
    let rows: Vec<[String; 3]> = service
        .operations
        .values()
        .map(|operation| {
            let resource = operation.resource.as_ref().map(|_| resource(operation));
            let gone = if operation.gone.is_some() {
                ", gone"
            } else {
                ""
            };
            [
                operation.name.clone(),
                format!("{}{gone}", kind(operation)),
                resource.unwrap_or_default(),
            ]
        })
        .collect();
    let table = table::text(&["OPERATION", "CLASS", "RESOURCE"], &rows);
    write!(out, "\n{table}")?;
    Ok(())
}

/// A protocol as botocore spells it.
fn name_of(protocol: &crate::aws::catalog::Protocol) -> String {
    serde_json::to_value(protocol)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}
