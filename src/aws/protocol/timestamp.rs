//! How timestamps are spelt: checked, and kept as the text or number that they came as.

use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use crate::aws::catalog::model::TimestampFormat;
use crate::aws::value::Value;

use super::typed::TypeReason;

/// Checks that a value is a timestamp in that format: a number of seconds, or a text.
///
/// # Errors
/// [`TypeReason::Timestamp`], naming the format.
pub(super) fn check(format: TimestampFormat, value: &Value) -> Result<(), TypeReason> {
    let good = match (format, value) {
        (TimestampFormat::EpochSeconds, Value::Number(n)) => {
            n.as_str().parse::<f64>().is_ok_and(f64::is_finite)
        }
        (TimestampFormat::DateTime, Value::String(s)) => OffsetDateTime::parse(s, &Rfc3339).is_ok(),
        (TimestampFormat::HttpDate, Value::String(s)) => is_http_date(s),
        (
            TimestampFormat::EpochSeconds | TimestampFormat::DateTime | TimestampFormat::HttpDate,
            _,
        ) => false,
    };
    if good {
        return Ok(());
    }
    Err(TypeReason::Timestamp {
        expected: name(format),
    })
}

const fn name(format: TimestampFormat) -> &'static str {
    match format {
        TimestampFormat::EpochSeconds => "a number of seconds since 1970",
        TimestampFormat::DateTime => "`2026-01-31T12:00:00Z`",
        TimestampFormat::HttpDate => "`Sat, 31 Jan 2026 12:00:00 GMT`",
    }
}

/// RFC 9110's IMF-fixdate.
fn is_http_date(text: &str) -> bool {
    text.len() == 29 && text.ends_with(" GMT") && OffsetDateTime::parse(text, &Rfc2822).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_takes_its_own_spelling_only() {
        let epoch = Value::Number(1_700_000_000.into());
        let date_time = Value::String("2026-01-31T12:00:00.5Z".into());
        let http_date = Value::String("Sat, 31 Jan 2026 12:00:00 GMT".into());
        let all = [&epoch, &date_time, &http_date];
        let accepted = |format| all.map(|v| check(format, v).is_ok());
        assert_eq!(
            accepted(TimestampFormat::EpochSeconds),
            [true, false, false]
        );
        assert_eq!(accepted(TimestampFormat::DateTime), [false, true, false]);
        assert_eq!(accepted(TimestampFormat::HttpDate), [false, false, true]);
    }
}
