//! Inputs made from shapes, for tests: every member that a model has.

use crate::aws::catalog::model::{
    Location, Member, Operation, Service, Shape, ShapeId, Structure, TimestampFormat,
};
use crate::aws::value::{Number, Object, Value};

/// An input in which every member stands, lists have two items that differ, and structures inside themselves end.
pub(super) fn full(service: &Service, operation: &Operation) -> Object {
    match service.input(operation) {
        Some(structure) => Sample {
            service,
            within: Vec::new(),
        }
        .structure(structure, 0),
        None => Object::new(),
    }
}

struct Sample<'a> {
    service: &'a Service,
    within: Vec<ShapeId>,
}

impl Sample<'_> {
    fn structure(&mut self, structure: &Structure, n: usize) -> Object {
        let members = structure.members.iter();
        let taken = if structure.union { 1 } else { usize::MAX };
        let with =
            members.filter_map(|member| Some((member.name.clone(), self.member(member, n)?)));
        with.take(taken).collect()
    }

    fn member(&mut self, member: &Member, n: usize) -> Option<Value> {
        let format = member.timestamp.or(match member.location {
            Location::Header => Some(TimestampFormat::HttpDate),
            Location::Label | Location::Query => Some(TimestampFormat::DateTime),
            Location::Body | Location::Headers | Location::Status => None,
        });
        self.value(member.shape, format, &member.name, n)
    }

    fn value(
        &mut self,
        id: ShapeId,
        format: Option<TimestampFormat>,
        name: &str,
        n: usize,
    ) -> Option<Value> {
        if self.within.contains(&id) {
            return None;
        }
        self.within.push(id);
        let value = self.shaped(id, format, name, n);
        self.within.pop();
        value
    }

    fn shaped(
        &mut self,
        id: ShapeId,
        format: Option<TimestampFormat>,
        name: &str,
        n: usize,
    ) -> Option<Value> {
        let text = |text: &str| Some(Value::String(text.to_owned()));
        match self.service.shape(id).unwrap().clone() {
            Shape::Structure(structure) => Some(Value::Object(self.structure(&structure, n))),
            Shape::List {
                member, min, max, ..
            } => {
                let least = min.unwrap_or(0).max(2).min(max.unwrap_or(u64::MAX));
                let items =
                    (0..usize::try_from(least).unwrap()).map(|n| self.value(member, None, name, n));
                items.collect::<Option<_>>().map(Value::List)
            }
            Shape::Map { value, .. } => {
                let entries = ["one", "two"]
                    .map(|key| Some((key.to_owned(), self.value(value, None, name, n)?)));
                let entries: Option<Object> = entries.into_iter().collect();
                entries.map(Value::Object)
            }
            Shape::String { values, .. } => match values.first() {
                Some(value) => text(value),
                None => text(&format!("{name}-{n}")),
            },
            Shape::Blob => text("AAAA"),
            Shape::Boolean => Some(Value::Bool(true)),
            Shape::Integer | Shape::Long => Some(Value::Number(Number::from(7))),
            Shape::Float => Some(Value::Number(Number::parse("1.25").unwrap())),
            Shape::Timestamp { format: own } => match format
                .or(own)
                .unwrap_or(TimestampFormat::EpochSeconds)
            {
                TimestampFormat::EpochSeconds => Some(Value::Number(Number::from(1_767_225_600))),
                TimestampFormat::DateTime => text("2026-01-01T00:00:00Z"),
                TimestampFormat::HttpDate => text("Thu, 01 Jan 2026 00:00:00 GMT"),
            },
            Shape::Document => Some(Value::Object(Object::new())),
        }
    }
}
