//! Asks a guard for what it answers by itself, as any AWS SDK calls through it: HTTPS_PROXY, a CA bundle, virtual keys of the
//! environment or of a profile.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use serde_json::Value as Json;

use super::exec::environment::{proxy_of, text};
use super::exec::load_profiles;
use super::failure::Failure;
use crate::aws::catalog::Catalog;
use crate::aws::endpoint::{Endpoint, Resolved};
use crate::aws::host::Host;
use crate::aws::protocol::json;
use crate::aws::value::{Object, Value};
use crate::guard::keyring::PREFIX;
use crate::proxy::egress::{Egress, OtherHosts, PrivateAddresses};
use crate::proxy::parent::{Bypass, Parent};
use crate::proxy::upstream::{Upstream, UpstreamConfig};
use crate::proxy::{Budget, Timeouts};
use crate::sources::api::{Api, ApiFault, Desk};
use crate::sources::clock::Clock;

/// More than an answer has.
const BUDGET_BYTES: u64 = 1 << 20;

/// Where CA bundles are named, as SDKs look for them.
const BUNDLES: [&str; 4] = [
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
];

/// As whom, and where.
#[derive(Debug, clap::Args)]
pub(super) struct As {
    /// The region [default: $AWS_REGION, $AWS_DEFAULT_REGION, the profile's]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The profile that has the virtual keys [default: those in the environment, $AWS_PROFILE, `default`]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

/// Everything that an asking needs.
pub(super) struct Asking {
    pub(super) catalog: Arc<Catalog>,
    pub(super) region: String,
    credentials: Credentials,
    api: Api,
}

impl Asking {
    /// Reads the environment. `region` is the one to take where the command line names none.
    ///
    /// # Errors
    /// What is missing, and how to give it.
    pub(super) async fn prepare(arguments: &As, region: Option<&str>) -> Result<Self, Failure> {
        let given: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let proxy = parent(&given)?;
        let profiles = load_profiles().await?;
        let named = arguments.profile.as_deref();
        let profile = named.or_else(|| text(&given, "AWS_PROFILE"));
        let region = arguments
            .region
            .as_deref()
            .or(region)
            .or_else(|| text(&given, "AWS_REGION"))
            .or_else(|| text(&given, "AWS_DEFAULT_REGION"))
            .or_else(|| profiles.setting(profile.unwrap_or("default"), "region"));
        let region = region.ok_or_else(|| {
            Failure::usage(anyhow!("no region is known"))
                .with_help("name it by --region, or set AWS_REGION".to_owned())
        })?;
        let credentials = credentials(named, profile).await?;
        let bundle = BUNDLES.into_iter().find_map(|name| text(&given, name));
        Ok(Self {
            catalog: Arc::new(Catalog::embedded().map_err(Failure::refused)?),
            region: region.to_owned(),
            credentials,
            api: api(proxy, bundle.map(PathBuf::from))?,
        })
    }

    /// Makes one call, `service:Operation` with its input.
    ///
    /// # Errors
    /// The refusal, or why there is no answer.
    pub(super) async fn call(&self, action: &str, input: Json) -> Result<Object, Failure> {
        let unknown = || anyhow!("the catalog has no `{action}`");
        let (id, operation) = action
            .split_once(':')
            .ok_or_else(|| Failure::refused(unknown()))?;
        let service = self.catalog.service(id).map_err(Failure::refused)?;
        let service = service.ok_or_else(|| Failure::refused(unknown()))?;
        let operation = service.operations.get(operation);
        let operation = operation.ok_or_else(|| Failure::refused(unknown()))?;
        let endpoint = self.endpoint(id)?;
        let desk = Desk {
            service: &service,
            endpoint: &endpoint,
            credentials: &self.credentials,
            purpose: "token",
        };
        let input = json::parse(input.to_string().as_bytes()).map_err(Failure::refused)?;
        let input = input
            .as_object()
            .ok_or_else(|| Failure::refused(unknown()))?;
        let answer = self.api.call(desk, operation, input).await;
        answer.map_err(|fault| match &fault {
            ApiFault::Rejected { .. } => Failure::refused(anyhow!("{fault}")),
            ApiFault::Failed { .. } | ApiFault::Barred { .. } => {
                Failure::refused(anyhow!("the guard gives no answer: {fault}")).with_help(
                    "HTTPS_PROXY names the guard, AWS_CA_BUNDLE its authority's certificate: `palisade env` prints both"
                        .to_owned(),
                )
            }
        })
    }

