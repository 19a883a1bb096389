//! Whose key it is, and whose it is not.

use std::time::{Duration, UNIX_EPOCH};

use super::session::{TOKEN_CHARS_MAX, TOKEN_PREFIX};
use super::*;

const ROLE: &str = "arn:aws:iam::210987654321:role/deploy";

/// So many seconds after the sessions of these tests began.
fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

fn tables() -> BTreeSet<String> {
    ["prod", "dev"].map(str::to_owned).into()
}

fn master(byte: u8) -> MasterKey {
    MasterKey::new([byte; 32])
}

fn holder(name: &str) -> Holder {
    Holder {
        name: name.into(),
        groups: vec!["deployers".into()],
        credentials: "prod".into(),
        may_assume: vec![ROLE.into()],
    }
}

fn keyring(byte: u8, names: &[&str], revoked: &[&str]) -> Keyring {
    let holders = names.iter().map(|n| holder(n)).collect();
    let revoked = revoked.iter().map(|&id| id.to_owned()).collect();
    Keyring::new(master(byte), holders, tables(), revoked).unwrap()
}

#[test]
fn a_key_resolves_to_the_caller_it_was_issued_to() {
    let key = issue(&master(1), "ci", [1, 2, 3, 4, 5]);
    let keyring = keyring(1, &["dev", "ci", "c"], &[]);
    for _ in 0..2 {
        let identity = keyring.resolve(key.access_key_id.as_str(), at(0)).unwrap();
        assert_eq!(identity.caller.name, "ci");
        assert_eq!(identity.caller.groups, ["deployers"]);
        assert_eq!(identity.caller.credentials, "prod");
        assert_eq!(identity.caller.access_key_id, key.access_key_id);
        assert_eq!(identity.secret.expose(), key.secret_access_key.expose());
    }
}

#[test]
fn keys_are_of_a_fixed_shape_and_follow_from_their_nonce() {
    for byte in [0, 1, 0x7f, 0xff] {
        let key = issue(&master(7), "ci", [byte; 5]);
        let id = &key.access_key_id;
        assert_eq!(id.len(), 32);
        assert!(id.starts_with(PREFIX));
        assert!(
            id.bytes()
                .all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b))
        );
        assert_eq!(Id::decode(id).unwrap().nonce, [byte; 5]);
        assert_eq!(Id::decode(id).unwrap().encode(), *id);
        assert_eq!(key.secret_access_key.expose().len(), 40);
        let again = issue(&master(7), "ci", [byte; 5]);
        assert_eq!(again.access_key_id, *id);
        assert_eq!(
            again.secret_access_key.expose(),
            key.secret_access_key.expose()
        );
    }
}

/// Keys that were handed out must outlive any change of this file. Made with Python's `hmac` and `base64`.
#[test]
fn keys_stay_those_that_were_handed_out() {
    let key = issue(&master(1), "ci", [1, 2, 3, 4, 5]);
    assert_eq!(key.access_key_id, "PALISADEAEBAGBAFDM57OZAWJLQUD5SB");
    assert_eq!(
        key.secret_access_key.expose(),
        "x0k4qJYB7-6_WWzrfBdZ69d4z7mNth--Bbrk9OG_"
    );
}

#[test]
fn keys_differ_by_master_caller_and_nonce() {
    let key = issue(&master(1), "ci", [0; 5]);
    for other in [
        issue(&master(2), "ci", [0; 5]),
        issue(&master(1), "dev", [0; 5]),
        issue(&master(1), "ci", [0, 0, 0, 0, 1]),
    ] {
        assert_ne!(other.access_key_id, key.access_key_id);
        assert_ne!(
            other.secret_access_key.expose(),
            key.secret_access_key.expose()
        );
    }
}

#[test]
fn ids_of_another_master_or_of_no_configured_caller_are_unknown() {
    let keyring = keyring(1, &["ci"], &[]);
    for key in [
        issue(&master(2), "ci", [9; 5]),
        issue(&master(1), "dev", [9; 5]),
        issue(&master(1), "", [9; 5]),
    ] {
        assert_eq!(
            keyring
                .resolve(key.access_key_id.as_str(), at(0))
                .unwrap_err(),
            UnknownKey::NotOurs
        );
    }
}

