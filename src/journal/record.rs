//! A [`Record`]: one event, ready to be written. It can be made only here, from what happened; text that an
//! outsider controls is clipped, and what is too large for a line is replaced by its hash.

use std::borrow::Cow;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::bound::{CODE_BYTES_MAX, MESSAGE_BYTES_MAX, clip, shrink};
use super::chain::Link;
use super::event::{
    Actor, Endpoint, Event, JudgedResource, Phase, ResourceData, ResourceDetails, User,
};
use super::fill::{
    Severity, Status, activity, blank, happen, judged, key, millis, of_call, refuse, severity,
    status,
};
use super::id::uuid_at;
use super::json_text::JsonText;
use crate::guard::call::{Call, DecisionId, Mode, Outcome, Verdict};

/// One event, ready to be written. Its place in the chain is given to it when it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub(super) event: Box<Event>,
}

/// What was judged, and how.
#[derive(Debug, Clone)]
pub struct Decision<'a> {
    pub time: SystemTime,
    pub call: &'a Call,
    /// The client's port.
    pub source_port: Option<u16>,
    pub judgement: Judgement,
    /// What would have refused it, had somebody not only monitored.
    pub would: Option<Would>,
    /// The policies that decided, by `@id`.
    pub policies: Vec<String>,
    pub ruleset_hash: String,
    pub mode: Mode,
    pub batch_size: u64,
    /// The role whose session signs upstream.
    pub upstream_role: Option<String>,
    /// `upstream.dangerous_override`, where it is set.
    pub upstream_override: Option<String>,
    /// The parameters, as [`redact`](super::redact()) gives them; `Null` for an unguarded call.
    pub input: JsonText,
    /// What lookups learnt; `Null` where nothing was looked up.
    pub facts: JsonText,
    /// Cedar's context, without `input`.
    pub context: JsonText,
    pub resources: Vec<Resource>,
}

/// What came of the judgement.
#[derive(Debug, Clone)]
pub enum Judgement {
    /// Allowed, and not sent yet: an outcome follows in a record of its own.
    Allowed,
    /// Allowed and over: an unguarded call, recorded with its outcome.
    Done(Happened),
    Refused(Refused),
}

/// Why a call that was forwarded would have been refused.
#[derive(Debug, Clone)]
pub struct Would {
    /// The refusal's name, from its closed set.
    pub reason: &'static str,
    /// What the client would have been told.
    pub message: String,
}

/// Why a call was not forwarded.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The refusal's name, from its closed set.
    pub reason: &'static str,
    /// The HTTP status that the client got.
    pub status: u16,
    /// The error code that the client got: `AccessDeniedException`.
    pub code: String,
    /// What the client was told.
    pub message: String,
}

/// What became of a call at AWS.
#[derive(Debug, Clone)]
pub struct Happened {
    pub outcome: Outcome,
    /// The HTTP status of AWS's answer.
    pub upstream_status: Option<u16>,
    pub aws_request_id: Option<String>,
    /// AWS's error code, or what kept the call from being answered.
    pub error: Option<String>,
    pub error_message: Option<String>,
}

/// One thing that the call would affect.
#[derive(Debug, Clone)]
pub struct Resource {
    /// The id as AWS spells it.
    pub id: String,
    pub arn: Option<String>,
    /// CloudFormation's name, or `service:Noun`.
    pub kind: String,
    pub verdict: Verdict,
    pub policies: Vec<String>,
}

/// What is kept of an allowed decision until its outcome is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending(Box<Event>);

/// An allowed decision's outcome.
#[derive(Debug, Clone)]
pub struct OutcomeRecord {
    pub time: SystemTime,
    pub pending: Pending,
    pub happened: Happened,
}

/// A CONNECT to a host that isn't an AWS API.
#[derive(Debug, Clone)]
pub struct Tunnel {
    pub time: SystemTime,
    pub host: String,
    pub port: u16,
    pub source: std::net::SocketAddr,
    /// Who proved to ask for it, by name.
    pub caller: Option<String>,
    pub verdict: Verdict,
    /// Why it was refused, from a closed set.
    pub reason: Option<&'static str>,
}

