//! AWS STS: who the caller is. Every caller is the guard, as the sandbox accepts no other key.

use serde_json::{Value, json};

use super::account::ACCOUNT_ID;
use super::error::ApiError;
use super::input::Input;
use super::service::Service;

/// Who the sandbox's one key pair belongs to.
pub const GUARD_ARN: &str = "arn:aws:sts::123456789012:assumed-role/palisade-guarded/palisade";

pub(super) fn call(operation: &str, input: Input<'_>) -> Result<Value, ApiError> {
    match operation {
        "GetCallerIdentity" => Ok(json!({
            "Arn": GUARD_ARN,
            "UserId": "AROASANDBOXPALISADE00:palisade",
            "Account": ACCOUNT_ID,
        })),
        "AssumeRole" => {
            let role = input.required_text("RoleArn")?;
            input.required_text("RoleSessionName")?;
            Err(ApiError::access_denied(
                Service::Sts,
                format!(
                    "User: {GUARD_ARN} is not authorized to perform: sts:AssumeRole on resource: {role}"
                ),
            ))
        }
        "GetSessionToken" => Err(ApiError::access_denied(
            Service::Sts,
            "Cannot call GetSessionToken with session credentials",
        )),
        other => Err(ApiError::unknown_operation(Service::Sts, other)),
    }
}
