//! AWS Application Migration Service: source servers, and the test and cutover instances launched from them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::account::{ACCOUNT_ID, Scene, Tags, iso, seeded_at};
use super::error::ApiError;
use super::input::{Alphabet, BadToken, Input, Shape, missing, page};
use super::service::Service;

const SERVER_ID: Shape = Shape {
    prefix: "s-",
    length: (17, 17),
    alphabet: Alphabet::Alphanumeric,
    pattern: "s-[0-9a-zA-Z]{17}",
};
const JOB_ID: Shape = Shape {
    prefix: "mgnjob-",
    length: (17, 17),
    alphabet: Alphabet::Alphanumeric,
    pattern: "mgnjob-[0-9a-zA-Z]{17}",
};
const JOBS_MAX: usize = 1000;

/// The service in one region.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct State {
    pub servers: BTreeMap<String, Server>,
    /// The oldest go first when there are too many.
    jobs: BTreeMap<String, Job>,
    created: u32,
}

/// One source server.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Server {
    pub archive: Archive,
    pub life_cycle: LifeCycle,
    /// The test or cutover instance.
    pub launched: Option<String>,
    pub tags: Tags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Archive {
    Active,
    Archived,
}

/// `LifeCycleState`, those that the stand-in knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(in crate::sandbox) enum LifeCycle {
    ReadyForTest,
    Testing,
    ReadyForCutover,
    Cutover,
    Disconnected,
}

