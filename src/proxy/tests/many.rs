//! The client towards AWS over HTTP/2: upstreams that share, refuse, go away or stall.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::BodyExt;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::frames::{
    ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, REFUSED_STREAM, RST_STREAM,
    SETTINGS, frame, read_frame,
};
use super::upstream::{aws, config, is_unknown, request, send};
use super::*;
use crate::config::{Scheme, UpstreamConfig};
use crate::proxy::upstream::{Freshness, SendError, Upstream};

/// What a server does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Answers,
    /// Answers once it is told to.
    Holds,
    /// Resets the stream as unprocessed.
    Refuses,
    /// Answers the first request of a connection and says at the second that this is the last stream that it looks at,
    /// then closes.
    GoesAway(u32),
    /// Answers, then says that it takes no more requests.
    AnswersAndGoesAway,
    Silent,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// The most requests at once, of each connection.
    busiest: Mutex<BTreeMap<usize, usize>>,
    release: Notify,
}

struct Server {
    port: u16,
    seen: Arc<Seen>,
    ca: tempfile::NamedTempFile,
}

/// A TLS server for `localhost` that chooses from these protocols.
fn acceptor(protocols: &[&[u8]]) -> (TlsAcceptor, tempfile::NamedTempFile) {
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
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    let ca = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(ca.path(), cert.pem()).unwrap();
    (TlsAcceptor::from(Arc::new(config)), ca)
}

impl Server {
    async fn start(manner: Manner) -> Self {
        Self::permitting(manner, None).await
    }

    async fn permitting(manner: Manner, streams_max: Option<u8>) -> Self {
        let (tls, ca) = acceptor(&[ALPN_HTTP_2, ALPN_HTTP_1]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen::default());
        tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                loop {
                    let (tcp, _) = listener.accept().await.unwrap();
                    let number = seen.connections.fetch_add(1, Ordering::SeqCst);
                    let (seen, tls) = (Arc::clone(&seen), tls.clone());
                    tokio::spawn(async move {
                        let tls = tls.accept(tcp).await.unwrap();
                        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(ALPN_HTTP_2));
                        behave(tls, manner, streams_max, number, &seen).await.ok();
                    });
                }
            }
        });
        Self { port, seen, ca }
    }

    fn client(&self, timeouts: Timeouts) -> Upstream {
        let config = UpstreamConfig {
            ca_file: Some(self.ca.path().to_owned()),
            ..config(Scheme::Https, "localhost", self.port)
        };
        Upstream::new(&config, &egress(PrivateAddresses::Refuse), timeouts).unwrap()
    }

    fn counts(&self) -> (usize, usize) {
        (
            self.seen.connections.load(Ordering::SeqCst),
            self.seen.requests.load(Ordering::SeqCst),
        )
    }

    async fn until_requests(&self, count: usize) {
        let reached = async {
            while self.counts().1 < count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), reached)
            .await
            .unwrap_or_else(|_| panic!("{:?}", self.counts()));
    }
}

async fn behave(
    mut tls: tokio_rustls::server::TlsStream<TcpStream>,
    manner: Manner,
    streams_max: Option<u8>,
    number: usize,
    seen: &Seen,
) -> std::io::Result<()> {
    tls.read_exact(&mut vec![0; PREFACE.len()]).await?;
    let settings = streams_max.map_or(vec![], |max| vec![0, 3, 0, 0, 0, max]);
    tls.write_all(&frame(SETTINGS, 0, 0, &settings)).await?;
    let mut held = Vec::new();
    loop {
        let got = tokio::select! {
            got = read_frame(&mut tls) => got?,
            () = seen.release.notified(), if !held.is_empty() => {
                for stream in held.drain(..) {
                    tls.write_all(&ok(stream)).await?;
                }
                continue;
            }
        };
        match got.kind {
            SETTINGS if got.flags & ACK == 0 => {
                tls.write_all(&frame(SETTINGS, ACK, 0, &[])).await?;
            }
            PING if got.flags & ACK == 0 => {
                tls.write_all(&frame(PING, ACK, 0, &got.payload)).await?;
            }
            RST_STREAM => held.retain(|s| *s != got.stream),
            HEADERS | DATA if got.flags & END_STREAM != 0 => {
                seen.requests.fetch_add(1, Ordering::SeqCst);
                let stream = got.stream;
                match manner {
                    Manner::Answers => tls.write_all(&ok(stream)).await?,
                    Manner::Holds => {
                        held.push(stream);
                        let mut busiest = seen.busiest.lock().unwrap();
                        let most = busiest.entry(number).or_default();
                        *most = held.len().max(*most);
                    }
                    Manner::Refuses => {
                        let reset = frame(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes());
                        tls.write_all(&reset).await?;
                    }
                    Manner::GoesAway(_) if stream == 1 => tls.write_all(&ok(stream)).await?,
                    Manner::GoesAway(last) => {
                        tls.write_all(&goaway(last)).await?;
                        tls.shutdown().await?;
                        return Ok(());
                    }
                    Manner::AnswersAndGoesAway => {
                        tls.write_all(&ok(stream)).await?;
                        tls.write_all(&goaway(stream)).await?;
                    }
                    Manner::Silent => {}
                }
            }
            _ => {}
        }
    }
}

