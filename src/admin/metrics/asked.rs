//! What others know better: journal, proxy and keys are asked at each scrape, and need tell nothing meanwhile.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus::{IntCounter, IntGauge, Registry};

use super::MetricsError;
use crate::admin::declare::{gauge, registered};
use crate::journal::Status;

/// What the proxy counts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proxied {
    /// Connections of clients that are open.
    pub connections: usize,
    /// Certificates made since the start.
    pub certificates_minted: u64,
}

/// Asks the proxy.
pub type AskProxy = Box<dyn Fn() -> Proxied + Send + Sync>;

/// Asks how long ago the key ledger was read well.
pub type AskUnread = Box<dyn Fn() -> Duration + Send + Sync>;

/// The metrics that are asked for, and whom. Each is set once, at start: another would be another guard's.
#[derive(Debug)]
pub(super) struct Asked {
    journal: OnceLock<Arc<Status>>,
    proxy: OnceLock<Ask<AskProxy>>,
    keys: OnceLock<Ask<AskUnread>>,
    journal_sequence: IntGauge,
    journal_failing: IntGauge,
    key_ledger_age: IntGauge,
    connections: IntGauge,
    certificates_minted: IntCounter,
}

struct Ask<F>(F);

impl<F> fmt::Debug for Ask<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ask")
    }
}

impl Asked {
    pub(super) fn new(r: &Registry) -> Result<Self, MetricsError> {
        Ok(Self {
            journal: OnceLock::new(),
            proxy: OnceLock::new(),
            keys: OnceLock::new(),
            journal_sequence: gauge(
                r,
                "palisade_journal_sequence",
                "The sequence of the journal's last record.",
            )?,
            journal_failing: gauge(
                r,
                "palisade_journal_failing",
                "1 while the journal cannot be written and nothing is forwarded.",
            )?,
            key_ledger_age: gauge(
                r,
                "palisade_key_ledger_age_seconds",
                "How long ago the key ledger was last read well; beyond state.keys_unread_max no virtual key is taken.",
            )?,
            connections: gauge(r, "palisade_connections", "Connections of clients.")?,
            certificates_minted: registered(
                r,
                IntCounter::new(
                    "palisade_certificates_minted_total",
                    "Certificates made for hosts.",
                )?,
            )?,
        })
    }

    pub(super) fn watch_journal(&self, status: Arc<Status>) {
        let _ = self.journal.set(status);
    }

    pub(super) fn watch_proxy(&self, ask: AskProxy) {
        let _ = self.proxy.set(Ask(ask));
    }

    pub(super) fn watch_keys(&self, ask: AskUnread) {
        let _ = self.keys.set(Ask(ask));
    }

    pub(super) fn ask(&self) {
        if let Some(journal) = self.journal.get() {
            let sequence = i64::try_from(journal.sequence()).unwrap_or(i64::MAX);
            self.journal_sequence.set(sequence);
            self.journal_failing.set(i64::from(journal.is_failing()));
        }
        if let Some(Ask(ask)) = self.keys.get() {
            let seconds = i64::try_from(ask().as_secs()).unwrap_or(i64::MAX);
            self.key_ledger_age.set(seconds);
        }
        if let Some(Ask(ask)) = self.proxy.get() {
            let proxied = ask();
            self.connections
                .set(i64::try_from(proxied.connections).unwrap_or(i64::MAX));
            let counted = self.certificates_minted.get();
            self.certificates_minted
                .inc_by(proxied.certificates_minted.saturating_sub(counted));
        }
    }
}
