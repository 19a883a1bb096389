//! The proxy port: CONNECT and nothing else.
//!
//! It keeps true that nothing is dialled and no handshake begun before [`Doors`] said what the host is, and that a
//! tunnel is opened only after its owner has recorded it.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{
    ALLOW, CONTENT_LENGTH, HOST, HeaderValue, PROXY_AUTHENTICATE, TRANSFER_ENCODING,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::answer::plain;
use super::authority::MintError;
use super::body::Body;
use super::egress::{DialError, Dialler, Purpose};
use super::entrance::{ClientStream, Entrance};
use super::framing::{HEAD_BYTES_MAX, HEADERS_MAX};
use super::intercept::{self, Handle};
use super::listen::{Connection, Shared};
use super::proof::{self, CertificateName, Shown};
use super::stall::Stalling;
use super::stream::Stream;
use super::tunnel::{self, Ended, Traffic};
use crate::aws::host::Host;

/// The only port that an API is intercepted on.
const API_PORT: u16 = 443;

/// How clients are asked to prove themselves (RFC 7617).
const CHALLENGE: &str = "Basic realm=\"palisade\", charset=\"UTF-8\"";

/// What a host is to the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// An API of AWS's: TLS is terminated and every request handled.
    Intercept,
    /// Bytes pass unread.
    Tunnel,
    /// Neither; the text is shown to the client.
    Refuse(String),
}

/// A tunnel, asked for or open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    pub host: Host,
    pub port: u16,
    pub peer: SocketAddr,
    /// The caller that the client proved to be, by name.
    pub caller: Option<Arc<str>>,
}

/// Why a request to the proxy port was refused, or a connection ended before its first request.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(
        "this is a proxy for https: set HTTPS_PROXY to its address; it answers no `{0}` request"
    )]
    NotAProxyRequest(Method),
    #[error(
        "`{0}` is not proxied: it is not encrypted. Use https; HTTPS_PROXY is all that needs to be set"
    )]
    Unencrypted(Uri),
    #[error("the CONNECT request is malformed: {0}")]
    Malformed(&'static str),
    #[error("`{host}` is an AWS API: it is proxied on port 443, not {port}")]
    Port { host: Host, port: u16 },
    #[error("{why}")]
    Host { host: Host, port: u16, why: String },
    #[error(transparent)]
    Certificate(#[from] MintError),
    #[error("{why}")]
    NotPermitted { tunnel: Tunnel, why: String },
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("the TLS handshake of a client with the proxy port failed: {why}")]
    Entrance { why: String },
    #[error(
        "this proxy wants to know who asks: show a client certificate, or give an access key id of Palisade's as user and its secret as password in the proxy's URL"
    )]
    Unproven,
    #[error("the client certificate is no caller's: {why}")]
    ClientCertificate { why: String },
    #[error(
        "Proxy-Authorization isn't right: it takes `Basic` with an access key id of Palisade's as user and its secret as password"
    )]
    WrongPassword,
    #[error(
        "Proxy-Authorization came in the clear, where others can read it: use an `https://` proxy URL (`listener.tls`), and revoke this key"
    )]
    PasswordInClear,
    #[error(
        "the client certificate is that of `{certificate}`, and Proxy-Authorization that of `{password}`"
    )]
    TwoCallers {
        certificate: Arc<str>,
        password: Arc<str>,
    },
    #[error("the TLS handshake of a client for `{host}` failed: {why}")]
    Handshake { host: Host, why: String },
}

/// Says what a host is, and hears of tunnels and refusals. Implemented by whoever owns the proxy.
pub trait Doors: Send + Sync + 'static {
    /// What the host is.
    fn door(&self, host: &Host, port: u16) -> Door;

    /// How clients enter.
    fn entrance(&self) -> Arc<Entrance>;

    /// The caller whose certificates have this name.
    fn caller_of_certificate(&self, name: &CertificateName) -> Option<Arc<str>>;

    /// The caller that a user and password are those of: an access key id and its secret.
    fn caller_of_password(&self, user: &str, password: &str) -> Option<Arc<str>>;

    /// How a tunnel's host is dialled.
    fn dialler(&self) -> Dialler;

    /// Asked before a tunnel is dialled. It is opened only on `Ok`, so whatever must be durable first is written here.
    ///
    /// # Errors
    /// A text for the client; the tunnel is refused.
    fn tunnel_opening(&self, tunnel: &Tunnel) -> impl Future<Output = Result<(), String>> + Send;

    /// A tunnel that was permitted has ended: what passed through it. `Err` if it could not be dialled.
    fn tunnel_closed(&self, tunnel: &Tunnel, passed: Result<(Traffic, Ended), &DialError>);

    /// Something was refused before it became a request to an API.
    fn refused(&self, peer: SocketAddr, refused: &Refused);
}

/// Owns the proxy: handles its requests, and has the doors in force.
pub trait House: Handle {
    type Doors: Doors;

    /// The doors in force. A connection takes them once, when it comes in: how it enters, whether it has to prove who asks,
    /// what its host is and how that is dialled are of one reading of the configuration.
    fn doors(self: &Arc<Self>) -> Arc<Self::Doors>;
}

