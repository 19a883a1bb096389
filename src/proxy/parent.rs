//! The parent proxy (`upstream.proxy`): the way out where there is no other. Every host is reached by CONNECT, but for
//! those that `upstream.no_proxy` names.
//!
//! INVARIANT: the user and password of the parent are told to the parent alone: neither debug output nor any message
//! holds them.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use ipnet::IpNet;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::stream::Stream;
use crate::aws::host::Host;

/// The longest head of a parent's answer, in bytes, with all that comes before it.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The most headers in it.
const HEADERS_MAX: usize = 64;
/// How much of its reason phrase is shown.
const PHRASE_CHARS_MAX: usize = 64;

/// A parent proxy, as `upstream.proxy` names it.
#[derive(Clone, PartialEq, Eq)]
pub struct Parent {
    scheme: ParentScheme,
    host: Host,
    port: u16,
    /// `Basic …`, where the URL has a user.
    authorization: Option<Zeroizing<String>>,
    /// As it was written.
    url: Zeroizing<String>,
}

/// How the parent itself is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParentScheme {
    Http,
    Https,
}

/// `upstream.no_proxy`: hosts that are dialled directly although there is a parent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bypass(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Everything,
    /// The name and all below it.
    Name(Host),
    /// Addresses as such: a name is not resolved to be compared.
    Network(IpNet),
}

/// Why the parent opened no way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Closed {
    /// It heals: the parent can't be reached or is overloaded.
    Passing(String),
    /// It lasts until somebody acts: wrong password, or the parent's own rules.
    Lasting(String),
}

/// A parent with what is needed to reach it.
#[derive(Clone)]
pub(super) struct Via {
    pub(super) parent: Parent,
    pub(super) bypass: Bypass,
    tls: TlsConnector,
}

impl Parent {
    /// Reads `http://host:port` or `https://host:port`, with or without `user:password@` before the host, where both
    /// are percent-encoded. Without a port it is the scheme's own.
    ///
    /// # Errors
    /// What is wrong with it, without the text itself, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fail = || {
            "not a URL of scheme, host and port, such as `http://proxy.example:3128`; a user and password stand before the host, percent-encoded: `http://user:password@proxy.example:3128`".to_owned()
        };
        let uri: http::Uri = text.parse().map_err(|_| fail())?;
        let scheme = match uri.scheme_str() {
            Some("http") => ParentScheme::Http,
            Some("https") => ParentScheme::Https,
            Some(_) | None => return Err(fail()),
        };
        let authority = uri.authority().ok_or_else(fail)?.as_str();
        if uri.query().is_some() || !matches!(uri.path(), "" | "/") || text.contains('#') {
            return Err(fail());
        }
        let (userinfo, place) = match authority.rsplit_once('@') {
            Some((userinfo, place)) => (Some(userinfo), place),
            None => (None, authority),
        };
        let (host, port) = super::connect::authority(place).ok_or_else(fail)?;
        let port = port.unwrap_or(match scheme {
            ParentScheme::Http => 80,
            ParentScheme::Https => 443,
        });
        Ok(Self {
            scheme,
            host,
            port,
            authorization: userinfo.map(basic).transpose()?,
            url: Zeroizing::new(text.to_owned()),
        })
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The URL with its password, for a client that speaks to the parent by itself.
    #[must_use]
    pub fn dangerous_url(&self) -> &str {
        &self.url
    }
}

impl Bypass {
    /// Reads each entry: a name, which stands for itself and all below it (with or without a dot before it), an address,
    /// a network such as `10.0.0.0/8`, or `*` for every host.
    ///
    /// # Errors
    /// What is wrong with the first bad entry, in words that follow it.
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, String> {
        let entries: Result<Vec<Entry>, String> = texts.into_iter().map(Entry::parse).collect();
        Ok(Self(entries?))
    }

    /// Whether the host is dialled directly.
    #[must_use]
    pub fn covers(&self, host: &Host) -> bool {
        self.0.iter().any(|entry| entry.covers(host))
    }

