//! The state folder: whether the guard can use it, its certificate authority, and whether the journal can be written.
//! Nothing is made here.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{Access, access, statvfs};

use super::finding::Finding;
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::proxy::Authority;
use crate::state::{StateDir, StateError};

const STATE: &str = "host.state";
const AUTHORITY: &str = "host.authority";
const JOURNAL: &str = "host.journal";

/// Where the disk has less, in bytes, records fail soon, and with them all guarded calls.
const SPACE_FAULT: u64 = 64 << 20;
const SPACE_TOLD: u64 = 1 << 30;

/// From here on clients have to be given the next authority.
const EXPIRY_TOLD: Duration = Duration::from_secs(60 * 24 * 3600);

/// The folder, the authority in it, and the journal. `certified` are the names that the authority speaks for.
pub(super) fn check(config: &Config, certified: &[String], now: SystemTime) -> Vec<Finding> {
    let path = &config.state_dir;
    if !path.is_dir() {
        return absent(path);
    }
    match StateDir::open(path) {
        Err(error) => vec![
            unusable(error),
            Finding::skipped(AUTHORITY, "the state folder can't be used"),
            Finding::skipped(JOURNAL, "the state folder can't be used"),
        ],
        Ok(state) => vec![
            writable(STATE, path, "the state folder"),
            authority(&state, certified, now),
            journal(&state.journal(), path),
        ],
    }
}

/// It is made at the first start, where it can be.
fn absent(path: &Path) -> Vec<Finding> {
    let why = "the guard hasn't run yet";
    let parent = path.ancestors().skip(1).find(|above| above.exists());
    let state = match parent {
        Some(parent) if parent.is_dir() && !path.exists() => {
            match access(parent, Access::WRITE_OK | Access::EXEC_OK) {
                Ok(()) => Finding::ok(
                    STATE,
                    format!(
                        "`{}` isn't there yet: the first start makes it",
                        path.display()
                    ),
                ),
                Err(error) => Finding::fault(
                    STATE,
                    format!(
                        "`{}` can't be made: `{}`: {error}",
                        path.display(),
                        parent.display()
                    ),
                    format!(
                        "make it for the user who runs the guard: `install -d -m 700 -o USER '{}'`",
                        path.display()
                    ),
                ),
            }
        }
        Some(_) | None => Finding::fault(
            STATE,
            format!("`{}` is no folder", path.display()),
            "set `state_dir` to a folder",
        ),
    };
    vec![
        state,
        Finding::skipped(AUTHORITY, why),
        Finding::skipped(JOURNAL, why),
    ]
}

fn unusable(error: StateError) -> Finding {
    if let StateError::OtherOwner { path, owner } = &error {
        let what = format!(
            "`{}` belongs to user {owner}, who isn't who runs this",
            path.display()
        );
        let help = error.help().unwrap_or_default();
        return Finding::fault(
            STATE,
            what,
            format!(
                "run `doctor` as the user who runs the guard (`sudo -u '#{owner}' palisade doctor`); if that is you, {help}"
            ),
        );
    }
    let failure = Failure::from(error);
    Finding::failed(
        STATE,
        &failure,
        "set `state_dir` to a folder of this user's own",
    )
}

fn authority(state: &StateDir, certified: &[String], now: SystemTime) -> Finding {
    let folder = state.authority();
    if !folder.exists() {
        return Finding::skipped(AUTHORITY, "the first start, or `palisade ca`, makes it");
    }
    let authority = match Authority::open(&folder, certified, now) {
        Ok(authority) => authority,
        Err(error) => {
            let fix = format!(
                "mend what it names; where the authority is lost: `rm -r '{}'`, restart, and give each client what `palisade ca` prints",
                folder.display()
            );
            return Finding::fault(AUTHORITY, Failure::usage(error).error(), fix);
        }
    };
    let left = authority
        .not_after()
        .duration_since(now)
        .unwrap_or_default();
    let days = left.as_secs() / (24 * 3600);
    if left < EXPIRY_TOLD {
        let fix = format!(
            "make its successor, `PALISADE_STATE_DIR=/somewhere/new PALISADE_STATE_CA= palisade ca`, and have each client trust both; then put the new ca.pem and ca.key into `{}`, and restart",
            folder.display()
        );
        return Finding::warning(AUTHORITY, format!("it expires in {days} days"), fix);
    }
    Finding::ok(AUTHORITY, format!("it is good for {days} days"))
}

fn journal(journal: &Path, state: &Path) -> Finding {
    if journal.exists() {
        let found = writable(JOURNAL, journal, "the journal's folder");
        if found.fix.is_some() {
            return found;
        }
    }
    let disk = if journal.exists() { journal } else { state };
    match statvfs(disk) {
        Err(error) => Finding::warning(
            JOURNAL,
            format!("how much space the journal has isn't known: {error}"),
            format!("see `df '{}'`", disk.display()),
        ),
        Ok(disk) => space(disk.f_bavail.saturating_mul(disk.f_frsize)),
    }
}

