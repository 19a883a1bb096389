//! An intercepted connection: TLS with a certificate of our own, then requests over HTTP/1.1 or HTTP/2, whichever the
//! handshake chose, each handed on.
//!
//! INVARIANT: a request reaches [`Handle::handle`] only if CONNECT host = SNI = `Host` (and the authority of an
//! absolute target, which HTTP/2's always is), and its framing can be read in one way only.

mod form;
mod lasting;
mod streams;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::server::Acceptor;
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use self::form::Fault;
use self::lasting::{Lasting, Panicked};
use super::ALPN_HTTP_2;
use super::answer::{close, plain};
use super::authority::{Leaves, MintError};
use super::body::Body;
use super::connect::{Doors, House, Refused};
use super::framing::{Framing, HEAD_BYTES_MAX, HEADERS_MAX, Notes, Screened};
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
    /// The caller that the client proved to be at the proxy port, by name: the request must be signed by no other.
    pub proven: Option<Arc<str>>,
    /// The request, its target in origin form (`/path?query`), the bytes as the client sent them. It has one `Host`
    /// header, which over HTTP/2 is the `:authority`; its version says what it came over.
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
    G: House,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (connection, plan) = (Arc::new(connection), Arc::new(plan));
    let handshake = tokio::time::timeout(shared.timeouts.handshake, accept(&shared, client, &plan));
    let failed = |why: String| Refused::Handshake {
        host: plan.host.clone(),
        why,
    };
    match handshake.await {
        Ok(Ok((stream, sni))) if stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP_2) => {
            let client = Arc::new(Client {
                shared,
                connection,
                plan,
                sni,
            });
            streams::serve(client, stream).await;
        }
        Ok(Ok((stream, sni))) => requests(&shared, &connection, stream, &plan, &sni).await,
        Ok(Err(error)) => shared
            .guard
            .doors()
            .refused(connection.peer, &failed(error.to_string())),
        Err(_) => shared
            .guard
            .doors()
            .refused(connection.peer, &failed("it took too long".to_owned())),
    }
}

/// What every request of a connection meets.
struct Client<G> {
    shared: Arc<Shared<G>>,
    connection: Arc<Connection>,
    plan: Arc<Plan>,
    sni: Sni,
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
    G: House,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (screened, notes) = Screened::new(stream, shared.timeouts.head);
    let asked = Notify::new();
    let service = service_fn(|request| {
        asked.notify_one();
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
        biased;
        served = serving.as_mut() => served,
        () = connection.closing_once(asked.notified()) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(peer = %connection.peer, host = %plan.host, %error, "a connection ended");
    }
}

async fn answer<G: House>(
    shared: &Arc<Shared<G>>,
    connection: &Connection,
    plan: &Plan,
    sni: &Sni,
    notes: &Notes,
    request: Request<Incoming>,
) -> Response<Body> {
    let framing = notes.take();
    let checked = match sni {
        Sni::Agrees => form::check_framed(plan, framing, request),
        Sni::Other(found) => Err(Fault::Misdirected(found.clone())),
    };
    let request = match checked {
        Ok(request) => request,
        Err(fault) => return refuse(shared, plan, fault),
    };
    let response = handling(shared, connection, plan, request, ()).await;
    let response = handled(shared, plan, response);
    match framing {
        Some(Framing::Plain) => response,
        Some(Framing::Chunked | Framing::Ambiguous(_)) | None => close(response),
    }
}

/// The answer to a request that isn't handled, after which the connection is closed.
fn refuse<G: House>(shared: &Shared<G>, plan: &Plan, fault: Fault) -> Response<Body> {
    close(match fault {
        Fault::Misdirected(found) => shared.guard.misdirected(&plan.host, &found),
        Fault::Malformed(why) => shared.guard.malformed(&plan.host, &why),
    })
}

/// Handles a request. It goes on when the connection is dropped, and holds its slot, and what else is `held` for the
/// request.
fn handling<G: House>(
    shared: &Shared<G>,
    connection: &Connection,
    plan: &Plan,
    request: Request<Incoming>,
    held: impl Send + 'static,
) -> Lasting<Response<Body>> {
    let intercepted = Intercepted {
        host: plan.host.clone(),
        port: plan.port,
        peer: connection.peer,
        proven: connection.proven.clone(),
        request,
    };
    let (guard, slot) = (Arc::clone(&shared.guard), Arc::clone(&connection.slot));
    Lasting::new(|| async move {
        let response = guard.handle(intercepted).await;
        drop((slot, held));
        response
    })
}

/// The answer to a request that was handled.
fn handled<G: House>(
    shared: &Shared<G>,
    plan: &Plan,
    done: Result<Response<Body>, Panicked>,
) -> Response<Body> {
    done.unwrap_or_else(|Panicked| {
        tracing::error!(host = %plan.host, "the guard panicked: a request was not handled to its end");
        close(shared.guard.failed(&plan.host))
    })
}
