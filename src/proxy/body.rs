//! Bodies: what is answered and sent, and reading a request's whole body within its bounds.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use super::pace::PIECE_BYTES_MAX;
use super::timeouts::Timeouts;
use super::upstream::Answer;

/// A body that is answered or sent.
pub struct Body(Kind);

enum Kind {
    Whole {
        bytes: Option<Bytes>,
        /// Given back when the body is dropped.
        _held: Option<OwnedSemaphorePermit>,
    },
    Request(Paced<Incoming>),
    Answer(Paced<Answer>),
    Other(Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>>),
}

/// Why a body did not come whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body is longer than {max} bytes")]
    TooLarge { max: u64 },
    #[error("the body did not come in time")]
    Timeout,
    #[error("too many bodies are being read at once")]
    Overloaded,
    #[error("the body broke off: {why}")]
    Broken { why: String },
}

impl Body {
    /// No bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Kind::Whole {
            bytes: None,
            _held: None,
        })
    }

    /// These bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(Kind::Whole {
            bytes: (!bytes.is_empty()).then_some(bytes),
            _held: None,
        })
    }

    /// A body that was read whole; its part of the budget is given back once it is sent or dropped.
    #[must_use]
    pub fn buffered(buffered: Buffered) -> Self {
        let Buffered { bytes, held } = buffered;
        Self(Kind::Whole {
            bytes: (!bytes.is_empty()).then_some(bytes),
            _held: held,
        })
    }

    /// A request's body that passes through as it comes. It ends in [`BodyError::Timeout`] if nothing comes for
    /// `stall`, and in [`BodyError::Broken`] at trailers, which nobody would judge.
    #[must_use]
    pub const fn request(incoming: Incoming, stall: Duration) -> Self {
        Self(Kind::Request(Paced::new(incoming, stall)))
    }

    /// An answer's body that passes through as it comes, and ends in [`BodyError::Timeout`] if nothing comes for
    /// `stall`.
    #[must_use]
    pub const fn answer(answer: Answer, stall: Duration) -> Self {
        Self(Kind::Answer(Paced::new(answer, stall)))
    }

    /// Any other body: one that watches or hashes what passes.
    pub fn other(body: impl HttpBody<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Self(Kind::Other(Box::pin(body)))
    }

    /// Whether all of it is at hand, and no more than is handed out at once.
    pub(super) fn is_one_piece(&self) -> bool {
        match &self.0 {
            Kind::Whole { bytes, .. } => bytes.as_ref().map_or(0, Bytes::len) <= PIECE_BYTES_MAX,
            Kind::Request(_) | Kind::Answer(_) | Kind::Other(_) => false,
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Whole { bytes, .. } => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Kind::Request(paced) => match ready!(paced.poll_frame(cx)) {
                Some(Ok(frame)) if frame.is_trailers() => Poll::Ready(Some(Err(trailers()))),
                frame => Poll::Ready(frame),
            },
            Kind::Answer(paced) => paced.poll_frame(cx),
            Kind::Other(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole { bytes, .. } => bytes.is_none(),
            Kind::Request(paced) => paced.incoming.is_end_stream(),
            Kind::Answer(paced) => paced.incoming.is_end_stream(),
            Kind::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole { bytes, .. } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Kind::Request(paced) => paced.incoming.size_hint(),
            Kind::Answer(paced) => paced.incoming.size_hint(),
            Kind::Other(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Body").field(&self.size_hint()).finish()
    }
}

/// hyper's body with a bound on the wait for each piece.
struct Paced<B> {
    incoming: B,
    stall: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<B> Paced<B> {
    const fn new(incoming: B, stall: Duration) -> Self {
        Self {
            incoming,
            stall,
            waiting: None,
        }
    }
}

impl<B: HttpBody<Data = Bytes, Error = hyper::Error> + Unpin> Paced<B> {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
            self.waiting = None;
            return Poll::Ready(frame.map(|f| f.map_err(|e| broken(&e))));
        }
        let stall = self.stall;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + stall)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Some(Err(BodyError::Timeout)))
    }
}

