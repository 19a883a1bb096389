//! What passes on an HTTP/2 connection to an upstream, read along: which streams were begun, how many the upstream
//! permits, and which it says it will not look at.
//!
//! hyper tells none of this, and a request that failed must not be taken for one that nobody read. The proof is made
//! from what was on the wire alone.
//!
//! INVARIANT: stream numbers only grow (RFC 9113, section 5.1.1), so a request that is handed to hyper after stream
//! `n` was written gets a number above `n`. Where a GOAWAY names a last stream of at most `n`, the upstream has not
//! processed that request and never will (section 6.8).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
/// How much of a frame's payload is looked at: more settings than there are kinds of.
const PAYLOAD_BYTES_MAX: usize = 512;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const STREAM_MASK: u32 = 0x7fff_ffff;
/// No GOAWAY came: above every stream.
const NO_LAST: u32 = u32::MAX;

/// What was overheard of one connection. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Overheard(Arc<Heard>);

#[derive(Debug)]
struct Heard {
    written: AtomicU32,
    last: AtomicU32,
    streams_max: AtomicU32,
    settled: watch::Sender<bool>,
}

/// The highest stream that was on the wire at some moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written(u32);

impl Overheard {
    fn new() -> Self {
        Self(Arc::new(Heard {
            written: AtomicU32::new(0),
            last: AtomicU32::new(NO_LAST),
            streams_max: AtomicU32::new(u32::MAX),
            settled: watch::Sender::new(false),
        }))
    }

    /// Which streams have been written by now.
    pub(crate) fn written(&self) -> Written {
        Written(self.0.written.load(Ordering::SeqCst))
    }

    /// Whether the upstream has said that it processes no stream above those.
    pub(crate) fn refuses_all_after(&self, written: Written) -> bool {
        self.0.last.load(Ordering::SeqCst) <= written.0
    }

    /// Whether the upstream takes no more streams.
    pub(crate) fn is_going_away(&self) -> bool {
        self.0.last.load(Ordering::SeqCst) != NO_LAST
    }

    /// How many streams the upstream permits at once.
    pub(crate) fn streams_max(&self) -> usize {
        usize::try_from(self.0.streams_max.load(Ordering::SeqCst)).unwrap_or(usize::MAX)
    }

    /// Completes once the upstream's first SETTINGS have come, which is when it is known to speak HTTP/2, or the
    /// connection has ended.
    pub(crate) async fn settled(&self) {
        // The sender is in `self`.
        let _ = self
            .0
            .settled
            .subscribe()
            .wait_for(|settled| *settled)
            .await;
    }

    /// The connection has ended, which says nothing of the streams on it.
    pub(crate) fn end(&self) {
        self.0.settled.send_replace(true);
    }

    fn wrote(&self, frame: &Frame) {
        if frame.kind == HEADERS {
            self.0.written.fetch_max(frame.stream, Ordering::SeqCst);
        }
    }

    fn read(&self, frame: &Frame) {
        match frame.kind {
            GOAWAY => {
                if let Some(last) = frame.payload.first_chunk() {
                    let last = u32::from_be_bytes(*last) & STREAM_MASK;
                    self.0.last.fetch_min(last, Ordering::SeqCst);
                }
            }
            SETTINGS if frame.flags & ACK == 0 => {
                for entry in frame.payload.chunks_exact(6) {
                    if let [k0, k1, v0, v1, v2, v3] = *entry
                        && u16::from_be_bytes([k0, k1]) == MAX_CONCURRENT_STREAMS
                    {
                        let max = u32::from_be_bytes([v0, v1, v2, v3]);
                        self.0.streams_max.store(max, Ordering::SeqCst);
                    }
                }
                self.0.settled.send_replace(true);
            }
            _ => {}
        }
    }
}

/// A frame, with the beginning of its payload.
#[derive(Debug, Default)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// Follows the frames of one direction.
#[derive(Debug, Default)]
struct Follower {
    /// Bytes that are no frame's: the preface.
    skip: usize,
    head: Vec<u8>,
    frame: Frame,
    /// What is still to come of the payload.
    left: usize,
}

impl Follower {
    fn feed(&mut self, mut bytes: &[u8], mut seen: impl FnMut(&Frame)) {
        loop {
            bytes = take(&mut self.skip, bytes).1;
            if self.left > 0 {
                let (payload, rest) = take(&mut self.left, bytes);
                let room = PAYLOAD_BYTES_MAX.saturating_sub(self.frame.payload.len());
                let kept = payload.get(..room.min(payload.len())).unwrap_or_default();
                self.frame.payload.extend_from_slice(kept);
                bytes = rest;
                if self.left > 0 {
                    return;
                }
                seen(&self.frame);
            }
            let mut missing = HEAD_BYTES.saturating_sub(self.head.len());
            let (head, rest) = take(&mut missing, bytes);
            self.head.extend_from_slice(head);
            bytes = rest;
            let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *self.head.as_slice() else {
                return;
            };
            self.head.clear();
            self.frame = Frame {
                kind,
                flags,
                stream: u32::from_be_bytes([s0, s1, s2, s3]) & STREAM_MASK,
                payload: Vec::new(),
            };
            // Three bytes fit everywhere.
            self.left = u32::from_be_bytes([0, l0, l1, l2]) as usize;
            if self.left == 0 {
                seen(&self.frame);
            }
        }
    }
}

