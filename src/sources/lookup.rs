//! Lookups at AWS, with the caller's upstream credentials: the calls that an [`Enquiry`] asks for.
//!
//! INVARIANT: only operations of class `read` are sent from here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;

use crate::aws::catalog::Catalog;
use crate::aws::catalog::model::{Operation, Service};
use crate::aws::class::Class;
use crate::aws::endpoint::{Endpoint, Resolved};
use crate::aws::host::Host;
use crate::aws::protocol::{self, UpstreamError};
use crate::aws::sigv4::{self, Unsigned, sha256_hex};
use crate::aws::value::{Object, Value};
use crate::guard::facts::{Enquiry, LookupAnswer, LookupCall, is_passing};
use crate::guard::refusal::Refusal;
use crate::proxy::upstream::{Freshness, SendError, Target, Upstream};
use crate::proxy::{Body, Budget, Timeouts, body};
use crate::sources::clock::Clock;

/// The longest answer of one page, in bytes.
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;
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
    upstream: Upstream,
    clock: Clock,
    watch: Arc<dyn Watch>,
    budget: Budget,
    timeouts: Timeouts,
    cache_ttl: Duration,
    kept: Mutex<HashMap<Key, (Instant, Vec<Object>)>>,
    accounts: Mutex<HashMap<String, String>>,
}

/// What an answer is kept under: whose eyes, where, what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    access_key_id: String,
    host: String,
    operation: String,
    input: String,
}

/// Where and as whom a lookup is made.
#[derive(Debug, Clone, Copy)]
struct Desk<'a> {
    service: &'a Service,
    endpoint: &'a Endpoint,
    credentials: &'a Credentials,
}

/// AWS's error instead of an answer.
#[derive(Debug)]
struct Rejected {
    status: u16,
    error: UpstreamError,
}

