//! A second pair of eyes on the framing of requests over HTTP/1.1. (HTTP/2's frames can be read in one way only.)
//!
//! hyper resolves two signals of length by the RFC's rules and forgets that there were two; ambiguity is refused
//! here. [`Screened`] reads along, notes one [`Framing`] for each head, and enforces the time for a head.
//! A connection that ends within a body is closed gently: see `linger`. The service takes one note for each request that hyper hands it, and a request without a note is refused.
//!
//! INVARIANT: after a head that is ambiguous or chunked nothing more is screened, so no later request has a note,
//! and the connection ends.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use memchr::memchr_iter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::linger::Linger;

/// The longest head of a request, in bytes.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The most headers of a request.
pub const HEADERS_MAX: usize = 128;

/// What a request's head says of its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One length, or none.
    Plain,
    /// Chunked: the last request of its connection.
    Chunked,
    /// Refused, and the connection closed.
    Ambiguous(Ambiguity),
}

/// Why a head can be read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguity {
    #[error("the request has both Content-Length and Transfer-Encoding")]
    TwoLengths,
    #[error("the request has more than one Content-Length")]
    RepeatedLength,
    #[error("the request's Content-Length is not a plain number")]
    OddLength,
    #[error("the request's Transfer-Encoding is not exactly `chunked`")]
    OddEncoding,
    #[error("a line of the request's head ends without a carriage return")]
    BareLineFeed,
    #[error("the request's target has a fragment")]
    Fragment,
    #[error("the request's head cannot be read")]
    Unreadable,
}

/// The notes of a connection, shared between its stream and its service.
#[derive(Debug, Clone, Default)]
pub struct Notes(Arc<Mutex<VecDeque<Framing>>>);

impl Notes {
    /// The note of the next request. `None`: hyper saw a request where none was expected.
    #[must_use]
    pub fn take(&self) -> Option<Framing> {
        self.lock().pop_front()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Framing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream that hyper reads requests from, screened.
#[derive(Debug)]
pub struct Screened<S> {
    inner: S,
    screen: Screen,
    head: Duration,
    /// Set while a head is incomplete.
    deadline: Option<Pin<Box<Sleep>>>,
    linger: Linger,
}

impl<S> Screened<S> {
    /// Screens `inner`; each head must be complete within `head` from its first byte.
    pub fn new(inner: S, head: Duration) -> (Self, Notes) {
        let notes = Notes::default();
        let screen = Screen {
            notes: notes.clone(),
            state: State::Head(Vec::new()),
        };
        let screened = Self {
            inner,
            screen,
            head,
            deadline: None,
            linger: Linger::default(),
        };
        (screened, notes)
    }

    fn time_head(&mut self) {
        if self.screen.in_head() {
            let head = self.head;
            self.deadline
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(head)));
        } else {
            self.deadline = None;
        }
    }
}

#[derive(Debug)]
struct Screen {
    notes: Notes,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The head so far.
    Head(Vec<u8>),
    /// Bytes of a body still to come.
    Body(u64),
    /// Nothing more is screened.
    Done,
}

impl Screen {
    fn in_head(&self) -> bool {
        match &self.state {
            State::Head(head) => !head.is_empty(),
            State::Body(_) | State::Done => false,
        }
    }

    /// Whether the client may still be sending a body that nobody read to its end.
    fn in_body(&self) -> bool {
        match &self.state {
            State::Head(_) => false,
            State::Body(_) | State::Done => true,
        }
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Done => return,
                State::Body(left) => {
                    let take = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(bytes.len());
                    *left -= take as u64;
                    bytes = bytes.get(take..).unwrap_or_default();
                    if *left == 0 {
                        self.state = State::Head(Vec::new());
                    }
                }
                // Most heads come whole: they are read where they are.
                State::Head(head) if head.is_empty() && bytes.len() <= HEAD_BYTES_MAX => {
                    match head_end(bytes, 0) {
                        Some(end) => bytes = self.note(bytes, end),
                        None => return head.extend_from_slice(bytes),
                    }
                }
                State::Head(head) => {
                    let before = head.len();
                    let room = HEAD_BYTES_MAX.saturating_sub(before);
                    head.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
                    let Some(end) = head_end(head, before) else {
                        if head.len() >= HEAD_BYTES_MAX {
                            // hyper answers 431 by itself.
                            self.state = State::Done;
                        }
                        return;
                    };
                    let head = std::mem::take(head);
                    self.note(&head, end);
                    bytes = bytes.get(end.saturating_sub(before)..).unwrap_or_default();
                }
            }
        }
    }

    /// Notes what the head that ends at `end` says; what follows it is left.
    fn note<'b>(&mut self, bytes: &'b [u8], end: usize) -> &'b [u8] {
        let (head, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
        let (framing, length) = framing(head);
        self.notes.lock().push_back(framing);
        self.state = match framing {
            Framing::Plain if length > 0 => State::Body(length),
            Framing::Plain => State::Head(Vec::new()),
            Framing::Chunked | Framing::Ambiguous(_) => State::Done,
        };
        rest
    }
}

