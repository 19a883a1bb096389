//! The journal on a real folder.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::aws::catalog::Protocol;
use crate::aws::class::Class;
use crate::aws::value::Object;
use crate::guard::call::{Action, Call, Caller, DecisionId, Outcome, Verdict};

mod append;
mod failures;
mod recovery;
mod shape;
mod verification;

/// A fixed time: 2026-01-02T03:04:05.678Z.
pub(crate) fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_767_323_045_678)
}

pub(crate) fn call(n: u128, class: Class) -> Call {
    let operation = match class {
        Class::Read => "DescribeWorkspaces",
        Class::Write => "CreateWorkspaces",
        Class::Tag => "CreateTags",
        Class::Destroy => "TerminateWorkspaces",
        Class::Disrupt => "StopWorkspaces",
        Class::Unprotect => "ModifyWorkspaceProtection",
        Class::Indirect | Class::Credentials | Class::Grant => "Other",
    };
    Call {
        id: DecisionId(Uuid::from_u128(n)),
        action: Action {
            service: "workspaces".into(),
            operation: operation.into(),
        },
        class,
        group: None,
        parsed: class.is_guarded(),
        body_beside: false,
        guarded: class.is_guarded(),
        protocol: Protocol::AwsJson,
        partition: "aws".into(),
        region: "eu-west-1".into(),
        account: "123456789012".into(),
        caller: Arc::new(Caller {
            name: "ci".into(),
            groups: vec!["deployers".into()],
            credentials: "prod".into(),
            access_key_id: "PALISADE0001".into(),
            role: None,
            session: None,
        }),
        source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        user_agent: Some("aws-cli/1.44".into()),
        input: Object::new(),
    }
}

pub(crate) fn decision(call: &Call, judgement: Judgement) -> Record {
    let verdict = match judgement {
        Judgement::Allowed | Judgement::Done(_) => Verdict::Allowed,
        Judgement::Refused(_) => Verdict::Refused,
    };
    Record::decision(Decision {
        time: noon(),
        call,
        source_port: Some(50_000),
        judgement,
        would: None,
        policies: vec!["monthly-billing".into()],
        ruleset_hash: "abc".into(),
        mode: crate::guard::call::Mode::Enforce,
        batch_size: 1,
        upstream_role: None,
        upstream_override: None,
        input: json!({"TerminateWorkspaceRequests": [{"WorkspaceId": "ws-1"}]}).into(),
        facts: json!({"ws-1": {"tags": {"env": "prod"}}}).into(),
        context: json!({"batchSize": 1}).into(),
        resources: vec![Resource {
            id: "ws-1".into(),
            arn: Some("arn:aws:workspaces:eu-west-1:123456789012:workspace/ws-1".into()),
            kind: "AWS::WorkSpaces::Workspace".into(),
            verdict,
            policies: vec!["monthly-billing".into()],
        }],
    })
}

/// An allowed, guarded decision, whose outcome follows.
pub(crate) fn allowed(n: u128) -> Record {
    decision(&call(n, Class::Destroy), Judgement::Allowed)
}

pub(crate) fn refused(n: u128) -> Record {
    decision(
        &call(n, Class::Destroy),
        Judgement::Refused(Refused {
            reason: "policy",
            status: 400,
            code: "AccessDeniedException".into(),
            message: "MONTHLY is paid to the end of the month".into(),
        }),
    )
}

pub(crate) fn read(n: u128) -> Record {
    decision(&call(n, Class::Read), Judgement::Done(sent()))
}

pub(crate) fn sent() -> Happened {
    Happened {
        outcome: Outcome::Sent,
        upstream_status: Some(200),
        aws_request_id: Some("req-1".into()),
        error: None,
        error_message: None,
    }
}

pub(crate) fn outcome(of: &Record) -> Record {
    Record::outcome(OutcomeRecord {
        time: noon(),
        pending: of.clone().into_pending().unwrap(),
        happened: sent(),
    })
}

pub(crate) fn start() -> Record {
    Record::lifecycle(
        noon(),
        Lifecycle::Start {
            ruleset_hash: "abc".into(),
            catalog: "1.44.0".into(),
            mode: crate::guard::call::Mode::Enforce,
            upstream_override: None,
        },
    )
}

/// Segments that hold a line or two, and no fsync: the tests' crashes are of the process.
fn small() -> Options {
    Options {
        durability: Durability::Written,
        segment_bytes_max: 4000,
        ..Options::default()
    }
}

fn unsynced() -> Options {
    Options {
        durability: Durability::Written,
        ..Options::default()
    }
}

/// Every segment's path, in order.
fn files(dir: &Path) -> Vec<PathBuf> {
    segments::list(dir)
        .unwrap()
        .into_iter()
        .map(|s| s.path)
        .collect()
}

/// Every line of every segment that is JSON.
fn lines(dir: &Path) -> Vec<Value> {
    files(dir)
        .iter()
        .flat_map(|path| {
            let bytes = fs::read(path).unwrap();
            let lines: Vec<Value> = bytes
                .split(|b| *b == b'\n')
                .filter_map(|line| serde_json::from_slice(line).ok())
                .collect();
            lines
        })
        .collect()
}

fn sequences(dir: &Path) -> Vec<u64> {
    lines(dir)
        .iter()
        .map(|l| l["metadata"]["sequence"].as_u64().unwrap())
        .collect()
}

/// Writes records to a new journal and closes it.
async fn written(dir: &Path, options: Options, records: &[Record]) {
    let (journal, _) = Journal::open(dir, options).unwrap();
    for record in records {
        let _receipt = journal.append(record.clone()).await.unwrap();
    }
    journal.close().await.unwrap();
}

#[track_caller]
fn sound(dir: &Path) -> Verification {
    let verification = verify(dir).unwrap();
    assert_eq!(verification.problem, None);
    verification
}
