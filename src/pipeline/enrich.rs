//! From an input to a question with facts.

use std::sync::Arc;

use super::arrive::{Known, Reading, not_understood};
use super::authenticate::{Authenticated, unsigned};
use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::catalog::model::Answers;
use crate::aws::protocol::{self, Unknown};
use crate::aws::value::Object;
use crate::guard::answer::Ask;
use crate::guard::call::{Call, Mode};
use crate::guard::decide::{self, Question};
use crate::guard::facts::{Enquiry, Facts};
use crate::guard::policies::Slice;
use crate::guard::target::{NamePlace, Targets};
use crate::journal::json_text::JsonText;
use crate::journal::redact;
use crate::proxy::boxed::boxed;
use crate::sources::lookup::CallDesk;

/// Which policies a call is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    All,
    /// Those that are enforced.
    Enforced,
}

impl By {
    pub(super) fn of(self, slice: &Slice) -> &Slice {
        match self {
            By::All => slice,
            By::Enforced => slice.enforced().unwrap_or(slice),
        }
    }
}

/// A call that is understood: what it names is known, what those are isn't yet.
pub(super) struct Understood {
    call: Arc<Call>,
    targets: Option<Targets>,
}

/// A question with all the facts that its slice of the policies can ask for.
pub(super) struct Enriched {
    slice: Arc<Slice>,
    by: By,
    question: Question,
    /// Where the caller gave a name, and where the id goes in its place.
    named: Option<NamePlace>,
}

impl Understood {
    pub(super) fn call(&self) -> &Call {
        &self.call
    }
}

impl Enriched {
    pub(super) fn into_parts(self) -> (Arc<Slice>, By, Question, Option<NamePlace>) {
        (self.slice, self.by, self.question, self.named)
    }
}

impl Guard {
    /// Decodes a call strictly, and finds what it names. Its input may put it in another class than its operation.
    pub(super) fn parse(
        &self,
        trail: &mut Trail,
        authenticated: &Authenticated,
        by: By,
    ) -> Result<Understood, Refusal> {
        let mut call = Arc::clone(&authenticated.call);
        if !call.parsed || by == By::Enforced && !self.is_parsed_by_force(authenticated) {
            if call.parsed || call.guarded {
                let call = Arc::make_mut(&mut call);
                (call.parsed, call.guarded) = (false, false);
            }
            trail.seen.input = JsonText::NULL;
            trail.call = Some(Arc::clone(&call));
            return Ok(Understood {
                call,
                targets: None,
            });
        }
        let mut call = (*call).clone();
        let known = &authenticated.known;
        call.input = input(known, Unknown::PassedOver)?;
        if !known.endpoint.leads_to(&call.account, &call.input) {
            let message = format!(
                "the host `{}` leads to an account or a resource that the call doesn't name",
                known.endpoint.host
            );
            return Err(Refusal::Malformed { message });
        }
        let service = known.identified.service();
        trail.seen.input = self.redacted(service, &call);
        if let Some(answers @ Answers::Session) = known.operation().answers
            && let Ask::Session(assumption) = self.ask(answers, &call)?
        {
            call.account = assumption.account().to_owned();
        }
        let own = call.account.clone();
        let targets = self.targets(known, &mut call, &own, by);
        let call = Arc::new(call);
        trail.class = Some(call.class);
        trail.call = Some(Arc::clone(&call));
        Ok(Understood {
            call,
            targets: Some(targets?),
        })
    }

    /// What a call names, and its class by what it says; `own` is the account of its credentials.
    fn targets(
        &self,
        known: &Known,
        call: &mut Call,
        own: &str,
        by: By,
    ) -> Result<Targets, Refusal> {
        let mode = match by {
            By::All => Mode::Monitor,
            By::Enforced => Mode::Enforce,
        };
        let (service, operation) = (known.identified.service(), known.operation());
        let targets = self
            .ruleset
            .rules()
            .targets(service, operation, call, mode)?;
        if call.guarded && known.reading == Reading::Head {
            // It is written anew: nothing may be missing in it.
            input(known, Unknown::Refused)?;
        }
        self.reaches(&call.caller.credentials, own, &call.account)?;
        Ok(targets)
    }

