//! The AWS SDK for Rust, as a client of the end-to-end tests: one call, and what its user gets of it as JSON.
//!
//! `sdk SERVICE OPERATION INPUT [PROFILE]` takes region, credentials, proxy and trusted roots from where the SDK finds them by
//! itself: the environment, profiles, `HTTPS_PROXY` and `SSL_CERT_FILE`. `evs` speaks JSON, `workspaces-instances`
//! rpcv2Cbor. It ends with 0 where AWS answered a success and with 1 where it didn't.

use std::error::Error;
use std::fmt::Debug;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_evs::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_evs::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_evs::error::{BoxError, DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_evs::operation::RequestId;
use aws_sdk_workspacesinstances as workspaces_instances;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde_json::{Value, json};
use workspaces_instances::types::{
    BillingConfiguration, InstanceConfigurationFilter, ManagedInstanceRequest,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [service, operation, input, profile @ ..] = arguments.as_slice() else {
        return Err("usage: sdk SERVICE OPERATION INPUT [PROFILE]".into());
    };
    let input = Input(serde_json::from_str(input)?);
    let attempts = Attempts::default();
    // Before `BehaviorVersion::v2025_08_07` the SDK knew nothing of HTTPS_PROXY.
    let mut config = aws_config::defaults(BehaviorVersion::latest());
    if let Some(profile) = profile.first() {
        // As a program takes `--profile`: what it names comes before keys in the environment.
        let named = ProfileFileCredentialsProvider::builder().profile_name(profile);
        config = config
            .profile_name(profile)
            .credentials_provider(named.build());
    }
    let config = config.load().await;
    let mut outcome = match service.as_str() {
        "evs" => evs(&config, &attempts, operation, &input).await?,
        "workspaces-instances" => instances(&config, &attempts, operation, &input).await?,
        other => return Err(format!("no client for `{other}`").into()),
    };
    let succeeded = outcome.get("ok") == Some(&Value::Bool(true));
    if let Some(outcome) = outcome.as_object_mut() {
        outcome.insert("attempts".to_owned(), attempts.count().into());
    }
    println!("{outcome}");
    Ok(if succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn evs(
    config: &SdkConfig,
    attempts: &Attempts,
    operation: &str,
    input: &Input,
) -> Result<Value, Box<dyn Error>> {
    let config = aws_sdk_evs::config::Builder::from(config).interceptor(attempts.clone());
    let client = aws_sdk_evs::Client::from_conf(config.build());
    Ok(match operation {
        "DeleteEntitlement" => shown(
            &client
                .delete_entitlement()
                .set_client_token(input.text("clientToken"))
                .set_environment_id(input.text("environmentId"))
                .set_connector_id(input.text("connectorId"))
                .set_entitlement_type(
                    input
                        .text("entitlementType")
                        .map(|kind| kind.as_str().into()),
                )
                .set_vm_ids(input.texts("vmIds"))
                .send()
                .await,
        ),
        other => return Err(format!("no call of evs:{other}").into()),
    })
}

async fn instances(
    config: &SdkConfig,
    attempts: &Attempts,
    operation: &str,
    input: &Input,
) -> Result<Value, Box<dyn Error>> {
    let config = workspaces_instances::config::Builder::from(config).interceptor(attempts.clone());
    let client = workspaces_instances::Client::from_conf(config.build());
    Ok(match operation {
        "DeleteWorkspaceInstance" => shown(
            &client
                .delete_workspace_instance()
                .set_workspace_instance_id(input.text("WorkspaceInstanceId"))
                .send()
                .await,
        ),
        "GetWorkspaceInstance" => shown(
            &client
                .get_workspace_instance()
                .set_workspace_instance_id(input.text("WorkspaceInstanceId"))
                .send()
                .await,
        ),
        "CreateWorkspaceInstance" => shown(
            &client
                .create_workspace_instance()
                .set_client_token(input.text("ClientToken"))
                .set_managed_instance(input.member("ManagedInstance").map(managed_instance))
                .set_billing_configuration(
                    input
                        .member("BillingConfiguration")
                        .map(|given| billing(&given))
                        .transpose()?,
                )
                .send()
                .await,
        ),
        "ListInstanceTypes" => shown(
            &client
                .list_instance_types()
                .set_instance_configuration_filter(
                    input
                        .member("InstanceConfigurationFilter")
                        .map(|given| filter(&given))
                        .transpose()?,
                )
                .send()
                .await,
        ),
        other => return Err(format!("no call of workspaces-instances:{other}").into()),
    })
}

fn managed_instance(given: Input) -> ManagedInstanceRequest {
    ManagedInstanceRequest::builder()
        .set_image_id(given.text("ImageId"))
        .set_instance_type(given.text("InstanceType"))
        .build()
}

fn billing(given: &Input) -> Result<BillingConfiguration, Box<dyn Error>> {
    let mode = given.required("BillingMode")?.as_str().into();
    Ok(BillingConfiguration::builder().billing_mode(mode).build()?)
}

fn filter(given: &Input) -> Result<InstanceConfigurationFilter, Box<dyn Error>> {
    Ok(InstanceConfigurationFilter::builder()
        .billing_mode(given.required("BillingMode")?.as_str().into())
        .platform_type(given.required("PlatformType")?.as_str().into())
        .tenancy(given.required("Tenancy")?.as_str().into())
        .build()?)
}

/// What the user of a call sees of its end.
fn shown<O, E>(result: &Result<O, SdkError<E, HttpResponse>>) -> Value
where
    O: RequestId + Debug,
    E: ProvideErrorMetadata + Error + RequestId + 'static,
{
    match result {
        Ok(output) => json!({
            "ok": true,
            "request_id": output.request_id(),
            "output": format!("{output:?}"),
        }),
        Err(error) => json!({
            "ok": false,
            // The variant of the operation's own enum of errors, where AWS answered one.
            "exception": error.as_service_error().map(variant),
            "code": error.code(),
            "status": error.raw_response().map(|answer| answer.status().as_u16()),
            "request_id": error.as_service_error().and_then(RequestId::request_id),
            "message": error.message().map_or_else(|| DisplayErrorContext(error).to_string(), str::to_owned),
        }),
    }
}

fn variant(error: &impl Debug) -> String {
    let shown = format!("{error:?}");
    shown.split('(').next().unwrap_or_default().to_owned()
}

/// The parameters of a call, as AWS spells them.
struct Input(Value);

impl Input {
    fn member(&self, name: &str) -> Option<Self> {
        self.0.get(name).cloned().map(Self)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.0.get(name)?.as_str().map(str::to_owned)
    }

    fn required(&self, name: &str) -> Result<String, Box<dyn Error>> {
        self.text(name)
            .ok_or_else(|| format!("the input has no text `{name}`").into())
    }

    fn texts(&self, name: &str) -> Option<Vec<String>> {
        let items = self.0.get(name)?.as_array()?;
        items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect()
    }
}

/// Counts how often the SDK sends: a retry is one more.
#[derive(Debug, Clone, Default)]
struct Attempts(Arc<AtomicU32>);

impl Attempts {
    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "Attempts"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
