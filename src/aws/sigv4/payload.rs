//! What `x-amz-content-sha256` says of a body, and whether a body is the one it says.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>

use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use super::authorization::Algorithm;
use super::error::AuthError;
use super::hex::hex;
use crate::aws::head::Head;
use crate::aws::text::all;

pub(super) const X_AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const STREAMING_UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const STREAMING_SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const STREAMING_SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const STREAMING_EVENTS: &str = "STREAMING-AWS4-HMAC-SHA256-EVENTS";
const STREAMING_4A: &str = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD";
const STREAMING_4A_TRAILER: &str = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER";

/// What a request declares about its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declared {
    /// Nothing: the signature covers the hash of the whole body.
    Absent,
    /// SHA-256 of the body, 64 lower-case hex digits.
    Hash(String),
    /// The body is not covered by the signature.
    Unsigned,
    /// The body comes in chunks that aren't signed, with checksums after it.
    StreamingUnsignedTrailer,
    /// The body comes in chunks, each signed; with `trailer`, signed checksums follow.
    StreamingSigned { algorithm: Algorithm, trailer: bool },
    /// The body is an event stream, each event signed.
    StreamingEvents,
}

impl Declared {
    /// Reads the header.
    ///
    /// # Errors
    /// [`AuthError::Malformed`] where it stands twice or says something unknown.
    pub fn of(headers: &HeaderMap) -> Result<Self, AuthError> {
        let mut values = headers.get_all(X_AMZ_CONTENT_SHA256).iter();
        let Some(value) = values.next() else {
            return Ok(Declared::Absent);
        };
        if values.next().is_some() {
            return Err(AuthError::Malformed("two x-amz-content-sha256 headers"));
        }
        let signed = |algorithm, trailer| Ok(Declared::StreamingSigned { algorithm, trailer });
        match value.to_str().unwrap_or_default() {
            UNSIGNED => Ok(Declared::Unsigned),
            STREAMING_UNSIGNED_TRAILER => Ok(Declared::StreamingUnsignedTrailer),
            STREAMING_SIGNED => signed(Algorithm::Hmac, false),
            STREAMING_SIGNED_TRAILER => signed(Algorithm::Hmac, true),
            STREAMING_4A => signed(Algorithm::Ecdsa, false),
            STREAMING_4A_TRAILER => signed(Algorithm::Ecdsa, true),
            STREAMING_EVENTS => Ok(Declared::StreamingEvents),
            text if is_hash(text) => Ok(Declared::Hash(text.to_owned())),
            _ => Err(AuthError::Malformed(
                "`x-amz-content-sha256` is neither 64 lower-case hex digits nor a known keyword",
            )),
        }
    }

    /// The header's value, which the signature covers in the place of the body's hash; `None` where the body itself
    /// must be hashed.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Declared::Absent => None,
            Declared::Hash(hash) => Some(hash),
            Declared::Unsigned => Some(UNSIGNED),
            Declared::StreamingUnsignedTrailer => Some(STREAMING_UNSIGNED_TRAILER),
            Declared::StreamingSigned { algorithm, trailer } => Some(match (algorithm, trailer) {
                (Algorithm::Hmac, false) => STREAMING_SIGNED,
                (Algorithm::Hmac, true) => STREAMING_SIGNED_TRAILER,
                (Algorithm::Ecdsa, false) => STREAMING_4A,
                (Algorithm::Ecdsa, true) => STREAMING_4A_TRAILER,
            }),
            Declared::StreamingEvents => Some(STREAMING_EVENTS),
        }
    }

    /// Holds a whole body against the declaration; returns what the signature covers in its place: the body's hash
    /// where one is declared or nothing is, else the keyword.
    ///
    /// # Errors
    /// [`AuthError::PayloadMismatch`] when the body has another hash than the declared one.
    pub fn check(&self, body: &[u8]) -> Result<String, AuthError> {
        match self.as_str() {
            None => Ok(sha256_hex(body)),
            Some(hash) if matches!(self, Declared::Hash(_)) && sha256_hex(body) != hash => {
                Err(AuthError::PayloadMismatch)
            }
            Some(covered) => Ok(covered.to_owned()),
        }
    }
}

/// What the signature of a request covers in the place of its whole body: see [`Declared::check`].
///
/// # Errors
/// Those of [`Declared::of`] and [`Declared::check`].
pub fn payload_hash(head: &Head<'_>, body: &[u8]) -> Result<String, AuthError> {
    Declared::of(head.headers)?.check(body)
}

/// SHA-256 as 64 lower-case hex digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Whether a text is 64 lower-case hex digits.
pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 64 && all(text, |b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn headers(values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(
                X_AMZ_CONTENT_SHA256,
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        map
    }

    #[test]
    fn every_keyword_is_read_and_written_alike() {
        let signed = |algorithm, trailer| Declared::StreamingSigned { algorithm, trailer };
        for (text, declared) in [
            (EMPTY, Declared::Hash(EMPTY.into())),
            ("UNSIGNED-PAYLOAD", Declared::Unsigned),
            (
                "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                Declared::StreamingUnsignedTrailer,
            ),
            (
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                signed(Algorithm::Hmac, false),
            ),
            (
                "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
                signed(Algorithm::Hmac, true),
            ),
            (
                "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
                signed(Algorithm::Ecdsa, false),
            ),
            (
                "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
                signed(Algorithm::Ecdsa, true),
            ),
            (
                "STREAMING-AWS4-HMAC-SHA256-EVENTS",
                Declared::StreamingEvents,
            ),
        ] {
            assert_eq!(Declared::of(&headers(&[text])).as_ref(), Ok(&declared));
            assert_eq!(declared.as_str(), Some(text));
            assert_eq!(declared.check(b"").as_deref(), Ok(text));
        }
        assert_eq!(Declared::of(&HeaderMap::new()), Ok(Declared::Absent));
    }

    #[test]
    fn unknown_and_repeated_declarations_are_refused() {
        let upper = EMPTY.to_ascii_uppercase();
        for bad in [
            "",
            "unsigned-payload",
            "STREAMING-",
            &upper,
            "e3b0",
            "\u{e9}",
        ] {
            assert!(
                matches!(Declared::of(&headers(&[bad])), Err(AuthError::Malformed(_))),
                "{bad}"
            );
        }
        assert!(Declared::of(&headers(&[EMPTY, EMPTY])).is_err());
    }

    #[test]
    fn a_body_with_another_hash_is_refused() {
        let declared = Declared::Hash(EMPTY.into());
        assert_eq!(declared.check(b"x"), Err(AuthError::PayloadMismatch));
        assert_eq!(Declared::Unsigned.check(b"x").unwrap(), UNSIGNED);
        assert_eq!(Declared::Absent.check(b"").unwrap(), EMPTY);
    }
}
