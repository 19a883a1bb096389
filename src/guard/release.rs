//! Releases of Palisade: whether what is read was written by a newer one, which alone tells it from damage.

use std::cmp::Ordering;

use semver::Version;

/// This release, as `0.1.0`; `0.1.0+dirty` where it was built from more than its commit.
pub const THIS: &str = match option_env!("PALISADE_BUILD_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// Whether a text names a release that is newer than this one, in the order of
/// [SemVer 2.0.0, section 11](https://semver.org/spec/v2.0.0.html#spec-item-11): a pre-release is older than its release,
/// and what follows a `+` doesn't count. A text that names none isn't newer.
#[must_use]
pub fn is_newer(text: &str) -> bool {
    is_newer_than(text, THIS)
}

fn is_newer_than(text: &str, than: &str) -> bool {
    match (Version::parse(text), Version::parse(than)) {
        (Ok(other), Ok(than)) => other.cmp_precedence(&than) == Ordering::Greater,
        (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pre_releases_come_in_their_order_and_before_their_release() {
        // The example of the specification, between two neighbours.
        let in_order = [
            "0.9.9",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1-0",
        ];
        for (at, than) in in_order.iter().enumerate() {
            for (other_at, other) in in_order.iter().enumerate() {
                assert_eq!(is_newer_than(other, than), other_at > at, "{other} {than}");
            }
            let built = format!("{than}+dirty");
            assert!(!is_newer_than(&built, than) && !is_newer_than(than, &built));
        }
    }

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
            "9999.0.0-",
            "9999.0.0-rc..1",
            "09999.0.0",
        ] {
            assert!(!is_newer(other), "{other}");
        }
    }
}
