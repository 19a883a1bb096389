//! A request's work, which goes on when nobody waits for it any more.
//!
//! It runs where it is waited for, in the connection's own task: a task of its own for each request would be made, woken on
//! another thread and waited for, which costs as much as a decision. Only what is left of it when the connection is gone
//! gets one.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use super::super::boxed::boxed;

/// Work that is done to its end: dropped before, it goes on in a task of its own.
pub(super) struct Lasting<T: Send + 'static>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

/// The work panicked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Panicked;

impl<T: Send + 'static> Lasting<T> {
    pub(super) fn new<W>(work: impl FnOnce() -> W) -> Self
    where
        W: Future<Output = T> + Send + 'static,
    {
        Self(Some(boxed(work)))
    }
}

impl<T: Send + 'static> Future for Lasting<T> {
    type Output = Result<T, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = self.0.as_mut() else {
            return Poll::Ready(Err(Panicked));
        };
        // What panicked isn't touched again.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        let done = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(_) => Err(Panicked),
        };
        self.0 = None;
        Poll::Ready(done)
    }
}

impl<T: Send + 'static> Drop for Lasting<T> {
    fn drop(&mut self) {
        if let Some(work) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(work);
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Lasting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lasting").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn work_is_done_where_it_is_waited_for() {
        let here = tokio::task::try_id();
        let done = Lasting::new(|| async { tokio::task::try_id() }).await;
        assert_eq!(done, Ok(here));
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_goes_on() {
        let (go, gone) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let mut work = Lasting::new(|| async move {
            gone.await.unwrap();
            tell.send(7).unwrap();
        });
        let waited = timeout(Duration::from_millis(10), &mut work).await;
        assert!(waited.is_err());
        drop(work);
        go.send(()).unwrap();
        assert_eq!(told.await, Ok(7));
    }

    #[tokio::test]
    async fn work_that_was_never_begun_is_done() {
        let (tell, told) = oneshot::channel();
        drop(Lasting::new(|| async move { tell.send(7).unwrap() }));
        assert_eq!(told.await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_is_told_and_ends_nothing_else() {
        let mut work = Lasting::new(|| async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        });
        assert_eq!((&mut work).await, Err::<(), _>(Panicked));
        assert_eq!(work.await, Err(Panicked));
    }
}
