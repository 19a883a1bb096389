//! What the working directory and the AWS profile say about clients that heed no proxy variable, or trust by another: hints,
//! from the files that name a program's packages.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::cli::exec::environment::text;

const JAVASCRIPT: &str = "client.sdk.javascript";
const RUST: &str = "client.sdk.rust";
const CRT: &str = "client.sdk.crt";
const TERRAFORM: &str = "client.terraform";

/// The longest file that is read, in bytes, and the most files of one kind.
const FILE_BYTES_MAX: u64 = 4 << 20;
const FILES_MAX: usize = 200;

/// Packages of Node.js that lead a program's requests to a proxy.
const AGENTS: [&str; 6] = [
    "\"proxy-agent\"",
    "\"https-proxy-agent\"",
    "\"hpagent\"",
    "\"global-agent\"",
    "\"global-tunnel-ng\"",
    "\"aws-sdk-v3-proxy\"",
];

/// The `BehaviorVersion`s of the AWS SDK for Rust whose default client is told not to read proxy variables.
const OLD_BEHAVIOURS: [&str; 3] = ["v2023_11_09", "v2024_03_28", "v2025_01_17"];

/// The first that reads them; but from [`RUNTIME_LEGACY`] on it gets the older client, which has no proxy, wherever that
/// is compiled in, as it is by the default features of each service's crate.
const FIRST_BEHAVIOUR: &str = "v2025_08_07";

/// The first `aws-smithy-runtime` whose default client reads proxy variables.
const RUNTIME_MIN: (u64, u64) = (1, 9);

/// The first that keeps its hyper 1 client for `v2026_01_12` and later.
const RUNTIME_LEGACY: (u64, u64) = (1, 10);

/// The first `hyper-rustls` that isn't the older client's.
const HYPER_RUSTLS_MIN: (u64, u64) = (0, 25);

/// Files that name the packages of a program.
const MANIFESTS: [&str; 9] = [
    "package.json",
    "requirements.txt",
    "pyproject.toml",
    "Pipfile",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "Cargo.toml",
    "setup.cfg",
];

/// Words by which they name AWS's Common Runtime.
const RUNTIMES: [&str; 5] = [
    "awscrt",
    "[crt]",
    "aws-crt",
    "signature-v4-crt",
    "aws.sdk.kotlin.crt",
];

/// The hints of a folder. `transfer` is the profile's `s3` block.
pub(super) fn check(
    given: &[(OsString, OsString)],
    folder: &Path,
    transfer: Option<&str>,
) -> Vec<Finding> {
    vec![
        javascript(folder),
        rust(folder),
        runtime(given, folder, transfer),
        terraform(given, folder),
    ]
}

fn javascript(folder: &Path) -> Finding {
    let Some(manifest) = read(&folder.join("package.json")) else {
        return Finding::skipped(JAVASCRIPT, "there is no package.json here");
    };
    if !manifest.contains("\"@aws-sdk/") {
        return Finding::ok(
            JAVASCRIPT,
            "package.json doesn't name the AWS SDK for JavaScript v3",
        );
    }
    if AGENTS.iter().any(|agent| manifest.contains(agent)) {
        return Finding::ok(
            JAVASCRIPT,
            "package.json names the AWS SDK for JavaScript v3, and a proxy agent beside it",
        );
    }
    Finding::warning(
        JAVASCRIPT,
        "package.json names the AWS SDK for JavaScript v3, which heeds no proxy variable: its calls go around the guard, and a virtual key fails there",
        "give each client a `requestHandler` with a proxy agent (`npm install https-proxy-agent`), as README.md shows under `What a client sees`",
    )
}

