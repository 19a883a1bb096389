//! The account that the stand-in plays: its resources, region by region.
//!
//! INVARIANT: pure. A call takes the account, its parameters and the time; nothing here knows a socket.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::input::Input;
use super::service::Service;
use super::{evs, mgn, servicecatalog, sts, workspaces, workspaces_instances};

/// The one account.
pub const ACCOUNT_ID: &str = "123456789012";

/// How long a change takes until it has settled (a WorkSpace that is stopping has stopped).
pub const SETTLE: Duration = Duration::from_secs(60);

/// How many resources of a kind may be there in one region; one more is refused as over quota.
pub(super) const QUOTA: usize = 500;

const REGIONS_MAX: usize = 40;

/// Everything in the account. Each region begins as a copy of the same seed, made when it is first asked;
/// from then on its state is its own.
#[derive(Debug, Clone, Default)]
pub struct Account {
    seed: Region,
    regions: BTreeMap<String, Region>,
}

/// What one region holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Region {
    pub workspaces: workspaces::State,
    pub instances: workspaces_instances::State,
    pub catalog: servicecatalog::State,
    pub mgn: mgn::State,
    pub evs: evs::State,
}

/// Where and when a call happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub region: &'a str,
    pub now: SystemTime,
}

impl Account {
    /// An account without resources.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    pub(super) fn seeded(seed: Region) -> Self {
        Self {
            seed,
            regions: BTreeMap::new(),
        }
    }

    /// Does one call and gives its result, or the error that the service would report. A call that is refused
    /// changes nothing, but where the service itself reports failures item by item.
    ///
    /// # Errors
    /// [`ApiError`], with the service's own code.
    pub fn call(
        &mut self,
        service: Service,
        region: &str,
        operation: &str,
        input: &Map<String, Value>,
        now: SystemTime,
    ) -> Result<Value, ApiError> {
        let scene = Scene { region, now };
        let input = Input::new(input);
        let state = self.region(region, service)?;
        match service {
            Service::Workspaces => state.workspaces.call(operation, input, scene),
            Service::WorkspacesInstances => state.instances.call(operation, input, scene),
            Service::ServiceCatalog => state.catalog.call(operation, input, scene),
            Service::Mgn => state.mgn.call(operation, input, scene),
            Service::Evs => state.evs.call(operation, input, scene),
            Service::Sts => sts::call(operation, input),
        }
    }

    fn region(&mut self, name: &str, service: Service) -> Result<&mut Region, ApiError> {
        if !self.regions.contains_key(name) && self.regions.len() >= REGIONS_MAX {
            return Err(ApiError::internal(service));
        }
        let seed = &self.seed;
        Ok(self
            .regions
            .entry(name.to_owned())
            .or_insert_with(|| seed.clone()))
    }
}

impl Scene<'_> {
    pub(super) fn arn(self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{ACCOUNT_ID}:{resource}", self.region)
    }

    /// When a change that begins now has settled.
    pub(super) fn settles(self) -> SystemTime {
        self.now.checked_add(SETTLE).unwrap_or(self.now)
    }
}

/// Tags of one resource.
pub(super) type Tags = BTreeMap<String, String>;

/// Tags as `[{Key, Value}]`.
pub(super) fn tag_list(tags: &Tags) -> Value {
    tags.iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}

/// A timestamp as the JSON protocols write it: seconds since 1970.
pub(super) fn epoch(at: SystemTime) -> Value {
    let millis = at
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
    if millis.is_multiple_of(1000) {
        return (millis / 1000).into();
    }
    serde_json::Number::from_f64(Duration::from_millis(millis).as_secs_f64())
        .map_or(Value::Null, Value::Number)
}

/// A timestamp as text: `2026-01-01T00:00:00Z`.
pub(super) fn iso(at: SystemTime) -> String {
    let at = time::OffsetDateTime::from(at);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// When the seeded resources were made: 2026-01-01T00:00:00Z.
pub(super) fn seeded_at() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}
