//! What runs, from the first connection to the last record.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::{GRACE, keys, run_file};
use crate::admin::metrics::Metrics;
use crate::admin::readiness::Readiness;
use crate::admin::server::Admin;
use crate::journal::record::Lifecycle;
use crate::journal::{Journal, JournalError, Record};
use crate::pipeline::InForce;
use crate::proxy::Proxy;
use crate::sources::clock::Clock;
use crate::sources::keys::FirstUse;
use crate::state::{GuardLock, StateDir};

/// What runs.
pub(super) struct Parts {
    pub(super) guard: Arc<InForce>,
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    pub(super) proxy: Arc<Proxy<InForce>>,
    pub(super) listener: TcpListener,
    pub(super) admin_listener: TcpListener,
    pub(super) readiness: Readiness,
    pub(super) health: Readiness,
    pub(super) metrics: Arc<Metrics>,
    pub(super) first_uses: mpsc::UnboundedReceiver<FirstUse>,
    pub(super) state: StateDir,
    pub(super) _lock: GuardLock,
}

impl Parts {
    pub(super) async fn run(self, stopped: watch::Receiver<bool>) -> Result<(), JournalError> {
        let Self {
            guard,
            journal,
            clock,
            proxy,
            listener,
            admin_listener,
            readiness,
            health,
            metrics,
            first_uses,
            state,
            _lock,
        } = self;
        let stopping = readiness.condition("serving", "the guard is starting");
        stopping.met();
        let readable = readiness.condition("keys", "the key ledger isn't read yet");
        let admin = Admin {
            metrics: Arc::clone(&metrics),
            readiness,
            health,
        };
        let (admin_stop, admin_stopped) = watch::channel(false);
        let admin = tokio::spawn(admin.serve(admin_listener, wait(admin_stopped)));
        let (chores_stop, chores_stopped) = watch::channel(false);
        let recorded = guard.now().keys.store().folder().join("recorded.json");
        let ledger = tokio::spawn(keys::follow_ledger(
            Arc::clone(&guard),
            recorded,
            readable,
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
        run_file::remove(&state);
        last.map(|_| ())?;
        closed
    }
}

async fn wait(mut stopped: watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it whoever could stop this in order.
    let _ = stopped.wait_for(|stop| *stop).await;
}
