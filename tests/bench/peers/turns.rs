//! Runs a row: its peers all at the same time, its lanes in turn, round after round.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};

use crate::disk::Disk;
use crate::load::{self, Course, Load, Loaded, Manner};
use crate::origin::Origin;
use crate::palisade::Setup;
use crate::peer::{Ground, Kind, Peer};
use crate::process::cpu;
use crate::rows::{Calls, Lane, Row, Work};
use crate::signed::Signed;
use crate::taken::{Figures, LaneTaken, Taken};
use crate::tls::{self, HTTP_1, HTTP_2};

/// How long and how often, and with how many connections at the most.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub rounds: usize,
    pub warm: Duration,
    pub measured: Duration,
    pub connections_max: usize,
    /// Peers are kept from row to row. Otherwise each row begins with new ones, whose journals are empty.
    pub keep: bool,
}

/// All that a run has.
#[derive(Debug)]
pub struct Rig {
    pub ground: Ground,
    pub origin: Origin,
    pub pace: Pace,
    /// Those that may be started.
    pub kinds: Vec<Kind>,
    running: Vec<(Identity, Peer)>,
    started: usize,
}

/// What makes a peer another one: the guard's setup, and the kind alone for all others.
type Identity = (Kind, Option<Setup>);

/// How much the origin may be asked beside the calls and their lookups of tags: whose credentials they are, once a guard,
/// and whether there is such a WorkSpace, which the guard remembers for some seconds.
const BESIDE: u64 = 64;

impl Rig {
    pub const fn new(ground: Ground, origin: Origin, pace: Pace, kinds: Vec<Kind>) -> Self {
        Self {
            ground,
            origin,
            pace,
            kinds,
            running: Vec::new(),
            started: 0,
        }
    }

    pub fn run(&mut self, row: &Row) -> Result<Taken> {
        let lanes: Vec<&Lane> = row.lanes.iter().filter(|lane| self.has(lane)).collect();
        for lane in &lanes {
            if let Work::Calls(calls) = &lane.work {
                self.peer(calls)?;
            }
        }
        let mut taken: Vec<LaneTaken> = lanes
            .iter()
            .map(|lane| LaneTaken {
                label: lane.label.clone(),
                rounds: Vec::new(),
            })
            .collect();
        for round in 1..=self.pace.rounds {
            for (lane, taken) in lanes.iter().zip(&mut taken) {
                let what = format!("{}: round {round}, {}", row.name, lane.label);
                eprint!("\r{what:<70}");
                taken.rounds.push(self.round(lane).context(what)?);
            }
        }
        eprint!("\r{:70}\r", "");
        if !self.pace.keep {
            self.end_all()?;
        }
        Ok(Taken {
            name: row.name,
            title: row.title,
            beside: row.beside,
            lanes: taken,
        })
    }

    /// Starts a peer of its own, which ends with the value.
    pub fn start(&mut self, kind: Kind, setup: &Setup) -> Result<Peer> {
        self.started += 1;
        let name = format!("{}-{}", self.started, kind.name());
        Peer::start(kind, &self.ground, setup, &name)
    }

    /// Loads a peer for once.
    pub fn load(&mut self, calls: &Calls, peer: &Peer, load: Load) -> Result<(Loaded, Figures)> {
        let alpn = match load.manner {
            Manner::Kept | Manner::Anew => HTTP_1,
            Manner::Streams(_) => HTTP_2,
        };
        let course = Course {
            door: peer.door.clone(),
            tls: tls::client(&peer.roots, alpn)?,
            signed: Signed::new(&calls.call, &peer.key, SystemTime::now())?,
        };
        let mine = i32::try_from(std::process::id())?;
        let watched: Vec<i32> = [mine, self.origin.id()]
            .into_iter()
            .chain(peer.id())
            .collect();
        let before = self.origin.counted()?;
        let loaded = load::run(load, &course, || {
            watched.iter().map(|id| cpu(*id)).collect()
        })?;
        let counted = self.origin.counted()?.since(before);
        let seen = counted.requests;
        let expected = loaded.sent * calls.upstream;
        ensure!(
            (expected..=expected + BESIDE).contains(&seen),
            "{} calls by way of {} were {seen} requests at the origin, not {expected}",
            loaded.sent,
            peer.kind.name()
        );
        let a_call = |n: usize| loaded.used.get(n).map(|used| loaded.a_call(*used));
        let figures = Figures {
            calls: loaded.histogram.total(),
            per_second: loaded.per_second(),
            p50_us: loaded.histogram.quantile_us(0.5),
            p99_us: loaded.histogram.quantile_us(0.99),
            client_cpu_us: a_call(0).unwrap_or(0.0),
            origin_cpu_us: a_call(1).unwrap_or(0.0),
            peer_cpu_us: a_call(2),
            upstream_connections: counted.connections as f64 / loaded.sent as f64,
        };
        Ok((loaded, figures))
    }

