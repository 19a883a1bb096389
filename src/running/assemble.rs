//! From a configuration to a guard: the first at the start, others at each reload.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{StartError, descriptors};
use crate::admin::metrics::{Certificate, Effect, Metrics, Vocabulary};
use crate::admin::readiness::Readiness;
use crate::aws::catalog::Catalog;
use crate::config::{ClientCertificates, Config, OwnCertificate, Scheme};
use crate::guard::keyring::Holder;
use crate::guard::refusal::Refusal;
use crate::journal::Journal;
use crate::pipeline::{Guard, InForce, LogRate, UNRECORDED};
use crate::proxy::authority::Leaves;
use crate::proxy::entrance::Entrance;
use crate::proxy::upstream::Upstream;
use crate::proxy::{Budget, Timeouts, roots};
use crate::ruleset::Ruleset;
use crate::ruleset::served::{self, Served};
use crate::sources::api::Api;
use crate::sources::clock::Clock;
use crate::sources::credentials::{Sts, UpstreamCredentials};
use crate::sources::keys::LiveKeys;
use crate::sources::lookup::Lookups;
use crate::state::StateDir;

/// What every guard of a process shares, whatever its configuration.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) keys: LiveKeys,
    pub(super) journal: Journal,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) budget: Budget,
    pub(super) log_rate: Arc<LogRate>,
    pub(super) strangers: Arc<LogRate>,
    pub(super) leaves: Arc<Leaves>,
}

/// A guard together with the configuration that it was made from.
pub(super) struct Before<'g> {
    pub(super) guard: &'g Guard,
    pub(super) config: &'g Config,
    /// What `upstream.ca_file` holds now is what it held then.
    pub(super) trusts_alike: bool,
}

impl Common {
    /// A guard by a configuration. What the one before it keeps (connections, answers, credentials) goes on where its
    /// settings are the same.
    pub(super) fn guard(
        &self,
        config: &Config,
        ruleset: Ruleset,
        before: Option<Before<'_>>,
    ) -> Result<Guard, StartError> {
        let timeouts = timeouts(config);
        let keys = self
            .keys
            .of(holders(config), tables(config), config.keys_unread_max)?;
        let same_way = before.as_ref().filter(|before| {
            before.trusts_alike
                && before.config.upstream == config.upstream
                && before.config.egress == config.egress
        });
        let upstream = match &same_way {
            Some(before) => before.guard.upstream.clone(),
            None => Upstream::new(&config.upstream, &config.egress, timeouts)?
                .keeping_at_most(descriptors::idle()),
        };
        let api = Api::new(
            upstream.clone(),
            self.clock.clone(),
            self.budget.clone(),
            timeouts,
        );
        let lookups = match &same_way {
            Some(before) if before.config.lookup.cache_ttl == config.lookup.cache_ttl => {
                Arc::clone(&before.guard.lookups)
            }
            Some(_) | None => Arc::new(Lookups::new(
                api.clone(),
                Arc::<Metrics>::clone(&self.metrics),
                config.lookup.cache_ttl,
            )),
        };
        let catalog = Arc::clone(&ruleset.catalog);
        let credentials = match &same_way {
            Some(before) => before
                .guard
                .credentials
                .renewed(&config.credentials, catalog),
            None => {
                let trusted = roots::certificates(config.upstream.ca_file.as_deref())?;
                let (sts, clock) = (Sts::new(api, catalog), self.clock.clone());
                let upstream = &config.upstream;
                let watch = Arc::<Metrics>::clone(&self.metrics);
                UpstreamCredentials::new(
                    &config.credentials,
                    &trusted,
                    upstream,
                    sts,
                    clock,
                    watch,
                )?
            }
        };
        let accounts = config.credentials.iter();
        let accounts = accounts.map(|c| (c.name.clone(), c.accounts.clone()));
        let certificates = config.callers.iter().filter_map(|caller| {
            let name = caller.certificate.clone()?;
            Some((name, Arc::from(caller.name.as_str())))
        });
        Ok(Guard {
            entrance: Arc::new(Entrance::new(&config.listener, &self.leaves)?),
            certificates: certificates.collect(),
            ruleset,
            keys,
            credentials: Arc::new(credentials),
            accounts: accounts.collect::<BTreeMap<_, _>>(),
            lookups,
            dialler: upstream.dialler(),
            upstream,
            journal: self.journal.clone(),
            metrics: Arc::clone(&self.metrics),
            clock: self.clock.clone(),
            egress: config.egress.clone(),
            limits: config.limits,
            lookup: config.lookup,
            mode: config.mode,
            foreign_keys: config.foreign_keys,
            timeouts,
            budget: self.budget.clone(),
            upstream_override: overridden(config),
            log_rate: Arc::clone(&self.log_rate),
            strangers: Arc::clone(&self.strangers),
        })
    }
}

pub(super) fn timeouts(config: &Config) -> Timeouts {
    Timeouts {
        response_head: config.upstream.timeout,
        ..Timeouts::default()
    }
}

/// Who may hold keys.
pub(super) fn holders(config: &Config) -> Vec<Holder> {
    let holders = config.callers.iter().map(|c| Holder {
        name: c.name.clone(),
        groups: c.groups.clone(),
        credentials: c.credentials.clone(),
        may_assume: c.may_assume.iter().map(ToString::to_string).collect(),
    });
    holders.collect()
}

