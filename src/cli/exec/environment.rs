//! The environment that leads a command to the guard: a pure function of the one it would have had.
//!
//! INVARIANT: whatever held a credential of AWS's, or led to one, is set to the guard's own or gone.
//!
//! HTTP_PROXY and ALL_PROXY stay as they are: AWS's APIs are asked over https, for which HTTPS_PROXY comes first
//! everywhere, and the guard carries nothing that isn't encrypted.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::guard::keyring::Secret;

/// What a guard gives to a command.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Lead {
    /// The proxy's URL.
    pub(in crate::cli) proxy: String,
    /// The system's certificates, the user's own and the guard's.
    pub(in crate::cli) bundle: PathBuf,
    /// The private AWS files.
    pub(in crate::cli) config_file: PathBuf,
    pub(in crate::cli) credentials_file: PathBuf,
    pub(in crate::cli) access_key_id: String,
    pub(in crate::cli) secret_access_key: Secret,
    /// The region of the profile.
    pub(in crate::cli) region: Option<String>,
    /// Where `palisade credentials` finds the one who hands them out; `None` outside of `exec`.
    pub(in crate::cli) desk: Option<PathBuf>,
}

/// One variable that is other than it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Change {
    Set(String, OsString),
    Unset(String),
}

/// Says where `exec`'s private folder is.
pub(in crate::cli) const EXEC: &str = "PALISADE_EXEC";

/// What each client that has a variable of its own calls the bundle.
const BUNDLES: [&str; 5] = [
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
];

/// Where instances and containers are given credentials: never by way of the guard, which would refuse them.
const METADATA: [&str; 5] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "fd00:ec2::254",
    "fd00:ec2::23",
];

/// What is taken away by name.
const GONE: [&str; 12] = [
    "AWS_ACCESS_KEY",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// What is taken away by the beginning of its name.
const GONE_PREFIXES: [&str; 3] = ["AWS_BEARER_TOKEN_", "AWS_CONTAINER_", "AWS_ENDPOINT_URL"];

/// What changes, sorted by name, and which entries of NO_PROXY are left out because they would lead around the guard.
/// `suffixes` are those of AWS's hosts.
pub(in crate::cli) fn changes(
    given: &[(OsString, OsString)],
    lead: &Lead,
    suffixes: &[String],
) -> (Vec<Change>, Vec<String>) {
    let mut all = Vec::new();
    let mut set = |name: &str, value: &OsStr| {
        all.push(Change::Set(name.to_owned(), value.to_owned()));
    };
    let (no_proxy, left_out) = no_proxy(given, suffixes);
    for name in ["HTTPS_PROXY", "https_proxy"] {
        set(name, lead.proxy.as_ref());
    }
    for name in ["NO_PROXY", "no_proxy"] {
        set(name, no_proxy.as_ref());
    }
    for name in BUNDLES {
        set(name, lead.bundle.as_ref());
    }
    set("AWS_EC2_METADATA_DISABLED", "true".as_ref());
    set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true".as_ref());
    // Older SDKs read the configuration file only where they are told to.
    set("AWS_SDK_LOAD_CONFIG", "1".as_ref());
    set("AWS_ACCESS_KEY_ID", lead.access_key_id.as_ref());
    set(
        "AWS_SECRET_ACCESS_KEY",
        lead.secret_access_key.expose().as_ref(),
    );
    set("AWS_CONFIG_FILE", lead.config_file.as_ref());
    set(
        "AWS_SHARED_CREDENTIALS_FILE",
        lead.credentials_file.as_ref(),
    );
    if let Some(desk) = &lead.desk {
        set(EXEC, desk.as_ref());
    }
    let regions = ["AWS_DEFAULT_REGION", "AWS_REGION"];
    if let Some(region) = &lead.region
        && regions.iter().all(|name| text(given, name).is_none())
    {
        for name in regions {
            set(name, region.as_ref());
        }
    }
    let found = given.iter().filter_map(|(name, _)| name.to_str());
    let found = found.filter(|name| GONE_PREFIXES.iter().any(|p| name.starts_with(p)));
    let gone: BTreeSet<&str> = found.chain(GONE).collect();
    all.extend(gone.into_iter().map(|name| Change::Unset(name.to_owned())));
    all.sort_by(|a, b| a.name().cmp(b.name()));
    (all, left_out)
}

impl Change {
    /// The variable.
    pub(in crate::cli) fn name(&self) -> &str {
        match self {
            Change::Set(name, _) | Change::Unset(name) => name,
        }
    }
}

/// The proxy that the user's own variables name for https, as most clients read them: lower case first.
pub(in crate::cli) fn proxy_of(given: &[(OsString, OsString)]) -> Option<(&'static str, String)> {
    let names = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    names
        .into_iter()
        .find_map(|name| Some((name, text(given, name)?.to_owned())))
}

/// Every entry of the user's NO_PROXY, in their order, each once.
pub(in crate::cli) fn no_proxy_of(given: &[(OsString, OsString)]) -> Vec<String> {
    let mut entries = Vec::new();
    for name in ["no_proxy", "NO_PROXY"] {
        let texts = text(given, name).unwrap_or_default();
        for entry in texts.split([',', ' ']).map(str::trim) {
            if !entry.is_empty() && !entries.iter().any(|known| known == entry) {
                entries.push(entry.to_owned());
            }
        }
    }
    entries
}

/// A variable that is set to something that is text.
pub(in crate::cli) fn text<'e>(given: &'e [(OsString, OsString)], name: &str) -> Option<&'e str> {
    let found = given.iter().find(|(known, _)| known == name);
    found
        .and_then(|(_, value)| value.to_str())
        .filter(|value| !value.is_empty())
}

