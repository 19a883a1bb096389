//! What people read, and what programs read.

use serde::Serialize;

use crate::aims::Aim;
use crate::machine::Machine;
use crate::memory::Memory;
use crate::soak::Soak;
use crate::taken::{Figures, Taken};

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub rounds: usize,
    pub seconds: f64,
    pub rows: Vec<Taken>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soak: Option<Soak>,
    pub aims: Vec<Aim>,
}

impl Report {
    pub fn row(&self, name: &str) -> Option<&Taken> {
        self.rows.iter().find(|row| row.name == name)
    }
}

pub fn print_row(taken: &Taken, aims: &[Aim]) {
    println!("\n{}: {}", taken.name, taken.title);
    println!(
        "  {:<20} {:>9} {:>7} {:>9} {:>9}   CPU µs a call: {:>6} {:>6} {:>6}   connects",
        "", "calls/s", "×", "p50 µs", "p99 µs", "peer", "client", "origin"
    );
    for lane in &taken.lanes {
        let ratio = taken.by_round([lane.label.as_str(), taken.beside], |[own, beside]| {
            own.per_second / beside.per_second
        });
        println!(
            "  {:<20} {:>9.0} {:>7} {:>9.0} {:>9.0}                  {:>6} {:>6.1} {:>6.1} {:>10.3}",
            lane.label,
            lane.median(|f| f.per_second),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            lane.median(|f| f.p50_us),
            lane.median(|f| f.p99_us),
            lane.peer_cpu_us()
                .map_or_else(String::new, |cpu| format!("{cpu:.1}")),
            lane.median(|f: &Figures| f.client_cpu_us),
            lane.median(|f: &Figures| f.origin_cpu_us),
            lane.median(|f: &Figures| f.upstream_connections),
        );
    }
    print_aims(aims);
}

pub fn print_memory(memory: &Memory) {
    println!("\nmemory of the guard, resident");
    for (what, resident) in [
        ("idle", memory.idle),
        ("after 30 services", memory.services),
        ("with connections", memory.connected),
    ] {
        println!(
            "  {what:<20} {:>7.1} MB, of it {:.1} MB of files",
            resident.all as f64 / 1e6,
            resident.files as f64 / 1e6
        );
    }
    println!(
        "  {:<20} {:>7.1} KiB each of {}",
        "a connection",
        memory.per_connection_kib(),
        memory.connections
    );
}

pub fn print_aims(aims: &[Aim]) {
    for aim in aims {
        let found = aim.found.map_or_else(
            || "not measured".to_owned(),
            |f| format!("{f:.2} {}", aim.unit),
        );
        let met = match aim.met {
            None => "",
            Some(true) => "met",
            Some(false) => "NOT MET",
        };
        println!(
            "  aim {:<18} {:<58} {:<20} {found:>12}  {met}",
            aim.row, aim.what, aim.wanted
        );
    }
}
