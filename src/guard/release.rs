//! Releases of Palisade: whether what is read was written by a newer one, which alone tells it from damage.

/// This release, as `0.1.0`.
pub const THIS: &str = env!("CARGO_PKG_VERSION");

/// Whether a text names a release that is newer than this one. A text that names none doesn't.
#[must_use]
pub fn is_newer(text: &str) -> bool {
    match (numbers(text), numbers(THIS)) {
        (Some(other), Some(this)) => other > this,
        (Some(_) | None, Some(_) | None) => false,
    }
}

/// `0.1.0` as numbers; what follows a `-` or `+` doesn't count.
fn numbers(text: &str) -> Option<[u64; 3]> {
    let plain = text.split(['-', '+']).next()?;
    let mut parts = plain.split('.').map(|part| part.parse().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_told_by_their_numbers() {
        assert!(!is_newer(THIS));
        for newer in ["9999.0.0", "9999.0.0-rc.1+5", "10000.10.0"] {
            assert!(is_newer(newer), "{newer}");
        }
        for other in [
            "0.0.1",
            "",
            "9999",
            "9999.0",
            "9999.0.0.0",
            "9999.x.0",
            "v9999.0.0",
        ] {
            assert!(!is_newer(other), "{other}");
        }
    }
}
