//! The certificate authority that clients of this guard trust, and the leaves it mints.
//!
//! It keeps true that neither a stolen key nor a mistake here can speak for anything but AWS: the CA carries name
//! constraints, and no leaf is minted for a name outside of them, or outside of what the catalog permits.

mod files;
mod leaves;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, GeneralSubtree,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

pub use leaves::Leaves;

use crate::aws::host::Host;

/// How long a new CA is valid: five years. Every client has to be given its successor, so a short life turns into
/// an outage in images that have it baked in; a long one leaves a copied key useful. The name constraints limit
/// what a copied key is good for, so the balance falls to the longer side, within what is still replaced.
pub const LIFETIME: Duration = Duration::from_secs(5 * 365 * 24 * 3600);

const HOUR: Duration = Duration::from_secs(3600);

/// A certificate authority, loaded or just made.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    not_after: SystemTime,
    /// What the catalog says, lower case, without leading dot.
    permitted: Vec<String>,
    /// What the certificate itself permits.
    constrained: Vec<String>,
}

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("`{path}`: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "`{path}` can be read or written by others (mode {mode:o}): the key may have been copied. Remove ca.pem and ca.key, restart and give clients the new ca.pem; or, if nobody else was ever on this machine, chmod 600"
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error(
        "`{path}` of the shared authority (owner {owner}, mode {mode:o}) can be read or swapped by others: only root or the guard's user may own it, nobody else may write to it or read the key but a group to which root gave it"
    )]
    SharedExposed {
        path: PathBuf,
        owner: u32,
        mode: u32,
    },
    #[error(
        "`{0}` isn't there: the folder that `state.ca` names needs ca.pem and ca.key, copied from the `ca` folder of a `state_dir`"
    )]
    SharedMissing(PathBuf),
    #[error("`{path}` can be written by others (mode {mode:o}): chmod 700 it")]
    FolderExposed { path: PathBuf, mode: u32 },
    #[error(
        "`{present}` is there and `{missing}` is not: put the missing file back, or remove both, restart and give clients the new ca.pem"
    )]
    Half { present: PathBuf, missing: PathBuf },
    #[error(
        "`{path}` is not what this guard wrote: {why}. Put the original back, or remove ca.pem and ca.key, restart and give clients the new ca.pem"
    )]
    Unusable { path: PathBuf, why: String },
    #[error(
        "the certificate authority `{path}` expired: remove ca.pem and ca.key, restart and give clients the new ca.pem (`palisade ca` prints it)"
    )]
    Expired { path: PathBuf },
    #[error("the certificate authority `{path}` is not valid yet: check the clock")]
    NotYetValid { path: PathBuf },
    #[error("`{0}` is not a DNS suffix that a certificate authority can be limited to")]
    Suffix(String),
    #[error("no DNS suffix was given to limit the certificate authority to")]
    NoSuffix,
    #[error("the certificate authority could not be made: {0}")]
    Make(String),
}

/// Why a host gets no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    #[error("`{0}` is outside of the names that this guard may issue certificates for")]
    NotPermitted(Host),
    #[error(
        "`{0}` is outside of the names that ca.pem is limited to: it was made for an older catalog or for other `listener.names`. Remove ca.pem and ca.key, restart and give clients the new ca.pem"
    )]
    NotConstrained(Host),
    #[error(
        "the certificate authority expired: remove ca.pem and ca.key, restart and give clients the new ca.pem"
    )]
    Expired,
    #[error("no certificate could be made for `{host}`: {why}")]
    Failed { host: Host, why: String },
}

impl Authority {
    /// Loads `ca.pem` and `ca.key` from `folder`, or makes both if neither is there. `permitted` are the DNS suffixes
    /// (`amazonaws.com`) that it may ever speak for; each stands for itself and everything below it.
    ///
    /// # Errors
    /// [`AuthorityError`]: a key that others can read, one file without the other, a pair that doesn't match,
    /// a certificate that isn't a constrained CA or isn't valid at `now`; or the folder can't be used.
    pub fn open<S: AsRef<str>>(
        folder: &Path,
        permitted: impl IntoIterator<Item = S>,
        now: SystemTime,
    ) -> Result<Self, AuthorityError> {
        let permitted = suffixes(permitted)?;
        files::prepare(folder)?;
        let (pem, key) = match files::load(folder)? {
            Some(pair) => pair,
            None => {
                let (pem, key) =
                    make(&permitted, now).map_err(|e| AuthorityError::Make(e.to_string()))?;
                files::create(folder, &pem, &key)?;
                (pem, key)
            }
        };
        Self::from_pem(folder, pem, &key, permitted, now)
    }

    /// Loads `ca.pem` and `ca.key` from a folder that several guards read and none writes, such as a mounted secret.
    ///
    /// # Errors
    /// As [`open`](Self::open) has them; and where a file isn't there, or may be read or swapped by others than root and
    /// the guard's user, but for a group to which root gave it.
    pub fn read_only<S: AsRef<str>>(
        folder: &Path,
        permitted: impl IntoIterator<Item = S>,
        now: SystemTime,
    ) -> Result<Self, AuthorityError> {
        let permitted = suffixes(permitted)?;
        let (pem, key) = files::load_shared(folder)?;
        Self::from_pem(folder, pem, &key, permitted, now)
    }

    /// The certificate, as clients are given it.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// When it expires.
    #[must_use]
    pub const fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether a leaf may be minted for the host.
    ///
    /// # Errors
    /// [`MintError::NotPermitted`] or [`MintError::NotConstrained`]; always for an IP address.
    pub fn permits(&self, host: &Host) -> Result<(), MintError> {
        if host.ip().is_some() || !covered(&self.permitted, host.as_str()) {
            return Err(MintError::NotPermitted(host.clone()));
        }
        if !covered(&self.constrained, host.as_str()) {
            return Err(MintError::NotConstrained(host.clone()));
        }
        Ok(())
    }