fn goaway(last: u32) -> Vec<u8> {
    let mut payload = last.to_be_bytes().to_vec();
    payload.extend([0; 4]);
    frame(GOAWAY, 0, 0, &payload)
}

/// `:status: 200`, and `ok`.
fn ok(stream: u32) -> Vec<u8> {
    [
        frame(HEADERS, END_HEADERS, stream, &[0x88]),
        frame(DATA, END_STREAM, stream, b"ok"),
    ]
    .concat()
}

/// `count` unguarded requests at once.
fn sending(upstream: &Upstream, count: usize) -> tokio::task::JoinSet<Result<String, SendError>> {
    let mut sending = tokio::task::JoinSet::new();
    for _ in 0..count {
        let upstream = upstream.clone();
        sending.spawn(async move { send(&upstream, Freshness::Pooled).await });
    }
    sending
}

fn patient() -> Timeouts {
    Timeouts::default()
}

#[tokio::test]
async fn unguarded_requests_share_one_connection() {
    let server = Server::start(Manner::Holds).await;
    let upstream = server.client(patient());
    let mut sent = sending(&upstream, 20);
    server.until_requests(20).await;
    assert_eq!(server.counts(), (1, 20));
    server.seen.release.notify_waiters();
    while let Some(answer) = sent.join_next().await {
        assert_eq!(answer.unwrap().unwrap(), "ok");
    }
    assert_eq!(upstream.idle(), 1);
}

#[tokio::test]
async fn no_more_requests_share_a_connection_than_the_upstream_permits() {
    let server = Server::permitting(Manner::Holds, Some(2)).await;
    let upstream = server.client(patient());
    let mut sent = sending(&upstream, 6);
    server.until_requests(6).await;
    assert_eq!(server.counts(), (3, 6));
    let busiest = server.seen.busiest.lock().unwrap().clone();
    assert!(busiest.values().all(|most| *most == 2), "{busiest:?}");
    server.seen.release.notify_waiters();
    while let Some(answer) = sent.join_next().await {
        assert_eq!(answer.unwrap().unwrap(), "ok");
    }
    // None at all is no upstream.
    let none = Server::permitting(Manner::Answers, Some(0)).await;
    let error = send(&none.client(patient()), Freshness::Fresh).await;
    assert!(matches!(error, Err(SendError::Unsent { .. })), "{error:?}");
}

