//! hudsucker as it comes, without a handler: `hudsucker-peer ADDRESS CA CA-KEY` intercepts at that address, with leaves
//! of that authority, which it trusts upstream too.

use std::error::Error;
use std::net::SocketAddr;

use hudsucker::Proxy;
use hudsucker::certificate_authority::RcgenAuthority;
use hudsucker::rcgen::{Issuer, KeyPair};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["--version"] {
        println!("hudsucker {}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    let [address, ca, ca_key] = words.as_slice() else {
        return Err("hudsucker-peer ADDRESS CA CA-KEY".into());
    };
    let address: SocketAddr = address.parse()?;
    let ca = std::fs::read_to_string(ca)?;
    let key = KeyPair::from_pem(&std::fs::read_to_string(ca_key)?)?;
    let issuer = Issuer::from_ca_cert_pem(&ca, key)?;

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
    let tls = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // Without it, each small request waits for the other side's delayed acknowledgement.
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_only()
        .enable_http1()
        .wrap_connector(tcp);

    Proxy::builder()
        .with_addr(address)
        .with_ca(RcgenAuthority::new(
            issuer,
            1_000,
            aws_lc_rs::default_provider(),
        ))
        .with_http_connector(connector)
        .build()?
        .start()
        .await?;
    Ok(())
}
