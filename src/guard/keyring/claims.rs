//! What a session token says, as bytes: every field in its place, texts behind their length, nothing after the last.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use super::session::Session;
use crate::guard::call::AssumedRole;

/// Room for any session that fits into a token.
const CAPACITY: usize = 3072;

/// `None` if a text is longer than 65535 bytes, or a time lies before 1970.
pub(super) fn encode(session: &Session) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(CAPACITY));
    for time in [session.begun, session.expires] {
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        out.extend(since.as_secs().to_be_bytes());
    }
    text(&session.caller, &mut out)?;
    optional(session.parent.as_deref(), &mut out)?;
    optional(session.credentials.as_deref(), &mut out)?;
    match &session.role {
        None => out.push(0),
        Some(role) => {
            out.push(1);
            text(&role.arn, &mut out)?;
            text(&role.account, &mut out)?;
            text(&role.session_name, &mut out)?;
            optional(role.external_id.as_deref(), &mut out)?;
        }
    }
    Some(out)
}

/// `None` for anything that [`encode`] doesn't write.
pub(super) fn decode(bytes: &[u8]) -> Option<Session> {
    let mut rest = Rest(bytes);
    let (begun, expires) = (rest.time()?, rest.time()?);
    let session = Session {
        caller: rest.text()?,
        parent: rest.optional(Rest::text)?,
        credentials: rest.optional(Rest::text)?,
        role: rest.optional(|rest| {
            Some(AssumedRole {
                arn: rest.text()?,
                account: rest.text()?,
                session_name: rest.text()?,
                external_id: rest.optional(Rest::text)?,
            })
        })?,
        begun,
        expires,
    };
    rest.0.is_empty().then_some(session)
}

fn text(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let length = u16::try_from(text.len()).ok()?;
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
    Some(())
}

fn optional(value: Option<&str>, out: &mut Vec<u8>) -> Option<()> {
    match value {
        None => {
            out.push(0);
            Some(())
        }
        Some(value) => {
            out.push(1);
            text(value, out)
        }
    }
}

/// What isn't read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn time(&mut self) -> Option<SystemTime> {
        let seconds = u64::from_be_bytes(self.array()?);
        UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    fn text(&mut self) -> Option<String> {
        let length = u16::from_be_bytes(self.array()?);
        let (text, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.array()? {
            [0] => Some(None),
            [1] => read(self).map(Some),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sessions() -> impl Strategy<Value = Session> {
        let maybe = || proptest::option::of(".{0,40}");
        let role = (".{0,40}", "[0-9]{12}", ".{0,64}", maybe()).prop_map(
            |(arn, account, session_name, external_id)| AssumedRole {
                arn,
                account,
                session_name,
                external_id,
            },
        );
        let at = |seconds: u32| UNIX_EPOCH + Duration::from_secs(seconds.into());
        let role = proptest::option::of(role);
        (".{0,40}", maybe(), maybe(), role, any::<(u32, u32)>()).prop_map(
            move |(caller, parent, credentials, role, (begun, expires))| Session {
                caller,
                parent,
                credentials,
                role,
                begun: at(begun),
                expires: at(expires),
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(session in sessions()) {
            let bytes = encode(&session).unwrap();
            prop_assert_eq!(decode(&bytes), Some(session));
        }

        #[test]
        fn nothing_shorter_or_longer_is_a_session(session in sessions(), cut: prop::sample::Index) {
            let bytes = encode(&session).unwrap();
            prop_assert_eq!(decode(&bytes[..cut.index(bytes.len())]), None);
            let longer = [bytes.as_slice(), &[0]].concat();
            prop_assert_eq!(decode(&longer), None);
        }

        #[test]
        fn what_is_decoded_has_one_spelling(session in sessions(), at: prop::sample::Index, byte: u8) {
            let mut bytes = encode(&session).unwrap().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Some(session) = decode(&bytes) {
                prop_assert_eq!(encode(&session).unwrap().to_vec(), bytes);
            }
        }
    }
}
