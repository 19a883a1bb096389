//! Keys that several guards read and none writes: what is checked of their folder, and what each notes for itself.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::{FirstUse, StateError, private};

/// Checks the folder, and those that its files lie in by symbolic links: an orchestrator swaps a secret so.
pub(super) fn check_folders<'p>(
    folder: &Path,
    files: impl IntoIterator<Item = &'p std::path::PathBuf>,
) -> Result<(), StateError> {
    let check = |folder: &Path| {
        let metadata =
            std::fs::metadata(folder).map_err(|e| StateError::io("look at", folder, e))?;
        private::check_given_folder(folder, &metadata)
    };
    check(folder)?;
    for file in files {
        let real = file.canonicalize();
        let real = real.map_err(|e| StateError::io("read", file, e))?;
        real.parent().map_or(Ok(()), check)?;
    }
    Ok(())
}

/// Notes a key, a line each, if it isn't there yet; on the disk when this returns. The caller holds the folder's lock.
pub(super) fn note(path: &Path, access_key_id: &str) -> Result<FirstUse, StateError> {
    let noted = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => return Err(StateError::io("read", path, error)),
        Ok(text) => text,
    };
    if noted.lines().any(|line| line == access_key_id) {
        return Ok(FirstUse::Earlier);
    }
    // A line that an interrupted guard left unfinished stays one of its own.
    let end = if noted.is_empty() || noted.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).mode(0o600).open(path)?;
        file.write_all(format!("{end}{access_key_id}\n").as_bytes())?;
        file.sync_all()
    };
    write().map_err(|e| StateError::io("write", path, e))?;
    Ok(FirstUse::Now)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::PathBuf;
    use std::time::{Duration, SystemTime};

    use crate::state::{FirstUse, KeyStore, StateDir, StateError};

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    /// The place where keys are issued, and guards that read a copy of it.
    struct Fleet {
        folder: tempfile::TempDir,
        issuer: KeyStore,
    }

    impl Fleet {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let issuer = StateDir::open(&folder.path().join("issuer")).unwrap();
            let issuer = issuer.keys().unwrap();
            let fleet = Self { folder, issuer };
            fs::create_dir(fleet.shared()).unwrap();
            fleet.copy("1");
            fleet
        }

        fn shared(&self) -> PathBuf {
            self.folder.path().join("shared")
        }

        fn file(&self, name: &str) -> PathBuf {
            self.shared().join("..data").join(name)
        }

        /// Copies as an orchestrator mounts a secret: a folder a version, swapped by a link.
        fn copy(&self, version: &str) {
            let (shared, inner) = (self.shared(), self.shared().join(version));
            fs::create_dir(&inner).unwrap();
            for name in ["master.key", "ledger.jsonl"] {
                fs::copy(self.issuer.folder().join(name), inner.join(name)).unwrap();
                let mode = Permissions::from_mode(0o400);
                fs::set_permissions(inner.join(name), mode).unwrap();
                let _ = symlink(format!("..data/{name}"), shared.join(name));
            }
            symlink(version, shared.join("..fresh")).unwrap();
            fs::rename(shared.join("..fresh"), shared.join("..data")).unwrap();
        }

        fn state(&self, name: &str) -> StateDir {
            let state = StateDir::open(&self.folder.path().join(name)).unwrap();
            state.sharing(Some(self.shared()), None)
        }

        fn set_mode(&self, path: PathBuf, mode: u32) -> Result<KeyStore, StateError> {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
            self.state("guard").keys()
        }
    }

    #[test]
    fn a_key_issued_once_is_known_to_every_guard_that_shares_it() {
        let fleet = Fleet::new();
        let key = fleet.issuer.issue("ci", now()).unwrap();
        let guards = ["one", "two"].map(|name| fleet.state(name).keys().unwrap());
        for guard in &guards {
            assert!(guard.list().unwrap().is_empty());
        }
        fleet.copy("2");
        for guard in &guards {
            let found = guard.again(&key.access_key_id, "ci").unwrap().unwrap();
            let secrets = [&found, &key].map(|key| key.secret_access_key.expose());
            assert_eq!(secrets[0], secrets[1]);
        }
    }

    #[test]
    fn a_ledger_that_is_copied_anew_is_noticed_and_revokes() {
        let fleet = Fleet::new();
        let id = fleet.issuer.issue("ci", now()).unwrap().access_key_id;
        let mut watch = fleet.state("one").keys().unwrap().watch();
        assert_eq!(watch.poll().unwrap(), Some(Vec::new()));
        assert_eq!(watch.poll().unwrap(), None);
        fleet.issuer.revoke(&id, now()).unwrap();
        fleet.copy("2");
        let keys = watch.poll().unwrap().unwrap();
        assert!(crate::state::revoked(&keys).contains(&id));
    }

    #[test]
    fn shared_keys_are_neither_issued_nor_revoked() {
        let fleet = Fleet::new();
        let id = fleet.issuer.issue("ci", now()).unwrap().access_key_id;
        let before = fs::read(fleet.file("ledger.jsonl")).unwrap();
        let keys = fleet.state("one").keys().unwrap();
        let refused = [
            keys.issue("ci", now()).unwrap_err(),
            keys.revoke(&id, now()).unwrap_err(),
        ];
        for error in refused {
            assert!(matches!(error, StateError::Shared(_)), "{error}");
            assert!(error.help().is_some());
        }
        assert_eq!(fs::read(fleet.file("ledger.jsonl")).unwrap(), before);
    }

    #[test]
    fn each_guard_notes_a_first_use_once_over_its_starts() {
        let fleet = Fleet::new();
        let id = fleet.issuer.issue("ci", now()).unwrap().access_key_id;
        let guard = |name| fleet.state(name).keys().unwrap();
        let first = |name| guard(name).record_first_use(&id, now()).unwrap();
        assert_eq!(first("one"), FirstUse::Now);
        assert_eq!(first("one"), FirstUse::Earlier);
        assert_eq!(first("two"), FirstUse::Now);
        let noted = guard("one").folder().join("first-used");
        fs::write(&noted, "PALISADEUNFIN").unwrap();
        assert_eq!(first("one"), FirstUse::Now);
        assert_eq!(first("one"), FirstUse::Earlier);
    }

    #[test]
    fn a_guard_that_shares_makes_no_keys_of_its_own() {
        let fleet = Fleet::new();
        fs::remove_file(fleet.file("master.key")).unwrap();
        assert!(fleet.state("guard").keys().is_err());
        fleet.copy("2");
        fleet.state("guard").keys().unwrap();
        fs::remove_file(fleet.file("ledger.jsonl")).unwrap();
        assert!(fleet.state("guard").keys().is_err());
        let own = fleet.state("guard").path().join("keys");
        assert!(!own.join("master.key").exists());
    }

    #[test]
    fn what_others_may_swap_or_read_is_refused() {
        let fleet = Fleet::new();
        let (master, ledger) = (fleet.file("master.key"), fleet.file("ledger.jsonl"));
        let readable = |error| matches!(error, Err(StateError::ReadableByOthers(_)));
        let writable = |error| matches!(error, Err(StateError::WritableByOthers(_)));
        assert!(readable(fleet.set_mode(master.clone(), 0o404)));
        assert!(writable(fleet.set_mode(master.clone(), 0o420)));
        fleet.set_mode(master, 0o400).unwrap();
        assert!(writable(fleet.set_mode(ledger.clone(), 0o602)));
        fleet.set_mode(ledger, 0o444).unwrap();
        assert!(writable(fleet.set_mode(fleet.shared(), 0o777)));
        fleet.set_mode(fleet.shared(), 0o1777).unwrap();
        let inner = fleet.shared().join("1");
        assert!(writable(fleet.set_mode(inner.clone(), 0o775)));
        fleet.set_mode(inner, 0o755).unwrap();
    }
}
