//! Which client trusts the guard's certificate authority: what each of them reads, held against the certificates that the
//! guard shows, or against its authority where the guard doesn't answer.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_native_certs::load_certs_from_paths;

use super::finding::{Finding, State};
use crate::cli::exec::environment::text;
use crate::proxy::roots;

const AWS: &str = "client.trust.aws";
const NODE: &str = "client.trust.node";
const NATIVE: &str = "client.trust.native";
const JAVA: &str = "client.trust.java";

/// A file with fewer certificates than this can't stand for a system's.
const SYSTEM_CERTIFICATES_MIN: usize = 10;

/// What a client that trusts the guard can verify.
#[derive(Debug)]
pub(super) enum Proof {
    /// The certificates that the guard showed for a name, its own first.
    Shown {
        name: ServerName<'static>,
        chain: Vec<CertificateDer<'static>>,
    },
    /// The guard's authority, as its state folder holds it.
    Authority(CertificateDer<'static>),
}

impl Proof {
    fn is_trusted_by(&self, roots: &[CertificateDer<'static>], now: SystemTime) -> bool {
        match self {
            Proof::Authority(authority) => roots.contains(authority),
            Proof::Shown { name, chain } => verifies(name, chain, roots, now),
        }
    }
}

fn verifies(
    name: &ServerName<'_>,
    chain: &[CertificateDer<'static>],
    roots: &[CertificateDer<'static>],
    now: SystemTime,
) -> bool {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
    let (Ok(verifier), Some((leaf, rest))) = (verifier, chain.split_first()) else {
        return false;
    };
    let since = now.duration_since(SystemTime::UNIX_EPOCH);
    let now = UnixTime::since_unix_epoch(since.unwrap_or_default());
    let verified = verifier.verify_server_cert(leaf, rest, name, &[], now);
    verified.is_ok()
}

/// A setting that names a file, or a folder, of certificates.
struct Named<'a> {
    setting: &'a str,
    path: &'a str,
}

/// One finding for each kind of client. `profile` is the `ca_bundle` of the AWS profile in use.
pub(super) fn check(
    given: &[(OsString, OsString)],
    profile: Option<&str>,
    proof: Option<&Proof>,
    now: SystemTime,
) -> Vec<Finding> {
    let Some(proof) = proof else {
        let why = "there is no guard whose certificates could be looked for";
        return vec![Finding::skipped("client.trust", why)];
    };
    let variable = |setting: &'static str| Some((setting, text(given, setting)?));
    let named = |(setting, path)| Named { setting, path };
    let aws = variable("AWS_CA_BUNDLE")
        .or_else(|| profile.map(|path| ("ca_bundle", path)))
        .or_else(|| variable("REQUESTS_CA_BUNDLE"));
    let node = variable("NODE_EXTRA_CA_CERTS");
    let native = variable("SSL_CERT_FILE").or_else(|| variable("SSL_CERT_DIR"));
    let look = Look { proof, now };
    let mut findings = vec![
        look.at_named(
            AWS,
            "the AWS CLI and boto3",
            "AWS_CA_BUNDLE",
            aws.map(named),
        ),
        look.at_named(NODE, "Node.js", "NODE_EXTRA_CA_CERTS", node.map(named)),
        look.at_native(native.map(named)),
        java(),
    ];
    if !findings.iter().any(|f| f.state == State::Ok) {
        // Nobody gets through, so that what is left to each client is no choice.
        let unset = findings.iter_mut().filter(|f| f.check == AWS);
        unset.for_each(|f| f.state = State::Fault);
    }
    findings
}

struct Look<'a> {
    proof: &'a Proof,
    now: SystemTime,
}

impl Look<'_> {
    /// A client that trusts a list of its own, and what a setting names.
    fn at_named(&self, check: &str, client: &str, set: &str, named: Option<Named<'_>>) -> Finding {
        match named {
            None => Finding::warning(
                check,
                format!("the guard isn't trusted by {client}: {set} isn't set"),
                write_and_set(set),
            ),
            Some(named) => self.at_file(check, client, &named),
        }
    }

