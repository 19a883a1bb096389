//! The decision: Cedar, once per resource, then one verdict.
//!
//! INVARIANT: an [`Allowed`] can be built only here, and owns the request that was judged.
//! INVARIANT: allowed means that Cedar said Allow for every resource *and* that no policy erred: Cedar skips a
//! policy that errs, a `forbid` too.
//! INVARIANT: a Cedar request is built only together with the entities that it refers to: a missing entity makes
//! `hasTag` false without an error.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use cedar_policy::{
    Authorizer, Context, Decision as CedarDecision, Entities, Entity, EntityUid, PolicySet,
    Request, Response, RestrictedExpression,
};

use crate::aws::catalog::model::{Service, Shape, ShapeId};
use crate::aws::value::{Object, Value};
use crate::guard::call::{Call, Verdict};
use crate::guard::entity::{ACCOUNT, ACTION, CALLER, GROUP, RESOURCE, SERVICE, TAGS, uid};
use crate::guard::facts::{Attribute, Facts};
use crate::guard::policies::Slice;
use crate::guard::protected::Protected;
use crate::guard::reads::Names;
use crate::guard::target::{SELECTOR, Spelling, Target};
use crate::guard::time;

/// What is to be judged: a call, on what, and all that is known.
#[derive(Debug, Clone)]
pub struct Question {
    pub call: Call,
    /// Needed to type the input.
    pub service: Arc<Service>,
    /// The input as policies see it: with AWS's defaults filled in.
    pub view: Object,
    pub on: On,
    pub batch_size: usize,
    pub selector: bool,
    pub tag_keys: BTreeSet<String>,
    pub request_tags: BTreeMap<String, String>,
    pub now: SystemTime,
    pub dry_run: bool,
}

/// What a call is judged on.
#[derive(Debug, Clone, PartialEq)]
pub enum On {
    /// Reads and writes: the service itself.
    Service,
    /// Each of these.
    Resources(Vec<Resource>),
}

/// One thing that the call would affect, with what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    pub target: Target,
    pub account: String,
    pub facts: Facts,
    pub protected: bool,
}

impl Resource {
    /// Puts together what a call names and what lookups learnt about it.
    #[must_use]
    pub fn new(
        target: Target,
        account: &str,
        facts: Facts,
        protected: &Protected,
        service: &str,
    ) -> Self {
        let account = arn_account(target.spelling.as_str())
            .unwrap_or(account)
            .to_owned();
        let mut resource = Self {
            target,
            account,
            facts,
            protected: false,
        };
        resource.protected = protected.covers(service, resource.names().iter().map(String::as_str));
        resource
    }

    /// The id as AWS spells it: canonical where a lookup told, else the caller's spelling.
    #[must_use]
    pub fn id(&self) -> &str {
        match (&self.facts.id, &self.target.spelling) {
            (Some(id), Spelling::Name(_)) => id,
            (_, spelling) => spelling.as_str(),
        }
    }

    /// The entity id: parents first, joined by `/`.
    #[must_use]
    pub fn entity_id(&self) -> String {
        let parents = self.target.parents.iter().map(|p| p.id.as_str());
        parents.chain([self.id()]).collect::<Vec<_>>().join("/")
    }

    /// The entity ids of its parents, outermost first.
    fn parent_ids(&self) -> Vec<String> {
        let ids: Vec<&str> = self.target.parents.iter().map(|p| p.id.as_str()).collect();
        (1..=ids.len())
            .filter_map(|n| ids.get(..n))
            .map(|ids| ids.join("/"))
            .collect()
    }

    /// Every name that the protected list may know it, or a parent, by.
    fn names(&self) -> Vec<String> {
        let mut names = vec![
            self.id().to_owned(),
            self.entity_id(),
            self.target.spelling.as_str().to_owned(),
        ];
        names.extend(self.facts.id.clone());
        names.extend(self.facts.aliases.iter().cloned());
        names.extend(self.facts.attributes.get(&Attribute::Arn).cloned());
        names.extend(self.parent_ids());
        names.extend(self.target.parents.iter().map(|p| p.id.clone()));
        let tails: Vec<String> = names
            .iter()
            .filter_map(|name| arn_tail(name))
            .map(str::to_owned)
            .collect();
        names.extend(tails);
        names
    }
}

/// The last part of an ARN: `ws-1` of `arn:aws:workspaces:eu-west-1:123456789012:workspace/ws-1`.
fn arn_tail(name: &str) -> Option<&str> {
    name.starts_with("arn:")
        .then(|| name.rsplit(['/', ':']).next())
        .flatten()
        .filter(|tail| !tail.is_empty())
}

fn arn_account(name: &str) -> Option<&str> {
    let mut parts = name.strip_prefix("arn:")?.split(':');
    parts
        .nth(3)
        .filter(|account| account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()))
}

