//! Rule sets and `endpoints.json` → host templates.
//!
//! Each rule set is evaluated for every region of every partition, with and without FIPS and dual stack, and for each set of static
//! parameters that an operation has. URLs that need more than that (an account, a bucket) become templates that begin with `*.`.
//! `endpoints.json` adds hosts that older SDKs still call.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::json::{items, members, owned, text, texts};
use super::ruleset::{Piece, Scope, pieces};
use super::{Common, CompileError, Models, Notes};
use crate::aws::catalog::index::{Entry, HostEntry, Partition};

type Templates = HashMap<String, Vec<HostEntry>>;

/// One way in which a model makes a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    /// The host, with `{region}` where the region varies.
    template: String,
    partition: usize,
    service: usize,
    fips: bool,
    dualstack: bool,
    /// The region signed for, where it isn't the host's own.
    region: Option<String>,
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

/// The host templates of all services, and the beginnings of labels that vary within them.
pub(super) fn templates(
    common: &Common,
    all: &[Models],
    services: &[Entry],
    notes: &mut Notes,
) -> Result<(Templates, Vec<String>), CompileError> {
    let partitions = partitions(&common.partitions)?;
    let mut seen = BTreeSet::new();
    let mut varying = BTreeSet::new();
    for models in all {
        let Some(service) = services.iter().position(|s| s.id == models.id) else {
            continue;
        };
        let mut own = BTreeSet::new();
        let statics = static_parameters(&models.service);
        if let Some(set) = &models.endpoints {
            evaluated(set, service, &partitions, &statics, &mut own);
            let mut walk = Walk {
                service,
                partitions: &partitions,
                statics: &statics,
                seen: &mut own,
                varying: &mut varying,
                left_out: BTreeSet::new(),
            };
            walk.rules(set, &Path::default());
            let left_out = walk.left_out.into_iter();
            notes
                .hosts_left_out
                .extend(left_out.map(|url| format!("{}: {url}", models.id)));
        }
        listed(&common.endpoints, models, service, &partitions, &mut own);
        prefixed(&models.service, &mut own);
        seen.extend(own);
    }
    Ok((merge(&seen, &partitions), varying.into_iter().collect()))
}

/// Every set of static parameters that operations of a service have, and the empty one.
fn static_parameters(model: &Value) -> Vec<BTreeMap<String, Value>> {
    let mut sets = vec![BTreeMap::new()];
    for (_, operation) in members(model, "operations") {
        let set: BTreeMap<String, Value> = members(operation, "staticContextParams")
            .filter_map(|(name, p)| Some((name.to_owned(), p.get("value")?.clone())))
            .collect();
        if !sets.contains(&set) {
            sets.push(set);
        }
    }
    for set in sets.clone() {
        let mut global = set;
        global.insert("UseGlobalEndpoint".to_owned(), Value::Bool(true));
        sets.push(global);
    }
    sets
}

fn evaluated(
    set: &Value,
    service: usize,
    partitions: &[Partition],
    statics: &[BTreeMap<String, Value>],
    seen: &mut BTreeSet<Seen>,
) {
    for (at, partition) in partitions.iter().enumerate() {
        let pseudo = format!("{}-global", partition.id);
        for region in partition.regions.iter().chain([&pseudo]) {
            for (fips, dualstack) in [(false, false), (true, false), (false, true), (true, true)] {
                for fixed in statics {
                    let scope = Scope::new(set, partitions, region, fips, dualstack, fixed);
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
                    let template = if signed.is_some() {
                        concrete.clone()
                    } else {
                        host
                    };
                    seen.insert(Seen {
                        template,
                        partition: at,
                        service,
                        fips,
                        dualstack,
                        region: signed,
                    });
                }
            }
        }
    }
}

/// What the conditions on the way to a rule say.
#[derive(Debug, Clone, Default)]
struct Path {
    fips: bool,
    dualstack: bool,
    /// The partition that is asked for by name.
    partition: Option<String>,
}