#[test]
fn an_id_with_any_letter_changed_is_unknown() {
    let key = issue(&master(1), "ci", [9; 5]);
    let keyring = keyring(1, &["ci"], &[]);
    assert!(keyring.resolve(key.access_key_id.as_str(), at(0)).is_ok());
    for place in 0..key.access_key_id.len() {
        let mut id = key.access_key_id.clone().into_bytes();
        id[place] = if id[place] == b'Q' { b'R' } else { b'Q' };
        let id = String::from_utf8(id).unwrap();
        assert!(keyring.resolve(id.as_str(), at(0)).is_err(), "{id}");
    }
}

#[test]
fn ids_of_another_shape_are_not_virtual() {
    let keyring = keyring(1, &["ci"], &[]);
    let id = issue(&master(1), "ci", [9; 5]).access_key_id;
    let lower = id.to_ascii_lowercase();
    let longer = format!("{id}AAAAAAAAAAAAAAAA");
    let shorter: String = id.chars().take(24).collect();
    let spaced = format!("{id} ");
    let foreign = id.replacen('A', "0", 5);
    let umlaut: String = id.chars().take(30).chain(['\u{e9}']).collect();
    for id in [
        "",
        "AKIAIOSFODNN7EXAMPLE",
        PREFIX,
        &lower,
        &longer,
        &shorter,
        &spaced,
        &foreign,
        &umlaut,
    ] {
        assert_eq!(
            keyring.resolve(id, at(0)).unwrap_err(),
            UnknownKey::NotVirtual,
            "{id}"
        );
    }
}

#[test]
fn a_revoked_id_is_unknown_and_others_of_its_caller_are_not() {
    let revoked = issue(&master(1), "ci", [1; 5]).access_key_id;
    let kept = issue(&master(1), "ci", [2; 5]).access_key_id;
    let keyring = keyring(1, &["ci"], &[&revoked]);
    assert_eq!(
        keyring.resolve(revoked.as_str(), at(0)).unwrap_err(),
        UnknownKey::Revoked {
            caller: "ci".into()
        }
    );
    assert!(keyring.resolve(kept.as_str(), at(0)).is_ok());
}

#[test]
fn a_session_token_is_never_ignored() {
    let key = issue(&master(1), "ci", [1; 5]);
    let presented = Presented {
        access_key_id: &key.access_key_id,
        session_token: Some("a-token"),
    };
    assert!(!format!("{presented:?}").contains("a-token"));
    let error = keyring(1, &["ci"], &[])
        .resolve(presented, at(0))
        .unwrap_err();
    assert_eq!(error, UnknownKey::SessionToken);
    assert_eq!(error.family(), Family::UnknownKey);
}

#[test]
fn two_callers_of_one_name_are_refused() {
    let twice = vec![holder("ci"), holder("dev"), holder("ci")];
    assert_eq!(
        Keyring::new(master(1), twice, tables(), BTreeSet::new()).unwrap_err(),
        DuplicateHolder("ci".into())
    );
}

#[test]
fn what_is_remembered_is_bounded() {
    let keyring = keyring(1, &["ci"], &[]);
    for n in 0..RECENT_MAX as u64 + 10 {
        let [_, _, _, a, b, c, d, e] = n.to_be_bytes();
        let key = issue(&master(1), "ci", [a, b, c, d, e]);
        keyring.resolve(key.access_key_id.as_str(), at(0)).unwrap();
    }
    let recent = keyring.recent.lock().unwrap();
    assert_eq!(recent.identities.len(), RECENT_MAX);
    assert_eq!(recent.order.len(), RECENT_MAX);
}

#[test]
fn secrets_never_print() {
    let key = issue(&master(1), "ci", [1; 5]);
    let keyring = keyring(1, &["ci"], &[]);
    let identity = keyring.resolve(key.access_key_id.as_str(), at(0)).unwrap();
    let printed = format!("{key:?} {keyring:?} {identity:?} {:?}", master(1));
    assert!(printed.contains("[redacted]"));
    assert!(!printed.contains(key.secret_access_key.expose()));
    assert!(!printed.contains("1, 1, 1"));
}

fn role() -> AssumedRole {
    AssumedRole {
        arn: ROLE.into(),
        account: "210987654321".into(),
        session_name: "terraform".into(),
        external_id: Some("e-1".into()),
    }
}

/// An hour as the role.
fn session(caller: &str) -> Session {
    Session {
        caller: caller.into(),
        parent: None,
        credentials: None,
        role: Some(role()),
        begun: at(0),
        expires: at(3600),
    }
}

fn begun(session: &Session) -> SessionKey {
    begin(&master(1), session, [7; 12]).unwrap()
}

