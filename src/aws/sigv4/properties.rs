//! What holds for every request: what `sign` makes `verify` accepts, and nothing else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{self, PayloadChecksumKind, SignableBody, SignableRequest};
use aws_sigv4::sign::v4;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::aws::catalog::model::Signature;
use crate::aws::endpoint::Addressed;
use crate::aws::head::Head;

const HOST: &str = "example.eu-west-1.amazonaws.com";

#[derive(Debug, Clone)]
struct Request {
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
    payload: String,
    secret: String,
    seconds: u64,
    signature: Signature,
}

impl Request {
    fn any() -> impl Strategy<Value = Self> {
        // Whole segments that normalisation keeps.
        let segment = "([A-Za-z0-9_~:@!$'()*,;-]|%2F|%c3%A9|%FF){1,8}";
        // Spaces, as they are spelt in queries, and tabs alone and in runs; signs that mean something elsewhere.
        let name = "([a-z0-9._~/:+-]|[+]{2}|%20|%20%20|%09|%2B|%2b|%26|%3D|%C3%A9|%7e|%00){0,6}";
        let value = "([a-z0-9._~/:+=?-]|[+]{2}|%20|%20%20|%09|%2B|%2b|%26|%3D|%C3%A9|%7e|%00){0,6}";
        // With `=` or without. One that is empty AWS's signer leaves out, and ours refuses to sign: AWS's services may
        // take it for a parameter. Escapes that aren't UTF-8 that signer signs as U+FFFD, and ours refuses as well.
        let parameter = (name, prop::option::of(value)).prop_map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None if name.is_empty() => "=".to_owned(),
            None => name,
        });
        (
            "[A-Z]{3,7}",
            prop::collection::vec(segment, 0..4),
            prop::option::of(prop::collection::vec(parameter, 0..4)),
            prop::collection::vec(
                ("x-amz-meta-[a-b]{1,2}", "([!-~]| {1,3}|\t{1,2}){0,9}"),
                0..4,
            ),
            select(vec![
                sha256_hex(b""),
                sha256_hex(b"body"),
                "UNSIGNED-PAYLOAD".to_owned(),
            ]),
            "[A-Za-z0-9/+_-]{1,40}",
            0..253_402_300_800u64,
            select(vec![Signature::V4, Signature::S3v4]),
        )
            .prop_map(
                |(method, segments, query, headers, payload, secret, seconds, signature)| Self {
                    method,
                    path: format!("/{}", segments.join("/")),
                    query: query.map(|parameters| parameters.join("&")),
                    headers,
                    payload,
                    secret,
                    seconds,
                    signature,
                },
            )
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.seconds)
    }

    fn own_headers(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        map
    }

    fn sign(&self) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
        self.sign_with(None)
    }

    fn sign_with(
        &self,
        token: Option<String>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
        sign(
            Unsigned {
                method: &self.method.parse().unwrap(),
                host: HOST,
                path: &self.path,
                query: self.query.as_deref(),
                headers: &self.own_headers(),
                payload: &self.payload,
            },
            &Credentials::new("PALISADETEST", self.secret.as_str(), token, None, "test"),
            "eu-west-1",
            "service",
            self.now(),
            self.signature,
        )
    }

    /// What AWS's own signer adds to this request, by name.
    fn signed_by_aws(&self, token: Option<String>) -> Vec<(String, String)> {
        let (method, headers) = (self.method.parse().unwrap(), self.own_headers());
        let unsigned = Unsigned {
            method: &method,
            host: HOST,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &headers,
            payload: &self.payload,
        };
        let mut settings = presign::settings(self.signature);
        if self.signature == Signature::S3v4 || self.payload == "UNSIGNED-PAYLOAD" {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity =
            Credentials::new("PALISADETEST", self.secret.as_str(), token, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("service")
            .time(self.now())
            .settings(settings)
            .build()
            .unwrap();
        let signable = SignableRequest::new(
            &self.method,
            presign::absolute_uri(&unsigned),
            presign::headers(&unsigned).unwrap().into_iter(),
            SignableBody::Precomputed(self.payload.clone()),
        );
        let signed = http_request::sign(signable.unwrap(), &params.into()).unwrap();
        let (added, _) = signed.into_parts().0.into_parts();
        let mut added: Vec<_> = added
            .iter()
            .map(|h| (h.name().to_owned(), h.value().to_owned()))
            .collect();
        added.sort();
        added
    }

    /// Verifies this request with headers that signing gave.
    fn verify(&self, added: &[(HeaderName, HeaderValue)]) -> Result<(), AuthError> {
        let method: Method = self.method.parse().unwrap();
        let mut headers = self.own_headers();
        headers.insert(http::header::HOST, HeaderValue::from_static(HOST));
        headers.extend(added.iter().cloned());
        let head = Head {
            method: &method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &headers,
            addressed: &Addressed::Service,
        };
        let auth = Authorization::of(&head)?;
        verify(
            &auth,
            &head,
            &self.payload,
            &self.secret,
            self.now(),
            self.signature,
        )
    }
}

/// Another letter or digit in the place of the one at `at`, where that changes what the text says: separators stay,
/// and the case of an escape's digits is no difference in a query.
fn replaced(text: &str, at: Index, with: u8) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let slot = at.index(bytes.len().max(1));
    let old = bytes.get(slot)?;
    if !old.is_ascii_alphanumeric() || old.eq_ignore_ascii_case(&with) {
        return None;
    }
    bytes[slot] = with;
    String::from_utf8(bytes).ok()
}

