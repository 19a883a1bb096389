//! The files of a journal: `00000000000000000001.jsonl`, named by the sequence of the first line.
//!
//! INVARIANT: a segment's file is never longer than its last good length while anything else is done with it; what
//! failed to be written is cut off before the next write, so that an error told to a caller is never a line.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::error::JournalError;

/// A segment's file, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    /// The sequence of its first line.
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

/// The segments of a folder in their order. Files of other names are not the journal's, but for `*.jsonl`: such a
/// one is an error, since it may be a segment that lost its name.
pub(super) fn list(dir: &Path) -> Result<Vec<Named>, JournalError> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| JournalError::io("read", dir, e))? {
        let path = entry.map_err(|e| JournalError::io("read", dir, e))?.path();
        if path.extension().is_none_or(|e| e != EXTENSION) {
            continue;
        }
        match first_sequence(&path) {
            Some(first) => segments.push(Named { first, path }),
            None => {
                return Err(JournalError::Damaged {
                    file: path,
                    line: 0,
                    what: "a segment's name is 20 digits".to_owned(),
                });
            }
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// Makes the folder, readable by its owner alone, where it isn't there.
pub(super) fn make_dir(dir: &Path) -> Result<(), JournalError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| JournalError::io("create", dir, e))
}

/// Takes the lock that one writer holds for as long as it keeps the file.
pub(super) fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| JournalError::io("open", &path, e))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // It may be a verification that asks whether a guard runs.
            Err(fs::TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(fs::TryLockError::Error(e)) => return Err(JournalError::io("lock", &path, e)),
        }
    }
    Err(JournalError::Locked(dir.to_owned()))
}

/// Whether a guard holds the lock: it may be writing.
pub(super) fn is_locked(dir: &Path) -> bool {
    File::open(dir.join(LOCK))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
}

/// Takes an empty segment away: a guard stopped between making it and writing to it.
pub(super) fn remove_empty(dir: &Path, segment: &Named) -> Result<(), JournalError> {
    fs::remove_file(&segment.path).map_err(|e| JournalError::io("remove", &segment.path, e))?;
    sync_dir(dir).map_err(|e| JournalError::io("sync", dir, e))
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    first: u64,
    path: PathBuf,
    /// How many bytes of the file are good.
    len: u64,
    #[cfg(test)]
    faults: std::sync::Arc<faults::Faults>,
}

/// What failed when lines were appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// Nothing more than the lines themselves is lost.
    Write(JournalError),
    /// The kernel may have dropped what it could not write: the file isn't written to again.
    Sync(JournalError),
}

impl Segment {
    /// Makes a segment, and makes sure that its name is on disk.
    pub(super) fn create(
        dir: &Path,
        first: u64,
        #[cfg(test)] faults: std::sync::Arc<faults::Faults>,
    ) -> Result<Self, JournalError> {
        let path = dir.join(format!("{first:020}.{EXTENSION}"));
        let segment = Self::open(
            Named { first, path },
            #[cfg(test)]
            faults,
        )?;
        if segment.len != 0 {
            return Err(JournalError::Damaged {
                file: segment.path,
                line: 1,
                what: "a new segment would be written over this one".to_owned(),
            });
        }
        sync_dir(dir).map_err(|e| JournalError::io("sync", dir, e))?;
        Ok(segment)
    }

    /// Goes on with a segment whose end is good.
    pub(super) fn resume(
        named: Named,
        #[cfg(test)] faults: std::sync::Arc<faults::Faults>,
    ) -> Result<Self, JournalError> {
        Self::open(
            named,
            #[cfg(test)]
            faults,
        )
    }

    fn open(
        named: Named,
        #[cfg(test)] faults: std::sync::Arc<faults::Faults>,
    ) -> Result<Self, JournalError> {
        let Named { first, path } = named;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| JournalError::io("create", &path, e))?;
        let len = file
            .metadata()
            .map_err(|e| JournalError::io("read", &path, e))?
            .len();
        Ok(Self {
            file,
            first,
            path,
            len,
            #[cfg(test)]
            faults,
        })
    }

    /// The sequence that it's named by.
    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    /// How many bytes are good.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Appends whole lines in one write and, where asked to, waits until the disk has them. After an error
    /// [`rewind`](Self::rewind) has to succeed before anything else is appended.
    pub(super) fn append(
        &mut self,
        lines: &[u8],
        durability: Durability,
    ) -> Result<(), AppendError> {
        self.write(lines)
            .map_err(|e| AppendError::Write(JournalError::io("write", &self.path, e)))?;
        match durability {
            Durability::Fsync => self
                .sync()
                .map_err(|e| AppendError::Sync(JournalError::io("sync", &self.path, e)))?,
            Durability::Written => {}
        }
        self.len = self
            .len
            .saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Cuts off what failed to be written, and makes sure that the disk has it so.
    pub(super) fn rewind(&mut self) -> Result<(), JournalError> {
        #[cfg(test)]
        self.faults
            .rewind()
            .map_err(|e| JournalError::io("truncate", &self.path, e))?;
        self.file
            .set_len(self.len)
            .and_then(|()| self.file.sync_all())
            .map_err(|e| JournalError::io("truncate", &self.path, e))
    }

    /// Gives the file up. An empty one is taken away, so that its name is free.
    pub(super) fn retire(self, dir: &Path) -> Result<(), JournalError> {
        if self.len > 0 {
            return Ok(());
        }
        let (first, path) = (self.first, self.path);
        remove_empty(dir, &Named { first, path })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        self.faults.write(&mut self.file, lines)?;
        self.file.write_all(lines)
    }

    fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        self.faults.sync()?;
        self.file.sync_data()
    }
}

/// When a line counts as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When the disk has it.
    Fsync,
    /// When the operating system has it: a crash of the machine may lose it.
    Written,
}

/// Makes sure that the names in a folder are on disk.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn first_sequence(path: &Path) -> Option<u64> {
    let digits = path.file_stem()?.to_str()?;
    let named = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    if named { digits.parse().ok() } else { None }
}

const EXTENSION: &str = "jsonl";
const LOCK: &str = "lock";
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Failures of the disk, on demand.
#[cfg(test)]
pub(super) mod faults {
    use std::fs::File;
    use std::io::{self, Write};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// How many of the next operations fail.
    #[derive(Debug, Default)]
    pub(in super::super) struct Faults {
        pub(in super::super) writes: AtomicU32,
        pub(in super::super) syncs: AtomicU32,
        pub(in super::super) rewinds: AtomicU32,
    }

    impl Faults {
        /// Writes half, then finds the disk full.
        pub(super) fn write(&self, file: &mut File, lines: &[u8]) -> io::Result<()> {
            if take(&self.writes) {
                file.write_all(&lines[..lines.len() / 2])?;
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        }

        pub(super) fn sync(&self) -> io::Result<()> {
            if take(&self.syncs) {
                return Err(io::Error::other("input/output error"));
            }
            Ok(())
        }

        pub(super) fn rewind(&self) -> io::Result<()> {
            if take(&self.rewinds) {
                return Err(io::Error::other("input/output error"));
            }
            Ok(())
        }
    }

    fn take(count: &AtomicU32) -> bool {
        count
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok()
    }
}