#[tokio::test]
async fn a_guarded_request_has_its_connection_alone() {
    let server = Server::start(Manner::Holds).await;
    let upstream = server.client(patient());
    let mut unguarded = sending(&upstream, 2);
    server.until_requests(2).await;
    let guarded = tokio::spawn({
        let upstream = upstream.clone();
        async move { send(&upstream, Freshness::Fresh).await }
    });
    server.until_requests(3).await;
    assert_eq!(server.counts().0, 2);
    let mut more = sending(&upstream, 2);
    server.until_requests(5).await;
    assert_eq!(server.counts().0, 2);
    let busiest = server.seen.busiest.lock().unwrap().clone();
    assert_eq!(busiest, BTreeMap::from([(0, 4), (1, 1)]));
    server.seen.release.notify_waiters();
    while let Some(answer) = unguarded.join_next().await {
        answer.unwrap().unwrap();
    }
    while let Some(answer) = more.join_next().await {
        answer.unwrap().unwrap();
    }
    guarded.await.unwrap().unwrap();
    // Nor does any other join it.
    let server = Server::start(Manner::Holds).await;
    let upstream = server.client(patient());
    let guarded = tokio::spawn({
        let upstream = upstream.clone();
        async move { send(&upstream, Freshness::Fresh).await }
    });
    server.until_requests(1).await;
    let mut unguarded = sending(&upstream, 2);
    server.until_requests(3).await;
    let busiest = server.seen.busiest.lock().unwrap().clone();
    assert_eq!(busiest, BTreeMap::from([(0, 1), (1, 2)]));
    server.seen.release.notify_waiters();
    while let Some(answer) = unguarded.join_next().await {
        answer.unwrap().unwrap();
    }
    guarded.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_guarded_request_does_not_use_a_connection_that_was_idle_for_long() {
    let server = Server::start(Manner::Answers).await;
    let upstream = server.client(Timeouts {
        fresh_idle: Duration::from_millis(50),
        pool_idle: Duration::from_millis(400),
        ..patient()
    });
    send(&upstream, Freshness::Fresh).await.unwrap();
    send(&upstream, Freshness::Fresh).await.unwrap();
    assert_eq!(server.counts(), (1, 2));
    tokio::time::sleep(Duration::from_millis(100)).await;
    send(&upstream, Freshness::Pooled).await.unwrap();
    assert_eq!(server.counts(), (1, 3));
    tokio::time::sleep(Duration::from_millis(100)).await;
    send(&upstream, Freshness::Fresh).await.unwrap();
    assert_eq!(server.counts(), (2, 4));
    // What is never asked for again is closed nevertheless.
    tokio::time::sleep(Duration::from_millis(1000)).await;
    assert_eq!(upstream.idle(), 0);
}

#[tokio::test]
async fn a_stream_that_the_upstream_refuses_is_unsent_and_sent_once() {
    let server = Server::start(Manner::Refuses).await;
    let upstream = server.client(patient());
    for (n, freshness) in [Freshness::Fresh, Freshness::Pooled]
        .into_iter()
        .enumerate()
    {
        let error = send(&upstream, freshness).await.unwrap_err();
        assert!(matches!(error, SendError::Unsent { .. }), "{error}");
        assert_eq!(server.counts().1, n + 1);
    }
}

#[tokio::test]
async fn a_goaway_proves_a_request_unsent_only_if_it_names_an_earlier_stream() {
    for freshness in [Freshness::Fresh, Freshness::Pooled] {
        for (last, unsent) in [(1, true), (0, true), (3, false), (0x7fff_ffff, false)] {
            let server = Server::start(Manner::GoesAway(last)).await;
            let upstream = server.client(patient());
            send(&upstream, freshness).await.unwrap();
            let error = send(&upstream, freshness).await.unwrap_err();
            let is_unsent = matches!(error, SendError::Unsent { .. });
            assert_eq!(is_unsent, unsent, "{last}: {error}");
            assert_eq!(server.counts(), (1, 2), "{last}");
            // The next one goes elsewhere.
            send(&upstream, freshness).await.unwrap();
            assert_eq!(server.counts(), (2, 3), "{last}");
        }
    }
}

#[tokio::test]
async fn a_connection_that_goes_away_after_its_answer_is_not_used_again() {
    let server = Server::start(Manner::AnswersAndGoesAway).await;
    let upstream = server.client(patient());
    for n in 1..=10 {
        for freshness in [Freshness::Pooled, Freshness::Fresh] {
            assert_eq!(send(&upstream, freshness).await.unwrap(), "ok", "{n}");
            let gone = async {
                while upstream.idle() > 0 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(5), gone)
                .await
                .unwrap();
        }
    }
    assert_eq!(server.counts(), (20, 20));
}

#[tokio::test]
async fn an_upstream_that_says_nothing_leaves_the_outcome_unknown() {
    let server = Server::start(Manner::Silent).await;
    let upstream = server.client(patient());
    for (n, freshness) in [Freshness::Fresh, Freshness::Pooled]
        .into_iter()
        .enumerate()
    {
        assert!(is_unknown(send(&upstream, freshness).await));
        // It isn't trusted with another request.
        assert_eq!(server.counts(), (n + 1, n + 1));
    }
}

#[tokio::test]
async fn an_upstream_that_takes_nothing_of_a_body_leaves_the_outcome_unknown() {
    // It never opens the window, which is 65,535 bytes.
    let server = Server::start(Manner::Answers).await;
    let upstream = server.client(Timeouts {
        write_stall: Duration::from_millis(200),
        ..patient()
    });
    let large = request(Body::full(vec![0; 1 << 20]));
    let error = upstream
        .send_once(&aws(), large, Freshness::Fresh)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("takes nothing"), "{error}");
    assert!(matches!(error, SendError::Unknown { .. }));
    assert_eq!(server.counts().1, 0);
}