fn presented(key: &SessionKey) -> Presented<'_> {
    Presented {
        access_key_id: &key.access_key_id,
        session_token: Some(&key.session_token),
    }
}

#[test]
fn a_session_resolves_to_its_caller_in_its_role() {
    let key = begun(&session("ci"));
    let identity = keyring(1, &["dev", "ci"], &[])
        .resolve(presented(&key), at(0))
        .unwrap();
    let expected = Caller {
        name: "ci".into(),
        groups: vec!["deployers".into()],
        credentials: "prod".into(),
        access_key_id: key.access_key_id.clone(),
        role: Some(role()),
        session: Some(Validity {
            parent: None,
            credentials: None,
            begun: at(0),
            expires: at(3600),
        }),
    };
    assert_eq!(*identity.caller, expected);
    assert_eq!(identity.secret.expose(), key.secret_access_key.expose());
}

#[test]
fn a_session_signs_with_the_table_that_it_names() {
    let of = |table: &str| {
        let credentials = Some(table.to_owned());
        begun(&Session {
            credentials,
            role: None,
            ..session("ci")
        })
    };
    let keyring = keyring(1, &["ci"], &[]);
    let identity = keyring.resolve(presented(&of("dev")), at(0)).unwrap();
    assert_eq!(identity.caller.credentials, "dev");
    assert_eq!(identity.caller.role, None);
    let gone = keyring.resolve(presented(&of("gone")), at(0)).unwrap_err();
    let (caller, table) = ("ci".into(), "gone".into());
    assert_eq!(gone, UnknownKey::CredentialsGone { caller, table });
    assert_eq!(gone.family(), Family::UnknownKey);
}

#[test]
fn a_session_ends_to_the_second() {
    let key = begun(&session("ci"));
    let keyring = keyring(1, &["ci"], &[]);
    assert!(keyring.resolve(presented(&key), at(3599)).is_ok());
    for late in [3600, 3601, 1 << 40] {
        let error = keyring.resolve(presented(&key), at(late)).unwrap_err();
        assert_eq!(
            error,
            UnknownKey::Expired {
                caller: "ci".into()
            }
        );
        assert_eq!(error.family(), Family::Expired);
    }
}

#[test]
fn a_session_ends_with_its_caller_its_role_and_its_parent() {
    let parent = issue(&master(1), "ci", [1; 5]).access_key_id;
    let key = begun(&Session {
        parent: Some(parent.clone()),
        ..session("ci")
    });
    assert!(
        keyring(1, &["ci"], &[])
            .resolve(presented(&key), at(0))
            .is_ok()
    );
    let removed = keyring(1, &["dev"], &[]).resolve(presented(&key), at(0));
    assert_eq!(removed.unwrap_err(), UnknownKey::NotOurs);
    let revoked = keyring(1, &["ci"], &[&parent]).resolve(presented(&key), at(0));
    let caller = "ci".to_owned();
    assert_eq!(revoked.unwrap_err(), UnknownKey::Revoked { caller });
    let holder = Holder {
        may_assume: vec![format!("{ROLE}er")],
        ..holder("ci")
    };
    let without = Keyring::new(master(1), vec![holder], tables(), BTreeSet::new()).unwrap();
    let without = without.resolve(presented(&key), at(0)).unwrap_err();
    let (caller, role) = ("ci".into(), ROLE.into());
    assert_eq!(without, UnknownKey::RoleGone { caller, role });
}

#[test]
fn a_token_fits_no_other_key() {
    let mine = begun(&session("ci"));
    let other = begin(&master(1), &session("dev"), [8; 12]).unwrap();
    let lasting = issue(&master(1), "ci", [1; 5]);
    let keyring = keyring(1, &["ci", "dev"], &[]);
    let check = |access_key_id: &str, session_token, expected| {
        let presented = Presented {
            access_key_id,
            session_token,
        };
        assert_eq!(keyring.resolve(presented, at(0)).unwrap_err(), expected);
    };
    check(
        &mine.access_key_id,
        Some(&*other.session_token),
        UnknownKey::BadToken,
    );
    check(&mine.access_key_id, None, UnknownKey::TokenMissing);
    check(&mine.access_key_id, Some(""), UnknownKey::BadToken);
    check(
        &lasting.access_key_id,
        Some(&*mine.session_token),
        UnknownKey::SessionToken,
    );
    check(
        "AKIAIOSFODNN7EXAMPLE",
        Some(&*mine.session_token),
        UnknownKey::NotVirtual,
    );
    let shaped = format!("{}AAAAAAAA", lasting.access_key_id);
    check(&shaped, None, UnknownKey::NotOurs);
    check(&shaped, Some(&*mine.session_token), UnknownKey::NotOurs);
    let foreign = begin(&master(2), &session("ci"), [7; 12]).unwrap();
    check(
        &foreign.access_key_id,
        Some(&*foreign.session_token),
        UnknownKey::NotOurs,
    );
    check(
        &mine.access_key_id,
        Some(&*foreign.session_token),
        UnknownKey::BadToken,
    );
}