    fn from_pem(
        folder: &Path,
        pem: String,
        key_pem: &str,
        permitted: Vec<String>,
        now: SystemTime,
    ) -> Result<Self, AuthorityError> {
        let path = folder.join(files::CERTIFICATE);
        let key_path = folder.join(files::KEY);
        let unusable = |path: &Path, why: &str| AuthorityError::Unusable {
            path: path.to_owned(),
            why: why.to_owned(),
        };
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| unusable(&path, "it holds no certificate"))?;
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(key_pem, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| unusable(&key_path, "it holds no P-256 key"))?;
        let facts = read(&certificate).map_err(|why| unusable(&path, why))?;
        if facts.public_key != key.public_key_raw() {
            return Err(unusable(&key_path, "it is not the key of ca.pem"));
        }
        if now < facts.not_before {
            return Err(AuthorityError::NotYetValid { path });
        }
        if now >= facts.not_after {
            return Err(AuthorityError::Expired { path });
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|e| unusable(&path, &e.to_string()))?;
        Ok(Self {
            issuer,
            certificate,
            pem,
            not_after: facts.not_after,
            permitted,
            constrained: facts.constrained,
        })
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("permitted", &self.permitted)
            .field("not_after", &self.not_after)
            .field("key", &"[redacted]")
            .finish_non_exhaustive()
    }
}

/// Leaves of the authority, and the TLS configuration that serves them.
///
/// # Errors
/// [`AuthorityError::Make`] if no leaf key can be made.
pub fn leaves(authority: Authority) -> Result<Arc<Leaves>, AuthorityError> {
    Leaves::new(authority).map(Arc::new)
}

/// Whether `name` is one of the suffixes or below one (RFC 5280, section 4.2.1.10).
fn covered(suffixes: &[String], name: &str) -> bool {
    suffixes.iter().any(|suffix| {
        name.strip_suffix(suffix.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

fn suffixes<S: AsRef<str>>(
    given: impl IntoIterator<Item = S>,
) -> Result<Vec<String>, AuthorityError> {
    let mut list = Vec::new();
    for suffix in given {
        let text = suffix.as_ref();
        let host = Host::parse(text).map_err(|_| AuthorityError::Suffix(text.to_owned()))?;
        if host.ip().is_some() || !host.as_str().contains('.') {
            return Err(AuthorityError::Suffix(text.to_owned()));
        }
        list.push(host.as_str().to_owned());
    }
    list.sort();
    list.dedup();
    if list.is_empty() {
        return Err(AuthorityError::NoSuffix);
    }
    Ok(list)
}

/// A new CA: certificate and key as PEM.
fn make(permitted: &[String], now: SystemTime) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.not_before = (now - HOUR).into();
    params.not_after = (now + LIFETIME).into();
    params.serial_number = Some(serial()?);
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Palisade");
    // A name of its own per CA: clients that trust an old and a new one must be able to tell them apart.
    params.distinguished_name.push(
        DnType::CommonName,
        format!(
            "Palisade guard {}",
            hex(&key
                .public_key_raw()
                .iter()
                .rev()
                .take(4)
                .copied()
                .collect::<Vec<_>>())
        ),
    );
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: permitted
            .iter()
            .map(|suffix| GeneralSubtree::DnsName(suffix.clone()))
            .collect(),
        excluded_subtrees: [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ]
        .into_iter()
        .map(|ip| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(ip, 0)))
        .collect(),
    });
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// A serial number that no other certificate has: rcgen's own is made from the public key, which all leaves share.
fn serial() -> Result<SerialNumber, rcgen::Error> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| rcgen::Error::RingUnspecified)?;
    // Positive and of full length, whatever was drawn (RFC 5280, section 4.1.2.2).
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// What a CA certificate says of itself.
struct CaFacts {
    public_key: Vec<u8>,
    not_before: SystemTime,
    not_after: SystemTime,
    constrained: Vec<String>,
}

fn read(certificate: &CertificateDer<'_>) -> Result<CaFacts, &'static str> {
    let (rest, x509) =
        X509Certificate::from_der(certificate).map_err(|_| "its certificate cannot be read")?;
    if !rest.is_empty() {
        return Err("bytes follow its certificate");
    }
    let is_ca = x509
        .basic_constraints()
        .ok()
        .flatten()
        .is_some_and(|c| c.value.ca && c.value.path_len_constraint == Some(0));
    let signs = x509
        .key_usage()
        .ok()
        .flatten()
        .is_some_and(|u| u.value.key_cert_sign());
    if !is_ca || !signs {
        return Err("it is not a certificate authority that issues leaves only");
    }
    let mut constrained = Vec::new();
    for extension in x509.extensions() {
        if let ParsedExtension::NameConstraints(names) = extension.parsed_extension() {
            for subtree in names.permitted_subtrees.iter().flatten() {
                if let GeneralName::DNSName(name) = subtree.base {
                    constrained.push(name.to_ascii_lowercase());
                }
            }
        }
    }
    if constrained.is_empty() {
        return Err("it is not limited to AWS's names");
    }
    let validity = x509.validity();
    Ok(CaFacts {
        public_key: x509.public_key().subject_public_key.data.to_vec(),
        not_before: SystemTime::from(validity.not_before.to_datetime()),
        not_after: SystemTime::from(validity.not_after.to_datetime()),
        constrained,
    })
}

#[cfg(test)]
mod tests;
