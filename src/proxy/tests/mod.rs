//! The proxy as clients meet it: real TCP and TLS on loopback, with a client that trusts only the CA.

mod entrance;
mod frames;
mod intercepted;
mod many;
mod parent;
mod port;
mod streams;
mod upstream;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use http::Response;
use http_body_util::BodyExt;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::authority::{Leaves, leaves};
use super::body::{Body, Budget, read_whole};
use super::connect::{Door, Doors, House, Refused, Tunnel};
use super::egress::{DialError, Dialler};
use super::entrance::{Entrance, ListenerConfig};
use super::intercept::{Handle, Intercepted};
use super::listen::{Drained, Proxy};
use super::proof::CertificateName;
use super::timeouts::Timeouts;
use super::tunnel::{Ended, Traffic};
use super::{ALPN_HTTP_1, ALPN_HTTP_2, Authority};
use crate::aws::host::Host;
use crate::config::{Egress, OtherHosts, PrivateAddresses};

const API: &str = "sts.eu-central-1.amazonaws.com";

/// Answers with what it saw; hosts below `amazonaws.com` are APIs, `127.0.0.1` is a tunnel.
#[derive(Default)]
struct Guard {
    log: Mutex<Vec<String>>,
    /// What a request to `/wait` waits for.
    release: Notify,
    /// Requests that wait, and the most that ever did.
    busy: AtomicUsize,
    busiest: AtomicUsize,
    /// Set: no tunnel is permitted.
    full: bool,
    /// How often the doors were asked for.
    opened: AtomicUsize,
    dialler: OnceLock<Dialler>,
    entrance: OnceLock<Arc<Entrance>>,
}

/// The length of the answer to `/large`.
const LARGE: usize = 1 << 20;

impl Guard {
    fn note(&self, text: String) {
        self.log.lock().unwrap().push(text);
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn logged(&self, part: &str) -> bool {
        self.log().iter().any(|l| l.contains(part))
    }
}

impl House for Guard {
    type Doors = Self;

    fn doors(self: &Arc<Self>) -> Arc<Self> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        Arc::clone(self)
    }
}

impl Doors for Guard {
    fn door(&self, host: &Host, _port: u16) -> Door {
        match host.as_str() {
            name if name.ends_with("amazonaws.com") => Door::Intercept,
            "127.0.0.1" | "192.0.2.1" => Door::Tunnel,
            "foreign.api.aws" => Door::Intercept,
            other => Door::Refuse(format!("`{other}` is not allowed")),
        }
    }

    fn entrance(&self) -> Arc<Entrance> {
        Arc::clone(self.entrance.get().unwrap())
    }

    fn caller_of_certificate(&self, name: &CertificateName) -> Option<Arc<str>> {
        match name.to_string().as_str() {
            "CN:ann" | "DNS:ann.corp" => Some("ann".into()),
            "CN:bob" => Some("bob".into()),
            _ => None,
        }
    }

    fn caller_of_password(&self, user: &str, password: &str) -> Option<Arc<str>> {
        (password == "right").then(|| user.into())
    }

    fn dialler(&self) -> Dialler {
        self.dialler.get().unwrap().clone()
    }

    async fn tunnel_opening(&self, tunnel: &Tunnel) -> Result<(), String> {
        self.note(format!("opening {}", tunnel.host));
        if let Some(caller) = &tunnel.caller {
            self.note(format!("tunnel of {caller}"));
        }
        if self.full {
            return Err("the journal is full".into());
        }
        Ok(())
    }

    fn tunnel_closed(&self, tunnel: &Tunnel, passed: Result<(Traffic, Ended), &DialError>) {
        self.note(format!("closed {} {:?}", tunnel.host, passed.ok()));
    }

    fn refused(&self, _peer: SocketAddr, refused: &Refused) {
        self.note(format!("refused {refused}"));
    }
}

impl Handle for Guard {
    async fn handle(&self, request: Intercepted) -> Response<Body> {
        if let Some(caller) = &request.proven {
            self.note(format!("request of {caller}"));
        }
        let (parts, body) = request.request.into_parts();
        let path = parts.uri.to_string();
        self.note(format!("begin {path}"));
        let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
        self.busiest.fetch_max(busy, Ordering::SeqCst);
        match path.as_str() {
            "/panic" => panic!("as the test wants it"),
            "/wait" => self.release.notified().await,
            "/pause" => tokio::time::sleep(Duration::from_millis(2)).await,
            "/large" => return Response::new(Body::full(vec![b'x'; LARGE])),
            "/stream" => {
                let passed = Body::request(body, Duration::from_secs(5)).collect().await;
                let passed = passed.map(|all| all.to_bytes().len());
                return Response::new(Body::full(format!("{passed:?}")));
            }
            "/headers" => self.note(format!("{:?}", parts.headers)),
            _ => {}
        }
        self.busy.fetch_sub(1, Ordering::SeqCst);
        let body = read_whole(body, 1 << 20, &Budget::new(1 << 20), &Timeouts::default()).await;
        let body = body.map_or_else(|e| e.to_string(), |b| format!("{} bytes", b.bytes().len()));
        self.note(format!("end {path}"));
        Response::new(Body::full(format!(
            "{} {} {} {body}",
            request.host, parts.method, path
        )))
    }
}