    fn redacted(&self, service: &crate::aws::catalog::Service, call: &Call) -> JsonText {
        match service.operations.get(&call.action.operation) {
            Some(operation) => {
                redact(service, operation, &call.input, self.keys.redaction_key()).into()
            }
            None => JsonText::NULL,
        }
    }

    /// Looks up what the policies of the slice can ask about what the call names.
    pub(super) async fn enrich(
        &self,
        trail: &mut Trail,
        authenticated: &Authenticated,
        understood: Understood,
        by: By,
    ) -> Result<Enriched, Refusal> {
        let Understood { call, targets } = understood;
        let whole = self.slice(&call)?;
        let slice = by.of(&whole);
        let rules = self.ruleset.rules();
        let service = Arc::clone(authenticated.known.identified.service());
        let now = self.clock.now();
        let mut question = rules.question(call, service, targets.as_ref(), now);
        let named = targets.as_ref().and_then(|targets| targets.named.clone());
        let learnt = match targets {
            Some(targets) => {
                let learning = self.look_up(authenticated, slice, &mut question, targets);
                learning.await
            }
            None => Ok(()),
        };
        trail.see(&question);
        learnt?;
        Ok(Enriched {
            slice: whole,
            by,
            question,
            named,
        })
    }

    /// Puts into a question what its slice of the policies can ask for.
    async fn look_up(
        &self,
        authenticated: &Authenticated,
        slice: &Slice,
        question: &mut Question,
        targets: Targets,
    ) -> Result<(), Refusal> {
        let rules = self.ruleset.rules();
        let Some(needs) = rules.needs(slice, question, &targets) else {
            return Ok(());
        };
        // What no fact can save is refused before AWS is asked anything.
        if self.mode_of(question.operation()) == Mode::Enforce
            && let Some(denial) = decide::decide_early(slice, question)
        {
            return Err(denial.into());
        }
        let learning = boxed(|| self.learn(authenticated, &question.call, &targets, needs));
        let facts = learning.await?;
        rules.learn(question, targets, facts);
        Ok(())
    }

    /// The policies that can apply to a call.
    pub(super) fn slice(&self, call: &Call) -> Result<Arc<Slice>, Refusal> {
        let slice = self.ruleset.policies.slice_of(call);
        slice.map_err(|message| Refusal::Internal { message })
    }

    /// Whether policies that only monitor have a say in a call.
    pub(super) fn monitors(&self, call: &Call) -> Result<bool, Refusal> {
        Ok(self.slice(call)?.enforced().is_some())
    }

    /// Whether a call is parsed whatever policies that only monitor want to know.
    fn is_parsed_by_force(&self, authenticated: &Authenticated) -> bool {
        let known = &authenticated.known;
        let rules = self.ruleset.rules();
        rules.parses(&known.action, known.operation()) == Some(Mode::Enforce)
    }

    /// The question about a call of which nothing more is known.
    pub(super) fn unjudged(&self, authenticated: &Authenticated) -> Question {
        let service = Arc::clone(authenticated.known.identified.service());
        let call = Arc::clone(&authenticated.call);
        let now = self.clock.now();
        self.ruleset.rules().question(call, service, None, now)
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
        let service = authenticated.known.identified.service();
        let mut enquiry = Enquiry::new(knowledge, service, &targets.targets, needs, place)?;
        let endpoint = &authenticated.known.endpoint;
        let signer = authenticated.signer.as_ref().ok_or_else(unsigned)?;
        let desk = CallDesk {
            catalog: &self.ruleset.catalog,
            service,
            endpoint,
            credentials: &signer.credentials,
        };
        let asking = self.lookups.ask(&mut enquiry, desk);
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
}

/// What a call says, as far as it is read. `unknown`: of what is read alone in the head.
fn input(known: &Known, unknown: Unknown) -> Result<Object, Refusal> {
    let read = match known.reading {
        Reading::Whole => {
            protocol::decode(&known.identified, &known.head(), &known.payload.bytes())
        }
        Reading::Head => protocol::decode_head(&known.identified, &known.head(), unknown),
        Reading::None => Ok(Object::new()),
    };
    read.map_err(not_understood)
}
