//! An intercepted connection: TLS with a certificate of our own, then HTTP/1.1 requests, each handed on.
//!
//! INVARIANT: a request reaches [`Handle::handle`] only if CONNECT host = SNI = `Host` (and the authority of an
//! absolute target), and its framing can be read in one way only.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{EXPECT, HOST, HeaderValue, UPGRADE};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri, Version, request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::server::Acceptor;
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::answer::{close, plain};
use super::authority::{Leaves, MintError};
use super::body::Body;
use super::connect::{Doors, Refused, authority};
use super::framing::{Framing, HEAD_BYTES_MAX, HEADERS_MAX, Notes, Screened};
use super::headers::nominated;
use super::listen::{Connection, Shared};
use crate::aws::host::Host;

/// One request to an API host.
#[derive(Debug)]
pub struct Intercepted {
    /// The host that it is for: CONNECT, SNI and `Host` agree on it.
    pub host: Host,
    /// The port of the CONNECT.
    pub port: u16,
    /// The client's address.
    pub peer: SocketAddr,
    /// The request, its target in origin form (`/path?query`), the bytes as the client sent them.
    pub request: Request<Incoming>,
}

/// Handles requests. Implemented by whoever owns the proxy.
pub trait Handle: Send + Sync + 'static {
    /// Answers a request. It runs to its end even if the client leaves meanwhile, so that an outcome can be recorded;
    /// it is only cut off when a shutdown's time is over.
    fn handle(&self, request: Intercepted) -> impl Future<Output = Response<Body>> + Send;

    /// The answer to a request whose host disagrees with its connection's: 421.
    fn misdirected(&self, host: &Host, found: &str) -> Response<Body> {
        plain(
            StatusCode::MISDIRECTED_REQUEST,
            &format!("this connection is for `{host}`, and {found}"),
        )
    }

    /// The answer to a request that can be read in two ways, or not at all: 400.
    fn malformed(&self, host: &Host, why: &str) -> Response<Body> {
        plain(StatusCode::BAD_REQUEST, &format!("`{host}`: {why}"))
    }

    /// The answer where [`Handle::handle`] panicked. Whether something was sent is not known, so it may not be one
    /// that a client retries.
    fn failed(&self, host: &Host) -> Response<Body> {
        plain(
            StatusCode::CONFLICT,
            &format!(
                "GuardOutcomeUnknown: the guard failed while it handled a request to `{host}`"
            ),
        )
    }
}

/// What a CONNECT to an API host leads to: nothing is left that could be refused.
pub(super) struct Plan {
    host: Host,
    port: u16,
    certified: Arc<CertifiedKey>,
}

/// Plans an interception, with the host's certificate at hand.
///
/// # Errors
/// [`MintError`].
pub(super) fn plan<G>(shared: &Shared<G>, host: Host, port: u16) -> Result<Plan, MintError> {
    let certified = shared.leaves.certificate(&host, SystemTime::now())?;
    Ok(Plan {
        host,
        port,
        certified,
    })
}

/// Serves an intercepted connection to its end.
pub(super) async fn serve<G, S>(
    shared: Arc<Shared<G>>,
    connection: Connection,
    client: S,
    plan: Plan,
) where
    G: Doors + Handle,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let handshake = tokio::time::timeout(shared.timeouts.handshake, accept(&shared, client, &plan));
    let failed = |why: String| Refused::Handshake {
        host: plan.host.clone(),
        why,
    };
    match handshake.await {
        Ok(Ok((stream, sni))) => requests(&shared, &connection, stream, &plan, &sni).await,
        Ok(Err(error)) => shared
            .guard
            .refused(connection.peer, &failed(error.to_string())),
        Err(_) => shared
            .guard
            .refused(connection.peer, &failed("it took too long".to_owned())),
    }
}

/// What the ClientHello named.
enum Sni {
    Agrees,
    Other(String),
}

/// Completes the handshake with the CONNECT host's certificate, whatever the client asked for: what doesn't agree is
/// answered inside, where the client can read why.
async fn accept<G, S>(
    shared: &Shared<G>,
    client: S,
    plan: &Plan,
) -> std::io::Result<(TlsStream<S>, Sni)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let start = LazyConfigAcceptor::new(Acceptor::default(), client).await?;
    let sni = match start.client_hello().server_name() {
        Some(name) if Host::parse(name).is_ok_and(|h| h == plan.host) => Sni::Agrees,
        Some(name) => Sni::Other(format!("its TLS handshake named `{name}`")),
        None => Sni::Other("its TLS handshake named no host (SNI)".to_owned()),
    };
    let config = match &sni {
        Sni::Agrees => Arc::clone(&shared.tls),
        Sni::Other(_) => Arc::new(Leaves::config_for(&shared.tls, Arc::clone(&plan.certified))),
    };
    Ok((start.into_stream(config).await?, sni))
}

