//! The judgement beside the plain one: Cedar's public interface, its own authorizer, each entity and request made anew
//! for each resource.

use std::sync::LazyLock;

use cedar_policy::{
    Authorizer, Context, Decision as CedarDecision, Entities, Entity, EntityUid, Policy, PolicyId,
    PolicySet, Request, RestrictedExpression,
};
use proptest::prelude::*;

use super::tests::{bare, deleting, load, resource};
use super::*;
use crate::guard::entity::{ACCOUNT, ACTION, CALLER, GROUP, RESOURCE, SERVICE, TAGS, uid};
use crate::guard::facts::Attribute;
use crate::guard::target::ParentId;

/// Conditions on everything that a question has, some of which err, or err for some questions alone.
const CONDITIONS: [&str; 36] = [
    "true == (1 == 1)",
    "context.batchSize > 2",
    "context.selector || context.dryRun",
    "context.batchSize + 9223372036854775806 > 3",
    "context.source.ip.isInRange(ip(\"10.0.0.0/8\"))",
    "context.source has userAgent && context.source.userAgent like \"aws*\"",
    "context.now > datetime(\"2026-01-01T00:00:00.000Z\")",
    "context.now.offset(duration(\"9223372036854775807ms\")) > context.now",
    "context.tagKeys.contains(\"env\")",
    "context.requestTags.hasTag(\"env\") && context.requestTags.getTag(\"env\") == \"prod\"",
    "context.input has waveID && context.input.waveID == \"wave-1\"",
    "principal.name == \"ci\"",
    "principal == Caller::\"ci\"",
    "principal in Group::\"deployers\"",
    "action in Action::\"destroy\"",
    "principal in [Group::\"admins\", Group::\"deployers\"]",
    "action == Action::\"mgn:DeleteWave\"",
    "resource.protected",
    "resource.id like \"*b\"",
    "resource.type == \"x:Thing\" && resource.service == \"mgn\"",
    "resource.region == \"eu-west-1\" && resource.account == \"123456789012\"",
    "resource has arn && resource.arn like \"arn:*\"",
    "resource has state && resource.state == \"UP\"",
    "resource has createdAt && resource.createdAt < context.now",
    "resource has deletionProtection && resource.deletionProtection",
    "resource has resourceCount && resource.resourceCount + 9223372036854775800 > 3",
    "resource.hasTag(\"env\") && [\"prod\", \"production\"].contains(resource.getTag(\"env\"))",
    "resource.hasTag(\"owner\") && resource.getTag(\"owner\") != principal.name",
    "resource.hasTag(principal.name)",
    "resource == Resource::\"a\"",
    "resource in Resource::\"top\"",
    "resource in [Resource::\"top/mid\", Resource::\"b\"]",
    "resource in Service::\"mgn\" && resource in Account::\"123456789012\"",
    "[Resource::\"a\", Resource::\"c\"].contains(resource)",
    "Resource::\"b\" == resource",
    "if resource.protected then context.selector else resource has state",
];

/// Forms of a scope on principal and resource.
const SCOPES: [(&str, &str); 5] = [
    ("principal", "resource"),
    ("principal in Group::\"deployers\"", "resource"),
    ("principal == Caller::\"ci\"", "resource == Resource::\"a\""),
    ("principal", "resource in Resource::\"top\""),
    (
        "principal is Caller",
        "resource is Resource in Service::\"mgn\"",
    ),
];

/// Each condition as a permit and as a forbid, under one scope after the other.
static SLICE: LazyLock<Arc<Slice>> = LazyLock::new(|| {
    let policy = |n: usize, effect: &str| {
        let (principal, resource) = SCOPES[(n + effect.len()) % SCOPES.len()];
        let (condition, word) = (CONDITIONS[n], if n % 4 == 3 { "unless" } else { "when" });
        format!(
            "@id(\"{effect} {n}\") @reason(\"no\") {effect} ({principal}, action == Action::\"mgn:DeleteWave\", {resource}) \
             {word} {{ {condition} }};\n"
        )
    };
    let all = (0..CONDITIONS.len()).flat_map(|n| [policy(n, "permit"), policy(n, "forbid")]);
    let policies = load(&all.collect::<String>());
    let call = deleting(Vec::new()).call;
    policies.slice(&call.action, &action_groups(&call)).unwrap()
});

