//! How long a lookup takes and how it ends, told once whatever becomes of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::{LookupOutcome, Watch};
use crate::guard::facts::EnquiryError;

/// A lookup under way. Where it is dropped without an end, time has run out: it has failed; unless it was `given_up`, since
/// another lookup of the call has decided already.
#[derive(Debug)]
pub(super) struct Timing<'a> {
    watch: &'a dyn Watch,
    lookup: String,
    begun: Instant,
    given_up: &'a AtomicBool,
    is_told: bool,
}

impl<'a> Timing<'a> {
    pub(super) fn begin(watch: &'a dyn Watch, lookup: String, given_up: &'a AtomicBool) -> Self {
        Self {
            watch,
            lookup,
            begun: Instant::now(),
            given_up,
            is_told: false,
        }
    }

    /// Tells how it ended.
    pub(super) fn end(mut self, outcome: LookupOutcome) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: LookupOutcome) {
        self.is_told = true;
        self.watch
            .lookup_took(&self.lookup, outcome, self.begun.elapsed());
    }
}

impl Drop for Timing<'_> {
    fn drop(&mut self) {
        if !self.is_told && !self.given_up.load(Ordering::Relaxed) {
            self.tell(LookupOutcome::Failed);
        }
    }
}

impl LookupOutcome {
    /// How a lookup ended that AWS answered, with an error or not, by what was made of the answer.
    pub(super) const fn of(is_error: bool, absorbed: &Result<(), EnquiryError>) -> Self {
        match absorbed {
            Ok(()) if is_error => LookupOutcome::Absent,
            Ok(()) | Err(EnquiryError::NoWay { .. } | EnquiryError::Unresolvable { .. }) => {
                LookupOutcome::Found
            }
            Err(EnquiryError::UnknownId { .. }) => LookupOutcome::Absent,
            Err(
                EnquiryError::Denied { .. }
                | EnquiryError::Rejected { .. }
                | EnquiryError::Failed { .. },
            ) => LookupOutcome::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<(String, LookupOutcome)>>);

    impl Watch for Told {
        fn lookup_took(&self, lookup: &str, outcome: LookupOutcome, _: Duration) {
            self.0.lock().unwrap().push((lookup.to_owned(), outcome));
        }
    }

    #[track_caller]
    fn check(act: impl FnOnce(Timing<'_>, &AtomicBool), expected: &[LookupOutcome]) {
        let (told, given_up) = (Told::default(), AtomicBool::new(false));
        act(
            Timing::begin(&told, "mgn:DescribeSourceServers".to_owned(), &given_up),
            &given_up,
        );
        let told = told.0.into_inner().unwrap();
        let expected = expected
            .iter()
            .map(|outcome| ("mgn:DescribeSourceServers".to_owned(), *outcome));
        assert_eq!(told, expected.collect::<Vec<_>>());
    }

    #[test]
    fn an_end_is_told_once() {
        check(
            |timing, _| timing.end(LookupOutcome::Found),
            &[LookupOutcome::Found],
        );
    }

    #[test]
    fn what_runs_out_of_time_has_failed() {
        check(|timing, _| drop(timing), &[LookupOutcome::Failed]);
    }

    #[test]
    fn what_is_given_up_has_no_end() {
        check(
            |timing, given_up| {
                given_up.store(true, Ordering::Relaxed);
                drop(timing);
            },
            &[],
        );
    }

    #[test]
    fn a_throttled_lookup_is_no_absent_thing() {
        let operation = || "DescribeTags".to_owned();
        let message = String::new;
        let failed = Err(EnquiryError::Failed {
            operation: operation(),
            message: message(),
        });
        let denied = Err(EnquiryError::Denied {
            operation: operation(),
            message: message(),
        });
        let unknown = Err(EnquiryError::UnknownId { ids: Vec::new() });
        assert_eq!(LookupOutcome::of(true, &failed), LookupOutcome::Failed);
        assert_eq!(LookupOutcome::of(true, &denied), LookupOutcome::Failed);
        assert_eq!(LookupOutcome::of(true, &unknown), LookupOutcome::Absent);
        assert_eq!(LookupOutcome::of(false, &unknown), LookupOutcome::Absent);
        assert_eq!(LookupOutcome::of(true, &Ok(())), LookupOutcome::Absent);
        assert_eq!(LookupOutcome::of(false, &Ok(())), LookupOutcome::Found);
    }
}