    /// A client that trusts the system's store, unless a variable names another.
    fn at_native(&self, named: Option<Named<'_>>) -> Finding {
        const CLIENTS: &str = "Go, Rust, OpenSSL and AWS's Common Runtime";
        if let Some(named) = named {
            return self.at_file(NATIVE, CLIENTS, &named);
        }
        let system = roots::certificates(None).unwrap_or_default();
        if self.proof.is_trusted_by(&system, self.now) {
            return Finding::ok(
                NATIVE,
                format!("the guard is trusted by {CLIENTS}, as the system's store does"),
            );
        }
        Finding::warning(
            NATIVE,
            format!(
                "the guard isn't trusted by {CLIENTS}: SSL_CERT_FILE isn't set, and the system's store doesn't hold its authority"
            ),
            "set SSL_CERT_FILE to a file that holds the system's certificates and those that `palisade ca` prints; `palisade env` and `palisade exec` write one",
        )
    }

    fn at_file(&self, check: &str, client: &str, named: &Named<'_>) -> Finding {
        let Named { setting, path } = named;
        let read = certificates(Path::new(path));
        if read.is_empty() {
            return Finding::fault(
                check,
                format!("no certificate can be read from `{path}`, which {setting} names"),
                write_and_set(setting),
            );
        }
        if !self.proof.is_trusted_by(&read, self.now) {
            return Finding::fault(
                check,
                format!(
                    "the guard isn't trusted by {client}: `{path}`, which {setting} names, doesn't hold its authority"
                ),
                format!("add what `palisade ca` prints on the guard's host to `{path}`"),
            );
        }
        if check == NATIVE && read.len() < SYSTEM_CERTIFICATES_MIN {
            return Finding::warning(
                check,
                format!(
                    "the guard is trusted by {client}, and other hosts aren't: `{path}` takes the place of the system's certificates"
                ),
                format!(
                    "add the system's certificates to `{path}`; `palisade env` and `palisade exec` write such a file"
                ),
            );
        }
        Finding::ok(
            check,
            format!("the guard is trusted by {client}: {setting}"),
        )
    }
}

/// What is neither a file nor a folder, and so might never end, holds none.
fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    if path.is_dir() {
        load_certs_from_paths(None, Some(path)).certs
    } else if path.is_file() {
        load_certs_from_paths(Some(path), None).certs
    } else {
        Vec::new()
    }
}

fn java() -> Finding {
    Finding {
        fix: Some(
            "where Java is used: `keytool -importcert -noprompt -alias palisade -file ca.pem -cacerts`, with what `palisade ca` prints in ca.pem"
                .to_owned(),
        ),
        ..Finding::skipped(JAVA, "Java's own trust store can't be read from here")
    }
}

