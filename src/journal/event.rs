//! The shape of a line: one [OCSF 1.3 API Activity](https://schema.ocsf.io/1.3.0/classes/api_activity) event with
//! the `cloud` and `security_control` profiles, and the guard's own fields in `unmapped.palisade`. Declared once:
//! what is written, read back, logged, counted and shown goes through these types.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::chain::Link;
use super::json_text::JsonText;
use crate::aws::class::Class;
use crate::guard::call::{DecisionId, Mode, Outcome, Verdict};

/// The version of OCSF that the lines follow.
pub const OCSF_VERSION: &str = "1.3.0";

/// Text that is mostly fixed.
pub type Text = Cow<'static, str>;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// 1 create, 2 read, 3 update, 4 delete, 99 other, which `activity_name` then names.
    pub activity_id: u32,
    pub activity_name: Text,
    pub category_uid: u32,
    pub category_name: Text,
    pub class_uid: u32,
    pub class_name: Text,
    /// `class_uid` · 100 + `activity_id`.
    pub type_uid: u32,
    pub type_name: Text,
    /// Milliseconds since 1970.
    pub time: i64,
    /// 1 informational, 2 low, 3 medium.
    pub severity_id: u32,
    pub severity: Text,
    /// 0 not known, 1 success, 2 failure.
    pub status_id: u32,
    pub status: Text,
    /// The error code, AWS's or the guard's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_detail: Option<Text>,
    pub metadata: Metadata,
    /// 1 allowed, 2 denied; absent where nothing was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_id: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Text>,
    /// 1 allowed, 2 blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition_id: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<Text>,
    /// The policies that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorizations: Vec<Authorization>,
    pub cloud: Cloud,
    pub actor: Actor,
    pub api: Api,
    pub src_endpoint: Endpoint,
    /// Where a tunnel leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst_endpoint: Option<Endpoint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_request: Option<HttpRequest>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceDetails>,
    pub unmapped: Unmapped,
}

/// `metadata`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    pub version: Text,
    pub product: Product,
    pub profiles: Vec<Text>,
    /// Names this event alone: a UUIDv7.
    pub uid: Uuid,
    /// Names the decision that a decision and its outcome share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_uid: Option<DecisionId>,
    /// The place in the journal, from 1 and without gaps; 0 until the line is written.
    pub sequence: u64,
}

/// `metadata.product`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Product {
    pub name: Text,
    pub vendor_name: Text,
    pub version: Text,
}

/// One of `authorizations`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Authorization {
    pub decision: Text,
    pub policy: PolicyReference,
}

/// `authorizations[].policy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyReference {
    /// The policy's `@id`.
    pub uid: String,
}

/// `cloud`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cloud {
    pub provider: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
}

/// `cloud.account`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub uid: String,
}

/// `actor`: the caller, or the guard itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Actor {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// The virtual session, where the key that signed is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_name: Option<Text>,
}

/// `actor.user`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub name: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The access key id that signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_uid: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupReference>,
}

/// `actor.session`: never its secret, nor its token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionReference {
    /// Its access key id.
    pub uid: String,
    /// The ARN that AWS gives such a session, where it is that of a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid_alt: Option<String>,
    /// The ARN of the role in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The access key id of the lasting key with which it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_uid: Option<String>,
    /// Milliseconds since 1970, as the next.
    pub created_time: i64,
    pub expiration_time: i64,
}

/// `actor.user.groups[]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupReference {
    pub name: String,
}

/// `api`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Api {
    pub operation: Text,
    pub service: ServiceReference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
}

/// `api.service`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceReference {
    pub name: Text,
}

/// `api.request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestReference {
    /// The decision's id, which the client has as its request id.
    pub uid: String,
}

/// `api.response`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// `src_endpoint` and `dst_endpoint`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Endpoint {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// `http_request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpRequest {
    pub user_agent: String,
}

/// One of `resources`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceDetails {
    pub uid: String,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_partition: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<ResourceData>,
}

/// `resources[].data`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceData {
    pub arn: String,
}

/// `unmapped`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unmapped {
    pub palisade: Palisade,
}

/// The guard's own fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Palisade {
    pub phase: Phase,
    /// What happened, in [`Phase::Lifecycle`]: `start`, `key_issued`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Text>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<DecisionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Why it was refused, or would have been, from a closed set; or why an outcome isn't known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// What the caller of a call that would have been refused would have been told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Text>,
    /// The policies that decided, by `@id`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruleset_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_role: Option<String>,
    /// The access key id of the virtual session that the call began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// `upstream.dangerous_override`, where it is set: what was judged did not go to AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_override: Option<String>,
    #[serde(default, skip_serializing_if = "JsonText::is_null")]
    pub input: JsonText,
    #[serde(default, skip_serializing_if = "JsonText::is_null")]
    pub facts: JsonText,
    #[serde(default, skip_serializing_if = "JsonText::is_null")]
    pub context: JsonText,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<JudgedResource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    /// A torn line that this line accounts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Sealed>,
    /// What else there is to say of a [`Phase::Lifecycle`] event.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub detail: Map<String, Value>,
    /// The hash of the line before.
    pub previous: Link,
}

/// One of `unmapped.palisade.resources`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgedResource {
    pub id: String,
    pub verdict: Verdict,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

/// A torn line: the bytes between the last whole line and the line that carries this. They stay where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// How many bytes, without the newline that ends them.
    pub bytes: u64,
    /// Their hash; `previous` of the same line has it too.
    pub sha256: Link,
    /// The hash of the last whole line before them.
    pub after: Link,
}

/// What kind of record a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A call was judged.
    Decision,
    /// What became of an allowed call.
    Outcome,
    /// A CONNECT to a host that isn't an AWS API.
    Tunnel,
    /// Something of the guard itself.
    Lifecycle,
}

impl Event {
    /// Whose call it was; `palisade` for what the guard did itself.
    #[must_use]
    pub fn caller(&self) -> &str {
        match &self.actor.user {
            Some(user) => &user.name,
            None => self.actor.app_name.as_deref().unwrap_or("-"),
        }
    }

    /// `service:Operation`; `palisade:start` for what the guard did itself.
    #[must_use]
    pub fn action(&self) -> String {
        format!("{}:{}", self.api.service.name, self.api.operation)
    }
}
