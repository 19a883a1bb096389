//! The metrics, declared once. What can be counted from the journal's records is counted from them, so that a
//! number can be traced to records; the rest is told as it happens.
//!
//! INVARIANT: a label's value comes from a closed set: an enum, the catalog, the policies in force; else `other`.

mod asked;
mod expiries;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use prometheus::{
    Histogram, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use self::asked::Asked;
use self::expiries::Expiries;
use super::declare::{counters, gauge, gauges, histogram, histograms};
use super::tally::{OTHER, add, closed, observe, set, touch};
use crate::aws::class::Class;
use crate::guard::call::{Mode, Outcome, Verdict};
use crate::guard::release::THIS;
use crate::journal::event::Palisade;
use crate::journal::{Observe, Phase, Record, Status};
use crate::sources::credentials::{Fetch, FetchOutcome, WatchFetches};
use crate::sources::lookup::{LookupOutcome, Watch};

pub use self::asked::{AskProxy, AskUnread, Proxied};
pub use self::expiries::Certificate;

/// The metrics could not be declared or written; it says which.
#[derive(Debug, thiserror::Error)]
#[error("the metrics cannot be kept: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// Answers whether a service has an operation, both as policies spell them.
pub type KnowsAction = Box<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// The closed sets that labels come from, besides the enums.
pub struct Vocabulary {
    /// Whether the catalog has that operation of that service.
    pub knows_action: KnowsAction,
    pub refusal_reasons: Vec<&'static str>,
    pub unidentified_reasons: Vec<&'static str>,
    /// What lookups ask: `workspaces:DescribeTags`.
    pub lookup_sources: Vec<String>,
    /// The catalog's version.
    pub catalog: String,
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary").finish_non_exhaustive()
    }
}

/// What a policy does where it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Permit,
    Forbid,
}

/// How reading the policies anew ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadOutcome {
    Applied,
    /// They don't validate; the old ones stay in force.
    Refused,
}

/// All metrics of a guard.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    vocabulary: RwLock<Vocabulary>,
    build: IntGaugeVec,
    policies: RwLock<BTreeMap<String, Effect>>,
    asked: Asked,
    decisions: IntCounterVec,
    resources: IntCounterVec,
    refusals: IntCounterVec,
    policy_decisions: IntCounterVec,
    unidentified: IntCounterVec,
    tunnels: IntCounterVec,
    outcomes: IntCounterVec,
    request_duration: HistogramVec,
    decision_duration: Histogram,
    lookup_duration: HistogramVec,
    upstream_duration: Histogram,
    append_duration: Histogram,
    policy_reloads: IntCounterVec,
    reload_failing: IntGauge,
    expiries: Expiries,
    ruleset: IntGaugeVec,
    mode: IntGaugeVec,
}

impl Metrics {
    /// Declares every metric. What has a closed and small set of labels begins at zero.
    ///
    /// # Errors
    /// [`MetricsError`] where the library doesn't take a name or label.
    pub fn new(vocabulary: Vocabulary) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let r = &registry;
        let metrics = Self {
            decisions: counters(
                r,
                "palisade_decisions_total",
                "Calls judged.",
                &["service", "operation", "class", "verdict"],
            )?,
            resources: counters(
                r,
                "palisade_resources_total",
                "Resources that judged calls would affect.",
                &["service", "class", "verdict"],
            )?,
            refusals: counters(
                r,
                "palisade_refusals_total",
                "Calls and connections refused, by why.",
                &["reason"],
            )?,
            policy_decisions: counters(
                r,
                "palisade_policy_decisions_total",
                "Decisions that a policy had a part in.",
                &["policy", "effect"],
            )?,
            unidentified: counters(
                r,
                "palisade_unidentified_total",
                "Requests to AWS that no operation could be found for.",
                &["reason"],
            )?,
            tunnels: counters(
                r,
                "palisade_tunnels_total",
                "CONNECTs to hosts that aren't AWS APIs.",
                &["verdict"],
            )?,
            outcomes: counters(
                r,
                "palisade_outcomes_total",
                "What became of allowed calls.",
                &["outcome"],
            )?,
            request_duration: histograms(
                r,
                "palisade_request_duration_seconds",
                "From a request's head to its answer's head.",
                &["class"],
                WIRE,
            )?,
            decision_duration: histogram(
                r,
                "palisade_decision_duration_seconds",
                "Asking the policies, for all resources of a call.",
                COMPUTED,
            )?,
            lookup_duration: histograms(
                r,
                "palisade_lookup_duration_seconds",
                "Asking AWS about resources.",
                &["source", "outcome"],
                WIRE,
            )?,
            upstream_duration: histogram(
                r,
                "palisade_upstream_duration_seconds",
                "From the send to the head of AWS's answer.",
                WIRE,
            )?,
            append_duration: histogram(
                r,
                "palisade_journal_append_duration_seconds",
                "Waiting for a record to be durable.",
                DISK,
            )?,
            policy_reloads: counters(
                r,
                "palisade_policy_reloads_total",
                "Times that the policies were read anew.",
                &["outcome"],
            )?,
            reload_failing: gauge(
                r,
                "palisade_policy_reload_failing",
                "1 while what the configuration names was refused and an older set is in force.",
            )?,
            expiries: Expiries::new(r)?,
            ruleset: gauges(
                r,
                "palisade_ruleset_info",
                "The rules in force, by their hash.",
                &["hash"],
            )?,
            mode: gauges(r, "palisade_mode", "The mode, as 1.", &["mode"])?,
            asked: Asked::new(r)?,
            policies: RwLock::new(BTreeMap::new()),
            build: gauges(
                r,
                "palisade_build_info",
                "The versions of the guard and its catalog.",
                &["version", "catalog"],
            )?,
            vocabulary: RwLock::new(vocabulary),
            registry,
        };
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// Other closed sets from now on: the catalog, or what it is asked about, was read anew.
    pub fn speaks(&self, vocabulary: Vocabulary) {
        *self
            .vocabulary
            .write()
            .unwrap_or_else(PoisonError::into_inner) = vocabulary;
        self.begin_at_zero();
    }

