//! From bytes to an operation: what host it is, what body it has, what it asks.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use hyper::body::Incoming;

use super::claim::Claim;
use super::foreign::Whose;
use super::streamed::{forget, waits};
use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::answer::Shape;
use crate::aws::catalog::model::{Operation, Service};
use crate::aws::class::Class;
use crate::aws::endpoint::{Addressed, Endpoint, Resolved};
use crate::aws::head::Head;
use crate::aws::protocol::{self, Identified, Unknown};
use crate::aws::sigv4::chunked::{Framing, Trailer};
use crate::aws::sigv4::{AuthError, Declared, Seed};
use crate::guard::call::{Action, Mode};
use crate::proxy::Intercepted;
use crate::proxy::body::{BodyError, Buffered, read_whole};

/// What is read of a write that its input may make a guarded call: what DynamoDB takes in one write of many items
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>).
const CONDITIONAL_BYTES_MAX: u64 = 16 << 20;

/// A request to an API host.
pub(super) struct Arrived {
    endpoint: Endpoint,
    services: Vec<Arc<Service>>,
    claim: Claim,
    parts: Parts,
    body: Unread,
    declared: Declared,
    framing: Option<Framing>,
    whose: Whose,
}

/// A request whose operation is known. Boxed, since it goes from step to step.
pub(super) struct Known {
    pub(super) endpoint: Endpoint,
    pub(super) identified: Identified,
    pub(super) action: Action,
    pub(super) reading: Reading,
    pub(super) claim: Claim,
    /// Without a signature that stood in the query.
    pub(super) parts: Parts,
    pub(super) payload: Payload,
    /// By the client; of a whole body of which it declared nothing, what the guard found when it verified it.
    pub(super) declared: Declared,
    /// Of a body in chunks that will be signed anew.
    pub(super) framing: Option<Framing>,
    /// What the signatures of such a body's pieces begin with, once its own is verified.
    pub(super) seed: Option<Seed>,
    /// Why the operation isn't known, where the guard only monitors.
    pub(super) misread: Option<Refusal>,
    pub(super) whose: Whose,
}

/// How much of a call is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    None,
    /// All but the body, which is bytes and tells nothing of what the call is.
    Head,
    Whole,
}

/// The body of a request.
pub(super) enum Payload {
    /// Read whole.
    Whole(Buffered),
    /// Still on its way; its hash, or that it has none, is declared and signed.
    Stream(Unread),
}

/// A body that nobody has read yet. Dropped unread, it is read to no purpose within bounds: the client gets to read the
/// refusal. Where the client waits for a word before it sends its body, it gets the refusal in its place.
pub(super) struct Unread {
    body: Option<Incoming>,
    expects_word: bool,
}

impl Unread {
    pub(super) fn read(mut self) -> Option<Incoming> {
        self.body.take()
    }

    /// Whether the client waits for `100 Continue`.
    pub(super) const fn expects_word(&self) -> bool {
        self.expects_word
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && !self.expects_word
        {
            forget(body);
        }
    }
}

impl Payload {
    /// The whole body; empty while it is on its way.
    pub(super) fn bytes(&self) -> Bytes {
        match self {
            Payload::Whole(body) => body.bytes().clone(),
            Payload::Stream(_) => Bytes::new(),
        }
    }
}

impl Known {
    pub(super) fn head(&self) -> Head<'_> {
        head_to(&self.endpoint, &self.parts)
    }

    pub(super) fn operation(&self) -> &Operation {
        self.identified.operation()
    }
}

/// The head of a request as it stood on the wire, for what has nothing to do with its host.
pub(super) fn head(parts: &Parts) -> Head<'_> {
    Head {
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: &parts.headers,
        addressed: &Addressed::Service,
    }
}

/// The head of a request to an API host: what its operation and input are read from.
pub(super) fn head_to<'a>(endpoint: &'a Endpoint, parts: &'a Parts) -> Head<'a> {
    Head {
        addressed: &endpoint.addressed,
        ..head(parts)
    }
}

/// The head of a request before it's taken apart.
pub(super) fn request_head<B>(request: &http::Request<B>) -> Head<'_> {
    Head {
        method: request.method(),
        path: request.uri().path(),
        query: request.uri().query(),
        headers: request.headers(),
        addressed: &Addressed::Service,
    }
}

