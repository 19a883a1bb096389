//! One WorkSpace: its states, and what may be done in each.

use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::account::{Scene, Tags};
use super::error::ApiError;
use super::input::Input;

/// One desktop.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Workspace {
    pub directory: String,
    pub user: String,
    pub bundle: String,
    pub name: Option<String>,
    /// `WorkspaceProperties`, as the service shows them.
    pub properties: Map<String, Value>,
    pub status: Status,
    pub change: Option<Change>,
    pub tags: Tags,
}

/// `WorkspaceState`, those that the stand-in knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(in crate::sandbox) enum Status {
    Pending,
    Available,
    Unhealthy,
    Rebooting,
    Starting,
    Rebuilding,
    Restoring,
    Terminating,
    Suspended,
    Stopping,
    Stopped,
}

/// A change under way.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) struct Change {
    settles: SystemTime,
    then: Then,
}

#[derive(Debug, Clone, Copy)]
enum Then {
    Becomes(Status),
    Gone,
}

impl Change {
    /// A change that begins now and ends in a state.
    pub(in crate::sandbox) fn to(status: Status, scene: Scene<'_>) -> Self {
        Self {
            settles: scene.settles(),
            then: Then::Becomes(status),
        }
    }
}

impl Workspace {
    /// Ends the change under way if its time has come; says whether the WorkSpace is still there.
    pub(in crate::sandbox) fn settle(&mut self, now: SystemTime) -> bool {
        let Some(change) = self.change.filter(|c| c.settles <= now) else {
            return true;
        };
        self.change = None;
        match change.then {
            Then::Becomes(status) => {
                self.status = status;
                true
            }
            Then::Gone => false,
        }
    }

    pub(in crate::sandbox) fn restore(&mut self, scene: Scene<'_>) -> Result<(), ApiError> {
        if !matches!(
            self.status,
            Status::Available | Status::Unhealthy | Status::Stopped
        ) {
            return Err(ApiError::new(
                "OperationNotSupportedException",
                "The WorkSpace must be AVAILABLE, ERROR, UNHEALTHY or STOPPED to be restored.",
            ));
        }
        self.begin(scene, Status::Restoring, Then::Becomes(Status::Available));
        Ok(())
    }

    pub(in crate::sandbox) fn modify(&mut self, new: Input<'_>) -> Result<(), ApiError> {
        if !matches!(self.status, Status::Available | Status::Stopped) {
            return Err(ApiError::new(
                "InvalidResourceStateException",
                "The WorkSpace must be AVAILABLE or STOPPED to be modified.",
            ));
        }
        self.properties = modified(&self.properties, new)?;
        Ok(())
    }

    fn begin(&mut self, scene: Scene<'_>, now: Status, then: Then) {
        self.status = now;
        self.change = Some(Change {
            settles: scene.settles(),
            then,
        });
    }

    fn running_mode(&self) -> Option<&str> {
        self.properties.get("RunningMode").and_then(Value::as_str)
    }

    pub(in crate::sandbox) fn terminate(&mut self, scene: Scene<'_>) -> Result<(), ApiError> {
        if self.status == Status::Suspended {
            return Err(wrong_state("A SUSPENDED WorkSpace cannot be terminated."));
        }
        if self.status != Status::Terminating {
            self.begin(scene, Status::Terminating, Then::Gone);
        }
        Ok(())
    }

    pub(in crate::sandbox) fn rebuild(&mut self, scene: Scene<'_>) -> Result<(), ApiError> {
        if !matches!(
            self.status,
            Status::Available | Status::Unhealthy | Status::Stopped | Status::Rebooting
        ) {
            return Err(wrong_state(
                "The WorkSpace must be AVAILABLE, ERROR, UNHEALTHY, STOPPED or REBOOTING to be rebuilt.",
            ));
        }
        self.begin(scene, Status::Rebuilding, Then::Becomes(Status::Available));
        Ok(())
    }

    pub(in crate::sandbox) fn reboot(&mut self, scene: Scene<'_>) -> Result<(), ApiError> {
        if !matches!(
            self.status,
            Status::Available | Status::Unhealthy | Status::Rebooting
        ) {
            return Err(wrong_state(
                "The WorkSpace must be AVAILABLE, UNHEALTHY or REBOOTING to be rebooted.",
            ));
        }
        self.begin(scene, Status::Rebooting, Then::Becomes(Status::Available));
        Ok(())
    }

    pub(in crate::sandbox) fn stop(&mut self, scene: Scene<'_>) -> Result<(), ApiError> {
        if self.running_mode() == Some("ALWAYS_ON")
            || !matches!(self.status, Status::Available | Status::Unhealthy)
        {
            return Err(wrong_state(
                "The WorkSpace must run in AUTO_STOP or MANUAL mode and be AVAILABLE or UNHEALTHY to be stopped.",
            ));
        }
        self.begin(scene, Status::Stopping, Then::Becomes(Status::Stopped));
        Ok(())
    }