/// Takes up to `count` bytes and counts them off.
fn take<'b>(count: &mut usize, bytes: &'b [u8]) -> (&'b [u8], &'b [u8]) {
    let (taken, rest) = bytes.split_at_checked(*count).unwrap_or((bytes, &[]));
    *count -= taken.len();
    (taken, rest)
}

/// A stream that HTTP/2 is spoken on, listened to.
#[derive(Debug)]
pub(crate) struct Listened<S> {
    inner: S,
    overheard: Overheard,
    reading: Follower,
    writing: Follower,
}

impl<S> Listened<S> {
    /// Listens from the first byte on.
    pub(crate) fn new(inner: S) -> (Self, Overheard) {
        let overheard = Overheard::new();
        let listened = Self {
            inner,
            overheard: overheard.clone(),
            reading: Follower::default(),
            writing: Follower {
                skip: PREFACE_BYTES,
                ..Follower::default()
            },
        };
        (listened, overheard)
    }

    fn wrote(&mut self, bytes: &[u8]) {
        let overheard = &self.overheard;
        self.writing.feed(bytes, |frame| overheard.wrote(frame));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Listened<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = polled {
            let Self {
                reading, overheard, ..
            } = &mut *self;
            let read = buf.filled().get(before..).unwrap_or_default();
            reading.feed(read, |frame| overheard.read(frame));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listened<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = polled {
            self.wrote(buf.get(..count).unwrap_or_default());
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(mut count)) = polled {
            for buf in bufs {
                self.wrote(take(&mut count, buf).0);
            }
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    /// What is overheard must not depend on how the bytes are cut.
    fn check(written: &[u8], read: &[u8]) -> (u32, u32, usize, bool) {
        let mut seen = None;
        for size in [1, 2, 5, 9, 10, 4096] {
            let (mut listened, overheard) = Listened::new(());
            for piece in written.chunks(size) {
                listened.wrote(piece);
            }
            for piece in read.chunks(size) {
                listened.reading.feed(piece, |frame| overheard.read(frame));
            }
            let settled = *overheard.0.settled.borrow();
            let last = overheard.0.last.load(Ordering::SeqCst);
            let now = (
                overheard.written().0,
                last,
                overheard.streams_max(),
                settled,
            );
            assert!(seen.is_none_or(|s| s == now), "{size}");
            seen = Some(now);
        }
        seen.unwrap()
    }

    #[test]
    fn the_highest_stream_written_is_known() {
        let mut written = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        assert_eq!(check(&written, &[]).0, 0);
        written.extend(frame(SETTINGS, 0, 0, &[0; 12]));
        written.extend(frame(HEADERS, 4, 1, &[7; 600]));
        // Data that looks like a head.
        written.extend(frame(0, 0, 1, &frame(HEADERS, 4, 99, &[])));
        written.extend(frame(HEADERS, 5, 3, &[]));
        written.extend(frame(8, 0, 0, &[0; 4]));
        assert_eq!(check(&written, &[]), (3, NO_LAST, u32::MAX as usize, false));
    }

    #[test]
    fn settings_and_the_lowest_last_stream_are_known() {
        let mut read = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 1, 0, 0, 3, 0, 0, 0, 100]);
        assert_eq!(check(&[], &read), (0, NO_LAST, 100, true));
        read.extend(frame(SETTINGS, ACK, 0, &[]));
        read.extend(frame(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]));
        assert_eq!(check(&[], &read).1, STREAM_MASK);
        read.extend(frame(GOAWAY, 0, 0, b"\0\0\0\x05\0\0\0\0and why"));
        read.extend(frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1]));
        assert_eq!(check(&[], &read), (0, 5, 1, true));
    }

    #[test]
    fn only_a_stream_above_the_last_one_is_proven_unread() {
        let (_, overheard) = Listened::new(());
        overheard.wrote(&Frame {
            kind: HEADERS,
            stream: 5,
            ..Frame::default()
        });
        let written = overheard.written();
        assert!(!overheard.refuses_all_after(written));
        for (last, refused) in [(STREAM_MASK, false), (7, false), (5, true), (3, true)] {
            overheard.0.last.store(last, Ordering::SeqCst);
            assert_eq!(overheard.refuses_all_after(written), refused, "{last}");
            assert!(overheard.is_going_away());
        }
    }
}
