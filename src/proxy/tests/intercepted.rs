//! Inside TLS: whose host, which framing, what becomes of a request.

use super::*;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {API}\r\n\r\n")
}

#[tokio::test]
async fn requests_follow_one_another_on_a_connection() {
    let proxy = start(Setup::default()).await;
    let mut tls = proxy.tls(API).await.unwrap();
    assert_eq!(
        tls.get_ref().1.alpn_protocol(),
        Some(b"http/1.1".as_slice())
    );
    for (request, expected) in [
        (
            get("/a%2Fb/..//c?x=%zz&y"),
            "GET /a%2Fb/..//c?x=%zz&y 0 bytes",
        ),
        (
            format!("POST / HTTP/1.1\r\nHost: {API}:443\r\nContent-Length: 3\r\n\r\nabc"),
            "POST / 3 bytes",
        ),
        (
            format!("GET https://{API}?q HTTP/1.1\r\nHost: {API}\r\n\r\n"),
            "GET /?q 0 bytes",
        ),
    ] {
        tls.write_all(request.as_bytes()).await.unwrap();
        let answer = answer_of(&mut tls).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("\r\ndate: "), "{answer}");
        assert!(answer.ends_with(&format!("{API} {expected}")), "{answer}");
    }
    // A second connection gets the same certificate.
    proxy.tls(API).await.unwrap();
    assert_eq!(proxy.leaves.minted(), 1);
}

#[tokio::test]
async fn a_handshake_for_another_host_is_answered_421() {
    let proxy = start(Setup::default()).await;
    for (sni, says) in [
        (
            "ec2.eu-central-1.amazonaws.com",
            "named `ec2.eu-central-1.amazonaws.com`",
        ),
        ("example.com", "named `example.com`"),
        ("127.0.0.1", "named no host"),
    ] {
        let mut tls = proxy.tls(sni).await.unwrap();
        tls.write_all(get("/").as_bytes()).await.unwrap();
        let answer = rest(&mut tls).await;
        assert!(
            answer.starts_with("HTTP/1.1 421") && answer.contains(says),
            "{answer}"
        );
    }
    assert!(!proxy.guard.logged("begin"));
    assert_eq!(proxy.leaves.minted(), 1);
}

#[tokio::test]
async fn a_request_for_another_host_is_answered_421() {
    let proxy = start(Setup::default()).await;
    for head in [
        "GET / HTTP/1.1\r\nHost: ec2.eu-central-1.amazonaws.com\r\n".to_owned(),
        "GET / HTTP/1.1\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost:\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nHost: {API}\r\nHost: {API}\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {API}:8443\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {API}.\r\n"),
        format!("GET / HTTP/1.1\r\nHost: {API}, {API}\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x@{API}\r\n"),
        format!("GET https://ec2.eu-central-1.amazonaws.com/ HTTP/1.1\r\nHost: {API}\r\n"),
        format!("GET https://{API}/ HTTP/1.1\r\nHost: ec2.eu-central-1.amazonaws.com\r\n"),
        format!("GET https://x@{API}/ HTTP/1.1\r\nHost: {API}\r\n"),
    ] {
        let answer = proxy.ask(&format!("{head}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 421"), "{head}: {answer}");
        assert!(answer.contains("connection: close"), "{head}: {answer}");
    }
    assert!(!proxy.guard.logged("begin"));
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_answered_400_and_closed() {
    let proxy = start(Setup::default()).await;
    for head in [
        "POST / HTTP/1.1\r\nHost: H\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "POST / HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "POST / HTTP/1.1\r\nHost: H\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
        "POST / HTTP/1.1\r\nHost: H\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
        "POST / HTTP/1.1\r\nHost: H\r\nContent-Length: +5\r\n",
        "POST / HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: gzip, chunked\r\n",
        "POST / HTTP/1.1\r\nHost: H\r\nTransfer-Encoding: chunked, identity\r\n",
        "POST / HTTP/1.1\r\nHost: H\r\nX: y\r\n z\r\n",
        "POST / HTTP/1.1\r\nHost: H\r\nX : y\r\n",
        "POST / HTTP/1.1\nHost: H\r\n",
        "GET /a#b HTTP/1.1\r\nHost: H\r\n",
        "GET / HTTP/1.0\r\nHost: H\r\n",
        "GET / HTTP/2.0\r\nHost: H\r\n",
        "CONNECT H:443 HTTP/1.1\r\nHost: H\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: H\r\n",
        "GET http://H/ HTTP/1.1\r\nHost: H\r\n",
        "GET / HTTP/1.1\r\nHost: H\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        "GET / HTTP/1.1\r\nHost: H\r\nConnection: x-amz-target\r\n",
        "GET / HTTP/1.1\r\nHost: H\r\nExpect: a-miracle\r\n",
        "G@T / HTTP/1.1\r\nHost: H\r\n",
    ] {
        let head = head.replace("H\r\n", &format!("{API}\r\n"));
        let head = head.replace("//H/", &format!("//{API}/"));
        let head = head.replace("H:443", &format!("{API}:443"));
        let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: H\r\n\r\n".replace('H', API);
        let answer = proxy.ask(&format!("{head}\r\n{smuggled}")).await;
        // hyper answers what it can't parse by itself, or closes.
        let version = if head.contains("/1.0") {
            "HTTP/1.0"
        } else {
            "HTTP/1.1"
        };
        assert!(
            answer.starts_with(&format!("{version} 400"))
                || answer.is_empty() && head.contains("2.0"),
            "{head}: {answer}"
        );
        assert_eq!(
            answer.matches("content-length").count(),
            1,
            "{head}: {answer}"
        );
    }
    assert!(!proxy.guard.logged("begin"));
}

