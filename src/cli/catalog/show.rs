//! What the catalog knows about a service or an operation, for people who write policies.

use std::fmt::Write;

use anyhow::bail;
use serde_json::{Value, json};

use super::changes::{kind, resource};
use crate::aws::catalog::model::{Member, Structure};
use crate::aws::catalog::{Catalog, Operation, Service, Shape, ShapeId};
use crate::aws::class::Class;
use crate::aws::nearest::nearest;

/// How deep an input is shown before it is cut short.
const DEPTH_MAX: usize = 8;

/// A service's operations, or all about one: `SERVICE` or `SERVICE:OPERATION`.
///
/// # Errors
/// Where there is none of that name; the nearest right one is named.
pub(super) fn text(catalog: &Catalog, what: &str) -> anyhow::Result<String> {
    let (service, operation) = find(catalog, what)?;
    let mut out = String::new();
    match operation {
        Some(name) => {
            let Some(operation) = service.operations.get(name) else {
                bail!("{}", unknown_operation(&service, name));
            };
            of_operation(&mut out, &service, operation)?;
        }
        None => of_service(&mut out, catalog, &service)?,
    }
    Ok(out)
}

/// The same for programs.
///
/// # Errors
/// As [`text`].
pub(super) fn json(catalog: &Catalog, what: &str) -> anyhow::Result<Value> {
    let (service, operation) = find(catalog, what)?;
    let Some(name) = operation else {
        let operations: Vec<Value> = service
            .operations
            .values()
            .map(|o| operation_json(&service, o))
            .collect();
        return Ok(json!({
            "service": service.id,
            "name": service.full_name,
            "catalog": catalog.version(),
            "signingName": service.signing_name,
            "protocols": service.protocols,
            "operations": operations,
        }));
    };
    match service.operations.get(name) {
        Some(operation) => {
            let mut shown = operation_json(&service, operation);
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("input".to_owned(), members_json(&service, operation.input));
                if operation.output.is_some() {
                    fields.insert(
                        "output".to_owned(),
                        members_json(&service, operation.output),
                    );
                }
            }
            Ok(shown)
        }
        None => bail!("{}", unknown_operation(&service, name)),
    }
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

