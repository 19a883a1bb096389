//! Cases: what a policy set has to say to a call, written as data and judged as a running guard judges.
//!
//! A case goes the way of a request: its input is written as its protocol has it and decoded strictly, what it names is
//! found, what the policies need is looked up, and only then are they asked. Lookups are answered from the case.
//!
//! INVARIANT: what a case doesn't give is not made up: a lookup that it can't answer fails it.

mod answers;
mod outcome;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::aws::catalog::model::{Operation, Service};
use crate::aws::catalog::{Catalog, CatalogError};
use crate::aws::endpoint::Addressed;
use crate::aws::head::Head;
use crate::aws::protocol::{self, Malformed, json};
use crate::aws::value::{Number, Object, Value};
use crate::guard::call::{Action, Call, Caller, DecisionId, Mode, Verdict};
use crate::guard::decide::{Decision, decide, decide_early};
use crate::guard::facts::{Attribute, Enquiry};
use crate::guard::policies::Slice;
use crate::guard::protected::{Protected, ProtectedError};
use crate::guard::question::Rules;
use crate::guard::refusal::Refusal;
use crate::guard::target::Targets;

pub use outcome::Outcome;

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, in words.
    pub name: String,
    /// `service:Operation`.
    pub action: String,
    #[serde(default)]
    pub caller: CallerOf,
    /// The parameters: JSON as text, or a table; names as the AWS CLI spells them.
    pub input: Option<toml::Value>,
    /// The account of the upstream credentials: twelve digits.
    #[serde(default = "account")]
    pub account: String,
    #[serde(default = "region")]
    pub region: String,
    /// RFC 3339; 2026-01-01 where it isn't given.
    pub now: Option<String>,
    pub source_ip: Option<IpAddr>,
    pub user_agent: Option<String>,
    /// Protected ids of the service, in place of the configuration's list.
    pub protected: Option<Vec<String>>,
    /// What AWS knows, by the id or the name that the call gives.
    #[serde(default)]
    pub resources: BTreeMap<String, Known>,
    /// Answers to lookups word for word, before anything in `resources`.
    #[serde(default, rename = "answer")]
    pub answers: Vec<Answer>,
    pub expect: Expect,
}

/// Who calls.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerOf {
    pub name: String,
    #[serde(default)]
    pub groups: Vec<String>,
}

impl Default for CallerOf {
    fn default() -> Self {
        Self {
            name: "somebody".to_owned(),
            groups: Vec::new(),
        }
    }
}

/// What AWS knows of a thing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Known {
    /// The id behind a name.
    pub id: Option<String>,
    pub name: Option<String>,
    pub arn: Option<String>,
    pub tags: Option<BTreeMap<String, String>>,
    pub billing_mode: Option<String>,
    pub running_mode: Option<String>,
    pub state: Option<String>,
    /// RFC 3339.
    pub created_at: Option<String>,
    pub deletion_protection: Option<bool>,
    pub resource_count: Option<u16>,
    pub versioning: Option<String>,
    pub empty: Option<bool>,
    /// Attributes that AWS answers without.
    #[serde(default)]
    pub absent: Vec<Attribute>,
    /// Other names that a lookup tells.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// AWS knows no such thing.
    #[serde(default)]
    pub unknown: bool,
}

/// An answer to a lookup.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub operation: String,
    /// Only to questions whose input has these members.
    pub input: Option<toml::Table>,
    /// The pages, as AWS writes them.
    pub pages: Option<Vec<toml::Table>>,
    /// Or an error code.
    pub error: Option<String>,
    /// The HTTP status of an error: 400 where it isn't given.
    pub status: Option<u16>,
}

/// What has to come of a case. What isn't given isn't compared.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub verdict: Verdict,
    /// The policies that decided, all of them.
    pub policies: Option<Vec<String>>,
    /// A part of what the denied user reads.
    pub reason: Option<String>,
    /// Why it isn't forwarded, as metrics name it: `forbidden`, `malformed`, `unknown_resource` …
    pub refusal: Option<String>,
    /// Verdicts of single resources, by entity id.
    #[serde(default)]
    pub resources: BTreeMap<String, Verdict>,
    /// The lookups that are made, each time one is.
    pub lookups: Option<Vec<String>>,
    /// The parameters that are sent.
    pub sent: Option<toml::Table>,
}

