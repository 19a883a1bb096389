//! Amazon Elastic VMware Service: environments, and the Windows Server entitlements of their virtual machines.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::account::{QUOTA, Scene, Tags, epoch, seeded_at};
use super::error::ApiError;
use super::input::{Alphabet, BadToken, Input, Shape, missing, page};
use super::service::Service;

const ENVIRONMENT_ID: Shape = Shape {
    prefix: "env-",
    length: (10, 10),
    alphabet: Alphabet::Alphanumeric,
    pattern: "(env-[a-zA-Z0-9]{10})",
};
const CONNECTOR_ID: Shape = Shape {
    prefix: "cnctr-",
    length: (10, 10),
    alphabet: Alphabet::Alphanumeric,
    pattern: "(cnctr-[a-zA-Z0-9]{10})",
};
const VM_ID: Shape = Shape {
    prefix: "vm-",
    length: (1, 1021),
    alphabet: Alphabet::Digits,
    pattern: "vm-[0-9]+",
};

/// The service in one region.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct State {
    pub environments: BTreeMap<String, Environment>,
}

/// One environment.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Environment {
    pub name: &'static str,
    /// Connectors, each with the virtual machines that have an entitlement through it.
    pub connectors: BTreeMap<String, BTreeSet<String>>,
    pub tags: Tags,
}

impl State {
    pub(in crate::sandbox) fn call(
        &mut self,
        operation: &str,
        input: Input<'_>,
        scene: Scene<'_>,
    ) -> Result<Value, ApiError> {
        match operation {
            "ListEnvironments" => self.list(input, scene),
            "GetEnvironment" => self.get(input, scene),
            "ListTagsForResource" => Ok(json!({"tags": self.tags_of(input, scene)?})),
            "TagResource" => self.tag(input, scene),
            "UntagResource" => self.untag(input, scene),
            "ListVmEntitlements" => self.list_entitlements(input),
            "CreateEntitlement" => self.create_entitlement(input, scene),
            "DeleteEntitlement" => self.delete_entitlement(input, scene),
            other => Err(ApiError::unknown_operation(Service::Evs, other)),
        }
    }

    fn list(&self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        let size = input.integer("maxResults", (1, 100))?.unwrap_or(100);
        let states = input.texts("state", (0, 5))?.unwrap_or_default();
        let created = states.is_empty() || states.contains(&"CREATED");
        let shown = self.environments.iter().filter(|_| created).map(|(id, e)| {
            let summary = json!({
                "environmentId": id,
                "environmentName": e.name,
                "vcfVersion": "VCF-5.2.2",
                "environmentStatus": "PASSED",
                "environmentState": "CREATED",
                "createdAt": epoch(seeded_at()),
                "modifiedAt": epoch(seeded_at()),
                "environmentArn": arn(id, scene),
            });
            (id, summary)
        });
        paged(
            "ListEnvironments",
            "environmentSummaries",
            shown,
            input,
            size,
        )
    }

    fn get(&self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        let id = input.required_id("environmentId", ENVIRONMENT_ID)?;
        let environment = self
            .environments
            .get(id)
            .ok_or_else(|| not_found(id, "environment"))?;
        Ok(json!({"environment": {
            "environmentId": id,
            "environmentState": "CREATED",
            "createdAt": epoch(seeded_at()),
            "modifiedAt": epoch(seeded_at()),
            "environmentArn": arn(id, scene),
            "environmentName": environment.name,
            "vpcId": "vpc-0a0a0a0a0a0a0a0a0",
            "serviceAccessSubnetId": "subnet-0a0a0a0a0a0a0a0a0",
            "vcfVersion": "VCF-5.2.2",
            "termsAccepted": true,
            "siteId": "site-sandbox",
            "environmentStatus": "PASSED",
            "checks": [],
            "credentials": [],
        }}))
    }

    fn tags_of(&mut self, input: Input<'_>, scene: Scene<'_>) -> Result<&mut Tags, ApiError> {
        let arn = input.required_text("resourceArn")?;
        arn.strip_prefix(&scene.arn("evs", "environment/"))
            .and_then(|id| self.environments.get_mut(id))
            .map(|e| &mut e.tags)
            .ok_or_else(|| not_found(arn, "environment"))
    }

    fn tag(&mut self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        let new = input.tag_map("tags")?.ok_or_else(|| missing("tags"))?;
        let tags = self.tags_of(input, scene)?;
        let mut all = tags.clone();
        all.extend(new);
        if all.len() > 200 {
            return Err(ApiError::new(
                "TooManyTagsException",
                "A resource can have up to 200 tags.",
            ));
        }
        *tags = all;
        Ok(json!({}))
    }

    fn untag(&mut self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        let keys = input
            .texts("tagKeys", (1, 200))?
            .ok_or_else(|| missing("tagKeys"))?;
        let tags = self.tags_of(input, scene)?;
        tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(json!({}))
    }

