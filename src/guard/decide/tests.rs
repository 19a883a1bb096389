//! What may be decided on what: a clean Allow on facts that somebody looked up, or a refusal.

use std::sync::LazyLock;
use std::time::Duration;

use cedar_policy::{Context, Entities, Entity, EntityUid, Request, Schema};
use cedar_policy_core::ast::EntityUID;

use super::constants::Constants;
use super::*;
use crate::aws::catalog::few::REVIEWED;
use crate::aws::catalog::model::Operation;
use crate::aws::catalog::{Catalog, Protocol};
use crate::guard::call::{Action, Caller, DecisionId};
use crate::guard::facts::{Attribute, Facts};
use crate::guard::knowledge::Knowledge;
use crate::guard::policies::{Policies, PolicyFile};
use crate::guard::protected::Protected;
use crate::guard::sample;
use crate::guard::schema::Vocabulary;
use crate::guard::target::{ParentId, Spelling, Target, targets};

static SERVICES: LazyLock<BTreeMap<String, Arc<Service>>> = LazyLock::new(|| {
    let catalog = Catalog::embedded().unwrap();
    let service = |id: &str| (id.to_owned(), catalog.service(id).unwrap().unwrap());
    REVIEWED.into_iter().map(service).collect()
});

static VOCABULARY: LazyLock<Vocabulary> = LazyLock::new(|| {
    let catalog = Arc::new(Catalog::embedded().unwrap());
    let knowledge = Knowledge::embedded().unwrap();
    Vocabulary::new(["deployers"].into_iter(), catalog, &knowledge)
});

pub(super) fn load(text: &str) -> Policies {
    let file = PolicyFile {
        name: "x.cedar".to_owned(),
        text: text.to_owned(),
    };
    Policies::load(&[file], &VOCABULARY).unwrap()
}

pub(super) const PERMIT: &str = "@id(\"all\") permit (principal, action, resource);\n";

pub(super) fn forbid(id: &str, condition: &str) -> String {
    format!(
        "@id(\"{id}\") @reason(\"because of {id}\") forbid (principal, action in Action::\"destroy\", resource) \
         when {{ {condition} }};\n"
    )
}

fn call(action: &str) -> Call {
    let (service, operation) = action.split_once(':').unwrap();
    let found: &Operation = &SERVICES[service].operations[operation];
    Call {
        id: DecisionId(uuid::Uuid::nil()),
        action: Action {
            service: service.to_owned(),
            operation: operation.to_owned(),
        },
        class: found.class,
        group: found.group,
        parsed: true,
        body_beside: false,
        guarded: true,
        protocol: Protocol::AwsJson,
        partition: "aws".to_owned(),
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        caller: Arc::new(Caller {
            name: "ci".to_owned(),
            groups: vec!["deployers".to_owned()],
            credentials: "prod".to_owned(),
            access_key_id: "PALISADE".to_owned(),
            role: None,
            session: None,
        }),
        source_ip: "10.1.2.3".parse().unwrap(),
        user_agent: Some("aws-cli/1".to_owned()),
        input: Object::new(),
    }
}

fn object(json: &str) -> Object {
    let value = crate::aws::protocol::json::parse(json.as_bytes()).unwrap();
    value.as_object().unwrap().clone()
}

/// Facts of a thing that was looked up and has nothing.
pub(super) fn bare(id: &str) -> Facts {
    Facts {
        tags: Some(BTreeMap::new()),
        attributes: BTreeMap::new(),
        absent: Attribute::ALL.into(),
        id: Some(id.to_owned()),
        ..Facts::default()
    }
}

fn tagged(id: &str, key: &str, value: &str) -> Facts {
    Facts {
        tags: Some([(key.to_owned(), value.to_owned())].into()),
        ..bare(id)
    }
}

fn target(id: &str) -> Target {
    Target::new(Spelling::Id(id.to_owned()), "x:Thing", Vec::new())
}

pub(super) fn resource(id: &str, facts: Facts) -> Resource {
    Resource::new(
        target(id),
        "123456789012",
        facts,
        &Protected::default(),
        "mgn",
    )
}

