//! The members of an input or an output, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::aws::catalog::model::{Member, Structure};
use crate::aws::catalog::{Service, Shape, ShapeId};

/// How deep an input is shown before it is cut short.
const DEPTH_MAX: usize = 8;

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

/// The members of a structure, each below the one that it stands in.
pub(super) fn write_members(
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

/// The same for programs.
pub(super) fn members_json(service: &Service, shape: Option<ShapeId>) -> Value {
    Lines::of(service, shape)
        .into_iter()
        .map(|l| json!({"name": l.name, "depth": l.depth, "type": l.kind, "required": l.required}))
        .collect()
}
