//! Whose calls are guarded: which profile is meant, under which name, and who that is to a guard that runs already.
//!
//! INVARIANT: a profile that was asked for by name is the one that signs, or nothing runs.

use std::ffi::OsString;

use anyhow::anyhow;

use super::environment::text;
use super::profiles::Profiles;
use crate::aws::nearest::nearest;
use crate::cli::failure::Failure;
use crate::config::{
    CallerConfig, Config, CredentialSource, CredentialsConfig, ForeignKeys, ListenerConfig, Roles,
    check_name,
};
use crate::running::RunCaller;

/// What credentials of the environment's own variables are called by.
pub(super) const ENVIRONMENT: &str = "AWS_ACCESS_KEY_ID";
/// Where AWS's tools look when nobody says.
const DEFAULT: &str = "default";

/// The profile that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Asked {
    /// By `--profile`, or by AWS_PROFILE: it has to be this one.
    Profile(String),
    /// By nobody: AWS's own chain.
    Nothing,
}

/// What a command's calls are signed with upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Main {
    /// The name of its `[credentials.*]` table, and what people are told.
    pub(super) name: String,
    pub(super) source: CredentialSource,
    pub(super) region: Option<String>,
}

impl Asked {
    /// By the command line, else by the environment. Keys in the environment come before AWS_PROFILE, as they do for
    /// AWS's tools.
    pub(in crate::cli) fn of(explicit: Option<&str>, given: &[(OsString, OsString)]) -> Self {
        let keys = text(given, ENVIRONMENT).is_some();
        let named = explicit.or_else(|| {
            let names = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"].into_iter();
            let mut named = names.filter_map(|name| text(given, name));
            named.next().filter(|_| !keys)
        });
        named.map_or(Asked::Nothing, |name| Asked::Profile(name.to_owned()))
    }

    /// The profile whose settings hold.
    pub(in crate::cli) fn profile(&self) -> &str {
        match self {
            Asked::Profile(name) => name,
            Asked::Nothing => DEFAULT,
        }
    }

    /// What signs.
    ///
    /// # Errors
    /// There is no such profile.
    pub(super) fn main(
        &self,
        given: &[(OsString, OsString)],
        profiles: &Profiles,
    ) -> Result<Main, Failure> {
        let (name, source) = match self {
            Asked::Profile(name) => {
                known(name, profiles)?;
                (name.as_str(), CredentialSource::Profile(name.clone()))
            }
            Asked::Nothing if text(given, ENVIRONMENT).is_some() => {
                (ENVIRONMENT, CredentialSource::Default)
            }
            Asked::Nothing => (DEFAULT, CredentialSource::Default),
        };
        Ok(Main {
            name: name.to_owned(),
            source,
            region: profiles
                .setting(self.profile(), "region")
                .map(str::to_owned),
        })
    }
}

/// Checks that there is a profile of that name.
pub(in crate::cli) fn known(name: &str, profiles: &Profiles) -> Result<(), Failure> {
    if profiles.has(name) {
        return Ok(());
    }
    let names = profiles.names();
    let help = match nearest(name, names.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if names.is_empty() => {
            format!("there is none; `aws configure sso --profile {name}` writes one")
        }
        None => format!("there are: {}", names.join(", ")),
    };
    let error = anyhow!("there is no profile `{name}` in your AWS configuration");
    Err(Failure::usage(error).with_help(help))
}

/// The caller's name: as asked for, else the user's.
///
/// # Errors
/// It can't be the name of a caller.
pub(super) fn caller_name(
    explicit: Option<&str>,
    given: &[(OsString, OsString)],
    passwd: &str,
) -> Result<String, Failure> {
    if let Some(name) = explicit {
        check_name(name).map_err(|why| Failure::usage(anyhow!("--caller `{name}`: {why}")))?;
        return Ok(name.to_owned());
    }
    let of_system = || {
        let id = rustix::process::getuid().as_raw().to_string();
        let mut lines = passwd.lines().map(|line| line.split(':'));
        lines.find_map(|mut fields| {
            let name = fields.next()?;
            (fields.nth(1)? == id).then_some(name)
        })
    };
    let name = text(given, "USER").or_else(|| text(given, "LOGNAME"));
    let name = name.or_else(of_system).unwrap_or("me");
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let name: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    match check_name(name) {
        Ok(()) => Ok(name.to_owned()),
        Err(_) => Ok("me".to_owned()),
    }
}

