//! `palisade ca`: the certificate authority that clients must trust.

use crate::config::Config;
use crate::ruleset::Ruleset;
use crate::running::{certified, open_authority, open_state};
use crate::sources::clock::Clock;

use super::failure::Failure;

/// The CA as PEM; made, if there is none yet.
pub(crate) fn run(config: &Config) -> Result<String, Failure> {
    let state = open_state(config)?;
    let catalog = Ruleset::catalog(config).map_err(Failure::usage)?;
    let authority = open_authority(&state, certified(config, &catalog), Clock::system().now());
    Ok(authority.map_err(Failure::refused)?.pem().to_owned())
}
