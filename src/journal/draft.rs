//! A record as a line: put into JSON once, by whoever records it. The thread that writes, through which all lines go one
//! after the other, only puts in what it alone knows: the line's place in the chain.
//!
//! INVARIANT: a line is, byte for byte, what the event with that place is as JSON.

use std::io::Write as _;
use std::sync::Arc;

use memchr::memmem;

use super::bound::LINE_BYTES_MAX;
use super::chain::Link;
use super::error::JournalError;
use super::json;
use super::record::Record;

/// What stands before the sequence. Within a text the quotes would be escaped, and `metadata` comes before whatever else
/// has members of a caller's naming, so the first of these is the key.
const SEQUENCE: &[u8] = b"\"sequence\":0";
/// What stands behind the link to the line before, which is the last member of all.
const END: &[u8] = b"\"}}}";
/// Few lines are longer.
const USUAL_BYTES: usize = 4096;

/// A line that lacks its place.
#[derive(Debug)]
pub(super) struct Draft {
    json: Vec<u8>,
    /// Where the sequence stands, which is one digit.
    sequence: usize,
    /// Where the link stands.
    link: usize,
}

impl Draft {
    /// Puts a record into JSON.
    ///
    /// # Errors
    /// [`JournalError::TooLarge`], [`JournalError::Encode`].
    pub(super) fn of(record: &Record) -> Result<Self, JournalError> {
        let event = &record.event;
        let unplaced =
            event.metadata.sequence == 0 && event.unmapped.palisade.previous == Link::FIRST;
        let mut json = Vec::with_capacity(USUAL_BYTES);
        json::write(event, &mut json).map_err(|e| JournalError::Encode(Arc::new(e)))?;
        let bytes = json.len() + SEQUENCE_DIGITS_MAX;
        if bytes > LINE_BYTES_MAX {
            return Err(JournalError::TooLarge {
                bytes,
                max: LINE_BYTES_MAX,
            });
        }
        let line = if unplaced { Self::open(json) } else { None };
        line.ok_or(JournalError::Unplaceable)
    }

    fn open(json: Vec<u8>) -> Option<Self> {
        let at = memmem::find(&json, SEQUENCE)?;
        let before_link = json
            .strip_suffix(END)?
            .strip_suffix(&Link::FIRST.digits())?;
        Some(Self {
            sequence: at + SEQUENCE.len() - 1,
            link: before_link.len(),
            json,
        })
    }

    /// How much memory it takes, in bytes.
    pub(super) const fn bytes_held(&self) -> usize {
        self.json.capacity()
    }

    /// Writes the line, without its newline.
    pub(super) fn write(&self, sequence: u64, previous: Link, to: &mut Vec<u8>) {
        let part = |range: std::ops::Range<usize>| self.json.get(range).unwrap_or_default();
        to.extend_from_slice(part(0..self.sequence));
        // A vector takes everything.
        let _ = write!(to, "{sequence}");
        to.extend_from_slice(part(self.sequence + 1..self.link));
        to.extend_from_slice(&previous.digits());
        to.extend_from_slice(END);
    }
}

/// The most digits of a sequence.
const SEQUENCE_DIGITS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::guard::call::Verdict;
    use crate::journal::record::{Lifecycle, Tunnel};
    use crate::journal::tests::{allowed, outcome, refused};

    fn whole(mut record: Record, sequence: u64, previous: Link) -> String {
        record.event.metadata.sequence = sequence;
        record.event.unmapped.palisade.previous = previous;
        serde_json::to_string(&record.event).unwrap()
    }

    fn pieced(record: &Record, sequence: u64, previous: Link) -> String {
        let mut line = Vec::new();
        let of = Draft::of(record).unwrap();
        of.write(sequence, previous, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_line_is_the_json_of_the_event_in_its_place() {
        let hostile = r#""sequence":0,"previous":""#;
        let now = SystemTime::now();
        let failed = |error: &str| Lifecycle::JournalFailed {
            error: error.to_owned(),
        };
        let mut named_so = refused(3);
        named_so.event.unmapped.palisade.input =
            serde_json::json!({ "sequence": 0, "previous": "0".repeat(64), hostile: hostile })
                .into();
        let mut clipped = allowed(4);
        clipped.event.status_detail = Some(hostile.to_owned().into());
        clipped.event.activity_name = hostile.to_owned().into();
        let tunnel = Tunnel {
            time: now,
            host: hostile.to_owned(),
            port: 443,
            source: "127.0.0.1:1".parse().unwrap(),
            caller: Some(hostile.to_owned()),
            verdict: Verdict::Allowed,
            reason: None,
        };
        let records = [
            allowed(1),
            refused(2),
            named_so,
            clipped,
            outcome(&allowed(5)),
            Record::tunnel(tunnel),
            Record::lifecycle(now, Lifecycle::Stop),
            Record::lifecycle(now, failed(hostile)),
        ];
        for record in records {
            for sequence in [1, 9, 10, u64::MAX] {
                for previous in [Link::FIRST, Link::of(b"line")] {
                    let expected = whole(record.clone(), sequence, previous);
                    assert_eq!(pieced(&record, sequence, previous), expected);
                }
            }
        }
    }

    #[test]
    fn a_record_that_has_a_place_gets_no_other() {
        let mut record = allowed(1);
        record.event.metadata.sequence = 7;
        assert!(matches!(Draft::of(&record), Err(JournalError::Unplaceable)));
    }
}
