//! The table of host templates, and how a host is found in it: [`Hosts`].

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt as _};
use regex::{Regex, RegexBuilder};

use super::front::{Pattern, Read};
use super::private_link::{self, VpcEndpoint};
use super::recent::Recent;
use super::{AWS_SUFFIXES, Addressed, Endpoint, Resolved, ScopeError};
use crate::aws::catalog::CatalogError;
use crate::aws::catalog::index::{HostEntry, Partition};
use crate::aws::catalog::model::Service;
use crate::aws::host::Host;
use crate::aws::sigv4::Scope;

/// How many of a host's labels may be taken for its region, from the right: a bucket may be called like one.
const REGION_LABELS_MAX: usize = 2;

/// The hosts of a catalog.
#[derive(Debug)]
pub(crate) struct Hosts {
    partitions: Vec<(Partition, Regex)>,
    regions: HashMap<String, usize>,
    varying_labels: Vec<String>,
    /// Most have one entry: a slice holds no more.
    templates: HashMap<String, Box<[Known]>>,
    /// The labels of the longest template.
    labels_max: usize,
    services: Vec<String>,
    /// By service: the label before a VPC endpoint's id → the label of the host that it stands for.
    private_link: BTreeMap<String, BTreeMap<String, String>>,
    vpc_endpoints: Vec<VpcEndpoint>,
    recent: Recent,
}

/// An entry with its fronts ready.
#[derive(Debug)]
struct Known {
    entry: HostEntry,
    fronts: Vec<Pattern>,
}

impl Hosts {
    /// Takes an index's hosts. `services` are the ids that entries point to.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] where an entry points nowhere or a region's pattern isn't one.
    pub(crate) fn new(
        partitions: Vec<Partition>,
        varying_labels: Vec<String>,
        templates: std::collections::HashMap<String, Vec<HostEntry>>,
        services: Vec<String>,
        private_link: BTreeMap<String, BTreeMap<String, String>>,
    ) -> Result<Self, CatalogError> {
        let damaged = |what: String| CatalogError::Damaged { what };
        for entry in templates.values().flatten() {
            let known = entry.partitions.iter().all(|&p| p < partitions.len())
                && !entry.partitions.is_empty()
                && entry.services.iter().all(|&s| s < services.len());
            if !known {
                return Err(damaged("a host points to no service".to_owned()));
            }
        }
        let regions = partitions
            .iter()
            .enumerate()
            .flat_map(|(at, p)| p.regions.iter().map(move |r| (r.clone(), at)))
            .collect();
        let partitions = partitions
            .into_iter()
            .map(|p| match region_of(&p) {
                Ok(regex) => Ok((p, regex)),
                Err(e) => Err(damaged(format!("the regions of `{}`: {e}", p.id))),
            })
            .collect::<Result<_, _>>()?;
        let labels = templates.keys().map(|t| t.split('.').count());
        let labels_max = labels.max().unwrap_or(0);
        let mut made = HashMap::new();
        let mut known = |mut entry: HostEntry| {
            let fronts = std::mem::take(&mut entry.fronts).into_iter();
            let fronts = fronts.map(|front| Pattern::new(front, &mut made));
            let fronts = fronts.collect::<Result<_, _>>()?;
            Ok(Known { entry, fronts })
        };
        let templates = templates
            .into_iter()
            .map(|(template, entries)| {
                let entries: Result<_, CatalogError> =
                    entries.into_iter().map(&mut known).collect();
                Ok((template, entries?))
            })
            .collect::<Result<_, CatalogError>>()?;
        Ok(Self {
            partitions,
            regions,
            varying_labels,
            labels_max,
            templates,
            services,
            private_link,
            vpc_endpoints: Vec::new(),
            recent: Recent::default(),
        })
    }

    /// Takes these VPC endpoints' names for those of the services behind them.
    pub(crate) fn declare(&mut self, vpc_endpoints: Vec<VpcEndpoint>) {
        self.vpc_endpoints = vpc_endpoints;
        self.recent.forget();
    }

    /// Holds a credential scope against the endpoint; the endpoint is that of the scope's region afterwards.
    ///
    /// # Errors
    /// [`ScopeError`].
    pub(crate) fn hold(
        &self,
        endpoint: &mut Endpoint,
        service: &Service,
        scope: &Scope,
    ) -> Result<(), ScopeError> {
        let of_partition = || {
            self.partition_of(&scope.region)
                .and_then(|at| self.partitions.get(at))
                .is_some_and(|(p, _)| p.id == endpoint.partition)
        };
        if !scope.covers(&endpoint.region) {
            if !endpoint.any_region || !of_partition() {
                return Err(ScopeError::Region {
                    found: scope.region.clone(),
                    expected: endpoint.region.clone(),
                });
            }
            endpoint.region.clone_from(&scope.region);
        }
        let expected = endpoint.signing_name(service);
        if scope.service != expected {
            return Err(ScopeError::Service {
                found: scope.service.clone(),
                expected: expected.to_owned(),
            });
        }
        Ok(())
    }

