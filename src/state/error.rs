//! What can be wrong with the state folder, and what mends it.

use std::path::{Path, PathBuf};

use super::ledger::LedgerError;
use crate::guard::keyring::Unsealable;
use crate::guard::release::THIS;

/// Why the state folder, or something in it, cannot be used. [`StateError::help`] has the next step.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// A verb: `read`, `make`.
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("`{}` is not a folder", .0.display())]
    NotAFolder(PathBuf),
    #[error("`{}` belongs to another user, with the id {owner}", path.display())]
    OtherOwner { path: PathBuf, owner: u32 },
    #[error("others may write to `{}`", .0.display())]
    WritableByOthers(PathBuf),
    #[error("others may read `{}`, which is secret", .0.display())]
    ReadableByOthers(PathBuf),
    #[error("another guard, {}, runs on `{}`", pid.map_or_else(|| "of unknown process id".to_owned(), |p| format!("process {p}")), path.display())]
    Held { path: PathBuf, pid: Option<u32> },
    #[error("`{}` stayed locked for {seconds} s", path.display())]
    Busy { path: PathBuf, seconds: u64 },
    #[error("`{}` is not a master key of 64 hexadecimal digits", .0.display())]
    BadMasterKey(PathBuf),
    #[error("keys were issued, but the master key `{}` is gone", .0.display())]
    MasterKeyGone(PathBuf),
    #[error("there is a master key, but the ledger `{}` is gone: which keys are revoked is unknown", .0.display())]
    LedgerGone(PathBuf),
    #[error("{}:{line}: {source}", path.display())]
    Ledger {
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        source: LedgerError,
    },
    #[error("`{}` was laid out by palisade {version} in format {format}, which {THIS} doesn't know", path.display())]
    NewerFormat {
        path: PathBuf,
        format: u64,
        version: String,
    },
    #[error("`{}` doesn't say in which format the state folder is", .0.display())]
    NoFormat(PathBuf),
    #[error("the keys in `{}` are shared by several guards, which only read them", .0.display())]
    Shared(PathBuf),
    #[error("no key with the id `{0}` was issued here")]
    UnknownKey(String),
    #[error("the system gives no random bytes")]
    NoRandomness,
    #[error(transparent)]
    Unsealable(#[from] Unsealable),
}

impl StateError {
    pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        let path = path.to_path_buf();
        StateError::Io {
            action,
            path,
            source,
        }
    }

    /// What to do next, where there is more to say than the error itself says.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            StateError::Io { .. } | StateError::NoRandomness | StateError::Unsealable(_) => None,
            StateError::NotAFolder(_) => Some("set `state_dir` to a folder".to_owned()),
            StateError::OtherOwner { path, .. } => Some(format!(
                "run: chown -R \"$(id -u)\" {}",
                quoted(path)
            )),
            StateError::WritableByOthers(path) => Some(if path.is_dir() {
                format!("run: chmod 700 {}", quoted(path))
            } else {
                format!("run: chmod 600 {}", quoted(path))
            }),
            StateError::ReadableByOthers(path) => {
                Some(format!("run: chmod 600 {}", quoted(path)))
            }
            StateError::Held { .. } => Some(
                "stop that guard, or set `state_dir` to a folder of this guard's own".to_owned(),
            ),
            StateError::Busy { .. } => {
                Some("another `palisade` command hangs: end it, then try again".to_owned())
            }
            StateError::BadMasterKey(_) => Some("restore the file from a backup".to_owned()),
            StateError::MasterKeyGone(path) => Some(format!(
                "restore the file from a backup; or remove {} and issue new keys, after which no old key works",
                quoted(&path.with_file_name("ledger.jsonl"))
            )),
            StateError::LedgerGone(path) => Some(format!(
                "restore the file from a backup; or remove {} and issue new keys, after which no old key works",
                quoted(&path.with_file_name("master.key"))
            )),
            StateError::Ledger {
                source: LedgerError::Newer { since, .. },
                ..
            } => Some(format!("use palisade {since} or newer")),
            StateError::NewerFormat { version, .. } => Some(format!(
                "use palisade {version} or newer, or set `state_dir` to a folder of this guard's own"
            )),
            StateError::NoFormat(path) => Some(format!(
                "restore it from a backup; if no release after {THIS} ever ran here, remove {}",
                quoted(path)
            )),
            StateError::Ledger { .. } => Some(
                "mend or remove that line; if it is the last one and cut off, its command had not finished and must be run again"
                    .to_owned(),
            ),
            StateError::Shared(_) => Some(
                "run the command where the folder was copied from, on the `state_dir` that has these keys as its own, then copy its ledger.jsonl here"
                    .to_owned(),
            ),
            StateError::UnknownKey(_) => Some("`palisade keys list` shows those that were".to_owned()),
        }
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}
