//! Amazon WorkSpaces Instances: EC2 instances managed for desktops, billed by the month or by the hour.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Value, json};

use super::account::{QUOTA, Scene, Tags, tag_list};
use super::error::ApiError;
use super::input::{Alphabet, BadToken, Input, Shape, missing, page};
use super::service::Service;

const INSTANCE_ID: Shape = Shape {
    prefix: "wsinst-",
    length: (8, 63),
    alphabet: Alphabet::Alphanumeric,
    pattern: "wsinst-[0-9a-zA-Z]{8,63}",
};
const VOLUME_ID: Shape = Shape {
    prefix: "vol-",
    length: (1, 63),
    alphabet: Alphabet::Alphanumeric,
    pattern: "vol-[0-9a-zA-Z]{1,63}",
};
const BILLING_MODES: [&str; 2] = ["MONTHLY", "HOURLY"];
const PLATFORMS: [&str; 7] = [
    "Windows",
    "Windows BYOL",
    "Linux/UNIX",
    "Ubuntu Pro Linux",
    "Red Hat Enterprise Linux",
    "Red Hat BYOL Linux",
    "SUSE Linux",
];
const TENANCIES: [&str; 2] = ["SHARED", "DEDICATED"];
/// Instance types, and whether they can be had by the month.
const INSTANCE_TYPES: [(&str, bool); 6] = [
    ("g4dn.xlarge", false),
    ("m6i.large", true),
    ("m6i.xlarge", true),
    ("t3.2xlarge", true),
    ("t3.large", true),
    ("t3.xlarge", true),
];

/// The service in one region.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct State {
    pub instances: BTreeMap<String, Instance>,
    pub volumes: BTreeMap<String, Volume>,
    created: u32,
}

/// One managed instance.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Instance {
    /// `None` where it was made before there was a billing configuration.
    pub billing_mode: Option<&'static str>,
    pub ec2_id: String,
    pub status: Status,
    pub settles: Option<SystemTime>,
    pub client_token: Option<String>,
    pub tags: Tags,
}

/// One volume.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Volume {
    /// The instance and the device that it is attached to.
    pub attached: Option<(String, String)>,
}

/// `ProvisionState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(in crate::sandbox) enum Status {
    Allocating,
    Allocated,
    Deallocating,
    Deallocated,
}

impl State {
    pub(in crate::sandbox) fn call(
        &mut self,
        operation: &str,
        input: Input<'_>,
        scene: Scene<'_>,
    ) -> Result<Value, ApiError> {
        self.settle(scene.now);
        match operation {
            "ListWorkspaceInstances" => self.list(input),
            "GetWorkspaceInstance" => self.get(input),
            "CreateWorkspaceInstance" => self.create(input, scene),
            "DeleteWorkspaceInstance" => self.delete(input, scene),
            "ListTagsForResource" => Ok(json!({"Tags": tag_list(&self.instance(input)?.1.tags)})),
            "TagResource" => self.tag(input),
            "UntagResource" => self.untag(input),
            "ListInstanceTypes" => list_instance_types(input),
            "ListRegions" => list_regions(input),
            "CreateVolume" => self.create_volume(input),
            "DeleteVolume" => self.delete_volume(input),
            "AssociateVolume" => self.associate(input),
            "DisassociateVolume" => self.disassociate(input),
            other => Err(ApiError::unknown_operation(
                Service::WorkspacesInstances,
                other,
            )),
        }
    }

    fn settle(&mut self, now: SystemTime) {
        for instance in self.instances.values_mut() {
            if instance.settles.is_some_and(|at| at <= now) {
                instance.settles = None;
                instance.status = match instance.status {
                    Status::Allocating | Status::Allocated => Status::Allocated,
                    Status::Deallocating | Status::Deallocated => Status::Deallocated,
                };
            }
        }
    }

