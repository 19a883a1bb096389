//! From an input to a question with facts, and from the question to an [`Allowed`].

use std::sync::Arc;
use std::time::Instant;

use super::arrive::{head, not_understood};
use super::authenticate::Authenticated;
use super::outgoing::Outgoing;
use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::protocol;
use crate::guard::call::Call;
use crate::guard::decide::{self, Allowed, Question};
use crate::guard::facts::{Enquiry, Facts};
use crate::guard::policies::Slice;
use crate::guard::target::Targets;
use crate::journal::redact;

/// A call that is understood: what it names is known, what those are isn't yet.
pub(super) struct Understood {
    authenticated: Authenticated,
    call: Call,
    targets: Option<Targets>,
}

/// A question with all the facts that its slice of the policies can ask for, and the request to send.
pub(super) struct Enriched {
    slice: Arc<Slice>,
    question: Question,
    outgoing: Outgoing,
}

impl Guard {
    /// Decodes a guarded call strictly, and finds what it names.
    pub(super) fn parse(
        &self,
        trail: &mut Trail,
        authenticated: Authenticated,
    ) -> Result<Understood, Refusal> {
        let mut call = authenticated.call.clone();
        if !call.guarded {
            return Ok(Understood {
                authenticated,
                call,
                targets: None,
            });
        }
        let known = &authenticated.known;
        let body = known.payload.bytes();
        call.input = protocol::decode(&known.identified, &head(&known.parts), &body)
            .map_err(not_understood)?;
        let service = known.identified.service();
        trail.seen.input = self.redacted(service, &call);
        let own = call.account.clone();
        let rules = self.ruleset.rules();
        let targets = rules.targets(service, known.operation(), &mut call)?;
        self.reaches(&call.caller.credentials, &own, &call.account)?;
        trail.call = Some(Arc::new(call.clone()));
        Ok(Understood {
            authenticated,
            call,
            targets: Some(targets),
        })
    }

    fn redacted(&self, service: &crate::aws::catalog::Service, call: &Call) -> serde_json::Value {
        match service.operations.get(&call.action.operation) {
            Some(operation) => redact(service, operation, &call.input, self.keys.redaction_key()),
            None => serde_json::Value::Null,
        }
    }

    /// Looks up what the policies of the slice can ask about what the call names.
    pub(super) async fn enrich(
        &self,
        trail: &mut Trail,
        understood: Understood,
    ) -> Result<Enriched, Refusal> {
        let Understood {
            authenticated,
            call,
            targets,
        } = understood;
        let slice = self
            .ruleset
            .policies
            .slice(&call.action, &decide::action_groups(&call));
        let slice = slice.map_err(|message| Refusal::Internal { message })?;
        let rules = self.ruleset.rules();
        let service = Arc::clone(authenticated.known.identified.service());
        let now = self.clock.now();
        let mut question = rules.question(call, service, targets.as_ref(), now);
        trail.see(&question, trail.seen.input.clone());
        let by = targets.as_ref().and_then(|targets| targets.named.clone());
        if let Some(targets) = targets
            && let Some(needs) = rules.needs(&slice, &question, &targets)
        {
            // What no fact can save is refused before AWS is asked anything.
            if let Some(denial) = decide::decide_early(&slice, &question) {
                return Err(denial.into());
            }
            let facts = self
                .learn(&authenticated, &question.call, &targets, needs)
                .await?;
            rules.learn(&mut question, targets, facts);
            trail.learn(&question);
        }
        let outgoing = Outgoing::of(by.as_ref(), trail, authenticated, &mut question)?;
        Ok(Enriched {
            slice,
            question,
            outgoing,
        })
    }

    async fn learn(
        &self,
        authenticated: &Authenticated,
        call: &Call,
        targets: &Targets,
        needs: crate::guard::facts::Needs,
    ) -> Result<Vec<Facts>, Refusal> {
        let place = self.ruleset.rules().place(call, targets);
        let knowledge = &self.ruleset.knowledge;
        let mut enquiry = Enquiry::new(
            knowledge,
            &call.action.service,
            &targets.targets,
            needs,
            place,
        )?;
        let service = authenticated.known.identified.service();
        let endpoint = &authenticated.known.endpoint;
        let asking = self
            .lookups
            .ask(&mut enquiry, service, endpoint, &authenticated.credentials);
        match tokio::time::timeout(self.lookup.timeout, asking).await {
            Ok(asked) => asked?,
            Err(_) => {
                let message = format!(
                    "the lookups took longer than {:?} (`lookup.timeout`)",
                    self.lookup.timeout
                );
                return Err(Refusal::LookupFailed { message });
            }
        }
        Ok(enquiry.finish()?)
    }

    /// Asks the policies.
    pub(super) fn decide(
        &self,
        trail: &mut Trail,
        enriched: Enriched,
    ) -> Result<Allowed<Outgoing>, Refusal> {
        let Enriched {
            slice,
            question,
            outgoing,
        } = enriched;
        let begun = Instant::now();
        let decided = decide::decide(&slice, question, outgoing);
        self.metrics.decision_took(begun.elapsed());
        match decided {
            Ok(allowed) => {
                trail.seen.decision = Some(allowed.decision().clone());
                Ok(allowed)
            }
            Err(denied) => Err(denied.denial.into()),
        }
    }
}
