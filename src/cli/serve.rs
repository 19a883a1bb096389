//! `palisade serve`: a guard in the foreground.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{
    CallerConfig, Config, CredentialSource, CredentialsConfig, Override, Roles, Scheme, StaticKeys,
};
use crate::ruleset::RulesetError;
use crate::running::{GRACE, Manner, Running, ServiceManager, Sockets, StartError, Watcher};
use crate::sandbox::{ACCOUNT_ID, Account, Sandbox};
use crate::state::{StateDir, StateError};

use super::Printed;
use super::failure::Failure;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Send nothing to AWS: an embedded stand-in answers, with a seeded account
    #[arg(long)]
    sandbox: bool,
}

/// How long a guard that takes a socket over waits for the one before it, beyond what that one's requests in flight have.
const SUCCESSION: Duration = Duration::from_secs(15);
const SUCCESSION_STEP: Duration = Duration::from_millis(50);

/// Reads the configuration: once at the start, and again at each reload.
pub(crate) type Read<'r> = &'r dyn Fn() -> Result<Config, Failure>;

pub(crate) fn run(arguments: &Arguments, read: Read<'_>) -> Result<Printed, Failure> {
    // A huge page is held whole for whatever of it is used: half as much memory again. A kernel that can't be told has none.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // Before there are other threads: it changes the environment.
    let sockets = Sockets::take().map_err(Failure::usage)?;
    // Connections have threads of their own. What else there is must not wait for a reload.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime
        .map_err(Failure::refused)?
        .block_on(serve(arguments, sockets, read))
}

async fn serve(
    arguments: &Arguments,
    sockets: Sockets,
    read: Read<'_>,
) -> Result<Printed, Failure> {
    let mut config = read()?;
    let sandbox = if arguments.sandbox {
        let sandbox = start_sandbox().await?;
        turn_to(&sandbox, &mut config)?;
        Some(sandbox)
    } else {
        None
    };
    let served = until_told(&config, sockets, sandbox.as_ref(), read).await;
    if let Some(sandbox) = sandbox {
        // It is good for nothing once the stand-in has ended.
        let _ = std::fs::remove_file(trusted(&config));
        sandbox.stop().await;
    }
    served.map(|()| Printed::Done(ExitCode::SUCCESS))
}

/// Guards until it is told to end; reads everything anew when it is told to, or when a file changes.
async fn until_told(
    config: &Config,
    sockets: Sockets,
    sandbox: Option<&Sandbox>,
    read: Read<'_>,
) -> Result<(), Failure> {
    if config.callers.is_empty() {
        tracing::warn!(
            "no `[[caller]]` is configured, so every call will be refused: `palisade keys new NAME` says what to write, and where"
        );
    }
    let manager = ServiceManager::from_environment();
    let mut ends = Ends::new()?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(Failure::refused)?;
    let mut files = Watcher::new(config);
    if !sockets.is_empty() {
        tokio::select! {
            free = predecessor_gone(&config.state_dir, manager) => free?,
            () = ends.told() => return Ok(()),
        }
    }
    let running = Running::start_on(sockets, config, Manner::SERVE).await;
    let running = running.map_err(failed)?;
    let pulse = running.pulse();
    let watched = tokio::spawn(async move { manager.watched(|| pulse.beat()).await });
    let is_ready = tokio::select! {
        () = running.ready() => true,
        () = ends.told() => false,
    };
    if is_ready {
        manager.ready(&status(&running, None));
        loop {
            tokio::select! {
                () = ends.told() => break,
                _ = hang_up.recv() => {}
                () = files.changed() => {}
            }
            manager.reloading();
            let mut again = read();
            if let (Ok(config), Some(sandbox)) = (&mut again, sandbox)
                && let Err(failure) = turn_to(sandbox, config)
            {
                again = Err(failure);
            }
            // What became of it is logged, counted and recorded there.
            let reloaded = running.reload(again.map_err(|failure| failure.to_string()));
            let refused = reloaded.await.err();
            manager.ready(&status(&running, refused.as_deref()));
            files.follow(&running.config().await);
        }
    }
    let seconds = GRACE.as_secs();
    tracing::info!("stopping: requests in flight have {seconds} seconds");
    manager.stopping(&format!(
        "stopping: requests in flight have {seconds} seconds"
    ));
    let stopped = running.stop().await.map_err(Failure::refused);
    watched.abort();
    stopped
}