/// Where the head ends, if it does: after the first empty line that isn't before the request line. Only what is
/// new since `before` is looked at.
fn head_end(head: &[u8], before: usize) -> Option<usize> {
    let first = head.iter().position(|b| !matches!(b, b'\r' | b'\n'))?;
    let from = before.saturating_sub(3).max(first);
    memchr_iter(b'\n', head.get(from..)?).find_map(|at| {
        let next = from + at + 1;
        match head.get(next..)? {
            [b'\n', ..] => Some(next + 1),
            [b'\r', b'\n', ..] => Some(next + 2),
            _ => None,
        }
    })
}

/// What a whole head says, and the length of its body where there is one.
fn framing(head: &[u8]) -> (Framing, u64) {
    match read(head) {
        Ok((true, _)) => (Framing::Chunked, 0),
        Ok((false, length)) => (Framing::Plain, length),
        Err(ambiguity) => (Framing::Ambiguous(ambiguity), 0),
    }
}

fn read(head: &[u8]) -> Result<(bool, u64), Ambiguity> {
    let after_return = |at: usize| head.get(..at).is_some_and(|line| line.ends_with(b"\r"));
    if !head.ends_with(b"\n") || !memchr_iter(b'\n', head).all(after_return) {
        return Err(Ambiguity::BareLineFeed);
    }
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, &mut headers) {
        Ok(httparse::Status::Complete(end)) if end == head.len() => {}
        Ok(_) | Err(_) => return Err(Ambiguity::Unreadable),
    }
    if request.path.is_some_and(|path| path.contains('#')) {
        return Err(Ambiguity::Fragment);
    }
    let (mut lengths, mut encodings) = (Told::default(), Told::default());
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            lengths.add(header.value);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            encodings.add(header.value);
        }
    }
    match (lengths, encodings) {
        (Told::Never, Told::Never) => Ok((false, 0)),
        (Told::Once(length), Told::Never) => {
            Ok((false, plain_number(length).ok_or(Ambiguity::OddLength)?))
        }
        (Told::Never, Told::Once(encoding)) if encoding.eq_ignore_ascii_case(b"chunked") => {
            Ok((true, 0))
        }
        (Told::Never, Told::Once(_) | Told::Again) => Err(Ambiguity::OddEncoding),
        (Told::Again, Told::Never) => Err(Ambiguity::RepeatedLength),
        (Told::Once(_) | Told::Again, Told::Once(_) | Told::Again) => Err(Ambiguity::TwoLengths),
    }
}

/// What a header says, of which there should be one.
#[derive(Default)]
enum Told<'h> {
    #[default]
    Never,
    Once(&'h [u8]),
    Again,
}

impl<'h> Told<'h> {
    fn add(&mut self, value: &'h [u8]) {
        *self = match self {
            Told::Never => Told::Once(value),
            Told::Once(_) | Told::Again => Told::Again,
        };
    }
}

/// Whether this is a length that can be read in one way only.
pub(crate) fn is_plain_number(text: &[u8]) -> bool {
    plain_number(text).is_some()
}

fn plain_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

