//! The shell: connections, TLS and HTTP/1.1 around the account.
//!
//! INVARIANT: everything that a client controls is bounded: connections, the handshake, heads and bodies in size
//! and time.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use uuid::Uuid;

use super::error::ApiError;
use super::fault::{Fault, cut_page};
use super::service::{Place, Service, is_region};
use super::signature::{self, Claim, SignatureFault};
use super::{Seen, SeenSignature, Shared, tls, wire};
use crate::aws::endpoint::Addressed;
use crate::aws::head::Head;
use crate::aws::host::Host;

const CONNECTIONS_MAX: usize = 512;
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
const HEAD_MAX: Duration = Duration::from_secs(120);
const BODY_MAX: Duration = Duration::from_secs(30);
const BODY_BYTES_MAX: usize = 8 << 20;
const HANG_MAX: Duration = Duration::from_secs(600);

/// The connection is cut without an answer.
#[derive(Debug, thiserror::Error)]
#[error("cut without an answer")]
struct Cut;

/// Serves until `stop` is sent or its sender dropped; what is open then is cut.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<()>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accept = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            both = accept => both,
            _ = stop.changed() => return,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                connections.spawn(async move {
                    connection(stream, acceptor, shared).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "the sandbox could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let stream = match timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the sandbox's TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { answer(request, &shared).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the sandbox ended early");
    }
}

async fn answer(request: Request<Incoming>, shared: &Shared) -> Result<Response<Full<Bytes>>, Cut> {
    let request_id = Uuid::now_v7().to_string();
    let (parts, body) = request.into_parts();
    let body = match timeout(BODY_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => {
            return Ok(bare(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body can't be read",
                &request_id,
            ));
        }
        Err(_) => return Err(Cut),
    };
    let head = Head {
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: &parts.headers,
        addressed: &Addressed::Service,
    };
    let performed = perform(&head, &body, shared, &request_id);
    match performed {
        Performed::Answer(response) => Ok(response.map(|b| Full::new(Bytes::from(b)))),
        Performed::Cut => Err(Cut),
        Performed::Hang => {
            tokio::time::sleep(HANG_MAX).await;
            Err(Cut)
        }
    }
}

/// What comes of a request that was read whole.
enum Performed {
    Answer(Response<Vec<u8>>),
    Cut,
    Hang,
}

fn perform(head: &Head<'_>, body: &[u8], shared: &Shared, request_id: &str) -> Performed {
    let now = SystemTime::now();
    let claim = Claim::read(head.headers);
    let host = host(head.headers);
    let Some(place) = place(&host, claim.as_ref().ok()) else {
        shared.lock().remember(Seen {
            at: now,
            host,
            service: None,
            region: None,
            operation: None,
            input: None,
            access_key_id: claim.ok().map(|c| c.access_key_id),
            user_agent: user_agent(head.headers),
            signature: SeenSignature::Invalid("the host names no service".to_owned()),
        });
        let body = b"the sandbox plays no service at this host\n".to_vec();
        let answer = wire::respond(StatusCode::NOT_FOUND, Some("text/plain"), body, request_id);
        return Performed::Answer(answer);
    };
    let checked = signature::check(head, body, &shared.keys, &place, now);
    let spoken = wire::spoken(place.service, head.headers);
    let route = wire::route(place.service, spoken, head, body);
    let operation = route.as_ref().ok().map(|r| r.operation.clone());
    let input = route.and_then(|route| wire::input(spoken, route, body));
    let mut state = shared.lock();
    state.remember(Seen {
        at: now,
        host,
        service: Some(place.service),
        region: Some(place.region.clone()),
        operation: operation.clone(),
        input: input.as_ref().ok().cloned().map(Value::Object),
        access_key_id: claim.ok().map(|c| c.access_key_id),
        user_agent: user_agent(head.headers),
        signature: seen(&checked),
    });
    let service = place.service;
    let refused =
        |error: &ApiError| Performed::Answer(wire::error(service, spoken, error, request_id));
    if let Err(fault) = checked {
        return refused(&fault.answer(service));
    }
    let (operation, input) = match (operation, input) {
        (Some(operation), Ok(input)) => (operation, input),
        (_, Err(error)) => return refused(&error),
        (None, Ok(_)) => return refused(&ApiError::unknown_operation(service, "")),
    };
    let fault = state.faults.take(&format!("{}:{operation}", service.id()));
    let mut done = || {
        state
            .account
            .call(service, &place.region, &operation, &input, now)
    };
    let given = |result: Result<Value, ApiError>| match result {
        Ok(value) => Performed::Answer(wire::result(
            service, spoken, &operation, &value, request_id,
        )),
        Err(error) => refused(&error),
    };
    match fault {
        None => given(done()),
        Some(Fault::Throttle) => refused(&ApiError::throttled(service)),
        Some(Fault::AccessDenied) => refused(&ApiError::access_denied(
            service,
            format!(
                "User: {} is not authorized to perform: {}:{operation}",
                super::GUARD_ARN,
                service.id()
            ),
        )),
        Some(Fault::ServerError) => refused(&ApiError::internal(service)),
        Some(Fault::Garbage) => Performed::Answer(wire::respond(
            StatusCode::OK,
            Some("text/html"),
            b"<html><body>It works!</body></html>".to_vec(),
            request_id,
        )),
        Some(Fault::Hang) => Performed::Hang,
        Some(Fault::DropAfterRead) => {
            // Whether it succeeded is just what the client doesn't learn.
            let _unheard = done();
            Performed::Cut
        }
        Some(Fault::PartialPage) => given(done().map(|mut value| {
            cut_page(&mut value);
            value
        })),
    }
}

fn seen(checked: &Result<(), SignatureFault>) -> SeenSignature {
    match checked {
        Ok(()) => SeenSignature::Valid,
        Err(fault) => SeenSignature::Invalid(fault.to_string()),
    }
}

/// The host without its port.
fn host(headers: &HeaderMap) -> String {
    let authority = headers
        .get(header::HOST)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host.to_owned(),
        Some(_) | None => authority.to_owned(),
    }
}

/// What the host names; a client that speaks to the stand-in directly says it in its credential scope.
fn place(host: &str, claim: Option<&Claim>) -> Option<Place> {
    let host = Host::parse(host).ok()?;
    let own =
        tls::NAMES.contains(&host.as_str()) || host.ip().is_some_and(|ip: IpAddr| ip.is_loopback());
    if !own {
        return Place::of(&host);
    }
    let claim = claim.filter(|c| is_region(&c.region))?;
    Some(Place {
        service: Service::by_id(&claim.service)?,
        region: claim.region.clone(),
    })
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    headers
        .get(header::USER_AGENT)
        .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
}

fn bare(status: StatusCode, text: &str, request_id: &str) -> Response<Full<Bytes>> {
    wire::respond(
        status,
        Some("text/plain"),
        text.as_bytes().to_vec(),
        request_id,
    )
    .map(|b| Full::new(Bytes::from(b)))
}
