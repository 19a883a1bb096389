//! How far a build is, on standard error: a line that is written over on a terminal; elsewhere a line for each package,
//! unless a program asked.

use std::io::{IsTerminal as _, Write as _};

/// Who reads what a build reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Person,
    Program,
}

/// Tells how far a build is.
#[derive(Debug)]
pub(super) struct Progress {
    terminal: bool,
    quiet: bool,
}

impl Progress {
    /// `asked_by`: who reads the report.
    pub(super) fn new(asked_by: Reader) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            terminal,
            quiet: !terminal && asked_by == Reader::Program,
        }
    }

    /// Says that a service of a package is being read: the one at `at` of `count`.
    pub(super) fn of(&self, package: &str, service: &str, at: usize, count: usize) {
        if self.terminal {
            self.over(&format!("{package}: {} of {count}, {service}", at + 1));
        } else if at == 0 {
            self.over(&format!("{package}: {count} services"));
        }
    }

    /// Says what is being done.
    pub(super) fn step(&self, what: &str) {
        self.over(what);
    }

    /// Takes the line away.
    pub(super) fn done(&self) {
        if self.terminal {
            self.over("");
        }
    }

    fn over(&self, text: &str) {
        if self.quiet {
            return;
        }
        let mut out = std::io::stderr().lock();
        // Nothing depends on it: whoever closed standard error doesn't want to know.
        let _ = if self.terminal {
            write!(out, "\r\x1b[K{text}").and_then(|()| out.flush())
        } else {
            writeln!(out, "{text}")
        };
    }
}