/// Why a case says nothing: it isn't one, or lacks what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaseFault {
    #[error("{file}: {message}")]
    Syntax { file: String, message: String },
    #[error("{file}: the case `{name}` stands twice")]
    Twice { file: String, name: String },
    #[error("the catalog has no action `{action}`{}", did_you_mean(.nearest))]
    NoAction {
        action: String,
        nearest: Option<String>,
    },
    #[error("`{action}` isn't guarded, so that its input isn't parsed; leave `input` out")]
    Unparsed { action: String },
    #[error("`now` is `{0}`; write a time such as `2026-01-31T12:00:00Z`")]
    Now(String),
    #[error(
        "`{operation}` is asked about `{id}`, of which the case gives nothing: add `resources.\"{id}\"`"
    )]
    NotGiven { operation: String, id: String },
    #[error("`{operation}` is asked for {fact} of `{id}`, which the case doesn't give")]
    Lacks {
        operation: String,
        fact: String,
        id: String,
    },
    #[error("no answer to `{operation}` fits the input {input}")]
    NoAnswer { operation: String, input: String },
    #[error("the answer to `{operation}` {message}")]
    BadAnswer { operation: String, message: String },
    #[error(transparent)]
    Protected(#[from] ProtectedError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("{0}")]
    Guard(String),
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|n| format!("; did you mean `{n}`?"))
        .unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "case")]
    cases: Vec<Case>,
}

/// Reads a file of cases.
///
/// # Errors
/// [`CaseFault`] with file and line where it can't be read, or two cases have one name.
pub fn parse(file: &str, text: &str) -> Result<Vec<Case>, CaseFault> {
    let File { cases } = toml::from_str(text).map_err(|e| CaseFault::Syntax {
        file: file.to_owned(),
        message: e.to_string().trim_end().to_owned(),
    })?;
    let mut names = std::collections::BTreeSet::new();
    match cases.iter().find(|case| !names.insert(&case.name)) {
        Some(twice) => Err(CaseFault::Twice {
            file: file.to_owned(),
            name: twice.name.clone(),
        }),
        None => Ok(cases),
    }
}

