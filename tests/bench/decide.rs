//! How long a decision takes: choosing the slice, building the entities and asking Cedar.
//!
//! Ten policies apply to the call each time. What varies is how many there are in all, and how many resources the
//! call names.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark whose fixture is broken should stop"
)]

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use palisade::aws::catalog::{Catalog, Protocol};
use palisade::aws::value::Object;
use palisade::guard::call::{Action, Call, Caller, DecisionId, Mode, Verdict};
use palisade::guard::decide::{On, Question, Resource, decide, decide_early};
use palisade::guard::facts::{Attribute, Facts};
use palisade::guard::knowledge::Knowledge;
use palisade::guard::policies::{Policies, PolicyFile};
use palisade::guard::protected::Protected;
use palisade::guard::question::Rules;
use palisade::guard::schema::Vocabulary;
use palisade::guard::target::{Spelling, Target};

const SERVICE: &str = "workspaces";
const OPERATION: &str = "TerminateWorkspaces";
const TEN: &str = include_str!("ten.cedar");

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(40)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = policies_in_all, resources, refusals
}
criterion_main!(benches);

/// One resource; ten policies apply of 10, 100 and 1,000 in all.
fn policies_in_all(c: &mut Criterion) {
    let catalog = Catalog::embedded().unwrap();
    let mut group = c.benchmark_group("decide/policies");
    for count in [10, 100, 1_000] {
        let policies = policies(count);
        let question = question(&catalog, &policies, 1, "dev");
        assert_eq!(judged(&policies, question.clone()), Verdict::Allowed);
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter_batched(
                || question.clone(),
                |question| judged(&policies, question),
                BatchSize::SmallInput,
            );
        });
    }
}

/// One call that names several resources; ten policies apply of 100 in all.
fn resources(c: &mut Criterion) {
    let catalog = Catalog::embedded().unwrap();
    let policies = policies(100);
    let mut group = c.benchmark_group("decide/resources");
    for count in [1, 5, 10, 25] {
        let question = question(&catalog, &policies, count, "dev");
        assert_eq!(judged(&policies, question.clone()), Verdict::Allowed);
        group.throughput(Throughput::Elements(u64::try_from(count).unwrap()));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter_batched(
                || question.clone(),
                |question| judged(&policies, question),
                BatchSize::SmallInput,
            );
        });
    }
}

/// A call that a tag forbids, and the check that comes before any lookup.
fn refusals(c: &mut Criterion) {
    let catalog = Catalog::embedded().unwrap();
    let policies = policies(100);
    let forbidden = question(&catalog, &policies, 1, "prod");
    assert_eq!(judged(&policies, forbidden.clone()), Verdict::Refused);
    let mut group = c.benchmark_group("decide");
    group.bench_function("forbidden", |b| {
        b.iter_batched(
            || forbidden.clone(),
            |question| judged(&policies, question),
            BatchSize::SmallInput,
        );
    });
    let slice = policies.slice_of(&forbidden.call).unwrap();
    assert_eq!(decide_early(&slice, &mut forbidden.clone()), None);
    group.bench_function("early", |b| {
        b.iter_batched_ref(
            || forbidden.clone(),
            |question| decide_early(&slice, question),
            BatchSize::SmallInput,
        );
    });
}

/// What the path of a request pays for its decision.
fn judged(policies: &Policies, question: Question) -> Verdict {
    let slice = policies.slice_of(&question.call).unwrap();
    match decide(Mode::Enforce, &slice, question, ()) {
        Ok(allowed) => allowed.decision().verdict,
        Err(_) => Verdict::Refused,
    }
}

/// The ten policies, and as many that name other actions as it takes to have `count`.
fn policies(count: usize) -> Policies {
    let vocabulary = Vocabulary::new(
        ["admins", "deployers"].into_iter(),
        Arc::new(Catalog::embedded().unwrap()),
        &Knowledge::embedded().unwrap(),
    );
    let own = format!("{SERVICE}:{OPERATION}");
    let others: Vec<String> = vocabulary.actions().filter(|a| *a != own).collect();
    let mut text = TEN.to_owned();
    for (n, action) in others.iter().cycle().take(count - 10).enumerate() {
        writeln!(
            text,
            "@id(\"other-{n}\") @reason(\"too many\") forbid (principal, action == Action::\"{action}\", resource) \
             when {{ context.batchSize > {n} }};\n"
        )
        .unwrap();
    }
    let name = "bench.cedar".to_owned();
    let policies = Policies::load(&[PolicyFile { name, text }], &vocabulary).unwrap();
    assert_eq!(policies.rules().len(), count);
    policies
}

/// A call that terminates `count` WorkSpaces, with what lookups would have told about each.
fn question(catalog: &Catalog, policies: &Policies, count: usize, environment: &str) -> Question {
    let service = catalog.service(SERVICE).unwrap().unwrap();
    let operation = service.operations.get(OPERATION).unwrap();
    let caller = Caller {
        name: "ci-deploy".to_owned(),
        groups: vec!["deployers".to_owned()],
        credentials: "prod".to_owned(),
        access_key_id: "PALISADEEXAMPLE".to_owned(),
        role: None,
        session: None,
    };
    let call = Call {
        id: DecisionId(uuid::Uuid::nil()),
        action: Action {
            service: SERVICE.to_owned(),
            operation: OPERATION.to_owned(),
        },
        class: operation.class,
        group: operation.group,
        parsed: true,
        body_beside: false,
        guarded: true,
        protocol: Protocol::AwsJson,
        partition: "aws".to_owned(),
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        caller: Arc::new(caller),
        source_ip: IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)),
        user_agent: Some(
            "Boto3/1.43.5 md/Botocore#1.43.5 ua/2.1 os/linux#6.8 md/arch#x86_64".to_owned(),
        ),
        input: Object::new(),
    };
    let resources = (0..count)
        .map(|n| resource(n, &call, environment))
        .collect();
    let rules = Rules {
        knowledge: &Knowledge::embedded().unwrap(),
        policies,
        protected: &Protected::default(),
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let mut question = rules.question(Arc::new(call), service, None, now);
    question.on = On::Resources(resources);
    question.batch_size = count;
    question
}

fn resource(n: usize, call: &Call, environment: &str) -> Resource {
    let id = format!("ws-{n:09x}");
    let arn = format!("arn:aws:workspaces:eu-west-1:123456789012:workspace/{id}");
    let tags = [
        ("Name", "build-agent"),
        ("owner", "ci-deploy"),
        ("environment", environment),
        ("cost-center", "4711"),
        ("team", "platform"),
    ];
    let attributes = [
        (Attribute::Arn, arn.as_str()),
        (Attribute::RunningMode, "AUTO_STOP"),
        (Attribute::State, "AVAILABLE"),
    ];
    let facts = Facts {
        tags: Some(tags.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
        attributes: attributes.map(|(a, v)| (a, v.to_owned())).into(),
        absent: [Attribute::BillingMode, Attribute::CreatedAt].into(),
        id: Some(id.clone()),
        aliases: Vec::new(),
        tag_keys: None,
        send_id: false,
    };
    let kind = "AWS::WorkSpaces::Workspace";
    let target = Target::new(Spelling::Id(id), kind, Vec::new());
    Resource::new(target, &call.account, facts, &Protected::default(), SERVICE)
}
