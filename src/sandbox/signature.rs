//! Whether a request carries the sandbox's own signature: AWS Signature Version 4 in the Authorization header.
//!
//! INVARIANT: this reads and canonicalises a request on its own and shares nothing with the guard's signing, so
//! that the one checks the other. It is stricter than AWS where a guard has no excuse: header names in order and
//! once, every `x-amz-*` header and the content type signed.
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use http::HeaderMap;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use time::PrimitiveDateTime;
use time::macros::format_description;

use super::error::ApiError;
use super::service::{Place, Service, Wire};
use crate::aws::head::Head;

/// How far a request's date may be from the clock.
const SKEW: Duration = Duration::from_secs(300);

/// The one key pair that is accepted.
#[derive(Clone)]
pub(super) struct Keys {
    pub access_key_id: String,
    pub secret: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("access_key_id", &self.access_key_id)
            .field("secret", &"[redacted]")
            .finish()
    }
}

/// What an Authorization header says, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub access_key_id: String,
    pub date: String,
    pub region: String,
    pub service: String,
    signed_headers: Vec<String>,
    signature: String,
}

/// Why a request is not the sandbox's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SignatureFault {
    #[error("Missing Authentication Token")]
    Missing,
    #[error("{0}")]
    Incomplete(String),
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    #[error("{0}")]
    Stale(String),
    #[error("{0}")]
    Scope(String),
    #[error("There were headers present in the request which were not signed: {0}")]
    Unsigned(String),
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    BodyHash,
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
    )]
    Mismatch,
}

/// Checks that the request was signed with `keys`, for `place`, within five minutes of `now`.
pub(super) fn check(
    head: &Head<'_>,
    body: &[u8],
    keys: &Keys,
    place: &Place,
    now: SystemTime,
) -> Result<(), SignatureFault> {
    let claim = Claim::read(head.headers)?;
    if claim.access_key_id != keys.access_key_id
        || head.headers.contains_key("x-amz-security-token")
    {
        return Err(SignatureFault::UnknownKey);
    }
    let date = one(head.headers, "x-amz-date")?
        .ok_or_else(|| SignatureFault::Incomplete("the header X-Amz-Date is missing".to_owned()))?;
    let at = read_date(date)
        .ok_or_else(|| SignatureFault::Incomplete(format!("X-Amz-Date `{date}` is not a date")))?;
    check_age(date, at, now)?;
    claim.check_scope(place, date)?;
    claim.check_signed(head.headers)?;
    let hash = payload_hash(head.headers, body)?;
    let request = claim.canonical_request(head, &hash)?;
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{}/{}/{}/aws4_request\n{}",
        claim.date,
        claim.region,
        claim.service,
        hex(&Sha256::digest(request.as_bytes()))
    );
    let key = generate_signing_key(&keys.secret, at, &claim.region, &claim.service);
    let expected = calculate_signature(key, to_sign.as_bytes());
    if bool::from(expected.as_bytes().ct_eq(claim.signature.as_bytes())) {
        Ok(())
    } else {
        Err(SignatureFault::Mismatch)
    }
}

impl Claim {
    pub(super) fn read(headers: &HeaderMap) -> Result<Claim, SignatureFault> {
        let text = one(headers, "authorization")?.ok_or(SignatureFault::Missing)?;
        let rest = text
            .strip_prefix("AWS4-HMAC-SHA256 ")
            .ok_or_else(|| incomplete("the Authorization header is not AWS4-HMAC-SHA256"))?;
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) = part
                .trim()
                .split_once('=')
                .ok_or_else(|| incomplete("the Authorization header is malformed"))?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return Err(incomplete("the Authorization header has an unknown part")),
            };
            if slot.replace(value).is_some() {
                return Err(incomplete("the Authorization header has a part twice"));
            }
        }
        let (Some(credential), Some(signed), Some(signature)) = (credential, signed, signature)
        else {
            return Err(incomplete(
                "the Authorization header needs Credential, SignedHeaders and Signature",
            ));
        };
        let scope: Vec<&str> = credential.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = scope.as_slice() else {
            return Err(incomplete(
                "the Credential must be KEY/DATE/REGION/SERVICE/aws4_request",
            ));
        };
        Ok(Claim {
            access_key_id: (*access_key_id).to_owned(),
            date: (*date).to_owned(),
            region: (*region).to_owned(),
            service: (*service).to_owned(),
            signed_headers: signed.split(';').map(str::to_owned).collect(),
            signature: signature.to_owned(),
        })
    }

    fn check_scope(&self, place: &Place, date: &str) -> Result<(), SignatureFault> {
        if date.split('T').next() != Some(self.date.as_str()) {
            return Err(SignatureFault::Scope(format!(
                "Date in Credential scope does not match the date of the request: {} != {date}",
                self.date
            )));
        }
        if self.region != place.region {
            return Err(SignatureFault::Scope(format!(
                "Credential should be scoped to a valid region: {}.",
                place.region
            )));
        }
        if self.service != place.service.id() {
            return Err(SignatureFault::Scope(format!(
                "Credential should be scoped to correct service: '{}'.",
                place.service.id()
            )));
        }
        Ok(())
    }

    fn check_signed(&self, headers: &HeaderMap) -> Result<(), SignatureFault> {
        let ordered = self
            .signed_headers
            .iter()
            .zip(self.signed_headers.iter().skip(1))
            .all(|(a, b)| a < b);
        let lower = self
            .signed_headers
            .iter()
            .all(|n| !n.is_empty() && !n.bytes().any(|b| b.is_ascii_uppercase()));
        if !ordered || !lower {
            return Err(incomplete(
                "SignedHeaders must be lower-case, in order and without repetition",
            ));
        }
        let signed = |name: &str| self.signed_headers.iter().any(|s| s == name);
        if !signed("host") {
            return Err(SignatureFault::Unsigned("host".to_owned()));
        }
        let must = headers
            .keys()
            .map(http::HeaderName::as_str)
            .find(|n| (n.starts_with("x-amz-") || *n == "content-type") && !signed(n));
        match must {
            Some(name) => Err(SignatureFault::Unsigned(name.to_owned())),
            None => Ok(()),
        }
    }

    fn canonical_request(&self, head: &Head<'_>, hash: &str) -> Result<String, SignatureFault> {
        let mut lines = vec![
            head.method.as_str().to_owned(),
            canonical_path(head.path),
            canonical_query(head.query.unwrap_or_default())?,
        ];
        for name in &self.signed_headers {
            let mut values = Vec::new();
            for value in head.headers.get_all(name.as_str()) {
                let text = value
                    .to_str()
                    .map_err(|_| incomplete("a signed header isn't ASCII"))?;
                values.push(text.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
            }
            if values.is_empty() {
                return Err(incomplete(&format!(
                    "the signed header `{name}` isn't there"
                )));
            }
            lines.push(format!("{name}:{}", values.join(",")));
        }
        lines.push(String::new());
        lines.push(self.signed_headers.join(";"));
        lines.push(hash.to_owned());
        Ok(lines.join("\n"))
    }
}

