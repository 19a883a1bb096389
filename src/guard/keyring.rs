//! Virtual keys: the access keys that callers sign with, and whose they are.
//!
//! A lasting key is issued to a caller and good until it is revoked. A session's key is good until it expires, and comes
//! with a token.
//!
//! INVARIANT: nothing about a key is stored. An access key id proves by itself which configured caller it was issued
//! to, and its secret follows from the id, so that only the master key need be kept; what there is to know of a session
//! is in its token. What an unknown id costs is bounded: its shape first, then one HMAC for each configured caller, or
//! one in all for a session's; only then is a token opened.
//! INVARIANT: neither kind can stand for the other: their ids differ in length, and all that follows from the master key
//! does so under labels of their own.

mod claims;
mod id;
mod master;
mod session;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use foldhash::HashMap;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use self::id::{Id, NONCE_BYTES, SessionId, TAG_BYTES};
use self::master::leading;
use super::call::{Caller, Validity};
use crate::aws::sigv4::Family;

pub use self::id::{PREFIX, SESSION_NONCE_BYTES};
pub use self::master::{MasterKey, Secret};
pub use self::session::{Session, SessionKey, Unsealable, begin};
pub use super::call::AssumedRole;

const ID_LABEL: &[u8] = b"palisade key id v1";
const SECRET_LABEL: &[u8] = b"palisade secret v1";
const RECENT_MAX: usize = 1024;

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
    /// The ARNs of the roles that this caller may assume.
    pub may_assume: Vec<String>,
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
    #[error(
        "a session token was presented with a virtual key that has none: unset AWS_SESSION_TOKEN"
    )]
    SessionToken,
    #[error("it is the key of a session, and its session token is missing: set AWS_SESSION_TOKEN")]
    TokenMissing,
    #[error(
        "the session token is not the one of this key: take both from the same answer, or begin a new session"
    )]
    BadToken,
    #[error(
        "the session of `{caller}` acts as `{role}`, which is no longer in its `may_assume`: add it, or assume another"
    )]
    RoleGone { caller: String, role: String },
    #[error(
        "the session of `{caller}` signs with `[credentials.{table}]`, which is no longer configured: begin a new one"
    )]
    CredentialsGone { caller: String, table: String },
    #[error("the session of `{caller}` has expired: begin a new one")]
    Expired { caller: String },
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
    /// The names of all `[credentials.*]` tables.
    credentials: BTreeSet<String>,
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
    let secret_access_key = master.secret(SECRET_LABEL, &access_key_id);
    VirtualKey {
        access_key_id,
        secret_access_key,
    }
}

/// The key with that access key id, which was issued under this master key.
#[must_use]
pub fn again(master: &MasterKey, access_key_id: &str) -> VirtualKey {
    VirtualKey {
        access_key_id: access_key_id.to_owned(),
        secret_access_key: master.secret(SECRET_LABEL, access_key_id),
    }
}

impl Keyring {
    /// A keyring for these callers, without the revoked access key ids; `credentials` are the names of all
    /// `[credentials.*]` tables.
    ///
    /// # Errors
    /// [`DuplicateHolder`] when two callers have the same name.
    pub fn new(
        master: MasterKey,
        holders: Vec<Holder>,
        credentials: BTreeSet<String>,
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
            credentials,
            revoked,
            recent: Mutex::default(),
        })
    }

    /// Whose key this is. An access key id alone may be given. `now` is held against the end of a session.
    ///
    /// # Errors
    /// [`UnknownKey`] for a key that no configured caller holds, a revoked one, a session that is over or may no longer
    /// be had, or a token that isn't the key's.
    pub fn resolve<'a>(
        &self,
        presented: impl Into<Presented<'a>>,
        now: SystemTime,
    ) -> Result<Identity, UnknownKey> {
        let Presented {
            access_key_id,
            session_token,
        } = presented.into();
        let lasting = Id::decode(access_key_id);
        let session = SessionId::decode(access_key_id);
        match (session_token, lasting, session) {
            (None, Some(id), _) => self.lasting(access_key_id, &id),
            (Some(token), _, Some(id)) => self.session(access_key_id, &id, token, now),
            (Some(_), Some(_), None) => Err(UnknownKey::SessionToken),
            (None, None, Some(id)) if session::is_ours(&self.master, &id) => {
                Err(UnknownKey::TokenMissing)
            }
            (None, None, Some(_)) => Err(UnknownKey::NotOurs),
            (_, None, None) => Err(UnknownKey::NotVirtual),
        }
    }

    /// The key of a session, with its token.
    fn session(
        &self,
        access_key_id: &str,
        id: &SessionId,
        token: &str,
        now: SystemTime,
    ) -> Result<Identity, UnknownKey> {
        if !session::is_ours(&self.master, id) {
            return Err(UnknownKey::NotOurs);
        }
        let session = session::open(&self.master, id, access_key_id, token);
        let Session {
            caller,
            parent,
            credentials,
            role,
            begun,
            expires,
        } = session.ok_or(UnknownKey::BadToken)?;
        let mut holders = self.holders.iter().map(|proof| &proof.holder);
        let holder = holders.find(|holder| holder.name == caller);
        let holder = holder.ok_or(UnknownKey::NotOurs)?;
        if parent
            .as_ref()
            .is_some_and(|key| self.revoked.contains(key))
        {
            return Err(UnknownKey::Revoked { caller });
        }
        let table = credentials.as_ref().unwrap_or(&holder.credentials).clone();
        if !self.credentials.contains(&table) {
            return Err(UnknownKey::CredentialsGone { caller, table });
        }
        if let Some(role) = &role
            && !holder.may_assume.contains(&role.arn)
        {
            let role = role.arn.clone();
            return Err(UnknownKey::RoleGone { caller, role });
        }
        if now >= expires {
            return Err(UnknownKey::Expired { caller });
        }
        Ok(Identity {
            caller: Arc::new(Caller {
                name: caller,
                groups: holder.groups.clone(),
                credentials: table,
                access_key_id: access_key_id.to_owned(),
                role,
                session: Some(Validity {
                    parent,
                    credentials,
                    begun,
                    expires,
                }),
            }),
            secret: session::secret(&self.master, access_key_id),
        })
    }

    /// A key without session.
    fn lasting(&self, access_key_id: &str, id: &Id) -> Result<Identity, UnknownKey> {
        if let Some(identity) = self.recent(|recent| recent.identities.get(access_key_id).cloned())
        {
            return Ok(identity);
        }
        let holder = self.holder(id).ok_or(UnknownKey::NotOurs)?;
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
                session: None,
            }),
            secret: self.master.secret(SECRET_LABEL, access_key_id),
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

impl UnknownKey {
    /// The family of AWS's error codes that the answer is chosen from.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            UnknownKey::NotVirtual
            | UnknownKey::NotOurs
            | UnknownKey::Revoked { .. }
            | UnknownKey::SessionToken
            | UnknownKey::TokenMissing
            | UnknownKey::BadToken
            | UnknownKey::RoleGone { .. }
            | UnknownKey::CredentialsGone { .. } => Family::UnknownKey,
            UnknownKey::Expired { .. } => Family::Expired,
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

#[cfg(test)]
mod tests;
