//! Upstream credentials, per `[credentials.*]` table: from AWS's own chain or a profile, kept, and refreshed
//! before they expire.
//!
//! INVARIANT: they are fetched without any proxy, whatever the environment says, and a virtual key of
//! Palisade's own is never taken for one of AWS's.

mod cache;
mod chain;
mod fault;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rustls::pki_types::CertificateDer;

use self::cache::Cache;
use super::clock::Clock;

pub use self::fault::{Cause, CredentialsFault};
pub use self::source::{CredentialSource, CredentialsConfig, StaticKeys};

/// The credentials of every `[credentials.*]` table.
#[derive(Debug)]
pub struct UpstreamCredentials {
    tables: BTreeMap<String, Table>,
    http: SharedHttpClient,
    clock: Clock,
}

#[derive(Debug)]
struct Table {
    source: CredentialSource,
    cache: Arc<Cache>,
}

/// The client that fetches credentials cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the TLS client for AWS's logins cannot be set up: {0}")]
pub struct ClientSetup(String);

impl UpstreamCredentials {
    /// Prepares the tables; nothing is fetched yet. `roots` are the certificates that AWS's servers (STS, IAM
    /// Identity Center) are trusted by; one that isn't a certificate trusts nothing.
    ///
    /// # Errors
    /// [`ClientSetup`] if no TLS client can be made.
    pub fn new(
        tables: &[CredentialsConfig],
        roots: &[CertificateDer<'static>],
        clock: Clock,
    ) -> Result<Self, ClientSetup> {
        let table = |config: &CredentialsConfig| Table {
            source: config.source.clone(),
            cache: Arc::default(),
        };
        Ok(Self {
            tables: tables.iter().map(|t| (t.name.clone(), table(t))).collect(),
            http: chain::http_client(roots)?,
            clock,
        })
    }

    /// The credentials of that table, valid for ten seconds at least. Those that are kept come at once; only
    /// when there are none does a call wait, ten seconds or so at most. `account_id()` of what comes back is set
    /// where the source says it.
    ///
    /// # Errors
    /// [`CredentialsFault`], which tells what lasts from what passes. While credentials are valid a refresh
    /// that fails is none.
    pub async fn credentials(&self, name: &str) -> Result<Credentials, CredentialsFault> {
        let table = self
            .tables
            .get(name)
            .ok_or_else(|| CredentialsFault::new(name, Cause::NoTable, String::new()))?;
        if let CredentialSource::Static(keys) = &table.source {
            return Ok(chain::static_credentials(keys));
        }
        let (name, source, http) = (name.to_owned(), table.source.clone(), self.http.clone());
        let clock = self.clock.clone();
        let load = move || async move { chain::load(&name, &source, http, &clock).await };
        table.cache.credentials(&self.clock, load).await
    }
}

#[cfg(test)]
mod tests;