/// The configuration of a guard for one command: policies, protected list, mode, limits and the way out are the user's;
/// who calls and what signs are this command's; other hosts are reached as the shell would reach them.
pub(super) fn overlay(user: &Config, caller: &str, main: &Main, profiles: &Profiles) -> Config {
    let mut config = user.clone();
    let anywhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    (config.listen, config.admin) = (anywhere, anywhere);
    config.credentials = tables(user, main, profiles);
    let mut me = user
        .callers
        .iter()
        .find(|known| known.name == caller)
        .cloned()
        .unwrap_or_else(|| CallerConfig {
            name: caller.to_owned(),
            groups: Vec::new(),
            credentials: String::new(),
            certificate: None,
            may_assume: Vec::new(),
        });
    me.credentials.clone_from(&main.name);
    // The others stay, for policies may name their groups. Nobody has keys of theirs here.
    config.callers.retain(|known| known.name != caller);
    for other in &mut config.callers {
        other.credentials.clone_from(&main.name);
    }
    config.callers.push(me);
    // On this machine alone, and for this command: others on the machine have no key to come in with, and no other keys
    // pass.
    config.listener = ListenerConfig {
        require_proof: true,
        ..ListenerConfig::default()
    };
    config.foreign_keys = ForeignKeys::Refuse;
    for caller in &mut config.callers {
        caller.certificate = None;
    }
    config.egress.other_hosts = crate::config::OtherHosts::Tunnel;
    config.egress.private_addresses = crate::config::PrivateAddresses::Allow;
    config.limits.connections_max = config.limits.connections_max.min(CONNECTIONS_MAX);
    config
}

/// As many connections as one command may have: what usual limits of open files suffice for.
const CONNECTIONS_MAX: usize = 256;

/// A table for each profile, named as it is. What the configuration says of a profile holds here too.
fn tables(user: &Config, main: &Main, profiles: &Profiles) -> Vec<CredentialsConfig> {
    let table = |name: &str, source: CredentialSource| {
        let same = user.credentials.iter().find(|t| t.source == source);
        let mut table = same.cloned().unwrap_or_else(|| CredentialsConfig {
            name: String::new(),
            source,
            accounts: Vec::new(),
            roles: Roles::default(),
        });
        name.clone_into(&mut table.name);
        table
    };
    let mut all = vec![table(&main.name, main.source.clone())];
    for name in profiles.names() {
        if name != main.name {
            all.push(table(name, CredentialSource::Profile(name.to_owned())));
        }
    }
    all
}

/// Who may be meant by a guard that runs: its configuration's callers with what they sign with.
pub(in crate::cli) fn candidates(config: &Config, running: &[RunCaller]) -> Vec<RunCaller> {
    if config.callers.is_empty() {
        return running.to_vec();
    }
    RunCaller::all(config)
}

/// The caller that a running guard's keys are for.
///
/// # Errors
/// None fits, or several do; the help says what to write, or what to choose from.
pub(in crate::cli) fn choose<'c>(
    candidates: &'c [RunCaller],
    asked: &Asked,
    caller: Option<&str>,
) -> Result<&'c RunCaller, Failure> {
    let names = || {
        let names: Vec<&str> = candidates.iter().map(|c| c.name.as_str()).collect();
        names.join(", ")
    };
    if let Some(name) = caller {
        let found = candidates.iter().find(|c| c.name == name).ok_or_else(|| {
            let error = anyhow!("the guard that runs has no caller `{name}`");
            Failure::usage(error).with_help(format!("there are: {}", names()))
        })?;
        return match (asked, &found.profile) {
            (Asked::Profile(wanted), Some(has)) if wanted != has => Err(Failure::usage(anyhow!(
                "the caller `{name}` of the guard that runs signs with the profile `{has}`, not `{wanted}`"
            ))),
            (Asked::Profile(_) | Asked::Nothing, _) => Ok(found),
        };
    }
    let fitting: Vec<&RunCaller> = match asked {
        Asked::Profile(wanted) => {
            let of_profile = |c: &&RunCaller| c.profile.as_ref() == Some(wanted);
            let of_table = |c: &&RunCaller| c.profile.is_none() && c.credentials == *wanted;
            let found: Vec<_> = candidates.iter().filter(of_profile).collect();
            if found.is_empty() {
                candidates.iter().filter(of_table).collect()
            } else {
                found
            }
        }
        Asked::Nothing => candidates.iter().collect(),
    };
    match (fitting.as_slice(), asked) {
        ([one], _) => Ok(one),
        ([], Asked::Profile(wanted)) => {
            let error = anyhow!("the guard that runs has no caller for the profile `{wanted}`");
            Err(Failure::usage(error).with_help(format!(
                "add to its configuration:\n\n[[caller]]\nname = \"me\"\ncredentials = \"{wanted}\"\n\n[credentials.{wanted}]\nprofile = \"{wanted}\""
            )))
        }
        ([], Asked::Nothing) => {
            let error = anyhow!("the guard that runs has no callers");
            Err(Failure::usage(error).with_help(
                "add a `[[caller]]` to its configuration: `palisade keys new NAME` says how"
                    .to_owned(),
            ))
        }
        (several, _) => {
            let names: Vec<&str> = several.iter().map(|c| c.name.as_str()).collect();
            let error = anyhow!("the guard that runs has several callers who may be meant");
            Err(Failure::usage(error)
                .with_help(format!("choose one by --caller: {}", names.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests;
