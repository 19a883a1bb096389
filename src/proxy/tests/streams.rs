//! Inside TLS, over HTTP/2: whose host, which form, how many, how long.

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, StatusCode};

use super::frames::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PREFACE, REFUSED_STREAM,
    RST_STREAM, SETTINGS, all, frame, get, headers, until,
};
use super::*;

/// A client of the h2 crate's, behaving well.
async fn polite(proxy: &Running) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let tls = proxy.tls_offering(API, &[ALPN_HTTP_2]).await.unwrap();
    let (client, connection) = h2::client::Builder::new()
        .initial_max_send_streams(100)
        .handshake(tls)
        .await
        .unwrap();
    (client, tokio::spawn(connection))
}

/// A connection to write frames on, with the settings exchanged.
async fn raw(proxy: &Running) -> TlsStream<TcpStream> {
    raw_with(proxy, &[]).await
}

async fn raw_with(proxy: &Running, settings: &[u8]) -> TlsStream<TcpStream> {
    let mut tls = proxy.tls_offering(API, &[ALPN_HTTP_2]).await.unwrap();
    let begin = [PREFACE.to_vec(), frame(SETTINGS, 0, 0, settings)].concat();
    tls.write_all(&begin).await.unwrap();
    until(&mut tls, |f| f.kind == SETTINGS && f.flags == 1).await;
    tls
}

async fn ask(
    client: &mut SendRequest<Bytes>,
    request: Request<()>,
    body: Option<&'static [u8]>,
) -> Result<(StatusCode, String), h2::Error> {
    let mut client = client.clone().ready().await?;
    let (answer, mut sending) = client.send_request(request, body.is_none())?;
    if let Some(body) = body {
        sending.send_data(Bytes::from_static(body), true)?;
    }
    let answer = answer.await?;
    let status = answer.status();
    Ok((status, text(answer.into_body()).await?))
}

async fn text(mut body: RecvStream) -> Result<String, h2::Error> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        all.extend_from_slice(&data);
    }
    Ok(String::from_utf8(all).unwrap())
}

fn to(path: &str) -> Request<()> {
    Request::get(format!("https://{API}{path}"))
        .body(())
        .unwrap()
}

fn begun(proxy: &Running) -> usize {
    let log = proxy.guard.log();
    log.iter().filter(|l| l.starts_with("begin")).count()
}

#[tokio::test]
async fn the_handshake_chooses_the_protocol() {
    let proxy = start(Setup::default()).await;
    for (offered, chosen) in [
        (&[ALPN_HTTP_2, ALPN_HTTP_1][..], Some(ALPN_HTTP_2)),
        (&[ALPN_HTTP_1], Some(ALPN_HTTP_1)),
        (&[], None),
    ] {
        let tls = proxy.tls_offering(API, offered).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), chosen);
    }
    // Without that choice HTTP/2 is not understood, whatever the bytes look like.
    let mut tls = proxy.tls(API).await.unwrap();
    tls.write_all(PREFACE).await.unwrap();
    tls.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let answer = rest(&mut tls).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer}"
    );
}

