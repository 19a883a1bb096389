//! What expires, told as Unix times, so that whoever scrapes can warn in time; and how fetching credentials goes.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{IntCounterVec, IntGaugeVec, Registry};

use super::MetricsError;
use crate::admin::declare::{counters, gauges};
use crate::admin::tally::{add, closed, set, touch, unset};
use crate::sources::credentials::{Fetch, FetchOutcome};

/// A certificate that clients meet and that somebody must renew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// `ca.pem`, which clients trust.
    Authority,
    /// `listener.tls_cert`, or what follows it in its file.
    Listener,
}

/// The metrics of what expires.
#[derive(Debug)]
pub(super) struct Expiries {
    certificates: IntGaugeVec,
    credentials: IntGaugeVec,
    fetches: IntCounterVec,
    tables: RwLock<BTreeSet<String>>,
}

impl Expiries {
    pub(super) fn new(r: &Registry) -> Result<Self, MetricsError> {
        Ok(Self {
            certificates: gauges(
                r,
                "palisade_certificate_expiry_timestamp_seconds",
                "When a certificate of the guard expires, as Unix time.",
                &["certificate"],
            )?,
            credentials: gauges(
                r,
                "palisade_credentials_expiry_timestamp_seconds",
                "When what a table's source gave last expires, as Unix time.",
                &["credentials"],
            )?,
            fetches: counters(
                r,
                "palisade_credentials_fetches_total",
                "Times that upstream credentials were fetched, from their source or by a role.",
                &["credentials", "from", "outcome"],
            )?,
            tables: RwLock::default(),
        })
    }

    pub(super) fn certificate(&self, certificate: Certificate, at: Option<SystemTime>) {
        show(&self.certificates, certificate.as_str(), at);
    }

    pub(super) fn in_force<'a>(&self, tables: impl Iterator<Item = &'a str>) {
        let tables: BTreeSet<String> = tables.map(str::to_owned).collect();
        for table in &tables {
            for fetch in [Fetch::Source, Fetch::Role] {
                for outcome in ["fetched", "failed"] {
                    touch(&self.fetches, &[table, fetch.as_str(), outcome]);
                }
            }
        }
        let mut known = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for gone in known.difference(&tables) {
            unset(&self.credentials, gone);
        }
        *known = tables;
    }

    pub(super) fn fetched(&self, table: &str, fetch: Fetch, outcome: FetchOutcome) {
        let known = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let label = closed(&*known, table);
        add(&self.fetches, &[label, fetch.as_str(), outcome.as_str()], 1);
        // A table that was taken out of the configuration may still be asked by a request in flight.
        if !known.contains(table) {
            return;
        }
        match (fetch, outcome) {
            (Fetch::Source, FetchOutcome::Fetched { expiry }) => {
                show(&self.credentials, label, expiry);
            }
            (Fetch::Source, FetchOutcome::Failed)
            | (Fetch::Role, FetchOutcome::Fetched { .. } | FetchOutcome::Failed) => {}
        }
    }
}

impl Certificate {
    const fn as_str(self) -> &'static str {
        match self {
            Certificate::Authority => "authority",
            Certificate::Listener => "listener",
        }
    }
}

fn show(gauges: &IntGaugeVec, label: &str, at: Option<SystemTime>) {
    let since = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    match since.and_then(|since| i64::try_from(since.as_secs()).ok()) {
        Some(seconds) => set(gauges, label, seconds),
        None => unset(gauges, label),
    }
}
