//! Rule sets, `endpoints.json` and `hosts.toml` → host templates.
//!
//! Each rule set is evaluated for every region of every partition, with and without FIPS and dual stack, and for each set of static
//! parameters that an operation has. URLs that need more than that (an account, a bucket) become templates that begin with `*.`.
//! `endpoints.json` adds hosts that older SDKs still call, `hosts.toml` those that no model names.

mod facts;
mod listed;
mod merge;
mod name;
mod walk;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::json::{items, members, owned};
use super::ruleset::Scope;
use super::{Common, CompileError, Models, Notes};
use crate::aws::catalog::index::{Entry, Front, HostEntry, Meaning, Partition, RegionSet};

pub use facts::HostFacts;

type Templates = HashMap<String, Vec<HostEntry>>;

/// One way in which a model makes a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    /// The host, with `{region}` where the region varies; `*.` for a front that varies.
    template: String,
    partition: usize,
    /// `None` for a name without a model.
    service: Option<usize>,
    /// Whether the service is another's alias, whose index `service` is.
    alias: bool,
    fips: bool,
    dualstack: bool,
    /// Whether a rule set says so, which knows better than a list.
    by_rules: bool,
    /// The region signed for, where it isn't the host's own.
    region: Option<String>,
    /// The service signed for, where it isn't the service's own name.
    signing_name: Option<String>,
    region_set: RegionSet,
    front: Option<Front>,
}

/// What the hosts of one service are made from.
struct Making<'a> {
    models: &'a Models,
    /// Its place in the index, or that of the service whose alias it is.
    service: usize,
    alias: bool,
    signing_name: &'a str,
    partitions: &'a [Partition],
    facts: &'a HostFacts,
    /// Every set of static parameters that operations have, with the host prefixes of those operations.
    statics: Vec<(BTreeMap<String, Value>, BTreeSet<String>)>,
}

impl Making<'_> {
    fn seen(&self, template: String, partition: usize) -> Seen {
        Seen {
            template,
            partition,
            service: Some(self.service),
            alias: self.alias,
            fips: false,
            dualstack: false,
            by_rules: true,
            region: None,
            signing_name: None,
            region_set: RegionSet::Never,
            front: None,
        }
    }

    /// The name of a scope, where it isn't the service's own.
    fn other_name(&self, found: Option<&str>) -> Option<String> {
        found
            .filter(|name| *name != self.signing_name)
            .map(str::to_owned)
    }

    /// Whether operations have this front as their host prefix.
    fn is_prefix(&self, front: &str) -> bool {
        let mut prefixes = self.statics.iter().flat_map(|(_, prefixes)| prefixes);
        prefixes.any(|p| name::by_last_names(p).eq_ignore_ascii_case(front))
    }
}

/// The partitions of `partitions.json`.
pub(super) fn partitions(json: &Value) -> Result<Vec<Partition>, CompileError> {
    items(json, "partitions")
        .map(|p| {
            let lacks = |what: &str| CompileError::Lacks {
                service: "partitions.json".to_owned(),
                what: what.to_owned(),
            };
            let outputs = p.get("outputs").ok_or_else(|| lacks("outputs"))?;
            let output = |key: &str| owned(outputs, key).ok_or_else(|| lacks(key));
            Ok(Partition {
                id: owned(p, "id").ok_or_else(|| lacks("id"))?,
                region_regex: owned(p, "regionRegex").ok_or_else(|| lacks("regionRegex"))?,
                dns_suffix: output("dnsSuffix")?,
                dual_stack_dns_suffix: output("dualStackDnsSuffix")?,
                global_region: output("implicitGlobalRegion")?,
                regions: members(p, "regions")
                    .map(|(name, _)| name.to_owned())
                    .filter(|name| !name.ends_with("-global"))
                    .collect(),
            })
        })
        .collect()
}

/// The host templates of all services, and the beginnings of labels that vary within them. `aliases` are the services
/// all of whose calls are another's.
pub(super) fn templates(
    common: &Common,
    all: &[Models],
    services: &[Entry],
    aliases: &BTreeMap<String, String>,
    notes: &mut Notes,
) -> Result<(Templates, Vec<String>), CompileError> {
    let partitions = partitions(&common.partitions)?;
    let mut seen = BTreeSet::new();
    let mut varying = BTreeSet::new();
    for models in all {
        let id = aliases.get(&models.id).unwrap_or(&models.id);
        let Some((service, entry)) = services.iter().enumerate().find(|(_, s)| s.id == *id) else {
            continue;
        };
        let making = Making {
            models,
            service,
            alias: *id != models.id,
            signing_name: &entry.signing_name,
            partitions: &partitions,
            facts: &common.hosts,
            statics: static_parameters(&models.service),
        };
        let mut own = BTreeSet::new();
        if let Some(set) = &models.endpoints {
            evaluated(&making, set, &mut own);
            let left_out = walk::urls(&making, set, &mut own, &mut varying);
            notes.hosts_left_out.extend(
                left_out
                    .into_iter()
                    .map(|url| format!("{}: {url}", models.id)),
            );
        }
        listed::of_endpoints(&making, &common.endpoints, &mut own);
        listed::of_facts(&making, &mut own, &mut varying)?;
        seen.extend(own);
    }
    listed::unmodelled(&common.hosts, &partitions, &mut seen, &mut varying)?;
    seen.retain(|one| !is_elsewhere(one, &partitions));
    let any_region = listed::any_region(&common.hosts, &partitions, &mut varying)?;
    let mut templates = merge::merge(&seen, &partitions, &any_region, notes);
    listed::first_names(&mut templates);
    Ok((templates, varying.into_iter().collect()))
}

