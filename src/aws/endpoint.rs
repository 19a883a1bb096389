//! Which API a host is: [`Endpoint`].
//!
//! Hosts are found by template: the host with its region's label replaced, looked up in one table, so that
//! a region that AWS opens later is found too. Names under AWS's suffixes that no template covers stay
//! AWS's: they are never taken for somebody else's.

use std::collections::HashMap;

use regex::Regex;

use crate::aws::catalog::CatalogError;
use crate::aws::catalog::index::{HostEntry, Partition};
use crate::aws::host::Host;

/// Names of AWS's that stand under no partition's suffix.
pub const AWS_SUFFIXES: [&str; 2] = ["on.aws", "signin.aws.amazon.com"];

/// How many of a host's labels may be taken for its region, from the right: a bucket may be called like one.
const REGION_LABELS_MAX: usize = 2;

/// What a host is, as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// An API of AWS. Never tunnelled, whatever the configuration says.
    Api(Endpoint),
    /// A name of AWS's (under one of the partitions' suffixes) that no model covers. Refused unless allowed by name.
    Unmodelled,
    /// Somebody else's.
    Foreign,
}

/// An API endpoint. Where several services share the host, the request tells which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub host: Host,
    /// The services behind the host, as botocore names them; at least one. One whose operations the catalog
    /// lacks is named too, so that its calls are refused by name.
    pub services: Vec<String>,
    /// `aws`, `aws-cn`, …
    pub partition: String,
    /// The region that requests to this host are signed for.
    pub region: String,
    /// Whether the host is for FIPS only.
    pub fips: bool,
    /// Whether the host is one of the dual-stack names.
    pub dualstack: bool,
    pub addressed: Addressed,
}

/// What of a call stands in its host, before the endpoint's own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressed {
    /// Nothing: the host is the service's alone.
    Service,
    /// The text before the endpoint's name, without the dot between them: `123456789012`, `data`, a graph's id.
    Prefix(String),
    /// What an SDK would be given as S3's `Bucket`: a bucket's name, or an access point's ARN or alias.
    Bucket(String),
}

/// The hosts of a catalog.
#[derive(Debug)]
pub(crate) struct Hosts {
    partitions: Vec<(Partition, Regex)>,
    regions: HashMap<String, usize>,
    varying_labels: Vec<String>,
    templates: HashMap<String, Vec<HostEntry>>,
    /// The labels of the longest template.
    labels_max: usize,
    services: Vec<String>,
}

impl Hosts {
    /// Takes an index's hosts. `services` are the ids that entries point to.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] where an entry points nowhere or a region's pattern isn't one.
    pub(crate) fn new(
        partitions: Vec<Partition>,
        varying_labels: Vec<String>,
        templates: HashMap<String, Vec<HostEntry>>,
        services: Vec<String>,
    ) -> Result<Self, CatalogError> {
        let damaged = |what: String| CatalogError::Damaged { what };
        for entry in templates.values().flatten() {
            let known = entry.partitions.iter().all(|&p| p < partitions.len())
                && !entry.partitions.is_empty()
                && !entry.services.is_empty()
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
            .map(|p| match Regex::new(&p.region_regex) {
                Ok(regex) => Ok((p, regex)),
                Err(e) => Err(damaged(format!("the regions of `{}`: {e}", p.id))),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            partitions,
            regions,
            varying_labels,
            labels_max: templates
                .keys()
                .map(|t| t.split('.').count())
                .max()
                .unwrap_or(0),
            templates,
            services,
        })
    }

    /// Which API a host is.
    pub(crate) fn resolve(&self, host: &Host) -> Resolved {
        if host.ip().is_some() {
            return Resolved::Foreign;
        }
        if let Some(endpoint) = self.find(host) {
            return Resolved::Api(endpoint);
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

    /// The most specific template wins: the host itself first, then with ever more labels taken off its front.
    fn find(&self, host: &Host) -> Option<Endpoint> {
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

    fn find_from(&self, host: &Host, name: &Name<'_>, skip: usize) -> Option<Endpoint> {
        let kept = name.labels.get(skip..)?;
        let prefix = if skip == 0 { "" } else { "*." };
        let entries = |labels: &[&str]| {
            let template = format!("{prefix}{}", labels.join("."));
            self.templates.get(&template).into_iter().flatten()
        };
        let of_host = || {
            entries(kept).find_map(|entry| {
                let at = *entry.partitions.iter().find(|&&p| name.may_be_of(p))?;
                let own = self.regions_in(kept).find(|r| r.2 == at);
                self.endpoint(host, entry, at, own.map(|r| r.1))
            })
        };
        let of_region = |(position, region, at): (usize, &str, usize)| {
            let mut labels = kept.to_vec();
            *labels.get_mut(position)? = "{region}";
            let entry = entries(&labels).find(|e| e.partitions.contains(&at))?;
            name.may_be_of(at)
                .then(|| self.endpoint(host, entry, at, Some(region)))?
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

    fn endpoint(
        &self,
        host: &Host,
        entry: &HostEntry,
        partition: usize,
        own: Option<&str>,
    ) -> Option<Endpoint> {
        let (partition, _) = self.partitions.get(partition)?;
        let region = entry
            .region
            .as_deref()
            .or(own)
            .unwrap_or(&partition.global_region);
        Some(Endpoint {
            host: host.clone(),
            services: entry
                .services
                .iter()
                .filter_map(|&at| self.services.get(at).cloned())
                .collect(),
            partition: partition.id.clone(),
            region: region.to_owned(),
            fips: entry.fips,
            dualstack: entry.dualstack,
            addressed: Addressed::Service,
        })
    }

    fn varying(&self, label: &str) -> String {
        match self
            .varying_labels
            .iter()
            .find(|beginning| label.len() > beginning.len() && label.starts_with(*beginning))
        {
            Some(beginning) => format!("{beginning}*"),
            None => label.to_owned(),
        }
    }
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
