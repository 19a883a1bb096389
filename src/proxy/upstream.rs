//! The client towards AWS: one request, sent once.
//!
//! INVARIANT: a request goes out a second time only where hyper hands it back, which proves that not a byte of it was
//! written; whatever else fails after the send began is [`SendError::Unknown`]. Proxy variables are never honoured.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use super::body::{Body, BodyError};
use super::egress::{DialError, Dialler, Egress, Purpose};
use super::headers::strip_hop_by_hop;
use super::pool::Pool;
use super::roots::{self, RootsError};
use super::stall::Stalling;
use super::timeouts::Timeouts;
use crate::aws::host::{Host, HostError};

/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 256 * 1024;

/// `[upstream]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Every AWS host goes to this URL's host and port instead.
    pub dangerous_override: Option<Override>,
    /// PEM certificates trusted beside the system's roots.
    pub ca_file: Option<PathBuf>,
    /// For one call, from the first byte sent to the answer's head.
    pub timeout: Duration,
}

/// `upstream.dangerous_override`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pub scheme: Scheme,
    /// Lower case; an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
}

/// The scheme of an override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Https,
    /// On loopback only.
    Http,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The name that is resolved, and that the TLS certificate must be for.
    pub host: Host,
    /// Its port, 443 for AWS.
    pub port: u16,
}

/// Which connection a request may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Any idle one. For unguarded calls.
    Pooled,
    /// One opened for it, or idle for no longer than `fresh_idle`. For guarded calls.
    Fresh,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nothing of the request was written.
    #[error("nothing was sent: {why}")]
    Unsent { why: String },
    /// The send began: what the request asks for may have happened.
    #[error("the request was sent and its outcome is unknown: {why}")]
    Unknown { why: String },
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error(transparent)]
    Roots(#[from] RootsError),
    #[error("`upstream.dangerous_override`: {0}")]
    Override(#[from] HostError),
    #[error(
        "`upstream.dangerous_override`: http is for loopback only, and `{0}` isn't a loopback address"
    )]
    PlainOverride(Host),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// The client towards AWS. Clones share connections.
#[derive(Clone)]
pub struct Upstream {
    shared: Arc<Shared>,
}

struct Shared {
    dialler: Dialler,
    tls: TlsConnector,
    pool: Pool,
    instead: Option<Instead>,
    timeouts: Timeouts,
}

/// `upstream.dangerous_override`, checked.
struct Instead {
    scheme: Scheme,
    target: Target,
}

