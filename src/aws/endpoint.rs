//! Which API a host is: [`Endpoint`].

use crate::aws::host::Host;

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
    pub fips: bool,
    pub dualstack: bool,
}
