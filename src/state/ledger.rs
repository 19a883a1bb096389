//! The ledger of virtual keys: JSON lines of what was issued, first used and revoked, without any secret.
//!
//! INVARIANT: a line that isn't understood is an error, never a shorter list: a revocation that is skipped
//! would bring a key back to life. An entry that releases before its own can't read says in `since` which one can.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::guard::release::{THIS, is_newer};

/// What is known about one issued key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    pub access_key_id: String,
    pub caller: String,
    pub issued: SystemTime,
    pub first_used: Option<SystemTime>,
    pub revoked: Option<SystemTime>,
}

/// What is wrong with a line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    #[error("the line is cut off")]
    CutOff,
    #[error("the line isn't an entry: {0}")]
    NotAnEntry(String),
    #[error(
        "the line isn't an entry that {THIS} knows: palisade {since} or newer reads it ({what})"
    )]
    Newer { since: String, what: String },
    #[error("`{0}` is not a time as in `2026-01-31T12:00:00Z`")]
    BadTime(String),
    #[error("the key `{0}` was issued before")]
    IssuedTwice(String),
    #[error("the key `{0}` was not issued before")]
    NeverIssued(String),
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Entry {
    Issued {
        access_key_id: String,
        caller: String,
        time: String,
    },
    FirstUsed {
        access_key_id: String,
        time: String,
    },
    Revoked {
        access_key_id: String,
        time: String,
    },
}

impl Entry {
    /// The line, with its end.
    pub(super) fn line(&self) -> Result<String, serde_json::Error> {
        Ok(format!("{}\n", serde_json::to_string(self)?))
    }
}

/// A time as entries write it, to the second. `None` for one that no calendar has.
#[must_use]
pub fn time_text(time: SystemTime) -> Option<String> {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let time = OffsetDateTime::from_unix_timestamp(seconds.try_into().ok()?).ok()?;
    time.format(&Rfc3339).ok()
}

fn time_of(text: &str) -> Result<SystemTime, LedgerError> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map(SystemTime::from)
        .map_err(|_| LedgerError::BadTime(text.to_owned()))
}

/// Reads a whole ledger: every issued key, in the order of issue.
///
/// # Errors
/// The number, from 1, of the first line that is wrong, and what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Vec<KeyRecord>, (usize, LedgerError)> {
    let mut keys = Vec::new();
    for (i, line) in text.split_inclusive('\n').enumerate() {
        apply(&mut keys, line).map_err(|error| (i + 1, error))?;
    }
    Ok(keys)
}

fn apply(keys: &mut Vec<KeyRecord>, line: &str) -> Result<(), LedgerError> {
    let line = line.strip_suffix('\n').ok_or(LedgerError::CutOff)?;
    let entry = serde_json::from_str(line).map_err(|e| unread(line, e.to_string()))?;
    match entry {
        Entry::Issued {
            access_key_id,
            caller,
            time,
        } => {
            if keys.iter().any(|k| k.access_key_id == access_key_id) {
                return Err(LedgerError::IssuedTwice(access_key_id));
            }
            keys.push(KeyRecord {
                access_key_id,
                caller,
                issued: time_of(&time)?,
                first_used: None,
                revoked: None,
            });
        }
        // The first of several counts: two guards may both have seen a key for the first time.
        Entry::FirstUsed {
            access_key_id,
            time,
        } => {
            let key = issued(keys, access_key_id)?;
            let time = time_of(&time)?;
            key.first_used.get_or_insert(time);
        }
        Entry::Revoked {
            access_key_id,
            time,
        } => {
            let key = issued(keys, access_key_id)?;
            let time = time_of(&time)?;
            key.revoked.get_or_insert(time);
        }
    }
    Ok(())
}

/// Why a line isn't an entry: it is a newer release's, or no entry at all.
fn unread(line: &str, what: String) -> LedgerError {
    #[derive(Deserialize)]
    struct Since {
        since: String,
    }
    match serde_json::from_str::<Since>(line) {
        Ok(Since { since }) if is_newer(&since) => LedgerError::Newer { since, what },
        Ok(_) | Err(_) => LedgerError::NotAnEntry(what),
    }
}

