//! The request that goes out: rebuilt from the parsed form where the call is parsed, the client's own otherwise.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, DATE, HOST, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use super::answered::SignedWith;
use super::arrive::{Known, Payload, Reading, not_understood};
use super::authenticate::{Authenticated, USER_AGENT_BYTES_MAX, bounded, refused, unsigned};
use super::foreign::Whose;
use super::streamed::Passing;
use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::catalog::model::Signature;
use crate::aws::endpoint::Endpoint;
use crate::aws::protocol;
use crate::aws::sigv4::chunked::Framing;
use crate::aws::sigv4::{self, Over, Scope, Seed, Unsigned, sha256_hex};
use crate::guard::call::{Call, DecisionId};
use crate::guard::decide::{Allowed, Decision, Question};
use crate::guard::target::NamePlace;
use crate::proxy::Body;
use crate::proxy::headers::HOP_BY_HOP;
use crate::sources::credentials::{Power, Signer};

/// A request that lacks only its signature.
pub(super) struct Outgoing {
    method: Method,
    path_and_query: String,
    /// Signed.
    headers: HeaderMap,
    /// Sent, not signed: what something on the way may change.
    unsigned: HeaderMap,
    body: Carried,
    endpoint: Endpoint,
    /// `None` for a call that nobody signs.
    signing: Option<Signing>,
}

/// How a request is signed: for what its caller signed it, in the same way.
struct Signing {
    scope: Scope,
    signature: Signature,
    /// What lookups were signed with, and what signs an unguarded call.
    signer: Signer,
}

impl Signing {
    fn of(known: &Known, signer: Option<Signer>) -> Result<Option<Self>, Refusal> {
        match (signer, known.whose) {
            (Some(signer), Whose::Ours) => Ok(Some(Self {
                scope: known.claim.auth()?.scope.clone(),
                signature: known.identified.service().signature,
                signer,
            })),
            (None, Whose::Nobodys) => Ok(None),
            (Some(_) | None, _) => Err(unsigned()),
        }
    }
}

/// The body that goes out.
enum Carried {
    /// Of a request that was written anew.
    Bytes(bytes::Bytes),
    /// The client's own, with what it declared of it.
    Known(Box<Own>),
}

/// A client's own body.
struct Own {
    payload: Payload,
    declared: sigv4::Declared,
    framing: Option<Framing>,
    seed: Option<Seed>,
}

impl Own {
    fn of(known: Box<Known>) -> Self {
        Self {
            declared: known.declared,
            payload: known.payload,
            framing: known.framing,
            seed: known.seed,
        }
    }
}

/// A request ready to be sent, with the judgement that allowed it. Made only from an [`Allowed`].
pub(super) struct Signed {
    pub(super) question: Question,
    pub(super) decision: Decision,
    pub(super) endpoint: Endpoint,
    pub(super) request: Request<Body>,
}

static CLIENT_HEADERS: [HeaderName; 6] = [
    ACCEPT,
    ACCEPT_ENCODING,
    HeaderName::from_static("amz-sdk-invocation-id"),
    HeaderName::from_static("amz-sdk-request"),
    HeaderName::from_static("x-amzn-trace-id"),
    // How the client wants error codes of a service that spoke a query protocol before.
    HeaderName::from_static("x-amzn-query-mode"),
];

impl Outgoing {
    pub(super) fn of(
        by: Option<&NamePlace>,
        trail: &Trail,
        authenticated: Authenticated,
        question: &mut Question,
    ) -> Result<Self, Refusal> {
        let Call {
            parsed, guarded, ..
        } = *question.call;
        match authenticated.known.reading {
            Reading::Whole if parsed => Self::rebuilt(by, trail, authenticated, question),
            // Of an unguarded call what was read goes on as it came.
            Reading::Head if parsed && guarded => {
                Self::reheaded(by, trail, authenticated, question)
            }
            Reading::Whole | Reading::Head | Reading::None => Self::passed(trail, authenticated),
        }
    }

    /// From the parsed form: what was judged is what is sent.
    fn rebuilt(
        by: Option<&NamePlace>,
        trail: &Trail,
        authenticated: Authenticated,
        question: &mut Question,
    ) -> Result<Self, Refusal> {
        let Authenticated { known, signer, .. } = authenticated;
        let signing = Signing::of(&known, signer)?;
        question.name_by_id(by);
        let internal = |message: String| Refusal::Internal { message };
        let service = known.identified.service();
        let wire = protocol::encode(
            service,
            known.operation(),
            known.identified.protocol(),
            &question.call.input,
            &known.endpoint.addressed,
        )
        .map_err(|e| internal(format!("the call can't be rebuilt: {e}")))?;
        let unsigned = beside_signed(&known, trail, &wire.headers);
        Ok(Self {
            method: wire.method,
            path_and_query: wire.path_and_query,
            headers: wire.headers,
            unsigned,
            body: Carried::Bytes(wire.body.into()),
            endpoint: known.endpoint,
            signing,
        })
    }

