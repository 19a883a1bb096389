//! The text of a virtual access key id: a prefix, a nonce and a tag, in base32 (RFC 4648 section 6). Ids of sessions are
//! longer than those of lasting keys, so that neither can be taken for the other.

/// What every virtual access key id begins with.
pub const PREFIX: &str = "PALISADE";

pub(super) const NONCE_BYTES: usize = 5;
pub(super) const TAG_BYTES: usize = 10;
/// That of AES-GCM, which seals the session's token.
pub const SESSION_NONCE_BYTES: usize = 12;
pub(super) const SESSION_TAG_BYTES: usize = 8;

/// The access key id of a lasting key, decoded: 32 characters.
pub(super) type Id = KeyId<NONCE_BYTES, TAG_BYTES>;

/// The access key id of a session, decoded: 40 characters.
pub(super) type SessionId = KeyId<SESSION_NONCE_BYTES, SESSION_TAG_BYTES>;

/// An access key id of the right shape, decoded.
pub(super) struct KeyId<const NONCE: usize, const TAG: usize> {
    pub(super) nonce: [u8; NONCE],
    pub(super) tag: [u8; TAG],
}

impl<const NONCE: usize, const TAG: usize> KeyId<NONCE, TAG> {
    pub(super) fn encode(&self) -> String {
        const { assert!((NONCE + TAG).is_multiple_of(5)) };
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
        if groups.len() * 5 != NONCE + TAG {
            return None;
        }
        let (mut nonce, mut tag) = ([0; NONCE], [0; TAG]);
        let mut places = nonce.iter_mut().chain(&mut tag);
        for group in groups {
            for byte in bytes(group)? {
                *places.next()? = byte;
            }
        }
        Some(Self { nonce, tag })
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
            prop_assert!(SessionId::decode(&text).is_none());
        }

        #[test]
        fn what_is_encoded_of_a_session_is_decoded(
            nonce: [u8; SESSION_NONCE_BYTES],
            tag: [u8; SESSION_TAG_BYTES],
        ) {
            let text = SessionId { nonce, tag }.encode();
            let id = SessionId::decode(&text).unwrap();
            prop_assert_eq!((id.nonce, id.tag), (nonce, tag));
            prop_assert!(Id::decode(&text).is_none());
        }

        #[test]
        fn an_id_has_one_spelling(text in "PALISADE[A-Za-z0-9]{24}([A-Za-z0-9]{8})?") {
            if let Some(id) = Id::decode(&text) {
                prop_assert_eq!(id.encode(), text.clone());
            }
            if let Some(id) = SessionId::decode(&text) {
                prop_assert_eq!(id.encode(), text);
            }
        }
    }
}
