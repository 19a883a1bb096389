//! Parse, enrich, decide; and what becomes of it where policies, or the whole guard, only monitor.

use std::sync::Arc;
use std::time::Instant;

use super::authenticate::Authenticated;
use super::enrich::{By, Enriched};
use super::outgoing::Outgoing;
use super::trail::Trail;
use super::{Guard, Refusal};
use crate::aws::catalog::Operation;
use crate::aws::class::Class;
use crate::guard::call::Mode;
use crate::guard::decide::{self, Allowed};

impl Guard {
    /// Judges a call by all policies. What stands in the way of that, a parameter that can't be read or a fact that can't
    /// be had, refuses it, unless the guard monitors, or only policies that monitor wanted to know.
    pub(super) async fn judge(
        &self,
        trail: &mut Trail,
        mut authenticated: Authenticated,
    ) -> Result<Allowed<Outgoing>, Refusal> {
        let refusal = match authenticated.known.misread.take() {
            Some(refusal) => {
                self.metrics.unidentified(refusal.reason());
                refusal
            }
            None => match self.understand(trail, &authenticated, By::All).await {
                Ok(enriched) => return self.decide(trail, enriched, authenticated),
                Err(refusal) => refusal,
            },
        };
        // As far as it was understood: its input may have told its class.
        let call = match &trail.call {
            Some(call) => Arc::clone(call),
            None => Arc::clone(&authenticated.call),
        };
        match self.mode_of(Some(authenticated.known.operation())) {
            mode @ Mode::Monitor => {
                let question = self.unjudged(&authenticated);
                let outgoing = Outgoing::passed(trail, authenticated)?;
                Ok(decide::go_on(mode, refusal, question, outgoing)?)
            }
            Mode::Enforce if self.monitors(&call)? => {
                let enriched = self.understand(trail, &authenticated, By::Enforced).await?;
                let allowed = self.decide(trail, enriched, authenticated)?;
                Ok(allowed.noting(refusal))
            }
            Mode::Enforce => Err(refusal),
        }
    }

    /// The mode that calls of an operation are judged in. Keys that AWS mints work without the guard, which monitoring may
    /// not bring about: what could mint them is refused unless it is permitted.
    pub(super) fn mode_of(&self, operation: Option<&Operation>) -> Mode {
        match operation {
            Some(operation) if operation.may_be(Class::Credentials) => Mode::Enforce,
            Some(_) | None => self.mode,
        }
    }

    pub(super) async fn understand(
        &self,
        trail: &mut Trail,
        authenticated: &Authenticated,
        by: By,
    ) -> Result<Enriched, Refusal> {
        let understood = self.parse(trail, authenticated, by)?;
        self.enrich(trail, authenticated, understood, by).await
    }

    /// Asks the policies.
    fn decide(
        &self,
        trail: &mut Trail,
        enriched: Enriched,
        authenticated: Authenticated,
    ) -> Result<Allowed<Outgoing>, Refusal> {
        let (slice, by, mut question, named) = enriched.into_parts();
        let slice = by.of(&slice);
        let outgoing = Outgoing::of(named.as_ref(), trail, authenticated, &mut question)?;
        let begun = Instant::now();
        let mode = self.mode_of(question.operation());
        let decided = decide::decide(mode, slice, question, outgoing);
        self.metrics.decision_took(begun.elapsed());
        Ok(decided?)
    }
}