    /// The list as the variable `NO_PROXY` holds it.
    #[must_use]
    pub fn as_variable(&self) -> String {
        let entries: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        entries.join(",")
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Entry::Everything);
        }
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Entry::Network(network));
        }
        let name = text
            .strip_prefix("*.")
            .or_else(|| text.strip_prefix('.'))
            .unwrap_or(text);
        let host = Host::parse(name).map_err(|_| {
            "not a host name, an address, a network such as `10.0.0.0/8`, or `*`".to_owned()
        })?;
        Ok(match host.ip() {
            Some(ip) => Entry::Network(IpNet::from(ip)),
            None => Entry::Name(host),
        })
    }

    fn covers(&self, host: &Host) -> bool {
        match (self, host.ip()) {
            (Entry::Everything, _) => true,
            (Entry::Network(network), Some(ip)) => network.contains(&ip),
            (Entry::Name(name), None) => host
                .as_str()
                .strip_suffix(name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            (Entry::Network(_), None) | (Entry::Name(_), Some(_)) => false,
        }
    }
}

impl Via {
    /// A parent that, where it is an `https://` one, is trusted by these roots.
    ///
    /// # Errors
    /// A `rustls` error if no TLS client can be made.
    pub(super) fn new(
        parent: Parent,
        bypass: Bypass,
        roots: RootCertStore,
    ) -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            parent,
            bypass,
            tls: TlsConnector::from(Arc::new(tls)),
        })
    }

    /// Asks the parent, to whom `tcp` leads, for a way to the host. Whoever calls bounds its time.
    pub(super) async fn open(
        &self,
        tcp: TcpStream,
        host: &Host,
        port: u16,
    ) -> Result<Stream, Closed> {
        let mut stream = match self.parent.scheme {
            ParentScheme::Http => Stream::direct(tcp),
            ParentScheme::Https => {
                let name = ServerName::try_from(self.parent.host.as_str().to_owned())
                    .map_err(|e| Closed::Lasting(format!("has no name for TLS: {e}")))?;
                let tls = self.tls.connect(name, tcp).await;
                let tls = tls.map_err(|e| {
                    Closed::Passing(format!(
                        "did not complete the TLS handshake: {e}; if its certificate is not trusted, name its authority in `upstream.ca_file`"
                    ))
                })?;
                Stream::over_tls(tls)
            }
        };
        let broken = |e: std::io::Error| Closed::Passing(format!("broke off: {e}"));
        let asked = Zeroizing::new(self.request(host, port));
        stream.write_all(asked.as_bytes()).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let (answer, early) = read_answer(&mut stream).await?;
        answer.judge(self.parent.authorization.is_some())?;
        Ok(stream.opened(early))
    }

    fn request(&self, host: &Host, port: u16) -> String {
        let place = match host.ip() {
            Some(std::net::IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
            Some(std::net::IpAddr::V4(_)) | None => format!("{host}:{port}"),
        };
        let mut text = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
        if let Some(authorization) = &self.parent.authorization {
            text.push_str("Proxy-Authorization: ");
            text.push_str(authorization);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text
    }
}

/// What a parent said to a CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    code: u16,
    /// Printable, and short.
    phrase: String,
}

impl Answer {
    fn judge(&self, had_password: bool) -> Result<(), Closed> {
        let Self { code, phrase } = self;
        let said = format!("answered `{code} {phrase}`");
        match StatusCode::from_u16(*code) {
            Ok(status) if status.is_success() => Ok(()),
            Ok(StatusCode::PROXY_AUTHENTICATION_REQUIRED) if had_password => Err(Closed::Lasting(
                format!("{said}: it doesn't take the user and password in `upstream.proxy`"),
            )),
            Ok(StatusCode::PROXY_AUTHENTICATION_REQUIRED) => Err(Closed::Lasting(format!(
                "{said}: give it a user and password, `upstream.proxy = \"http://user:password@…\"`"
            ))),
            Ok(status)
                if status.is_server_error()
                    || matches!(
                        status,
                        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
                    ) =>
            {
                Err(Closed::Passing(said))
            }
            Ok(_) | Err(_) => Err(Closed::Lasting(format!(
                "{said}: its own rules don't let this host through"
            ))),
        }
    }
}

