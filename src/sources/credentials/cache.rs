//! Keeps the credentials of one table or one role: one fetch at a time, ahead of the expiry, and none that fails takes away
//! what is still valid.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;

use super::fault::CredentialsFault;
use crate::sources::clock::Clock;

/// How long before they expire credentials are fetched anew, beside the calls that go on using them.
const REFRESH_BEFORE: Duration = Duration::from_secs(5 * 60);
/// How old credentials that never expire may grow: somebody may have put new ones into a file.
const REFRESH_AFTER: Duration = Duration::from_secs(15 * 60);
/// How long a refresh that brought nothing fresh is not repeated.
const REFRESH_PAUSE: Duration = Duration::from_secs(30);
/// Credentials with less time left are not handed out.
const LEFT_MIN: Duration = Duration::from_secs(10);
/// How long a fault is answered without asking again: a flood of calls must not become a flood of logins.
const FAULT_KEPT: Duration = Duration::from_secs(1);

/// The credentials of one table, or of one role.
#[derive(Debug, Default)]
pub(super) struct Cache {
    state: Mutex<State>,
    /// Held by whoever fetches.
    gate: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct State {
    kept: Option<Kept>,
    /// The last fault and when it came; forgotten with the next success.
    fault: Option<(SystemTime, CredentialsFault)>,
    /// When a fetch was last begun.
    fetched: Option<SystemTime>,
}

#[derive(Debug, Clone)]
struct Kept {
    credentials: Credentials,
    since: SystemTime,
}

enum Look {
    Fresh(Credentials),
    /// Valid, but it's time for new ones.
    Ageing(Credentials),
    Faulty(CredentialsFault),
    Absent,
}

impl Cache {
    /// What is kept, or what `load` fetches.
    pub(super) async fn credentials<L, F>(
        self: &Arc<Self>,
        clock: &Clock,
        load: L,
    ) -> Result<Credentials, CredentialsFault>
    where
        L: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<Credentials, CredentialsFault>> + Send + 'static,
    {
        match self.look(clock.now()) {
            Look::Fresh(credentials) => return Ok(credentials),
            Look::Faulty(fault) => return Err(fault),
            Look::Ageing(credentials) => {
                self.refresh_beside(clock, load);
                return Ok(credentials);
            }
            Look::Absent => {}
        }
        let _held = self.gate.lock().await;
        // Somebody else may have fetched meanwhile.
        match self.look(clock.now()) {
            Look::Fresh(credentials) | Look::Ageing(credentials) => Ok(credentials),
            Look::Faulty(fault) => Err(fault),
            Look::Absent => {
                let fetched = self.fetch(clock, load).await;
                if let Err(fault) = &fetched {
                    tracing::warn!(%fault, detail = fault.detail(), "calls are refused");
                }
                fetched
            }
        }
    }

    /// What is kept, where nothing is to be fetched.
    pub(super) fn at_hand(&self, clock: &Clock) -> Option<Credentials> {
        match self.look(clock.now()) {
            Look::Fresh(credentials) => Some(credentials),
            Look::Ageing(_) | Look::Faulty(_) | Look::Absent => None,
        }
    }

    /// Fetches in a task of its own, unless one runs already or ran a moment ago.
    fn refresh_beside<L, F>(self: &Arc<Self>, clock: &Clock, load: L)
    where
        L: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<Credentials, CredentialsFault>> + Send + 'static,
    {
        let now = clock.now();
        if is_within(self.state().fetched, REFRESH_PAUSE, now) {
            return;
        }
        let Ok(held) = Arc::clone(&self.gate).try_lock_owned() else {
            return;
        };
        let (cache, clock) = (Arc::clone(self), clock.clone());
        tokio::spawn(async move {
            let _held = held;
            if let Err(fault) = cache.fetch(&clock, load).await {
                tracing::warn!(
                    %fault,
                    detail = fault.detail(),
                    "upstream credentials could not be refreshed; those at hand are still valid"
                );
            }
        });
    }

    /// Fetches; the caller holds the gate.
    async fn fetch<L, F>(&self, clock: &Clock, load: L) -> Result<Credentials, CredentialsFault>
    where
        L: FnOnce() -> F,
        F: Future<Output = Result<Credentials, CredentialsFault>>,
    {
        self.state().fetched = Some(clock.now());
        let result = load().await;
        let now = clock.now();
        let mut state = self.state();
        match &result {
            Ok(credentials) => {
                state.fault = None;
                state.kept = Some(Kept {
                    credentials: credentials.clone(),
                    since: now,
                });
            }
            Err(fault) => state.fault = Some((now, fault.clone())),
        }
        result
    }

