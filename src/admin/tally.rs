//! Counts and measures by labels, and keeps labels to their closed sets.

use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

/// What a label says that isn't in its set.
pub(super) const OTHER: &str = "other";

pub(super) fn closed<'a, S: AsRef<str> + 'a>(
    set: impl IntoIterator<Item = &'a S>,
    value: &str,
) -> &'a str {
    set.into_iter()
        .map(AsRef::as_ref)
        .find(|known| *known == value)
        .unwrap_or(OTHER)
}

// A vector refuses only a wrong number of labels, which the tests would show.

pub(super) fn add(counters: &IntCounterVec, labels: &[&str], count: u64) {
    if let Ok(counter) = counters.get_metric_with_label_values(labels) {
        counter.inc_by(count);
    }
}

pub(super) fn touch(counters: &IntCounterVec, labels: &[&str]) {
    add(counters, labels, 0);
}

pub(super) fn set(gauges: &IntGaugeVec, label: &str, value: i64) {
    if let Ok(gauge) = gauges.get_metric_with_label_values(&[label]) {
        gauge.set(value);
    }
}

/// Forgets a gauge's series; there may be none.
pub(super) fn unset(gauges: &IntGaugeVec, label: &str) {
    let _ = gauges.remove_label_values(&[label]);
}

pub(super) fn observe(histograms: &HistogramVec, labels: &[&str], took: Duration) {
    if let Ok(histogram) = histograms.get_metric_with_label_values(labels) {
        histogram.observe(took.as_secs_f64());
    }
}
