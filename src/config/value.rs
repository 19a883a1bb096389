//! How texts of the configuration are read: durations, sizes, paths, names, addresses.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Override;
use super::Scheme;
use crate::aws::host::Host;

/// A duration: a whole number and `ms`, `s`, `m` or `h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let fail = || "not a duration; write one as `500ms`, `50s`, `5m` or `1h`".to_owned();
    let (number, unit) = number_and_unit(text).ok_or_else(fail)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return Err(fail()),
    };
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(fail)
}

/// A duration as the configuration writes it.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) {
        format!("{}s", millis / 1000)
    } else {
        format!("{millis}ms")
    }
}

/// A size in bytes: a whole number and `B`, `KiB`, `MiB` or `GiB`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let fail = || "not a size; write one as `64KiB`, `1MiB` or `2GiB`".to_owned();
    let (number, unit) = number_and_unit(text).ok_or_else(fail)?;
    let bytes: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(fail()),
    };
    number.checked_mul(bytes).ok_or_else(fail)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

/// What paths are resolved against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folders<'a> {
    /// The configuration file's folder.
    pub(super) file: Option<&'a Path>,
    /// The user's home.
    pub(super) home: Option<&'a Path>,
}

impl Folders<'_> {
    /// An absolute path out of `~`, `~/…`, an absolute path, or one relative to the configuration file.
    pub(super) fn resolve(self, text: &str, from_file: bool) -> Result<PathBuf, String> {
        if text == "~" || text.starts_with("~/") {
            let home = self.home.ok_or(
                "`~` stands for the home folder, and `HOME` isn't set to an absolute path",
            )?;
            return Ok(home.join(text.trim_start_matches('~').trim_start_matches('/')));
        }
        if text.starts_with('~') {
            return Err("another user's home isn't looked up; write the whole path".to_owned());
        }
        let path = Path::new(text);
        if path.is_absolute() {
            return Ok(path.to_path_buf());
        }
        match self.file {
            Some(folder) if from_file => Ok(folder.join(path)),
            Some(_) | None => Err(
                "not an absolute path, and there is no file that it could be relative to"
                    .to_owned(),
            ),
        }
    }
}

/// Checks a name of a caller, a group or a credentials table. These become entity ids, fields of records and the
/// source identity of sessions, hence the characters that AWS STS takes there.
///
/// # Errors
/// What is wrong with it, in words that follow the name.
pub fn name(text: &str) -> Result<(), String> {
    let sane = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if text.is_empty() {
        return Err("the name is empty".to_owned());
    }
    if text.len() > 64 {
        return Err("the name is longer than 64 characters".to_owned());
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) || !text.chars().all(sane) {
        return Err(
            "not a name; it begins with a letter or digit and holds letters, digits and `_+=,.@-`"
                .to_owned(),
        );
    }
    Ok(())
}

/// Checks what a role's trust policy may ask for, in AWS STS's words.
pub(super) fn external_id(text: &str) -> Result<(), String> {
    let sane = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    if !(2..=1224).contains(&text.len()) || !text.chars().all(sane) {
        return Err(
            "not an external id, which has 2 to 1224 letters, digits and `_+=,.@:/-`".to_owned(),
        );
    }
    Ok(())
}

/// `upstream.dangerous_override`: scheme, host and port, nothing else.
pub(super) fn override_url(text: &str) -> Result<Override, String> {
    let fail = || {
        "not a URL of scheme, host and port alone, such as `https://stand-in.example:5000`"
            .to_owned()
    };
    let uri: http::Uri = text.parse().map_err(|_| fail())?;
    let authority = uri.authority().ok_or_else(fail)?;
    let bare = uri.query().is_none() && matches!(uri.path(), "" | "/");
    if !bare || authority.as_str().contains('@') || text.contains('#') {
        return Err(fail());
    }
    let host = Host::parse(authority.host()).map_err(|e| e.to_string())?;
    let scheme = match uri.scheme_str() {
        Some("https") => Scheme::Https,
        Some("http") if is_loopback(&host) => Scheme::Http,
        Some("http") => {
            return Err("plain http is for loopback only; write `https://`".to_owned());
        }
        Some(_) | None => return Err(fail()),
    };
    let after_host = authority.as_str().strip_prefix(authority.host());
    let port = match (after_host.ok_or_else(fail)?, scheme) {
        ("", Scheme::Https) => 443,
        ("", Scheme::Http) => 80,
        (colon_port, _) => colon_port
            .strip_prefix(':')
            .and_then(|port| port.parse().ok())
            .filter(|port: &u16| *port != 0)
            .ok_or_else(fail)?,
    };
    Ok(Override {
        scheme,
        host: host.as_str().to_owned(),
        port,
    })
}

fn is_loopback(host: &Host) -> bool {
    host.as_str() == "localhost" || host.ip().is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_need_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("50s"), Ok(Duration::from_secs(50)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1 h"), Ok(Duration::from_secs(3600)));
        assert_eq!(size("1MiB"), Ok(1 << 20));
        assert_eq!(size("7B"), Ok(7));
        for bad in [
            "",
            "5",
            "s",
            "-5s",
            "1.5s",
            "5 days",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
            assert!(size(bad).is_err(), "{bad}");
        }
        for bad in ["1MB", "1M", "1mib", "18446744073709551615GiB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_override_is_https_or_http_on_loopback() {
        let check = |text: &str, scheme, host: &str, port| {
            let host = host.to_owned();
            let expected = Override { scheme, host, port };
            assert_eq!(override_url(text), Ok(expected), "{text}");
        };
        check(
            "https://stand-in.example",
            Scheme::Https,
            "stand-in.example",
            443,
        );
        check(
            "https://Stand-In.example:5000/",
            Scheme::Https,
            "stand-in.example",
            5000,
        );
        check("http://127.0.0.1:5000", Scheme::Http, "127.0.0.1", 5000);
        check("http://localhost", Scheme::Http, "localhost", 80);
        check("http://[::1]:81", Scheme::Http, "::1", 81);
        for bad in [
            "stand-in.example",
            "http://stand-in.example",
            "http://10.0.0.1",
            "ftp://localhost",
            "https://a:b@stand-in.example",
            "https://stand-in.example/path",
            "https://stand-in.example?x",
            "https://stand-in.example/#x",
            "https://stand-in.example:0",
            "https://stand-in.example:99999",
            "https://",
            "",
        ] {
            assert!(override_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_hold_what_sts_takes() {
        for good in ["ci", "ci-deploy", "a", "jane.doe@example.com", "0_+=,"] {
            assert_eq!(name(good), Ok(()), "{good}");
        }
        let long = "x".repeat(65);
        for bad in ["", "-a", ".a", "a b", "a\"b", "ä", "a\n", "a/b", &long] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_absolute_in_the_end() {
        let folders = Folders {
            file: Some(Path::new("/etc/palisade")),
            home: Some(Path::new("/home/ada")),
        };
        let check = |text: &str, expected: &str| {
            assert_eq!(folders.resolve(text, true), Ok(PathBuf::from(expected)));
        };
        check("/var/x", "/var/x");
        check("policies", "/etc/palisade/policies");
        check("~/x", "/home/ada/x");
        check("~", "/home/ada/");
        assert!(folders.resolve("~root/x", true).is_err());
        assert!(folders.resolve("x", false).is_err());
        let nowhere = Folders {
            file: None,
            home: None,
        };
        assert!(nowhere.resolve("x", true).is_err());
        assert!(nowhere.resolve("~/x", true).is_err());
    }
}
