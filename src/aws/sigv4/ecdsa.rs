//! The key pair of Signature Version 4A, which both sides derive from an access key, and what is signed with it.
//!
//! Such a signature isn't bound to a region but to a set of them, and is another one each time: it is verified with the
//! public key, not made again.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>

use std::fmt;

use aws_lc_rs::agreement;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, UnparsedPublicKey,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::hex::{hex, unhex};

/// The order of the curve P-256, less two (NIST SP 800-186, section 3.2.1.3; FIPS 186-5, section A.2.2).
const ORDER_LESS_TWO: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x4f,
];
const LABEL: &[u8] = b"AWS4-ECDSA-P256-SHA256";
/// The longest signature as hex digits: DER of two numbers of 33 bytes.
pub(super) const HEX_DIGITS_MAX: usize = 144;
/// What a chunk's signature is filled up with, so that all are of one length.
pub(super) const PADDING: char = '*';

/// The key pair of one access key. Prints as `[redacted]`.
pub(super) struct KeyPair {
    pair: EcdsaKeyPair,
    /// Uncompressed: 65 bytes.
    public: Vec<u8>,
}

/// No key could be derived: of all access keys this happens to none that anybody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no ECDSA key can be derived from the access key")]
pub struct KeyError;

impl KeyPair {
    /// Derives the pair (NIST SP 800-108, counter mode with HMAC-SHA256; candidates beyond the curve's order are
    /// passed over).
    pub(super) fn derive(access_key_id: &str, secret: &str) -> Result<Self, KeyError> {
        let key = Zeroizing::new(format!("AWS4A{secret}"));
        let candidate = (1..=254_u8).find_map(|counter| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
            mac.update(&1_u32.to_be_bytes());
            mac.update(LABEL);
            mac.update(&[0]);
            mac.update(access_key_id.as_bytes());
            mac.update(&[counter]);
            mac.update(&256_u32.to_be_bytes());
            let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(mac.finalize().into_bytes().into());
            (*bytes <= ORDER_LESS_TWO).then_some(bytes)
        });
        let private = plus_one(candidate.ok_or(KeyError)?);
        let agreeing =
            agreement::PrivateKey::from_private_key(&agreement::ECDH_P256, private.as_slice())
                .map_err(|_| KeyError)?;
        let public = agreeing.compute_public_key().map_err(|_| KeyError)?;
        let public = public.as_ref().to_vec();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            private.as_slice(),
            &public,
        )
        .map_err(|_| KeyError)?;
        Ok(Self { pair, public })
    }

    /// A signature over a text, as hex of DER. aws-lc draws its nonce.
    pub(super) fn sign(&self, text: &str) -> Result<String, KeyError> {
        let signed = self.pair.sign(&SystemRandom::new(), text.as_bytes());
        Ok(hex(signed.map_err(|_| KeyError)?.as_ref()))
    }

    /// Whether this is a signature of the key over the text.
    pub(super) fn verifies(&self, text: &str, signature: &str) -> bool {
        let Some(der) = unhex(signature) else {
            return false;
        };
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.public)
            .verify(text.as_bytes(), &der)
            .is_ok()
    }
}

/// INVARIANT: what is below the order less one stays below it, so nothing is carried out of the last byte.
fn plus_one(mut number: Zeroizing<[u8; 32]>) -> Zeroizing<[u8; 32]> {
    for byte in number.iter_mut().rev() {
        let (sum, carried) = byte.overflowing_add(1);
        *byte = sum;
        if !carried {
            break;
        }
    }
    number
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of AWS's own implementations (aws-c-auth, `tests/key_derivation_tests.c`).
    #[test]
    fn the_key_is_the_one_that_aws_derives() {
        let pair = KeyPair::derive(
            "AKISORANDOMAASORANDOM",
            "q+jcrXGc+0zWN6uzclKVhvMmUsIfRPa4rlRandom",
        );
        assert_eq!(
            hex(&pair.unwrap().public),
            "0415d242ceebf8d8169fd6a8b5a746c41140414c3b07579038da06af89190fffcb\
             0515242cedd82e94799482e4c0514b505afccf2c0c98d6a553bf539f424c5ec0"
        );
    }

    #[test]
    fn a_signature_holds_for_its_text_and_its_key_alone() {
        let pair = KeyPair::derive("PALISADETEST", "secret").unwrap();
        let signature = pair.sign("text").unwrap();
        assert!(signature.len() <= HEX_DIGITS_MAX);
        assert!(pair.verifies("text", &signature));
        assert!(!pair.verifies("texT", &signature));
        assert!(!pair.verifies("text", &signature.to_ascii_uppercase()));
        assert!(!pair.verifies("text", ""));
        for (id, secret) in [("PALISADETESU", "secret"), ("PALISADETEST", "secreT")] {
            let other = KeyPair::derive(id, secret).unwrap();
            assert!(!other.verifies("text", &signature));
        }
        assert_eq!(format!("{pair:?}"), "[redacted]");
    }

    #[test]
    fn one_is_added_with_its_carry() {
        let mut number = [0; 32];
        number[30] = 1;
        number[31] = 0xff;
        let sum = plus_one(Zeroizing::new(number));
        assert_eq!(sum[29..], [0, 2, 0]);
    }
}
