//! The shell's own proxy, which becomes the parent of the command's guard: hosts are reached as the shell reaches them.

use std::ffi::OsString;

use anyhow::anyhow;

use super::environment::{no_proxy_of, proxy_of};
use crate::cli::failure::Failure;
use crate::config::{Bypass, Parent};

/// The parent and the hosts that are reached directly all the same; what of NO_PROXY can't be read is told.
///
/// # Errors
/// The shell has a proxy that can't be a parent: then hosts would be reached in another way than the shell's.
pub(super) fn of_shell(
    given: &[(OsString, OsString)],
    notes: &mut Vec<String>,
) -> Result<Option<(Parent, Bypass)>, Failure> {
    let Some((name, url)) = proxy_of(given) else {
        return Ok(None);
    };
    // Most clients take `proxy:3128` as well.
    let url = if url.contains("://") {
        url
    } else {
        format!("http://{url}")
    };
    let parent = Parent::parse(&url).map_err(|problem| {
        let error = anyhow!("`{name}`, which would be the guard's parent proxy: {problem}");
        Failure::usage(error).with_help(
            "name an http or https proxy in it, or in `upstream.proxy` of the configuration"
                .to_owned(),
        )
    })?;
    let mut direct = Vec::new();
    for entry in no_proxy_of(given) {
        let bare = entry.trim_start_matches("*.");
        let bare = match bare.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') && port.parse::<u16>().is_ok() => host,
            Some(_) | None => bare,
        };
        match Bypass::parse([bare]) {
            Ok(_) => direct.push(bare.to_owned()),
            Err(problem) => notes.push(format!(
                "NO_PROXY has `{entry}`: {problem}; what it means goes through {name}"
            )),
        }
    }
    let bypass = Bypass::parse(direct.iter().map(String::as_str));
    let bypass = bypass.map_err(|problem| Failure::usage(anyhow!("NO_PROXY: {problem}")))?;
    Ok(Some((parent, bypass)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::host::Host;

    type Found = (Option<(Parent, Bypass)>, Vec<String>);

    fn found(pairs: &[(&str, &str)]) -> Result<Found, String> {
        let pair = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
        let given: Vec<_> = pairs.iter().map(pair).collect();
        let mut notes = Vec::new();
        let found = of_shell(&given, &mut notes).map_err(|failure| failure.to_string())?;
        Ok((found, notes))
    }

    #[test]
    fn the_shells_proxy_is_the_parent_and_what_it_goes_around_stays_direct() {
        assert!(found(&[("NO_PROXY", "a.example")]).unwrap().0.is_none());
        let (parent, notes) = found(&[
            ("https_proxy", "proxy.corp:3128"),
            (
                "NO_PROXY",
                "localhost,*.corp.example,db.corp:5432,10.0.0.0/8,what is/this?",
            ),
        ])
        .unwrap();
        let (parent, bypass) = parent.unwrap();
        assert_eq!(
            (parent.host().as_str(), parent.port()),
            ("proxy.corp", 3128)
        );
        let check = |name: &str, direct: bool| {
            assert_eq!(bypass.covers(&Host::parse(name).unwrap()), direct, "{name}");
        };
        check("localhost", true);
        check("git.corp.example", true);
        check("db.corp", true);
        check("10.1.2.3", true);
        check("sts.amazonaws.com", false);
        assert!(!notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn a_proxy_that_cannot_be_a_parent_stops_without_its_password() {
        let error = found(&[("ALL_PROXY", "socks5://me:hunter2@proxy.corp:1080")]).unwrap_err();
        assert!(
            error.starts_with("palisade: `ALL_PROXY`, which would be the guard's parent proxy: "),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}
