//! What a request says of its signature, in the header or in the query. Requests are spelt as in `request`.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use http::header::HOST;
use http::{HeaderMap, HeaderValue};
use palisade::aws::catalog::model::Signature;
use palisade::aws::head::Head;
use palisade::aws::sigv4::{
    Algorithm, AuthError, Authorization, Over, Seed, Unsigned, lift, payload_hash, presign,
    sign_over, verify,
};
use time::{Date, Month};

use super::now;
use super::request::Request;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// The headers that signing makes.
const MADE: [&str; 5] = [
    "authorization",
    "host",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-region-set",
];
const HOST_NAME: &str = "bucket.s3.eu-west-1.amazonaws.com";

/// A signature: read and verified; of a presigned URL nothing is left once it is lifted; and what the guard signs
/// itself verifies.
pub fn read_signature(data: &[u8]) {
    let Some(mut request) = Request::parse(data) else {
        return;
    };
    let host = HeaderValue::from_static(HOST_NAME);
    request.headers.entry(HOST).or_insert(host);
    let head = request.head();
    let payload = payload_hash(&head, &request.body);
    if let Ok(auth) = Authorization::of(&head) {
        let payload = payload.clone().unwrap_or_default();
        for signature in [Signature::V4, Signature::S3v4] {
            let _ = verify(
                &auth,
                &head,
                &payload,
                SECRET,
                signed_at(&request),
                signature,
            );
        }
        if let Ok(seed) = Seed::of(&auth, &head, SECRET) {
            let _ = (seed.chunks(), seed.events());
        }
    }
    if let Ok(Some(lifted)) = lift(&head) {
        let head = Head {
            query: lifted.query.as_deref(),
            headers: &lifted.headers,
            ..head
        };
        assert_eq!(lift(&head), Ok(None), "something is left of the signature");
    }
    if let Ok(payload) = payload {
        for algorithm in [Algorithm::Hmac, Algorithm::Ecdsa] {
            for signature in [Signature::V4, Signature::S3v4] {
                sign(&request, &payload, algorithm, signature);
            }
        }
    }
}

/// Signs the request, and verifies that.
fn sign(request: &Request, payload: &str, algorithm: Algorithm, signature: Signature) {
    let head = request.head();
    let own = HeaderMap::from_iter(
        (head.headers.iter())
            .filter(|(name, _)| !MADE.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    let unsigned = Unsigned {
        method: head.method,
        host: HOST_NAME,
        path: head.path,
        query: head.query,
        headers: &own,
        payload,
    };
    let over = Over {
        algorithm,
        region: "eu-west-1",
        signing_name: "service",
        signature,
    };
    let credentials = Credentials::new("PALISADETEST", SECRET, None, None, "test");
    let presigned = presign(unsigned, &credentials, over, now(), Duration::from_secs(60));
    let Ok((added, _)) = sign_over(unsigned, &credentials, over, now()) else {
        return;
    };
    let mut headers = own;
    headers.insert(HOST, HeaderValue::from_static(HOST_NAME));
    let in_url = headers.clone();
    headers.extend(added);
    let head = Head {
        headers: &headers,
        ..head
    };
    let verified = Authorization::of(&head)
        .and_then(|auth| verify(&auth, &head, payload, SECRET, now(), signature));
    // A query that authenticates, beside the header that does.
    let twice = matches!(verified, Err(AuthError::Malformed(why)) if why.contains("both"));
    assert!(verified.is_ok() || twice, "{verified:?}: {headers:?}");
    if let (Ok(query), Algorithm::Hmac, false) = (presigned, algorithm, twice) {
        let head = Head {
            query: Some(&query),
            headers: &in_url,
            ..head
        };
        let verified = Authorization::of(&head)
            .and_then(|auth| verify(&auth, &head, payload, SECRET, now(), signature));
        assert_eq!(verified, Ok(()), "{query}");
    }
}

/// When the request was signed, so that verifying goes on to what else there is; or a day like any other.
fn signed_at(request: &Request) -> SystemTime {
    let in_header = request.headers.get("x-amz-date");
    let in_header = in_header.and_then(|date| date.to_str().ok());
    let in_query = request.target.split("X-Amz-Date=").nth(1);
    let date = in_header.or(in_query).and_then(|text| {
        let number = |at: Range<usize>| text.get(at)?.parse::<u8>().ok();
        let month = Month::try_from(number(4..6)?).ok()?;
        let year = text.get(0..4)?.parse().ok()?;
        let day = Date::from_calendar_date(year, month, number(6..8)?).ok()?;
        day.with_hms(number(9..11)?, number(11..13)?, number(13..15)?)
            .ok()
    });
    date.map_or_else(now, |date| date.assume_utc().into())
}