/// Runs a case.
///
/// # Errors
/// [`CaseFault`] where the case is at fault, not the policies.
pub fn run(case: &Case, catalog: &Catalog, rules: Rules<'_>) -> Result<Outcome, CaseFault> {
    let (service, operation) = find(case, catalog)?;
    let list = match &case.protected {
        Some(ids) => Some(listed(&service.id, ids)?),
        None => None,
    };
    let rules = Rules {
        protected: list.as_ref().unwrap_or(rules.protected),
        ..rules
    };
    let mut run = Run {
        case,
        catalog,
        service: &service,
        operation: &operation,
        rules,
        lookups: Vec::new(),
    };
    let judged = run.judge_by_all();
    let lookups = run.lookups;
    match judged {
        Ok((decision, sent)) => Ok(Outcome {
            verdict: decision.verdict,
            policies: decision.policies,
            refusal: decision.would.map(|refusal| *refusal),
            resources: decision.resources,
            lookups,
            sent: Some(sent),
        }),
        Err(Stop::Refused(refusal)) => {
            let decision = refusal.decision().cloned();
            let (policies, resources) = match decision {
                Some(decision) => (decision.policies, decision.resources),
                None => Default::default(),
            };
            Ok(Outcome {
                verdict: Verdict::Refused,
                policies,
                refusal: Some(*refusal),
                resources,
                lookups,
                sent: None,
            })
        }
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

/// Why a case ends before the policies allow it.
enum Stop {
    Refused(Box<Refusal>),
    Fault(CaseFault),
}

impl<R: Into<Refusal>> From<R> for Stop {
    fn from(refusal: R) -> Self {
        Stop::Refused(Box::new(refusal.into()))
    }
}

fn fault(fault: CaseFault) -> Stop {
    Stop::Fault(fault)
}

/// A call that is understood, as far as it has to be.
struct Understood {
    call: Call,
    found: Option<Targets>,
}

/// A case on its way.
struct Run<'c> {
    case: &'c Case,
    catalog: &'c Catalog,
    service: &'c Arc<Service>,
    operation: &'c Operation,
    rules: Rules<'c>,
    lookups: Vec<String>,
}

impl Run<'_> {
    /// Judges by all policies; by those that are enforced, if others stand in the way.
    fn judge_by_all(&mut self) -> Result<(Decision, Object), Stop> {
        let refusal = match self.judge_by(Mode::Monitor) {
            Err(Stop::Refused(refusal)) if self.is_monitored()? => *refusal,
            judged => return judged,
        };
        let (mut decision, sent) = self.judge_by(Mode::Enforce)?;
        decision.note(refusal);
        Ok((decision, sent))
    }

    /// `Monitor`: by all policies.
    fn judge_by(&mut self, mode: Mode) -> Result<(Decision, Object), Stop> {
        let call = self.call(mode).map_err(fault)?;
        let understood = self.understand(call, mode)?;
        let slice = self.slice(&understood.call)?;
        match (mode, slice.enforced()) {
            (Mode::Enforce, Some(enforced)) => self.judge(understood, enforced),
            (Mode::Enforce, None) | (Mode::Monitor, _) => self.judge(understood, &slice),
        }
    }

    /// Whether policies that only monitor have a say.
    fn is_monitored(&self) -> Result<bool, Stop> {
        let mut call = self.call(Mode::Monitor).map_err(fault)?;
        if let Ok(understood) = self.understand(call.clone(), Mode::Monitor) {
            call = understood.call;
        }
        Ok(self.slice(&call)?.enforced().is_some())
    }

    fn slice(&self, call: &Call) -> Result<Arc<Slice>, Stop> {
        let slice = self.rules.policies.slice_of(call);
        slice.map_err(|message| fault(CaseFault::Guard(message)))
    }

    fn understand(&self, mut call: Call, mode: Mode) -> Result<Understood, Stop> {
        let found = if call.parsed {
            call.input = self.decoded(&call)?;
            let found = self
                .rules
                .targets(self.service, self.operation, &mut call, mode)?;
            Some(found)
        } else if self.case.input.is_some() {
            let action = self.case.action.clone();
            return Err(fault(CaseFault::Unparsed { action }));
        } else {
            None
        };
        Ok(Understood { call, found })
    }

    fn judge(&mut self, understood: Understood, slice: &Slice) -> Result<(Decision, Object), Stop> {
        let rules = self.rules;
        let Understood { call, found } = understood;
        let now = self.now().map_err(fault)?;
        let mut question = rules.question(
            Arc::new(call),
            Arc::clone(self.service),
            found.as_ref(),
            now,
        );
        let by = found.as_ref().and_then(|found| found.named.clone());
        if let Some(found) = found
            && let Some(needs) = rules.needs(slice, &question, &found)
        {
            if let Some(denial) = decide_early(slice, &mut question) {
                return Err(denial.into());
            }
            let place = rules.place(&question.call, &found);
            let service = self.service;
            let enquiry = Enquiry::new(rules.knowledge, service, &found.targets, needs, place)?;
            let facts = self.learn(enquiry)?;
            rules.learn(&mut question, found, facts);
        }
        question.name_by_id(by.as_ref());
        let sent = question.call.input.clone();
        let (_, decision, sent) = decide(Mode::Enforce, slice, question, sent)?.into_parts();
        Ok((decision, sent))
    }

    /// `Enforce`: guarded only if a policy that is enforced, or the service, wants it.
    fn call(&self, mode: Mode) -> Result<Call, CaseFault> {
        let case = self.case;
        let action = Action {
            service: self.service.id.clone(),
            operation: self.operation.name.clone(),
        };
        let parsed = match self.rules.parses(&action, self.operation) {
            Some(Mode::Enforce) => true,
            Some(Mode::Monitor) => mode == Mode::Monitor,
            None => false,
        };
        Ok(Call {
            id: DecisionId(uuid::Uuid::nil()),
            parsed,
            body_beside: false,
            guarded: parsed,
            action,
            class: self.operation.class,
            group: self.operation.group,
            protocol: self.protocol()?,
            partition: "aws".to_owned(),
            region: case.region.clone(),
            account: case.account.clone(),
            caller: Arc::new(Caller {
                name: case.caller.name.clone(),
                groups: case.caller.groups.clone(),
                credentials: String::new(),
                access_key_id: String::new(),
                role: None,
                session: None,
            }),
            source_ip: case.source_ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            user_agent: case.user_agent.clone(),
            input: Object::new(),
        })
    }

    fn protocol(&self) -> Result<crate::aws::catalog::Protocol, CaseFault> {
        protocol::preferred(self.service).ok_or_else(|| {
            CaseFault::Guard(format!(
                "no protocol of `{}` is spoken yet",
                self.service.id
            ))
        })
    }

    fn now(&self) -> Result<SystemTime, CaseFault> {
        let text = self.case.now.as_deref().unwrap_or("2026-01-01T00:00:00Z");
        match OffsetDateTime::parse(text, &Rfc3339) {
            Ok(now) => Ok(now.into()),
            Err(_) => Err(CaseFault::Now(text.to_owned())),
        }
    }

    /// The input as a request carries it, read back as strictly as one is.
    fn decoded(&self, call: &Call) -> Result<Object, Stop> {
        let input = self.input()?;
        let wire = protocol::encode(
            self.service,
            self.operation,
            call.protocol,
            &input,
            &Addressed::Service,
        );
        let wire = wire.map_err(|e| malformed(&e))?;
        let (path, query) = match wire.path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (wire.path_and_query.as_str(), None),
        };
        let head = Head {
            method: &wire.method,
            path,
            query,
            headers: &wire.headers,
            addressed: &Addressed::Service,
        };
        let identified = protocol::identify(&[Arc::clone(self.service)], &head, Some(&wire.body));
        let identified = identified.map_err(|e| malformed(&e))?;
        protocol::decode(&identified, &head, &wire.body).map_err(|e| malformed(&e))
    }

    fn input(&self) -> Result<Object, Stop> {
        match &self.case.input {
            None => Ok(Object::new()),
            Some(toml::Value::String(text)) => match json::parse(text.as_bytes()) {
                Ok(Value::Object(object)) => Ok(object),
                Ok(_) => Err(malformed(&Malformed::BodyNotObject)),
                Err(error) => Err(malformed(&Malformed::from(error))),
            },
            Some(toml::Value::Table(table)) => Ok(object(table)),
            Some(_) => Err(malformed(&Malformed::BodyNotObject)),
        }
    }
}

