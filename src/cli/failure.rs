//! How a command fails: one clear line, the next step, an exit code.

use std::fmt;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::state::StateError;
use clap::error::ErrorKind;

/// A command that came to nothing.
#[derive(Debug)]
pub(crate) struct Failure {
    error: anyhow::Error,
    help: Option<String>,
    exit: Exit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// Something was refused, or a check failed.
    Refused,
    /// The command line or the configuration is wrong.
    Usage,
}

impl Failure {
    /// Something was refused, or a check failed: exit code 1.
    pub(crate) fn refused(error: impl Into<anyhow::Error>) -> Self {
        Self::new(error.into(), Exit::Refused)
    }

    /// The command line or the configuration is wrong: exit code 2.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::new(error.into(), Exit::Usage)
    }

    fn new(error: anyhow::Error, exit: Exit) -> Self {
        Self {
            error,
            help: None,
            exit,
        }
    }

    /// The same with a next step.
    pub(crate) fn with_help(self, help: impl Into<Option<String>>) -> Self {
        Self {
            help: help.into(),
            ..self
        }
    }

    /// What went wrong, in one line.
    pub(crate) fn error(&self) -> String {
        one_line(&format!("{:#}", self.error))
    }

    /// The next step.
    pub(crate) fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// What clap found wrong with the command line, in our words' shape: its first paragraph, then its tip or how
    /// the command is used.
    pub(crate) fn of_arguments(error: &clap::Error) -> Self {
        if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            return Self::usage(anyhow::anyhow!("the subcommand is missing"))
                .with_help("`--help` in its place shows what there is".to_owned());
        }
        let text = error.to_string();
        let mut paragraphs = text.split("\n\n").map(one_line);
        let first = paragraphs.next().unwrap_or_default();
        let first = first.strip_prefix("error: ").unwrap_or(&first);
        let rest: Vec<String> = paragraphs.collect();
        let find = |prefix: &str| {
            let found = rest.iter().find_map(|p| p.strip_prefix(prefix));
            found.map(|text| text.trim().to_owned())
        };
        let help = find("tip: ").or_else(|| find("Usage: ").map(|usage| format!("usage: {usage}")));
        let help = help.unwrap_or_else(|| "see `palisade --help`".to_owned());
        Self::usage(anyhow::anyhow!("{first}")).with_help(help)
    }

    /// Tells standard error, and the exit code to end with.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("{self}");
        ExitCode::from(match self.exit {
            Exit::Refused => 1,
            Exit::Usage => 2,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "palisade: {}", self.error())?;
        match &self.help {
            Some(help) => write!(f, "\nhelp: {help}"),
            None => Ok(()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let help = error.help();
        Self::usage(error).with_help(help)
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let help = error.help();
        Self::refused(error).with_help(help)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
