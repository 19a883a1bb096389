//! Polls a connection again at once where its work woke itself.
//!
//! hyper and what it calls are parts of one task that wake each other: whoever takes a piece of a body wakes whoever
//! fills in the next. tokio would put the task, which runs, to the end of the queue and wake another thread for it. Here
//! it is polled again where it is, with all its data at hand.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// How often at most before others get their turn.
const ROUNDS_MAX: usize = 8;

/// The work of one task.
pub(super) struct Steady {
    bell: Arc<Bell>,
    waker: Waker,
}

/// Wakes the task, unless the work is being polled: then it is polled again.
struct Bell {
    /// INVARIANT: changed by exchanges alone, so that whoever polls sees what each ringer wrote before it rang.
    state: AtomicU8,
    task: Mutex<Waker>,
}

/// Nobody polls: whoever rings wakes the task.
const RESTS: u8 = 0;
/// The work is being polled.
const POLLED: u8 = 1;
/// Somebody rang while it was polled, or woke the task since: it will be polled, and whoever rings now need do nothing.
const RUNG: u8 = 2;

impl Steady {
    pub(super) fn new() -> Self {
        let bell = Arc::new(Bell {
            state: AtomicU8::new(RESTS),
            task: Mutex::new(Waker::noop().clone()),
        });
        let waker = Waker::from(Arc::clone(&bell));
        Self { bell, waker }
    }

    /// Polls the work until it waits for somebody else.
    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut work: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.bell.task().clone_from(cx.waker());
        for _ in 0..ROUNDS_MAX {
            self.bell.state.swap(POLLED, Ordering::SeqCst);
            let polled = work(&mut Context::from_waker(&self.waker));
            if polled.is_ready() || self.bell.rest() {
                return polled;
            }
        }
        self.bell.state.swap(RESTS, Ordering::SeqCst);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Bell {
    fn task(&self) -> std::sync::MutexGuard<'_, Waker> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody rang while the work was polled.
    fn rest(&self) -> bool {
        self.state
            .compare_exchange(POLLED, RESTS, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(RUNG, Ordering::SeqCst) == RESTS {
            self.task().wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn polled(rings: usize) -> (usize, usize, Poll<()>) {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut polls = 0;
        let polled = Steady::new().poll(&mut Context::from_waker(&waker), |cx| {
            polls += 1;
            if polls <= rings {
                cx.waker().wake_by_ref();
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        });
        (polls, count.0.load(Ordering::SeqCst), polled)
    }

    #[test]
    fn what_wakes_itself_is_polled_again_and_its_task_is_left_alone() {
        assert_eq!(polled(0), (1, 0, Poll::Pending));
        assert_eq!(polled(3), (4, 0, Poll::Pending));
    }

    #[test]
    fn what_never_rests_lets_others_have_their_turn() {
        assert_eq!(polled(usize::MAX), (ROUNDS_MAX, 1, Poll::Pending));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_who_rings_from_elsewhere_is_missed() {
        let steady = Steady::new();
        for _ in 0..2000 {
            let (tell, told) = tokio::sync::oneshot::channel();
            let mut told = std::pin::pin!(told);
            tokio::spawn(async move { tell.send(7).unwrap() });
            let work = poll_fn(|cx| steady.poll(cx, |cx| told.as_mut().poll(cx)));
            let done = tokio::time::timeout(Duration::from_secs(10), work).await;
            assert_eq!(done.unwrap(), Ok(7));
        }
    }
}
