//! The virtual keys in force: the keyring, made anew whenever the ledger says that a key was revoked.
//!
//! INVARIANT: a key is taken only while it is known what is revoked: where the ledger wasn't read well for a bounded time,
//! none is, until it is read again.

mod last_read;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use foldhash::HashSet;
use tokio::time::Instant;

use crate::guard::call::Caller;
use crate::guard::keyring::{
    DuplicateHolder, Holder, Identity, Keyring, Presented, Session, SessionKey, UnknownKey,
};
use crate::guard::refusal::Refusal;
use crate::state::{KeyRecord, KeyStore, StateError, revoked};

use self::last_read::LastRead;

/// The keys that callers sign with.
#[derive(Debug)]
pub struct LiveKeys {
    store: KeyStore,
    holders: Vec<Holder>,
    /// The names of all `[credentials.*]` tables.
    credentials: BTreeSet<String>,
    keyring: RwLock<Arc<Keyring>>,
    /// Keys are taken for so long after the ledger was last read well.
    unread_max: Duration,
    last_read: Arc<LastRead>,
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

/// Why a key isn't taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error(transparent)]
    Unknown(#[from] UnknownKey),
    /// It was good when the ledger was last read well, and may have been revoked since.
    #[error(
        "which virtual keys are revoked could not be read for {unread_s} s, so none is taken until it can: \
         whoever runs the guard finds at its /readyz what is wrong with the key ledger"
    )]
    LedgerUnread { unread_s: u64 },
}

