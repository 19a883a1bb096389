//! What a run was made on, and with what: without it no figure means anything.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::SystemTime;

use anyhow::Result;
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::peer::{Kind, Programs};

#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_gib: u64,
    pub kernel: String,
    /// UTC.
    pub date: String,
    /// By peer: what each program says of itself.
    pub versions: BTreeMap<&'static str, String>,
}

impl Machine {
    pub fn look(programs: &Programs, kinds: &[Kind]) -> Result<Self> {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib: u64 = field(&memory, "MemTotal")
            .and_then(|value| value.split_whitespace().next()?.parse().ok())
            .unwrap_or(0);
        let today = OffsetDateTime::from(SystemTime::now());
        let versions = kinds
            .iter()
            .filter_map(|kind| Some((kind.name(), version(*kind, programs)?)))
            .collect();
        Ok(Self {
            processor: field(&processors, "model name")
                .unwrap_or("unknown")
                .to_owned(),
            cores: thread::available_parallelism()?.get(),
            memory_gib: (kib + 512 * 1024) / (1024 * 1024),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            date: today.format(format_description!("[year]-[month]-[day]"))?,
            versions,
        })
    }

    /// One line.
    pub fn line(&self) -> String {
        let versions: Vec<String> = self
            .versions
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        format!(
            "{}, {} cores, {} GiB, Linux {}, {}; {}",
            self.processor,
            self.cores,
            self.memory_gib,
            self.kernel,
            self.date,
            versions.join(", ")
        )
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    })
}

/// The first word of what a program says of itself that begins with a digit.
fn version(kind: Kind, programs: &Programs) -> Option<String> {
    let (program, flag): (&Path, &str) = match kind {
        Kind::Direct => return None,
        Kind::Haproxy => (programs.haproxy.as_deref()?, "-v"),
        Kind::Hudsucker => (programs.hudsucker.as_deref()?, "--version"),
        Kind::Mitmproxy => (programs.mitmproxy.as_deref()?, "--version"),
        Kind::Palisade => (&programs.palisade, "--version"),
    };
    let said = Command::new(program).arg(flag).output().ok()?.stdout;
    let said = String::from_utf8_lossy(&said);
    let word = said
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    Some(word.to_owned())
}
