//! From settings to a [`Config`]: every value parsed, every pair of values that must agree checked.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeTable;

use super::error::{ConfigError, Place};
use super::keys::{self, Key};
use super::listener::listener;
use super::load::home;
use super::section::{Found, Section, Source};
use super::tables::{no_budgets, read_callers, read_credentials};
use super::value::{self, Folders};
use super::{
    Bypass, Config, Egress, ForeignKeys, JournalConfig, Limits, LookupConfig, Mode, OtherHosts,
    Override, Parent, PrivateAddresses, SharedState, UpstreamConfig,
};
use crate::aws::endpoint::VpcEndpoint;
use crate::aws::host::Host;

/// botocore gives up after a minute: an answer that comes later finds nobody.
const UPSTREAM_TIMEOUT_BELOW: Duration = Duration::from_secs(60);

/// Reads a configuration from `(text, name, absolute path)` of a file and from the environment.
pub(super) fn config(
    file: Option<(&str, &Path, &Path)>,
    environment: &[(String, String)],
) -> Result<Config, ConfigError> {
    let mut settings = Section::new(String::new());
    let (mut callers, mut credentials) = (Vec::new(), Vec::new());
    if let Some((text, name, _)) = file {
        let name = name.display().to_string();
        let source = Source { path: &name, text };
        let root = DeTable::parse(text).map_err(|e| syntax(&e, &source))?;
        settings.read(root.get_ref(), keys::ALL, &source)?;
        no_budgets(root.get_ref(), &source)?;
        credentials = read_credentials(root.get_ref(), &source)?;
        callers = read_callers(root.get_ref(), &source, &credentials)?;
    }
    settings.overlay(environment, keys::ALL)?;
    let home = home(environment);
    let path = file.map(|(_, _, path)| path);
    let folders = Folders {
        file: path.and_then(Path::parent),
        home: home.as_deref(),
    };
    let modes = [("enforce", Mode::Enforce), ("monitor", Mode::Monitor)];
    let mode = settings.choice(keys::MODE, &modes, &[])?;
    let foreign_keys = foreign_keys(&settings)?;
    settings.choice(keys::PARTIAL, &[("refuse", ())], &["filter"])?;
    settings.unbuilt(keys::CHECKPOINT_KEY)?;
    store(&settings)?;
    let (listen, admin) = addresses(&settings)?;
    let (upstream, lookup) = timeouts(&settings, folders)?;
    not_its_own_parent(&settings, listen, upstream.proxy.as_ref())?;
    let listener = listener(&settings, folders, &callers, listen.ip().is_loopback())?;
    Ok(Config {
        file: path.map(Path::to_path_buf),
        listen,
        admin,
        listener,
        mode,
        policies: path_of(&settings, keys::POLICIES, folders)?,
        protected: path_of(&settings, keys::PROTECTED, folders)?,
        services: path_of(&settings, keys::SERVICES, folders)?,
        state_dir: state_dir(&settings, folders)?,
        shared: SharedState {
            keys: path_of(&settings, keys::SHARED_KEYS, folders)?,
            ca: path_of(&settings, keys::SHARED_CA, folders)?,
        },
        keys_unread_max: keys_unread_max(&settings)?,
        catalog: path_of(&settings, keys::CATALOG, folders)?,
        foreign_keys,
        callers,
        credentials,
        egress: egress(&settings)?,
        vpc_endpoints: vpc_endpoints(&settings)?,
        upstream,
        lookup,
        journal: JournalConfig {
            fsync: settings.flag(keys::FSYNC)?.value,
        },
        limits: limits(&settings)?,
    })
}

fn syntax(error: &toml::de::Error, source: &Source<'_>) -> ConfigError {
    ConfigError::Syntax {
        place: source.place(error.span().unwrap_or_default()),
        problem: error.message().replace('\n', ", "),
    }
}