    /// The instance that `WorkspaceInstanceId` names.
    fn instance<'a>(&mut self, input: Input<'a>) -> Result<(&'a str, &mut Instance), ApiError> {
        let id = input.required_id("WorkspaceInstanceId", INSTANCE_ID)?;
        let instance = self
            .instances
            .get_mut(id)
            .ok_or_else(|| not_found(id, "WorkspaceInstance"))?;
        Ok((id, instance))
    }

    fn list(&self, input: Input<'_>) -> Result<Value, ApiError> {
        let states = input.texts("ProvisionStates", (0, 6))?;
        let size = input.integer("MaxResults", (1, 25))?.unwrap_or(25);
        let matching = self.instances.iter().filter(|(_, i)| {
            states
                .as_ref()
                .is_none_or(|s| s.is_empty() || s.iter().any(|s| json!(i.status) == *s))
        });
        let shown = matching.map(|(id, i)| {
            let instance = json!({
                "ProvisionState": i.status,
                "WorkspaceInstanceId": id,
                "EC2ManagedInstance": {"InstanceId": i.ec2_id},
            });
            (id, instance)
        });
        paged(
            "ListWorkspaceInstances",
            "WorkspaceInstances",
            shown,
            input,
            size,
        )
    }

    fn get(&mut self, input: Input<'_>) -> Result<Value, ApiError> {
        let (id, instance) = self.instance(input)?;
        let mut shown = json!({
            "WorkspaceInstanceErrors": [],
            "EC2InstanceErrors": [],
            "ProvisionState": instance.status,
            "WorkspaceInstanceId": id,
            "EC2ManagedInstance": {"InstanceId": instance.ec2_id},
        });
        if let (Some(mode), Some(members)) = (instance.billing_mode, shown.as_object_mut()) {
            members.insert(
                "BillingConfiguration".to_owned(),
                json!({"BillingMode": mode}),
            );
        }
        Ok(shown)
    }

    fn create(&mut self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        let token = input.text("ClientToken")?;
        let managed = input
            .object("ManagedInstance")?
            .ok_or_else(|| missing("ManagedInstance"))?;
        let billing_mode = match input.object("BillingConfiguration")? {
            None => "HOURLY",
            Some(billing) => billing
                .word("BillingMode", &BILLING_MODES)?
                .ok_or_else(|| missing("billingConfiguration.billingMode"))?,
        };
        if let Some(wanted) = managed.text("InstanceType")? {
            let known = INSTANCE_TYPES
                .iter()
                .any(|(name, monthly)| *name == wanted && (*monthly || billing_mode == "HOURLY"));
            if !known {
                return Err(validation(&format!(
                    "The instance type {wanted} is not available with {billing_mode} billing."
                )));
            }
        }
        let tags = input.tag_list("Tags")?.unwrap_or_default();
        if let Some((id, _)) = token.and_then(|t| {
            self.instances
                .iter()
                .find(|(_, i)| i.client_token.as_deref() == Some(t))
        }) {
            return Ok(json!({"WorkspaceInstanceId": id}));
        }
        within_quota(self.instances.len(), "WorkspaceInstance")?;
        self.created = self.created.saturating_add(1);
        let id = format!("wsinst-new{:08}", self.created);
        let instance = Instance {
            billing_mode: Some(billing_mode),
            ec2_id: format!("i-0ec2{:013x}", self.created),
            status: Status::Allocating,
            settles: Some(scene.settles()),
            client_token: token.map(str::to_owned),
            tags: tags.into_iter().collect(),
        };
        self.instances.insert(id.clone(), instance);
        Ok(json!({"WorkspaceInstanceId": id}))
    }

    fn delete(&mut self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        let (id, instance) = self.instance(input)?;
        if matches!(instance.status, Status::Deallocating | Status::Deallocated) {
            return Err(conflict(
                id,
                "WorkspaceInstance",
                "The WorkSpace Instance is already being deleted.",
            ));
        }
        instance.status = Status::Deallocating;
        instance.settles = Some(scene.settles());
        for volume in self.volumes.values_mut() {
            if volume.attached.as_ref().is_some_and(|(to, _)| to == id) {
                volume.attached = None;
            }
        }
        Ok(json!({}))
    }

    fn tag(&mut self, input: Input<'_>) -> Result<Value, ApiError> {
        let new = input.tag_list("Tags")?.ok_or_else(|| missing("Tags"))?;
        let (_, instance) = self.instance(input)?;
        let mut all = instance.tags.clone();
        all.extend(new);
        if all.len() > 50 {
            return Err(validation("A resource can have up to 50 tags."));
        }
        instance.tags = all;
        Ok(json!({}))
    }

    fn untag(&mut self, input: Input<'_>) -> Result<Value, ApiError> {
        let keys = input
            .texts("TagKeys", (1, 50))?
            .ok_or_else(|| missing("TagKeys"))?;
        let (_, instance) = self.instance(input)?;
        instance.tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(json!({}))
    }

    fn create_volume(&mut self, input: Input<'_>) -> Result<Value, ApiError> {
        input.required_text("AvailabilityZone")?;
        input.integer("SizeInGB", (1, 16_384))?;
        within_quota(self.volumes.len(), "Volume")?;
        self.created = self.created.saturating_add(1);
        let id = format!("vol-new{:014}", self.created);
        self.volumes.insert(id.clone(), Volume { attached: None });
        Ok(json!({"VolumeId": id}))
    }

    fn volume<'a>(&mut self, input: Input<'a>) -> Result<(&'a str, &mut Volume), ApiError> {
        let id = input.required_id("VolumeId", VOLUME_ID)?;
        let volume = self
            .volumes
            .get_mut(id)
            .ok_or_else(|| not_found(id, "Volume"))?;
        Ok((id, volume))
    }

    fn delete_volume(&mut self, input: Input<'_>) -> Result<Value, ApiError> {
        let (id, volume) = self.volume(input)?;
        if volume.attached.is_some() {
            return Err(conflict(
                id,
                "Volume",
                "The volume is attached to an instance.",
            ));
        }
        self.volumes.remove(id);
        Ok(json!({}))
    }

    fn associate(&mut self, input: Input<'_>) -> Result<Value, ApiError> {
        let device = input.required_text("Device")?.to_owned();
        let instance = self.instance(input)?.0.to_owned();
        let taken = self
            .volumes
            .values()
            .any(|v| v.attached.as_ref() == Some(&(instance.clone(), device.clone())));
        let (id, volume) = self.volume(input)?;
        if taken || volume.attached.is_some() {
            return Err(conflict(
                id,
                "Volume",
                "The volume or the device is in use.",
            ));
        }
        volume.attached = Some((instance, device));
        Ok(json!({}))
    }

    fn disassociate(&mut self, input: Input<'_>) -> Result<Value, ApiError> {
        input.word("DisassociateMode", &["FORCE", "NO_FORCE"])?;
        let instance = self.instance(input)?.0;
        let (id, volume) = self.volume(input)?;
        if volume
            .attached
            .as_ref()
            .is_none_or(|(to, _)| to != instance)
        {
            return Err(conflict(
                id,
                "Volume",
                "The volume is not attached to this instance.",
            ));
        }
        volume.attached = None;
        Ok(json!({}))
    }
}

