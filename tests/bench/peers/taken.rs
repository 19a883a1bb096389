//! What the rounds of a row gave, and the medians and ratios of it.

use serde::Serialize;

/// One round of one lane.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Figures {
    /// Calls answered in the measured time.
    pub calls: u64,
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// CPU time a call, in µs, of the peer's process; none where there is no peer.
    pub peer_cpu_us: Option<f64>,
    /// Connections that the origin saw for each call, those of the warm-up too.
    pub upstream_connections: f64,
    pub client_cpu_us: f64,
    pub origin_cpu_us: f64,
}

impl Figures {
    /// How long the machine took for a call.
    pub fn us_a_call(&self) -> f64 {
        1e6 / self.per_second
    }
}

/// A row that was run.
#[derive(Debug, Serialize)]
pub struct Taken {
    pub name: &'static str,
    pub title: &'static str,
    pub beside: &'static str,
    pub lanes: Vec<LaneTaken>,
}

#[derive(Debug, Serialize)]
pub struct LaneTaken {
    pub label: String,
    /// By round.
    pub rounds: Vec<Figures>,
}

impl LaneTaken {
    pub fn median(&self, of: impl Fn(&Figures) -> f64) -> f64 {
        median(self.rounds.iter().map(of).collect())
    }

    /// None where there is no peer.
    pub fn peer_cpu_us(&self) -> Option<f64> {
        let all: Option<Vec<f64>> = self.rounds.iter().map(|f| f.peer_cpu_us).collect();
        all.map(median)
    }
}

impl Taken {
    pub fn lane(&self, label: &str) -> Option<&LaneTaken> {
        self.lanes.iter().find(|lane| lane.label == label)
    }

    /// The median of a value that is made of several lanes, round by round; nothing where a lane is missing.
    pub fn by_round<const N: usize>(
        &self,
        labels: [&str; N],
        value: impl Fn([&Figures; N]) -> f64,
    ) -> Option<f64> {
        let mut lanes = Vec::with_capacity(N);
        for label in labels {
            lanes.push(self.lane(label)?);
        }
        let rounds = lanes.iter().map(|lane| lane.rounds.len()).min()?;
        let mut values = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let figures: Option<Vec<&Figures>> =
                lanes.iter().map(|lane| lane.rounds.get(round)).collect();
            values.push(value(figures?.try_into().ok()?));
        }
        (!values.is_empty()).then(|| median(values))
    }
}

/// The middle one, or the mean of the two in the middle; 0 of none.
pub fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    let at = |n: usize| all.get(n).copied().unwrap_or(0.0);
    let upper = at(all.len() / 2);
    if all.len() % 2 == 1 {
        return upper;
    }
    f64::midpoint(at((all.len() / 2).saturating_sub(1)), upper)
}

/// The slope of the straight line that lies nearest to these points.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let over: f64 = points
        .iter()
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();
    let under: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if under == 0.0 { 0.0 } else { over / under }
}
