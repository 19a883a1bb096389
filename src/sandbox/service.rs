//! The six services that the stand-in plays, and how a host names one.

use crate::aws::host::Host;

/// A service that the sandbox plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    Workspaces,
    WorkspacesInstances,
    ServiceCatalog,
    Mgn,
    Evs,
    Sts,
}

/// How a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// `POST /` with `x-amz-target: <target>.<operation>`.
    AwsJson {
        content_type: &'static str,
        target: &'static str,
        /// What stands before `#` in `__type`; empty where the service writes the bare code.
        namespace: &'static str,
    },
    /// `POST /service/<service>/operation/<operation>` with a CBOR body.
    RpcV2Cbor {
        service: &'static str,
        /// As for [`Wire::AwsJson`].
        namespace: &'static str,
    },
    /// Paths name the operation.
    RestJson,
    /// `Action=` in a form.
    Query {
        version: &'static str,
        xmlns: &'static str,
    },
}

/// Where a request goes: the service and region that its host names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub service: Service,
    pub region: String,
}

impl Service {
    /// Every service.
    pub const ALL: [Service; 6] = [
        Service::Workspaces,
        Service::WorkspacesInstances,
        Service::ServiceCatalog,
        Service::Mgn,
        Service::Evs,
        Service::Sts,
    ];

    /// The name in hosts, credential scopes and the AWS CLI: the same for each of the six.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Service::Workspaces => "workspaces",
            Service::WorkspacesInstances => "workspaces-instances",
            Service::ServiceCatalog => "servicecatalog",
            Service::Mgn => "mgn",
            Service::Evs => "evs",
            Service::Sts => "sts",
        }
    }

    /// The service of that name.
    #[must_use]
    pub fn by_id(id: &str) -> Option<Service> {
        Self::ALL.into_iter().find(|s| s.id() == id)
    }

    /// How it is spoken to by a request that says `smithy-protocol`, where it speaks such a protocol.
    pub(super) const fn smithy_wire(self) -> Option<Wire> {
        match self {
            Service::Workspaces | Service::WorkspacesInstances | Service::ServiceCatalog => {
                match self.wire() {
                    Wire::AwsJson {
                        target, namespace, ..
                    } => Some(Wire::RpcV2Cbor {
                        service: target,
                        namespace,
                    }),
                    Wire::RpcV2Cbor { .. } | Wire::RestJson | Wire::Query { .. } => None,
                }
            }
            Service::Mgn | Service::Evs | Service::Sts => None,
        }
    }

    /// How it is spoken to by default.
    pub(super) const fn wire(self) -> Wire {
        match self {
            Service::Workspaces => Wire::AwsJson {
                content_type: "application/x-amz-json-1.1",
                target: "WorkspacesService",
                namespace: "",
            },
            Service::WorkspacesInstances => Wire::AwsJson {
                content_type: "application/x-amz-json-1.0",
                target: "EUCMIFrontendAPIService",
                namespace: "com.amazonaws.workspacesinstances",
            },
            Service::ServiceCatalog => Wire::AwsJson {
                content_type: "application/x-amz-json-1.1",
                target: "AWS242ServiceCatalogService",
                namespace: "",
            },
            Service::Mgn => Wire::RestJson,
            Service::Evs => Wire::AwsJson {
                content_type: "application/x-amz-json-1.0",
                target: "AmazonElasticVMwareService",
                namespace: "com.amazonaws.evs",
            },
            Service::Sts => Wire::Query {
                version: "2011-06-15",
                xmlns: "https://sts.amazonaws.com/doc/2011-06-15/",
            },
        }
    }
}

impl Place {
    /// What an AWS host names: `<service>[-fips].<region>.amazonaws.com`, the same under `api.aws`, and the
    /// global `sts.amazonaws.com`, which is in us-east-1. `None` for any other host.
    pub(super) fn of(host: &Host) -> Option<Place> {
        let host = host.as_str();
        if host == "sts.amazonaws.com" {
            return Some(Place {
                service: Service::Sts,
                region: "us-east-1".to_owned(),
            });
        }
        let rest = host
            .strip_suffix(".amazonaws.com")
            .or_else(|| host.strip_suffix(".api.aws"))?;
        let (name, region) = rest.split_once('.')?;
        let service = Service::by_id(name.strip_suffix("-fips").unwrap_or(name))?;
        is_region(region).then(|| Place {
            service,
            region: region.to_owned(),
        })
    }
}

/// Whether a text looks like a region: `eu-central-1`, `us-gov-west-1`.
pub(super) fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = parts.split_last() else {
        return false;
    };
    text.len() <= 24
        && (2..=3).contains(&words.len())
        && words
            .iter()
            .all(|w| w.len() >= 2 && w.bytes().all(|b| b.is_ascii_lowercase()))
        && number.len() == 1
        && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: &str) -> Option<(Service, String)> {
        Place::of(&Host::parse(host).unwrap()).map(|p| (p.service, p.region))
    }

    #[test]
    fn a_host_names_its_service_and_region() {
        for (host, service, region) in [
            (
                "workspaces.eu-central-1.amazonaws.com",
                Service::Workspaces,
                "eu-central-1",
            ),
            (
                "workspaces-instances.us-east-1.api.aws",
                Service::WorkspacesInstances,
                "us-east-1",
            ),
            (
                "servicecatalog-fips.us-east-2.amazonaws.com",
                Service::ServiceCatalog,
                "us-east-2",
            ),
            (
                "mgn.us-gov-west-1.amazonaws.com",
                Service::Mgn,
                "us-gov-west-1",
            ),
            ("sts.amazonaws.com", Service::Sts, "us-east-1"),
        ] {
            assert_eq!(place(host), Some((service, region.to_owned())), "{host}");
        }
    }

    #[test]
    fn other_hosts_name_nothing() {
        for host in [
            "s3.us-east-1.amazonaws.com",
            "workspaces.amazonaws.com",
            "workspaces.eu-central-1.amazonaws.com.example.com",
            "workspaces.x.eu-central-1.amazonaws.com",
            "localhost",
        ] {
            assert_eq!(place(host), None, "{host}");
        }
    }
}