fn list_instance_types(input: Input<'_>) -> Result<Value, ApiError> {
    let size = input.integer("MaxResults", (1, 600))?.unwrap_or(600);
    let filter = match input.object("InstanceConfigurationFilter")? {
        None => None,
        Some(filter) => Some((
            filter
                .word("BillingMode", &BILLING_MODES)?
                .ok_or_else(|| missing("billingMode"))?,
            filter
                .word("PlatformType", &PLATFORMS)?
                .ok_or_else(|| missing("platformType"))?,
            filter
                .word("Tenancy", &TENANCIES)?
                .ok_or_else(|| missing("tenancy"))?,
        )),
    };
    let shown = INSTANCE_TYPES.iter().filter_map(|(name, monthly)| {
        let supported: Vec<Value> = BILLING_MODES
            .into_iter()
            .filter(|mode| *monthly || *mode == "HOURLY")
            .flat_map(|mode| {
                ["Windows", "Linux/UNIX"].map(|platform| (mode, platform, "SHARED"))
            })
            .filter(|one| filter.is_none_or(|wanted| wanted == *one))
            .map(|(mode, platform, tenancy)| {
                json!({"BillingMode": mode, "PlatformType": platform, "Tenancy": tenancy})
            })
            .collect();
        let instance_type = json!({
            "InstanceType": name,
            "SupportedInstanceConfigurations": supported,
        });
        (!supported.is_empty()).then_some((*name, instance_type))
    });
    paged("ListInstanceTypes", "InstanceTypes", shown, input, size)
}

fn list_regions(input: Input<'_>) -> Result<Value, ApiError> {
    let size = input.integer("MaxResults", (1, 25))?.unwrap_or(25);
    let shown = ["eu-central-1", "eu-west-1", "us-east-1", "us-west-2"]
        .into_iter()
        .map(|name| (name, json!({"RegionName": name})));
    paged("ListRegions", "Regions", shown, input, size)
}

fn paged<K: AsRef<str>>(
    operation: &str,
    member: &str,
    items: impl Iterator<Item = (K, Value)>,
    input: Input<'_>,
    size: u64,
) -> Result<Value, ApiError> {
    let size = usize::try_from(size).unwrap_or(25);
    let (found, next) = page(operation, items, input.text("NextToken")?, size)
        .map_err(|BadToken| validation("The NextToken is not valid."))?;
    Ok(match next {
        Some(token) => json!({member: found, "NextToken": token}),
        None => json!({member: found}),
    })
}

fn not_found(id: &str, kind: &str) -> ApiError {
    ApiError::with_status(
        404,
        "ResourceNotFoundException",
        format!("{kind} {id} could not be found."),
    )
    .member("ResourceId", id)
    .member("ResourceType", kind)
}

fn conflict(id: &str, kind: &str, message: &str) -> ApiError {
    ApiError::with_status(409, "ConflictException", message)
        .member("ResourceId", id)
        .member("ResourceType", kind)
}

fn validation(message: &str) -> ApiError {
    ApiError::new("ValidationException", message).member("Reason", "OTHER")
}

fn within_quota(there: usize, kind: &str) -> Result<(), ApiError> {
    if there < QUOTA {
        return Ok(());
    }
    Err(ApiError::with_status(
        402,
        "ServiceQuotaExceededException",
        "The account has as many as it may have.",
    )
    .member("ResourceType", kind))
}
