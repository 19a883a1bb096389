//! Checks a journal from its first line to its last, in memory that grows with the calls in flight alone: the chain,
//! the sequence, that each line is a record, and that each allowed decision has its outcome.
//!
//! What it can't see: a journal whose last lines, or all of whose lines, were written anew by somebody who could.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::chain::Link;
use super::error::JournalError;
use super::read::{End, Glance, Line, Lines, Unread, What};
use super::recover::Torn;
use super::segments::{self, Named};
use crate::guard::call::DecisionId;

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    pub segments: usize,
    /// Good lines.
    pub records: u64,
    /// The sequence of the last good line; 0 where there is none.
    pub sequence: u64,
    /// The hash of the last good line: keep it elsewhere, and a journal cut short later can be told.
    pub head: Link,
    /// Decisions whose outcome stands in a line of its own.
    pub decisions: u64,
    /// Decisions whose outcome isn't there yet, where a guard is running.
    pub in_flight: usize,
    /// Whether a guard holds the journal open.
    pub running: bool,
    /// Torn lines that a later line accounts for.
    pub sealed: Vec<SealedLine>,
    /// The first thing that is wrong.
    pub problem: Option<Problem>,
}

/// A torn line that is accounted for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SealedLine {
    pub file: PathBuf,
    pub line: u64,
    pub bytes: u64,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub file: PathBuf,
    /// From 1.
    pub line: u64,
    pub what: String,
}

impl Verification {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.problem.is_none()
    }
}

/// Checks the journal in a folder, or a copy of it. It may be written meanwhile.
///
/// # Errors
/// Where a file can't be read. What is wrong with the journal is not an error but its result.
pub fn verify(dir: &Path) -> Result<Verification, JournalError> {
    let running = segments::is_locked(dir);
    let named = match segments::list(dir) {
        Ok(named) => named,
        Err(JournalError::Damaged { file, line, what }) => {
            let mut walk = Walk::new(running, 0);
            walk.found(&Spot { file, line }, what);
            return Ok(walk.result);
        }
        Err(error) => return Err(error),
    };
    let mut walk = Walk::new(running, named.len());
    for segment in &named {
        walk.segment(segment)?;
        if !walk.result.is_sound() {
            return Ok(walk.result);
        }
    }
    walk.finish();
    Ok(walk.result)
}

struct Walk {
    result: Verification,
    /// Allowed decisions whose outcome hasn't come yet.
    open: HashMap<DecisionId, Spot>,
    /// What is no record, since the last good line.
    torn: Option<(Torn, Spot, String)>,
    /// Whether the last line lacks its newline.
    unterminated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    file: PathBuf,
    line: u64,
}

impl Walk {
    fn new(running: bool, segments: usize) -> Self {
        Self {
            result: Verification {
                segments,
                records: 0,
                sequence: 0,
                head: Link::FIRST,
                decisions: 0,
                in_flight: 0,
                running,
                sealed: Vec::new(),
                problem: None,
            },
            open: HashMap::new(),
            torn: None,
            unterminated: false,
        }
    }

    fn segment(&mut self, segment: &Named) -> Result<(), JournalError> {
        let mut lines = Lines::open(&segment.path)?;
        let expected = self.result.sequence.saturating_add(1);
        if segment.first != expected {
            let what = format!(
                "the segment's name says that it begins with {}, but {expected} is the next",
                segment.first
            );
            self.found(&Spot::at(segment, 1), what);
        }
        while self.result.is_sound() {
            match lines.next() {
                Ok(Some(line)) => self.line(segment, line),
                Ok(None) => break,
                Err(JournalError::Damaged { file, line, what }) => {
                    self.found(&Spot { file, line }, what);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn line(&mut self, segment: &Named, line: Line<'_>) {
        let spot = Spot::at(segment, line.number);
        if self.unterminated {
            self.found(
                &spot,
                "the segment before ends in the middle of a line".to_owned(),
            );
            return;
        }
        self.unterminated = line.end == End::Torn;
        let glance = match Glance::at(line.bytes) {
            Ok(glance) => glance,
            Err(newer @ Unread::Newer { .. }) => return self.found(&spot, newer.in_words()),
            Err(other @ Unread::NoRecord(_)) => {
                let (torn, _, _) = self
                    .torn
                    .get_or_insert_with(|| (Torn::default(), spot, other.in_words()));
                torn.add(line.bytes);
                return;
            }
        };
        let before = match self.torn.take() {
            None => self.result.head,
            Some((torn, at, what)) => match self.unseal(torn, &at, &glance) {
                Some(link) => link,
                None => return self.found(&at, what),
            },
        };
        if glance.previous != before {
            let what = format!(
                "`previous` is {}, but the line before hashes to {before}: that line was changed, or lines were taken out or put in",
                glance.previous
            );
            return self.found(&spot, what);
        }
        let expected = self.result.sequence.saturating_add(1);
        if glance.sequence != expected {
            let what = format!(
                "the sequence is {}, but {expected} is the next",
                glance.sequence
            );
            return self.found(&spot, what);
        }
        self.result.sequence = glance.sequence;
        self.result.head = Link::of(line.bytes);
        self.result.records = self.result.records.saturating_add(1);
        self.pair(glance.what, spot);
    }

    /// The hash of torn lines, where this line accounts for them.
    fn unseal(&mut self, torn: Torn, at: &Spot, glance: &Glance) -> Option<Link> {
        let bytes = torn.bytes;
        let link = torn.hasher.link();
        let sealed = glance.sealed?;
        if sealed.sha256 != link || sealed.after != self.result.head || sealed.bytes != bytes {
            return None;
        }
        self.result.sealed.push(SealedLine {
            file: at.file.clone(),
            line: at.line,
            bytes,
        });
        Some(link)
    }

    /// Pairs decisions with outcomes.
    fn pair(&mut self, what: What, spot: Spot) {
        match what {
            What::Opens(id) => {
                self.result.decisions = self.result.decisions.saturating_add(1);
                if self.open.insert(id, spot.clone()).is_some() {
                    self.found(&spot, format!("the decision {id} stands here again"));
                }
            }
            What::Closes(id) => {
                if self.open.remove(&id).is_none() {
                    let what = format!("an outcome of {id}, which has none to come");
                    self.found(&spot, what);
                }
            }
            What::Start => self.settled("a later start of the guard should have recorded one"),
            What::Other => {}
        }
    }

    /// No decision may be open here.
    fn settled(&mut self, why: &str) {
        if let Some((spot, id)) = self
            .open
            .iter()
            .map(|(id, spot)| (spot, id))
            .min_by_key(|(spot, _)| *spot)
        {
            let (spot, what) = (
                spot.clone(),
                format!("the allowed decision {id} has no outcome; {why}"),
            );
            self.found(&spot, what);
        }
    }

    fn finish(&mut self) {
        if self.result.running {
            self.result.in_flight = self.open.len();
            // The last line is being written.
            if let Some((_, at, what)) = self.torn.take()
                && !self.unterminated
            {
                self.found(&at, what);
            }
            return;
        }
        if let Some((_, at, what)) = self.torn.take() {
            self.found(
                &at,
                format!("{what}; the next start of the guard accounts for a torn line"),
            );
        }
        self.settled("the next start of the guard records one");
    }

    fn found(&mut self, spot: &Spot, what: String) {
        self.result.problem.get_or_insert_with(|| Problem {
            file: spot.file.clone(),
            line: spot.line,
            what,
        });
    }
}

impl Spot {
    fn at(segment: &Named, line: u64) -> Self {
        Self {
            file: segment.path.clone(),
            line,
        }
    }
}
