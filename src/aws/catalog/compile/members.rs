//! Members of an operation's input, however deep, by what their names and shapes are.

use std::collections::HashSet;

use crate::aws::catalog::condition::{Place, Step};
use crate::aws::catalog::model::{Member, Operation, Service, Shape, ShapeId};
use crate::aws::catalog::packed::Packed;

/// How deep an input is searched. The deepest that matters in AWS is 9.
const DEPTH_MAX: usize = 16;

/// A member that was looked for.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) steps: Vec<Step>,
    /// Whether no call can be without it.
    pub(super) required: bool,
}

impl Found {
    pub(super) fn place(&self) -> Place {
        Place::of(self.steps.clone())
    }

    pub(super) fn path(&self) -> String {
        self.place().to_string()
    }
}

/// A service whose shapes are known to lead to members of certain names or not: inputs share many shapes, and some are huge.
pub(super) struct Members<'a> {
    service: &'a Service,
    leading: HashSet<ShapeId>,
}

impl<'a> Members<'a> {
    /// Looks through a service's shapes for members whose names are ever looked for.
    pub(super) fn of(service: &'a Service, is_looked_for: impl Fn(&str) -> bool) -> Self {
        let shapes = || service.shapes.iter().map(Packed::get);
        let ids = || {
            (0_u32..)
                .zip(shapes())
                .filter_map(|(n, s)| Some((ShapeId(n), s?)))
        };
        let mut leading: HashSet<ShapeId> = HashSet::new();
        let names: HashSet<&str> = shapes().flatten().flat_map(names).collect();
        let looked_for: HashSet<&str> = names.into_iter().filter(|n| is_looked_for(n)).collect();
        loop {
            let before = leading.len();
            for (id, shape) in ids() {
                let leads = match shape {
                    Shape::Structure(s) => s.members.iter().any(|m| {
                        leading.contains(&m.shape) || looked_for.contains(m.name.as_str())
                    }),
                    Shape::List { member, .. } => leading.contains(member),
                    Shape::Map { value, .. } => leading.contains(value),
                    Shape::String { .. }
                    | Shape::Blob
                    | Shape::Boolean
                    | Shape::Integer
                    | Shape::Long
                    | Shape::Float
                    | Shape::Timestamp { .. }
                    | Shape::Document => false,
                };
                if leads {
                    leading.insert(id);
                }
            }
            if leading.len() == before {
                return Self { service, leading };
            }
        }
    }

    /// The members that fit, in the order of the model. What is inside one that fits is not looked at, nor is a shape inside
    /// itself.
    pub(super) fn find(
        &self,
        operation: &Operation,
        fits: impl Fn(&str, &Shape) -> bool,
    ) -> Vec<Found> {
        let mut search = Search {
            members: self,
            fits,
            above: Vec::new(),
            steps: Vec::new(),
            found: Vec::new(),
        };
        if let Some(input) = operation.input {
            search.inside(input, true);
        }
        search.found
    }
}

fn names(shape: &Shape) -> impl Iterator<Item = &str> {
    let members = shape.as_structure().map(|s| s.members.iter());
    members.into_iter().flatten().map(|m| m.name.as_str())
}

struct Search<'a, F> {
    members: &'a Members<'a>,
    fits: F,
    above: Vec<ShapeId>,
    steps: Vec<Step>,
    found: Vec<Found>,
}

impl<F: Fn(&str, &Shape) -> bool> Search<'_, F> {
    fn inside(&mut self, id: ShapeId, required: bool) {
        let leads = self.members.leading.contains(&id);
        if !leads || self.above.contains(&id) || self.above.len() > DEPTH_MAX {
            return;
        }
        self.above.push(id);
        match self.members.service.shape(id) {
            Some(Shape::Structure(structure)) => {
                for member in &structure.members {
                    let required = required && member.required && !structure.union;
                    self.member(member, required);
                }
            }
            Some(Shape::List { member, .. }) => self.step(Step::Items, *member),
            Some(Shape::Map { value, .. }) => self.step(Step::Values, *value),
            Some(
                Shape::String { .. }
                | Shape::Blob
                | Shape::Boolean
                | Shape::Integer
                | Shape::Long
                | Shape::Float
                | Shape::Timestamp { .. }
                | Shape::Document,
            )
            | None => {}
        }
        self.above.pop();
    }

    fn step(&mut self, step: Step, shape: ShapeId) {
        self.steps.push(step);
        self.inside(shape, false);
        self.steps.pop();
    }

    fn member(&mut self, member: &Member, required: bool) {
        let Some(shape) = self.members.service.shape(member.shape) else {
            return;
        };
        self.steps.push(Step::Member(member.name.clone()));
        if (self.fits)(&member.name, shape) {
            self.found.push(Found {
                steps: self.steps.clone(),
                required,
            });
        } else {
            self.inside(member.shape, required);
        }
        self.steps.pop();
    }
}
