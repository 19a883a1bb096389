//! Hex digits, lower case, as signatures and hashes are spelt.

/// Two lower-case digits for each byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    let pair = |byte: &u8| [digit(byte >> 4), digit(byte & 0xf)];
    let pairs: Vec<[u8; 2]> = bytes.iter().map(pair).collect();
    // Digits are ASCII.
    String::from_utf8(pairs.into_flattened()).unwrap_or_default()
}

/// The bytes that lower-case digits spell; `None` for anything else.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_spelt_and_read_back() {
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
        assert_eq!(unhex("001fff"), Some(vec![0, 0x1f, 0xff]));
        for bad in ["0", "0g", "FF", "é"] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
