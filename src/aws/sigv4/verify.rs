//! Checks a client's signature by making it again.

use std::time::SystemTime;

use http::header::{DATE, HOST};
use http::{HeaderMap, HeaderName};
use subtle::ConstantTimeEq;

use super::authorization::{Algorithm, Authorization, IN_TWO_PLACES, Scope};
use super::date::Instant;
use super::ecdsa::KeyPair;
use super::error::AuthError;
use super::payload::{Declared, sha256_hex};
use super::{X_AMZ_DATE, canonical, derived, presigned};
use crate::aws::catalog::model::Signature;
use crate::aws::head::Head;

/// How far a request's date may be from now, either way.
pub(super) const SKEW_SECONDS_MAX: u64 = 300;

/// Verifies that whoever knows `secret` signed this request, lately.
///
/// The signature must cover `host` and every `x-amz-*` header that is present; it is compared in constant time.
/// A presigned URL is good for as long as it says. `payload` is what the signature covers in the place of the body, as [`payload_hash`](super::payload_hash) returns it, and
/// `signature` says how the service's paths are signed. That region and service of the scope are those of the
/// endpoint is for the caller to check.
///
/// # Errors
/// [`AuthError`], whose [`family`](AuthError::family) says which of AWS's codes fits.
pub fn verify(
    auth: &Authorization,
    head: &Head<'_>,
    payload: &str,
    secret: &str,
    now: SystemTime,
    signature: Signature,
) -> Result<(), AuthError> {
    let covered = match (auth.presigned, presigned::authenticates(head.query)?) {
        (None, false) => None,
        (Some(_), true) => head.query.map(presigned::covered),
        (None, true) | (Some(_), false) => return Err(IN_TWO_PLACES),
    };
    every_header_that_must_be_is_signed(auth, head.headers)?;
    let signed_at = signed_at(auth, head.headers)?;
    match auth.presigned {
        Some(presigned) => presigned.is_good(now)?,
        None => is_fresh(signed_at, now)?,
    }
    is_of_day(&auth.scope, signed_at)?;
    if Declared::of(head.headers)?
        .as_str()
        .is_some_and(|declared| declared != payload)
    {
        return Err(AuthError::PayloadMismatch);
    }
    let head = &Head {
        query: covered.as_deref().or(head.query),
        ..*head
    };
    let canonical = canonical::request(head, &auth.signed_headers, payload, signature)?;
    let agrees = match auth.scope.algorithm {
        Algorithm::Hmac => {
            let expected = signature_over(&canonical, signed_at, &auth.scope, secret);
            bool::from(expected.as_bytes().ct_eq(auth.signature.as_bytes()))
        }
        Algorithm::Ecdsa => {
            let text = string_to_sign(&canonical, signed_at, &auth.scope);
            let pair = KeyPair::derive(&auth.access_key_id, secret);
            pair.is_ok_and(|pair| pair.verifies(&text, &auth.signature))
        }
    };
    if agrees {
        Ok(())
    } else {
        Err(AuthError::Mismatch)
    }
}

/// What is signed: algorithm, time, scope and the hash of the canonical request.
pub(super) fn string_to_sign(canonical: &[u8], signed_at: Instant, scope: &Scope) -> String {
    let (at, of, hash) = (signed_at.iso(), scope.text(), sha256_hex(canonical));
    [scope.algorithm.as_str(), &at, &of, &hash].join("\n")
}

/// The signature, 64 lower-case hex digits.
pub(super) fn signature_over(
    canonical: &[u8],
    signed_at: Instant,
    scope: &Scope,
    secret: &str,
) -> String {
    let text = string_to_sign(canonical, signed_at, scope);
    derived::signature(secret, signed_at, scope, &text)
}

fn every_header_that_must_be_is_signed(
    auth: &Authorization,
    headers: &HeaderMap,
) -> Result<(), AuthError> {
    single(headers, &HOST)?.ok_or(AuthError::AbsentHeader("host".to_owned()))?;
    let unsigned = headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| *name == "host" || name.starts_with("x-amz-"))
        .find(|name| !auth.signs(name));
    match unsigned {
        Some(name) => Err(AuthError::UnsignedHeader(name.to_owned())),
        None => Ok(()),
    }
}

/// The date of the signature: that of a presigned URL, else `x-amz-date`, else `date`, which then must be signed.
pub(super) fn signed_at(auth: &Authorization, headers: &HeaderMap) -> Result<Instant, AuthError> {
    if let Some(presigned) = auth.presigned {
        return Ok(presigned.at);
    }
    if let Some(text) = single(headers, &X_AMZ_DATE)? {
        return Instant::parse_iso(text).ok_or(AuthError::Malformed(
            "`x-amz-date` is not YYYYMMDD'T'HHMMSS'Z'",
        ));
    }
    let text = single(headers, &DATE)?.ok_or(AuthError::Malformed("`x-amz-date` is missing"))?;
    if !auth.signs(DATE.as_str()) {
        return Err(AuthError::UnsignedHeader(DATE.as_str().to_owned()));
    }
    Instant::parse_iso(text)
        .or_else(|| Instant::parse_http(text))
        .ok_or(AuthError::Malformed("`date` is not a date"))
}