    /// A service's endpoint in the region.
    ///
    /// # Errors
    /// AWS has none there.
    pub(super) fn endpoint(&self, service: &str) -> Result<Endpoint, Failure> {
        let region = &self.region;
        endpoint(&self.catalog, service, region)
            .ok_or_else(|| Failure::usage(anyhow!("`{service}` has no endpoint in `{region}`")))
    }
}

/// Runs an asking to its end.
///
/// # Errors
/// Its own.
pub(super) fn within(
    asking: impl Future<Output = Result<String, Failure>>,
) -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(Failure::refused)?.block_on(asking)
}

/// A text of an answer.
///
/// # Errors
/// The answer has no such text.
pub(super) fn answered<'a>(answer: &'a Object, member: &str) -> Result<&'a str, Failure> {
    let text = answer.get(member).and_then(Value::as_str);
    text.ok_or_else(|| Failure::refused(anyhow!("the answer has no `{member}`")))
}

/// The plain endpoint of a service in a region, whichever partition that is of.
pub(super) fn endpoint(catalog: &Catalog, service: &str, region: &str) -> Option<Endpoint> {
    catalog.dns_suffixes().find_map(|suffix| {
        let host = Host::parse(&format!("{service}.{region}.{suffix}")).ok()?;
        match catalog.resolve(&host) {
            Resolved::Api(endpoint) => {
                let is_it = endpoint.region == region
                    && endpoint.services.iter().any(|known| known == service);
                is_it.then_some(endpoint)
            }
            Resolved::Unmodelled | Resolved::Foreign => None,
        }
    })
}

fn parent(given: &[(OsString, OsString)]) -> Result<Parent, Failure> {
    let Some((name, url)) = proxy_of(given) else {
        return Err(Failure::usage(anyhow!("no guard is known")).with_help(
            "set HTTPS_PROXY to a guard's, or run this by `palisade exec -- …`".to_owned(),
        ));
    };
    Parent::parse(&url).map_err(|why| Failure::usage(anyhow!("`{name}`: {why}")))
}

/// Virtual keys; those of AWS's need no guard.
///
/// # Errors
/// There are none.
pub(super) async fn credentials(
    named: Option<&str>,
    profile: Option<&str>,
) -> Result<Credentials, Failure> {
    let of_profile = || {
        let mut builder = ProfileFileCredentialsProvider::builder();
        if let Some(profile) = profile {
            builder = builder.profile_name(profile);
        }
        builder.build()
    };
    // A profile that is named comes before the environment's variables, as for the AWS CLI.
    let own = match named {
        Some(_) => None,
        None => EnvironmentVariableCredentialsProvider::new()
            .provide_credentials()
            .await
            .ok(),
    };
    let found = match own {
        Some(credentials) => credentials,
        None => {
            let found = of_profile().provide_credentials().await;
            let found = found.context("no keys are known");
            found.map_err(|e| {
                Failure::usage(e).with_help(
                    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a virtual key (`palisade keys new`), or name a profile that has one"
                        .to_owned(),
                )
            })?
        }
    };
    if found.access_key_id().starts_with(PREFIX) {
        return Ok(found);
    }
    let id = found.access_key_id();
    Err(
        Failure::usage(anyhow!("`{id}` isn't a virtual key")).with_help(
            "with keys of AWS's own, the SDK's way works: `aws eks get-token`, `aws rds generate-db-auth-token`, `aws s3 presign`"
                .to_owned(),
        ),
    )
}

fn api(proxy: Parent, bundle: Option<PathBuf>) -> Result<Api, Failure> {
    let timeouts = Timeouts::default();
    let upstream = UpstreamConfig {
        dangerous_override: None,
        ca_file: bundle,
        proxy: Some(proxy),
        no_proxy: Bypass::default(),
        timeout: timeouts.response_head,
    };
    // The guard is wherever the user says.
    let egress = Egress {
        other_hosts: OtherHosts::Refuse,
        allow: Vec::new(),
        private_addresses: PrivateAddresses::Allow,
        private_cidrs: Vec::new(),
    };
    let upstream = Upstream::new(&upstream, &egress, timeouts).map_err(Failure::usage)?;
    let budget = Budget::new(BUDGET_BYTES);
    Ok(Api::new(upstream, Clock::system(), budget, timeouts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_its_plain_endpoint_in_each_partition() {
        let catalog = Catalog::embedded().unwrap();
        for (service, region, expected) in [
            ("eks", "eu-west-1", "eks.eu-west-1.amazonaws.com"),
            ("rds", "cn-north-1", "rds.cn-north-1.amazonaws.com.cn"),
            ("s3", "us-east-1", "s3.us-east-1.amazonaws.com"),
            (
                "palisade",
                "us-gov-west-1",
                "palisade.us-gov-west-1.amazonaws.com",
            ),
        ] {
            let found = endpoint(&catalog, service, region).unwrap();
            assert_eq!(found.host.as_str(), expected);
        }
        assert!(endpoint(&catalog, "eks", "nowhere").is_none());
    }
}
