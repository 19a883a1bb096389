//! From a decision to its record: what isn't recorded isn't sent.

use std::sync::Arc;

use http::Request;

use super::outgoing::Signed;
use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::endpoint::Endpoint;
use crate::guard::call::{Call, Verdict};
use crate::guard::decide::Decision;
use crate::journal::record::{Judgement, Pending, Resource, Would};
use crate::journal::{JournalError, Receipt, Record, record};
use crate::proxy::Body;

/// A request that may be sent now. Only [`Guard::admit`] makes one.
pub(super) struct Admitted {
    endpoint: Endpoint,
    request: Request<Body>,
    call: Arc<Call>,
    decision: Decision,
    proof: Proof,
}

/// What permits the send.
pub(super) enum Proof {
    /// The decision is on disk; its outcome follows.
    Durable(Receipt),
    /// Unguarded: the journal takes records, and this call's follows with its outcome.
    Following,
}

impl Admitted {
    pub(super) fn into_parts(self) -> (Endpoint, Request<Body>, Arc<Call>, Decision, Proof) {
        (
            self.endpoint,
            self.request,
            self.call,
            self.decision,
            self.proof,
        )
    }
}

impl Guard {
    /// Records the decision, and waits for the disk where the call is guarded.
    pub(super) async fn admit(
        &self,
        trail: &mut Trail,
        signed: Signed,
    ) -> Result<Admitted, Refusal> {
        let Signed {
            question,
            decision,
            endpoint,
            request,
        } = signed;
        let call = question.call;
        let proof = if call.guarded {
            let record = self.record(trail, &call, Some(&decision), Judgement::Allowed);
            Proof::Durable(self.admit_durably(Record::decision(record)).await?)
        } else {
            match self.journal.status().failure() {
                None => Proof::Following,
                Some(error) => return Err(unrecorded(&error)),
            }
        };
        Ok(Admitted {
            endpoint,
            request,
            call,
            decision,
            proof,
        })
    }

    /// Records an allowed decision, and waits for the disk.
    pub(super) async fn admit_durably(&self, record: Record) -> Result<Receipt, Refusal> {
        let receipt = self.journal.append(record).await;
        receipt.map_err(|e| unrecorded(&e))
    }

    /// The record of a decision, from what is known of its request: the last one takes what was seen.
    pub(super) fn record<'c>(
        &self,
        trail: &mut Trail,
        call: &'c Call,
        decision: Option<&Decision>,
        judgement: Judgement,
    ) -> record::Decision<'c> {
        let seen = trail.seen.for_record(&judgement);
        let verdict = |id: &str| decision.and_then(|d| d.resources.iter().find(|r| r.id == id));
        let would = decision.and_then(|decision| decision.would.as_deref());
        let overall = match (&judgement, would) {
            (Judgement::Allowed | Judgement::Done(_), None) => Verdict::Allowed,
            (Judgement::Allowed | Judgement::Done(_), Some(_)) => Verdict::WouldRefuse,
            (Judgement::Refused(_), _) => Verdict::Refused,
        };
        let would = would.map(|refusal| Would {
            reason: refusal.reason(),
            message: refusal.told(trail.action.as_deref(), trail.id),
        });
        let resources = seen.resources.into_iter().map(|r| Resource {
            verdict: verdict(&r.id).map_or(overall, |v| v.verdict),
            policies: verdict(&r.id)
                .map(|v| v.policies.clone())
                .unwrap_or_default(),
            id: r.id,
            arn: r.arn,
            kind: r.kind,
        });
        record::Decision {
            time: self.clock.now(),
            call,
            source_port: Some(trail.peer.port()),
            judgement,
            would,
            policies: decision.map(|d| d.policies.clone()).unwrap_or_default(),
            ruleset_hash: self.ruleset.hash.clone(),
            mode: self.mode,
            batch_size: seen.batch_size,
            upstream_role: trail.upstream_role.clone(),
            upstream_override: self.upstream_override.clone(),
            input: seen.input,
            facts: seen.facts,
            context: seen.context,
            resources: resources.collect(),
        }
    }
}

/// What to keep of a decision on disk until its outcome is known. A receipt of another decision permits nothing.
pub(super) fn pending(receipt: Receipt, call: &Call) -> Result<Pending, Refusal> {
    let own = receipt.decision_id() == Some(call.id);
    let pending = receipt.into_pending().filter(|_| own);
    pending.ok_or_else(|| Refusal::Internal {
        message: "the record on disk is not this decision's, or not one that goes on".to_owned(),
    })
}

/// Why a decision can't be recorded, for the client: overload passes, all else lasts until somebody mends it.
pub(super) fn unrecorded(error: &JournalError) -> Refusal {
    let message = format!("the decision can't be recorded, so nothing is sent: {error}");
    if error.is_lasting() {
        Refusal::JournalFailed { message }
    } else {
        Refusal::Overloaded { message }
    }
}
