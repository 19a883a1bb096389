//! The proxy port: CONNECT, tunnels, limits, shutdown.

use super::*;

#[tokio::test]
async fn only_connect_is_understood() {
    let proxy = start(Setup::default()).await;
    for (request, status, says) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "405", "HTTPS_PROXY"),
        (
            "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
            "405",
            "HTTPS_PROXY",
        ),
        (
            "GET http://sts.amazonaws.com/?secret=1 HTTP/1.1\r\nHost: sts.amazonaws.com\r\n\r\n",
            "403",
            "not encrypted",
        ),
        (
            "GET http://169.254.169.254/latest HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
            "403",
            "not encrypted",
        ),
        (
            "CONNECT sts.amazonaws.com HTTP/1.1\r\n\r\n",
            "400",
            "no port",
        ),
        (
            "CONNECT sts.amazonaws.com:443 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "400",
            "body",
        ),
        (
            "CONNECT sts.amazonaws.com:443 HTTP/1.1\r\nHost: ec2.amazonaws.com:443\r\n\r\n",
            "400",
            "another host",
        ),
        (
            "CONNECT sts.amazonaws.com:443 HTTP/1.1\r\nHost: sts.amazonaws.com\r\nHost: sts.amazonaws.com\r\n\r\n",
            "400",
            "another host",
        ),
        (
            "CONNECT u@sts.amazonaws.com:443 HTTP/1.1\r\n\r\n",
            "400",
            "",
        ),
        ("CONNECT sts.amazonaws.com:0443 HTTP/1.1\r\n\r\n", "400", ""),
        (
            "CONNECT sts.amazonaws.com:80 HTTP/1.1\r\n\r\n",
            "403",
            "port 443",
        ),
        (
            "CONNECT example.com:443 HTTP/1.1\r\n\r\n",
            "403",
            "`example.com` is not allowed",
        ),
        (
            "CONNECT foreign.api.aws:443 HTTP/1.1\r\n\r\n",
            "403",
            "outside of the names",
        ),
    ] {
        let answer = proxy.say(request).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(says),
            "{request}: {answer}"
        );
        assert!(!answer.contains("secret"));
    }
    assert!(!proxy.guard.logged("begin") && !proxy.guard.logged("secret"));
    assert_eq!(proxy.leaves.minted(), 0);
}

#[tokio::test]
async fn a_connect_of_http_1_0_works() {
    let proxy = start(Setup::default()).await;
    let mut tcp = proxy.tcp().await;
    let head = format!("CONNECT {API}:443 HTTP/1.0\r\n\r\n");
    tcp.write_all(head.as_bytes()).await.unwrap();
    let answer = head_of(&mut tcp).await;
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    drop(tcp);
    proxy.until_logged("refused the TLS handshake").await;
}

#[tokio::test]
async fn a_tunnel_is_recorded_before_it_is_dialled_and_counted_after() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = upstream.local_addr().unwrap().port();
    let proxy = start(Setup {
        private_addresses: PrivateAddresses::Allow,
        ..Setup::default()
    })
    .await;
    let mut client = proxy.connect(&format!("127.0.0.1:{port}")).await;
    let (mut far, _) = upstream.accept().await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let mut got = [0; 5];
    far.read_exact(&mut got).await.unwrap();
    far.write_all(b"hi").await.unwrap();
    drop(far);
    assert_eq!(rest(&mut client).await, "hi");
    drop(client);
    proxy.until_logged("closed").await;
    assert_eq!(
        proxy.guard.log(),
        [
            "opening 127.0.0.1",
            "closed 127.0.0.1 Some((Traffic { sent: 5, received: 2 }, Closed))"
        ]
    );
}

#[tokio::test]
async fn a_connection_takes_its_doors_once() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = upstream.local_addr().unwrap().port();
    let proxy = start(Setup {
        private_addresses: PrivateAddresses::Allow,
        ..Setup::default()
    })
    .await;
    for (taken, authority) in [format!("127.0.0.1:{port}"), format!("{API}:443")]
        .iter()
        .enumerate()
    {
        let _client = proxy.connect(authority).await;
        assert_eq!(proxy.guard.opened.load(Ordering::SeqCst), taken + 1);
    }
}

#[tokio::test]
async fn a_tunnel_that_cannot_be_recorded_is_not_dialled() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = upstream.local_addr().unwrap().port();
    let proxy = start(Setup {
        private_addresses: PrivateAddresses::Allow,
        guard: Guard {
            full: true,
            ..Guard::default()
        },
        ..Setup::default()
    })
    .await;
    let request = format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n");
    let answer = proxy.say(&request).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("the journal is full"));
    let dialled = tokio::time::timeout(Duration::from_millis(50), upstream.accept()).await;
    assert!(dialled.is_err());
}

#[tokio::test]
async fn a_tunnel_to_a_private_address_is_refused_and_to_a_dead_one_is_a_bad_gateway() {
    let proxy = start(Setup::default()).await;
    let answer = proxy.say("CONNECT 127.0.0.1:22 HTTP/1.1\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("loopback"),
        "{answer}"
    );
    assert!(proxy.guard.logged("closed 127.0.0.1 None"));
    let open = start(Setup {
        private_addresses: PrivateAddresses::Allow,
        ..Setup::default()
    })
    .await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let request = format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n");
    let answer = open.say(&request).await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
}