/// What the bytes that are left on the journal's disk are worth.
fn space(left: u64) -> Finding {
    let what = format!(
        "the journal can be written, and its disk has {} MiB left",
        left >> 20
    );
    let fix = "make room, or move `state_dir` to a larger disk; old segments can be moved away once `palisade journal verify` has passed and its hash is kept";
    if left < SPACE_FAULT {
        let what = format!(
            "the journal's disk has {} MiB left: what can't be recorded is refused",
            left >> 20
        );
        return Finding::fault(JOURNAL, what, fix);
    }
    if left < SPACE_TOLD {
        return Finding::warning(JOURNAL, what, fix);
    }
    Finding::ok(JOURNAL, what)
}

/// Whether its owner may write to a folder, by its mode and by what the system says.
fn writable(check: &str, path: &Path, name: &str) -> Finding {
    let shown = path.display();
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Finding::fault(
                check,
                format!("{name} `{shown}` can't be looked at: {error}"),
                format!("run: chmod 700 '{shown}'"),
            );
        }
    };
    if !metadata.is_dir() {
        return Finding::fault(
            check,
            format!("{name} `{shown}` is no folder"),
            format!("move `{shown}` away: the guard makes a folder in its place"),
        );
    }
    let owner = metadata.uid();
    let us = rustix::process::geteuid().as_raw();
    if owner != us {
        return Finding::fault(
            check,
            format!("{name} `{shown}` belongs to user {owner}"),
            format!("run: chown -R {us} '{shown}'"),
        );
    }
    // A mode doesn't hold back root, under whom this may run; whoever took the right away meant it.
    if metadata.mode() & 0o300 != 0o300 {
        return Finding::fault(
            check,
            format!(
                "{name} `{shown}` can't be written: its mode is {:o}",
                metadata.mode() & 0o777
            ),
            format!("run: chmod 700 '{shown}'"),
        );
    }
    match access(path, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Finding::ok(check, format!("{name} `{shown}` can be used")),
        Err(error) => Finding::fault(
            check,
            format!("{name} `{shown}` can't be written: {error}"),
            "mount its disk for writing, or set `state_dir` to a folder on another one",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::finding::State;
    use super::*;

    fn found(state: &Path, check_name: &str) -> Finding {
        let text = format!("state_dir = {state:?}");
        let home = [("HOME".to_owned(), "/".to_owned())];
        let config = Config::from_toml(&text, Path::new("/x/palisade.toml"), &home).unwrap();
        let all = check(&config, &["amazonaws.com".to_owned()], SystemTime::now());
        all.into_iter().find(|f| f.check == check_name).unwrap()
    }

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_journal_that_cannot_be_written_is_a_fault_until_its_mode_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("s")).unwrap();
        let journal = state.journal();
        std::fs::create_dir(&journal).unwrap();
        mode(&journal, 0o500);
        let fault = found(state.path(), JOURNAL);
        assert_eq!(fault.state, State::Fault, "{fault:?}");
        let fix = format!("run: chmod 700 '{}'", journal.display());
        assert_eq!(fault.fix, Some(fix));
        mode(&journal, 0o700);
        assert_ne!(found(state.path(), JOURNAL).state, State::Fault);
        std::fs::remove_dir(&journal).unwrap();
        std::fs::write(&journal, "").unwrap();
        assert!(found(state.path(), JOURNAL).what.contains("is no folder"));
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_fine_where_it_can_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        assert_eq!(found(&path, STATE).state, State::Ok);
        assert!(!path.exists());
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(found(&file, STATE).state, State::Fault);
        assert_eq!(found(&file.join("below"), STATE).state, State::Fault);
    }

    #[test]
    fn a_folder_that_others_may_write_says_the_command_that_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        std::fs::create_dir(&path).unwrap();
        mode(&path, 0o777);
        let fault = found(&path, STATE);
        assert_eq!(fault.state, State::Fault);
        assert!(fault.fix.unwrap().starts_with("run: chmod 700 "));
    }

    #[test]
    fn the_authority_is_looked_at_and_never_made() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("s")).unwrap();
        assert_eq!(found(state.path(), AUTHORITY).state, State::Skipped);
        assert!(!state.authority().exists());
        Authority::open(&state.authority(), ["amazonaws.com"], SystemTime::now()).unwrap();
        assert_eq!(found(state.path(), AUTHORITY).state, State::Ok);
        std::fs::write(state.authority().join("ca.pem"), "spoilt").unwrap();
        assert_eq!(found(state.path(), AUTHORITY).state, State::Fault);
        let old =
            SystemTime::now() - crate::proxy::authority::LIFETIME + Duration::from_secs(86400);
        let other = StateDir::open(&folder.path().join("t")).unwrap();
        Authority::open(&other.authority(), ["amazonaws.com"], old).unwrap();
        let soon = found(other.path(), AUTHORITY);
        assert_eq!(soon.state, State::Warning, "{soon:?}");
    }

    #[test]
    fn a_disk_that_is_nearly_full_is_told_in_time() {
        assert_eq!(space(10 << 30).state, State::Ok);
        assert_eq!(space(500 << 20).state, State::Warning);
        assert_eq!(space(1 << 20).state, State::Fault);
    }
}
