//! A running guard: from a configuration to listeners, and back down in order.

mod assemble;
mod descriptors;
mod error;
mod keys;
mod parts;
mod place;
mod pulse;
mod reload;
mod run_file;
mod service_manager;
mod sockets;
mod watcher;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) use self::assemble::certified;
use self::assemble::{
    Common, holders, keep_served, overridden, tables, tell, timeouts, vocabulary,
    warn_of_open_door, warn_of_open_tags, watch_keys,
};
use self::parts::Parts;
use self::reload::Reload;
use crate::admin::metrics::{Certificate, Metrics, Proxied};
use crate::admin::readiness::Readiness;
use crate::aws::catalog::Catalog;
use crate::aws::endpoint::{Endpoint, Resolved};
use crate::aws::host::Host;
use crate::config::Config;
use crate::guard::call::Caller;
use crate::journal::record::Lifecycle;
use crate::journal::{Durability, Journal, JournalError, Observe, Options, Record};
use crate::pipeline::InForce;
use crate::proxy::authority::{self, Leaves};
use crate::proxy::lanes::{Lanes, Turning};
use crate::proxy::{Budget, Proxy};
use crate::ruleset::Ruleset;
use crate::sources::clock::Clock;
use crate::sources::credentials::Power;
use crate::sources::keys::LiveKeys;
use crate::state::KeyStore;

pub use self::error::{NoIdentity, StartError};
pub use self::place::{authority as open_authority, state as open_state};
pub use self::pulse::Pulse;
pub use self::run_file::{RunCaller, RunFile};
pub use self::service_manager::ServiceManager;
pub use self::sockets::{Sockets, SocketsError};
pub use self::watcher::Watcher;

/// How long requests in flight have to end when the guard stops.
pub const GRACE: Duration = Duration::from_secs(30);

/// How often a guard that starts looks whether it is ready.
const READY_STEP: Duration = Duration::from_millis(20);

/// A guard that serves.
#[derive(Debug)]
pub struct Running {
    guard: Arc<InForce>,
    minting: Arc<Leaves>,
    listen: SocketAddr,
    admin: SocketAddr,
    readiness: Readiness,
    turning: Turning,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), JournalError>>,
    reload: tokio::sync::Mutex<Reload>,
}

/// How a guard runs, besides what its configuration says.
#[derive(Clone)]
pub struct Manner {
    /// The subcommand that runs it, which `run.json` tells others.
    pub command: &'static str,
    /// Virtual keys in place of those of the state folder.
    pub keys: Option<KeyStore>,
    /// Told of each record besides the metrics.
    pub observer: Option<Arc<dyn Observe>>,
}

impl Manner {
    /// As a service runs: with the keys of its state folder.
    pub const SERVE: Self = Self {
        command: "serve",
        keys: None,
        observer: None,
    };
}

impl std::fmt::Debug for Manner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manner")
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}

