//! A call, understood: who asks for what, on which resources.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::aws::catalog::Protocol;
use crate::aws::class::{Class, Group};
use crate::aws::value::Object;

/// Whose signature a call carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub name: String,
    pub groups: Vec<String>,
    /// The name of the `[credentials.*]` table in force for this call.
    pub credentials: String,
    /// The access key id that signed.
    pub access_key_id: String,
    /// The role as which the caller acts, where it has assumed one.
    pub role: Option<AssumedRole>,
    /// Where the key is that of a session.
    pub session: Option<Validity>,
}

/// A role that a caller has assumed: calls are signed upstream with its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumedRole {
    /// `arn:aws:iam::123456789012:role/path/name`.
    pub arn: String,
    /// The account that the role is of, twelve digits.
    pub account: String,
    /// As the caller named the session.
    pub session_name: String,
    /// What the role's trust policy may ask for.
    pub external_id: Option<String>,
}

impl AssumedRole {
    /// The session's own ARN, `arn:aws:sts::123456789012:assumed-role/name/session`: the role's name without its path.
    #[must_use]
    pub fn session_arn(&self) -> String {
        let partition = self.arn.split(':').nth(1).unwrap_or_default();
        let name = self.arn.rsplit_once('/').map_or("", |(_, name)| name);
        let (account, session) = (&self.account, &self.session_name);
        format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session}")
    }
}

/// From when until when a session is good, and what it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    /// The access key id of the lasting key with which it was begun.
    pub parent: Option<String>,
    /// The `[credentials.*]` table that it names in the place of the caller's own.
    pub credentials: Option<String>,
    pub begun: SystemTime,
    /// From this moment on it is over.
    pub expires: SystemTime,
}

/// What callers are called whose key isn't Palisade's; no configured caller may have this name.
pub const UNVERIFIED: &str = "unverified";

impl Caller {
    /// Somebody with a key of their own of AWS's: in no group, without credentials of ours.
    #[must_use]
    pub fn unverified(access_key_id: &str) -> Self {
        Self {
            name: UNVERIFIED.to_owned(),
            groups: Vec::new(),
            credentials: String::new(),
            access_key_id: access_key_id.to_owned(),
            role: None,
            session: None,
        }
    }

    /// Whether it is known here who signed.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.name != UNVERIFIED
    }
}

/// `service:Operation`, as policies spell it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Action {
    pub service: String,
    pub operation: String,
}

impl Action {
    /// As policies spell it.
    #[must_use]
    pub fn name(&self) -> String {
        [&self.service, ":", &self.operation].concat()
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.operation)
    }
}

/// One API call, identified and authenticated; parsed if it is guarded.
#[derive(Debug, Clone)]
pub struct Call {
    pub id: DecisionId,
    pub action: Action,
    /// Of this very call: where a condition of its operation holds, another than the operation's.
    pub class: Class,
    pub group: Option<Group>,
    /// Whether it is read in full, and sent as it was read. Every guarded call is, and one whose class its input tells.
    pub parsed: bool,
    /// Whether of a parsed call the member that is its whole body goes on unread: its head tells what it is.
    pub body_beside: bool,
    /// Whether its record is durable before it is sent, and signed with what only such calls are.
    pub guarded: bool,
    pub protocol: Protocol,
    pub partition: String,
    pub region: String,
    /// The account that the call acts in.
    pub account: String,
    pub caller: Arc<Caller>,
    pub source_ip: IpAddr,
    pub user_agent: Option<String>,
    /// The parameters; empty for a call that isn't parsed.
    pub input: Object,
}

/// Names one decision: a UUIDv7, in every answer, record and log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DecisionId(pub uuid::Uuid);

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// What became of a call, or of one of its resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Allowed,
    /// It went on, though it would have been refused: the guard, or the policy, only monitors.
    WouldRefuse,
    Refused,
}

impl Verdict {
    /// Every verdict, for metrics that begin at zero.
    pub const ALL: [Verdict; 3] = [Verdict::Allowed, Verdict::WouldRefuse, Verdict::Refused];

    /// Whether the call went on.
    #[must_use]
    pub const fn goes_on(self) -> bool {
        match self {
            Verdict::Allowed | Verdict::WouldRefuse => true,
            Verdict::Refused => false,
        }
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Allowed => "allowed",
            Verdict::WouldRefuse => "would_refuse",
            Verdict::Refused => "refused",
        }
    }
}

/// `mode` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Enforce,
    Monitor,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 2] = [Mode::Enforce, Mode::Monitor];

    /// The mode as the configuration spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Monitor => "monitor",
        }
    }
}

/// What became of an allowed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// AWS answered.
    Sent,
    /// Nothing reached AWS.
    NotSent,
    /// Nothing was sent: the guard answered it by itself.
    Answered,
    /// The send began and no answer came: it may have happened.
    Unknown,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 4] = [
        Outcome::Sent,
        Outcome::NotSent,
        Outcome::Answered,
        Outcome::Unknown,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Sent => "sent",
            Outcome::NotSent => "not_sent",
            Outcome::Answered => "answered",
            Outcome::Unknown => "unknown",
        }
    }
}