/// What all buffered bodies together may take (`limits.buffer_total_max`). Clones share it.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Semaphore>);

/// The budget is counted in pieces of this many bytes.
const PIECE: u64 = 1024;

impl Budget {
    /// A budget of `bytes`, rounded down to whole KiB.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let pieces = usize::try_from(bytes / PIECE).unwrap_or(usize::MAX);
        Self(Arc::new(Semaphore::new(pieces.min(Semaphore::MAX_PERMITS))))
    }

    /// Makes `held` cover `bytes` at least; what it covers it keeps until it is dropped.
    ///
    /// # Errors
    /// [`BodyError::Overloaded`] where the budget hasn't that much left.
    pub fn hold(&self, held: &mut Held, bytes: u64) -> Result<(), BodyError> {
        self.cover(&mut held.0, bytes)
    }

    /// Makes `held` cover `bytes`.
    fn cover(&self, held: &mut Option<OwnedSemaphorePermit>, bytes: u64) -> Result<(), BodyError> {
        let have = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let want = usize::try_from(bytes.div_ceil(PIECE)).map_err(|_| BodyError::Overloaded)?;
        let Some(more) = want.checked_sub(have).filter(|more| *more > 0) else {
            return Ok(());
        };
        let more = u32::try_from(more).map_err(|_| BodyError::Overloaded)?;
        let permit = Arc::clone(&self.0)
            .try_acquire_many_owned(more)
            .map_err(|_| BodyError::Overloaded)?;
        match held {
            Some(held) => held.merge(permit),
            None => *held = Some(permit),
        }
        Ok(())
    }
}

/// A part of the budget that grows with what is held of a body that streams. It is given back when dropped.
#[derive(Debug, Default)]
pub struct Held(Option<OwnedSemaphorePermit>);

/// A whole body; by default an empty one. It holds its part of the budget until it is dropped.
#[derive(Debug, Default)]
pub struct Buffered {
    bytes: Bytes,
    held: Option<OwnedSemaphorePermit>,
}

impl Buffered {
    /// The body.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Puts what was made of the body in its place, which is no longer than it.
    pub fn unwrap_to(&mut self, bytes: Bytes) {
        self.bytes = bytes;
    }
}

/// Reads a whole body of at most `max` bytes, within `timeouts.body_stall` for each piece and `timeouts.body_total`
/// for all of it.
///
/// # Errors
/// [`BodyError`]; trailers are [`BodyError::Broken`], since nobody would judge them.
pub async fn read_whole<B>(
    body: B,
    max: u64,
    budget: &Budget,
    timeouts: &Timeouts,
) -> Result<Buffered, BodyError>
where
    B: HttpBody<Data = Bytes, Error: fmt::Display>,
{
    let deadline = Instant::now() + timeouts.body_total;
    tokio::time::timeout_at(deadline, read(body, max, budget, timeouts.body_stall))
        .await
        .map_err(|_| BodyError::Timeout)?
}

/// How much of a refused body is read to no purpose, and for how long, so that its sender gets to read the answer: most
/// clients look for one only once they have sent everything.
pub(super) const DISCARD_BYTES_MAX: u64 = 64 * 1024 * 1024;
pub(super) const DISCARD: Duration = Duration::from_secs(10);

/// Reads a body and forgets it, within bounds.
pub async fn discard<B>(body: B)
where
    B: HttpBody<Data = Bytes>,
{
    let reading = async {
        let mut body = std::pin::pin!(body);
        let mut bytes: u64 = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes = bytes.saturating_add(frame.data_ref().map_or(0, |data| data.len() as u64));
            if bytes > DISCARD_BYTES_MAX {
                return;
            }
        }
    };
    // Out of time, the connection is closed on whoever is still sending.
    let _ = tokio::time::timeout(DISCARD, reading).await;
}