fn foreign_keys(settings: &Section) -> Result<ForeignKeys, ConfigError> {
    let values = [
        ("refuse", ForeignKeys::Refuse),
        ("passthrough", ForeignKeys::Passthrough),
    ];
    let chosen = settings.choice(keys::FOREIGN_KEYS, &values, &[])?;
    if chosen == ForeignKeys::Passthrough && settings.flag(keys::REQUIRE_PROOF)?.value {
        let found = settings.text(keys::FOREIGN_KEYS)?;
        return Err(found.invalid(
            &found.value,
            "of no effect with `listener.require_proof`: who proved to be a caller signs as that caller",
            "take one of them out".to_owned(),
        ));
    }
    Ok(chosen)
}

fn store(settings: &Section) -> Result<(), ConfigError> {
    let store = settings.text(keys::STORE)?;
    match store.value.as_str() {
        "embedded" => Ok(()),
        other if other.starts_with("redis://") || other.starts_with("rediss://") => {
            Err(ConfigError::Unbuilt {
                place: store.place,
                what: "state.store = \"redis://…\"".to_owned(),
                help: "what there is: `embedded`".to_owned(),
            })
        }
        other => Err(store.invalid(
            other,
            "not one of its values",
            "what there is: `embedded`".to_owned(),
        )),
    }
}

fn addresses(settings: &Section) -> Result<(SocketAddr, SocketAddr), ConfigError> {
    let listen = address(settings, keys::LISTEN)?;
    let admin = address(settings, keys::ADMIN)?;
    let (l, a) = (listen.value, admin.value);
    let overlap = l.ip() == a.ip() || l.ip().is_unspecified() || a.ip().is_unspecified();
    if l.port() != 0 && l.port() == a.port() && overlap {
        // The fault is shown where somebody made a setting.
        let (shown, other) = if admin.place == Place::Default {
            (&listen, &admin)
        } else {
            (&admin, &listen)
        };
        return Err(shown.invalid(
            &shown.value.to_string(),
            format!("`{}` has the same address", other.key),
            "give each a port of its own".to_owned(),
        ));
    }
    Ok((l, a))
}

fn address(settings: &Section, key: Key) -> Result<Found<SocketAddr>, ConfigError> {
    let text = settings.text(key)?;
    match text.value.parse() {
        Ok(address) => Ok(text.map(|_| address)),
        Err(_) => Err(text.invalid(
            &text.value,
            "not an IP address with a port, such as `127.0.0.1:8080`",
            None,
        )),
    }
}

/// A path, or nothing where the text is empty.
pub(super) fn path_of(
    settings: &Section,
    key: Key,
    folders: Folders<'_>,
) -> Result<Option<PathBuf>, ConfigError> {
    let text = settings.text(key)?;
    if text.value.is_empty() {
        return Ok(None);
    }
    resolve(&text, folders).map(Some)
}

fn resolve(text: &Found<String>, folders: Folders<'_>) -> Result<PathBuf, ConfigError> {
    let from_file = matches!(text.place, Place::File { .. });
    folders
        .resolve(&text.value, from_file)
        .map_err(|problem| text.invalid(&text.value, problem, None))
}

fn state_dir(settings: &Section, folders: Folders<'_>) -> Result<PathBuf, ConfigError> {
    let text = settings.text(keys::STATE_DIR)?;
    if text.value.is_empty() {
        return Err(text.invalid("", "the guard keeps its keys and its journal there", None));
    }
    resolve(&text, folders)
}

fn egress(settings: &Section) -> Result<Egress, ConfigError> {
    settings.unbuilt(keys::PROXY_PROTOCOL_FROM)?;
    let other_hosts = [
        ("refuse", OtherHosts::Refuse),
        ("tunnel", OtherHosts::Tunnel),
    ];
    let private = [
        ("refuse", PrivateAddresses::Refuse),
        ("allow", PrivateAddresses::Allow),
    ];
    Ok(Egress {
        other_hosts: settings.choice(keys::OTHER_HOSTS, &other_hosts, &[])?,
        allow: each(&settings.list(keys::ALLOW)?, |text| {
            let host = Host::parse(text).map_err(|e| e.to_string())?;
            Ok(host.as_str().to_owned())
        })?,
        private_addresses: settings.choice(keys::PRIVATE_ADDRESSES, &private, &[])?,
        private_cidrs: each(&settings.list(keys::PRIVATE_CIDRS)?, network)?,
    })
}

