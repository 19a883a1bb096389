//! Leaf certificates: minted per host, kept while fresh, served through one TLS configuration.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};

use super::super::{ALPN_HTTP_1, ALPN_HTTP_2};
use super::{Authority, AuthorityError, HOUR, MintError, serial};
use crate::aws::host::Host;

/// From `notBefore` (an hour back, for clocks that are behind) to `notAfter`.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// A leaf with less left than this is minted anew.
const RENEW: Duration = Duration::from_secs(6 * 3600);
/// How many leaves are kept. A client can name any host below AWS's suffixes, so this is what bounds them.
const KEPT_MAX: usize = 1024;

/// Mints and keeps leaf certificates.
pub struct Leaves {
    authority: Authority,
    /// All leaves share one key, of this process: it is never stored.
    pair: KeyPair,
    key: Arc<dyn SigningKey>,
    kept: Mutex<Kept>,
    minted: AtomicU64,
}

#[derive(Default)]
struct Kept {
    leaves: HashMap<Host, Leaf>,
    /// Counts uses, so that the leaf used longest ago can be told.
    clock: u64,
}

struct Leaf {
    certified: Arc<CertifiedKey>,
    not_after: SystemTime,
    used: u64,
}

impl Leaves {
    pub(super) fn new(authority: Authority) -> Result<Self, AuthorityError> {
        let made = |e: &dyn std::fmt::Display| AuthorityError::Make(e.to_string());
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|e| made(&e))?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let key = aws_lc_rs::sign::any_ecdsa_type(&der).map_err(|e| made(&e))?;
        Ok(Self {
            authority,
            pair,
            key,
            kept: Mutex::default(),
            minted: AtomicU64::new(0),
        })
    }

    /// The authority behind them.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// How many certificates were minted since the start (`palisade_certificates_minted_total`).
    #[must_use]
    pub fn minted(&self) -> u64 {
        self.minted.load(Ordering::Relaxed)
    }

    /// A certificate for the host, valid for at least six more hours.
    ///
    /// # Errors
    /// [`MintError`]: the host is outside of what the authority may speak for, or the authority has expired.
    pub fn certificate(
        &self,
        host: &Host,
        now: SystemTime,
    ) -> Result<Arc<CertifiedKey>, MintError> {
        self.authority.permits(host)?;
        if let Some(kept) = self.kept(host, now) {
            return Ok(kept);
        }
        let (certified, not_after) = self.mint(host, now)?;
        self.keep(host, Arc::clone(&certified), not_after);
        Ok(certified)
    }

    /// The TLS configuration of every intercepted connection: HTTP/2 or HTTP/1.1 as the client asks by ALPN, TLS 1.2 and 1.3,
    /// tickets, and the certificate that the SNI asks for.
    ///
    /// # Errors
    /// A `rustls` error if tickets can't be made.
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, rustls::Error> {
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
                .with_no_client_auth()
                .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![ALPN_HTTP_2.to_vec(), ALPN_HTTP_1.to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        Ok(config)
    }

    /// The same configuration with one certificate whatever the SNI: for a connection that is answered 421.
    pub(crate) fn config_for(config: &ServerConfig, certified: Arc<CertifiedKey>) -> ServerConfig {
        let mut config = config.clone();
        config.cert_resolver = Arc::new(SingleCertAndKey::from(certified));
        config
    }

    fn kept(&self, host: &Host, now: SystemTime) -> Option<Arc<CertifiedKey>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clock = kept.clock.wrapping_add(1);
        let clock = kept.clock;
        let leaf = kept.leaves.get_mut(host)?;
        // A clock that was set back makes a kept leaf too young as well as too old.
        let left = leaf.not_after.duration_since(now).ok()?;
        if left < RENEW || left > LIFETIME {
            return None;
        }
        leaf.used = clock;
        Some(Arc::clone(&leaf.certified))
    }

    fn keep(&self, host: &Host, certified: Arc<CertifiedKey>, not_after: SystemTime) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.leaves.len() >= KEPT_MAX && !kept.leaves.contains_key(host) {
            let oldest = kept
                .leaves
                .iter()
                .min_by_key(|(_, leaf)| leaf.used)
                .map(|(host, _)| host.clone());
            if let Some(oldest) = oldest {
                kept.leaves.remove(&oldest);
            }
        }
        let used = kept.clock;
        kept.leaves.insert(
            host.clone(),
            Leaf {
                certified,
                not_after,
                used,
            },
        );
    }

    /// INVARIANT: only called for a host that the authority permits.
    fn mint(
        &self,
        host: &Host,
        now: SystemTime,
    ) -> Result<(Arc<CertifiedKey>, SystemTime), MintError> {
        let not_before = now - HOUR;
        let not_after = (not_before + LIFETIME).min(self.authority.not_after());
        if now >= not_after {
            return Err(MintError::Expired);
        }
        let certificate =
            self.leaf(host, not_before, not_after)
                .map_err(|e| MintError::Failed {
                    host: host.clone(),
                    why: e.to_string(),
                })?;
        self.minted.fetch_add(1, Ordering::Relaxed);
        // The CA itself is left out: a client that doesn't hold it has no reason to trust the one it is sent.
        let certified = CertifiedKey::new(vec![certificate.der().clone()], Arc::clone(&self.key));
        Ok((Arc::new(certified), not_after))
    }

    pub(super) fn leaf(
        &self,
        host: &Host,
        not_before: SystemTime,
        not_after: SystemTime,
    ) -> Result<rcgen::Certificate, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.not_before = not_before.into();
        params.not_after = not_after.into();
        params.serial_number = Some(serial()?);
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::DnsName(host.as_str().try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.signed_by(&self.pair, &self.authority.issuer)
    }
}

impl ResolvesServerCert for Leaves {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = Host::parse(hello.server_name()?).ok()?;
        match self.certificate(&host, SystemTime::now()) {
            Ok(certified) => Some(certified),
            Err(error) => {
                tracing::warn!(%host, %error, "no certificate for a host");
                None
            }
        }
    }
}

impl std::fmt::Debug for Leaves {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaves")
            .field("authority", &self.authority)
            .field("minted", &self.minted())
            .finish_non_exhaustive()
    }
}
