//! The guard's own calls at AWS: written by the catalog, signed, sent through the same client as what it forwards.
//!
//! INVARIANT: only what may be done twice is sent from here: reads, and the taking on of roles. A call that broke off
//! is sent once more.

use aws_credential_types::Credentials;
use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Request, Response};

use crate::aws::catalog::Protocol;
use crate::aws::catalog::model::{Operation, Service};
use crate::aws::endpoint::Endpoint;
use crate::aws::protocol::{self, UpstreamError};
use crate::aws::sigv4::{self, Over};
use crate::aws::value::Object;
use crate::guard::release::THIS;
use crate::proxy::body::{self, Buffered};
use crate::proxy::upstream::{Answer, Freshness, SendError, Target, Upstream};
use crate::proxy::{Body, Budget, Timeouts};
use crate::sources::clock::Clock;

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Makes calls at AWS. Clones share connections.
#[derive(Debug, Clone)]
pub struct Api {
    upstream: Upstream,
    clock: Clock,
    budget: Budget,
    timeouts: Timeouts,
}

/// Where, as whom and what for a call is made.
#[derive(Debug, Clone, Copy)]
pub struct Desk<'a> {
    pub service: &'a Service,
    pub endpoint: &'a Endpoint,
    pub credentials: &'a Credentials,
    /// One word for the end of the User-Agent: what AWS's logs tell of it.
    pub purpose: &'static str,
}

/// A successful answer.
#[derive(Debug)]
pub struct Answered {
    pub protocol: Protocol,
    pub headers: HeaderMap,
    pub body: Buffered,
}

/// Why there is no successful answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiFault {
    /// AWS answered an error.
    #[error("{error}")]
    Rejected { status: u16, error: UpstreamError },
    /// There is no answer, or none that can be read.
    #[error("{why}")]
    Failed { why: String },
    /// Nothing was sent, and nothing will be until somebody acts.
    #[error("{why}")]
    Barred { why: String },
}

impl Api {
    /// Calls through a client; `budget` bounds the answers that are held.
    #[must_use]
    pub const fn new(upstream: Upstream, clock: Clock, budget: Budget, timeouts: Timeouts) -> Self {
        Self {
            upstream,
            clock,
            budget,
            timeouts,
        }
    }

    /// Makes a call and reads its output by the catalog, which has the outputs of reads alone.
    ///
    /// # Errors
    /// [`ApiFault`].
    pub async fn call(
        &self,
        desk: Desk<'_>,
        operation: &Operation,
        input: &Object,
    ) -> Result<Object, ApiFault> {
        let Answered {
            protocol,
            headers,
            body,
        } = self.send(desk, operation, input).await?;
        protocol::decode_output(desk.service, operation, protocol, &headers, body.bytes())
            .map_err(failed)
    }

    /// Makes a call and reads its answer whole.
    ///
    /// # Errors
    /// [`ApiFault`].
    pub async fn send(
        &self,
        desk: Desk<'_>,
        operation: &Operation,
        input: &Object,
    ) -> Result<Answered, ApiFault> {
        let spoken = protocol::preferred(desk.service)
            .ok_or_else(|| failed("its service speaks no protocol that is known"))?;
        let endpoint = protocol::at(desk.endpoint, operation, input).map_err(failed)?;
        let desk = Desk {
            endpoint: &endpoint,
            ..desk
        };
        let written = self.write(desk, operation, spoken, input)?;
        let target = Target {
            host: desk.endpoint.host.clone(),
            port: 443,
        };
        let send = |freshness| {
            let request = written.clone().map(Body::full);
            self.upstream.send_once(&target, request, freshness)
        };
        let mut sent = send(Freshness::Pooled).await;
        if let Err(SendError::Unknown { .. }) = sent {
            // Idle connections die: once more, on a new one.
            sent = send(Freshness::Fresh).await;
        }
        let response = sent.map_err(|error| match error {
            SendError::Barred { why } => ApiFault::Barred { why },
            SendError::Unsent { why } | SendError::Unknown { why } => failed(why),
        })?;
        self.read(spoken, response).await
    }

    fn write(
        &self,
        desk: Desk<'_>,
        operation: &Operation,
        spoken: Protocol,
        input: &Object,
    ) -> Result<Request<Bytes>, ApiFault> {
        let Desk {
            service,
            endpoint,
            credentials,
            purpose,
        } = desk;
        let wire = protocol::encode(service, operation, spoken, input, &endpoint.addressed)
            .map_err(failed)?;
        let signing_name = endpoint.signing_name(service);
        let over = Over::hmac(&endpoint.region, signing_name, service.signature);
        let host = endpoint.host.as_str();
        let mut request =
            sigv4::signed(wire, host, credentials, over, self.clock.now()).map_err(failed)?;
        let agent = format!("palisade/{THIS} {purpose}");
        let agent = HeaderValue::from_str(&agent).map_err(failed)?;
        request.headers_mut().insert(USER_AGENT, agent);
        Ok(request.map(Bytes::from))
    }

    async fn read(
        &self,
        spoken: Protocol,
        response: Response<Answer>,
    ) -> Result<Answered, ApiFault> {
        let (parts, body) = response.into_parts();
        let body = body::read_whole(body, ANSWER_BYTES_MAX, &self.budget, &self.timeouts)
            .await
            .map_err(failed)?;
        if !parts.status.is_success() {
            let status = parts.status.as_u16();
            let error = protocol::decode_error(spoken, parts.status, &parts.headers, body.bytes());
            return Err(ApiFault::Rejected { status, error });
        }
        Ok(Answered {
            protocol: spoken,
            headers: parts.headers,
            body,
        })
    }
}

fn failed<E: ToString>(why: E) -> ApiFault {
    ApiFault::Failed {
        why: why.to_string(),
    }
}
