//! What AWS's service models say, compiled: hosts, operations, shapes, classes, resource rules.
//!
//! The catalog is one compressed file, embedded in the binary; services are decoded on first use.
//! It is made from botocore's models by [`compile`].

#[cfg(test)]
mod classed;
pub mod compile;
pub mod condition;
#[cfg(test)]
pub(crate) mod few;
pub mod file;
pub mod index;
pub mod model;
pub mod outline;
pub mod packed;
pub mod routes;
pub mod template;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

pub use file::CatalogError;
pub use model::{Operation, Protocol, Service, Shape, ShapeId};
pub use outline::{Brief, Outline};

use foldhash::HashMap;

use crate::aws::endpoint::{
    AWS_SUFFIXES, Endpoint, Hosts, Resolved, ScopeError, VpcEndpoint, VpcEndpointError,
};
use crate::aws::host::Host;
use crate::aws::nearest::nearest;
use crate::aws::sigv4::{Scope, sha256_hex};
use index::{Entry, Index};

static EMBEDDED: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/catalog.bin"));

/// A catalog, ready to be asked.
#[derive(Debug)]
pub struct Catalog {
    bytes: Cow<'static, [u8]>,
    parts_at: usize,
    version: String,
    older: Vec<String>,
    /// What every operation is, in brief: see [`Outline`].
    outlines: String,
    hosts: Hosts,
    services: Vec<Slot>,
    by_id: HashMap<String, usize>,
    aliases: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    decoded: OnceLock<Result<Arc<Service>, CatalogError>>,
}

impl Catalog {
    /// The catalog that this binary carries.
    ///
    /// # Errors
    /// [`CatalogError`] where it is damaged.
    pub fn embedded() -> Result<Self, CatalogError> {
        Self::read(Cow::Borrowed(EMBEDDED))
    }