fn rust(folder: &Path) -> Finding {
    let Some(lock) = read(&folder.join("Cargo.lock")) else {
        return Finding::skipped(RUST, "there is no Cargo.lock here");
    };
    if version(&lock, "aws-config").is_none() && !lock.contains("name = \"aws-sdk-") {
        return Finding::ok(RUST, "Cargo.lock doesn't name the AWS SDK for Rust");
    }
    let Some(runtime) = version(&lock, "aws-smithy-runtime").filter(|v| *v >= RUNTIME_MIN) else {
        return Finding::warning(
            RUST,
            "Cargo.lock names an AWS SDK for Rust from before it read HTTPS_PROXY: its calls go around the guard",
            "update the SDK (`cargo update`), and use `BehaviorVersion::latest()`",
        );
    };
    let has_older_client = version(&lock, "hyper-rustls").is_some_and(|v| v < HYPER_RUSTLS_MIN);
    let first = (runtime >= RUNTIME_LEGACY && has_older_client).then_some(FIRST_BEHAVIOUR);
    let mut sources = sources(&folder.join("src"), "rs").into_iter();
    let old = sources.find_map(|path| {
        let code = read(&path)?;
        let mut behaviours = OLD_BEHAVIOURS.into_iter().chain(first);
        let old = behaviours.find(|v| code.contains(*v))?;
        Some((path, old))
    });
    match old {
        Some((path, old)) => Finding::warning(
            RUST,
            format!(
                "`{}` names `BehaviorVersion::{old}` of the AWS SDK for Rust, whose default client doesn't read HTTPS_PROXY: its calls go around the guard",
                path.display()
            ),
            "use `BehaviorVersion::latest()` there, or give the client an `http_client` that has the proxy",
        ),
        None => Finding::ok(
            RUST,
            "the AWS SDK for Rust in Cargo.lock reads HTTPS_PROXY, as of `BehaviorVersion::latest()`",
        ),
    }
}

fn runtime(given: &[(OsString, OsString)], folder: &Path, transfer: Option<&str>) -> Finding {
    let by_profile = transfer.is_some_and(|block| {
        block.lines().any(|line| {
            let setting = line.split_once('=').map(|(k, v)| (k.trim(), v.trim()));
            setting == Some(("preferred_transfer_client", "crt"))
        })
    });
    let by_manifest = MANIFESTS.iter().find(|name| {
        let manifest = read(&folder.join(name)).unwrap_or_default();
        RUNTIMES.iter().any(|word| manifest.contains(word))
    });
    let names = match (by_profile, by_manifest) {
        (true, _) => "the AWS profile".to_owned(),
        (false, Some(manifest)) => (*manifest).to_owned(),
        (false, None) => {
            return Finding::ok(CRT, "nothing here names AWS's Common Runtime");
        }
    };
    if text(given, "SSL_CERT_FILE").is_some() {
        return Finding::ok(
            CRT,
            format!("{names} names AWS's Common Runtime, which trusts what SSL_CERT_FILE names"),
        );
    }
    Finding::warning(
        CRT,
        format!(
            "{names} names AWS's Common Runtime, which reads no AWS_CA_BUNDLE: it tries for minutes and says nothing"
        ),
        "set SSL_CERT_FILE to a file of the system's certificates and the guard's (`palisade env` writes one); in Java and C++, give the client its proxy too",
    )
}

fn terraform(given: &[(OsString, OsString)], folder: &Path) -> Finding {
    let files = sources(folder, "tf");
    if files.is_empty() {
        return Finding::skipped(TERRAFORM, "there is no Terraform here");
    }
    let bundled = files.iter().any(|path| {
        let code = read(path).unwrap_or_default();
        code.contains("custom_ca_bundle")
    });
    if bundled || text(given, "AWS_CA_BUNDLE").is_some() {
        return Finding::ok(
            TERRAFORM,
            "Terraform's AWS provider and its S3 backend have a bundle (AWS_CA_BUNDLE or `custom_ca_bundle`)",
        );
    }
    if text(given, "SSL_CERT_FILE").is_some() {
        return Finding::ok(TERRAFORM, "Terraform trusts what SSL_CERT_FILE names");
    }
    Finding::warning(
        TERRAFORM,
        "Terraform's AWS provider and its S3 backend trust the system's store alone",
        "set AWS_CA_BUNDLE, which both read, to a file with what `palisade ca` prints; or `palisade exec -- terraform …`",
    )
}

/// Major and minor version of a package of a Cargo.lock, the lowest of several.
fn version(lock: &str, package: &str) -> Option<(u64, u64)> {
    let named = format!("name = \"{package}\"\nversion = \"");
    let versions = lock.split(&named).skip(1).filter_map(|rest| {
        let mut numbers = rest.split('"').next()?.split('.').map(str::parse::<u64>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    });
    versions.min()
}

/// Files with an extension in a folder and in those right below it, by name.
fn sources(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries
            .take(FILES_MAX)
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        paths.sort();
        paths
    };
    let top = list(folder);
    let below = top
        .iter()
        .filter(|path| path.is_dir())
        .flat_map(|path| list(path));
    let all: Vec<PathBuf> = below.collect();
    top.into_iter()
        .chain(all)
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .take(FILES_MAX)
        .collect()
}