fn malformed(error: &dyn std::error::Error) -> Stop {
    let message = error.to_string();
    Stop::Refused(Box::new(Refusal::Malformed { message }))
}

fn find(case: &Case, catalog: &Catalog) -> Result<(Arc<Service>, Operation), CaseFault> {
    let (service, operation) = case.action.split_once(':').unwrap_or((&case.action, ""));
    if let Some(service) = catalog.service(service)?
        && let Some(operation) = service.operations.get(operation).cloned()
    {
        return Ok((service, operation));
    }
    Err(CaseFault::NoAction {
        action: case.action.clone(),
        nearest: catalog.nearest_action(&case.action),
    })
}

fn listed(service: &str, ids: &[String]) -> Result<Protected, CaseFault> {
    let mut table = toml::Table::new();
    let ids = ids.iter().cloned().map(toml::Value::String).collect();
    let of_service = toml::Table::from_iter([("ids".to_owned(), toml::Value::Array(ids))]);
    table.insert(service.to_owned(), toml::Value::Table(of_service));
    Ok(Protected::parse(
        "the case",
        &table.to_string(),
        &[service],
    )?)
}

/// A table as an input or an answer has it.
fn object(table: &toml::Table) -> Object {
    table
        .iter()
        .map(|(key, item)| (key.clone(), value(item)))
        .collect()
}

fn value(item: &toml::Value) -> Value {
    match item {
        toml::Value::String(text) => Value::String(text.clone()),
        toml::Value::Integer(number) => Value::Number(Number::from(*number)),
        toml::Value::Float(number) => {
            Number::parse(&number.to_string()).map_or(Value::Null, Value::Number)
        }
        toml::Value::Boolean(flag) => Value::Bool(*flag),
        toml::Value::Datetime(moment) => Value::String(moment.to_string()),
        toml::Value::Array(items) => Value::List(items.iter().map(value).collect()),
        toml::Value::Table(table) => Value::Object(object(table)),
    }
}

fn account() -> String {
    "123456789012".to_owned()
}

fn region() -> String {
    "eu-west-1".to_owned()
}

#[cfg(test)]
mod tests;
