//! Signatures that follow one another: those of a body's chunks or events, each over the one before it, the first over
//! the request's own.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>,
//! <https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html>

use std::fmt;
use std::time::SystemTime;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::authorization::{Algorithm, Authorization, Scope};
use super::date::Instant;
use super::derived::{DayKey, day_key};
use super::ecdsa::{HEX_DIGITS_MAX, KeyError, KeyPair, PADDING};
use super::error::AuthError;
use super::payload::sha256_hex;
use super::verify::signed_at;
use crate::aws::head::Head;

/// What the signatures of a request's body begin with: its own, and what it was made with. Prints without the secret.
#[derive(Clone)]
pub struct Seed {
    access_key_id: String,
    secret: Zeroizing<String>,
    scope: Scope,
    at: Instant,
    signature: String,
}

impl Seed {
    /// The seed of a client's request, whose signature has been verified.
    ///
    /// # Errors
    /// [`AuthError`] where the request has no date.
    pub fn of(auth: &Authorization, head: &Head<'_>, secret: &str) -> Result<Self, AuthError> {
        let at = signed_at(auth, head.headers)?;
        let (id, signature) = (auth.access_key_id.clone(), auth.signature.clone());
        Ok(Self::new(id, secret, auth.scope.clone(), at, signature))
    }

    pub(super) fn new(
        access_key_id: String,
        secret: &str,
        scope: Scope,
        at: Instant,
        signature: String,
    ) -> Self {
        Self {
            access_key_id,
            secret: Zeroizing::new(secret.to_owned()),
            scope,
            at,
            signature,
        }
    }

    /// The chain of a body in chunks.
    ///
    /// # Errors
    /// `KeyError`, for Signature Version 4A alone.
    pub fn chunks(&self) -> Result<ChunkChain, KeyError> {
        let key = match self.scope.algorithm {
            Algorithm::Hmac => Key::Hmac(day_key(&self.secret, self.at, &self.scope)),
            Algorithm::Ecdsa => Key::Ecdsa(KeyPair::derive(&self.access_key_id, &self.secret)?),
        };
        Ok(ChunkChain {
            key,
            at: self.at.iso(),
            scope: self.scope.to_string(),
            previous: self.signature.clone(),
        })
    }

    /// The chain of an event stream; `None` for Signature Version 4A, in which no event is signed.
    #[must_use]
    pub fn events(&self) -> Option<EventChain> {
        match self.scope.algorithm {
            Algorithm::Ecdsa => None,
            Algorithm::Hmac => Some(EventChain {
                secret: self.secret.clone(),
                key: day_key(&self.secret, self.at, &self.scope),
                scope: self.scope.clone(),
                previous: self.signature.clone(),
            }),
        }
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed")
            .field("scope", &self.scope.to_string())
            .finish_non_exhaustive()
    }
}

enum Key {
    Hmac(DayKey),
    Ecdsa(KeyPair),
}

/// The signatures of a body's chunks, and of what trails them.
pub struct ChunkChain {
    key: Key,
    at: String,
    scope: String,
    previous: String,
}

