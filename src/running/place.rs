//! What of a guard's state is its own, and what it shares, by its configuration.

use std::time::SystemTime;

use crate::config::Config;
use crate::proxy::authority::{Authority, AuthorityError};
use crate::state::{StateDir, StateError};

/// The state folder that a configuration names, with the keys and the authority that it says are shared.
///
/// # Errors
/// [`StateError`] if it can't be made, or others may write to it.
pub fn state(config: &Config) -> Result<StateDir, StateError> {
    let state = StateDir::open(&config.state_dir)?;
    Ok(state.sharing(config.shared.keys.clone(), config.shared.ca.clone()))
}

/// The authority of a state folder: the shared one if there is one, else its own, which is made at first use.
///
/// # Errors
/// [`AuthorityError`] as [`Authority::open`] has them.
pub fn authority<S: AsRef<str>>(
    state: &StateDir,
    permitted: impl IntoIterator<Item = S>,
    now: SystemTime,
) -> Result<Authority, AuthorityError> {
    match state.shared_authority() {
        Some(folder) => Authority::read_only(folder, permitted, now),
        None => Authority::open(&state.authority(), permitted, now),
    }
}