impl<S: AsyncRead + Unpin> AsyncRead for Screened<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                let read = buf.filled().get(before..).unwrap_or_default();
                self.screen.feed(read);
                self.time_head();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending => {
                if let Some(deadline) = &mut self.deadline {
                    ready!(deadline.as_mut().poll(cx));
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "the head of a request took too long",
                    )));
                }
                Poll::Pending
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Screened<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.screen.in_body() {
            return this.linger.poll(cx, &mut this.inner);
        }
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The notes on `text`, which must not depend on how it is cut into reads.
    fn notes(text: &str) -> Vec<Framing> {
        let mut seen: Option<Vec<Framing>> = None;
        for size in [1, 2, 3, 7, text.len().max(1)] {
            let notes = Notes::default();
            let mut screen = Screen {
                notes: notes.clone(),
                state: State::Head(Vec::new()),
            };
            for piece in text.as_bytes().chunks(size) {
                screen.feed(piece);
            }
            let now: Vec<_> = std::iter::from_fn(|| notes.take()).collect();
            assert!(seen.as_ref().is_none_or(|s| *s == now), "{size}: {text:?}");
            seen = Some(now);
        }
        seen.unwrap()
    }

    #[test]
    fn plain_requests_follow_one_another() {
        let text = "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /GET / HTTP/1.1\r\n\r\n";
        assert_eq!(notes(text), [Framing::Plain; 3]);
        assert_eq!(
            notes("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            [Framing::Plain]
        );
    }

    #[test]
    fn nothing_is_screened_after_a_chunked_request() {
        let text =
            "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        assert_eq!(notes(text), [Framing::Chunked]);
    }

    #[test]
    fn two_ways_of_reading_a_head_are_one_too_many() {
        for (headers, expected) in [
            (
                "Content-Length: 3\r\nTransfer-Encoding: chunked",
                Ambiguity::TwoLengths,
            ),
            (
                "transfer-encoding: chunked\r\ncontent-length: 3",
                Ambiguity::TwoLengths,
            ),
            (
                "Content-Length: 3\r\nContent-Length: 3",
                Ambiguity::RepeatedLength,
            ),
            (
                "Content-Length: 3\r\nContent-Length: 4",
                Ambiguity::RepeatedLength,
            ),
            ("Content-Length: 3, 3", Ambiguity::OddLength),
            ("Content-Length: +3", Ambiguity::OddLength),
            ("Content-Length: 0x3", Ambiguity::OddLength),
            ("Content-Length:", Ambiguity::OddLength),
            ("Content-Length: 99999999999999999999", Ambiguity::OddLength),
            ("Transfer-Encoding: gzip, chunked", Ambiguity::OddEncoding),
            ("Transfer-Encoding: identity", Ambiguity::OddEncoding),
            ("Transfer-Encoding: xchunked", Ambiguity::OddEncoding),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                Ambiguity::OddEncoding,
            ),
            ("Transfer-Encoding : chunked", Ambiguity::Unreadable),
            ("A: b\r\n c", Ambiguity::Unreadable),
            ("A: b\nContent-Length: 3", Ambiguity::BareLineFeed),
        ] {
            let text = format!("POST / HTTP/1.1\r\n{headers}\r\n\r\nGET / HTTP/1.1\r\n\r\n");
            assert_eq!(notes(&text), [Framing::Ambiguous(expected)], "{headers:?}");
        }
        assert_eq!(
            notes("GET /a#b HTTP/1.1\r\n\r\n"),
            [Framing::Ambiguous(Ambiguity::Fragment)]
        );
        assert_eq!(
            notes("GET / HTTP/1.1\n\n"),
            [Framing::Ambiguous(Ambiguity::BareLineFeed)]
        );
    }

    #[test]
    fn an_endless_head_is_not_kept() {
        let notes = Notes::default();
        let mut screen = Screen {
            notes: notes.clone(),
            state: State::Head(Vec::new()),
        };
        for _ in 0..100 {
            screen.feed(&[b'a'; 4096]);
        }
        assert!(matches!(screen.state, State::Done));
        assert_eq!(notes.take(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_times_out_while_an_idle_connection_does_not() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (ours, mut theirs) = tokio::io::duplex(1024);
        let (mut screened, _notes) = Screened::new(ours, Duration::from_secs(15));
        let mut buf = [0; 64];
        let idle = tokio::time::timeout(Duration::from_secs(100), screened.read(&mut buf)).await;
        assert!(idle.is_err());
        let drip = tokio::spawn(async move {
            while theirs.write_all(b"G").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(4)).await;
            }
        });
        let begun = tokio::time::Instant::now();
        let error = loop {
            if let Err(e) = screened.read(&mut buf).await {
                break e;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), 15);
        drop(screened);
        drip.await.unwrap();
    }
}