fn question(action: &str, on: On) -> Question {
    let call = call(action);
    Question {
        service: Arc::clone(&SERVICES[&call.action.service]),
        view: Object::new(),
        on,
        batch_size: 1,
        selector: false,
        tag_keys: BTreeSet::new(),
        tag_keys_open: false,
        request_tags: BTreeMap::new(),
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600),
        dry_run: false,
        early: None,
        call: Arc::new(call),
    }
}

const DELETE: &str = "mgn:DeleteWave";

pub(super) fn deleting(resources: Vec<Resource>) -> Question {
    question(DELETE, On::Resources(resources))
}

fn ask(policies: &Policies, question: Question) -> Result<Decision, Denial> {
    let slice = policies
        .slice(&question.call.action, &action_groups(&question.call))
        .unwrap();
    match decide(Mode::Enforce, &slice, question, "the request") {
        Ok(allowed) => {
            let (_, decision, request) = allowed.into_parts();
            assert_eq!(request, "the request");
            Ok(decision)
        }
        Err(denial) => Err(denial),
    }
}

#[test]
fn a_permit_allows_and_says_which() {
    let decision = ask(&load(PERMIT), deleting(vec![resource("a", bare("a"))])).unwrap();
    assert_eq!(decision.verdict, Verdict::Allowed);
    assert_eq!(decision.policies, ["all"]);
    assert_eq!(decision.resources[0].id, "a");
}

#[test]
fn without_a_permit_nothing_is_allowed() {
    let policies = load("@id(\"reads\") permit (principal, action in Action::\"read\", resource);");
    let denial = ask(&policies, deleting(vec![resource("a", bare("a"))])).unwrap_err();
    assert!(
        matches!(denial, Denial::NotPermitted { ref decision } if decision.policies.is_empty()),
        "{denial:?}"
    );
    let read = question("mgn:ListWaves", On::Service);
    assert!(ask(&policies, read).is_ok());
}

#[test]
fn one_forbidden_resource_refuses_the_call_and_its_verdict_is_its_own() {
    let policies = load(&format!(
        "{PERMIT}{}",
        forbid("tag", "resource.hasTag(\"x\")")
    ));
    let resources = vec![
        resource("a", bare("a")),
        resource("b", tagged("b", "x", "")),
        resource("c", bare("c")),
    ];
    let Denial::Forbidden { decision, reason } = ask(&policies, deleting(resources)).unwrap_err()
    else {
        panic!()
    };
    assert_eq!(reason.as_deref(), Some("because of tag"));
    assert_eq!(decision.policies, ["tag"]);
    let verdicts: Vec<_> = decision
        .resources
        .iter()
        .map(|r| (r.id.as_str(), r.verdict))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("a", Verdict::Allowed),
            ("b", Verdict::Refused),
            ("c", Verdict::Allowed)
        ]
    );
}

#[test]
fn what_names_nothing_is_never_allowed() {
    let denial = ask(&load(PERMIT), deleting(Vec::new())).unwrap_err();
    assert!(matches!(denial, Denial::Unjudgeable { .. }));
}

/// Cedar skips a policy that errs, a `forbid` too: validation can't see that this sum is too large.
#[test]
fn a_policy_that_errs_refuses_whatever_it_would_have_said() {
    let sum = "context.batchSize + 9223372036854775807 > 3";
    let errs = [
        format!("{PERMIT}{}", forbid("errs", sum)),
        format!(
            "{PERMIT}{}",
            forbid(
                "errs",
                "context.now.offset(duration(\"9223372036854775807ms\")) > context.now"
            )
        ),
        format!("{PERMIT}@id(\"errs\") permit (principal, action, resource) when {{ {sum} }};"),
    ];
    for text in errs {
        let policies = load(&text);
        let question = || deleting(vec![resource("a", bare("a"))]);
        let denial = ask(&policies, question()).unwrap_err();
        assert!(
            matches!(denial, Denial::Error { ref policy, .. } if policy == "errs"),
            "{text}: {denial:?}"
        );
    }
    let early = load(&format!("{PERMIT}{}", forbid("errs", sum)));
    let mut question = deleting(vec![resource("a", bare("a"))]);
    let slice = early
        .slice(&question.call.action, &action_groups(&question.call))
        .unwrap();
    assert!(matches!(
        decide_early(&slice, &mut question),
        Some(Denial::Error { .. })
    ));
}