/// The path with dot segments and empty segments taken out, each segment encoded once more as it stands.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut out = String::new();
    for segment in &segments {
        out.push('/');
        out.push_str(&encode(segment.as_bytes()));
    }
    if out.is_empty() || path.ends_with('/') {
        out.push('/');
    }
    out
}

/// The parameters decoded, encoded the one way, in order.
fn canonical_query(query: &str) -> Result<String, SignatureFault> {
    let mut pairs = Vec::new();
    for part in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let decoded = percent_decode(name).zip(percent_decode(value));
        let (name, value) = decoded.ok_or_else(|| incomplete("the query has a bad escape"))?;
        pairs.push((encode(&name), encode(&value)));
    }
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
    Ok(pairs.join("&"))
}

/// Everything but RFC 3986's unreserved characters as `%XX`.
fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `%XX` undone; `None` where an escape is broken.
pub(super) fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

/// The body's own hash; where the request declares one, it must be that.
fn payload_hash(headers: &HeaderMap, body: &[u8]) -> Result<String, SignatureFault> {
    let hash = hex(&Sha256::digest(body));
    match one(headers, "x-amz-content-sha256")? {
        Some(declared) if declared != hash => Err(SignatureFault::BodyHash),
        Some(_) | None => Ok(hash),
    }
}

fn check_age(date: &str, at: SystemTime, now: SystemTime) -> Result<(), SignatureFault> {
    let stamp = super::account::iso(now).replace(['-', ':'], "");
    if at.checked_add(SKEW).is_none_or(|latest| latest < now) {
        return Err(SignatureFault::Stale(format!(
            "Signature expired: {date} is now earlier than {stamp} - 5 min."
        )));
    }
    if now.checked_add(SKEW).is_none_or(|latest| latest < at) {
        return Err(SignatureFault::Stale(format!(
            "Signature not yet current: {date} is still later than {stamp} + 5 min."
        )));
    }
    Ok(())
}

fn read_date(text: &str) -> Option<SystemTime> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let at = PrimitiveDateTime::parse(text, format).ok()?;
    Some(SystemTime::from(at.assume_utc()))
}

/// The value of a header that may stand once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, SignatureFault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(incomplete(&format!("the header `{name}` stands twice")));
    }
    value
        .to_str()
        .map(Some)
        .map_err(|_| incomplete(&format!("the header `{name}` isn't ASCII")))
}

fn incomplete(why: &str) -> SignatureFault {
    SignatureFault::Incomplete(why.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl SignatureFault {
    /// What the service answers.
    pub(super) fn answer(&self, service: Service) -> ApiError {
        let query = matches!(service.wire(), Wire::Query { .. });
        let status = match service.wire() {
            Wire::AwsJson { .. } | Wire::RpcV2Cbor { .. } => 400,
            Wire::RestJson | Wire::Query { .. } => 403,
        };
        let code = match self {
            SignatureFault::Missing if query => "MissingAuthenticationToken",
            SignatureFault::Missing => "MissingAuthenticationTokenException",
            SignatureFault::Incomplete(_) if query => "IncompleteSignature",
            SignatureFault::Incomplete(_) => "IncompleteSignatureException",
            SignatureFault::UnknownKey if query => "InvalidClientTokenId",
            SignatureFault::UnknownKey => "UnrecognizedClientException",
            SignatureFault::Stale(_)
            | SignatureFault::Scope(_)
            | SignatureFault::Unsigned(_)
            | SignatureFault::BodyHash
            | SignatureFault::Mismatch => {
                if query {
                    "SignatureDoesNotMatch"
                } else {
                    "InvalidSignatureException"
                }
            }
        };
        ApiError::with_status(status, code, self.to_string())
    }
}
