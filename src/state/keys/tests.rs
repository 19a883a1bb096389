//! Keys on disk: what is made once, kept secret, and never made anew in silence.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::*;
use crate::state::StateDir;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn state() -> (tempfile::TempDir, StateDir) {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(&folder.path().join("state")).unwrap();
    (folder, state)
}

#[test]
fn the_master_key_is_made_once_and_secret() {
    let (_folder, state) = state();
    let one = state.keys().unwrap().issue("ci", now()).unwrap();
    let path = state.path().join("keys/master.key");
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.len(), 65);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let keys = state.keys().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let again = keys.issue("ci", now()).unwrap();
    assert_ne!(again.access_key_id, one.access_key_id);
    let ids: Vec<String> = keys
        .list()
        .unwrap()
        .into_iter()
        .map(|k| k.access_key_id)
        .collect();
    assert_eq!(ids, [one.access_key_id, again.access_key_id]);
    assert!(!format!("{keys:?}").contains(text.trim_end()));
}

#[test]
fn the_ledger_holds_no_secret() {
    let (_folder, state) = state();
    let key = state.keys().unwrap().issue("ci", now()).unwrap();
    let text = std::fs::read_to_string(state.path().join("keys/ledger.jsonl")).unwrap();
    let expected = format!(
        "{{\"event\":\"issued\",\"access_key_id\":\"{}\",\"caller\":\"ci\",\"time\":\"2027-01-15T08:00:00Z\"}}\n",
        key.access_key_id
    );
    assert_eq!(text, expected);
}

#[test]
fn a_revoked_key_stays_revoked_and_an_unknown_one_is_named() {
    let (_folder, state) = state();
    let keys = state.keys().unwrap();
    let id = keys.issue("ci", now()).unwrap().access_key_id;
    assert_eq!(keys.revoke(&id, now()).unwrap().revoked, None);
    let later = now() + Duration::from_secs(60);
    assert_eq!(keys.revoke(&id, later).unwrap().revoked, Some(now()));
    assert_eq!(revoked(&keys.list().unwrap()), BTreeSet::from([id]));
    let error = keys.revoke("PALISADEX", now()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no key with the id `PALISADEX` was issued here"
    );
}

#[test]
fn the_first_use_is_written_down_once() {
    let (_folder, state) = state();
    let keys = state.keys().unwrap();
    let id = keys.issue("ci", now()).unwrap().access_key_id;
    assert_eq!(keys.record_first_use(&id, now()).unwrap(), FirstUse::Now);
    let later = now() + Duration::from_secs(60);
    assert_eq!(
        keys.record_first_use(&id, later).unwrap(),
        FirstUse::Earlier
    );
    assert_eq!(keys.list().unwrap()[0].first_used, Some(now()));
}

#[test]
fn a_watch_notices_who_may_write_the_ledger_though_it_says_the_same() {
    let (_folder, state) = state();
    let keys = state.keys().unwrap();
    let ledger = state.path().join("keys/ledger.jsonl");
    let allow = |mode| {
        std::fs::set_permissions(&ledger, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let mut watch = keys.watch();
    watch.poll().unwrap();
    allow(0o602);
    for _ in 0..2 {
        let error = watch.poll().unwrap_err();
        assert!(matches!(error, StateError::WritableByOthers(_)), "{error}");
    }
    allow(0o600);
    assert_eq!(watch.poll().unwrap(), Some(Vec::new()));
}

#[test]
fn a_watch_tells_of_changes_only() {
    let (_folder, state) = state();
    let keys = state.keys().unwrap();
    let mut watch = keys.watch();
    assert_eq!(watch.poll().unwrap(), Some(Vec::new()));
    assert_eq!(watch.poll().unwrap(), None);
    let id = keys.issue("ci", now()).unwrap().access_key_id;
    assert_eq!(watch.poll().unwrap().unwrap().len(), 1);
    assert_eq!(watch.poll().unwrap(), None);
    keys.revoke(&id, now()).unwrap();
    assert_eq!(revoked(&watch.poll().unwrap().unwrap()).len(), 1);
}

#[test]
fn nothing_is_written_behind_a_bad_line() {
    let (_folder, state) = state();
    let keys = state.keys().unwrap();
    let id = keys.issue("ci", now()).unwrap().access_key_id;
    let path = state.path().join("keys/ledger.jsonl");
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("{\"event\":\"rev");
    std::fs::write(&path, &text).unwrap();
    let mut watch = keys.watch();
    for error in [
        keys.list().unwrap_err(),
        keys.issue("ci", now()).unwrap_err(),
        keys.revoke(&id, now()).unwrap_err(),
        watch.poll().unwrap_err(),
    ] {
        let expected = format!("{}:2: the line is cut off", path.display());
        assert_eq!(error.to_string(), expected);
        assert!(error.help().is_some());
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn neither_a_lost_ledger_nor_a_lost_master_key_is_made_anew() {
    let (_folder, state) = state();
    state.keys().unwrap().issue("ci", now()).unwrap();
    let (master, ledger) = (
        state.path().join("keys/master.key"),
        state.path().join("keys/ledger.jsonl"),
    );
    let aside = state.path().join("aside");
    std::fs::rename(&ledger, &aside).unwrap();
    assert!(matches!(state.keys(), Err(StateError::LedgerGone(_))));
    std::fs::rename(&aside, &ledger).unwrap();
    std::fs::remove_file(&master).unwrap();
    assert!(matches!(state.keys(), Err(StateError::MasterKeyGone(_))));
    assert!(!master.exists());
}

#[test]
fn an_interrupted_first_start_goes_on() {
    let (_folder, state) = state();
    state.keys().unwrap();
    std::fs::remove_file(state.path().join("keys/master.key")).unwrap();
    std::fs::write(state.path().join("keys/master.unfinished"), "12").unwrap();
    state.keys().unwrap().issue("ci", now()).unwrap();
}

#[test]
fn a_master_key_that_is_bad_or_not_secret_is_refused() {
    let (_folder, state) = state();
    state.keys().unwrap();
    let path = state.path().join("keys/master.key");
    for bad in ["", "12", &"0".repeat(66), &"g".repeat(64), &"é".repeat(32)] {
        std::fs::write(&path, bad).unwrap();
        assert!(
            matches!(state.keys(), Err(StateError::BadMasterKey(_))),
            "{bad}"
        );
    }
    std::fs::write(&path, [0xff; 64]).unwrap();
    assert!(matches!(state.keys(), Err(StateError::BadMasterKey(_))));
    std::fs::write(&path, "0".repeat(64)).unwrap();
    state.keys().unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = state.keys().unwrap_err();
    assert_eq!(
        error.help(),
        Some(format!("run: chmod 600 {}", path.display()))
    );
}
