use std::collections::BTreeMap;

use super::*;
use crate::journal::tests::{allowed, call, decision, noon, outcome, read, refused, start};
use crate::journal::{Judgement, Tunnel};

pub(crate) fn metrics() -> Metrics {
    Metrics::new(Vocabulary {
        knows_action: Box::new(|service, operation| {
            service == "workspaces"
                && ["TerminateWorkspaces", "DescribeWorkspaces"].contains(&operation)
        }),
        refusal_reasons: vec!["policy", "unknown_key"],
        unidentified_reasons: vec!["unknown_operation"],
        lookup_sources: vec!["workspaces:DescribeTags".into()],
        catalog: "1.44.0".into(),
    })
    .unwrap()
}

fn tunnel(verdict: Verdict) -> Record {
    Record::tunnel(Tunnel {
        time: noon(),
        host: "registry.terraform.io".into(),
        port: 443,
        caller: None,
        source: "127.0.0.1:5000".parse().unwrap(),
        verdict,
        reason: None,
    })
}

/// One sample: its value.
#[track_caller]
fn sample(metrics: &Metrics, series: &str) -> f64 {
    let text = metrics.exposition().unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix(series));
    let Some(value) = found else {
        panic!("no `{series}` in\n{text}");
    };
    value.trim().parse().unwrap()
}

/// The type of each metric, from a strict reading of the text format.
fn types(text: &str) -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    for line in text.lines() {
        if let Some(of) = line.strip_prefix("# TYPE ") {
            let (name, kind) = of.split_once(' ').unwrap();
            assert!(types.insert(name.to_owned(), kind.to_owned()).is_none());
        } else if !line.starts_with("# HELP ") {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = series.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|s| name.strip_suffix(s).filter(|n| types.contains_key(*n)))
                .unwrap_or(name);
            assert!(types.contains_key(family), "{line}");
        }
    }
    types
}

#[test]
fn every_promised_name_is_there_with_its_type() {
    let metrics = metrics();
    metrics.observe(&refused(1));
    metrics.policies_in_force([("monthly-billing", Effect::Forbid)].into_iter());
    metrics.request_took(Some(Class::Read), Duration::from_millis(3));
    metrics.lookup_took(
        "workspaces:DescribeTags",
        LookupOutcome::Found,
        Duration::ZERO,
    );
    metrics.ruleset_in_force("abc");
    metrics.runs_in(Mode::Enforce);
    metrics.certificate_expires(Certificate::Authority, Some(noon()));
    metrics.credentials_in_force(["prod"].into_iter());
    metrics.fetched("prod", Fetch::Source, fetched(Some(noon())));
    let types = types(&metrics.exposition().unwrap());
    let expected = [
        ("palisade_decisions_total", "counter"),
        ("palisade_resources_total", "counter"),
        ("palisade_refusals_total", "counter"),
        ("palisade_policy_decisions_total", "counter"),
        ("palisade_unidentified_total", "counter"),
        ("palisade_tunnels_total", "counter"),
        ("palisade_outcomes_total", "counter"),
        ("palisade_request_duration_seconds", "histogram"),
        ("palisade_decision_duration_seconds", "histogram"),
        ("palisade_lookup_duration_seconds", "histogram"),
        ("palisade_upstream_duration_seconds", "histogram"),
        ("palisade_journal_append_duration_seconds", "histogram"),
        ("palisade_policy_reloads_total", "counter"),
        ("palisade_policy_reload_failing", "gauge"),
        ("palisade_certificate_expiry_timestamp_seconds", "gauge"),
        ("palisade_credentials_expiry_timestamp_seconds", "gauge"),
        ("palisade_credentials_fetches_total", "counter"),
        ("palisade_ruleset_info", "gauge"),
        ("palisade_mode", "gauge"),
        ("palisade_journal_sequence", "gauge"),
        ("palisade_journal_failing", "gauge"),
        ("palisade_key_ledger_age_seconds", "gauge"),
        ("palisade_connections", "gauge"),
        ("palisade_certificates_minted_total", "counter"),
        ("palisade_build_info", "gauge"),
    ];
    let expected: BTreeMap<String, String> = expected
        .into_iter()
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    assert_eq!(types, expected);
}

