//! From a signature to a caller.

use std::sync::Arc;

use bytes::BytesMut;
use http::request::Parts;

use super::arrive::{Known, Payload, Reading};
use super::claim::Claim;
use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::answer::Kind;
use crate::aws::catalog::model::Answers;
use crate::aws::sigv4::chunked::{Chunked, unwrapped_headers};
use crate::aws::sigv4::{self, Authorization, Declared, Scope, Seed};
use crate::guard::call::{Call, Caller};
use crate::guard::keyring::Presented;
use crate::sources::credentials::{CredentialsFault, Power, Signer};

/// How much of a user agent is judged, recorded and sent on; a head has room for 64 KiB.
pub(super) const USER_AGENT_BYTES_MAX: usize = 512;

/// A request whose caller is known, and what lookups about it are signed with; an unguarded call itself too.
pub(super) struct Authenticated {
    pub(super) known: Box<Known>,
    /// The trail's.
    pub(super) call: Arc<Call>,
    /// `None` where the guard answers by itself: who assumes a role may have no other way to AWS.
    pub(super) signer: Option<Signer>,
}

impl Guard {
    /// Verifies the signature, and finds out which account the call would act in.
    pub(super) async fn authenticate(
        &self,
        trail: &mut Trail,
        mut known: Box<Known>,
    ) -> Result<Authenticated, Refusal> {
        let scope = known.claim.auth()?.scope.clone();
        self.scope_agrees(&mut known, &scope)?;
        let auth = known.claim.auth()?;
        let now = self.clock.now();
        let identity = self.keys.resolve(presented(&known.parts, auth)?, now)?;
        let payload = match (&known.payload, &known.declared) {
            (Payload::Whole(body), declared) => declared.check(body.bytes())?,
            (Payload::Stream(_), declared) => declared
                .as_str()
                .ok_or_else(|| internal("a body without a declared hash streams"))?
                .to_owned(),
        };
        let signature = known.identified.service().signature;
        let (signed, secret) = (known.claim.head(&known.parts), identity.secret.expose());
        sigv4::verify(auth, &signed, &payload, secret, now, signature)?;
        let in_pieces = known.framing.is_some() || matches!(known.payload, Payload::Stream(_));
        let seed = in_pieces.then(|| Seed::of(auth, &signed, secret));
        let seed = seed.transpose()?;
        if let (Payload::Whole(_), Declared::Absent) = (&known.payload, &known.declared) {
            // It's worked out once: a large body takes long.
            known.declared = Declared::Hash(payload);
        }
        known.verified(seed)?;
        self.keys.used(&identity.caller);
        let mut call = Arc::new(self.call(trail, &known, Arc::clone(&identity.caller)));
        trail.call = Some(Arc::clone(&call));
        proven_alike(trail, &identity.caller)?;
        if known.operation().answers == Some(Answers::Session) {
            return Ok(Authenticated {
                known,
                call,
                signer: None,
            });
        }
        let signer = self
            .credentials
            .credentials(&identity.caller, Power::Work, &known.endpoint)
            .await
            .map_err(refused)?;
        let account = signer.account.clone();
        self.reaches(&identity.caller.credentials, &account, &account)?;
        trail.upstream_role.clone_from(&signer.role);
        trail.call = None;
        Arc::make_mut(&mut call).account = account;
        trail.call = Some(Arc::clone(&call));
        Ok(Authenticated {
            known,
            call,
            signer: Some(signer),
        })
    }

    /// Takes a call that nobody signed, of an operation that nobody signs. Whatever proves its right to AWS stands in its
    /// parameters; here it is nobody's.
    pub(super) fn unauthenticated(
        &self,
        trail: &mut Trail,
        known: Box<Known>,
    ) -> Result<Authenticated, Refusal> {
        match (&known.payload, &known.declared) {
            (Payload::Whole(_), Declared::Absent | Declared::Unsigned) => {}
            (Payload::Whole(body), Declared::Hash(_)) => {
                known.declared.check(body.bytes())?;
            }
            (Payload::Whole(_) | Payload::Stream(_), _) => {
                return Err(Refusal::Malformed {
                    message: "a request that nobody signed has a body in signed pieces".to_owned(),
                });
            }
        }
        let call = Arc::new(self.call(trail, &known, Arc::new(Caller::unverified(""))));
        trail.call = Some(Arc::clone(&call));
        Ok(Authenticated {
            known,
            call,
            signer: None,
        })
    }

    /// Refuses a request that no key of ours signed, before its body takes any memory. Whether the key's holder signed
    /// this very request is known only once the body is read.
    pub(super) fn is_somebodys(&self, claim: &Claim, parts: &Parts) -> Result<(), Refusal> {
        let auth = claim.auth()?;
        self.keys
            .resolve(presented(parts, auth)?, self.clock.now())?;
        Ok(())
    }

    /// The scope's region and service must be those of the endpoint and of the operation. Where the endpoint is of any
    /// region, it is of the scope's from now on.
    pub(super) fn scope_agrees(&self, known: &mut Known, scope: &Scope) -> Result<(), Refusal> {
        let service = known.identified.service();
        let catalog = &self.ruleset.catalog;
        let held = catalog.hold_scope(&mut known.endpoint, service, scope);
        held.map_err(|error| Refusal::Unauthenticated {
            kind: Kind::BadSignature,
            message: error.to_string(),
        })
    }