/// A regular file's text, as far as it is read.
fn read(path: &Path) -> Option<String> {
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    #[track_caller]
    fn checks(name: &str, files: &[(&str, &str)], pairs: &[(&str, &str)], state: State) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let pair = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
        let given: Vec<_> = pairs.iter().map(pair).collect();
        let all = check(&given, folder.path(), None);
        let finding = all.iter().find(|f| f.check == name).unwrap();
        assert_eq!(finding.state, state, "{finding:?}");
        assert_eq!(
            finding.fix.is_some(),
            state == State::Warning,
            "{finding:?}"
        );
    }

    #[test]
    fn the_javascript_sdk_needs_an_agent() {
        let sdk = r#"{"dependencies": {"@aws-sdk/client-s3": "3"}}"#;
        let both = r#"{"dependencies": {"@aws-sdk/client-s3": "3", "https-proxy-agent": "7"}}"#;
        checks(JAVASCRIPT, &[], &[], State::Skipped);
        checks(JAVASCRIPT, &[("package.json", "{}")], &[], State::Ok);
        checks(JAVASCRIPT, &[("package.json", sdk)], &[], State::Warning);
        checks(JAVASCRIPT, &[("package.json", both)], &[], State::Ok);
    }

    #[test]
    fn an_old_rust_sdk_or_an_old_behaviour_goes_around() {
        let lock = |runtime: &str, rustls: &str| {
            format!(
                "[[package]]\nname = \"aws-config\"\nversion = \"1.8.0\"\n\n[[package]]\nname = \"aws-smithy-runtime\"\nversion = \"{runtime}\"\n\n[[package]]\nname = \"hyper-rustls\"\nversion = \"{rustls}\"\n"
            )
        };
        let (old, new) = (lock("1.8.6", "0.27.0"), lock("1.16.2", "0.27.10"));
        checks(RUST, &[], &[], State::Skipped);
        checks(RUST, &[("Cargo.lock", "")], &[], State::Ok);
        checks(RUST, &[("Cargo.lock", &old)], &[], State::Warning);
        checks(RUST, &[("Cargo.lock", &new)], &[], State::Ok);
        let names = |lock: &str, behaviour: &str, state: State| {
            let code = format!("let v = BehaviorVersion::{behaviour}();");
            let files = [("Cargo.lock", lock), ("src/aws/client.rs", code.as_str())];
            checks(RUST, &files, &[], state);
        };
        names(&new, "v2024_03_28", State::Warning);
        names(&new, "v2025_08_07", State::Ok);
        names(&new, "latest", State::Ok);
        // With the older client beside it, the first behaviour that reads the variable gets the wrong one of the two.
        names(&lock("1.9.0", "0.24.2"), "v2025_08_07", State::Ok);
        names(&lock("1.10.0", "0.24.2"), "v2025_08_07", State::Warning);
        names(&lock("1.10.0", "0.24.2"), "v2026_01_12", State::Ok);
    }

    #[test]
    fn the_common_runtime_trusts_by_its_own_variable() {
        let python = [("requirements.txt", "boto3[crt]==1.40\n")];
        checks(CRT, &[], &[], State::Ok);
        checks(CRT, &python, &[], State::Warning);
        checks(CRT, &python, &[("SSL_CERT_FILE", "/ca.pem")], State::Ok);
        let block = "\npreferred_transfer_client = crt\n";
        let by_profile = runtime(&[], Path::new("/nowhere"), Some(block));
        assert_eq!(by_profile.state, State::Warning);
    }

    #[test]
    fn terraform_is_told_its_bundle() {
        let main = [("main.tf", "provider \"aws\" {}")];
        checks(TERRAFORM, &[], &[], State::Skipped);
        checks(TERRAFORM, &main, &[], State::Warning);
        checks(TERRAFORM, &main, &[("AWS_CA_BUNDLE", "/ca.pem")], State::Ok);
        let own = [("main.tf", "provider \"aws\" { custom_ca_bundle = \"x\" }")];
        checks(TERRAFORM, &own, &[], State::Ok);
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("package.json")).unwrap();
        assert_eq!(javascript(folder.path()).state, State::Skipped);
    }
}