#[tokio::test]
async fn a_head_that_drips_is_closed() {
    let proxy = start(Setup {
        timeouts: Timeouts {
            connect_head: Duration::from_millis(200),
            handshake: Duration::from_millis(200),
            ..Timeouts::default()
        },
        ..Setup::default()
    })
    .await;
    let drip = |mut tcp: TcpStream| async move {
        for byte in b"CONNECT sts.amazonaws.com:443 HTTP/1.1\r\n".iter().cycle() {
            if tcp.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let bounded = |f| tokio::time::timeout(Duration::from_secs(5), f);
    bounded(drip(proxy.tcp().await)).await.unwrap();
    // Silence where a ClientHello is due.
    let mut silent = proxy.connect(&format!("{API}:443")).await;
    assert_eq!(rest(&mut silent).await, "");
    assert!(proxy.guard.logged("it took too long"));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let mut proxy = start(Setup {
        connections_max: 2,
        ..Setup::default()
    })
    .await;
    let first = proxy.connect(&format!("{API}:443")).await;
    let second = proxy.connect(&format!("{API}:443")).await;
    assert_eq!(proxy.proxy.connections(), 2);
    let mut third = proxy.tcp().await;
    third.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(100), third.read_u8()).await;
    assert!(waits.is_err());
    assert_eq!(proxy.proxy.connections(), 2);
    drop(first);
    assert!(rest(&mut third).await.starts_with("HTTP/1.1 405"));
    drop((second, third));
    assert_eq!(proxy.stop().await, Drained { cut: 0 });
    assert_eq!(proxy.proxy.connections(), 0);
}

#[tokio::test]
async fn a_shutdown_lets_requests_end_and_closes_idle_connections() {
    let mut proxy = start(Setup::default()).await;
    let mut idle = proxy.tls(API).await.unwrap();
    let request = format!("GET /idle HTTP/1.1\r\nHost: {API}\r\n\r\n");
    idle.write_all(request.as_bytes()).await.unwrap();
    answer_of(&mut idle).await;
    let mut busy = proxy.tls(API).await.unwrap();
    let request = format!("GET /wait HTTP/1.1\r\nHost: {API}\r\n\r\n");
    busy.write_all(request.as_bytes()).await.unwrap();
    proxy.until_logged("begin /wait").await;
    proxy.stop.take().unwrap().send(()).unwrap();
    assert_eq!(rest(&mut idle).await, "");
    assert!(TcpStream::connect(proxy.address).await.is_err());
    proxy.guard.release.notify_one();
    assert!(rest(&mut busy).await.starts_with("HTTP/1.1 200"));
    assert_eq!((&mut proxy.serving).await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_connection_that_came_before_a_shutdown_is_heard_once() {
    let mut proxy = start(Setup::default()).await;
    let request = format!("GET /first HTTP/1.1\r\nHost: {API}\r\n\r\n");
    let mut unheard = proxy.tcp().await;
    let mut fresh = proxy.tls(API).await.unwrap();
    proxy.stop.take().unwrap().send(()).unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(100), fresh.read_u8()).await;
    assert!(waits.is_err(), "{waits:?}");
    fresh.write_all(request.as_bytes()).await.unwrap();
    let answer = rest(&mut fresh).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let connect = format!("CONNECT {API}:443 HTTP/1.1\r\nHost: {API}:443\r\n\r\n");
    unheard.write_all(connect.as_bytes()).await.unwrap();
    assert!(head_of(&mut unheard).await.starts_with("HTTP/1.1 200"));
    drop(unheard);
    assert_eq!((&mut proxy.serving).await.unwrap(), Drained { cut: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_asks_for_nothing_does_not_hold_a_shutdown_up() {
    let mut proxy = start(Setup {
        grace: Duration::from_secs(600),
        ..Setup::default()
    })
    .await;
    let mut fresh = proxy.tls(API).await.unwrap();
    assert_eq!(proxy.stop().await, Drained { cut: 0 });
    assert_eq!(rest(&mut fresh).await, "");
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let mut proxy = start(Setup {
        grace: Duration::from_millis(100),
        ..Setup::default()
    })
    .await;
    let mut busy = proxy.tls(API).await.unwrap();
    let request = format!("GET /wait HTTP/1.1\r\nHost: {API}\r\n\r\n");
    busy.write_all(request.as_bytes()).await.unwrap();
    proxy.until_logged("begin /wait").await;
    assert_eq!(proxy.stop().await, Drained { cut: 1 });
    assert_eq!(rest(&mut busy).await, "");
}

#[tokio::test]
async fn a_tunnel_is_cut_when_a_shutdown_is_over_and_still_counted() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = upstream.local_addr().unwrap().port();
    let mut proxy = start(Setup {
        private_addresses: PrivateAddresses::Allow,
        grace: Duration::from_millis(50),
        ..Setup::default()
    })
    .await;
    let mut client = proxy.connect(&format!("127.0.0.1:{port}")).await;
    let (mut far, _) = upstream.accept().await.unwrap();
    far.write_all(b"hi").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'h');
    assert_eq!(proxy.stop().await, Drained { cut: 0 });
    assert!(
        proxy
            .guard
            .logged("closed 127.0.0.1 Some((Traffic { sent: 0, received: 2 }, Cut))")
    );
}

#[tokio::test]
async fn a_connection_that_its_client_closed_frees_its_slot() {
    let proxy = start(Setup::default()).await;
    let mut tls = proxy.tls(API).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {API}\r\n\r\n");
    tls.write_all(request.as_bytes()).await.unwrap();
    answer_of(&mut tls).await;
    assert_eq!(proxy.proxy.connections(), 1);
    tls.shutdown().await.unwrap();
    assert_eq!(rest(&mut tls).await, "");
    let freed = async {
        while proxy.proxy.connections() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), freed)
        .await
        .unwrap();
}