/// A call that may be sent, together with the request that was judged. Only [`decide`] makes one.
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
    /// What is to be judged can't be put to Cedar.
    Unjudgeable { message: String },
}

/// A question together with the judgement that was denied.
#[derive(Debug)]
pub struct Denied {
    pub question: Question,
    pub denial: Denial,
}

/// Judges a question. The request comes along, and comes out only in an [`Allowed`].
///
/// # Errors
/// [`Denied`] for everything but a clean Allow for each resource.
pub fn decide<R>(slice: &Slice, question: Question, request: R) -> Result<Allowed<R>, Box<Denied>> {
    match judge(&slice.policies, slice, &question) {
        Ok(decision) => Ok(Allowed {
            question,
            decision,
            request,
        }),
        Err(denial) => Err(Box::new(Denied { question, denial })),
    }
}

/// Judges by the forbids that need no facts, before any lookup is made. `None`: nothing speaks against it so far.
#[must_use]
pub fn decide_early(slice: &Slice, question: &Question) -> Option<Denial> {
    match judge(slice.early.as_ref()?, slice, question) {
        Ok(_) | Err(Denial::NotPermitted { .. }) => None,
        Err(
            denial @ (Denial::Forbidden { .. } | Denial::Error { .. } | Denial::Unjudgeable { .. }),
        ) => Some(denial),
    }
}

fn judge(policies: &PolicySet, slice: &Slice, question: &Question) -> Result<Decision, Denial> {
    let unjudgeable = |message: String| Denial::Unjudgeable { message };
    let case = Case::of(slice, question).map_err(unjudgeable)?;
    let authorizer = Authorizer::new();
    let service = uid(&SERVICE, &question.call.action.service);
    let mut verdicts = Vec::new();
    match &question.on {
        On::Service => {
            let entity = Entity::new_no_attrs(service.clone(), [].into());
            let response = case
                .ask(&authorizer, policies, service, entity)
                .map_err(unjudgeable)?;
            verdicts.push(verdict(question.call.action.service.clone(), &response)?);
        }
        On::Resources(resources) if resources.is_empty() => {
            return Err(unjudgeable("the call names nothing to judge".to_owned()));
        }
        On::Resources(resources) => {
            for resource in resources {
                let (uid, entity) = case.resource(resource, &service).map_err(unjudgeable)?;
                let response = case
                    .ask(&authorizer, policies, uid, entity)
                    .map_err(unjudgeable)?;
                verdicts.push(verdict(resource.entity_id(), &response)?);
            }
        }
    }
    conclude(slice, verdicts)
}

fn verdict(id: String, response: &Response) -> Result<ResourceVerdict, Denial> {
    if let Some(error) = response.diagnostics().errors().next() {
        let policy = match error {
            cedar_policy::AuthorizationError::PolicyEvaluationError(e) => e.policy_id().to_string(),
        };
        return Err(Denial::Error {
            policy,
            message: error.to_string(),
        });
    }
    let mut policies: Vec<String> = response
        .diagnostics()
        .reason()
        .map(ToString::to_string)
        .collect();
    policies.sort();
    let verdict = match response.decision() {
        CedarDecision::Allow => Verdict::Allowed,
        CedarDecision::Deny => Verdict::Refused,
    };
    Ok(ResourceVerdict {
        id,
        verdict,
        policies,
    })
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
    };
    match (verdict, forbidden) {
        (Verdict::Allowed, _) => Ok(decision),
        (Verdict::Refused, true) => {
            let reason = first.and_then(|policy| slice.reason(&policy).map(str::to_owned));
            Err(Denial::Forbidden { decision, reason })
        }
        (Verdict::Refused, false) => Err(Denial::NotPermitted { decision }),
    }
}

/// Everything about a question that is the same for each of its resources.
struct Case<'q> {
    slice: &'q Slice,
    question: &'q Question,
    principal: EntityUid,
    action: EntityUid,
    context: Context,
    /// Action, caller and the string maps that the context refers to.
    entities: Entities,
}

impl<'q> Case<'q> {
    fn of(slice: &'q Slice, question: &'q Question) -> Result<Self, String> {
        let call = &question.call;
        if slice.action != call.action {
            return Err(format!(
                "the policies at hand are those of `{}`",
                slice.action
            ));
        }
        let principal = uid(&CALLER, &call.caller.name);
        let groups = call.caller.groups.iter().map(|g| uid(&GROUP, g));
        let name = RestrictedExpression::new_string(call.caller.name.clone());
        let name = [("name".to_owned(), name)];
        let caller = Entity::new_with_tags(principal.clone(), name, groups, []);
        let mut entities = vec![caller.map_err(|e| e.to_string())?];
        let context = context(slice, question, &mut entities)?;
        let entities = slice.entities.clone().add_entities(entities, None);
        Ok(Self {
            slice,
            question,
            principal,
            action: uid(&ACTION, &call.action.to_string()),
            context,
            entities: entities.map_err(|e| e.to_string())?,
        })
    }

