//! Whom the upstream client trusts: the system's roots and `upstream.ca_file`.
//!
//! INVARIANT: `SSL_CERT_FILE` and `SSL_CERT_DIR` are never honoured. They are set for the clients of this guard, to
//! its own CA; an upstream client that believed them would trust nothing else.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls_native_certs::{CertificateResult, load_certs_from_paths};

/// Why there are no roots.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    #[error(
        "no trusted certificates were found on this system: install its CA certificates (often a package `ca-certificates`), or name a file in `upstream.ca_file`"
    )]
    None,
    #[error("`upstream.ca_file` `{path}`: {why}")]
    CaFile { path: PathBuf, why: String },
    #[error(
        "`{0}` is set and would replace the system's trusted certificates here: unset it for the guard, only its clients need it"
    )]
    Environment(&'static str),
}

/// The system's roots, and those in `ca_file`, all of which must be readable.
///
/// # Errors
/// [`RootsError`].
pub fn load(ca_file: Option<&Path>) -> Result<RootCertStore, RootsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(ca_file)?);
    Ok(roots)
}

/// The same as certificates that can be trusted, for clients that keep a store of their own.
///
/// # Errors
/// [`RootsError`].
pub fn certificates(ca_file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, RootsError> {
    // One unreadable root among the system's many is not a reason to stop.
    let mut all = system()?.certs;
    all.retain(|certificate| check(certificate).is_ok());
    if let Some(path) = ca_file {
        let failed = |why: String| RootsError::CaFile {
            path: path.to_owned(),
            why,
        };
        for certificate in of_file(path).map_err(failed)? {
            check(&certificate).map_err(|e| failed(e.to_string()))?;
            all.push(certificate);
        }
    }
    if all.is_empty() {
        return Err(RootsError::None);
    }
    Ok(all)
}

/// The certificates of a PEM file, all of them; at least one.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn of_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = load_certs_from_paths(Some(path), None);
    if let Some(error) = read.errors.first() {
        return Err(error.to_string());
    }
    if read.certs.is_empty() {
        return Err("it holds no certificate in PEM form".to_owned());
    }
    Ok(read.certs)
}

/// Whether rustls takes it for a root.
fn check(certificate: &CertificateDer<'static>) -> Result<(), rustls::Error> {
    RootCertStore::empty().add(certificate.clone())
}

/// Where systems keep one file of all their roots, the commonest first.
#[cfg(all(unix, not(target_os = "macos")))]
const BUNDLES: [&str; 9] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
    "/opt/etc/ssl/certs/ca-certificates.crt",
    "/usr/local/etc/ssl/cert.pem",
    "/etc/openssl/certs/ca-certificates.crt",
];

#[cfg(all(unix, not(target_os = "macos")))]
fn system() -> Result<CertificateResult, RootsError> {
    if let Some(bundle) = BUNDLES.iter().map(Path::new).find(|p| p.exists()) {
        return Ok(load_certs_from_paths(Some(bundle), None));
    }
    let mut all = CertificateResult::default();
    for folder in openssl_probe::candidate_cert_dirs() {
        let found = load_certs_from_paths(None, Some(folder));
        all.certs.extend(found.certs);
        all.errors.extend(found.errors);
    }
    Ok(all)
}

/// The platform's own store has no way in but one that honours the variables, so they may not be set.
#[cfg(not(all(unix, not(target_os = "macos"))))]
fn system() -> Result<CertificateResult, RootsError> {
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        if std::env::var_os(variable).is_some() {
            return Err(RootsError::Environment(variable));
        }
    }
    Ok(rustls_native_certs::load_native_certs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_is_trusted_beside_the_system_and_must_be_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        assert!(matches!(load(Some(&path)), Err(RootsError::CaFile { .. })));
        std::fs::write(&path, "no certificate").unwrap();
        assert!(matches!(load(Some(&path)), Err(RootsError::CaFile { .. })));
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        std::fs::write(&path, made.cert.pem()).unwrap();
        let system = load(None).map_or(0, |r| r.len());
        assert_eq!(load(Some(&path)).unwrap().len(), system + 1);
        std::fs::write(
            &path,
            made.cert.pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        assert!(matches!(load(Some(&path)), Err(RootsError::CaFile { .. })));
    }
}
