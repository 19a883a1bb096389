//! A connection to an upstream, HTTP/1.1 or HTTP/2 as its TLS handshake chose, and a request's right to use it.
//!
//! INVARIANT: an HTTP/1.1 connection has one request at a time. An HTTP/2 one has at most as many as the upstream
//! permits and [`STREAMS_MAX`]; while a guarded request is on it, that one alone.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::super::body::Body;
use super::Home;
use super::overheard::{Listened, Overheard};
use super::sole::Sole;

/// The longest list of headers of an answer over HTTP/2, in bytes.
const HEADER_LIST_BYTES_MAX: u32 = 256 * 1024;
/// The most requests at once on one HTTP/2 connection.
const STREAMS_MAX: usize = 64;
/// What an upstream may send of one answer before somebody has read of it: as much as HTTP/1.1 holds, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
/// INVARIANT: as much as all streams may send together, so that a client that reads slowly stalls nobody else.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS_MAX as u32;
const FRAME_BYTES_MAX: u32 = 16 * 1024;
/// What is buffered of one request's body beyond the upstream's window, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// How many streams that the upstream made an error on may be remembered, and how many it may make on a connection.
const RESETS_MAX: usize = 64;
/// A connection with requests on it that says nothing is asked for a sign of life this often, and given this long.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that a request may be sent on.
pub(crate) enum Channel {
    /// HTTP/1.1, for this request alone.
    One(Sole),
    /// HTTP/2.
    Many(Lease),
}

/// Why a channel gave no answer.
pub(crate) enum Failure {
    /// Not a byte was written.
    HandedBack(Box<Request<Body>>, String),
    /// The upstream said that it doesn't process the request.
    Unprocessed(String),
    /// Anything may have become of it.
    Unknown(String),
}

impl Channel {
    /// Sends a request in HTTP/1.1's form: origin-form target, a `Host` header.
    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Failure> {
        match self {
            Channel::One(sole) => sole.send(request).await,
            Channel::Many(lease) => lease.connection.send(request).await,
        }
    }

    /// After a failure that may be the connection's: nothing more is sent on it.
    pub(crate) fn retire(&self) {
        match self {
            // It is dropped with the request.
            Channel::One(_) => {}
            Channel::Many(lease) => lease.connection.lock().retired = true,
        }
    }
}

/// An HTTP/2 connection.
pub(crate) struct Multiplexed {
    sender: http2::SendRequest<Body>,
    overheard: Overheard,
    used: Mutex<Used>,
}

struct Used {
    streams: usize,
    /// One request has it alone.
    alone: bool,
    retired: bool,
    /// When the last stream ended.
    since: Instant,
}

impl Multiplexed {
    /// The right to send one request beside others.
    pub(crate) fn lease(self: &Arc<Self>, idle_max: Duration) -> Option<Lease> {
        let mut used = self.lock();
        let room = STREAMS_MAX.min(self.overheard.streams_max());
        let old = used.streams == 0 && used.since.elapsed() > idle_max;
        if !self.is_open(&used) || used.alone || used.streams >= room || old {
            return None;
        }
        used.streams += 1;
        Some(Lease::new(self))
    }

    /// The right to send one request with no other beside it, if the connection has been idle for at most `idle_max`.
    pub(crate) fn lease_alone(self: &Arc<Self>, idle_max: Duration) -> Option<Lease> {
        let mut used = self.lock();
        let unfit = !self.is_open(&used) || used.streams > 0 || self.overheard.streams_max() == 0;
        if unfit || used.since.elapsed() > idle_max {
            return None;
        }
        (used.streams, used.alone) = (1, true);
        Some(Lease::new(self))
    }

    /// Whether nothing will be sent on it any more: it is closing, or has been idle for `idle_max`.
    pub(crate) fn is_spent(&self, idle_max: Duration) -> bool {
        let used = self.lock();
        !self.is_open(&used) || used.streams == 0 && used.since.elapsed() >= idle_max
    }

    fn is_open(&self, used: &Used) -> bool {
        !used.retired && !self.sender.is_closed() && !self.overheard.is_going_away()
    }

    async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, Failure> {
        if let Err(why) = many_form(&mut request) {
            return Err(Failure::HandedBack(Box::new(request), why));
        }
        let written = self.overheard.written();
        let mut error = match self.sender.clone().try_send_request(request).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        // INVARIANT: what hyper hands back never left its queue.
        if let Some(mut request) = error.take_message() {
            one_form(&mut request);
            return Err(Failure::HandedBack(
                Box::new(request),
                reasons(&error.into_error()),
            ));
        }
        let error = error.into_error();
        let why = reasons(&error);
        if is_refused_stream(&error) || self.overheard.refuses_all_after(written) {
            return Err(Failure::Unprocessed(why));
        }
        Err(Failure::Unknown(why))
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the upstream reset the stream with REFUSED_STREAM, by which it says that it has processed nothing of the
/// request (RFC 9113, section 8.7).
///
/// INVARIANT: only an error of the stream itself is a reset by the remote; a connection's errors are GOAWAYs or I/O.
/// Whether a GOAWAY covers the request hyper's error can't tell: [`Overheard`] does.
fn is_refused_stream(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.is_reset()
                && error.is_remote()
                && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        }
        source = error.source();
    }
    false
}