impl Running {
    /// Starts a guard by its configuration, as a service runs. When this returns, it serves.
    ///
    /// # Errors
    /// [`StartError`]: nothing of it is left running.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_in(config, Manner::SERVE).await
    }

    /// As [`start`](Self::start), in another manner.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub async fn start_in(config: &Config, manner: Manner) -> Result<Self, StartError> {
        Self::start_on(Sockets::default(), config, manner).await
    }

    /// As [`start_in`](Self::start_in), on sockets that were handed over; what of them is missing is opened.
    ///
    /// # Errors
    /// As for [`start_in`](Self::start_in).
    pub async fn start_on(
        sockets: Sockets,
        config: &Config,
        manner: Manner,
    ) -> Result<Self, StartError> {
        let state = place::state(config)?;
        let lock = state.lock()?;
        let ruleset = Ruleset::load(config)?;
        warn_of_open_tags(&ruleset);
        warn_of_open_door(config);
        let clock = Clock::system();
        let metrics = Arc::new(Metrics::new(vocabulary(&ruleset))?);
        let authority = place::authority(&state, certified(config, &ruleset.catalog), clock.now())?;
        metrics.certificate_expires(Certificate::Authority, Some(authority.not_after()));
        let leaves = authority::leaves(authority)?;
        let minting = Arc::clone(&leaves);
        let minted = Arc::clone(&leaves);
        let store = match manner.keys {
            Some(keys) => keys,
            None => state.keys()?,
        };
        let (keys, first_uses) = LiveKeys::new(
            store,
            holders(config),
            tables(config),
            config.keys_unread_max,
        )?;
        let budget = Budget::new(config.limits.buffer_total_max);
        let sockets = sockets.assign(config.listen, config.admin)?;
        let listener = listen("listen", config.listen, sockets.proxy).await?;
        let admin_listener = listen("admin", config.admin, sockets.admin).await?;
        let (listen, admin) = (
            address(&listener, config.listen),
            address(&admin_listener, config.admin),
        );
        let durability = if config.journal.fsync {
            Durability::Fsync
        } else {
            Durability::Written
        };
        let options = Options {
            durability,
            ..Options::default()
        };
        let observers = Observers {
            metrics: Arc::clone(&metrics),
            other: manner.observer,
        };
        let observer: Arc<dyn Observe> = Arc::new(observers);
        // From here on this release writes where another may have written.
        lock.mark()?;
        let (journal, _) = Journal::open_observed(&state.journal(), options, Some(observer))?;
        metrics.watch_journal(journal.status());
        let started = Lifecycle::Start {
            ruleset_hash: ruleset.hash.clone(),
            catalog: ruleset.catalog.version().to_owned(),
            mode: config.mode,
            upstream_override: overridden(config),
        };
        let started = journal
            .append(Record::lifecycle(clock.now(), started))
            .await?;
        tracing::debug!(sequence = started.sequence(), "the start is recorded");
        let common = Common {
            keys,
            journal: journal.clone(),
            metrics: Arc::clone(&metrics),
            clock: clock.clone(),
            budget,
            log_rate: Arc::default(),
            strangers: Arc::default(),
            leaves: Arc::clone(&leaves),
        };
        let looked = Instant::now();
        let guard = Arc::new(InForce::new(common.guard(config, ruleset, None)?));
        // The only one there is, and made of what the ledger says now.
        guard.now().keys.agree_since(looked);
        tell(&metrics, &guard.now());
        let readiness = Readiness::new();
        let status = journal.status();
        readiness.ask("journal", move || {
            status.failure().map(|error| error.to_string())
        });
        watch_keys(&guard, &readiness, &metrics);
        let proxy = Proxy::new(
            Arc::clone(&guard),
            leaves,
            timeouts(config),
            descriptors::connections(config.limits.connections_max),
        )?;
        let lanes = Lanes::start().map_err(StartError::Lanes)?;
        let turning = lanes.turning();
        let proxy = proxy.over(lanes);
        let health = Readiness::new();
        for asked in [&health, &readiness] {
            let turning = turning.clone();
            asked.ask("lanes", move || turning.stuck());
        }
        let proxy = Arc::new(proxy);
        metrics.watch_proxy(Box::new({
            let proxy = Arc::downgrade(&proxy);
            move || Proxied {
                connections: proxy.upgrade().map_or(0, |proxy| proxy.connections()),
                certificates_minted: minted.minted(),
            }
        }));
        keep_served(&state, &guard.now().ruleset);
        run_file::write(&state, manner.command, config, listen, admin)?;
        let (stop, stopped) = watch::channel(false);
        let reload = Reload::new(
            common,
            Arc::clone(&guard),
            readiness.clone(),
            state.clone(),
            config.clone(),
        );
        let parts = Parts {
            guard: Arc::clone(&guard),
            journal,
            clock,
            proxy,
            listener,
            admin_listener,
            readiness: readiness.clone(),
            health,
            metrics,
            first_uses,
            state,
            _lock: lock,
        };
        let task = tokio::spawn(parts.run(stopped));
        match overridden(config) {
            None => tracing::info!(%listen, %admin, "guarding"),
            Some(instead) => {
                tracing::warn!(%listen, %admin, upstream = instead, "guarding; nothing goes to AWS: all calls go to the upstream named here");
            }
        }
        Ok(Self {
            guard,
            minting,
            listen,
            admin,
            readiness,
            turning,
            stop,
            task,
            reload: tokio::sync::Mutex::new(reload),
        })
    }

    /// Comes back once nothing speaks against readiness any more.
    pub async fn ready(&self) {
        while !self.readiness.reasons().is_empty() {
            tokio::time::sleep(READY_STEP).await;
        }
    }

    /// Tells, also while it stops, whether the guard works.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        let task = self.task.abort_handle();
        Pulse::new(Arc::clone(&self.guard), task, self.turning.clone())
    }

    /// Puts a configuration that was read anew in force, as a whole or not at all: `Err` where it doesn't read well, with
    /// what it says of itself. Connections stay; requests in flight end as they began. One reload at a time.
    ///
    /// # Errors
    /// Why what was in force stays in force; a metric, a record and `/readyz` say so too.
    pub async fn reload(&self, read: Result<Config, String>) -> Result<(), String> {
        self.reload.lock().await.apply(read).await
    }

    /// The configuration in force.
    pub async fn config(&self) -> Config {
        self.reload.lock().await.config().clone()
    }

    /// The account that a table's credentials would act in for a caller: they are fetched, through its roles, as for a
    /// call in that region.
    ///
    /// # Errors
    /// [`NoIdentity`]: there are no credentials, or AWS doesn't take them.
    pub async fn account(
        &self,
        caller: &str,
        table: &str,
        region: &str,
    ) -> Result<String, NoIdentity> {
        let guard = self.guard.now();
        let near = sts_in(&guard.ruleset.catalog, region)
            .ok_or_else(|| NoIdentity::Region(region.to_owned()))?;
        let caller = Caller {
            name: caller.to_owned(),
            groups: Vec::new(),
            credentials: table.to_owned(),
            access_key_id: String::new(),
            role: None,
            session: None,
        };
        let signer = guard.credentials.credentials(&caller, Power::Work, &near);
        Ok(signer.await?.account)
    }

    /// How many policies are in force.
    #[must_use]
    pub fn policies(&self) -> usize {
        self.guard.now().ruleset.policies.rules().len()
    }

    /// How many hosts of AWS's clients have asked for.
    #[must_use]
    pub fn certificates_minted(&self) -> u64 {
        self.minting.minted()
    }

    /// Where the proxy listens.
    #[must_use]
    pub const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where metrics and health are served.
    #[must_use]
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Stops in order: accepts no more, lets what is in flight end within 30 seconds, closes the journal.
    ///
    /// # Errors
    /// What the disk said, if queued records could not be written.
    pub async fn stop(self) -> Result<(), JournalError> {
        // The receiver is gone only if the guard has ended by itself.
        let _ = self.stop.send(true);
        self.task.await.unwrap_or(Err(JournalError::Closed))
    }
}

