//! Virtual sessions: keys that expire, each with a token that says whose it is and what it may be used for.
//!
//! A token is sealed (AES-256-GCM), not signed in the clear: it carries the external id that its role asks for, and what
//! tables and callers a guard has is nobody's business. The key of the seal is derived from the master key for this
//! purpose alone, so that the guard keeps nothing. The access key id holds the nonce of the seal and is authenticated
//! with it: a token opens with no other key than its own.
//!
//! INVARIANT: no two sessions have the same nonce. Twelve random bytes are good for 2³² sessions of one master key
//! (NIST SP 800-38D section 8.3).

use std::fmt;
use std::time::SystemTime;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac as _;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::claims::{decode, encode};
use super::id::{SESSION_NONCE_BYTES, SESSION_TAG_BYTES, SessionId};
use super::master::{MasterKey, Secret, leading};
use crate::guard::call::AssumedRole;

const ID_LABEL: &[u8] = b"palisade session id v1";
const SECRET_LABEL: &[u8] = b"palisade session secret v1";
/// Another version of what is inside gets another purpose, and so another key.
const SEAL_PURPOSE: &str = "palisade session v1";
/// What every token begins with, so that one that was spilt can be found.
pub(super) const TOKEN_PREFIX: &str = "PALISADE.1.";
/// AWS's own tokens stay below this.
pub(super) const TOKEN_CHARS_MAX: usize = 4096;

/// What a session is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The caller whose session it is.
    pub caller: String,
    /// The access key id of the lasting key with which it was begun, so that it ends when that key is revoked. `None`
    /// for a session that the guard began by itself.
    pub parent: Option<String>,
    /// A `[credentials.*]` table in the place of the caller's own.
    pub credentials: Option<String>,
    pub role: Option<AssumedRole>,
    /// To the second.
    pub begun: SystemTime,
    /// From this moment on the session is over. To the second.
    pub expires: SystemTime,
}

/// The keys of a session, as a caller is handed them.
#[derive(Clone)]
pub struct SessionKey {
    /// `PALISADE` and 32 characters of A–Z and 2–7.
    pub access_key_id: String,
    /// 40 characters of A–Z, a–z, 0–9, `-` and `_`.
    pub secret_access_key: Secret,
    /// At most 4096 characters of A–Z, a–z, 0–9, `-`, `_` and `.`.
    pub session_token: String,
}

/// A session whose claims don't fit into a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session can't be put into a token: its names are too long")]
pub struct Unsealable;

/// Begins a session. The nonce must be random and is used for no other session.
///
/// # Errors
/// [`Unsealable`] when the names in it are so long that no token holds them, or a time lies before 1970.
pub fn begin(
    master: &MasterKey,
    session: &Session,
    nonce: [u8; SESSION_NONCE_BYTES],
) -> Result<SessionKey, Unsealable> {
    let tag = tag(master, nonce);
    let access_key_id = SessionId { nonce, tag }.encode();
    let mut claims = encode(session).ok_or(Unsealable)?;
    let aad = Aad::from(access_key_id.as_bytes());
    let nonce = Nonce::assume_unique_for_key(nonce);
    sealing_key(master).and_then(|key| {
        key.seal_in_place_append_tag(nonce, aad, &mut *claims)
            .map_err(|_| Unsealable)
    })?;
    let session_token = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(&*claims));
    if session_token.len() > TOKEN_CHARS_MAX {
        return Err(Unsealable);
    }
    Ok(SessionKey {
        secret_access_key: secret(master, &access_key_id),
        access_key_id,
        session_token,
    })
}

/// Whether the id is that of a session under this master key.
pub(super) fn is_ours(master: &MasterKey, id: &SessionId) -> bool {
    tag(master, id.nonce).ct_eq(&id.tag).into()
}

/// The session behind a token, if the token is that of this key.
pub(super) fn open(
    master: &MasterKey,
    id: &SessionId,
    access_key_id: &str,
    token: &str,
) -> Option<Session> {
    if token.len() > TOKEN_CHARS_MAX {
        return None;
    }
    let sealed = URL_SAFE_NO_PAD.decode(token.strip_prefix(TOKEN_PREFIX)?);
    let mut sealed = Zeroizing::new(sealed.ok()?);
    let aad = Aad::from(access_key_id.as_bytes());
    let nonce = Nonce::assume_unique_for_key(id.nonce);
    let key = sealing_key(master).ok()?;
    let claims = key.open_in_place(nonce, aad, &mut sealed).ok()?;
    decode(claims)
}

/// The secret access key of a session.
pub(super) fn secret(master: &MasterKey, access_key_id: &str) -> Secret {
    master.secret(SECRET_LABEL, access_key_id)
}

fn tag(master: &MasterKey, nonce: [u8; SESSION_NONCE_BYTES]) -> [u8; SESSION_TAG_BYTES] {
    let mut mac = master.mac();
    mac.update(ID_LABEL);
    mac.update(&nonce);
    leading(mac)
}

fn sealing_key(master: &MasterKey) -> Result<LessSafeKey, Unsealable> {
    let key = Zeroizing::new(master.derive(SEAL_PURPOSE));
    let key = UnboundKey::new(&AES_256_GCM, &*key).map_err(|_| Unsealable)?;
    Ok(LessSafeKey::new(key))
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKey")
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &self.secret_access_key)
            .field("session_token", &"[redacted]")
            .finish()
    }
}
