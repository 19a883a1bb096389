//! What the guard answers by itself: `sts:AssumeRole` with a virtual session, so that nobody is handed a key of AWS's; and
//! what SDKs would make of a virtual key in vain, tokens and presigned URLs, with what is signed for AWS.
//!
//! INVARIANT: such a call is never sent. Nothing here makes a request of it.
//! INVARIANT: what is handed out here is good without the guard, or is the key to it: it is refused in monitor mode too
//! unless it is permitted, and its record is durable before anybody has it.

use std::time::Instant;

use http::header::{CONTENT_TYPE, DATE};
use http::{HeaderValue, Response};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::admit;
use super::arrive::{Known, Payload, Reading};
use super::authenticate::{Authenticated, internal, refused, unsigned};
use super::claim::Claim;
use super::enrich::{By, Enriched};
use super::foreign::Whose;
use super::refuse::http_date;
use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::catalog::model::Answers;
use crate::aws::endpoint::{Endpoint, Resolved};
use crate::aws::protocol::{self, name};
use crate::aws::sigv4::{Algorithm, Declared, Scope, SignError};
use crate::aws::value::{Object, Value};
use crate::guard::answer::Ask;
use crate::guard::assume::Assumption;
use crate::guard::call::{Action, Call, Caller, Mode, Outcome};
use crate::guard::decide::{self, Allowed, Question};
use crate::guard::keyring::Session;
use crate::guard::presign::{PresignError, Presigning};
use crate::guard::token::Minted;
use crate::journal::Record;
use crate::journal::record::{Happened, Judgement, OutcomeRecord};
use crate::proxy::Body;
use crate::proxy::body::Buffered;
use crate::sources::credentials::Power;

/// What is handed out, once its record is on disk.
struct Made {
    result: Object,
    /// The access key id of the session that begins with it.
    begins: Option<String>,
}

impl Guard {
    /// Judges a call, makes what it asks for, and answers once the decision is on disk.
    pub(super) async fn answer_itself(
        &self,
        trail: &mut Trail,
        authenticated: Authenticated,
        answers: Answers,
    ) -> Result<Response<Body>, Refusal> {
        let known = &authenticated.known;
        let spoken = known.identified.protocol();
        if !protocol::is_answered(spoken) {
            let message = format!("it is asked in {}, and isn't answered in it", name(spoken));
            return Err(Refusal::NotUnderstood { message });
        }
        let allowed = self.judge_ask(trail, &authenticated, answers).await?;
        let (question, decision, ask) = allowed.into_parts();
        let made = self.make(trail, &authenticated, &question, ask).await?;
        let call = question.call;
        let mut record =
            Record::decision(self.record(trail, &call, Some(&decision), Judgement::Allowed));
        if let Some(key) = &made.begins {
            record = record.beginning(key);
        }
        let pending = admit::pending(self.admit_durably(record).await?, &call)?;
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
        let operation = known.operation();
        let (content_type, body) =
            protocol::answer(&question.service, operation, spoken, &made.result, &id)
                .ok_or_else(|| internal("the answer can't be written"))?;
        Ok(self.answered(content_type, body, &id))
    }

    /// What a call asks for.
    pub(super) fn ask(&self, answers: Answers, call: &Call) -> Result<Ask, Refusal> {
        let may_assume = self.keys.may_assume(&call.caller.name);
        Ok(Ask::of(answers, call, may_assume)?)
    }

    /// As any call is judged; but what can't be understood can't be answered, whoever only monitors.
    async fn judge_ask(
        &self,
        trail: &mut Trail,
        authenticated: &Authenticated,
        answers: Answers,
    ) -> Result<Allowed<Ask>, Refusal> {
        let call = &authenticated.call;
        let (enriched, noted) = match self.understand(trail, authenticated, By::All).await {
            Ok(enriched) => (enriched, None),
            Err(refusal) if self.mode == Mode::Monitor || self.monitors(call)? => {
                let enriched = self.understand(trail, authenticated, By::Enforced).await?;
                (enriched, Some(refusal))
            }
            Err(refusal) => return Err(refusal),
        };
        let allowed = self.decide_ask(enriched, answers)?;
        let allowed = match noted {
            Some(refusal) => allowed.noting(refusal),
            None => allowed,
        };
        Ok(allowed)
    }