    pub(in crate::sandbox) fn start(&mut self, scene: Scene<'_>) -> Result<(), ApiError> {
        if self.running_mode() == Some("ALWAYS_ON") || self.status != Status::Stopped {
            return Err(wrong_state(
                "The WorkSpace must run in AUTO_STOP or MANUAL mode and be STOPPED to be started.",
            ));
        }
        self.begin(scene, Status::Starting, Then::Becomes(Status::Available));
        Ok(())
    }

    pub(in crate::sandbox) fn show(&self, id: &str) -> Value {
        let mut shown = json!({
            "WorkspaceId": id,
            "DirectoryId": self.directory,
            "UserName": self.user,
            "State": self.status,
            "BundleId": self.bundle,
            "SubnetId": "subnet-0a0a0a0a",
            "ComputerName": id.to_ascii_uppercase(),
            "UserVolumeEncryptionEnabled": false,
            "RootVolumeEncryptionEnabled": false,
            "WorkspaceProperties": self.properties,
            "ModificationStates": [],
        });
        if let (Some(name), Some(members)) = (&self.name, shown.as_object_mut()) {
            members.insert("WorkspaceName".to_owned(), name.as_str().into());
        }
        shown
    }
}

/// `WorkspaceProperties` of a WorkSpace for which none were asked.
pub(in crate::sandbox) fn default_properties() -> Map<String, Value> {
    properties("ALWAYS_ON")
}

/// `WorkspaceProperties` of a WorkSpace in a running mode.
pub(in crate::sandbox) fn properties(running_mode: &str) -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("RunningMode".to_owned(), running_mode.into());
    if running_mode == "AUTO_STOP" {
        all.insert("RunningModeAutoStopTimeoutInMinutes".to_owned(), 60.into());
    }
    all.insert("RootVolumeSizeGib".to_owned(), 80.into());
    all.insert("UserVolumeSizeGib".to_owned(), 50.into());
    all.insert("ComputeTypeName".to_owned(), "STANDARD".into());
    all.insert("Protocols".to_owned(), json!(["WSP"]));
    all.insert("OperatingSystemName".to_owned(), "WINDOWS_11".into());
    all
}

/// Properties with the given ones over them: volumes only grow, and an auto-stop timeout is in whole hours.
pub(in crate::sandbox) fn modified(
    old: &Map<String, Value>,
    new: Input<'_>,
) -> Result<Map<String, Value>, ApiError> {
    let mut all = old.clone();
    if let Some(mode) = new.word("RunningMode", &["AUTO_STOP", "ALWAYS_ON", "MANUAL"])? {
        all.insert("RunningMode".to_owned(), mode.into());
        if mode == "AUTO_STOP" {
            all.entry("RunningModeAutoStopTimeoutInMinutes")
                .or_insert_with(|| 60.into());
        } else {
            all.remove("RunningModeAutoStopTimeoutInMinutes");
        }
    }
    if let Some(minutes) = new.integer("RunningModeAutoStopTimeoutInMinutes", (0, 100_000))? {
        if all.get("RunningMode").and_then(Value::as_str) != Some("AUTO_STOP") {
            return Err(parameters(
                "An auto-stop timeout needs the running mode AUTO_STOP.",
            ));
        }
        if minutes == 0 || minutes % 60 != 0 {
            return Err(parameters(
                "The auto-stop timeout must be a multiple of 60 minutes.",
            ));
        }
        all.insert(
            "RunningModeAutoStopTimeoutInMinutes".to_owned(),
            minutes.into(),
        );
    }
    for volume in ["RootVolumeSizeGib", "UserVolumeSizeGib"] {
        if let Some(size) = new.integer(volume, (0, 100_000))? {
            if old
                .get(volume)
                .and_then(Value::as_u64)
                .is_some_and(|was| size < was)
            {
                return Err(parameters("A volume cannot be made smaller."));
            }
            all.insert(volume.to_owned(), size.into());
        }
    }
    if let Some(compute) = new.text("ComputeTypeName")? {
        all.insert("ComputeTypeName".to_owned(), compute.into());
    }
    if let Some(protocols) = new.texts("Protocols", (0, 2))? {
        all.insert("Protocols".to_owned(), json!(protocols));
    }
    Ok(all)
}

fn parameters(message: &str) -> ApiError {
    ApiError::new("InvalidParameterValuesException", message)
}

fn wrong_state(message: &str) -> ApiError {
    ApiError::new("InvalidResourceState.Workspace", message)
}