fn unknown_operation(service: &Service, name: &str) -> String {
    let id = &service.id;
    if service.operations.is_empty() {
        return format!(
            "this catalog holds no operations of `{id}`; `palisade catalog build --service {id}` makes one that does"
        );
    }
    match nearest(name, service.operations.keys().map(String::as_str)) {
        Some(near) => format!("`{id}` has no operation `{name}`; did you mean `{id}:{near}`?"),
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
    if service.operations.is_empty() {
        writeln!(
            out,
            "this catalog knows its hosts and none of its operations: calls are refused"
        )?;
        return Ok(());
    }
    let width = service
        .operations
        .keys()
        .map(String::len)
        .max()
        .unwrap_or(0);
    for operation in service.operations.values() {
        let found = match &operation.resource {
            Some(_) => resource(operation),
            None => String::new(),
        };
        let line = format!(
            "  {:width$}  {:11}  {found}",
            operation.name,
            kind(operation)
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn of_operation(out: &mut String, service: &Service, operation: &Operation) -> anyhow::Result<()> {
    let groups: Vec<String> = groups(service, operation)
        .iter()
        .map(|g| format!("Action::\"{g}\""))
        .collect();
    writeln!(out, "Action::\"{}:{}\"", service.id, operation.name)?;
    writeln!(out, "in        {}", groups.join(", "))?;
    let guarded = if operation.class.is_guarded() {
        "guarded"
    } else {
        "not guarded"
    };
    writeln!(out, "class     {} ({guarded})", operation.class)?;
    writeln!(out, "request   {} {}", operation.method, operation.uri)?;
    match &operation.resource {
        Some(rule) => writeln!(
            out,
            "resource  {} ({}, by {})",
            resource(operation),
            rule.kind,
            rule.rule
        )?,
        None if operation.class.is_guarded() => {
            writeln!(out, "resource  none in its input: judged on its account")?
        }
        None => writeln!(out, "resource  Service::\"{}\"", service.id)?,
    }
    writeln!(out, "input")?;
    write_members(out, service, operation.input)?;
    if operation.class == Class::Read {
        writeln!(out, "output")?;
        write_members(out, service, operation.output)?;
    }
    Ok(())
}

/// The action groups of an operation, the finest first.
fn groups(service: &Service, operation: &Operation) -> Vec<String> {
    let finer = operation.group.map(|g| g.to_string());
    finer
        .into_iter()
        .chain([operation.class.to_string(), format!("{}:*", service.id)])
        .collect()
}

fn operation_json(service: &Service, operation: &Operation) -> Value {
    json!({
        "action": format!("{}:{}", service.id, operation.name),
        "class": operation.class,
        "groups": groups(service, operation),
        "guarded": operation.class.is_guarded(),
        "method": operation.method,
        "uri": operation.uri,
        "resource": operation.resource,
    })
}

/// A structure's members as paths with types, in the order of the model.
struct Lines<'a> {
    service: &'a Service,
    /// Shapes above the one at hand: a shape may hold itself.
    above: Vec<ShapeId>,
    lines: Vec<Line>,
}

struct Line {
    depth: usize,
    name: String,
    kind: String,
    required: bool,
}

impl Lines<'_> {
    fn of(service: &Service, shape: Option<ShapeId>) -> Vec<Line> {
        let mut lines = Lines {
            service,
            above: Vec::new(),
            lines: Vec::new(),
        };
        if let Some(id) = shape {
            lines.inside(id, 0);
        }
        lines.lines
    }

    fn inside(&mut self, id: ShapeId, depth: usize) {
        if let Some(Shape::Structure(structure)) = self.service.shape(id) {
            self.above.push(id);
            for member in &structure.members {
                self.member(structure, member, depth);
            }
            self.above.pop();
        }
    }

    fn member(&mut self, parent: &Structure, member: &Member, depth: usize) {
        let (kind, below) = self.kind(member.shape, 0);
        let again = below.is_some_and(|id| self.above.contains(&id));
        let deeper = below.filter(|_| !again && depth < DEPTH_MAX);
        let kind = match (below, deeper) {
            (Some(_), None) => format!("{kind} …"),
            _ if parent.union => format!("{kind} (one of these)"),
            _ => kind,
        };
        self.lines.push(Line {
            depth,
            name: member.name.clone(),
            kind,
            required: member.required,
        });
        if let Some(id) = deeper {
            self.inside(id, depth + 1);
        }
    }

    /// The type in words, and the structure that its members stand in.
    fn kind(&self, id: ShapeId, depth: usize) -> (String, Option<ShapeId>) {
        if depth > DEPTH_MAX {
            return ("…".to_owned(), None);
        }
        let plain = |name: &str| (name.to_owned(), None);
        match self.service.shape(id) {
            Some(Shape::Structure(_)) => ("structure".to_owned(), Some(id)),
            Some(Shape::List { member, max, .. }) => {
                let (of, below) = self.kind(*member, depth + 1);
                let most = max.map_or_else(String::new, |n| format!(", at most {n}"));
                (format!("list of {of}{most}"), below)
            }
            Some(Shape::Map { value, .. }) => {
                let (of, below) = self.kind(*value, depth + 1);
                (format!("map of {of}"), below)
            }
            Some(Shape::String { values, .. }) if values.is_empty() => plain("string"),
            Some(Shape::String { values, .. }) => (values.join(" | "), None),
            Some(Shape::Blob) => plain("blob"),
            Some(Shape::Boolean) => plain("boolean"),
            Some(Shape::Integer) => plain("integer"),
            Some(Shape::Long) => plain("long"),
            Some(Shape::Float) => plain("float"),
            Some(Shape::Timestamp { .. }) => plain("timestamp"),
            Some(Shape::Document) => plain("document"),
            None => plain("unknown"),
        }
    }
}

fn write_members(
    out: &mut String,
    service: &Service,
    shape: Option<ShapeId>,
) -> anyhow::Result<()> {
    let lines = Lines::of(service, shape);
    if lines.is_empty() {
        writeln!(out, "  nothing")?;
    }
    for line in lines {
        let indent = "  ".repeat(line.depth + 1);
        let required = if line.required { ", required" } else { "" };
        writeln!(out, "{indent}{}: {}{required}", line.name, line.kind)?;
    }
    Ok(())
}

fn members_json(service: &Service, shape: Option<ShapeId>) -> Value {
    Lines::of(service, shape)
        .into_iter()
        .map(|l| json!({"name": l.name, "depth": l.depth, "type": l.kind, "required": l.required}))
        .collect()
}

/// A protocol as botocore spells it.
fn name_of(protocol: &crate::aws::catalog::Protocol) -> String {
    serde_json::to_value(protocol)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}