/// Collects the URLs of a rule set that need more parameters than an evaluation sets.
struct Walk<'a> {
    service: usize,
    partitions: &'a [Partition],
    statics: &'a [BTreeMap<String, Value>],
    seen: &'a mut BTreeSet<Seen>,
    varying: &'a mut BTreeSet<String>,
    left_out: BTreeSet<String>,
}

impl Walk<'_> {
    fn rules(&mut self, parent: &Value, path: &Path) {
        for rule in items(parent, "rules") {
            let mut path = path.clone();
            for condition in items(rule, "conditions") {
                path.learn(condition);
            }
            if let Some(url) = rule.get("endpoint").and_then(|e| text(e, "url")) {
                self.url(url, &path);
            }
            self.rules(rule, &path);
        }
    }

    fn url(&mut self, url: &str, path: &Path) {
        let plain = |p: &Piece<'_>| match p {
            Piece::Literal(_) => true,
            Piece::Variable(v) => {
                *v == "Region" || v.ends_with("DnsSuffix") || v.ends_with("#dnsSuffix")
            }
        };
        let Some(host) = host_of(url) else {
            return;
        };
        let parts = pieces(&host);
        // An endpoint that the caller brings is no host of AWS's.
        let brought = |p: &Piece<'_>| matches!(p, Piece::Variable(v) if v.starts_with("url#") || *v == "Endpoint");
        if parts.iter().all(plain) || parts.iter().any(brought) {
            return;
        }
        for (at, partition) in self.partitions.iter().enumerate() {
            if path
                .partition
                .as_ref()
                .is_some_and(|id| *id != partition.id)
            {
                continue;
            }
            for host in self.filled(&parts, partition) {
                match self.template(&host, partition) {
                    Some(template) => {
                        self.seen.insert(Seen {
                            template,
                            partition: at,
                            service: self.service,
                            fips: path.fips,
                            dualstack: path.dualstack,
                            region: None,
                        });
                    }
                    None => {
                        self.left_out.insert(url.to_owned());
                    }
                }
            }
        }
    }

    /// The hosts of a URL with its region as `{region}`, values that operations fix filled in, and `*` for what varies.
    fn filled(&self, parts: &[Piece<'_>], partition: &Partition) -> BTreeSet<String> {
        let mut hosts = BTreeSet::from([String::new()]);
        for part in parts {
            let values: BTreeSet<String> = match part {
                Piece::Literal(text) => BTreeSet::from([(*text).to_owned()]),
                Piece::Variable(name) => match *name {
                    "Region" => BTreeSet::from(["{region}".to_owned()]),
                    n if n.ends_with("#region") => BTreeSet::from(["{region}".to_owned()]),
                    n if n.ends_with("#dnsSuffix") => {
                        BTreeSet::from([partition.dns_suffix.clone()])
                    }
                    n if n.ends_with("#dualStackDnsSuffix") => {
                        BTreeSet::from([partition.dual_stack_dns_suffix.clone()])
                    }
                    n if n.ends_with("#implicitGlobalRegion") => {
                        BTreeSet::from([partition.global_region.clone()])
                    }
                    n => {
                        let fixed: BTreeSet<String> = self
                            .statics
                            .iter()
                            .filter_map(|set| set.get(n).and_then(Value::as_str))
                            .map(str::to_owned)
                            .collect();
                        if fixed.is_empty() {
                            BTreeSet::from(["*".to_owned()])
                        } else {
                            fixed
                        }
                    }
                },
            };
            hosts = hosts
                .iter()
                .flat_map(|host| values.iter().map(move |v| format!("{host}{v}")))
                .collect();
        }
        hosts
    }

    /// Labels that vary whole become one `*.` in front; one that begins with a fixed text is noted as varying.
    /// `None` where the rest wouldn't tell a service.
    fn template(&mut self, host: &str, partition: &Partition) -> Option<String> {
        let mut labels: Vec<String> = Vec::new();
        let mut front = false;
        for label in host.split('.') {
            let Some((beginning, _)) = label.split_once('*') else {
                labels.push(label.to_owned());
                continue;
            };
            if !beginning.is_empty() {
                self.varying.insert(beginning.to_owned());
                labels.push(format!("{beginning}*"));
            } else if labels.is_empty() {
                front = true;
            } else {
                return None;
            }
        }
        let rest = labels.join(".");
        let own = rest
            .strip_suffix(&partition.dns_suffix)
            .or_else(|| rest.strip_suffix(&partition.dual_stack_dns_suffix))
            .unwrap_or(&rest);
        let telling = own.split('.').any(|l| !l.is_empty() && l != "{region}");
        telling.then(|| format!("{}{rest}", if front { "*." } else { "" }))
    }
}

