//! What AWS's service models say, compiled: hosts, operations, shapes, classes, resource rules.
//!
//! The catalog is one compressed file, embedded in the binary; services are decoded on first use.
//! It is made from botocore's models by [`compile`].

pub mod compile;
pub mod file;
pub mod index;
pub mod model;
pub mod template;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

pub use file::CatalogError;
pub use model::{Operation, Protocol, Service, Shape, ShapeId};

use crate::aws::endpoint::{AWS_SUFFIXES, Hosts, Resolved};
use crate::aws::host::Host;
use crate::aws::sigv4::sha256_hex;
use index::{Entry, Index};

static EMBEDDED: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/catalog.bin"));

/// A catalog, ready to be asked.
#[derive(Debug)]
pub struct Catalog {
    bytes: Cow<'static, [u8]>,
    parts_at: usize,
    version: String,
    hosts: Hosts,
    services: Vec<Slot>,
    by_id: HashMap<String, usize>,
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
            partitions,
            services,
            varying_labels,
            hosts,
        } = index;
        let ids = services.iter().map(|e| e.id.clone()).collect();
        Ok(Self {
            hosts: Hosts::new(partitions, varying_labels, hosts, ids)?,
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
            bytes,
            parts_at,
            version,
        })
    }

    /// What the catalog was made from: `botocore-1.44.5`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 of the whole catalog, 64 hex digits: two that differ anywhere have different ones.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256_hex(&self.bytes)
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

    /// Every suffix under which AWS's own names stand: those of the partitions, and `on.aws` and the like.
    pub fn dns_suffixes(&self) -> impl Iterator<Item = &str> {
        self.hosts
            .partition_suffixes()
            .chain(AWS_SUFFIXES.iter().copied())
    }
}

#[cfg(test)]
mod tests;
