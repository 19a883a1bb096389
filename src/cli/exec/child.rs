//! The command itself: started, signalled and ended as if nobody stood between it and whoever started us.
//!
//! A terminal sends Ctrl-C and Ctrl-\ to every process in its foreground: the command has them already, and we only wait.
//! Where no terminal does that, they are passed on, as other signals are.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{ExitCode, ExitStatus};

use rustix::process::{Pid, Resource, Rlimit, Signal, getpgrp, getrlimit, kill_process, setrlimit};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::environment::Change;

/// A signal as it reaches us, and as it is passed on.
const SIGNALS: [(SignalKind, Signal, Source); 6] = [
    (SignalKind::interrupt(), Signal::INT, Source::Terminal),
    (SignalKind::quit(), Signal::QUIT, Source::Terminal),
    (SignalKind::terminate(), Signal::TERM, Source::Somebody),
    (SignalKind::hangup(), Signal::HUP, Source::Somebody),
    (SignalKind::user_defined1(), Signal::USR1, Source::Somebody),
    (SignalKind::user_defined2(), Signal::USR2, Source::Somebody),
];

/// Who usually sends a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The terminal, and then to the command as well.
    Terminal,
    Somebody,
}

/// Why a command didn't start.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotStarted {
    #[error("`{0}`: command not found")]
    NotFound(String),
    #[error("`{0}` can't be run: {1}")]
    NotRunnable(String, io::Error),
    #[error("signals can't be waited for: {0}")]
    Signals(io::Error),
}

impl NotStarted {
    /// The exit status that `env` has for it.
    pub(super) const fn status(&self) -> u8 {
        match self {
            NotStarted::NotFound(_) => 127,
            NotStarted::NotRunnable(..) => 126,
            NotStarted::Signals(_) => 125,
        }
    }
}

/// The limit of open files as it was before a guard raised it: the command has the one that the shell gave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits(Rlimit);

impl Limits {
    pub(super) fn now() -> Self {
        Self(getrlimit(Resource::Nofile))
    }

    fn set(&self) {
        // A limit below the hardest can always be set; where not, the command has more than it needs.
        let _ = setrlimit(Resource::Nofile, self.0);
    }
}

/// Runs a command to its end.
///
/// # Errors
/// [`NotStarted`]; nothing ran.
pub(super) async fn run(
    program: &OsString,
    arguments: &[OsString],
    changes: &[Change],
    limits: &Limits,
) -> Result<ExitStatus, NotStarted> {
    let mut command = Command::new(program);
    command.args(arguments);
    for change in changes {
        match change {
            Change::Set(name, value) => command.env(name, value),
            Change::Unset(name) => command.env_remove(name),
        };
    }
    // From here on a signal ends the command, and with it us.
    let mut signals = signals().map_err(NotStarted::Signals)?;
    let raised = Limits::now();
    limits.set();
    let spawned = command.spawn();
    raised.set();
    let mut child = spawned.map_err(|error| {
        let name = program.to_string_lossy().into_owned();
        if error.kind() == io::ErrorKind::NotFound {
            NotStarted::NotFound(name)
        } else {
            NotStarted::NotRunnable(name, error)
        }
    })?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok());
    let pid = pid.and_then(Pid::from_raw);
    loop {
        tokio::select! {
            ended = child.wait() => {
                return ended.map_err(|e| NotStarted::NotRunnable(program.to_string_lossy().into_owned(), e));
            }
            Some((signal, source)) = signals.recv() => {
                let has_it = source == Source::Terminal && is_in_foreground();
                // One that is gone is waited for at the next turn; until then its id isn't anybody else's.
                if let Some(pid) = pid && !has_it {
                    let _ = kill_process(pid, signal);
                }
            }
        }
    }
}

/// Ends this process as the command ended: with its exit status, or by the signal that ended it.
pub(super) fn end_like(status: ExitStatus) -> ExitCode {
    if let Some(signal) = status.signal() {
        // Whoever waits for us looks at what ended us. Only a process without our handlers can end so: a shell in our
        // place. No core of its own is left.
        let end = format!("ulimit -c 0; kill -{signal} $$");
        let _ = std::process::Command::new("/bin/sh")
            .args(["-c", &end])
            .exec();
        return ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX));
    }
    let code = status.code().unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Every signal of [`SIGNALS`], from now on.
fn signals() -> io::Result<mpsc::Receiver<(Signal, Source)>> {
    let (sender, receiver) = mpsc::channel(16);
    for (kind, passed_on, source) in SIGNALS {
        let mut caught = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while caught.recv().await.is_some() {
                if sender.send((passed_on, source)).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(receiver)
}

/// Whether a terminal counts us among those that it sends its signals to.
fn is_in_foreground() -> bool {
    let foreground = File::open("/dev/tty").map(rustix::termios::tcgetpgrp);
    matches!(foreground, Ok(Ok(group)) if group == getpgrp())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn status_of(script: &str, changes: &[Change]) -> ExitStatus {
        let arguments = ["-c".into(), script.into()];
        run(&"/bin/sh".into(), &arguments, changes, &Limits::now())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_command_has_its_environment_and_its_status_is_told() {
        let changes = [
            Change::Set("PALISADE_TEST_SET".to_owned(), "a b".into()),
            Change::Unset("PATH".to_owned()),
        ];
        let script = "test \"$PALISADE_TEST_SET\" = 'a b' && exit 7";
        assert_eq!(status_of(script, &changes).await.code(), Some(7));
        assert_eq!(status_of("kill -9 $$", &[]).await.signal(), Some(9));
    }

    #[tokio::test]
    async fn what_cannot_run_has_the_status_that_env_gives() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("no-program");
        std::fs::write(&file, "text").unwrap();
        for (program, status, text) in [
            (
                OsString::from("palisade-no-such-command"),
                127,
                "`palisade-no-such-command`: command not found".to_owned(),
            ),
            (
                file.clone().into(),
                126,
                format!(
                    "`{}` can't be run: Permission denied (os error 13)",
                    file.display()
                ),
            ),
        ] {
            let error = run(&program, &[], &[], &Limits::now()).await.unwrap_err();
            assert_eq!(error.status(), status);
            assert_eq!(error.to_string(), text);
        }
    }
}
