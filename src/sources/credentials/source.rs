//! Where upstream credentials come from, as the configuration says it.

use crate::aws::arn::RolePattern;

/// `[credentials.NAME]`: what allowed calls are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialsConfig {
    pub name: String,
    pub source: CredentialSource,
    /// Accounts that these credentials may reach; empty: the one they belong to.
    pub accounts: Vec<String>,
    pub roles: Roles,
}

/// The roles that are assumed with what the source gives; none: the source itself signs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roles {
    /// `role_arn`: signs unguarded calls and lookups.
    pub work: Option<RolePattern>,
    /// `guarded_role_arn`: signs only a guarded call that was allowed. Absent: what signs all else.
    pub guarded: Option<RolePattern>,
    /// `external_id`: what the roles' trust policies ask for.
    pub external_id: Option<String>,
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
