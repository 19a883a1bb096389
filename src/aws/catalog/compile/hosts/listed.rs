//! Hosts that are listed one by one: those of `endpoints.json`, which older SDKs call, and those of `hosts.toml`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::json::{items, members, text, texts};
use super::facts::{Extra, HostFacts};
use super::{CompileError, Making, Seen, Templates, name, region_in, with_prefixes, with_region};
use crate::aws::catalog::index::{Front, HostEntry, Meaning, Partition, RegionSet};

/// Which hosts, by template and partition, are signed for any region.
pub(super) type AnyRegion = BTreeSet<(String, usize)>;

/// The hosts that `endpoints.json` lists for a service's endpoint prefix.
pub(super) fn of_endpoints(making: &Making<'_>, endpoints: &Value, seen: &mut BTreeSet<Seen>) {
    let Some(prefix) = making
        .models
        .service
        .get("metadata")
        .and_then(|m| text(m, "endpointPrefix"))
    else {
        return;
    };
    let no_prefixes = BTreeSet::new();
    let prefixes = making
        .statics
        .iter()
        .find(|(set, _)| set.is_empty())
        .map_or(&no_prefixes, |(_, prefixes)| prefixes);
    for group in items(endpoints, "partitions") {
        let id = text(group, "partition");
        let mut partitions = making.partitions.iter().enumerate();
        let Some((at, partition)) = partitions.find(|(_, p)| Some(p.id.as_str()) == id) else {
            continue;
        };
        let Some(described) = group.get("services").and_then(|s| s.get(prefix)) else {
            continue;
        };
        let null = Value::Null;
        let own = described.get("defaults").unwrap_or(&null);
        let general = group.get("defaults").unwrap_or(&null);
        for (region, endpoint) in members(described, "endpoints") {
            let real = partition.regions.iter().any(|r| r == region);
            // `us-east-1-fips` and the like are names for the host that stands beside them, not regions.
            let levels = if real {
                vec![endpoint, own, general]
            } else {
                vec![endpoint]
            };
            let signed = levels
                .iter()
                .find_map(|l| l.get("credentialScope").and_then(|s| text(s, "region")));
            for tags in VARIANTS {
                for (hostname, suffix) in named(&levels, tags, partition) {
                    let host = hostname
                        .replace("{service}", prefix)
                        .replace("{region}", region)
                        .replace("{dnsSuffix}", &suffix);
                    let own = region_in(&host, partition);
                    let signed = signed.filter(|r| {
                        Some(*r) != own && (own.is_some() || *r != partition.global_region)
                    });
                    let varies = real && own == Some(region) && signed.is_none();
                    let template = if varies {
                        with_region(&host, region)
                    } else {
                        host
                    };
                    let one = Seen {
                        fips: tags.contains(&"fips") || region.contains("fips"),
                        dualstack: tags.contains(&"dualstack"),
                        region: signed.map(str::to_owned),
                        by_rules: false,
                        ..making.seen(template, at)
                    };
                    with_prefixes(one, prefixes, seen);
                }
            }
        }
    }
}

const VARIANTS: [&[&str]; 4] = [&[], &["fips"], &["dualstack"], &["dualstack", "fips"]];

/// The host names of a variant with its suffix, from the most particular level that names them; for the plain one also the
/// name that its certificate was made for, which SDKs once called it by.
fn named(levels: &[&Value], tags: &[&str], partition: &Partition) -> Vec<(String, String)> {
    if tags.is_empty() {
        return ["hostname", "sslCommonName"]
            .into_iter()
            .filter_map(|key| levels.iter().find_map(|l| text(l, key)))
            // A certificate's name that is the same everywhere is one region's host.
            .filter(|name| {
                name.contains('{') || levels.iter().any(|l| text(l, "hostname") == Some(name))
            })
            .map(|name| (name.to_owned(), partition.dns_suffix.clone()))
            .collect();
    }
    let variants = || {
        levels.iter().flat_map(|l| {
            items(l, "variants").filter(|v| {
                texts(v, "tags").collect::<BTreeSet<_>>() == tags.iter().copied().collect()
            })
        })
    };
    let Some(hostname) = variants().find_map(|v| text(v, "hostname")) else {
        return Vec::new();
    };
    let suffix = variants()
        .find_map(|v| text(v, "dnsSuffix"))
        .unwrap_or(&partition.dns_suffix);
    vec![(hostname.to_owned(), suffix.to_owned())]
}

