//! Keeps a line within bounds, whatever an outsider sends: text is clipped, what is too large is replaced by its
//! hash and length, so that it's never lost without a trace.

use serde_json::json;

use super::chain::Link;
use super::json_text::JsonText;

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
pub(super) fn shrink<const N: usize>(mut values: [&mut JsonText; N]) {
    let bytes = |value: &JsonText| value.as_str().len();
    let mut total: usize = values.iter().map(|value| bytes(value)).sum();
    if total <= BULK_BYTES_MAX {
        return;
    }
    values.sort_unstable_by_key(|value| std::cmp::Reverse(bytes(value)));
    for value in values {
        if total <= BULK_BYTES_MAX {
            return;
        }
        total = total.saturating_sub(bytes(value));
        *value = stand_in(value.as_str());
    }
}

fn stand_in(text: &str) -> JsonText {
    JsonText::of(&json!({
        "left_out": "larger than a record may be",
        "bytes": text.len(),
        "sha256": Link::of(text.as_bytes()).to_string(),
    }))
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
    fn only_what_is_too_large_is_replaced_and_its_hash_stays() {
        let whole = "x".repeat(BULK_BYTES_MAX);
        let mut large = JsonText::of(&whole);
        let mut small = JsonText::from(json!({"State": "AVAILABLE"}));
        shrink([&mut small, &mut large]);
        assert_eq!(small, json!({"State": "AVAILABLE"}).into());
        let told: serde_json::Value = serde_json::from_str(large.as_str()).unwrap();
        let whole = format!("\"{whole}\"");
        assert_eq!(
            told["sha256"],
            Link::of(whole.as_bytes()).to_string().as_str()
        );
        assert_eq!(told["bytes"], whole.len());
    }
}