impl Path {
    fn learn(&mut self, condition: &Value) {
        let argv: Vec<&Value> = items(condition, "argv").collect();
        let (Some(what), Some(value)) = (argv.first(), argv.get(1)) else {
            return;
        };
        match text(condition, "fn") {
            Some("booleanEquals") if value.as_bool() == Some(true) => match text(what, "ref") {
                Some("UseFIPS") => self.fips = true,
                Some("UseDualStack") => self.dualstack = true,
                Some(_) | None => {}
            },
            Some("stringEquals") => {
                let of_name = items(what, "argv").any(|a| a.as_str() == Some("name"));
                if of_name {
                    self.partition = value.as_str().map(str::to_owned);
                }
            }
            Some(_) | None => {}
        }
    }
}

/// The hosts that `endpoints.json` lists for a service's endpoint prefix.
fn listed(
    endpoints: &Value,
    models: &Models,
    service: usize,
    partitions: &[Partition],
    seen: &mut BTreeSet<Seen>,
) {
    let Some(prefix) = models
        .service
        .get("metadata")
        .and_then(|m| text(m, "endpointPrefix"))
    else {
        return;
    };
    for group in items(endpoints, "partitions") {
        let id = text(group, "partition");
        let Some((at, partition)) = partitions
            .iter()
            .enumerate()
            .find(|(_, p)| Some(p.id.as_str()) == id)
        else {
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
            for tags in [
                vec![],
                vec!["fips"],
                vec!["dualstack"],
                vec!["dualstack", "fips"],
            ] {
                let Some((hostname, suffix)) = named(&levels, &tags, partition) else {
                    continue;
                };
                let fill = |r: &str| {
                    hostname
                        .replace("{service}", prefix)
                        .replace("{region}", r)
                        .replace("{dnsSuffix}", &suffix)
                };
                let host = fill(region);
                let own = region_in(&host, partition);
                let signed = signed
                    .filter(|r| Some(*r) != own && (own.is_some() || *r != partition.global_region))
                    .map(str::to_owned);
                let varies = real && own == Some(region) && signed.is_none();
                seen.insert(Seen {
                    template: if varies {
                        with_region(&host, region)
                    } else {
                        host
                    },
                    partition: at,
                    service,
                    fips: tags.contains(&"fips") || region.contains("fips"),
                    dualstack: tags.contains(&"dualstack"),
                    region: signed,
                });
            }
        }
    }
}

/// The host name of a variant and its suffix, from the most particular level that names them.
fn named(levels: &[&Value], tags: &[&str], partition: &Partition) -> Option<(String, String)> {
    if tags.is_empty() {
        let hostname = levels.iter().find_map(|l| text(l, "hostname"))?;
        return Some((hostname.to_owned(), partition.dns_suffix.clone()));
    }
    let variants = || {
        levels.iter().flat_map(|l| {
            items(l, "variants").filter(|v| {
                texts(v, "tags").collect::<BTreeSet<_>>() == tags.iter().copied().collect()
            })
        })
    };
    let hostname = variants().find_map(|v| text(v, "hostname"))?;
    let suffix = variants()
        .find_map(|v| text(v, "dnsSuffix"))
        .unwrap_or(&partition.dns_suffix);
    Some((hostname.to_owned(), suffix.to_owned()))
}