impl Upstream {
    /// A client by `[upstream]` and `[egress]`; `upstream.timeout` takes the place of `timeouts.response_head`.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub fn new(
        upstream: &UpstreamConfig,
        egress: &Egress,
        timeouts: Timeouts,
    ) -> Result<Self, UpstreamError> {
        let timeouts = Timeouts {
            response_head: upstream.timeout,
            ..timeouts
        };
        let instead = upstream
            .dangerous_override
            .as_ref()
            .map(Instead::check)
            .transpose()?;
        let roots = roots::load(upstream.ca_file.as_deref())?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            shared: Arc::new(Shared {
                dialler: Dialler::new(egress, &timeouts),
                tls: TlsConnector::from(Arc::new(tls)),
                pool: Pool::new(timeouts.pool_idle),
                instead,
                timeouts,
            }),
        })
    }

    /// Whether every AWS host goes elsewhere (`upstream.dangerous_override`): records say so.
    #[must_use]
    pub fn is_overridden(&self) -> bool {
        self.shared.instead.is_some()
    }

    /// Sends a request once and returns the head of the answer. `request` has an origin-form target (`/path?query`)
    /// and a `Host` header, which is sent as it is; hop-by-hop headers are dropped from it and from the answer. The
    /// answer's body streams; the connection serves another request once it has been read to its end.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send_once(
        &self,
        target: &Target,
        mut request: Request<Body>,
        freshness: Freshness,
    ) -> Result<Response<Incoming>, SendError> {
        check_form(&request)?;
        strip_hop_by_hop(request.headers_mut());
        let target = self.destination(target);
        let pooled = self.shared.pool.take(
            &(target.host.clone(), target.port),
            self.idle_max(freshness),
        );
        let request = match pooled {
            Some(sender) => match self.send(&target, sender, request).await? {
                Sent::Answered(response) => return Ok(response),
                Sent::HandedBack(request, _) => *request,
            },
            None => request,
        };
        let sender = self.connect(&target).await?;
        match self.send(&target, sender, request).await? {
            Sent::Answered(response) => Ok(response),
            Sent::HandedBack(_, why) => Err(SendError::Unsent { why }),
        }
    }

    fn idle_max(&self, freshness: Freshness) -> Duration {
        match freshness {
            Freshness::Pooled => self.shared.timeouts.pool_idle,
            Freshness::Fresh => self.shared.timeouts.fresh_idle,
        }
    }

    fn destination(&self, target: &Target) -> Target {
        self.shared
            .instead
            .as_ref()
            .map_or_else(|| target.clone(), |instead| instead.target.clone())
    }

    /// One attempt on one connection.
    async fn send(
        &self,
        target: &Target,
        mut sender: SendRequest<Body>,
        request: Request<Body>,
    ) -> Result<Sent, SendError> {
        let (ended, end) = oneshot::channel();
        let request = request.map(|body| {
            Body::other(Watched {
                body,
                ended: Some(ended),
            })
        });
        let answered = {
            let mut sending = std::pin::pin!(sender.try_send_request(request));
            let head = self.shared.timeouts.response_head;
            // While the body is still on its way, its own bounds hold: a stalled client ends the body with an error, a
            // stalled upstream ends the connection.
            tokio::select! {
                answered = &mut sending => Some(answered),
                () = async { end.await.ok(); tokio::time::sleep(head).await } => None,
            }
        };
        match answered {
            None => Err(SendError::Unknown {
                why: format!(
                    "no answer within {} s",
                    self.shared.timeouts.response_head.as_secs()
                ),
            }),
            Some(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Err(SendError::Unknown {
                    why: "the upstream switched protocols".to_owned(),
                })
            }
            Some(Ok(mut response)) => {
                strip_hop_by_hop(response.headers_mut());
                self.keep(target, sender);
                Ok(Sent::Answered(response))
            }
            Some(Err(mut error)) => match error.take_message() {
                Some(request) => {
                    let why = error.into_error().to_string();
                    Ok(Sent::HandedBack(Box::new(request), why))
                }
                None => Err(SendError::Unknown {
                    why: reasons(&error.into_error()),
                }),
            },
        }
    }

    /// Gives the connection to the pool once the answer has been read to its end, and closes it when it gets old.
    fn keep(&self, target: &Target, mut sender: SendRequest<Body>) {
        let shared = Arc::clone(&self.shared);
        let target = (target.host.clone(), target.port);
        tokio::spawn(async move {
            // Fails once the connection has ended, so this task lives no longer than it.
            if sender.ready().await.is_err() {
                return;
            }
            shared.pool.put(target, sender);
            tokio::time::sleep(shared.pool.age_max()).await;
            shared.pool.expire();
        });
    }

    async fn connect(&self, target: &Target) -> Result<SendRequest<Body>, SendError> {
        let unsent = |why: String| SendError::Unsent { why };
        let dialled = match &self.shared.instead {
            Some(_) => {
                self.shared
                    .dialler
                    .dangerous_dial(&target.host, target.port)
                    .await
            }
            None => {
                let dialler = &self.shared.dialler;
                dialler.dial(&target.host, target.port, Purpose::Aws).await
            }
        };
        let tcp = dialled.map_err(|e: DialError| unsent(e.to_string()))?;
        let local = tcp.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        let tcp = Stalling::new(tcp, self.shared.timeouts.write_stall);
        match self.shared.instead.as_ref().map(|i| i.scheme) {
            // `localhost` is whatever the resolver says it is.
            Some(Scheme::Http) if !local => Err(unsent(format!(
                "`{}`: http is for loopback only",
                target.host
            ))),
            Some(Scheme::Http) => speak(tcp).await,
            Some(Scheme::Https) | None => {
                let name = ServerName::try_from(target.host.as_str().to_owned())
                    .map_err(|e| unsent(format!("`{}`: {e}", target.host)))?;
                let handshake = self.shared.tls.connect(name, tcp);
                let tls = tokio::time::timeout(self.shared.timeouts.upstream_handshake, handshake)
                    .await
                    .map_err(|_| {
                        unsent(format!(
                            "`{}`: the TLS handshake took too long",
                            target.host
                        ))
                    })?
                    .map_err(|e| {
                        unsent(format!("`{}`: the TLS handshake failed: {e}", target.host))
                    })?;
                speak(tls).await
            }
        }
    }

    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.shared.pool.len()
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("overridden", &self.is_overridden())
            .finish_non_exhaustive()
    }
}

impl Instead {
    fn check(url: &Override) -> Result<Self, UpstreamError> {
        let host = Host::parse(&url.host)?;
        let loopback = host.as_str() == "localhost" || host.ip().is_some_and(|ip| ip.is_loopback());
        if url.scheme == Scheme::Http && !loopback {
            return Err(UpstreamError::PlainOverride(host));
        }
        Ok(Self {
            scheme: url.scheme,
            target: Target {
                host,
                port: url.port,
            },
        })
    }
}

/// What became of one attempt.
enum Sent {
    Answered(Response<Incoming>),
    /// Not a byte was written; the text says why.
    HandedBack(Box<Request<Body>>, String),
}

/// Opens HTTP/1.1 on a connection and drives it until it ends.
async fn speak<S>(stream: S) -> Result<SendRequest<Body>, SendError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| SendError::Unsent { why: reasons(&e) })?;
    tokio::spawn(async move {
        // What goes wrong is told to whoever sent the request.
        if let Err(error) = connection.await {
            tracing::debug!(error = %reasons(&error), "an upstream connection ended");
        }
    });
    Ok(sender)
}

fn check_form(request: &Request<Body>) -> Result<(), SendError> {
    let refuse = |why: &str| {
        Err(SendError::Unsent {
            why: why.to_owned(),
        })
    };
    if request.uri().authority().is_some() || !request.uri().path().starts_with('/') {
        return refuse("the request's target is not in origin form");
    }
    if hosts(request.headers()) != 1 {
        return refuse("the request needs exactly one Host header");
    }
    Ok(())
}

fn hosts(headers: &HeaderMap) -> usize {
    headers.get_all(HOST).iter().count()
}

/// An error with its sources: hyper's own text leaves them out.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// A body that tells when it has been sent, or dropped.
struct Watched {
    body: Body,
    ended: Option<oneshot::Sender<()>>,
}

impl Watched {
    fn end(&mut self) {
        if let Some(ended) = self.ended.take() {
            // Nobody listens any more once the answer is there.
            ended.send(()).ok();
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let last = match &frame {
            Poll::Ready(None | Some(Err(_))) => true,
            Poll::Ready(Some(Ok(_))) => self.body.is_end_stream(),
            Poll::Pending => false,
        };
        if last {
            self.end();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.end();
    }
}