#[tokio::test]
async fn requests_share_a_connection_and_look_like_those_of_http_1() {
    let proxy = start(Setup::default()).await;
    let (client, _connection) = polite(&proxy).await;
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..20 {
        let mut client = client.clone();
        asking.spawn(async move {
            let path = format!("/a%2Fb/..//c?x=%zz&{n}");
            let mut request = to(&path);
            *request.method_mut() = http::Method::POST;
            (path, ask(&mut client, request, Some(b"abc")).await.unwrap())
        });
    }
    while let Some(asked) = asking.join_next().await {
        let (path, answer) = asked.unwrap();
        let expected = format!("{API} POST {path} 3 bytes");
        assert_eq!(answer, (StatusCode::OK, expected));
    }
    assert_eq!(proxy.proxy.connections(), 1);
    let request = Request::get(format!("https://{API}:443/headers"))
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .body(())
        .unwrap();
    ask(&mut client.clone(), request, None).await.unwrap();
    let seen = format!(r#""host": "{API}:443""#);
    assert!(proxy.guard.logged(&seen), "{:?}", proxy.guard.log());
    assert!(proxy.guard.logged(r#""cookie": "a=1; b=2""#));
}

#[tokio::test]
async fn a_request_for_another_host_is_answered_421_and_the_connection_ends() {
    let proxy = start(Setup::default()).await;
    let other = "ec2.eu-central-1.amazonaws.com";
    for (uri, host) in [
        (format!("https://{other}/"), None),
        (format!("https://{API}:8443/"), None),
        (format!("https://{API}./"), None),
        (format!("https://x@{API}/"), None),
        (format!("https://{API}/"), Some(other.to_owned())),
        (format!("https://{API}/"), Some(format!("{API}:443"))),
        (format!("https://{other}/"), Some(API.to_owned())),
    ] {
        let (mut client, connection) = polite(&proxy).await;
        let mut request = Request::get(&uri).body(()).unwrap();
        if let Some(host) = &host {
            let host = host.parse().unwrap();
            request.headers_mut().insert("host", host);
        }
        let (status, _) = ask(&mut client, request, None).await.unwrap();
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{uri} {host:?}");
        drop(client);
        connection.await.unwrap().unwrap();
    }
    // No authority at all.
    let mut tls = raw(&proxy).await;
    let list = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/"),
        ("host", API),
    ];
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &headers(&list));
    tls.write_all(&request).await.unwrap();
    until(&mut tls, |f| f.kind == HEADERS && f.stream == 1).await;
    until(&mut tls, |f| f.kind == GOAWAY).await;
    assert_eq!(begun(&proxy), 0);
}

#[tokio::test]
async fn a_handshake_for_another_host_is_answered_421() {
    let proxy = start(Setup::default()).await;
    let tls = proxy.tls_offering("example.com", &[ALPN_HTTP_2]).await;
    let (mut client, connection) = h2::client::handshake(tls.unwrap()).await.unwrap();
    tokio::spawn(connection);
    let (status, says) = ask(&mut client, to("/"), None).await.unwrap();
    assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
    assert!(says.contains("`example.com`"), "{says}");
    assert_eq!(begun(&proxy), 0);
}

#[tokio::test]
async fn what_is_malformed_is_answered_400_or_reset_and_never_handled() {
    let proxy = start(Setup::default()).await;
    let usual = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", API),
        (":path", "/"),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&usual[..], more].concat();
    let but = |name: &str, value: &'static str| {
        let mut list = usual.to_vec();
        let at = list.iter().position(|(n, _)| *n == name).unwrap();
        list[at].1 = value;
        list
    };
    for list in [
        but(":scheme", "http"),
        but(":path", "*"),
        but(":path", "a"),
        but(":path", ""),
        but(":method", "CONNECT"),
        vec![(":method", "CONNECT"), (":authority", API)],
        [
            &but(":method", "CONNECT")[..],
            &[(":protocol", "websocket")],
        ]
        .concat(),
        with(&[("connection", "close")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("upgrade", "websocket")]),
        with(&[("keep-alive", "x")]),
        with(&[("proxy-connection", "x")]),
        with(&[("te", "gzip")]),
        with(&[("expect", "a-miracle")]),
        with(&[("X-Upper", "x")]),
        with(&[(":path", "/other")]),
        with(&[(":authority", "ec2.eu-central-1.amazonaws.com")]),
        with(&[("content-length", "+0")]),
        with(&[("content-length", "")]),
        with(&[("content-length", "0"), ("content-length", "0")]),
        with(&[("content-length", "3")]),
    ] {
        let mut tls = raw(&proxy).await;
        let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, &headers(&list));
        tls.write_all(&request).await.unwrap();
        // `:status: 400`, which has an index of its own; or a reset of the stream, or of all.
        until(&mut tls, |f| match f.kind {
            HEADERS if f.stream == 1 => {
                assert!(f.payload.starts_with(&[0x8c]), "{list:?}: {f:?}");
                true
            }
            RST_STREAM if f.stream == 1 => true,
            GOAWAY => f.payload[4..8] != [0; 4],
            _ => false,
        })
        .await;
    }
    assert_eq!(begun(&proxy), 0, "{:?}", proxy.guard.log());
}

