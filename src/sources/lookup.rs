//! Lookups at AWS, with the caller's upstream credentials: the calls that an [`Enquiry`] asks for.
//!
//! INVARIANT: only operations of class `read` are sent from here.

mod timing;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use futures_util::StreamExt;

use self::timing::Timing;
use crate::aws::catalog::Catalog;
use crate::aws::catalog::model::{Operation, Service};
use crate::aws::class::Class;
use crate::aws::endpoint::{Addressed, Endpoint};
use crate::aws::protocol::UpstreamError;
use crate::aws::value::{Object, Value};
use crate::guard::facts::{Enquiry, LookupAnswer, LookupCall};
use crate::guard::refusal::Refusal;
use crate::sources::api::{Api, ApiFault, Desk};

/// The most pages of one lookup.
const PAGES_MAX: usize = 50;
/// The most lookups of one call that are under way at a time.
const CONCURRENCY_MAX: usize = 8;
/// The most answers kept.
const KEPT_MAX: usize = 4096;
/// Who holds a gate where nobody else waits at it: the table, and whoever leaves.
const LAST_HOLDERS: usize = 2;

/// Whoever is told how long lookups take.
pub trait Watch: fmt::Debug + Send + Sync {
    /// How long a lookup (`service:Operation`) took, and how it ended.
    fn lookup_took(&self, lookup: &str, outcome: LookupOutcome, took: Duration);
}

/// How a lookup ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupOutcome {
    /// AWS answered.
    Found,
    /// AWS said that there is no such thing.
    Absent,
    /// It failed, ran out of time, or AWS doesn't allow it.
    Failed,
}

impl LookupOutcome {
    /// The outcome as metrics spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            LookupOutcome::Found => "found",
            LookupOutcome::Absent => "absent",
            LookupOutcome::Failed => "failed",
        }
    }
}

/// Makes lookups.
#[derive(Debug)]
pub struct Lookups {
    api: Api,
    watch: Arc<dyn Watch>,
    cache_ttl: Duration,
    kept: Mutex<HashMap<Key, (Instant, Vec<Object>)>>,
    /// What is being asked: whoever wants the same waits, and finds the answer kept. Only for what may be kept: tags
    /// are read anew for each call, and a reading that began before the call did isn't.
    flights: Flights,
}

/// From where a guarded call is looked at: what it was made to, and as whom.
#[derive(Debug, Clone, Copy)]
pub struct CallDesk<'a> {
    pub catalog: &'a Catalog,
    pub service: &'a Service,
    pub endpoint: &'a Endpoint,
    pub credentials: &'a Credentials,
}

/// Where the lookups of other services go, by the service's name.
type Elsewhere = HashMap<String, (Arc<Service>, Endpoint)>;

/// The answer, and the timing of whoever asked AWS for it.
type Asked<'t> = (Result<LookupAnswer, Refusal>, Option<Timing<'t>>);

/// What an answer is kept under: whose eyes, where, what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    access_key_id: String,
    host: String,
    operation: String,
    input: String,
}

impl Lookups {
    /// Lookups by way of `api`. Answers about attributes are kept for `cache_ttl`.
    #[must_use]
    pub fn new(api: Api, watch: Arc<dyn Watch>, cache_ttl: Duration) -> Self {
        Self {
            api,
            watch,
            cache_ttl,
            kept: Mutex::default(),
            flights: Flights::default(),
        }
    }

    /// Makes every call that the enquiry asks for, round by round.
    ///
    /// # Errors
    /// The refusal that a failed lookup means.
    pub async fn ask(&self, enquiry: &mut Enquiry<'_>, of: CallDesk<'_>) -> Result<(), Refusal> {
        let given_up = AtomicBool::new(false);
        self.ask_all(enquiry, of, &given_up).await
    }

