//! The Cedar schema, generated from catalog and configuration: what a policy may say.
//!
//! Validation runs on a reduced schema ([`Vocabulary::schema`]); a policy author's editor gets the whole of a service
//! ([`Vocabulary::whole`]).
//!
//! INVARIANT: a service is decoded only where a policy reads the inputs of its operations.

mod types;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::aws::catalog::{Brief, Catalog, CatalogError, Outline};
use crate::aws::class::{Class, Group};
use crate::aws::nearest::nearest;
use crate::guard::knowledge::Knowledge;
use crate::guard::reads::Names;

pub(super) use types::{DEPTH_MAX, is_typed};

/// A group that policies may always name, whether or not a caller is in it: the one that the starter set asks for.
pub const ADMINS: &str = "admins";

/// The words that policies are made of.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    groups: BTreeSet<String>,
    catalog: Arc<Catalog>,
    /// Reads and writes that service files guard.
    guarded: BTreeSet<String>,
}

/// What a policy set asks of the schema.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Actions and action groups that policies name, in a scope or in a condition.
    pub names: BTreeSet<String>,
    /// What policies read of `context.input`.
    pub inputs: Vec<InputRead>,
    /// Reads and writes that a policy guards, so that their input is there to be read.
    pub guarded: BTreeSet<String>,
}

/// What one policy reads of `context.input`, and for which actions.
#[derive(Debug, Clone)]
pub struct InputRead {
    /// The actions and groups of the policy's scope; `None` for every action.
    pub scope: Option<Vec<String>>,
    /// Top-level members.
    pub members: Names,
}

