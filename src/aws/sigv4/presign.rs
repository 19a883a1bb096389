//! Makes presigned URLs, by AWS's own signer: requests that are signed in their query, for whoever has the URL.
//!
//! INVARIANT: what [`verify`](super::verify()) takes and AWS takes are one: each URL made here is good for both.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::header::HOST;

use super::date::Instant;
use super::presigned::EXPIRES_SECONDS_MAX;
use super::sign::{Over, SignError, Unsigned, is_read_in_one_way};
use crate::aws::catalog::model::Signature;
use crate::aws::protocol::escape::encode;

/// Signs a request in its query; returns the whole query, without `?`: the request's own and what authenticates.
///
/// Exactly `host` and the given headers are signed: whoever uses the URL has to send them. `expires` is in whole seconds,
/// from one to seven days; Signature Version 4A isn't made.
///
/// # Errors
/// [`SignError`]; nothing was signed.
pub fn presign(
    request: Unsigned<'_>,
    credentials: &Credentials,
    over: Over<'_>,
    now: SystemTime,
    expires: Duration,
) -> Result<String, SignError> {
    let now = Instant::of(now).ok_or(SignError::Clock)?;
    if !(1..=EXPIRES_SECONDS_MAX).contains(&expires.as_secs()) {
        return Err(SignError::Expires);
    }
    is_read_in_one_way(&request, over.signature)?;
    let mut settings = settings(over.signature);
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(expires);
    // The payload's hash stands in no parameter: it's the hash of nothing, or S3 takes any.
    settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
    let identity = credentials.clone().into();
    let signer = |e: &dyn std::error::Error| SignError::Signer(e.to_string());
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(over.region)
        .name(over.signing_name)
        .time(now.system_time())
        .settings(settings)
        .build()
        .map_err(|e| signer(&e))?
        .into();
    let signable = SignableRequest::new(
        request.method.as_str(),
        absolute_uri(&request),
        headers(&request)?.into_iter(),
        SignableBody::Precomputed(request.payload.to_owned()),
    )
    .map_err(|e| signer(&e))?;
    let (instructions, _) = sign(signable, &params)
        .map_err(|e| signer(&e))?
        .into_parts();
    let (_, added) = instructions.into_parts();
    let own = request.query.filter(|query| !query.is_empty());
    let mut query = own.map(str::to_owned).unwrap_or_default();
    for (name, value) in added {
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(&format!("{name}={}", encode(&value)));
    }
    Ok(query)
}

pub(super) fn settings(signature: Signature) -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.excluded_headers = None;
    match signature {
        Signature::V4 => {
            settings.percent_encoding_mode = PercentEncodingMode::Double;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Enabled;
        }
        Signature::S3v4 => {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
    }
    settings
}

/// The signer panics on a URI without authority.
pub(super) fn absolute_uri(request: &Unsigned<'_>) -> String {
    let query = request.query.map(|query| format!("?{query}"));
    let query = query.unwrap_or_default();
    format!("https://{}{}{query}", request.host, request.path)
}

