//! Telling how fetching credentials goes: a table that can't be renewed is to be known before it has expired.

use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials;

/// Whoever is told how each fetch ends.
pub trait WatchFetches: fmt::Debug + Send + Sync {
    /// A fetch for the `[credentials.*]` table of that name has ended.
    fn fetched(&self, table: &str, fetch: Fetch, outcome: FetchOutcome);
}

/// What was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetch {
    /// What the table's source gives.
    Source,
    /// What STS gives for a role. Where already its source fails, that alone is told.
    Role,
}

/// How a fetch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchOutcome {
    /// With credentials that expire then; `None`: never, or it isn't known.
    Fetched { expiry: Option<SystemTime> },
    /// Without.
    Failed,
}

impl Fetch {
    /// What was fetched, as metrics spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Fetch::Source => "source",
            Fetch::Role => "role",
        }
    }
}

impl FetchOutcome {
    /// The outcome as metrics spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            FetchOutcome::Fetched { .. } => "fetched",
            FetchOutcome::Failed => "failed",
        }
    }

    pub(super) fn of<E>(fetched: &Result<Credentials, E>) -> Self {
        match fetched {
            Ok(credentials) => FetchOutcome::Fetched {
                expiry: credentials.expiry(),
            },
            Err(_) => FetchOutcome::Failed,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps what it is told.
    #[derive(Debug, Default)]
    pub(in super::super) struct Told(
        pub(in super::super) Mutex<Vec<(String, Fetch, FetchOutcome)>>,
    );

    impl WatchFetches for Told {
        fn fetched(&self, table: &str, fetch: Fetch, outcome: FetchOutcome) {
            let mut told = self.0.lock().unwrap();
            told.push((table.to_owned(), fetch, outcome));
        }
    }

    /// Where nobody looks.
    pub(in super::super) fn nobody() -> Arc<Told> {
        Arc::default()
    }
}
