//! The decision: Cedar, once per resource, then one verdict.
//!
//! INVARIANT: an [`Allowed`] can be built only here, and owns the request that was judged.
//! INVARIANT: allowed means that Cedar said Allow for every resource *and* that no policy erred: Cedar skips a
//! policy that errs, a `forbid` too.
//! INVARIANT: a Cedar request is built only together with the entities that it refers to: a missing entity makes
//! `hasTag` false without an error.

mod case;
mod conditions;
mod constants;
mod context;
mod early;
mod resource;
mod settled;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use crate::aws::catalog::model::{Operation, Service};
use crate::aws::value::Object;
use crate::guard::call::{Call, Mode, Verdict};
use crate::guard::policies::Slice;
use crate::guard::refusal::Refusal;

pub use resource::Resource;

use case::{Case, Ground};
pub(in crate::guard) use conditions::Conditions;
use conditions::Judgement;
pub(in crate::guard) use early::Early;
use settled::Matter;
pub(in crate::guard) use settled::Settled;

/// What is to be judged: a call, on what, and all that is known.
#[derive(Debug, Clone)]
pub struct Question {
    pub call: Arc<Call>,
    /// Needed to type the input.
    pub service: Arc<Service>,
    /// The input as policies see it: with AWS's defaults filled in.
    pub view: Object,
    pub on: On,
    pub batch_size: usize,
    pub selector: bool,
    pub tag_keys: BTreeSet<String>,
    /// Whether the call also takes off tags that it doesn't name, and their keys aren't among `tag_keys` yet.
    pub tag_keys_open: bool,
    pub request_tags: BTreeMap<String, String>,
    pub now: SystemTime,
    pub dry_run: bool,
    /// What [`decide_early`] found, where it was asked.
    pub(in crate::guard) early: Option<Arc<Early>>,
}

impl Question {
    /// The operation that is called; `None` for one that isn't known.
    #[must_use]
    pub fn operation(&self) -> Option<&Operation> {
        self.service.operations.get(&self.call.action.operation)
    }
}

/// What a call is judged on.
#[derive(Debug, Clone, PartialEq)]
pub enum On {
    /// Reads and writes: the service itself.
    Service,
    /// Each of these.
    Resources(Vec<Resource>),
}

/// A call that may be sent, together with the request that was judged. Only [`decide`] makes one: elsewhere it can be
/// looked at and taken apart,
///
/// ```
/// use palisade::guard::decide::{Allowed, Decision, Question};
///
/// fn open(allowed: Allowed<()>) -> (Question, Decision, ()) {
///     allowed.into_parts()
/// }
/// ```
///
/// but neither put together
///
/// ```compile_fail
/// use palisade::guard::decide::{Allowed, Decision, Question};
///
/// fn forge(question: Question, decision: Decision, request: ()) -> Allowed<()> {
///     Allowed { question, decision, request }
/// }
/// ```
///
/// nor copied
///
/// ```compile_fail
/// use palisade::guard::decide::Allowed;
///
/// fn twice(allowed: Allowed<()>) -> (Allowed<()>, Allowed<()>) {
///     (allowed.clone(), allowed)
/// }
/// ```
///
/// nor given another request.
///
/// ```compile_fail
/// use palisade::guard::decide::Allowed;
///
/// fn swap(mut allowed: Allowed<u8>, other: u8) -> Allowed<u8> {
///     allowed.request = other;
///     allowed
/// }
/// ```
#[derive(Debug)]
pub struct Allowed<R> {
    question: Question,
    decision: Decision,
    request: R,
}

impl<R> Allowed<R> {
    #[must_use]
    pub fn question(&self) -> &Question {
        &self.question
    }

    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// What would have been refused, and goes on all the same.
    fn unjudged(question: Question, refusal: Refusal, request: R) -> Self {
        let decision = Decision {
            verdict: Verdict::WouldRefuse,
            policies: Vec::new(),
            resources: Vec::new(),
            would: None,
        };
        let allowed = Self {
            question,
            decision,
            request,
        };
        allowed.noting(refusal)
    }