#[tokio::test]
async fn a_chunked_request_is_the_last_of_its_connection() {
    let proxy = start(Setup::default()).await;
    let request = format!(
        "POST /one HTTP/1.1\r\nHost: {API}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    );
    let answer = proxy.ask(&(request + &get("/two"))).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"));
    assert!(answer.ends_with("POST /one 3 bytes"), "{answer}");
    assert!(!proxy.guard.logged("/two"));
}

#[tokio::test]
async fn a_client_that_expects_to_continue_is_told_to() {
    let proxy = start(Setup::default()).await;
    let mut tls = proxy.tls(API).await.unwrap();
    let head = format!(
        "PUT / HTTP/1.1\r\nHost: {API}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    );
    tls.write_all(head.as_bytes()).await.unwrap();
    assert!(head_of(&mut tls).await.starts_with("HTTP/1.1 100"));
    tls.write_all(b"abc").await.unwrap();
    assert!(answer_of(&mut tls).await.ends_with("3 bytes"));
}

#[tokio::test]
async fn a_head_that_drips_or_never_ends_is_closed_and_an_idle_connection_is_kept() {
    let proxy = start(Setup {
        timeouts: Timeouts {
            head: Duration::from_millis(150),
            idle: Duration::from_millis(900),
            ..Timeouts::default()
        },
        ..Setup::default()
    })
    .await;
    let mut tls = proxy.tls(API).await.unwrap();
    // Idle for longer than a head may take.
    tokio::time::sleep(Duration::from_millis(300)).await;
    tls.write_all(get("/a").as_bytes()).await.unwrap();
    assert!(answer_of(&mut tls).await.starts_with("HTTP/1.1 200"));
    tls.write_all(b"GET / HT").await.unwrap();
    let begun = std::time::Instant::now();
    rest(&mut tls).await;
    assert!(begun.elapsed() < Duration::from_millis(700));
    // Idle for too long.
    let mut tls = proxy.tls(API).await.unwrap();
    assert_eq!(rest(&mut tls).await, "");
    // Larger than any head.
    let mut tls = proxy.tls(API).await.unwrap();
    let long = format!(
        "GET / HTTP/1.1\r\nHost: {API}\r\nX: {}\r\n",
        "a".repeat(70_000)
    );
    tls.write_all(long.as_bytes()).await.unwrap();
    let answer = rest(&mut tls).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    let many = "X: y\r\n".repeat(200);
    let answer = proxy
        .ask(&format!("GET / HTTP/1.1\r\nHost: {API}\r\n{many}\r\n"))
        .await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
    assert_eq!(
        proxy
            .guard
            .log()
            .iter()
            .filter(|l| l.starts_with("begin"))
            .count(),
        1
    );
}

#[tokio::test]
async fn a_request_is_handled_to_its_end_though_the_client_left() {
    let mut proxy = start(Setup::default()).await;
    let mut tls = proxy.tls(API).await.unwrap();
    tls.write_all(get("/wait").as_bytes()).await.unwrap();
    proxy.until_logged("begin /wait").await;
    let (tcp, _) = tls.into_inner();
    tcp.set_zero_linger().unwrap();
    drop(tcp);
    // It still holds its slot.
    assert_eq!(proxy.proxy.connections(), 1);
    proxy.guard.release.notify_one();
    proxy.until_logged("end /wait").await;
    assert_eq!(proxy.stop().await, Drained { cut: 0 });
}

#[tokio::test]
async fn a_client_that_closes_its_side_still_gets_its_answer() {
    let proxy = start(Setup::default()).await;
    let mut tls = proxy.tls(API).await.unwrap();
    tls.write_all(get("/wait").as_bytes()).await.unwrap();
    tls.shutdown().await.unwrap();
    proxy.until_logged("begin /wait").await;
    proxy.guard.release.notify_one();
    assert!(rest(&mut tls).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_failure_of_the_guard_is_not_one_that_clients_retry() {
    let proxy = start(Setup::default()).await;
    let answer = proxy.ask(&get("/panic")).await;
    assert!(
        answer.starts_with("HTTP/1.1 409") && answer.contains("GuardOutcomeUnknown"),
        "{answer}"
    );
}
