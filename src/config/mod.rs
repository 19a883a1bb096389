//! The whole configuration, checked once.
//!
//! Sources, later over earlier: the defaults, the TOML file, `PALISADE_…` in the environment. A key that is
//! unknown, or whose feature isn't built, stops the start by name: nothing is accepted and ignored.

mod error;
mod keys;
mod load;
mod read;
mod section;
mod tables;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use error::{ConfigError, Place};
pub use load::environment;
pub use value::name as check_name;

/// What a guard runs with. Paths are absolute, `~` is expanded.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that the configuration was read from; `None`: defaults and environment alone.
    pub file: Option<PathBuf>,
    /// Where the proxy listens.
    pub listen: SocketAddr,
    /// Where metrics and health are served.
    pub admin: SocketAddr,
    /// `None`: the embedded starter set.
    pub policies: Option<PathBuf>,
    /// `None`: nothing is protected by id.
    pub protected: Option<PathBuf>,
    /// A folder of service files read on top of the embedded ones.
    pub services: Option<PathBuf>,
    /// CA, keys, journal.
    pub state_dir: PathBuf,
    /// `None`: the embedded catalog.
    pub catalog: Option<PathBuf>,
    /// By file order; names are unique.
    pub callers: Vec<CallerConfig>,
    /// By file order; names are unique, and every caller's is among them.
    pub credentials: Vec<CredentialsConfig>,
    pub egress: Egress,
    pub upstream: UpstreamConfig,
    pub lookup: LookupConfig,
    pub journal: JournalConfig,
    pub limits: Limits,
}

/// `[[caller]]`: somebody who holds virtual keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerConfig {
    pub name: String,
    pub groups: Vec<String>,
    /// The name of a `[credentials.*]` table.
    pub credentials: String,
}

/// `[credentials.NAME]`: what allowed calls are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialsConfig {
    pub name: String,
    pub source: CredentialSource,
    /// Accounts that these credentials may reach; empty: the one they belong to.
    pub accounts: Vec<String>,
}

/// Where upstream credentials come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// AWS's own chain: environment, profile, container, instance.
    Default,
    /// A profile of the AWS configuration files.
    Profile(String),
    /// Keys given in code, for the sandbox and for tests: no configuration can name this.
    Static(StaticKeys),
}

/// An access key pair that never expires. The secret stays out of debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticKeys {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl std::fmt::Debug for StaticKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticKeys")
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &"[redacted]")
            .finish()
    }
}

/// `[egress]`.
#[derive(Debug, Clone)]
pub struct Egress {
    pub other_hosts: OtherHosts,
    /// Hosts that may be tunnelled to, by exact name.
    pub allow: Vec<String>,
    /// Whether private addresses may be dialled.
    pub private_addresses: PrivateAddresses,
    /// Where an AWS name may resolve to although it's private.
    pub private_cidrs: Vec<IpNet>,
}

/// `egress.other_hosts`: what becomes of hosts that aren't AWS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherHosts {
    Refuse,
    Tunnel,
}

/// `egress.private_addresses`: metadata, loopback, link-local, private, CGNAT and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateAddresses {
    Refuse,
    Allow,
}

/// `[upstream]`.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// Every AWS host goes to this URL's host and port instead.
    pub dangerous_override: Option<Override>,
    /// PEM certificates trusted beside the system's roots.
    pub ca_file: Option<PathBuf>,
    /// For one call, from the first byte sent to the answer's head.
    pub timeout: Duration,
}

/// `upstream.dangerous_override`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pub scheme: Scheme,
    /// Lower case; an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
}

/// The scheme of an override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Https,
    /// On loopback only.
    Http,
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