fn vpc_endpoints(settings: &Section) -> Result<Vec<VpcEndpoint>, ConfigError> {
    const WANTS: &str = "a list of `{ id = \"vpce-…\", service = \"…\" }`";
    let found = settings.pairs(keys::VPC_ENDPOINTS, ["id", "service"], WANTS)?;
    let endpoint = |(id, service): &(String, String)| {
        VpcEndpoint::new(id, service).map_err(|e| found.invalid(id, e.to_string(), None))
    };
    found.value.iter().map(endpoint).collect()
}

fn network(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text
        .parse()
        .map_err(|_| "not a network, such as `10.0.0.0/8`".to_owned())?;
    if net.prefix_len() == 0 {
        return Err("the whole Internet is no private network".to_owned());
    }
    if net.trunc() != net {
        return Err(format!(
            "an address within a network; the network is `{}`",
            net.trunc()
        ));
    }
    Ok(net)
}

/// Reads each entry of a list, and no shorter list.
pub(super) fn each<T>(
    found: &Found<Vec<String>>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, ConfigError> {
    let entry = |text: &String| read(text).map_err(|problem| found.invalid(text, problem, None));
    found.value.iter().map(entry).collect()
}

fn timeouts(
    settings: &Section,
    folders: Folders<'_>,
) -> Result<(UpstreamConfig, LookupConfig), ConfigError> {
    let upstream = duration(settings, keys::UPSTREAM_TIMEOUT)?;
    let lookup = duration(settings, keys::LOOKUP_TIMEOUT)?;
    for timeout in [&upstream, &lookup] {
        if timeout.value.is_zero() {
            return Err(timeout.invalid("0s", "nothing would ever get through", None));
        }
    }
    if upstream.value >= UPSTREAM_TIMEOUT_BELOW {
        return Err(upstream.invalid(
            &value::show_duration(upstream.value),
            "not below `60s`, when AWS's own clients give up",
            None,
        ));
    }
    if lookup.value >= upstream.value {
        let (shown, than) = match lookup.place {
            Place::Default => (
                &upstream,
                format!(
                    "not above `lookup.timeout`, `{}`",
                    value::show_duration(lookup.value)
                ),
            ),
            Place::File { .. } | Place::Variable(_) => (
                &lookup,
                format!(
                    "not below `upstream.timeout`, `{}`",
                    value::show_duration(upstream.value)
                ),
            ),
        };
        return Err(shown.invalid(&value::show_duration(shown.value), than, None));
    }
    Ok((
        UpstreamConfig {
            dangerous_override: dangerous_override(settings)?,
            ca_file: path_of(settings, keys::CA_FILE, folders)?,
            proxy: parent(settings)?,
            no_proxy: bypass(settings)?,
            timeout: upstream.value,
        },
        LookupConfig {
            timeout: lookup.value,
            cache_ttl: duration(settings, keys::CACHE_TTL)?.value,
        },
    ))
}

/// `upstream.proxy`. What is wrong with it is told without the text, which may hold a password.
fn parent(settings: &Section) -> Result<Option<Parent>, ConfigError> {
    let text = settings.text(keys::PROXY)?;
    if text.value.is_empty() {
        return Ok(None);
    }
    Parent::parse(&text.value)
        .map(Some)
        .map_err(|problem| text.invalid("…", problem, None))
}

/// A guard that is its own parent would send each request to itself, until no connection is left.
fn not_its_own_parent(
    settings: &Section,
    listen: SocketAddr,
    parent: Option<&Parent>,
) -> Result<(), ConfigError> {
    let Some(parent) = parent.filter(|p| p.port() == listen.port()) else {
        return Ok(());
    };
    let ip = parent.host().ip();
    let loopback = parent.host().as_str() == "localhost" || ip.is_some_and(|ip| ip.is_loopback());
    let ours = ip == Some(listen.ip())
        || loopback && (listen.ip().is_loopback() || listen.ip().is_unspecified());
    if !ours {
        return Ok(());
    }
    let found = settings.text(keys::PROXY)?;
    Err(found.invalid(
        &parent.to_string(),
        "the guard itself listens there (`listen`)",
        None,
    ))
}

fn bypass(settings: &Section) -> Result<Bypass, ConfigError> {
    let list = settings.list(keys::NO_PROXY)?;
    each(&list, |text| Bypass::parse([text]))?;
    if !list.value.is_empty() && settings.text(keys::PROXY)?.value.is_empty() {
        return Err(list.invalid(
            &list.value.join(", "),
            "there is no `upstream.proxy` that these hosts would go around",
            None,
        ));
    }
    Bypass::parse(list.value.iter().map(String::as_str))
        .map_err(|problem| list.invalid(&list.value.join(", "), problem, None))
}

fn dangerous_override(settings: &Section) -> Result<Option<Override>, ConfigError> {
    let text = settings.text(keys::DANGEROUS_OVERRIDE)?;
    if text.value.is_empty() {
        return Ok(None);
    }
    value::override_url(&text.value)
        .map(Some)
        .map_err(|problem| text.invalid(&text.value, problem, None))
}

fn duration(settings: &Section, key: Key) -> Result<Found<Duration>, ConfigError> {
    let text = settings.text(key)?;
    match value::duration(&text.value) {
        Ok(duration) => Ok(text.map(|_| duration)),
        Err(problem) => Err(text.invalid(&text.value, problem, None)),
    }
}

/// Long enough for a busy disk, and short enough to be a bound.
fn keys_unread_max(settings: &Section) -> Result<Duration, ConfigError> {
    let max = duration(settings, keys::KEYS_UNREAD_MAX)?;
    if (Duration::from_secs(5)..=Duration::from_secs(3600)).contains(&max.value) {
        return Ok(max.value);
    }
    let shown = value::show_duration(max.value);
    Err(max.invalid(&shown, "not between `5s` and `1h`", None))
}

fn limits(settings: &Section) -> Result<Limits, ConfigError> {
    let guarded = size(settings, keys::BODY_BYTES_MAX)?;
    let unguarded = size(settings, keys::BODY_BUFFER_MAX)?;
    let total = size(settings, keys::BUFFER_TOTAL_MAX)?;
    for (small, large) in [(&guarded, &unguarded), (&unguarded, &total)] {
        if small.value.0 <= large.value.0 {
            continue;
        }
        let (shown, than) = match large.place {
            Place::Default => (
                small,
                format!("more than `{}`, `{}`", large.key, large.value.1),
            ),
            Place::File { .. } | Place::Variable(_) => (
                large,
                format!("less than `{}`, `{}`", small.key, small.value.1),
            ),
        };
        return Err(shown.invalid(&shown.value.1, than, None));
    }
    let connections = settings.number(keys::CONNECTIONS_MAX)?;
    let connections_max = usize::try_from(connections.value).unwrap_or(usize::MAX);
    if !(1..=1_000_000).contains(&connections_max) {
        let shown = connections.value.to_string();
        return Err(connections.invalid(&shown, "not between 1 and 1000000", None));
    }
    Ok(Limits {
        body_bytes_max: guarded.value.0,
        body_buffer_max: unguarded.value.0,
        buffer_total_max: total.value.0,
        connections_max,
    })
}

/// A size in bytes, beside the text that said it.
fn size(settings: &Section, key: Key) -> Result<Found<(u64, String)>, ConfigError> {
    let text = settings.text(key)?;
    let bytes = value::size(&text.value).and_then(|bytes| match bytes {
        1024.. => Ok(bytes),
        0..1024 => Err("less than `1KiB`, in which few calls fit".to_owned()),
    });
    match bytes {
        Ok(bytes) => Ok(text.map(|shown| (bytes, shown))),
        Err(problem) => Err(text.invalid(&text.value, problem, None)),
    }
}
