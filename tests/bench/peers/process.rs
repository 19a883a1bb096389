//! Child processes: what they cost, and that none outlives the run.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

/// Those that run, for whoever ends the run early.
static RUNNING: Mutex<Vec<i32>> = Mutex::new(Vec::new());
/// Whether one that was to end in order didn't.
static DISORDERLY: AtomicBool = AtomicBool::new(false);
/// The kernel tells CPU time in hundredths of a second, whatever its own tick.
const TICK: Duration = Duration::from_millis(10);
/// How long one that was told to end may take: a guard gives those whom it serves thirty seconds.
const END_WITHIN: Duration = Duration::from_secs(40);

/// A process that ends with this value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    id: i32,
    /// Whether it has to write something at its end: else it's killed.
    ends_in_order: bool,
}

impl Process {
    pub fn start(command: &mut Command) -> Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("`{}`", command.get_program().display()))?;
        let id = i32::try_from(child.id())?;
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(id);
        Ok(Self {
            child,
            id,
            ends_in_order: false,
        })
    }

    /// It's told to end, and has to end well.
    #[must_use]
    pub const fn that_ends_in_order(mut self) -> Self {
        self.ends_in_order = true;
        self
    }

    pub const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub const fn id(&self) -> i32 {
        self.id
    }

    /// An error if it has ended, with the end of what it wrote to `log`.
    pub fn check(&mut self, name: &str, log: &Path) -> Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let said = fs::read_to_string(log).unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(15).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        bail!("{name} ended ({status}):\n{}", last.join("\n"))
    }

    /// Tells it to end, and waits until it has; `None` if it doesn't.
    fn told_to_end(&mut self) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        let until = Instant::now() + END_WITHIN;
        kill_process(Pid::from_raw(self.id)?, Signal::TERM).ok()?;
        while Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ends_in_order && !self.told_to_end().is_some_and(|status| status.success()) {
            DISORDERLY.store(true, Ordering::Relaxed);
        }
        // Either fails only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|id| *id != self.id);
    }
}

/// An error if one that was to end in order didn't: what it was to write at its end isn't there.
pub fn all_ended_in_order() -> Result<()> {
    ensure!(
        !DISORDERLY.load(Ordering::Relaxed),
        "a guard that was told to end failed, or didn't within {END_WITHIN:?}"
    );
    Ok(())
}

/// Ends all that run, at once.
pub fn kill_all() {
    for id in RUNNING
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .drain(..)
    {
        if let Some(pid) = Pid::from_raw(id) {
            // It fails only if it has ended.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The CPU time that a process has used so far, in all its threads, those that ended too.
pub fn cpu(id: i32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name stands in brackets and may hold anything.
    let (_, after) = text.rsplit_once(')').context("no name")?;
    let ticks: u32 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|n| n.parse::<u32>().unwrap_or(0))
        .sum();
    Ok(TICK * ticks)
}

/// Memory that a process holds, in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Resident {
    pub all: u64,
    /// Of it, what lies in files too, such as its own program.
    pub files: u64,
}

pub fn resident(id: i32) -> Result<Resident> {
    let text = fs::read_to_string(format!("/proc/{id}/status"))?;
    let bytes = |field: &str| {
        let kib: Option<u64> = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse().ok());
        kib.map(|kib| kib * 1024)
            .with_context(|| format!("no {field}"))
    };
    Ok(Resident {
        all: bytes("VmRSS")?,
        files: bytes("RssFile")?,
    })
}