impl Vocabulary {
    /// Gathers the words. `groups` are those of the configuration.
    #[must_use]
    pub fn new<'a>(
        groups: impl Iterator<Item = &'a str>,
        catalog: Arc<Catalog>,
        knowledge: &Knowledge,
    ) -> Self {
        let guarded = knowledge.services().flat_map(|rules| {
            let guarded = rules.operations.iter().filter(|(_, rule)| rule.guarded);
            guarded.map(|(operation, _)| format!("{}:{operation}", rules.service))
        });
        let mut groups: BTreeSet<String> = groups.map(str::to_owned).collect();
        groups.insert(ADMINS.to_owned());
        Self {
            groups,
            catalog,
            guarded: guarded.collect(),
        }
    }

    /// The operation behind an action's name (`workspaces:TerminateWorkspaces`), in brief.
    #[must_use]
    pub fn operation(&self, action: &str) -> Option<Brief<'_>> {
        let (service, operation) = action.split_once(':')?;
        self.brief(service, operation)
    }

    /// Whether the catalog has the operation of that service.
    #[must_use]
    pub fn knows(&self, service: &str, operation: &str) -> bool {
        self.brief(service, operation).is_some()
    }

    fn brief(&self, service: &str, operation: &str) -> Option<Brief<'_>> {
        self.catalog.outline(service)?.operation(operation)
    }

    /// Whether a service file guards the action.
    #[must_use]
    pub fn is_guarded(&self, action: &str) -> bool {
        self.guarded.contains(action)
    }

    /// The name that calls have instead of an action's, or of a service's group, where they are another service's:
    /// `rds:DeleteDBCluster` for `docdb:DeleteDBCluster`, `rds:*` for `docdb:*`.
    #[must_use]
    pub fn alias(&self, action: &str) -> Option<String> {
        let (service, operation) = action.split_once(':')?;
        let named = self.catalog.alias(service);
        let named = named.or_else(|| self.catalog.alias(action))?;
        Some(format!("{named}:{operation}"))
    }

    /// Every action name.
    pub fn actions(&self) -> impl Iterator<Item = String> {
        let outlines = self.catalog.outlines();
        outlines.flat_map(|(id, outline)| outline.names().map(move |name| format!("{id}:{name}")))
    }

    /// Names of action groups: classes, finer groups, services.
    pub fn action_groups(&self) -> impl Iterator<Item = String> {
        let services = self.catalog.service_ids().map(|s| format!("{s}:*"));
        classes_and_groups().map(str::to_owned).chain(services)
    }

    /// Whether it's the name of an action group.
    #[must_use]
    pub fn is_group(&self, name: &str) -> bool {
        match name.strip_suffix(":*") {
            Some(service) => self.catalog.outline(service).is_some(),
            None => classes_and_groups().any(|group| group == name),
        }
    }

    /// The action or action group that was probably meant.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<String> {
        if name.contains(':') {
            self.catalog.nearest_action(name)
        } else {
            nearest(name, classes_and_groups()).map(str::to_owned)
        }
    }

    /// The groups of callers that there are, in their order: those of the configuration, and the admins.
    pub fn caller_groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(String::as_str)
    }

    /// The reduced schema for a policy set, in Cedar's schema syntax: the actions that it names, and of the others one
    /// for each kind (class and finer group, and what their inputs have of the members that policies read): of each service
    /// that it names, and of all the rest together. Policies can't tell others of a kind apart. A call that isn't guarded
    /// isn't parsed: its input is empty here too, so that a policy which could never read it doesn't pass.
    ///
    /// # Errors
    /// [`CatalogError`] where a service whose inputs are read can't be decoded.
    pub fn schema(&self, wanted: &Wanted) -> Result<String, CatalogError> {
        let mut reduction = Reduction {
            vocabulary: self,
            wanted,
            named: wanted.names.iter().filter_map(|n| service_of(n)).collect(),
            represented: BTreeSet::new(),
            text: self.prelude(),
        };
        for (id, outline) in self.catalog.outlines() {
            reduction.service(id, outline)?;
        }
        Ok(reduction.text)
    }

    /// The schema of some services, whole, for an editor; of all where none is named.
    ///
    /// # Errors
    /// [`CatalogError`] where one can't be decoded.
    pub fn whole(&self, services: &[String]) -> Result<String, CatalogError> {
        let mut text = self.prelude();
        for (id, outline) in self.catalog.outlines() {
            if services.is_empty() || services.iter().any(|s| s == id) {
                for brief in outline.operations() {
                    let input = self.input(id, brief.name, &Names::All)?;
                    declare(&mut text, id, brief, &input);
                }
            }
        }
        Ok(text)
    }

    /// The Cedar type of an operation's input, of the members in `only`.
    fn input(&self, service: &str, operation: &str, only: &Names) -> Result<String, CatalogError> {
        let damaged = || CatalogError::Damaged {
            what: format!("`{service}` lacks `{operation}`, which its outline has"),
        };
        let service = self.catalog.service(service)?.ok_or_else(damaged)?;
        let operation = service.operations.get(operation).ok_or_else(damaged)?;
        Ok(match service.input(operation) {
            Some(structure) => types::record(&service, structure, only, &mut Vec::new()),
            None => "{}".to_owned(),
        })
    }

    fn prelude(&self) -> String {
        let mut text = format!(
            "entity Group enum [{}];\nentity Service enum [{}];\n{ENTITIES}",
            quoted(self.groups.iter().map(String::as_str)),
            quoted(self.catalog.service_ids()),
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
        let services = self.catalog.service_ids().map(|s| format!("{s}:*"));
        let services = services.collect::<Vec<_>>();
        let _ = writeln!(
            text,
            "action {};",
            quoted(services.iter().map(String::as_str))
        );
        text
    }
}

/// A reduced schema in the making.
struct Reduction<'v> {
    vocabulary: &'v Vocabulary,
    wanted: &'v Wanted,
    /// The services of the actions and groups that policies name.
    named: BTreeSet<&'v str>,
    represented: BTreeSet<Kind<'v>>,
    text: String,
}

/// What policies can tell operations apart by that they don't name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind<'v> {
    /// `None` for the services that no policy names.
    service: Option<&'v str>,
    /// The kinds that calls can be of: `write|destroy`.
    kind: &'v str,
    /// The members of the input that policies read, with their types.
    members: Vec<&'v str>,
}

