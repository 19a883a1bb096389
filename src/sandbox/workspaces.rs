//! Amazon WorkSpaces: desktops that are rebooted, stopped, rebuilt and terminated.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::account::{QUOTA, Scene, Tags, tag_list};
use super::error::ApiError;
use super::input::{Alphabet, BadToken, Input, Shape, missing, page};
use super::service::Service;
use super::workspace::{Change, Status, Workspace, default_properties, modified};

const WORKSPACE_ID: Shape = Shape {
    prefix: "ws-",
    length: (8, 63),
    alphabet: Alphabet::LowerAlphanumeric,
    pattern: "^ws-[0-9a-z]{8,63}$",
};
const DIRECTORY_ID: Shape = Shape {
    prefix: "d-",
    length: (8, 63),
    alphabet: Alphabet::LowerAlphanumeric,
    pattern: "^(d-[0-9a-f]{8,63}$)|(wsd-[0-9a-z]{8,63}$)",
};
const BUNDLE_ID: Shape = Shape {
    prefix: "wsb-",
    length: (8, 63),
    alphabet: Alphabet::LowerAlphanumeric,
    pattern: "^wsb-[0-9a-z]{8,63}$",
};
/// How many a call names or a page holds.
const BATCH: (usize, usize) = (1, 25);

/// The service in one region.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct State {
    pub workspaces: BTreeMap<String, Workspace>,
    pub directories: BTreeMap<String, Directory>,
    pub bundles: BTreeMap<String, &'static str>,
    created: u32,
}

