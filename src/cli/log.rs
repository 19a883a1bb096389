//! The log: text on a terminal, JSON otherwise, to standard error.
//!
//! INVARIANT: other crates' lines below a warning are never written, whatever the level: the AWS crates' own
//! would hold secrets.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::failure::Failure;

const LEVELS: &[(&str, LevelFilter)] = &[
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// Starts the log at the level of `PALISADE_LOG`, `usual` where it isn't set.
pub(crate) fn start(usual: LevelFilter) -> Result<(), Failure> {
    let set = std::env::var_os("PALISADE_LOG").filter(|text| !text.is_empty());
    let level = match set {
        None => usual,
        Some(text) => level(&text.to_string_lossy())?,
    };
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("palisade", level);
    let is_terminal = std::io::stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let started = if is_terminal {
        registry.with(layer.with_target(false)).try_init()
    } else {
        registry.with(layer.json().flatten_event(true)).try_init()
    };
    started.map_err(Failure::refused)
}

fn level(text: &str) -> Result<LevelFilter, Failure> {
    let found = LEVELS.iter().find(|(name, _)| *name == text);
    found.map(|(_, level)| *level).ok_or_else(|| {
        let names: Vec<&str> = LEVELS.iter().map(|(name, _)| *name).collect();
        let error = anyhow::anyhow!("PALISADE_LOG: `{text}` is not a level");
        Failure::usage(error).with_help(format!("set one of {}", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_word() {
        assert_eq!(level("debug").unwrap(), LevelFilter::DEBUG);
        assert_eq!(
            level("aws_config=trace").unwrap_err().to_string(),
            "palisade: PALISADE_LOG: `aws_config=trace` is not a level\nhelp: set one of off, error, warn, info, debug, trace"
        );
    }

    #[test]
    fn other_crates_stay_at_warnings() {
        assert_eq!(LevelFilter::TRACE.min(LevelFilter::WARN), LevelFilter::WARN);
        assert_eq!(LevelFilter::OFF.min(LevelFilter::WARN), LevelFilter::OFF);
    }
}
