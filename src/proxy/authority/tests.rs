use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};

use super::*;

const SUFFIXES: [&str; 3] = ["amazonaws.com", "api.aws", "signin.aws.amazon.com"];

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn open(folder: &Path) -> Result<Authority, AuthorityError> {
    Authority::open(folder, SUFFIXES, now())
}

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state/ca");
    (dir, folder)
}

/// What a client that trusts only the CA says to a certificate.
fn verify(
    authority: &Authority,
    certificate: &CertificateDer<'_>,
    name: &str,
    at: SystemTime,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).unwrap();
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()))
            .build()
            .unwrap();
    let at = UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap());
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier
        .verify_server_cert(certificate, &[], &name, &[], at)
        .map(|_| ())
}

#[test]
fn a_first_start_makes_files_for_the_owner_alone_and_the_next_one_loads_them() {
    let (_dir, folder) = scratch();
    let made = open(&folder).unwrap();
    let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("ca.key")), 0o600);
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["ca.key", "ca.pem"]);
    let loaded = open(&folder).unwrap();
    assert_eq!(made.pem(), loaded.pem());
    assert_eq!(made.not_after(), now() + LIFETIME);
    assert_eq!(loaded.not_after(), made.not_after());
    assert!(!format!("{loaded:?}").contains("PRIVATE"));
}

/// A pair as an orchestrator mounts a secret: by symbolic links, into a folder that is swapped.
fn mounted() -> (tempfile::TempDir, PathBuf, Authority) {
    let (dir, own) = scratch();
    let made = open(&own).unwrap();
    let shared = dir.path().join("shared");
    fs::create_dir_all(shared.join("1")).unwrap();
    for name in ["ca.pem", "ca.key"] {
        fs::copy(own.join(name), shared.join("1").join(name)).unwrap();
        std::os::unix::fs::symlink(format!("1/{name}"), shared.join(name)).unwrap();
    }
    (dir, shared, made)
}

fn read_only(folder: &Path) -> Result<Authority, AuthorityError> {
    Authority::read_only(folder, SUFFIXES, now())
}

#[test]
fn a_shared_pair_is_loaded_and_never_made() {
    let (_dir, shared, made) = mounted();
    assert_eq!(read_only(&shared).unwrap().pem(), made.pem());
    for name in ["ca.key", "ca.pem"] {
        let (_dir, shared, _) = mounted();
        fs::remove_file(shared.join(name)).unwrap();
        let error = read_only(&shared).unwrap_err();
        assert!(matches!(error, AuthorityError::SharedMissing(path) if path.ends_with(name)));
        assert!(!shared.join(name).exists());
    }
    let nowhere = shared.join("nowhere");
    let error = read_only(&nowhere).unwrap_err();
    assert!(matches!(error, AuthorityError::SharedMissing(_)), "{error}");
    assert!(!nowhere.exists());
}

#[test]
fn a_shared_pair_that_others_may_swap_or_read_is_refused() {
    for (name, mode) in [
        ("1/ca.key", 0o604),
        ("1/ca.key", 0o420),
        ("1/ca.pem", 0o666),
        ("1/ca.pem", 0o664),
        ("1", 0o775),
        ("", 0o777),
    ] {
        let (_dir, shared, _) = mounted();
        let path = shared.join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = read_only(&shared).unwrap_err();
        let exposed = matches!(&error, AuthorityError::SharedExposed { mode: m, .. } if *m == mode);
        assert!(exposed, "{name} {mode:o}: {error}");
    }
    for (name, mode) in [("1/ca.pem", 0o644), ("", 0o1777), ("1", 0o2755)] {
        let (_dir, shared, _) = mounted();
        let path = shared.join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        read_only(&shared).unwrap();
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let (_dir, folder) = scratch();
    open(&folder).unwrap();
    let key = folder.join("ca.key");
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(open(&folder), Err(AuthorityError::Exposed { .. })));
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    open(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o770)).unwrap();
    assert!(matches!(
        open(&folder),
        Err(AuthorityError::FolderExposed { .. })
    ));
}

#[test]
fn half_a_pair_and_a_mismatched_pair_are_refused() {
    let ((_a, one), (_b, two)) = (scratch(), scratch());
    open(&one).unwrap();
    open(&two).unwrap();
    fs::copy(two.join("ca.pem"), one.join("ca.pem")).unwrap();
    assert!(matches!(open(&one), Err(AuthorityError::Unusable { .. })));
    fs::remove_file(one.join("ca.pem")).unwrap();
    assert!(matches!(open(&one), Err(AuthorityError::Half { .. })));
    fs::remove_file(two.join("ca.key")).unwrap();
    assert!(matches!(open(&two), Err(AuthorityError::Half { .. })));
}

#[test]
fn a_ca_outside_its_validity_is_refused_and_says_what_to_do() {
    let (_dir, folder) = scratch();
    open(&folder).unwrap();
    let late = Authority::open(&folder, SUFFIXES, now() + LIFETIME).unwrap_err();
    assert!(matches!(late, AuthorityError::Expired { .. }));
    assert!(late.to_string().contains("remove ca.pem and ca.key"));
    let early = Authority::open(&folder, SUFFIXES, now() - 2 * HOUR).unwrap_err();
    assert!(matches!(early, AuthorityError::NotYetValid { .. }));
}

