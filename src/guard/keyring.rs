//! Virtual keys: the access keys that callers sign with, and whose they are.
//!
//! INVARIANT: nothing about a key is stored. An access key id proves by itself which configured caller it was issued
//! to, and its secret follows from the id, so that only the master key need be kept. What an unknown id costs is
//! bounded: its shape first, then one HMAC for each configured caller.

mod id;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use self::id::{Id, NONCE_BYTES, TAG_BYTES};
use super::call::Caller;
use crate::aws::sigv4::Family;

pub use self::id::PREFIX;

const ID_LABEL: &[u8] = b"palisade key id v1";
const SECRET_LABEL: &[u8] = b"palisade secret v1";
/// 40 characters of base64.
const SECRET_BYTES: usize = 30;
const RECENT_MAX: usize = 1024;

/// The key from which every virtual key follows. Whoever has it can sign as any caller.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// A secret access key; printed as `[redacted]`, zeroed when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// A key pair, as a caller is handed it.
#[derive(Debug, Clone)]
pub struct VirtualKey {
    /// `PALISADE` and 24 characters of A–Z and 2–7.
    pub access_key_id: String,
    /// 40 characters of A–Z, a–z, 0–9, `-` and `_`.
    pub secret_access_key: Secret,
}

/// Somebody whom the configuration names as a caller, and who may hold virtual keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub name: String,
    pub groups: Vec<String>,
    /// The name of the `[credentials.*]` table that signs what this caller may do.
    pub credentials: String,
}

/// What a request presents to say whose it is. A session token prints as `[redacted]`.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    pub access_key_id: &'a str,
    /// `x-amz-security-token`, where it was sent.
    pub session_token: Option<&'a str>,
}

/// Whose key it is, and the secret that its signatures are verified with.
#[derive(Debug, Clone)]
pub struct Identity {
    pub caller: Arc<Caller>,
    pub secret: Secret,
}

/// Why a key isn't accepted. The texts are for the log; a client learns only that the key is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownKey {
    #[error(
        "the access key id is not that of a virtual key: issue one with `palisade keys new NAME`"
    )]
    NotVirtual,
    #[error(
        "the virtual key was issued by another guard, or to a caller that is no longer configured: \
         issue a new one with `palisade keys new NAME`"
    )]
    NotOurs,
    #[error("the virtual key of `{caller}` is revoked: issue a new one with `palisade keys new`")]
    Revoked { caller: String },
    #[error("a session token was presented, but virtual keys have none: unset AWS_SESSION_TOKEN")]
    SessionToken,
}

/// Two callers of the same name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the caller `{0}` is configured twice: rename one of them")]
pub struct DuplicateHolder(pub String);

/// Resolves access key ids to callers. Immutable but for a bounded cache: a revocation or another configuration makes
/// a new keyring.
pub struct Keyring {
    master: MasterKey,
    holders: Vec<Proof>,
    revoked: BTreeSet<String>,
    recent: Mutex<Recent>,
}

/// A holder, and the HMAC of their name that only a nonce is missing from.
struct Proof {
    holder: Holder,
    mac: Hmac<Sha256>,
}

/// Identities that were resolved lately; the oldest go first.
#[derive(Default)]
struct Recent {
    identities: HashMap<String, Identity>,
    order: VecDeque<String>,
}

/// Issues a key to the caller of that name. The nonce must be random: the same one gives the same key.
#[must_use]
pub fn issue(master: &MasterKey, caller_name: &str, nonce: [u8; NONCE_BYTES]) -> VirtualKey {
    let tag = tag(id_mac(master, caller_name), nonce);
    let access_key_id = Id { nonce, tag }.encode();
    let secret_access_key = secret(master, &access_key_id);
    VirtualKey {
        access_key_id,
        secret_access_key,
    }
}

impl Keyring {
    /// A keyring for these callers, without the revoked access key ids.
    ///
    /// # Errors
    /// [`DuplicateHolder`] when two callers have the same name.
    pub fn new(
        master: MasterKey,
        holders: Vec<Holder>,
        revoked: BTreeSet<String>,
    ) -> Result<Self, DuplicateHolder> {
        let mut names = BTreeSet::new();
        if let Some(twice) = holders.iter().find(|h| !names.insert(h.name.as_str())) {
            return Err(DuplicateHolder(twice.name.clone()));
        }
        let holders = holders
            .into_iter()
            .map(|holder| Proof {
                mac: id_mac(&master, &holder.name),
                holder,
            })
            .collect();
        Ok(Self {
            master,
            holders,
            revoked,
            recent: Mutex::default(),
        })
    }

