//! What the stand-in answers instead of a result: AWS's own error codes.

use serde_json::Value;

use super::service::{Service, Wire};

/// An error as a service reports it, before it has the service's shape.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The code that an SDK raises, without a namespace.
    pub code: &'static str,
    pub message: String,
    /// Further members of the modelled error, such as `ResourceId`.
    pub members: Vec<(&'static str, Value)>,
}

impl ApiError {
    /// An error with status 400, the usual one of the JSON protocols.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self::with_status(400, code, message)
    }

    /// An error with a status of its own.
    pub(super) fn with_status(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            members: Vec::new(),
        }
    }

    /// Adds a member of the modelled error.
    pub(super) fn member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    /// An operation that the service has not, or that this stand-in does not play.
    pub(super) fn unknown_operation(service: Service, operation: &str) -> Self {
        match service.wire() {
            Wire::AwsJson { .. } | Wire::RpcV2Cbor { .. } => Self::new(
                "UnknownOperationException",
                format!("the sandbox knows no operation `{operation}`"),
            ),
            Wire::RestJson => Self::with_status(
                404,
                "UnknownOperationException",
                format!("the sandbox knows no operation `{operation}`"),
            ),
            Wire::Query { version, .. } => Self::new(
                "InvalidAction",
                format!("Could not find operation {operation} for version {version}"),
            ),
        }
    }

    /// A body that isn't what the protocol says.
    pub(super) fn serialization(message: impl Into<String>) -> Self {
        Self::new("SerializationException", message)
    }

    /// A caller without the permission.
    pub(super) fn access_denied(service: Service, message: impl Into<String>) -> Self {
        match service {
            Service::Workspaces | Service::ServiceCatalog | Service::Evs => {
                Self::new("AccessDeniedException", message)
            }
            Service::WorkspacesInstances | Service::Mgn => {
                Self::with_status(403, "AccessDeniedException", message)
            }
            Service::Sts => Self::with_status(403, "AccessDenied", message),
        }
    }

    /// Too many calls.
    pub(super) fn throttled(service: Service) -> Self {
        match service {
            Service::Workspaces | Service::ServiceCatalog | Service::Evs => {
                Self::new("ThrottlingException", "Rate exceeded")
            }
            Service::WorkspacesInstances | Service::Mgn => {
                Self::with_status(429, "ThrottlingException", "Rate exceeded")
            }
            Service::Sts => Self::new("Throttling", "Rate exceeded"),
        }
    }

    /// A fault of the service's own.
    pub(super) fn internal(service: Service) -> Self {
        let code = match service {
            Service::Workspaces | Service::ServiceCatalog | Service::Sts => "InternalFailure",
            Service::WorkspacesInstances | Service::Mgn | Service::Evs => "InternalServerException",
        };
        Self::with_status(500, code, "An internal error has occurred")
    }
}