/// What of a body in chunks a signature is over.
#[derive(Debug, Clone, Copy)]
pub enum Piece<'a> {
    /// The SHA-256 of a chunk's data, in hex.
    Chunk(&'a str),
    /// The trailers, each `name:value\n`.
    Trailers(&'a str),
}

impl ChunkChain {
    fn string_to_sign(&self, piece: Piece<'_>) -> String {
        let (algorithm, at, scope) = (self.algorithm().as_str(), &self.at, &self.scope);
        let previous = &self.previous;
        match piece {
            Piece::Chunk(hash) => {
                let empty = sha256_hex(b"");
                format!("{algorithm}-PAYLOAD\n{at}\n{scope}\n{previous}\n{empty}\n{hash}")
            }
            Piece::Trailers(trailers) => {
                let hash = sha256_hex(trailers.as_bytes());
                format!("{algorithm}-TRAILER\n{at}\n{scope}\n{previous}\n{hash}")
            }
        }
    }

    fn algorithm(&self) -> Algorithm {
        match self.key {
            Key::Hmac(_) => Algorithm::Hmac,
            Key::Ecdsa(_) => Algorithm::Ecdsa,
        }
    }

    /// The length of each signature of the chain, in characters.
    #[must_use]
    pub fn width(&self) -> usize {
        match self.key {
            Key::Hmac(_) => 64,
            Key::Ecdsa(_) => HEX_DIGITS_MAX,
        }
    }

    /// Signs the next piece; the signature has [`ChunkChain::width`] characters.
    ///
    /// # Errors
    /// `KeyError`, for Signature Version 4A alone.
    pub fn sign(&mut self, piece: Piece<'_>) -> Result<String, KeyError> {
        let text = self.string_to_sign(piece);
        self.previous = match &self.key {
            Key::Hmac(key) => key.signature(&text),
            Key::Ecdsa(pair) => pair.sign(&text)?,
        };
        let mut signature = self.previous.clone();
        signature.extend(std::iter::repeat_n(
            PADDING,
            self.width().saturating_sub(signature.len()),
        ));
        Ok(signature)
    }

    /// Whether the next piece bears this signature; the chain goes on from it only if so.
    #[must_use]
    pub fn verifies(&mut self, piece: Piece<'_>, signature: &str) -> bool {
        let text = self.string_to_sign(piece);
        let bare = match &self.key {
            Key::Hmac(key) => {
                let expected = key.signature(&text);
                let agrees = bool::from(expected.as_bytes().ct_eq(signature.as_bytes()));
                agrees.then_some(expected)
            }
            Key::Ecdsa(pair) => {
                let bare = signature.trim_end_matches(PADDING);
                let agrees = signature.len() == self.width() && pair.verifies(&text, bare);
                agrees.then(|| bare.to_owned())
            }
        };
        let verified = bare.is_some();
        if let Some(bare) = bare {
            self.previous = bare;
        }
        verified
    }
}

/// The signatures of an event stream's events. Each event has a date of its own, and is signed with the key of its day.
pub struct EventChain {
    secret: Zeroizing<String>,
    key: DayKey,
    scope: Scope,
    previous: String,
}

impl EventChain {
    /// The signature of the next event: of the SHA-256 of its encoded headers without the signature, and of its
    /// payload's, both in hex. `at` is the event's date. `None` outside the years 1970 to 9999.
    #[must_use]
    pub fn next(&mut self, at: SystemTime, headers: &str, payload: &str) -> Option<String> {
        let at = Instant::of(at)?;
        if self.scope.date != at.date() {
            self.scope.date = at.date();
            self.key = day_key(&self.secret, at, &self.scope);
        }
        let text = format!(
            "{}-PAYLOAD\n{}\n{}\n{}\n{headers}\n{payload}",
            Algorithm::Hmac.as_str(),
            at.iso(),
            self.scope,
            self.previous,
        );
        self.previous = self.key.signature(&text);
        Some(self.previous.clone())
    }
}

impl fmt::Debug for ChunkChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkChain")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EventChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventChain")
            .field("scope", &self.scope.to_string())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn seed(algorithm: Algorithm, signature: &str) -> Seed {
        let scope = Scope {
            algorithm,
            date: "20130524".to_owned(),
            region: "us-east-1".to_owned(),
            service: "s3".to_owned(),
        };
        let at = Instant::parse_iso("20130524T000000Z").unwrap();
        Seed::new(
            "AKIAIOSFODNN7EXAMPLE".to_owned(),
            SECRET,
            scope,
            at,
            signature.to_owned(),
        )
    }

    fn check(seed: &Seed, pieces: &[(Piece<'_>, &str)]) {
        let (mut signing, mut verifying) = (seed.chunks().unwrap(), seed.chunks().unwrap());
        for (piece, expected) in pieces {
            assert_eq!(signing.sign(*piece).unwrap(), *expected);
            assert!(!verifying.verifies(*piece, &expected.replace('a', "b")));
            assert!(verifying.verifies(*piece, expected));
        }
    }

    /// The example of S3's documentation: 66,560 letters `a` in chunks of 64 KiB.
    #[test]
    fn chunks_are_signed_as_the_documentation_shows() {
        let (first, second) = (sha256_hex(&[b'a'; 65536]), sha256_hex(&[b'a'; 1024]));
        check(
            &seed(
                Algorithm::Hmac,
                "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
            ),
            &[
                (
                    Piece::Chunk(&first),
                    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
                ),
                (
                    Piece::Chunk(&second),
                    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
                ),
                (
                    Piece::Chunk(&sha256_hex(b"")),
                    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
                ),
            ],
        );
    }

    /// The same with a trailing checksum.
    #[test]
    fn trailers_are_signed_as_the_documentation_shows() {
        let (first, second) = (sha256_hex(&[b'a'; 65536]), sha256_hex(&[b'a'; 1024]));
        check(
            &seed(
                Algorithm::Hmac,
                "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
            ),
            &[
                (
                    Piece::Chunk(&first),
                    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
                ),
                (
                    Piece::Chunk(&second),
                    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
                ),
                (
                    Piece::Chunk(&sha256_hex(b"")),
                    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
                ),
                (
                    Piece::Trailers("x-amz-checksum-crc32c:sOO8/Q==\n"),
                    "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435",
                ),
            ],
        );
    }

    #[test]
    fn asymmetric_signatures_are_padded_and_chained_without_the_padding() {
        let seed = seed(Algorithm::Ecdsa, "3045");
        let (mut signing, mut verifying) = (seed.chunks().unwrap(), seed.chunks().unwrap());
        let (mut width, mut bare) = (0, String::new());
        for n in 0..20_u8 {
            let hash = sha256_hex(&[n]);
            let signature = signing.sign(Piece::Chunk(&hash)).unwrap();
            assert_eq!(signature.len(), signing.width());
            width = signature.trim_end_matches('*').len().max(width);
            bare = signature.trim_end_matches('*').to_owned();
            assert!(!verifying.verifies(Piece::Trailers(&hash), &signature));
            assert!(!verifying.verifies(Piece::Chunk(&hash), bare.as_str()) || bare == signature);
            let seen = verifying.previous.clone();
            if seen != bare {
                assert!(verifying.verifies(Piece::Chunk(&hash), &signature));
            }
            assert_eq!(verifying.previous, bare);
        }
        assert!(!bare.contains('*') && width <= 144);
        assert!(signing.string_to_sign(Piece::Trailers("")).starts_with(
            "AWS4-ECDSA-P256-SHA256-TRAILER\n20130524T000000Z\n20130524/s3/aws4_request\n"
        ));
    }

    #[test]
    fn an_event_is_signed_with_the_key_of_its_own_day() {
        let seed = seed(Algorithm::Hmac, "0a");
        let mut chain = seed.events().unwrap();
        let day = |n: u64| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(n * 86_400);
        let (first, again) = (chain.next(day(15_849), "h", "p"), chain.scope.date.clone());
        assert_eq!(again, "20130524");
        chain.previous = "0a".to_owned();
        assert_eq!(chain.next(day(15_849), "h", "p"), first);
        chain.previous = "0a".to_owned();
        assert_ne!(chain.next(day(15_850), "h", "p"), first);
        assert_eq!(chain.scope.date, "20130525");
        assert!(self::seed(Algorithm::Ecdsa, "0a").events().is_none());
    }
}