    async fn ask_all(
        &self,
        enquiry: &mut Enquiry<'_>,
        of: CallDesk<'_>,
        given_up: &AtomicBool,
    ) -> Result<(), Refusal> {
        let endpoint = own_endpoint(of)?;
        let own = Desk {
            service: of.service,
            endpoint: &endpoint,
            credentials: of.credentials,
            purpose: "lookup",
        };
        loop {
            let calls = enquiry.next_round()?;
            if calls.is_empty() {
                return Ok(());
            }
            let elsewhere = elsewhere(&calls, of)?;
            let desk = |call: &LookupCall| match elsewhere.get(&call.service) {
                Some((service, endpoint)) => Desk {
                    service,
                    endpoint,
                    ..own
                },
                None => own,
            };
            let mut open = Vec::new();
            for call in calls {
                let key = self.key(desk(&call), &call);
                match key.as_ref().and_then(|key| self.kept(key)) {
                    Some(pages) => absorb(enquiry, &call, Ok(LookupAnswer::Pages(pages)), None)?,
                    None => open.push((call, key)),
                }
            }
            let most = open
                .iter()
                .map(|(call, _)| call.concurrency)
                .min()
                .unwrap_or(1)
                .clamp(1, CONCURRENCY_MAX);
            let desk = &desk;
            let asking = async |(call, key): (LookupCall, Option<Key>)| {
                let answer = self.call(desk(&call), &call, key, given_up).await;
                (call, answer)
            };
            let mut take_in = |(call, (answer, timing)): (LookupCall, Asked<'_>)| {
                let absorbed = absorb(enquiry, &call, answer, timing);
                // The others of this round are dropped.
                given_up.store(absorbed.is_err(), Ordering::Relaxed);
                absorbed
            };
            // One alone, as most rounds have, needs nobody who keeps several apart.
            if open.len() == 1 {
                for one in open {
                    take_in(asking(one).await)?;
                }
                continue;
            }
            let mut answers = futures_util::stream::iter(open)
                .map(asking)
                .buffer_unordered(most);
            while let Some(answer) = answers.next().await {
                take_in(answer)?;
            }
        }
    }

    /// `key`: what the answer is kept under, if it is.
    async fn call<'t>(
        &'t self,
        desk: Desk<'_>,
        call: &LookupCall,
        key: Option<Key>,
        given_up: &'t AtomicBool,
    ) -> Asked<'t> {
        let Some(key) = key else {
            return self.timed(desk, call, given_up).await;
        };
        let flight = self.flights.join(&key);
        let _alone = flight.gate.lock().await;
        let (answer, timing) = match self.kept(&key) {
            Some(pages) => (Ok(LookupAnswer::Pages(pages)), None),
            None => self.timed(desk, call, given_up).await,
        };
        if let Ok(LookupAnswer::Pages(pages)) = &answer {
            self.keep(key.clone(), pages.clone());
        }
        (answer, timing)
    }

    async fn timed<'t>(
        &'t self,
        desk: Desk<'_>,
        call: &LookupCall,
        given_up: &'t AtomicBool,
    ) -> Asked<'t> {
        let lookup = format!("{}:{}", desk.service.id, call.operation);
        let timing = Timing::begin(&*self.watch, lookup, given_up);
        let answer = self.pages(desk, call).await;
        (answer, Some(timing))
    }

    async fn pages(&self, desk: Desk<'_>, call: &LookupCall) -> Result<LookupAnswer, Refusal> {
        let operation = read(desk.service, &call.operation)?;
        let mut input = call.input.clone();
        let mut pages = Vec::new();
        while pages.len() < PAGES_MAX {
            let page = match self.api.call(desk, operation, &input).await {
                Ok(page) => page,
                Err(ApiFault::Barred { why }) => {
                    let name = &call.operation;
                    let message = format!("the lookup `{name}` can't be made: {why}");
                    return Err(Refusal::LookupDenied { message });
                }
                Err(ApiFault::Failed { why }) => return Err(failed(&call.operation, &why)),
                Err(ApiFault::Rejected { status, error }) => {
                    let UpstreamError { code, message } = error;
                    return Ok(LookupAnswer::Error {
                        status,
                        code,
                        message,
                    });
                }
            };
            let token = call.next.as_ref().and_then(|(from, to)| {
                let token = page
                    .get(from)
                    .and_then(Value::as_str)
                    .filter(|token| !token.is_empty())?;
                Some((to, token.to_owned()))
            });
            pages.push(page);
            match token {
                Some((to, token)) => input.set(to, Value::String(token)),
                None => return Ok(LookupAnswer::Pages(pages)),
            }
        }
        Err(failed(&call.operation, "the answer has too many pages"))
    }

    /// What the answer is kept under; `None` where it isn't kept.
    fn key(&self, desk: Desk<'_>, call: &LookupCall) -> Option<Key> {
        let keeps = call.cacheable && !self.cache_ttl.is_zero();
        keeps.then(|| Key {
            access_key_id: desk.credentials.access_key_id().to_owned(),
            host: desk.endpoint.host.to_string(),
            operation: call.operation.clone(),
            input: call.input.to_json().to_string(),
        })
    }

    fn kept(&self, key: &Key) -> Option<Vec<Object>> {
        let kept = lock(&self.kept);
        let (since, pages) = kept.get(key)?;
        (since.elapsed() < self.cache_ttl).then(|| pages.clone())
    }

    fn keep(&self, key: Key, pages: Vec<Object>) {
        let mut kept = lock(&self.kept);
        if kept.len() >= KEPT_MAX {
            let ttl = self.cache_ttl;
            kept.retain(|_, (since, _)| since.elapsed() < ttl);
        }
        if kept.len() < KEPT_MAX {
            kept.insert(key, (Instant::now(), pages));
        }
    }
}

