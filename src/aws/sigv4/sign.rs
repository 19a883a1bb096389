//! Signs a request for AWS, by the canonical form that clients' signatures are checked by.
//!
//! INVARIANT: what is signed is what is sent: a request that AWS might read in another way than it stands on the wire is
//! an error, and no request makes signing panic.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::authorization::{Algorithm, Scope};
use super::chain::Seed;
use super::date::Instant;
use super::ecdsa::KeyPair;
use super::payload::{X_AMZ_CONTENT_SHA256, is_hash};
use super::verify::{signature_over, string_to_sign};
use super::{X_AMZ_DATE, X_AMZ_REGION_SET, X_AMZ_SECURITY_TOKEN, canonical};
use crate::aws::catalog::model::Signature;
use crate::aws::endpoint::Addressed;
use crate::aws::head::Head;

/// A request that is ready to be sent but for its signature.
#[derive(Debug, Clone, Copy)]
pub struct Unsigned<'a> {
    pub method: &'a Method,
    /// The value of the `Host` header, which is always signed: a name, with a port unless it is 443.
    pub host: &'a str,
    /// The path as it will stand on the wire, beginning with `/`.
    pub path: &'a str,
    /// The query as it will stand on the wire, without `?`.
    pub query: Option<&'a str>,
    /// Exactly the headers to sign besides `host` and those that signing adds. Hop-by-hop headers, and those that
    /// something on the way may change, belong elsewhere.
    pub headers: &'a HeaderMap,
    /// What is signed in the place of the body: its SHA-256 as 64 lower-case hex digits, or a keyword such as
    /// `UNSIGNED-PAYLOAD`.
    pub payload: &'a str,
}

/// Why a request can't be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    #[error("the signer sets the header `{0}` itself: leave it out of those to sign")]
    Reserved(HeaderName),
    #[error("the value of the header `{0}` is not UTF-8 and cannot be signed")]
    Header(HeaderName),
    #[error("the host is not a name with an optional port and cannot be signed")]
    Host,
    #[error("the path does not begin with `/` or has characters that a path may not have")]
    Path,
    #[error(
        "the query has an empty parameter, characters that a query may not have, or escapes that are broken or not UTF-8"
    )]
    Query,
    #[error("a presigned URL is good for 1 to 604800 seconds")]
    Expires,
    #[error("the clock is outside the years 1970 to 9999: set it")]
    Clock,
    #[error("the request cannot be signed: {0}")]
    Signer(String),
}

/// Signs a request; returns the headers to add to it: `x-amz-date`, `authorization`, `x-amz-security-token` where the
/// credentials have one, `x-amz-content-sha256` for S3 and wherever the payload is a keyword.
///
/// # Errors
/// [`SignError`]; nothing was signed.
pub fn sign(
    request: Unsigned<'_>,
    credentials: &Credentials,
    region: &str,
    signing_name: &str,
    now: SystemTime,
    signature: Signature,
) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
    let over = Over::hmac(region, signing_name, signature);
    let (added, _) = sign_over(request, credentials, over, now)?;
    Ok(added)
}

/// What a signature is made for, and how.
#[derive(Debug, Clone, Copy)]
pub struct Over<'a> {
    pub algorithm: Algorithm,
    /// One region; for [`Algorithm::Ecdsa`] a set of them as it is spelt.
    pub region: &'a str,
    pub signing_name: &'a str,
    pub signature: Signature,
}

impl<'a> Over<'a> {
    /// One region, by Signature Version 4.
    #[must_use]
    pub const fn hmac(region: &'a str, signing_name: &'a str, signature: Signature) -> Self {
        Self {
            algorithm: Algorithm::Hmac,
            region,
            signing_name,
            signature,
        }
    }
}

