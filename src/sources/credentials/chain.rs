//! AWS's own ways to credentials, walked once: environment, profile, web identity, container, instance.

use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use base64::Engine as _;
use rustls::pki_types::CertificateDer;

use super::ClientSetup;
use super::cache::is_valid;
use super::fault::{Cause, CredentialsFault, login_command};
use super::source::{CredentialSource, StaticKeys};
use crate::guard::keyring::PREFIX;
use crate::proxy::upstream::UpstreamConfig;
use crate::sources::clock::Clock;

/// How long the whole chain may take.
const LOAD_MAX: Duration = Duration::from_secs(10);

/// Fetches credentials. The chain is built anew each time, so that a profile that somebody mended counts.
pub(super) async fn load(
    name: &str,
    source: &CredentialSource,
    http: SharedHttpClient,
    clock: &Clock,
) -> Result<Credentials, CredentialsFault> {
    let walked = tokio::time::timeout(LOAD_MAX, walk(source, http)).await;
    let result = walked.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(LOAD_MAX)));
    let credentials = result.map_err(|e| CredentialsFault::of(name, source, &e))?;
    let fault = |cause| Err(CredentialsFault::new(name, cause, String::new()));
    if credentials.access_key_id().starts_with(PREFIX) {
        return fault(Cause::VirtualKey);
    }
    if !is_valid(&credentials, clock.now()) {
        let command = login_command(source);
        return fault(Cause::AlreadyExpired { command });
    }
    Ok(credentials)
}

async fn walk(
    source: &CredentialSource,
    http: SharedHttpClient,
) -> Result<Credentials, CredentialsError> {
    let config = ProviderConfig::without_region().with_http_client(http);
    match source {
        CredentialSource::Default => {
            let region = region(
                ProfileFileRegionProvider::builder()
                    .configure(&config)
                    .build(),
            );
            let chain = DefaultCredentialsChain::builder().configure(config);
            let chain = chain.region(region).build().await;
            chain.provide_credentials().await
        }
        // A profile that is named comes before the environment's variables, as for the AWS CLI.
        CredentialSource::Profile(name) => {
            let profile = ProfileFileRegionProvider::builder().profile_name(name);
            let region = region(profile.configure(&config).build()).region().await;
            let config = config.with_region(region);
            let profile = ProfileFileCredentialsProvider::builder().profile_name(name);
            profile
                .configure(&config)
                .build()
                .provide_credentials()
                .await
        }
        CredentialSource::Static(keys) => Ok(static_credentials(keys)),
    }
}

/// Keys that were given in code.
pub(super) fn static_credentials(keys: &StaticKeys) -> Credentials {
    let (id, secret) = (&keys.access_key_id, &keys.secret_access_key);
    Credentials::new(id, secret, None, None, "static")
}

/// The region that STS is asked in; its answer is the same in each.
fn region(profile: ProfileFileRegionProvider) -> RegionProviderChain {
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(profile)
        .or_else("us-east-1")
}

/// A client that knows no proxy but the configured one and trusts those certificates alone.
pub(super) fn http_client(
    roots: &[CertificateDer<'static>],
    upstream: &UpstreamConfig,
) -> Result<SharedHttpClient, ClientSetup> {
    let mut store = TrustStore::empty();
    let mut sound = rustls::RootCertStore::empty();
    for certificate in roots {
        // The client panics at the first one that rustls doesn't take.
        if sound.add(certificate.clone()).is_ok() {
            store.add_pem_certificate(pem(certificate));
        }
    }
    let context = TlsContext::builder().with_trust_store(store).build();
    let context = context.map_err(|e| ClientSetup(e.to_string()))?;
    let provider = Provider::Rustls(CryptoMode::AwsLc);
    let proxy = match &upstream.proxy {
        // Only for https: what containers and instances serve is http, on the machine itself.
        Some(parent) => ProxyConfig::https(parent.dangerous_url())
            .map_err(|_| ClientSetup(format!("the parent proxy `{parent}` can't be used")))?
            .no_proxy(upstream.no_proxy.as_variable()),
        None => ProxyConfig::disabled(),
    };
    let builder = aws_smithy_http_client::Builder::new();
    Ok(
        builder.build_with_connector_fn(move |settings, components| {
            let mut connector = aws_smithy_http_client::Connector::builder();
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(|c| c.sleep_impl()));
            connector
                .proxy_config(proxy.clone())
                .tls_provider(provider.clone())
                .tls_context(context.clone())
                .build()
        }),
    )
}

fn pem(certificate: &CertificateDer<'_>) -> Vec<u8> {
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut pem = b"-----BEGIN CERTIFICATE-----\n".to_vec();
    for line in text.as_bytes().chunks(64) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
    pem
}
