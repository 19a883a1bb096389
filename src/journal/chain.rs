//! The chain: each line carries the SHA-256 of the bytes of the line before it, so that a line that is changed,
//! taken out or put in breaks it.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The hash of one line, without its newline; written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Link([u8; 32]);

/// How long a link is when it's written.
pub(super) const DIGITS: usize = 64;

impl Link {
    /// What the first line of a journal carries: 64 zeros.
    pub const FIRST: Link = Link([0; 32]);

    /// The hash of a line's bytes, without its newline.
    #[must_use]
    pub fn of(line: &[u8]) -> Self {
        Self(Sha256::digest(line).into())
    }

    /// The 64 digits.
    pub(super) fn digits(&self) -> [u8; DIGITS] {
        let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
        let mut digits = [0; DIGITS];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [digit(byte >> 4), digit(byte & 0xf)];
        }
        digits
    }

    /// Reads 64 lower-case hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != DIGITS {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            let [high, low] = pair.map(nibble);
            *byte = (high? << 4) | low?;
        }
        Some(Self(bytes))
    }
}

/// Hashes bytes that come in pieces.
#[derive(Debug, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all that was added.
    #[must_use]
    pub fn link(self) -> Link {
        Link(self.0.finalize().into())
    }
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({self})")
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not 64 lower-case hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_the_sha_256_of_the_line() {
        // The first example of FIPS 180-4.
        assert_eq!(
            Link::of(b"abc").to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let mut hasher = Hasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.link(), Link::of(b"abc"));
    }

    #[test]
    fn only_lower_case_hexadecimal_is_read() {
        let text = Link::of(b"abc").to_string();
        assert_eq!(Link::parse(&text), Some(Link::of(b"abc")));
        assert_eq!(Link::parse(&"0".repeat(64)), Some(Link::FIRST));
        assert_eq!(Link::parse(&text.to_uppercase()), None);
        assert_eq!(Link::parse(&"0".repeat(63)), None);
        assert_eq!(Link::parse(&"0".repeat(66)), None);
        assert_eq!(Link::parse(&"g".repeat(64)), None);
    }
}
