//! Which API a host is: [`Endpoint`].
//!
//! Hosts are found by template: the host with its region's label replaced, looked up in one table, so that
//! a region that AWS opens later is found too. Names under AWS's suffixes that no template covers stay
//! AWS's: they are never taken for somebody else's.

mod front;
mod hosts;
mod private_link;
mod recent;
mod route;

#[cfg(test)]
mod tests;

use crate::aws::catalog::index::RegionSet;
use crate::aws::catalog::model::Service;
use crate::aws::host::Host;

pub(crate) use hosts::Hosts;
pub use private_link::{VpcEndpoint, VpcEndpointError};

/// Names of AWS's that stand under no partition's suffix.
pub const AWS_SUFFIXES: [&str; 3] = ["on.aws", "signin.aws", "signin.aws.amazon.com"];

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
    /// Whether they may be signed for another of the partition instead, which AWS then holds against the resource's.
    pub any_region: bool,
    /// The service that they are signed for, where it isn't each service's own name.
    pub signing_name: Option<String>,
    /// Whether they are signed for a set of regions, by SigV4a.
    pub region_set: RegionSet,
    /// Whether the host is for FIPS only.
    pub fips: bool,
    /// Whether the host is one of the dual-stack names.
    pub dualstack: bool,
    pub addressed: Addressed,
    /// The account or the resource that the host leads to, before its name: [`Endpoint::leads_to`] holds it.
    pub route: Option<String>,
}

/// What of a call stands in its host, before the endpoint's own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressed {
    /// Nothing: the host is the service's alone.
    Service,
    /// The host prefix of the operation, as its model spells it with the labels filled in: `123456789012.`, `data-`.
    Prefix(String),
    /// What an SDK would be given as S3's `Bucket`: a bucket's name, or an access point's ARN or alias.
    Bucket(String),
}

/// Why a credential scope isn't that of the endpoint and the operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    #[error("the credential is scoped to region `{found}`, the endpoint is in `{expected}`")]
    Region { found: String, expected: String },
    #[error("the credential is scoped to service `{found}`, the endpoint is `{expected}`")]
    Service { found: String, expected: String },
}

impl Endpoint {
    /// The service that requests of `service` to this host are signed for.
    #[must_use]
    pub fn signing_name<'a>(&'a self, service: &'a Service) -> &'a str {
        self.signing_name
            .as_deref()
            .unwrap_or(&service.signing_name)
    }
}
