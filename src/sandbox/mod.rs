//! An embedded stand-in for AWS: six services over real TLS on loopback, with a seeded account whose state
//! really changes, AWS-shaped errors and a strict signature check. For `--sandbox`, the demonstration and tests.
//!
//! INVARIANT: it listens on loopback only, accepts only a key pair made at its start, and reaches nothing outside
//! its process. What it does not play it refuses as AWS refuses an unknown operation.
//!
//! The host names service and region, as at AWS (`workspaces.eu-central-1.amazonaws.com`); a client that speaks to
//! the stand-in directly, with `localhost` as its host, is taken at the credential scope's word.

#![expect(
    clippy::disallowed_methods,
    reason = "this folder does I/O and may read the clock"
)]

mod account;
mod cbor;
mod error;
mod evs;
mod fault;
mod input;
mod mgn;
pub mod seed;
mod server;
mod service;
mod servicecatalog;
mod signature;
mod sts;
#[cfg(test)]
mod tests;
mod tls;
mod wire;
mod workspace;
mod workspaces;
mod workspaces_instances;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use account::{ACCOUNT_ID, Account, SETTLE};
pub use error::ApiError;
pub use fault::Fault;
pub use service::Service;
pub use sts::GUARD_ARN;

/// The access key id that the stand-in accepts; the secret is made at each start.
pub const ACCESS_KEY_ID: &str = "AKIASANDBOXPALISADE7";

/// How many arrivals are remembered; older ones are forgotten.
pub const SEEN_MAX: usize = 10_000;

/// A running stand-in. It stops when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    ca_pem: String,
    shared: Arc<Shared>,
    stop: watch::Sender<()>,
    serving: JoinHandle<()>,
}

/// Why the stand-in does not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("the sandbox can't listen on loopback: {0}")]
    Listen(#[from] std::io::Error),
    #[error("the sandbox can't make its certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("the sandbox can't set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the system gives no random bytes for the sandbox's secret key")]
    Random,
}

/// One request that arrived, in the order of arrival.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub at: SystemTime,
    /// The HTTP host, as it came.
    pub host: String,
    /// What the host names; `None` where it names none of the six.
    pub service: Option<Service>,
    pub region: Option<String>,
    /// `None` where the request names none.
    pub operation: Option<String>,
    /// The parameters; `None` where they couldn't be read.
    pub input: Option<Value>,
    /// The access key id that the Authorization header names.
    pub access_key_id: Option<String>,
    pub user_agent: Option<String>,
    pub signature: SeenSignature,
}

/// What the check of a signature said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenSignature {
    Valid,
    /// With what was wrong.
    Invalid(String),
}

/// What connections share.
#[derive(Debug)]
struct Shared {
    keys: signature::Keys,
    state: Mutex<State>,
}

/// Everything that changes.
#[derive(Debug)]
struct State {
    account: Account,
    seen: VecDeque<Seen>,
    faults: fault::Faults,
}

impl Sandbox {
    /// Starts a stand-in on a loopback port that the system picks, playing `seed`.
    ///
    /// # Errors
    /// [`SandboxError`] where it can't listen or make its keys.
    pub async fn start(seed: Account) -> Result<Sandbox, SandboxError> {
        let (tls, ca_pem) = tls::configure(SystemTime::now())?;
        let keys = signature::Keys {
            access_key_id: ACCESS_KEY_ID.to_owned(),
            secret: new_secret()?,
        };
        let shared = Arc::new(Shared {
            keys,
            state: Mutex::new(State {
                account: seed,
                seen: VecDeque::new(),
                faults: fault::Faults::default(),
            }),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(());
        let serving = tokio::spawn(server::serve(listener, tls, Arc::clone(&shared), stopped));
        Ok(Sandbox {
            address,
            ca_pem,
            shared,
            stop,
            serving,
        })
    }

    /// Where it listens: 127.0.0.1 and a port. Its certificate says `localhost`, `127.0.0.1` and
    /// `sandbox.palisade.internal`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its authority's certificate, which a client must trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The only key pair it accepts: access key id and secret access key.
    #[must_use]
    pub fn credentials(&self) -> (&str, &str) {
        (&self.shared.keys.access_key_id, &self.shared.keys.secret)
    }

    /// What arrived, oldest first; the last [`SEEN_MAX`].
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().seen.iter().cloned().collect()
    }

    /// Does a call without the wire, for a look at the state.
    ///
    /// # Errors
    /// [`ApiError`], as the service reports it.
    pub fn ask(
        &self,
        service: Service,
        region: &str,
        operation: &str,
        input: &Value,
    ) -> Result<Value, ApiError> {
        let members = input
            .as_object()
            .ok_or_else(|| ApiError::serialization("the input is not an object"))?;
        self.shared
            .lock()
            .account
            .call(service, region, operation, members, SystemTime::now())
    }

    /// Makes the next `calls` validly signed calls of `action` (`"workspaces:TerminateWorkspaces"`) meet a fault.
    /// A later fault of the same action replaces it; zero calls takes it away.
    pub fn fault(&self, action: &str, fault: Fault, calls: u32) {
        self.shared.lock().faults.set(action, fault, calls);
    }

    /// Stops listening, cuts what is open and waits until it has ended.
    pub async fn stop(mut self) {
        self.stop.send_replace(());
        // An error would be a panic of the serving task; there is nobody left whom it concerns.
        let _ended = (&mut self.serving).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, seen: Seen) {
        if self.seen.len() >= SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back(seen);
    }
}

/// Forty characters, as AWS's secrets have.
fn new_secret() -> Result<String, SandboxError> {
    let mut bytes = [0_u8; 30];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| SandboxError::Random)?;
    Ok(STANDARD.encode(bytes))
}
