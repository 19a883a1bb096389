//! How clients enter: the proxy port itself in the clear or over TLS, with or without certificates of theirs.
//!
//! INVARIANT: a client certificate counts only once its whole chain was verified in this very handshake: sessions are not
//! resumed, so that one that expired or lost its authority is of no use.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::authority::{Leaves, MintError};
use super::roots;
use crate::aws::host::Host;

/// `[listener]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenerConfig {
    /// `None`: clients speak to the proxy in the clear (`http://` proxy URLs).
    pub tls: Option<ListenerTls>,
    /// Whether a CONNECT without proof of who asks is refused.
    pub require_proof: bool,
}

/// TLS of the proxy port (`https://` proxy URLs).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerTls {
    pub certificate: OwnCertificate,
    pub clients: ClientCertificates,
}

/// What the proxy port shows its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnCertificate {
    /// Of PEM files.
    Files { chain: PathBuf, key: PathBuf },
    /// Minted by the guard's own authority, for these names; at least one.
    Minted(Vec<Host>),
}

/// `listener.client_auth`, with the PEM file of the authorities that are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificates {
    None,
    Optional(PathBuf),
    Required(PathBuf),
}

/// Why the proxy port can't be opened to clients.
#[derive(Debug, thiserror::Error)]
pub enum EntranceError {
    #[error("`{key}` `{path}`: {why}")]
    File {
        key: &'static str,
        path: PathBuf,
        why: String,
    },
    #[error("`listener.names`: {0}")]
    Name(#[from] MintError),
    #[error("`listener`: {0}")]
    Tls(#[from] rustls::Error),
}

/// The way in, ready to be used.
#[derive(Clone)]
pub struct Entrance {
    tls: Option<TlsAcceptor>,
    require_proof: bool,
    expires: Option<SystemTime>,
}

/// A client that has come in.
pub(super) struct Entered {
    pub(super) stream: ClientStream,
    /// Its certificate, where it showed one: verified.
    pub(super) certificate: Option<CertificateDer<'static>>,
}

pub(super) enum ClientStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Entered {
    pub(super) const fn is_encrypted(&self) -> bool {
        match self.stream {
            ClientStream::Plain(_) => false,
            ClientStream::Tls(_) => true,
        }
    }
}

impl Entrance {
    /// An entrance by `[listener]`.
    ///
    /// # Errors
    /// [`EntranceError`]: a file that can't be read or doesn't hold what it should, a name that the authority may not
    /// speak for.
    pub fn new(config: &ListenerConfig, leaves: &Arc<Leaves>) -> Result<Self, EntranceError> {
        let (tls, expires) = match &config.tls {
            Some(tls) => {
                let (acceptor, expires) = acceptor(tls, leaves)?;
                (Some(acceptor), expires)
            }
            None => (None, None),
        };
        Ok(Self {
            tls,
            require_proof: config.require_proof,
            expires,
        })
    }

    /// Whether a CONNECT without proof of who asks is refused.
    #[must_use]
    pub const fn requires_proof(&self) -> bool {
        self.require_proof
    }

    /// When the first certificate of `listener.tls_cert` expires; `None` where the guard mints its own, which it renews
    /// by itself, or has none.
    #[must_use]
    pub const fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    /// Lets a client in: completes its handshake within `within`, where there is one.
    ///
    /// # Errors
    /// What went wrong, for the log; the client was told by TLS.
    pub(super) async fn admit(&self, tcp: TcpStream, within: Duration) -> Result<Entered, String> {
        let Some(acceptor) = &self.tls else {
            return Ok(Entered {
                stream: ClientStream::Plain(tcp),
                certificate: None,
            });
        };
        let accepted = tokio::time::timeout(within, acceptor.accept(tcp)).await;
        let stream = accepted
            .map_err(|_| "it took too long".to_owned())?
            .map_err(|e| e.to_string())?;
        let shown = stream.get_ref().1.peer_certificates();
        let certificate = shown
            .and_then(<[_]>::first)
            .map(|certificate| certificate.clone().into_owned());
        Ok(Entered {
            stream: ClientStream::Tls(Box::new(stream)),
            certificate,
        })
    }
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entrance")
            .field("tls", &self.tls.is_some())
            .field("require_proof", &self.require_proof)
            .finish()
    }
}

/// How TLS is spoken at the proxy port, and when its certificate expires, where that isn't the guard's to renew.
fn acceptor(
    config: &ListenerTls,
    leaves: &Arc<Leaves>,
) -> Result<(TlsAcceptor, Option<SystemTime>), EntranceError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let (own, expires) = own_certificate(&config.certificate, leaves, &provider)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match &config.clients {
        ClientCertificates::None => builder.with_no_client_auth(),
        ClientCertificates::Optional(ca) | ClientCertificates::Required(ca) => {
            let failed = |why: String| EntranceError::File {
                key: "listener.client_ca",
                path: ca.clone(),
                why,
            };
            let mut roots = RootCertStore::empty();
            for certificate in roots::of_file(ca).map_err(failed)? {
                roots.add(certificate).map_err(|e| failed(e.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match &config.clients {
                ClientCertificates::Required(_) => verifier,
                ClientCertificates::None | ClientCertificates::Optional(_) => {
                    verifier.allow_unauthenticated()
                }
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|e| failed(e.to_string()))?)
        }
    };
    let mut tls = builder.with_cert_resolver(own);
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    Ok((TlsAcceptor::from(Arc::new(tls)), expires))
}

fn own_certificate(
    own: &OwnCertificate,
    leaves: &Arc<Leaves>,
    provider: &CryptoProvider,
) -> Result<(Arc<dyn ResolvesServerCert>, Option<SystemTime>), EntranceError> {
    match own {
        OwnCertificate::Files { chain, key } => {
            let certified = of_files(chain, key, provider)?;
            let expires = first_expiry(&certified.cert);
            Ok((Arc::new(SingleCertAndKey::from(certified)), expires))
        }
        OwnCertificate::Minted(names) => {
            for name in names {
                leaves.certificate(name, SystemTime::now())?;
            }
            let minted = Minted {
                names: names.clone(),
                leaves: Arc::clone(leaves),
            };
            Ok((Arc::new(minted), None))
        }
    }
}

/// When the first of a chain expires, of those whose dates can be read.
fn first_expiry(chain: &[CertificateDer<'_>]) -> Option<SystemTime> {
    let expiries = chain.iter().filter_map(|certificate| {
        let (_, x509) = X509Certificate::from_der(certificate).ok()?;
        Some(SystemTime::from(x509.validity().not_after.to_datetime()))
    });
    expiries.min()
}

fn of_files(
    chain: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, EntranceError> {
    let failed = |name: &'static str, path: &Path, why: String| EntranceError::File {
        key: name,
        path: path.to_owned(),
        why,
    };
    let certificates =
        chain_of_file(chain).map_err(|why| failed("listener.tls_cert", chain, why))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| {
        failed(
            "listener.tls_key",
            key,
            format!("no private key in PEM form: {e}"),
        )
    })?;
    CertifiedKey::from_der(certificates, private, provider).map_err(|e| {
        let why = format!("not the key of `listener.tls_cert`, or of no kind that is known: {e}");
        failed("listener.tls_key", key, why)
    })
}

/// The certificates of a PEM file as they stand in it: the server's own comes first (RFC 8446, section 4.4.2).
fn chain_of_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let chain: Vec<_> = read.map_err(|e| e.to_string())?;
    if chain.is_empty() {
        return Err("it holds no certificate in PEM form".to_owned());
    }
    Ok(chain)
}

/// The certificate for the name that a client asks for; the first, where it asks for none or another.
struct Minted {
    names: Vec<Host>,
    leaves: Arc<Leaves>,
}

impl ResolvesServerCert for Minted {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().and_then(|name| Host::parse(name).ok());
        let name = asked
            .as_ref()
            .filter(|asked| self.names.contains(asked))
            .or_else(|| self.names.first())?;
        match self.leaves.certificate(name, SystemTime::now()) {
            Ok(certified) => Some(certified),
            Err(error) => {
                tracing::warn!(%name, %error, "no certificate for the proxy port");
                None
            }
        }
    }
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}