async fn requests<G, S>(
    shared: &Arc<Shared<G>>,
    connection: &Connection,
    stream: TlsStream<S>,
    plan: &Plan,
    sni: &Sni,
) where
    G: Doors + Handle,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (screened, notes) = Screened::new(stream, shared.timeouts.head);
    let service = service_fn(|request| {
        let notes = &notes;
        async move { Ok::<_, Infallible>(answer(shared, connection, plan, sni, notes, request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper's timer runs from the end of the last answer; the screen times the head itself.
        .header_read_timeout(shared.timeouts.idle)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .half_close(true)
        .serve_connection(TokioIo::new(screened), service);
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        _ = connection.closing() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(peer = %connection.peer, host = %plan.host, %error, "a connection ended");
    }
}

async fn answer<G: Doors + Handle>(
    shared: &Arc<Shared<G>>,
    connection: &Connection,
    plan: &Plan,
    sni: &Sni,
    notes: &Notes,
    request: Request<Incoming>,
) -> Response<Body> {
    let framing = notes.take();
    let checked = match sni {
        Sni::Agrees => check(plan, framing, request),
        Sni::Other(found) => Err(Fault::Misdirected(found.clone())),
    };
    let request = match checked {
        Ok(request) => request,
        Err(Fault::Misdirected(found)) => {
            return close(shared.guard.misdirected(&plan.host, &found));
        }
        Err(Fault::Malformed(why)) => return close(shared.guard.malformed(&plan.host, &why)),
    };
    let response = handle(shared, connection, plan, request).await;
    match framing {
        Some(Framing::Plain) => response,
        Some(Framing::Chunked | Framing::Ambiguous(_)) | None => close(response),
    }
}

/// Handles a request in a task of its own, which goes on when the connection is dropped and holds its slot.
async fn handle<G: Doors + Handle>(
    shared: &Arc<Shared<G>>,
    connection: &Connection,
    plan: &Plan,
    request: Request<Incoming>,
) -> Response<Body> {
    let intercepted = Intercepted {
        host: plan.host.clone(),
        port: plan.port,
        peer: connection.peer,
        request,
    };
    let (guard, slot) = (Arc::clone(&shared.guard), Arc::clone(&connection.slot));
    let handled = tokio::spawn(async move {
        let response = guard.handle(intercepted).await;
        drop(slot);
        response
    });
    match handled.await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(host = %plan.host, %error, "a request was not handled to its end");
            close(shared.guard.failed(&plan.host))
        }
    }
}

/// Why a request isn't handled.
enum Fault {
    /// It is for another host.
    Misdirected(String),
    /// It can't be read in one way.
    Malformed(String),
}

fn malformed<T>(why: &str) -> Result<T, Fault> {
    Err(Fault::Malformed(why.to_owned()))
}

/// Checks framing, form and host; makes the target origin-form.
fn check(
    plan: &Plan,
    framing: Option<Framing>,
    request: Request<Incoming>,
) -> Result<Request<Incoming>, Fault> {
    match framing {
        Some(Framing::Plain | Framing::Chunked) => {}
        Some(Framing::Ambiguous(why)) => return malformed(&why.to_string()),
        None => return malformed("the request's framing is not clear"),
    }
    let (mut parts, body) = request.into_parts();
    check_form(&parts)?;
    let path = check_hosts(plan, &parts)?;
    parts.uri = Uri::from(path);
    Ok(Request::from_parts(parts, body))
}

fn check_form(parts: &request::Parts) -> Result<(), Fault> {
    if parts.version != Version::HTTP_11 {
        return malformed("the request is not HTTP/1.1");
    }
    if parts.method == Method::CONNECT {
        return malformed("CONNECT is not understood inside TLS");
    }
    if parts.headers.contains_key(UPGRADE) {
        return malformed("protocol upgrades are not supported");
    }
    if let Some(name) = nominated(&parts.headers) {
        return malformed(&format!("the Connection header names `{name}`"));
    }
    let expects = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !parts.headers.get_all(EXPECT).iter().all(expects) {
        return malformed("only `Expect: 100-continue` is understood");
    }
    Ok(())
}

/// Every name of the host must be the connection's; the path and query of the target.
fn check_hosts(plan: &Plan, parts: &request::Parts) -> Result<PathAndQuery, Fault> {
    let agrees = |text: &str| {
        authority(text)
            .is_some_and(|(host, port)| host == plan.host && port.is_none_or(|p| p == plan.port))
    };
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (Some(value), None) = (hosts.next(), hosts.next()) else {
        return Err(Fault::Misdirected(
            "the request must have exactly one Host header".to_owned(),
        ));
    };
    let named = String::from_utf8_lossy(value.as_bytes());
    if !agrees(&named) {
        return Err(Fault::Misdirected(format!(
            "the request's Host header says `{named}`"
        )));
    }
    if let Some(target) = parts.uri.authority() {
        if !agrees(target.as_str()) {
            return Err(Fault::Misdirected(format!(
                "the request's target says `{target}`"
            )));
        }
        if parts.uri.scheme_str() != Some("https") {
            return malformed("the request's target is not an https one");
        }
    }
    match parts.uri.path_and_query() {
        Some(path) if path.as_str().starts_with('/') => Ok(path.clone()),
        // `https://host?query`: the path is `/` (RFC 9112, section 3.2.1).
        Some(path) if path.as_str().starts_with('?') && parts.uri.authority().is_some() => {
            PathAndQuery::try_from(format!("/{}", path.as_str()))
                .or_else(|_| malformed("the request's target is not a path"))
        }
        Some(_) | None => malformed("the request's target is not a path"),
    }
}
