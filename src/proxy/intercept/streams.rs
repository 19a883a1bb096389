//! Requests over HTTP/2: many at once on one connection, bounded in number, bytes and time.
//!
//! What a client could do without end is counted here: requests in flight (also those that it gave up, which are handled
//! to their end), requests that it gives up, streams that it doesn't read, and time in which nothing happens. A
//! connection that has to end gets a GOAWAY first, and is cut if it doesn't heed it; one that is abused is dropped.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::CONNECTION;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::super::body::Body;
use super::super::connect::House;
use super::super::framing::HEAD_BYTES_MAX;
use super::super::pace::{Pace, Watch, pace};
use super::form::{self, Fault};
use super::lasting::Panicked;
use super::{Client, Sni, handled, handling, refuse};

/// The most requests at once on one connection: what clients take it to be before they have heard (RFC 9113, section
/// 6.5.2).
const STREAMS_MAX: u32 = 100;
const FRAME_BYTES_MAX: u32 = 16 * 1024;
/// What a client may send of one body, and of all bodies together, before somebody has read of it, in bytes.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// What is buffered of one answer beyond the client's window, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// How many requests a client may reset before anybody has seen them (CVE-2023-44487).
const UNSEEN_RESETS_MAX: usize = 20;
/// How many streams the client may make an error on.
const ERRORS_MAX: usize = 64;
/// How many more requests a client may give up than it waits for the answers of.
const GIVEN_UP_MAX: u32 = 100;

/// Serves a connection to its end.
pub(super) async fn serve<G, S>(client: Arc<Client<G>>, stream: S)
where
    G: House,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let timeouts = client.shared.timeouts;
    let streams = Streams::new(timeouts.write_stall);
    let asked = Notify::new();
    let service = service_fn(|request| {
        asked.notify_one();
        let (client, streams) = (Arc::clone(&client), streams.clone());
        let watch = streams.begin();
        async move { answer(&client, &streams, watch, request).await }
    });
    let serving = http2::Builder::new(streams.clone())
        .timer(TokioTimer::new())
        // A client that is busy is patient with: one that loses an answer may ask again. A head that drips is no
        // stream yet, so the connection counts as idle.
        .keep_alive_interval(timeouts.idle)
        .keep_alive_timeout(timeouts.write_stall)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_frame_size(FRAME_BYTES_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(UNSEEN_RESETS_MAX)
        .max_local_error_reset_streams(ERRORS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let served = tokio::select! {
        // What is answered is written before the GOAWAY: some clients read nothing after one.
        biased;
        served = serving.as_mut() => Some(served),
        () = client.connection.closing_once(asked.notified()) => None,
        () = streams.idle(timeouts.idle) => None,
        () = streams.closed() => None,
        () = streams.abused() => return,
    };
    let served = match served {
        Some(served) => served,
        None => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                served = serving => served,
                // It has heard the GOAWAY and lets the connection stand.
                () = streams.idle(timeouts.head) => return,
                () = streams.abused() => return,
            }
        }
    };
    if let Err(error) = served {
        let (peer, host) = (client.connection.peer, &client.plan.host);
        tracing::debug!(%peer, %host, %error, "a connection ended");
    }
}

/// The answer on one stream; an error resets it.
async fn answer<G: House>(
    client: &Arc<Client<G>>,
    streams: &Streams,
    watch: Watch,
    request: Request<Incoming>,
) -> Result<Response<Body>, h2::Error> {
    // INVARIANT: these places are given back when the request has been handled, not when the client gives it up.
    let here = Arc::clone(&streams.0.places).try_acquire_owned();
    let anywhere = Arc::clone(&client.shared.streams).try_acquire_owned();
    let (Ok(here), Ok(anywhere), false) = (here, anywhere, streams.is_closing()) else {
        // The client may send it again, for it is not looked at.
        return Err(h2::Reason::REFUSED_STREAM.into());
    };
    let waited_for = WaitedFor::new(streams);
    let Client {
        shared,
        connection,
        plan,
        sni,
    } = &**client;
    let checked = match sni {
        Sni::Agrees => form::check_stream(plan, request),
        Sni::Other(found) => Err(Fault::Misdirected(found.clone())),
    };
    let mut response = match checked {
        Ok(request) => {
            // In a task of its own: a reset also ends the request's body, and so perhaps its handling, and whoever gives a
            // request up would have been answered first.
            let held = (here, anywhere);
            let task = tokio::spawn(handling(shared, connection, plan, request, held));
            handled(shared, plan, task.await.unwrap_or(Err(Panicked)))
        }
        Err(fault) => refuse(shared, plan, fault),
    };
    // What closes an HTTP/1.1 connection is a GOAWAY here, after this answer; others in flight still come.
    if response.headers_mut().remove(CONNECTION).is_some() {
        streams.close();
    }
    waited_for.answered();
    Ok(response.map(|body| watch.body(body)))
}