    /// Whose key this is. An access key id alone may be given.
    ///
    /// # Errors
    /// [`UnknownKey`] for a key that no configured caller holds, a revoked one, or one with a session token.
    pub fn resolve<'a>(&self, presented: impl Into<Presented<'a>>) -> Result<Identity, UnknownKey> {
        let presented = presented.into();
        match presented.session_token {
            Some(_) => Err(UnknownKey::SessionToken),
            None => self.lasting(presented.access_key_id),
        }
    }

    /// A key without session.
    fn lasting(&self, access_key_id: &str) -> Result<Identity, UnknownKey> {
        let id = Id::decode(access_key_id).ok_or(UnknownKey::NotVirtual)?;
        if let Some(identity) = self.recent(|recent| recent.identities.get(access_key_id).cloned())
        {
            return Ok(identity);
        }
        let holder = self.holder(&id).ok_or(UnknownKey::NotOurs)?;
        if self.revoked.contains(access_key_id) {
            return Err(UnknownKey::Revoked {
                caller: holder.name.clone(),
            });
        }
        let identity = Identity {
            caller: Arc::new(Caller {
                name: holder.name.clone(),
                groups: holder.groups.clone(),
                credentials: holder.credentials.clone(),
                access_key_id: access_key_id.to_owned(),
                role: None,
            }),
            secret: secret(&self.master, access_key_id),
        };
        self.recent(|recent| recent.insert(access_key_id, &identity));
        Ok(identity)
    }

    /// The holder whom an id proves itself for. Every holder is tried, whichever fits.
    fn holder(&self, id: &Id) -> Option<&Holder> {
        let mut found = None;
        for proof in &self.holders {
            if bool::from(tag(proof.mac.clone(), id.nonce).ct_eq(&id.tag)) {
                found = Some(&proof.holder);
            }
        }
        found
    }

    fn recent<T>(&self, with: impl FnOnce(&mut Recent) -> T) -> T {
        with(&mut self.recent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Recent {
    fn insert(&mut self, access_key_id: &str, identity: &Identity) {
        if self.order.len() >= RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.identities.remove(&oldest);
        }
        let before = self
            .identities
            .insert(access_key_id.to_owned(), identity.clone());
        if before.is_none() {
            self.order.push_back(access_key_id.to_owned());
        }
    }
}

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
    fn mac(&self) -> Hmac<Sha256> {
        // HMAC fills a short key up with zeros (RFC 2104), so that a key of one block cannot be of a wrong length.
        let mut block = Zeroizing::new([0; 64]);
        for (to, from) in block.iter_mut().zip(self.0.iter()) {
            *to = *from;
        }
        Hmac::new((&*block).into())
    }
}

impl Secret {
    /// The secret itself, to verify or to hand out.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl UnknownKey {
    /// The family of AWS's error codes that the answer is chosen from.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            UnknownKey::NotVirtual
            | UnknownKey::NotOurs
            | UnknownKey::Revoked { .. }
            | UnknownKey::SessionToken => Family::UnknownKey,
        }
    }
}

impl<'a> From<&'a str> for Presented<'a> {
    fn from(access_key_id: &'a str) -> Self {
        Self {
            access_key_id,
            session_token: None,
        }
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

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("access_key_id", &self.access_key_id)
            .field("session_token", &self.session_token.map(|_| "[redacted]"))
            .finish()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("holders", &self.holders.len())
            .field("revoked", &self.revoked.len())
            .finish_non_exhaustive()
    }
}

/// The HMAC of an id for that caller, up to the nonce.
fn id_mac(master: &MasterKey, caller_name: &str) -> Hmac<Sha256> {
    let mut mac = master.mac();
    mac.update(ID_LABEL);
    mac.update(&(caller_name.len() as u64).to_be_bytes());
    mac.update(caller_name.as_bytes());
    mac
}

