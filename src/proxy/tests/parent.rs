//! Behind a parent proxy that answers as each test wants it.

use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::{Bypass, Parent};
use crate::proxy::egress::Purpose;

/// A parent: answers each CONNECT with `answer`, then echoes. `heads` are those that came.
struct Fake {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    async fn start(answer: &'static str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (seen, tls) = (Arc::clone(&seen), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(tcp, answer, &seen).await,
                        Some(tls) => serve(tls.accept(tcp).await.unwrap(), answer, &seen).await,
                    }
                });
            }
        });
        Self { port, heads }
    }

    fn url(&self) -> String {
        format!("http://ann:s3cret@127.0.0.1:{}", self.port)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin,
    answer: &str,
    seen: &Mutex<Vec<String>>,
) {
    let head = head_of(&mut stream).await;
    seen.lock().unwrap().push(head);
    stream.write_all(answer.as_bytes()).await.ok();
    let mut buffer = [0; 64];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        stream.write_all(&buffer[..read]).await.ok();
    }
}

const OPEN: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

fn dialler(url: &str, no_proxy: &[&str], roots: RootCertStore) -> Dialler {
    let timeouts = Timeouts {
        upstream_handshake: Duration::from_millis(300),
        ..Timeouts::default()
    };
    Dialler::new(&egress(PrivateAddresses::Refuse), &timeouts)
        .through(
            Parent::parse(url).unwrap(),
            Bypass::parse(no_proxy.iter().copied()).unwrap(),
            roots,
        )
        .unwrap()
}

fn through(parent: &Fake) -> Dialler {
    dialler(&parent.url(), &[], RootCertStore::empty())
}

fn host(name: &str) -> Host {
    Host::parse(name).unwrap()
}

#[tokio::test]
async fn a_host_is_reached_by_connect_and_not_resolved_here() {
    let parent = Fake::start(OPEN, None).await;
    let name = host("no-such-name.invalid");
    let mut stream = through(&parent)
        .dial(&name, 443, Purpose::Aws)
        .await
        .unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut got = [0; 5];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hello");
    assert!(!stream.is_local());
    assert_eq!(
        parent.heads(),
        [
            "CONNECT no-such-name.invalid:443 HTTP/1.1\r\nHost: no-such-name.invalid:443\r\nProxy-Authorization: Basic YW5uOnMzY3JldA==\r\n\r\n"
        ]
    );
}

#[tokio::test]
async fn what_comes_behind_the_answer_belongs_to_the_host() {
    let answer = "HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK\r\nVia: x\r\n\r\nSSH-2.0\r\n";
    let parent = Fake::start(answer, None).await;
    let mut stream = through(&parent)
        .dial(&host("a.example"), 22, Purpose::Tunnel)
        .await
        .unwrap();
    let mut got = [0; 9];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"SSH-2.0\r\n");
}

#[tokio::test]
async fn what_a_parent_refuses_lasts_and_what_it_fails_at_passes() {
    let long = Box::leak(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(40_000)).into_boxed_str());
    for (answer, lasting, says) in [
        ("HTTP/1.1 407 Who\r\n\r\n", true, "user and password"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", true, "403 Forbidden"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", false, "502 Bad Gateway"),
        ("SSH-2.0-OpenSSH\r\n\r\n", false, "isn't HTTP"),
        ("", false, "in time"),
        (&*long, false, "too long a head"),
    ] {
        let parent = Fake::start(answer, None).await;
        let error = through(&parent)
            .dial(&host("a.example"), 443, Purpose::Aws)
            .await
            .unwrap_err();
        let text = error.to_string();
        assert_eq!(error.is_lasting(), lasting, "{text}");
        assert!(
            text.contains(says) && text.contains("`a.example`"),
            "{text}"
        );
        assert!(
            text.contains(&format!("`http://127.0.0.1:{}`", parent.port)),
            "{text}"
        );
        assert!(!format!("{text}{error:?}").contains("s3cret"));
    }
    let gone = dialler("http://127.0.0.1:1", &[], RootCertStore::empty());
    let error = gone
        .dial(&host("a.example"), 443, Purpose::Aws)
        .await
        .unwrap_err();
    assert!(matches!(error, DialError::ParentFailed { .. }), "{error}");
}

#[tokio::test]
async fn addresses_are_judged_though_the_parent_would_reach_them() {
    let parent = Fake::start(OPEN, None).await;
    let dialler = through(&parent);
    for name in [
        "169.254.169.254",
        "::1",
        "10.0.0.1",
        "localhost",
        "a.localhost",
        "0x7f000001",
    ] {
        let error = dialler
            .dial(&host(name), 80, Purpose::Tunnel)
            .await
            .unwrap_err();
        let refused = matches!(error, DialError::Refused { .. } | DialError::Local { .. });
        assert!(refused, "{name}: {error}");
    }
    assert!(parent.heads().is_empty());
    let stream = dialler
        .dial(&host("[2600:1f00::1]"), 443, Purpose::Tunnel)
        .await;
    assert!(stream.is_ok() && parent.heads()[0].starts_with("CONNECT [2600:1f00::1]:443 "));
}

#[tokio::test]
async fn what_goes_around_the_parent_is_dialled_and_judged_as_ever() {
    let parent = Fake::start(OPEN, None).await;
    let dialler = dialler(
        &parent.url(),
        &["127.0.0.0/8", "localhost"],
        RootCertStore::empty(),
    );
    for name in ["127.0.0.1", "localhost"] {
        let error = dialler
            .dial(&host(name), parent.port, Purpose::Tunnel)
            .await
            .unwrap_err();
        assert!(matches!(error, DialError::Refused { .. }), "{error}");
        dialler
            .dangerous_dial(&host(name), parent.port)
            .await
            .unwrap();
    }
    assert!(parent.heads().is_empty());
}

#[tokio::test]
async fn a_parent_over_tls_is_trusted_by_the_roots_alone() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let parent = Fake::start(OPEN, Some(TlsAcceptor::from(Arc::new(config)))).await;
    let url = format!("https://localhost:{}", parent.port);
    let strange = dialler(&url, &[], RootCertStore::empty());
    let error = strange
        .dial(&host("a.example"), 443, Purpose::Aws)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("upstream.ca_file"), "{error}");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let mut stream = dialler(&url, &[], roots)
        .dial(&host("a.example"), 443, Purpose::Aws)
        .await
        .unwrap();
    stream.write_all(b"hi").await.unwrap();
    stream.flush().await.unwrap();
    let mut got = [0; 2];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hi");
}
