//! Virtual keys on disk: the master key that they follow from, and the ledger of what became of them.
//!
//! INVARIANT: master key and ledger are there together or not at all. A lost ledger would forget revocations,
//! and a new master key would make every issued key unknown without saying so.

mod watch;

use std::collections::BTreeSet;
use std::fs::{Metadata, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use super::ledger::{self, Entry, KeyRecord, LedgerError};
use super::private::{self, Access};
use super::{StateError, shared};
use crate::guard::keyring::{
    MasterKey, SESSION_NONCE_BYTES, Session, SessionKey, VirtualKey, again, begin, issue,
};

pub use self::watch::KeyWatch;
use self::watch::Stamp;

/// `state_dir/keys`, opened.
#[derive(Debug, Clone)]
pub struct KeyStore {
    folder: PathBuf,
    master: MasterKey,
    /// Where master key and ledger are that several guards read; `None`: in `folder`, and ours to write.
    shared: Option<PathBuf>,
}

impl KeyStore {
    pub(super) fn open(folder: &Path) -> Result<Self, StateError> {
        private::create_dir(folder)?;
        let metadata =
            std::fs::metadata(folder).map_err(|e| StateError::io("look at", folder, e))?;
        private::check_unwritable(folder, &metadata)?;
        let _lock = private::lock(&folder.join("lock"), Access::Write)?;
        let (master, ledger) = (folder.join("master.key"), folder.join("ledger.jsonl"));
        match (exists(&master)?, exists(&ledger)?) {
            (true, true) => {}
            (true, false) => return Err(StateError::LedgerGone(ledger)),
            (false, there) => {
                if there
                    && !read_ledger(&ledger, private::check_unwritable)?
                        .0
                        .is_empty()
                {
                    return Err(StateError::MasterKeyGone(master));
                }
                // The ledger first: an empty one without a master key is what an interrupted start leaves.
                if !there {
                    private::create_file(&ledger, b"")?;
                }
                super::master::create(&master)?;
            }
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            master: super::master::read(&master, private::check_secret)?,
            shared: None,
        })
    }

    /// The master key and the ledger of `shared`, which several guards read and none writes. What this guard alone notes
    /// of keys stands in `folder`, which is made.
    pub(super) fn read_only(folder: &Path, shared: &Path) -> Result<Self, StateError> {
        private::create_dir(folder)?;
        let (master, ledger) = (shared.join("master.key"), shared.join("ledger.jsonl"));
        shared::check_folders(shared, [&master, &ledger])?;
        let store = Self {
            folder: folder.to_path_buf(),
            master: super::master::read(&master, private::check_given_secret)?,
            shared: Some(shared.to_path_buf()),
        };
        store.list()?;
        Ok(store)
    }

    /// A store whose master key is drawn now and is nowhere but in memory: its keys are good for as long as this process
    /// runs. The ledger stands in `folder`, which is made.
    ///
    /// # Errors
    /// [`StateError`] if the folder can't be made or there is no randomness.
    pub fn passing(folder: &Path) -> Result<Self, StateError> {
        private::create_dir(folder)?;
        let ledger = folder.join("ledger.jsonl");
        if !exists(&ledger)? {
            private::create_file(&ledger, b"")?;
        }
        let mut bytes = Zeroizing::new([0; 32]);
        fill(&mut *bytes)?;
        Ok(Self {
            folder: folder.to_path_buf(),
            master: MasterKey::new(*bytes),
            shared: None,
        })
    }

    /// Where this guard notes what it knows of keys.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The key from which every virtual key follows.
    #[must_use]
    pub fn master(&self) -> &MasterKey {
        &self.master
    }

    /// Every key that was issued, in the order of issue, revoked ones too.
    ///
    /// # Errors
    /// [`StateError`] if the ledger cannot be read to its end.
    pub fn list(&self) -> Result<Vec<KeyRecord>, StateError> {
        Ok(self.read()?.0)
    }

    /// Issues a new key to a caller and writes that down.
    ///
    /// # Errors
    /// [`StateError`]; then no key was issued.
    pub fn issue(&self, caller: &str, now: SystemTime) -> Result<VirtualKey, StateError> {
        let mut nonce = [0; 5];
        fill(&mut nonce)?;
        let key = issue(&self.master, caller, nonce);
        let access_key_id = key.access_key_id.clone();
        self.append(now, |_, time| {
            Ok(Some(Entry::Issued {
                access_key_id,
                caller: caller.to_owned(),
                time,
            }))
        })?;
        Ok(key)
    }

    /// A key that was issued to that caller before, with its secret; `None` where it wasn't, or is revoked.
    ///
    /// # Errors
    /// [`StateError`] if the ledger cannot be read to its end.
    pub fn again(
        &self,
        access_key_id: &str,
        caller: &str,
    ) -> Result<Option<VirtualKey>, StateError> {
        let keys = self.list()?;
        let is_it = |key: &&KeyRecord| key.access_key_id == access_key_id && key.caller == caller;
        let issued = keys.iter().find(is_it);
        Ok(issued
            .filter(|key| key.revoked.is_none())
            .map(|_| again(&self.master, access_key_id)))
    }

    /// Begins a session. Nothing is written down: its token says all that there is to know.
    ///
    /// # Errors
    /// [`StateError`]; then no session was begun.
    pub fn begin(&self, session: &Session) -> Result<SessionKey, StateError> {
        let mut nonce = [0; SESSION_NONCE_BYTES];
        fill(&mut nonce)?;
        Ok(begin(&self.master, session, nonce)?)
    }

    /// Revokes a key; one that is revoked already stays so. Tells what became of it before.
    ///
    /// # Errors
    /// [`StateError::UnknownKey`] for one that was never issued here.
    pub fn revoke(&self, access_key_id: &str, now: SystemTime) -> Result<KeyRecord, StateError> {
        let mut found = None;
        self.append(now, |keys, time| {
            let key = find(keys, access_key_id)?;
            found = Some(key.clone());
            let access_key_id = access_key_id.to_owned();
            Ok(match key.revoked {
                Some(_) => None,
                None => Some(Entry::Revoked {
                    access_key_id,
                    time,
                }),
            })
        })?;
        found.ok_or_else(|| StateError::UnknownKey(access_key_id.to_owned()))
    }

    /// Writes down that a key was used, if it is for the first time. Tells whether it is.
    ///
    /// # Errors
    /// [`StateError::UnknownKey`] for one that was never issued here.
    pub fn record_first_use(
        &self,
        access_key_id: &str,
        now: SystemTime,
    ) -> Result<FirstUse, StateError> {
        if self.shared.is_some() {
            return self.note_first_use(access_key_id);
        }
        let mut first_use = FirstUse::Earlier;
        self.append(now, |keys, time| {
            let key = find(keys, access_key_id)?;
            if key.first_used.is_some() {
                return Ok(None);
            }
            first_use = FirstUse::Now;
            Ok(Some(Entry::FirstUsed {
                access_key_id: access_key_id.to_owned(),
                time,
            }))
        })?;
        Ok(first_use)
    }

    /// A watch that has seen nothing yet.
    #[must_use]
    pub fn watch(&self) -> KeyWatch {
        KeyWatch {
            store: self.clone(),
            seen: None,
        }
    }

    /// Of keys that several guards read each guard notes by itself when it saw them first, those too that its copy of the
    /// ledger doesn't name yet.
    fn note_first_use(&self, access_key_id: &str) -> Result<FirstUse, StateError> {
        let keys = self.list()?;
        let used = |key: &KeyRecord| key.access_key_id == access_key_id && key.first_used.is_some();
        if keys.iter().any(used) {
            return Ok(FirstUse::Earlier);
        }
        let _lock = self.lock(Access::Write)?;
        shared::note(&self.folder.join("first-used"), access_key_id)
    }

    fn ledger(&self) -> PathBuf {
        let folder = self.shared.as_ref().unwrap_or(&self.folder);
        folder.join("ledger.jsonl")
    }

    /// The ledger to its end. One that is shared is swapped as a whole, and there is nothing to lock.
    fn read(&self) -> Result<(Vec<KeyRecord>, Stamp), StateError> {
        let path = self.ledger();
        if let Some(shared) = &self.shared {
            shared::check_folders(shared, [&path])?;
            return read_ledger(&path, private::check_given);
        }
        let _lock = self.lock(Access::Read)?;
        read_ledger(&path, private::check_unwritable)
    }

    fn lock(&self, access: Access) -> Result<std::fs::File, StateError> {
        private::lock(&self.folder.join("lock"), access)
    }

    /// Reads the ledger to its end, lets `entry` look at it, and writes one line, on the disk when this
    /// returns. Nothing is written behind a line that is wrong.
    fn append(
        &self,
        now: SystemTime,
        entry: impl FnOnce(&[KeyRecord], String) -> Result<Option<Entry>, StateError>,
    ) -> Result<(), StateError> {
        if let Some(shared) = &self.shared {
            return Err(StateError::Shared(shared.clone()));
        }
        let path = self.ledger();
        let _lock = self.lock(Access::Write)?;
        let (keys, _) = read_ledger(&path, private::check_unwritable)?;
        let time = ledger::time_text(now).ok_or_else(|| wrong_clock(&path))?;
        let Some(entry) = entry(&keys, time)? else {
            return Ok(());
        };
        let write = || {
            let line = entry.line()?;
            let mut file = OpenOptions::new().append(true).open(&path)?;
            file.write_all(line.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|e| StateError::io("write", &path, e))
    }
}

/// Whether a use was the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstUse {
    Now,
    Earlier,
}