/// Something of the guard itself.
#[derive(Debug, Clone)]
pub enum Lifecycle {
    Start {
        ruleset_hash: String,
        catalog: String,
        mode: Mode,
        upstream_override: Option<String>,
    },
    /// The guard stops in order: whatever was in flight has its outcome.
    Stop,
    /// The configuration and all it names were read anew and came into force.
    Reload {
        /// Hashes of the rule sets.
        old: String,
        new: String,
        mode: Mode,
    },
    /// What was read anew is refused; the last good set stays in force.
    ReloadRefused { ruleset_hash: String, error: String },
    KeyIssued {
        caller: String,
        access_key_id: String,
    },
    /// The first call that a key signed.
    KeyFirstUsed {
        caller: String,
        access_key_id: String,
    },
    KeyRevoked {
        caller: String,
        access_key_id: String,
    },
    /// A torn line was found at the end of the journal.
    Sealed(super::event::Sealed),
    /// From this record's time on the journal could not be written, until it could.
    JournalFailed { error: String },
}

impl Record {
    /// The record of a decision.
    #[must_use]
    pub fn decision(decision: Decision<'_>) -> Self {
        let call = decision.call;
        let mut event = of_call(decision.time, call, decision.source_port);
        let own = &mut event.unmapped.palisade;
        own.ruleset_hash = Some(decision.ruleset_hash);
        own.mode = Some(decision.mode);
        own.batch_size = Some(decision.batch_size);
        own.upstream_role = decision.upstream_role;
        own.upstream_override = decision.upstream_override;
        own.policies.clone_from(&decision.policies);
        own.input = decision.input;
        own.facts = decision.facts;
        own.context = decision.context;
        shrink([&mut own.input, &mut own.facts, &mut own.context]);
        if let Some(would) = &decision.would {
            own.reason = Some(would.reason.into());
            own.message = Some(clip(would.message.clone(), MESSAGE_BYTES_MAX).into());
        }
        let verdict = match (&decision.judgement, &decision.would) {
            (Judgement::Allowed | Judgement::Done(_), None) => Verdict::Allowed,
            (Judgement::Allowed | Judgement::Done(_), Some(_)) => Verdict::WouldRefuse,
            (Judgement::Refused(_), _) => Verdict::Refused,
        };
        judged(&mut event, verdict, decision.policies);
        for resource in decision.resources {
            event.resources.push(ResourceDetails {
                uid: resource.id.clone(),
                kind: Some(resource.kind.into()),
                region: Some(call.region.clone()),
                cloud_partition: Some(call.partition.clone()),
                data: resource.arn.map(|arn| ResourceData { arn }),
            });
            event.unmapped.palisade.resources.push(JudgedResource {
                id: resource.id,
                verdict: resource.verdict,
                policies: resource.policies,
            });
        }
        match decision.judgement {
            Judgement::Allowed => {}
            Judgement::Done(happened) => happen(&mut event, happened),
            Judgement::Refused(refused) => refuse(&mut event, refused),
        }
        Self { event }
    }

    /// With the access key id of the virtual session that the call begins.
    #[must_use]
    pub fn beginning(mut self, access_key_id: &str) -> Self {
        self.event.unmapped.palisade.session = Some(access_key_id.to_owned());
        self
    }

    /// The record of what became of an allowed call.
    #[must_use]
    pub fn outcome(outcome: OutcomeRecord) -> Self {
        let mut event = outcome.pending.0;
        event.time = millis(outcome.time);
        event.metadata.uid = uuid_at(outcome.time);
        happen(&mut event, outcome.happened);
        Self { event }
    }

