//! A guard of the command's own, in this process.
//!
//! INVARIANT: its keys follow from a master key that is drawn for it and is nowhere but in memory: when the command has
//! ended, none of them is good for anything.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::RwLock;

use super::choice::{ENVIRONMENT, Main, known};
use super::desk::{self, Mint};
use super::profiles::Profiles;
use super::teller::{Teller, observer};
use crate::cli::failure::Failure;
use crate::cli::serve;
use crate::config::Config;
use crate::guard::keyring::VirtualKey;
use crate::running::{Manner, NoIdentity, RunFile, Running, StartError, open_state};
use crate::sources::clock::Clock;
use crate::sources::credentials::{Cause, CredentialsFault};
use crate::state::{KeyStore, StateError};

/// The region that STS is asked in where no other is known; its answer is the same in each.
const REGION: &str = "us-east-1";
/// How long the guard has to end: what the command left running in the background is cut off then.
const STOP: Duration = Duration::from_secs(5);
/// How many commands may run guards of their own at one time.
const GUARDS_MAX: usize = 99;
/// How long a guard that is starting has to say where it listens.
const STARTING: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(50);

/// A guard of our own, running.
pub(super) struct Own {
    /// `None` once it has stopped.
    running: RwLock<Option<Running>>,
    pub(super) listen: SocketAddr,
    pub(super) policies: usize,
    pub(super) config: Config,
    pub(super) caller: String,
    pub(super) keys: KeyStore,
    profiles: Profiles,
    main: Main,
}

/// What came of the attempt to start one.
pub(super) enum Started {
    Own(Box<Own>),
    /// A guard serves here already.
    Serving(RunFile),
}

/// Starts a guard on the configuration's state folder; on one below it where another command's guard has that.
pub(super) async fn start(
    mut config: Config,
    caller: &str,
    main: &Main,
    profiles: &Profiles,
    keys: &KeyStore,
    teller: &Arc<Teller>,
) -> Result<Started, Failure> {
    let top = config.state_dir.clone();
    let manner = Manner {
        command: "exec",
        keys: Some(keys.clone()),
        observer: Some(observer(teller)),
    };
    for place in places(&top) {
        config.state_dir = place;
        let mut waited = Duration::ZERO;
        loop {
            let held = match Running::start_in(&config, manner.clone()).await {
                Ok(running) => {
                    return Ok(Started::Own(Box::new(Own {
                        listen: running.listen(),
                        policies: running.policies(),
                        running: RwLock::new(Some(running)),
                        config,
                        caller: caller.to_owned(),
                        keys: keys.clone(),
                        profiles: profiles.clone(),
                        main: main.clone(),
                    })));
                }
                Err(StartError::State(StateError::Held { pid, .. })) => pid,
                Err(error) => return Err(serve::failed(error)),
            };
            let state = open_state(&config)?;
            let told = RunFile::read(&state).filter(|run| Some(run.pid) == held);
            match told {
                Some(run) if run.command != "exec" => return Ok(Started::Serving(run)),
                Some(_) => break,
                // It is starting, or ending.
                None if waited < STARTING => {
                    tokio::time::sleep(STEP).await;
                    waited += STEP;
                }
                None => {
                    let error = anyhow!(
                        "another guard has `{}` and doesn't say where it listens",
                        config.state_dir.display()
                    );
                    return Err(Failure::refused(error));
                }
            }
        }
    }
    let error = anyhow!(
        "{GUARDS_MAX} commands run under guards of their own below `{}`",
        top.display()
    );
    Err(Failure::refused(error)
        .with_help("run `palisade serve`: then all of them share one".to_owned()))
}

/// The state folder, and those below it for commands beside the first.
fn places(top: &Path) -> impl Iterator<Item = PathBuf> {
    let below = top.join("exec");
    let others = (2..=GUARDS_MAX).map(move |n| below.join(n.to_string()));
    std::iter::once(top.to_owned()).chain(others)
}

impl Own {
    /// A key for the command's environment.
    pub(super) fn key(&self) -> Result<VirtualKey, StateError> {
        self.keys.issue(&self.caller, Clock::system().now())
    }

    /// The account of a profile, whose login is looked at anew.
    pub(super) async fn account(&self, table: &str) -> Result<String, Failure> {
        let of_main = (table == self.main.name).then_some(self.main.region.as_deref());
        let region = of_main
            .flatten()
            .or_else(|| self.profiles.setting(table, "region"));
        let running = self.running.read().await;
        let running = running
            .as_ref()
            .ok_or_else(|| Failure::refused(anyhow!("the command has ended")))?;
        let account = running
            .account(&self.caller, table, region.unwrap_or(REGION))
            .await;
        account.map_err(|error| no_login(table, &self.profiles, error))
    }

    /// Whether the command asked for a host of AWS's.
    pub(super) async fn reached_aws(&self) -> bool {
        let running = self.running.read().await;
        running
            .as_ref()
            .is_some_and(|r| r.certificates_minted() > 0)
    }

    /// Stops the guard, within bounds.
    pub(super) async fn stop(&self) -> anyhow::Result<()> {
        let stop = async {
            match self.running.write().await.take() {
                Some(running) => running.stop().await,
                None => Ok(()),
            }
        };
        // What is cut off then is made good in the journal at the next start.
        match tokio::time::timeout(STOP, stop).await {
            Ok(stopped) => Ok(stopped?),
            Err(_) => Ok(()),
        }
    }
}

impl Mint for Own {
    async fn mint(&self, profile: &str) -> Result<String, Failure> {
        if profile != self.main.name {
            known(profile, &self.profiles)?;
        }
        self.account(profile).await?;
        let now = Clock::system().now();
        Ok(desk::session(&self.keys, &self.caller, None, profile, now)?)
    }
}

/// Why nothing can be signed for a profile, and what mends it.
fn no_login(table: &str, profiles: &Profiles, error: NoIdentity) -> Failure {
    let whose = if table == ENVIRONMENT {
        "the keys in the environment".to_owned()
    } else {
        format!("profile `{table}`")
    };
    let (why, help) = match &error {
        NoIdentity::Credentials(fault) => (fault.cause().to_string(), help(table, profiles, fault)),
        NoIdentity::Region(_) => (error.to_string(), None),
    };
    Failure::usage(anyhow!("{whose}: {why}")).with_help(help)
}

fn help(table: &str, profiles: &Profiles, fault: &CredentialsFault) -> Option<String> {
    if profiles.setting(table, "mfa_serial").is_some() {
        return Some(format!(
            "the profile asks for an MFA code, which can't be typed in here: put its credentials into the environment first \
             (`eval \"$(aws configure export-credentials --profile {table} --format env)\"`), and leave --profile out"
        ));
    }
    matches!(fault.cause(), Cause::VirtualKey).then(|| {
        "this shell has Palisade's own keys already: run the command as it is, or in a shell without them".to_owned()
    })
}