/// The ids of those keys that are revoked.
#[must_use]
pub fn revoked(keys: &[KeyRecord]) -> BTreeSet<String> {
    let revoked = keys.iter().filter(|k| k.revoked.is_some());
    revoked.map(|k| k.access_key_id.clone()).collect()
}

fn find<'k>(keys: &'k [KeyRecord], id: &str) -> Result<&'k KeyRecord, StateError> {
    keys.iter()
        .find(|k| k.access_key_id == id)
        .ok_or_else(|| StateError::UnknownKey(id.to_owned()))
}

/// Who may own, read and write a file.
pub(super) type Check = fn(&Path, &Metadata) -> Result<(), StateError>;

/// Reads the ledger; the caller holds its lock.
fn read_ledger(path: &Path, check: Check) -> Result<(Vec<KeyRecord>, Stamp), StateError> {
    let fail = |e| StateError::io("read", path, e);
    let mut file = std::fs::File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    check(path, &metadata)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(fail)?;
    let keys = ledger::parse(&text).map_err(|(line, source): (usize, LedgerError)| {
        let path = path.to_path_buf();
        StateError::Ledger { path, line, source }
    })?;
    Ok((keys, Stamp::of(&metadata)))
}

fn exists(path: &Path) -> Result<bool, StateError> {
    path.try_exists()
        .map_err(|e| StateError::io("look at", path, e))
}

pub(super) fn fill(bytes: &mut [u8]) -> Result<(), StateError> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| StateError::NoRandomness)
}

fn wrong_clock(path: &Path) -> StateError {
    let problem = "the clock stands before 1970 or after 9999";
    StateError::io("write", path, std::io::Error::other(problem))
}

#[cfg(test)]
mod tests;
