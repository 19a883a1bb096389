//! How fast the guard is beside what people would use instead, in one run on one machine: `tests/bench/run`.
//!
//! The origin, each peer and the client are processes of their own. In each row all peers run at the same time and are
//! loaded in turn, round after round, so that what the machine does meanwhile meets them all; of each row's rounds the
//! median counts. A call that isn't answered with 200 ends the run.

#![expect(
    unreachable_pub,
    reason = "a program: nothing of it can be reached from outside"
)]
#![expect(clippy::disallowed_methods, reason = "a bench looks at the clock")]

mod aims;
mod calls;
mod certificates;
mod chart;
mod client;
mod disk;
mod haproxy;
mod histogram;
mod hudsucker;
mod load;
mod machine;
mod memory;
mod mitmproxy;
mod origin;
mod palisade;
mod peer;
mod policies;
mod process;
mod report;
mod rows;
mod signed;
mod soak;
mod taken;
mod tls;
mod turns;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use crate::certificates::Files;
use crate::machine::Machine;
use crate::origin::Origin;
use crate::peer::{Ground, Kind, Programs};
use crate::report::{Report, print_aims, print_memory, print_row};
use crate::turns::{Pace, Rig};

/// Measures the guard beside its peers. What is measured and how to read it: tests/bench/README.md.
#[derive(Debug, Parser)]
#[command(name = "tests/bench/run", version)]
struct Arguments {
    /// Only these rows; `--row list` names them.
    #[arg(long = "row", value_name = "NAME")]
    rows: Vec<String>,
    /// Only these peers.
    #[arg(long = "peer", value_name = "NAME")]
    peers: Vec<Kind>,
    /// How often each lane of a row is measured; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each of these takes.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Load the guard for so long, and nothing else: 30m.
    #[arg(long, value_name = "TIME", value_parser = soak::duration)]
    soak: Option<Duration>,
    /// One short round of the guard and of no peer, with any build: shows that every row gives its numbers.
    #[arg(long)]
    smoke: bool,
    /// One JSON document in place of the tables.
    #[arg(long)]
    json: bool,
    /// Draw charts into this folder.
    #[arg(long, value_name = "FOLDER")]
    charts: Option<PathBuf>,
    /// The guard's binary.
    #[arg(long, value_name = "FILE", default_value = "target/release/palisade")]
    palisade: PathBuf,
    /// HAProxy's; without it HAProxy is skipped, and so with the others.
    #[arg(long, value_name = "FILE")]
    haproxy: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    hudsucker: Option<PathBuf>,
    /// mitmdump.
    #[arg(long, value_name = "FILE")]
    mitmproxy: Option<PathBuf>,
    /// Where the guard's journals are written, and whose disk is measured.
    #[arg(long, value_name = "FOLDER", default_value = "/var/tmp")]
    folder: PathBuf,
}

fn main() -> ExitCode {
    match run().and_then(|()| process::all_ended_in_order()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ntests/bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == "origin") {
        let folder = words.next().unwrap_or_default();
        return origin::serve(Path::new(&folder));
    }
    let arguments = Arguments::parse();
    memory::raise_limit_of_files()?;
    let rows = rows::all();
    let names: Vec<&str> = rows
        .iter()
        .map(|row| row.name)
        .chain([memory::NAME])
        .collect();
    for name in &arguments.rows {
        ensure!(
            names.contains(&name.as_str()),
            "there is no row `{name}`: {}",
            names.join(", ")
        );
    }
    let wanted = |name: &str| arguments.rows.is_empty() || arguments.rows.iter().any(|n| n == name);
    let folder = tempfile::tempdir_in(&arguments.folder)?;
    leave_nothing_behind(folder.path().to_owned())?;
    let mut rig = rig(&arguments, folder.path())?;
    let mut report = Report {
        machine: Machine::look(&rig.ground.programs, &rig.kinds)?,
        rounds: rig.pace.rounds,
        seconds: rig.pace.measured.as_secs_f64(),
        rows: Vec::new(),
        memory: None,
        soak: None,
        aims: Vec::new(),
    };
    if !arguments.json {
        println!("{}", report.machine.line());
    }
    if let Some(long) = arguments.soak {
        let soak = soak::run(&mut rig, long)?;
        report.aims.extend(soak.aims());
        report.soak = Some(soak);
        return conclude(&report, &arguments);
    }
    for row in rows.iter().filter(|row| wanted(row.name)) {
        let taken = rig.run(row)?;
        let aims = if arguments.smoke {
            Vec::new()
        } else {
            (row.judge)(&taken)
        };
        if !arguments.json {
            print_row(&taken, &aims);
        }
        report.rows.push(taken);
        report.aims.extend(aims);
    }
    rig.end_all()?;
    if wanted(memory::NAME) && rig.kinds.contains(&Kind::Palisade) {
        let connections = memory::CONNECTIONS.min(rig.pace.connections_max.saturating_mul(5));
        let memory = memory::run(&mut rig, connections)?;
        if !arguments.json {
            print_memory(&memory);
        }
        if !arguments.smoke {
            report.aims.extend(memory.aims());
        }
        report.memory = Some(memory);
    }
    conclude(&report, &arguments)
}

fn conclude(report: &Report, arguments: &Arguments) -> Result<()> {
    if let Some(folder) = &arguments.charts {
        chart::draw(report, folder)?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else if arguments.smoke {
        println!("\nevery row gives its numbers; rounds this short say nothing of the aims");
    } else {
        println!("\naims");
        print_aims(&report.aims);
    }
    Ok(())
}

fn rig(arguments: &Arguments, folder: &Path) -> Result<Rig> {
    let files = Files::make(folder)?;
    let origin = Origin::start(folder)?;
    let palisade = std::fs::canonicalize(&arguments.palisade)
        .with_context(|| format!("`{}`", arguments.palisade.display()))?;
    let programs = Programs {
        palisade,
        haproxy: arguments.haproxy.clone(),
        hudsucker: arguments.hudsucker.clone(),
        mitmproxy: arguments.mitmproxy.clone(),
    };
    let measured = Duration::from_secs_f64(arguments.seconds);
    let usual = Pace {
        rounds: arguments.rounds.max(1),
        warm: measured / 4,
        measured,
        connections_max: usize::MAX,
        keep: false,
    };
    let smoke = Pace {
        rounds: 1,
        warm: Duration::from_millis(20),
        measured: Duration::from_millis(100),
        connections_max: 8,
        keep: true,
    };
    let kinds = Kind::ALL
        .into_iter()
        .filter(|kind| match kind {
            Kind::Direct | Kind::Palisade => true,
            Kind::Haproxy | Kind::Hudsucker | Kind::Mitmproxy => !arguments.smoke,
        })
        .filter(|kind| arguments.peers.is_empty() || arguments.peers.contains(kind))
        .filter(|kind| programs.has(*kind))
        .collect();
    let ground = Ground {
        programs,
        files,
        ports: origin.ports,
        folder: folder.to_owned(),
    };
    let pace = if arguments.smoke { smoke } else { usual };
    Ok(Rig::new(ground, origin, pace, kinds))
}

/// Whoever ends the rig ends what it started, and removes what that wrote.
fn leave_nothing_behind(folder: PathBuf) -> Result<()> {
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
        // It may be gone already.
        let _ = std::fs::remove_dir_all(folder);
        std::process::exit(130);
    });
    Ok(())
}