    /// Notes what would have refused it. It goes on.
    #[must_use]
    pub fn noting(mut self, refusal: Refusal) -> Self {
        self.decision.note(refusal);
        self
    }

    /// Gives the request up, to be sent.
    #[must_use]
    pub fn into_parts(self) -> (Question, Decision, R) {
        (self.question, self.decision, self.request)
    }
}

/// What the policies said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub verdict: Verdict,
    /// The policies that decided, each once.
    pub policies: Vec<String>,
    pub resources: Vec<ResourceVerdict>,
    /// What would have refused it, where the verdict is [`Verdict::WouldRefuse`].
    pub would: Option<Box<Refusal>>,
}

impl Decision {
    /// Notes what would have refused the call. It goes on.
    pub(in crate::guard) fn note(&mut self, refusal: Refusal) {
        if let Some(refused) = refusal.decision() {
            *self = refused.clone();
        }
        self.verdict = Verdict::WouldRefuse;
        for resource in &mut self.resources {
            if resource.verdict == Verdict::Refused {
                resource.verdict = Verdict::WouldRefuse;
            }
        }
        self.would = Some(Box::new(refusal));
    }
}

/// What the policies said about one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceVerdict {
    /// The entity id.
    pub id: String,
    pub verdict: Verdict,
    pub policies: Vec<String>,
}

/// Why the policies don't let a call through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// Policies forbid it, with the reason of the first.
    Forbidden {
        decision: Decision,
        reason: Option<String>,
    },
    /// No policy permits it.
    NotPermitted { decision: Decision },
    /// A policy erred.
    Error { policy: String, message: String },
    /// A parameter that a policy reads is spelt so that the policy can't read it as AWS does.
    Unreadable { message: String },
    /// What is to be judged can't be put to Cedar.
    Unjudgeable { message: String },
}

/// Judges a question. The request comes along, and comes out only in an [`Allowed`].
///
/// What only policies that monitor refuse goes on, and so does everything where the mode is [`Mode::Monitor`]; the
/// verdict is [`Verdict::WouldRefuse`] then.
///
/// # Errors
/// [`Denial`] for everything but a clean Allow for each resource.
pub fn decide<R>(
    mode: Mode,
    slice: &Slice,
    question: Question,
    request: R,
) -> Result<Allowed<R>, Denial> {
    let Denied {
        question,
        denial,
        request,
    } = match ask(slice, question, request) {
        Ok(allowed) => return Ok(allowed),
        Err(denied) => *denied,
    };
    match (mode, slice.enforced()) {
        (Mode::Monitor, _) => Ok(Allowed::unjudged(question, denial.into(), request)),
        (Mode::Enforce, Some(enforced)) => match ask(enforced, question, request) {
            Ok(allowed) => Ok(allowed.noting(denial.into())),
            Err(denied) => Err(denied.denial),
        },
        (Mode::Enforce, None) => Err(denial),
    }
}

/// What can't be judged goes on in monitor mode, and only there.
///
/// # Errors
/// The refusal, where the mode enforces.
pub fn go_on<R>(
    mode: Mode,
    refusal: Refusal,
    question: Question,
    request: R,
) -> Result<Allowed<R>, Refusal> {
    match mode {
        Mode::Monitor => Ok(Allowed::unjudged(question, refusal, request)),
        Mode::Enforce => Err(refusal),
    }
}

/// A question together with the judgement that was denied.
struct Denied<R> {
    question: Question,
    denial: Denial,
    request: R,
}

/// Asks the policies of one slice.
fn ask<R>(slice: &Slice, question: Question, request: R) -> Result<Allowed<R>, Box<Denied<R>>> {
    let judged = learnt(slice, &question).and_then(|()| settled(slice, &question));
    match judged {
        Ok(decision) => Ok(Allowed {
            question,
            decision,
            request,
        }),
        Err(denial) => Err(Box::new(Denied {
            question,
            denial,
            request,
        })),
    }
}

