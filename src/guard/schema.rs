//! The Cedar schema, generated from catalog and configuration: what a policy may say.
//!
//! Validation runs on a reduced schema ([`Vocabulary::schema`]); a policy author's editor gets the whole of a service
//! ([`Vocabulary::whole`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use crate::aws::catalog::model::{Operation, Service, Shape, ShapeId, Structure};
use crate::aws::class::{Class, Group};
use crate::guard::knowledge::Knowledge;
use crate::guard::reads::Names;

/// A group that policies may always name, whether or not a caller is in it: the one that the starter set asks for.
pub const ADMINS: &str = "admins";

/// The words that policies are made of.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    groups: BTreeSet<String>,
    /// Names of every service of the catalog.
    service_ids: BTreeSet<String>,
    services: BTreeMap<String, Arc<Service>>,
    /// Reads and writes that service files guard.
    guarded: BTreeSet<String>,
}

/// What a policy set asks of the schema.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Actions named by policies.
    pub actions: BTreeSet<String>,
    /// Members of `context.input` that some policy reads.
    pub input: Names,
    /// Reads and writes that a policy guards, so that their input is there to be read.
    pub guarded: BTreeSet<String>,
}

impl Vocabulary {
    /// Gathers the words. `groups` are those of the configuration; `services` those with operations.
    #[must_use]
    pub fn new<'a>(
        groups: impl Iterator<Item = &'a str>,
        service_ids: impl Iterator<Item = &'a str>,
        services: Vec<Arc<Service>>,
        knowledge: &Knowledge,
    ) -> Self {
        let guarded = knowledge.services().flat_map(|rules| {
            let guarded = rules.operations.iter().filter(|(_, rule)| rule.guarded);
            guarded.map(|(operation, _)| format!("{}:{operation}", rules.service))
        });
        let mut groups: BTreeSet<String> = groups.map(str::to_owned).collect();
        groups.insert(ADMINS.to_owned());
        let mut service_ids: BTreeSet<String> = service_ids.map(str::to_owned).collect();
        service_ids.extend(services.iter().map(|s| s.id.clone()));
        Self {
            groups,
            service_ids,
            guarded: guarded.collect(),
            services: services.into_iter().map(|s| (s.id.clone(), s)).collect(),
        }
    }

    /// The operation behind an action's name.
    #[must_use]
    pub fn operation(&self, action: &str) -> Option<(&Arc<Service>, &Operation)> {
        let (service, operation) = action.split_once(':')?;
        let service = self.services.get(service)?;
        Some((service, service.operations.get(operation)?))
    }

    /// Whether a service file guards the action.
    #[must_use]
    pub fn is_guarded(&self, action: &str) -> bool {
        self.guarded.contains(action)
    }

    /// Every action name, for suggestions.
    pub fn actions(&self) -> impl Iterator<Item = String> {
        self.services
            .values()
            .flat_map(|s| s.operations.keys().map(move |o| format!("{}:{o}", s.id)))
    }

    /// Names of action groups: classes, finer groups, services.
    pub fn action_groups(&self) -> impl Iterator<Item = String> {
        let classes = Class::ALL.iter().map(|c| c.as_str().to_owned());
        let groups = Group::ALL.iter().map(|g| g.as_str().to_owned());
        classes
            .chain(groups)
            .chain(self.service_ids.iter().map(|s| format!("{s}:*")))
    }

    /// The reduced schema for a policy set, in Cedar's schema syntax: the actions that it names, those whose input has a
    /// member that it reads, and one for the rest of each class and service. A call that isn't guarded isn't parsed: its
    /// input is empty here too, so that a policy which could never read it doesn't pass.
    #[must_use]
    pub fn schema(&self, wanted: &Wanted) -> String {
        let mut text = self.prelude();
        let nothing = Names::default();
        for service in self.services.values() {
            let mut represented = BTreeSet::new();
            for operation in service.operations.values() {
                let action = format!("{}:{}", service.id, operation.name);
                let guarded = operation.class.is_guarded()
                    || self.is_guarded(&action)
                    || wanted.guarded.contains(&action);
                let input = if guarded { &wanted.input } else { &nothing };
                let reads = service
                    .input(operation)
                    .is_some_and(|structure| reads_of(structure, input));
                if wanted.actions.contains(&action) || reads {
                    self.declare(&mut text, service, operation, &action, input);
                } else if represented.insert((operation.class, operation.group)) {
                    self.declare(&mut text, service, operation, &action, &nothing);
                }
            }
        }
        text
    }

    /// The schema of some services, whole, for an editor.
    #[must_use]
    pub fn whole(&self, services: &[String]) -> String {
        let mut text = self.prelude();
        for service in self
            .services
            .values()
            .filter(|s| services.is_empty() || services.contains(&s.id))
        {
            for operation in service.operations.values() {
                let action = format!("{}:{}", service.id, operation.name);
                self.declare(&mut text, service, operation, &action, &Names::All);
            }
        }
        text
    }

    fn prelude(&self) -> String {
        let mut text = format!(
            "entity Group enum [{}];\nentity Service enum [{}];\n{ENTITIES}",
            quoted(self.groups.iter().map(String::as_str)),
            quoted(self.service_ids.iter().map(String::as_str)),
        );
        let finer = Group::ALL
            .iter()
            .map(|g| g.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let classes = Class::ALL
            .iter()
            .map(|c| c.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let _ = writeln!(text, "action {classes};\naction {finer} in [disrupt];");
        let services = self
            .service_ids
            .iter()
            .map(|s| format!("{s}:*"))
            .collect::<Vec<_>>();
        let _ = writeln!(
            text,
            "action {};",
            quoted(services.iter().map(String::as_str))
        );
        text
    }

    fn declare(
        &self,
        text: &mut String,
        service: &Service,
        operation: &Operation,
        action: &str,
        input: &Names,
    ) {
        let group = operation
            .group
            .map_or_else(|| operation.class.as_str(), Group::as_str);
        let resource = if operation.class.is_guarded() {
            "Resource"
        } else {
            "Service"
        };
        let input = match service.input(operation) {
            Some(structure) => record(service, structure, input, &mut Vec::new()),
            None => "{}".to_owned(),
        };
        let _ = writeln!(
            text,
            "action {} in [{group}, {}] appliesTo {{ principal: [Caller], resource: [{resource}], context: {{ {CONTEXT}, input: {input} }} }};",
            quote(action),
            quote(&format!("{}:*", service.id)),
        );
    }
}

const ENTITIES: &str = "entity Account;
entity Caller in [Group] = { name: String };
entity Tags tags String;
entity Resource in [Resource, Service, Account] = {
  id: String, arn?: String, type: String, service: String, region: String, account: String, protected: Bool,
  billingMode?: String, runningMode?: String, state?: String, createdAt?: datetime,
} tags String;
type Source = { ip: ipaddr, userAgent?: String };
type Used = {};
";

const CONTEXT: &str = "batchSize: Long, now: datetime, source: Source, used: Used, approved: Bool, dryRun: Bool, \
                       selector: Bool, tagKeys: Set<String>, requestTags: Tags";

fn reads_of(input: &Structure, wanted: &Names) -> bool {
    input
        .members
        .iter()
        .any(|member| wanted.contains(&member.name))
}

/// The type of a structure, all of its members optional: an absent one is AWS's to refuse. At the top only the
/// members in `only`.
fn record(
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
pub(super) const DEPTH_MAX: usize = 16;

/// The Cedar type of a shape; `None` for what has none: documents, and shapes inside themselves.
fn cedar_type(service: &Service, id: ShapeId, within: &mut Vec<ShapeId>) -> Option<String> {
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
pub(super) fn is_typed(service: &Service, id: ShapeId, within: &mut Vec<ShapeId>) -> bool {
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

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quote).collect::<Vec<_>>().join(", ")
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.escape_debug())
}

#[cfg(test)]
mod tests;
