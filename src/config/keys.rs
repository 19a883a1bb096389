//! Every key that stands once, with its default: what the file, the environment and the defaults agree on.

/// A key and its default, written as the environment would write it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// The key's name with its table's, as `upstream.timeout`.
    pub(super) path: &'static str,
    /// Text of the default; a list's entries are separated by commas.
    pub(super) default: &'static str,
}

impl Key {
    const fn new(path: &'static str, default: &'static str) -> Self {
        Self { path, default }
    }

    /// The variable that sets the key: `PALISADE_UPSTREAM_TIMEOUT`.
    pub(super) fn variable(&self) -> String {
        format!("PALISADE_{}", self.path.to_uppercase().replace('.', "_"))
    }

    /// The key's name without its table's.
    pub(super) fn leaf(&self) -> &'static str {
        self.path
            .rsplit_once('.')
            .map_or(self.path, |(_, leaf)| leaf)
    }
}

/// Declares the keys and the list of them in one go, so that none can be left out of the list.
macro_rules! keys {
    ($($name:ident = $path:literal, $default:literal;)*) => {
        $(pub(super) const $name: Key = Key::new($path, $default);)*
        /// Every key, in the order of `config/palisade.toml`.
        pub(super) const ALL: &[Key] = &[$($name),*];
    };
}

keys! {
    LISTEN = "listen", "127.0.0.1:8080";
    ADMIN = "admin", "127.0.0.1:9901";
    MODE = "mode", "enforce";
    POLICIES = "policies", "";
    PROTECTED = "protected", "";
    SERVICES = "services", "";
    STATE_DIR = "state_dir", "~/.local/state/palisade";
    CATALOG = "catalog", "";
    LISTENER_TLS = "listener.tls", "false";
    TLS_CERT = "listener.tls_cert", "";
    TLS_KEY = "listener.tls_key", "";
    LISTENER_NAMES = "listener.names", "";
    CLIENT_AUTH = "listener.client_auth", "none";
    CLIENT_CA = "listener.client_ca", "";
    REQUIRE_PROOF = "listener.require_proof", "false";
    FOREIGN_KEYS = "identity.foreign_keys", "refuse";
    OTHER_HOSTS = "egress.other_hosts", "refuse";
    ALLOW = "egress.allow", "";
    PRIVATE_ADDRESSES = "egress.private_addresses", "refuse";
    PRIVATE_CIDRS = "egress.private_cidrs", "";
    VPC_ENDPOINTS = "egress.vpc_endpoints", "";
    PROXY_PROTOCOL_FROM = "egress.proxy_protocol_from", "";
    DANGEROUS_OVERRIDE = "upstream.dangerous_override", "";
    CA_FILE = "upstream.ca_file", "";
    PROXY = "upstream.proxy", "";
    NO_PROXY = "upstream.no_proxy", "";
    UPSTREAM_TIMEOUT = "upstream.timeout", "50s";
    LOOKUP_TIMEOUT = "lookup.timeout", "2s";
    CACHE_TTL = "lookup.cache_ttl", "5s";
    PARTIAL = "batch.partial", "refuse";
    FSYNC = "journal.fsync", "true";
    CHECKPOINT_KEY = "journal.checkpoint_key", "";
    STORE = "state.store", "embedded";
    SHARED_KEYS = "state.keys", "";
    SHARED_CA = "state.ca", "";
    KEYS_UNREAD_MAX = "state.keys_unread_max", "60s";
    BODY_BYTES_MAX = "limits.body_bytes_max", "1MiB";
    BODY_BUFFER_MAX = "limits.body_buffer_max", "64MiB";
    BUFFER_TOTAL_MAX = "limits.buffer_total_max", "512MiB";
    CONNECTIONS_MAX = "limits.connections_max", "10000";
}

/// Tables of tables, which stand in the file only.
pub(super) const CALLER: &str = "caller";
pub(super) const CREDENTIALS: &str = "credentials";
pub(super) const BUDGET: &str = "budget";

/// Keys of one `[[caller]]`.
pub(super) mod caller {
    use super::Key;

    pub(in super::super) const NAME: Key = Key::new("name", "");
    pub(in super::super) const GROUPS: Key = Key::new("groups", "");
    pub(in super::super) const CREDENTIALS: Key = Key::new("credentials", "");
    pub(in super::super) const CERTIFICATE: Key = Key::new("certificate", "");
    pub(in super::super) const MAY_ASSUME: Key = Key::new("may_assume", "");
    pub(in super::super) const ALL: &[Key] = &[NAME, GROUPS, CREDENTIALS, CERTIFICATE, MAY_ASSUME];
}

/// Keys of one `[credentials.NAME]`.
pub(super) mod credentials {
    use super::Key;

    pub(in super::super) const SOURCE: Key = Key::new("source", "");
    pub(in super::super) const PROFILE: Key = Key::new("profile", "");
    pub(in super::super) const ACCOUNTS: Key = Key::new("accounts", "");
    pub(in super::super) const ROLE_ARN: Key = Key::new("role_arn", "");
    pub(in super::super) const GUARDED_ROLE_ARN: Key = Key::new("guarded_role_arn", "");
    pub(in super::super) const EXTERNAL_ID: Key = Key::new("external_id", "");
    pub(in super::super) const ALL: &[Key] = &[
        SOURCE,
        PROFILE,
        ACCOUNTS,
        ROLE_ARN,
        GUARDED_ROLE_ARN,
        EXTERNAL_ID,
    ];
}

/// Variables that begin with `PALISADE_` and set no key.
pub(super) const OTHER_VARIABLES: &[&str] = &["PALISADE_CONFIG", "PALISADE_EXEC", "PALISADE_LOG"];