    /// The head from the parsed form, with the client's own body behind it.
    fn reheaded(
        by: Option<&NamePlace>,
        trail: &Trail,
        authenticated: Authenticated,
        question: &mut Question,
    ) -> Result<Self, Refusal> {
        let Authenticated { known, signer, .. } = authenticated;
        let signing = Signing::of(&known, signer)?;
        question.name_by_id(by);
        let (input, addressed) = (&question.call.input, &known.endpoint.addressed);
        let wire = protocol::encode_head(&known.identified, input, addressed);
        let mut wire = wire.map_err(|e| Refusal::Internal {
            message: format!("the call can't be rebuilt: {e}"),
        })?;
        // The body's own length counts.
        wire.headers.remove(CONTENT_LENGTH);
        for (name, value) in &known.parts.headers {
            if is_of_body(name) && !wire.headers.contains_key(name) {
                wire.headers.insert(name, value.clone());
            }
        }
        let unsigned = beside_signed(&known, trail, &wire.headers);
        Ok(Self {
            method: wire.method,
            path_and_query: wire.path_and_query,
            headers: wire.headers,
            unsigned,
            endpoint: known.endpoint.clone(),
            body: Carried::Known(Box::new(Own::of(known))),
            signing,
        })
    }

    /// The client's own, but for its framing and its signature; a form, which says what it is in its body, is written
    /// anew.
    pub(super) fn passed(trail: &Trail, authenticated: Authenticated) -> Result<Self, Refusal> {
        let Authenticated { known, signer, .. } = authenticated;
        let signing = Signing::of(&known, signer)?;
        let restated = protocol::restate(&known.identified, &known.head(), &known.payload.bytes())
            .map_err(not_understood)?;
        let (mut headers, mut unsigned) = (HeaderMap::new(), HeaderMap::new());
        let dropped = named_by_connection(&known.parts.headers);
        for (name, value) in &known.parts.headers {
            if is_hop_by_hop(name) || is_of_signature(name) || dropped.contains(name) {
                continue;
            }
            if is_signed(name) {
                headers.append(name, value.clone());
            } else {
                unsigned.append(name, value.clone());
            }
        }
        unsigned.insert(USER_AGENT, user_agent(&known.parts.headers, trail.id));
        let endpoint = known.endpoint.clone();
        let (method, path_and_query, body) = match restated {
            Some(wire) => {
                headers.extend(wire.headers);
                let body = Carried::Bytes(wire.body.into());
                (wire.method, wire.path_and_query, body)
            }
            None => {
                let path_and_query = known.parts.uri.path_and_query();
                let path_and_query =
                    path_and_query.map_or_else(|| "/".to_owned(), ToString::to_string);
                let method = known.parts.method.clone();
                let body = Carried::Known(Box::new(Own::of(known)));
                (method, path_and_query, body)
            }
        };
        Ok(Self {
            method,
            path_and_query,
            headers,
            unsigned,
            body,
            endpoint,
            signing,
        })
    }
}

impl Guard {
    /// Signs an allowed request: a guarded one with credentials that nothing but this asks for.
    pub(super) async fn sign(
        &self,
        trail: &mut Trail,
        allowed: Allowed<Outgoing>,
    ) -> Result<Signed, Refusal> {
        let (question, decision, outgoing) = allowed.into_parts();
        let Outgoing {
            method,
            path_and_query,
            headers,
            unsigned,
            body,
            endpoint,
            signing,
        } = outgoing;
        let internal = |message: String| Refusal::Internal { message };
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query.as_str(), None),
        };
        let host = endpoint.host.as_str();
        let (added, seed) = match signing {
            None => (Vec::new(), None),
            Some(signing) => {
                let signer = if question.call.guarded {
                    self.guarded_signer(&question, &endpoint, &signing.signer)
                        .await?
                } else {
                    signing.signer
                };
                trail.upstream_role.clone_from(&signer.role);
                trail.signed_with = Some(SignedWith::of(&signer.credentials));
                let over = Over {
                    algorithm: signing.scope.algorithm,
                    region: &signing.scope.region,
                    signing_name: &signing.scope.service,
                    signature: signing.signature,
                };
                let to_sign = Unsigned {
                    method: &method,
                    host,
                    path,
                    query,
                    headers: &headers,
                    payload: &body.covered()?,
                };
                let signed = sigv4::sign_over(to_sign, &signer.credentials, over, self.clock.now());
                let (added, seed) = signed.map_err(|e| Refusal::NotUnderstood {
                    message: e.to_string(),
                })?;
                (added, Some(seed))
            }
        };
        let mut request = Request::builder()
            .method(method)
            .uri(&path_and_query)
            .body(Body::empty());
        let request = request.as_mut().map_err(|e| internal(e.to_string()))?;
        let all = request.headers_mut();
        all.insert(
            HOST,
            HeaderValue::from_str(host).map_err(|e| internal(e.to_string()))?,
        );
        all.extend(headers);
        all.extend(unsigned);
        all.extend(added);
        *request.body_mut() = self.carried(trail, body, seed.as_ref())?;
        let request = std::mem::replace(request, Request::new(Body::empty()));
        Ok(Signed {
            question,
            decision,
            endpoint,
            request,
        })
    }

    /// The body that goes out; what streams is signed on from `ours`.
    fn carried(&self, trail: &Trail, body: Carried, ours: Option<&Seed>) -> Result<Body, Refusal> {
        let own = match body {
            Carried::Bytes(bytes) => return Ok(Body::full(bytes)),
            Carried::Known(own) => own,
        };
        match own.payload {
            Payload::Whole(body) => Ok(Body::buffered(body)),
            Payload::Stream(unread) => {
                let ours = ours.ok_or_else(super::authenticate::unsigned)?;
                let client = own.seed.as_ref();
                let passing = Passing::resigned(&own.declared, own.framing, client, ours)?;
                self.streamed(unread, passing, &trail.fault)
            }
        }
    }
}