/// Every set of static parameters that operations of a service have, and the empty one, with host prefixes.
fn static_parameters(model: &Value) -> Vec<(BTreeMap<String, Value>, BTreeSet<String>)> {
    let mut sets = vec![(BTreeMap::new(), BTreeSet::new())];
    for (_, operation) in members(model, "operations") {
        let set: BTreeMap<String, Value> = members(operation, "staticContextParams")
            .filter_map(|(name, p)| Some((name.to_owned(), p.get("value")?.clone())))
            .collect();
        let prefix = operation
            .get("endpoint")
            .and_then(|e| owned(e, "hostPrefix"));
        match sets.iter_mut().find(|(known, _)| *known == set) {
            Some((_, prefixes)) => prefixes.extend(prefix),
            None => sets.push((set, prefix.into_iter().collect())),
        }
    }
    for (set, prefixes) in sets.clone() {
        let mut global = set;
        global.insert("UseGlobalEndpoint".to_owned(), Value::Bool(true));
        sets.push((global, prefixes));
    }
    sets
}

/// The hosts that a rule set gives for nothing but a region, its variants and what operations fix.
fn evaluated(making: &Making<'_>, set: &Value, seen: &mut BTreeSet<Seen>) {
    for (at, partition) in making.partitions.iter().enumerate() {
        let pseudo = format!("{}-global", partition.id);
        for region in partition.regions.iter().chain([&pseudo]) {
            for (fips, dualstack) in [(false, false), (true, false), (false, true), (true, true)] {
                for (fixed, prefixes) in &making.statics {
                    let scope = Scope::new(set, making.partitions, region, fips, dualstack, fixed);
                    let Some(found) = scope.evaluate(set) else {
                        continue;
                    };
                    let Some(host) = host_of(&found.url) else {
                        continue;
                    };
                    let concrete = host.replace("{region}", region);
                    let own = region_in(&concrete, partition);
                    if host.contains("{region}") && *region == pseudo {
                        continue;
                    }
                    let signed = found.signing_region.filter(|r| {
                        Some(r.as_str()) != own && (own.is_some() || *r != partition.global_region)
                    });
                    // Signed for another region than its own: true of this host, not of the template.
                    let template = if signed.is_some() { concrete } else { host };
                    let one = Seen {
                        fips,
                        dualstack,
                        region: signed,
                        signing_name: making.other_name(found.signing_name.as_deref()),
                        region_set: found.region_set,
                        ..making.seen(template, at)
                    };
                    with_prefixes(one, prefixes, seen);
                }
            }
        }
    }
}

/// Adds a host, and again with each prefix that operations put in front.
fn with_prefixes(host: Seen, prefixes: &BTreeSet<String>, seen: &mut BTreeSet<Seen>) {
    for prefix in prefixes {
        let text = name::by_last_names(prefix);
        let before = if text.contains('{') { "*." } else { &text };
        seen.insert(Seen {
            template: format!("{before}{}", host.template),
            front: Some(Front {
                text: text.clone(),
                meaning: Meaning::Prefix,
            }),
            ..host.clone()
        });
    }
    seen.insert(host);
}

/// The host of a URL, with its variables.
fn host_of(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://")?;
    rest.split('/').next().map(str::to_owned)
}

/// Whether a host names a region of another partition than the one that a rule was evaluated for.
fn is_elsewhere(one: &Seen, partitions: &[Partition]) -> bool {
    let names = |p: &Partition| region_in(&one.template, p).is_some();
    let own = partitions.get(one.partition).is_some_and(names);
    !own && partitions.iter().any(names)
}

/// The region of a partition that is a label of a host, the last one.
fn region_in<'a>(host: &'a str, partition: &Partition) -> Option<&'a str> {
    host.split('.')
        .rev()
        .find(|label| partition.regions.iter().any(|r| r == label))
}

fn with_region(host: &str, region: &str) -> String {
    let mut labels: Vec<&str> = host.split('.').collect();
    if let Some(label) = labels.iter_mut().rev().find(|l| **l == region) {
        *label = "{region}";
    }
    labels.join(".")
}
