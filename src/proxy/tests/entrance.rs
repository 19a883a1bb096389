//! The proxy port over TLS, and who proves what there.

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;
use crate::config::{ClientCertificates, ListenerTls, OwnCertificate};

const NAME: &str = "palisade.internal";

/// An authority of client certificates, in a file.
struct Clients {
    issuer: Issuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

/// A client's certificate and key.
type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Clients {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            dir,
        }
    }

    fn issue(&self, common_name: &str, names: &[&str], days: i64) -> Identity {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let now = time::OffsetDateTime::now_utc();
        params.not_before = now - time::Duration::days(9);
        params.not_after = now + time::Duration::days(days);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (certificate.der().clone(), key)
    }

    fn setup(&self, wanted: fn(std::path::PathBuf) -> ClientCertificates) -> Setup {
        Setup {
            listener: ListenerConfig {
                tls: Some(ListenerTls {
                    certificate: OwnCertificate::Minted(vec![Host::parse(NAME).unwrap()]),
                    clients: wanted(self.dir.path().join("ca.pem")),
                }),
                require_proof: true,
            },
            private_addresses: PrivateAddresses::Allow,
            ..Setup::default()
        }
    }
}

impl Running {
    /// TLS with the proxy port itself.
    async fn enter(&self, identity: Option<&Identity>) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let ca = self.leaves.authority().certificate();
        roots.add(ca.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => config
                .with_client_auth_cert(vec![certificate.clone()], key.clone_key())
                .unwrap(),
        };
        let tcp = self.tcp().await;
        let name = ServerName::try_from(NAME).unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
    }

    /// The answer to a CONNECT, with this user and password.
    async fn ask_way(
        &self,
        identity: Option<&Identity>,
        user: Option<&str>,
        place: &str,
    ) -> std::io::Result<String> {
        let mut tls = self.enter(identity).await?;
        tls.write_all(connect(place, user).as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tls.read_u8().await?);
        }
        Ok(String::from_utf8(head).unwrap())
    }
}

fn connect(place: &str, user: Option<&str>) -> String {
    let proof = user.map(|user| {
        let token = base64::engine::general_purpose::STANDARD.encode(user);
        format!("Proxy-Authorization: Basic {token}\r\n")
    });
    let proof = proof.unwrap_or_default();
    format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{proof}\r\n")
}

#[tokio::test]
async fn one_proof_is_enough_and_two_must_agree() {
    let clients = Clients::new();
    let proxy = start(clients.setup(ClientCertificates::Optional)).await;
    let ann = clients.issue("ann", &[], 1);
    let alias = clients.issue("somebody", &["Ann.corp"], 1);
    let stranger = clients.issue("carl", &["carl.corp"], 1);
    let both = clients.issue("bob", &["ann.corp"], 1);
    let place = format!("{API}:443");
    for (identity, user, status) in [
        (Some(&ann), None, "200"),
        (Some(&alias), None, "200"),
        (None, Some("ann:right"), "200"),
        (Some(&ann), Some("ann:right"), "200"),
        (None, None, "407"),
        (None, Some("ann:wrong"), "407"),
        (Some(&ann), Some("ann:wrong"), "407"),
        (Some(&ann), Some("bob:right"), "403"),
        (Some(&stranger), None, "403"),
        (Some(&stranger), Some("ann:right"), "403"),
        (Some(&both), None, "403"),
    ] {
        let answer = proxy.ask_way(identity, user, &place).await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{user:?} {status}: {answer}"
        );
        let asks = answer.contains("proxy-authenticate: Basic realm=\"palisade\"");
        assert_eq!(asks, status == "407", "{answer}");
    }
    assert!(!proxy.guard.logged("wrong") && !proxy.guard.logged("right\""));
}

#[tokio::test]
async fn no_way_of_any_kind_is_opened_without_proof() {
    let clients = Clients::new();
    let proxy = start(clients.setup(ClientCertificates::Optional)).await;
    for place in [
        &format!("{API}:443"),
        "127.0.0.1:1",
        "example.com:443",
        "no host",
    ] {
        let answer = proxy.ask_way(None, None, place).await.unwrap();
        let status = if place.contains(' ') { "400" } else { "407" };
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{place}: {answer}"
        );
    }
    assert!(!proxy.guard.logged("opening") && !proxy.guard.logged("example.com"));
    assert_eq!(proxy.leaves.minted(), 1);
}

