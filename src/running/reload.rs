//! A reload: everything that the configuration names is read anew and put in force as a whole, or not at all.
//!
//! INVARIANT: what doesn't read well never comes into force, not in part either: the last good set stays.

use std::sync::Arc;

use super::assemble::{Before, Common, keep_served, tell, vocabulary, warn_of_open_tags};
use crate::admin::metrics::ReloadOutcome;
use crate::admin::readiness::Readiness;
use crate::config::Config;
use crate::journal::Record;
use crate::journal::record::Lifecycle;
use crate::pipeline::InForce;
use crate::ruleset::Ruleset;
use crate::state::StateDir;

/// Puts configurations in force, one after the other.
#[derive(Debug)]
pub(super) struct Reload {
    common: Common,
    in_force: Arc<InForce>,
    readiness: Readiness,
    state: StateDir,
    /// What is in force was made from this.
    config: Config,
    /// What `upstream.ca_file` held then.
    trusted: Option<Vec<u8>>,
}

impl Reload {
    pub(super) fn new(
        common: Common,
        in_force: Arc<InForce>,
        readiness: Readiness,
        state: StateDir,
        config: Config,
    ) -> Self {
        Self {
            trusted: trusted(&config),
            common,
            in_force,
            readiness,
            state,
            config,
        }
    }

    /// Puts a configuration in force, or keeps what is, and records which.
    pub(super) async fn apply(&mut self, read: Result<Config, String>) -> Result<(), String> {
        let metrics = Arc::clone(&self.common.metrics);
        let applied = match read {
            Ok(config) => self.put_in_force(config).await,
            Err(error) => Err(error),
        };
        match &applied {
            Ok(()) => {
                self.readiness.remark(None);
                metrics.policies_reloaded(ReloadOutcome::Applied);
            }
            Err(error) => {
                tracing::error!("the reload is refused, what was in force stays: {error}");
                self.refused(error);
                metrics.policies_reloaded(ReloadOutcome::Refused);
            }
        }
        applied
    }

    async fn put_in_force(&mut self, config: Config) -> Result<(), String> {
        if let Some(key) = needs_restart(&self.config, &config) {
            return Err(format!(
                "`{key}` can't change while the guard runs: restart it, or set it back"
            ));
        }
        let (ruleset, config) = tokio::task::spawn_blocking(move || {
            let ruleset = Ruleset::load(&config).map_err(|error| error.to_string());
            (ruleset, config)
        })
        .await
        .map_err(|error| error.to_string())?;
        let ruleset = ruleset?;
        warn_of_open_tags(&ruleset);
        let before = self.in_force.now();
        let trusted = trusted(&config);
        let guard = {
            let before = Before {
                guard: &before,
                config: &self.config,
                trusts_alike: trusted == self.trusted,
            };
            let guard = self.common.guard(&config, ruleset, Some(before));
            guard.map_err(|error| error.to_string())?
        };
        // What was revoked while this one was being made; what is from here on, the ledger's follower takes over.
        let ledger = guard
            .keys
            .store()
            .list()
            .map_err(|error| error.to_string())?;
        guard
            .keys
            .renew(&ledger)
            .map_err(|error| error.to_string())?;
        let record = Lifecycle::Reload {
            old: before.ruleset.hash.clone(),
            new: guard.ruleset.hash.clone(),
            mode: guard.mode,
        };
        let now = self.common.clock.now();
        let recorded = self.common.journal.append(Record::lifecycle(now, record));
        let receipt = recorded
            .await
            .map_err(|error| format!("it can't be recorded: {error}"))?;
        tracing::debug!(sequence = receipt.sequence(), "the reload is recorded");
        // Labels first, so that nothing judged by the new set is counted as `other`.
        self.common.metrics.speaks(vocabulary(&guard.ruleset));
        let guard = self.in_force.replace(guard);
        tell(&self.common.metrics, &guard);
        tracing::info!(
            ruleset = %guard.ruleset.hash,
            policies = guard.ruleset.policies.rules().len(),
            mode = guard.mode.as_str(),
            "reloaded"
        );
        let embedded = |config: &Config| config.catalog.is_none() && config.services.is_none();
        let unchanged = embedded(&self.config) && embedded(&config);
        (self.config, self.trusted) = (config, trusted);
        if !unchanged {
            let state = self.state.clone();
            // It tells of its own failures; a panic of it has been logged.
            let _ = tokio::task::spawn_blocking(move || keep_served(&state, &guard.ruleset)).await;
        }
        Ok(())
    }

    fn refused(&self, error: &str) {
        let hash = self.in_force.now().ruleset.hash.clone();
        self.readiness.remark(Some(format!(
            "reload: refused, the set of hash {hash} stays in force: {error}"
        )));
        let record = Lifecycle::ReloadRefused {
            ruleset_hash: hash,
            error: error.to_owned(),
        };
        let now = self.common.clock.now();
        let recorded = self
            .common
            .journal
            .append_later(Record::lifecycle(now, record));
        if let Err(error) = recorded {
            tracing::error!("the refused reload could not be recorded: {error}");
        }
    }

    /// The configuration in force.
    pub(super) const fn config(&self) -> &Config {
        &self.config
    }
}

/// What `upstream.ca_file` holds; a file that can't be read refuses the reload by itself, where its certificates are.
fn trusted(config: &Config) -> Option<Vec<u8>> {
    std::fs::read(config.upstream.ca_file.as_deref()?).ok()
}

/// The first key that differs and that only a restart can change.
fn needs_restart(old: &Config, new: &Config) -> Option<&'static str> {
    let differs = [
        ("listen", old.listen != new.listen),
        ("admin", old.admin != new.admin),
        ("state_dir", old.state_dir != new.state_dir),
        ("state.keys", old.shared.keys != new.shared.keys),
        ("state.ca", old.shared.ca != new.shared.ca),
        ("journal.fsync", old.journal.fsync != new.journal.fsync),
        (
            "limits.connections_max",
            old.limits.connections_max != new.limits.connections_max,
        ),
        (
            "limits.buffer_total_max",
            old.limits.buffer_total_max != new.limits.buffer_total_max,
        ),
    ];
    let first = differs.into_iter().find(|(_, differs)| *differs);
    first.map(|(key, _)| key)
}
