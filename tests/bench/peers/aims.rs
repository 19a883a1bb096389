//! What is aimed at, and whether a run met it. What each aim compares stands here and nowhere else.
//!
//! Every value is made of lanes of one row, round by round; the median of the rounds counts.

use serde::Serialize;

use crate::rows::BATCHES;
use crate::taken::{Figures, Taken, slope};

pub type Judge = fn(&Taken) -> Vec<Aim>;

#[derive(Debug, Clone, Serialize)]
pub struct Aim {
    pub row: &'static str,
    pub what: String,
    /// As people read it, with its unit.
    pub wanted: String,
    /// None where a lane that it needs was skipped.
    pub found: Option<f64>,
    pub unit: &'static str,
    pub met: Option<bool>,
}

/// Flat is what varies by less than this from the least to the most.
const FLAT: f64 = 1.15;

impl Aim {
    pub fn at_least(row: &'static str, what: &str, least: f64, found: Option<f64>) -> Self {
        Self {
            row,
            what: what.to_owned(),
            wanted: format!("≥ {least}"),
            found,
            unit: "×",
            met: found.map(|found| found >= least),
        }
    }

    pub fn at_most(
        row: &'static str,
        what: &str,
        most: f64,
        unit: &'static str,
        found: Option<f64>,
    ) -> Self {
        Self {
            row,
            what: what.to_owned(),
            wanted: format!("≤ {most}"),
            found,
            unit,
            met: found.map(|found| found <= most),
        }
    }

    fn stretch(mut self, to: f64) -> Self {
        self.wanted = format!("{}, stretch {to}", self.wanted);
        self
    }
}

pub fn none(_: &Taken) -> Vec<Aim> {
    Vec::new()
}

fn beside_haproxy(taken: &Taken) -> Option<f64> {
    taken.by_round(["palisade", "haproxy"], |[palisade, haproxy]| {
        palisade.per_second / haproxy.per_second
    })
}

/// Calls a second, beside HAProxy's of the same call.
pub fn unguarded(taken: &Taken) -> Vec<Aim> {
    let found = beside_haproxy(taken);
    vec![Aim::at_least(taken.name, "calls a second, × HAProxy's", 0.75, found).stretch(1.0)]
}

/// Calls a second, beside HAProxy's of the same call.
pub fn guarded(taken: &Taken) -> Vec<Aim> {
    let found = beside_haproxy(taken);
    vec![Aim::at_least(taken.name, "calls a second, × HAProxy's", 0.4, found).stretch(0.6)]
}

/// "The cost of two upstream calls" is what a guarded call without a lookup and an unguarded call take together: one
/// pays for the decision and its records, the other for a second way to the origin and back.
pub fn lookup(taken: &Taken) -> Vec<Aim> {
    let found = taken.by_round(
        ["one lookup", "guarded", "unguarded"],
        |[looked_up, guarded, unguarded]| {
            looked_up.us_a_call() / (guarded.us_a_call() + unguarded.us_a_call())
        },
    );
    let what = "time a call, × that of a guarded and an unguarded call";
    vec![Aim::at_most(taken.name, what, 1.0, "×", found)]
}

/// Calls a second, beside the lower of two: the same calls without fsync, and what the disk gives where 64 wait for
/// two records each, one after the other, as long as the guard's, which one thread writes and syncs, all that wait at
/// a time.
pub fn fsync(taken: &Taken) -> Vec<Aim> {
    let found = taken.by_round(["fsync", "no fsync", "disk"], |[fsync, without, disk]| {
        fsync.per_second / without.per_second.min(disk.per_second)
    });
    let what = "calls a second, × the lower of without fsync and the disk's";
    vec![Aim::at_least(taken.name, what, 0.8, found)]
}

/// What a call takes longer than directly, in the median; and what a guarded call takes longer than an unguarded one,
/// beside one record that is written and synced.
pub fn latency(taken: &Taken) -> Vec<Aim> {
    let unguarded = taken.by_round(
        ["palisade", "haproxy", "direct"],
        |[palisade, haproxy, direct]| {
            (palisade.p50_us - direct.p50_us) / (haproxy.p50_us - direct.p50_us)
        },
    );
    let guarded = taken.by_round(
        ["guarded, fsync", "palisade", "disk"],
        |[guarded, unguarded, disk]| guarded.p50_us - unguarded.p50_us - disk.p50_us,
    );
    let without = taken.by_round(["guarded", "palisade"], |[guarded, unguarded]| {
        guarded.p50_us - unguarded.p50_us
    });
    vec![
        Aim::at_most(
            taken.name,
            "added p50, × what HAProxy adds",
            1.5,
            "×",
            unguarded,
        ),
        Aim::at_most(
            taken.name,
            "guarded, without fsync: p50 over unguarded",
            100.0,
            "µs",
            without,
        ),
        Aim::at_most(
            taken.name,
            "guarded, with fsync: p50 over unguarded and one fdatasync",
            100.0,
            "µs",
            guarded,
        ),
    ]
}

/// Connections a second, each with one call, beside HAProxy's.
pub fn anew(taken: &Taken) -> Vec<Aim> {
    let found = beside_haproxy(taken);
    vec![Aim::at_least(
        taken.name,
        "connections a second, × HAProxy's",
        0.8,
        found,
    )]
}

/// Time a call: the longest of the lanes beside that of the first, which has the fewest. Where more of something makes a
/// call cheaper, nothing grows.
pub fn flat(taken: &Taken) -> Vec<Aim> {
    vec![flat_over(taken, |_| true)]
}

/// As [`flat`]; and what the most connections cost the guard, beside what they cost HAProxy, which relays and looks at
/// nothing.
pub fn connections(taken: &Taken) -> Vec<Aim> {
    let labels = [
        "1024 connections",
        "16 connections",
        "haproxy, 1024",
        "haproxy, 16",
    ];
    let beside = taken.by_round(labels, |[most, fewest, relay_most, relay_fewest]| {
        let guard = most.us_a_call() / fewest.us_a_call();
        let relay = relay_most.us_a_call() / relay_fewest.us_a_call();
        guard / relay
    });
    let what = "time a call, 1024 connections × 16, beside HAProxy's";
    vec![
        flat_over(taken, |label| !label.starts_with("haproxy")),
        Aim::at_most(taken.name, what, FLAT, "×", beside),
    ]
}

fn flat_over(taken: &Taken, counts: impl Fn(&str) -> bool) -> Aim {
    let lanes = taken.lanes.iter().filter(|lane| counts(&lane.label));
    let all: Vec<f64> = lanes.map(|l| l.median(Figures::us_a_call)).collect();
    let longest = all.iter().copied().fold(0.0, f64::max);
    let found = all.first().filter(|_| all.len() > 1);
    let found = found.map(|fewest| longest / fewest);
    let what = "time a call, the longest × that of the fewest";
    Aim::at_most(taken.name, what, FLAT, "×", found)
}

/// The guard's CPU time a further resource: the slope over the sizes of batches.
pub fn batch(taken: &Taken) -> Vec<Aim> {
    let points: Vec<(f64, f64)> = BATCHES
        .iter()
        .zip(&taken.lanes)
        .filter_map(|(count, lane)| Some((*count as f64, lane.peer_cpu_us()?)))
        .collect();
    let found = (points.len() == BATCHES.len()).then(|| slope(&points));
    let what = "the guard's CPU time a further resource";
    vec![Aim::at_most(taken.name, what, 25.0, "µs", found)]
}
