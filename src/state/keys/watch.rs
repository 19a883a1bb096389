//! A watch over the ledger of keys, by what tells one state of its file from another.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use super::KeyStore;
use crate::state::{KeyRecord, StateError};

/// Notices that the ledger has changed.
#[derive(Debug)]
pub struct KeyWatch {
    pub(super) store: KeyStore,
    pub(super) seen: Option<Stamp>,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    file: u64,
    size: u64,
    modified: (i64, i64),
    /// Who may read it, too; and nobody sets it.
    changed: (i64, i64),
}

impl KeyWatch {
    /// Every issued key, if the ledger has changed since the last call that said so; at first always.
    ///
    /// # Errors
    /// [`StateError`] if the ledger cannot be read to its end; it is tried again at the next call.
    pub fn poll(&mut self) -> Result<Option<Vec<KeyRecord>>, StateError> {
        let path = self.store.ledger();
        let look = std::fs::metadata(&path).map_err(|e| StateError::io("look at", &path, e))?;
        if self.seen == Some(Stamp::of(&look)) {
            return Ok(None);
        }
        let (keys, stamp) = self.store.read()?;
        self.seen = Some(stamp);
        Ok(Some(keys))
    }
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            file: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
