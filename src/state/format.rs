//! In which form a state folder is, and which release ran on it last: `state_dir/format.json`.
//!
//! INVARIANT: what a newer release laid out in another way is neither read nor written by this one. What is merely added
//! doesn't make another format: files and members that a release doesn't know it leaves alone.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{StateError, private};
use crate::guard::release::THIS;

/// The form that this release writes, and reads with all before it. It is the first: a folder that says nothing is in it.
const FORMAT: u64 = 1;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Marker {
    format: u64,
    /// The release that ran last, `0.1.0`.
    palisade: String,
}

/// Refuses a folder in a form that this release doesn't know.
pub(super) fn check(folder: &Path) -> Result<(), StateError> {
    read(folder).map(|_| ())
}

/// Says that this release runs on the folder. The caller holds the guard's lock.
pub(super) fn mark(folder: &Path) -> Result<(), StateError> {
    let ours = Marker {
        format: FORMAT,
        palisade: THIS.to_owned(),
    };
    if read(folder)?.as_ref() == Some(&ours) {
        return Ok(());
    }
    let path = path(folder);
    let text =
        serde_json::to_string(&ours).map_err(|e| StateError::io("write", &path, e.into()))?;
    private::create_file(&path, format!("{text}\n").as_bytes())
}

fn read(folder: &Path) -> Result<Option<Marker>, StateError> {
    let path = path(folder);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StateError::io("read", &path, e)),
    };
    match serde_json::from_slice::<Marker>(&bytes) {
        Ok(marker) if marker.format > FORMAT => Err(StateError::NewerFormat {
            path: folder.to_path_buf(),
            format: marker.format,
            version: marker.palisade,
        }),
        Ok(marker) => Ok(Some(marker)),
        Err(_) => Err(StateError::NoFormat(path)),
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("format.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateDir;

    fn says(folder: &Path) -> String {
        std::fs::read_to_string(path(folder)).unwrap()
    }

    #[test]
    fn a_guard_says_which_release_ran_once_it_is_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        assert!(!path(folder.path()).exists());
        let lock = state.lock().unwrap();
        assert!(!path(folder.path()).exists());
        lock.mark().unwrap();
        drop(lock);
        assert_eq!(
            says(folder.path()),
            format!("{{\"format\":1,\"palisade\":\"{THIS}\"}}\n")
        );
        // Another release of the same format, which says more of itself.
        let other = r#"{"format":1,"palisade":"9999.1.0","more":true}"#;
        std::fs::write(path(folder.path()), other).unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let lock = state.lock().unwrap();
        assert_eq!(says(folder.path()), other);
        lock.mark().unwrap();
        assert!(says(folder.path()).contains(THIS));
    }

    #[test]
    fn a_folder_of_another_format_is_refused_with_the_release_that_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let newer = r#"{"format":2,"palisade":"9999.1.0","index":[]}"#;
        std::fs::write(path(folder.path()), newer).unwrap();
        for error in [
            StateDir::open(folder.path()).unwrap_err(),
            state.lock().unwrap_err(),
        ] {
            assert!(
                error.to_string().contains("palisade 9999.1.0 in format 2"),
                "{error}"
            );
            assert!(error.help().unwrap().contains("use palisade 9999.1.0"));
        }
        assert_eq!(says(folder.path()), newer);
    }

    #[test]
    fn a_format_that_cannot_be_told_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{}", "2", r#"{"format":"1","palisade":"0.1.0"}"#] {
            std::fs::write(path(folder.path()), text).unwrap();
            let error = StateDir::open(folder.path()).unwrap_err();
            assert!(matches!(error, StateError::NoFormat(_)), "{text}: {error}");
        }
    }
}