/// What Cedar says about a question, asked by its public interface alone.
fn plainly(policies: &PolicySet, question: &Question) -> Result<Decision, Denial> {
    let On::Resources(resources) = &question.on else {
        unreachable!("it names resources");
    };
    let mut verdicts = Vec::new();
    for resource in resources {
        let (request, entities) = asked(question, resource);
        let response = Authorizer::new().is_authorized(&request, policies, &entities);
        if let Some(error) = response.diagnostics().errors().next() {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(inner) = error;
            return Err(Denial::Error {
                policy: inner.policy_id().to_string(),
                message: error.to_string(),
            });
        }
        let reasons = response.diagnostics().reason();
        let mut policies: Vec<String> = reasons.map(ToString::to_string).collect();
        policies.sort();
        verdicts.push(ResourceVerdict {
            id: resource.entity_id(),
            verdict: match response.decision() {
                CedarDecision::Allow => Verdict::Allowed,
                CedarDecision::Deny => Verdict::Refused,
            },
            policies,
        });
    }
    conclude(&SLICE, verdicts)
}

fn asked(question: &Question, on: &Resource) -> (Request, Entities) {
    let call = &question.call;
    let named = |kind, id: &str| EntityUid::from(uid(kind, id));
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let tags = |tags: &BTreeMap<String, String>| -> Vec<_> {
        tags.iter().map(|(k, v)| (k.clone(), text(v))).collect()
    };
    let record = |pairs: Vec<(&str, RestrictedExpression)>| {
        let pairs = pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        RestrictedExpression::new_record(pairs).unwrap()
    };

    let action = named(&ACTION, &call.action.to_string());
    let groups = action_groups(call);
    let groups = groups.iter().map(|group| named(&ACTION, group)).collect();
    let principal = named(&CALLER, &call.caller.name);
    let callers = call.caller.groups.iter().map(|group| named(&GROUP, group));
    let name = [("name".to_owned(), text(&call.caller.name))];
    let request_tags = named(&TAGS, "requestTags");

    let mut attributes = vec![
        ("id", text(on.id())),
        ("type", text(&on.target.kind)),
        ("service", text(&call.action.service)),
        ("region", text(&call.region)),
        ("account", text(&on.account)),
        ("protected", RestrictedExpression::new_bool(on.protected)),
    ];
    for (attribute, value) in &on.facts.attributes {
        let value = match attribute {
            Attribute::CreatedAt => RestrictedExpression::new_datetime(value),
            Attribute::DeletionProtection | Attribute::Empty => {
                RestrictedExpression::new_bool(value == "true")
            }
            Attribute::ResourceCount => RestrictedExpression::new_long(value.parse().unwrap()),
            Attribute::Arn
            | Attribute::BillingMode
            | Attribute::RunningMode
            | Attribute::State
            | Attribute::Versioning => text(value),
        };
        attributes.push((attribute.as_str(), value));
    }
    let attributes = attributes.into_iter().map(|(n, v)| (n.to_owned(), v));
    // The nearest alone: Cedar finds those above by itself.
    let parents = on.parent_ids();
    let parents = parents.iter().map(|id| named(&RESOURCE, id));
    let above = [
        named(&SERVICE, &call.action.service),
        named(&ACCOUNT, &on.account),
    ];
    let resource = named(&RESOURCE, &on.entity_id());
    let own_tags = on.facts.tags.clone().unwrap_or_default();

    let entities = Entities::from_entities(
        [
            Entity::new_no_attrs(action.clone(), groups),
            Entity::new_with_tags(principal.clone(), name, callers, []).unwrap(),
            Entity::new_with_tags(request_tags.clone(), [], [], tags(&question.request_tags))
                .unwrap(),
            Entity::new_with_tags(
                resource.clone(),
                attributes,
                parents.chain(above),
                tags(&own_tags),
            )
            .unwrap(),
        ],
        None,
    );
    let mut source = vec![(
        "ip",
        RestrictedExpression::new_ip(call.source_ip.to_string()),
    )];
    source.extend(
        call.user_agent
            .as_deref()
            .map(|agent| ("userAgent", text(agent))),
    );
    let input = question.view.get("waveID").and_then(|id| id.as_str());
    let keys = question.tag_keys.iter().map(|key| text(key));
    let now = crate::guard::time::of(question.now).unwrap();
    let size = i64::try_from(question.batch_size).unwrap();
    let context = vec![
        ("batchSize", RestrictedExpression::new_long(size)),
        (
            "selector",
            RestrictedExpression::new_bool(question.selector),
        ),
        ("dryRun", RestrictedExpression::new_bool(question.dry_run)),
        ("now", RestrictedExpression::new_datetime(now)),
        ("source", record(source)),
        ("tagKeys", RestrictedExpression::new_set(keys)),
        (
            "requestTags",
            RestrictedExpression::new_entity_uid(request_tags),
        ),
        (
            "input",
            record(input.map(|id| ("waveID", text(id))).into_iter().collect()),
        ),
    ];
    let context = context
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    let context = Context::from_pairs(context).unwrap();
    let request = Request::new(principal, action, resource, context, None).unwrap();
    (request, entities.unwrap())
}