/// The names of all `[credentials.*]` tables.
pub(super) fn tables(config: &Config) -> BTreeSet<String> {
    config.credentials.iter().map(|c| c.name.clone()).collect()
}

/// `upstream.dangerous_override`, as records say it.
pub(super) fn overridden(config: &Config) -> Option<String> {
    config.upstream.dangerous_override.as_ref().map(|o| {
        let scheme = if o.scheme == Scheme::Https {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}:{}", o.host, o.port)
    })
}

/// The closed sets of labels.
pub(super) fn vocabulary(ruleset: &Ruleset) -> Vocabulary {
    let sources = ruleset.knowledge.services().flat_map(|rules| {
        rules
            .lookups
            .values()
            .map(|lookup| format!("{}:{}", rules.service, lookup.operation))
    });
    let mut reasons = Refusal::REASONS.to_vec();
    reasons.extend(UNRECORDED);
    let vocabulary = ruleset.vocabulary.clone();
    Vocabulary {
        knows_action: Box::new(move |service, operation| vocabulary.knows(service, operation)),
        refusal_reasons: reasons,
        unidentified_reasons: Refusal::REASONS.to_vec(),
        lookup_sources: sources.collect(),
        catalog: ruleset.catalog.version().to_owned(),
    }
}

/// Tells the metrics what is in force, before anything is judged by it.
pub(super) fn tell(metrics: &Metrics, guard: &Guard) {
    metrics.credentials_in_force(guard.accounts.keys().map(String::as_str));
    metrics.certificate_expires(Certificate::Listener, guard.entrance.expires());
    let ruleset = &guard.ruleset;
    metrics.policies_in_force(ruleset.policies.rules().iter().map(|rule| {
        let effect = match rule.effect {
            cedar_policy::Effect::Permit => Effect::Permit,
            cedar_policy::Effect::Forbid => Effect::Forbid,
        };
        (rule.id.as_str(), effect)
    }));
    metrics.ruleset_in_force(&ruleset.hash);
    metrics.runs_in(guard.mode);
}

/// Says from now on how long the key ledger is unread. It is asked, not told: whoever reads the ledger may hang.
pub(super) fn watch_keys(guard: &Arc<InForce>, readiness: &Readiness, metrics: &Metrics) {
    // The guard holds the metrics.
    let asked = Arc::downgrade(guard);
    metrics.watch_keys(Box::new(move || {
        asked
            .upgrade()
            .map_or(Duration::ZERO, |guard| guard.now().keys.unread())
    }));
    let asked = Arc::clone(guard);
    readiness.ask("revocations", move || {
        let unread = asked.now().keys.unread_too_long()?.as_secs();
        Some(format!(
            "the key ledger could not be read for {unread} s, and no virtual key is taken until it can"
        ))
    });
}

/// Leaves in the state folder what operations are served by, for `palisade policy check` of the next release. It is a note
/// for people: where it can't be written, the guard runs on, and the log says so.
pub(super) fn keep_served(state: &StateDir, ruleset: &Ruleset) {
    let served = Served::now(&ruleset.catalog, &ruleset.knowledge);
    let kept = served
        .text()
        .map_err(|error| error.to_string())
        .and_then(|text| {
            let kept = state.keep(served::FILE, text.as_bytes());
            kept.map_err(|error| error.to_string())
        });
    if let Err(error) = kept {
        tracing::warn!(
            error,
            "the list of operations could not be kept: `palisade policy check` of the next release can't tell what it changes"
        );
    }
}

/// The names that the guard's authority may speak for: AWS's, and those of the proxy itself.
pub(crate) fn certified(config: &Config, catalog: &Catalog) -> Vec<String> {
    let own = match config.listener.tls.as_ref().map(|tls| &tls.certificate) {
        Some(OwnCertificate::Minted(names)) => names.as_slice(),
        Some(OwnCertificate::Files { .. }) | None => &[],
    };
    let own = own.iter().map(ToString::to_string);
    catalog
        .dns_suffixes()
        .map(str::to_owned)
        .chain(own)
        .collect()
}

/// Warns of a proxy port that others than this machine reach, and that asks nobody who they are.
pub(super) fn warn_of_open_door(config: &Config) {
    if config.listen.ip().is_loopback() || config.listener.require_proof {
        return;
    }
    let asks = config.listener.tls.as_ref().map(|tls| &tls.clients);
    if let Some(ClientCertificates::Required(_)) = asks {
        return;
    }
    tracing::warn!(
        listen = %config.listen,
        "whoever reaches the proxy port may use it for the hosts of `[egress]`, and what is said there is read on the way \
         unless `listener.tls` is set: on a network that isn't trusted, set `listener.tls` and `listener.require_proof`"
    );
}

/// Warns of what can be switched off by those whom it should hold.
pub(super) fn warn_of_open_tags(ruleset: &Ruleset) {
    for (key, policy) in ruleset.policies.unguarded_tag_keys() {
        tracing::warn!(
            policy,
            key,
            "the policy reads a tag that anyone who may tag can change: forbid it by `context.tagKeys`"
        );
    }
}
