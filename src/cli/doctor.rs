//! `palisade doctor`: looks for what goes wrong, on a guard's client and on its host, and says what mends it.
//!
//! Which of the two is told by what there is: an environment with a proxy or a virtual key is a client's, a configuration
//! file makes a host. What there isn't is skipped, and said so.
//!
//! INVARIANT: nothing is changed anywhere, no credential is shown, and each check ends within seconds.

mod clients;
mod clock;
mod credentials;
mod finding;
mod guard;
mod metadata;
mod ports;
mod proxy;
mod rules;
mod state;
mod trust;
mod upstream;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::time::timeout;

use self::finding::{Finding, for_people, for_programs, is_at_fault};
use self::guard::{Visit, Visited};
use self::metadata::Whose;
use self::proxy::Keys;
use self::trust::Proof;
use self::upstream::Way;
use super::ask::{self, endpoint};
use super::exec::choice::Asked;
use super::exec::environment::text;
use super::exec::profiles::Profiles;
use super::exec::{load_profiles, suffixes};
use super::failure::Failure;
use super::{Answer, Printed, print};
use crate::aws::catalog::Catalog;
use crate::aws::endpoint::Endpoint;
use crate::config::Config;
use crate::guard::keyring::PREFIX;
use crate::guard::release::THIS;
use crate::ruleset::Ruleset;
use crate::running::certified;

/// How long one step over the network may take.
const NET_MAX: Duration = Duration::from_secs(5);

/// How long all of it may take. Disks hang too.
const WHOLE_MAX: Duration = Duration::from_secs(30);

/// Where no region is known.
const REGION: &str = "us-east-1";

/// Finds what is wrong, on a guard's client (the environment) and on its host (the configuration).
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON: `fault`, and `findings` with `check`, `state`, `what` and `fix`
    #[arg(long)]
    json: bool,
}

/// Exit code 1 where something is at fault.
pub(crate) fn run(arguments: &Arguments, config: Result<Config, Failure>) -> Answer {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(Failure::refused)?;
    let examined =
        runtime.block_on(async { timeout(WHOLE_MAX, tokio::spawn(examine(config))).await });
    // A resolver or a disk that hangs must not hold us up.
    runtime.shutdown_background();
    let examined = examined.map_err(|_| {
        let error = anyhow!("no answer within {} s", WHOLE_MAX.as_secs());
        Failure::refused(error).with_help(
            "a disk that the configuration or a variable names may hang: see `mount`".to_owned(),
        )
    })?;
    let findings = examined.map_err(Failure::refused)??;
    print(&if arguments.json {
        for_programs(&findings)
    } else {
        for_people(&findings)
    })?;
    Ok(Printed::Done(if is_at_fault(&findings) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }))
}

async fn examine(config: Result<Config, Failure>) -> Result<Vec<Finding>, Failure> {
    let given: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let catalog = Arc::new(Catalog::embedded().map_err(Failure::refused)?);
    let profiles = load_profiles().await;
    let configuration = rules::configuration(&config);
    let host = config.ok().filter(|config| config.file.is_some());
    let surroundings = Surroundings {
        profiles: profiles.as_ref().ok(),
        given: &given,
        catalog: &catalog,
        host: host.as_ref(),
    };
    let (mut findings, of_host) = tokio::join!(surroundings.client(), surroundings.host());
    if let Err(failure) = &profiles {
        let fix = "mend that line of the AWS configuration";
        findings.push(Finding::failed("client.profiles", failure, fix));
    }
    findings.push(configuration);
    findings.extend(of_host);
    Ok(findings)
}

/// What is looked at.
struct Surroundings<'a> {
    given: &'a [(OsString, OsString)],
    profiles: Option<&'a Profiles>,
    catalog: &'a Arc<Catalog>,
    /// The configuration, where there is a file of one.
    host: Option<&'a Config>,
}

