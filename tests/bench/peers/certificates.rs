//! The certificates of a run: one authority, and the leaves that the origin and the peers show.
//!
//! ECDSA over P-256 everywhere, which is what the guard shows too.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::calls::HOST;

/// PEM files.
#[derive(Debug, Clone)]
pub struct Files {
    /// The authority.
    pub ca: PathBuf,
    /// The authority's key: hudsucker and mitmproxy mint leaves with it.
    pub ca_key: PathBuf,
    /// A leaf for `localhost` and the host that is called.
    pub leaf: PathBuf,
    pub leaf_key: PathBuf,
}

impl Files {
    /// Where they lie.
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            ca: folder.join("ca.pem"),
            ca_key: folder.join("ca.key"),
            leaf: folder.join("leaf.pem"),
            leaf_key: folder.join("leaf.pem.key"),
        }
    }

    /// Makes them anew.
    pub fn make(folder: &Path) -> Result<Self> {
        let files = Self::in_folder(folder);
        let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut ca = CertificateParams::default();
        ca.distinguished_name
            .push(DnType::CommonName, "Origin of the bench");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = ca.self_signed(&ca_key)?;
        fs::write(&files.ca, certificate.pem())?;
        fs::write(&files.ca_key, ca_key.serialize_pem())?;
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut leaf = CertificateParams::new(["localhost".to_owned(), HOST.to_owned()])?;
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.use_authority_key_identifier_extension = true;
        fs::write(&files.leaf, leaf.signed_by(&key, &issuer)?.pem())?;
        // HAProxy looks for the key beside the certificate, under this very name.
        fs::write(&files.leaf_key, key.serialize_pem())?;
        Ok(files)
    }

    pub fn chain(&self) -> Result<Vec<CertificateDer<'static>>> {
        read(&self.leaf)
    }

    pub fn key(&self) -> Result<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_file(&self.leaf_key)
            .with_context(|| format!("`{}`", self.leaf_key.display()))
    }
}

/// The certificates of a PEM file.
pub fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .with_context(|| format!("`{}`", path.display()))?
        .map(|certificate| Ok(certificate?))
        .collect()
}
