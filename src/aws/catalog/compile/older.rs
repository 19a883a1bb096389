//! What older models have and today's lack, added to a service: operations that are gone, and other forms of those that
//! aren't, by another route or in a protocol that the service's model lists no more. AWS serves what old SDKs send.
//!
//! INVARIANT: what an operation does is judged by today's class; an older model adds ways to ask for it.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::json::{members, text};
use super::service::protocols;
use crate::aws::catalog::model::{
    Member, OlderForm, Operation, Protocol, Service, Shape, ShapeId, Structure,
};
use crate::aws::catalog::template::{Segment, Template};

/// Whether an older model may have anything that the service lacks: told without the model being compiled.
pub(super) fn may_add(service: &Service, model: &Value) -> bool {
    let spoken = model.get("metadata").map(protocols).unwrap_or_default();
    let is_new = |(name, described): (&str, &Value)| {
        let Some(http) = described
            .get("http")
            .filter(|_| service.operations.contains_key(name))
        else {
            return true;
        };
        let (method, uri) = (text(http, "method"), text(http, "requestUri"));
        let (Some(method), Some(uri)) = (method, uri) else {
            return false;
        };
        let uri = Template::parse(uri);
        spoken.iter().any(|p| p.is_rest()) && !has_route(service, name, method, &uri)
    };
    spoken.iter().any(|p| !service.protocols.contains(p))
        || members(model, "operations").any(is_new)
}

/// Adds what `old` has and the service hasn't. `release` is the one whose model `old` is: `botocore-1.34.162`. Gives what was
/// added: the names of operations that are gone, and of those that have a new form.
pub(super) fn add(
    service: &mut Service,
    old: &Service,
    release: &str,
) -> (Vec<String>, Vec<String>) {
    let spoken_no_more: Vec<Protocol> = old
        .protocols
        .iter()
        .copied()
        .filter(|p| !service.protocols.contains(p))
        .collect();
    service.protocols.extend(&spoken_no_more);
    for (mine, theirs) in [
        (&mut service.target_prefix, &old.target_prefix),
        (&mut service.json_version, &old.json_version),
        (&mut service.xml_namespace, &old.xml_namespace),
    ] {
        if mine.is_none() {
            mine.clone_from(theirs);
        }
    }
    let mut graft = Graft {
        old,
        moved: HashMap::new(),
    };
    let (mut gone, mut forms) = (Vec::new(), Vec::new());
    for operation in old.operations.values() {
        let Some(today) = service.operations.get(&operation.name).cloned() else {
            let mut operation = operation.clone();
            operation.input = operation.input.map(|id| graft.shape(service, id));
            operation.output = operation.output.map(|id| graft.shape(service, id));
            operation.gone = Some(release.to_owned());
            gone.push(operation.name.clone());
            service.operations.insert(operation.name.clone(), operation);
            continue;
        };
        let other_route = old.protocols.iter().copied().filter(|p| {
            p.is_rest() && !has_route(service, &operation.name, &operation.method, &operation.uri)
        });
        let other_route = other_route.filter(|p| !spoken_no_more.contains(p));
        let ways: Vec<Protocol> = other_route.chain(spoken_no_more.iter().copied()).collect();
        for protocol in ways {
            let operation = form(service, &today, operation, &mut graft);
            forms.push(operation.name.clone());
            service.older.push(OlderForm {
                release: release.to_owned(),
                protocol,
                operation,
            });
        }
    }
    (gone, forms)
}

/// Today's operation as an older model has it: with today's input where that reads the older requests too.
fn form(
    service: &mut Service,
    today: &Operation,
    old: &Operation,
    graft: &mut Graft<'_>,
) -> Operation {
    let same = match (today.input, old.input) {
        (Some(mine), Some(theirs)) => covers(service, mine, graft.old, theirs),
        (mine, None) => mine.is_none(),
        (None, Some(_)) => false,
    };
    if same {
        return Operation {
            method: old.method.clone(),
            uri: old.uri.clone(),
            host_prefix: old.host_prefix.clone(),
            ..today.clone()
        };
    }
    Operation {
        class: today.class,
        group: today.group,
        input: old.input.map(|id| graft.shape(service, id)),
        output: today.output,
        errors: today.errors.clone(),
        answers: today.answers,
        ..old.clone()
    }
}

/// Whether the operation has that route already, today's or an older one.
fn has_route(service: &Service, name: &str, method: &str, uri: &Template) -> bool {
    let today = service.operations.get(name);
    let older = service.older.iter().filter(|form| form.protocol.is_rest());
    let older = older.map(|form| &form.operation).filter(|o| o.name == name);
    today
        .into_iter()
        .chain(older)
        .any(|operation| operation.method == method && same_route(&operation.uri, uri))
}

/// Whether two templates fit the same requests: whatever their labels are called.
fn same_route(a: &Template, b: &Template) -> bool {
    let alike = |pair: (&Segment, &Segment)| match pair {
        (Segment::Literal(a), Segment::Literal(b)) => a == b,
        (Segment::Label(_), Segment::Label(_)) | (Segment::Greedy(_), Segment::Greedy(_)) => true,
        (Segment::Literal(_) | Segment::Label(_) | Segment::Greedy(_), _) => false,
    };
    a.segments().len() == b.segments().len()
        && a.query() == b.query()
        && a.segments().iter().zip(b.segments()).all(alike)
}