/// Serves one connection to the proxy port to its end.
pub(super) async fn serve<G: House>(
    shared: Arc<Shared<G>>,
    connection: Connection,
    tcp: TcpStream,
) {
    let doors = shared.guard.doors();
    let entrance = doors.entrance();
    let entered = match entrance.admit(tcp, shared.timeouts.handshake).await {
        Ok(entered) => entered,
        Err(why) => {
            let refused = Refused::Entrance { why };
            return doors.refused(connection.peer, &refused);
        }
    };
    let visitor = Visitor {
        doors,
        // Nobody else hears what is said on this machine.
        is_private: entered.is_encrypted() || connection.peer.ip().is_loopback(),
        must_prove: entrance.requires_proof(),
        certificate: entered.certificate,
    };
    match entered.stream {
        ClientStream::Plain(tcp) => listen(shared, connection, visitor, tcp).await,
        ClientStream::Tls(tls) => listen(shared, connection, visitor, *tls).await,
    }
}

/// What is known of a client before it says anything.
struct Visitor<D> {
    doors: Arc<D>,
    certificate: Option<CertificateDer<'static>>,
    is_private: bool,
    must_prove: bool,
}

/// Hears the one request of a connection, and does what it asks.
async fn listen<G: House>(
    shared: Arc<Shared<G>>,
    mut connection: Connection,
    visitor: Visitor<G::Doors>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) {
    let next = Mutex::new(None);
    let io = TokioIo::new(Stalling::new(stream, shared.timeouts.write_stall));
    let service = service_fn(|request| {
        let (shared, connection, visitor, next) = (&shared, &connection, &visitor, &next);
        async move {
            let answer = answer(shared, connection, visitor, next, request);
            Ok::<_, std::convert::Infallible>(answer.await)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.timeouts.connect_head)
        .max_headers(HEADERS_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(io, service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(peer = %connection.peer, %error, "a connection to the proxy port ended");
        return;
    }
    let open = next.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Some(Open {
        upgrade,
        way,
        proven,
    }) = open
    else {
        return;
    };
    connection.proven = proven;
    // What comes may last for hours, and the doors of then are those of a reading that is long gone.
    drop(visitor);
    match upgrade.await {
        Ok(upgraded) => proceed(shared, connection, upgraded, way).await,
        Err(error) => tracing::debug!(peer = %connection.peer, %error, "a CONNECT came to nothing"),
    }
}

/// A CONNECT that was answered 200: what follows it.
struct Open {
    upgrade: OnUpgrade,
    way: Way,
    proven: Option<Arc<str>>,
}

enum Way {
    Intercept(intercept::Plan),
    Tunnel(Tunnel, Box<Stream>),
}

async fn proceed<G: House>(
    shared: Arc<Shared<G>>,
    connection: Connection,
    upgraded: Upgraded,
    way: Way,
) {
    let client = TokioIo::new(upgraded);
    match way {
        Way::Intercept(plan) => intercept::serve(shared, connection, client, plan).await,
        Way::Tunnel(tunnel, upstream) => {
            let upstream = Stalling::new(*upstream, shared.timeouts.write_stall);
            let idle = shared.timeouts.tunnel_idle;
            let passed = tunnel::copy(client, upstream, idle, connection.cut()).await;
            shared.guard.doors().tunnel_closed(&tunnel, Ok(passed));
        }
    }
}

async fn answer<G: House>(
    shared: &Arc<Shared<G>>,
    connection: &Connection,
    visitor: &Visitor<G::Doors>,
    next: &Mutex<Option<Open>>,
    mut request: Request<Incoming>,
) -> Response<Body> {
    match decide(shared, connection, visitor, &request).await {
        Ok((way, proven)) => {
            let upgrade = hyper::upgrade::on(&mut request);
            let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
            *next = Some(Open {
                upgrade,
                way,
                proven,
            });
            Response::new(Body::empty())
        }
        Err(refused) => {
            visitor.doors.refused(connection.peer, &refused);
            refused.answer()
        }
    }
}

async fn decide<G: House>(
    shared: &Arc<Shared<G>>,
    connection: &Connection,
    visitor: &Visitor<G::Doors>,
    request: &Request<Incoming>,
) -> Result<(Way, Option<Arc<str>>), Refused> {
    if request.method() != Method::CONNECT {
        return Err(match request.uri().authority() {
            Some(_) => Refused::Unencrypted(without_query(request.uri())),
            None => Refused::NotAProxyRequest(request.method().clone()),
        });
    }
    let shown = Shown {
        certificate: visitor.certificate.as_ref(),
        headers: request.headers(),
        is_private: visitor.is_private,
    };
    // Who must prove themselves learn nothing of any host before.
    let proven = proof::prove(&*visitor.doors, shown, visitor.must_prove)?;
    let (host, port) = destination(request)?;
    let way = match visitor.doors.door(&host, port) {
        Door::Refuse(why) => return Err(Refused::Host { host, port, why }),
        Door::Intercept if port != API_PORT => return Err(Refused::Port { host, port }),
        Door::Intercept => Way::Intercept(intercept::plan(shared, host, port)?),
        Door::Tunnel => {
            let tunnel = Tunnel {
                host,
                port,
                peer: connection.peer,
                caller: proven.clone(),
            };
            open(&*visitor.doors, tunnel).await?
        }
    };
    Ok((way, proven))
}

async fn open(doors: &impl Doors, tunnel: Tunnel) -> Result<Way, Refused> {
    if let Err(why) = doors.tunnel_opening(&tunnel).await {
        return Err(Refused::NotPermitted { tunnel, why });
    }
    let dialled = doors
        .dialler()
        .dial(&tunnel.host, tunnel.port, Purpose::Tunnel)
        .await;
    match dialled {
        Ok(upstream) => Ok(Way::Tunnel(tunnel, Box::new(upstream))),
        Err(error) => {
            doors.tunnel_closed(&tunnel, Err(&error));
            Err(error.into())
        }
    }
}

/// Host and port of a CONNECT. Its `Host` header, which HTTP/1.0 clients leave out, must name the same.
fn destination(request: &Request<Incoming>) -> Result<(Host, u16), Refused> {
    let headers = request.headers();
    if headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refused::Malformed("it has a body"));
    }
    let target = request.uri();
    if target.path_and_query().is_some_and(|p| p.as_str() != "/") || target.scheme().is_some() {
        return Err(Refused::Malformed("its target is not host and port"));
    }
    let text = target.authority().map_or("", |a| a.as_str());
    let (host, port) =
        authority(text).ok_or(Refused::Malformed("its target is not `host:port`"))?;
    let port = port.ok_or(Refused::Malformed("its target has no port"))?;
    if !agrees(headers, &host, port) {
        return Err(Refused::Malformed("its Host header names another host"));
    }
    Ok((host, port))
}

fn agrees(headers: &HeaderMap, host: &Host, port: u16) -> bool {
    let mut values = headers.get_all(HOST).iter();
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(value), None) => value
            .to_str()
            .ok()
            .and_then(authority)
            .is_some_and(|(h, p)| h == *host && p.is_none_or(|p| p == port)),
        (Some(_), Some(_)) => false,
    }
}