#[tokio::test]
async fn a_body_of_another_length_or_with_trailers_breaks_off() {
    let proxy = start(Setup::default()).await;
    let list = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", API),
        (":path", "/"),
        ("content-length", "3"),
    ];
    for data in [&b"ab"[..], b"abcd"] {
        let mut tls = raw(&proxy).await;
        let request = [
            frame(HEADERS, END_HEADERS, 1, &headers(&list)),
            frame(DATA, END_STREAM, 1, data),
        ];
        tls.write_all(&request.concat()).await.unwrap();
        until(&mut tls, |f| f.kind == RST_STREAM && f.stream == 1).await;
    }
    let (mut client, _connection) = polite(&proxy).await;
    for path in ["/", "/stream"] {
        let mut request = to(path);
        *request.method_mut() = http::Method::POST;
        let (answer, mut sending) = client.send_request(request, false).unwrap();
        sending.send_data("abc".into(), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-amz-checksum-crc32", "x".parse().unwrap());
        sending.send_trailers(trailers).unwrap();
        let says = text(answer.await.unwrap().into_body()).await.unwrap();
        assert!(says.contains("it has trailers"), "{path}: {says}");
    }
    assert!(!proxy.guard.log().iter().any(|l| l.contains("3 bytes")));
}

#[tokio::test]
async fn a_flood_of_requests_that_are_reset_at_once_is_ended() {
    let proxy = start(Setup::default()).await;
    let mut tls = raw(&proxy).await;
    let flood = async {
        for n in 0..5000_u32 {
            let id = 2 * n + 1;
            let both = [
                frame(HEADERS, END_HEADERS | END_STREAM, id, &get("/wait")),
                frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes()),
            ];
            if tls.write_all(&both.concat()).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), flood)
        .await
        .unwrap();
    all(&mut tls).await;
    assert!(begun(&proxy) <= 100, "{}", begun(&proxy));
}

#[tokio::test]
async fn requests_that_are_given_up_one_by_one_end_the_connection_too() {
    let proxy = start(Setup::default()).await;
    let mut tls = raw(&proxy).await;
    let mut ended = None;
    for n in 0..200_u32 {
        let id = 2 * n + 1;
        let head = frame(HEADERS, END_HEADERS, id, &get(&format!("/{n}.")));
        if tls.write_all(&head).await.is_err() {
            ended = Some(n);
            break;
        }
        // Each is seen before it is given up.
        let seen = async {
            while !proxy.guard.logged(&format!("begin /{n}.")) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(Duration::from_millis(500), seen)
            .await
            .is_err()
        {
            ended = Some(n);
            break;
        }
        let reset = frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes());
        tls.write_all(&reset).await.ok();
    }
    let ended = ended.expect("the connection ends");
    assert!((100..=110).contains(&ended), "{ended}");
}

#[tokio::test]
async fn what_a_client_gave_up_still_takes_a_place_until_it_is_handled() {
    let proxy = start(Setup::default()).await;
    let mut tls = raw(&proxy).await;
    wait_on(&mut tls, 100).await;
    until_begun(&proxy, 100).await;
    for n in 0..100_u32 {
        let reset = frame(RST_STREAM, 0, 2 * n + 1, &CANCEL.to_be_bytes());
        tls.write_all(&reset).await.unwrap();
    }
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 201, &get("/more"));
    tls.write_all(&head).await.unwrap();
    let refused = until(&mut tls, |f| f.stream == 201).await;
    assert_eq!((refused.kind, refused.code()), (RST_STREAM, REFUSED_STREAM));
    proxy.guard.release.notify_waiters();
    proxy.until_logged("end /wait").await;
    let again = frame(HEADERS, END_HEADERS | END_STREAM, 203, &get("/again"));
    tls.write_all(&again).await.unwrap();
    let answer = until(&mut tls, |f| f.stream == 203).await;
    assert_eq!(answer.kind, HEADERS);
    assert!(!proxy.guard.logged("/more"));
}

#[tokio::test]
async fn a_thousand_requests_are_handled_a_few_at_a_time() {
    let proxy = start(Setup::default()).await;
    let (client, _connection) = polite(&proxy).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let mut client = client.clone();
        asking.spawn(async move { ask(&mut client, to("/pause"), None).await });
    }
    while let Some(asked) = asking.join_next().await {
        assert_eq!(asked.unwrap().unwrap().0, StatusCode::OK);
    }
    let busiest = proxy.guard.busiest.load(Ordering::SeqCst);
    assert!((2..=100).contains(&busiest), "{busiest}");
    // Who doesn't heed the limit is refused what is too much.
    let mut tls = raw(&proxy).await;
    wait_on(&mut tls, 120).await;
    let refused = until(&mut tls, |f| f.kind == RST_STREAM).await;
    assert_eq!(refused.code(), REFUSED_STREAM);
    assert!(proxy.guard.busiest.load(Ordering::SeqCst) <= 100);
}

