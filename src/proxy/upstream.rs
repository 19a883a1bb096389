//! The client towards AWS: one request, sent once.
//!
//! INVARIANT: a request goes out a second time only where hyper hands it back, which proves that not a byte of it was
//! written. Whatever else fails after the send began is [`SendError::Unknown`], unless the upstream itself said that it
//! doesn't process the request. Proxy variables are never honoured.

pub(super) mod channel;
mod overheard;
pub(super) mod sole;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, Request, Response, StatusCode};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

pub use self::channel::Answer;
use self::channel::{Channel, Failure};
use self::sole::Sole;
use super::body::Body;
use super::boxed::boxed;
use super::egress::{DialError, Dialler, Egress, Purpose};
use super::headers::strip_hop_by_hop;
use super::lanes::PerLane;
use super::pace::{Pace, pace};
use super::parent::{Bypass, Parent};
use super::pool::{Key, Pool, Swept};
use super::roots::{self, RootsError};
use super::stall::Stalling;
use super::timeouts::Timeouts;
use super::{ALPN_HTTP_1, ALPN_HTTP_2};
use crate::aws::host::{Host, HostError};

/// `[upstream]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Every AWS host goes to this URL's host and port instead.
    pub dangerous_override: Option<Override>,
    /// PEM certificates trusted beside the system's roots.
    pub ca_file: Option<PathBuf>,
    /// The parent proxy that all hosts are reached through.
    pub proxy: Option<Parent>,
    /// Hosts that are dialled directly although there is a parent.
    pub no_proxy: Bypass,
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
    /// Any one, shared where it is HTTP/2. For unguarded calls.
    Pooled,
    /// One opened for it, or idle for no longer than `fresh_idle`, and nothing else on it. For guarded calls.
    Fresh,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nothing of the request was written, or the upstream said that it processes none of it (HTTP/2's REFUSED_STREAM,
    /// or a GOAWAY that names an earlier stream).
    #[error("nothing was sent: {why}")]
    Unsent { why: String },
    /// Nothing was written, and nothing will be until somebody acts.
    #[error("nothing was sent: {why}")]
    Barred { why: String },
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
    pools: PerLane<Pool>,
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
        let mut dialler = Dialler::new(egress, &timeouts);
        if let Some(parent) = &upstream.proxy {
            let bypass = upstream.no_proxy.clone();
            dialler = dialler.through(parent.clone(), bypass, roots.clone())?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![ALPN_HTTP_2.to_vec(), ALPN_HTTP_1.to_vec()];
        Ok(Self {
            shared: Arc::new(Shared {
                dialler,
                tls: TlsConnector::from(Arc::new(tls)),
                pools: PerLane::new(|| Pool::new(timeouts.pool_idle)),
                instead,
                timeouts,
            }),
        })
    }

    /// The same, keeping at most so many idle connections.
    #[must_use]
    pub fn keeping_at_most(self, connections: usize) -> Self {
        self.shared
            .pools
            .share_out(connections, |pool, share| pool.keep_at_most(share));
        self
    }

    /// The way out: for tunnels too.
    #[must_use]
    pub fn dialler(&self) -> Dialler {
        self.shared.dialler.clone()
    }

    /// Whether every AWS host goes elsewhere (`upstream.dangerous_override`): records say so.
    #[must_use]
    pub fn is_overridden(&self) -> bool {
        self.shared.instead.is_some()
    }

    /// Sends a request once and returns the head of the answer. `request` has an origin-form target (`/path?query`)
    /// and a `Host` header, which is sent as it is (over HTTP/2 as `:authority`); hop-by-hop headers are dropped from it
    /// and from the answer. The answer's body streams; the connection serves another request once it has been read to
    /// its end, HTTP/2 ones meanwhile too.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send_once(
        &self,
        target: &Target,
        mut request: Request<Body>,
        freshness: Freshness,
    ) -> Result<Response<Answer>, SendError> {
        check_form(&request)?;
        strip_hop_by_hop(request.headers_mut());
        let target = self.destination(target);
        let key = (target.host.clone(), target.port);
        let pool = self.shared.pools.here();
        let kept = match freshness {
            Freshness::Fresh => pool
                .alone(&key, self.shared.timeouts.fresh_idle)
                .ok_or(None),
            Freshness::Pooled => {
                let kept = pool.any(&key, self.shared.timeouts.dial).await;
                kept.map_err(Some)
            }
        };
        let (request, opening) = match kept {
            Ok(channel) => match self.send(&key, channel, request).await? {
                Sent::Answered(response) => return Ok(response),
                Sent::HandedBack(request, _) => (*request, None),
            },
            Err(opening) => (request, opening),
        };
        // On the heap: most requests find a connection, and none should carry what opens one.
        let channel = boxed(|| self.connect(&target, freshness)).await;
        // Whoever waits for this connection finds it now, where it can be shared.
        drop(opening);
        match self.send(&key, channel?, request).await? {
            Sent::Answered(response) => Ok(response),
            Sent::HandedBack(_, why) => Err(SendError::Unsent { why }),
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
        key: &Key,
        mut channel: Channel,
        request: Request<Body>,
    ) -> Result<Sent, SendError> {
        let (request, pace) = paced(request);
        let seen = pace.clone();
        let unknown = |why: String| Err(SendError::Unknown { why });
        let answered = {
            let mut sending = std::pin::pin!(channel.send(request));
            tokio::select! {
                biased;
                answered = &mut sending => Ok(answered),
                why = overdue(pace, &self.shared.timeouts) => Err(why),
            }
        };
        match answered {
            Err(why) => {
                channel.retire();
                unknown(why)
            }
            Ok(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                unknown("the upstream switched protocols".to_owned())
            }
            Ok(Ok(response)) => {
                let home = Home {
                    shared: Arc::clone(&self.shared),
                    key: key.clone(),
                };
                let whole = seen.is_none_or(|pace| pace.is_over());
                let mut response = Answer::new(response, channel, home, whole);
                strip_hop_by_hop(response.headers_mut());
                Ok(Sent::Answered(response))
            }
            Ok(Err(Failure::HandedBack(request, why))) => Ok(Sent::HandedBack(request, why)),
            Ok(Err(Failure::Unprocessed(why))) => Err(SendError::Unsent {
                why: format!("the upstream did not process the request: {why}"),
            }),
            Ok(Err(Failure::Unknown(why))) => unknown(why),
        }
    }

    async fn connect(&self, target: &Target, freshness: Freshness) -> Result<Channel, SendError> {
        let unsent = |why: String| SendError::Unsent { why };
        let dialler = &self.shared.dialler;
        let (host, port) = (&target.host, target.port);
        let dialled = match self.shared.instead.as_ref().map(|i| i.scheme) {
            Some(Scheme::Http) => dialler.dangerous_dial_here(host, port).await,
            Some(Scheme::Https) => dialler.dangerous_dial(host, port).await,
            None => dialler.dial(host, port, Purpose::Aws).await,
        };
        let tcp = dialled.map_err(|e: DialError| {
            let why = e.to_string();
            if e.is_lasting() {
                SendError::Barred { why }
            } else {
                SendError::Unsent { why }
            }
        })?;
        let local = tcp.is_local();
        let tcp = Stalling::new(tcp, self.shared.timeouts.write_stall);
        match self.shared.instead.as_ref().map(|i| i.scheme) {
            // `localhost` is whatever the resolver says it is.
            Some(Scheme::Http) if !local => Err(unsent(format!(
                "`{}`: http is for loopback only",
                target.host
            ))),
            Some(Scheme::Http) => {
                let sole = Sole::open(tcp).await.map_err(unsent)?;
                Ok(self.alone(target, sole))
            }
            Some(Scheme::Https) | None => {
                let opening = self.secure(target, tcp, freshness);
                tokio::time::timeout(self.shared.timeouts.upstream_handshake, opening)
                    .await
                    .map_err(|_| {
                        unsent(format!(
                            "`{}`: the TLS handshake took too long",
                            target.host
                        ))
                    })?
                    .map_err(unsent)
            }
        }
    }

    /// TLS, then the protocol that its handshake chose: never one that the bytes look like.
    async fn secure<S>(
        &self,
        target: &Target,
        tcp: S,
        freshness: Freshness,
    ) -> Result<Channel, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let host = &target.host;
        let name = ServerName::try_from(host.as_str().to_owned());
        let name = name.map_err(|e| format!("`{host}`: {e}"))?;
        let tls = self.shared.tls.connect(name, tcp).await;
        let tls = tls.map_err(|e| format!("`{host}`: the TLS handshake failed: {e}"))?;
        if tls.get_ref().1.alpn_protocol() != Some(ALPN_HTTP_2) {
            return Ok(self.alone(target, Sole::open(tls).await?));
        }
        let shared = Arc::clone(&self.shared);
        let chore = move || shared.pools.here().expire();
        let pool = self.shared.pools.here();
        let connection = channel::many(tls, pool.age_max(), chore).await?;
        let lease = match freshness {
            Freshness::Fresh => connection.lease_alone(Duration::MAX),
            Freshness::Pooled => connection.lease(Duration::MAX),
        };
        let key = (host.clone(), target.port);
        pool.share(key, &connection);
        lease
            .map(Channel::Many)
            .ok_or_else(|| format!("`{host}` closed the connection at once"))
    }

    fn alone(&self, target: &Target, sole: Sole) -> Channel {
        let key = (target.host.clone(), target.port);
        self.shared.pools.here().unshared(key);
        Channel::One(sole)
    }

    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.shared.pools.here().len()
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

