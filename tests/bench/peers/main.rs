//! How fast the guard is beside what people would use instead, in one run on one machine: `tests/bench/run`.
//!
//! The origin, each peer and the client are processes of their own. In each row all peers run at the same time and are
//! loaded in turn, round after round, so that what the machine does meanwhile meets them all; of each row's rounds the
//! median counts. A call that isn't answered with 200 ends the run.

#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]

mod calls;
mod certificates;
mod client;
mod haproxy;
mod histogram;
mod load;
mod origin;
mod palisade;
mod peer;
mod policies;
mod process;
mod rows;
mod signed;
mod tls;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use crate::certificates::Files;
use crate::origin::Origin;
use crate::peer::{Ground, Kind, Programs};
use crate::rows::{Pace, rows};

/// Measures the guard beside its peers. What is measured and how to read it: tests/bench/README.md.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only these rows.
    #[arg(long = "row", value_name = "NAME")]
    rows: Vec<String>,
    /// Only these peers.
    #[arg(long = "peer", value_name = "NAME")]
    peers: Vec<Kind>,
    /// How often each peer is measured in a row; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each of these takes.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// The guard's binary.
    #[arg(long, value_name = "FILE", default_value = "target/release/palisade")]
    palisade: PathBuf,
    /// HAProxy's; without it HAProxy is skipped.
    #[arg(long, value_name = "FILE")]
    haproxy: Option<PathBuf>,
    /// What cargo tells every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == "origin") {
        let folder = words.next().unwrap_or_default();
        return origin::serve(Path::new(&folder));
    }
    let arguments = Arguments::parse();
    end_with_children()?;
    let folder = tempfile::tempdir()?;
    let files = Files::make(folder.path())?;
    let mut origin = Origin::start(folder.path())?;
    let ground = Ground {
        programs: Programs {
            palisade: std::fs::canonicalize(&arguments.palisade)?,
            haproxy: arguments.haproxy.clone(),
        },
        files,
        ports: origin.ports,
        folder: folder.path().to_owned(),
    };
    let pace = Pace {
        rounds: arguments.rounds,
        warm: Duration::from_secs_f64(arguments.seconds / 4.0),
        measured: Duration::from_secs_f64(arguments.seconds),
    };
    let peers: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| arguments.peers.is_empty() || arguments.peers.contains(kind))
        .filter(|kind| *kind != Kind::Haproxy || ground.programs.haproxy.is_some())
        .collect();
    for row in rows() {
        if arguments.rows.is_empty() || arguments.rows.iter().any(|name| name == row.name) {
            row.run(&ground, &mut origin, &peers, pace)?;
        }
    }
    Ok(())
}

/// Whoever ends the rig ends what it started.
fn end_with_children() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        )
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        process::kill_all();
        std::process::exit(130);
    });
    Ok(())
}