/// What is being asked, each with a gate that one goes through at a time.
#[derive(Debug, Default)]
struct Flights(Mutex<HashMap<Key, Arc<tokio::sync::Mutex<()>>>>);

/// A part in a flight, which is forgotten once nobody has one, however it ended.
struct Flight<'f> {
    flights: &'f Flights,
    key: &'f Key,
    gate: Arc<tokio::sync::Mutex<()>>,
}

impl Flights {
    fn join<'f>(&'f self, key: &'f Key) -> Flight<'f> {
        let gate = Arc::clone(lock(&self.0).entry(key.clone()).or_default());
        Flight {
            flights: self,
            key,
            gate,
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut flights = lock(&self.flights.0);
        if Arc::strong_count(&self.gate) <= LAST_HOLDERS {
            flights.remove(self.key);
        }
    }
}

/// Makes of an answer what is to be made of it, and tells how the lookup ended.
fn absorb(
    enquiry: &mut Enquiry<'_>,
    call: &LookupCall,
    answer: Result<LookupAnswer, Refusal>,
    timing: Option<Timing<'_>>,
) -> Result<(), Refusal> {
    let (outcome, absorbed) = match answer {
        Ok(answer) => {
            let is_error = matches!(answer, LookupAnswer::Error { .. });
            let absorbed = enquiry.absorb(call, answer);
            let outcome = LookupOutcome::of(is_error, &absorbed);
            (outcome, absorbed.map_err(Refusal::from))
        }
        Err(refusal) => (LookupOutcome::Failed, Err(refusal)),
    };
    if let Some(timing) = timing {
        timing.end(outcome);
    }
    absorbed
}

/// Where the lookups go that ask another service than the call's own: its host in the call's region.
fn elsewhere(calls: &[LookupCall], of: CallDesk<'_>) -> Result<Elsewhere, Refusal> {
    let mut found = Elsewhere::new();
    for call in calls.iter().filter(|call| call.service != of.service.id) {
        if found.contains_key(&call.service) {
            continue;
        }
        let unknown = || Refusal::Internal {
            message: format!(
                "`{}` is asked for what the call would do, but the catalog has no host of it in `{}`",
                call.service, of.endpoint.region
            ),
        };
        let service = of.catalog.service(&call.service).ok().flatten();
        let endpoint = of.catalog.beside(&call.service, of.endpoint);
        let pair = service.zip(endpoint).ok_or_else(unknown)?;
        found.insert(call.service.clone(), pair);
    }
    Ok(found)
}

/// Where the lookups of the call's own service go: to its host, or, where something of the call stands in that, to the
/// plain one beside it: what is looked up needn't be what stands there.
fn own_endpoint(of: CallDesk<'_>) -> Result<Cow<'_, Endpoint>, Refusal> {
    if of.endpoint.addressed == Addressed::Service {
        return Ok(Cow::Borrowed(of.endpoint));
    }
    let plain = of.catalog.beside(&of.service.id, of.endpoint);
    plain.map(Cow::Owned).ok_or_else(|| Refusal::Internal {
        message: format!(
            "the catalog has no plain host of `{}` in `{}`, which lookups would go to",
            of.service.id, of.endpoint.region
        ),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(operation: &str, why: &str) -> Refusal {
    Refusal::LookupFailed {
        message: format!("the lookup `{operation}` failed: {why}"),
    }
}

/// The operation, if it only reads.
fn read<'s>(service: &'s Service, operation: &str) -> Result<&'s Operation, Refusal> {
    let found = service
        .operations
        .get(operation)
        .filter(|o| o.class == Class::Read);
    found.ok_or_else(|| Refusal::Internal {
        message: format!(
            "`{}:{operation}` is no read of the catalog, so it is no lookup",
            service.id
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_asked_is_forgotten_when_the_last_who_waits_for_it_leaves() {
        let text = |text: &str| text.to_owned();
        let key = Key {
            access_key_id: text("ASIAEXAMPLE"),
            host: text("workspaces.eu-west-1.amazonaws.com"),
            operation: text("DescribeWorkspaces"),
            input: text("{}"),
        };
        let flights = Flights::default();
        let (first, second) = (flights.join(&key), flights.join(&key));
        assert!(Arc::ptr_eq(&first.gate, &second.gate));
        drop(first);
        let third = flights.join(&key);
        assert!(Arc::ptr_eq(&second.gate, &third.gate));
        drop((second, third));
        assert!(lock(&flights.0).is_empty());
    }
}
