//! `palisade credentials`: a credential process. It hands out virtual session keys, whose calls the guard signs with the
//! real ones of that profile.
//!
//! Inside of `palisade exec` it is `exec` who mints them; elsewhere they are for the guard that runs.

use std::path::Path;

use anyhow::anyhow;

use super::exec::beside::Serving;
use super::exec::choice::{Asked, choose};
use super::exec::desk;
use super::exec::environment::EXEC;
use super::failure::Failure;
use crate::config::Config;
use crate::sources::clock::Clock;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The profile whose credentials sign what is allowed
    #[arg(long, value_name = "NAME")]
    profile: String,
}

/// What a credential process prints; `read` reads the configuration, which is needed outside of `exec` alone.
pub(crate) fn run(
    arguments: &Arguments,
    read: impl FnOnce() -> Result<Config, Failure>,
) -> Result<String, Failure> {
    match std::env::var_os(EXEC).filter(|folder| !folder.is_empty()) {
        Some(folder) => desk::ask(Path::new(&folder), &arguments.profile),
        None => of_running(&arguments.profile, &read()?),
    }
}

fn of_running(profile: &str, config: &Config) -> Result<String, Failure> {
    let serving = Serving::find(config)?.ok_or_else(|| no_guard(config))?;
    let asked = Asked::Profile(profile.to_owned());
    let caller = choose(&serving.callers, &asked, None)?;
    let keys = serving.state.keys()?;
    let now = Clock::system().now();
    Ok(desk::session(
        &keys,
        &caller.name,
        None,
        &caller.credentials,
        now,
    )?)
}

/// No guard serves.
pub(super) fn no_guard(config: &Config) -> Failure {
    let error = anyhow!("no guard serves on `{}`", config.state_dir.display());
    Failure::refused(error)
        .with_help("run `palisade serve`, or the command itself by `palisade exec -- …`".to_owned())
}
