//! `palisade journal verify` and `palisade journal show`.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::table::{printable, table};
use crate::guard::call::Verdict;
use crate::journal::event::{Event, Palisade};
use crate::journal::{JournalError, Phase, Verification, verify, visit};

const EXAMPLES: &str = "\
Examples:
  palisade journal show --verdict refused --since 7d
  palisade journal show --json --since 24h > events.jsonl
  palisade journal verify";

/// Read and check the record of what was decided.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct JournalArgs {
    #[command(subcommand)]
    pub(crate) command: JournalCommand,
}

#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum JournalCommand {
    /// Check that no record was changed, taken out or put in, and that each allowed call has its outcome
    Verify(VerifyArgs),
    /// Print records
    Show(ShowArgs),
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct VerifyArgs {
    /// The journal's folder, for a copy of it; else the one in `state_dir`
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ShowArgs {
    /// The journal's folder, for a copy of it; else the one in `state_dir`
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print the records themselves, one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Only this caller's
    #[arg(long, value_name = "NAME")]
    pub(crate) caller: Option<String>,
    /// Only this action's, `workspaces:TerminateWorkspaces` or `workspaces:*`
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: Option<String>,
    /// Only those with this verdict: allowed, would_refuse or refused
    #[arg(long, value_name = "VERDICT", value_parser = verdict)]
    pub(crate) verdict: Option<Verdict>,
    /// Only those since then: `30m`, `12h`, `7d`, `2026-01-31` or `2026-01-31T12:00:00Z`
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub(crate) since: Option<Since>,
    /// Only the last N; 50 unless told, all with --json
    #[arg(short = 'n', long = "last", value_name = "N")]
    pub(crate) last: Option<usize>,
}

/// A moment, or a while ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    Ago(Duration),
    /// Milliseconds since 1970.
    At(i64),
}