fn issued(keys: &mut [KeyRecord], id: String) -> Result<&mut KeyRecord, LedgerError> {
    keys.iter_mut()
        .find(|k| k.access_key_id == id)
        .ok_or(LedgerError::NeverIssued(id))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ISSUED: &str = r#"{"event":"issued","access_key_id":"PALISADEA","caller":"ci","time":"2026-01-31T12:00:00Z"}"#;
    const REVOKED: &str =
        r#"{"event":"revoked","access_key_id":"PALISADEA","time":"2026-02-01T00:00:00Z"}"#;

    fn check_bad(text: &str, line: usize, expected: &str) {
        let (at, error) = parse(text).unwrap_err();
        assert_eq!((at, error.to_string().as_str()), (line, expected), "{text}");
    }

    #[test]
    fn what_was_written_is_read_again() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let entry = |event: fn(String, String) -> Entry| {
            event("PALISADEA".to_owned(), time_text(time).unwrap())
        };
        let text = [
            entry(|access_key_id, time| Entry::Issued {
                access_key_id,
                caller: "ci".to_owned(),
                time,
            }),
            entry(|access_key_id, time| Entry::FirstUsed {
                access_key_id,
                time,
            }),
            entry(|access_key_id, time| Entry::Revoked {
                access_key_id,
                time,
            }),
        ]
        .map(|e| e.line().unwrap())
        .concat();
        let key = KeyRecord {
            access_key_id: "PALISADEA".to_owned(),
            caller: "ci".to_owned(),
            issued: time,
            first_used: Some(time),
            revoked: Some(time),
        };
        assert_eq!(parse(&text), Ok(vec![key]));
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn a_bad_line_is_an_error_and_never_a_shorter_list() {
        check_bad(&format!("{ISSUED}\n{REVOKED}"), 2, "the line is cut off");
        check_bad(
            &format!("{ISSUED}\n\n"),
            2,
            "the line isn't an entry: EOF while parsing a value at line 1 column 0",
        );
        check_bad(
            &format!("{ISSUED}\n{ISSUED}\n"),
            2,
            "the key `PALISADEA` was issued before",
        );
        check_bad(
            &format!("{REVOKED}\n"),
            1,
            "the key `PALISADEA` was not issued before",
        );
        let wrong_time = ISSUED.replace("2026-01-31T12", "2026-02-31T12");
        check_bad(
            &format!("{wrong_time}\n"),
            1,
            "`2026-02-31T12:00:00Z` is not a time as in `2026-01-31T12:00:00Z`",
        );
        for bad in [
            "{}",
            "x",
            r#"{"event":"renewed","access_key_id":"PALISADEA","time":"2026-02-01T00:00:00Z"}"#,
            r#"{"event":"revoked","access_key_id":"PALISADEA","time":"2026-02-01T00:00:00Z","x":1}"#,
            r#"{"event":"revoked","access_key_id":"PALISADEA"}"#,
        ] {
            assert!(parse(&format!("{ISSUED}\n{bad}\n")).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_entry_of_a_newer_release_is_an_error_that_names_it() {
        for newer in [
            r#"{"event":"narrowed","access_key_id":"PALISADEA","since":"9999.1.0"}"#,
            r#"{"event":"issued","access_key_id":"B","caller":"ci","time":"2026-01-31T12:00:00Z","expires":1,"since":"9999.1.0"}"#,
        ] {
            let (line, error) = parse(&format!("{ISSUED}\n{newer}\n")).unwrap_err();
            assert_eq!(line, 2);
            assert!(matches!(&error, LedgerError::Newer { since, .. } if since == "9999.1.0"));
            assert!(error.to_string().contains("palisade 9999.1.0 or newer"));
        }
        let older = r#"{"event":"narrowed","access_key_id":"PALISADEA","since":"0.0.1"}"#;
        let (_, error) = parse(&format!("{ISSUED}\n{older}\n")).unwrap_err();
        assert!(matches!(error, LedgerError::NotAnEntry(_)), "{error}");
    }

    #[test]
    fn the_first_use_stays_the_first() {
        let used = |time: &str| {
            format!(
                "{{\"event\":\"first_used\",\"access_key_id\":\"PALISADEA\",\"time\":\"{time}\"}}\n"
            )
        };
        let text = format!(
            "{ISSUED}\n{}{}",
            used("2026-01-31T13:00:00Z"),
            used("2026-01-31T14:00:00Z")
        );
        let first = time_of("2026-01-31T13:00:00Z").unwrap();
        assert_eq!(parse(&text).unwrap()[0].first_used, Some(first));
    }
}
