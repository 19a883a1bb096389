//! `palisade ca`: the certificate authority that clients must trust.

use crate::config::Config;
use crate::proxy::authority::Authority;
use crate::ruleset::Ruleset;
use crate::running::certified;
use crate::sources::clock::Clock;
use crate::state::StateDir;

use super::failure::Failure;

/// The CA as PEM; made, if there is none yet.
pub(crate) fn run(config: &Config) -> Result<String, Failure> {
    let state = StateDir::open(&config.state_dir)?;
    let catalog = Ruleset::catalog(config).map_err(Failure::usage)?;
    let authority = Authority::open(
        &state.authority(),
        certified(config, &catalog),
        Clock::system().now(),
    );
    Ok(authority.map_err(Failure::refused)?.pem().to_owned())
}
