//! What the demonstration plays on: a folder that goes when it ends, the stand-in for AWS, a guard in front of it,
//! and two callers with keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_credential_types::Credentials;

use crate::cli::failure::Failure;
use crate::cli::folder::Folder;
use crate::cli::serve;
use crate::config::Config;
use crate::guard::keyring::VirtualKey;
use crate::proxy::authority::Authority;
use crate::ruleset::Ruleset;
use crate::running::Running;
use crate::sandbox::{Sandbox, seed};
use crate::sources::clock::Clock;
use crate::state::StateDir;

use super::client::Client;

/// How long the guard has to end.
const STOP: Duration = Duration::from_secs(5);

/// The guard's configuration; the ports are the system's to pick.
const CONFIGURATION: &str = r#"# The demonstration's guard. It goes when the demonstration ends.
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
protected = "protected.toml"
state_dir = "state"

[[caller]]
name = "me"
groups = ["deployers"]
credentials = "sandbox"

[[caller]]
name = "admin"
groups = ["admins"]
credentials = "sandbox"

[credentials.sandbox]
source = "default"
"#;

/// The protected list.
const PROTECTED: &str = r#"[workspaces]
ids = ["ws-prod*"]

[workspaces-instances]
ids = ["wsinst-prod*"]

[servicecatalog]
ids = ["pp-prod*"]

[mgn]
ids = ["s-prod*"]

[evs]
ids = ["env-prod*"]
"#;

/// Everything that runs.
#[derive(Debug)]
pub(super) struct Stage {
    folder: Folder,
    pub(super) config: Config,
    pub(super) sandbox: Sandbox,
    pub(super) running: Running,
    pub(super) client: Client,
    pub(super) me: VirtualKey,
    pub(super) admin: VirtualKey,
}

impl Stage {
    /// Starts everything. What was started before a failure ends with it.
    pub(super) async fn set() -> Result<Self, Failure> {
        let folder = Folder::make("palisade-demo").map_err(Failure::refused)?;
        let file = folder.path().join("palisade.toml");
        write(&file, CONFIGURATION).map_err(Failure::refused)?;
        let protected = folder.path().join("protected.toml");
        write(&protected, PROTECTED).map_err(Failure::refused)?;
        let mut config = Config::from_toml(CONFIGURATION, &file, &[])?;
        let sandbox = serve::start_sandbox().await?;
        serve::turn_to(&sandbox, &mut config)?;
        let state = StateDir::open(&config.state_dir)?;
        let (keys, now) = (state.keys()?, Clock::system().now());
        let (me, admin) = (keys.issue("me", now)?, keys.issue("admin", now)?);
        let running = Running::start(&config).await.map_err(serve::failed)?;
        let catalog = Ruleset::catalog(&config).map_err(Failure::refused)?;
        let authority = Authority::open(&state.authority(), catalog.dns_suffixes(), now);
        let authority = authority.map_err(Failure::refused)?;
        let client = Client::new(
            running.listen(),
            authority.certificate(),
            Arc::new(catalog),
            seed::REGION,
            "palisade-demo",
        );
        Ok(Self {
            client: client.map_err(Failure::refused)?,
            folder,
            config,
            sandbox,
            running,
            me,
            admin,
        })
    }

    /// Where the configuration is, for other commands to be pointed at.
    pub(super) fn config_file(&self) -> PathBuf {
        self.folder.path().join("palisade.toml")
    }

    /// The authority's certificate, for clients to trust.
    pub(super) fn authority_file(&self) -> PathBuf {
        self.config.state_dir.join("ca").join("ca.pem")
    }

    /// Where the journal's segments are.
    pub(super) fn journal(&self) -> PathBuf {
        self.config.state_dir.join("journal")
    }

    /// Stops the guard and the stand-in, and takes the folder away.
    pub(super) async fn strike(self) -> Result<(), Failure> {
        let stopped = tokio::time::timeout(STOP, self.running.stop()).await;
        self.sandbox.stop().await;
        match stopped {
            Ok(stopped) => stopped.map_err(Failure::refused),
            // Clients that hold their connections open are cut off by the end of the process.
            Err(_) => Ok(()),
        }
    }
}

/// A key pair as the signer takes it.
pub(super) fn credentials(key: &VirtualKey) -> Credentials {
    Credentials::new(
        &key.access_key_id,
        key.secret_access_key.expose(),
        None,
        None,
        "palisade",
    )
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("`{}` can't be written", path.display()))
}
