//! What is wrong with a configuration: where it stands, and what to do next.

use std::fmt;
use std::sync::Arc;

/// Where a setting was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: it is the default.
    Default,
    /// A line, counted from 1, of a file as the user named it.
    File { path: Arc<str>, line: usize },
    /// A variable of the environment.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Default => f.write_str("default"),
            Place::File { path, line } => write!(f, "{path}:{line}"),
            Place::Variable(name) => f.write_str(name),
        }
    }
}

/// Why a configuration is refused. [`ConfigError::help`] has the next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("`{path}` cannot be read: {reason}")]
    Unreadable { path: String, reason: String },
    #[error("{place}: {problem}")]
    Syntax { place: Place, problem: String },
    #[error("{place}: `{key}` is not a key")]
    UnknownKey {
        place: Place,
        key: String,
        nearest: Option<String>,
    },
    #[error("`{name}` is not a variable that sets a key")]
    UnknownVariable {
        name: String,
        nearest: Option<String>,
    },
    #[error("{place}: `{key}` takes {wants}, not {found}")]
    WrongType {
        place: Place,
        key: String,
        wants: &'static str,
        found: String,
    },
    #[error("{place}: `{key}` is missing")]
    Missing {
        place: Place,
        key: String,
        help: String,
    },
    #[error("{place}: `{key}` = `{value}`: {problem}")]
    Invalid {
        place: Place,
        key: String,
        value: Box<str>,
        problem: Box<str>,
        help: Option<String>,
    },
    /// A key, or one of its values, whose feature doesn't exist yet.
    #[error("{place}: `{what}` isn't built yet")]
    Unbuilt {
        place: Place,
        what: String,
        help: String,
    },
}

impl ConfigError {
    /// What to do next, where there is more to say than the error itself says.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            ConfigError::Unreadable { .. }
            | ConfigError::Syntax { .. }
            | ConfigError::WrongType { .. } => None,
            ConfigError::UnknownKey { nearest, .. } => {
                Some(nearest.as_ref().map_or_else(
                    || "`config/palisade.toml` shows every key".to_owned(),
                    |n| format!("did you mean `{n}`?"),
                ))
            }
            ConfigError::UnknownVariable { nearest, .. } => {
                Some(nearest.as_ref().map_or_else(
                    || {
                        "unset it; `[[caller]]` and `[credentials.*]` stand in the file, and each other key is `PALISADE_` and its name in capitals, such as `PALISADE_UPSTREAM_TIMEOUT`".to_owned()
                    },
                    |n| format!("did you mean `{n}`?"),
                ))
            }
            ConfigError::Missing { help, .. } | ConfigError::Unbuilt { help, .. } => {
                Some(help.clone())
            }
            ConfigError::Invalid { help, .. } => help.clone(),
        }
    }
}
