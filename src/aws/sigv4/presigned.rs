//! Requests that are signed in their query: presigned URLs.
//!
//! AWS reads `x-amz-*` parameters of such a query as headers: SDKs move them there so that the URL alone is enough.
//! [`lift`] moves them back, and takes the signature out, so that the rest of the guard sees one form of a request.
//! INVARIANT: each name stands in one place, once; the signature's own parameters are spelt as AWS spells them.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::canonical;
use super::date::Instant;
use super::error::AuthError;
use super::verify::SKEW_SECONDS_MAX;
use crate::aws::head::Head;

const ALGORITHM: &str = "X-Amz-Algorithm";
const CREDENTIAL: &str = "X-Amz-Credential";
const DATE: &str = "X-Amz-Date";
const EXPIRES: &str = "X-Amz-Expires";
const REGION_SET: &str = "X-Amz-Region-Set";
const SECURITY_TOKEN: &str = "X-Amz-Security-Token";
const SIGNATURE: &str = "X-Amz-Signature";
const SIGNED_HEADERS: &str = "X-Amz-SignedHeaders";
/// The parameters that authenticate.
const NAMES: [&str; 8] = [
    ALGORITHM,
    CREDENTIAL,
    DATE,
    EXPIRES,
    REGION_SET,
    SECURITY_TOKEN,
    SIGNATURE,
    SIGNED_HEADERS,
];
/// Of Signature Version 2.
const VERSION_2: &str = "AWSAccessKeyId";

/// AWS's own bound: seven days.
pub(super) const EXPIRES_SECONDS_MAX: u64 = 604_800;

/// When a URL was signed, and for how long it is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presigned {
    pub(super) at: Instant,
    /// 1 to 604,800.
    expires_seconds: u64,
}

impl Presigned {
    /// Whether the URL is good now.
    pub(super) fn is_good(self, now: SystemTime) -> Result<(), AuthError> {
        let now = Instant::of(now).ok_or(AuthError::Malformed("the time is out of range"))?;
        let (signed, seconds) = (self.at.unix_seconds(), now.unix_seconds());
        let age = seconds.saturating_sub(signed);
        if age < 0 && age.unsigned_abs() > SKEW_SECONDS_MAX {
            return Err(AuthError::Skewed {
                signed: self.at.iso(),
                now: now.iso(),
            });
        }
        if u64::try_from(age).unwrap_or(0) > self.expires_seconds {
            return Err(AuthError::Expired {
                signed: self.at.iso(),
                seconds: self.expires_seconds,
            });
        }
        Ok(())
    }
}