#[test]
fn what_nobody_looked_up_never_reads_as_absent() {
    let reads_tags = load(&format!(
        "{PERMIT}{}",
        forbid("tag", "resource.hasTag(\"x\")")
    ));
    let reads_state = load(&format!(
        "{PERMIT}{}",
        forbid("state", "resource has state && resource.state == \"x\"")
    ));
    let unknown = |facts: Facts, policies: &Policies| match ask(
        policies,
        deleting(vec![resource("a", bare("a")), resource("b", facts)]),
    ) {
        Err(Denial::Unjudgeable { message }) => message,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        unknown(Facts::default(), &reads_tags),
        "policy `tag` reads the tags of `b`, which nobody looked up"
    );
    let without_state = Facts {
        absent: BTreeSet::new(),
        ..bare("b")
    };
    assert_eq!(
        unknown(without_state, &reads_state),
        "policy `state` reads `state` of `b`, which nobody looked up"
    );
    // What no policy reads need not be known.
    assert!(
        ask(
            &load(PERMIT),
            deleting(vec![resource("b", Facts::default())])
        )
        .is_ok()
    );
}

#[test]
fn a_name_that_nobody_resolved_is_never_allowed() {
    let named = Target {
        spelling: Spelling::Name("desk".to_owned()),
        ..target("")
    };
    let resource = |facts| {
        Resource::new(
            named.clone(),
            "123456789012",
            facts,
            &Protected::default(),
            "mgn",
        )
    };
    let policies = load(PERMIT);
    let denial = ask(&policies, deleting(vec![resource(Facts::default())])).unwrap_err();
    assert!(matches!(denial, Denial::Unjudgeable { .. }));
    let decision = ask(&policies, deleting(vec![resource(bare("pp-1"))])).unwrap();
    assert_eq!(decision.resources[0].id, "pp-1");
}

#[test]
fn what_is_refused_early_is_what_a_policy_forbids() {
    let policies = load(&format!(
        "{PERMIT}{}",
        forbid("listed", "resource.protected")
    ));
    let list = Protected::parse("x", "[mgn]\nids = [\"b\"]", &["mgn"]).unwrap();
    let on = |id| Resource::new(target(id), "1", Facts::default(), &list, "mgn");
    let mut question = deleting(vec![on("a"), on("b")]);
    let slice = policies
        .slice(&question.call.action, &action_groups(&question.call))
        .unwrap();
    let Some(Denial::Forbidden { decision, .. }) = decide_early(&slice, &mut question) else {
        panic!()
    };
    let verdicts: Vec<_> = decision.resources.iter().map(|r| r.verdict).collect();
    assert_eq!(verdicts, [Verdict::Allowed, Verdict::Refused]);
    assert_eq!(decision.policies, ["listed"]);
}

/// A policy by id must not refuse by the name before the name's id is known.
#[test]
fn nothing_is_refused_early_for_the_name_it_was_called_by() {
    let policies = load(&format!(
        "{PERMIT}{}",
        forbid("others", "resource.id != \"pp-1\"")
    ));
    let named = Target {
        spelling: Spelling::Name("desk".to_owned()),
        ..target("")
    };
    let protected = Protected::default();
    let on = |facts| {
        deleting(vec![Resource::new(
            named.clone(),
            "1",
            facts,
            &protected,
            "mgn",
        )])
    };
    let mut unresolved = on(Facts::default());
    let slice = policies
        .slice(&unresolved.call.action, &action_groups(&unresolved.call))
        .unwrap();
    assert_eq!(decide_early(&slice, &mut unresolved), None);
    assert!(ask(&policies, on(bare("pp-1"))).is_ok());
    assert!(matches!(
        ask(&policies, on(bare("pp-2"))),
        Err(Denial::Forbidden { .. })
    ));
}

/// Whether a policy permits a deletion by that condition alone.
fn holds(condition: &str, question: Question) -> bool {
    let scope = format!("action == Action::\"{}\"", question.call.action);
    let text = format!("@id(\"it\") permit (principal, {scope}, resource) when {{ {condition} }};");
    match ask(&load(&text), question) {
        Ok(_) => true,
        Err(Denial::NotPermitted { .. }) => false,
        Err(other) => panic!("{condition}: {other:?}"),
    }
}