    /// The environment and connector that a call names, and the connector's virtual machines.
    fn connector<'a>(
        &mut self,
        input: Input<'a>,
    ) -> Result<(&'a str, &'a str, &mut BTreeSet<String>), ApiError> {
        let environment = input.required_id("environmentId", ENVIRONMENT_ID)?;
        let connector = input.required_id("connectorId", CONNECTOR_ID)?;
        input
            .word("entitlementType", &["WINDOWS_SERVER"])?
            .ok_or_else(|| missing("entitlementType"))?;
        let machines = self
            .environments
            .get_mut(environment)
            .ok_or_else(|| not_found(environment, "environment"))?
            .connectors
            .get_mut(connector)
            .ok_or_else(|| not_found(connector, "connector"))?;
        Ok((environment, connector, machines))
    }

    fn list_entitlements(&mut self, input: Input<'_>) -> Result<Value, ApiError> {
        let size = input.integer("maxResults", (1, 100))?.unwrap_or(100);
        let (environment, connector, machines) = self.connector(input)?;
        let shown = machines
            .iter()
            .map(|vm| (vm, entitlement(vm, environment, connector, "CREATED")));
        paged("ListVmEntitlements", "entitlements", shown, input, size)
    }

    fn create_entitlement(
        &mut self,
        input: Input<'_>,
        scene: Scene<'_>,
    ) -> Result<Value, ApiError> {
        let ids = vm_ids(input)?;
        let (environment, connector, machines) = self.connector(input)?;
        if machines.len().saturating_add(ids.len()) > QUOTA {
            return Err(ApiError::new(
                "ServiceQuotaExceededException",
                "The connector has as many entitlements as it may have.",
            ));
        }
        machines.extend(ids.iter().map(|id| (*id).to_owned()));
        let shown: Vec<Value> = ids
            .iter()
            .map(|vm| started(entitlement(vm, environment, connector, "CREATING"), scene))
            .collect();
        Ok(json!({"entitlements": shown}))
    }

    /// All or nothing: one virtual machine without an entitlement refuses the call.
    fn delete_entitlement(
        &mut self,
        input: Input<'_>,
        scene: Scene<'_>,
    ) -> Result<Value, ApiError> {
        let ids = vm_ids(input)?;
        let (environment, connector, machines) = self.connector(input)?;
        if let Some(unknown) = ids.iter().find(|id| !machines.contains(**id)) {
            return Err(not_found(unknown, "entitlement"));
        }
        machines.retain(|vm| !ids.contains(&vm.as_str()));
        let shown: Vec<Value> = ids
            .iter()
            .map(|vm| stopped(entitlement(vm, environment, connector, "DELETED"), scene))
            .collect();
        Ok(json!({"entitlements": shown}))
    }
}

fn vm_ids(input: Input<'_>) -> Result<Vec<&str>, ApiError> {
    input
        .ids("vmIds", (1, 100), VM_ID)?
        .ok_or_else(|| missing("vmIds"))
}

fn entitlement(vm: &str, environment: &str, connector: &str, status: &str) -> Value {
    json!({
        "vmId": vm,
        "environmentId": environment,
        "connectorId": connector,
        "vmName": format!("windows-{vm}"),
        "type": "WINDOWS_SERVER",
        "status": status,
        "lastSyncedAt": epoch(seeded_at()),
    })
}

fn started(entitlement: Value, scene: Scene<'_>) -> Value {
    with(entitlement, "startedAt", epoch(scene.now))
}

fn stopped(entitlement: Value, scene: Scene<'_>) -> Value {
    with(entitlement, "stoppedAt", epoch(scene.now))
}

fn with(mut object: Value, member: &str, value: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.insert(member.to_owned(), value);
    }
    object
}

fn arn(id: &str, scene: Scene<'_>) -> String {
    scene.arn("evs", &format!("environment/{id}"))
}

fn paged<'a>(
    operation: &str,
    member: &str,
    items: impl Iterator<Item = (&'a String, Value)>,
    input: Input<'_>,
    size: u64,
) -> Result<Value, ApiError> {
    let size = usize::try_from(size).unwrap_or(100);
    let (found, next) =
        page(operation, items, input.text("nextToken")?, size).map_err(|BadToken| {
            ApiError::new("ValidationException", "The nextToken is not valid.")
                .member("reason", "other")
        })?;
    Ok(match next {
        Some(token) => json!({member: found, "nextToken": token}),
        None => json!({member: found}),
    })
}

fn not_found(id: &str, kind: &str) -> ApiError {
    ApiError::new(
        "ResourceNotFoundException",
        format!("The {kind} {id} could not be found."),
    )
    .member("resourceId", id)
    .member("resourceType", kind)
}
