//! The client towards AWS against servers that misbehave, each counting what it received.

use http::Request;
use http::header::HOST;
use http_body_util::BodyExt;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::{Bypass, Override, Scheme, UpstreamConfig};
use crate::proxy::lanes;
use crate::proxy::upstream::{Freshness, SendError, Target, Upstream, UpstreamError};

/// What a server does with the connections it is given.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers, and keeps the connection.
    Answers,
    /// Answers, then closes without having said so.
    AnswersAndCloses,
    /// Answers, and says more that nobody asked for: at once, or once the answer has been read.
    AnswersAndMore,
    AnswersAndMoreLater,
    /// Answers bit by bit, with a length or in chunks.
    AnswersSlowly,
    AnswersSlowlyInChunks,
    /// Reads the request and closes.
    Drops,
    /// Reads the request and says nothing.
    Silent,
    /// Answers with a body that never ends.
    Endless,
    /// Answers 101.
    Switches,
    /// Answers as soon as it has the head, and then reads the body.
    AnswersEarly,
}

struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
    closed: Arc<Notify>,
}

impl Server {
    async fn plain(manner: Manner) -> Self {
        Self::start(manner, None).await
    }

    async fn start(manner: Manner, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            connections: Arc::default(),
            requests: Arc::default(),
            heads: Arc::default(),
            closed: Arc::default(),
        };
        let (connections, requests) = (
            Arc::clone(&server.connections),
            Arc::clone(&server.requests),
        );
        let (heads, closed) = (Arc::clone(&server.heads), Arc::clone(&server.closed));
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (requests, tls) = (Arc::clone(&requests), tls.clone());
                let (heads, closed) = (Arc::clone(&heads), Arc::clone(&closed));
                tokio::spawn(async move {
                    match tls {
                        None => behave(tcp, manner, &requests, &heads).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(tcp).await {
                                behave(stream, manner, &requests, &heads).await;
                            }
                        }
                    }
                    closed.notify_one();
                });
            }
        });
        server
    }

    fn counts(&self) -> (usize, usize) {
        (
            self.connections.load(Ordering::SeqCst),
            self.requests.load(Ordering::SeqCst),
        )
    }
}

async fn behave(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    manner: Manner,
    requests: &AtomicUsize,
    heads: &Mutex<Vec<String>>,
) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("content-length: "))
            .map_or(0, |l| l.parse().unwrap());
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok";
        if matches!(manner, Manner::AnswersEarly) {
            stream.write_all(ok).await.unwrap();
        }
        if stream.read_exact(&mut vec![0; length]).await.is_err() {
            return;
        }
        heads.lock().unwrap().push(head);
        requests.fetch_add(1, Ordering::SeqCst);
        match manner {
            Manner::Answers => stream.write_all(ok).await.unwrap(),
            Manner::AnswersAndCloses => {
                stream.write_all(ok).await.unwrap();
                return;
            }
            Manner::AnswersAndMore => stream
                .write_all(&[&ok[..], UNASKED].concat())
                .await
                .unwrap(),
            Manner::AnswersAndMoreLater => {
                stream.write_all(ok).await.unwrap();
                tokio::time::sleep(Duration::from_millis(3)).await;
                // The client may have hung up.
                let _ = stream.write_all(UNASKED).await;
            }
            Manner::AnswersSlowly => {
                let pieces = ["HTTP/1.1 200 OK\r\ncontent-", "length: 2\r\n\r\n", "o", "k"];
                slowly(&mut stream, &pieces).await;
            }
            Manner::AnswersSlowlyInChunks => {
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                slowly(
                    &mut stream,
                    &[head, "1\r\no", "\r\n1\r", "\nk\r\n", "0\r\n", "\r\n"],
                )
                .await;
            }
            Manner::Drops => return,
            Manner::AnswersEarly => {}
            Manner::Silent => std::future::pending().await,
            Manner::Endless => {
                let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok";
                stream.write_all(head).await.unwrap();
                std::future::pending().await
            }
            Manner::Switches => {
                let head = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
                stream.write_all(head).await.unwrap();
                std::future::pending().await
            }
        }
    }
}

const UNASKED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad";

