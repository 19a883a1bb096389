//! The log line of a record, for whoever follows the guard's output. It says nothing that the record doesn't.

use super::event::{Palisade, Phase};
use super::record::Record;
use crate::guard::call::Outcome;

impl Record {
    /// Writes the record's line to the log: one for each decision, and one for what needs a look afterwards.
    pub fn log(&self) {
        let own = &self.event().unmapped.palisade;
        match own.phase {
            Phase::Decision => self.log_decision(own),
            Phase::Outcome => self.log_outcome(own),
            Phase::Tunnel => self.log_tunnel(own),
            Phase::Lifecycle => self.log_lifecycle(own),
        }
    }

    /// `service:Operation`.
    #[must_use]
    pub fn action(&self) -> String {
        let api = &self.event().api;
        format!("{}:{}", api.service.name, api.operation)
    }

    /// Whose call it was; `palisade` for what the guard did itself.
    #[must_use]
    pub fn caller(&self) -> &str {
        self.event().caller()
    }

    fn log_decision(&self, own: &Palisade) {
        tracing::info!(
            target: "palisade::decision",
            decision = own.decision_id.map(tracing::field::display),
            caller = self.caller(),
            action = self.action(),
            verdict = own.verdict.map(|v| v.as_str()),
            reason = own.reason.as_deref(),
            resources = own.resources.len(),
            policies = own.policies.join(","),
            "decided"
        );
    }

    fn log_outcome(&self, own: &Palisade) {
        let decision = own.decision_id.map(tracing::field::display);
        let (caller, action) = (self.caller(), self.action());
        match own.outcome {
            Some(Outcome::Unknown) | None => {
                tracing::warn!(target: "palisade::outcome", decision, caller, action, outcome = "unknown", reason = own.reason.as_deref(), "outcome unknown: ask AWS what happened");
            }
            Some(outcome @ (Outcome::Sent | Outcome::NotSent)) => {
                tracing::debug!(target: "palisade::outcome", decision, caller, action, outcome = outcome.as_str(), status = own.upstream_status, "outcome");
            }
        }
    }

    fn log_tunnel(&self, own: &Palisade) {
        let to = self.event().dst_endpoint.as_ref();
        tracing::info!(
            target: "palisade::tunnel",
            host = to.and_then(|to| to.hostname.as_deref()).map(tracing::field::debug),
            port = to.and_then(|to| to.port),
            verdict = own.verdict.map(|v| v.as_str()),
            reason = own.reason.as_deref(),
            "tunnel"
        );
    }

    fn log_lifecycle(&self, own: &Palisade) {
        tracing::info!(
            target: "palisade::lifecycle",
            event = own.event.as_deref(),
            sequence = self.event().metadata.sequence,
            "recorded"
        );
    }
}
