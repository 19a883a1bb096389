//! `sts:AssumeRole`: answered here with a virtual session, so that nobody is handed a key of AWS's.
//!
//! INVARIANT: the call is never sent. Nothing here makes a request of it, and it has no credentials to be signed with.
//! What can't be read, or names a role that the caller may not assume, is refused in monitor mode too.

use http::header::{CONTENT_TYPE, DATE};
use http::{HeaderValue, Response};

use super::authenticate::{Authenticated, refused};
use super::enrich::{By, Enriched};
use super::refuse::http_date;
use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::catalog::model::Protocol;
use crate::aws::endpoint::Endpoint;
use crate::aws::protocol::{name, query_answer};
use crate::guard::assume::Assumption;
use crate::guard::call::{Call, Caller, Mode, Outcome};
use crate::guard::decide::{self, Allowed};
use crate::guard::keyring::Session;
use crate::journal::Record;
use crate::journal::record::{Happened, Judgement, OutcomeRecord};
use crate::proxy::Body;
use crate::sources::credentials::Power;

impl Guard {
    /// Judges a call, begins the session, and answers once the decision is on disk.
    pub(super) async fn assume(
        &self,
        trail: &mut Trail,
        authenticated: Authenticated,
    ) -> Result<Response<Body>, Refusal> {
        let allowed = self.judge_assumption(trail, &authenticated).await?;
        let (question, decision, assumption) = allowed.into_parts();
        let call = question.call;
        let session = assumption.session(&call.caller, question.now);
        self.can_be_had(&call.caller, &session, &authenticated.known.endpoint)
            .await?;
        let key = self.keys.begin(&session).map_err(|e| Refusal::Internal {
            message: e.to_string(),
        })?;
        let record = self.record(trail, &call, Some(&decision), Judgement::Allowed);
        let record = Record::decision(record).beginning(&key.access_key_id);
        let (receipt, pending) = self.admit_durably(record).await?;
        if receipt.decision_id() != Some(call.id) {
            return Err(Refusal::Internal {
                message: "the record on disk is another decision's".to_owned(),
            });
        }
        let outcome = OutcomeRecord {
            time: self.clock.now(),
            pending,
            happened: Happened {
                outcome: Outcome::Answered,
                upstream_status: None,
                aws_request_id: None,
                error: None,
                error_message: None,
            },
        };
        if let Err(error) = self.journal.append(Record::outcome(outcome)).await {
            tracing::error!(decision = %trail.id, "the outcome could not be recorded: {error}");
        }
        let id = trail.id.to_string();
        let result = assumption.answer(&session, &key);
        let body = query_answer(&question.service, &call.action.operation, &result, &id);
        Ok(self.answered(body, &id))
    }

    /// What a call asks for.
    pub(super) fn assumption(&self, call: &Call) -> Result<Assumption, Refusal> {
        let may_assume = self.keys.may_assume(&call.caller.name);
        Ok(Assumption::of(call, may_assume)?)
    }

    /// As any call is judged; but what can't be understood can't be answered, whoever only monitors.
    async fn judge_assumption(
        &self,
        trail: &mut Trail,
        authenticated: &Authenticated,
    ) -> Result<Allowed<Assumption>, Refusal> {
        let call = &authenticated.call;
        if call.protocol != Protocol::AwsQuery {
            let message = format!(
                "it is asked in {}, and answered in query alone",
                name(call.protocol)
            );
            return Err(Refusal::NotUnderstood { message });
        }
        let (enriched, noted) = match self.understand(trail, authenticated, By::All).await {
            Ok(enriched) => (enriched, None),
            Err(refusal) if self.mode == Mode::Monitor || self.monitors(call)? => {
                let enriched = self.understand(trail, authenticated, By::Enforced).await?;
                (enriched, Some(refusal))
            }
            Err(refusal) => return Err(refusal),
        };
        let allowed = self.decide_assumption(enriched)?;
        let allowed = match noted {
            Some(refusal) => allowed.noting(refusal),
            None => allowed,
        };
        trail.seen.decision = Some(allowed.decision().clone());
        Ok(allowed)
    }

    fn decide_assumption(&self, enriched: Enriched) -> Result<Allowed<Assumption>, Refusal> {
        let (slice, by, question, _) = enriched.into_parts();
        let assumption = self.assumption(&question.call)?;
        let begun = std::time::Instant::now();
        let decided = decide::decide(self.mode, by.of(&slice), question, assumption);
        self.metrics.decision_took(begun.elapsed());
        Ok(decided?)
    }

    /// Whether AWS gives the guard the role: a session that could do nothing is refused here and not at its first call.
    async fn can_be_had(
        &self,
        caller: &Caller,
        session: &Session,
        near: &Endpoint,
    ) -> Result<(), Refusal> {
        let in_role = Caller {
            role: session.role.clone(),
            ..caller.clone()
        };
        let signer = self.credentials.credentials(&in_role, Power::Work, near);
        signer.await.map_err(refused)?;
        Ok(())
    }

    fn answered(&self, body: Vec<u8>, id: &str) -> Response<Body> {
        let mut response = Response::new(Body::full(body));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        if let Ok(id) = HeaderValue::from_str(id) {
            headers.insert("x-amzn-requestid", id);
        }
        if let Some(date) = http_date(self.clock.now()) {
            headers.insert(DATE, date);
        }
        response
    }
}