    fn look(&self, now: SystemTime) -> Look {
        let state = self.state();
        if let Some(kept) = state
            .kept
            .as_ref()
            .filter(|k| is_valid(&k.credentials, now))
        {
            let credentials = kept.credentials.clone();
            return if kept.is_ageing(now) {
                Look::Ageing(credentials)
            } else {
                Look::Fresh(credentials)
            };
        }
        match &state.fault {
            Some((since, fault)) if is_within(Some(*since), FAULT_KEPT, now) => {
                Look::Faulty(fault.clone())
            }
            Some(_) | None => Look::Absent,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn is_ageing(&self, now: SystemTime) -> bool {
        match self.credentials.expiry() {
            Some(expiry) => now.checked_add(REFRESH_BEFORE).is_none_or(|t| t >= expiry),
            None => !is_within(Some(self.since), REFRESH_AFTER, now),
        }
    }
}

/// Whether credentials have enough time left to be handed out.
pub(super) fn is_valid(credentials: &Credentials, now: SystemTime) -> bool {
    credentials
        .expiry()
        .is_none_or(|expiry| now.checked_add(LEFT_MIN).is_some_and(|t| t < expiry))
}

/// Whether less than `span` has gone by since then. A clock that was set back counts as gone by.
fn is_within(since: Option<SystemTime>, span: Duration, now: SystemTime) -> bool {
    since
        .and_then(|since| now.duration_since(since).ok())
        .is_some_and(|gone| gone < span)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::fault::Cause;
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A source that counts how often it is asked.
    #[derive(Default)]
    struct Source(Arc<AtomicUsize>);

    impl Source {
        /// What `load` of a cache takes: gives `result` once others had their turn.
        fn gives(
            &self,
            result: Result<Credentials, CredentialsFault>,
        ) -> impl FnOnce() -> BoxedLoad + Send + 'static + use<> {
            let asked = Arc::clone(&self.0);
            move || {
                Box::pin(async move {
                    asked.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    result
                })
            }
        }

        fn asked(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    type BoxedLoad =
        std::pin::Pin<Box<dyn Future<Output = Result<Credentials, CredentialsFault>> + Send>>;

    fn clock() -> Clock {
        Clock::fixed(SystemTime::UNIX_EPOCH + HOUR * 400_000)
    }

    fn key(id: &str, expiry: Option<SystemTime>) -> Result<Credentials, CredentialsFault> {
        Ok(Credentials::new(id, "s", None, expiry, "test"))
    }

    fn fault() -> Result<Credentials, CredentialsFault> {
        Err(CredentialsFault::new(
            "prod",
            Cause::Unreachable,
            String::new(),
        ))
    }

    async fn get(
        cache: &Arc<Cache>,
        clock: &Clock,
        source: &Source,
        result: Result<Credentials, CredentialsFault>,
    ) -> Option<String> {
        let result = cache.credentials(clock, source.gives(result)).await;
        result.ok().map(|c| c.access_key_id().to_owned())
    }

    /// Lets tasks beside run to their end.
    async fn settle() {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn many_calls_fetch_once() {
        let (cache, clock, source) = (Arc::<Cache>::default(), clock(), Source::default());
        let expiry = Some(clock.now() + HOUR);
        let one = || get(&cache, &clock, &source, key("a", expiry));
        let all = tokio::join!(one(), one(), one(), one());
        for id in [all.0, all.1, all.2, all.3] {
            assert_eq!(id.as_deref(), Some("a"));
        }
        assert_eq!(source.asked(), 1);
    }

    #[tokio::test]
    async fn they_are_fetched_anew_before_they_expire_and_nobody_waits() {
        let (cache, clock, source) = (Arc::<Cache>::default(), clock(), Source::default());
        let expiry = clock.now() + HOUR;
        get(&cache, &clock, &source, key("old", Some(expiry))).await;
        clock.advance(HOUR - REFRESH_BEFORE - Duration::from_secs(1));
        get(&cache, &clock, &source, fault()).await;
        assert_eq!(source.asked(), 1);
        clock.advance(Duration::from_secs(1));
        let next = key("new", Some(expiry + HOUR));
        let id = get(&cache, &clock, &source, next.clone()).await;
        assert_eq!(id.as_deref(), Some("old"));
        get(&cache, &clock, &source, next).await;
        settle().await;
        assert_eq!(source.asked(), 2);
        let id = get(&cache, &clock, &source, fault()).await;
        assert_eq!(id.as_deref(), Some("new"));
    }

    #[tokio::test]
    async fn a_refresh_that_fails_keeps_what_is_valid_and_pauses() {
        let (cache, clock, source) = (Arc::<Cache>::default(), clock(), Source::default());
        let expiry = clock.now() + HOUR;
        get(&cache, &clock, &source, key("old", Some(expiry))).await;
        clock.advance(HOUR - Duration::from_secs(60));
        for _ in 0..3 {
            let id = get(&cache, &clock, &source, fault()).await;
            assert_eq!(id.as_deref(), Some("old"));
            settle().await;
        }
        assert_eq!(source.asked(), 2);
        clock.advance(REFRESH_PAUSE);
        get(&cache, &clock, &source, fault()).await;
        settle().await;
        assert_eq!(source.asked(), 3);
        // Ten seconds before the end they count no more.
        clock.advance(Duration::from_secs(20));
        assert_eq!(get(&cache, &clock, &source, fault()).await, None);
        let id = get(&cache, &clock, &source, key("new", None)).await;
        assert_eq!(id, None, "a fault is kept for a moment");
        clock.advance(FAULT_KEPT);
        let id = get(&cache, &clock, &source, key("new", None)).await;
        assert_eq!(id.as_deref(), Some("new"));
    }

    #[tokio::test]
    async fn a_fault_is_kept_for_a_moment_so_that_a_flood_asks_once() {
        let (cache, clock, source) = (Arc::<Cache>::default(), clock(), Source::default());
        for _ in 0..5 {
            assert_eq!(get(&cache, &clock, &source, fault()).await, None);
        }
        assert_eq!(source.asked(), 1);
        clock.advance(FAULT_KEPT);
        assert_eq!(get(&cache, &clock, &source, fault()).await, None);
        assert_eq!(source.asked(), 2);
    }

    #[tokio::test]
    async fn keys_that_never_expire_are_looked_at_again_too() {
        let (cache, clock, source) = (Arc::<Cache>::default(), clock(), Source::default());
        get(&cache, &clock, &source, key("old", None)).await;
        clock.advance(REFRESH_AFTER);
        let id = get(&cache, &clock, &source, key("new", None)).await;
        assert_eq!(id.as_deref(), Some("old"));
        settle().await;
        let id = get(&cache, &clock, &source, fault()).await;
        assert_eq!(id.as_deref(), Some("new"));
        assert_eq!(source.asked(), 2);
    }
}
