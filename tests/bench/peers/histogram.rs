//! Latencies, counted by magnitude: each bucket is within 1.6 % of what fell into it.

use std::time::Duration;

/// Buckets in each power of two.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();

#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub fn new() -> Self {
        let buckets = u64::from(u64::BITS - STEP_BITS + 1) * STEPS;
        Self {
            counts: vec![0; usize::try_from(buckets).unwrap_or(usize::MAX)],
            total: 0,
        }
    }

    pub fn add(&mut self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(nanoseconds)) {
            *count += 1;
            self.total += 1;
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The latency in µs that this share of all stays below; 0 if there are none.
    pub fn quantile_us(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (n, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return middle(n as u64) / 1_000.0;
            }
        }
        0.0
    }
}

fn bucket(nanoseconds: u64) -> usize {
    let magnitude = (u64::BITS - nanoseconds.leading_zeros()).saturating_sub(STEP_BITS + 1);
    let within = nanoseconds >> magnitude;
    let bucket = u64::from(magnitude) * STEPS + within;
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

/// The middle of a bucket, in ns.
fn middle(bucket: u64) -> f64 {
    let magnitude = (bucket / STEPS).saturating_sub(1);
    let within = bucket - magnitude * STEPS;
    (within as f64 + 0.5) * 2f64.powi(i32::try_from(magnitude).unwrap_or(0))
}
