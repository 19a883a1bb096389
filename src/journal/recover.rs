//! Opens a journal after whatever ended the last guard: finds where the chain ends, seals a torn line, and gives
//! each decision that was left without an outcome the outcome `unknown`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Options;
use super::chain::{Hasher, Link};
use super::draft::Draft;
use super::error::JournalError;
use super::event::{Event, Sealed};
use super::ledger::{Ledger, Tip};
use super::read::{End, Glance, Line, Lines, Unread, What};
use super::record::{Happened, Lifecycle, OutcomeRecord, Pending, Record};
use super::segments::{self, Named};
use crate::guard::call::{DecisionId, Outcome};

/// What was found and done when a journal was opened.
#[derive(Debug, Clone, Default)]
pub struct Recovery {
    /// A torn line at the end, now accounted for.
    pub sealed: Option<Sealed>,
    /// Decisions that were allowed and had no outcome: they may have happened. Oldest first.
    pub unknown: Vec<DecisionId>,
    /// The records that were written for it, in order.
    pub records: Vec<Record>,
}

/// Opens the folder, which it makes where there is none, and takes its lock.
pub(super) fn open(
    dir: &Path,
    options: Options,
    now: SystemTime,
) -> Result<(Ledger, Recovery), JournalError> {
    segments::make_dir(dir)?;
    let lock = segments::lock(dir)?;
    let tail = Tail::find(dir)?;
    let mut ledger = Ledger::new(dir, options, lock, tail.tip)?;
    if tail.unterminated {
        ledger.end_line()?;
    }
    let mut recovery = Recovery {
        sealed: tail.sealed,
        ..Recovery::default()
    };
    if let Some(sealed) = tail.sealed {
        let record = Record::lifecycle(now, Lifecycle::Sealed(sealed));
        recovery.records.push(record);
    }
    for place in &tail.open {
        let (id, record) = unknown(place, now)?;
        recovery.unknown.push(id);
        recovery.records.push(record);
    }
    let drafts: Result<Vec<Draft>, _> = recovery.records.iter().map(Draft::of).collect();
    let mut rest: Vec<_> = recovery.records.iter_mut().zip(drafts?).collect();
    while !rest.is_empty() {
        let lines = rest
            .iter_mut()
            .map(|(record, line)| (&*line, Some(&mut **record)));
        let written = ledger.write(lines)?;
        rest.drain(..written.min(rest.len()));
    }
    Ok((ledger, recovery))
}

/// The end of a journal as it was found.
struct Tail {
    tip: Tip,
    sealed: Option<Sealed>,
    /// Whether the last line lacks its newline.
    unterminated: bool,
    /// Decisions without an outcome, oldest first.
    open: Vec<Place>,
}

/// Where a line stands.
#[derive(Debug, Clone)]
struct Place {
    path: PathBuf,
    number: u64,
    offset: u64,
}

impl Tail {
    /// Reads segments from the last one back, as far as the last start of a guard: what was open before it has its
    /// outcome since. Memory grows with the calls that were in flight, not with the journal.
    fn find(dir: &Path) -> Result<Self, JournalError> {
        let mut named = segments::list(dir)?;
        let mut last = None;
        while let Some(segment) = named.pop() {
            let scan = Scan::of(&segment)?;
            if scan.is_empty() {
                segments::remove_empty(dir, &segment)?;
            } else {
                last = Some(scan);
                break;
            }
        }
        let Some(last) = last else {
            return Ok(Self {
                tip: Tip {
                    segment: None,
                    sequence: 0,
                    previous: Link::FIRST,
                },
                sealed: None,
                unterminated: false,
                open: Vec::new(),
            });
        };
        let (segment, unterminated) = (last.segment, last.unterminated);
        let torn = last.torn;
        let mut good = last.good;
        let mut started = last.started;
        let mut closed = last.closed;
        let mut open = last.open;
        while !started || good.is_none() {
            let Some(segment) = named.pop() else { break };
            let mut earlier = Scan::of(&segment)?;
            good = good.or(earlier.good);
            if !started {
                earlier.open.retain(|id, _| !closed.remove(id));
                closed.extend(earlier.closed);
                open.extend(earlier.open);
                started = earlier.started;
            }
        }
        let (sequence, link) = good.unwrap_or((0, Link::FIRST));
        let sealed = torn.map(|(bytes, sha256)| Sealed {
            bytes,
            sha256,
            after: link,
        });
        let mut open: Vec<Place> = open.into_values().collect();
        open.sort_unstable_by(|a, b| (&a.path, a.offset).cmp(&(&b.path, b.offset)));
        Ok(Self {
            tip: Tip {
                segment: Some(segment),
                sequence,
                previous: sealed.map_or(link, |sealed| sealed.sha256),
            },
            sealed,
            unterminated,
            open,
        })
    }
}