    fn has(&self, lane: &Lane) -> bool {
        match &lane.work {
            Work::Calls(calls) => self.kinds.contains(&calls.kind),
            Work::Disk { .. } => self.kinds.contains(&Kind::Palisade),
        }
    }

    fn round(&mut self, lane: &Lane) -> Result<Figures> {
        match &lane.work {
            Work::Calls(calls) => {
                let load = Load {
                    connections: calls.connections.min(self.pace.connections_max),
                    manner: calls.manner,
                    warm: self.pace.warm,
                    measured: self.pace.measured,
                };
                // It's put back below; an error ends the run.
                let place = self.peer(calls)?;
                let (identity, peer) = self.running.swap_remove(place);
                let loaded = self.load(calls, &peer, load);
                self.running.push((identity, peer));
                Ok(loaded?.1)
            }
            Work::Disk { waiting, waits } => {
                let journals = self.running.iter().map(|(_, peer)| journal(&peer.folder));
                let disk = Disk {
                    waiting: *waiting,
                    waits: *waits,
                    record_bytes: record_bytes(journals)?,
                    warm: self.pace.warm,
                    measured: self.pace.measured,
                };
                disk.run(&self.ground.folder.join("disk"))
            }
        }
    }

    /// The place of a peer that runs; it's started if it doesn't.
    fn peer(&mut self, calls: &Calls) -> Result<usize> {
        let setup = (calls.kind == Kind::Palisade).then_some(calls.setup);
        let identity = (calls.kind, setup);
        let running = self.running.iter().position(|(is, _)| *is == identity);
        if let Some(place) = running {
            return Ok(place);
        }
        eprint!("\r{:<70}", format!("starting {}", calls.kind.name()));
        let peer = self.start(calls.kind, &calls.setup)?;
        self.running.push((identity, peer));
        Ok(self.running.len() - 1)
    }

    /// Ends every peer and removes what it wrote.
    pub fn end_all(&mut self) -> Result<()> {
        for (_, peer) in self.running.drain(..) {
            let folder = peer.folder.clone();
            drop(peer);
            std::fs::remove_dir_all(folder)?;
        }
        Ok(())
    }
}

/// How much of a segment is read.
const RECORDS_READ: u64 = 256 * 1024;

/// Where a guard's journal lies.
pub fn journal(folder: &Path) -> PathBuf {
    folder.join("state").join("journal")
}

/// The mean length of the records at the begin of the fullest segment.
fn record_bytes(journals: impl Iterator<Item = PathBuf>) -> Result<usize> {
    let (mut most, mut lines) = (0, 0);
    for folder in journals {
        for segment in std::fs::read_dir(folder).into_iter().flatten() {
            let mut begin = Vec::new();
            File::open(segment?.path())?
                .take(RECORDS_READ)
                .read_to_end(&mut begin)?;
            let ends = begin.iter().rposition(|byte| *byte == b'\n');
            let count = begin.iter().filter(|byte| **byte == b'\n').count();
            if count > lines {
                (most, lines) = (ends.map_or(0, |end| end + 1), count);
            }
        }
    }
    ensure!(lines > 0, "no guard has written records");
    Ok(most / lines)
}