/// One request's place on an HTTP/2 connection, given back when dropped.
pub(crate) struct Lease {
    connection: Arc<Multiplexed>,
}

impl Lease {
    fn new(connection: &Arc<Multiplexed>) -> Self {
        Self {
            connection: Arc::clone(connection),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut used = self.connection.lock();
        used.streams = used.streams.saturating_sub(1);
        used.alone = false;
        used.since = Instant::now();
    }
}

/// Opens HTTP/2 on a connection, waits for the upstream's SETTINGS, and drives it until it ends; meanwhile `chore` is
/// called every so often, and once at the end.
///
/// # Errors
/// Why not; nothing of a request was sent.
pub(crate) async fn many<S>(
    stream: S,
    every: Duration,
    chore: impl Fn() + Send + 'static,
) -> Result<Arc<Multiplexed>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (stream, overheard) = Listened::new(stream);
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESETS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| reasons(&e))?;
    let heard = overheard.clone();
    tokio::spawn(async move {
        let mut connection = std::pin::pin!(connection);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error = %reasons(&error), "an upstream connection ended");
                    }
                    heard.end();
                    return chore();
                }
                () = tokio::time::sleep(every) => chore(),
            }
        }
    });
    overheard.settled().await;
    if overheard.streams_max() == 0 {
        return Err("the upstream permits no requests on this connection".to_owned());
    }
    Ok(Arc::new(Multiplexed {
        sender,
        overheard,
        used: Mutex::new(Used {
            streams: 0,
            alone: false,
            retired: false,
            since: Instant::now(),
        }),
    }))
}

/// From HTTP/1.1's form to HTTP/2's: the `Host` header becomes the target's authority.
fn many_form(request: &mut Request<Body>) -> Result<(), String> {
    let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
    let authority = Authority::try_from(host.unwrap_or_default())
        .map_err(|e| format!("the Host header is not one of HTTP/2: {e}"))?;
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = Some(authority);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|e| e.to_string())?;
    request.headers_mut().remove(HOST);
    *request.version_mut() = Version::HTTP_2;
    Ok(())
}

/// Back again.
fn one_form(request: &mut Request<Body>) {
    let host = request.uri().authority().map(|a| a.as_str().to_owned());
    if let Some(Ok(host)) = host.map(|host| HeaderValue::from_str(&host)) {
        request.headers_mut().insert(HOST, host);
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.version_mut() = Version::HTTP_11;
}

/// The body of an upstream's answer. It keeps its place on the connection until it has been read to its end.
pub struct Answer {
    incoming: Incoming,
    on: On,
}

/// Where the rest of an answer comes from.
enum On {
    /// A connection that is this answer's until its end, then its pool's.
    One(Sole, Home),
    /// One that others use too.
    Many(#[expect(dead_code, reason = "its drop frees the place")] Lease),
    /// One that nobody gets back, or nothing more comes.
    Other,
}

impl Answer {
    /// Of an answer that came on `channel`, whose pool is `home`. `whole`: the request has gone out to its end.
    pub(crate) fn new(
        response: Response<Incoming>,
        channel: Channel,
        home: Home,
        whole: bool,
    ) -> Response<Self> {
        let on = match channel {
            Channel::Many(lease) => On::Many(lease),
            Channel::One(sole) if whole => On::One(sole, home),
            Channel::One(sole) => {
                sole.part();
                On::Other
            }
        };
        let mut response = response.map(|incoming| Self { incoming, on });
        *response.version_mut() = Version::HTTP_11;
        let answer = response.body_mut();
        if answer.incoming.is_end_stream() {
            answer.ended();
        }
        response
    }

    /// Nothing more is read of it.
    fn ended(&mut self) {
        if let On::One(mut sole, home) = std::mem::replace(&mut self.on, On::Other)
            && sole.is_done()
        {
            home.take_back(sole);
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { incoming, on } = &mut *self;
        let mut body = |cx: &mut Context<'_>| Pin::new(&mut *incoming).poll_frame(cx);
        let frame = match on {
            On::One(sole, _) => sole.poll_body(cx, body),
            On::Many(_) | On::Other => body(cx),
        };
        match &frame {
            Poll::Ready(Some(Err(_))) => self.on = On::Other,
            Poll::Ready(None) => self.ended(),
            // A body whose length is known may not be asked again.
            Poll::Ready(Some(Ok(_))) if self.incoming.is_end_stream() => self.ended(),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Multiplexed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Multiplexed").finish_non_exhaustive()
    }
}

/// An error with its sources: hyper's own text leaves them out.
pub(crate) fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