struct Running {
    guard: Arc<Guard>,
    leaves: Arc<Leaves>,
    proxy: Arc<Proxy<Guard>>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Drained>,
    _dir: tempfile::TempDir,
}

/// How a test's proxy differs from the usual.
struct Setup {
    guard: Guard,
    private_addresses: PrivateAddresses,
    timeouts: Timeouts,
    connections_max: usize,
    grace: Duration,
    listener: ListenerConfig,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            guard: Guard::default(),
            private_addresses: PrivateAddresses::Refuse,
            timeouts: Timeouts::default(),
            connections_max: 16,
            grace: Duration::from_secs(5),
            listener: ListenerConfig::default(),
        }
    }
}

fn egress(private_addresses: PrivateAddresses) -> Egress {
    Egress {
        other_hosts: OtherHosts::Refuse,
        allow: vec![],
        private_addresses,
        private_cidrs: vec![],
    }
}

async fn start(setup: Setup) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("ca");
    let authority = Authority::open(
        &folder,
        ["amazonaws.com", "palisade.internal"],
        SystemTime::now(),
    )
    .unwrap();
    let leaves = leaves(authority).unwrap();
    let guard = Arc::new(setup.guard);
    let dialler = Dialler::new(&egress(setup.private_addresses), &setup.timeouts);
    guard.dialler.set(dialler).unwrap();
    let entrance = Entrance::new(&setup.listener, &leaves).unwrap();
    guard.entrance.set(Arc::new(entrance)).unwrap();
    let proxy = Proxy::new(
        Arc::clone(&guard),
        Arc::clone(&leaves),
        setup.timeouts,
        setup.connections_max,
    );
    let proxy = Arc::new(proxy.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn({
        let proxy = Arc::clone(&proxy);
        async move {
            let shutdown = async {
                stopped.await.ok();
            };
            proxy.serve(listener, shutdown, setup.grace).await
        }
    });
    Running {
        guard,
        leaves,
        proxy,
        address,
        stop: Some(stop),
        serving,
        _dir: dir,
    }
}

impl Running {
    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `text` to the proxy port and returns all that comes back.
    async fn say(&self, text: &str) -> String {
        let mut tcp = self.tcp().await;
        tcp.write_all(text.as_bytes()).await.unwrap();
        rest(&mut tcp).await
    }

    /// A connection through which a CONNECT was answered 200.
    async fn connect(&self, authority: &str) -> TcpStream {
        let mut tcp = self.tcp().await;
        let head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        tcp.write_all(head.as_bytes()).await.unwrap();
        let answer = head_of(&mut tcp).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        tcp
    }

    /// TLS inside a CONNECT to the API, naming `sni` (or nothing, for an address); HTTP/1.1 is all that it offers.
    async fn tls(&self, sni: &str) -> std::io::Result<TlsStream<TcpStream>> {
        self.tls_offering(sni, &[ALPN_HTTP_1]).await
    }

    /// The same, offering these protocols.
    async fn tls_offering(
        &self,
        sni: &str,
        protocols: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.leaves.authority().certificate().clone())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        if sni != API {
            let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
                Arc::new(roots),
                provider,
            );
            config
                .dangerous()
                .set_certificate_verifier(Arc::new(ForApi(verifier.build().unwrap())));
        }
        config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        let tcp = self.connect(&format!("{API}:443")).await;
        let name = ServerName::try_from(sni.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
    }

    /// Sends `text` inside TLS to the API and returns all that comes back.
    async fn ask(&self, text: &str) -> String {
        let mut tls = self.tls(API).await.unwrap();
        tls.write_all(text.as_bytes()).await.unwrap();
        rest(&mut tls).await
    }

    async fn stop(&mut self) -> Drained {
        self.stop.take().unwrap().send(()).unwrap();
        (&mut self.serving).await.unwrap()
    }

    async fn until_logged(&self, part: &str) {
        let seen = async {
            while !self.guard.logged(part) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), seen)
            .await
            .unwrap_or_else(|_| panic!("no `{part}` in {:?}", self.guard.log()));
    }
}

/// Checks a certificate for the API whatever name the client sent as SNI: what the proxy promises to present.
#[derive(Debug)]
struct ForApi(Arc<rustls::client::WebPkiServerVerifier>);

impl rustls::client::danger::ServerCertVerifier for ForApi {
    fn verify_server_cert(
        &self,
        certificate: &rustls::pki_types::CertificateDer<'_>,
        intermediates: &[rustls::pki_types::CertificateDer<'_>],
        _name: &ServerName<'_>,
        ocsp: &[u8],
        now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        let api = ServerName::try_from(API).unwrap();
        self.0
            .verify_server_cert(certificate, intermediates, &api, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// All that comes until the other side closes, however it closes.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut all = Vec::new();
    let reading = stream.read_to_end(&mut all);
    tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .expect("the other side closes")
        .ok();
    String::from_utf8(all).unwrap()
}

/// One head, byte by byte, so that nothing behind it is taken.
async fn head_of(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// One answer with a Content-Length.
async fn answer_of(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let head = head_of(stream).await;
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "))
        .map_or(0, |l| l.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    head + &String::from_utf8(body).unwrap()
}
