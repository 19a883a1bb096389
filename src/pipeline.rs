//! The path of one request, top to bottom.
//!
//! ```text
//! identify      endpoint + protocol → operation                  they must agree, else refused
//! authenticate  SigV4 verified against the keyring → Caller
//! judge
//!   parse       guarded calls: strict decode into the typed input → Targets
//!   enrich      facts for each target, only those that a policy in the slice can ask for
//!   decide      Cedar, once per resource, then one verdict → Allowed, which owns the request
//! answer        what AWS would answer with something that works without the guard, and what only the guard can make:
//!               sessions, tokens, presigned URLs; judged, recorded and answered here, never sent
//! sign          with the caller's upstream credentials: a guarded call with those of `guarded_role_arn`
//! admit         the decision is recorded: guarded calls wait until it is durable → Admitted
//! forward       once; then the outcome is recorded; then the answer
//! ```
//!
//! What nobody signs, since AWS asks for no signature, is judged as nobody's and goes on unsigned.
//! What is signed with a key that isn't Palisade's turns off after `identify`, where such keys pass at all: see `foreign`.
//!
//! INVARIANT: `forward` takes only an `Admitted`, which only `admit` makes, from an `Allowed`, which only
//! `decide` makes. Every other way out of here is a [`Refusal`].

#![expect(
    clippy::disallowed_methods,
    reason = "this folder does I/O and may read the clock"
)]

mod admit;
mod answer;
mod answered;
mod arrive;
mod authenticate;
mod claim;
mod doors;
mod enrich;
mod foreign;
mod forward;
mod in_force;
mod judge;
mod outgoing;
mod refuse;
mod streamed;
mod trail;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use http::Response;

use crate::admin::metrics::Metrics;
use crate::aws::host::Host;
use crate::config::{Egress, ForeignKeys, Limits, LookupConfig};
use crate::guard::call::Mode;
use crate::guard::refusal::Refusal;
use crate::journal::Journal;
use crate::proxy::boxed::boxed;
use crate::proxy::egress::Dialler;
use crate::proxy::entrance::Entrance;
use crate::proxy::proof::CertificateName;
use crate::proxy::upstream::Upstream;
use crate::proxy::{Body, Budget, Handle, Intercepted, Timeouts};
use crate::ruleset::Ruleset;
use crate::sources::clock::Clock;
use crate::sources::credentials::UpstreamCredentials;
use crate::sources::keys::LiveKeys;
use crate::sources::lookup::Lookups;

pub use doors::UNRECORDED;
use foreign::Whose;
pub use in_force::InForce;
pub use refuse::LogRate;
use trail::Trail;

/// Everything that a request meets on its way, of one reading of the configuration: [`InForce`] has the one for requests
/// that begin now.
#[derive(Debug)]
pub struct Guard {
    pub ruleset: Ruleset,
    pub keys: LiveKeys,
    pub credentials: Arc<UpstreamCredentials>,
    /// The accounts that each `[credentials.*]` table may reach; an empty list is the one that they belong to.
    pub accounts: BTreeMap<String, Vec<String>>,
    pub lookups: Arc<Lookups>,
    pub upstream: Upstream,
    /// How clients enter, and the callers that their certificates name.
    pub entrance: Arc<Entrance>,
    pub certificates: BTreeMap<CertificateName, Arc<str>>,
    /// For tunnels.
    pub dialler: Dialler,
    pub journal: Journal,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    pub egress: Egress,
    pub limits: Limits,
    pub lookup: LookupConfig,
    pub mode: Mode,
    pub foreign_keys: ForeignKeys,
    pub timeouts: Timeouts,
    pub budget: Budget,
    /// `upstream.dangerous_override`, as every record says it.
    pub upstream_override: Option<String>,
    pub log_rate: Arc<LogRate>,
    /// Of the records of refusals to those whom nobody knows here.
    pub strangers: Arc<LogRate>,
}

impl Handle for Guard {
    async fn handle(&self, request: Intercepted) -> Response<Body> {
        let begun = Instant::now();
        let mut trail = Trail::new(self.clock.now(), &request);
        // On the heap at once: it is moved through tasks, and is large.
        let response = match boxed(|| self.pass(&mut trail, request)).await {
            Ok(response) => response,
            Err(refusal) => self.refuse(&mut trail, &refusal).await,
        };
        self.metrics.request_took(trail.class, begun.elapsed());
        response
    }

    fn misdirected(&self, host: &Host, found: &str) -> Response<Body> {
        self.answer_bare(Refusal::Misdirected {
            connected: host.to_string(),
            found: found.to_owned(),
        })
    }

    fn malformed(&self, host: &Host, why: &str) -> Response<Body> {
        self.answer_bare(Refusal::Malformed {
            message: format!("`{host}`: {why}"),
        })
    }

    fn failed(&self, host: &Host) -> Response<Body> {
        self.answer_bare(Refusal::OutcomeUnknown {
            message: format!("the guard failed at a request to `{host}`"),
        })
    }
}

impl Guard {
    async fn pass(
        &self,
        trail: &mut Trail,
        request: Intercepted,
    ) -> Result<Response<Body>, Refusal> {
        let arrived = self.arrive(trail, request)?;
        let identified = self.identify(trail, arrived).await?;
        if identified.whose == Whose::Foreign {
            return boxed(|| self.pass_on(trail, identified)).await;
        }
        let authenticated = match identified.whose {
            Whose::Nobodys => self.unauthenticated(trail, identified)?,
            Whose::Ours | Whose::Foreign => self.authenticate(trail, identified).await?,
        };
        if let Some(answers) = authenticated.known.operation().answers {
            return boxed(|| self.answer_itself(trail, authenticated, answers)).await;
        }
        let allowed = self.judge(trail, authenticated).await?;
        let signed = self.sign(trail, allowed).await?;
        let admitted = self.admit(trail, signed).await?;
        self.forward(trail, admitted).await
    }
}