    /// The record of a tunnel. It stays an API Activity event, operation `CONNECT`, rather than OCSF's Network
    /// Activity: one class to query, and the profile's verdict stands in the same places.
    #[must_use]
    pub fn tunnel(tunnel: Tunnel) -> Self {
        let mut event = blank(tunnel.time, Phase::Tunnel);
        activity(&mut event, 99, "Connect");
        event.api.operation = "CONNECT".into();
        event.actor = Actor {
            user: Some(User {
                name: tunnel
                    .caller
                    .clone()
                    .map_or_else(|| "unverified".into(), Cow::Owned),
                uid: tunnel.caller,
                credential_uid: None,
                groups: Vec::new(),
            }),
            session: None,
            app_name: None,
        };
        event.src_endpoint = Endpoint {
            ip: Some(tunnel.source.ip()),
            port: Some(tunnel.source.port()),
            ..Endpoint::default()
        };
        event.dst_endpoint = Some(Endpoint {
            hostname: Some(clip(tunnel.host, CODE_BYTES_MAX)),
            port: Some(tunnel.port),
            ..Endpoint::default()
        });
        judged(&mut event, tunnel.verdict, Vec::new());
        match tunnel.verdict {
            Verdict::Allowed | Verdict::WouldRefuse => status(&mut event, Status::Success),
            Verdict::Refused => status(&mut event, Status::Failure),
        }
        event.unmapped.palisade.reason = tunnel.reason.map(Cow::Borrowed);
        Self { event }
    }

    /// The record of something of the guard itself.
    #[must_use]
    pub fn lifecycle(time: SystemTime, lifecycle: Lifecycle) -> Self {
        let mut event = blank(time, Phase::Lifecycle);
        let (name, detail) = match lifecycle {
            Lifecycle::Start {
                ruleset_hash,
                catalog,
                mode,
                upstream_override,
            } => {
                event.unmapped.palisade.ruleset_hash = Some(ruleset_hash);
                event.unmapped.palisade.mode = Some(mode);
                event.unmapped.palisade.upstream_override = upstream_override;
                ("start", json!({ "catalog": catalog }))
            }
            Lifecycle::Stop => ("stop", Value::Null),
            Lifecycle::Reload { old, new, mode } => {
                event.unmapped.palisade.mode = Some(mode);
                event.unmapped.palisade.ruleset_hash = Some(new.clone());
                ("reload", json!({ "old": old, "new": new }))
            }
            Lifecycle::ReloadRefused {
                ruleset_hash,
                error,
            } => {
                severity(&mut event, Severity::Medium);
                event.unmapped.palisade.ruleset_hash = Some(ruleset_hash);
                let error = clip(error, MESSAGE_BYTES_MAX);
                ("reload_refused", json!({ "error": error }))
            }
            Lifecycle::KeyIssued {
                caller,
                access_key_id,
            } => ("key_issued", key(&mut event, caller, access_key_id)),
            Lifecycle::KeyFirstUsed {
                caller,
                access_key_id,
            } => ("key_first_used", key(&mut event, caller, access_key_id)),
            Lifecycle::KeyRevoked {
                caller,
                access_key_id,
            } => ("key_revoked", key(&mut event, caller, access_key_id)),
            Lifecycle::Sealed(sealed) => {
                event.unmapped.palisade.sealed = Some(sealed);
                severity(&mut event, Severity::Medium);
                ("sealed", Value::Null)
            }
            Lifecycle::JournalFailed { error } => {
                severity(&mut event, Severity::Medium);
                let error = clip(error, MESSAGE_BYTES_MAX);
                ("journal_failed", json!({ "error": error }))
            }
        };
        activity(&mut event, 99, name);
        event.api.operation = name.into();
        event.unmapped.palisade.event = Some(name.into());
        if let Value::Object(detail) = detail {
            event.unmapped.palisade.detail = detail;
        }
        status(&mut event, Status::Success);
        Self { event }
    }

    /// What was recorded, in OCSF's words.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// What to keep until the outcome is known; `None` unless this is an allowed decision whose outcome follows.
    #[must_use]
    pub fn into_pending(self) -> Option<Pending> {
        Pending::of(self.event)
    }
}

impl Pending {
    pub(super) fn of(mut event: Box<Event>) -> Option<Self> {
        let own = &mut event.unmapped.palisade;
        if own.phase != Phase::Decision
            || !own.verdict.is_some_and(Verdict::goes_on)
            || own.outcome.is_some()
        {
            return None;
        }
        own.phase = Phase::Outcome;
        own.input = JsonText::NULL;
        own.facts = JsonText::NULL;
        own.context = JsonText::NULL;
        own.resources.clear();
        own.previous = Link::FIRST;
        event.metadata.sequence = 0;
        Some(Self(event))
    }

    /// The decision whose outcome it waits for.
    #[must_use]
    pub fn decision_id(&self) -> Option<DecisionId> {
        self.0.unmapped.palisade.decision_id
    }
}