#[test]
fn a_resource_has_what_was_learnt_of_it() {
    let facts = Facts {
        tags: Some([("env".to_owned(), "prod".to_owned())].into()),
        attributes: [
            (Attribute::Arn, "arn:aws:x"),
            (Attribute::BillingMode, "MONTHLY"),
            (Attribute::RunningMode, "AUTO_STOP"),
            (Attribute::State, "UP"),
            (Attribute::CreatedAt, "2026-01-01T00:00:00.000Z"),
        ]
        .map(|(a, v)| (a, v.to_owned()))
        .into(),
        absent: BTreeSet::new(),
        ..bare("w-1")
    };
    for condition in [
        r#"resource.id == "w-1""#,
        r#"resource == Resource::"w-1""#,
        r#"resource.type == "x:Thing""#,
        r#"resource.service == "mgn" && resource in Service::"mgn""#,
        r#"resource.region == "eu-west-1""#,
        r#"resource.account == "123456789012" && resource in Account::"123456789012""#,
        r#"!resource.protected"#,
        r#"resource has arn && resource.arn == "arn:aws:x""#,
        r#"resource has billingMode && resource.billingMode == "MONTHLY""#,
        r#"resource has runningMode && resource.runningMode == "AUTO_STOP""#,
        r#"resource has state && resource.state == "UP""#,
        r#"resource has createdAt && resource.createdAt == datetime("2026-01-01T00:00:00Z")"#,
        r#"resource.hasTag("env") && resource.getTag("env") == "prod""#,
        r#"principal == Caller::"ci" && principal.name == "ci" && principal in Group::"deployers""#,
        r#"!(principal in Group::"admins")"#,
        r#"action in Action::"destroy" && action in Action::"mgn:*""#,
    ] {
        let question = deleting(vec![resource("w-1", facts.clone())]);
        assert!(holds(condition, question), "{condition}");
    }
    let absent = [
        "!(resource has arn)",
        "!(resource has createdAt)",
        r#"!resource.hasTag("env")"#,
    ];
    for condition in absent {
        assert!(
            holds(condition, deleting(vec![resource("w-1", bare("w-1"))])),
            "{condition}"
        );
    }
}

#[test]
fn the_context_has_what_is_asked() {
    let asked = || Question {
        batch_size: 7,
        selector: true,
        dry_run: true,
        tag_keys: ["a".to_owned(), "b".to_owned()].into(),
        request_tags: [("a".to_owned(), "x".to_owned())].into(),
        ..deleting(vec![resource("w-1", bare("w-1"))])
    };
    for condition in [
        "context.batchSize == 7",
        "context.selector",
        "context.dryRun",
        "!context.approved",
        "context.used == {}",
        "context.now == datetime(\"2026-01-01\")",
        "context.now.toTime() == duration(\"0ms\")",
        "context.source.ip.isInRange(ip(\"10.0.0.0/8\"))",
        "context.source has userAgent && context.source.userAgent like \"aws-cli*\"",
        "context.tagKeys.containsAll([\"a\", \"b\"]) && !context.tagKeys.contains(\"c\")",
        "context.requestTags.hasTag(\"a\") && context.requestTags.getTag(\"a\") == \"x\"",
        "!context.requestTags.hasTag(\"b\")",
    ] {
        assert!(holds(condition, asked()), "{condition}");
    }
    let mut v6 = asked();
    Arc::make_mut(&mut v6.call).source_ip = "2001:db8::1".parse().unwrap();
    Arc::make_mut(&mut v6.call).user_agent = None;
    assert!(holds(
        "context.source.ip.isIpv6() && !(context.source has userAgent)",
        v6
    ));
}

fn with_view(action: &str, on: On, json: &str) -> Question {
    Question {
        view: object(json),
        ..question(action, on)
    }
}

