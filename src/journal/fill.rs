//! Fills an [`Event`] in: which of OCSF's numbers and words stand for what happened here.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::bound::{CODE_BYTES_MAX, MESSAGE_BYTES_MAX, USER_AGENT_BYTES_MAX, clip};
use super::chain::Link;
use super::event::{
    Account, Actor, Api, Authorization, Cloud, Endpoint, Event, GroupReference, HttpRequest,
    Metadata, OCSF_VERSION, Palisade, Phase, PolicyReference, Product, RequestReference,
    ResourceDetails, Response, ServiceReference, SessionReference, Unmapped, User,
};
use super::id::uuid_at;
use super::json_text::JsonText;
use super::record::{Happened, Refused};
use crate::aws::class::Class;
use crate::guard::call::{Action, AssumedRole, Call, Outcome, Verdict};
use crate::guard::release;

#[derive(Clone, Copy)]
pub(super) enum Severity {
    Informational,
    Low,
    Medium,
}

#[derive(Clone, Copy)]
pub(super) enum Status {
    Unknown,
    Success,
    Failure,
}

pub(super) fn of_call(time: SystemTime, call: &Call, source_port: Option<u16>) -> Box<Event> {
    let mut event = blank(time, Phase::Decision);
    let caller = &call.caller;
    match call.class {
        Class::Read => activity(&mut event, 2, "Read"),
        Class::Write if creates(&call.action) => activity(&mut event, 1, "Create"),
        Class::Write => activity(&mut event, 3, "Update"),
        Class::Destroy => activity(&mut event, 4, "Delete"),
        Class::Tag
        | Class::Disrupt
        | Class::Unprotect
        | Class::Indirect
        | Class::Credentials
        | Class::Grant => activity(&mut event, 99, call.class.as_str()),
    }
    event.metadata.correlation_uid = Some(call.id);
    event.cloud.region = Some(call.region.clone());
    event.cloud.account = Some(Account {
        uid: call.account.clone(),
    });
    let groups = caller.groups.iter().cloned();
    event.actor = Actor {
        user: Some(User {
            name: caller.name.clone().into(),
            uid: Some(caller.name.clone()),
            credential_uid: Some(caller.access_key_id.clone()),
            groups: groups.map(|name| GroupReference { name }).collect(),
        }),
        session: caller.session.as_ref().map(|session| SessionReference {
            uid: caller.access_key_id.clone(),
            uid_alt: caller.role.as_ref().map(AssumedRole::session_arn),
            issuer: caller.role.as_ref().map(|role| role.arn.clone()),
            credential_uid: session.parent.clone(),
            created_time: millis(session.begun),
            expiration_time: millis(session.expires),
        }),
        app_name: None,
    };
    event.api = Api {
        operation: call.action.operation.clone().into(),
        service: ServiceReference {
            name: call.action.service.clone().into(),
        },
        request: Some(RequestReference {
            uid: call.id.to_string(),
        }),
        response: None,
    };
    event.src_endpoint = Endpoint {
        ip: Some(call.source_ip),
        port: source_port,
        ..Endpoint::default()
    };
    event.http_request = call.user_agent.clone().map(|user_agent| HttpRequest {
        user_agent: clip(user_agent, USER_AGENT_BYTES_MAX),
    });
    let own = &mut event.unmapped.palisade;
    own.decision_id = Some(call.id);
    own.class = Some(call.class);
    own.groups.clone_from(&caller.groups);
    event
}

/// An event in which nothing has happened yet; the actor is the guard itself. It is made where it stays: it is large.
pub(super) fn blank(time: SystemTime, phase: Phase) -> Box<Event> {
    let room = Box::new_uninit();
    let blank = Event {
        activity_id: 0,
        activity_name: "Unknown".into(),
        category_uid: 6,
        category_name: "Application Activity".into(),
        class_uid: CLASS_UID,
        class_name: "API Activity".into(),
        type_uid: CLASS_UID * 100,
        type_name: "API Activity: Unknown".into(),
        time: millis(time),
        severity_id: 0,
        severity: "Unknown".into(),
        status_id: 0,
        status: "Unknown".into(),
        status_code: None,
        status_detail: None,
        metadata: Metadata {
            version: OCSF_VERSION.into(),
            product: Product {
                name: GUARD.into(),
                vendor_name: GUARD.into(),
                version: release::THIS.into(),
            },
            profiles: vec!["cloud".into(), "security_control".into()],
            uid: uuid_at(time),
            correlation_uid: None,
            sequence: 0,
        },
        action_id: None,
        action: None,
        disposition_id: None,
        disposition: None,
        authorizations: Vec::new(),
        cloud: Cloud {
            provider: "AWS".into(),
            region: None,
            account: None,
        },
        actor: Actor {
            user: None,
            session: None,
            app_name: Some(GUARD.into()),
        },
        api: Api {
            operation: "".into(),
            service: ServiceReference { name: GUARD.into() },
            request: None,
            response: None,
        },
        src_endpoint: Endpoint {
            name: Some(GUARD.into()),
            ..Endpoint::default()
        },
        dst_endpoint: None,
        http_request: None,
        resources: Vec::new(),
        unmapped: Unmapped {
            palisade: own(phase),
        },
    };
    let mut event = Box::write(room, blank);
    severity(&mut event, Severity::Informational);
    event
}