    fn decide_ask(&self, enriched: Enriched, answers: Answers) -> Result<Allowed<Ask>, Refusal> {
        let (slice, by, question, _) = enriched.into_parts();
        let ask = self.ask(answers, &question.call)?;
        let mode = match answers {
            Answers::Session => self.mode,
            // Good without the guard.
            Answers::EksToken | Answers::RdsToken | Answers::PresignedUrl => Mode::Enforce,
        };
        let begun = Instant::now();
        let decided = decide::decide(mode, by.of(&slice), question, ask);
        self.metrics.decision_took(begun.elapsed());
        Ok(decided?)
    }

    async fn make(
        &self,
        trail: &mut Trail,
        authenticated: &Authenticated,
        question: &Question,
        ask: Ask,
    ) -> Result<Made, Refusal> {
        let now = question.now;
        let endpoint = &authenticated.known.endpoint;
        let credentials = || match &authenticated.signer {
            Some(signer) => Ok(&signer.credentials),
            None => Err(unsigned()),
        };
        let (members, minted) = match ask {
            Ask::Session(assumption) => {
                let caller = &question.call.caller;
                return self.begin(&assumption, caller, endpoint, now).await;
            }
            Ask::EksToken(token) => {
                let sts = self.ruleset.catalog.beside("sts", endpoint);
                let sts = sts.ok_or_else(|| internal("there is no STS in the region"))?;
                let minted = token.mint(&sts, credentials()?, now);
                (["token", "expiration"], minted)
            }
            Ask::RdsToken(token) => {
                let minted = token.mint(credentials()?, now);
                (["Token", "Expiration"], minted)
            }
            Ask::PresignedUrl(url) => {
                let known = self.judge_url(trail, authenticated, &url).await?;
                let service = known.identified.service();
                let minted = url.mint(service, &known.endpoint, credentials()?, now);
                (["Url", "Expiration"], minted)
            }
        };
        let Minted { token, expires } = minted.map_err(not_signed)?;
        // It's good for no longer than what it was signed with.
        let expires = credentials()?
            .expiry()
            .map_or(expires, |end| expires.min(end));
        let expires = OffsetDateTime::from(expires).truncate_to_second();
        let expires = expires.format(&Rfc3339);
        let expires = expires.map_err(|e| internal(&e.to_string()))?;
        let members = members.into_iter().zip([token, expires]);
        Ok(Made {
            result: members
                .map(|(name, text)| (name.to_owned(), Value::String(text)))
                .collect(),
            begins: None,
        })
    }