#[tokio::test]
async fn connections_share_one_bound_on_requests() {
    let proxy = start(Setup {
        connections_max: 20,
        ..Setup::default()
    })
    .await;
    let mut full = Vec::new();
    for count in [[100; 10].as_slice(), &[24]].concat() {
        let mut tls = raw(&proxy).await;
        wait_on(&mut tls, count).await;
        full.push(tls);
    }
    until_begun(&proxy, 1024).await;
    let (mut client, _connection) = polite(&proxy).await;
    let error = ask(&mut client, to("/"), None).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM));
    proxy.guard.release.notify_waiters();
    proxy.until_logged("end /wait").await;
    ask(&mut client, to("/"), None).await.unwrap();
}

/// Sends requests that wait, on streams 1, 3, 5 …
async fn wait_on(tls: &mut TlsStream<TcpStream>, count: u32) {
    for n in 0..count {
        let head = frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &get("/wait"));
        tls.write_all(&head).await.unwrap();
    }
}

async fn until_begun(proxy: &Running, count: usize) {
    let reached = async {
        while begun(proxy) < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reached)
        .await
        .unwrap_or_else(|_| panic!("{}", begun(proxy)));
}

#[tokio::test]
async fn too_many_headers_are_refused_and_endless_ones_end_the_connection() {
    let proxy = start(Setup::default()).await;
    let (mut client, _connection) = polite(&proxy).await;
    let mut request = to("/");
    for n in 0..200 {
        let name: http::HeaderName = format!("x-{n}").parse().unwrap();
        request.headers_mut().insert(name, "x".parse().unwrap());
    }
    let (status, _) = ask(&mut client, request, None).await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    // 70 KiB of headers.
    let mut tls = raw(&proxy).await;
    let value = "v".repeat(120);
    let piece: Vec<u8> = (0..100).flat_map(|_| header(&value)).collect();
    tls.write_all(&frame(HEADERS, END_STREAM, 1, &get("/")))
        .await
        .unwrap();
    for last in [0, 0, 0, 0, END_HEADERS] {
        tls.write_all(&frame(CONTINUATION, last, 1, &piece))
            .await
            .unwrap();
    }
    let answer = until(&mut tls, |f| f.stream == 1 || f.kind == GOAWAY).await;
    assert!(matches!(answer.kind, HEADERS | RST_STREAM | GOAWAY));
    // Without end.
    let mut tls = raw(&proxy).await;
    let mut sent = 0;
    tls.write_all(&frame(HEADERS, END_STREAM, 1, &get("/")))
        .await
        .unwrap();
    let flood = async {
        while tls
            .write_all(&frame(CONTINUATION, 0, 1, &piece[..130]))
            .await
            .is_ok()
        {
            sent += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), flood)
        .await
        .unwrap();
    assert!(sent < 100_000, "{sent}");
    assert_eq!(begun(&proxy), 0);
}

fn header(value: &str) -> Vec<u8> {
    super::frames::header("x", value)
}

