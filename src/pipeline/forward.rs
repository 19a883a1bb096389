//! The send: once. Then the outcome is recorded, then the client is answered.

use std::time::{Duration, Instant};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, Response};

use super::admit::{self, Admitted, Proof};
use super::answered;
use super::authenticate::bounded;
use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::class::Class;
use crate::aws::head::X_AMZN_ERRORTYPE;
use crate::guard::call::Outcome;
use crate::journal::Record;
use crate::journal::record::{Happened, Judgement, OutcomeRecord};
use crate::proxy::Body;
use crate::proxy::upstream::{Answer, Freshness, SendError, Target};

impl Guard {
    /// Sends an admitted request and records what came of it. Runs to its end though the client may have left.
    pub(super) async fn forward(
        &self,
        trail: &mut Trail,
        admitted: Admitted,
    ) -> Result<Response<Body>, Refusal> {
        let (endpoint, request, call, decision, proof) = admitted.into_parts();
        let pending = match proof {
            Proof::Durable(receipt) => Some(admit::pending(receipt, &call)?),
            Proof::Following => None,
        };
        let freshness = if call.guarded {
            Freshness::Fresh
        } else {
            Freshness::Pooled
        };
        let target = Target {
            host: endpoint.host,
            port: 443,
        };
        let begun = Instant::now();
        let sent = self.upstream.send_once(&target, request, freshness).await;
        self.metrics.upstream_took(begun.elapsed());
        // A body that broke off on its way never came to its end upstream either.
        let broken = sent.is_err().then(|| trail.fault.why().cloned()).flatten();
        let happened = match &broken {
            Some(refusal) => nothing_happened(Outcome::NotSent, &refusal.why()),
            None => happened(&sent),
        };
        let recorded = match pending {
            Some(pending) => {
                let outcome = OutcomeRecord {
                    time: self.clock.now(),
                    pending,
                    happened,
                };
                self.journal
                    .append(Record::outcome(outcome))
                    .await
                    .map(|_| ())
            }
            None => {
                let record = self.record(trail, &call, Some(&decision), Judgement::Done(happened));
                self.journal.append_later(Record::decision(record))
            }
        };
        if let Err(error) = recorded {
            tracing::error!(decision = %trail.id, "the outcome could not be recorded: {error}");
        }
        if let Some(refusal) = broken {
            return Ok(self.answer_unrecorded(trail, &refusal));
        }
        match sent {
            Ok(response) if call.guarded && call.class != Class::Read => {
                let answer = self.whole(response, answered::ANSWER_BYTES_MAX).await?;
                answered::may_be_repeated(&call, &answer)?;
                Ok(self.unless_of_the_signature(trail, &call, answer))
            }
            Ok(response) if answered::may_disown(&call, response.status()) => {
                let answer = self.whole(response, answered::ERROR_BYTES_MAX).await;
                let answer = answer.map_err(|refusal| Refusal::Unreachable {
                    message: refusal.why().into_owned(),
                })?;
                Ok(self.unless_of_the_signature(trail, &call, answer))
            }
            Ok(response) => {
                let stall = self.stall(response.headers());
                Ok(response.map(|body| Body::answer(body, stall)))
            }
            Err(SendError::Unsent { why }) => Err(Refusal::Unreachable {
                message: format!("AWS could not be reached, nothing was sent: {why}"),
            }),
            Err(SendError::Barred { why }) => Err(Refusal::Barred {
                message: format!("AWS can't be reached, nothing was sent: {why}"),
            }),
            // A read that broke off may be repeated by whoever asked.
            Err(SendError::Unknown { why }) if call.class == Class::Read => {
                Err(Refusal::Unreachable { message: why })
            }
            Err(SendError::Unknown { why }) => Err(Refusal::OutcomeUnknown { message: why }),
        }
    }
}

impl Guard {
    /// How long an answer may be silent: an event stream says something when there is something to say.
    fn stall(&self, headers: &HeaderMap) -> Duration {
        let content_type = headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        match content_type {
            Some(b"application/vnd.amazon.eventstream") => self.timeouts.tunnel_idle,
            Some(_) | None => self.timeouts.body_stall,
        }
    }
}

fn nothing_happened(outcome: Outcome, error: &str) -> Happened {
    Happened {
        outcome,
        upstream_status: None,
        aws_request_id: None,
        error: None,
        error_message: Some(error.to_owned()),
    }
}

fn happened(sent: &Result<Response<Answer>, SendError>) -> Happened {
    match sent {
        Ok(response) => Happened {
            outcome: Outcome::Sent,
            upstream_status: Some(response.status().as_u16()),
            aws_request_id: request_id(response.headers()),
            error: error_code(response),
            error_message: None,
        },
        Err(SendError::Unsent { why } | SendError::Barred { why }) => {
            nothing_happened(Outcome::NotSent, why)
        }
        Err(SendError::Unknown { why }) => nothing_happened(Outcome::Unknown, why),
    }
}

/// Where services put a request's id, the most usual first.
static REQUEST_IDS: [HeaderName; 3] = [
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("x-amz-request-id"),
    HeaderName::from_static("x-amzn-request-id"),
];

fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = REQUEST_IDS.iter().find_map(|name| headers.get(name))?;
    id.to_str().ok().map(|id| bounded(id, 128).to_owned())
}

/// AWS's error code, where it stands in a header.
fn error_code(response: &Response<Answer>) -> Option<String> {
    let code = response.headers().get(X_AMZN_ERRORTYPE)?.to_str().ok()?;
    Some(bounded(code, 128).to_owned())
}