/// Reads `host` or `host:port`, strictly: no user, an IPv6 address in brackets only, a port in its one spelling.
pub(super) fn authority(text: &str) -> Option<(Host, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    if host.contains(':') != host.starts_with('[') {
        return None;
    }
    let host = Host::parse(host).ok()?;
    let Some(port) = port else {
        return Some((host, None));
    };
    let number: u16 = port.parse().ok()?;
    (number != 0 && number.to_string() == port).then_some((host, Some(number)))
}

/// A target without its query and its user, which may hold secrets.
fn without_query(uri: &Uri) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = uri.path().parse().ok();
    let host = parts.authority.as_ref().map(|authority| {
        let text = authority.as_str();
        text.rsplit_once('@').map_or(text, |(_, host)| host)
    });
    parts.authority = host.and_then(|host| host.parse().ok());
    Uri::from_parts(parts).unwrap_or_default()
}

impl Refused {
    fn answer(&self) -> Response<Body> {
        let status = match self {
            Refused::NotAProxyRequest(_) => StatusCode::METHOD_NOT_ALLOWED,
            Refused::Malformed(_) => StatusCode::BAD_REQUEST,
            Refused::Unproven | Refused::WrongPassword => StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            Refused::Unencrypted(_)
            | Refused::Entrance { .. }
            | Refused::ClientCertificate { .. }
            | Refused::PasswordInClear
            | Refused::TwoCallers { .. }
            | Refused::Port { .. }
            | Refused::Host { .. }
            | Refused::Certificate(_)
            | Refused::NotPermitted { .. }
            | Refused::Handshake { .. } => StatusCode::FORBIDDEN,
            Refused::Dial(error) if error.is_lasting() => StatusCode::FORBIDDEN,
            Refused::Dial(_) => StatusCode::BAD_GATEWAY,
        };
        let mut response = plain(status, &self.to_string());
        let says = match status {
            StatusCode::METHOD_NOT_ALLOWED => Some((ALLOW, "CONNECT")),
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => Some((PROXY_AUTHENTICATE, CHALLENGE)),
            _ => None,
        };
        if let Some((name, value)) = says {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} for {}", self.host, self.port, self.peer)
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn an_authority_has_one_spelling() {
        let check = |text: &str| authority(text).map(|(h, p)| (h.to_string(), p));
        assert_eq!(check("A.b:443"), Some(("a.b".into(), Some(443))));
        assert_eq!(check("a.b"), Some(("a.b".into(), None)));
        assert_eq!(check("[::1]:80"), Some(("::1".into(), Some(80))));
        assert_eq!(check("[::1]"), Some(("::1".into(), None)));
        for bad in [
            "",
            ":443",
            "a.b:",
            "a.b:0",
            "a.b:0443",
            "a.b:+443",
            "a.b:65536",
            "u@a.b:443",
            "::1:443",
            "::1",
            "a.b.:443",
            "a.b:443:443",
            "a b:443",
            "[a.b]:443",
        ] {
            assert_eq!(check(bad), None, "{bad}");
        }
    }
}
