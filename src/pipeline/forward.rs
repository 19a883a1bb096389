//! The send: once. Then the outcome is recorded, then the client is answered.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body as HttpBody, Frame};
use hyper::body::Incoming;
use sha2::{Digest, Sha256};

use super::admit::{Admitted, Proof};
use super::answered;
use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::class::Class;
use crate::aws::sigv4::Declared;
use crate::guard::call::Outcome;
use crate::journal::Record;
use crate::journal::record::{Happened, Judgement, OutcomeRecord};
use crate::proxy::body::BodyError;
use crate::proxy::upstream::{Answer, Freshness, SendError, Target};
use crate::proxy::{Body, Timeouts};

impl Guard {
    /// Sends an admitted request and records what came of it. Runs to its end though the client may have left.
    pub(super) async fn forward(
        &self,
        trail: &Trail,
        admitted: Admitted,
    ) -> Result<Response<Body>, Refusal> {
        let (endpoint, request, call, decision, proof) = admitted.into_parts();
        if let Proof::Durable { receipt, .. } = &proof
            && receipt.decision_id() != Some(call.id)
        {
            return Err(Refusal::Internal {
                message: "the record on disk is another decision's".to_owned(),
            });
        }
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
        let happened = happened(&sent);
        let recorded = match proof {
            Proof::Durable { pending, .. } => {
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
            Proof::Following => {
                let record = self.record(trail, &call, Some(&decision), Judgement::Done(happened));
                self.journal.append_later(Record::decision(record))
            }
        };
        if let Err(error) = recorded {
            tracing::error!(decision = %trail.id, "the outcome could not be recorded: {error}");
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
            Ok(response) => Ok(response.map(|body| Body::answer(body, self.timeouts.body_stall))),
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

fn happened(sent: &Result<Response<Answer>, SendError>) -> Happened {
    let nothing = |outcome, error: &str| Happened {
        outcome,
        upstream_status: None,
        aws_request_id: None,
        error: None,
        error_message: Some(error.to_owned()),
    };
    match sent {
        Ok(response) => Happened {
            outcome: Outcome::Sent,
            upstream_status: Some(response.status().as_u16()),
            aws_request_id: request_id(response.headers()),
            error: error_code(response),
            error_message: None,
        },
        Err(SendError::Unsent { why } | SendError::Barred { why }) => {
            nothing(Outcome::NotSent, why)
        }
        Err(SendError::Unknown { why }) => nothing(Outcome::Unknown, why),
    }
}

fn request_id(headers: &HeaderMap) -> Option<String> {
    let ids = ["x-amzn-requestid", "x-amz-request-id", "x-amzn-request-id"];
    let id = ids.iter().find_map(|name| headers.get(*name))?;
    id.to_str().ok().map(|id| id.chars().take(128).collect())
}

/// AWS's error code, where it stands in a header.
fn error_code(response: &Response<Answer>) -> Option<String> {
    let code = response.headers().get("x-amzn-errortype")?.to_str().ok()?;
    Some(code.chars().take(128).collect())
}

/// A body that goes on as it comes in. One that declares its hash is held against it: the last piece is not
/// passed on unless the hash is right, so that AWS never has the whole of another body.
pub(super) fn streamed(incoming: Incoming, declared: &Declared, timeouts: &Timeouts) -> Body {
    match declared {
        Declared::Hash(hash) => Body::other(Checked {
            inner: Body::request(incoming, timeouts.body_stall),
            hash: hash.clone(),
            digest: Sha256::new(),
            held: None,
            ended: false,
        }),
        Declared::Absent
        | Declared::Unsigned
        | Declared::StreamingUnsignedTrailer
        | Declared::StreamingSigned { .. }
        | Declared::StreamingEvents => Body::request(incoming, timeouts.body_stall),
    }
}

/// A body one piece behind its source.
struct Checked {
    inner: Body,
    hash: String,
    digest: Sha256,
    held: Option<Bytes>,
    ended: bool,
}

impl HttpBody for Checked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        while !self.ended {
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.digest.update(&data);
                        if let Some(before) = self.held.replace(data) {
                            return Poll::Ready(Some(Ok(Frame::data(before))));
                        }
                    }
                }
                Some(Err(error)) => {
                    self.ended = true;
                    self.held = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.ended = true;
                    let found = hex(&std::mem::take(&mut self.digest).finalize());
                    if found != self.hash {
                        self.held = None;
                        let why = "it doesn't have the hash that `x-amz-content-sha256` declares"
                            .to_owned();
                        return Poll::Ready(Some(Err(BodyError::Broken { why })));
                    }
                }
            }
        }
        Poll::Ready(self.held.take().map(|last| Ok(Frame::data(last))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        if self.held.is_none() && !self.ended {
            self.inner.size_hint()
        } else {
            http_body::SizeHint::default()
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