/// The value of a header that may stand only once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, AuthError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(AuthError::Malformed("`host` or the date stands twice"));
    }
    let text = value
        .to_str()
        .map_err(|_| AuthError::Malformed("`host` or the date is not ASCII"))?;
    Ok(Some(text))
}

fn is_fresh(signed_at: Instant, now: SystemTime) -> Result<(), AuthError> {
    let skewed = |now: String| AuthError::Skewed {
        signed: signed_at.iso(),
        now,
    };
    let now = Instant::of(now).ok_or_else(|| skewed("a time out of range".to_owned()))?;
    if signed_at.unix_seconds().abs_diff(now.unix_seconds()) > SKEW_SECONDS_MAX {
        return Err(skewed(now.iso()));
    }
    Ok(())
}

fn is_of_day(scope: &Scope, signed_at: Instant) -> Result<(), AuthError> {
    let request = signed_at.date();
    if scope.date != request {
        return Err(AuthError::ScopeDate {
            scope: scope.date.clone(),
            request,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_credential_types::Credentials;
    use http::{HeaderValue, Method};

    use super::super::X_AMZ_SECURITY_TOKEN;
    use super::super::error::Family;
    use super::super::sign::{Unsigned, sign};
    use super::*;
    use crate::aws::endpoint::Addressed;

    const NAME: &str = "workspaces.eu-west-1.amazonaws.com";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn now() -> SystemTime {
        Instant::parse_iso("20150830T123600Z")
            .unwrap()
            .system_time()
    }

    /// A signed request without body.
    fn signed() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::from_static("A.B"));
        let payload = &sha256_hex(b"");
        let request = Unsigned {
            method: &Method::POST,
            host: NAME,
            path: "/",
            query: None,
            headers: &headers,
            payload,
        };
        let credentials = Credentials::new("PALISADETEST", SECRET, None, None, "test");
        let added = sign(
            request,
            &credentials,
            "eu-west-1",
            "workspaces",
            now(),
            Signature::V4,
        );
        headers.insert(HOST, HeaderValue::from_static(NAME));
        headers.extend(added.unwrap());
        headers
    }

    fn verified(headers: &HeaderMap, payload: &str, now: SystemTime) -> Result<(), AuthError> {
        let head = Head {
            method: &Method::POST,
            path: "/",
            query: None,
            headers,
            addressed: &Addressed::Service,
        };
        let auth = Authorization::of(&head)?;
        verify(&auth, &head, payload, SECRET, now, Signature::V4)
    }

    fn check(change: impl FnOnce(&mut HeaderMap)) -> Result<(), AuthError> {
        let mut headers = signed();
        change(&mut headers);
        verified(&headers, &sha256_hex(b""), now())
    }

    /// Replaces part of the Authorization header.
    fn edit(headers: &mut HeaderMap, from: &str, to: &str) {
        let text = headers["authorization"].to_str().unwrap();
        let edited = text.replacen(from, to, 1);
        assert_ne!(text, edited);
        headers.insert("authorization", edited.parse().unwrap());
    }

    #[test]
    fn a_signed_request_is_accepted() {
        assert_eq!(check(|_| ()), Ok(()));
    }

    #[test]
    fn headers_that_are_neither_signed_nor_amazons_may_come_and_go() {
        let unsigned = check(|headers| {
            headers.insert("user-agent", HeaderValue::from_static("a"));
            headers.insert("x-amzn-trace-id", HeaderValue::from_static("a"));
        });
        assert_eq!(unsigned, Ok(()));
    }

    #[test]
    fn a_header_of_amazons_that_is_not_signed_is_refused() {
        for (name, value) in [
            ("x-amz-meta-a", "b"),
            ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ] {
            let added = check(|headers| {
                headers.insert(name, HeaderValue::from_static(value));
            });
            assert_eq!(added, Err(AuthError::UnsignedHeader(name.into())));
        }
    }

    #[test]
    fn the_host_must_be_there_once_and_signed() {
        let unsigned = check(|headers| edit(headers, "host;", ""));
        assert_eq!(unsigned, Err(AuthError::UnsignedHeader("host".into())));
        let absent = check(|headers| drop(headers.remove(HOST)));
        assert_eq!(absent, Err(AuthError::AbsentHeader("host".into())));
        let twice = check(|headers| {
            let host = headers[HOST].clone();
            headers.append(HOST, host);
        });
        assert_eq!(twice.unwrap_err().family(), Family::Malformed);
    }

    #[test]
    fn a_signed_header_that_is_absent_is_refused() {
        let absent = check(|headers| drop(headers.remove("x-amz-target")));
        assert_eq!(absent, Err(AuthError::AbsentHeader("x-amz-target".into())));
    }

    #[test]
    fn the_date_must_be_there_once_and_be_one() {
        for (change, text) in [
            (None, None),
            (Some("20150830T123600"), None),
            (Some("Sun, 30 Aug 2015 12:36:00 GMT"), None),
            (Some("20150830T123600Z"), Some("20150830T123600Z")),
        ] {
            let result = check(|headers| {
                headers.remove(X_AMZ_DATE);
                for value in [change, text].into_iter().flatten() {
                    headers.append(X_AMZ_DATE, HeaderValue::from_static(value));
                }
            });
            let family = result.unwrap_err().family();
            assert_eq!(family, Family::Malformed, "{change:?}");
        }
    }

    #[test]
    fn a_request_dated_by_its_date_header_must_sign_it() {
        let date = "Sun, 30 Aug 2015 12:36:00 GMT";
        let mut headers = signed();
        headers.remove(X_AMZ_DATE);
        headers.insert(DATE, HeaderValue::from_static(date));
        edit(&mut headers, "host;x-amz-date;", "host;");
        let unsigned = verified(&headers, &sha256_hex(b""), now());
        assert_eq!(unsigned, Err(AuthError::UnsignedHeader("date".into())));

        edit(&mut headers, "=host;", "=date;host;");
        let head = Head {
            method: &Method::POST,
            path: "/",
            query: None,
            headers: &headers,
            addressed: &Addressed::Service,
        };
        let auth = Authorization::of(&head).unwrap();
        let canonical =
            canonical::request(&head, &auth.signed_headers, &sha256_hex(b""), Signature::V4);
        let at = Instant::of(now()).unwrap();
        let right = signature_over(&canonical.unwrap(), at, &auth.scope, SECRET);
        let wrong = auth.signature;
        edit(&mut headers, &wrong, &right);
        assert_eq!(verified(&headers, &sha256_hex(b""), now()), Ok(()));
    }

    #[test]
    fn five_minutes_either_way_are_fresh_and_a_second_more_is_stale() {
        let headers = signed();
        let at = |now| verified(&headers, &sha256_hex(b""), now);
        let (edge, beyond) = (Duration::from_secs(300), Duration::from_secs(301));
        assert_eq!(at(now() + edge), Ok(()));
        assert_eq!(at(now() - edge), Ok(()));
        for stale in [now() + beyond, now() - beyond, SystemTime::UNIX_EPOCH] {
            assert_eq!(at(stale).unwrap_err().family(), Family::Stale);
        }
        let before_time = SystemTime::UNIX_EPOCH - beyond;
        assert_eq!(at(before_time).unwrap_err().family(), Family::Stale);
        assert_eq!(
            at(now() + beyond),
            Err(AuthError::Skewed {
                signed: "20150830T123600Z".into(),
                now: "20150830T124101Z".into()
            })
        );
    }

    #[test]
    fn a_scope_of_another_day_is_refused() {
        let other = check(|headers| edit(headers, "/20150830/", "/20150829/"));
        let error = other.unwrap_err();
        assert!(matches!(error, AuthError::ScopeDate { .. }));
        assert_eq!(error.family(), Family::BadSignature);
    }

    #[test]
    fn a_scope_of_another_region_or_service_does_not_match() {
        for (from, to) in [("/eu-west-1/", "/us-east-1/"), ("/workspaces/", "/mgn/")] {
            let other = check(|headers| edit(headers, from, to));
            assert_eq!(other, Err(AuthError::Mismatch));
        }
    }

    #[test]
    fn a_security_token_must_be_signed() {
        let token = check(|headers| {
            headers.insert(X_AMZ_SECURITY_TOKEN, HeaderValue::from_static("t"));
        });
        let name = "x-amz-security-token".to_owned();
        assert_eq!(token, Err(AuthError::UnsignedHeader(name)));
    }

    #[test]
    fn a_signature_in_the_query_beside_the_header_is_refused() {
        let headers = signed();
        let auth = Authorization::parse(&headers).unwrap();
        let head = Head {
            method: &Method::POST,
            path: "/",
            query: Some("X-Amz-Credential=A"),
            headers: &headers,
            addressed: &Addressed::Service,
        };
        let payload = sha256_hex(b"");
        assert_eq!(
            verify(&auth, &head, &payload, SECRET, now(), Signature::V4),
            Err(IN_TWO_PLACES)
        );
    }

    #[test]
    fn a_payload_other_than_the_declared_one_is_refused() {
        let mut headers = signed();
        headers.insert(
            "x-amz-content-sha256",
            HeaderValue::from_static("UNSIGNED-PAYLOAD"),
        );
        edit(&mut headers, "host;", "host;x-amz-content-sha256;");
        let body = verified(&headers, &sha256_hex(b""), now());
        assert_eq!(body, Err(AuthError::PayloadMismatch));
        let keyword = verified(&headers, "UNSIGNED-PAYLOAD", now());
        assert_eq!(keyword, Err(AuthError::Mismatch));
    }
}
