//! The text of a virtual access key id: a prefix, a nonce and a tag, in base32 (RFC 4648 section 6).

/// What every virtual access key id begins with.
pub const PREFIX: &str = "PALISADE";

pub(super) const NONCE_BYTES: usize = 5;
pub(super) const TAG_BYTES: usize = 10;

/// An access key id of the right shape, decoded.
pub(super) struct Id {
    pub(super) nonce: [u8; NONCE_BYTES],
    pub(super) tag: [u8; TAG_BYTES],
}

impl Id {
    pub(super) fn encode(&self) -> String {
        let mut text = PREFIX.to_owned();
        let mut bytes = self.nonce.iter().chain(&self.tag).copied();
        while let (Some(a), Some(b), Some(c), Some(d), Some(e)) = (
            bytes.next(),
            bytes.next(),
            bytes.next(),
            bytes.next(),
            bytes.next(),
        ) {
            let group = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
            text.extend((0..8).rev().map(|at| letter(group >> (at * 5))));
        }
        text
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?.as_bytes();
        let (groups, []) = rest.as_chunks::<8>() else {
            return None;
        };
        let [nonce, first, second] = groups else {
            return None;
        };
        let ([a, b, c, d, e], [f, g, h, i, j]) = (bytes(first)?, bytes(second)?);
        Some(Self {
            nonce: bytes(nonce)?,
            tag: [a, b, c, d, e, f, g, h, i, j],
        })
    }
}

/// The letter for the lowest five bits (RFC 4648 section 6).
fn letter(bits: u64) -> char {
    match (bits & 31) as u8 {
        value @ 0..=25 => char::from(b'A' + value),
        value => char::from(b'2' + value - 26),
    }
}

/// The five bytes behind eight letters.
fn bytes(letters: &[u8; 8]) -> Option<[u8; 5]> {
    let mut group = 0u64;
    for letter in letters {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        group = group << 5 | u64::from(value);
    }
    let [_, _, _, a, b, c, d, e] = group.to_be_bytes();
    Some([a, b, c, d, e])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(nonce: [u8; NONCE_BYTES], tag: [u8; TAG_BYTES]) {
            let text = Id { nonce, tag }.encode();
            let id = Id::decode(&text).unwrap();
            prop_assert_eq!((id.nonce, id.tag), (nonce, tag));
        }

        #[test]
        fn an_id_has_one_spelling(text in "PALISADE[A-Za-z0-9]{24}") {
            if let Some(id) = Id::decode(&text) {
                prop_assert_eq!(id.encode(), text);
            }
        }
    }
}
