//! Bodies that go on as they come in, held against what their requests declare of them.
//!
//! INVARIANT: AWS never has the whole of a body that isn't what was declared: each chunk and event is verified before it
//! goes on, and of a body with an end of its own (one with a hash, or in chunks) the last piece is held back until all
//! of it has come. What isn't right breaks the request off.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use sha2::{Digest, Sha256};

use super::arrive::{Unread, lost};
use super::{Guard, Refusal};
use crate::aws::answer::Kind;
use crate::aws::sigv4::chunked::{ChunkError, Chunked, Framing};
use crate::aws::sigv4::events::{EventError, Events};
use crate::aws::sigv4::{Declared, Seed};
use crate::proxy::body::{BodyError, Held, discard};
use crate::proxy::{Body, Budget};
use crate::sources::clock::Clock;

/// Why a body that was on its way broke off, once it did.
#[derive(Debug, Clone, Default)]
pub(super) struct Fault(Arc<OnceLock<Refusal>>);

impl Fault {
    pub(super) fn why(&self) -> Option<&Refusal> {
        self.0.get()
    }
}

/// What a body goes through.
pub(super) enum Passing {
    /// As it comes: nothing is declared that could be held against it.
    AsItIs,
    /// It must have this hash, 64 lower-case hex digits.
    Hashed {
        hash: String,
        digest: Sha256,
        last: Bytes,
    },
    /// `last` is what is right so far and would make the body whole if nothing followed.
    Chunked {
        chunked: Box<Chunked>,
        last: Bytes,
    },
    Events(Box<Events>),
}

impl Passing {
    /// The body of a request that goes on as its caller signed it.
    pub(super) fn unchanged(declared: &Declared) -> Self {
        match declared {
            Declared::Hash(hash) => Passing::Hashed {
                hash: hash.clone(),
                digest: Sha256::new(),
                last: Bytes::new(),
            },
            Declared::Absent
            | Declared::Unsigned
            | Declared::StreamingUnsignedTrailer
            | Declared::StreamingSigned { .. }
            | Declared::StreamingEvents => Passing::AsItIs,
        }
    }

    /// The body of a request that is signed anew: with what the client's pieces are signed, and with what they will be.
    pub(super) fn resigned(
        declared: &Declared,
        framing: Option<Framing>,
        client: Option<&Seed>,
        ours: &Seed,
    ) -> Result<Self, Refusal> {
        let chunks = |seed: &Seed| {
            seed.chunks().map_err(|e| Refusal::Internal {
                message: e.to_string(),
            })
        };
        let chunked = |chunked| Passing::Chunked {
            chunked: Box::new(chunked),
            last: Bytes::new(),
        };
        match (declared, framing) {
            (Declared::StreamingUnsignedTrailer, Some(framing)) => {
                Ok(chunked(Chunked::passed(framing)))
            }
            (Declared::StreamingSigned { .. }, Some(framing)) => {
                let client = chunks(client.ok_or_else(unseeded)?)?;
                Ok(chunked(Chunked::resigned(framing, client, chunks(ours)?)))
            }
            (Declared::StreamingEvents, _) => {
                let client = client.and_then(Seed::events).ok_or_else(unseeded)?;
                let ours = ours.events().ok_or_else(unseeded)?;
                Ok(Passing::Events(Box::new(Events::new(client, ours))))
            }
            (Declared::StreamingUnsignedTrailer | Declared::StreamingSigned { .. }, None) => {
                Err(unseeded())
            }
            (Declared::Absent | Declared::Hash(_) | Declared::Unsigned, _) => {
                Ok(Self::unchanged(declared))
            }
        }
    }

    /// What goes on of the next piece; nothing where it is held.
    fn push(&mut self, data: Bytes, now: SystemTime) -> Result<Bytes, Refusal> {
        let mut out = BytesMut::new();
        match self {
            Passing::AsItIs => return Ok(data),
            Passing::Hashed { digest, last, .. } => {
                digest.update(&data);
                return Ok(std::mem::replace(last, data));
            }
            Passing::Chunked { chunked, last } => {
                chunked.push(&data, &mut out)?;
                return Ok(match out.is_empty() {
                    true => Bytes::new(),
                    false => std::mem::replace(last, out.freeze()),
                });
            }
            Passing::Events(events) => events.push(&data, now, &mut out)?,
        }
        Ok(out.freeze())
    }

    /// What goes on at the end.
    fn finish(&mut self) -> Result<Bytes, Refusal> {
        match self {
            Passing::AsItIs => {}
            Passing::Hashed { hash, digest, last } => {
                if hex(&std::mem::take(digest).finalize()) != *hash {
                    let mismatch = crate::aws::sigv4::AuthError::PayloadMismatch;
                    return Err(mismatch.into());
                }
                return Ok(std::mem::take(last));
            }
            Passing::Chunked { chunked, last } => {
                chunked.finish()?;
                return Ok(std::mem::take(last));
            }
            Passing::Events(events) => events.finish()?,
        }
        Ok(Bytes::new())
    }