/// Adds each host again with the prefixes that operations put in front.
fn prefixed(model: &Value, seen: &mut BTreeSet<Seen>) {
    let prefixes: BTreeSet<&str> = members(model, "operations")
        .filter_map(|(_, o)| o.get("endpoint").and_then(|e| text(e, "hostPrefix")))
        .collect();
    let plain: Vec<Seen> = seen
        .iter()
        .filter(|s| !s.template.starts_with("*."))
        .cloned()
        .collect();
    for prefix in prefixes {
        let front = if prefix.contains('{') { "*." } else { prefix };
        for host in &plain {
            let mut host = host.clone();
            host.template = format!("{front}{}", host.template);
            seen.insert(host);
        }
    }
}

/// One entry for each template and partition. A host that is said to be signed for a region of its own, or that stands for itself, is kept
/// beside its template only if the template says something else of it; it then names the template's services too.
fn merge(seen: &BTreeSet<Seen>, partitions: &[Partition]) -> Templates {
    let mut found: BTreeMap<(String, usize), HostEntry> = BTreeMap::new();
    for one in seen {
        let entry = found
            .entry((one.template.clone(), one.partition))
            .or_insert_with(|| HostEntry {
                partitions: vec![one.partition],
                services: Vec::new(),
                region: one.region.clone(),
                fips: one.fips,
                dualstack: one.dualstack,
            });
        if !entry.services.contains(&one.service) {
            entry.services.push(one.service);
            entry.services.sort_unstable();
        }
        // What only some of the ways say isn't so of the host.
        entry.fips &= one.fips;
        entry.dualstack &= one.dualstack;
        if entry.region.is_none() {
            entry.region.clone_from(&one.region);
        }
    }
    let general = found.clone();
    let mut templates = Templates::new();
    for ((template, at), mut entry) in found {
        let own = partitions
            .get(at)
            .and_then(|p| region_in(&template, p))
            .map(|region| with_region(&template, region));
        if let Some(of_all) = own.and_then(|t| general.get(&(t, at))) {
            let adds = entry.services.iter().any(|s| !of_all.services.contains(s));
            if !adds && entry.region.is_none() {
                continue;
            }
            entry.services.extend(&of_all.services);
            entry.services.sort_unstable();
            entry.services.dedup();
        }
        let template = partitions
            .get(at)
            .map_or_else(|| template.clone(), |p| with_suffix(&template, p));
        let entries = templates.entry(template).or_default();
        let alike = entries.iter_mut().find(|e| {
            (&e.services, &e.region, e.fips, e.dualstack)
                == (&entry.services, &entry.region, entry.fips, entry.dualstack)
        });
        match alike {
            Some(alike) => alike.partitions.push(at),
            None => entries.push(entry),
        }
    }
    for entries in templates.values_mut() {
        entries
            .iter_mut()
            .for_each(|e| e.partitions.sort_unstable());
        entries.sort_by(|a, b| a.partitions.cmp(&b.partitions));
    }
    templates
}

/// A template with its partition's suffix as `{dns}` or `{dual}`.
fn with_suffix(template: &str, partition: &Partition) -> String {
    let cut = |suffix: &str| {
        template
            .strip_suffix(suffix)
            .filter(|stem| stem.ends_with('.'))
    };
    if let Some(stem) = cut(&partition.dns_suffix) {
        format!("{stem}{{dns}}")
    } else if let Some(stem) = cut(&partition.dual_stack_dns_suffix) {
        format!("{stem}{{dual}}")
    } else {
        template.to_owned()
    }
}

/// The host of a URL, with its variables.
fn host_of(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://")?;
    rest.split('/').next().map(str::to_owned)
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