    fn ask(
        &self,
        authorizer: &Authorizer,
        policies: &PolicySet,
        resource: EntityUid,
        entity: Entity,
    ) -> Result<Response, String> {
        let entities = self.entities.clone().add_entities([entity], None);
        let entities = entities.map_err(|e| e.to_string())?;
        let request = Request::new(
            self.principal.clone(),
            self.action.clone(),
            resource,
            self.context.clone(),
            None,
        )
        .map_err(|e| e.to_string())?;
        Ok(authorizer.is_authorized(&request, policies, &entities))
    }

    /// The entity of a resource: the attributes and tags that some policy of the slice reads, its ancestors.
    fn resource(
        &self,
        resource: &Resource,
        service: &EntityUid,
    ) -> Result<(EntityUid, Entity), String> {
        let id = resource.entity_id();
        let reads = &self.slice.reads;
        let call = &self.question.call;
        let string = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let mut attributes = Vec::new();
        let mut put = |name: &str, value: &dyn Fn() -> RestrictedExpression| {
            if reads.resource.contains(name) {
                attributes.push((name.to_owned(), value()));
            }
        };
        put("id", &|| string(resource.id()));
        put("type", &|| string(&resource.target.kind));
        put("service", &|| string(&call.action.service));
        put("region", &|| string(&call.region));
        put("account", &|| string(&resource.account));
        put("protected", &|| {
            RestrictedExpression::new_bool(resource.protected)
        });
        for (attribute, value) in &resource.facts.attributes {
            put(attribute.as_str(), &|| match attribute {
                Attribute::CreatedAt => RestrictedExpression::new_datetime(value),
                Attribute::Arn
                | Attribute::BillingMode
                | Attribute::RunningMode
                | Attribute::State => string(value),
            });
        }
        let parents = resource.parent_ids();
        let parents = parents.iter().map(|id| uid(&RESOURCE, id));
        let parents = parents.chain([service.clone(), uid(&ACCOUNT, &resource.account)]);
        let tags = resource
            .facts
            .tags
            .iter()
            .flatten()
            .filter(|(key, _)| reads.tags.contains(key))
            .map(|(key, value)| (key.clone(), string(value)));
        let uid = uid(&RESOURCE, &id);
        let entity = Entity::new_with_tags(uid.clone(), attributes, parents, tags)
            .map_err(|e| e.to_string())?;
        Ok((uid, entity))
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

/// The context: the fields that some policy of the slice reads.
fn context(
    slice: &Slice,
    question: &Question,
    entities: &mut Vec<Entity>,
) -> Result<Context, String> {
    let reads = &slice.reads.context;
    let mut pairs: Vec<(String, RestrictedExpression)> = Vec::new();
    let mut put = |name: &str, value: RestrictedExpression| pairs.push((name.to_owned(), value));
    if reads.contains("batchSize") {
        let size = i64::try_from(question.batch_size).map_err(|e| e.to_string())?;
        put("batchSize", RestrictedExpression::new_long(size));
    }
    if reads.contains("selector") {
        put(
            "selector",
            RestrictedExpression::new_bool(question.selector),
        );
    }
    if reads.contains("dryRun") {
        put("dryRun", RestrictedExpression::new_bool(question.dry_run));
    }
    if reads.contains("approved") {
        put("approved", RestrictedExpression::new_bool(false));
    }
    if reads.contains("used") {
        put("used", record([])?);
    }
    if reads.contains("now") {
        let now = time::of(question.now).ok_or("the clock is out of range")?;
        put("now", RestrictedExpression::new_datetime(now));
    }
    if reads.contains("source") {
        let ip = RestrictedExpression::new_ip(question.call.source_ip.to_string());
        let agent = question
            .call
            .user_agent
            .clone()
            .map(RestrictedExpression::new_string);
        let agent = agent.map(|agent| ("userAgent".to_owned(), agent));
        put(
            "source",
            record([("ip".to_owned(), ip)].into_iter().chain(agent))?,
        );
    }
    if reads.contains("tagKeys") {
        let keys = question
            .tag_keys
            .iter()
            .cloned()
            .map(RestrictedExpression::new_string);
        put("tagKeys", RestrictedExpression::new_set(keys));
    }
    if reads.contains("requestTags") {
        let tags = question
            .request_tags
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()));
        put("requestTags", tags_entity("requestTags", tags, entities)?);
    }
    if reads.contains("input") {
        put("input", input(question, &slice.reads.input, entities)?);
    }
    Context::from_pairs(pairs).map_err(|e| e.to_string())
}