proptest! {
    #[test]
    fn what_is_signed_verifies(request in Request::any()) {
        let added = request.sign().unwrap();
        prop_assert_eq!(request.verify(&added), Ok(()));
    }

    #[test]
    fn what_is_signed_is_what_awss_own_signer_signs(
        request in Request::any(),
        token in prop::option::of("[A-Za-z0-9/+=]{1,40}"),
    ) {
        let added = request.sign_with(token.clone()).unwrap();
        let mut added: Vec<_> = added
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        added.sort();
        prop_assert_eq!(added, request.signed_by_aws(token));
    }

    #[test]
    fn a_byte_changed_anywhere_is_refused(
        request in Request::any(),
        at: Index,
        which: Index,
        with in "[a-zA-Z0-9]",
    ) {
        let added = request.sign().unwrap();
        let with = with.as_bytes()[0];
        let mut changed = Vec::new();
        if let Some(method) = replaced(&request.method, at, with.to_ascii_uppercase()) {
            changed.push(Request { method, ..request.clone() });
        }
        if let Some(path) = replaced(&request.path, at, with) {
            changed.push(Request { path, ..request.clone() });
        }
        if let Some(query) = request.query.as_deref().and_then(|q| replaced(q, at, with)) {
            changed.push(Request { query: Some(query), ..request.clone() });
        }
        if let Some(secret) = replaced(&request.secret, at, with) {
            changed.push(Request { secret, ..request.clone() });
        }
        if let Some(payload) = replaced(&request.payload, at, with) {
            changed.push(Request { payload, ..request.clone() });
        }
        if !request.headers.is_empty() {
            let which = which.index(request.headers.len());
            if let Some(value) = replaced(&request.headers[which].1, at, with) {
                let mut headers = request.headers.clone();
                headers[which].1 = value;
                changed.push(Request { headers, ..request.clone() });
            }
        }
        for other in changed {
            prop_assert!(other.verify(&added).is_err(), "{:?}", other);
        }
    }

    #[test]
    fn a_byte_changed_in_what_signing_adds_is_refused(
        request in Request::any(),
        at: Index,
        with in "[a-z0-9]",
    ) {
        let added = request.sign().unwrap();
        for which in 0..added.len() {
            // The access key id is no part of what is signed: it says whose secret to verify with.
            let text = added[which].1.to_str().unwrap();
            let Some(other) = replaced(text, at, with.as_bytes()[0]) else { continue };
            if other.contains("/eu-west-1/service/") && !other.contains("PALISADETEST") {
                continue;
            }
            let mut changed = added.clone();
            changed[which].1 = HeaderValue::from_str(&other).unwrap();
            prop_assert!(request.verify(&changed).is_err(), "{other}");
        }
    }

    #[test]
    fn query_escapes_of_different_bytes_never_sign_alike(a: u8, b: u8) {
        let canonical = |byte: u8| {
            let head = Head {
                method: &Method::GET,
                path: "/",
                query: Some(&format!("a=%{byte:02x}")),
                headers: &HeaderMap::new(),
                addressed: &Addressed::Service,
            };
            canonical::request::<&str>(&head, &[], "", Signature::V4).unwrap()
        };
        prop_assert_eq!(canonical(a) == canonical(b), a == b);
        prop_assert_ne!(canonical(0xff), canonical(0xfe));
    }

    #[test]
    fn no_target_makes_signing_or_verifying_panic(
        path in "\\PC{0,24}",
        query in prop::option::of("\\PC{0,24}"),
        host in "\\PC{0,12}",
        region in "\\PC{0,8}",
        value: Vec<u8>,
        signature in select(vec![Signature::V4, Signature::S3v4]),
    ) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.insert("x-a", value);
        }
        let method = Method::GET;
        for host in [host.as_str(), HOST] {
            for path in [path.clone(), format!("/{path}")] {
                let unsigned = Unsigned {
                    method: &method,
                    host,
                    path: &path,
                    query: query.as_deref(),
                    headers: &headers,
                    payload: "",
                };
                let credentials = Credentials::new("A", "s", None, None, "test");
                drop(sign(unsigned, &credentials, &region, "service", UNIX_EPOCH, signature));
                let head = Head { method: &method, path: &path, query: query.as_deref(), headers: &headers, addressed: &Addressed::Service };
                drop(canonical::request(&head, &["x-a".to_owned()], "", signature));
            }
        }
    }

    #[test]
    fn no_authorization_header_makes_reading_panic(value: Vec<u8>) {
        let mut headers = HeaderMap::new();
        for text in [value.clone(), [b"AWS4-HMAC-SHA256 ".to_vec(), value].concat()] {
            if let Ok(value) = HeaderValue::from_bytes(&text) {
                headers.insert(http::header::AUTHORIZATION, value);
                prop_assert!(Authorization::parse(&headers).is_err());
            }
        }
    }
}