#[tokio::test]
async fn a_shutdown_says_goaway_and_lets_requests_end() {
    let mut proxy = start(Setup::default()).await;
    let (mut idle, idle_connection) = polite(&proxy).await;
    ask(&mut idle, to("/idle"), None).await.unwrap();
    let (mut busy, busy_connection) = polite(&proxy).await;
    let (answer, _) = busy.send_request(to("/wait"), true).unwrap();
    proxy.until_logged("begin /wait").await;
    proxy.stop.take().unwrap().send(()).unwrap();
    idle_connection.await.unwrap().unwrap();
    drop(idle);
    // No new request goes on it.
    let refused = async { while ask(&mut busy, to("/late"), None).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(5), refused)
        .await
        .unwrap();
    proxy.guard.release.notify_one();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(text(answer.into_body()).await.unwrap().contains("/wait"));
    busy_connection.await.unwrap().unwrap();
    assert_eq!((&mut proxy.serving).await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_connection_that_came_before_a_shutdown_is_heard_once() {
    let mut proxy = start(Setup::default()).await;
    let (mut fresh, mut connection) = polite(&proxy).await;
    proxy.stop.take().unwrap().send(()).unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(100), &mut connection).await;
    assert!(waits.is_err());
    let (status, _) = ask(&mut fresh, to("/first"), None).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    connection.await.unwrap().unwrap();
    assert_eq!((&mut proxy.serving).await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let mut proxy = start(Setup {
        grace: Duration::from_millis(100),
        ..Setup::default()
    })
    .await;
    let (mut busy, _connection) = polite(&proxy).await;
    let (answer, _) = busy.send_request(to("/wait"), true).unwrap();
    proxy.until_logged("begin /wait").await;
    assert_eq!(proxy.stop().await, Drained { cut: 1 });
    answer.await.unwrap_err();
}

#[tokio::test]
async fn a_request_is_handled_to_its_end_though_the_client_left() {
    let mut proxy = start(Setup::default()).await;
    let mut tls = raw(&proxy).await;
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/wait"));
    tls.write_all(&head).await.unwrap();
    proxy.until_logged("begin /wait").await;
    let (tcp, _) = tls.into_inner();
    tcp.set_zero_linger().unwrap();
    drop(tcp);
    tokio::time::sleep(Duration::from_millis(50)).await;
    // It still holds its slot.
    assert_eq!(proxy.proxy.connections(), 1);
    proxy.guard.release.notify_one();
    proxy.until_logged("end /wait").await;
    assert_eq!(proxy.stop().await, Drained { cut: 0 });
}

#[tokio::test]
async fn a_failure_of_the_guard_is_not_one_that_clients_retry() {
    let proxy = start(Setup::default()).await;
    let (mut client, connection) = polite(&proxy).await;
    let (status, says) = ask(&mut client, to("/panic"), None).await.unwrap();
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(says.contains("GuardOutcomeUnknown"), "{says}");
    drop(client);
    connection.await.unwrap().unwrap();
}

fn hurried() -> Setup {
    Setup {
        timeouts: Timeouts {
            head: Duration::from_millis(200),
            idle: Duration::from_millis(600),
            write_stall: Duration::from_millis(300),
            ..Timeouts::default()
        },
        ..Setup::default()
    }
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go_and_cut_if_it_does_not() {
    let proxy = start(hurried()).await;
    let begun = std::time::Instant::now();
    let (client, connection) = polite(&proxy).await;
    connection.await.unwrap().unwrap();
    drop(client);
    assert!(begun.elapsed() >= Duration::from_millis(600));
    // One that answers pings, and nothing else.
    let mut tls = raw(&proxy).await;
    let goaway = until(&mut tls, |f| f.kind == GOAWAY).await;
    assert_eq!(goaway.payload[4..8], [0; 4]);
    all(&mut tls).await;
    // One that says nothing at all, and one that stops in the middle of a head.
    let mut silent = proxy.tls_offering(API, &[ALPN_HTTP_2]).await.unwrap();
    all(&mut silent).await;
    let mut dripping = raw(&proxy).await;
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/"));
    dripping.write_all(&head[..20]).await.unwrap();
    let begun = std::time::Instant::now();
    all(&mut dripping).await;
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(proxy.guard.log().is_empty());
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_an_answer_has_its_stream_reset() {
    let proxy = start(hurried()).await;
    // A window of 1,000 bytes that is never opened.
    let mut tls = raw_with(&proxy, &[0, 4, 0, 0, 0x03, 0xe8]).await;
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &get("/large"));
    tls.write_all(&head).await.unwrap();
    let mut got = 0;
    let code = loop {
        let frame = until(&mut tls, |f| matches!(f.kind, DATA | RST_STREAM)).await;
        if frame.kind == RST_STREAM {
            break frame.code();
        }
        got += frame.payload.len();
    };
    assert_eq!(code, CANCEL);
    assert_eq!(got, 1000);
    // One that reads gets all of it.
    let (mut client, _connection) = polite(&proxy).await;
    let (_, body) = ask(&mut client, to("/large"), None).await.unwrap();
    assert_eq!(body.len(), LARGE);
}