#[test]
fn a_token_with_any_letter_changed_or_lost_opens_nothing() {
    let key = begun(&session("ci"));
    let keyring = keyring(1, &["ci"], &[]);
    let resolve = |token: &str| {
        let presented = Presented {
            access_key_id: &key.access_key_id,
            session_token: Some(token),
        };
        keyring.resolve(presented, at(0)).map(|_| ())
    };
    let token = &key.session_token;
    assert_eq!(resolve(token), Ok(()));
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'Q' { b'R' } else { b'Q' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(resolve(&changed), Err(UnknownKey::BadToken), "{changed}");
        assert_eq!(resolve(token.get(..at).unwrap()), Err(UnknownKey::BadToken));
    }
    for longer in ["A", "=", ".", " "] {
        assert_eq!(
            resolve(&format!("{token}{longer}")),
            Err(UnknownKey::BadToken)
        );
    }
    let long = format!("{TOKEN_PREFIX}{}", "A".repeat(TOKEN_CHARS_MAX));
    assert_eq!(resolve(&long), Err(UnknownKey::BadToken));
}

#[test]
fn a_token_tells_nothing_of_what_it_says() {
    let key = begun(&session("ci"));
    let body = key.session_token.strip_prefix(TOKEN_PREFIX).unwrap();
    use base64::Engine as _;
    let body = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(body)
        .unwrap();
    for word in ["ci", "e-1", "deploy", "terraform"] {
        assert!(!body.windows(word.len()).any(|at| at == word.as_bytes()));
    }
    assert!(!format!("{key:?}").contains(body_of(&key)));
    assert!(!format!("{key:?}").contains(key.secret_access_key.expose()));
}

fn body_of(key: &SessionKey) -> &str {
    key.session_token.strip_prefix(TOKEN_PREFIX).unwrap()
}

#[test]
fn the_longest_names_that_aws_takes_fit_and_longer_ones_are_no_session() {
    let longest = |external_id: usize| Session {
        caller: "c".repeat(64),
        parent: Some(issue(&master(1), "ci", [1; 5]).access_key_id),
        credentials: Some("d".repeat(64)),
        role: Some(AssumedRole {
            arn: format!(
                "arn:aws-us-gov:iam::210987654321:role/{}",
                "p".repeat(512 + 64)
            ),
            account: "210987654321".into(),
            session_name: "s".repeat(64),
            external_id: Some("x".repeat(external_id)),
        }),
        begun: at(0),
        expires: at(3600),
    };
    let key = begun(&longest(1224));
    assert!(key.session_token.len() <= TOKEN_CHARS_MAX);
    for external_id in [3000, 70_000] {
        let long = begin(&master(1), &longest(external_id), [7; 12]);
        assert_eq!(long.unwrap_err(), Unsealable);
    }
}

/// Sessions outlive an update of the guard. Made with Python's `hmac`, `base64` and `cryptography`.
#[test]
fn sessions_stay_those_that_were_handed_out() {
    let key = begun(&session("ci"));
    assert_eq!(
        key.access_key_id,
        "PALISADEA4DQOBYHA4DQOBYHA4DVE62ZA5VX74WA"
    );
    assert_eq!(
        key.secret_access_key.expose(),
        "uStNOncd_lXI7O8v6q-CBhynCJ_cD6OLRjC1rg5k"
    );
    assert_eq!(
        key.session_token,
        "PALISADE.1.to-AF1HsAZwSiGBqx2phHS0VNM3-aClJMPro4FvQ8N3tbhDOq-4CHBDru60SCdM33nSeScYUfusmQkMk_kvcRlZqWpctabPnQ7U8OMXDy1_PBESHjxiAryZ3PM4GKJ0R4VFu6haQxSUaWoOeQg"
    );
}