/// Judges by all policies, or finds the decision of a question that differs in nothing that they read.
fn settled(slice: &Slice, question: &Question) -> Result<Decision, Denial> {
    let Some(matter) = Matter::of(slice, question) else {
        return judge(&slice.conditions, slice, question);
    };
    is_of(slice, &question.call)?;
    if let Some(decision) = slice.settled.find(matter) {
        return Ok(decision);
    }
    let decision = judge(&slice.conditions, slice, question)?;
    slice.settled.keep(matter, &decision);
    Ok(decision)
}

/// Holds a slice to the action of the call: its policies don't look at that again.
fn is_of(slice: &Slice, call: &Call) -> Result<(), Denial> {
    if slice.is_of(call) {
        return Ok(());
    }
    let message = format!(
        "the policies at hand are those of `{}` in `{}`",
        slice.action,
        slice.groups.join("`, `")
    );
    Err(Denial::Unjudgeable { message })
}

/// Judges by the forbids that need no facts, before any lookup is made. `None`: nothing speaks against it so far, or
/// what it is about isn't known yet: the caller gave a name, or takes off tags that only a lookup tells. What it came to
/// stays with the question, for [`decide`].
#[must_use]
pub fn decide_early(slice: &Slice, question: &mut Question) -> Option<Denial> {
    if !slice.conditions.any_early() {
        return None;
    }
    if question.tag_keys_open && slice.reads_tag_keys().is_some() {
        return None;
    }
    if let On::Resources(resources) = &question.on
        && resources.iter().any(Resource::is_unresolved)
    {
        return None;
    }
    judge_early(&slice.conditions, slice, question)
}

fn judge_early(
    conditions: &Arc<Conditions>,
    slice: &Slice,
    question: &mut Question,
) -> Option<Denial> {
    let ground = match Ground::of(slice, question, &conditions.constants) {
        Ok(ground) => ground,
        Err(denial) => return Some(denial),
    };
    let mut judgement = conditions.judge_early();
    let judged = put(&mut judgement, slice, question, &ground);
    match judged.map_err(only_what_is_forbidden) {
        Ok(_) | Err(Denial::NotPermitted { .. }) => {
            let known = judgement.into_known();
            let early = Early::of(conditions, slice, question, ground, known);
            question.early = Some(Arc::new(early));
            None
        }
        Err(
            denial @ (Denial::Forbidden { .. }
            | Denial::Error { .. }
            | Denial::Unreadable { .. }
            | Denial::Unjudgeable { .. }),
        ) => Some(denial),
    }
}

/// No permit was asked: a resource that no policy speaks against isn't refused, its call is.
fn only_what_is_forbidden(denial: Denial) -> Denial {
    match denial {
        Denial::Forbidden {
            mut decision,
            reason,
        } => {
            for resource in &mut decision.resources {
                if resource.policies.is_empty() {
                    resource.verdict = Verdict::Allowed;
                }
            }
            Denial::Forbidden { decision, reason }
        }
        other @ (Denial::NotPermitted { .. }
        | Denial::Error { .. }
        | Denial::Unreadable { .. }
        | Denial::Unjudgeable { .. }) => other,
    }
}

/// Holds a question to what its policies read: what nobody looked up must not read as absent.
fn learnt(slice: &Slice, question: &Question) -> Result<(), Denial> {
    if let Some(policy) = slice.reads_tag_keys().filter(|_| question.tag_keys_open) {
        let message = format!(
            "policy `{policy}` reads `context.tagKeys`, and nobody looked up which tags the call takes off"
        );
        return Err(Denial::Unjudgeable { message });
    }
    if let Some(member) = unread(question).filter(|m| slice.reads.input.contains(m)) {
        let action = &question.call.action;
        let message = format!(
            "the policies read `context.input.{member}`, which streams unread: a policy whose scope names `{action}` has it read"
        );
        return Err(Denial::Unjudgeable { message });
    }
    let On::Resources(resources) = &question.on else {
        return named(slice, question);
    };
    for resource in resources {
        let id = resource.id();
        if resource.is_unresolved() {
            let message = format!("nobody looked up whose name `{id}` is");
            return Err(Denial::Unjudgeable { message });
        }
        if let Some((policy, fact)) = slice.unlearnt(&resource.facts) {
            let message =
                format!("policy `{policy}` reads {fact} of `{id}`, which nobody looked up");
            return Err(Denial::Unjudgeable { message });
        }
    }
    Ok(())
}

