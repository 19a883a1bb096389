//! Lookups at AWS, with the caller's upstream credentials: the calls that an [`Enquiry`] asks for.
//!
//! INVARIANT: only operations of class `read` are sent from here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use futures_util::StreamExt;

use crate::aws::catalog::model::{Operation, Service};
use crate::aws::class::Class;
use crate::aws::endpoint::Endpoint;
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
    /// It failed, or ran out of time.
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
}

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
        let kept = Mutex::default();
        Self {
            api,
            watch,
            cache_ttl,
            kept,
        }
    }

    /// Makes every call that the enquiry asks for, round by round.
    ///
    /// # Errors
    /// The refusal that a failed lookup means.
    pub async fn ask(
        &self,
        enquiry: &mut Enquiry<'_>,
        service: &Service,
        endpoint: &Endpoint,
        credentials: &Credentials,
    ) -> Result<(), Refusal> {
        let desk = Desk {
            service,
            endpoint,
            credentials,
            purpose: "lookup",
        };
        loop {
            let calls = enquiry.next_round()?;
            if calls.is_empty() {
                return Ok(());
            }
            let most = calls
                .iter()
                .map(|c| c.concurrency)
                .min()
                .unwrap_or(1)
                .clamp(1, CONCURRENCY_MAX);
            let mut answers = futures_util::stream::iter(calls)
                .map(|call| async move {
                    let answer = self.call(desk, &call).await;
                    (call, answer)
                })
                .buffer_unordered(most);
            while let Some((call, answer)) = answers.next().await {
                enquiry.absorb(&call, answer?)?;
            }
        }
    }

    async fn call(&self, desk: Desk<'_>, call: &LookupCall) -> Result<LookupAnswer, Refusal> {
        let key = call.cacheable.then(|| Key {
            access_key_id: desk.credentials.access_key_id().to_owned(),
            host: desk.endpoint.host.to_string(),
            operation: call.operation.clone(),
            input: call.input.to_json().to_string(),
        });
        if let Some(pages) = key.as_ref().and_then(|key| self.kept(key)) {
            return Ok(LookupAnswer::Pages(pages));
        }
        let begun = Instant::now();
        let answer = self.pages(desk, call).await;
        let source = format!("{}:{}", desk.service.id, call.operation);
        self.watch
            .lookup_took(&source, outcome(&answer), begun.elapsed());
        if let (Some(key), Ok(LookupAnswer::Pages(pages))) = (key, &answer) {
            self.keep(key, pages.clone());
        }
        answer
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

fn outcome(answer: &Result<LookupAnswer, Refusal>) -> LookupOutcome {
    match answer {
        Ok(LookupAnswer::Pages(_)) => LookupOutcome::Found,
        Ok(LookupAnswer::Error { .. }) => LookupOutcome::Absent,
        Err(_) => LookupOutcome::Failed,
    }
}
