//! Where a configuration comes from: the file that is asked for, or the user's, or the system's.

use std::path::{Path, PathBuf};

use super::error::{ConfigError, Place};
use super::{Config, read};

/// The longest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

impl Config {
    /// The configuration from `explicit` (of `--config`), else `$PALISADE_CONFIG`, else
    /// `$XDG_CONFIG_HOME/palisade/palisade.toml` (`~/.config` where that isn't set), else
    /// `/etc/palisade/palisade.toml`, else the defaults; the environment's variables lie over each.
    ///
    /// INVARIANT: the working directory is never searched: a hostile repository could bring its own file.
    ///
    /// # Errors
    /// [`ConfigError`]; a file that is named, or found, and cannot be read is an error too.
    pub fn load(
        explicit: Option<&Path>,
        environment: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let named = explicit
            .map(Path::to_path_buf)
            .or_else(|| variable(environment, "PALISADE_CONFIG").map(PathBuf::from));
        if let Some(path) = named {
            let text =
                read_file(&path)?.ok_or_else(|| unreadable(&path, "there is no such file"))?;
            return Self::from_toml(&text, &path, environment);
        }
        for path in usual_places(environment) {
            if let Some(text) = read_file(&path)? {
                return Self::from_toml(&text, &path, environment);
            }
        }
        Self::from_environment(environment)
    }

    /// The configuration that a file's text and an environment (names and values) make. `file` is what
    /// messages call the file; relative paths resolve against its folder. Reads nothing but the working
    /// directory's name, where `file` is relative.
    ///
    /// # Errors
    /// [`ConfigError`] for the first thing that is wrong.
    pub fn from_toml(
        text: &str,
        file: &Path,
        environment: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let absolute = std::path::absolute(file).map_err(|e| unreadable(file, &e.to_string()))?;
        read::config(Some((text, file, &absolute)), environment)
    }

    /// The defaults with the environment over them.
    ///
    /// # Errors
    /// As [`Config::from_toml`].
    pub fn from_environment(environment: &[(String, String)]) -> Result<Self, ConfigError> {
        read::config(None, environment)
    }
}

/// The process's environment, of which a configuration takes `PALISADE_…`, `HOME` and `XDG_CONFIG_HOME`.
/// Other variables that aren't UTF-8 are left out.
///
/// # Errors
/// A `PALISADE_…` variable that isn't UTF-8.
pub fn environment() -> Result<Vec<(String, String)>, ConfigError> {
    let mut environment = Vec::new();
    for (name, value) in std::env::vars_os() {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => environment.push((name, value)),
            (Ok(name), Err(_)) if name.starts_with("PALISADE_") => {
                return Err(ConfigError::Syntax {
                    place: Place::Variable(name),
                    problem: "the value is not UTF-8".to_owned(),
                });
            }
            (Ok(_) | Err(_), Ok(_) | Err(_)) => {}
        }
    }
    environment.sort();
    Ok(environment)
}

/// A variable that is set to something.
pub(super) fn variable<'e>(environment: &'e [(String, String)], name: &str) -> Option<&'e str> {
    let found = environment.iter().find(|(n, _)| n == name);
    found.map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
}

/// The home folder, if the environment names one.
pub(super) fn home(environment: &[(String, String)]) -> Option<PathBuf> {
    absolute_variable(environment, "HOME")
}

/// A folder that a variable names; a relative one is ignored, as it would lead to the working directory.
fn absolute_variable(environment: &[(String, String)], name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(variable(environment, name)?);
    path.is_absolute().then_some(path)
}

fn usual_places(environment: &[(String, String)]) -> Vec<PathBuf> {
    let user = absolute_variable(environment, "XDG_CONFIG_HOME")
        .or_else(|| home(environment).map(|h| h.join(".config")));
    let folders = user.into_iter().chain([PathBuf::from("/etc")]);
    folders.map(|f| f.join("palisade/palisade.toml")).collect()
}

fn read_file(path: &Path) -> Result<Option<String>, ConfigError> {
    let size = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err(unreadable(path, "it is a folder")),
        Ok(metadata) => metadata.len(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(path, &e.to_string())),
    };
    if size > FILE_BYTES_MAX {
        return Err(unreadable(path, "it is larger than 1 MiB"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| unreadable(path, &e.to_string()))?;
    Ok(Some(text))
}

fn unreadable(path: &Path, reason: &str) -> ConfigError {
    ConfigError::Unreadable {
        path: path.display().to_string(),
        reason: reason.to_owned(),
    }
}