/// A job that terminates instances: the only kind that the stand-in starts.
#[derive(Debug, Clone)]
struct Job {
    created: SystemTime,
    settles: SystemTime,
    done: Option<SystemTime>,
    /// Source server and instance.
    servers: Vec<(String, String)>,
    tags: Tags,
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
            "DescribeSourceServers" => self.describe(input, scene),
            "TerminateTargetInstances" => self.terminate(input, scene),
            "DescribeJobs" => self.describe_jobs(input, scene),
            "MarkAsArchived" => self.archive(input, scene),
            "DeleteSourceServer" => self.delete(input),
            "ListTagsForResource" => Ok(json!({"tags": self.tags_of(input, scene)?})),
            "TagResource" => {
                let new = input.tag_map("tags")?.ok_or_else(|| missing("tags"))?;
                let tags = self.tags_of(input, scene)?;
                let mut all = tags.clone();
                all.extend(new);
                if all.len() > 50 {
                    return Err(validation("A resource can have up to 50 tags."));
                }
                *tags = all;
                Ok(json!({}))
            }
            "UntagResource" => {
                let keys = input
                    .texts("tagKeys", (1, 50))?
                    .ok_or_else(|| missing("tagKeys"))?;
                let tags = self.tags_of(input, scene)?;
                tags.retain(|key, _| !keys.contains(&key.as_str()));
                Ok(json!({}))
            }
            other => Err(ApiError::unknown_operation(Service::Mgn, other)),
        }
    }

    fn settle(&mut self, now: SystemTime) {
        for job in self.jobs.values_mut() {
            if job.done.is_none() && job.settles <= now {
                job.done = Some(job.settles);
            }
        }
        while self.jobs.len() > JOBS_MAX {
            self.jobs.pop_first();
        }
    }

    /// Without `isArchived` only those that aren't archived are shown.
    fn describe(&self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        own_account(input)?;
        let size = input.integer("maxResults", (1, 1000))?.unwrap_or(50);
        let (mut ids, mut archive, mut states) = (None, Archive::Active, None);
        if let Some(filters) = input.object("filters")? {
            ids = filters.ids("sourceServerIDs", (0, 200), SERVER_ID)?;
            states = filters.texts("lifeCycleStates", (0, 10))?;
            if filters.boolean("isArchived")? == Some(true) {
                archive = Archive::Archived;
            }
        }
        let matching = self.servers.iter().filter(|(id, s)| {
            s.archive == archive
                && ids
                    .as_ref()
                    .is_none_or(|ids| ids.is_empty() || ids.contains(&id.as_str()))
                && states.as_ref().is_none_or(|all| {
                    all.is_empty() || all.iter().any(|s2| json!(s.life_cycle) == *s2)
                })
        });
        let shown = matching.map(|(id, s)| (id, s.show(id, scene)));
        paged("DescribeSourceServers", shown, input, size)
    }

    fn terminate(&mut self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        own_account(input)?;
        let ids = input
            .ids("sourceServerIDs", (1, 200), SERVER_ID)?
            .ok_or_else(|| missing("sourceServerIDs"))?;
        let tags = input.tag_map("tags")?.unwrap_or_default();
        let mut servers: Vec<(String, String)> = Vec::new();
        for id in ids {
            let server = self
                .servers
                .get(id)
                .ok_or_else(|| validation(&format!("Source server {id} does not exist.")))?;
            if matches!(server.life_cycle, LifeCycle::Testing | LifeCycle::Cutover) {
                return Err(conflict(
                    id,
                    "The source server is in TESTING, CUTTING_OVER or CUTOVER.",
                ));
            }
            let instance = server
                .launched
                .clone()
                .ok_or_else(|| conflict(id, "The source server has no launched instance."))?;
            if !servers.iter().any(|(known, _)| known == id) {
                servers.push((id.to_owned(), instance));
            }
        }
        for (id, _) in &servers {
            if let Some(server) = self.servers.get_mut(id) {
                server.launched = None;
            }
        }
        self.created = self.created.saturating_add(1);
        let id = format!("mgnjob-sandbox{:010}", self.created);
        let job = Job {
            created: scene.now,
            settles: scene.settles(),
            done: None,
            servers,
            tags: tags.into_iter().collect(),
        };
        let shown = job.show(&id, scene);
        self.jobs.insert(id, job);
        Ok(json!({"job": shown}))
    }

    fn describe_jobs(&self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        own_account(input)?;
        let size = input.integer("maxResults", (1, 1000))?.unwrap_or(50);
        let ids = match input.object("filters")? {
            Some(filters) => filters.ids("jobIDs", (0, 1000), JOB_ID)?,
            None => None,
        };
        let shown = self
            .jobs
            .iter()
            .filter(|(id, _)| {
                ids.as_ref()
                    .is_none_or(|ids| ids.is_empty() || ids.contains(&id.as_str()))
            })
            .map(|(id, job)| (id, job.show(id, scene)));
        paged("DescribeJobs", shown, input, size)
    }

    fn archive(&mut self, input: Input<'_>, scene: Scene<'_>) -> Result<Value, ApiError> {
        let (id, server) = self.server(input)?;
        if !matches!(
            server.life_cycle,
            LifeCycle::Disconnected | LifeCycle::Cutover
        ) {
            return Err(conflict(
                id,
                "The source server must be DISCONNECTED or CUTOVER to be archived.",
            ));
        }
        server.archive = Archive::Archived;
        Ok(server.show(id, scene))
    }

    fn delete(&mut self, input: Input<'_>) -> Result<Value, ApiError> {
        let (id, server) = self.server(input)?;
        if server.archive == Archive::Active && server.life_cycle != LifeCycle::Disconnected {
            return Err(conflict(
                id,
                "The source server must be disconnected or archived to be deleted.",
            ));
        }
        self.servers.remove(id);
        Ok(json!({}))
    }

    fn server<'a>(&mut self, input: Input<'a>) -> Result<(&'a str, &mut Server), ApiError> {
        own_account(input)?;
        let id = input.required_id("sourceServerID", SERVER_ID)?;
        let server = self.servers.get_mut(id).ok_or_else(|| not_found(id))?;
        Ok((id, server))
    }

    /// The tags of the source server or job that `resourceArn` names.
    fn tags_of(&mut self, input: Input<'_>, scene: Scene<'_>) -> Result<&mut Tags, ApiError> {
        let arn = input.required_text("resourceArn")?;
        let resource = arn
            .strip_prefix(&scene.arn("mgn", ""))
            .and_then(|r| r.split_once('/'));
        match resource {
            Some(("source-server", id)) => self.servers.get_mut(id).map(|s| &mut s.tags),
            Some(("job", id)) => self.jobs.get_mut(id).map(|j| &mut j.tags),
            Some(_) | None => None,
        }
        .ok_or_else(|| not_found(arn))
    }
}