fn tags() -> impl Strategy<Value = BTreeMap<String, String>> {
    let key = prop::sample::select(vec!["env", "owner", "ci", "x"]);
    let value = prop::sample::select(vec!["prod", "dev", "ci", ""]);
    let pair = (key, value).prop_map(|(k, v)| (k.to_owned(), v.to_owned()));
    prop::collection::btree_map(pair.clone().prop_map(|p| p.0), pair.prop_map(|p| p.1), 0..3)
}

fn resources() -> impl Strategy<Value = Vec<Resource>> {
    let attribute = prop::sample::select(vec![
        (
            Attribute::Arn,
            "arn:aws:mgn:eu-west-1:123456789012:wave/a-name-that-is-long",
        ),
        (Attribute::State, "UP"),
        (Attribute::State, "DOWN"),
        (Attribute::CreatedAt, "2026-02-01T00:00:00.000Z"),
        (Attribute::CreatedAt, "2025-02-01T00:00:00.000Z"),
        (Attribute::DeletionProtection, "true"),
        (Attribute::ResourceCount, "7"),
        (Attribute::ResourceCount, "8"),
    ]);
    let one = (
        prop::sample::select(vec!["a", "b", "c"]),
        prop::sample::select(vec![&[][..], &["top"], &["top", "mid"]]),
        any::<bool>(),
        prop::collection::vec(attribute, 0..4),
        tags(),
    );
    let one = one.prop_map(|(id, parents, protected, attributes, tags)| {
        let mut facts = bare(id);
        facts.attributes = attributes
            .into_iter()
            .map(|(a, v)| (a, v.to_owned()))
            .collect();
        facts.tags = Some(tags);
        let mut made = resource(id, facts);
        let parent = |id: &&str| ParentId {
            id: (*id).to_owned(),
            kind: "x:Parent".to_owned(),
        };
        made.target.parents = parents.iter().map(parent).collect();
        made.protected = protected;
        made
    });
    prop::collection::vec(one, 1..4)
}