/// As [`sign`], for a body whose pieces will be signed too: also returns what their signatures begin with.
///
/// # Errors
/// [`SignError`]; nothing was signed.
pub fn sign_over(
    request: Unsigned<'_>,
    credentials: &Credentials,
    over: Over<'_>,
    now: SystemTime,
) -> Result<(Vec<(HeaderName, HeaderValue)>, Seed), SignError> {
    let now = Instant::of(now).ok_or(SignError::Clock)?;
    is_read_in_one_way(&request, over.signature)?;
    let scope = scope(over, now);
    let mut added = beside(&request, credentials, over, now)?;
    let mut all = request.headers.clone();
    all.insert(HOST, value(request.host)?);
    all.extend(added.iter().cloned());
    let mut names: Vec<&str> = all.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let head = Head {
        method: request.method,
        path: request.path,
        query: request.query,
        headers: &all,
        addressed: &Addressed::Service,
    };
    let signer = |e: &dyn std::error::Error| SignError::Signer(e.to_string());
    let canonical = canonical::request(&head, &names, request.payload, over.signature)
        .map_err(|e| signer(&e))?;
    let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
    let signature = match over.algorithm {
        Algorithm::Hmac => signature_over(&canonical, now, &scope, secret),
        Algorithm::Ecdsa => KeyPair::derive(id, secret)
            .and_then(|pair| pair.sign(&string_to_sign(&canonical, now, &scope)))
            .map_err(|e| signer(&e))?,
    };
    let (algorithm, of, names) = (over.algorithm.as_str(), scope.text(), names.join(";"));
    let text = [
        algorithm,
        " Credential=",
        id,
        "/",
        &of,
        ", SignedHeaders=",
        &names,
        ", Signature=",
        &signature,
    ];
    let mut authorization = value(&text.concat())?;
    authorization.set_sensitive(true);
    added.push((AUTHORIZATION, authorization));
    let seed = Seed::new(id.to_owned(), secret, scope, now, signature);
    Ok((added, seed))
}

/// The headers that signing adds, but for the signature.
fn beside(
    request: &Unsigned<'_>,
    credentials: &Credentials,
    over: Over<'_>,
    now: Instant,
) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
    let mut added = vec![(X_AMZ_DATE, value(&now.iso())?)];
    if over.algorithm == Algorithm::Ecdsa {
        added.push((X_AMZ_REGION_SET, value(over.region)?));
    }
    if let Some(token) = credentials.session_token() {
        let mut token = value(token)?;
        token.set_sensitive(true);
        added.push((X_AMZ_SECURITY_TOKEN, token));
    }
    if over.signature == Signature::S3v4 || !is_hash(request.payload) {
        added.push((X_AMZ_CONTENT_SHA256, value(request.payload)?));
    }
    Ok(added)
}

pub(super) fn value(text: &str) -> Result<HeaderValue, SignError> {
    HeaderValue::from_str(text).map_err(|e| SignError::Signer(e.to_string()))
}

fn scope(over: Over<'_>, now: Instant) -> Scope {
    Scope {
        algorithm: over.algorithm,
        date: now.date(),
        region: over.region.to_owned(),
        service: over.signing_name.to_owned(),
    }
}

/// Holds a request to what can be signed in one way only: what reads as two things, or as nothing, is an error.
pub(super) fn is_read_in_one_way(
    request: &Unsigned<'_>,
    signature: Signature,
) -> Result<(), SignError> {
    let host_fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    if request.host.is_empty() || !request.host.bytes().all(host_fits) {
        return Err(SignError::Host);
    }
    let path_fits = |b: u8| match b {
        b'?' | b'#' => false,
        // Encoded where paths are encoded again; where they are signed as they are, AWS would see another path.
        0x80.. => signature == Signature::V4,
        _ => b.is_ascii_graphic(),
    };
    if !(request.path.starts_with('/') && request.path.bytes().all(path_fits)) {
        return Err(SignError::Path);
    }
    if let Some(query) = request.query {
        if !query.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
            return Err(SignError::Query);
        }
        let decoded = canonical::decode(query).map_err(|_| SignError::Query)?;
        let an_empty_one = !query.is_empty() && query.split('&').any(str::is_empty);
        if an_empty_one || String::from_utf8(decoded).is_err() {
            return Err(SignError::Query);
        }
    }
    for (name, value) in request.headers {
        if RESERVED.contains(name) {
            return Err(SignError::Reserved(name.clone()));
        }
        if std::str::from_utf8(value.as_bytes()).is_err() {
            return Err(SignError::Header(name.clone()));
        }
    }
    Ok(())
}

