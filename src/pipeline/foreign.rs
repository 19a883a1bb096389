//! Keys that aren't ours, where `identity.foreign_keys = "passthrough"`: an unguarded call goes on as its caller sent
//! it, with the caller's own signature; a guarded one is refused, since nobody can tell here who asks.
//!
//! INVARIANT: what is passed on is what was identified: nothing is written anew, so whatever could be read in a second
//! way is refused.

use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response};

use super::arrive::{Known, Payload, not_understood};
use super::claim::Claim;
use super::outgoing::Signed;
use super::streamed::Passing;
use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::catalog::model::Service;
use crate::aws::protocol;
use crate::aws::sigv4::Authorization;
use crate::config::ForeignKeys;
use crate::guard::call::{Call, Caller, UNVERIFIED};
use crate::guard::decide::{self, Allowed};
use crate::guard::keyring::PREFIX;
use crate::proxy::Body;
use crate::proxy::headers::HOP_BY_HOP;

/// Whose key a request is signed with, as far as its id tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// One of Palisade's, or none: to be verified.
    Ours,
    /// Somebody's own of AWS's, and such keys pass.
    Foreign,
    /// Nothing says whose, and the host has operations that nobody signs.
    Nobodys,
}

impl Guard {
    /// Tells whose key a request names. What is signed otherwise than in its header isn't passed on.
    pub(super) fn whose(&self, claim: &Claim, services: &[Arc<Service>]) -> Whose {
        if claim.is_nobodys() && services.iter().any(|service| has_unsigned(service)) {
            return Whose::Nobodys;
        }
        let named = match self.foreign_keys {
            ForeignKeys::Passthrough if !claim.is_presigned() => claim.auth().ok(),
            ForeignKeys::Passthrough | ForeignKeys::Refuse => None,
        };
        match named {
            Some(auth) if !auth.access_key_id.starts_with(PREFIX) => Whose::Foreign,
            Some(_) | None => Whose::Ours,
        }
    }

    /// Passes on a call that is signed with a key of its caller's own, or refuses it.
    pub(super) async fn pass_on(
        &self,
        trail: &mut Trail,
        mut known: Box<Known>,
    ) -> Result<Response<Body>, Refusal> {
        let auth = known.claim.auth()?.clone();
        self.scope_agrees(&mut known, &auth.scope)?;
        let caller = Caller::unverified(&auth.access_key_id);
        let call = Arc::new(self.call(trail, &known, Arc::new(caller)));
        trail.call = Some(Arc::clone(&call));
        if let Some(proven) = &trail.proven {
            return Err(Refusal::OtherCaller {
                proven: proven.to_string(),
                signer: UNVERIFIED.to_owned(),
            });
        }
        if call.guarded {
            return Err(Refusal::ForeignKey {
                access_key_id: auth.access_key_id,
            });
        }
        has_one_reading(&known, &auth)?;
        let allowed = self.judge_unread(trail, call, known)?;
        let signed = unchanged(self, trail, allowed)?;
        let admitted = self.admit(trail, signed).await?;
        self.forward(trail, admitted).await
    }

    /// Asks the policies about a call that nobody read: those that are enforced don't read it either, or it would be
    /// guarded; those that only monitor may, and have no say.
    fn judge_unread(
        &self,
        trail: &mut Trail,
        call: Arc<Call>,
        known: Box<Known>,
    ) -> Result<Allowed<Box<Known>>, Refusal> {
        let whole = self.slice(&call)?;
        let slice = whole.enforced().unwrap_or(&whole);
        let service = Arc::clone(known.identified.service());
        let now = self.clock.now();
        let question = self.ruleset.rules().question(call, service, None, now);
        trail.see(&question);
        let begun = Instant::now();
        let decided = decide::decide(self.mode, slice, question, known);
        self.metrics.decision_took(begun.elapsed());
        Ok(decided?)
    }
}

fn has_unsigned(service: &Service) -> bool {
    service.operations.values().any(|o| o.unsigned)
}

/// The request as it came: method, path, query, body, and every header that doesn't belong to the connection.
fn unchanged(
    guard: &Guard,
    trail: &Trail,
    allowed: Allowed<Box<Known>>,
) -> Result<Signed, Refusal> {
    let (question, decision, known) = allowed.into_parts();
    let body = match known.payload {
        Payload::Whole(body) => Body::buffered(body),
        Payload::Stream(unread) => {
            let passing = Passing::unchanged(&known.declared);
            guard.streamed(unread, passing, &trail.fault)?
        }
    };
    let mut request = Request::new(body);
    *request.method_mut() = known.parts.method;
    *request.uri_mut() = known.parts.uri;
    *request.headers_mut() = known.parts.headers;
    Ok(Signed {
        question,
        decision,
        endpoint: known.endpoint,
        request,
    })
}

/// Refuses what AWS could read otherwise than it was identified, or couldn't verify as it is passed on.
fn has_one_reading(known: &Known, auth: &Authorization) -> Result<(), Refusal> {
    if let Some(name) = HOP_BY_HOP.iter().find(|name| auth.signs(name.as_str())) {
        return Err(Refusal::NotUnderstood {
            message: format!(
                "the signature covers the header `{name}`, which belongs to one connection and can't be passed on: sign without it"
            ),
        });
    }
    if !known.identified.protocol().is_form() {
        return Ok(());
    }
    let body = known.payload.bytes();
    // Reads the parameters, each of which may stand once, and in one place.
    protocol::restate(&known.identified, &known.head(), &body).map_err(not_understood)?;
    let query = known.parts.uri.query().unwrap_or_default();
    let form = std::str::from_utf8(&body).unwrap_or("\u{0}");
    match is_plain(query) && is_plain(form) {
        true => Ok(()),
        false => Err(Refusal::Malformed {
            message: "the form isn't written as AWS's own clients write it, and could be read in two ways; with a virtual key it is written anew"
                .to_owned(),
        }),
    }
}

/// Whether a form is spelt as clients of AWS's spell it: pairs that are whole, names without escapes, and no separator
/// but `&`.
fn is_plain(form: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let stands_alone = |name: &str| {
        ["Action", "Version"]
            .iter()
            .all(|known| name == *known || !name.eq_ignore_ascii_case(known))
    };
    let is_value = |value: &str| {
        value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~*%+/:,@!$'()=".contains(&b))
    };
    form.is_empty()
        || form.split('&').all(|pair| {
            pair.split_once('=')
                .is_some_and(|(name, value)| is_name(name) && stands_alone(name) && is_value(value))
        })
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn a_form_is_plain_as_sdks_write_it() {
        for plain in [
            "",
            "Action=GetCallerIdentity&Version=2011-06-15",
            "Action=X&Tags.member.1.Key=a%20b&Tags.member.1.Value=a+b",
            "A=&B=x%3Dy",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for odd in [
            "Action=Get&",
            "&Action=Get",
            "Action=Get&&Version=1",
            "Action",
            "Action=Get;Action=Delete",
            "Actio%6e=Delete&Action=Get",
            "action=Delete&Action=Get",
            "VERSION=1",
            "Action =Get",
            "Action=Get\r\nAction=Delete",
            "A=\u{0}",
            "A=\u{e9}",
            "\u{0}",
        ] {
            assert!(!is_plain(odd), "{odd:?}");
        }
    }
}