impl Carried {
    /// What the signature covers in the place of the body.
    fn covered(&self) -> Result<String, Refusal> {
        let own = match self {
            Carried::Bytes(bytes) => return Ok(sha256_hex(bytes)),
            Carried::Known(own) => own,
        };
        match (own.declared.as_str(), &own.payload) {
            (Some(covered), _) => Ok(covered.to_owned()),
            (None, Payload::Whole(body)) => Ok(sha256_hex(body.bytes())),
            (None, Payload::Stream(_)) => Err(Refusal::Internal {
                message: "a body without a declared hash streams".to_owned(),
            }),
        }
    }
}

impl Guard {
    /// What signs a guarded call. It is of the account that the call was judged in, even if the credentials were
    /// changed meanwhile.
    async fn guarded_signer(
        &self,
        question: &Question,
        endpoint: &Endpoint,
        judged: &Signer,
    ) -> Result<Signer, Refusal> {
        let caller = &question.call.caller;
        let signer = self
            .credentials
            .credentials(caller, Power::Guarded, endpoint)
            .await
            .map_err(refused)?;
        if signer.account == judged.account {
            return Ok(signer);
        }
        let message = format!(
            "the call was judged in account `{}`, and the credentials of `[credentials.{}]` are of `{}` now: try again",
            judged.account, caller.credentials, signer.account
        );
        Err(Refusal::Account { message })
    }
}

/// The caller's own, with the decision at its end: AWS's own logs can be joined with the journal.
fn user_agent(headers: &HeaderMap, id: DecisionId) -> HeaderValue {
    let own = headers
        .get(USER_AGENT)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let own = bounded(own, USER_AGENT_BYTES_MAX);
    let text = format!("{own} palisade/{id}");
    HeaderValue::from_str(text.trim_start())
        .unwrap_or_else(|_| HeaderValue::from_static("palisade"))
}

/// Headers of one hop (RFC 9110 section 7.6.1), and those that the client for the next one sets itself.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name) || *name == HOST || *name == CONTENT_LENGTH
}

/// Headers that signing sets anew.
fn is_of_signature(name: &HeaderName) -> bool {
    *name == AUTHORIZATION
        || *name == DATE
        || *name == USER_AGENT
        || matches!(
            name.as_str(),
            "x-amz-date" | "x-amz-security-token" | "x-amz-content-sha256" | "x-amz-region-set"
        )
}

/// What goes along with a request that was written anew: what the client says of itself and of the answer.
fn beside_signed(known: &Known, trail: &Trail, signed: &HeaderMap) -> HeaderMap {
    let mut unsigned = HeaderMap::new();
    // What the protocol itself says of the answer stands, and is signed.
    let own = |name: &&HeaderName| !signed.contains_key(*name);
    for name in CLIENT_HEADERS.iter().filter(own) {
        for value in known.parts.headers.get_all(name) {
            unsigned.append(name, value.clone());
        }
    }
    unsigned.insert(USER_AGENT, user_agent(&known.parts.headers, trail.id));
    unsigned
}

/// Headers that say how a body is framed, and by what it can be checked.
fn is_of_body(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(
        name,
        "content-type"
            | "content-md5"
            | "content-encoding"
            | "x-amz-decoded-content-length"
            | "x-amz-trailer"
            | "x-amz-sdk-checksum-algorithm"
    ) || name.starts_with("x-amz-checksum-")
}

/// Headers that are signed: those that say what the call is. Others may be changed on the way.
fn is_signed(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(
        name,
        "content-type" | "content-md5" | "content-encoding" | "smithy-protocol"
    ) || name.starts_with("x-amz-")
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok());
    values
        .flat_map(|v| v.split(','))
        .filter_map(|n| n.trim().parse().ok())
        .collect()
}
