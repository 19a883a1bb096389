//! The end of the chain: gives each record its place, writes batches, turns segments over, and after a failure
//! makes the file whole again before anything else is written.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Options;
use super::bound::LINE_BYTES_MAX;
use super::chain::Link;
use super::draft::Draft;
use super::error::JournalError;
use super::record::Record;
use super::segments::{AppendError, Named, Segment};
use super::status::Status;

/// What writes. There is one for a folder.
#[derive(Debug)]
pub(super) struct Ledger {
    dir: PathBuf,
    options: Options,
    segment: Option<Segment>,
    soundness: Soundness,
    /// Of the last line; 0 before the first.
    sequence: u64,
    previous: Previous,
    /// INVARIANT: while `previous` is a line, this holds the batch that was written last. That becomes a link before this
    /// is cleared.
    buffer: Vec<u8>,
    status: Arc<Status>,
    #[cfg(test)]
    faults: Arc<super::segments::faults::Faults>,
    /// Held for as long as this writes.
    _lock: File,
}

/// Whether the segment can be appended to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Soundness {
    Sound,
    /// It may hold part of a batch that failed: cut it off first.
    Torn,
    /// As well, the kernel may have dropped pages of it: cut, then leave it.
    Suspect,
}

/// What the next line is linked to.
#[derive(Debug, Clone, Copy)]
enum Previous {
    Link(Link),
    /// The line that begins there in the buffer, and is its last.
    Line(usize),
}

/// Where the chain ends.
#[derive(Debug, Clone)]
pub(super) struct Tip {
    pub(super) segment: Option<Named>,
    pub(super) sequence: u64,
    pub(super) previous: Link,
}

impl Ledger {
    pub(super) fn new(
        dir: &Path,
        options: Options,
        lock: File,
        tip: Tip,
    ) -> Result<Self, JournalError> {
        #[cfg(test)]
        let faults = Arc::new(super::segments::faults::Faults::default());
        let segment = match tip.segment {
            Some(named) => Some(Segment::resume(
                named,
                #[cfg(test)]
                Arc::clone(&faults),
            )?),
            None => None,
        };
        Ok(Self {
            dir: dir.to_owned(),
            status: Arc::new(Status::new(tip.sequence)),
            options,
            segment,
            soundness: Soundness::Sound,
            sequence: tip.sequence,
            previous: Previous::Link(tip.previous),
            buffer: Vec::new(),
            #[cfg(test)]
            faults,
            _lock: lock,
        })
    }

    pub(super) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    #[cfg(test)]
    pub(super) fn faults(&self) -> Arc<super::segments::faults::Faults> {
        Arc::clone(&self.faults)
    }

    /// Ends a line that a crash left without its newline.
    pub(super) fn end_line(&mut self) -> Result<(), JournalError> {
        match &mut self.segment {
            Some(segment) => segment
                .append(b"\n", self.options.durability)
                .map_err(|e| match e {
                    AppendError::Write(e) | AppendError::Sync(e) => e,
                }),
            None => Ok(()),
        }
    }

    /// Gives lines their place, and the records of those that somebody waits for too; writes as many as one batch and the
    /// segment hold, at least one if there is one, and says how many. After an error none of them is in the journal.
    pub(super) fn write<'a>(
        &mut self,
        lines: impl Iterator<Item = (&'a Draft, Option<&'a mut Record>)>,
    ) -> Result<usize, JournalError> {
        self.mend()?;
        let room = usize::try_from(self.room()?).unwrap_or(usize::MAX);
        let (count, sequence, last) = self.lay_out(lines, room.min(BATCH_BYTES_MAX));
        let Some(segment) = &mut self.segment else {
            return Ok(0);
        };
        match segment.append(&self.buffer, self.options.durability) {
            Ok(()) => {
                self.sequence = sequence;
                self.previous = last;
                self.status.written(sequence);
                Ok(count)
            }
            Err(failure) => {
                let error = match failure {
                    AppendError::Write(error) => {
                        self.soundness = Soundness::Torn;
                        error
                    }
                    AppendError::Sync(error) => {
                        self.soundness = Soundness::Suspect;
                        error
                    }
                };
                // Where this fails too, it's tried again before the next batch.
                let _ = self.mend();
                Err(error)
            }
        }
    }

    /// Works out the link to the last line, which nobody needs before the next: whoever waits for the last is answered
    /// first.
    pub(super) fn work_out_link(&mut self) {
        self.previous = Previous::Link(self.link_to(self.previous));
    }

    fn link_to(&self, previous: Previous) -> Link {
        match previous {
            Previous::Link(link) => link,
            Previous::Line(begin) => {
                let line = self.buffer.get(begin..).unwrap_or_default();
                Link::of(line.strip_suffix(b"\n").unwrap_or(line))
            }
        }
    }

    /// Puts lines into the buffer: how many, the sequence of the last, and what the line after it is linked to.
    fn lay_out<'a>(
        &mut self,
        lines: impl Iterator<Item = (&'a Draft, Option<&'a mut Record>)>,
        bytes_max: usize,
    ) -> (usize, u64, Previous) {
        let (mut count, mut sequence) = (0, self.sequence);
        self.work_out_link();
        let mut last = self.previous;
        self.buffer.clear();
        self.buffer.shrink_to(BATCH_BYTES_MAX);
        for (draft, record) in lines {
            let previous = self.link_to(last);
            last = Previous::Line(self.buffer.len());
            sequence = sequence.saturating_add(1);
            if let Some(record) = record {
                record.event.metadata.sequence = sequence;
                record.event.unmapped.palisade.previous = previous;
            }
            draft.write(sequence, previous, &mut self.buffer);
            self.buffer.push(b'\n');
            count += 1;
            if self.buffer.len() >= bytes_max {
                break;
            }
        }
        (count, sequence, last)
    }

    /// Turns the segment over where it is full or there is none: how many bytes the one at hand has room for.
    fn room(&mut self) -> Result<u64, JournalError> {
        let bytes_max = self.options.segment_bytes_max;
        if let Some(segment) = &self.segment {
            // One that holds nothing but a torn line has the name that the next one would have.
            let nameless = segment.first() > self.sequence;
            if nameless || segment.len() < bytes_max {
                return Ok(bytes_max.saturating_sub(segment.len()));
            }
        }
        self.segment = None;
        self.segment = Some(Segment::create(
            &self.dir,
            self.sequence.saturating_add(1),
            #[cfg(test)]
            Arc::clone(&self.faults),
        )?);
        Ok(bytes_max)
    }

    /// Makes the segment sound after a failure, or leaves it behind.
    fn mend(&mut self) -> Result<(), JournalError> {
        let Some(segment) = &mut self.segment else {
            self.soundness = Soundness::Sound;
            return Ok(());
        };
        match self.soundness {
            Soundness::Sound => {}
            Soundness::Torn => segment.rewind()?,
            Soundness::Suspect => {
                segment.rewind()?;
                if let Some(segment) = self.segment.take() {
                    segment.retire(&self.dir)?;
                }
            }
        }
        self.soundness = Soundness::Sound;
        Ok(())
    }
}

/// What is written at once; one more line may go beyond it.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A torn batch can be read back.
const _: () = assert!(BATCH_BYTES_MAX + LINE_BYTES_MAX + 1 < super::read::RUN_BYTES_MAX);