/// The metrics, and whoever else is told of each record.
struct Observers {
    metrics: Arc<Metrics>,
    other: Option<Arc<dyn Observe>>,
}

impl Observe for Observers {
    fn recorded(&self, record: &Record) {
        self.metrics.recorded(record);
        if let Some(other) = &self.other {
            other.recorded(record);
        }
    }

    fn appended(&self, took: Duration) {
        self.metrics.appended(took);
        if let Some(other) = &self.other {
            other.appended(took);
        }
    }
}

/// The endpoint of STS in a region.
fn sts_in(catalog: &Catalog, region: &str) -> Option<Endpoint> {
    catalog.dns_suffixes().find_map(|suffix| {
        let host = Host::parse(&format!("sts.{region}.{suffix}")).ok()?;
        match catalog.resolve(&host) {
            Resolved::Api(endpoint) => Some(endpoint),
            Resolved::Unmodelled | Resolved::Foreign => None,
        }
    })
}

async fn listen(
    key: &'static str,
    address: SocketAddr,
    handed: Option<std::net::TcpListener>,
) -> Result<TcpListener, StartError> {
    let listening = match handed {
        Some(handed) => TcpListener::from_std(handed),
        None => TcpListener::bind(address).await,
    };
    listening.map_err(|error| StartError::Listen {
        key,
        address,
        error,
    })
}

fn address(listener: &TcpListener, configured: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(configured)
}