#[test]
fn a_parameter_has_its_type() {
    let sts = |json: &str| {
        with_view(
            "sts:AssumeRole",
            On::Resources(vec![resource("r", bare("r"))]),
            json,
        )
    };
    assert!(holds(
        "context.input has DurationSeconds && context.input.DurationSeconds > 3600",
        sts(r#"{"DurationSeconds":7200}"#)
    ));
    assert!(!holds(
        "context.input has DurationSeconds && context.input.DurationSeconds > 3600",
        sts("{}")
    ));
    let mgn = |json: &str| {
        with_view(
            "mgn:TerminateTargetInstances",
            On::Resources(vec![resource("s", bare("s"))]),
            json,
        )
    };
    assert!(holds(
        r#"context.input has tags && context.input.tags.hasTag("a") && context.input.tags.getTag("a") == "b" && !context.input.tags.hasTag("c")"#,
        mgn(r#"{"tags":{"a":"b"}}"#)
    ));
    assert!(holds(
        r#"context.input has sourceServerIDs && context.input.sourceServerIDs.contains("s-2")"#,
        mgn(r#"{"sourceServerIDs":["s-1","s-2"]}"#)
    ));
    let catalog = |json: &str| {
        let on = On::Resources(vec![resource("p", bare("p"))]);
        with_view("servicecatalog:TerminateProvisionedProduct", on, json)
    };
    assert!(holds(
        "context.input has IgnoreErrors && context.input.IgnoreErrors",
        catalog(r#"{"IgnoreErrors":true}"#)
    ));
    let create = |json: &str| {
        with_view(
            "workspaces-instances:CreateWorkspaceInstance",
            On::Service,
            json,
        )
    };
    let monthly = r#"context.input has BillingConfiguration.BillingMode && context.input.BillingConfiguration.BillingMode == "MONTHLY""#;
    assert!(holds(
        monthly,
        create(r#"{"BillingConfiguration":{"BillingMode":"MONTHLY"}}"#)
    ));
    assert!(!holds(
        monthly,
        create(r#"{"BillingConfiguration":{"BillingMode":"HOURLY"}}"#)
    ));
    assert!(!holds(monthly, create("{}")));
}

/// A policy that looks for `MONTHLY` doesn't see `monthly`, and AWS might.
#[test]
fn a_parameter_that_differs_from_a_known_value_in_case_is_refused() {
    let text = "@id(\"it\") permit (principal, action == Action::\"workspaces-instances:CreateWorkspaceInstance\", resource) \
                unless { context.input has BillingConfiguration.BillingMode && context.input.BillingConfiguration.BillingMode == \"MONTHLY\" };";
    let policies = load(text);
    let create = |mode: &str| {
        let json = format!(r#"{{"BillingConfiguration":{{"BillingMode":"{mode}"}}}}"#);
        ask(
            &policies,
            with_view(
                "workspaces-instances:CreateWorkspaceInstance",
                On::Service,
                &json,
            ),
        )
    };
    assert!(create("HOURLY").is_ok());
    assert!(matches!(
        create("MONTHLY"),
        Err(Denial::NotPermitted { .. })
    ));
    for alike in ["monthly", "Monthly", " MONTHLY"] {
        assert!(
            matches!(create(alike), Err(Denial::Unreadable { .. })),
            "{alike}"
        );
    }
}

fn names_of(target: Target, facts: Facts, listed: &str) -> bool {
    let list = format!("[mgn]\nids = [\"{listed}\"]");
    let protected = Protected::parse("protected.toml", &list, &["mgn"]).unwrap();
    Resource::new(target, "123456789012", facts, &protected, "mgn").protected
}

#[test]
fn a_protected_id_is_known_by_every_name_and_under_every_parent() {
    let arn = "arn:aws:mgn:eu-west-1:123456789012:source-server/s-1";
    let with = |facts: Facts, listed: &str| names_of(target("s-1"), facts, listed);
    let aliased = || Facts {
        attributes: [(Attribute::Arn, arn.to_owned())].into(),
        aliases: vec!["i-1".to_owned()],
        ..bare("s-1")
    };
    for listed in [
        "s-1",
        "S-1",
        "s-*",
        "i-1",
        arn,
        "arn:*:source-server/s-1",
        "arn:aws:mgn:*:*:source-server/*",
    ] {
        assert!(with(aliased(), listed), "{listed}");
    }
    for other in ["s-12", "s", "i-2", "s-1/"] {
        assert!(!with(aliased(), other), "{other}");
    }
    // Named by its ARN, in whatever case, it is known by its id; and by what it stands in.
    for spelt in [arn, &arn.to_uppercase(), &format!("{arn}/action/a-1")] {
        assert!(names_of(target(spelt), Facts::default(), "s-1"), "{spelt}");
    }
    // An ARN on the list protects the bare id, though nothing told its ARN.
    assert!(names_of(target("s-1"), Facts::default(), arn));
    // By a name that a lookup resolved, it is known by both.
    let named = Target {
        spelling: Spelling::Name("desk".to_owned()),
        ..target("")
    };
    assert!(names_of(named.clone(), bare("pp-1"), "desk"));
    assert!(names_of(named, bare("pp-1"), "pp-1"));
    let inside = Target {
        parents: vec![
            ParentId {
                id: "env-1".to_owned(),
                kind: "x:Env".to_owned(),
            },
            ParentId {
                id: "c-1".to_owned(),
                kind: "x:Connector".to_owned(),
            },
        ],
        ..target("vm-1")
    };
    for listed in [
        "env-1",
        "c-1",
        "vm-1",
        "env-1/c-1/vm-1",
        "env-1/c-1",
        "ENV-1",
    ] {
        assert!(
            names_of(inside.clone(), Facts::default(), listed),
            "{listed}"
        );
    }
}

#[test]
fn a_resource_stands_in_its_parents() {
    let inside = Target {
        parents: vec![
            ParentId {
                id: "env-1".to_owned(),
                kind: "x:Env".to_owned(),
            },
            ParentId {
                id: "c-1".to_owned(),
                kind: "x:Connector".to_owned(),
            },
        ],
        ..target("vm-1")
    };
    let question = || {
        let resource = Resource::new(
            inside.clone(),
            "123456789012",
            bare("env-1"),
            &Protected::default(),
            "mgn",
        );
        deleting(vec![resource])
    };
    for condition in [
        r#"resource == Resource::"env-1/c-1/vm-1""#,
        r#"resource in Resource::"env-1""#,
        r#"resource in Resource::"env-1/c-1""#,
        r#"resource.id == "vm-1""#,
        r#"!(resource in Resource::"vm-1")"#,
        r#"!(resource in Resource::"c-1")"#,
    ] {
        assert!(holds(condition, question()), "{condition}");
    }
}

#[test]
fn an_arn_says_in_which_account_the_resource_is() {
    let of = |id: &str| resource(id, bare(id)).account;
    assert_eq!(
        of("arn:aws:mgn:eu-west-1:210987654321:wave/w-1"),
        "210987654321"
    );
    for other in [
        "w-1",
        "arn:aws:s3:::bucket",
        "arn:aws:mgn:eu-west-1:12:wave/w-1",
        "arn:x",
    ] {
        assert_eq!(of(other), "123456789012", "{other}");
    }
}

/// Reads all that there is, so that a request has all that it can have.
const ALL: &str = r#"
@id("context") permit (principal, action, resource) when { context == context };
@id("resource") permit (principal, action, resource is Resource) when {
    resource has arn || resource has billingMode || resource has runningMode || resource has state ||
    resource has createdAt || resource.protected || resource.id == "" || resource.type == "" ||
    resource.service == "" || resource.region == "" || resource.account == "" || resource.hasTag(principal.name)
};
"#;

/// A question about an operation whose input has every member.
fn full(service: &Arc<Service>, operation: &Operation) -> Question {
    let input = sample::full(service, operation);
    let mut question = question(&format!("{}:{}", service.id, operation.name), On::Service);
    if operation.may_be_guarded() {
        let knowledge = Knowledge::embedded().unwrap();
        // What an input that has everything names twice isn't the point here.
        let found = targets(service, operation, &knowledge, &input).map(|found| found.targets);
        let found = found.unwrap_or_default();
        let found = if found.is_empty() {
            vec![target("t-1")]
        } else {
            found
        };
        let facts = Facts {
            attributes: [
                (Attribute::Arn, "arn:aws:x"),
                (Attribute::BillingMode, "MONTHLY"),
                (Attribute::RunningMode, "AUTO_STOP"),
                (Attribute::State, "UP"),
                (Attribute::CreatedAt, "2026-01-01T00:00:00.000Z"),
            ]
            .map(|(a, v)| (a, v.to_owned()))
            .into(),
            ..tagged("t-1", "a", "b")
        };
        let resource = |target| {
            Resource::new(
                target,
                "123456789012",
                facts.clone(),
                &Protected::default(),
                "mgn",
            )
        };
        question.on = On::Resources(found.into_iter().map(resource).collect());
    }
    question.tag_keys = ["a".to_owned()].into();
    question.request_tags = [("a".to_owned(), "b".to_owned())].into();
    question.view = input;
    question
}

#[test]
fn the_request_of_every_action_is_what_the_schema_says() {
    let whole = VOCABULARY.whole(&REVIEWED.map(str::to_owned)).unwrap();
    let (schema, _) = Schema::from_cedarschema_str(&whole).unwrap();
    let policies = load(ALL);
    let mut judged = 0;
    for service in SERVICES.values() {
        for operation in service.operations.values() {
            let question = full(service, operation);
            let name = question.call.action.to_string();
            let slice = policies
                .slice(&question.call.action, &action_groups(&question.call))
                .unwrap();
            let ground = Ground::of(&slice, &question, &Constants::default())
                .unwrap_or_else(|e| panic!("{name}: {e:?}"));
            let case = Case::on_ground(&slice, &question, &ground);
            let on = match &question.on {
                On::Service => vec![case.of_service()],
                On::Resources(resources) => {
                    let entity = |resource| case.resource(resource).unwrap();
                    resources.iter().map(entity).collect()
                }
            };
            for resource in on {
                // In the schema the action stands in the groups of all classes that its calls can be of.
                let in_one = |e: &&cedar_policy_core::ast::Entity| {
                    operation.is_conditional() && *e.uid() == *ground.action
                };
                let uid = |uid: &EntityUID| EntityUid::from(uid.clone());
                let on = uid(resource.uid());
                let all = ground.entities.iter().filter(|e| !in_one(e)).cloned();
                let all = all.chain([resource]).map(Entity::from);
                Entities::from_entities(all, Some(&schema))
                    .unwrap_or_else(|e| panic!("{name}: {e}"));
                let request = Request::new(
                    uid(&ground.principal),
                    uid(&ground.action),
                    on,
                    Context::from(ground.context.clone()),
                    Some(&schema),
                );
                request.unwrap_or_else(|e| panic!("{name}: {e}"));
                judged += 1;
            }
            assert!(ask(&policies, question).is_ok(), "{name}");
        }
    }
    assert!(judged > 300, "{judged}");
}

#[test]
fn which_tags_go_is_known_before_a_policy_reads_it() {
    let reading = forbid("keys", "context.tagKeys.contains(\"a\")");
    let policies = load(&format!("{PERMIT}{reading}"));
    let open = || Question {
        tag_keys: ["a".to_owned()].into(),
        tag_keys_open: true,
        ..deleting(vec![resource("w-1", bare("w-1"))])
    };
    let refused = ask(&policies, open()).unwrap_err();
    assert!(
        matches!(&refused, Denial::Unjudgeable { message } if message.contains("which tags")),
        "{refused:?}"
    );
    let groups = action_groups(&open().call);
    let slice = policies.slice(&open().call.action, &groups).unwrap();
    assert_eq!(decide_early(&slice, &mut open()), None);
    let closed = || Question {
        tag_keys_open: false,
        ..open()
    };
    assert!(decide_early(&slice, &mut closed()).is_some());
    assert!(ask(&load(PERMIT), open()).is_ok());
}

/// What nobody read must not read as absent.
#[test]
fn a_policy_that_reads_a_body_that_nobody_read_refuses() {
    let catalog = Catalog::embedded().unwrap();
    let s3 = catalog.service("s3").unwrap().unwrap();
    let put = || {
        let mut question = deleting(vec![resource("k", bare("k"))]);
        question.service = Arc::clone(&s3);
        Arc::make_mut(&mut question.call).action.service = "s3".to_owned();
        Arc::make_mut(&mut question.call).action.operation = "PutObject".to_owned();
        Arc::make_mut(&mut question.call).class = crate::aws::class::Class::Write;
        Arc::make_mut(&mut question.call).body_beside = true;
        question
    };
    for (member, refuses) in [("Body", true), ("ACL", false)] {
        let text = format!(
            "{PERMIT}@id(\"f\") @reason(\"r\") forbid (principal, action in Action::\"s3:*\", resource) \
             when {{ context.input has {member} }};"
        );
        let answer = ask(&load(&text), put());
        let unread = matches!(&answer, Err(Denial::Unjudgeable { message }) if message.contains("streams unread"));
        assert_eq!(unread, refuses, "{member}: {answer:?}");
    }
    // Nor is anything on what it names judged where only its service is known.
    let on_tags = format!(
        "{PERMIT}@id(\"f\") @reason(\"r\") forbid (principal, action, resource) when {{ resource.hasTag(\"x\") }};"
    );
    let unnamed = Question {
        on: On::Service,
        ..put()
    };
    let answer = ask(&load(&on_tags), unnamed).unwrap_err();
    assert!(matches!(answer, Denial::Unjudgeable { .. }), "{answer:?}");
}

/// A question about a read, which is judged on its service.
fn reading(caller: &str, groups: &[&str]) -> Question {
    let mut question = question("mgn:DescribeJobs", On::Service);
    let caller = Caller {
        name: caller.to_owned(),
        groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        ..(*question.call.caller).clone()
    };
    Arc::make_mut(&mut question.call).caller = Arc::new(caller);
    Arc::make_mut(&mut question.call).guarded = false;
    question
}

fn read_slice(text: &str) -> Arc<Slice> {
    let call = call("mgn:DescribeJobs");
    let slice = load(text).slice(&call.action, &action_groups(&call));
    slice.unwrap()
}

#[test]
fn a_kept_decision_is_the_callers_own() {
    let slice = read_slice(
        "@id(\"deployers\") permit (principal in Group::\"deployers\", action, resource);",
    );
    let judged = |question| decide(Mode::Enforce, &slice, question, ());
    for _ in 0..2 {
        let allowed = judged(reading("ci", &["deployers"])).unwrap();
        assert_eq!(allowed.decision().policies, ["deployers"]);
        for other in [reading("ci", &[]), reading("cd", &[])] {
            assert!(matches!(judged(other), Err(Denial::NotPermitted { .. })));
        }
    }
}

#[test]
fn what_policies_read_of_a_request_is_read_of_each() {
    let slice = read_slice(&format!(
        "{PERMIT}@id(\"inside\") @reason(\"only from inside\") forbid (principal, action in Action::\"read\", resource) \
         unless {{ context.source.ip.isInRange(ip(\"10.0.0.0/8\")) }};"
    ));
    let judged = |ip: &str| {
        let mut question = reading("ci", &["deployers"]);
        Arc::make_mut(&mut question.call).source_ip = ip.parse().unwrap();
        decide(Mode::Enforce, &slice, question, ()).is_ok()
    };
    assert_eq!(
        ["10.1.2.3", "192.0.2.1", "10.1.2.3"].map(judged),
        [true, false, true]
    );
}

#[test]
fn what_a_kept_decision_was_made_of_is_compared() {
    let slice = read_slice(&format!(
        "{PERMIT}@id(\"by-name\") @reason(\"name them\") forbid (principal, action, resource) when {{ context.selector }};"
    ));
    let judged = |selector| {
        let question = Question {
            selector,
            ..reading("ci", &[])
        };
        decide(Mode::Enforce, &slice, question, ()).is_ok()
    };
    assert_eq!([false, true, false].map(judged), [true, false, true]);
}

#[test]
fn a_kept_decision_is_of_its_action_alone() {
    let slice = read_slice(PERMIT);
    decide(Mode::Enforce, &slice, reading("ci", &[]), ()).unwrap();
    let mut other = reading("ci", &[]);
    Arc::make_mut(&mut other.call).action.operation = "DescribeSourceServers".to_owned();
    let denied = decide(Mode::Enforce, &slice, other, ()).map(|_| ());
    assert!(matches!(denied, Err(Denial::Unjudgeable { .. })));
}
