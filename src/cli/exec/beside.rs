//! A guard that runs already, in another process: `palisade serve` on the same state folder.
//!
//! Who may read the folder's master key may sign as any of its callers: that is the user who runs the guard.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use aws_credential_types::Credentials;
use rustls::pki_types::CertificateDer;

use super::choice::{Asked, candidates, choose};
use super::desk::{self, Mint};
use super::follow::Follow;
use super::teller::Teller;
use crate::aws::catalog::Catalog;
use crate::aws::value::{Object, Value};
use crate::cli::demo::client::Client;
use crate::cli::failure::Failure;
use crate::config::{Config, ListenerConfig};
use crate::guard::keyring::VirtualKey;
use crate::running::{RunCaller, RunFile, open_state};
use crate::sources::clock::Clock;
use crate::state::{KeyStore, StateDir, StateError};

/// How often the journal is looked at.
const EVERY: Duration = Duration::from_millis(150);
/// How long the last records have to be written.
const LAST: Duration = Duration::from_millis(400);

/// A running guard, as others find it.
#[derive(Debug)]
pub(in crate::cli) struct Serving {
    pub(in crate::cli) run: RunFile,
    pub(in crate::cli) state: StateDir,
    /// Who may be meant.
    pub(in crate::cli) callers: Vec<RunCaller>,
    listener: ListenerConfig,
}

