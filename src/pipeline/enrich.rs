//! From an input to a question with facts, and from the question to an [`Allowed`].

use std::sync::Arc;
use std::time::Instant;

use super::arrive::{head, not_understood};
use super::authenticate::Authenticated;
use super::outgoing::Outgoing;
use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::protocol;
use crate::aws::value::{Object, Value};
use crate::guard::call::Call;
use crate::guard::decide::{self, Allowed, On, Question, Resource};
use crate::guard::facts::{Enquiry, Facts, Place};
use crate::guard::path::Path;
use crate::guard::policies::Slice;
use crate::guard::target::{ACCOUNT, Spelling, Target, Targets, targets};
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
        let mut targets = targets(
            service,
            known.operation(),
            &self.ruleset.knowledge,
            &call.input,
        )?;
        if let Some(account) = &targets.account {
            self.reaches(&call.caller.credentials, account)?;
            call.account.clone_from(account);
        }
        if targets.targets.is_empty() && call.class.is_guarded() {
            let spelling = Spelling::Id(call.account.clone());
            targets.targets.push(Target {
                spelling,
                kind: ACCOUNT.to_owned(),
                parents: Vec::new(),
            });
        }
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
        let mut question = self.question(&authenticated, call, targets.as_ref());
        trail.see(&question, trail.seen.input.clone());
        let by = targets.as_ref().and_then(|targets| targets.named.clone());
        if let (Some(targets), On::Resources(_)) = (targets, &question.on) {
            let needs = slice.needs(
                self.ruleset
                    .protected
                    .speaks_of(&question.call.action.service),
            );
            let named = targets
                .targets
                .iter()
                .any(|t| matches!(t.spelling, Spelling::Name(_)));
            if !needs.is_empty() || named {
                // What no fact can save is refused before AWS is asked anything.
                if let Some(denial) = decide::decide_early(&slice, &question) {
                    return Err(denial.into());
                }
                let facts = self
                    .learn(&authenticated, &question.call, &targets, needs)
                    .await?;
                question.on = On::Resources(self.resources(&question.call, targets.targets, facts));
                trail.learn(&question);
            }
        }
        let outgoing = Outgoing::of(by.as_ref(), trail, authenticated, &mut question)?;
        Ok(Enriched {
            slice,
            question,
            outgoing,
        })
    }

    fn question(
        &self,
        authenticated: &Authenticated,
        call: Call,
        targets: Option<&Targets>,
    ) -> Question {
        let knowledge = &self.ruleset.knowledge;
        let rule = knowledge.operation(&call.action.service, &call.action.operation);
        let view = with_defaults(&call.input, rule.iter().flat_map(|r| &r.defaults));
        let on = match targets {
            Some(named) if call.class.is_guarded() => {
                let facts = vec![Facts::default(); named.targets.len()];
                On::Resources(self.resources(&call, named.targets.clone(), facts))
            }
            Some(_) | None => On::Service,
        };
        let dry_run = matches!(call.input.get("DryRun"), Some(Value::Bool(true)));
        Question {
            service: Arc::clone(authenticated.known.identified.service()),
            view,
            on,
            batch_size: targets.map_or(1, |t| t.batch_size),
            selector: targets.is_some_and(|t| t.selector),
            tag_keys: targets.map(|t| t.tag_keys.clone()).unwrap_or_default(),
            request_tags: targets.map(|t| t.request_tags.clone()).unwrap_or_default(),
            now: self.clock.now(),
            dry_run,
            call,
        }
    }

    fn resources(&self, call: &Call, targets: Vec<Target>, facts: Vec<Facts>) -> Vec<Resource> {
        let protected = &self.ruleset.protected;
        let resource = |(target, facts)| {
            Resource::new(
                target,
                &call.account,
                facts,
                protected,
                &call.action.service,
            )
        };
        targets.into_iter().zip(facts).map(resource).collect()
    }

    async fn learn(
        &self,
        authenticated: &Authenticated,
        call: &Call,
        targets: &Targets,
        needs: crate::guard::facts::Needs,
    ) -> Result<Vec<Facts>, Refusal> {
        let place = Place {
            partition: call.partition.clone(),
            region: call.region.clone(),
            account: call.account.clone(),
            account_named: targets.account.is_some(),
        };
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

/// The input as policies see it.
fn with_defaults<'a>(
    input: &Object,
    defaults: impl Iterator<Item = (&'a String, &'a String)>,
) -> Object {
    let mut view = input.clone();
    for (path, value) in defaults {
        if let Ok(path) = Path::parse(path)
            && path.value(&view).is_none()
        {
            path.set(&mut view, Value::String(value.clone()));
        }
    }
    view
}