    async fn begin(
        &self,
        assumption: &Assumption,
        caller: &Caller,
        near: &Endpoint,
        now: std::time::SystemTime,
    ) -> Result<Made, Refusal> {
        let session = assumption.session(caller, now);
        self.can_be_had(caller, &session, near).await?;
        let key = self.keys.begin(&session).map_err(|e| Refusal::Internal {
            message: e.to_string(),
        })?;
        Ok(Made {
            result: assumption.answer(&session, &key),
            begins: Some(key.access_key_id),
        })
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

    /// Judges the call that a URL makes as if it were made now. Only what is neither guarded nor answered here may be had
    /// as a URL: whoever has it makes the call as often as they like.
    async fn judge_url(
        &self,
        trail: &mut Trail,
        asked: &Authenticated,
        url: &Presigning,
    ) -> Result<Box<Known>, Refusal> {
        let made = self.call_of_url(trail, asked, url)?;
        // What is recorded is the asking.
        let kept = (trail.call.clone(), trail.class, trail.seen.clone());
        let judged = self.judge_made(trail, &made).await;
        (trail.call, trail.class, trail.seen) = kept;
        let (question, policies) = judged?;
        trail.seen.facts = serde_json::json!({
            "url": {
                "action": question.call.action.to_string(),
                "policies": policies,
            },
        })
        .into();
        Ok(made.known)
    }

    async fn judge_made(
        &self,
        trail: &mut Trail,
        made: &Authenticated,
    ) -> Result<(Question, Vec<String>), Refusal> {
        let understood = self.parse(trail, made, By::All)?;
        let identified = &made.known.identified;
        Presigning::may_be_had(
            identified.service(),
            identified.operation(),
            understood.call(),
        )?;
        let enriched = self.enrich(trail, made, understood, By::All).await?;
        let (slice, by, question, _) = enriched.into_parts();
        let allowed = decide::decide(Mode::Enforce, by.of(&slice), question, ())?;
        let (question, decision, ()) = allowed.into_parts();
        Ok((question, decision.policies))
    }

    /// The call that a URL makes, by whoever asks for the URL.
    fn call_of_url(
        &self,
        trail: &Trail,
        asked: &Authenticated,
        url: &Presigning,
    ) -> Result<Authenticated, Refusal> {
        let of_asking = &asked.known.endpoint;
        let mut endpoint = match self.ruleset.catalog.resolve(url.host()) {
            Resolved::Api(endpoint) => endpoint,
            Resolved::Unmodelled | Resolved::Foreign => {
                let host = url.host().to_string();
                return Err(Refusal::UnmodelledHost { host });
            }
        };
        if endpoint.partition != of_asking.partition {
            return Err(PresignError::Partition {
                found: endpoint.partition,
                asked: of_asking.partition.clone(),
            }
            .into());
        }
        let services = self.services(&endpoint)?;
        let mut parts = url.request()?;
        let claim = Claim::take(&mut parts)?;
        let identified = protocol::identify(
            &services,
            &super::arrive::head_to(&endpoint, &parts),
            Some(&[]),
        )
        .map_err(super::arrive::not_understood)?;
        let action = Action {
            service: identified.service().id.clone(),
            operation: identified.operation().name.clone(),
        };
        if identified.operation().answers.is_some() {
            let action = action.to_string();
            return Err(PresignError::Answered { action }.into());
        }
        let service = identified.service();
        let scope = Scope {
            algorithm: Algorithm::Hmac,
            date: asked.known.claim.auth()?.scope.date.clone(),
            region: match endpoint.any_region {
                true => of_asking.region.clone(),
                false => endpoint.region.clone(),
            },
            service: endpoint.signing_name(service).to_owned(),
        };
        self.ruleset
            .catalog
            .hold_scope(&mut endpoint, service, &scope)
            .map_err(|error| Refusal::Malformed {
                message: error.to_string(),
            })?;
        let known = Box::new(Known {
            endpoint,
            identified,
            action,
            reading: Reading::Whole,
            claim,
            parts,
            payload: Payload::Whole(Buffered::default()),
            declared: Declared::Absent,
            framing: None,
            seed: None,
            misread: None,
            whose: Whose::Ours,
        });
        let mut call = self.call(trail, &known, std::sync::Arc::clone(&asked.call.caller));
        call.account.clone_from(&asked.call.account);
        Ok(Authenticated {
            known,
            call: std::sync::Arc::new(call),
            signer: asked.signer.clone(),
        })
    }

    fn answered(&self, content_type: &'static str, body: Vec<u8>, id: &str) -> Response<Body> {
        let mut response = Response::new(Body::full(body));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Ok(id) = HeaderValue::from_str(id) {
            headers.insert("x-amzn-requestid", id);
        }
        if let Some(date) = http_date(self.clock.now()) {
            headers.insert(DATE, date);
        }
        response
    }
}

fn not_signed(error: SignError) -> Refusal {
    Refusal::NotUnderstood {
        message: error.to_string(),
    }
}