impl Serving {
    /// The guard that serves on the configuration's state folder; `None` where none does.
    ///
    /// # Errors
    /// The folder can't be used.
    pub(in crate::cli) fn find(config: &Config) -> Result<Option<Self>, Failure> {
        if !config.state_dir.is_dir() {
            return Ok(None);
        }
        let state = open_state(config)?;
        let Some(run) = RunFile::read(&state) else {
            return Ok(None);
        };
        match state.lock() {
            // It was left behind.
            Ok(_) => Ok(None),
            Err(StateError::Held { pid, .. }) if pid == Some(run.pid) => {
                let serves = run.command != "exec";
                Ok(serves.then(|| Self::new(run, state, config)))
            }
            Err(StateError::Held { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The guard that a run file tells of.
    pub(super) fn new(run: RunFile, state: StateDir, config: &Config) -> Self {
        let callers = candidates(config, &run.callers);
        Self {
            run,
            state,
            callers,
            listener: config.listener.clone(),
        }
    }

    /// The URL of its proxy for whoever has this key: the key stands in it where the proxy asks who comes.
    ///
    /// # Errors
    /// It takes its clients over TLS, by names that only its administrator knows.
    pub(in crate::cli) fn proxy(&self, key: &VirtualKey) -> Result<String, Failure> {
        if self.listener.tls.is_some() {
            let error = anyhow!("the guard that runs takes its clients over TLS (`listener.tls`)");
            return Err(Failure::usage(error).with_help(
                "set HTTPS_PROXY to its `https://` URL by hand, with a key of `palisade keys new`; or give it another `--config`, and `exec` a guard of its own".to_owned(),
            ));
        }
        if self.listener.require_proof {
            Ok(proven_by(key, &self.run.listen))
        } else {
            Ok(format!("http://{}", self.run.listen))
        }
    }
}

/// The URL of a proxy that asks who comes, with a key for proof.
pub(super) fn proven_by(key: &VirtualKey, listen: &impl std::fmt::Display) -> String {
    let (id, secret) = (&key.access_key_id, key.secret_access_key.expose());
    format!("http://{id}:{secret}@{listen}")
}

/// A command's keys at a guard that runs already.
pub(super) struct Beside {
    serving: Serving,
    asked: Asked,
    pub(super) caller: RunCaller,
    keys: KeyStore,
    pub(super) key: VirtualKey,
}

impl Beside {
    /// Takes a key for the command, until [`leave`](Self::leave).
    pub(super) fn join(
        serving: Serving,
        asked: &Asked,
        caller: Option<&str>,
    ) -> Result<Self, Failure> {
        let caller = choose(&serving.callers, asked, caller)?.clone();
        let keys = serving.state.keys()?;
        let key = keys.issue(&caller.name, Clock::system().now())?;
        Ok(Self {
            serving,
            asked: asked.clone(),
            caller,
            keys,
            key,
        })
    }

    /// The profile that signs, or the table where it names none.
    pub(super) fn profile(&self) -> &str {
        let profile = self.caller.profile.as_deref();
        profile.unwrap_or(&self.caller.credentials)
    }

    pub(super) fn proxy(&self) -> Result<String, Failure> {
        self.serving.proxy(&self.key)
    }

    pub(super) fn state(&self) -> &StateDir {
        &self.serving.state
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.serving.state.journal()
    }

    /// The account that calls will act in: asked through the guard, which looks at its login for it. `None` where its
    /// policies don't let the caller ask.
    ///
    /// # Errors
    /// The guard has no credentials, or doesn't answer.
    pub(super) async fn account(
        &self,
        authority: &CertificateDer<'static>,
        catalog: Arc<Catalog>,
        region: &str,
    ) -> Result<Option<String>, Failure> {
        let listen = self.serving.run.listen;
        let client = Client::new(listen, authority, catalog, region, "palisade-exec");
        let mut client = client.map_err(Failure::refused)?;
        if self.serving.listener.require_proof {
            client.prove();
        }
        let (id, secret) = (&self.key.access_key_id, self.key.secret_access_key.expose());
        let keys = Credentials::new(id, secret, None, None, "palisade");
        let asked = client
            .call(&keys, "sts:GetCallerIdentity", &Object::new())
            .await;
        let answer = asked.map_err(|error| {
            let error = anyhow!("the guard at {listen} doesn't answer: {error:#}");
            Failure::refused(error)
        })?;
        match answer.result {
            Ok(output) => Ok(output
                .get("Account")
                .and_then(Value::as_str)
                .map(str::to_owned)),
            Err(error) if is_of_policies(&error.message) => Ok(None),
            Err(error) => Err(Failure::usage(anyhow!("{}", error.message))),
        }
    }

    /// Takes the key back: the guard refuses it, and every session that was begun with it, within a second.
    pub(super) fn leave(&self) -> Result<(), StateError> {
        let now = Clock::system().now();
        self.keys.revoke(&self.key.access_key_id, now).map(|_| ())
    }
}

/// Whether it was the policies who refused, and so not the login.
fn is_of_policies(message: &str) -> bool {
    message.contains("no policy permits it") || message.contains("(policy `")
}

/// What of [`Beside`] the desk needs; it may outlive the command.
pub(super) struct BesideMint {
    pub(super) beside: Arc<Beside>,
    pub(super) teller: Arc<Teller>,
}

impl Mint for BesideMint {
    async fn mint(&self, profile: &str) -> Result<String, Failure> {
        let beside = &self.beside;
        let caller = if profile == beside.asked.profile() || profile == beside.profile() {
            &beside.caller
        } else {
            choose(
                &beside.serving.callers,
                &Asked::Profile(profile.to_owned()),
                None,
            )?
        };
        let text = desk::session(
            &beside.keys,
            &caller.name,
            Some(&beside.key.access_key_id),
            &caller.credentials,
            Clock::system().now(),
        )?;
        if let Ok(json) = serde_json::from_str::<serde_json::Value>(&text)
            && let Some(id) = json.get("AccessKeyId").and_then(serde_json::Value::as_str)
        {
            self.teller.only(id);
        }
        Ok(text)
    }
}

/// Shows the teller what the guard records, on a thread of its own, until told to stop; then once more.
pub(super) struct Following {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Following {
    pub(super) fn begin(mut follow: Follow, teller: Arc<Teller>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            loop {
                let last = stopped.load(Ordering::Acquire);
                if let Err(error) = follow.read(|event| teller.see(event)) {
                    tracing::error!("the journal of the guard that runs can't be read: {error}");
                    return;
                }
                if last {
                    return;
                }
                std::thread::sleep(EVERY);
            }
        });
        Self { stop, thread }
    }

    /// Waits until the last records are there.
    pub(super) async fn end(self) {
        tokio::time::sleep(LAST).await;
        self.stop.store(true, Ordering::Release);
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
    }
}
