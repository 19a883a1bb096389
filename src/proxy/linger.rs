//! The end of a connection whose client may still be sending: what comes is read to no purpose for a while, within
//! bounds. Closed at once, a socket with unread bytes is reset, and the client loses the answer that it hasn't read yet
//! (RFC 9112, section 9.6).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::body::{DISCARD, DISCARD_BYTES_MAX};

/// How far the end of one connection has come.
#[derive(Debug, Default)]
pub(super) struct Linger {
    /// Nothing more is written.
    shut: bool,
    deadline: Option<Pin<Box<Sleep>>>,
    bytes: u64,
}

impl Linger {
    /// Shuts `stream` down, then reads until its peer has closed it as well, or a bound is met.
    ///
    /// # Errors
    /// Those of shutting it down. What fails afterwards has ended too.
    pub(super) fn poll<S>(&mut self, cx: &mut Context<'_>, stream: &mut S) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if !self.shut {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
            self.shut = true;
        }
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(DISCARD)));
        let mut scratch = [0; 8 * 1024];
        while self.bytes <= DISCARD_BYTES_MAX && deadline.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {
                    self.bytes = self.bytes.saturating_add(buf.filled().len() as u64);
                }
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    async fn ended(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
        let mut linger = Linger::default();
        poll_fn(|cx| linger.poll(cx, stream)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_still_sending_comes_to_its_end() {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        let client = tokio::spawn(async move {
            theirs.write_all(&[7; 100_000]).await.unwrap();
            let mut answer = Vec::new();
            theirs.read_to_end(&mut answer).await.unwrap();
            answer
        });
        ours.write_all(b"refused").await.unwrap();
        let begun = Instant::now();
        ended(&mut ours).await;
        assert_eq!(begun.elapsed().as_secs(), 0);
        assert_eq!(client.await.unwrap(), b"refused");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_closes_is_left() {
        let (mut ours, _theirs) = tokio::io::duplex(64);
        let begun = Instant::now();
        ended(&mut ours).await;
        assert_eq!(begun.elapsed(), DISCARD);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_stops_is_left() {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 20);
        let client = tokio::spawn(async move {
            let piece = vec![7; 1 << 20];
            let mut sent = 0_u64;
            while theirs.write_all(&piece).await.is_ok() {
                sent += 1 << 20;
            }
            sent
        });
        ended(&mut ours).await;
        drop(ours);
        let sent = client.await.unwrap();
        assert!((DISCARD_BYTES_MAX..DISCARD_BYTES_MAX + (4 << 20)).contains(&sent));
    }
}