/// Reads the head of the answer, and what came behind it. Interim answers (1xx) are passed over.
async fn read_answer(stream: &mut Stream) -> Result<(Answer, Bytes), Closed> {
    let mut buffer = BytesMut::with_capacity(1024);
    let mut read = 0;
    loop {
        if let Some((answer, head_bytes)) = parse(&buffer)? {
            drop(buffer.split_to(head_bytes));
            if !(100..200).contains(&answer.code) {
                return Ok((answer, buffer.freeze()));
            }
            continue;
        }
        if read >= HEAD_BYTES_MAX {
            return Err(Closed::Passing("answered with too long a head".to_owned()));
        }
        let got = stream.read_buf(&mut buffer).await;
        let got = got.map_err(|e| Closed::Passing(format!("broke off: {e}")))?;
        if got == 0 {
            return Err(Closed::Passing("closed without an answer".to_owned()));
        }
        read += got;
    }
}

/// A whole head at the beginning of the bytes, and how long it is.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>, Closed> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(length)) => {
            let printable = |c: &char| c.is_ascii_graphic() || *c == ' ';
            let phrase = response.reason.unwrap_or_default();
            let answer = Answer {
                code: response.code.unwrap_or_default(),
                phrase: phrase
                    .chars()
                    .filter(printable)
                    .filter(|c| *c != '`')
                    .take(PHRASE_CHARS_MAX)
                    .collect(),
            };
            Ok(Some((answer, length)))
        }
        Err(e) => Err(Closed::Passing(format!(
            "answered what isn't HTTP ({e}); is it a proxy, and `https://` right or wrong for it?"
        ))),
    }
}

/// `Basic` and `user:password` in base64 (RFC 7617).
fn basic(userinfo: &str) -> Result<Zeroizing<String>, String> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let mut pair = Zeroizing::new(decoded(user)?);
    if pair.contains(&b':') {
        return Err("the user holds a colon, which a proxy can't be told".to_owned());
    }
    pair.push(b':');
    pair.extend_from_slice(&Zeroizing::new(decoded(password)?));
    if pair.iter().any(|b| b.is_ascii_control()) {
        return Err("user or password hold a control character".to_owned());
    }
    let text = base64::engine::general_purpose::STANDARD.encode(&*pair);
    Ok(Zeroizing::new(format!("Basic {text}")))
}

fn decoded(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let value = digit().zip(digit()).map(|(high, low)| high * 16 + low);
        let value = value.and_then(|v| u8::try_from(v).ok());
        out.push(value.ok_or_else(|| {
            "a `%` in user or password that no two hex digits follow; write `%25` for it".to_owned()
        })?);
    }
    Ok(out)
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            ParentScheme::Http => "http",
            ParentScheme::Https => "https",
        };
        match self.host.ip() {
            Some(std::net::IpAddr::V6(ip)) => write!(f, "{scheme}://[{ip}]:{}", self.port),
            Some(std::net::IpAddr::V4(_)) | None => {
                write!(f, "{scheme}://{}:{}", self.host, self.port)
            }
        }
    }
}

impl fmt::Debug for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parent")
            .field("url", &self.to_string())
            .field(
                "authorization",
                &self.authorization.as_ref().map(|_| "[redacted]"),
            )
            .finish()
    }
}

impl fmt::Debug for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Via")
            .field("parent", &self.parent)
            .field("bypass", &self.bypass)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Everything => f.write_str("*"),
            Entry::Name(host) => host.fmt(f),
            Entry::Network(network) => network.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