fn no_proxy(given: &[(OsString, OsString)], suffixes: &[String]) -> (String, Vec<String>) {
    let (left_out, mut kept): (Vec<String>, Vec<String>) = no_proxy_of(given)
        .into_iter()
        .partition(|entry| leads_around(entry, suffixes));
    for address in METADATA {
        if !kept.iter().any(|entry| entry == address) {
            kept.push(address.to_owned());
        }
    }
    (kept.join(","), left_out)
}

/// Whether an entry of NO_PROXY covers hosts of AWS's.
pub(in crate::cli) fn leads_around(entry: &str, suffixes: &[String]) -> bool {
    let name = entry.rsplit_once(':').map_or(entry, |(name, _)| name);
    let name = name.trim_start_matches("*.").trim_start_matches('.');
    let name = name.to_ascii_lowercase();
    let below = |name: &str, above: &str| {
        name.strip_suffix(above)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    name == "*"
        || suffixes
            .iter()
            .any(|suffix| below(&name, suffix) || below(suffix, &name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::guard::keyring::{MasterKey, issue};

    fn lead() -> Lead {
        let key = issue(&MasterKey::new([1; 32]), "anna", [1, 2, 3, 4, 5]);
        Lead {
            proxy: "http://127.0.0.1:4711".to_owned(),
            bundle: "/tmp/p/ca.pem".into(),
            config_file: "/tmp/p/config".into(),
            credentials_file: "/tmp/p/credentials".into(),
            access_key_id: key.access_key_id,
            secret_access_key: key.secret_access_key,
            region: Some("eu-central-1".to_owned()),
            desk: Some("/tmp/p".into()),
        }
    }

    fn suffixes() -> Vec<String> {
        ["amazonaws.com", "amazonaws.com.cn", "api.aws"]
            .map(str::to_owned)
            .into()
    }

    fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        let pair = |(name, value): &(&str, &str)| (name.into(), value.into());
        pairs.iter().map(pair).collect()
    }

    /// The environment that a command has in the end.
    fn after(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let given = environment(pairs);
        let texts = given.iter().map(|(name, value)| {
            let text = |s: &OsString| s.to_str().unwrap().to_owned();
            (text(name), text(value))
        });
        let mut all: BTreeMap<String, String> = texts.collect();
        for change in changes(&given, &lead(), &suffixes()).0 {
            match change {
                Change::Set(name, value) => all.insert(name, value.into_string().unwrap()),
                Change::Unset(name) => all.remove(&name),
            };
        }
        all
    }

    #[test]
    fn an_empty_environment_leads_to_the_guard() {
        let all = after(&[]);
        let lines: Vec<String> = all.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            lines.join("\n"),
            "\
AWS_ACCESS_KEY_ID=PALISADEAEBAGBAFWET7BUIUUNI4SD74
AWS_CA_BUNDLE=/tmp/p/ca.pem
AWS_CONFIG_FILE=/tmp/p/config
AWS_DEFAULT_REGION=eu-central-1
AWS_EC2_METADATA_DISABLED=true
AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true
AWS_REGION=eu-central-1
AWS_SDK_LOAD_CONFIG=1
AWS_SECRET_ACCESS_KEY=AcuSRCKH20mn-OVqUQMjD5eNqDFSoSOp0rpcrrIo
AWS_SHARED_CREDENTIALS_FILE=/tmp/p/credentials
CURL_CA_BUNDLE=/tmp/p/ca.pem
HTTPS_PROXY=http://127.0.0.1:4711
NODE_EXTRA_CA_CERTS=/tmp/p/ca.pem
NO_PROXY=169.254.169.254,169.254.170.2,169.254.170.23,fd00:ec2::254,fd00:ec2::23
PALISADE_EXEC=/tmp/p
REQUESTS_CA_BUNDLE=/tmp/p/ca.pem
SSL_CERT_FILE=/tmp/p/ca.pem
https_proxy=http://127.0.0.1:4711
no_proxy=169.254.169.254,169.254.170.2,169.254.170.23,fd00:ec2::254,fd00:ec2::23"
        );
    }

    #[test]
    fn whatever_held_a_credential_or_led_to_one_is_gone() {
        let names = [
            "AWS_ACCESS_KEY",
            "AWS_ACCESS_KEY_ID",
            "AWS_BEARER_TOKEN_BEDROCK",
            "AWS_BEARER_TOKEN_OTHER",
            "AWS_CONFIG_FILE",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CREDENTIAL_EXPIRATION",
            "AWS_CREDENTIAL_FILE",
            "AWS_DEFAULT_PROFILE",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_S3",
            "AWS_PROFILE",
            "AWS_ROLE_ARN",
            "AWS_ROLE_SESSION_NAME",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SECRET_KEY",
            "AWS_SECURITY_TOKEN",
            "AWS_SESSION_TOKEN",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
        ];
        let given: Vec<(&str, &str)> = names.iter().map(|name| (*name, "REAL")).collect();
        let all = after(&given);
        assert!(!all.values().any(|value| value.contains("REAL")), "{all:?}");
        assert_eq!(all, after(&[]));
    }

    #[test]
    fn what_is_the_users_own_stays() {
        let mine = [
            ("PATH", "/bin"),
            ("HTTP_PROXY", "http://corp:3128"),
            ("ALL_PROXY", "socks5://corp:1080"),
            ("AWS_PAGER", ""),
            ("AWS_REGION", "us-west-2"),
            ("AWS_MAX_ATTEMPTS", "2"),
            ("PALISADE_LOG", "debug"),
        ];
        let all = after(&mine);
        for (name, value) in mine {
            assert_eq!(all[name], value, "{name}");
        }
        assert!(!all.contains_key("AWS_DEFAULT_REGION"));
        assert!(!after(&[("AWS_DEFAULT_REGION", "x")]).contains_key("AWS_REGION"));
    }

    #[test]
    fn no_proxy_keeps_the_users_entries_but_those_that_lead_around_the_guard() {
        let given = environment(&[
            ("no_proxy", "localhost, .corp.example,10.0.0.0/8"),
            (
                "NO_PROXY",
                "localhost,.amazonaws.com,STS.eu-west-1.amazonaws.com:443,com,*.api.aws,169.254.169.254,*,notamazonaws.com",
            ),
        ]);
        let (changes, left_out) = changes(&given, &lead(), &suffixes());
        let kept = "localhost,.corp.example,10.0.0.0/8,169.254.169.254,notamazonaws.com,169.254.170.2,169.254.170.23,fd00:ec2::254,fd00:ec2::23";
        for name in ["NO_PROXY", "no_proxy"] {
            assert!(changes.contains(&Change::Set(name.to_owned(), kept.into())));
        }
        let around = [
            ".amazonaws.com",
            "STS.eu-west-1.amazonaws.com:443",
            "com",
            "*.api.aws",
            "*",
        ];
        assert_eq!(left_out, around);
    }

    #[test]
    fn the_parent_is_the_proxy_that_the_shell_would_use() {
        let check = |pairs: &[(&str, &str)], expected: Option<(&str, &str)>| {
            let found = proxy_of(&environment(pairs));
            let found = found.as_ref().map(|(name, url)| (*name, url.as_str()));
            assert_eq!(found, expected, "{pairs:?}");
        };
        check(&[("HTTP_PROXY", "http://h")], None);
        check(&[("HTTPS_PROXY", "")], None);
        check(
            &[("HTTPS_PROXY", "http://a"), ("https_proxy", "http://b")],
            Some(("https_proxy", "http://b")),
        );
        check(
            &[("ALL_PROXY", "http://c"), ("HTTPS_PROXY", "http://a")],
            Some(("HTTPS_PROXY", "http://a")),
        );
        check(
            &[("ALL_PROXY", "http://c")],
            Some(("ALL_PROXY", "http://c")),
        );
    }
}