pub(super) fn headers<'a>(request: &Unsigned<'a>) -> Result<Vec<(&'a str, &'a str)>, SignError> {
    let mut headers = vec![(HOST.as_str(), request.host)];
    for (name, value) in request.headers {
        let text = std::str::from_utf8(value.as_bytes());
        let text = text.map_err(|_| SignError::Header(name.clone()))?;
        headers.push((name.as_str(), text));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;
    use crate::aws::catalog::model::Signature;
    use crate::aws::endpoint::Addressed;
    use crate::aws::head::Head;
    use crate::aws::sigv4::{Algorithm, AuthError, Authorization, sha256_hex, verify};

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const HOST: &str = "bucket.s3.eu-west-1.amazonaws.com";

    fn now() -> SystemTime {
        Instant::parse_iso("20150830T123600Z")
            .unwrap()
            .system_time()
    }

    fn made(
        signature: Signature,
        path: &str,
        query: Option<&str>,
        payload: &str,
        headers: &HeaderMap,
        expires: u64,
    ) -> Result<String, SignError> {
        let token = Some("a/token+with=signs".to_owned());
        let credentials = Credentials::new("AKIDEXAMPLE", SECRET, token, None, "test");
        let request = Unsigned {
            method: &Method::GET,
            host: HOST,
            path,
            query,
            headers,
            payload,
        };
        let over = Over {
            algorithm: Algorithm::Hmac,
            region: "eu-west-1",
            signing_name: "s3",
            signature,
        };
        presign(
            request,
            &credentials,
            over,
            now(),
            Duration::from_secs(expires),
        )
    }

    fn verified(
        signature: Signature,
        path: &str,
        query: &str,
        payload: &str,
        more: &HeaderMap,
        at: SystemTime,
    ) -> Result<(), AuthError> {
        let mut headers = more.clone();
        headers.insert("host", HeaderValue::from_static(HOST));
        let head = Head {
            method: &Method::GET,
            path,
            query: Some(query),
            headers: &headers,
            addressed: &Addressed::Service,
        };
        let auth = Authorization::of(&head)?;
        verify(&auth, &head, payload, SECRET, at, signature)
    }

    #[test]
    fn a_url_that_is_made_here_is_good_here_for_as_long_as_it_says() {
        let nothing = sha256_hex(b"");
        for (signature, path, query, payload) in [
            (
                Signature::S3v4,
                "/a%20b//c/../d%2Fe",
                None,
                "UNSIGNED-PAYLOAD",
            ),
            (
                Signature::S3v4,
                "/k",
                Some("versionId=a%2Bb&response-content-type=text%2Fplain"),
                "UNSIGNED-PAYLOAD",
            ),
            (
                Signature::V4,
                "/",
                Some("Action=GetCallerIdentity&Version=2011-06-15"),
                &nothing,
            ),
        ] {
            let none = HeaderMap::new();
            let made = made(signature, path, query, payload, &none, 60).unwrap();
            assert!(made.starts_with(query.unwrap_or("X-Amz-Algorithm=")));
            assert!(made.contains("X-Amz-Security-Token=a%2Ftoken%2Bwith%3Dsigns"));
            let at = |seconds| {
                verified(
                    signature,
                    path,
                    &made,
                    payload,
                    &none,
                    now() + Duration::from_secs(seconds),
                )
            };
            at(60).unwrap();
            assert!(matches!(at(61), Err(AuthError::Expired { .. })), "{path}");
            let other = verified(signature, "/other", &made, payload, &none, now());
            assert_eq!(other, Err(AuthError::Mismatch));
        }
    }

    #[test]
    fn a_header_that_is_signed_has_to_be_sent() {
        let nothing = sha256_hex(b"");
        let mut headers = HeaderMap::new();
        headers.insert("x-k8s-aws-id", HeaderValue::from_static("one"));
        let made = made(Signature::V4, "/", None, &nothing, &headers, 60).unwrap();
        assert!(made.contains("X-Amz-SignedHeaders=host%3Bx-k8s-aws-id"));
        verified(Signature::V4, "/", &made, &nothing, &headers, now()).unwrap();
        headers.insert("x-k8s-aws-id", HeaderValue::from_static("two"));
        let other = verified(Signature::V4, "/", &made, &nothing, &headers, now());
        assert_eq!(other, Err(AuthError::Mismatch));
    }

    #[test]
    fn a_url_is_good_for_a_second_to_a_week() {
        for (seconds, is_taken) in [(0, false), (1, true), (604_800, true), (604_801, false)] {
            let none = HeaderMap::new();
            let made = made(
                Signature::S3v4,
                "/k",
                None,
                "UNSIGNED-PAYLOAD",
                &none,
                seconds,
            );
            assert_eq!(made.is_ok(), is_taken, "{seconds}");
        }
    }
}