fn write_and_set(variable: &str) -> String {
    format!(
        "write what `palisade ca` prints on the guard's host to a file, and set {variable} to its path"
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rustls_native_certs::load_certs_from_paths;

    use super::*;

    fn made(folder: &Path, name: &str) -> (PathBuf, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let path = folder.join(format!("{name}.pem"));
        std::fs::write(&path, made.cert.pem()).unwrap();
        (path, made.cert.der().clone())
    }

    fn state(
        check_name: &str,
        pairs: &[(&str, &Path)],
        proof: &CertificateDer<'static>,
    ) -> (State, Option<String>) {
        let pair = |(name, path): &(&str, &Path)| (OsString::from(name), path.as_os_str().into());
        let given: Vec<(OsString, OsString)> = pairs.iter().map(pair).collect();
        let proof = Proof::Authority(proof.clone());
        let found = check(&given, None, Some(&proof), SystemTime::UNIX_EPOCH);
        let found = found.into_iter().find(|f| f.check == check_name).unwrap();
        (found.state, found.fix)
    }

    #[test]
    fn a_file_without_the_authority_is_a_fault_until_it_is_added() {
        let folder = tempfile::tempdir().unwrap();
        let (right, proof) = made(folder.path(), "right.example");
        let (wrong, _) = made(folder.path(), "wrong.example");
        for (check, variable) in [(AWS, "AWS_CA_BUNDLE"), (NODE, "NODE_EXTRA_CA_CERTS")] {
            let (found, fix) = state(check, &[(variable, &wrong)], &proof);
            assert_eq!(found, State::Fault);
            assert!(fix.unwrap().contains("palisade ca"));
            let gone = folder.path().join("gone.pem");
            assert_eq!(state(check, &[(variable, &gone)], &proof).0, State::Fault);
        }
        let mut both = std::fs::read_to_string(&wrong).unwrap();
        both.push_str(&std::fs::read_to_string(&right).unwrap());
        std::fs::write(&wrong, both).unwrap();
        for (check, variable) in [(AWS, "AWS_CA_BUNDLE"), (NODE, "NODE_EXTRA_CA_CERTS")] {
            assert_eq!(state(check, &[(variable, &wrong)], &proof).0, State::Ok);
        }
        assert_eq!(load_certs_from_paths(Some(&wrong), None).certs.len(), 2);
    }

    #[test]
    fn each_client_reads_its_own_variable_in_its_own_order() {
        let folder = tempfile::tempdir().unwrap();
        let (right, proof) = made(folder.path(), "right.example");
        let (wrong, _) = made(folder.path(), "wrong.example");
        let requests = ("REQUESTS_CA_BUNDLE", right.as_path());
        assert_eq!(state(AWS, &[requests], &proof).0, State::Ok);
        let first = [("AWS_CA_BUNDLE", wrong.as_path()), requests];
        assert_eq!(state(AWS, &first, &proof).0, State::Fault);
        assert_eq!(state(NODE, &[requests], &proof).0, State::Warning);
        assert_eq!(state(NATIVE, &[requests], &proof).0, State::Warning);
        // A file of one certificate takes the place of all the system's.
        let native = ("SSL_CERT_FILE", right.as_path());
        let (found, fix) = state(NATIVE, &[native, requests], &proof);
        assert_eq!(found, State::Warning);
        assert!(fix.unwrap().contains("add the system's certificates"));
    }

    #[test]
    fn where_no_client_trusts_the_guard_that_is_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        let (right, proof) = made(folder.path(), "right.example");
        assert_eq!(state(AWS, &[], &proof).0, State::Fault);
        let node = [("NODE_EXTRA_CA_CERTS", right.as_path())];
        assert_eq!(state(AWS, &node, &proof).0, State::Warning);
    }

    #[test]
    fn what_the_guard_shows_is_verified_by_name_and_time() {
        let made = rcgen::generate_simple_self_signed(["sts.example".to_owned()]).unwrap();
        let root = made.cert.der().clone();
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000);
        let name = |text: &str| ServerName::try_from(text.to_owned()).unwrap();
        let roots = [root.clone()];
        let chain = [root];
        assert!(verifies(&name("sts.example"), &chain, &roots, now));
        assert!(!verifies(&name("s3.example"), &chain, &roots, now));
        assert!(!verifies(&name("sts.example"), &chain, &[], now));
        assert!(!verifies(&name("sts.example"), &[], &roots, now));
        assert!(!verifies(
            &name("sts.example"),
            &chain,
            &roots,
            SystemTime::UNIX_EPOCH
        ));
    }

    #[test]
    fn what_never_ends_is_not_read() {
        assert!(certificates(Path::new("/dev/zero")).is_empty());
    }

    #[test]
    fn without_a_guard_nothing_is_claimed() {
        let found = check(&[], None, None, SystemTime::UNIX_EPOCH);
        assert!(found.iter().all(|f| f.state == State::Skipped), "{found:?}");
    }
}
