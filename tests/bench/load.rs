//! What a start, and each reload, costs before anything is decided: the catalog of all services, and the rule set.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

use palisade::aws::catalog::Catalog;
use palisade::ruleset::{Ruleset, starter};

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = catalog, rules
}
criterion_main!(benches);

fn catalog(c: &mut Criterion) {
    c.bench_function("load/catalog", |b| {
        b.iter(|| black_box(Catalog::embedded().unwrap()));
    });
    // The largest service: what its first call waits for.
    c.bench_function("load/ec2", |b| {
        b.iter_batched(
            || Catalog::embedded().unwrap(),
            |catalog| catalog.service("ec2").unwrap(),
            criterion::BatchSize::LargeInput,
        );
    });
}

/// With the starter set.
fn rules(c: &mut Criterion) {
    let (policies, groups) = (starter(), BTreeSet::new());
    c.bench_function("load/rules", |b| {
        b.iter_batched(
            || Catalog::embedded().unwrap(),
            |catalog| Ruleset::new(catalog, &[], &policies, None, &groups, true).unwrap(),
            criterion::BatchSize::LargeInput,
        );
    });
}
