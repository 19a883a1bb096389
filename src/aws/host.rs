//! A host name as an authority spells it, checked once.

use std::fmt;
use std::net::IpAddr;

/// A lower-case host name, or an IP address in its usual form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

/// Why a text is not a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("the host is empty")]
    Empty,
    #[error("the host is longer than 253 bytes")]
    TooLong,
    #[error("`{0}` is not a host name")]
    Invalid(String),
}

impl Host {
    /// Takes a host without port: a DNS name of letters, digits, hyphens and underscores (RFC 1123), or an
    /// IP address; an IPv6 address with or without brackets. A trailing dot is refused: it names the same
    /// host in a second way.
    ///
    /// # Errors
    /// [`HostError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.len() > 253 {
            return Err(HostError::TooLong);
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|t| t.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Self(ip.to_string()));
        }
        let lower = text.to_ascii_lowercase();
        let numeric_tail = lower
            .rsplit('.')
            .next()
            .is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        if numeric_tail || !lower.split('.').all(is_label) {
            return Err(HostError::Invalid(text.to_owned()));
        }
        Ok(Self(lower))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, where the host is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_cased_and_checked() {
        assert_eq!(
            Host::parse("Sts.Amazonaws.COM").unwrap().as_str(),
            "sts.amazonaws.com"
        );
        assert_eq!(
            Host::parse("[::1]").unwrap().ip(),
            Some("::1".parse().unwrap())
        );
        for bad in [
            "",
            "a..b",
            "a.",
            "-a.b",
            "a_b/c",
            "a:80",
            "127.1",
            "0x7f.1",
            "ünï.com",
            "a b",
        ] {
            assert!(Host::parse(bad).is_err(), "{bad}");
        }
    }
}
