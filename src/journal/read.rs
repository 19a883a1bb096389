//! Reads lines back: from one file, one at a time, in bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::chain::Link;
use super::error::JournalError;
use super::event::{Event, Phase, Sealed};
use super::fill::GUARD;
use super::segments;
use crate::guard::call::{DecisionId, Outcome, Verdict};
use crate::guard::release::{THIS, is_newer};

/// The longest run of bytes without a newline that is read: more than a whole batch can leave behind when it's torn.
pub(super) const RUN_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Shows each line of a journal, in order, to somebody: its bytes and, where it is a record, what it says. A torn
/// or damaged line is none. The journal may be written meanwhile.
///
/// # Errors
/// Where a file can't be read, [`JournalError::Newer`] at a record that only a newer release understands, or what the
/// visitor says, which ends it.
pub fn visit<E: From<JournalError>>(
    dir: &Path,
    mut visitor: impl FnMut(&[u8], Option<Event>) -> Result<(), E>,
) -> Result<(), E> {
    for segment in segments::list(dir)? {
        let mut lines = Lines::open(&segment.path)?;
        while let Some(line) = lines.next()? {
            let event = match serde_json::from_slice(line.bytes) {
                Ok(event) => Some(event),
                Err(error) => match Unread::of(line.bytes, error.to_string()) {
                    Unread::NoRecord(_) => None,
                    newer @ Unread::Newer { .. } => {
                        return Err(newer.at(&segment.path, line.number).into());
                    }
                },
            };
            visitor(line.bytes, event)?;
        }
    }
    Ok(())
}

/// The lines of one segment.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    line: Vec<u8>,
    number: u64,
    offset: u64,
}

/// One line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// Without its newline.
    pub(super) bytes: &'a [u8],
    /// From 1.
    pub(super) number: u64,
    /// Where it begins in its file.
    pub(super) offset: u64,
    pub(super) end: End,
}

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Newline,
    /// The file ends with it: it was torn, or is being written.
    Torn,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let file = File::open(path).map_err(|e| JournalError::io("open", path, e))?;
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(128 * 1024, file),
            line: Vec::new(),
            number: 0,
            offset: 0,
        })
    }

    /// Reads from a line's beginning on; numbers count from there.
    pub(super) fn open_at(path: &Path, offset: u64) -> Result<Self, JournalError> {
        let mut lines = Self::open(path)?;
        lines
            .reader
            .seek(SeekFrom::Start(offset))
            .map_err(|e| JournalError::io("read", path, e))?;
        lines.offset = offset;
        Ok(lines)
    }

    /// The next line; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, JournalError> {
        self.offset = self
            .offset
            .saturating_add(u64::try_from(self.line.len()).unwrap_or(u64::MAX));
        self.line.clear();
        self.number = self.number.saturating_add(1);
        self.fill()?;
        let (bytes, end) = match self.line.split_last() {
            None => return Ok(None),
            Some((b'\n', bytes)) => (bytes, End::Newline),
            Some(_) => (self.line.as_slice(), End::Torn),
        };
        Ok(Some(Line {
            bytes,
            number: self.number,
            offset: self.offset,
            end,
        }))
    }

    fn fill(&mut self) -> Result<(), JournalError> {
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(JournalError::io("read", &self.path, e)),
            };
            let piece = chunk.split_inclusive(|b| *b == b'\n').next().unwrap_or(&[]);
            let (len, last) = (piece.len(), piece.last().copied());
            if self.line.len().saturating_add(len) > RUN_BYTES_MAX {
                return Err(JournalError::Damaged {
                    file: self.path.clone(),
                    line: self.number,
                    what: "is longer than any line that a guard writes".to_owned(),
                });
            }
            self.line.extend_from_slice(piece);
            self.reader.consume(len);
            if last.is_none() || last == Some(b'\n') {
                return Ok(());
            }
        }
    }
}

/// What the chain and the pairing of decisions with outcomes need of a line.
#[derive(Debug, Clone)]
pub(super) struct Glance {
    pub(super) sequence: u64,
    pub(super) previous: Link,
    pub(super) sealed: Option<Sealed>,
    pub(super) what: What,
}

