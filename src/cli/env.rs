//! `palisade env`: what a shell sets to have its calls guarded by the guard that runs: `eval "$(palisade env)"`.
//!
//! The files that it names stay in `state_dir/env/CALLER/`. The key is issued once and found again: its id is kept there,
//! its secret follows from the master key.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use anyhow::anyhow;

use super::credentials::no_guard;
use super::exec::beside::Serving;
use super::exec::choice::{Asked, choose};
use super::exec::environment::{Change, EXEC, Lead, changes, text};
use super::exec::profiles::shell_word;
use super::exec::{authority, load_profiles, suffixes, trusted, write_files};
use super::failure::Failure;
use super::folder::write_private;
use crate::config::Config;
use crate::guard::keyring::VirtualKey;
use crate::ruleset::Ruleset;
use crate::sources::clock::Clock;
use crate::state::KeyStore;

const EXAMPLES: &str = "\
Examples:
  eval \"$(palisade env)\"
  palisade env --shell fish | source
  palisade env --shell powershell | Out-String | Invoke-Expression";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The profile that signs what is allowed [default: $AWS_PROFILE, or the only caller's]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// As whom to call: a caller of the guard that runs
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// For which shell
    #[arg(long, value_enum, default_value = "sh")]
    shell: Shell,
    /// Print JSON: an object of variables, `null` for what is unset
    #[arg(long)]
    json: bool,
}

/// A shell by what it takes for an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Shell {
    /// sh, bash, zsh, dash, ksh
    Sh,
    Fish,
    Powershell,
}

pub(crate) fn run(arguments: &Arguments, config: &Config) -> Result<String, Failure> {
    let given: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    if text(&given, EXEC).is_some() {
        return Err(Failure::usage(anyhow!(
            "this is inside of a `palisade exec`: everything is set already"
        )));
    }
    let serving = Serving::find(config)?.ok_or_else(|| no_guard(config))?;
    let asked = Asked::of(arguments.profile.as_deref(), &given);
    let caller = choose(&serving.callers, &asked, arguments.caller.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(Failure::refused)?;
    let profiles = runtime.block_on(load_profiles())?;
    let folder = serving.state.below(&["env", &caller.name])?;
    let key = key(&serving.state.keys()?, &caller.name, &folder)?;
    let catalog = Ruleset::catalog(config).map_err(Failure::usage)?;
    let authority = authority(&serving.state, &catalog)?;
    let trusted = trusted(&given, &profiles, &asked);
    let more = config.file.as_ref().map(|file| {
        let file = shell_word(&file.to_string_lossy());
        format!(" --config {file}")
    });
    let (bundle, config_file, credentials_file) = write_files(
        &folder,
        &authority,
        &trusted.certificates,
        &profiles,
        &more.unwrap_or_default(),
    )?;
    let profile = caller.profile.as_deref().unwrap_or(asked.profile());
    let region = profiles.setting(profile, "region");
    let lead = Lead {
        proxy: serving.proxy(&key)?,
        bundle,
        config_file,
        credentials_file,
        access_key_id: key.access_key_id,
        secret_access_key: key.secret_access_key,
        region: region.map(str::to_owned),
        desk: None,
    };
    let (changes, left_out) = changes(&given, &lead, &suffixes(&catalog));
    for note in trusted.unread.iter().chain(
        &left_out
            .iter()
            .map(|entry| {
                format!("NO_PROXY has `{entry}`, which would lead around the guard: left out")
            })
            .collect::<Vec<_>>(),
    ) {
        eprintln!("palisade: {}", super::table::printable(note));
    }
    if arguments.json {
        return json(&changes);
    }
    changes
        .iter()
        .map(|change| statement(change, arguments.shell))
        .collect()
}

/// The key that was issued for this before, unless it was revoked; else a new one.
fn key(keys: &KeyStore, caller: &str, folder: &Path) -> Result<VirtualKey, Failure> {
    let path = folder.join("key-id");
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some(key) = keys.again(kept.trim(), caller)? {
        return Ok(key);
    }
    let key = keys.issue(caller, Clock::system().now())?;
    write_private(&path, &format!("{}\n", key.access_key_id)).map_err(Failure::refused)?;
    Ok(key)
}

fn json(changes: &[Change]) -> Result<String, Failure> {
    let mut all = BTreeMap::new();
    for change in changes {
        match change {
            Change::Set(name, value) => all.insert(name, Some(utf8(name, value)?)),
            Change::Unset(name) => all.insert(name, None),
        };
    }
    let text = serde_json::to_string(&all).map_err(Failure::refused)?;
    Ok(format!("{text}\n"))
}

fn statement(change: &Change, shell: Shell) -> Result<String, Failure> {
    let (name, value) = match change {
        Change::Set(name, value) => (name, Some(utf8(name, value)?)),
        Change::Unset(name) => (name, None),
    };
    Ok(match (shell, value) {
        (Shell::Sh, Some(value)) => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
        (Shell::Sh, None) => format!("unset {name}\n"),
        (Shell::Fish, Some(value)) => {
            let value = value.replace('\\', r"\\").replace('\'', r"\'");
            format!("set -gx {name} '{value}'\n")
        }
        (Shell::Fish, None) => format!("set -e {name}\n"),
        (Shell::Powershell, Some(value)) => {
            format!("$env:{name} = '{}'\n", value.replace('\'', "''"))
        }
        (Shell::Powershell, None) => {
            format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue\n")
        }
    })
}

fn utf8<'v>(name: &str, value: &'v std::ffi::OsStr) -> Result<&'v str, Failure> {
    value
        .to_str()
        .ok_or_else(|| Failure::usage(anyhow!("`{name}` can't be written: its value is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateDir;

    #[test]
    fn every_shell_reads_back_what_was_meant() {
        let set = Change::Set("A".to_owned(), r"it's \ $(x)".into());
        let unset = Change::Unset("B".to_owned());
        let check = |shell, expected: [&str; 2]| {
            let said = [&set, &unset].map(|change| statement(change, shell).unwrap());
            assert_eq!(said, expected);
        };
        check(Shell::Sh, ["export A='it'\\''s \\ $(x)'\n", "unset B\n"]);
        check(
            Shell::Fish,
            ["set -gx A 'it\\'s \\\\ $(x)'\n", "set -e B\n"],
        );
        check(
            Shell::Powershell,
            [
                "$env:A = 'it''s \\ $(x)'\n",
                "Remove-Item Env:B -ErrorAction SilentlyContinue\n",
            ],
        );
        assert_eq!(
            json(&[set, unset]).unwrap(),
            "{\"A\":\"it's \\\\ $(x)\",\"B\":null}\n"
        );
    }

    #[test]
    fn the_key_of_a_shell_is_the_same_until_it_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let keys = StateDir::open(&folder.path().join("s"))
            .unwrap()
            .keys()
            .unwrap();
        let id = || key(&keys, "ci", folder.path()).unwrap().access_key_id;
        let first = id();
        assert_eq!(id(), first);
        assert_eq!(keys.list().unwrap().len(), 1);
        keys.revoke(&first, Clock::system().now()).unwrap();
        assert_ne!(id(), first);
        let other = key(&keys, "dev", folder.path()).unwrap().access_key_id;
        assert_eq!(keys.list().unwrap().last().unwrap().access_key_id, other);
    }
}