fn tag(mut mac: Hmac<Sha256>, nonce: [u8; NONCE_BYTES]) -> [u8; TAG_BYTES] {
    mac.update(&nonce);
    leading(mac)
}

fn secret(master: &MasterKey, access_key_id: &str) -> Secret {
    let mut mac = master.mac();
    mac.update(SECRET_LABEL);
    mac.update(access_key_id.as_bytes());
    let bytes = Zeroizing::new(leading::<SECRET_BYTES>(mac));
    Secret(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

/// The first bytes of an HMAC; there are 32.
fn leading<const N: usize>(mac: Hmac<Sha256>) -> [u8; N] {
    const { assert!(N <= 32) };
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(mac.finalize().into_bytes()) {
        *to = from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(byte: u8) -> MasterKey {
        MasterKey::new([byte; 32])
    }

    fn holder(name: &str) -> Holder {
        Holder {
            name: name.into(),
            groups: vec!["deployers".into()],
            credentials: "prod".into(),
        }
    }

    fn keyring(byte: u8, names: &[&str], revoked: &[&str]) -> Keyring {
        let holders = names.iter().map(|n| holder(n)).collect();
        let revoked = revoked.iter().map(|&id| id.to_owned()).collect();
        Keyring::new(master(byte), holders, revoked).unwrap()
    }

    #[test]
    fn a_key_resolves_to_the_caller_it_was_issued_to() {
        let key = issue(&master(1), "ci", [1, 2, 3, 4, 5]);
        let keyring = keyring(1, &["dev", "ci", "c"], &[]);
        for _ in 0..2 {
            let identity = keyring.resolve(key.access_key_id.as_str()).unwrap();
            assert_eq!(identity.caller.name, "ci");
            assert_eq!(identity.caller.groups, ["deployers"]);
            assert_eq!(identity.caller.credentials, "prod");
            assert_eq!(identity.caller.access_key_id, key.access_key_id);
            assert_eq!(identity.secret.expose(), key.secret_access_key.expose());
        }
    }

    #[test]
    fn keys_are_of_a_fixed_shape_and_follow_from_their_nonce() {
        for byte in [0, 1, 0x7f, 0xff] {
            let key = issue(&master(7), "ci", [byte; 5]);
            let id = &key.access_key_id;
            assert_eq!(id.len(), 32);
            assert!(id.starts_with(PREFIX));
            assert!(
                id.bytes()
                    .all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b))
            );
            assert_eq!(Id::decode(id).unwrap().nonce, [byte; 5]);
            assert_eq!(Id::decode(id).unwrap().encode(), *id);
            assert_eq!(key.secret_access_key.expose().len(), 40);
            let again = issue(&master(7), "ci", [byte; 5]);
            assert_eq!(again.access_key_id, *id);
            assert_eq!(
                again.secret_access_key.expose(),
                key.secret_access_key.expose()
            );
        }
    }

    /// Keys that were handed out must outlive any change of this file. Made with Python's `hmac` and `base64`.
    #[test]
    fn keys_stay_those_that_were_handed_out() {
        let key = issue(&master(1), "ci", [1, 2, 3, 4, 5]);
        assert_eq!(key.access_key_id, "PALISADEAEBAGBAFDM57OZAWJLQUD5SB");
        assert_eq!(
            key.secret_access_key.expose(),
            "x0k4qJYB7-6_WWzrfBdZ69d4z7mNth--Bbrk9OG_"
        );
    }

    #[test]
    fn keys_differ_by_master_caller_and_nonce() {
        let key = issue(&master(1), "ci", [0; 5]);
        for other in [
            issue(&master(2), "ci", [0; 5]),
            issue(&master(1), "dev", [0; 5]),
            issue(&master(1), "ci", [0, 0, 0, 0, 1]),
        ] {
            assert_ne!(other.access_key_id, key.access_key_id);
            assert_ne!(
                other.secret_access_key.expose(),
                key.secret_access_key.expose()
            );
        }
    }

    #[test]
    fn ids_of_another_master_or_of_no_configured_caller_are_unknown() {
        let keyring = keyring(1, &["ci"], &[]);
        for key in [
            issue(&master(2), "ci", [9; 5]),
            issue(&master(1), "dev", [9; 5]),
            issue(&master(1), "", [9; 5]),
        ] {
            assert_eq!(
                keyring.resolve(key.access_key_id.as_str()).unwrap_err(),
                UnknownKey::NotOurs
            );
        }
    }

    #[test]
    fn an_id_with_any_letter_changed_is_unknown() {
        let key = issue(&master(1), "ci", [9; 5]);
        let keyring = keyring(1, &["ci"], &[]);
        assert!(keyring.resolve(key.access_key_id.as_str()).is_ok());
        for at in 0..key.access_key_id.len() {
            let mut id = key.access_key_id.clone().into_bytes();
            id[at] = if id[at] == b'Q' { b'R' } else { b'Q' };
            let id = String::from_utf8(id).unwrap();
            assert!(keyring.resolve(id.as_str()).is_err(), "{id}");
        }
    }

    #[test]
    fn ids_of_another_shape_are_not_virtual() {
        let keyring = keyring(1, &["ci"], &[]);
        let id = issue(&master(1), "ci", [9; 5]).access_key_id;
        let lower = id.to_ascii_lowercase();
        let longer = format!("{id}AAAAAAAA");
        let shorter: String = id.chars().take(24).collect();
        let spaced = format!("{id} ");
        let foreign = id.replacen('A', "0", 5);
        let umlaut: String = id.chars().take(30).chain(['\u{e9}']).collect();
        for id in [
            "",
            "AKIAIOSFODNN7EXAMPLE",
            PREFIX,
            &lower,
            &longer,
            &shorter,
            &spaced,
            &foreign,
            &umlaut,
        ] {
            assert_eq!(
                keyring.resolve(id).unwrap_err(),
                UnknownKey::NotVirtual,
                "{id}"
            );
        }
    }

    #[test]
    fn a_revoked_id_is_unknown_and_others_of_its_caller_are_not() {
        let revoked = issue(&master(1), "ci", [1; 5]).access_key_id;
        let kept = issue(&master(1), "ci", [2; 5]).access_key_id;
        let keyring = keyring(1, &["ci"], &[&revoked]);
        assert_eq!(
            keyring.resolve(revoked.as_str()).unwrap_err(),
            UnknownKey::Revoked {
                caller: "ci".into()
            }
        );
        assert!(keyring.resolve(kept.as_str()).is_ok());
    }

    #[test]
    fn a_session_token_is_never_ignored() {
        let key = issue(&master(1), "ci", [1; 5]);
        let presented = Presented {
            access_key_id: &key.access_key_id,
            session_token: Some("a-token"),
        };
        assert!(!format!("{presented:?}").contains("a-token"));
        let error = keyring(1, &["ci"], &[]).resolve(presented).unwrap_err();
        assert_eq!(error, UnknownKey::SessionToken);
        assert_eq!(error.family(), Family::UnknownKey);
    }

    #[test]
    fn two_callers_of_one_name_are_refused() {
        let twice = vec![holder("ci"), holder("dev"), holder("ci")];
        assert_eq!(
            Keyring::new(master(1), twice, BTreeSet::new()).unwrap_err(),
            DuplicateHolder("ci".into())
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let keyring = keyring(1, &["ci"], &[]);
        for n in 0..RECENT_MAX as u64 + 10 {
            let [_, _, _, a, b, c, d, e] = n.to_be_bytes();
            let key = issue(&master(1), "ci", [a, b, c, d, e]);
            keyring.resolve(key.access_key_id.as_str()).unwrap();
        }
        let recent = keyring.recent.lock().unwrap();
        assert_eq!(recent.identities.len(), RECENT_MAX);
        assert_eq!(recent.order.len(), RECENT_MAX);
    }

    #[test]
    fn secrets_never_print() {
        let key = issue(&master(1), "ci", [1; 5]);
        let keyring = keyring(1, &["ci"], &[]);
        let identity = keyring.resolve(key.access_key_id.as_str()).unwrap();
        let printed = format!("{key:?} {keyring:?} {identity:?} {:?}", master(1));
        assert!(printed.contains("[redacted]"));
        assert!(!printed.contains(key.secret_access_key.expose()));
        assert!(!printed.contains("1, 1, 1"));
    }
}
