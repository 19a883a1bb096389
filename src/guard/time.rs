//! Times as text: RFC 3339 in UTC with milliseconds, the form that Cedar's `datetime` reads.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use crate::aws::value::Value;

/// A timestamp of AWS's (seconds since the epoch, with or without a fraction, or RFC 3339) as text; `None` where
/// it is neither.
#[must_use]
pub fn rfc3339(value: &Value) -> Option<String> {
    match value {
        Value::Number(seconds) => {
            let seconds: f64 = seconds.as_str().parse().ok()?;
            let millis = (seconds * 1000.0).round();
            if !(-62_135_596_800_000.0..=253_402_300_799_999.0).contains(&millis) {
                return None;
            }
            #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
            text(
                OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis as i64) * 1_000_000)
                    .ok()?,
            )
        }
        Value::String(string) => text(OffsetDateTime::parse(string, &Rfc3339).ok()?),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_) => None,
    }
}

/// A date as HTTP writes it (RFC 9110 section 5.6.7); `None` for anything else.
#[must_use]
pub fn http_date(value: &str) -> Option<String> {
    text(OffsetDateTime::parse(value, &Rfc2822).ok()?)
}

/// A moment as text.
#[must_use]
pub fn of(moment: SystemTime) -> Option<String> {
    text(OffsetDateTime::from(moment))
}

fn text(moment: OffsetDateTime) -> Option<String> {
    let utc = moment.to_offset(time::UtcOffset::UTC);
    let (year, month, day) = utc.to_calendar_date();
    let (hour, minute, second, milli) = utc.to_hms_milli();
    let year = u32::try_from(year).ok().filter(|year| *year <= 9999)?;
    let mut text = String::with_capacity(24);
    for (number, digits, end) in [
        (year, 4, '-'),
        (u32::from(u8::from(month)), 2, '-'),
        (u32::from(day), 2, 'T'),
        (u32::from(hour), 2, ':'),
        (u32::from(minute), 2, ':'),
        (u32::from(second), 2, '.'),
        (u32::from(milli), 3, 'Z'),
    ] {
        for place in (0..digits).rev() {
            text.extend(char::from_digit(number / 10_u32.pow(place) % 10, 10));
        }
        text.push(end);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::value::Number;

    #[test]
    fn both_spellings_of_a_time_read_the_same() {
        let epoch = Value::Number(Number::parse("1767225600.5").unwrap());
        assert_eq!(rfc3339(&epoch).unwrap(), "2026-01-01T00:00:00.500Z");
        let text = Value::String("2026-01-01T01:00:00.5+01:00".into());
        assert_eq!(rfc3339(&text).unwrap(), "2026-01-01T00:00:00.500Z");
    }

    #[test]
    fn a_date_of_http_is_read() {
        let found = http_date("Thu, 01 Jan 2026 00:00:00 GMT").unwrap();
        assert_eq!(found, "2026-01-01T00:00:00.000Z");
        assert_eq!(http_date("2026-01-01"), None);
    }

    #[test]
    fn what_is_no_time_is_none() {
        for bad in [
            Value::String("yesterday".into()),
            Value::Bool(true),
            Value::Number(Number::parse("1e300").unwrap()),
        ] {
            assert_eq!(rfc3339(&bad), None, "{bad:?}");
        }
    }
}