/// What a line says about calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A decision whose outcome stands in a line of its own.
    Opens(DecisionId),
    /// The outcome of an earlier decision.
    Closes(DecisionId),
    /// A guard started: whatever was open before has got its outcome.
    Start,
    Other,
}

/// Why a line can't be read as a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is torn, damaged, or somebody else's; in words.
    NoRecord(String),
    /// It is a record of a newer release, of a kind that this one doesn't know.
    Newer { version: String, what: String },
}

impl Unread {
    /// INVARIANT: what a newer release wrote is never taken for a torn line, which the next record would account for, as
    /// if no call stood in it.
    pub(super) fn of(line: &[u8], what: String) -> Self {
        let signed: Option<Signed> = serde_json::from_slice(line).ok();
        match signed.map(|signed| signed.metadata.product) {
            Some(product) if product.name == GUARD && is_newer(&product.version) => Self::Newer {
                version: product.version,
                what,
            },
            Some(_) | None => Self::NoRecord(what),
        }
    }

    /// The error that it is at a line, from 1, of a file.
    pub(super) fn at(self, file: &Path, line: u64) -> JournalError {
        let file = file.to_owned();
        match self {
            Self::NoRecord(what) => JournalError::Damaged { file, line, what },
            Self::Newer { version, what } => JournalError::Newer {
                file,
                line,
                version,
                what,
            },
        }
    }

    /// Why, for whoever reads what a check found.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::NoRecord(what) => what.clone(),
            Self::Newer { version, what } => format!(
                "is a record of palisade {version}, which {THIS} can't read ({what}): check it with that release"
            ),
        }
    }
}

/// What each record says of who wrote it, whatever else is in it.
#[derive(Deserialize)]
struct Signed {
    metadata: SignedMetadata,
}

#[derive(Deserialize)]
struct SignedMetadata {
    product: SignedProduct,
}

#[derive(Deserialize)]
struct SignedProduct {
    name: String,
    version: String,
}

impl Glance {
    /// Looks at a line.
    pub(super) fn at(line: &[u8]) -> Result<Self, Unread> {
        Self::read(line).map_err(|what| Unread::of(line, what))
    }

    /// The same; the error says in words why it isn't a record.
    fn read(line: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(line).map_err(|e| format!("is not UTF-8: {e}"))?;
        let raw: Raw =
            serde_json::from_str(text).map_err(|e| format!("is not a record of the guard: {e}"))?;
        let own = raw.unmapped.palisade;
        let what = match (own.phase, own.decision_id) {
            (Phase::Decision, Some(id))
                if own.verdict.is_some_and(Verdict::goes_on) && own.outcome.is_none() =>
            {
                What::Opens(id)
            }
            (Phase::Outcome, Some(id)) => What::Closes(id),
            (Phase::Decision | Phase::Outcome, None) => {
                return Err("is a decision or outcome without `decision_id`".to_owned());
            }
            (Phase::Lifecycle, _) if own.event.as_deref() == Some("start") => What::Start,
            (Phase::Decision | Phase::Tunnel | Phase::Lifecycle, _) => What::Other,
        };
        Ok(Self {
            sequence: raw.metadata.sequence,
            previous: own.previous,
            sealed: own.sealed,
            what,
        })
    }
}

#[derive(Deserialize)]
struct Raw {
    metadata: RawMetadata,
    unmapped: RawUnmapped,
}

#[derive(Deserialize)]
struct RawMetadata {
    sequence: u64,
}

#[derive(Deserialize)]
struct RawUnmapped {
    palisade: RawPalisade,
}

#[derive(Deserialize)]
struct RawPalisade {
    phase: Phase,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    decision_id: Option<DecisionId>,
    #[serde(default)]
    verdict: Option<Verdict>,
    #[serde(default)]
    outcome: Option<Outcome>,
    #[serde(default)]
    sealed: Option<Sealed>,
    previous: Link,
}