    /// The service's own host in the place of another: the same partition and region, and FIPS and dual stack alike
    /// where there is such a one.
    pub(crate) fn beside(&self, service: &str, near: &Endpoint) -> Option<Endpoint> {
        let of = self.services.iter().position(|s| s == service)?;
        let at = self
            .partitions
            .iter()
            .position(|(p, _)| p.id == near.partition)?;
        let (partition, _) = self.partitions.get(at)?;
        let mut found: Vec<(bool, bool, bool, usize, &String)> = self
            .templates
            .iter()
            .filter(|(template, _)| !template.contains('*'))
            .filter(|(_, known)| {
                known.iter().any(|k| {
                    k.entry.services.contains(&of)
                        && k.entry.partitions.contains(&at)
                        && k.fronts.is_empty()
                })
            })
            .map(|(template, known)| {
                let is = |flag: fn(&HostEntry) -> bool| known.iter().any(|k| flag(&k.entry));
                (
                    !template.contains("{region}"),
                    is(|e| e.fips) != near.fips,
                    is(|e| e.dualstack) != near.dualstack,
                    template.len(),
                    template,
                )
            })
            .collect();
        found.sort_unstable();
        found.into_iter().find_map(|(.., template)| {
            let host = template
                .replace("{region}", &near.region)
                .replace("{dns}", &partition.dns_suffix)
                .replace("{dual}", &partition.dual_stack_dns_suffix);
            self.find(&Host::parse(&host).ok()?)
                .and_then(|resolved| match resolved {
                    Resolved::Api(endpoint) => Some(endpoint),
                    Resolved::Unmodelled | Resolved::Foreign => None,
                })
                .filter(|e| e.partition == near.partition)
        })
    }

    /// Which API a host is.
    pub(crate) fn resolve(&self, host: &Host) -> Resolved {
        if let Some(endpoint) = self.recent.find(host) {
            return Resolved::Api(endpoint);
        }
        let resolved = self.look_up(host);
        if let Resolved::Api(endpoint) = &resolved {
            self.recent.keep(host, endpoint);
        }
        resolved
    }

    fn look_up(&self, host: &Host) -> Resolved {
        if host.ip().is_some() {
            return Resolved::Foreign;
        }
        if let Some(endpoint) = self.private(host) {
            return Resolved::Api(endpoint);
        }
        if let Some(found) = self.find(host) {
            return found;
        }
        let aws = self
            .partition_suffixes()
            .chain(AWS_SUFFIXES)
            .any(|suffix| is_under(host.as_str(), suffix));
        if aws {
            Resolved::Unmodelled
        } else {
            Resolved::Foreign
        }
    }

    /// The suffixes of the partitions; one that two partitions share stands once.
    pub(crate) fn partition_suffixes(&self) -> impl Iterator<Item = &str> {
        let all = || {
            self.partitions
                .iter()
                .flat_map(|(p, _)| [p.dns_suffix.as_str(), p.dual_stack_dns_suffix.as_str()])
        };
        all()
            .enumerate()
            .filter(move |(at, suffix)| all().take(*at).all(|earlier| earlier != *suffix))
            .map(|(_, suffix)| suffix)
    }

    /// The API behind a declared VPC endpoint, by one of its names.
    fn private(&self, host: &Host) -> Option<Endpoint> {
        let suffix = self
            .partition_suffixes()
            .find(|suffix| !self.vpc_endpoints.is_empty() && is_under(host.as_str(), suffix))?;
        let named = private_link::read(host, suffix, &self.vpc_endpoints, &self.private_link)?;
        let found = |host: &Host| match self.find(host) {
            Some(Resolved::Api(endpoint)) => Some(endpoint),
            Some(Resolved::Unmodelled | Resolved::Foreign) | None => None,
        };
        found(&named.base).filter(|base| base.services.contains(&named.declared.service))?;
        Some(Endpoint {
            host: host.clone(),
            ..found(&named.public)?
        })
    }

    /// The most specific template wins: the host itself first, then with ever more labels taken off its front.
    fn find(&self, host: &Host) -> Option<Resolved> {
        let name = self.name(host);
        let varying: Vec<String> = name.labels.iter().map(|l| self.varying(l)).collect();
        let other = (varying.iter().zip(&name.labels).any(|(v, l)| v != l)).then(|| Name {
            labels: varying.iter().map(String::as_str).collect(),
            owners: name.owners.clone(),
        });
        let start = name.labels.len().saturating_sub(self.labels_max);
        (start..name.labels.len()).find_map(|skip| {
            self.find_from(host, &name, skip)
                .or_else(|| self.find_from(host, other.as_ref()?, skip))
        })
    }