/// The streams of one connection. It is also what they run on: hyper hands a stream's task to it.
#[derive(Clone)]
struct Streams(Arc<State>);

struct State {
    /// For requests that are being handled.
    places: Arc<Semaphore>,
    /// How the next stream's answer is taken.
    ///
    /// INVARIANT: hyper calls the service and hands the stream's task over in one go, so they are of one stream.
    next: Mutex<Option<Pace>>,
    condition: watch::Sender<Condition>,
    stall: Duration,
}

#[derive(Clone, Copy)]
struct Condition {
    /// Streams in flight, and when there were none last.
    open: usize,
    since: Instant,
    /// No new request is taken.
    closing: bool,
    /// Nor is any answer left that is the reason for it.
    closed: bool,
    given_up: u32,
}

impl Streams {
    fn new(stall: Duration) -> Self {
        let condition = Condition {
            open: 0,
            since: Instant::now(),
            closing: false,
            closed: false,
            given_up: 0,
        };
        Self(Arc::new(State {
            places: Arc::new(Semaphore::new(STREAMS_MAX as usize)),
            next: Mutex::default(),
            condition: watch::Sender::new(condition),
            stall,
        }))
    }

    /// Begins a stream, whose answer will be watched.
    fn begin(&self) -> Watch {
        let (watch, pace) = pace();
        *self.0.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(pace);
        watch
    }

    /// No more requests; those in flight are answered.
    fn close(&self) {
        self.0.condition.send_modify(|c| c.closing = true);
    }

    fn is_closing(&self) -> bool {
        self.0.condition.borrow().closing
    }

    async fn closed(&self) {
        self.until(|c| c.closed).await;
    }

    /// Completes once the client has given up too much.
    async fn abused(&self) {
        self.until(|c| c.given_up > GIVEN_UP_MAX).await;
    }

    async fn until(&self, reached: impl Fn(&Condition) -> bool) {
        // The sender is in `self`.
        let _ = self.0.condition.subscribe().wait_for(reached).await;
    }

    /// Completes once there has been no stream for `after`.
    async fn idle(&self, after: Duration) {
        let begun = Instant::now();
        loop {
            let now = *self.0.condition.borrow();
            if now.open > 0 {
                self.until(|c| c.open == 0).await;
                continue;
            }
            let due = now.since.max(begun) + after;
            if Instant::now() >= due {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let pace = self
            .0
            .next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let open = Open::new(self);
        tokio::spawn(async move {
            let _open = open;
            let stalled = async {
                match pace {
                    Some(pace) => pace.stalled(_open.0.0.stall).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stream => {}
                // Dropped, it is reset.
                () = stalled => tracing::debug!("a client takes nothing of an answer"),
            }
        });
    }
}

/// A stream in flight.
struct Open(Streams);

impl Open {
    fn new(streams: &Streams) -> Self {
        streams.0.condition.send_modify(|c| c.open += 1);
        Self(streams.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.condition.send_modify(|c| {
            c.open = c.open.saturating_sub(1);
            c.since = Instant::now();
            c.closed = c.closing;
        });
    }
}

/// A request that the client waits for the answer of, as long as this isn't dropped.
struct WaitedFor<'s> {
    streams: &'s Streams,
    answered: bool,
}

impl<'s> WaitedFor<'s> {
    const fn new(streams: &'s Streams) -> Self {
        Self {
            streams,
            answered: false,
        }
    }

    fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for WaitedFor<'_> {
    fn drop(&mut self) {
        let answered = self.answered;
        self.streams.0.condition.send_modify(|c| {
            c.given_up = if answered {
                c.given_up.saturating_sub(1)
            } else {
                c.given_up.saturating_add(1)
            };
        });
    }
}
