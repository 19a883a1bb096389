//! botocore's models → the catalog, as a pure transformation: text in, values out.
//!
//! The models are those of the botocore package (Apache-2.0): `service-2.json`, `endpoint-rule-set-1.json`,
//! `partitions.json`, `endpoints.json`. Judgement that models don't hold comes from [`Data`]:
//! classes, where resources stand, what kind of things they are and how they are spelt.

mod alias;
mod conditions;
mod hosts;
mod json;
mod loose;
mod members;
mod names;
mod older;
mod own;
mod places;
mod resource;
mod rules;
mod ruleset;
mod service;
mod tag_reads;
mod types;
mod wire;
mod words;

use serde_json::Value;

pub use alias::fold;
pub use hosts::HostFacts;
pub use names::{Names, NamesError};
pub use own::{Own, OwnError};
pub use places::{Places, PlacesError};
pub use resource::is_about_account;
pub use rules::{Kind, Rules, RulesError, Source};
pub use types::{Handler, Handlers, Schema, Types, TypesError};

use super::index::{Blob, Entry, Index};
use super::model::Service;

/// The models of one service.
#[derive(Debug, Clone)]
pub struct Models {
    /// The service's folder in botocore: `workspaces-instances`.
    pub id: String,
    /// `service-2.json`.
    pub service: Value,
    /// `endpoint-rule-set-1.json`, where the service has one.
    pub endpoints: Option<Value>,
}

/// What is common to all services.
#[derive(Debug, Clone)]
pub struct Common {
    /// `botocore-1.44.5`.
    pub version: String,
    /// `partitions.json`.
    pub partitions: Value,
    /// `endpoints.json`.
    pub endpoints: Value,
    /// What isn't in the package.
    pub hosts: HostFacts,
}

/// What models don't say: the judgement that makes a catalog of them.
#[derive(Debug, Clone)]
pub struct Data {
    /// Which class an operation is in.
    pub rules: Rules,
    /// Where its resources stand.
    pub places: Places,
    /// What kind of things they are.
    pub types: Types,
    /// How those are spelt.
    pub names: Names,
    /// What models get besides.
    pub own: Own,
}

/// Why models don't make a catalog.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    #[error("`{service}`: the model lacks {what}")]
    Lacks { service: String, what: String },
    #[error("`{service}`: {what}")]
    Odd { service: String, what: String },
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error(transparent)]
    Places(#[from] PlacesError),
    #[error("config/own.toml: {0}")]
    Own(#[from] OwnError),
}

/// What a person should look at after a build. None of it makes the catalog wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notes {
    /// `service:Operation` whose verb no rule lists: taken as `write`.
    pub unlisted: Vec<String>,
    /// `service:Operation` that the model calls readonly and the rules don't class as a read.
    pub readonly_but: Vec<(String, Kind)>,
    /// Guarded `service:Operation` in which no resource was found.
    pub nameless: Vec<String>,
    /// URLs of rule sets that no template can hold, with their service.
    pub hosts_left_out: Vec<String>,
}

/// Reads one service whole: metadata, operations with class and resource rule, shapes.
///
/// # Errors
/// [`CompileError`] where the model isn't as botocore's are, or the rules don't fit it.
pub fn service(models: &Models, data: &Data, notes: &mut Notes) -> Result<Service, CompileError> {
    let service = service::compile(&models.id, &models.service, data, notes)?;
    conditions::check(&service, &data.rules)?;
    Ok(service)
}

/// What an older model added to a service: names of its operations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Added {
    /// Operations that today's model has no more.
    pub gone: Vec<String>,
    /// Operations that older SDKs send in another form, once for each.
    pub forms: Vec<String>,
}

/// Reads a service that today's package has no more, from the newest older one that has it.
///
/// # Errors
/// As for [`service()`].
pub fn gone(
    models: &Models,
    release: &str,
    data: &Data,
    notes: &mut Notes,
) -> Result<Service, CompileError> {
    let mut service = service::compile_older(&models.id, &models.service, data, notes)?;
    for operation in service.operations.values_mut() {
        operation.gone = Some(release.to_owned());
    }
    Ok(service)
}

/// Adds to a service what an older model has and the service hasn't: operations, routes, protocols. `release` is the one
/// that the older models are of: `botocore-1.34.162`. Newer releases go first.
///
/// # Errors
/// As for [`service`]; the service is unchanged then.
pub fn add_older(
    service: &mut Service,
    models: &Models,
    release: &str,
    data: &Data,
    notes: &mut Notes,
) -> Result<Added, CompileError> {
    if !older::may_add(service, &models.service) {
        return Ok(Added::default());
    }
    let mut of_old = Notes::default();
    let old = service::compile_older(&models.id, &models.service, data, &mut of_old)?;
    let (gone, forms) = older::add(service, &old, release);
    let added: std::collections::BTreeSet<String> = gone
        .iter()
        .map(|name| format!("{}:{name}", service.id))
        .collect();
    let is_added = |name: &String| added.contains(name);
    notes
        .unlisted
        .extend(of_old.unlisted.into_iter().filter(is_added));
    notes
        .nameless
        .extend(of_old.nameless.into_iter().filter(is_added));
    let readonly_but = of_old.readonly_but.into_iter();
    notes
        .readonly_but
        .extend(readonly_but.filter(|(name, _)| added.contains(name)));
    Ok(Added { gone, forms })
}

/// Makes the index: partitions, hosts and metadata of all services.
///
/// # Errors
/// [`CompileError`] where a model isn't as botocore's are.
pub fn index(common: &Common, all: &[Models], notes: &mut Notes) -> Result<Index, CompileError> {
    let mut services = all
        .iter()
        .map(|m| Ok(Entry::of(&service::metadata(&m.id, &m.service)?)))
        .collect::<Result<Vec<_>, CompileError>>()?;
    services.sort_by(|a, b| a.id.cmp(&b.id));
    let partitions = hosts::partitions(&common.partitions)?;
    let aliases = alias::named(all, common.hosts.aliases())?;
    let (hosts, varying_labels) = hosts::templates(common, all, &services, &aliases, notes)?;
    Ok(Index {
        version: common.version.clone(),
        older: Vec::new(),
        partitions,
        services,
        varying_labels,
        outlines: Blob::default(),
        hosts,
        aliases,
        private_link: common.hosts.private_link().clone(),
    })
}