#[tokio::test]
async fn what_was_proven_goes_with_each_request_and_tunnel() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = upstream.local_addr().unwrap().to_string();
    let clients = Clients::new();
    let proxy = start(clients.setup(ClientCertificates::Required)).await;
    let ann = clients.issue("ann", &[], 1);
    let mut tunnel = proxy.enter(Some(&ann)).await.unwrap();
    tunnel
        .write_all(connect(&place, None).as_bytes())
        .await
        .unwrap();
    let mut far = upstream.accept().await.unwrap().0;
    head_of(&mut tunnel).await;
    far.write_all(b"hi").await.unwrap();
    assert_eq!(tunnel.read_u8().await.unwrap(), b'h');
    assert!(proxy.guard.logged("tunnel of ann"));
    let mut outer = proxy.enter(Some(&ann)).await.unwrap();
    let api = connect(&format!("{API}:443"), None);
    outer.write_all(api.as_bytes()).await.unwrap();
    head_of(&mut outer).await;
    let mut roots = RootCertStore::empty();
    roots
        .add(proxy.leaves.authority().certificate().clone())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(API).unwrap();
    let inner = TlsConnector::from(Arc::new(config))
        .connect(name, outer)
        .await;
    let mut inner = inner.unwrap();
    let request = format!("GET /x HTTP/1.1\r\nHost: {API}\r\nConnection: close\r\n\r\n");
    inner.write_all(request.as_bytes()).await.unwrap();
    assert!(rest(&mut inner).await.starts_with("HTTP/1.1 200"));
    assert!(proxy.guard.logged("request of ann"));
}

#[tokio::test]
async fn certificates_that_are_not_good_end_the_handshake() {
    let clients = Clients::new();
    let proxy = start(clients.setup(ClientCertificates::Required)).await;
    let place = format!("{API}:443");
    let expired = clients.issue("ann", &[], -1);
    let strange = Clients::new().issue("ann", &[], 1);
    for identity in [None, Some(&expired), Some(&strange)] {
        let answer = proxy.ask_way(identity, Some("ann:right"), &place).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    proxy
        .until_logged("handshake of a client with the proxy port failed")
        .await;
    let answer = proxy.say(&connect(&place, None)).await;
    assert!(!answer.contains("200"), "{answer}");
    // Somebody who says nothing holds a slot for no longer than a handshake may take.
    let quick = Timeouts {
        handshake: Duration::from_millis(100),
        ..Timeouts::default()
    };
    let setup = Setup {
        timeouts: quick,
        ..clients.setup(ClientCertificates::Required)
    };
    let proxy = start(setup).await;
    let mut silent = proxy.tcp().await;
    assert_eq!(rest(&mut silent).await, "");
    assert!(proxy.guard.logged("it took too long"));
}

#[tokio::test]
async fn a_password_in_the_clear_counts_on_this_machine_alone() {
    let proxy = start(Setup::default()).await;
    let place = format!("{API}:443");
    let answer = proxy.say(&connect(&place, Some("ann:wrong"))).await;
    assert!(answer.starts_with("HTTP/1.1 407"), "{answer}");
    let mut tcp = proxy.tcp().await;
    tcp.write_all(connect(&place, Some("ann:right")).as_bytes())
        .await
        .unwrap();
    assert!(head_of(&mut tcp).await.starts_with("HTTP/1.1 200"));
}

/// The entrance of a proxy port with those certificates and that key in files, or with a minted one.
fn entrance(files: Option<(&str, &str)>) -> Entrance {
    let folder = tempfile::tempdir().unwrap();
    let certificate = match files {
        None => OwnCertificate::Minted(vec![Host::parse(NAME).unwrap()]),
        Some((chain, key)) => {
            let place = |name| folder.path().join(name);
            std::fs::write(place("chain.pem"), chain).unwrap();
            std::fs::write(place("key.pem"), key).unwrap();
            OwnCertificate::Files {
                chain: place("chain.pem"),
                key: place("key.pem"),
            }
        }
    };
    let tls = ListenerTls {
        certificate,
        clients: ClientCertificates::None,
    };
    let listener = ListenerConfig {
        tls: Some(tls),
        require_proof: false,
    };
    let names = ["amazonaws.com", NAME];
    let authority = Authority::open(&folder.path().join("ca"), names, SystemTime::now());
    Entrance::new(&listener, &leaves(authority.unwrap()).unwrap()).unwrap()
}

/// A certificate that expires in that year, and its key.
fn dated(year: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[test]
fn a_chain_is_taken_in_the_order_of_its_file_and_tells_when_its_first_certificate_expires() {
    let ((a, key_of_a), (b, key_of_b)) = (dated(2101), dated(2100));
    let first: SystemTime = rcgen::date_time_ymd(2100, 1, 1).into();
    for (chain, key) in [(format!("{a}{b}"), key_of_a), (format!("{b}{a}"), key_of_b)] {
        assert_eq!(entrance(Some((&chain, &key))).expires(), Some(first));
    }
}

#[test]
fn a_minted_certificate_is_renewed_by_the_guard_and_tells_no_expiry() {
    assert_eq!(entrance(None).expires(), None);
}
