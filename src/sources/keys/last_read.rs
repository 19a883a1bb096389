//! When the ledger was last read well, on a clock that nobody sets: shared by all guards of a process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// A time that only moves on.
#[derive(Debug)]
pub(super) struct LastRead {
    origin: Instant,
    /// Since `origin`.
    nanoseconds: AtomicU64,
}

impl LastRead {
    pub(super) const fn new(time: Instant) -> Self {
        Self {
            origin: time,
            nanoseconds: AtomicU64::new(0),
        }
    }

    /// Takes a later time; an earlier one changes nothing.
    pub(super) fn advance(&self, time: Instant) {
        let since = time.saturating_duration_since(self.origin).as_nanos();
        // Five centuries after the start there is no later time.
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_max(since, Ordering::Relaxed);
    }

    pub(super) fn elapsed(&self) -> Duration {
        let last = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed));
        self.origin.elapsed().saturating_sub(last)
    }
}
