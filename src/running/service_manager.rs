//! What a service manager that waits for it is told of the guard (`sd_notify(3)`): that it is ready, reads its
//! configuration anew, works, and stops. Where nobody waits, nothing is said.

use std::future::Future;
use std::time::Duration;

use sd_notify::NotifyState;

/// The longest status that is told, in characters.
const STATUS_CHARACTERS_MAX: usize = 300;

/// The service manager that started this process, if it is to be told anything.
#[derive(Debug, Clone, Copy)]
pub struct ServiceManager {
    /// Within how long it wants to hear that the guard works, or ends it.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    #[must_use]
    pub fn from_environment() -> Self {
        Self {
            watchdog: sd_notify::watchdog_enabled().filter(|within| !within.is_zero()),
        }
    }

    /// The guard serves: at its start, and after each reload.
    pub fn ready(self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
    }

    /// The guard reads its configuration anew; it serves meanwhile, and is [`ready`](Self::ready) again afterwards.
    pub fn reloading(self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "the service manager isn't told of the reload"),
        }
    }

    /// The guard stops; what is in flight goes on for a while.
    pub fn stopping(self, status: &str) {
        tell(&[NotifyState::Stopping, NotifyState::Status(&line(status))]);
    }

    /// What the guard is at.
    pub fn status(self, status: &str) {
        tell(&[NotifyState::Status(&line(status))]);
    }

    /// Tells at each of its turns that the guard works, for as long as it does; does nothing where nobody wants to know.
    /// `works` has until the next turn to say so.
    pub async fn watched<F>(self, works: impl Fn() -> F)
    where
        F: Future<Output = Result<(), String>>,
    {
        let Some(within) = self.watchdog else {
            return;
        };
        // Two turns are missed before the third is too late.
        let turn = within / 3;
        let mut turns = tokio::time::interval(turn);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            match tokio::time::timeout(turn, works()).await {
                Ok(Ok(())) => tell(&[NotifyState::Watchdog]),
                Ok(Err(why)) => tracing::error!(why, "the guard doesn't work"),
                Err(_) => tracing::error!("the guard doesn't work: its journal doesn't answer"),
            }
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager can't be told how the guard is doing");
    }
}

/// One line: what comes after another would be read as a message of its own.
fn line(text: &str) -> String {
    let characters = text.chars().take(STATUS_CHARACTERS_MAX);
    let tame = characters.map(|c| if c.is_control() { ' ' } else { c });
    tame.collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_status_is_one_line_and_no_other_message() {
        assert_eq!(line("refused: a\nREADY=1\r"), "refused: a READY=1 ");
        assert_eq!(line(&"é".repeat(1000)).chars().count(), 300);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_watched_is_asked_thrice_within_the_time() {
        let asked = Cell::new(0);
        let manager = ServiceManager {
            watchdog: Some(Duration::from_secs(30)),
        };
        let works = || {
            asked.set(asked.get() + 1);
            async { Ok(()) }
        };
        let watched = tokio::time::timeout(Duration::from_secs(59), manager.watched(works));
        assert!(watched.await.is_err());
        assert_eq!(asked.get(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_asked_again() {
        let asked = Cell::new(0);
        let manager = ServiceManager {
            watchdog: Some(Duration::from_secs(30)),
        };
        let works = || {
            asked.set(asked.get() + 1);
            std::future::pending()
        };
        let watched = tokio::time::timeout(Duration::from_secs(59), manager.watched(works));
        assert!(watched.await.is_err());
        assert!(asked.get() >= 3, "{}", asked.get());
    }

    #[tokio::test]
    async fn nobody_is_asked_where_nobody_wants_to_know() {
        let manager = ServiceManager { watchdog: None };
        manager.watched(|| async { unreachable!() }).await;
    }
}
