//! A running guard: from a configuration to listeners, and back down in order.

mod assemble;
mod descriptors;
mod keys;
mod reload;
mod watcher;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::assemble::{
    Common, holders, overridden, tables, tell, timeouts, vocabulary, warn_of_open_tags,
};
use self::reload::Reload;
use crate::admin::metrics::{Metrics, MetricsError, Proxied};
use crate::admin::readiness::Readiness;
use crate::admin::server::Admin;
use crate::config::Config;
use crate::journal::record::Lifecycle;
use crate::journal::{Durability, Journal, JournalError, Observe, Options, Record};
use crate::pipeline::InForce;
use crate::proxy::authority::{self, Authority, AuthorityError};
use crate::proxy::upstream::UpstreamError;
use crate::proxy::{Budget, Proxy, roots};
use crate::ruleset::{Ruleset, RulesetError};
use crate::sources::clock::Clock;
use crate::sources::credentials::ClientSetup;
use crate::sources::keys::{FirstUse, KeysError, LiveKeys};
use crate::state::{GuardLock, StateDir, StateError};

pub use self::watcher::Watcher;

/// How long requests in flight have to end when the guard stops.
const GRACE: Duration = Duration::from_secs(30);

/// A guard that serves.
#[derive(Debug)]
pub struct Running {
    listen: SocketAddr,
    admin: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), JournalError>>,
    reload: tokio::sync::Mutex<Reload>,
}

/// Why a guard can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Ruleset(#[from] RulesetError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error(transparent)]
    Roots(#[from] roots::RootsError),
    #[error(transparent)]
    Credentials(#[from] ClientSetup),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error(
        "`{key} = \"{address}\"` can't be listened on: {error}; another process may have it: choose another port"
    )]
    Listen {
        key: &'static str,
        address: SocketAddr,
        error: io::Error,
    },
    #[error("`{path}` can't be written: {error}")]
    RunFile { path: String, error: io::Error },
}

impl Running {
    /// Starts a guard by its configuration. When this returns, it serves.
    ///
    /// # Errors
    /// [`StartError`]: nothing of it is left running.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        let state = StateDir::open(&config.state_dir)?;
        let lock = state.lock()?;
        let ruleset = Ruleset::load(config)?;
        warn_of_open_tags(&ruleset);
        let clock = Clock::system();
        let metrics = Arc::new(Metrics::new(vocabulary(&ruleset))?);
        let authority = Authority::open(
            &state.authority(),
            ruleset.catalog.dns_suffixes(),
            clock.now(),
        )?;
        let leaves = authority::leaves(authority)?;
        let minting = Arc::clone(&leaves);
        let (keys, first_uses) = LiveKeys::new(state.keys()?, holders(config), tables(config))?;
        let budget = Budget::new(config.limits.buffer_total_max);
        let listener = listen("listen", config.listen).await?;
        let admin_listener = listen("admin", config.admin).await?;
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
        let observer: Arc<dyn Observe> = Arc::clone(&metrics) as _;
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
        };
        let guard = Arc::new(InForce::new(common.guard(config, ruleset, None)?));
        tell(&metrics, &guard.now());
        let readiness = Readiness::new();
        let status = journal.status();
        readiness.ask("journal", move || {
            status.failure().map(|error| error.to_string())
        });
        let proxy = Proxy::new(
            Arc::clone(&guard),
            leaves,
            timeouts(config),
            descriptors::connections(config.limits.connections_max),
        )?;
        let proxy = Arc::new(proxy);
        metrics.watch_proxy(Box::new({
            let proxy = Arc::downgrade(&proxy);
            move || Proxied {
                connections: proxy.upgrade().map_or(0, |proxy| proxy.connections()),
                certificates_minted: minting.minted(),
            }
        }));
        write_run_file(&state, listen, admin)?;
        let (stop, stopped) = watch::channel(false);
        let reload = Reload::new(
            common,
            Arc::clone(&guard),
            readiness.clone(),
            config.clone(),
        );
        let parts = Parts {
            guard,
            journal,
            clock,
            proxy,
            listener,
            admin_listener,
            readiness,
            metrics,
            first_uses,
            state,
            _lock: lock,
        };
        let task = tokio::spawn(parts.run(stopped));
        tracing::info!(%listen, %admin, "guarding");
        Ok(Self {
            listen,
            admin,
            stop,
            task,
            reload: tokio::sync::Mutex::new(reload),
        })
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

/// What runs.
struct Parts {
    guard: Arc<InForce>,
    journal: Journal,
    clock: Clock,
    proxy: Arc<Proxy<InForce>>,
    listener: TcpListener,
    admin_listener: TcpListener,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    first_uses: mpsc::UnboundedReceiver<FirstUse>,
    state: StateDir,
    _lock: GuardLock,
}

impl Parts {
    async fn run(self, stopped: watch::Receiver<bool>) -> Result<(), JournalError> {
        let Self {
            guard,
            journal,
            clock,
            proxy,
            listener,
            admin_listener,
            readiness,
            metrics,
            first_uses,
            state,
            _lock,
        } = self;
        let stopping = readiness.condition("serving", "the guard is starting");
        stopping.met();
        let admin = Admin {
            metrics: Arc::clone(&metrics),
            readiness,
        };
        let (admin_stop, admin_stopped) = watch::channel(false);
        let admin = tokio::spawn(admin.serve(admin_listener, wait(admin_stopped)));
        let (chores_stop, chores_stopped) = watch::channel(false);
        let recorded = state.path().join("keys/recorded.json");
        let ledger = tokio::spawn(keys::follow_ledger(
            Arc::clone(&guard),
            recorded,
            chores_stopped.clone(),
        ));
        let uses = tokio::spawn(keys::record_first_uses(
            Arc::clone(&guard),
            first_uses,
            chores_stopped,
        ));
        let drained = {
            let shutdown = async {
                wait(stopped).await;
                stopping.unmet("the guard is stopping");
            };
            proxy.serve(listener, shutdown, GRACE).await
        };
        if drained.cut > 0 {
            tracing::warn!(cut = drained.cut, "connections were cut after {GRACE:?}");
        }
        let _ = chores_stop.send(true);
        // Panics of theirs have been logged; the stop goes on.
        let _ = ledger.await;
        let _ = uses.await;
        let last = journal
            .append(Record::lifecycle(clock.now(), Lifecycle::Stop))
            .await;
        let closed = journal.close().await;
        let _ = admin_stop.send(true);
        // The admin server ends by itself; a panic of it has been logged.
        let _ = admin.await;
        let _ = std::fs::remove_file(run_file(&state));
        last.map(|_| ())?;
        closed
    }
}

async fn wait(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it whoever could stop this in order.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| StartError::Listen {
            key,
            address,
            error,
        })
}

fn address(listener: &TcpListener, configured: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(configured)
}

fn run_file(state: &StateDir) -> PathBuf {
    state.path().join("run.json")
}

/// Tells tools where the guard listens: `state_dir/run.json`, there for as long as it serves.
fn write_run_file(
    state: &StateDir,
    listen: SocketAddr,
    admin: SocketAddr,
) -> Result<(), StartError> {
    let path = run_file(state);
    let text = serde_json::json!({
        "listen": listen.to_string(),
        "admin": admin.to_string(),
        "pid": std::process::id(),
    });
    let fresh = path.with_extension("json.new");
    let written =
        std::fs::write(&fresh, format!("{text}\n")).and_then(|()| std::fs::rename(&fresh, &path));
    written.map_err(|error| StartError::RunFile {
        path: path.display().to_string(),
        error,
    })
}
