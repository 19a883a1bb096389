//! Upstream credentials, per `[credentials.*]` table: from AWS's own chain or a profile, and from there through roles;
//! kept, and refreshed before they expire.
//!
//! INVARIANT: a source is asked through the parent proxy of the configuration or none, whatever the environment says, and
//! a virtual key of Palisade's own is never taken for one of AWS's. Roles are assumed by the client that AWS's calls go
//! through.

mod cache;
mod chain;
mod fault;
mod plan;
mod shelf;
mod source;
mod sts;
mod watch;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rustls::pki_types::CertificateDer;

use self::cache::{Cache, is_valid};
use self::fault::printable;
use self::plan::{Plan, Step, Unplanned, plan};
use self::shelf::Shelf;
use self::sts::StsFault;
use super::clock::Clock;
use crate::aws::catalog::Catalog;
use crate::aws::endpoint::Endpoint;
use crate::guard::call::Caller;
use crate::proxy::upstream::UpstreamConfig;

pub use self::fault::{Cause, CredentialsFault};
pub use self::plan::Power;
pub use self::source::{CredentialSource, CredentialsConfig, Roles, StaticKeys};
pub use self::sts::Sts;
pub use self::watch::{Fetch, FetchOutcome, WatchFetches};

/// The credentials of every `[credentials.*]` table.
#[derive(Debug)]
pub struct UpstreamCredentials(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    tables: BTreeMap<String, Arc<Table>>,
    http: SharedHttpClient,
    sts: Sts,
    clock: Clock,
    watch: Arc<dyn WatchFetches>,
}

#[derive(Debug)]
struct Table {
    config: Arc<CredentialsConfig>,
    cache: Arc<Cache>,
    roles: Shelf,
}

/// What a call is signed with.
#[derive(Debug, Clone)]
pub struct Signer {
    pub credentials: Credentials,
    /// The ARN of the role that they are of; `None`: those of the source itself.
    pub role: Option<String>,
    /// The account that they are of.
    pub account: String,
}

/// The client that fetches credentials cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the TLS client for AWS's logins cannot be set up: {0}")]
pub struct ClientSetup(String);

type Fetched<'a> = Pin<Box<dyn Future<Output = Result<Credentials, CredentialsFault>> + Send + 'a>>;

impl UpstreamCredentials {
    /// Prepares the tables; nothing is fetched yet. `roots` are the certificates that the servers of logins (IAM
    /// Identity Center, a profile's STS) are trusted by; one that isn't a certificate trusts nothing. They are reached
    /// as `upstream` says; what AWS serves on the machine itself (containers, instances) is reached directly. `watch` is
    /// told how each fetch ends.
    ///
    /// # Errors
    /// [`ClientSetup`] if no TLS client can be made.
    pub fn new(
        tables: &[CredentialsConfig],
        roots: &[CertificateDer<'static>],
        upstream: &UpstreamConfig,
        sts: Sts,
        clock: Clock,
        watch: Arc<dyn WatchFetches>,
    ) -> Result<Self, ClientSetup> {
        let tables = tables.iter().map(|t| (t.name.clone(), Table::new(t)));
        Ok(Self(Arc::new(Shared {
            tables: tables.collect(),
            http: chain::http_client(roots, upstream)?,
            sts,
            clock,
            watch,
        })))
    }

    /// The tables of another configuration with the same upstream: one that hasn't changed keeps its credentials, and
    /// shares them with those who still hold `self`.
    #[must_use]
    pub fn renewed(&self, tables: &[CredentialsConfig], catalog: Arc<Catalog>) -> Self {
        let before = &self.0;
        let table = |config: &CredentialsConfig| {
            let kept = before.tables.get(&config.name);
            kept.filter(|t| *t.config == *config)
                .map_or_else(|| Table::new(config), Arc::clone)
        };
        let tables = tables.iter().map(|t| (t.name.clone(), table(t)));
        Self(Arc::new(Shared {
            tables: tables.collect(),
            http: before.http.clone(),
            sts: before.sts.of(catalog),
            clock: before.clock.clone(),
            watch: Arc::clone(&before.watch),
        }))
    }

    /// What a table's source gives: tells whether its login is good before any call needs it.
    ///
    /// # Errors
    /// As for [`credentials`](Self::credentials).
    pub async fn source(&self, name: &str) -> Result<Credentials, CredentialsFault> {
        self.0.source(self.table(name)?).await
    }

    /// What a caller's call at an endpoint is signed with, valid for ten seconds at least. `Power::Guarded` is for a
    /// guarded call that was allowed, and for nothing else.
    ///
    /// What is kept comes at once; only where there is nothing does a call wait, ten seconds or so at most for the
    /// source and for each role on the way.
    ///
    /// # Errors
    /// [`CredentialsFault`], which tells what lasts from what passes. While credentials are valid a refresh that fails
    /// is none.
    pub async fn credentials(
        &self,
        caller: &Caller,
        power: Power,
        near: &Endpoint,
    ) -> Result<Signer, CredentialsFault> {
        let name = &caller.credentials;
        let fault = |cause| CredentialsFault::new(name, cause, String::new());
        let table = self.table(name)?;
        let plan = |own: Option<&str>| plan(&table.config, caller, power, &near.partition, own);
        // Of the source, where the account is theirs: those alone sign in it, whatever is fetched meanwhile.
        let mut own = None;
        let planned = match plan(None) {
            Err(Unplanned::OwnAccount) => {
                let (credentials, account) = self.0.own(table, near).await?;
                own = Some(credentials);
                plan(Some(&account))
            }
            planned @ (Ok(_) | Err(Unplanned::Fault(_))) => planned,
        };
        let Plan { steps, account } = planned.map_err(|unplanned| match unplanned {
            Unplanned::Fault(cause) => fault(cause),
            Unplanned::OwnAccount => fault(Cause::WhichAccount {
                accounts: table.config.accounts.clone(),
            }),
        })?;
        let at_hand = own.filter(|_| steps.is_empty());
        let at_hand = at_hand.or_else(|| self.0.at_hand(table, &steps));
        let credentials = match at_hand {
            Some(credentials) => credentials,
            None => self.0.fetch(table, &steps, near).await?,
        };
        Ok(Signer {
            credentials,
            role: steps.last().map(|step| step.role.to_string()),
            account,
        })
    }

    fn table(&self, name: &str) -> Result<&Arc<Table>, CredentialsFault> {
        let none = || CredentialsFault::new(name, Cause::NoTable, String::new());
        self.0.tables.get(name).ok_or_else(none)
    }
}

impl Table {
    fn new(config: &CredentialsConfig) -> Arc<Self> {
        Arc::new(Self {
            config: Arc::new(config.clone()),
            cache: Arc::default(),
            roles: Shelf::default(),
        })
    }
}

impl Shared {
    /// The credentials at the end of those steps, where they are kept and fresh. Every call passes by here: what waits, and
    /// is large, it meets only without them.
    fn at_hand(&self, table: &Table, steps: &[Step]) -> Option<Credentials> {
        match (&table.config.source, steps) {
            (CredentialSource::Static(keys), []) => Some(chain::static_credentials(keys)),
            (_, []) => table.cache.at_hand(&self.clock),
            (_, steps) => table.roles.cache(steps).at_hand(&self.clock),
        }
    }

