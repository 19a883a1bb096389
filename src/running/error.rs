//! Why a guard can't start, or can't say whose its credentials are.

use std::io;
use std::net::SocketAddr;

use super::SocketsError;
use crate::admin::metrics::MetricsError;
use crate::journal::JournalError;
use crate::proxy::authority::AuthorityError;
use crate::proxy::entrance::EntranceError;
use crate::proxy::roots;
use crate::proxy::upstream::UpstreamError;
use crate::ruleset::RulesetError;
use crate::sources::credentials::{ClientSetup, CredentialsFault};
use crate::sources::keys::KeysError;
use crate::state::StateError;

/// Why it isn't known whose credentials a table has.
#[derive(Debug, thiserror::Error)]
pub enum NoIdentity {
    /// There are none.
    #[error(transparent)]
    Credentials(#[from] CredentialsFault),
    /// Nobody can be asked there.
    #[error("the catalog knows no STS in region `{0}`")]
    Region(String),
}

/// Why a guard can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Ruleset(#[from] RulesetError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error(transparent)]
    Roots(#[from] roots::RootsError),
    #[error(transparent)]
    Credentials(#[from] ClientSetup),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error(transparent)]
    Entrance(#[from] EntranceError),
    #[error(transparent)]
    Sockets(#[from] SocketsError),
    #[error(
        "the threads that serve connections can't be started: {0}; raise the limit of threads or of open files"
    )]
    Lanes(io::Error),
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error(
        "`{key} = \"{address}\"` can't be listened on: {error}; another process may have it: choose another port"
    )]
    Listen {
        key: &'static str,
        address: SocketAddr,
        error: io::Error,
    },
    #[error("`{path}` can't be written: {error}")]
    RunFile { path: String, error: io::Error },
}
