//! `state_dir/run.json`: where the guard listens that runs on a state folder, there for as long as it serves.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::StartError;
use crate::config::{CallerConfig, Config, CredentialSource};
use crate::state::StateDir;

/// What a guard tells of itself while it serves.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct RunFile {
    /// The subcommand that runs it.
    pub command: String,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub pid: u32,
    /// Those that it began with.
    pub callers: Vec<RunCaller>,
}

/// A caller, as a running guard tells of them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RunCaller {
    pub name: String,
    /// The name of their `[credentials.*]` table.
    pub credentials: String,
    /// The profile that the table names, where it names one.
    pub profile: Option<String>,
}

impl RunCaller {
    /// Every caller of a configuration.
    #[must_use]
    pub fn all(config: &Config) -> Vec<Self> {
        let of = |caller: &CallerConfig| {
            let mut tables = config.credentials.iter();
            let table = tables.find(|table| table.name == caller.credentials);
            Self {
                name: caller.name.clone(),
                credentials: caller.credentials.clone(),
                profile: table.and_then(|table| match &table.source {
                    CredentialSource::Profile(profile) => Some(profile.clone()),
                    CredentialSource::Default | CredentialSource::Static(_) => None,
                }),
            }
        };
        config.callers.iter().map(of).collect()
    }
}

impl RunFile {
    /// What the guard tells that last ran on a state folder; `None` where none did or it has stopped in order. It may
    /// be gone by now: the folder's lock says.
    #[must_use]
    pub fn read(state: &StateDir) -> Option<Self> {
        let bytes = std::fs::read(path(state)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Tells tools where the guard listens: `state_dir/run.json`, there for as long as it serves.
pub(super) fn write(
    state: &StateDir,
    command: &str,
    config: &Config,
    listen: SocketAddr,
    admin: SocketAddr,
) -> Result<(), StartError> {
    let path = path(state);
    let text = serde_json::json!({
        "command": command,
        "listen": listen.to_string(),
        "admin": admin.to_string(),
        "pid": std::process::id(),
        "callers": RunCaller::all(config),
    });
    let fresh = path.with_extension("json.new");
    let written =
        std::fs::write(&fresh, format!("{text}\n")).and_then(|()| std::fs::rename(&fresh, &path));
    written.map_err(|error| StartError::RunFile {
        path: path.display().to_string(),
        error,
    })
}

/// Takes it away: the guard has stopped in order.
pub(super) fn remove(state: &StateDir) {
    // Where it stays, the lock says that nobody serves.
    let _ = std::fs::remove_file(path(state));
}

fn path(state: &StateDir) -> PathBuf {
    state.path().join("run.json")
}