impl Lookups {
    /// Lookups through a client. Answers about attributes are kept for `cache_ttl`.
    #[must_use]
    pub fn new(
        upstream: Upstream,
        clock: Clock,
        watch: Arc<dyn Watch>,
        budget: Budget,
        timeouts: Timeouts,
        cache_ttl: Duration,
    ) -> Self {
        let (kept, accounts) = (Mutex::default(), Mutex::default());
        Self {
            upstream,
            clock,
            watch,
            budget,
            timeouts,
            cache_ttl,
            kept,
            accounts,
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

    /// The account that credentials belong to, by `sts:GetCallerIdentity` in the endpoint's region; asked once for each
    /// access key.
    ///
    /// # Errors
    /// The refusal that a failed call means.
    pub async fn account(
        &self,
        catalog: &Catalog,
        endpoint: &Endpoint,
        credentials: &Credentials,
    ) -> Result<String, Refusal> {
        let known = lock(&self.accounts)
            .get(credentials.access_key_id())
            .cloned();
        if let Some(account) = known {
            return Ok(account);
        }
        let internal = |message: String| Refusal::Internal { message };
        let sts = catalog
            .service("sts")
            .map_err(|e| internal(e.to_string()))?;
        let sts = sts.ok_or_else(|| internal("the catalog lacks `sts`".to_owned()))?;
        let endpoint = sts_endpoint(catalog, endpoint)?;
        let desk = Desk {
            service: &sts,
            endpoint: &endpoint,
            credentials,
        };
        let operation = read(&sts, "GetCallerIdentity")?;
        let page = match self.page(desk, operation, &Object::new()).await? {
            Ok(page) => page,
            Err(Rejected { status, error }) if is_passing(status, &error.code) => {
                return Err(failed(
                    "GetCallerIdentity",
                    &format!("{}: {}", error.code, error.message),
                ));
            }
            Err(Rejected { error, .. }) => {
                let message = format!(
                    "AWS doesn't take the upstream credentials ({}): {}; renew them, or mend `[credentials.*]`",
                    error.code, error.message
                );
                return Err(Refusal::CredentialsLasting { message });
            }
        };
        let account = page
            .get("Account")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let account =
            account.ok_or_else(|| failed("GetCallerIdentity", "the answer names no account"))?;
        let mut accounts = lock(&self.accounts);
        if accounts.len() >= KEPT_MAX {
            accounts.clear();
        }
        accounts.insert(credentials.access_key_id().to_owned(), account.clone());
        Ok(account)
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
            let page = match self.page(desk, operation, &input).await? {
                Ok(page) => page,
                Err(Rejected { status, error }) => {
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

    /// One call and its answer: the outer error means that there is none, the inner one is AWS's.
    async fn page(
        &self,
        desk: Desk<'_>,
        operation: &Operation,
        input: &Object,
    ) -> Result<Result<Object, Rejected>, Refusal> {
        let Desk {
            service,
            endpoint,
            credentials,
        } = desk;
        let name = operation.name.as_str();
        let spoken = protocol::preferred(service);
        let spoken =
            spoken.ok_or_else(|| failed(name, "its service speaks no protocol that is known"))?;
        let wire = protocol::encode(service, operation, spoken, input)
            .map_err(|e| failed(name, &e.to_string()))?;
        let (path, query) = match wire.path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (wire.path_and_query.as_str(), None),
        };
        let host = endpoint.host.as_str();
        let payload = sha256_hex(&wire.body);
        let unsigned = Unsigned {
            method: &wire.method,
            host,
            path,
            query,
            headers: &wire.headers,
            payload: &payload,
        };
        let now = self.clock.now();
        let added = sigv4::sign(
            unsigned,
            credentials,
            &endpoint.region,
            &service.signing_name,
            now,
            service.signature,
        )
        .map_err(|e| failed(name, &e.to_string()))?;
        let mut headers = HeaderMap::new();
        headers.insert(
            HOST,
            HeaderValue::from_str(host).map_err(|e| failed(name, &e.to_string()))?,
        );
        headers.insert(http::header::USER_AGENT, HeaderValue::from_static(AGENT));
        headers.extend(wire.headers);
        headers.extend(added);
        let uri: Uri = wire
            .path_and_query
            .parse()
            .map_err(|_| failed(name, "its path can't be written"))?;
        let body = Bytes::from(wire.body);
        let request = || {
            let mut request = Request::new(Body::full(body.clone()));
            *request.method_mut() = wire.method.clone();
            *request.uri_mut() = uri.clone();
            *request.headers_mut() = headers.clone();
            request
        };
        let target = Target {
            host: endpoint.host.clone(),
            port: 443,
        };
        let mut sent = self
            .upstream
            .send_once(&target, request(), Freshness::Pooled)
            .await;
        if let Err(SendError::Unknown { .. }) = sent {
            // It only reads, and idle connections die: once more, on a new one.
            sent = self
                .upstream
                .send_once(&target, request(), Freshness::Fresh)
                .await;
        }
        let response = sent.map_err(|error| match error {
            SendError::Unsent { why } | SendError::Unknown { why } => failed(name, &why),
        })?;
        self.decode(service, operation, spoken, response).await
    }

    async fn decode(
        &self,
        service: &Service,
        operation: &Operation,
        spoken: crate::aws::catalog::Protocol,
        response: Response<Incoming>,
    ) -> Result<Result<Object, Rejected>, Refusal> {
        let name = operation.name.as_str();
        let (parts, body) = response.into_parts();
        let body = body::read_whole(body, ANSWER_BYTES_MAX, &self.budget, &self.timeouts)
            .await
            .map_err(|e| failed(name, &e.to_string()))?;
        if !parts.status.is_success() {
            let status = parts.status.as_u16();
            let error = protocol::decode_error(spoken, parts.status, &parts.headers, body.bytes());
            return Ok(Err(Rejected { status, error }));
        }
        let output =
            protocol::decode_output(service, operation, spoken, &parts.headers, body.bytes());
        output.map(Ok).map_err(|e| failed(name, &e.to_string()))
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

const AGENT: &str = concat!("palisade/", env!("CARGO_PKG_VERSION"), " lookup");

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

/// The regional endpoint of STS in the region of another.
fn sts_endpoint(catalog: &Catalog, near: &Endpoint) -> Result<Endpoint, Refusal> {
    let suffixes = catalog.dns_suffixes().filter_map(|suffix| {
        let host = Host::parse(&format!("sts.{}.{suffix}", near.region)).ok()?;
        match catalog.resolve(&host) {
            Resolved::Api(endpoint)
                if endpoint.partition == near.partition && !endpoint.dualstack =>
            {
                Some(endpoint)
            }
            Resolved::Api(_) | Resolved::Unmodelled | Resolved::Foreign => None,
        }
    });
    let found = suffixes.into_iter().next();
    found.ok_or_else(|| {
        failed(
            "GetCallerIdentity",
            "the catalog has no endpoint of `sts` for the region",
        )
    })
}
