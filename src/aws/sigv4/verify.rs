//! Checks a client's signature by making it again.

use std::time::SystemTime;

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use http::header::{DATE, HOST};
use http::{HeaderMap, HeaderName};
use subtle::ConstantTimeEq;

use super::authorization::{Authorization, Scope};
use super::canonical;
use super::date::Instant;
use super::error::AuthError;
use super::payload::{Declared, sha256_hex};
use super::{ALGORITHM, X_AMZ_DATE, X_AMZ_SECURITY_TOKEN};
use crate::aws::catalog::model::Signature;
use crate::aws::head::Head;

/// How far a request's date may be from now, either way.
const SKEW_SECONDS_MAX: u64 = 300;

/// Verifies that whoever knows `secret` signed this request, lately.
///
/// The signature must cover `host` and every `x-amz-*` header that is present; it is compared in constant time.
/// `payload` is what it covers in the place of the body, as [`payload_hash`](super::payload_hash) returns it, and
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
    if head.headers.contains_key(X_AMZ_SECURITY_TOKEN) {
        return Err(AuthError::SecurityToken);
    }
    every_header_that_must_be_is_signed(auth, head.headers)?;
    let signed_at = signed_at(auth, head.headers)?;
    is_fresh(signed_at, now)?;
    is_of_day(&auth.scope, signed_at)?;
    if Declared::of(head.headers)?
        .as_str()
        .is_some_and(|declared| declared != payload)
    {
        return Err(AuthError::PayloadMismatch);
    }
    let canonical = canonical::request(head, &auth.signed_headers, payload, signature)?;
    let expected = signature_over(&canonical, signed_at, &auth.scope, secret);
    if bool::from(expected.as_bytes().ct_eq(auth.signature.as_bytes())) {
        Ok(())
    } else {
        Err(AuthError::Mismatch)
    }
}

/// What is signed: algorithm, time, scope and the hash of the canonical request.
pub(super) fn string_to_sign(canonical: &[u8], signed_at: Instant, scope: &Scope) -> String {
    format!(
        "{ALGORITHM}\n{}\n{scope}\n{}",
        signed_at.iso(),
        sha256_hex(canonical)
    )
}

/// The signature, 64 lower-case hex digits.
pub(super) fn signature_over(
    canonical: &[u8],
    signed_at: Instant,
    scope: &Scope,
    secret: &str,
) -> String {
    let key = generate_signing_key(
        secret,
        signed_at.system_time(),
        &scope.region,
        &scope.service,
    );
    calculate_signature(key, string_to_sign(canonical, signed_at, scope).as_bytes())
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

/// The date of the signature: `x-amz-date`, else `date`, which then must be signed.
fn signed_at(auth: &Authorization, headers: &HeaderMap) -> Result<Instant, AuthError> {
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