    fn vocabulary(&self) -> RwLockReadGuard<'_, Vocabulary> {
        self.vocabulary
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads sequence and health from a journal from now on.
    pub fn watch_journal(&self, status: Arc<Status>) {
        self.asked.watch_journal(status);
    }

    /// The policies in force, by `@id`: those that may stand as a label.
    pub fn policies_in_force<'a>(&self, policies: impl Iterator<Item = (&'a str, Effect)>) {
        let mut known = self
            .policies
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known.clear();
        for (id, effect) in policies {
            known.insert(id.to_owned(), effect);
            touch(&self.policy_decisions, &[id, effect.as_str()]);
        }
    }

    /// The rules in force, by their hash; only one is in force at a time.
    pub fn ruleset_in_force(&self, hash: &str) {
        self.ruleset.reset();
        set(&self.ruleset, hash, 1);
    }

    /// The mode that the guard runs in.
    pub fn runs_in(&self, mode: Mode) {
        for each in Mode::ALL {
            set(&self.mode, each.as_str(), i64::from(each == mode));
        }
    }

    /// A refusal that no record is written for: before authentication, or because the journal fails.
    pub fn refused_unrecorded(&self, reason: &str) {
        add(
            &self.refusals,
            &[closed(&self.vocabulary().refusal_reasons, reason)],
            1,
        );
    }

    /// A request to AWS that no operation could be found for.
    pub fn unidentified(&self, reason: &str) {
        add(
            &self.unidentified,
            &[closed(&self.vocabulary().unidentified_reasons, reason)],
            1,
        );
    }

    /// How long a request took; `None` for one that wasn't identified.
    pub fn request_took(&self, class: Option<Class>, took: Duration) {
        let class = class.map_or(OTHER, Class::as_str);
        observe(&self.request_duration, &[class], took);
    }

    /// How long the policies took to judge a call.
    pub fn decision_took(&self, took: Duration) {
        self.decision_duration.observe(took.as_secs_f64());
    }

    /// How long AWS took to answer.
    pub fn upstream_took(&self, took: Duration) {
        self.upstream_duration.observe(took.as_secs_f64());
    }

    /// The policies were read anew.
    pub fn policies_reloaded(&self, outcome: ReloadOutcome) {
        add(&self.policy_reloads, &[outcome.as_str()], 1);
        self.reload_failing
            .set(i64::from(outcome == ReloadOutcome::Refused));
    }

    /// When a certificate of the guard's expires; `None` where it has none of that kind.
    pub fn certificate_expires(&self, certificate: Certificate, at: Option<SystemTime>) {
        self.expiries.certificate(certificate, at);
    }

    /// The `[credentials.*]` tables in force: those that may stand as a label.
    pub fn credentials_in_force<'a>(&self, tables: impl Iterator<Item = &'a str>) {
        self.expiries.in_force(tables);
    }

    /// Reads connections and certificates from the proxy from now on.
    pub fn watch_proxy(&self, ask: AskProxy) {
        self.asked.watch_proxy(ask);
    }

    /// Asks from now on how long ago the key ledger was read well.
    pub fn watch_keys(&self, ask: AskUnread) {
        self.asked.watch_keys(ask);
    }

    /// A tunnel that was refused before anybody was authenticated: there is no record of it.
    pub fn tunnel_refused(&self) {
        add(&self.tunnels, &[Verdict::Refused.as_str()], 1);
    }

    /// Counts what a record says. The journal calls it for each record that it writes, or takes to be written.
    pub fn observe(&self, record: &Record) {
        let own = &record.event().unmapped.palisade;
        match own.phase {
            Phase::Decision => self.decided(record, own),
            Phase::Tunnel => {
                if let Some(verdict) = own.verdict {
                    add(&self.tunnels, &[verdict.as_str()], 1);
                }
            }
            Phase::Outcome | Phase::Lifecycle => {}
        }
        if let Some(outcome) = own.outcome {
            add(&self.outcomes, &[outcome.as_str()], 1);
        }
        if let Some(reason) = own.reason.as_deref()
            && own.verdict == Some(Verdict::Refused)
        {
            self.refused_unrecorded(reason);
        }
    }

    /// Everything in Prometheus's text format 0.0.4.
    ///
    /// # Errors
    /// [`MetricsError`] where a family can't be written.
    pub fn exposition(&self) -> Result<String, MetricsError> {
        self.asked.ask();
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }

    fn decided(&self, record: &Record, own: &Palisade) {
        let (Some(class), Some(verdict)) = (own.class, own.verdict) else {
            return;
        };
        let api = &record.event().api;
        let (service, operation) = (&*api.service.name, &*api.operation);
        let (service, operation) = if (self.vocabulary().knows_action)(service, operation) {
            (service, operation)
        } else {
            (OTHER, OTHER)
        };
        let (class, verdict) = (class.as_str(), verdict.as_str());
        add(&self.decisions, &[service, operation, class, verdict], 1);
        for verdict in Verdict::ALL {
            let of_it = own.resources.iter().filter(|r| r.verdict == verdict);
            let count = u64::try_from(of_it.count()).unwrap_or(u64::MAX);
            if count > 0 {
                add(&self.resources, &[service, class, verdict.as_str()], count);
            }
        }
        let known = self.policies.read().unwrap_or_else(PoisonError::into_inner);
        for policy in &own.policies {
            let (policy, effect) = match known.get_key_value(policy) {
                Some((id, effect)) => (id.as_str(), *effect),
                None if own.verdict == Some(Verdict::Allowed) => (OTHER, Effect::Permit),
                None => (OTHER, Effect::Forbid),
            };
            add(&self.policy_decisions, &[policy, effect.as_str()], 1);
        }
    }

    fn begin_at_zero(&self) {
        let vocabulary = self.vocabulary();
        for reason in vocabulary.refusal_reasons.iter().chain([&OTHER]) {
            touch(&self.refusals, &[reason]);
        }
        for reason in vocabulary.unidentified_reasons.iter().chain([&OTHER]) {
            touch(&self.unidentified, &[reason]);
        }
        for verdict in Verdict::ALL {
            touch(&self.tunnels, &[verdict.as_str()]);
        }
        for outcome in Outcome::ALL {
            touch(&self.outcomes, &[outcome.as_str()]);
        }
        for outcome in [ReloadOutcome::Applied, ReloadOutcome::Refused] {
            touch(&self.policy_reloads, &[outcome.as_str()]);
        }
        self.build.reset();
        let labels = [THIS, &vocabulary.catalog];
        if let Ok(build) = self.build.get_metric_with_label_values(&labels) {
            build.set(1);
        }
    }
}