/// What one segment holds.
struct Scan {
    segment: Named,
    /// The sequence and hash of its last good line.
    good: Option<(u64, Link)>,
    /// The length and hash of what follows the last good line, without the last newline.
    torn: Option<(u64, Link)>,
    unterminated: bool,
    /// Whether a guard started in it. What stands before that is settled.
    started: bool,
    /// Decisions without an outcome in it.
    open: HashMap<DecisionId, Place>,
    /// Outcomes of decisions that stand in an earlier one.
    closed: HashSet<DecisionId>,
}

impl Scan {
    fn of(segment: &Named) -> Result<Self, JournalError> {
        let mut scan = Self {
            segment: segment.clone(),
            good: None,
            torn: None,
            unterminated: false,
            started: false,
            open: HashMap::new(),
            closed: HashSet::new(),
        };
        let mut torn = None;
        let mut lines = Lines::open(&segment.path)?;
        while let Some(line) = lines.next()? {
            scan.unterminated = line.end == End::Torn;
            match Glance::at(line.bytes) {
                Ok(glance) => {
                    torn = None;
                    scan.good = Some((glance.sequence, Link::of(line.bytes)));
                    scan.take(&glance, line);
                }
                Err(Unread::NoRecord(_)) => {
                    torn.get_or_insert_with(Torn::default).add(line.bytes);
                }
                Err(newer @ Unread::Newer { .. }) => {
                    return Err(newer.at(&segment.path, line.number));
                }
            }
        }
        scan.torn = torn.map(|t| (t.bytes, t.hasher.link()));
        Ok(scan)
    }

    fn take(&mut self, glance: &Glance, line: Line<'_>) {
        match glance.what {
            What::Opens(id) => {
                let place = Place {
                    path: self.segment.path.clone(),
                    number: line.number,
                    offset: line.offset,
                };
                self.open.insert(id, place);
            }
            What::Closes(id) => {
                if self.open.remove(&id).is_none() {
                    self.closed.insert(id);
                }
            }
            What::Start => {
                self.started = true;
                self.open.clear();
                self.closed.clear();
            }
            What::Other => {}
        }
    }

    const fn is_empty(&self) -> bool {
        self.good.is_none() && self.torn.is_none()
    }
}

/// Bytes that are no record, line after line.
#[derive(Default)]
pub(super) struct Torn {
    pub(super) bytes: u64,
    lines: u64,
    pub(super) hasher: Hasher,
}

impl Torn {
    /// Adds a line, given without its newline.
    pub(super) fn add(&mut self, line: &[u8]) {
        if self.lines > 0 {
            self.hasher.update(b"\n");
            self.bytes = self.bytes.saturating_add(1);
        }
        self.lines = self.lines.saturating_add(1);
        self.hasher.update(line);
        let len = u64::try_from(line.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(len);
    }
}

fn unknown(place: &Place, now: SystemTime) -> Result<(DecisionId, Record), JournalError> {
    let damaged = |what: String| JournalError::Damaged {
        file: place.path.clone(),
        line: place.number,
        what,
    };
    let mut lines = Lines::open_at(&place.path, place.offset)?;
    let Some(line) = lines.next()? else {
        return Err(damaged("changed while it was read".to_owned()));
    };
    let event: Box<Event> = serde_json::from_slice(line.bytes).map_err(|e| {
        let what = format!("cannot be read as a decision: {e}");
        Unread::of(line.bytes, what).at(&place.path, place.number)
    })?;
    let Some(pending) = Pending::of(event) else {
        return Err(damaged("changed while it was read".to_owned()));
    };
    let Some(id) = pending.decision_id() else {
        return Err(damaged("is a decision without `decision_id`".to_owned()));
    };
    let mut record = Record::outcome(OutcomeRecord {
        time: now,
        pending,
        happened: Happened {
            outcome: Outcome::Unknown,
            upstream_status: None,
            aws_request_id: None,
            error: None,
            error_message: Some(
                "the guard stopped before the outcome was recorded; ask AWS what happened"
                    .to_owned(),
            ),
        },
    });
    record.event.unmapped.palisade.reason = Some(RECOVERED.into());
    Ok((id, record))
}

/// The reason of an outcome that was written at the next start.
const RECOVERED: &str = "recovered_at_start";
