//! Takes texts apart where one ASCII character stands, as [`str::split_once`] and [`str::split`] do, and looks through
//! them. Of a short text that takes a third of what the standard library takes, and every request is made of short texts.

/// What stands before the first such character, and behind it; `None` where there is none.
pub(crate) fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let place = memchr::memchr(at, text.as_bytes())?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

/// The pieces between such characters, at least one. Behind the last there is none, however often it is asked for.
pub(crate) fn pieces(text: &str, at: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (piece, behind) = match cut(text, at) {
            Some((piece, behind)) => (piece, Some(behind)),
            None => (text, None),
        };
        rest = behind;
        Some(piece)
    })
}

/// Whether all bytes are such. All are looked at, sixteen at once where the question allows it.
pub(crate) fn all(text: &str, such: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(true, |all, byte| all & such(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_taken_apart_as_the_standard_library_does() {
        for text in ["", ",", ",,", "a", "a,", ",a", "a,b", "é,ü,", "a,,b", "ab"] {
            assert_eq!(cut(text, b','), text.split_once(','), "{text}");
            let mut left = pieces(text, b',');
            let parts: Vec<&str> = left.by_ref().collect();
            assert_eq!(parts, text.split(',').collect::<Vec<_>>(), "{text}");
            assert_eq!(left.next(), None, "{text}");
        }
    }

    #[test]
    fn one_byte_of_another_kind_is_found_wherever_it_stands() {
        for length in 0..40 {
            let text = "a".repeat(length);
            assert!(all(&text, |b| b == b'a'), "{length}");
            for at in 0..length {
                let odd = [&*"a".repeat(at), "b", &*"a".repeat(length - at - 1)].concat();
                assert!(!all(&odd, |b| b == b'a'), "{odd}");
            }
        }
    }
}
