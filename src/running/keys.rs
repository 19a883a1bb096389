//! What a running guard does about keys: it takes over what is revoked, and records what becomes of them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::admin::readiness::Condition;
use crate::journal::Record;
use crate::journal::record::Lifecycle;
use crate::pipeline::{Guard, InForce};
use crate::sources::keys::{FirstUse, KeysError};
use crate::state::KeyRecord;

/// How often the key ledger is looked at: a key that is revoked stops working within a second.
const LEDGER_EVERY: Duration = Duration::from_millis(500);

/// Takes over what is revoked, and records what was issued and revoked meanwhile; a last time when the guard stops. A guard
/// that can't read what is revoked isn't ready: its orchestrator sends callers to others. For how long it takes keys all the
/// same is bounded: here is said when they agreed with the ledger last.
pub(super) async fn follow_ledger(
    in_force: Arc<InForce>,
    recorded: PathBuf,
    readable: Condition,
    mut stopped: watch::Receiver<bool>,
) {
    let mut watch = in_force.now().keys.store().watch();
    let mut known = Recorded::load(&recorded);
    let mut before = in_force.now();
    // What was read, and is still to be taken over.
    let mut owed = None;
    let mut ticks = tokio::time::interval(LEDGER_EVERY);
    loop {
        let last = tokio::select! {
            _ = ticks.tick() => false,
            // An error means that whoever could stop this is gone: then it is time too.
            _ = stopped.wait_for(|stop| *stop) => true,
        };
        let now = in_force.now();
        let looked = Instant::now();
        let polled = watch.poll().map(|keys| {
            let owed = owed.take();
            keys.or(owed)
        });
        let taken_over = match polled {
            Ok(Some(keys)) => {
                // One that fails keeps none of the others from it.
                let guards = in_force.all();
                let renewed = guards.iter().map(|guard| guard.keys.renew(&keys));
                let failed: Vec<KeysError> = renewed.filter_map(Result::err).collect();
                match failed.into_iter().next() {
                    None => {
                        record_keys(&in_force.now(), &mut known, &keys);
                        if let Err(error) = known.save(&recorded) {
                            tracing::warn!("{} can't be written: {error}", recorded.display());
                        }
                        Ok(())
                    }
                    Some(error) => {
                        owed = Some(keys);
                        Err(format!("the key ledger can't be taken over: {error}"))
                    }
                }
            }
            Ok(None) => Ok(()),
            Err(error) => Err(format!("the key ledger can't be read: {error}")),
        };
        let taken_over = taken_over.and_then(|()| {
            if Arc::ptr_eq(&now, &before) {
                return Ok(());
            }
            // What was revoked while this one was being made.
            renew(&now).map_err(|error| {
                format!("the keys of a reload can't be held against the ledger: {error}")
            })?;
            before = now;
            Ok(())
        });
        match taken_over {
            Ok(()) => {
                in_force.now().keys.agree_since(looked);
                readable.met();
            }
            Err(why) => {
                tracing::error!("{why}");
                readable.unmet(why);
            }
        }
        if last {
            return;
        }
    }
}

fn renew(guard: &Guard) -> Result<(), KeysError> {
    let keys = guard.keys.store().list()?;
    guard.keys.renew(&keys)
}

/// Which keys the journal has records of, and whether of their end too: kept beside the ledger, so that a key that was
/// issued or revoked while no guard ran is recorded at the next start.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
struct Recorded(BTreeMap<String, bool>);

impl Recorded {
    /// What a file says; nothing where it can't be read, since a record twice is better than none.
    fn load(path: &Path) -> Self {
        let read = std::fs::read(path).ok();
        read.and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    fn save(&self, path: &Path) -> io::Result<()> {
        let fresh = path.with_extension("json.new");
        std::fs::write(&fresh, serde_json::to_vec(self)?)?;
        std::fs::rename(&fresh, path)
    }
}

fn record_keys(guard: &Guard, recorded: &mut Recorded, keys: &[KeyRecord]) {
    for key in keys {
        let before = recorded.0.get(&key.access_key_id).copied();
        let (caller, access_key_id) = (key.caller.clone(), key.access_key_id.clone());
        let mut events = Vec::new();
        if before.is_none() {
            events.push(Lifecycle::KeyIssued {
                caller: caller.clone(),
                access_key_id: access_key_id.clone(),
            });
        }
        if key.revoked.is_some() && before != Some(true) {
            events.push(Lifecycle::KeyRevoked {
                caller,
                access_key_id,
            });
        }
        for event in events {
            if let Err(error) = guard
                .journal
                .append_later(Record::lifecycle(guard.clock.now(), event))
            {
                tracing::error!("what became of a key could not be recorded: {error}");
                return;
            }
        }
        recorded
            .0
            .insert(key.access_key_id.clone(), key.revoked.is_some());
    }
}

/// Records the first use of each key, until the guard stops and none is left.
pub(super) async fn record_first_uses(
    in_force: Arc<InForce>,
    mut uses: mpsc::UnboundedReceiver<FirstUse>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let next = tokio::select! {
            biased;
            next = uses.recv() => next,
            _ = stopped.wait_for(|stop| *stop) => None,
        };
        let Some(FirstUse {
            access_key_id,
            caller,
        }) = next
        else {
            return;
        };
        let guard = in_force.now();
        let now = guard.clock.now();
        let (store, id) = (guard.keys.store().clone(), access_key_id.clone());
        let written = tokio::task::spawn_blocking(move || store.record_first_use(&id, now)).await;
        // A key that another guard issued under the same master key isn't in this ledger, and is told all the same.
        if let Ok(Ok(crate::state::FirstUse::Earlier)) = written {
            continue;
        }
        let event = Lifecycle::KeyFirstUsed {
            caller,
            access_key_id,
        };
        if let Err(error) = guard.journal.append_later(Record::lifecycle(now, event)) {
            tracing::error!("the first use of a key could not be recorded: {error}");
        }
    }
}