/// Whether a query carries a parameter that authenticates, under any spelling of its name.
pub(super) fn authenticates(query: Option<&str>) -> Result<bool, AuthError> {
    for (name, _) in pieces(query.unwrap_or_default()) {
        if authentication(name)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Which parameter that authenticates this is the name of.
fn authentication(name: &str) -> Result<Option<&'static str>, AuthError> {
    let decoded = canonical::decode(name)?;
    let mut names = NAMES.into_iter().chain([VERSION_2]);
    Ok(names.find(|known| decoded.eq_ignore_ascii_case(known.as_bytes())))
}

fn pieces(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pieces = query.split('&').filter(|piece| !piece.is_empty());
    pieces.map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

/// What a query says of its signature, decoded.
pub(super) struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    /// # Errors
    /// [`AuthError::Unsupported`] for Signature Version 2; [`AuthError::Malformed`] where a parameter stands twice, or
    /// otherwise than AWS spells it.
    pub(super) fn of(query: &str) -> Result<Self, AuthError> {
        let mut found: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in pieces(query) {
            let Some(known) = authentication(name)? else {
                continue;
            };
            if known == VERSION_2 {
                return Err(AuthError::Unsupported(
                    "a URL presigned with Signature Version 2 is",
                ));
            }
            if name != known {
                return Err(AuthError::Malformed(
                    "a parameter of the query that authenticates isn't spelt as AWS spells it",
                ));
            }
            if found.iter().any(|(name, _)| *name == known) {
                return Err(AuthError::Malformed(
                    "a parameter of the query that authenticates stands twice",
                ));
            }
            let value = String::from_utf8(canonical::decode(value)?)
                .map_err(|_| AuthError::Malformed("the query that authenticates isn't text"))?;
            found.push((known, value));
        }
        Ok(Self(found))
    }

    fn one(&self, name: &str, absent: &'static str) -> Result<&str, AuthError> {
        let mut found = self.0.iter().filter(|(known, _)| *known == name);
        let (_, value) = found.next().ok_or(AuthError::Malformed(absent))?;
        Ok(value)
    }

    pub(super) fn algorithm(&self) -> Result<&str, AuthError> {
        self.one(ALGORITHM, "`X-Amz-Algorithm` is missing")
    }

    pub(super) fn credential(&self) -> Result<&str, AuthError> {
        self.one(CREDENTIAL, "`X-Amz-Credential` is missing")
    }

    pub(super) fn signed_headers(&self) -> Result<&str, AuthError> {
        self.one(SIGNED_HEADERS, "`X-Amz-SignedHeaders` is missing")
    }

    pub(super) fn signature(&self) -> Result<&str, AuthError> {
        self.one(SIGNATURE, "`X-Amz-Signature` is missing")
    }

    pub(super) fn region_set(&self) -> Result<&str, AuthError> {
        self.one(REGION_SET, "`X-Amz-Region-Set` is missing")
    }

    pub(super) fn presigned(&self) -> Result<Presigned, AuthError> {
        let at = self.one(DATE, "`X-Amz-Date` is missing")?;
        let at = Instant::parse_iso(at).ok_or(AuthError::Malformed(
            "`X-Amz-Date` is not YYYYMMDD'T'HHMMSS'Z'",
        ))?;
        const SHAPE: AuthError =
            AuthError::Malformed("`X-Amz-Expires` is not a number of seconds from 1 to 604800");
        let expires = self.one(EXPIRES, "`X-Amz-Expires` is missing")?;
        if !expires.bytes().all(|b| b.is_ascii_digit()) {
            return Err(SHAPE);
        }
        let expires_seconds = expires.parse().map_err(|_| SHAPE)?;
        if !(1..=EXPIRES_SECONDS_MAX).contains(&expires_seconds) {
            return Err(SHAPE);
        }
        Ok(Presigned {
            at,
            expires_seconds,
        })
    }
}

/// The query that the signature of a presigned URL covers: all of it but the signature.
pub(super) fn covered(query: &str) -> String {
    let kept: Vec<&str> = query
        .split('&')
        .filter(|piece| piece.split_once('=').map_or(*piece, |(name, _)| name) != SIGNATURE)
        .collect();
    kept.join("&")
}

/// A query without what authenticates; the bytes of the rest are as they were.
///
/// # Errors
/// [`AuthError::Malformed`] for a broken escape.
pub fn unsigned_query(query: &str) -> Result<String, AuthError> {
    let mut kept = Vec::new();
    for piece in query.split('&') {
        let name = piece.split_once('=').map_or(piece, |(name, _)| name);
        if !piece.is_empty() && authentication(name)?.is_none() {
            kept.push(piece);
        }
    }
    Ok(kept.join("&"))
}

/// A request that was signed in its query, as if it had been signed in its header.
#[derive(Debug, Clone, PartialEq)]
pub struct Lifted {
    /// Without what authenticates, and without what AWS reads as headers; the bytes of the rest are the client's.
    pub query: Option<String>,
    /// With what AWS reads as headers, and the session token.
    pub headers: HeaderMap,
}

/// Takes the signature out of a request's query; `None` where none stands there.
///
/// # Errors
/// [`AuthError::Malformed`] for a broken escape, and for a header that stands in two places or can't be one.
pub fn lift(head: &Head<'_>) -> Result<Option<Lifted>, AuthError> {
    if !authenticates(head.query)? {
        return Ok(None);
    }
    lift_all(head).map(Some)
}

/// The same for a request that is about to be signed in its query: AWS will read it so.
///
/// # Errors
/// As for [`lift`].
pub fn lift_all(head: &Head<'_>) -> Result<Lifted, AuthError> {
    let mut headers = head.headers.clone();
    let mut kept = Vec::new();
    for piece in head.query.unwrap_or_default().split('&') {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let lower = canonical::decode(name)?.to_ascii_lowercase();
        match authentication(name)? {
            Some(SECURITY_TOKEN) => add(&mut headers, &lower, value)?,
            Some(_) => {}
            None if lower.starts_with(b"x-amz-") => add(&mut headers, &lower, value)?,
            None => kept.push(piece),
        }
    }
    let query = kept.join("&");
    Ok(Lifted {
        query: (!query.is_empty()).then_some(query),
        headers,
    })
}

fn add(headers: &mut HeaderMap, name: &[u8], value: &str) -> Result<(), AuthError> {
    const ODD: AuthError =
        AuthError::Malformed("an `x-amz-` parameter of the query can't be read as a header");
    let name = HeaderName::from_bytes(name).map_err(|_| ODD)?;
    // AWS reads a `+` of a query as a space.
    let value = canonical::decode(&value.replace('+', " "))?;
    let value = HeaderValue::from_bytes(&value).map_err(|_| ODD)?;
    if headers.insert(name, value).is_some() {
        return Err(AuthError::Malformed(
            "a header stands twice, in the query and again",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_credential_types::Credentials;
    use aws_sigv4::http_request::{
        PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
        UriPathNormalizationMode,
    };
    use aws_sigv4::sign::v4;
    use http::Method;

    use super::super::{Authorization, verify};
    use super::*;
    use crate::aws::catalog::model::Signature;
    use crate::aws::endpoint::Addressed;

    const NAME: &str = "bucket.s3.eu-west-1.amazonaws.com";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    fn now() -> SystemTime {
        Instant::parse_iso("20150830T123600Z")
            .unwrap()
            .system_time()
    }

    fn host() -> HeaderMap {
        HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static(NAME))])
    }

    /// A presigned query, made by AWS's own signer.
    fn presigned(path: &str, query: &str, expires: u64, token: Option<&str>) -> String {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(expires));
        let token = token.map(str::to_owned);
        let identity = Credentials::new("PALISADETEST", SECRET, token, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("s3")
            .time(now())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let uri = format!("https://{NAME}{path}?{query}");
        let body = SignableBody::UnsignedPayload;
        let request = SignableRequest::new("GET", uri, [].into_iter(), body).unwrap();
        let signed = aws_sigv4::http_request::sign(request, &params).unwrap();
        let (_, added) = signed.into_parts().0.into_parts();
        let mut query = query.to_owned();
        for (name, value) in added {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(name);
            query.push('=');
            let value = value.replace('/', "%2F").replace(';', "%3B");
            query.push_str(&value.replace('=', "%3D").replace('+', "%2B"));
        }
        query
    }

    fn verified(query: &str, headers: &HeaderMap, now: SystemTime) -> Result<(), AuthError> {
        let head = Head {
            method: &Method::GET,
            path: "/a//b",
            query: Some(query),
            headers,
            addressed: &Addressed::Service,
        };
        let auth = Authorization::of(&head)?;
        let payload = "UNSIGNED-PAYLOAD";
        verify(&auth, &head, payload, SECRET, now, Signature::S3v4)
    }

    #[test]
    fn a_presigned_url_is_good_until_it_expires_and_no_longer() {
        let query = presigned("/a//b", "versionId=1&x-id=GetObject", 900, Some("t/k+n="));
        let at = |seconds| verified(&query, &host(), now() + Duration::from_secs(seconds));
        assert_eq!(at(0), Ok(()));
        assert_eq!(at(900), Ok(()));
        let expired = at(901).unwrap_err();
        assert!(matches!(expired, AuthError::Expired { .. }));
        let early = |seconds| verified(&query, &host(), now() - Duration::from_secs(seconds));
        assert_eq!(early(300), Ok(()));
        assert!(matches!(early(301), Err(AuthError::Skewed { .. })));
    }

    #[test]
    fn nothing_of_a_presigned_url_can_be_changed() {
        let query = presigned("/a//b", "versionId=1", 900, None);
        for (from, to) in [
            ("versionId=1", "versionId=2"),
            ("versionId=1&", ""),
            ("X-Amz-Expires=900", "X-Amz-Expires=901"),
            ("20150830T123600Z", "20150830T123601Z"),
            ("eu-west-1", "eu-west-2"),
        ] {
            let changed = query.replacen(from, to, 1);
            assert_ne!(changed, query);
            let error = verified(&changed, &host(), now()).unwrap_err();
            assert_eq!(error, AuthError::Mismatch, "{to}");
        }
        let more = format!("{query}&x-amz-acl=public-read");
        assert_eq!(verified(&more, &host(), now()), Err(AuthError::Mismatch));
        let mut headers = host();
        headers.insert("x-amz-acl", HeaderValue::from_static("public-read"));
        let unsigned = AuthError::UnsignedHeader("x-amz-acl".into());
        assert_eq!(verified(&query, &headers, now()), Err(unsigned));
    }

    #[test]
    fn a_query_that_authenticates_in_another_way_is_refused() {
        let good = presigned("/a//b", "a=1", 900, None);
        for (from, to) in [
            ("X-Amz-Expires=900", "X-Amz-Expires=0"),
            ("X-Amz-Expires=900", "X-Amz-Expires=604801"),
            ("X-Amz-Expires=900", "X-Amz-Expires=+900"),
            ("X-Amz-Expires=900", "X-Amz-Expires="),
            ("X-Amz-Expires=900&", ""),
            ("X-Amz-Expires", "x-amz-expires"),
            ("X-Amz-Expires", "X%2DAmz-Expires"),
            ("X-Amz-Expires=900", "X-Amz-Expires=900&X-Amz-Expires=900"),
            ("X-Amz-Date=", "X-Amz-Date=0"),
            ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders="),
            ("X-Amz-Signature=", "X-Amz-Signature=0"),
            ("X-Amz-Credential=", "X-Amz-Credential=%FF"),
        ] {
            let query = good.replacen(from, to, 1);
            assert_ne!(query, good, "{from}");
            let error = verified(&query, &host(), now()).unwrap_err();
            assert!(matches!(error, AuthError::Malformed(_)), "{to}: {error}");
        }
        let second = verified("AWSAccessKeyId=A&Expires=1&Signature=x", &host(), now());
        assert!(matches!(second, Err(AuthError::Unsupported(_))));
        let other = good.replacen("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA512", 1);
        let other = verified(&other, &host(), now());
        assert!(matches!(other, Err(AuthError::Unsupported(_))));
    }

    #[test]
    fn a_lifted_request_has_its_headers_where_they_belong() {
        let lifted = |query, headers: &HeaderMap| {
            lift(&Head {
                method: &Method::PUT,
                path: "/key",
                query,
                headers,
                addressed: &Addressed::Service,
            })
        };
        assert_eq!(lifted(Some("list-type=2"), &host()), Ok(None));
        let query = "x-id=PutObject&X-Amz-Signature=00&x-amz-acl=a+b%20c&X-Amz-Security-Token=t&X-Amz-Date=d&partNumber=1";
        let found = lifted(Some(query), &host()).unwrap().unwrap();
        assert_eq!(found.query.as_deref(), Some("x-id=PutObject&partNumber=1"));
        assert_eq!(found.headers["x-amz-acl"], "a b c");
        assert_eq!(found.headers["x-amz-security-token"], "t");
        assert_eq!(found.headers.len(), 3);
        let bare = lifted(Some("X-Amz-Signature=00"), &host()).unwrap();
        assert_eq!(bare.unwrap().query, None);

        let mut headers = host();
        headers.insert("x-amz-acl", HeaderValue::from_static("private"));
        assert!(lifted(Some(query), &headers).is_err());
        for odd in [
            "X-Amz-Signature=0&x-amz-a=1&X-Amz-A=2",
            "X-Amz-Signature=0&x-amz-a=%0A",
            "X-Amz-Signature=0&x-amz-%20=1",
            "X-Amz-Signature=0&x-amz-a=%4",
        ] {
            assert!(lifted(Some(odd), &host()).is_err(), "{odd}");
        }
    }
}
