//! How a body is taken by whoever it is written to: in pieces, and since when the last one has been waiting.
//!
//! A peer can keep its connection alive and yet take nothing of one stream (HTTP/2's windows are the peer's to open), so
//! the time that a peer has for a piece is counted here, not at the socket.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::Instant;

use super::body::{Body, BodyError};

/// The longest piece that is handed out at once, in bytes. Until a piece is taken the next one stays here, so this is
/// what a connection holds of a body beyond the peer's window.
pub(super) const PIECE_BYTES_MAX: usize = 32 * 1024;

/// Sees how a body is taken. Clones see the same.
#[derive(Debug, Clone)]
pub(super) struct Pace(watch::Receiver<Moment>);

/// Makes a body tell its [`Pace`].
#[derive(Debug)]
pub(super) struct Watch(watch::Sender<Moment>);

#[derive(Debug, Clone, Copy, Default)]
struct Moment {
    /// When the last piece was handed out, while nobody asked for another.
    waiting: Option<Instant>,
    /// The last piece was handed out, or the body dropped.
    ended: bool,
}

/// A watch for one body, and what it is seen by.
pub(super) fn pace() -> (Watch, Pace) {
    let (watch, pace) = watch::channel(Moment::default());
    (Watch(watch), Pace(pace))
}

impl Watch {
    /// The same body, watched.
    pub(super) fn body(self, body: Body) -> Body {
        Body::other(Watched {
            body,
            rest: Bytes::new(),
            moment: self.0,
        })
    }
}

impl Pace {
    /// Whether nothing of the body is left to hand out.
    pub(super) fn is_over(&self) -> bool {
        self.0.borrow().ended
    }

    /// Completes once nothing of the body is left to hand out.
    pub(super) async fn ended(&mut self) {
        // An error means that the body is gone.
        let _ = self.0.wait_for(|moment| moment.ended).await;
    }

    /// Completes once a piece has been waiting for `after`.
    pub(super) async fn stalled(&self, after: Duration) {
        loop {
            let waiting = self.0.borrow().waiting;
            let due = waiting.unwrap_or_else(Instant::now) + after;
            if waiting.is_some() && Instant::now() >= due {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

struct Watched {
    body: Body,
    /// What is left of a piece that was too long.
    rest: Bytes,
    moment: watch::Sender<Moment>,
}

impl Watched {
    /// The beginning of `data`, whose rest is kept.
    fn cut(&mut self, mut data: Bytes) -> Bytes {
        if data.len() > PIECE_BYTES_MAX {
            self.rest = data.split_off(PIECE_BYTES_MAX);
        }
        data
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let rest = std::mem::take(&mut self.rest);
        let frame = if rest.is_empty() {
            Pin::new(&mut self.body).poll_frame(cx)
        } else {
            Poll::Ready(Some(Ok(Frame::data(rest))))
        };
        let frame = match frame {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(match frame.into_data() {
                Ok(data) => Ok(Frame::data(self.cut(data))),
                Err(frame) => Ok(frame),
            })),
            ended @ (Poll::Ready(None | Some(Err(_))) | Poll::Pending) => ended,
        };
        let moment = match &frame {
            Poll::Ready(Some(Ok(_))) => Moment {
                waiting: Some(Instant::now()),
                ended: self.is_end_stream(),
            },
            Poll::Ready(None | Some(Err(_))) => Moment {
                waiting: None,
                ended: true,
            },
            Poll::Pending => Moment::default(),
        };
        self.moment.send_replace(moment);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.moment.send_replace(Moment {
            waiting: None,
            ended: true,
        });
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_body_is_handed_out_in_pieces_and_stays_the_same() {
        let whole: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let (watch, _pace) = pace();
        let mut body = watch.body(Body::full(whole.clone()));
        let mut got = Vec::new();
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            assert!(data.len() <= PIECE_BYTES_MAX);
            got.extend_from_slice(&data);
            let left = (whole.len() - got.len()) as u64;
            assert_eq!(body.size_hint().exact(), Some(left));
            assert_eq!(body.is_end_stream(), left == 0);
        }
        assert_eq!(got, whole);
    }

    #[tokio::test(start_paused = true)]
    async fn a_piece_that_nobody_takes_is_noticed_and_a_slow_source_is_not_blamed() {
        let (watch, mut seen) = pace();
        let mut body = watch.body(Body::full(vec![0; 100_000]));
        let after = Duration::from_secs(60);
        // Nothing was handed out yet.
        let waits = tokio::time::timeout(Duration::from_secs(600), seen.stalled(after)).await;
        assert!(waits.is_err());
        body.frame().await.unwrap().unwrap();
        let begun = Instant::now();
        seen.stalled(after).await;
        assert_eq!(begun.elapsed(), after);
        while body.frame().await.is_some() {}
        seen.ended().await;
        let waits = tokio::time::timeout(Duration::from_secs(600), seen.stalled(after)).await;
        assert!(waits.is_err());
    }

    #[tokio::test]
    async fn a_body_that_is_dropped_has_ended() {
        let (watch, mut seen) = pace();
        drop(watch.body(Body::full("abc")));
        seen.ended().await;
    }
}