    /// A host's labels, the partitions' suffix among them as one.
    fn name<'a>(&self, host: &'a Host) -> Name<'a> {
        let mut name = Name {
            labels: Vec::new(),
            owners: None,
        };
        let mut stem = host.as_str();
        for (at, (partition, _)) in self.partitions.iter().enumerate() {
            for (suffix, marker) in [
                (&partition.dns_suffix, "{dns}"),
                (&partition.dual_stack_dns_suffix, "{dual}"),
            ] {
                let cut = host.as_str().strip_suffix(suffix.as_str());
                let Some(front) = cut.and_then(|c| c.strip_suffix('.')) else {
                    continue;
                };
                stem = front;
                let (_, owners) = name.owners.get_or_insert((marker, Vec::new()));
                owners.push(at);
            }
        }
        name.labels = stem.split('.').collect();
        if let Some((marker, _)) = &name.owners {
            name.labels.push(marker);
        }
        name
    }

    fn find_from(&self, host: &Host, name: &Name<'_>, skip: usize) -> Option<Resolved> {
        let (before, kept) = name.labels.split_at_checked(skip)?;
        let before: String = before.iter().map(|l| format!("{l}.")).collect();
        let prefix = if skip == 0 { "" } else { "*." };
        let entries = |labels: &[&str]| {
            let template = format!("{prefix}{}", labels.join("."));
            self.templates.get(&template).into_iter().flatten()
        };
        let of_host = || {
            entries(kept).find_map(|known| {
                let at = *known
                    .entry
                    .partitions
                    .iter()
                    .find(|&&p| name.may_be_of(p))?;
                let own = self.regions_in(kept).find(|r| r.2 == at);
                self.endpoint(host, &before, known, at, own.map(|r| r.1))
            })
        };
        let of_region = |(position, region, at): (usize, &str, usize)| {
            let mut labels = kept.to_vec();
            *labels.get_mut(position)? = "{region}";
            let known = entries(&labels).find(|k| k.entry.partitions.contains(&at))?;
            name.may_be_of(at)
                .then(|| self.endpoint(host, &before, known, at, Some(region)))?
        };
        of_host().or_else(|| self.regions_in(kept).find_map(of_region))
    }

    /// The labels that look like regions, from the right: position, region, partition.
    fn regions_in<'a>(
        &'a self,
        labels: &'a [&'a str],
    ) -> impl Iterator<Item = (usize, &'a str, usize)> {
        labels
            .iter()
            .enumerate()
            .rev()
            .filter_map(|(at, &label)| Some((at, label, self.partition_of(label)?)))
            .take(REGION_LABELS_MAX)
    }

    fn partition_of(&self, region: &str) -> Option<usize> {
        if !region.contains('-') || !region.ends_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.regions.get(region).copied().or_else(|| {
            self.partitions
                .iter()
                .position(|(_, regex)| regex.is_match(region))
        })
    }

    /// `before` is what stands in front of the template, with its dots. What stands there and is no front of the template's
    /// is one that no operation has: the host stays an API's, and nothing is understood at it.
    fn endpoint(
        &self,
        host: &Host,
        before: &str,
        known: &Known,
        partition: usize,
        own: Option<&str>,
    ) -> Option<Resolved> {
        let Known { entry, fronts } = known;
        if entry.services.is_empty() {
            return Some(Resolved::Unmodelled);
        }
        let (partition, _) = self.partitions.get(partition)?;
        let region = entry
            .region
            .as_deref()
            .or(own)
            .unwrap_or(&partition.global_region);
        let read = if before.is_empty() {
            fronts.first().and_then(Pattern::fixed).unwrap_or(Read {
                addressed: Addressed::Service,
                route: None,
            })
        } else {
            let mut fronts = fronts.iter();
            fronts
                .find_map(|f| f.read(before, &partition.id, region))
                .unwrap_or_else(|| Read {
                    addressed: Addressed::Prefix(before.to_owned()),
                    route: None,
                })
        };
        Some(Resolved::Api(Endpoint {
            host: host.clone(),
            services: entry
                .services
                .iter()
                .filter_map(|&at| self.services.get(at).cloned())
                .collect(),
            partition: partition.id.clone(),
            region: region.to_owned(),
            any_region: entry.any_region,
            signing_name: entry.signing_name.clone(),
            region_set: entry.region_set,
            fips: entry.fips,
            dualstack: entry.dualstack,
            addressed: read.addressed,
            route: read.route,
        }))
    }

    /// A label by the longest beginning that it has of those whose rest varies.
    fn varying(&self, label: &str) -> String {
        let begins = |b: &&String| label.len() > b.len() && label.starts_with(b.as_str());
        let mut found = self.varying_labels.iter().filter(begins);
        match found.by_ref().max_by_key(|b| b.len()) {
            Some(beginning) => format!("{beginning}*"),
            None => label.to_owned(),
        }
    }
}

/// What the regions of a partition look like. They are ASCII: what else counts as a letter somewhere would take a megabyte.
fn region_of(partition: &Partition) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&partition.region_regex)
        .unicode(false)
        .build()
}

/// A host as templates spell it.
#[derive(Debug)]
struct Name<'a> {
    labels: Vec<&'a str>,
    /// The mark of its suffix and the partitions whose suffix that is; `None` for a name under no partition's suffix.
    owners: Option<(&'static str, Vec<usize>)>,
}

impl Name<'_> {
    fn may_be_of(&self, partition: usize) -> bool {
        self.owners
            .as_ref()
            .is_none_or(|(_, owners)| owners.contains(&partition))
    }
}

/// Whether a name is `suffix` or stands below it.
fn is_under(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
