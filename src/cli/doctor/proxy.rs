//! The variables that lead a client to its guard, and those that lead around it. Pure.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::finding::Finding;
use crate::cli::exec::environment::{leads_around, no_proxy_of, proxy_of, text};
use crate::proxy::parent::Parent;

const PROXY: &str = "client.proxy";
const NO_PROXY: &str = "client.no_proxy";
const ENDPOINTS: &str = "client.endpoints";

/// How a shell is led to a guard.
const LEAD: &str = "run `eval \"$(palisade env)\"` where the guard runs on this machine, or set HTTPS_PROXY and https_proxy to `http://HOST:PORT` of its `listen`";

/// What the variables are worth. `suffixes` are those of AWS's hosts, `keys` whether the environment holds virtual keys.
pub(super) fn check(
    given: &[(OsString, OsString)],
    suffixes: &[String],
    keys: Keys,
) -> Vec<Finding> {
    vec![
        proxy(given, keys),
        no_proxy(given, suffixes),
        endpoints(given),
    ]
}

/// What keys the environment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    Virtual,
    Other,
}

/// The parent that the variables name, as clients read them: most take `proxy:8080` as well. `None`: none.
pub(super) fn parent(given: &[(OsString, OsString)]) -> Option<Result<Parent, String>> {
    let (_, url) = proxy_of(given)?;
    Some(Parent::parse(&with_scheme(&url)))
}

fn with_scheme(url: &str) -> String {
    if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    }
}

fn proxy(given: &[(OsString, OsString)], keys: Keys) -> Finding {
    let lower = text(given, "https_proxy");
    let upper = text(given, "HTTPS_PROXY");
    if let (Some(lower), Some(upper)) = (lower, upper)
        && lower != upper
    {
        return Finding::fault(
            PROXY,
            "https_proxy and HTTPS_PROXY name different proxies, and clients differ in which they read",
            "set both to the guard's",
        );
    }
    let Some(url) = upper.or(lower) else {
        return unset(given, keys);
    };
    match Parent::parse(&with_scheme(url)) {
        Err(why) => Finding::fault(PROXY, format!("HTTPS_PROXY: {why}"), LEAD),
        Ok(parent) if !url.contains("://") => Finding::warning(
            PROXY,
            format!(
                "HTTPS_PROXY names `{parent}` without its scheme, which not every client takes"
            ),
            format!("set it to `{parent}`, with the user and password that it has now, if any"),
        ),
        Ok(parent) => Finding::ok(PROXY, format!("AWS's APIs are called through {parent}")),
    }
}

fn unset(given: &[(OsString, OsString)], keys: Keys) -> Finding {
    let set = |names: [&str; 2]| names.iter().any(|name| text(given, name).is_some());
    if set(["ALL_PROXY", "all_proxy"]) {
        return Finding::fault(
            PROXY,
            "ALL_PROXY is set and HTTPS_PROXY isn't: the AWS CLI, boto3 and Go don't read ALL_PROXY, and go around the guard",
            "set HTTPS_PROXY and https_proxy to what ALL_PROXY holds",
        );
    }
    if set(["HTTP_PROXY", "http_proxy"]) {
        return Finding::fault(
            PROXY,
            "HTTP_PROXY is set and HTTPS_PROXY isn't: AWS's APIs are called over https, for which clients read HTTPS_PROXY alone",
            LEAD,
        );
    }
    match keys {
        Keys::Virtual => Finding::fault(
            PROXY,
            "the environment holds a virtual key, which AWS doesn't know, and no HTTPS_PROXY",
            LEAD,
        ),
        Keys::Other => Finding::skipped(
            PROXY,
            "no HTTPS_PROXY is set: what runs in this environment is no client of a guard",
        ),
    }
}

fn no_proxy(given: &[(OsString, OsString)], suffixes: &[String]) -> Finding {
    let entries = no_proxy_of(given);
    let around: Vec<String> = entries
        .iter()
        .filter(|entry| leads_around(entry, suffixes))
        .map(|entry| format!("`{entry}`"))
        .collect();
    if !around.is_empty() {
        let around = around.join(", ");
        return Finding::fault(
            NO_PROXY,
            format!("NO_PROXY has {around}: calls to AWS go around the guard"),
            format!("take {around} out of NO_PROXY and no_proxy"),
        );
    }
    let list = |name| -> Option<BTreeSet<&str>> {
        let entries = text(given, name)?.split([',', ' ']).map(str::trim);
        Some(entries.filter(|entry| !entry.is_empty()).collect())
    };
    if let (Some(lower), Some(upper)) = (list("no_proxy"), list("NO_PROXY"))
        && lower != upper
    {
        return Finding::warning(
            NO_PROXY,
            "no_proxy and NO_PROXY differ, and clients differ in which they read",
            "set both to the same",
        );
    }
    if entries.is_empty() {
        return Finding::ok(
            NO_PROXY,
            "NO_PROXY leads nothing around the guard: it is not set",
        );
    }
    Finding::ok(NO_PROXY, "NO_PROXY has no host of AWS's")
}

