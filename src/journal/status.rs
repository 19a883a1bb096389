//! How the journal is doing, for health checks and metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::JournalError;

/// How the journal is doing. Shared by its writer and whoever asks.
#[derive(Debug)]
pub struct Status {
    sequence: AtomicU64,
    batches: AtomicU64,
    failing: AtomicBool,
    failure: Mutex<Option<JournalError>>,
}

impl Status {
    pub(super) const fn new(sequence: u64) -> Self {
        Self {
            sequence: AtomicU64::new(sequence),
            batches: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// The sequence of the last line that was written; 0 before the first.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// How many batches were written, each with one fsync where `fsync` is set.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Acquire)
    }

    /// Whether the last attempt to write failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// Why the last attempt to write failed; `None` where it did not.
    #[must_use]
    pub fn failure(&self) -> Option<JournalError> {
        if self.is_failing() {
            self.slot().clone()
        } else {
            None
        }
    }

    pub(super) fn written(&self, sequence: u64) {
        self.batches.fetch_add(1, Ordering::AcqRel);
        self.sequence.store(sequence, Ordering::Release);
        if self.is_failing() {
            self.failing.store(false, Ordering::Release);
            *self.slot() = None;
        }
    }

    pub(super) fn failed(&self, error: JournalError) {
        *self.slot() = Some(error);
        self.failing.store(true, Ordering::Release);
    }

    fn slot(&self) -> MutexGuard<'_, Option<JournalError>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
