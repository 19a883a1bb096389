//! The certificates that a command trusts: the system's, the user's own and the guard's, in one file, since a variable
//! that names a bundle replaces the system's.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls_native_certs::load_certs_from_paths;

use super::environment::text;

/// The user's variables that name certificates.
const VARIABLES: [&str; 5] = [
    "AWS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
];

/// What the user trusts besides the system's certificates.
#[derive(Debug, Default)]
pub(in crate::cli) struct Trusted {
    /// Each once, and each a certificate that can be trusted.
    pub(in crate::cli) certificates: Vec<CertificateDer<'static>>,
    /// What can't be read, in words: a variable may name a file that is long gone.
    pub(in crate::cli) unread: Vec<String>,
}

/// Reads what the user's variables, and `more` (a setting's name and a path), name.
pub(in crate::cli) fn of_user(
    given: &[(OsString, OsString)],
    more: &[(String, String)],
) -> Trusted {
    let variables = VARIABLES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), text(given, name)?.to_owned())));
    let mut trusted = Trusted::default();
    let mut seen = BTreeSet::new();
    for (name, path) in variables.chain(more.iter().cloned()) {
        if !seen.insert(path.clone()) {
            continue;
        }
        let at = Path::new(&path);
        let read = if at.is_dir() {
            load_certs_from_paths(None, Some(at))
        } else {
            load_certs_from_paths(Some(at), None)
        };
        if read.certs.is_empty() {
            trusted.unread.push(format!(
                "no certificate can be read from `{path}`, which `{name}` names: left out"
            ));
        }
        for certificate in read.certs {
            let known = trusted.certificates.contains(&certificate);
            if !known && RootCertStore::empty().add(certificate.clone()).is_ok() {
                trusted.certificates.push(certificate);
            }
        }
    }
    trusted
}

/// Certificates as PEM, each once, in order.
pub(in crate::cli) fn pem<'c>(
    certificates: impl IntoIterator<Item = &'c CertificateDer<'static>>,
) -> String {
    let mut seen = BTreeSet::new();
    let mut text = String::new();
    for certificate in certificates {
        if !seen.insert(certificate.as_ref()) {
            continue;
        }
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut column = 0;
        for c in STANDARD.encode(certificate).chars() {
            if column == 64 {
                text.push('\n');
                column = 0;
            }
            text.push(c);
            column += 1;
        }
        text.push_str("\n-----END CERTIFICATE-----\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    fn certificate(name: &str) -> rcgen::Certificate {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]);
        made.unwrap().cert
    }

    #[test]
    fn what_is_written_reads_back_each_once() {
        let (a, b) = (certificate("a.example"), certificate("b.example"));
        let text = pem([a.der(), b.der(), a.der()]);
        let read: Vec<CertificateDer> = CertificateDer::pem_slice_iter(text.as_bytes())
            .map(Result::unwrap)
            .collect();
        assert_eq!(read, [a.der().clone(), b.der().clone()]);
        assert!(text.lines().all(|line| line.len() <= 64), "{text}");
    }

    #[test]
    fn the_users_own_certificates_are_found_and_what_is_gone_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (certificate("a.example"), certificate("b.example"));
        let path = folder.path().join("corp.pem");
        std::fs::write(&path, format!("# ours\n{}{}", a.pem(), b.pem())).unwrap();
        let path: OsString = path.into();
        let given = [
            ("SSL_CERT_FILE".into(), path.clone()),
            ("AWS_CA_BUNDLE".into(), path),
            ("NODE_EXTRA_CA_CERTS".into(), "/gone/ca.pem".into()),
        ];
        let trusted = of_user(&given, &[]);
        assert_eq!(trusted.certificates.len(), 2);
        for made in [&a, &b] {
            assert!(trusted.certificates.contains(made.der()));
        }
        assert_eq!(
            trusted.unread,
            [
                "no certificate can be read from `/gone/ca.pem`, which `NODE_EXTRA_CA_CERTS` names: left out"
            ]
        );
        let more = [("ca_bundle".to_owned(), "/gone/too.pem".to_owned())];
        assert_eq!(of_user(&[], &more).unread.len(), 1);
    }
}