impl Surroundings<'_> {
    /// The checks of a guard's client.
    async fn client(&self) -> Vec<Finding> {
        let keys = self.keys();
        let parent = proxy::parent(self.given);
        let suffixes = suffixes(self.catalog);
        let mut findings = proxy::check(self.given, &suffixes, keys);
        let is_client = parent.is_some() || keys == Keys::Virtual;
        let whose = if is_client || self.host.is_none() {
            Whose::Client
        } else {
            Whose::Host
        };
        let (visited, around) = tokio::join!(
            self.visit(parent.and_then(Result::ok)),
            metadata::check(self.given, whose)
        );
        let profile = Asked::of(None, self.given);
        let setting = |key| self.profiles?.setting(profile.profile(), key);
        let proof = visited.proof.or_else(|| {
            let held = self.host.filter(|_| keys == Keys::Virtual);
            let authority = held.and_then(authority);
            authority.map(Proof::Authority)
        });
        findings.extend(visited.findings);
        findings.extend(trust::check(
            self.given,
            setting("ca_bundle"),
            proof.as_ref(),
            SystemTime::now(),
        ));
        if is_client {
            let folder = std::env::current_dir().unwrap_or_default();
            findings.extend(clients::check(self.given, &folder, setting("s3")));
        } else {
            findings.push(Finding::skipped(
                "client.sdk",
                "what runs in this environment is no client of a guard",
            ));
        }
        findings.extend(around);
        findings
    }

    /// Meets the guard that the environment names.
    async fn visit(&self, parent: Option<crate::config::Parent>) -> Visited {
        let none = |why: &str| Visited {
            findings: vec![Finding::skipped("client.guard", why)],
            proof: None,
        };
        let Some(parent) = parent else {
            return none("no variable names a proxy that could be asked");
        };
        let Some(endpoint) = self.endpoint() else {
            return none("the catalog has no STS");
        };
        let keys = ask::credentials(None, text(self.given, "AWS_PROFILE"));
        let keys = timeout(NET_MAX, keys).await;
        let keys = match keys {
            Ok(keys) => keys.map_err(|failure| {
                let fix = "set virtual keys: `palisade keys new NAME`, or `palisade env`";
                let finding = Finding::failed("client.keys", &failure, fix);
                Finding {
                    fix: Some(fix.to_owned()),
                    ..finding
                }
            }),
            Err(_) => Err(Finding::fault(
                "client.keys",
                "the profile gives no keys in time",
                "run the `credential_process` of the profile by hand",
            )),
        };
        let visit = Visit {
            given: self.given,
            parent,
            catalog: self.catalog,
            endpoint: &endpoint,
            keys,
            whose: if self.host.is_some() {
                Whose::Host
            } else {
                Whose::Client
            },
            timeouts: guard::timeouts(),
        };
        visit.make().await
    }

    /// The checks of a guard's host.
    async fn host(&self) -> Vec<Finding> {
        let Some(config) = self.host else {
            return Vec::new();
        };
        let catalog = match Ruleset::catalog(config) {
            Ok(catalog) => Arc::new(catalog),
            Err(error) => {
                let error = Failure::usage(error).error();
                let fix = "take the key `catalog` out, or make a file by `palisade catalog build`";
                return vec![Finding::fault("host.policies", error, fix)];
            }
        };
        let local = tokio::task::spawn_blocking({
            let (config, catalog) = (config.clone(), Arc::clone(&catalog));
            move || local(&config, &catalog)
        });
        let (local, far) = tokio::join!(local, self.far(config, catalog));
        let mut findings = local.unwrap_or_else(|error| {
            let what = format!("the state folder can't be looked at: {error}");
            let fix = "tell the makers of Palisade, with this line";
            vec![Finding::fault("host.state", what, fix)]
        });
        findings.extend(far);
        findings
    }

    /// What of the host is looked at over the network.
    async fn far(&self, config: &Config, catalog: Arc<Catalog>) -> Vec<Finding> {
        let Some(near) = endpoint(&catalog, "sts", self.region()) else {
            let why = format!("the catalog has no STS in `{}`", self.region());
            return vec![Finding::skipped("host.upstream", why)];
        };
        let way = match Way::new(config, catalog, near) {
            Ok(way) => way,
            Err(finding) => return vec![finding],
        };
        let id = text(self.given, "AWS_ACCESS_KEY_ID");
        let (went, credentials) = tokio::join!(way.check(), credentials::check(config, &way, id));
        went.into_iter().chain(credentials).collect()
    }

    fn keys(&self) -> Keys {
        let id = text(self.given, "AWS_ACCESS_KEY_ID");
        if id.is_some_and(|id| id.starts_with(PREFIX)) {
            Keys::Virtual
        } else {
            Keys::Other
        }
    }

    fn region(&self) -> &str {
        let names = ["AWS_REGION", "AWS_DEFAULT_REGION"];
        let set = names.iter().find_map(|name| text(self.given, name));
        let profile = Asked::of(None, self.given);
        set.or_else(|| self.profiles?.setting(profile.profile(), "region"))
            .unwrap_or(REGION)
    }

    fn endpoint(&self) -> Option<Endpoint> {
        endpoint(self.catalog, "sts", self.region())
            .or_else(|| endpoint(self.catalog, "sts", REGION))
    }
}

/// What of the host needs no network.
fn local(config: &Config, catalog: &Catalog) -> Vec<Finding> {
    let mut findings = vec![rules::policies(config)];
    let names = certified(config, catalog);
    findings.extend(state::check(config, &names, SystemTime::now()));
    findings.extend(ports::check(config));
    findings
}

/// The authority in the state folder, where there is one.
fn authority(config: &Config) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_file(config.state_dir.join("ca/ca.pem")).ok()
}

/// What logs tell of these requests.
fn agent() -> String {
    format!("palisade/{THIS} doctor")
}