impl Guard {
    /// Tells which API the host is, and what the request declares of its body.
    pub(super) fn arrive(
        &self,
        trail: &mut Trail,
        request: Intercepted,
    ) -> Result<Arrived, Refusal> {
        let host = request.host;
        let (mut parts, body) = request.request.into_parts();
        let body = Unread {
            body: Some(body),
            expects_word: waits(&parts.headers),
        };
        let endpoint = match self.ruleset.catalog.resolve(&host) {
            Resolved::Api(endpoint) => endpoint,
            Resolved::Unmodelled | Resolved::Foreign => {
                let host = host.to_string();
                return Err(Refusal::UnmodelledHost { host });
            }
        };
        let services = self.services(&endpoint)?;
        trail.shape = Shape::asked(&services, &head(&parts));
        if services.iter().all(|s| s.operations.is_empty()) {
            return Err(Refusal::UnmodelledService {
                service: endpoint.services.join(", "),
            });
        }
        let claim = Claim::take(&mut parts)?;
        claim.is_of_a_way_that_is_known()?;
        let declared = claim.declared(&parts, services.iter().map(|s| s.signature))?;
        let whose = self.whose(&claim, &services);
        let framing = match whose {
            Whose::Ours => framing(&declared, &parts)?,
            // What goes on as it came is AWS's to read.
            Whose::Foreign | Whose::Nobodys => None,
        };
        Ok(Arrived {
            endpoint,
            services,
            claim,
            parts,
            body,
            declared,
            framing,
            whose,
        })
    }

    /// The services behind an endpoint.
    pub(super) fn services(&self, endpoint: &Endpoint) -> Result<Vec<Arc<Service>>, Refusal> {
        let mut services = Vec::new();
        for id in &endpoint.services {
            let service = self.ruleset.catalog.service(id);
            services.extend(service.map_err(|e| Refusal::Internal {
                message: e.to_string(),
            })?);
        }
        Ok(services)
    }

    /// Tells which operation the request is, and reads the body unless it may stream.
    pub(super) async fn identify(
        &self,
        trail: &mut Trail,
        arrived: Arrived,
    ) -> Result<Box<Known>, Refusal> {
        let Arrived {
            endpoint,
            services,
            claim,
            parts,
            body,
            declared,
            framing,
            whose,
        } = arrived;
        let in_body = protocol::needs_body(&head(&parts));
        let (mut unread, mut whole) = (Some(body), None);
        if in_body && let Some(body) = unread.take() {
            if framing.is_some() || declared == Declared::StreamingEvents {
                return Err(in_pieces("a form"));
            }
            let max = match whose {
                Whose::Ours => {
                    self.is_somebodys(&claim, &parts)?;
                    self.limits.body_buffer_max
                }
                // Whoever it is may make us hold no more than a form needs.
                Whose::Foreign | Whose::Nobodys => self.limits.body_bytes_max,
            };
            whole = Some(self.read(body, max).await?);
        }
        let bytes = whole.as_ref().map(|b| b.bytes().as_ref());
        let identified = protocol::identify(&services, &head_to(&endpoint, &parts), bytes);
        let may_go_on = match whose {
            Whose::Ours => self.mode,
            // What nobody signed for here is not passed on unknown.
            Whose::Foreign | Whose::Nobodys => Mode::Enforce,
        };
        let (identified, misread) = match (identified.map_err(not_understood), may_go_on) {
            (Ok(identified), _) => (identified, None),
            (Err(refusal), Mode::Enforce) => return Err(refusal),
            (Err(refusal), Mode::Monitor) => match signed_for(&endpoint, &services, &claim)? {
                Some(service) => (
                    Identified::unknown(service, &head_to(&endpoint, &parts)),
                    Some(refusal),
                ),
                None => return Err(refusal),
            },
        };
        let operation = identified.operation();
        if whose == Whose::Nobodys && !operation.unsigned {
            return Err(AuthError::Missing.into());
        }
        let action = Action {
            service: identified.service().id.clone(),
            operation: operation.name.clone(),
        };
        let reading = self.reading(&identified, &action, &head_to(&endpoint, &parts), whose)?;
        let parsed = reading != Reading::None;
        trail.action = Some(action.to_string());
        trail.class = Some(operation.class);
        if misread.is_none() {
            trail.shape = Shape::of(&identified, &head(&parts));
        }
        let is_form = identified.protocol().is_form();
        if parsed && declared == Declared::StreamingEvents {
            return Err(in_pieces("a guarded call"));
        }
        if is_form && framing.is_some() {
            return Err(in_pieces("a form"));
        }
        let max = match (reading, self.mode) {
            (Reading::Whole, Mode::Enforce) if is_told_by_input(operation) => {
                self.limits.body_buffer_max.min(CONDITIONAL_BYTES_MAX)
            }
            (Reading::Whole, Mode::Enforce) => self.limits.body_bytes_max,
            (Reading::Whole, Mode::Monitor) | (Reading::Head | Reading::None, _) => {
                self.limits.body_buffer_max
            }
        };
        let payload = match (whole, unread) {
            (Some(body), _) if u64::try_from(body.bytes().len()).is_ok_and(|len| len > max) => {
                return Err(too_large(max));
            }
            (Some(body), _) => Payload::Whole(body),
            (None, Some(body)) if whose == Whose::Nobodys || whose == Whose::Foreign && is_form => {
                Payload::Whole(self.read(body, self.limits.body_bytes_max).await?)
            }
            (None, Some(body))
                if whose == Whose::Ours
                    && (reading == Reading::Whole || is_form || declared == Declared::Absent) =>
            {
                self.is_somebodys(&claim, &parts)?;
                Payload::Whole(self.read(body, max).await?)
            }
            (None, Some(body)) => Payload::Stream(body),
            (None, None) => return Err(lost()),
        };
        Ok(Box::new(Known {
            endpoint,
            identified,
            action,
            reading,
            claim,
            parts,
            payload,
            declared,
            framing,
            seed: None,
            misread,
            whose,
        }))
    }

