//! What a client presents to say whose it is: a line with an access key id, and a session token after it.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use palisade::guard::keyring::{Holder, Keyring, MasterKey, Presented, UnknownKey};

use super::now;

/// The master key of the keyring that ids and tokens are held against.
pub const MASTER: [u8; 32] = [7; 32];

/// A key: an id that isn't one stays so whatever comes with it.
pub fn read_keys(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (access_key_id, token) = match text.split_once('\n') {
        Some((id, token)) => (id, Some(token)),
        None => (text, None),
    };
    let resolve = |session_token| {
        let presented = Presented {
            access_key_id,
            session_token,
        };
        keyring().resolve(presented, now())
    };
    let with = resolve(token);
    if let Ok(identity) = &with {
        assert_eq!(identity.caller.access_key_id, access_key_id);
        assert_eq!(identity.caller.session.is_some(), token.is_some());
    }
    assert_eq!(
        matches!(with, Err(UnknownKey::NotVirtual)),
        matches!(resolve(None), Err(UnknownKey::NotVirtual)),
    );
}

fn keyring() -> &'static Keyring {
    static KEYRING: OnceLock<Keyring> = OnceLock::new();
    KEYRING.get_or_init(|| {
        let alice = Holder {
            name: "alice".to_owned(),
            groups: vec!["platform".to_owned()],
            credentials: "work".to_owned(),
            may_assume: Vec::new(),
        };
        let tables = BTreeSet::from(["work".to_owned()]);
        let keyring = Keyring::new(MasterKey::new(MASTER), vec![alice], tables, BTreeSet::new());
        keyring.expect("one holder")
    })
}