impl LiveKeys {
    /// The keys of a store, for the configured callers and the names of all `[credentials.*]` tables; none is taken any
    /// more once the ledger wasn't read well for longer than `unread_max`. First uses are told to the receiver.
    ///
    /// # Errors
    /// [`KeysError`] if the ledger can't be read to its end.
    pub fn new(
        store: KeyStore,
        holders: Vec<Holder>,
        credentials: BTreeSet<String>,
        unread_max: Duration,
    ) -> Result<(Self, tokio::sync::mpsc::UnboundedReceiver<FirstUse>), KeysError> {
        let began = Instant::now();
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
                unread_max,
                last_read: Arc::new(LastRead::new(began)),
                redaction_key,
                used: Arc::default(),
                first,
            },
            firsts,
        ))
    }

    /// The same keys for callers, tables and a bound that are configured otherwise.
    ///
    /// # Errors
    /// [`KeysError`] if the ledger can't be read to its end.
    pub fn of(
        &self,
        holders: Vec<Holder>,
        credentials: BTreeSet<String>,
        unread_max: Duration,
    ) -> Result<Self, KeysError> {
        let store = self.store.clone();
        let keyring = keyring(&store, &holders, &credentials, &store.list()?)?;
        Ok(Self {
            store,
            holders,
            credentials,
            keyring: RwLock::new(Arc::new(keyring)),
            unread_max,
            last_read: Arc::clone(&self.last_read),
            redaction_key: self.redaction_key,
            used: Arc::clone(&self.used),
            first: self.first.clone(),
        })
    }

    /// Whose key it is.
    ///
    /// # Errors
    /// [`NotTaken`] for one that isn't in force, and for any while nobody can tell what is revoked.
    pub fn resolve(&self, presented: Presented<'_>, now: SystemTime) -> Result<Identity, NotTaken> {
        let keyring = Arc::clone(&self.keyring.read().unwrap_or_else(PoisonError::into_inner));
        let identity = keyring.resolve(presented, now)?;
        match self.unread_too_long() {
            Some(unread) => Err(NotTaken::LedgerUnread {
                unread_s: unread.as_secs(),
            }),
            None => Ok(identity),
        }
    }

    /// Notes that what is in force agreed with the ledger at that time, and whoever else has keys of this store with it.
    pub fn agree_since(&self, time: Instant) {
        self.last_read.advance(time);
    }

    /// How long ago the ledger was last read well.
    #[must_use]
    pub fn unread(&self) -> Duration {
        self.last_read.elapsed()
    }

    /// As [`unread`](Self::unread), where it is so long that no key is taken.
    #[must_use]
    pub fn unread_too_long(&self) -> Option<Duration> {
        Some(self.unread()).filter(|unread| *unread > self.unread_max)
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

impl From<NotTaken> for Refusal {
    fn from(error: NotTaken) -> Self {
        let message = error.to_string();
        match error {
            NotTaken::Unknown(error) => error.into(),
            NotTaken::LedgerUnread { .. } => Refusal::LedgerUnread { message },
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::answer::Kind;
    use crate::state::StateDir;

    const UNREAD_MAX: Duration = Duration::from_secs(60);

    struct Fixture {
        keys: LiveKeys,
        id: String,
        session: SessionKey,
        _folder: tempfile::TempDir,
    }

    fn holders() -> Vec<Holder> {
        vec![Holder {
            name: "ci".to_owned(),
            groups: Vec::new(),
            credentials: "prod".to_owned(),
            may_assume: Vec::new(),
        }]
    }

    fn tables() -> BTreeSet<String> {
        BTreeSet::from(["prod".to_owned()])
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    /// A lasting key, and a session that was begun with it.
    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let store = StateDir::open(&folder.path().join("state")).unwrap();
        let store = store.keys().unwrap();
        let id = store.issue("ci", now()).unwrap().access_key_id;
        let (keys, _) = LiveKeys::new(store, holders(), tables(), UNREAD_MAX).unwrap();
        let session = Session {
            caller: "ci".to_owned(),
            parent: Some(id.clone()),
            credentials: None,
            role: None,
            begun: now(),
            expires: now() + Duration::from_secs(3600),
        };
        Fixture {
            session: keys.begin(&session).unwrap(),
            keys,
            id,
            _folder: folder,
        }
    }

    impl Fixture {
        /// What the key and the session are answered.
        fn taken_by(&self, keys: &LiveKeys) -> [Result<(), NotTaken>; 2] {
            let of_session = Presented {
                access_key_id: &self.session.access_key_id,
                session_token: Some(&self.session.session_token),
            };
            [self.id.as_str().into(), of_session]
                .map(|presented| keys.resolve(presented, now()).map(|_| ()))
        }

        fn taken(&self) -> [Result<(), NotTaken>; 2] {
            self.taken_by(&self.keys)
        }
    }

    fn unread(seconds: u64) -> [Result<(), NotTaken>; 2] {
        [seconds; 2].map(|unread_s| Err(NotTaken::LedgerUnread { unread_s }))
    }

    #[tokio::test(start_paused = true)]
    async fn no_key_and_no_session_is_taken_once_the_ledger_is_unread_for_too_long() {
        let fixture = fixture();
        tokio::time::advance(UNREAD_MAX).await;
        assert_eq!(fixture.taken(), [Ok(()), Ok(())]);
        assert_eq!(fixture.keys.unread_too_long(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(fixture.taken(), unread(61));
        assert_eq!(fixture.keys.unread_too_long(), Some(fixture.keys.unread()));
        // What it is anyway says more.
        let unknown = fixture.keys.resolve("PALISADE".into(), now());
        assert_eq!(
            unknown.unwrap_err(),
            NotTaken::Unknown(UnknownKey::NotVirtual)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_taken_again_at_once_when_the_ledger_is_read() {
        let fixture = fixture();
        tokio::time::advance(Duration::from_secs(300)).await;
        assert_eq!(fixture.taken(), unread(300));
        let looked = Instant::now();
        tokio::time::advance(Duration::from_secs(2)).await;
        fixture.keys.agree_since(looked);
        assert_eq!(fixture.taken(), [Ok(()), Ok(())]);
        assert_eq!(fixture.keys.unread(), Duration::from_secs(2));
        // An earlier look that ends later takes nothing back.
        fixture
            .keys
            .agree_since(looked.checked_sub(UNREAD_MAX * 2).unwrap());
        assert_eq!(fixture.keys.unread(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_that_finds_a_ledger_does_not_speak_for_keys_that_were_not_held_against_it() {
        let fixture = fixture();
        tokio::time::advance(Duration::from_secs(61)).await;
        let wider = Duration::from_secs(120);
        let [same, wider] = [UNREAD_MAX, wider]
            .map(|unread_max| fixture.keys.of(holders(), tables(), unread_max).unwrap());
        assert_eq!(fixture.taken_by(&same), unread(61));
        assert_eq!(fixture.taken_by(&wider), [Ok(()), Ok(())]);
        same.agree_since(Instant::now());
        assert_eq!(fixture.taken(), [Ok(()), Ok(())]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_refused_for_it_is_told_not_to_come_again() {
        let fixture = fixture();
        tokio::time::advance(Duration::from_secs(61)).await;
        let refusal = Refusal::from(fixture.taken()[0].clone().unwrap_err());
        assert_eq!(
            (refusal.reason(), refusal.kind()),
            ("ledger_unread", Kind::Denied)
        );
        assert!(refusal.why().contains("could not be read for 61 s"));
    }
}