/// A server of the h2 crate's, which answers `/endless` without end and counts what it could send of it.
async fn library() -> (u16, tempfile::NamedTempFile, Arc<Library>) {
    let (tls, ca) = acceptor(&[ALPN_HTTP_2]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Library::default());
    tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                seen.connections.fetch_add(1, Ordering::SeqCst);
                let (tls, seen) = (tls.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    let tls = tls.accept(tcp).await.unwrap();
                    let mut connection = h2::server::handshake(tls).await.unwrap();
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(reply(request, respond, Arc::clone(&seen)));
                    }
                });
            }
        }
    });
    (port, ca, seen)
}

#[derive(Default)]
struct Library {
    connections: AtomicUsize,
    heads: Mutex<Vec<String>>,
    sent: AtomicUsize,
}

async fn reply(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    seen: Arc<Library>,
) {
    let (head, mut body) = request.into_parts();
    seen.heads
        .lock()
        .unwrap()
        .push(format!("{} {:?}", head.uri, head.headers));
    while let Some(data) = body.data().await {
        let length = data.unwrap().len();
        body.flow_control().release_capacity(length).unwrap();
    }
    let mut sending = respond.send_response(Response::new(()), false).unwrap();
    if head.uri.path() != "/endless" {
        sending.send_data("ok".into(), true).unwrap();
        return;
    }
    loop {
        sending.reserve_capacity(1000);
        let capacity = std::future::poll_fn(|cx| sending.poll_capacity(cx)).await;
        let Some(Ok(capacity)) = capacity else { return };
        let data = Bytes::from(vec![0; capacity.min(1000)]);
        seen.sent.fetch_add(data.len(), Ordering::SeqCst);
        sending.send_data(data, false).unwrap();
    }
}

#[tokio::test]
async fn a_request_has_the_form_of_http_2_and_a_slow_reader_stalls_nobody_else() {
    let (port, ca, seen) = library().await;
    let config = UpstreamConfig {
        ca_file: Some(ca.path().to_owned()),
        ..config(Scheme::Https, "localhost", port)
    };
    let upstream = Upstream::new(&config, &egress(PrivateAddresses::Refuse), patient()).unwrap();
    assert_eq!(send(&upstream, Freshness::Pooled).await.unwrap(), "ok");
    let head = seen.heads.lock().unwrap()[0].clone();
    assert!(head.starts_with(&format!("https://{API}/x?y ")), "{head}");
    assert!(!head.contains("host") && !head.contains("connection") && !head.contains("expect"));
    assert!(head.contains(r#""content-length": "3""#), "{head}");
    // Answers that nobody reads.
    let mut unread = Vec::new();
    for _ in 0..20 {
        let mut endless = request(Body::empty());
        *endless.uri_mut() = "/endless".parse().unwrap();
        let answer = upstream.send_once(&aws(), endless, Freshness::Pooled).await;
        unread.push(answer.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let sent = seen.sent.load(Ordering::SeqCst);
    assert!(sent <= 20 * 256 * 1024, "{sent}");
    assert_eq!(send(&upstream, Freshness::Pooled).await.unwrap(), "ok");
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
    // Whoever stops reading gives its place back.
    drop(unread);
    let body = upstream
        .send_once(&aws(), request(Body::empty()), Freshness::Pooled)
        .await
        .unwrap()
        .into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "ok");
}