    /// How much of a call is read before it is judged.
    fn reading(
        &self,
        identified: &Identified,
        action: &Action,
        head: &Head<'_>,
        whose: Whose,
    ) -> Result<Reading, Refusal> {
        let rules = self.ruleset.rules();
        let beside = protocol::body_beside(identified).is_some();
        let asked = if beside {
            rules.guards(action)
        } else {
            rules.parses(action, identified.operation())
        };
        match (asked, whose) {
            (Some(Mode::Enforce), _) => return Ok(Reading::Whole),
            // A policy that only monitors may not cost a call what its length needs.
            (Some(Mode::Monitor), Whose::Ours)
                if length(head.headers).is_some_and(|l| l <= self.limits.body_bytes_max) =>
            {
                return Ok(Reading::Whole);
            }
            (Some(Mode::Monitor) | None, _) => {}
        }
        match whose {
            _ if !beside => Ok(Reading::None),
            Whose::Ours => Ok(Reading::Head),
            // What goes on as it came is read only to see that it may.
            Whose::Foreign | Whose::Nobodys => {
                let input = protocol::decode_head(identified, head, Unknown::PassedOver);
                let class = identified
                    .operation()
                    .class_of(&input.map_err(not_understood)?)
                    .0;
                Ok(match class.is_guarded() {
                    true => Reading::Head,
                    false => Reading::None,
                })
            }
        }
    }

    async fn read(&self, body: Unread, max: u64) -> Result<Buffered, Refusal> {
        let body = body.read().ok_or_else(lost)?;
        read_whole(body, max, &self.budget, &self.timeouts)
            .await
            .map_err(|error| match error {
                BodyError::TooLarge { max } => too_large(max),
                BodyError::Overloaded => Refusal::Overloaded {
                    message: error.to_string(),
                },
                BodyError::Timeout | BodyError::Broken { .. } => Refusal::BodyBroken {
                    message: error.to_string(),
                },
            })
    }
}

/// The one service that a request is signed for; none that mints keys, or of which nothing is known, since what isn't
/// understood could ask for a key.
fn signed_for<'s>(
    endpoint: &Endpoint,
    services: &'s [Arc<Service>],
    claim: &Claim,
) -> Result<Option<&'s Arc<Service>>, Refusal> {
    let scope = &claim.auth()?.scope;
    let mut found = services
        .iter()
        .filter(|s| endpoint.signing_name(s) == scope.service);
    let only = found.next().filter(|_| found.next().is_none());
    let mints = |s: &&Arc<Service>| {
        let mut operations = s.operations.values();
        s.operations.is_empty()
            || operations.any(|o| o.class == Class::Credentials && o.is_of_aws())
    };
    Ok(only.filter(|service| !mints(service)))
}

/// Whether only its input tells that a call is guarded.
fn is_told_by_input(operation: &Operation) -> bool {
    !operation.class.is_guarded() && operation.is_conditional()
}

/// How the body is framed, where it comes in chunks.
fn framing(declared: &Declared, parts: &Parts) -> Result<Option<Framing>, Refusal> {
    let trailer = match declared {
        Declared::StreamingUnsignedTrailer | Declared::StreamingSigned { trailer: true, .. } => {
            Trailer::Announced
        }
        Declared::StreamingSigned { trailer: false, .. } => Trailer::Absent,
        Declared::Absent | Declared::Hash(_) | Declared::Unsigned | Declared::StreamingEvents => {
            return Ok(None);
        }
    };
    Ok(Some(Framing::of(&parts.headers, trailer)?))
}

/// A body that is read whole before it goes on came in pieces that can't be.
fn in_pieces(what: &str) -> Refusal {
    Refusal::NotUnderstood {
        message: format!("the body of {what} can't come in signed pieces: send it with its hash"),
    }
}

/// What the head says of the body's length.
fn length(headers: &http::HeaderMap) -> Option<u64> {
    let length = headers.get(http::header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

pub(super) fn lost() -> Refusal {
    let message = "the body is lost".to_owned();
    Refusal::Internal { message }
}

fn too_large(max: u64) -> Refusal {
    Refusal::TooLarge {
        message: format!("the body is larger than {max} bytes, which `[limits]` sets"),
    }
}

pub(super) fn not_understood(malformed: protocol::Malformed) -> Refusal {
    let message = malformed.to_string();
    if malformed.is_unknown_operation() {
        Refusal::NotUnderstood { message }
    } else {
        Refusal::Malformed { message }
    }
}