/// What signing adds or is handed apart.
static RESERVED: [HeaderName; 6] = [
    HOST,
    AUTHORIZATION,
    X_AMZ_DATE,
    X_AMZ_REGION_SET,
    X_AMZ_SECURITY_TOKEN,
    X_AMZ_CONTENT_SHA256,
];

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn now() -> SystemTime {
        Instant::parse_iso("20150830T123600Z")
            .unwrap()
            .system_time()
    }

    fn credentials(token: Option<&str>) -> Credentials {
        Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            token.map(str::to_owned),
            None,
            "test",
        )
    }

    fn unsigned<'a>(path: &'a str, query: Option<&'a str>, headers: &'a HeaderMap) -> Unsigned<'a> {
        Unsigned {
            method: &Method::GET,
            host: "example.amazonaws.com",
            path,
            query,
            headers,
            payload: HASH,
        }
    }

    fn sign_as(
        request: Unsigned<'_>,
        token: Option<&str>,
        signature: Signature,
    ) -> Result<Vec<String>, SignError> {
        let added = sign(
            request,
            &credentials(token),
            "us-east-1",
            "service",
            now(),
            signature,
        )?;
        Ok(added.iter().map(|(name, _)| name.to_string()).collect())
    }

    #[test]
    fn what_is_added_depends_on_service_payload_and_credentials() {
        let none = HeaderMap::new();
        let request = unsigned("/", None, &none);
        let keyword = Unsigned {
            payload: "UNSIGNED-PAYLOAD",
            ..request
        };
        for (request, token, signature, added) in [
            (request, None, Signature::V4, vec![]),
            (
                request,
                Some("t"),
                Signature::V4,
                vec!["x-amz-security-token"],
            ),
            (request, None, Signature::S3v4, vec!["x-amz-content-sha256"]),
            (keyword, None, Signature::V4, vec!["x-amz-content-sha256"]),
        ] {
            let mut names = sign_as(request, token, signature).unwrap();
            names.sort();
            let mut expected = [vec!["authorization", "x-amz-date"], added].concat();
            expected.sort_unstable();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn exactly_the_given_headers_are_signed() {
        let mut headers = HeaderMap::new();
        for name in ["user-agent", "x-amzn-trace-id", "content-type"] {
            headers.insert(name, HeaderValue::from_static("a"));
        }
        let added = sign(
            unsigned("/", None, &headers),
            &credentials(Some("t")),
            "us-east-1",
            "service",
            now(),
            Signature::V4,
        )
        .unwrap();
        let (_, authorization) = added.iter().find(|(n, _)| n == AUTHORIZATION).unwrap();
        assert!(authorization.to_str().unwrap().contains(
            "SignedHeaders=content-type;host;user-agent;x-amz-date;x-amz-security-token;x-amzn-trace-id,"
        ));
        let (_, token) = added
            .iter()
            .find(|(n, _)| n == X_AMZ_SECURITY_TOKEN)
            .unwrap();
        assert!(token.is_sensitive());
    }

    #[test]
    fn headers_that_signing_sets_are_refused() {
        for name in &RESERVED {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static("a"));
            assert_eq!(
                sign_as(unsigned("/", None, &headers), None, Signature::V4),
                Err(SignError::Reserved(name.clone()))
            );
        }
    }

    #[test]
    fn what_the_signer_would_misread_or_panic_on_is_an_error() {
        let none = HeaderMap::new();
        for path in ["", "*", "a", "/a?b", "/a#b", "/a b", "/\n", "//\u{7f}"] {
            for signature in [Signature::V4, Signature::S3v4] {
                assert_eq!(
                    sign_as(unsigned(path, None, &none), None, signature),
                    Err(SignError::Path),
                    "{path}"
                );
            }
        }
        assert_eq!(
            sign_as(unsigned("/\u{e9}", None, &none), None, Signature::S3v4),
            Err(SignError::Path)
        );
        for query in [
            "a#b",
            "a b",
            "a=%FF",
            "a=%C3&b=%A9",
            "a=%",
            "a=%4g",
            "&",
            "a&&b",
            "\u{e9}",
            "a=1&",
        ] {
            assert_eq!(
                sign_as(unsigned("/", Some(query), &none), None, Signature::V4),
                Err(SignError::Query),
                "{query}"
            );
        }
        for host in ["", "a/b", "a@b", "a b", "a?b", "a#b", "\u{e9}"] {
            let request = Unsigned {
                host,
                ..unsigned("/", None, &none)
            };
            assert_eq!(sign_as(request, None, Signature::V4), Err(SignError::Host));
        }
        for host in ["a:b:c", ":", "a:99999"] {
            let request = Unsigned {
                host,
                ..unsigned("/", None, &none)
            };
            drop(sign_as(request, None, Signature::V4));
        }
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_static("x-a");
        headers.insert(&name, HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(
            sign_as(unsigned("/", None, &headers), None, Signature::V4),
            Err(SignError::Header(name))
        );
        assert!(matches!(
            sign_as(unsigned("/", None, &none), Some("a\nb"), Signature::V4),
            Err(SignError::Signer(_))
        ));
    }

    #[test]
    fn a_clock_out_of_range_is_an_error() {
        let none = HeaderMap::new();
        for now in [
            UNIX_EPOCH - Duration::from_secs(1),
            UNIX_EPOCH + Duration::from_secs(253_402_300_800),
        ] {
            let signed = sign(
                unsigned("/", None, &none),
                &credentials(None),
                "us-east-1",
                "service",
                now,
                Signature::V4,
            );
            assert_eq!(signed, Err(SignError::Clock));
        }
    }
}
