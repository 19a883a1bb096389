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

    fn log_decision(&self, own: &Palisade) {
        tracing::info!(
            target: "palisade::decision",
            decision = own.decision_id.map(tracing::field::display),
            caller = self.event().caller(),
            action = self.event().action(),
            verdict = own.verdict.map(|v| v.as_str()),
            reason = own.reason.as_deref(),
            resources = own.resources.len(),
            policies = own.policies.join(","),
            "decided"
        );
    }

    fn log_outcome(&self, own: &Palisade) {
        let decision = own.decision_id.map(tracing::field::display);
        let (caller, action) = (self.event().caller(), self.event().action());
        match own.outcome {
            Some(Outcome::Unknown) | None => {
                tracing::warn!(target: "palisade::outcome", decision, caller, action, outcome = "unknown", reason = own.reason.as_deref(), "outcome unknown: ask AWS what happened");
            }
            Some(outcome @ (Outcome::Sent | Outcome::NotSent | Outcome::Answered)) => {
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
        // One that nobody waits for has no place yet.
        let sequence = self.event().metadata.sequence;
        let placed = sequence > 0;
        tracing::info!(
            target: "palisade::lifecycle",
            event = own.event.as_deref(),
            sequence = placed.then_some(sequence),
            "{}",
            if placed { "recorded" } else { "to be recorded" }
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use crate::journal::record::Lifecycle;
    use crate::journal::tests::{allowed, outcome, refused};
    use crate::journal::{Happened, OutcomeRecord, Record};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(record: &Record) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || record.log());
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_decision_is_one_line_without_what_it_saw() {
        let line = logged(&refused(7));
        assert_eq!(
            line,
            " INFO palisade::decision: decided decision=00000000-0000-0000-0000-000000000007 \
             caller=\"ci\" action=\"workspaces:TerminateWorkspaces\" verdict=\"refused\" \
             reason=\"policy\" resources=1 policies=\"monthly-billing\"\n"
        );
    }

    #[test]
    fn something_of_the_guard_itself_is_a_line_with_its_place_once_it_has_one() {
        let revoked = Lifecycle::KeyRevoked {
            caller: "ci".into(),
            access_key_id: "PALISADE1".into(),
        };
        let mut record = Record::lifecycle(crate::journal::tests::noon(), revoked);
        assert_eq!(
            logged(&record),
            " INFO palisade::lifecycle: to be recorded event=\"key_revoked\"\n"
        );
        record.event.metadata.sequence = 3;
        assert_eq!(
            logged(&record),
            " INFO palisade::lifecycle: recorded event=\"key_revoked\" sequence=3\n"
        );
    }

    #[test]
    fn an_outcome_is_a_line_only_where_it_is_not_known() {
        let decision = allowed(7);
        assert_eq!(logged(&outcome(&decision)), "");
        let unknown = Record::outcome(OutcomeRecord {
            time: crate::journal::tests::noon(),
            pending: decision.into_pending().unwrap(),
            happened: Happened {
                outcome: crate::guard::call::Outcome::Unknown,
                upstream_status: None,
                aws_request_id: None,
                error: None,
                error_message: None,
            },
        });
        let line = logged(&unknown);
        assert!(line.contains("WARN"), "{line}");
        assert!(line.contains("00000007"), "{line}");
    }
}
