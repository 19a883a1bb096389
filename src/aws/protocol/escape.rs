//! Percent-encoding (RFC 3986): decoded once and strictly, encoded in one way only.

/// Why an escaped text can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EscapeError {
    #[error("a `%` isn't followed by two hexadecimal digits")]
    Percent,
    #[error("the escaped bytes aren't UTF-8")]
    NotUtf8,
    #[error("a bare `+` can be read as a blank or as itself; write `%20` or `%2B`")]
    Plus,
}

/// What a `+` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plus {
    /// Itself, as in a path.
    Itself,
    /// A blank, as in a form.
    Blank,
    /// It isn't agreed, as in the query of a REST call.
    Refused,
}

/// Decodes escapes once.
///
/// # Errors
/// [`EscapeError`] for a broken escape, bytes that aren't UTF-8, and a `+` where it is refused.
pub fn decode(text: &str, plus: Plus) -> Result<String, EscapeError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match (byte, plus) {
            (b'%', _) => {
                let high = bytes.next().and_then(hex).ok_or(EscapeError::Percent)?;
                let low = bytes.next().and_then(hex).ok_or(EscapeError::Percent)?;
                out.push(high << 4 | low);
            }
            (b'+', Plus::Blank) => out.push(b' '),
            (b'+', Plus::Refused) => return Err(EscapeError::Plus),
            (byte, Plus::Itself | Plus::Blank | Plus::Refused) => out.push(byte),
        }
    }
    String::from_utf8(out).map_err(|_| EscapeError::NotUtf8)
}

/// Encodes everything but RFC 3986's unreserved characters.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                out.push('%');
                out.push(digit(byte >> 4));
                out.push(digit(byte & 0xf));
            }
        }
    }
    out
}

fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

fn digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16)
        .unwrap_or('0')
        .to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn broken_escapes_are_refused() {
        for bad in ["%", "%4", "%zz", "a%%20", "%+1"] {
            assert_eq!(
                decode(bad, Plus::Itself),
                Err(EscapeError::Percent),
                "{bad}"
            );
        }
        assert_eq!(decode("%ff", Plus::Itself), Err(EscapeError::NotUtf8));
        assert_eq!(decode("a+b", Plus::Refused), Err(EscapeError::Plus));
        assert_eq!(decode("a+b", Plus::Blank).unwrap(), "a b");
        assert_eq!(decode("a+b%2b", Plus::Itself).unwrap(), "a+b+");
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_the_same(text in any::<String>()) {
            for plus in [Plus::Itself, Plus::Blank, Plus::Refused] {
                prop_assert_eq!(decode(&encode(&text), plus).unwrap(), text.clone());
            }
        }
    }
}
