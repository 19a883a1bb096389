//! CBOR written in one way: definite lengths, the shortest heads, floats in single precision where that is exact.

use super::{BYTES, Item, LIST, MAP, NEGATIVE, Numeric, TAG, TEXT, UNSIGNED};

/// Writes an item. Its depth is that of whoever made it: what was read or typed is bounded.
#[must_use]
pub fn write(item: &Item) -> Vec<u8> {
    let mut out = Vec::new();
    write_item(item, &mut out);
    out
}

/// Writes a map of texts, in their order; the keys are the caller's to keep apart.
#[must_use]
pub fn write_texts(members: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    head(MAP, count(members.len()), &mut out);
    for part in members.iter().flat_map(|(key, text)| [key, text]) {
        write_text(part, &mut out);
    }
    out
}

fn write_item(item: &Item, out: &mut Vec<u8>) {
    match item {
        Item::Null => out.push(0xf6),
        Item::Bool(false) => out.push(0xf4),
        Item::Bool(true) => out.push(0xf5),
        Item::Number(number) => write_number(*number, out),
        Item::Bytes(bytes) => {
            head(BYTES, count(bytes.len()), out);
            out.extend_from_slice(bytes);
        }
        Item::Text(text) => write_text(text, out),
        Item::List(items) => {
            head(LIST, count(items.len()), out);
            for item in items {
                write_item(item, out);
            }
        }
        Item::Map(members) => {
            head(MAP, count(members.len()), out);
            for (key, item) in members {
                write_text(key, out);
                write_item(item, out);
            }
        }
        Item::Timestamp(seconds) => {
            head(TAG, 1, out);
            write_number(*seconds, out);
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    head(TEXT, count(text.len()), out);
    out.extend_from_slice(text.as_bytes());
}

/// Half precision is left out, as Smithy asks: not every service reads it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what single precision can't hold exactly is compared and written in double"
)]
fn write_number(number: Numeric, out: &mut Vec<u8>) {
    match number {
        Numeric::Unsigned(n) => head(UNSIGNED, n, out),
        Numeric::Negative(n) => head(NEGATIVE, n, out),
        Numeric::Float(float) => {
            let single = float as f32;
            if float.is_nan() || f64::from(single).to_bits() == float.to_bits() {
                out.push(0xfa);
                out.extend_from_slice(&single.to_be_bytes());
            } else {
                out.push(0xfb);
                out.extend_from_slice(&float.to_be_bytes());
            }
        }
    }
}

/// The initial byte of a major type with its argument, as short as it goes.
fn head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    if let Ok(byte) = u8::try_from(argument) {
        if byte < 24 {
            out.push(major | byte);
        } else {
            out.extend_from_slice(&[major | 24, byte]);
        }
    } else if let Ok(short) = u16::try_from(argument) {
        out.push(major | 25);
        out.extend_from_slice(&short.to_be_bytes());
    } else if let Ok(word) = u32::try_from(argument) {
        out.push(major | 26);
        out.extend_from_slice(&word.to_be_bytes());
    } else {
        out.push(major | 27);
        out.extend_from_slice(&argument.to_be_bytes());
    }
}

fn count(length: usize) -> u64 {
    // INVARIANT: usize has at most 64 bits wherever Rust's standard library runs.
    u64::try_from(length).unwrap_or(u64::MAX)
}