async fn slowly(stream: &mut (impl AsyncWrite + Unpin), pieces: &[&str]) {
    for piece in pieces {
        stream.write_all(piece.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

pub(super) fn config(scheme: Scheme, host: &str, port: u16) -> UpstreamConfig {
    UpstreamConfig {
        dangerous_override: Some(Override {
            scheme,
            host: host.to_owned(),
            port,
        }),
        ca_file: None,
        proxy: None,
        no_proxy: Bypass::default(),
        timeout: Duration::from_millis(300),
    }
}

pub(super) fn client(config: &UpstreamConfig) -> Upstream {
    Upstream::new(
        config,
        &egress(PrivateAddresses::Refuse),
        Timeouts::default(),
    )
    .unwrap()
}

fn plain_client(server: &Server) -> Upstream {
    client(&config(Scheme::Http, "127.0.0.1", server.port))
}

pub(super) fn aws() -> Target {
    Target {
        host: Host::parse(API).unwrap(),
        port: 443,
    }
}

pub(super) fn request(body: Body) -> Request<Body> {
    Request::post("/x?y")
        .header(HOST, API)
        .header("connection", "keep-alive")
        .header("expect", "100-continue")
        .header("x-amz-date", "now")
        .body(body)
        .unwrap()
}

pub(super) async fn send(upstream: &Upstream, freshness: Freshness) -> Result<String, SendError> {
    let request = request(Body::full("abc"));
    let response = upstream.send_once(&aws(), request, freshness).await?;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    // Whatever the server does next has come.
    tokio::time::sleep(Duration::from_millis(10)).await;
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

pub(super) fn is_unknown(result: Result<String, SendError>) -> bool {
    matches!(result, Err(SendError::Unknown { .. }))
}

#[tokio::test]
async fn a_connection_is_used_again_and_the_host_header_is_kept() {
    let server = Server::plain(Manner::Answers).await;
    let upstream = plain_client(&server);
    for freshness in [Freshness::Fresh, Freshness::Pooled, Freshness::Fresh] {
        assert_eq!(send(&upstream, freshness).await.unwrap(), "ok");
        assert_eq!(upstream.idle(), 1);
    }
    assert_eq!(server.counts(), (1, 3));
    let head = server.heads.lock().unwrap()[0].clone();
    assert!(head.starts_with("POST /x?y HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {API}\r\n")), "{head}");
    assert!(
        !head.contains("expect") && !head.contains("connection"),
        "{head}"
    );
}

#[tokio::test]
async fn a_guarded_call_does_not_use_a_connection_that_was_idle_for_long() {
    let server = Server::plain(Manner::Answers).await;
    let timeouts = Timeouts {
        fresh_idle: Duration::from_millis(50),
        pool_idle: Duration::from_millis(400),
        ..Timeouts::default()
    };
    let upstream = Upstream::new(
        &config(Scheme::Http, "127.0.0.1", server.port),
        &egress(PrivateAddresses::Refuse),
        timeouts,
    )
    .unwrap();
    send(&upstream, Freshness::Fresh).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    send(&upstream, Freshness::Fresh).await.unwrap();
    assert_eq!(server.counts(), (2, 2));
    tokio::time::sleep(Duration::from_millis(100)).await;
    send(&upstream, Freshness::Pooled).await.unwrap();
    assert_eq!(server.counts(), (2, 3));
    // What is never asked for again is closed nevertheless.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(upstream.idle(), 0);
    tokio::time::timeout(Duration::from_secs(5), server.closed.notified())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_that_closed_an_idle_connection_gets_each_request_once() {
    for freshness in [Freshness::Pooled, Freshness::Fresh] {
        let server = Server::plain(Manner::AnswersAndCloses).await;
        let upstream = plain_client(&server);
        for n in 1..=20 {
            assert_eq!(send(&upstream, freshness).await.unwrap(), "ok");
            assert_eq!(server.counts(), (n, n));
        }
    }
}

#[tokio::test]
async fn what_a_server_says_unasked_is_no_answer_to_the_next_request() {
    for manner in [Manner::AnswersAndMore, Manner::AnswersAndMoreLater] {
        for freshness in [Freshness::Pooled, Freshness::Fresh] {
            let server = Server::plain(manner).await;
            let upstream = plain_client(&server);
            for n in 1..=5 {
                assert_eq!(send(&upstream, freshness).await.unwrap(), "ok");
                assert_eq!(server.counts(), (n, n));
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_comes_bit_by_bit_is_read_whole_and_its_connection_is_used_again() {
    for manner in [Manner::AnswersSlowly, Manner::AnswersSlowlyInChunks] {
        let server = Server::plain(manner).await;
        let upstream = plain_client(&server);
        for n in 1..=3 {
            let sent = send(&upstream, Freshness::Pooled);
            let sent = tokio::time::timeout(Duration::from_secs(10), sent).await;
            assert_eq!(sent.unwrap().unwrap(), "ok");
            assert_eq!(server.counts(), (1, n));
        }
    }
}

#[tokio::test]
async fn a_server_that_reads_and_drops_leaves_the_outcome_unknown_after_one_request() {
    let server = Server::plain(Manner::Drops).await;
    let upstream = plain_client(&server);
    for freshness in [Freshness::Fresh, Freshness::Pooled] {
        assert!(is_unknown(send(&upstream, freshness).await));
    }
    assert_eq!(server.counts(), (2, 2));
}

#[tokio::test]
async fn a_server_that_says_nothing_leaves_the_outcome_unknown_and_is_hung_up_on() {
    let server = Server::plain(Manner::Silent).await;
    let upstream = plain_client(&server);
    let begun = std::time::Instant::now();
    assert!(is_unknown(send(&upstream, Freshness::Fresh).await));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(server.counts(), (1, 1));
    assert_eq!(upstream.idle(), 0);
}

#[tokio::test]
async fn an_answer_that_switches_protocols_leaves_the_outcome_unknown() {
    let server = Server::plain(Manner::Switches).await;
    let upstream = plain_client(&server);
    assert!(is_unknown(send(&upstream, Freshness::Fresh).await));
    assert_eq!(server.counts(), (1, 1));
}

#[tokio::test]
async fn an_answer_that_stalls_ends_and_its_connection_is_not_used_again() {
    let server = Server::plain(Manner::Endless).await;
    let upstream = plain_client(&server);
    let response = upstream
        .send_once(&aws(), request(Body::empty()), Freshness::Fresh)
        .await
        .unwrap();
    let body = Body::answer(response.into_body(), Duration::from_millis(50));
    let error = body.collect().await.unwrap_err();
    assert_eq!(error, crate::proxy::BodyError::Timeout);
    assert_eq!(upstream.idle(), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_the_outcome_unknown() {
    let server = Server::plain(Manner::Answers).await;
    let upstream = plain_client(&server);
    let (mut sender, body) = http_body_util::channel::Channel::new(2);
    sender.send_data("ab".into()).await.unwrap();
    let sending = tokio::spawn({
        let upstream = upstream.clone();
        async move {
            let mut request = request(Body::other(body));
            request.headers_mut().insert("content-length", 9.into());
            upstream.send_once(&aws(), request, Freshness::Fresh).await
        }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    sender.abort(crate::proxy::BodyError::Timeout);
    let result = sending.await.unwrap();
    assert!(
        matches!(result, Err(SendError::Unknown { .. })),
        "{result:?}"
    );
    assert_eq!(server.counts(), (1, 0));
}

#[tokio::test]
async fn a_body_goes_on_its_way_though_the_answer_came_early_and_is_not_read() {
    let server = Server::plain(Manner::AnswersEarly).await;
    let upstream = plain_client(&server);
    let (mut sender, body) = http_body_util::channel::Channel::new(1);
    sender.send_data("ab".into()).await.unwrap();
    let mut request = request(Body::other(body));
    request.headers_mut().insert("content-length", 9.into());
    let response = upstream.send_once(&aws(), request, Freshness::Pooled).await;
    assert_eq!(server.counts(), (1, 0));
    for piece in ["cde", "fg", "hi"] {
        sender.send_data(piece.into()).await.unwrap();
    }
    drop(sender);
    tokio::time::timeout(Duration::from_secs(5), async {
        while server.counts() != (1, 1) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
    let body = response.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "ok");
    assert_eq!(upstream.idle(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_goes_from_one_task_to_the_next() {
    let server = Server::plain(Manner::Answers).await;
    let upstream = plain_client(&server);
    for _ in 0..30 {
        let at_once: Vec<_> = (0..4)
            .map(|_| {
                let upstream = upstream.clone();
                tokio::spawn(async move { send(&upstream, Freshness::Pooled).await })
            })
            .collect();
        for sent in at_once {
            assert_eq!(sent.await.unwrap().unwrap(), "ok");
        }
    }
    let (connections, requests) = server.counts();
    assert_eq!(requests, 120);
    assert!(connections <= 4, "{connections}");
}

#[tokio::test]
async fn a_connection_too_many_closes_the_one_that_was_idle_for_longest() {
    let server = Server::plain(Manner::Answers).await;
    // Every lane has its share, and so have the threads that are none, of which this is one.
    let upstream = plain_client(&server).keeping_at_most(300 * (lanes::count() + 1));
    for (at_once, connections) in [(300, 300), (301, 301)] {
        let mut answers = Vec::new();
        for _ in 0..at_once {
            let request = request(Body::full("abc"));
            let answer = upstream.send_once(&aws(), request, Freshness::Pooled).await;
            answers.push(answer.unwrap());
        }
        assert_eq!(server.counts().0, connections);
        for answer in answers {
            answer.into_body().collect().await.unwrap();
        }
        assert_eq!(upstream.idle(), 300);
    }
    tokio::time::timeout(Duration::from_secs(5), server.closed.notified())
        .await
        .unwrap();
}

#[tokio::test]
async fn what_cannot_be_reached_is_unsent() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let upstream = client(&config(Scheme::Http, "127.0.0.1", port));
    let error = send(&upstream, Freshness::Fresh).await.unwrap_err();
    assert!(matches!(error, SendError::Unsent { .. }), "{error}");
    // An AWS name that resolves to a private address.
    let own = UpstreamConfig {
        dangerous_override: None,
        ..config(Scheme::Https, "x", 1)
    };
    let target = Target {
        host: Host::parse("localhost").unwrap(),
        port: 443,
    };
    let error = client(&own)
        .send_once(&target, request(Body::empty()), Freshness::Fresh)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("loopback"), "{error}");
    assert!(matches!(error, SendError::Barred { .. }));
}

#[tokio::test]
async fn a_request_in_another_form_is_unsent() {
    let server = Server::plain(Manner::Answers).await;
    let upstream = plain_client(&server);
    let absolute = Request::get(format!("https://{API}/"))
        .header(HOST, API)
        .body(Body::empty())
        .unwrap();
    let hostless = Request::get("/").body(Body::empty()).unwrap();
    for request in [absolute, hostless] {
        let error = upstream
            .send_once(&aws(), request, Freshness::Fresh)
            .await
            .unwrap_err();
        assert!(matches!(error, SendError::Unsent { .. }), "{error}");
    }
    assert_eq!(server.counts(), (0, 0));
}

/// A TLS server for `localhost` that speaks HTTP/1.1 only, and its certificate as PEM.
async fn tls_server() -> (Server, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![ALPN_HTTP_1.to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Server::start(Manner::Answers, Some(acceptor)).await;
    (server, cert.pem())
}

#[tokio::test]
async fn an_https_override_is_verified_by_its_own_name_against_the_ca_file() {
    let (server, pem) = tls_server().await;
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, pem).unwrap();
    let trusting = |host| UpstreamConfig {
        ca_file: Some(ca_file.clone()),
        ..config(Scheme::Https, host, server.port)
    };
    let upstream = client(&trusting("localhost"));
    assert!(upstream.is_overridden());
    assert_eq!(send(&upstream, Freshness::Fresh).await.unwrap(), "ok");
    let head = server.heads.lock().unwrap()[0].clone();
    assert!(head.contains(&format!("host: {API}\r\n")), "{head}");
    // Another name, and no trust.
    for config in [
        trusting("127.0.0.1"),
        config(Scheme::Https, "localhost", server.port),
    ] {
        let Ok(upstream) = Upstream::new(
            &config,
            &egress(PrivateAddresses::Refuse),
            Timeouts::default(),
        ) else {
            // A system without any roots.
            continue;
        };
        let error = send(&upstream, Freshness::Fresh).await.unwrap_err();
        assert!(error.to_string().contains("TLS handshake"), "{error}");
        assert!(matches!(error, SendError::Unsent { .. }));
    }
    assert_eq!(server.counts().1, 1);
}

#[test]
fn an_http_override_is_for_loopback_only() {
    let error = Upstream::new(
        &config(Scheme::Http, "10.0.0.1", 80),
        &egress(PrivateAddresses::Refuse),
        Timeouts::default(),
    )
    .unwrap_err();
    assert!(matches!(error, UpstreamError::PlainOverride(_)));
}