fn questions() -> impl Strategy<Value = Question> {
    let caller = (
        prop::sample::select(vec!["ci", "cd"]),
        prop::sample::select(vec![&[][..], &["deployers"], &["deployers", "others"]]),
        prop::sample::select(vec!["10.1.2.3", "192.0.2.1", "2001:db8::1"]),
        prop::sample::select(vec![
            None,
            Some("aws-cli/2"),
            Some("Boto3/1.43.5 and some more text"),
        ]),
    );
    let flags = (
        1..5usize,
        any::<bool>(),
        any::<bool>(),
        0..2u64,
        any::<Option<bool>>(),
    );
    (resources(), caller, flags, tags(), tags()).prop_map(
        |(
            resources,
            (name, groups, ip, agent),
            (size, selector, dry_run, years, wave),
            keys,
            request_tags,
        )| {
            let mut question = deleting(resources);
            let mut caller = (*question.call.caller).clone();
            caller.name = name.to_owned();
            caller.groups = groups.iter().map(|g| (*g).to_owned()).collect();
            let call = Arc::make_mut(&mut question.call);
            call.caller = Arc::new(caller);
            call.source_ip = ip.parse().unwrap();
            call.user_agent = agent.map(str::to_owned);
            question.batch_size = size;
            question.selector = selector;
            question.dry_run = dry_run;
            question.now -= std::time::Duration::from_secs(years * 31_622_400);
            question.tag_keys = keys.into_keys().collect();
            question.request_tags = request_tags;
            if let Some(first) = wave {
                let id = if first { "wave-1" } else { "wave-2" };
                let id = crate::aws::value::Value::String(id.to_owned());
                question.view = [("waveID".to_owned(), id)].into_iter().collect();
            }
            question
        },
    )
}

/// What else may change in a question after its resources are looked up; first, nothing.
const CHANGES: [fn(&mut Question); 11] = [
    |_| {},
    |q| q.call = Arc::new((*q.call).clone()),
    |q| q.service = Arc::new((*q.service).clone()),
    |q| {
        let id = crate::aws::value::Value::String("wave-3".to_owned());
        q.view.set("waveID", id);
    },
    |q| q.batch_size += 1,
    |q| q.selector = !q.selector,
    |q| q.tag_keys = ["another".to_owned()].into(),
    |q| q.tag_keys_open = !q.tag_keys_open,
    |q| q.request_tags = [("another".to_owned(), String::new())].into(),
    |q| q.now += std::time::Duration::from_secs(1),
    |q| q.dry_run = !q.dry_run,
];

/// Some of the policies, few enough that not every question meets one that errs.
fn some_policies() -> impl Strategy<Value = PolicySet> {
    let all: Vec<PolicyId> = SLICE.policies.policies().map(|p| p.id().clone()).collect();
    prop::sample::subsequence(all, 1..10).prop_map(|ids| {
        let policies = ids.iter().filter_map(|id| SLICE.policies.policy(id));
        PolicySet::from_policies(policies.map(Policy::clone)).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn cedar_says_the_same_by_its_plain_interface(
        policies in some_policies(),
        question in questions(),
    ) {
        let conditions = Conditions::of(&policies, &BTreeSet::new());
        let judged = judge(&conditions, &SLICE, &question);
        prop_assert_eq!(judged, plainly(&policies, &question));
    }

    #[test]
    fn what_was_judged_before_the_lookups_changes_no_decision(
        policies in some_policies(),
        question in questions(),
        looked_up in resources(),
        change in prop::sample::select(&CHANGES[..]),
    ) {
        let early: BTreeSet<&str> = SLICE.conditions.early().collect();
        let conditions = Arc::new(Conditions::of(&policies, &early));
        let mut asked = question.clone();
        match judge_early(&conditions, &SLICE, &mut asked) {
            Some(_) => prop_assert!(judge(&conditions, &SLICE, &question).is_err()),
            None => {
                asked.on = On::Resources(looked_up);
                change(&mut asked);
                let afresh = Question { early: None, ..asked.clone() };
                let held = asked.early.as_ref().map(|e| e.holds_for(&conditions, &SLICE, &asked));
                prop_assert_eq!(held, Some(std::ptr::fn_addr_eq(change, CHANGES[0])));
                // The same policies, loaded anew, and others: of those nothing is known.
                let again = Conditions::of(&policies, &early);
                let others = Conditions::of(&SLICE.policies, &early);
                for conditions in [&*conditions, &again, &others] {
                    let judged = judge(conditions, &SLICE, &asked);
                    prop_assert_eq!(judged, judge(conditions, &SLICE, &afresh));
                }
            }
        }
    }
}
