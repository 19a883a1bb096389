//! The clock, against the `Date` of an answer. Pure.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::finding::Finding;

/// How far off a signature may be: AWS and the guard refuse what is further.
const SKEW_MAX: Duration = Duration::from_secs(5 * 60);
/// From here on it is told.
const SKEW_TOLD: Duration = Duration::from_secs(60);

/// Compares the clock with an answer's `Date` (RFC 9110, section 5.6.7); `whose` is who answered.
pub(super) fn check(check: &str, date: Option<&str>, now: SystemTime, whose: &str) -> Finding {
    let Some(theirs) = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok()) else {
        return Finding::skipped(check, format!("the answer of {whose} has no `Date`"));
    };
    let ours = OffsetDateTime::from(now);
    let (off, way) = if ours < theirs {
        (theirs - ours, "behind")
    } else {
        (ours - theirs, "ahead of")
    };
    let off = off.unsigned_abs();
    let fix = "set the clock, and have it kept: `timedatectl set-ntp true`";
    let what = format!("the clock is {} s {way} that of {whose}", off.as_secs());
    if off > SKEW_MAX {
        let what = format!("{what}: signatures are refused from five minutes on");
        return Finding::fault(check, what, fix);
    }
    if off > SKEW_TOLD {
        return Finding::warning(check, what, fix);
    }
    Finding::ok(check, format!("the clock agrees with that of {whose}"))
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[test]
    fn a_clock_that_breaks_signatures_is_a_fault() {
        let date = "Sat, 21 Nov 2026 10:00:00 GMT";
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_255_200);
        let found = |now| check("host.clock", Some(date), now, "AWS");
        assert_eq!(found(noon).state, State::Ok);
        for (seconds, state) in [(30, State::Ok), (120, State::Warning), (301, State::Fault)] {
            let off = Duration::from_secs(seconds);
            let (ahead, behind) = (found(noon + off), found(noon - off));
            assert_eq!((ahead.state, behind.state), (state, state), "{seconds}");
            if state == State::Fault {
                assert!(
                    ahead.what.contains("301 s ahead of that of AWS"),
                    "{ahead:?}"
                );
                assert!(
                    behind.what.contains("301 s behind that of AWS"),
                    "{behind:?}"
                );
            }
        }
    }

    #[test]
    fn without_a_date_nothing_is_said() {
        let now = SystemTime::UNIX_EPOCH;
        for date in [None, Some("yesterday")] {
            assert_eq!(check("c", date, now, "AWS").state, State::Skipped);
        }
    }
}