    /// A catalog from a file's bytes.
    ///
    /// # Errors
    /// [`CatalogError`] where they aren't a whole catalog.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, CatalogError> {
        Self::read(Cow::Owned(bytes))
    }

    fn read(bytes: Cow<'static, [u8]>) -> Result<Self, CatalogError> {
        let (index, parts_at) = file::read_index(&bytes)?;
        let Index {
            version,
            older,
            partitions,
            services,
            varying_labels,
            outlines,
            hosts,
            aliases,
            private_link,
        } = index;
        let outlines = file::read_outlines(&bytes, parts_at, &outlines)?;
        for entry in &services {
            if entry.blob.is_some() && outline(&outlines, entry).is_none() {
                return Err(CatalogError::Damaged {
                    what: format!("`{}` has no outline", entry.id),
                });
            }
        }
        let ids = services.iter().map(|e| e.id.clone()).collect();
        Ok(Self {
            hosts: Hosts::new(partitions, varying_labels, hosts, ids, private_link)?,
            aliases,
            by_id: services
                .iter()
                .enumerate()
                .map(|(at, e)| (e.id.clone(), at))
                .collect(),
            services: services
                .into_iter()
                .map(|entry| Slot {
                    entry,
                    decoded: OnceLock::new(),
                })
                .collect(),
            outlines,
            bytes,
            parts_at,
            version,
            older,
        })
    }

    /// What the catalog was made from: `botocore-1.44.5`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The older releases whose models were looked at for what SDKs still send, newest first.
    #[must_use]
    pub fn older(&self) -> &[String] {
        &self.older
    }

    /// SHA-256 of the catalog, 64 hex digits: two that differ anywhere have different ones. It is that of the header, which
    /// holds the index's, which holds those of all parts: a part that doesn't match is refused when it's read.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256_hex(file::header(&self.bytes))
    }

    /// A service by botocore's name, decoded on first use. `None` where AWS has no such service; a service
    /// whose operations the catalog leaves out comes without operations, so that its calls can be refused
    /// in its own error shape.
    ///
    /// # Errors
    /// [`CatalogError::Damaged`] where its part can't be read.
    pub fn service(&self, id: &str) -> Result<Option<Arc<Service>>, CatalogError> {
        let Some(slot) = self.by_id.get(id).and_then(|&at| self.services.get(at)) else {
            return Ok(None);
        };
        slot.decoded
            .get_or_init(|| match &slot.entry.blob {
                Some(blob) => {
                    file::read_service(&self.bytes, self.parts_at, blob, id).map(Arc::new)
                }
                None => Ok(Arc::new(slot.entry.bare())),
            })
            .clone()
            .map(Some)
    }

    /// The operations of a service in brief, without it being decoded; `None` where the catalog has none of its
    /// operations. In a damaged catalog what can't be read is left out: whoever needs it whole decodes the service.
    #[must_use]
    pub fn outline(&self, id: &str) -> Option<Outline<'_>> {
        let slot = self.services.get(*self.by_id.get(id)?)?;
        outline(&self.outlines, &slot.entry)
    }

    /// The outlines of all services with operations, in the order of their names.
    pub fn outlines(&self) -> impl Iterator<Item = (&str, Outline<'_>)> {
        self.services.iter().filter_map(|slot| {
            let outline = outline(&self.outlines, &slot.entry)?;
            Some((slot.entry.id.as_str(), outline))
        })
    }

    /// The `service:Operation` that was probably meant by a name that the catalog hasn't; or `service:*`.
    #[must_use]
    pub fn nearest_action(&self, name: &str) -> Option<String> {
        let (service, operation) = name.split_once(':').unwrap_or((name, ""));
        let meant = match self.outline(service) {
            Some(_) => Some(service),
            None => nearest(service, self.service_ids()),
        };
        let of_service = |id: &str| {
            let names = self.outline(id)?.names().chain(["*"]);
            Some(format!("{id}:{}", nearest(operation, names)?))
        };
        meant.and_then(of_service).or_else(|| {
            let mut outlines = self.outlines();
            let (id, _) = outlines.find(|(_, outline)| outline.operation(operation).is_some())?;
            Some(format!("{id}:{operation}"))
        })
    }

    /// Whether it is the one that this binary carries, whichever way it was read.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        match &self.bytes {
            Cow::Borrowed(_) => true,
            Cow::Owned(bytes) => *bytes == EMBEDDED,
        }
    }

    /// How many services have been decoded so far.
    #[must_use]
    pub fn decoded(&self) -> usize {
        let decoded = |slot: &&Slot| slot.entry.blob.is_some() && slot.decoded.get().is_some();
        self.services.iter().filter(decoded).count()
    }

    /// The services with operations, in the order of their names.
    pub fn service_ids(&self) -> impl Iterator<Item = &str> {
        self.services
            .iter()
            .filter(|s| s.entry.blob.is_some())
            .map(|s| s.entry.id.as_str())
    }

    /// Every service of AWS that the catalog knows, with operations or without.
    pub fn known_ids(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(|s| s.entry.id.as_str())
    }

    /// Which API a host is. The cost doesn't depend on how many services there are.
    #[must_use]
    pub fn resolve(&self, host: &Host) -> Resolved {
        self.hosts.resolve(host)
    }

    /// The templates of a service's hosts, in order: `{region}` is a region, `{dns}` and `{dual}` the suffixes of its
    /// partition, and `*.` one or more labels.
    ///
    /// # Errors
    /// [`CatalogError`] where the index can't be read again.
    pub fn templates(&self, service: &str) -> Result<Vec<String>, CatalogError> {
        let (index, _) = file::read_index(&self.bytes)?;
        let at = self.by_id.get(service);
        let is_of = |entries: &[index::HostEntry]| {
            entries
                .iter()
                .any(|e| at.is_some_and(|at| e.services.contains(at)))
        };
        let hosts = index
            .hosts
            .into_iter()
            .filter(|(_, entries)| is_of(entries));
        let mut hosts: Vec<String> = hosts.map(|(template, _)| template).collect();
        hosts.sort_unstable();
        Ok(hosts)
    }

    /// Takes the names of these VPC endpoints for those of the services behind them.
    ///
    /// # Errors
    /// [`VpcEndpointError`] where AWS has no such service, or one endpoint is declared twice.
    pub fn declare(&mut self, vpc_endpoints: Vec<VpcEndpoint>) -> Result<(), VpcEndpointError> {
        for (at, endpoint) in vpc_endpoints.iter().enumerate() {
            let (id, service) = (endpoint.id.clone(), endpoint.service.clone());
            if vpc_endpoints.iter().take(at).any(|e| e.id == id) {
                return Err(VpcEndpointError::Twice(id));
            }
            if !self.by_id.contains_key(&service) {
                let nearest = nearest(&service, self.known_ids()).map(str::to_owned);
                return Err(VpcEndpointError::Service {
                    id,
                    service,
                    nearest,
                });
            }
        }
        self.hosts.declare(vpc_endpoints);
        Ok(())
    }

    /// Holds the region and the service of a credential scope against an endpoint and the service of the operation. The
    /// endpoint is that of the scope's region afterwards, which is another than before only where
    /// [`Endpoint::any_region`] says so.
    ///
    /// # Errors
    /// [`ScopeError`] where they disagree.
    pub fn hold_scope(
        &self,
        endpoint: &mut Endpoint,
        service: &Service,
        scope: &Scope,
    ) -> Result<(), ScopeError> {
        self.hosts.hold(endpoint, service, scope)
    }

    /// The endpoint of a service in the partition and region of another, of its kind where there is such a one: where to
    /// look something up that a call of another service is about. `None` where the service has none there.
    #[must_use]
    pub fn beside(&self, service: &str, near: &Endpoint) -> Option<Endpoint> {
        self.hosts.beside(service, near)
    }

    /// The service that the calls of another are named by, where all of them are, `rds` for `docdb`, or that a call of another is
    /// named by, `greengrass` for `greengrassv2:TagResource`.
    #[must_use]
    pub fn alias(&self, name: &str) -> Option<&str> {
        self.aliases.get(name).map(String::as_str)
    }

    /// Every suffix under which AWS's own names stand: those of the partitions, and `on.aws` and the like.
    pub fn dns_suffixes(&self) -> impl Iterator<Item = &str> {
        self.hosts
            .partition_suffixes()
            .chain(AWS_SUFFIXES.iter().copied())
    }
}

fn outline<'a>(text: &'a str, entry: &Entry) -> Option<Outline<'a>> {
    let (offset, len) = entry.outline?;
    Outline::of(text.get(offset..offset.checked_add(len)?)?)
}

#[cfg(test)]
mod tests;