/// Where a connection belongs.
pub(crate) struct Home {
    shared: Arc<Shared>,
    key: Key,
}

impl Home {
    /// Keeps a connection that has done its work. Whether its upstream has closed it meanwhile is seen when it is taken.
    fn take_back(self, sole: Sole) {
        let Self { shared, key } = self;
        if shared.pools.here().put(key, sole) == Swept::ByNobody {
            tokio::spawn(async move { shared.pools.here().sweep().await });
        }
    }
}

/// A request whose body is seen going out, where that takes more than a moment.
fn paced(request: Request<Body>) -> (Request<Body>, Option<Pace>) {
    if request.body().is_one_piece() {
        return (request, None);
    }
    let (watch, pace) = pace();
    (request.map(|body| watch.body(body)), Some(pace))
}

/// Completes with the reason once an upstream is given up. While a body is still on its way, its own bounds hold: a
/// stalled client ends the body with an error, a stalled upstream is given up.
async fn overdue(pace: Option<Pace>, timeouts: &Timeouts) -> String {
    if let Some(mut pace) = pace {
        let seen = pace.clone();
        tokio::select! {
            () = pace.ended() => {}
            () = seen.stalled(timeouts.write_stall) => {
                return "the upstream takes nothing of the request's body".to_owned();
            }
        }
    }
    tokio::time::sleep(timeouts.response_head).await;
    format!("no answer within {} s", timeouts.response_head.as_secs())
}

/// What became of one attempt.
enum Sent {
    Answered(Response<Answer>),
    /// Not a byte was written; the text says why.
    HandedBack(Box<Request<Body>>, String),
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