impl Server {
    fn show(&self, id: &str, scene: Scene<'_>) -> Value {
        let mut shown = json!({
            "sourceServerID": id,
            "arn": scene.arn("mgn", &format!("source-server/{id}")),
            "isArchived": self.archive == Archive::Archived,
            "tags": self.tags,
            "dataReplicationInfo": {"dataReplicationState": "CONTINUOUS", "replicatedDisks": []},
            "lifeCycle": {
                "addedToServiceDateTime": iso(seeded_at()),
                "firstByteDateTime": iso(seeded_at()),
                "lastSeenByServiceDateTime": iso(seeded_at()),
                "state": self.life_cycle,
            },
            "sourceProperties": {
                "identificationHints": {"hostname": format!("{id}.example.internal")},
                "os": {"fullString": "Ubuntu 24.04"},
            },
            "replicationType": "AGENT_BASED",
        });
        if let (Some(instance), Some(members)) = (&self.launched, shown.as_object_mut()) {
            members.insert(
                "launchedInstance".to_owned(),
                json!({"ec2InstanceID": instance, "firstBoot": "SUCCEEDED"}),
            );
        }
        shown
    }
}

impl Job {
    fn show(&self, id: &str, scene: Scene<'_>) -> Value {
        let status = if self.done.is_some() {
            "TERMINATED"
        } else {
            "PENDING"
        };
        let servers: Vec<Value> = self
            .servers
            .iter()
            .map(|(server, instance)| {
                json!({
                    "sourceServerID": server,
                    "launchStatus": status,
                    "launchedEc2InstanceID": instance,
                })
            })
            .collect();
        let mut shown = Map::new();
        shown.insert("jobID".to_owned(), id.into());
        shown.insert(
            "arn".to_owned(),
            scene.arn("mgn", &format!("job/{id}")).into(),
        );
        shown.insert("type".to_owned(), "TERMINATE".into());
        shown.insert("initiatedBy".to_owned(), "TERMINATE".into());
        shown.insert("creationDateTime".to_owned(), iso(self.created).into());
        if let Some(done) = self.done {
            shown.insert("endDateTime".to_owned(), iso(done).into());
        }
        shown.insert(
            "status".to_owned(),
            if self.done.is_some() {
                "COMPLETED"
            } else {
                "PENDING"
            }
            .into(),
        );
        shown.insert("participatingServers".to_owned(), servers.into());
        shown.insert("tags".to_owned(), json!(self.tags));
        Value::Object(shown)
    }
}

fn own_account(input: Input<'_>) -> Result<(), ApiError> {
    match input.text("accountID")? {
        None | Some(ACCOUNT_ID) => Ok(()),
        Some(other) => Err(ApiError::access_denied(
            Service::Mgn,
            format!("The account {other} is not managed by this one."),
        )),
    }
}

fn paged<'a>(
    operation: &str,
    items: impl Iterator<Item = (&'a String, Value)>,
    input: Input<'_>,
    size: u64,
) -> Result<Value, ApiError> {
    let size = usize::try_from(size).unwrap_or(50);
    let (found, next) = page(operation, items, input.text("nextToken")?, size)
        .map_err(|BadToken| validation("The nextToken is not valid."))?;
    Ok(match next {
        Some(token) => json!({"items": found, "nextToken": token}),
        None => json!({"items": found}),
    })
}

fn not_found(id: &str) -> ApiError {
    ApiError::with_status(
        404,
        "ResourceNotFoundException",
        format!("{id} does not exist."),
    )
    .member("resourceId", id)
    .member("resourceType", "SourceServer")
}

fn conflict(id: &str, message: &str) -> ApiError {
    ApiError::with_status(409, "ConflictException", message)
        .member("resourceId", id)
        .member("resourceType", "SourceServer")
}

fn validation(message: &str) -> ApiError {
    ApiError::new("ValidationException", message).member("reason", "other")
}