/// A registered directory.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Directory {
    pub name: &'static str,
    pub tags: Tags,
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
            "DescribeWorkspaces" => self.describe(input),
            "DescribeTags" => self.describe_tags(input),
            "CreateTags" => self.create_tags(input),
            "DeleteTags" => self.delete_tags(input),
            "TerminateWorkspaces" => self.batch(input, "TerminateWorkspaceRequests", BATCH, |w| {
                w.terminate(scene)
            }),
            "RebuildWorkspaces" => self.batch(input, "RebuildWorkspaceRequests", (1, 1), |w| {
                w.rebuild(scene)
            }),
            "RebootWorkspaces" => {
                self.batch(input, "RebootWorkspaceRequests", BATCH, |w| w.reboot(scene))
            }
            "StopWorkspaces" => {
                self.batch(input, "StopWorkspaceRequests", BATCH, |w| w.stop(scene))
            }
            "StartWorkspaces" => {
                self.batch(input, "StartWorkspaceRequests", BATCH, |w| w.start(scene))
            }
            "RestoreWorkspace" => self.restore(input, scene),
            "ModifyWorkspaceProperties" => self.modify(input),
            "CreateWorkspaces" => self.create(input, scene),
            "DescribeWorkspaceDirectories" => self.describe_directories(input, scene),
            "DescribeWorkspaceBundles" => self.describe_bundles(input),
            other => Err(ApiError::unknown_operation(Service::Workspaces, other)),
        }
    }

    fn settle(&mut self, now: SystemTime) {
        self.workspaces.retain(|_, workspace| workspace.settle(now));
    }

    fn describe(&self, input: Input<'_>) -> Result<Value, ApiError> {
        let ids = input.ids("WorkspaceIds", BATCH, WORKSPACE_ID)?;
        let directory = input.text("DirectoryId")?;
        let user = input.text("UserName")?;
        let bundle = input.text("BundleId")?;
        let name = input.text("WorkspaceName")?;
        let limit = input.integer("Limit", (1, 25))?.unwrap_or(25);
        let filters = [directory, bundle].iter().flatten().count();
        if (ids.is_some() && (filters > 0 || user.is_some())) || filters > 1 {
            return Err(parameters(
                "You cannot combine this parameter with any other filter.",
            ));
        }
        if user.is_some() && directory.is_none() {
            return Err(parameters(
                "UserName must be given together with DirectoryId.",
            ));
        }
        let matching = self.workspaces.iter().filter(|(id, w)| {
            ids.as_ref().is_none_or(|ids| ids.contains(&id.as_str()))
                && directory.is_none_or(|d| w.directory == d)
                && user.is_none_or(|u| w.user == u)
                && bundle.is_none_or(|b| w.bundle == b)
                && name.is_none_or(|n| w.name.as_deref() == Some(n))
        });
        let (found, next) = page(
            "DescribeWorkspaces",
            matching.map(|(id, w)| (id, w.show(id))),
            input.text("NextToken")?,
            usize::try_from(limit).unwrap_or(25),
        )
        .map_err(bad_token)?;
        Ok(paged("Workspaces", found, next))
    }

    fn tags_of(&mut self, id: &str) -> Result<&mut Tags, ApiError> {
        let workspace = self.workspaces.get_mut(id).map(|w| &mut w.tags);
        workspace
            .or_else(|| self.directories.get_mut(id).map(|d| &mut d.tags))
            .ok_or_else(|| not_found(id))
    }

    fn describe_tags(&mut self, input: Input<'_>) -> Result<Value, ApiError> {
        let tags = self.tags_of(input.required_text("ResourceId")?)?;
        Ok(json!({"TagList": tag_list(tags)}))
    }

    fn create_tags(&mut self, input: Input<'_>) -> Result<Value, ApiError> {
        let new = input.tag_list("Tags")?.ok_or_else(|| missing("Tags"))?;
        let tags = self.tags_of(input.required_text("ResourceId")?)?;
        let mut all = tags.clone();
        all.extend(new);
        if all.len() > 50 {
            return Err(ApiError::new(
                "ResourceLimitExceededException",
                "A resource can have up to 50 tags.",
            ));
        }
        *tags = all;
        Ok(json!({}))
    }

    fn delete_tags(&mut self, input: Input<'_>) -> Result<Value, ApiError> {
        let keys = input
            .texts("TagKeys", (1, 50))?
            .ok_or_else(|| missing("TagKeys"))?;
        let tags = self.tags_of(input.required_text("ResourceId")?)?;
        tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(json!({}))
    }

    /// A call on several WorkSpaces, which reports what failed item by item.
    fn batch(
        &mut self,
        input: Input<'_>,
        member: &str,
        bounds: (usize, usize),
        change: impl Fn(&mut Workspace) -> Result<(), ApiError>,
    ) -> Result<Value, ApiError> {
        let requests = input.required_objects(member, bounds)?;
        let ids = requests
            .iter()
            .map(|r| r.required_id("WorkspaceId", WORKSPACE_ID))
            .collect::<Result<Vec<_>, _>>()?;
        let mut failed = Vec::new();
        for id in ids {
            let done = match self.workspaces.get_mut(id) {
                Some(workspace) => change(workspace),
                None => Err(ApiError::new(
                    "ResourceNotFound.Workspace",
                    format!("The workspace {id} could not be found."),
                )),
            };
            if let Err(error) = done {
                failed.push(json!({
                    "WorkspaceId": id,
                    "ErrorCode": error.code,
                    "ErrorMessage": error.message,
                }));
            }
        }
        Ok(json!({"FailedRequests": failed}))
    }

    fn restore(&mut self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        let id = input.required_id("WorkspaceId", WORKSPACE_ID)?;
        let workspace = self.workspaces.get_mut(id).ok_or_else(|| not_found(id))?;
        workspace.restore(scene)?;
        Ok(json!({}))
    }

    fn modify(&mut self, input: Input<'_>) -> Result<Value, ApiError> {
        let id = input.required_id("WorkspaceId", WORKSPACE_ID)?;
        let new = input
            .object("WorkspaceProperties")?
            .ok_or_else(|| parameters("WorkspaceProperties must be given."))?;
        let workspace = self.workspaces.get_mut(id).ok_or_else(|| not_found(id))?;
        workspace.modify(new)?;
        Ok(json!({}))
    }

    fn create(&mut self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        let requests = input.required_objects("Workspaces", BATCH)?;
        if self.workspaces.len().saturating_add(requests.len()) > QUOTA {
            return Err(ApiError::new(
                "ResourceLimitExceededException",
                "The account has as many WorkSpaces as it may have.",
            ));
        }
        let (mut failed, mut pending) = (Vec::new(), Vec::new());
        let mut made = Vec::new();
        for request in requests {
            let directory = request.required_id("DirectoryId", DIRECTORY_ID)?;
            let bundle = request.required_id("BundleId", BUNDLE_ID)?;
            let user = request.required_text("UserName")?;
            let properties = match request.object("WorkspaceProperties")? {
                Some(given) => modified(&default_properties(), given)?,
                None => default_properties(),
            };
            let tags = request.tag_list("Tags")?.unwrap_or_default();
            let name = request.text("WorkspaceName")?;
            let known =
                self.directories.contains_key(directory) && self.bundles.contains_key(bundle);
            if !known {
                failed.push(json!({
                    "WorkspaceRequest": request.to_value(),
                    "ErrorCode": "ResourceNotFound.DirectoryOrBundle",
                    "ErrorMessage": "The directory or the bundle could not be found.",
                }));
                continue;
            }
            made.push(Workspace {
                directory: directory.to_owned(),
                user: user.to_owned(),
                bundle: bundle.to_owned(),
                name: name.map(str::to_owned),
                properties,
                status: Status::Pending,
                change: Some(Change::to(Status::Available, scene)),
                tags: tags.into_iter().collect(),
            });
        }
        for workspace in made {
            self.created = self.created.saturating_add(1);
            let id = format!("ws-new{:06}", self.created);
            pending.push(workspace.show(&id));
            self.workspaces.insert(id, workspace);
        }
        Ok(json!({"FailedRequests": failed, "PendingRequests": pending}))
    }

    fn describe_directories(&self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        let ids = input.texts("DirectoryIds", BATCH)?;
        let found = self
            .directories
            .iter()
            .filter(|(id, _)| ids.as_ref().is_none_or(|ids| ids.contains(&id.as_str())));
        let shown = found.map(|(id, d)| {
            let directory = json!({
                "DirectoryId": id,
                "Alias": format!("{id}-alias"),
                "DirectoryName": d.name,
                "RegistrationCode": format!("WS{}+SANDBX", scene.region.to_ascii_uppercase().chars().take(2).collect::<String>()),
                "SubnetIds": ["subnet-0a0a0a0a", "subnet-0b0b0b0b"],
                "DirectoryType": "SIMPLE_AD",
                "State": "REGISTERED",
                "Tenancy": "SHARED",
                "WorkspaceType": "PERSONAL",
                "UserIdentityType": "AWS_DIRECTORY_SERVICE",
            });
            (id, directory)
        });
        let limit = input.integer("Limit", (1, 25))?.unwrap_or(25);
        let (found, next) = page(
            "DescribeWorkspaceDirectories",
            shown,
            input.text("NextToken")?,
            usize::try_from(limit).unwrap_or(25),
        )
        .map_err(bad_token)?;
        Ok(paged("Directories", found, next))
    }

    fn describe_bundles(&self, input: Input<'_>) -> Result<Value, ApiError> {
        let ids = input.ids("BundleIds", BATCH, BUNDLE_ID)?;
        let amazon = input.text("Owner")?.is_none_or(|o| o == "AMAZON") || ids.is_some();
        let found = self
            .bundles
            .iter()
            .filter(|(id, _)| amazon && ids.as_ref().is_none_or(|ids| ids.contains(&id.as_str())));
        let shown = found.map(|(id, name)| {
            let bundle = json!({
                "BundleId": id,
                "Name": name,
                "Owner": "AMAZON",
                "RootStorage": {"Capacity": "80"},
                "UserStorage": {"Capacity": "50"},
                "ComputeType": {"Name": "STANDARD"},
                "State": "AVAILABLE",
                "BundleType": "REGULAR",
            });
            (id, bundle)
        });
        let (found, next) = page(
            "DescribeWorkspaceBundles",
            shown,
            input.text("NextToken")?,
            25,
        )
        .map_err(bad_token)?;
        Ok(paged("Bundles", found, next))
    }
}

fn paged(member: &str, items: Vec<Value>, next: Option<String>) -> Value {
    match next {
        Some(token) => json!({member: items, "NextToken": token}),
        None => json!({member: items}),
    }
}

fn not_found(id: &str) -> ApiError {
    ApiError::new(
        "ResourceNotFoundException",
        format!("The resource {id} could not be found."),
    )
    .member("ResourceId", id)
}

fn parameters(message: &str) -> ApiError {
    ApiError::new("InvalidParameterValuesException", message)
}

fn bad_token(_: BadToken) -> ApiError {
    parameters("The NextToken is not valid.")
}
