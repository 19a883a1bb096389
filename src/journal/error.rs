//! Why the journal could not be opened, written or read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::guard::release::THIS;

/// A failure of the journal. Whatever it is, nothing that depended on the record may go ahead.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// Another process writes this journal.
    #[error(
        "another guard writes the journal in `{}`; stop it, or give this one a `state_dir` of its own",
        .0.display()
    )]
    Locked(PathBuf),
    /// The disk or the quota is full.
    #[error("the disk that holds `{}` is full; make room and try again", .0.display())]
    DiskFull(PathBuf),
    /// The operating system refused to do something with a file or folder.
    #[error("cannot {} `{}`: {error}", .doing, .path.display())]
    Io {
        /// A verb: `create`, `write`, `sync`.
        doing: &'static str,
        path: PathBuf,
        #[source]
        error: Arc<io::Error>,
    },
    /// What is in the folder isn't a journal that can be continued.
    #[error(
        "`{}` line {line}: {what}; run `palisade journal verify`, then move the folder away to begin a new journal",
        .file.display()
    )]
    Damaged {
        file: PathBuf,
        /// From 1.
        line: u64,
        what: String,
    },
    /// A release after this one wrote a record that this one doesn't understand.
    #[error(
        "`{}` line {line} is a record of palisade {version}, which {THIS} can't read ({what}); use that release or a newer one, or give this guard a `state_dir` of its own",
        .file.display()
    )]
    Newer {
        file: PathBuf,
        /// From 1.
        line: u64,
        version: String,
        what: String,
    },
    /// More records wait to be written than memory is set aside for.
    #[error("more records wait for the disk than the journal may hold; try again in a moment")]
    Overloaded,
    /// One record is larger than a line may be.
    #[error(
        "a record of {bytes} bytes is larger than a line of the journal may be ({max}); split the call"
    )]
    TooLarge { bytes: usize, max: usize },
    /// A record could not be put into JSON.
    #[error("a record cannot be written as JSON: {0}")]
    Encode(Arc<serde_json::Error>),
    /// A record has a place in the chain before it is written.
    #[error("a record cannot be given its place in the journal")]
    Unplaceable,
    /// The journal was closed, or its thread is gone.
    #[error("the journal is closed; restart the guard")]
    Closed,
}

impl JournalError {
    /// An error of the operating system, told apart by whether the disk is full.
    pub(crate) fn io(doing: &'static str, path: &Path, error: io::Error) -> Self {
        let full = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        if full {
            return Self::DiskFull(path.to_owned());
        }
        Self::Io {
            doing,
            path: path.to_owned(),
            error: Arc::new(error),
        }
    }

    /// Whether it lasts until somebody mends it: a full disk, a damaged folder. Overload passes by itself.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        match self {
            Self::Locked(_)
            | Self::DiskFull(_)
            | Self::Io { .. }
            | Self::Damaged { .. }
            | Self::Newer { .. }
            | Self::TooLarge { .. }
            | Self::Encode(_)
            | Self::Unplaceable
            | Self::Closed => true,
            Self::Overloaded => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_full_disk_is_told_apart() {
        let path = Path::new("/dev/full");
        let mut full = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        let error = JournalError::io("write", path, full.write_all(b"x").unwrap_err());
        assert!(matches!(error, JournalError::DiskFull(_)), "{error:?}");
        assert!(error.to_string().contains("full"));
    }
}