    pub(super) fn call(
        &self,
        trail: &Trail,
        known: &Known,
        caller: Arc<crate::guard::call::Caller>,
    ) -> Call {
        let operation = known.operation();
        let agent = known.parts.headers.get(http::header::USER_AGENT);
        Call {
            id: trail.id,
            action: known.action.clone(),
            class: operation.class,
            group: operation.group,
            parsed: known.reading != Reading::None,
            body_beside: known.reading == Reading::Head,
            // Unless its input puts it among reads and writes.
            guarded: known.reading != Reading::None,
            protocol: known.identified.protocol(),
            partition: known.endpoint.partition.clone(),
            region: known.endpoint.region.clone(),
            account: String::new(),
            caller,
            source_ip: trail.peer.ip().to_canonical(),
            user_agent: agent.map(|a| {
                let agent = String::from_utf8_lossy(a.as_bytes());
                bounded(&agent, USER_AGENT_BYTES_MAX).to_owned()
            }),
            input: crate::aws::value::Object::new(),
        }
    }

    /// Whether credentials may act in an account: in those of their list, or, where there is none, in their own.
    pub(super) fn reaches(
        &self,
        credentials: &str,
        own: &str,
        account: &str,
    ) -> Result<(), Refusal> {
        let listed = self
            .accounts
            .get(credentials)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let may = match listed {
            [] => account == own,
            listed => listed.iter().any(|a| a == account),
        };
        if may {
            return Ok(());
        }
        let reach = match listed {
            [] => format!("are of `{own}` alone: to reach others, list them all in its `accounts`"),
            listed => format!(
                "reach only `{}`, which is its `accounts`",
                listed.join("`, `")
            ),
        };
        let message = format!(
            "the call would act in account `{account}`, but the credentials of `[credentials.{credentials}]` {reach}"
        );
        Err(Refusal::Account { message })
    }
}

/// As many whole characters of a text as fit into so many bytes.
pub(super) fn bounded(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max))
        .unwrap_or_default()
}

/// Whoever proved at the proxy port to be a caller signs as that caller.
fn proven_alike(trail: &Trail, signer: &crate::guard::call::Caller) -> Result<(), Refusal> {
    match &trail.proven {
        Some(proven) if **proven != *signer.name => Err(Refusal::OtherCaller {
            proven: proven.to_string(),
            signer: signer.name.clone(),
        }),
        Some(_) | None => Ok(()),
    }
}

/// What the request says of whose it is. A token that stands twice, or isn't text, is no token.
fn presented<'a>(parts: &'a Parts, auth: &'a Authorization) -> Result<Presented<'a>, Refusal> {
    let mut tokens = parts.headers.get_all(sigv4::X_AMZ_SECURITY_TOKEN).iter();
    let token = tokens.next().map(|t| t.to_str().unwrap_or_default());
    if tokens.next().is_some() {
        let message = "`x-amz-security-token` stands twice".to_owned();
        return Err(Refusal::Malformed { message });
    }
    Ok(Presented {
        access_key_id: &auth.access_key_id,
        session_token: token,
    })
}

pub(super) fn refused(fault: CredentialsFault) -> Refusal {
    let message = fault.to_string();
    if fault.is_of_account() {
        Refusal::Account { message }
    } else if fault.is_lasting() {
        Refusal::CredentialsLasting { message }
    } else {
        Refusal::CredentialsPassing { message }
    }
}

/// A call that has no credentials came where calls are signed, or looked up for: it is the guard's to answer, or nobody's.
pub(super) fn unsigned() -> Refusal {
    Refusal::UnknowableFact {
        message: "nobody signed the call, so there are no credentials to look anything up with"
            .to_owned(),
    }
}

pub(super) fn internal(message: &str) -> Refusal {
    Refusal::Internal {
        message: message.to_owned(),
    }
}

impl Known {
    /// Its signature is verified, with which those of its body's pieces begin. A body in chunks that is here whole is
    /// verified and unwrapped: from here on it is as if it had come plain.
    fn verified(&mut self, seed: Option<Seed>) -> Result<(), Refusal> {
        if let Declared::StreamingSigned { algorithm, .. } = &self.declared
            && *algorithm != self.claim.auth()?.scope.algorithm
        {
            return Err(Refusal::Malformed {
                message: "`x-amz-content-sha256` names another algorithm than the signature"
                    .to_owned(),
            });
        }
        let (Payload::Whole(body), Some(framing)) = (&mut self.payload, &self.framing) else {
            self.seed = seed;
            return Ok(());
        };
        let verifying = match &self.declared {
            Declared::StreamingSigned { .. } => {
                let seed = seed.ok_or_else(|| internal("nothing verifies the body's pieces"))?;
                Some(seed.chunks().map_err(|e| internal(&e.to_string()))?)
            }
            Declared::Absent
            | Declared::Hash(_)
            | Declared::Unsigned
            | Declared::StreamingUnsignedTrailer
            | Declared::StreamingEvents => None,
        };
        let mut chunked = Chunked::unwrapped(framing.clone(), verifying);
        let mut plain = BytesMut::new();
        chunked.push(body.bytes(), &mut plain)?;
        chunked.finish()?;
        body.unwrap_to(plain.freeze());
        unwrapped_headers(&mut self.parts.headers, chunked.into_trailers());
        self.parts.headers.remove("x-amz-content-sha256");
        (self.declared, self.framing) = (Declared::Absent, None);
        Ok(())
    }
}