async fn read<B>(body: B, max: u64, budget: &Budget, stall: Duration) -> Result<Buffered, BodyError>
where
    B: HttpBody<Data = Bytes, Error: fmt::Display>,
{
    let mut body = std::pin::pin!(body);
    if body.size_hint().lower() > max {
        discard(body).await;
        return Err(BodyError::TooLarge { max });
    }
    let mut held = None;
    let mut whole = BytesMut::new();
    while let Some(frame) = tokio::time::timeout(stall, body.frame())
        .await
        .map_err(|_| BodyError::Timeout)?
    {
        let data = frame
            .map_err(|e| broken(&e))?
            .into_data()
            .map_err(|_| trailers())?;
        let length = (whole.len() as u64).saturating_add(data.len() as u64);
        if length > max {
            discard(body).await;
            return Err(BodyError::TooLarge { max });
        }
        budget.cover(&mut held, length)?;
        whole.extend_from_slice(&data);
    }
    Ok(Buffered {
        bytes: whole.freeze(),
        held,
    })
}

fn trailers() -> BodyError {
    BodyError::Broken {
        why: "it has trailers".to_owned(),
    }
}

fn broken(error: &impl fmt::Display) -> BodyError {
    BodyError::Broken {
        why: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{Full, channel::Channel};

    use super::*;

    const TIMEOUTS: fn() -> Timeouts = Timeouts::default;

    async fn check(length: usize, max: u64, budget: &Budget) -> Result<usize, BodyError> {
        read_whole(
            Full::new(Bytes::from(vec![7; length])),
            max,
            budget,
            &TIMEOUTS(),
        )
        .await
        .map(|b| b.bytes().len())
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let budget = Budget::new(1 << 20);
        assert_eq!(check(0, 0, &budget).await, Ok(0));
        assert_eq!(check(1000, 1000, &budget).await, Ok(1000));
        assert_eq!(
            check(1001, 1000, &budget).await,
            Err(BodyError::TooLarge { max: 1000 })
        );
    }

    #[tokio::test]
    async fn all_bodies_share_one_budget_and_give_it_back() {
        let budget = Budget::new(10 * 1024);
        let whole = |n: usize| {
            let budget = budget.clone();
            async move {
                let body = Full::new(Bytes::from(vec![7; n]));
                read_whole(body, 1 << 20, &budget, &TIMEOUTS()).await
            }
        };
        let first = whole(6000).await.unwrap();
        assert_eq!(whole(6000).await.unwrap_err(), BodyError::Overloaded);
        let sent = Body::buffered(first);
        assert_eq!(whole(6000).await.unwrap_err(), BodyError::Overloaded);
        drop(sent);
        whole(6000).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_or_drips_times_out() {
        let budget = Budget::new(1 << 20);
        let (stalled, body) = Channel::<Bytes, Infallible>::new(1);
        let begun = Instant::now();
        let error = read_whole(body, 1 << 20, &budget, &TIMEOUTS()).await;
        assert_eq!(error.unwrap_err(), BodyError::Timeout);
        assert_eq!(begun.elapsed(), TIMEOUTS().body_stall);
        drop(stalled);

        let (mut drips, body) = Channel::<Bytes, Infallible>::new(1);
        let drip = tokio::spawn(async move {
            while drips.send_data(Bytes::from_static(b"x")).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(20)).await;
            }
        });
        let begun = Instant::now();
        let error = read_whole(body, 1 << 20, &budget, &TIMEOUTS()).await;
        assert_eq!(error.unwrap_err(), BodyError::Timeout);
        assert_eq!(begun.elapsed(), TIMEOUTS().body_total);
        drip.await.unwrap();
    }

    #[tokio::test]
    async fn trailers_are_refused() {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(2);
        sender.send_data(Bytes::from_static(b"x")).await.unwrap();
        sender.send_trailers(http::HeaderMap::new()).await.unwrap();
        drop(sender);
        let error = read_whole(body, 10, &Budget::new(1 << 20), &TIMEOUTS())
            .await
            .unwrap_err();
        assert!(matches!(error, BodyError::Broken { .. }));
    }
}