    /// How many bytes are held until they are verified.
    fn holds(&self) -> u64 {
        match self {
            // A piece that hyper has read in any case.
            Passing::AsItIs | Passing::Hashed { .. } => 0,
            Passing::Chunked { chunked, last } => chunked.holds().saturating_add(last.len() as u64),
            Passing::Events(events) => events.holds(),
        }
    }
}

fn unseeded() -> Refusal {
    Refusal::Internal {
        message: "the pieces of the body have nothing to be verified or signed with".to_owned(),
    }
}

impl Guard {
    /// A client's body on its way upstream. Why it breaks off, if it does, is told in `fault`.
    pub(super) fn streamed(
        &self,
        unread: Unread,
        passing: Passing,
        fault: &Fault,
    ) -> Result<Body, Refusal> {
        let expects = unread.expects_word();
        let incoming = unread.read().ok_or_else(lost)?;
        let stall = match passing {
            // Both sides talk when they have something to say.
            Passing::Events(_) => self.timeouts.tunnel_idle,
            Passing::AsItIs | Passing::Hashed { .. } | Passing::Chunked { .. } => {
                self.timeouts.body_stall
            }
        };
        Ok(Body::other(Streamed::new(
            Body::request(incoming, stall),
            passing,
            fault.clone(),
            self.clock.clone(),
            self.budget.clone(),
            expects,
        )))
    }
}

struct Streamed {
    /// `None` once it has come to its end.
    inner: Option<Body>,
    passing: Passing,
    fault: Fault,
    clock: Clock,
    budget: Budget,
    held: Held,
    /// What is still to go on, where that is known.
    left: Option<u64>,
    /// Whether the client waits for a word before it sends anything.
    expects: bool,
}

impl Streamed {
    fn new(
        inner: Body,
        passing: Passing,
        fault: Fault,
        clock: Clock,
        budget: Budget,
        expects: bool,
    ) -> Self {
        Self {
            left: inner.size_hint().exact(),
            inner: Some(inner),
            passing,
            fault,
            clock,
            budget,
            held: Held::default(),
            expects,
        }
    }

    fn pass(&mut self, data: Bytes) -> Result<Bytes, Refusal> {
        let now = self.clock.now();
        let onward = self.passing.push(data, now)?;
        let holds = self.passing.holds();
        self.budget
            .hold(&mut self.held, holds)
            .map_err(|error| Refusal::Overloaded {
                message: error.to_string(),
            })?;
        Ok(onward)
    }

    /// Breaks off: whoever sends the body drops it, and with it the connection upstream.
    fn break_off(&mut self, why: Refusal) -> BodyError {
        let error = BodyError::Broken {
            why: why.why().into_owned(),
        };
        let _ = self.fault.0.set(why);
        error
    }

    fn goes_on(&mut self, data: Bytes) -> Frame<Bytes> {
        self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        Frame::data(data)
    }
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.expects = false;
        while let Some(inner) = &mut self.inner {
            let onward = match ready!(Pin::new(inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.pass(data),
                    // Refused before they get here.
                    Err(_) => Ok(Bytes::new()),
                },
                Some(Err(error)) => {
                    self.inner = None;
                    Err(Refusal::BodyBroken {
                        message: error.to_string(),
                    })
                }
                None => {
                    self.inner = None;
                    self.passing.finish()
                }
            };
            match onward {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Poll::Ready(Some(Ok(self.goes_on(data)))),
                Err(why) => return Poll::Ready(Some(Err(self.break_off(why)))),
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Streamed {
    /// What is left of a body that goes nowhere is read within bounds, so that its sender gets to read the answer; not
    /// where the client waits for a word before it sends anything, nor of a stream of events, which has no end.
    fn drop(&mut self) {
        let ends = !matches!(self.passing, Passing::Events(_));
        if let Some(inner) = self.inner.take()
            && ends
            && !self.expects
        {
            tokio::spawn(discard(inner));
        }
    }
}

/// Whether a client waits for `100 Continue` before it sends its body.
pub(super) fn waits(headers: &http::HeaderMap) -> bool {
    headers.contains_key(http::header::EXPECT)
}

/// Reads to no purpose what a client is sending.
pub(super) fn forget(body: Incoming) {
    tokio::spawn(discard(body));
}

impl From<ChunkError> for Refusal {
    fn from(error: ChunkError) -> Self {
        let message = error.to_string();
        match error {
            ChunkError::Signature => Refusal::Unauthenticated {
                kind: Kind::BadSignature,
                message,
            },
            ChunkError::TooLarge { .. } => Refusal::TooLarge { message },
            ChunkError::Unsignable => Refusal::Internal { message },
            ChunkError::Malformed(_)
            | ChunkError::Length { .. }
            | ChunkError::Trailers(_)
            | ChunkError::BrokenOff => Refusal::BodyBroken { message },
        }
    }
}

impl From<EventError> for Refusal {
    fn from(error: EventError) -> Self {
        let message = error.to_string();
        match error {
            EventError::Signature => Refusal::Unauthenticated {
                kind: Kind::BadSignature,
                message,
            },
            EventError::Skewed => Refusal::Unauthenticated {
                kind: Kind::Stale,
                message,
            },
            EventError::Frame(_)
            | EventError::Headers
            | EventError::AfterEnd
            | EventError::BrokenOff => Refusal::BodyBroken { message },
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