fn own(phase: Phase) -> Palisade {
    Palisade {
        phase,
        event: None,
        decision_id: None,
        verdict: None,
        reason: None,
        message: None,
        policies: Vec::new(),
        ruleset_hash: None,
        class: None,
        mode: None,
        batch_size: None,
        groups: Vec::new(),
        upstream_role: None,
        session: None,
        upstream_override: None,
        input: JsonText::NULL,
        facts: JsonText::NULL,
        context: JsonText::NULL,
        resources: Vec::new(),
        outcome: None,
        aws_request_id: None,
        upstream_status: None,
        sealed: None,
        detail: Map::new(),
        previous: Link::FIRST,
    }
}

pub(super) fn activity(event: &mut Event, id: u32, name: &'static str) {
    event.activity_id = id;
    event.activity_name = name.into();
    event.type_uid = CLASS_UID * 100 + id;
    event.type_name = match id {
        99 => "API Activity: Other".into(),
        _ => format!("API Activity: {name}").into(),
    };
}

pub(super) fn severity(event: &mut Event, severity: Severity) {
    let (id, name) = match severity {
        Severity::Informational => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
    };
    event.severity_id = id;
    event.severity = name.into();
}

pub(super) fn status(event: &mut Event, status: Status) {
    let (id, name) = match status {
        Status::Unknown => (0, "Unknown"),
        Status::Success => (1, "Success"),
        Status::Failure => (2, "Failure"),
    };
    event.status_id = id;
    event.status = name.into();
}

pub(super) fn judged(event: &mut Event, verdict: Verdict, policies: Vec<String>) {
    let (action, disposition, grade) = match verdict {
        Verdict::Allowed => ((1, "Allowed"), (1, "Allowed"), Severity::Informational),
        // What the policies say is logged, and no more.
        Verdict::WouldRefuse => ((1, "Allowed"), (17, "Logged"), Severity::Low),
        Verdict::Refused => ((2, "Denied"), (2, "Blocked"), Severity::Low),
    };
    event.action_id = Some(action.0);
    event.action = Some(action.1.into());
    event.disposition_id = Some(disposition.0);
    event.disposition = Some(disposition.1.into());
    let said = match verdict {
        Verdict::Allowed => "Allowed",
        Verdict::WouldRefuse | Verdict::Refused => "Denied",
    };
    event.unmapped.palisade.verdict = Some(verdict);
    event.authorizations = policies
        .into_iter()
        .map(|uid| Authorization {
            decision: said.into(),
            policy: PolicyReference { uid },
        })
        .collect();
    severity(event, grade);
}

pub(super) fn refuse(event: &mut Event, refused: Refused) {
    let code = clip(refused.code, CODE_BYTES_MAX);
    let message = clip(refused.message, MESSAGE_BYTES_MAX);
    status(event, Status::Failure);
    event.status_code = Some(code.clone().into());
    event.status_detail = Some(message.clone().into());
    event.api.response = Some(Response {
        code: Some(refused.status),
        error: Some(code),
        error_message: Some(message),
        message: None,
    });
    event.unmapped.palisade.reason = Some(refused.reason.into());
}

pub(super) fn happen(event: &mut Event, happened: Happened) {
    let succeeded = happened
        .upstream_status
        .is_some_and(|status| (200..400).contains(&status));
    match happened.outcome {
        Outcome::Answered => status(event, Status::Success),
        Outcome::Sent if succeeded => status(event, Status::Success),
        Outcome::Sent | Outcome::NotSent => status(event, Status::Failure),
        Outcome::Unknown => {
            status(event, Status::Unknown);
            severity(event, Severity::Medium);
        }
    }
    let error = happened.error.map(|code| clip(code, CODE_BYTES_MAX));
    let message = happened.error_message.map(|m| clip(m, MESSAGE_BYTES_MAX));
    event.status_code = error.clone().map(Cow::Owned);
    event.status_detail = message.clone().map(Cow::Owned);
    event.api.response = Some(Response {
        code: happened.upstream_status,
        error,
        error_message: message,
        message: None,
    });
    let own = &mut event.unmapped.palisade;
    own.outcome = Some(happened.outcome);
    own.upstream_status = happened.upstream_status;
    own.aws_request_id = happened.aws_request_id.map(|id| clip(id, CODE_BYTES_MAX));
}

pub(super) fn key(event: &mut Event, caller: String, access_key_id: String) -> Value {
    let detail = json!({ "caller": caller, "access_key_id": access_key_id });
    event.resources.push(ResourceDetails {
        uid: access_key_id,
        kind: Some("palisade:Key".into()),
        region: None,
        cloud_partition: None,
        data: None,
    });
    detail
}

/// Whether a write makes something, as AWS names its operations.
fn creates(action: &Action) -> bool {
    const VERBS: [&str; 8] = [
        "Create",
        "Run",
        "Launch",
        "Import",
        "Register",
        "Allocate",
        "Provision",
        "Copy",
    ];
    VERBS.iter().any(|verb| action.operation.starts_with(verb))
}

/// Milliseconds since 1970; negative before it.
pub(super) fn millis(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => {
            i64::try_from(before.duration().as_millis()).map_or(i64::MIN, std::ops::Neg::neg)
        }
    }
}

const CLASS_UID: u32 = 6003;
pub(super) const GUARD: &str = "palisade";