#[test]
fn a_refusal_counts_call_resource_policy_and_reason() {
    let metrics = metrics();
    metrics.policies_in_force([("monthly-billing", Effect::Forbid)].into_iter());
    metrics.observe(&refused(1));
    for series in [
        r#"palisade_decisions_total{class="destroy",operation="TerminateWorkspaces",service="workspaces",verdict="refused"}"#,
        r#"palisade_resources_total{class="destroy",service="workspaces",verdict="refused"}"#,
        r#"palisade_policy_decisions_total{effect="forbid",policy="monthly-billing"}"#,
        r#"palisade_refusals_total{reason="policy"}"#,
    ] {
        assert_eq!(sample(&metrics, series), 1.0, "{series}");
    }
    assert_eq!(
        sample(&metrics, r#"palisade_outcomes_total{outcome="sent"}"#),
        0.0
    );
}

#[test]
fn a_decision_and_its_outcome_count_once_each() {
    let metrics = metrics();
    let decision = allowed(1);
    metrics.observe(&decision);
    metrics.observe(&outcome(&decision));
    metrics.observe(&read(2));
    metrics.observe(&start());
    metrics.observe(&tunnel(Verdict::Allowed));
    for (series, expected) in [
        (
            r#"palisade_decisions_total{class="destroy",operation="TerminateWorkspaces",service="workspaces",verdict="allowed"}"#,
            1.0,
        ),
        (
            r#"palisade_resources_total{class="destroy",service="workspaces",verdict="allowed"}"#,
            1.0,
        ),
        (
            r#"palisade_decisions_total{class="read",operation="DescribeWorkspaces",service="workspaces",verdict="allowed"}"#,
            1.0,
        ),
        (r#"palisade_outcomes_total{outcome="sent"}"#, 2.0),
        (r#"palisade_tunnels_total{verdict="allowed"}"#, 1.0),
        (r#"palisade_tunnels_total{verdict="refused"}"#, 0.0),
    ] {
        assert_eq!(sample(&metrics, series), expected, "{series}");
    }
}

#[test]
fn what_is_in_no_closed_set_is_other() {
    let metrics = metrics();
    let mut call = call(1, Class::Destroy);
    call.action.operation = "NoSuchOperation".into();
    metrics.observe(&decision(&call, Judgement::Allowed));
    metrics.refused_unrecorded("invented");
    metrics.unidentified("invented");
    metrics.lookup_took("invented:Up", LookupOutcome::Failed, Duration::ZERO);
    metrics.request_took(None, Duration::ZERO);
    let text = metrics.exposition().unwrap();
    assert!(!text.contains("invented"), "{text}");
    assert!(!text.contains("NoSuchOperation"), "{text}");
    assert!(
        !text.contains("monthly-billing"),
        "that policy isn't in force"
    );
    assert_eq!(
        sample(&metrics, r#"palisade_refusals_total{reason="other"}"#),
        1.0
    );
}

#[test]
fn one_ruleset_and_one_mode_are_in_force() {
    let metrics = metrics();
    metrics.ruleset_in_force("old");
    metrics.ruleset_in_force("new");
    metrics.runs_in(Mode::Enforce);
    let text = metrics.exposition().unwrap();
    assert!(!text.contains("\"old\""));
    assert_eq!(
        sample(&metrics, r#"palisade_ruleset_info{hash="new"}"#),
        1.0
    );
    assert_eq!(sample(&metrics, r#"palisade_mode{mode="enforce"}"#), 1.0);
    assert_eq!(sample(&metrics, r#"palisade_mode{mode="monitor"}"#), 0.0);
}

#[test]
fn connections_and_certificates_are_the_proxys() {
    let metrics = metrics();
    metrics.watch_proxy(Box::new(|| Proxied {
        connections: 3,
        certificates_minted: 2,
    }));
    assert_eq!(sample(&metrics, "palisade_connections"), 3.0);
    assert_eq!(sample(&metrics, "palisade_certificates_minted_total"), 2.0);
    assert_eq!(sample(&metrics, "palisade_certificates_minted_total"), 2.0);
}

#[test]
fn the_age_of_the_key_ledger_is_asked_for_at_each_scrape() {
    let metrics = metrics();
    let age = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let asked = Arc::clone(&age);
    metrics.watch_keys(Box::new(move || {
        Duration::from_millis(asked.load(std::sync::atomic::Ordering::Relaxed))
    }));
    assert_eq!(sample(&metrics, "palisade_key_ledger_age_seconds"), 0.0);
    age.store(61_500, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(sample(&metrics, "palisade_key_ledger_age_seconds"), 61.0);
}

#[tokio::test]
async fn the_journal_counts_into_the_metrics() {
    use crate::journal::{Journal, Options};
    let dir = tempfile::tempdir().unwrap();
    let metrics = Arc::new(metrics());
    let observer = Arc::clone(&metrics) as Arc<dyn Observe>;
    let (journal, _) =
        Journal::open_observed(dir.path(), Options::default(), Some(observer)).unwrap();
    metrics.watch_journal(journal.status());
    let _receipt = journal.append(refused(1)).await.unwrap();
    assert_eq!(sample(&metrics, "palisade_journal_sequence"), 1.0);
    assert_eq!(
        sample(&metrics, r#"palisade_refusals_total{reason="policy"}"#),
        1.0
    );
    assert_eq!(
        sample(&metrics, "palisade_journal_append_duration_seconds_count"),
        1.0
    );
}

fn fetched(expiry: Option<SystemTime>) -> FetchOutcome {
    FetchOutcome::Fetched { expiry }
}

#[test]
fn a_reload_fails_until_one_is_applied() {
    let metrics = metrics();
    let failing = || sample(&metrics, "palisade_policy_reload_failing");
    assert_eq!(failing(), 0.0);
    metrics.policies_reloaded(ReloadOutcome::Refused);
    metrics.policies_reloaded(ReloadOutcome::Refused);
    assert_eq!(failing(), 1.0);
    metrics.policies_reloaded(ReloadOutcome::Applied);
    assert_eq!(failing(), 0.0);
}

#[test]
fn a_certificate_tells_when_it_expires_and_one_that_is_gone_tells_nothing() {
    let metrics = metrics();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    metrics.certificate_expires(Certificate::Authority, Some(at));
    metrics.certificate_expires(Certificate::Listener, Some(at));
    metrics.certificate_expires(Certificate::Listener, None);
    let authority = r#"palisade_certificate_expiry_timestamp_seconds{certificate="authority"}"#;
    assert_eq!(sample(&metrics, authority), 2_000_000_000.0);
    assert!(!metrics.exposition().unwrap().contains("listener"));
}

#[test]
fn credentials_tell_when_they_expire_and_how_fetching_them_goes() {
    let metrics = metrics();
    metrics.credentials_in_force(["prod", "test"].into_iter());
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    metrics.fetched("prod", Fetch::Source, fetched(Some(at(1000))));
    metrics.fetched("prod", Fetch::Source, fetched(Some(at(2000))));
    metrics.fetched("prod", Fetch::Source, FetchOutcome::Failed);
    metrics.fetched("prod", Fetch::Role, fetched(Some(at(500))));
    metrics.fetched("test", Fetch::Source, fetched(None));
    for (series, expected) in [
        (
            r#"palisade_credentials_expiry_timestamp_seconds{credentials="prod"}"#,
            2000.0,
        ),
        (
            r#"palisade_credentials_fetches_total{credentials="prod",from="source",outcome="fetched"}"#,
            2.0,
        ),
        (
            r#"palisade_credentials_fetches_total{credentials="prod",from="source",outcome="failed"}"#,
            1.0,
        ),
        (
            r#"palisade_credentials_fetches_total{credentials="prod",from="role",outcome="fetched"}"#,
            1.0,
        ),
        (
            r#"palisade_credentials_fetches_total{credentials="prod",from="role",outcome="failed"}"#,
            0.0,
        ),
    ] {
        assert_eq!(sample(&metrics, series), expected, "{series}");
    }
    let never = r#"palisade_credentials_expiry_timestamp_seconds{credentials="test"}"#;
    assert!(!metrics.exposition().unwrap().contains(never));
}

#[test]
fn a_table_that_left_the_configuration_has_no_expiry_and_no_label() {
    let metrics = metrics();
    metrics.credentials_in_force(["prod", "test"].into_iter());
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    metrics.fetched("prod", Fetch::Source, fetched(Some(at)));
    metrics.fetched("test", Fetch::Source, fetched(Some(at)));
    metrics.credentials_in_force(["prod"].into_iter());
    metrics.fetched("test", Fetch::Source, fetched(Some(at)));
    metrics.fetched("invented", Fetch::Source, fetched(Some(at)));
    let text = metrics.exposition().unwrap();
    let expiries: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("palisade_credentials_expiry"))
        .collect();
    assert_eq!(
        expiries,
        [r#"palisade_credentials_expiry_timestamp_seconds{credentials="prod"} 1000"#]
    );
    assert!(!text.contains("invented"));
    assert_eq!(
        sample(
            &metrics,
            r#"palisade_credentials_fetches_total{credentials="other",from="source",outcome="fetched"}"#
        ),
        2.0
    );
}