/// Where clients are told to find AWS's APIs elsewhere.
fn endpoints(given: &[(OsString, OsString)]) -> Finding {
    let ignored = text(given, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    let mut named: Vec<&str> = given
        .iter()
        .filter_map(|(name, _)| name.to_str())
        .filter(|name| name.starts_with("AWS_ENDPOINT_URL") && text(given, name).is_some())
        .collect();
    named.sort_unstable();
    if named.is_empty() {
        return Finding::ok(
            ENDPOINTS,
            "no variable leads to other endpoints than AWS's own",
        );
    }
    let named = named.join(", ");
    if ignored.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Finding::ok(
            ENDPOINTS,
            format!("{named} counts for nothing: AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is set"),
        );
    }
    Finding::warning(
        ENDPOINTS,
        format!("{named} leads to an endpoint of its own: over http, calls go around the guard"),
        format!("unset {named}, or set AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn found(pairs: &[(&str, &str)], keys: Keys) -> Vec<Finding> {
        let pair = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
        let given: Vec<_> = pairs.iter().map(pair).collect();
        let suffixes = ["amazonaws.com", "api.aws"].map(str::to_owned);
        check(&given, &suffixes, keys)
    }

    #[track_caller]
    fn checks(name: &str, pairs: &[(&str, &str)], state: State, words: &str) {
        let all = found(pairs, Keys::Other);
        let finding = all.iter().find(|f| f.check == name).unwrap();
        assert_eq!(finding.state, state, "{finding:?}");
        assert!(finding.what.contains(words), "{finding:?}");
        let mends = matches!(state, State::Warning | State::Fault);
        assert_eq!(finding.fix.is_some(), mends, "{finding:?}");
    }

    #[test]
    fn a_proxy_that_each_client_reads_is_fine() {
        let url = "http://127.0.0.1:8080";
        let through = "through http://127.0.0.1:8080";
        checks(PROXY, &[("HTTPS_PROXY", url)], State::Ok, through);
        checks(PROXY, &[("https_proxy", url)], State::Ok, through);
        let both = [("https_proxy", url), ("HTTPS_PROXY", url)];
        checks(PROXY, &both, State::Ok, through);
    }

    #[test]
    fn a_proxy_that_some_read_otherwise_is_told() {
        let url = "http://127.0.0.1:8080";
        let two = [("https_proxy", url), ("HTTPS_PROXY", "http://127.0.0.1:1")];
        checks(PROXY, &two, State::Fault, "different proxies");
        checks(PROXY, &[("ALL_PROXY", url)], State::Fault, "ALL_PROXY");
        checks(PROXY, &[("http_proxy", url)], State::Fault, "HTTP_PROXY");
        let bare = [("HTTPS_PROXY", "127.0.0.1:8080")];
        checks(PROXY, &bare, State::Warning, "without its scheme");
        let socks = [("HTTPS_PROXY", "socks5://127.0.0.1:1080")];
        checks(PROXY, &socks, State::Fault, "not a URL");
        checks(PROXY, &[], State::Skipped, "no client of a guard");
        let held = found(&[], Keys::Virtual);
        assert_eq!(held[0].state, State::Fault, "{held:?}");
    }

    #[test]
    fn a_password_is_never_told() {
        for url in [
            "http://key:hunter2@127.0.0.1:8080",
            "key:hunter2@127.0.0.1:8080",
        ] {
            let all = found(&[("HTTPS_PROXY", url)], Keys::Other);
            assert!(!format!("{all:?}").contains("hunter2"), "{all:?}");
        }
        let all = found(&[("HTTPS_PROXY", "socks5://k:hunter2@h:1")], Keys::Other);
        assert!(!format!("{all:?}").contains("hunter2"), "{all:?}");
    }

    #[test]
    fn what_leads_around_the_guard_is_named() {
        for entry in [
            "amazonaws.com",
            ".amazonaws.com",
            "sts.amazonaws.com:443",
            "*",
            "com",
        ] {
            let both = [("NO_PROXY", entry)];
            checks(NO_PROXY, &both, State::Fault, &format!("`{entry}`"));
        }
        checks(NO_PROXY, &[("no_proxy", "localhost")], State::Ok, "no host");
        checks(NO_PROXY, &[], State::Ok, "not set");
        let two = [("no_proxy", "localhost"), ("NO_PROXY", "a.example")];
        checks(NO_PROXY, &two, State::Warning, "differ");
        let same = [("no_proxy", "a,b"), ("NO_PROXY", "b, a")];
        checks(NO_PROXY, &same, State::Ok, "no host");
    }

    #[test]
    fn endpoints_of_their_own_are_told_unless_they_count_for_nothing() {
        let url = ("AWS_ENDPOINT_URL_S3", "http://localhost:9000");
        checks(ENDPOINTS, &[url], State::Warning, "AWS_ENDPOINT_URL_S3");
        let ignored = [url, ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")];
        checks(ENDPOINTS, &ignored, State::Ok, "counts for nothing");
        checks(ENDPOINTS, &[], State::Ok, "no variable");
    }
}
