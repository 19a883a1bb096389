//! The whole configuration, checked once.
//!
//! Sources, later over earlier: the defaults, the TOML file, `PALISADE_…` in the environment. A key that is
//! unknown, or whose feature isn't built, stops the start by name: nothing is accepted and ignored.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

/// What a guard runs with. Paths are absolute, `~` is expanded.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// `None`: the embedded starter set.
    pub policies: Option<PathBuf>,
    /// `None`: nothing is protected by id.
    pub protected: Option<PathBuf>,
    /// A folder of service files read on top of the embedded ones.
    pub services: Option<PathBuf>,
    pub state_dir: PathBuf,
    /// `None`: the embedded catalog.
    pub catalog: Option<PathBuf>,
    pub callers: Vec<CallerConfig>,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherHosts {
    Refuse,
    Tunnel,
}

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
    pub ca_file: Option<PathBuf>,
    pub timeout: Duration,
}

/// `upstream.dangerous_override`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pub scheme: Scheme,
    pub host: String,
    pub port: u16,
}

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
    pub connections_max: usize,
}