/// Whether whatever an older shape reads, today's reads as the same.
fn covers(service: &Service, mine: ShapeId, old: &Service, theirs: ShapeId) -> bool {
    let mut waiting = vec![(mine, theirs)];
    let mut seen = BTreeSet::new();
    while let Some((mine, theirs)) = waiting.pop() {
        if !seen.insert((mine, theirs)) {
            continue;
        }
        let (Some(mine), Some(theirs)) = (service.shape(mine), old.shape(theirs)) else {
            return false;
        };
        match (mine, theirs) {
            (Shape::Structure(mine), Shape::Structure(theirs)) => {
                let Some(pairs) = members_covered(mine, theirs) else {
                    return false;
                };
                waiting.extend(pairs);
            }
            _ => {
                let inner = inner(mine).zip(inner(theirs));
                if bare(mine) != bare(theirs) {
                    return false;
                }
                waiting.extend(inner);
            }
        }
    }
    true
}

/// The shapes of the members of an older structure, each with today's; `None` where one has no counterpart that is written
/// the same way, or where today's requires one that the older hasn't.
fn members_covered(mine: &Structure, theirs: &Structure) -> Option<Vec<(ShapeId, ShapeId)>> {
    let required = mine.members.iter().filter(|m| m.required);
    let mut required = required.map(|m| theirs.member(&m.name));
    if mine.payload != theirs.payload || mine.union != theirs.union || required.any(|m| m.is_none())
    {
        return None;
    }
    let pair = |old: &Member| {
        let today = mine.member(&old.name)?;
        let as_today = Member {
            shape: today.shape,
            required: today.required,
            sensitive: today.sensitive,
            idempotency_token: today.idempotency_token,
            ..old.clone()
        };
        (as_today == *today).then_some((today.shape, old.shape))
    };
    theirs.members.iter().map(pair).collect()
}

/// What a list or a map is made of.
fn inner(shape: &Shape) -> Option<ShapeId> {
    match shape {
        Shape::List { member, .. } => Some(*member),
        Shape::Map { value, .. } => Some(*value),
        Shape::Structure(_)
        | Shape::String { .. }
        | Shape::Blob
        | Shape::Boolean
        | Shape::Integer
        | Shape::Long
        | Shape::Float
        | Shape::Timestamp { .. }
        | Shape::Document => None,
    }
}

/// A shape without what it's made of and without its bounds, which grow.
fn bare(shape: &Shape) -> Shape {
    let mut bare = shape.clone();
    match &mut bare {
        Shape::List {
            member, min, max, ..
        } => {
            *member = ShapeId(0);
            (*min, *max) = (None, None);
        }
        Shape::Map { value, .. } => *value = ShapeId(0),
        Shape::String { values, sensitive } => {
            values.clear();
            *sensitive = false;
        }
        Shape::Structure(_)
        | Shape::Blob
        | Shape::Boolean
        | Shape::Integer
        | Shape::Long
        | Shape::Float
        | Shape::Timestamp { .. }
        | Shape::Document => {}
    }
    bare
}

/// Takes shapes of an older model over into today's, each once.
struct Graft<'o> {
    old: &'o Service,
    moved: HashMap<ShapeId, ShapeId>,
}

impl Graft<'_> {
    /// Takes a shape over, and all that it's made of.
    fn shape(&mut self, service: &mut Service, id: ShapeId) -> ShapeId {
        let mut waiting = Vec::new();
        let moved = self.reserve(service, id, &mut waiting);
        while let Some((from, to)) = waiting.pop() {
            let mut shape = self.old.shape(from).cloned().unwrap_or(Shape::Document);
            match &mut shape {
                Shape::Structure(structure) => {
                    for member in &mut structure.members {
                        member.shape = self.reserve(service, member.shape, &mut waiting);
                    }
                }
                Shape::List { member: inner, .. } | Shape::Map { value: inner, .. } => {
                    *inner = self.reserve(service, *inner, &mut waiting);
                }
                Shape::String { .. }
                | Shape::Blob
                | Shape::Boolean
                | Shape::Integer
                | Shape::Long
                | Shape::Float
                | Shape::Timestamp { .. }
                | Shape::Document => {}
            }
            let slot = usize::try_from(to.0).ok();
            if let Some(slot) = slot.and_then(|at| service.shapes.get_mut(at)) {
                *slot = shape.into();
            }
        }
        moved
    }

    fn reserve(
        &mut self,
        service: &mut Service,
        id: ShapeId,
        waiting: &mut Vec<(ShapeId, ShapeId)>,
    ) -> ShapeId {
        if let Some(moved) = self.moved.get(&id) {
            return *moved;
        }
        // No model has as many shapes as the number can count.
        let moved = ShapeId(u32::try_from(service.shapes.len()).unwrap_or(u32::MAX));
        service.shapes.push(Shape::Document.into());
        self.moved.insert(id, moved);
        waiting.push((id, moved));
        moved
    }
}