/// Runs the subcommand on the journal in `dir`, unless the arguments name another.
///
/// # Errors
/// Where the journal can't be read or the output can't be written. An unsound journal is exit code 1.
pub(crate) fn run(
    args: &JournalArgs,
    dir: &Path,
    now: SystemTime,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let result = match &args.command {
        JournalCommand::Verify(args) => run_verify(args, args.dir.as_deref().unwrap_or(dir), out),
        JournalCommand::Show(args) => {
            run_show(args, args.dir.as_deref().unwrap_or(dir), now, out).map(|()| ExitCode::SUCCESS)
        }
    };
    match result {
        // `| head` has seen enough.
        Err(Failure::Output(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(Failure::Output(e)) => Err(e).context("cannot write the output"),
        Err(Failure::Journal(e)) => Err(e.into()),
        Ok(code) => Ok(code),
    }
}

enum Failure {
    Journal(JournalError),
    Output(io::Error),
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn run_verify(args: &VerifyArgs, dir: &Path, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let verification = verify(dir)?;
    if args.json {
        let mut json = serde_json::to_value(&verification).map_err(io::Error::from)?;
        if let Some(object) = json.as_object_mut() {
            object.insert("sound".to_owned(), verification.is_sound().into());
        }
        writeln!(out, "{json}")?;
    } else {
        report(&verification, dir, out)?;
    }
    Ok(if verification.is_sound() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn report(verification: &Verification, dir: &Path, out: &mut dyn Write) -> io::Result<()> {
    let Verification {
        segments,
        records,
        sequence,
        head,
        decisions,
        in_flight,
        running,
        sealed,
        problem,
    } = verification;
    writeln!(out, "journal    {}", dir.display())?;
    writeln!(out, "segments   {segments}")?;
    writeln!(out, "records    {records}, the last is number {sequence}")?;
    writeln!(out, "head       {head}")?;
    match running {
        true => writeln!(
            out,
            "decisions  {decisions} with an outcome of their own, {in_flight} in flight"
        )?,
        false => writeln!(out, "decisions  {decisions} with an outcome of their own")?,
    }
    for torn in sealed {
        let (file, line, bytes) = (torn.file.display(), torn.line, torn.bytes);
        writeln!(
            out,
            "sealed     {file}:{line}: a torn line of {bytes} bytes, accounted for"
        )?;
    }
    match problem {
        None => writeln!(out, "result     sound"),
        Some(problem) => {
            let (file, line) = (problem.file.display(), problem.line);
            writeln!(out, "result     NOT SOUND")?;
            writeln!(out, "{file}:{line}: {}", printable(&problem.what))
        }
    }
}

fn run_show(
    args: &ShowArgs,
    dir: &Path,
    now: SystemTime,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let since = args.since.map(|since| since.millis(now));
    let wanted = |event: &Event| args.wants(event, since);
    if args.json {
        let mut last = VecDeque::new();
        visit(dir, |line, event| {
            if !event.as_ref().is_some_and(wanted) {
                return Ok(());
            }
            match args.last {
                None => {
                    out.write_all(line)?;
                    out.write_all(b"\n")?;
                }
                Some(n) => keep(&mut last, line.to_vec(), n),
            }
            Ok::<(), Failure>(())
        })?;
        for line in last {
            out.write_all(&line)?;
            out.write_all(b"\n")?;
        }
        return Ok(());
    }
    let mut rows = VecDeque::new();
    visit(dir, |_, event| {
        match event {
            Some(event) if wanted(&event) => keep(&mut rows, row(&event), args.last.unwrap_or(50)),
            Some(_) => {}
            None if args.is_unfiltered() => {
                let torn = ["-", "-", "(not a record)", "-", "-", "-"].map(str::to_owned);
                keep(&mut rows, torn, args.last.unwrap_or(50));
            }
            None => {}
        }
        Ok::<(), Failure>(())
    })?;
    let head = [
        "TIME",
        "CALLER",
        "ACTION",
        "VERDICT",
        "RESOURCES",
        "POLICIES",
    ];
    table(out, &head, rows.make_contiguous())?;
    Ok(())
}

impl ShowArgs {
    fn wants(&self, event: &Event, since: Option<i64>) -> bool {
        let own = &event.unmapped.palisade;
        since.is_none_or(|since| event.time >= since)
            && self.caller.as_deref().is_none_or(|c| c == event.caller())
            && self.verdict.is_none_or(|v| own.verdict == Some(v))
            && self.action.as_deref().is_none_or(|a| names(a, event))
    }

    const fn is_unfiltered(&self) -> bool {
        self.caller.is_none()
            && self.action.is_none()
            && self.verdict.is_none()
            && self.since.is_none()
    }
}

impl Since {
    fn millis(self, now: SystemTime) -> i64 {
        match self {
            Since::At(millis) => millis,
            Since::Ago(ago) => {
                let since = now.checked_sub(ago).unwrap_or(UNIX_EPOCH);
                let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
        }
    }
}

fn keep<T>(kept: &mut VecDeque<T>, item: T, n: usize) {
    kept.push_back(item);
    if kept.len() > n {
        kept.pop_front();
    }
}

/// Whether the filter names the event's action: exactly, or up to a `*` at its end.
fn names(filter: &str, event: &Event) -> bool {
    let action = event.action();
    match filter.strip_suffix('*') {
        Some(prefix) => action.starts_with(prefix),
        None => action == filter,
    }
}

fn row(event: &Event) -> [String; 6] {
    let own = &event.unmapped.palisade;
    let resources: Vec<&str> = match &event.dst_endpoint {
        Some(to) => to.hostname.iter().map(String::as_str).collect(),
        None => event.resources.iter().map(|r| r.uid.as_str()).collect(),
    };
    [
        clock(event.time),
        event.caller().to_owned(),
        event.action(),
        said(own),
        some(&resources),
        some(&own.policies),
    ]
}

/// The verdict, with what refused it or what came of it.
fn said(own: &Palisade) -> String {
    let verdict = own.verdict.map(Verdict::as_str);
    let after = match own.phase {
        Phase::Outcome => own.outcome.map(|o| o.as_str().to_owned()),
        Phase::Decision | Phase::Tunnel | Phase::Lifecycle => match (&own.reason, own.outcome) {
            (Some(reason), _) => Some(reason.clone().into_owned()),
            (None, Some(outcome)) => Some(outcome.as_str().to_owned()),
            (None, None) => None,
        },
    };
    match (verdict, after, own.phase) {
        (_, Some(outcome), Phase::Outcome) => format!("outcome {outcome}"),
        (Some(verdict), Some(after), _) => format!("{verdict} ({after})"),
        (Some(verdict), None, _) => verdict.to_owned(),
        (None, _, _) => "-".to_owned(),
    }
}

/// At most three of them, and how many more there are.
fn some<S: AsRef<str>>(items: &[S]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<&str> = items.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match (shown.is_empty(), items.len().saturating_sub(SHOWN)) {
        (true, _) => "-".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `2026-01-02T03:04:05.678Z`.
fn clock(millis: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| millis.to_string())
}

fn verdict(text: &str) -> Result<Verdict, String> {
    Verdict::ALL
        .into_iter()
        .find(|verdict| verdict.as_str() == text)
        .ok_or_else(|| "say `allowed`, `would_refuse` or `refused`".to_owned())
}

fn since(text: &str) -> Result<Since, String> {
    if let Some(ago) = ago(text) {
        return Ok(Since::Ago(ago));
    }
    let whole = if text.len() == "2026-01-31".len() {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    let at = OffsetDateTime::parse(&whole, &Rfc3339)
        .map_err(|_| "say `30m`, `12h`, `7d`, `2026-01-31` or `2026-01-31T12:00:00Z`".to_owned())?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000)
        .map(Since::At)
        .map_err(|_| "is too far away".to_owned())
}

fn ago(text: &str) -> Option<Duration> {
    let (unit, digits) = (
        text.chars().last()?,
        text.trim_end_matches(char::is_alphabetic),
    );
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let exact = digits.len() + 1 == text.len();
    let count: u64 = digits.parse().ok().filter(|_| exact)?;
    Some(Duration::from_secs(count.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests;
