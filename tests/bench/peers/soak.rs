//! A long load on one guard: whether its memory and its pace stay where they are. Not part of a usual run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::aims::Aim;
use crate::calls::Call;
use crate::load::{Load, Manner};
use crate::peer::Kind;
use crate::process::resident;
use crate::rows::{Calls, HUNDRED};
use crate::taken::slope;
use crate::turns::{Rig, journal};

const MINUTE: Duration = Duration::from_secs(60);
/// The least of a sample: shorter soaks are sampled more often.
const SAMPLES_MIN: u32 = 5;
/// Segments of the journal that are left, so that a long soak doesn't fill the disk.
const SEGMENTS_LEFT: usize = 2;
/// Growth of memory that is none: below what one more segment or a busier moment makes.
const GROWTH_MAX_KIB: f64 = 64.0;

/// `30m`, `90s` or `2h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}`: write it as 90s, 30m or 2h");
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(number * seconds))
}

#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    pub minutes: f64,
    pub resident_mb: f64,
    pub per_second: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Soak {
    pub samples: Vec<Sample>,
}

impl Soak {
    /// KiB a minute, over the second half: the first fills caches and pools.
    pub fn growth_kib(&self) -> f64 {
        let half = self.samples.len() / 2;
        let points: Vec<(f64, f64)> = self
            .samples
            .iter()
            .skip(half)
            .map(|sample| (sample.minutes, sample.resident_mb * 1e6 / 1024.0))
            .collect();
        slope(&points)
    }

    pub fn aims(&self) -> Vec<Aim> {
        let what = "growth of memory a minute, second half";
        vec![Aim::at_most(
            "soak",
            what,
            GROWTH_MAX_KIB,
            "KiB",
            Some(self.growth_kib()),
        )]
    }
}

/// Guarded and unguarded calls in turn, sampled each minute.
pub fn run(rig: &mut Rig, long: Duration) -> Result<Soak> {
    let sampled = MINUTE.min(long / SAMPLES_MIN);
    let peer = rig.start(Kind::Palisade, &HUNDRED)?;
    let id = peer.id().context("it doesn't run")?;
    let begun = Instant::now();
    let mut samples = Vec::new();
    while begun.elapsed() + sampled / 2 < long {
        let mut calls = 0;
        for call in [Call::guarded(1), Call::unguarded()] {
            let calls_of = Calls {
                kind: Kind::Palisade,
                setup: HUNDRED,
                call,
                connections: 16,
                manner: Manner::Kept,
                upstream: 1,
            };
            let load = Load {
                connections: 16,
                manner: Manner::Kept,
                warm: Duration::ZERO,
                measured: sampled / 2,
            };
            let (loaded, _) = rig.load(&calls_of, &peer, load)?;
            calls += loaded.histogram.total();
            prune(&journal(&peer.folder))?;
        }
        let sample = Sample {
            minutes: begun.elapsed().as_secs_f64() / 60.0,
            resident_mb: resident(id)?.all as f64 / 1e6,
            per_second: calls as f64 / sampled.as_secs_f64(),
        };
        eprintln!(
            "soak: {:5.1} min  {:7.1} MB  {:8.0} calls/s",
            sample.minutes, sample.resident_mb, sample.per_second
        );
        samples.push(sample);
    }
    Ok(Soak { samples })
}

/// Removes the oldest segments.
fn prune(folder: &Path) -> Result<()> {
    let mut segments: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    segments.retain(|path| path.extension().is_some_and(|e| e == "jsonl"));
    segments.sort();
    let old = segments.len().saturating_sub(SEGMENTS_LEFT);
    for segment in segments.into_iter().take(old) {
        fs::remove_file(segment)?;
    }
    Ok(())
}
