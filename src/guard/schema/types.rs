//! The Cedar types of an input's shapes.

use super::quote;
use crate::aws::catalog::model::{Service, Shape, ShapeId, Structure};
use crate::guard::reads::Names;

/// The type of a structure, all of its members optional: an absent one is AWS's to refuse. At the top only the
/// members in `only`.
pub(super) fn record(
    service: &Service,
    structure: &Structure,
    only: &Names,
    within: &mut Vec<ShapeId>,
) -> String {
    let members = structure
        .members
        .iter()
        .filter(|m| only.contains(&m.name))
        .filter_map(|member| {
            let kind = cedar_type(service, member.shape, within)?;
            Some(format!("{}?: {kind}", quote(&member.name)))
        });
    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
}

/// How deep types go.
pub(in crate::guard) const DEPTH_MAX: usize = 16;

/// The Cedar type of a shape; `None` for what has none: documents, and shapes inside themselves.
pub(super) fn cedar_type(
    service: &Service,
    id: ShapeId,
    within: &mut Vec<ShapeId>,
) -> Option<String> {
    if !is_typed(service, id, within) {
        return None;
    }
    within.push(id);
    let kind = shape_type(service, id, within);
    within.pop();
    kind
}

fn shape_type(service: &Service, id: ShapeId, within: &mut Vec<ShapeId>) -> Option<String> {
    match service.shape(id)? {
        Shape::Structure(structure) => Some(record(service, structure, &Names::All, within)),
        Shape::List { member, .. } => {
            cedar_type(service, *member, within).map(|member| format!("Set<{member}>"))
        }
        Shape::Map { value, .. } => match service.shape(*value) {
            Some(Shape::String { .. }) => Some("Tags".to_owned()),
            _ => cedar_type(service, *value, within)
                .map(|value| format!("Set<{{\"key\": String, \"value\": {value}}}>")),
        },
        Shape::String { .. } | Shape::Blob => Some("String".to_owned()),
        Shape::Boolean => Some("Bool".to_owned()),
        Shape::Integer | Shape::Long => Some("Long".to_owned()),
        Shape::Float => Some("decimal".to_owned()),
        Shape::Timestamp { .. } => Some("datetime".to_owned()),
        Shape::Document => None,
    }
}

/// Whether a shape that stands in others has a Cedar type. Requests are built by this too, so that they have what the
/// schema says and no more.
pub(in crate::guard) fn is_typed(
    service: &Service,
    id: ShapeId,
    within: &mut Vec<ShapeId>,
) -> bool {
    if within.contains(&id) || within.len() > DEPTH_MAX {
        return false;
    }
    let inner = match service.shape(id) {
        None | Some(Shape::Document) => return false,
        Some(Shape::List { member, .. }) => *member,
        Some(Shape::Map { value, .. }) => match service.shape(*value) {
            Some(Shape::String { .. }) => return true,
            _ => *value,
        },
        Some(
            Shape::Structure(_)
            | Shape::String { .. }
            | Shape::Blob
            | Shape::Boolean
            | Shape::Integer
            | Shape::Long
            | Shape::Float
            | Shape::Timestamp { .. },
        ) => return true,
    };
    within.push(id);
    let typed = is_typed(service, inner, within);
    within.pop();
    typed
}