/// The member of the input that goes on unread.
fn unread(question: &Question) -> Option<&str> {
    let operation = question.operation().filter(|_| question.call.body_beside)?;
    question.service.input(operation)?.payload.as_deref()
}

/// What its policies expect to be judged on what it names isn't judged on its service, if they read anything of that.
fn named(slice: &Slice, question: &Question) -> Result<(), Denial> {
    let on_what_it_names = question.operation().is_some_and(Operation::may_be_guarded);
    let reads = !slice.reads.tags.is_empty() || !slice.reads.resource.is_empty();
    if on_what_it_names && reads {
        let message = "the policies read what the call names, which nobody read".to_owned();
        return Err(Denial::Unjudgeable { message });
    }
    Ok(())
}

fn judge(conditions: &Conditions, slice: &Slice, question: &Question) -> Result<Decision, Denial> {
    let early = question.early.as_deref();
    if let Some(early) = early.filter(|early| early.holds_for(conditions, slice, question)) {
        return put(&mut early.judgement(), slice, question, &early.ground);
    }
    let ground = Ground::of(slice, question, &conditions.constants)?;
    let mut judgement = conditions.judge(conditions.unknown());
    put(&mut judgement, slice, question, &ground)
}

/// Puts a question to policies, resource by resource.
fn put(
    judgement: &mut Judgement<'_>,
    slice: &Slice,
    question: &Question,
    ground: &Ground,
) -> Result<Decision, Denial> {
    let unjudgeable = |message: String| Denial::Unjudgeable { message };
    let case = Case::on_ground(slice, question, ground);
    let mut verdicts = Vec::new();
    match &question.on {
        On::Service => {
            let asked = case.on(case.of_service())?;
            verdicts.push(judgement.on(question.call.action.service.clone(), asked)?);
        }
        On::Resources(resources) if resources.is_empty() => {
            return Err(unjudgeable("the call names nothing to judge".to_owned()));
        }
        On::Resources(resources) => {
            for resource in resources {
                let asked = case.on(case.resource(resource).map_err(unjudgeable)?)?;
                verdicts.push(judgement.on(resource.entity_id(), asked)?);
            }
        }
    }
    conclude(slice, verdicts)
}

fn conclude(slice: &Slice, resources: Vec<ResourceVerdict>) -> Result<Decision, Denial> {
    let refused: Vec<&ResourceVerdict> = resources
        .iter()
        .filter(|r| r.verdict == Verdict::Refused)
        .collect();
    let verdict = if refused.is_empty() {
        Verdict::Allowed
    } else {
        Verdict::Refused
    };
    let deciding = resources.iter().filter(|r| r.verdict == verdict);
    let policies: BTreeSet<String> = deciding.flat_map(|r| r.policies.iter().cloned()).collect();
    let policies: Vec<String> = policies.into_iter().collect();
    let forbidden = !policies.is_empty();
    let first = policies.first().cloned();
    let decision = Decision {
        verdict,
        policies,
        resources,
        would: None,
    };
    match (verdict, forbidden) {
        (Verdict::Allowed | Verdict::WouldRefuse, _) => Ok(decision),
        (Verdict::Refused, true) => {
            let reason = first.and_then(|policy| slice.reason(&policy).map(str::to_owned));
            Err(Denial::Forbidden { decision, reason })
        }
        (Verdict::Refused, false) => Err(Denial::NotPermitted { decision }),
    }
}

/// The action groups of a call, nearest first.
#[must_use]
pub fn action_groups(call: &Call) -> Vec<String> {
    let mut groups: Vec<String> = call.group.iter().map(|g| g.as_str().to_owned()).collect();
    groups.push(call.class.as_str().to_owned());
    groups.push(format!("{}:*", call.action.service));
    groups
}

#[cfg(test)]
mod monitor_tests;
#[cfg(test)]
mod plain_tests;
#[cfg(test)]
mod tests;
