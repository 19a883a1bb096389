//! The date of a signature, in AWS's basic ISO 8601 form.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::format_description::well_known::Rfc2822;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// The first second that doesn't have a four-digit year.
const END: i64 = 253_402_300_800;

/// A second between 1970 and 9999, so that it can be written and handed to a signer without fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instant(OffsetDateTime);

impl Instant {
    /// The second that a moment falls in; `None` outside 1970 to 9999.
    pub(super) fn of(moment: SystemTime) -> Option<Self> {
        let seconds = moment.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Self::from_unix(i64::try_from(seconds).ok()?)
    }

    /// Reads `YYYYMMDD'T'HHMMSS'Z'`.
    pub(super) fn parse_iso(text: &str) -> Option<Self> {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        if date.len() != 8 || time.len() != 6 || !date.bytes().chain(time.bytes()).all(is_digit) {
            return None;
        }
        let month = Month::try_from(date.get(4..6)?.parse::<u8>().ok()?).ok()?;
        let date = Date::from_calendar_date(number(date, 0, 4)?, month, number(date, 6, 8)?);
        let time = Time::from_hms(
            number(time, 0, 2)?,
            number(time, 2, 4)?,
            number(time, 4, 6)?,
        );
        let moment = PrimitiveDateTime::new(date.ok()?, time.ok()?).assume_utc();
        Self::from_unix(moment.unix_timestamp())
    }

    /// Reads an HTTP date, `Sun, 30 Aug 2015 12:36:00 GMT`.
    pub(super) fn parse_http(text: &str) -> Option<Self> {
        if !text.ends_with(" GMT") {
            return None;
        }
        let moment = OffsetDateTime::parse(text, &Rfc2822).ok()?;
        Self::from_unix(moment.unix_timestamp())
    }

    pub(super) fn unix_seconds(self) -> i64 {
        self.0.unix_timestamp()
    }

    pub(super) fn system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.0.unix_timestamp().unsigned_abs())
    }

    /// Which day it is, counted from some day on.
    pub(super) fn day(self) -> i64 {
        self.unix_seconds().div_euclid(24 * 60 * 60)
    }

    /// `YYYYMMDD`.
    pub(super) fn date(self) -> String {
        let (year, month, day) = self.0.to_calendar_date();
        let mut text = String::with_capacity(16);
        two_digits(year.unsigned_abs() / 100, &mut text);
        two_digits(year.unsigned_abs(), &mut text);
        two_digits(u8::from(month), &mut text);
        two_digits(day, &mut text);
        text
    }

    /// `YYYYMMDD'T'HHMMSS'Z'`.
    pub(super) fn iso(self) -> String {
        let (hour, minute, second) = self.0.to_hms();
        let mut text = self.date();
        text.push('T');
        two_digits(hour, &mut text);
        two_digits(minute, &mut text);
        two_digits(second, &mut text);
        text.push('Z');
        text
    }

    fn from_unix(seconds: i64) -> Option<Self> {
        if !(0..END).contains(&seconds) {
            return None;
        }
        OffsetDateTime::from_unix_timestamp(seconds).ok().map(Self)
    }
}

/// The last two digits of a number.
fn two_digits(number: impl Into<u32>, text: &mut String) {
    let number: u32 = number.into();
    for digit in [number / 10 % 10, number % 10] {
        text.push(char::from_digit(digit, 10).unwrap_or_default());
    }
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

fn number<N: std::str::FromStr>(text: &str, from: usize, to: usize) -> Option<N> {
    text.get(from..to)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_both_forms_and_written_in_one() {
        let iso = Instant::parse_iso("20150830T123600Z").unwrap();
        assert_eq!(iso.unix_seconds(), 1_440_938_160);
        assert_eq!(iso.iso(), "20150830T123600Z");
        assert_eq!(Instant::of(iso.system_time()), Some(iso));
        let http = Instant::parse_http("Sun, 30 Aug 2015 12:36:00 GMT");
        assert_eq!(http, Some(iso));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for bad in [
            "",
            "20150830",
            "20150830T123600",
            "20150830T12360Z",
            "20150830T1236000Z",
            "20151330T123600Z",
            "20150832T123600Z",
            "20150830T243600Z",
            "20150830T126000Z",
            "+0150830T123600Z",
            "2015083éT123600Z",
            "19691231T235959Z",
            "2015-08-30T12:36:00Z",
            "20150830t123600z",
        ] {
            assert_eq!(Instant::parse_iso(bad), None, "{bad}");
        }
        for bad in [
            "",
            "Sun, 30 Aug 2015 12:36:00 +0200",
            "Sun, 30 Aug 2015 12:36:00",
            "30 Agu 2015 12:36:00 GMT",
        ] {
            assert_eq!(Instant::parse_http(bad), None, "{bad}");
        }
    }

    #[test]
    fn moments_without_a_four_digit_year_are_none() {
        let end = u64::try_from(END).unwrap();
        assert!(Instant::of(UNIX_EPOCH + Duration::from_secs(end - 1)).is_some());
        assert_eq!(Instant::of(UNIX_EPOCH + Duration::from_secs(end)), None);
        assert_eq!(Instant::of(UNIX_EPOCH - Duration::from_secs(1)), None);
    }
}