impl<'v> Reduction<'v> {
    fn service(&mut self, id: &'v str, outline: Outline<'v>) -> Result<(), CatalogError> {
        let named = self.named.contains(id);
        let reads = self.wanted.inputs.iter().filter(|read| read.reaches(id));
        let reads: Vec<&InputRead> = reads.collect();
        let service = named.then_some(id);
        if !named && reads.is_empty() {
            for brief in outline.firsts() {
                let kind = Kind::of(service, brief, Vec::new());
                if self.represented.insert(kind) {
                    declare(&mut self.text, id, brief, "{}");
                }
            }
            return Ok(());
        }
        for brief in outline.operations() {
            let action = format!("{id}:{}", brief.name);
            let of_action = reads.iter().filter(|read| read.covers(id, &action, brief));
            let members = of_action.fold(Names::default(), |mut all, read| {
                all.join(&read.members);
                all
            });
            let by_policy = self.wanted.guarded.contains(&action);
            let members =
                if brief.may_be_guarded() || by_policy || self.vocabulary.is_guarded(&action) {
                    members
                } else {
                    Names::default()
                };
            let read = brief.members().filter(|(name, _)| members.contains(name));
            let read: Vec<&str> = read.map(|(_, word)| word).collect();
            // The outline has no members of what only a policy or a service file guards.
            let by_itself = self.wanted.names.contains(&action)
                || (!brief.may_be_guarded() && !members.is_empty());
            let has_any = by_itself || !read.is_empty();
            if by_itself || self.represented.insert(Kind::of(service, brief, read)) {
                let input = if has_any && !members.is_empty() {
                    self.vocabulary.input(id, brief.name, &members)?
                } else {
                    "{}".to_owned()
                };
                declare(&mut self.text, id, brief, &input);
            }
        }
        Ok(())
    }
}

impl<'v> Kind<'v> {
    fn of(service: Option<&'v str>, brief: Brief<'v>, members: Vec<&'v str>) -> Self {
        Self {
            service,
            kind: brief.kind,
            members,
        }
    }
}

impl InputRead {
    /// Whether the policy can apply to any operation of the service.
    fn reaches(&self, service: &str) -> bool {
        let reaches = |name: &String| service_of(name).is_none_or(|of| of == service);
        self.scope
            .as_ref()
            .is_none_or(|names| names.iter().any(reaches))
    }

    /// Whether the policy can apply to the operation.
    fn covers(&self, service: &str, action: &str, brief: Brief<'_>) -> bool {
        let covers = |name: &String| {
            name == action
                || brief.kinds().any(|kind| name == kind)
                || brief.classes().any(|class| name == class.as_str())
                || name.strip_suffix(":*") == Some(service)
        };
        self.scope
            .as_ref()
            .is_none_or(|names| names.iter().any(covers))
    }
}

/// The service that an action or an action group belongs to; `None` for a class.
fn service_of(name: &str) -> Option<&str> {
    name.split_once(':').map(|(service, _)| service)
}

fn classes_and_groups() -> impl Iterator<Item = &'static str> {
    let classes = Class::ALL.iter().map(|c| c.as_str());
    classes.chain(Group::ALL.iter().map(|g| g.as_str()))
}

fn declare(text: &mut String, service: &str, brief: Brief<'_>, input: &str) {
    let kinds: Vec<&str> = brief.kinds().collect();
    let resource = if brief.may_be_guarded() {
        "Resource"
    } else {
        "Service"
    };
    let _ = writeln!(
        text,
        "action {} in [{}, {}] appliesTo {{ principal: [Caller], resource: [{resource}], context: {{ {CONTEXT}, input: {input} }} }};",
        quote(&format!("{service}:{}", brief.name)),
        kinds.join(", "),
        quote(&format!("{service}:*")),
    );
}

const ENTITIES: &str = "entity Account;
entity Caller in [Group] = { name: String };
entity Tags tags String;
entity Resource in [Resource, Service, Account] = {
  id: String, arn?: String, type: String, service: String, region: String, account: String, protected: Bool,
  billingMode?: String, runningMode?: String, state?: String, createdAt?: datetime,
  deletionProtection?: Bool, resourceCount?: Long, versioning?: String, empty?: Bool,
} tags String;
type Source = { ip: ipaddr, userAgent?: String };
type Used = {};
";

const CONTEXT: &str = "batchSize: Long, now: datetime, source: Source, used: Used, approved: Bool, dryRun: Bool, \
                       selector: Bool, tagKeys: Set<String>, requestTags: Tags";

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quote).collect::<Vec<_>>().join(", ")
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.escape_debug())
}

#[cfg(test)]
mod tests;