fn record(
    pairs: impl IntoIterator<Item = (String, RestrictedExpression)>,
) -> Result<RestrictedExpression, String> {
    RestrictedExpression::new_record(pairs).map_err(|e| e.to_string())
}

fn tags_entity(
    name: &str,
    tags: impl Iterator<Item = (String, String)>,
    entities: &mut Vec<Entity>,
) -> Result<RestrictedExpression, String> {
    let uid = uid(&TAGS, name);
    let tags = tags.map(|(key, value)| (key, RestrictedExpression::new_string(value)));
    let entity = Entity::new_with_tags(uid.clone(), [], [], tags).map_err(|e| e.to_string())?;
    entities.push(entity);
    Ok(RestrictedExpression::new_entity_uid(uid))
}

/// `context.input`: the members that some policy reads, typed by the model.
fn input(
    question: &Question,
    reads: &Names,
    entities: &mut Vec<Entity>,
) -> Result<RestrictedExpression, String> {
    let service = &question.service;
    let operation = service.operations.get(&question.call.action.operation);
    let Some(structure) = operation.and_then(|operation| service.input(operation)) else {
        return record([]);
    };
    let mut pairs = Vec::new();
    for member in structure.members.iter().filter(|m| reads.contains(&m.name)) {
        if let Some(value) = question.view.get(&member.name) {
            let at = format!("input.{}", member.name);
            if let Some(value) = typed(service, member.shape, value, &at, entities)? {
                pairs.push((member.name.clone(), value));
            }
        }
    }
    record(pairs)
}

/// A value as Cedar has it; `None` where the schema gives it no type.
fn typed(
    service: &Service,
    shape: ShapeId,
    value: &Value,
    at: &str,
    entities: &mut Vec<Entity>,
) -> Result<Option<RestrictedExpression>, String> {
    let mismatch = || format!("`{at}` isn't what its model says");
    let Some(shape) = service.shape(shape) else {
        return Err(mismatch());
    };
    let expression = match (shape, value) {
        (_, Value::Null) | (Shape::Document, _) => return Ok(None),
        (Shape::Structure(structure), Value::Object(object)) => {
            let mut pairs = Vec::new();
            for (name, value) in object.iter() {
                let member = structure.member(name).ok_or_else(mismatch)?;
                if let Some(value) = typed(
                    service,
                    member.shape,
                    value,
                    &format!("{at}.{name}"),
                    entities,
                )? {
                    pairs.push((name.to_owned(), value));
                }
            }
            record(pairs)?
        }
        (Shape::List { member, .. }, Value::List(items)) => {
            let mut set = Vec::new();
            for (n, item) in items.iter().enumerate() {
                set.extend(typed(
                    service,
                    *member,
                    item,
                    &format!("{at}[{n}]"),
                    entities,
                )?);
            }
            RestrictedExpression::new_set(set)
        }
        (Shape::Map { value: of, .. }, Value::Object(object)) => {
            if matches!(service.shape(*of), Some(Shape::String { .. })) {
                let pairs = object
                    .iter()
                    .map(|(k, v)| Some((k.to_owned(), v.as_str()?.to_owned())));
                let pairs: Vec<_> = pairs.collect::<Option<_>>().ok_or_else(mismatch)?;
                tags_entity(at, pairs.into_iter(), entities)?
            } else {
                let mut set = Vec::new();
                for (key, value) in object.iter() {
                    if let Some(value) =
                        typed(service, *of, value, &format!("{at}.{key}"), entities)?
                    {
                        let key = RestrictedExpression::new_string(key.to_owned());
                        set.push(record([
                            ("key".to_owned(), key),
                            ("value".to_owned(), value),
                        ])?);
                    }
                }
                RestrictedExpression::new_set(set)
            }
        }
        (Shape::String { .. } | Shape::Blob, Value::String(text)) => {
            RestrictedExpression::new_string(text.clone())
        }
        (Shape::Boolean, Value::Bool(b)) => RestrictedExpression::new_bool(*b),
        (Shape::Integer | Shape::Long, Value::Number(n)) => {
            RestrictedExpression::new_long(n.as_i64().ok_or_else(mismatch)?)
        }
        (Shape::Float, Value::Number(n)) => {
            let text = n.as_str();
            let text = if text.contains('.') {
                text.to_owned()
            } else {
                format!("{text}.0")
            };
            RestrictedExpression::new_decimal(text)
        }
        (Shape::Timestamp { .. }, value) => {
            RestrictedExpression::new_datetime(time::rfc3339(value).ok_or_else(mismatch)?)
        }
        _ => return Err(mismatch()),
    };
    Ok(Some(expression))
}

/// Whether a resource stands for what a selector matches.
#[must_use]
pub fn is_selector(target: &Target) -> bool {
    target.kind == SELECTOR
}