/// What the service manager shows of a guard that serves.
fn status(running: &Running, refused: Option<&str>) -> String {
    let (listen, policies) = (running.listen(), running.policies());
    let serving = format!("guarding on {listen} by {policies} policies");
    match refused {
        None => serving,
        Some(why) => format!("{serving}; the last reload was refused: {why}"),
    }
}

/// The signals that end a guard in order.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(Failure::refused)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Failure::refused)?,
        })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Waits for the guard on whose socket this one is to listen: it has the state folder until what is in flight there has
/// ended. Who connects meanwhile waits at the socket.
async fn predecessor_gone(folder: &Path, manager: ServiceManager) -> Result<(), Failure> {
    let state = StateDir::open(folder)?;
    let until = tokio::time::Instant::now() + GRACE + SUCCESSION;
    loop {
        match state.lock() {
            Err(StateError::Held { pid, .. }) if tokio::time::Instant::now() < until => {
                tracing::debug!(pid, "another guard ends");
                manager.status("waiting for the guard before this one to end");
                tokio::time::sleep(SUCCESSION_STEP).await;
            }
            Err(error) => return Err(error.into()),
            // Let go at once: the start takes it, and says so where somebody else was faster.
            Ok(_) => return Ok(()),
        }
    }
}

/// Where the stand-in's certificate authority is: of this process alone, and never written twice, since a change of the
/// file is a reason to read everything anew.
fn trusted(config: &Config) -> PathBuf {
    let name = format!("sandbox-ca-{}.pem", std::process::id());
    config.state_dir.join(name)
}

/// Starts the stand-in for AWS.
pub(crate) async fn start_sandbox() -> Result<Sandbox, Failure> {
    Sandbox::start(Account::demo())
        .await
        .map_err(Failure::refused)
}

/// Turns a configuration to the stand-in: every AWS host goes there, signed with its key.
pub(crate) fn turn_to(sandbox: &Sandbox, config: &mut Config) -> Result<(), Failure> {
    std::fs::create_dir_all(&config.state_dir).map_err(Failure::refused)?;
    let ca_file = trusted(config);
    if !ca_file.exists() {
        std::fs::write(&ca_file, sandbox.ca_pem()).map_err(Failure::refused)?;
    }
    config.upstream.ca_file = Some(ca_file);
    config.upstream.dangerous_override = Some(Override {
        scheme: Scheme::Https,
        host: "localhost".to_owned(),
        port: sandbox.address().port(),
    });
    let (access_key_id, secret_access_key) = sandbox.credentials();
    let keys = StaticKeys {
        access_key_id: access_key_id.to_owned(),
        secret_access_key: secret_access_key.to_owned(),
    };
    if config.callers.is_empty() {
        let caller = |name: &str, groups: &[&str]| CallerConfig {
            name: name.to_owned(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
            credentials: "sandbox".to_owned(),
            may_assume: Vec::new(),
            certificate: None,
        };
        config.callers = vec![caller("me", &[]), caller("admin", &["admins"])];
        let source = CredentialSource::Default;
        config.credentials = vec![CredentialsConfig {
            name: "sandbox".to_owned(),
            source,
            accounts: Vec::new(),
            roles: Roles::default(),
        }];
    }
    for table in &mut config.credentials {
        table.source = CredentialSource::Static(keys.clone());
        table.accounts = vec![ACCOUNT_ID.to_owned()];
        // The stand-in has no roles to give.
        table.roles = Roles::default();
    }
    Ok(())
}

/// That a policy set has so many faults.
pub(crate) fn set_refused(faults: usize) -> String {
    let noun = if faults == 1 { "fault" } else { "faults" };
    format!("the policy set is refused: {faults} {noun}")
}

pub(crate) fn failed(error: StartError) -> Failure {
    match error {
        StartError::State(error) => error.into(),
        // A line for each, as `palisade policy check` has them.
        StartError::Ruleset(RulesetError::Policies(error)) => {
            eprintln!("{error}");
            Failure::usage(anyhow::anyhow!(set_refused(error.faults.len())))
                .with_help("mend them until `palisade policy check` is content".to_owned())
        }
        error @ (StartError::Ruleset(_)
        | StartError::Keys(_)
        | StartError::Entrance(_)
        | StartError::Sockets(_)
        | StartError::Listen { .. }) => Failure::usage(error),
        error @ (StartError::Authority(_)
        | StartError::Lanes(_)
        | StartError::Journal(_)
        | StartError::Upstream(_)
        | StartError::Roots(_)
        | StartError::Credentials(_)
        | StartError::Metrics(_)
        | StartError::Tls(_)
        | StartError::RunFile { .. }) => Failure::refused(error),
    }
}