    /// The credentials of a table's source, and the account that they are of.
    async fn own(
        &self,
        table: &Table,
        near: &Endpoint,
    ) -> Result<(Credentials, String), CredentialsFault> {
        let credentials = match self.at_hand(table, &[]) {
            Some(credentials) => credentials,
            None => Box::pin(self.source(table)).await?,
        };
        let told = credentials.account_id().map(|id| id.as_str().to_owned());
        let account = match told.or_else(|| self.sts.known_account(&credentials)) {
            Some(account) => account,
            None => {
                let asked = Box::pin(self.sts.ask_account(near, &credentials)).await;
                asked.map_err(|fault| of_sts(&table.config.name, fault))?
            }
        };
        Ok((credentials, account))
    }

    /// The credentials of a table's source. `account_id()` is set where the source says it.
    async fn source(&self, table: &Table) -> Result<Credentials, CredentialsFault> {
        if let CredentialSource::Static(keys) = &table.config.source {
            return Ok(chain::static_credentials(keys));
        }
        let config = Arc::clone(&table.config);
        let (http, clock, watch) = (
            self.http.clone(),
            self.clock.clone(),
            Arc::clone(&self.watch),
        );
        let load = move || async move {
            let CredentialsConfig { name, source, .. } = &*config;
            let loaded = chain::load(name, source, http, &clock).await;
            watch.fetched(name, Fetch::Source, FetchOutcome::of(&loaded));
            loaded
        };
        table.cache.credentials(&self.clock, load).await
    }

    /// The credentials at the end of those steps.
    fn fetch<'a>(
        self: &'a Arc<Self>,
        table: &'a Arc<Table>,
        steps: &'a [Step],
        near: &'a Endpoint,
    ) -> Fetched<'a> {
        Box::pin(async move {
            let Some((last, before)) = steps.split_last() else {
                return self.source(table).await;
            };
            let (shared, table_of_load) = (Arc::clone(self), Arc::clone(table));
            let (last, before, near) = (last.clone(), before.to_vec(), near.clone());
            let load = move || async move {
                let credentials = shared.fetch(&table_of_load, &before, &near).await?;
                let by = whose(&table_of_load.config.source, &before);
                let assumed = shared.sts.assume(&near, &credentials, &last, &by).await;
                let assumed = assumed.and_then(|assumed| fresh(assumed, &last, &shared.clock));
                let name = &table_of_load.config.name;
                let outcome = FetchOutcome::of(&assumed);
                shared.watch.fetched(name, Fetch::Role, outcome);
                assumed.map_err(|fault| of_sts(name, fault))
            };
            let cache = table.roles.cache(steps);
            cache.credentials(&self.clock, load).await
        })
    }
}

/// Refuses what isn't valid when it comes.
fn fresh(credentials: Credentials, step: &Step, clock: &Clock) -> Result<Credentials, StsFault> {
    if is_valid(&credentials, clock.now()) {
        return Ok(credentials);
    }
    let role = step.role.to_string();
    Err(StsFault {
        cause: Cause::RoleExpired { role },
        detail: String::new(),
    })
}

/// Who asks for a role, for a message.
fn whose(source: &CredentialSource, before: &[Step]) -> String {
    if let Some(step) = before.last() {
        return format!("the role `{}`", step.role);
    }
    match source {
        CredentialSource::Default => "the credentials of AWS's own chain".to_owned(),
        CredentialSource::Profile(name) => format!("the profile `{}`", printable(name)),
        CredentialSource::Static(_) => "the guard's own keys".to_owned(),
    }
}

fn of_sts(name: &str, fault: StsFault) -> CredentialsFault {
    CredentialsFault::new(name, fault.cause, fault.detail)
}

#[cfg(test)]
mod role_tests;
#[cfg(test)]
mod tests;
