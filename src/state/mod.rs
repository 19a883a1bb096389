//! I/O: the state folder, its lock, and the keys in it.
//!
//! INVARIANT: what stands in the folder was put there by the user who runs the guard: a folder or a key that
//! others own or can write is refused, and secrets are readable by their owner only.

mod error;
mod format;
mod keys;
mod ledger;
mod master;
mod private;
mod shared;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

pub use error::StateError;
pub use keys::{FirstUse, KeyStore, KeyWatch, revoked};
pub use ledger::{KeyRecord, LedgerError, time_text};

/// `state_dir`: made, and found to be ours.
#[derive(Debug, Clone)]
pub struct StateDir {
    path: PathBuf,
    /// What stands elsewhere, for several guards.
    shared_keys: Option<PathBuf>,
    shared_authority: Option<PathBuf>,
}

/// Held by the one guard that runs on a state folder; let go when dropped or when the process ends.
#[derive(Debug)]
pub struct GuardLock {
    folder: PathBuf,
    _file: File,
}

impl GuardLock {
    /// Says in the folder that this release runs on it. Whoever starts a guard does it before the first record is written,
    /// and not earlier: a start that fails leaves the folder to the release that ran on it last.
    ///
    /// # Errors
    /// [`StateError`] if it can't be written.
    pub fn mark(&self) -> Result<(), StateError> {
        format::mark(&self.folder)
    }
}

impl StateDir {
    /// Makes the folder with mode 0700 if it isn't there, and its parents as the system makes folders.
    ///
    /// # Errors
    /// [`StateError`] if it cannot be made, is no folder, belongs to another user, others may write to it, or a newer
    /// release laid it out in a way that this one doesn't know.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        private::create_dir(path)?;
        let metadata = std::fs::metadata(path).map_err(|e| StateError::io("look at", path, e))?;
        if !metadata.is_dir() {
            return Err(StateError::NotAFolder(path.to_path_buf()));
        }
        private::check_owner(path, &metadata)?;
        if metadata.mode() & 0o022 != 0 {
            return Err(StateError::WritableByOthers(path.to_path_buf()));
        }
        format::check(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            shared_keys: None,
            shared_authority: None,
        })
    }

    /// The same folder, but for keys and certificate authority where they stand in folders that several guards read.
    #[must_use]
    pub fn sharing(self, keys: Option<PathBuf>, authority: Option<PathBuf>) -> Self {
        Self {
            shared_keys: keys,
            shared_authority: authority,
            ..self
        }
    }

    /// The folder itself, absolute as the configuration is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder below it that only its owner may enter; made where it isn't there.
    ///
    /// # Errors
    /// [`StateError`] if it can't be made.
    pub fn below(&self, names: &[&str]) -> Result<PathBuf, StateError> {
        let mut path = self.path.clone();
        for name in names {
            path.push(name);
            private::create_dir(&path)?;
        }
        Ok(path)
    }

    /// Where the journal's segments are; not made here.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// Where the certificate authority is that several guards read, if this one does.
    #[must_use]
    pub fn shared_authority(&self) -> Option<&Path> {
        self.shared_authority.as_deref()
    }

    /// Where the guard's own certificate authority is; not made here.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.path.join("ca")
    }

    /// The master key and the ledger of virtual keys, made at first use; those that several guards read, if this one
    /// does.
    ///
    /// # Errors
    /// [`StateError`] if they cannot be read or made, or if only one of them is there.
    pub fn keys(&self) -> Result<KeyStore, StateError> {
        let own = self.path.join("keys");
        match &self.shared_keys {
            Some(shared) => KeyStore::read_only(&own, shared),
            None => KeyStore::open(&own),
        }
    }

    /// Takes the folder for one running guard. What stands in it stays as it is, until the guard
    /// [marks](GuardLock::mark) it.
    ///
    /// # Errors
    /// [`StateError::Held`] while another guard has it; [`StateError::NewerFormat`] where a newer release had it meanwhile.
    pub fn lock(&self) -> Result<GuardLock, StateError> {
        let path = self.path.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| StateError::io("open", &path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::Held {
                    path: self.path.clone(),
                    pid: holder(&mut file),
                });
            }
            Err(TryLockError::Error(e)) => return Err(StateError::io("lock", &path, e)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(format!("{}\n", std::process::id()).as_bytes())
        };
        write(&mut file).map_err(|e| StateError::io("write", &path, e))?;
        format::check(&self.path)?;
        Ok(GuardLock {
            folder: self.path.clone(),
            _file: file,
        })
    }

    /// Keeps a file in the folder for whoever comes later: it is there whole, and written only where it differs. The
    /// caller holds the guard's lock.
    ///
    /// # Errors
    /// [`StateError`] if it can't be written; what was there stays.
    pub fn keep(&self, name: &str, contents: &[u8]) -> Result<(), StateError> {
        let path = self.path.join(name);
        match std::fs::read(&path) {
            Ok(there) if there == contents => Ok(()),
            Ok(_) | Err(_) => private::create_file(&path, contents),
        }
    }
}

/// The process that the lock's file names.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// A folder that only its owner may enter.
fn private_dir_builder() -> std::fs::DirBuilder {
    let mut builder = std::fs::DirBuilder::new();
    builder.mode(0o700);
    builder
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_folder_is_made_for_its_owner_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b/palisade");
        let state = StateDir::open(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(state.path(), path);
        StateDir::open(&path).unwrap();
    }

    #[test]
    fn a_folder_that_others_may_write_is_refused_with_the_command_that_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state dir");
        std::fs::create_dir(&path).unwrap();
        for others in [0o770, 0o702] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(others)).unwrap();
            let error = StateDir::open(&path).unwrap_err();
            let shown = path.display();
            assert_eq!(error.to_string(), format!("others may write to `{shown}`"));
            assert_eq!(error.help(), Some(format!("run: chmod 700 '{shown}'")));
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        StateDir::open(&path).unwrap();
    }

    #[test]
    fn a_file_is_no_state_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = StateDir::open(file.path()).unwrap_err();
        assert!(matches!(error, StateError::NotAFolder(_)), "{error}");
    }

    #[test]
    fn one_guard_at_a_time_holds_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("s")).unwrap();
        let held = state.lock().unwrap();
        let error = state.lock().unwrap_err();
        let (pid, path) = (std::process::id(), state.path().display());
        let expected = format!("another guard, process {pid}, runs on `{path}`");
        assert_eq!(error.to_string(), expected);
        drop(held);
        state.lock().unwrap();
    }
}
