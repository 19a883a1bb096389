//! The rows: which call, which load, and how the guard is set up for it.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};

use crate::calls::Call;
use crate::load::{self, Course, Figures, Load, Manner};
use crate::origin::Origin;
use crate::palisade::Setup;
use crate::peer::{Ground, Kind, Peer};
use crate::policies::Tenth;
use crate::signed::Signed;
use crate::tls::{self, HTTP_1};

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub rounds: usize,
    pub warm: Duration,
    pub measured: Duration,
}

#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub call: Call,
    pub connections: usize,
    pub manner: Manner,
    pub setup: Setup,
    /// Requests that the origin gets for each call through the guard.
    pub upstream_calls: u64,
}

const FEW: Setup = Setup {
    tenth: Tenth::Caller,
    others: 90,
    fsync: false,
};

pub fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "unguarded",
            call: Call::unguarded(),
            connections: 16,
            manner: Manner::Kept,
            setup: FEW,
            upstream_calls: 1,
        },
        Row {
            name: "guarded",
            call: Call::guarded(1),
            connections: 16,
            manner: Manner::Kept,
            setup: FEW,
            upstream_calls: 1,
        },
    ]
}

impl Row {
    pub fn run(
        &self,
        ground: &Ground,
        origin: &mut Origin,
        kinds: &[Kind],
        pace: Pace,
    ) -> Result<()> {
        let mut peers = Vec::new();
        for kind in kinds {
            peers.push((
                Peer::start(*kind, ground, &self.setup, self.name)?,
                Vec::new(),
            ));
        }
        for round in 0..pace.rounds {
            for (peer, figures) in &mut peers {
                eprint!(
                    "\r{}: round {} of {}, {}          ",
                    self.name,
                    round + 1,
                    pace.rounds,
                    peer.kind.name()
                );
                let measured = self
                    .measure(peer, origin, pace)
                    .with_context(|| format!("{} by way of {}", self.name, peer.kind.name()))?;
                figures.push(measured);
            }
        }
        eprint!("\r{:60}\r", "");
        let direct = median_of(&peers, Kind::Haproxy, |f| f.per_second);
        for (peer, figures) in &peers {
            let median = |of: fn(&Figures) -> f64| median(figures.iter().map(of).collect());
            println!(
                "{:<12} {:<10} {:>9.0}/s {:>6} p50 {:>7.1} µs p99 {:>8.1} µs   CPU µs a call: client {:>5.1} origin {:>5.1} peer {:>6.1}",
                self.name,
                peer.kind.name(),
                median(|f| f.per_second),
                direct.map_or(String::new(), |d| format!(
                    "{:.2}×",
                    median(|f| f.per_second) / d
                )),
                median(|f| f.p50_us),
                median(|f| f.p99_us),
                median(|f| f.cpu_us.first().copied().unwrap_or(0.0)),
                median(|f| f.cpu_us.get(1).copied().unwrap_or(0.0)),
                median(|f| f.cpu_us.get(2).copied().unwrap_or(0.0)),
            );
        }
        Ok(())
    }

    fn measure(&self, peer: &Peer, origin: &mut Origin, pace: Pace) -> Result<Figures> {
        let course = Course {
            door: peer.door,
            tls: tls::client(&peer.roots, HTTP_1)?,
            signed: Signed::new(&self.call, &peer.key, SystemTime::now())?,
        };
        let load = Load {
            connections: self.connections,
            manner: self.manner,
            warm: pace.warm,
            measured: pace.measured,
        };
        let mut watched = vec![i32::try_from(std::process::id())?, origin.id()];
        watched.extend(peer.id());
        load::run(load, &course, &watched)
    }
}

fn median_of(peers: &[(Peer, Vec<Figures>)], kind: Kind, of: fn(&Figures) -> f64) -> Option<f64> {
    let (_, figures) = peers.iter().find(|(peer, _)| peer.kind == kind)?;
    Some(median(figures.iter().map(of).collect()))
}

/// The middle one, or the mean of the two in the middle; 0 of none.
pub fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    let upper = all.get(all.len() / 2).copied().unwrap_or(0.0);
    if all.len() % 2 == 1 {
        return upper;
    }
    let lower = all
        .get((all.len() / 2).saturating_sub(1))
        .copied()
        .unwrap_or(0.0);
    f64::midpoint(lower, upper)
}