/// The hosts that `hosts.toml` names for a service.
pub(super) fn of_facts(
    making: &Making<'_>,
    seen: &mut BTreeSet<Seen>,
    varying: &mut BTreeSet<String>,
) -> Result<(), CompileError> {
    let own = |e: &&Extra| e.services.contains(&making.models.id);
    for extra in making.facts.host.iter().filter(own) {
        for host in &extra.hosts {
            for (at, partition) in making.partitions.iter().enumerate() {
                for (host, region) in in_regions(host, extra, partition) {
                    let apart = apart(&host, partition, varying)?;
                    let meaning = extra
                        .bucket
                        .as_ref()
                        .map_or(Meaning::Free, |bucket| Meaning::Bucket(bucket.clone()));
                    seen.insert(Seen {
                        dualstack: extra.dualstack || host.contains("{dual}"),
                        region,
                        front: (!apart.front.is_empty()).then_some(Front {
                            text: apart.front,
                            meaning,
                        }),
                        ..making.seen(apart.template, at)
                    });
                }
            }
        }
    }
    Ok(())
}

/// A host in each region that it is limited to, with the region signed for; else as it is.
fn in_regions(host: &str, extra: &Extra, partition: &Partition) -> Vec<(String, Option<String>)> {
    if extra.regions.is_empty() {
        return vec![(host.to_owned(), extra.region.clone())];
    }
    extra
        .regions
        .iter()
        .filter(|r| partition.regions.contains(r))
        .map(|r| (host.replace("{region}", r), Some(r.clone())))
        .collect()
}

fn apart(
    host: &str,
    partition: &Partition,
    varying: &mut BTreeSet<String>,
) -> Result<name::Apart, CompileError> {
    let host = host
        .replace("{dns}", &partition.dns_suffix)
        .replace("{dual}", &partition.dual_stack_dns_suffix);
    name::apart(&host, partition, varying).ok_or_else(|| CompileError::Odd {
        service: "hosts.toml".to_owned(),
        what: format!("no service can be told by `{host}`"),
    })
}

/// The names of AWS's that stay without a model.
pub(super) fn unmodelled(
    facts: &HostFacts,
    partitions: &[Partition],
    seen: &mut BTreeSet<Seen>,
    varying: &mut BTreeSet<String>,
) -> Result<(), CompileError> {
    for host in &facts.unmodelled {
        for (at, partition) in partitions.iter().enumerate() {
            let apart = apart(host, partition, varying)?;
            seen.insert(Seen {
                template: apart.template,
                partition: at,
                service: None,
                alias: false,
                fips: false,
                dualstack: false,
                by_rules: false,
                region: None,
                signing_name: None,
                region_set: RegionSet::Never,
                front: None,
            });
        }
    }
    Ok(())
}

/// The hosts that are signed for any region.
pub(super) fn any_region(
    facts: &HostFacts,
    partitions: &[Partition],
    varying: &mut BTreeSet<String>,
) -> Result<AnyRegion, CompileError> {
    let mut found = AnyRegion::new();
    for host in &facts.any_region {
        for (at, partition) in partitions.iter().enumerate() {
            found.insert((apart(host, partition, varying)?.template, at));
        }
    }
    Ok(found)
}

/// Adds the two forms that AWS's first hosts had, `ec2.amazonaws.com` and `us-east-1.ec2.amazonaws.com`, of every regional host: what
/// answers there is that service, so that nobody's list may open a tunnel to it.
pub(super) fn first_names(templates: &mut Templates) {
    let mut more: BTreeMap<String, Vec<HostEntry>> = BTreeMap::new();
    for (template, entries) in &*templates {
        let labels: Vec<&str> = template.split('.').collect();
        let [name, "{region}", suffix @ "{dns}"] = labels[..] else {
            continue;
        };
        let entries = entries.iter().filter(|e| e.fronts.is_empty());
        let entries: Vec<HostEntry> = entries.cloned().collect();
        if entries.is_empty() || name.starts_with('*') {
            continue;
        }
        let global = format!("{name}.{suffix}");
        if !templates.contains_key(&format!("*.{global}")) {
            more.insert(format!("{{region}}.{global}"), entries.clone());
        }
        more.insert(global, entries);
    }
    for (template, entries) in more {
        templates.entry(template).or_insert(entries);
    }
}
