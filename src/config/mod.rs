//! The whole configuration, checked once.
//!
//! Sources, later over earlier: the defaults, the TOML file, `PALISADE_…` in the environment. A key that is
//! unknown, or whose feature isn't built, stops the start by name: nothing is accepted and ignored.

mod error;
mod keys;
mod listener;
mod load;
mod read;
mod section;
mod tables;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use error::{ConfigError, Place};
pub use load::environment;
pub use value::name as check_name;

use crate::aws::arn::RoleArn;
use crate::aws::endpoint::VpcEndpoint;

pub use crate::guard::call::Mode;
pub use crate::proxy::egress::{Egress, OtherHosts, PrivateAddresses};
pub use crate::proxy::entrance::{ClientCertificates, ListenerConfig, ListenerTls, OwnCertificate};
pub use crate::proxy::parent::{Bypass, Parent};
pub use crate::proxy::proof::CertificateName;
pub use crate::proxy::upstream::{Override, Scheme, UpstreamConfig};
pub use crate::sources::credentials::{CredentialSource, CredentialsConfig, Roles, StaticKeys};

/// What a guard runs with. Paths are absolute, `~` is expanded.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that the configuration was read from; `None`: defaults and environment alone.
    pub file: Option<PathBuf>,
    /// Where the proxy listens.
    pub listen: SocketAddr,
    /// Where metrics and health are served.
    pub admin: SocketAddr,
    /// How clients enter.
    pub listener: ListenerConfig,
    pub mode: Mode,
    /// `None`: the embedded starter set.
    pub policies: Option<PathBuf>,
    /// `None`: nothing is protected by id.
    pub protected: Option<PathBuf>,
    /// A folder of service files read on top of the embedded ones.
    pub services: Option<PathBuf>,
    /// CA, keys, journal.
    pub state_dir: PathBuf,
    pub shared: SharedState,
    /// `state.keys_unread_max`: for how long keys are taken after the ledger was last read well.
    pub keys_unread_max: Duration,
    /// `None`: the embedded catalog.
    pub catalog: Option<PathBuf>,
    pub foreign_keys: ForeignKeys,
    /// By file order; names are unique.
    pub callers: Vec<CallerConfig>,
    /// By file order; names are unique, and every caller's is among them.
    pub credentials: Vec<CredentialsConfig>,
    pub egress: Egress,
    /// `egress.vpc_endpoints`: whose names are those of a service's API.
    pub vpc_endpoints: Vec<VpcEndpoint>,
    pub upstream: UpstreamConfig,
    pub lookup: LookupConfig,
    pub journal: JournalConfig,
    pub limits: Limits,
}

/// `identity.foreign_keys`: what becomes of requests that are signed with keys that Palisade didn't issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignKeys {
    Refuse,
    /// Unguarded calls go on as they are, guarded ones are refused.
    Passthrough,
}

/// `[[caller]]`: somebody who holds virtual keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerConfig {
    pub name: String,
    pub groups: Vec<String>,
    /// The name of a `[credentials.*]` table.
    pub credentials: String,
    /// The roles that the guard gives this caller virtual sessions of. Each once.
    pub may_assume: Vec<RoleArn>,
    /// What the client certificates of this caller name it by; no other caller's do.
    pub certificate: Option<CertificateName>,
}

/// `[state]`: what several guards have in common, in place of what their own state folders hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SharedState {
    /// A folder with `master.key` and `ledger.jsonl`, which the guard only reads; `None`: its own.
    pub keys: Option<PathBuf>,
    /// A folder with `ca.pem` and `ca.key`, which the guard only reads; `None`: its own.
    pub ca: Option<PathBuf>,
}

/// `[lookup]`.
#[derive(Debug, Clone, Copy)]
pub struct LookupConfig {
    /// For all lookups of one call.
    pub timeout: Duration,
    /// Attributes only; tags are read anew for each guarded call.
    pub cache_ttl: Duration,
}

/// `[journal]`.
#[derive(Debug, Clone, Copy)]
pub struct JournalConfig {
    /// Whether a record counts as durable only once the disk says so.
    pub fsync: bool,
}

/// `[limits]`.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The body of a guarded call.
    pub body_bytes_max: u64,
    /// The body of an unguarded call without a declared hash.
    pub body_buffer_max: u64,
    /// All buffered bodies together.
    pub buffer_total_max: u64,
    /// Connections of clients at one time.
    pub connections_max: usize,
}

#[cfg(test)]
mod tests;