#[test]
fn a_ca_without_constraints_or_not_a_ca_is_refused() {
    for constrained in [None, Some(IsCa::NoCa)] {
        let (_dir, folder) = scratch();
        files::prepare(&folder).unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = constrained.unwrap_or(IsCa::Ca(BasicConstraints::Constrained(0)));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        files::create(&folder, &pem, &key.serialize_pem()).unwrap();
        assert!(matches!(
            open(&folder),
            Err(AuthorityError::Unusable { .. })
        ));
    }
}

#[test]
fn suffixes_that_would_open_the_ca_are_refused() {
    let (_dir, folder) = scratch();
    for bad in ["", "com", "*.amazonaws.com", ".amazonaws.com", "10.0.0.1"] {
        assert!(
            matches!(
                Authority::open(&folder, [bad], now()),
                Err(AuthorityError::Suffix(_))
            ),
            "{bad}"
        );
    }
    assert!(matches!(
        Authority::open(&folder, Vec::<String>::new(), now()),
        Err(AuthorityError::NoSuffix)
    ));
    assert!(!folder.exists());
}

#[test]
fn a_leaf_is_trusted_for_its_host_for_less_than_a_day() {
    let (_dir, folder) = scratch();
    let leaves = Leaves::new(open(&folder).unwrap()).unwrap();
    let name = "workspaces.eu-central-1.amazonaws.com";
    let leaf = leaves.certificate(&host(name), now()).unwrap();
    let certificate = leaf.cert.first().unwrap();
    let check = |name, at| verify(leaves.authority(), certificate, name, at);
    check(name, now()).unwrap();
    check(name, now() - Duration::from_secs(3500)).unwrap();
    check(name, now() + Duration::from_secs(22 * 3600)).unwrap();
    check(name, now() + Duration::from_secs(24 * 3600)).unwrap_err();
    check("sts.amazonaws.com", now()).unwrap_err();
}

#[test]
fn leaves_are_kept_until_six_hours_are_left_and_their_number_is_bounded() {
    let (_dir, folder) = scratch();
    let leaves = Leaves::new(open(&folder).unwrap()).unwrap();
    let sts = host("sts.amazonaws.com");
    let first = leaves.certificate(&sts, now()).unwrap();
    let same = leaves.certificate(&sts, now() + 16 * HOUR).unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    let renewed = leaves.certificate(&sts, now() + 18 * HOUR).unwrap();
    assert!(!Arc::ptr_eq(&first, &renewed));
    assert_eq!(leaves.minted(), 2);
    assert_ne!(first.cert, renewed.cert);
    for i in 0..1100 {
        leaves
            .certificate(&host(&format!("b{i}.s3.amazonaws.com")), now() + 18 * HOUR)
            .unwrap();
        if i % 100 == 0 {
            leaves.certificate(&sts, now() + 18 * HOUR).unwrap();
        }
    }
    // What is in use stays, what was used longest ago went.
    assert_eq!(leaves.minted(), 2 + 1100);
    leaves.certificate(&sts, now() + 18 * HOUR).unwrap();
    assert_eq!(leaves.minted(), 2 + 1100);
    leaves
        .certificate(&host("b1.s3.amazonaws.com"), now() + 18 * HOUR)
        .unwrap();
    assert_eq!(leaves.minted(), 2 + 1101);
}

#[test]
fn nothing_is_minted_outside_of_the_permitted_names() {
    let (_dir, folder) = scratch();
    let leaves = Leaves::new(open(&folder).unwrap()).unwrap();
    for bad in [
        "example.com",
        "notamazonaws.com",
        "amazonaws.com.example.com",
        "aws.amazon.com",
        "com",
        "127.0.0.1",
        "::1",
    ] {
        assert_eq!(
            leaves.certificate(&host(bad), now()).unwrap_err(),
            MintError::NotPermitted(host(bad))
        );
    }
    assert_eq!(leaves.minted(), 0);
    // A catalog that permits more than the CA on disk does not widen it.
    let wider = Authority::open(&folder, ["amazonaws.com", "amazonaws.com.cn"], now()).unwrap();
    assert_eq!(
        wider.permits(&host("sts.cn-north-1.amazonaws.com.cn")),
        Err(MintError::NotConstrained(host(
            "sts.cn-north-1.amazonaws.com.cn"
        )))
    );
    // One that permits less narrows it.
    let narrower = Authority::open(&folder, ["amazonaws.com"], now()).unwrap();
    assert_eq!(
        narrower.permits(&host("ec2.us-east-1.api.aws")),
        Err(MintError::NotPermitted(host("ec2.us-east-1.api.aws")))
    );
}

#[test]
fn a_client_rejects_a_leaf_outside_of_the_constraints() {
    let (_dir, folder) = scratch();
    let leaves = Leaves::new(open(&folder).unwrap()).unwrap();
    let forged = leaves
        .leaf(&host("login.example.com"), now() - HOUR, now() + HOUR)
        .unwrap();
    let error = verify(leaves.authority(), forged.der(), "login.example.com", now()).unwrap_err();
    assert!(
        matches!(
            error,
            rustls::Error::InvalidCertificate(CertificateError::Other(_))
        ) && format!("{error:?}").contains("NameConstraintViolation"),
        "{error:?}"
    );
}

#[test]
fn two_leaves_never_share_a_serial_number() {
    let (_dir, folder) = scratch();
    let leaves = Leaves::new(open(&folder).unwrap()).unwrap();
    let serial = |name: &str| {
        let leaf = leaves.certificate(&host(name), now()).unwrap();
        let (_, x509) = X509Certificate::from_der(leaf.cert.first().unwrap()).unwrap();
        x509.raw_serial().to_vec()
    };
    assert_ne!(serial("a.amazonaws.com"), serial("b.amazonaws.com"));
}
