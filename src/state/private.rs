//! Files and folders of one owner: made so, and refused if they aren't.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use super::{StateError, private_dir_builder};

/// How long a command waits for another one to finish with a file.
const LOCK_WAIT: Duration = Duration::from_secs(5);
const LOCK_STEP: Duration = Duration::from_millis(10);

/// The user who may do anything to our files anyway.
const ROOT: u32 = 0;

/// Makes a folder with mode 0700, and its parents as the system makes folders. One that is there stays as it
/// is.
pub(super) fn create_dir(path: &Path) -> Result<(), StateError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|e| StateError::io("make", parent, e))?;
    }
    match private_dir_builder().create(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(StateError::io("make", path, e)),
    }
}

/// Checks that the user who runs us owns it.
pub(super) fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), StateError> {
    let owner = metadata.uid();
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(StateError::OtherOwner {
        path: path.to_path_buf(),
        owner,
    })
}

/// Checks that nobody else may write to it.
pub(super) fn check_unwritable(path: &Path, metadata: &Metadata) -> Result<(), StateError> {
    check_owner(path, metadata)?;
    match metadata.mode() & 0o022 {
        0 => Ok(()),
        _ => Err(StateError::WritableByOthers(path.to_path_buf())),
    }
}

/// Checks that nobody else may read or write it.
pub(super) fn check_secret(path: &Path, metadata: &Metadata) -> Result<(), StateError> {
    check_unwritable(path, metadata)?;
    match metadata.mode() & 0o077 {
        0 => Ok(()),
        _ => Err(StateError::ReadableByOthers(path.to_path_buf())),
    }
}

/// Checks a folder that somebody else may have put there for us: it is root's or ours, and what is in it can be swapped by
/// nobody else. The sticky bit keeps a folder that all may write to from that.
pub(super) fn check_given_folder(path: &Path, metadata: &Metadata) -> Result<(), StateError> {
    check_given_owner(path, metadata)?;
    let sticky = metadata.mode() & 0o1000 != 0;
    if metadata.mode() & 0o022 != 0 && !sticky {
        return Err(StateError::WritableByOthers(path.to_path_buf()));
    }
    Ok(())
}

/// Checks that a file is root's or ours, and that nobody else may write to it.
pub(super) fn check_given(path: &Path, metadata: &Metadata) -> Result<(), StateError> {
    check_given_owner(path, metadata)?;
    match metadata.mode() & 0o022 {
        0 => Ok(()),
        _ => Err(StateError::WritableByOthers(path.to_path_buf())),
    }
}

/// Checks the same, and that nobody else may read it but a group to which root gave it.
pub(super) fn check_given_secret(path: &Path, metadata: &Metadata) -> Result<(), StateError> {
    check_given(path, metadata)?;
    let others = if metadata.uid() == ROOT { 0o007 } else { 0o077 };
    match metadata.mode() & others {
        0 => Ok(()),
        _ => Err(StateError::ReadableByOthers(path.to_path_buf())),
    }
}

fn check_given_owner(path: &Path, metadata: &Metadata) -> Result<(), StateError> {
    if metadata.uid() == ROOT {
        return Ok(());
    }
    check_owner(path, metadata)
}

/// Makes a file of mode 0600 that is whole or not there, and is on the disk when this returns. The caller
/// holds the lock under which alone the file is made.
pub(super) fn create_file(path: &Path, contents: &[u8]) -> Result<(), StateError> {
    let unfinished = path.with_extension("unfinished");
    let write = || {
        match std::fs::remove_file(&unfinished) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)?;
        path.parent()
            .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write().map_err(|e| StateError::io("make", path, e))
}

/// Whom a lock keeps out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Waits for the lock of `path`, a file that is made for it, for as long as a command may take. The lock is let
/// go with the file.
pub(super) fn lock(path: &Path, access: Access) -> Result<File, StateError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| StateError::io("open", path, e))?;
    let mut waited = Duration::ZERO;
    loop {
        let result = match access {
            Access::Read => file.try_lock_shared(),
            Access::Write => file.try_lock(),
        };
        match result {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(e)) => return Err(StateError::io("lock", path, e)),
            Err(TryLockError::WouldBlock) if waited >= LOCK_WAIT => {
                return Err(StateError::Busy {
                    path: path.to_path_buf(),
                    seconds: LOCK_WAIT.as_secs(),
                });
            }
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(LOCK_STEP);
                waited += LOCK_STEP;
            }
        }
    }
}
