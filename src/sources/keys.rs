//! The virtual keys in force: the keyring, made anew whenever the ledger says that a key was revoked.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use crate::guard::call::Caller;
use crate::guard::keyring::{
    DuplicateHolder, Holder, Identity, Keyring, Presented, Session, SessionKey, UnknownKey,
};
use crate::state::{KeyRecord, KeyStore, StateError, revoked};

/// The keys that callers sign with.
#[derive(Debug)]
pub struct LiveKeys {
    store: KeyStore,
    holders: Vec<Holder>,
    /// The names of all `[credentials.*]` tables.
    credentials: BTreeSet<String>,
    keyring: RwLock<Arc<Keyring>>,
    redaction_key: [u8; 32],
    used: Arc<Mutex<HashSet<String>>>,
    first: tokio::sync::mpsc::UnboundedSender<FirstUse>,
}

/// A key that signed for the first time since the guard started.
#[derive(Debug, Clone)]
pub struct FirstUse {
    pub access_key_id: String,
    pub caller: String,
}

/// Why there is no keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Twice(#[from] DuplicateHolder),
}

impl LiveKeys {
    /// The keys of a store, for the configured callers and the names of all `[credentials.*]` tables. First uses are
    /// told to the receiver.
    ///
    /// # Errors
    /// [`KeysError`] if the ledger can't be read to its end.
    pub fn new(
        store: KeyStore,
        holders: Vec<Holder>,
        credentials: BTreeSet<String>,
    ) -> Result<(Self, tokio::sync::mpsc::UnboundedReceiver<FirstUse>), KeysError> {
        let keyring = RwLock::new(Arc::new(keyring(
            &store,
            &holders,
            &credentials,
            &store.list()?,
        )?));
        let (first, firsts) = tokio::sync::mpsc::unbounded_channel();
        let redaction_key = store.master().derive("palisade redaction v1");
        Ok((
            Self {
                store,
                holders,
                credentials,
                keyring,
                redaction_key,
                used: Arc::default(),
                first,
            },
            firsts,
        ))
    }

    /// The same keys for callers and tables that are configured otherwise.
    ///
    /// # Errors
    /// [`KeysError`] if the ledger can't be read to its end.
    pub fn of(
        &self,
        holders: Vec<Holder>,
        credentials: BTreeSet<String>,
    ) -> Result<Self, KeysError> {
        let store = self.store.clone();
        let keyring = keyring(&store, &holders, &credentials, &store.list()?)?;
        Ok(Self {
            store,
            holders,
            credentials,
            keyring: RwLock::new(Arc::new(keyring)),
            redaction_key: self.redaction_key,
            used: Arc::clone(&self.used),
            first: self.first.clone(),
        })
    }

    /// Whose key it is.
    ///
    /// # Errors
    /// [`UnknownKey`] for one that isn't in force.
    pub fn resolve(
        &self,
        presented: Presented<'_>,
        now: SystemTime,
    ) -> Result<Identity, UnknownKey> {
        let keyring = Arc::clone(&self.keyring.read().unwrap_or_else(PoisonError::into_inner));
        keyring.resolve(presented, now)
    }

    /// The ARNs of the roles that a caller may assume.
    #[must_use]
    pub fn may_assume(&self, caller: &str) -> &[String] {
        let holder = self.holders.iter().find(|holder| holder.name == caller);
        holder.map_or(&[], |holder| &holder.may_assume)
    }

    /// Begins a session.
    ///
    /// # Errors
    /// [`StateError`] if the system has no randomness, or the session fits into no token.
    pub fn begin(&self, session: &Session) -> Result<SessionKey, StateError> {
        self.store.begin(session)
    }

    /// Notes that a key has signed a call. The key of a session is none of those that the ledger knows: the key that it
    /// was begun with has been used.
    pub fn used(&self, caller: &Caller) {
        if caller.session.is_some() {
            return;
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.contains(&caller.access_key_id) {
            used.insert(caller.access_key_id.clone());
            let first = FirstUse {
                access_key_id: caller.access_key_id.clone(),
                caller: caller.name.clone(),
            };
            // Nobody listens while the guard stops.
            let _ = self.first.send(first);
        }
    }

    /// Takes over what the ledger says now.
    ///
    /// # Errors
    /// [`KeysError`]; the keys stay as they were.
    pub fn renew(&self, keys: &[KeyRecord]) -> Result<(), KeysError> {
        let renewed = Arc::new(keyring(
            &self.store,
            &self.holders,
            &self.credentials,
            keys,
        )?);
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }

    /// What sensitive members of inputs are hashed with in records.
    #[must_use]
    pub const fn redaction_key(&self) -> &[u8; 32] {
        &self.redaction_key
    }

    /// What the keys are kept in.
    #[must_use]
    pub const fn store(&self) -> &KeyStore {
        &self.store
    }
}

fn keyring(
    store: &KeyStore,
    holders: &[Holder],
    credentials: &BTreeSet<String>,
    keys: &[KeyRecord],
) -> Result<Keyring, DuplicateHolder> {
    Keyring::new(
        store.master().clone(),
        holders.to_vec(),
        credentials.clone(),
        revoked(keys),
    )
}
