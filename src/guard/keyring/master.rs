//! The master key, and the secrets that follow from it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// 40 characters of base64.
const SECRET_BYTES: usize = 30;

/// The key from which every virtual key follows. Whoever has it can sign as any caller.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// A secret access key; printed as `[redacted]`, zeroed when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl MasterKey {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Another key for another purpose, which tells nothing of this one.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac = self.mac();
        mac.update(purpose.as_bytes());
        leading(mac)
    }

    /// HMAC-SHA256 under this key.
    pub(super) fn mac(&self) -> Hmac<Sha256> {
        // HMAC fills a short key up with zeros (RFC 2104), so that a key of one block cannot be of a wrong length.
        let mut block = Zeroizing::new([0; 64]);
        for (to, from) in block.iter_mut().zip(self.0.iter()) {
            *to = *from;
        }
        Hmac::new((&*block).into())
    }

    /// The secret access key that belongs to an access key id; `label` says of what kind the key is.
    pub(super) fn secret(&self, label: &[u8], access_key_id: &str) -> Secret {
        let mut mac = self.mac();
        mac.update(label);
        mac.update(access_key_id.as_bytes());
        let bytes = Zeroizing::new(leading::<SECRET_BYTES>(mac));
        Secret(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
    }
}

impl Secret {
    /// The secret itself, to verify or to hand out.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The first bytes of an HMAC; there are 32.
pub(super) fn leading<const N: usize>(mac: Hmac<Sha256>) -> [u8; N] {
    const { assert!(N <= 32) };
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(mac.finalize().into_bytes()) {
        *to = from;
    }
    out
}
