//! Keeps a line within bounds, whatever an outsider sends: text is clipped, what is too large is replaced by its
//! hash and length, so that it's never lost without a trace.

use std::io;

use serde_json::{Value, json};

use super::chain::Link;

/// `input`, `facts` and `context` of one record together, as JSON.
pub(super) const BULK_BYTES_MAX: usize = 256 * 1024;
/// One line. Only a call that names tens of thousands of resources comes near it; it's refused.
pub(super) const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;
pub(super) const USER_AGENT_BYTES_MAX: usize = 1024;
pub(super) const MESSAGE_BYTES_MAX: usize = 4096;
pub(super) const CODE_BYTES_MAX: usize = 256;

/// The text, cut at a character's end if it is longer than `bytes_max`; `…` then ends it.
pub(super) fn clip(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        let end = text.floor_char_boundary(bytes_max.saturating_sub('…'.len_utf8()));
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Replaces the largest values by their hashes until what remains is at most [`BULK_BYTES_MAX`].
pub(super) fn shrink<const N: usize>(values: [&mut Value; N]) {
    if values
        .iter()
        .map(|value| json_bytes_max(value))
        .sum::<usize>()
        <= BULK_BYTES_MAX
    {
        return;
    }
    let mut sized = values.map(|value| (json_bytes(value), value));
    sized.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let mut total: usize = sized.iter().map(|(bytes, _)| bytes).sum();
    for (bytes, value) in sized {
        if total <= BULK_BYTES_MAX {
            return;
        }
        *value = stand_in(value, bytes);
        total = total.saturating_sub(bytes);
    }
}

/// How long a value is as JSON.
pub(super) fn json_bytes(value: &impl serde::Serialize) -> usize {
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX,
    }
}

/// What a value is at most as JSON, without making it: nearly all are far from any bound.
fn json_bytes_max(value: &Value) -> usize {
    // A control character is written as six, a character of several bytes as it is.
    let text = |text: &str| text.len().saturating_mul(6) + 2;
    let sum = |bytes: usize, more: usize| bytes.saturating_add(more).saturating_add(2);
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 32,
        Value::String(string) => text(string),
        Value::Array(items) => items.iter().map(json_bytes_max).fold(2, sum),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| text(name).saturating_add(json_bytes_max(value)))
            .fold(2, sum),
    }
}

fn stand_in(value: &Value, bytes: usize) -> Value {
    json!({
        "left_out": "larger than a record may be",
        "bytes": bytes,
        "sha256": Link::of(value.to_string().as_bytes()).to_string(),
    })
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_characters_end() {
        assert_eq!(clip("ääää".to_owned(), 8), "ääää");
        assert_eq!(clip("äääää".to_owned(), 8), "ää…");
        assert!(clip("ä".repeat(100), 8).len() <= 8);
    }

    #[test]
    fn no_value_is_longer_than_what_it_is_taken_for_at_most() {
        let values = [
            json!(null),
            json!(false),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(-f64::MIN_POSITIVE / 3.0),
            json!(f64::MAX),
            json!("\u{0}\u{1f}\"\\\u{7f}äöü€𝄞\n"),
            json!([]),
            json!({}),
            json!([null, [false, [[[-1.5e-300]]]], {"\u{1}": {"\u{2}": "\u{3}"}}]),
            json!({"a": 1, "b": [true, "x"], "c": {"d": null}}),
        ];
        for value in &values {
            assert!(json_bytes_max(value) >= json_bytes(value), "{value}");
        }
        let all = Value::from(values.to_vec());
        assert!(json_bytes_max(&all) >= json_bytes(&all));
    }

    #[test]
    fn only_what_is_too_large_is_replaced_and_its_hash_stays() {
        let mut large = Value::from("x".repeat(BULK_BYTES_MAX));
        let whole = large.to_string();
        let mut small = json!({"State": "AVAILABLE"});
        shrink([&mut small, &mut large]);
        assert_eq!(small, json!({"State": "AVAILABLE"}));
        assert_eq!(
            large["sha256"],
            Link::of(whole.as_bytes()).to_string().as_str()
        );
        assert_eq!(large["bytes"], whole.len());
    }
}