impl Watch for Metrics {
    fn lookup_took(&self, source: &str, outcome: LookupOutcome, took: Duration) {
        let vocabulary = self.vocabulary();
        let source = closed(&vocabulary.lookup_sources, source);
        observe(&self.lookup_duration, &[source, outcome.as_str()], took);
    }
}

impl WatchFetches for Metrics {
    fn fetched(&self, table: &str, fetch: Fetch, outcome: FetchOutcome) {
        self.expiries.fetched(table, fetch, outcome);
    }
}

impl Observe for Metrics {
    fn recorded(&self, record: &Record) {
        self.observe(record);
    }

    fn appended(&self, took: Duration) {
        self.append_duration.observe(took.as_secs_f64());
    }
}

impl Effect {
    const fn as_str(self) -> &'static str {
        match self {
            Effect::Permit => "permit",
            Effect::Forbid => "forbid",
        }
    }
}

impl ReloadOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            ReloadOutcome::Applied => "applied",
            ReloadOutcome::Refused => "refused",
        }
    }
}

/// Seconds, for what crosses the network.
const WIRE: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0,
];
/// Seconds, for what is computed.
const COMPUTED: &[f64] = &[
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.025, 0.1,
];
/// Seconds, for what waits for a disk.
const DISK: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
    5.0,
];

#[cfg(test)]
pub(super) mod tests;
