//! An HTTP/1.1 connection to an upstream, driven by the request that has it.
//!
//! It serves one request at a time, so a task of its own would be woken for each of that request's steps, often on
//! another thread, only to wake the request in turn. While a connection is idle nobody drives it: that its upstream has
//! closed it is seen when it is taken, and by whoever sweeps the pool.
//!
//! INVARIANT: what only the connection's progress completes (the head of an answer, a piece of its body) is polled right
//! after the connection, in the same task, so that it needs nobody to wake it. Whoever looks before, for a piece that is
//! here already, looks once more after.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop::has_budget_remaining;

use super::super::body::Body;
use super::channel::{Failure, reasons};

/// The longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 256 * 1024;

/// A connection, for one request at a time.
pub(crate) struct Sole {
    sender: http1::SendRequest<Body>,
    /// `None` once it has ended.
    connection: Option<Connection>,
}

type Connection = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

impl Sole {
    /// Opens HTTP/1.1 on a connection.
    ///
    /// # Errors
    /// Why not; nothing of a request was sent.
    pub(crate) async fn open<S>(stream: S) -> Result<Self, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|e| reasons(&e))?;
        Ok(Self {
            sender,
            connection: Some(Box::pin(connection)),
        })
    }

    /// Sends a request, and waits for the head of its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let connection = &mut self.connection;
        let answered = poll_fn(|cx| {
            let driven = drive(connection, cx);
            answer.as_mut().poll(&mut woken_by(driven, cx))
        });
        answered.await.map_err(|mut error| {
            let request = error.take_message().map(Box::new);
            let why = reasons(&error.into_error());
            match request {
                Some(request) => Failure::HandedBack(request, why),
                None => Failure::Unknown(why),
            }
        })
    }

    /// The next piece of an answer's body: often one that came with what came before it.
    pub(crate) fn poll_body<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut body: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let piece = body(&mut Context::from_waker(Waker::noop()));
        if piece.is_ready() {
            return piece;
        }
        let driven = drive(&mut self.connection, cx);
        body(&mut woken_by(driven, cx))
    }

    /// Whether the last answer came to its end so that another request may follow. Whether the connection is still there
    /// is another question: see [`is_idle`](Self::is_idle).
    pub(crate) fn is_done(&mut self) -> bool {
        self.sender.is_ready() || self.is_idle()
    }

    /// Whether it can take a request now. Wakes nobody later.
    pub(crate) fn is_idle(&mut self) -> bool {
        let driven = drive(
            &mut self.connection,
            &mut Context::from_waker(Waker::noop()),
        );
        driven == Driven::On && self.sender.is_ready()
    }

    /// Gives it a task of its own, in which what is left of the request goes out while the answer is read. It takes no
    /// other request.
    pub(crate) fn part(self) {
        if let Some(connection) = self.connection {
            tokio::spawn(connection);
        }
    }
}

/// What became of a connection when it was driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Driven {
    /// It goes on when it is woken.
    On,
    /// It has ended: what was asked of it has been told, or is told by its drop.
    Ended,
}

fn drive(connection: &mut Option<Connection>, cx: &mut Context<'_>) -> Driven {
    let Some(driven) = connection else {
        return Driven::Ended;
    };
    match driven.as_mut().poll(cx) {
        Poll::Pending => Driven::On,
        Poll::Ready(ended) => {
            if let Err(error) = ended {
                tracing::debug!(error = %reasons(&error), "an upstream connection ended");
            }
            *connection = None;
            Driven::Ended
        }
    }
}

/// The waker of what waits for a connection: the connection's own wakes the task. Where the task has used its turn up,
/// tokio holds back what is there, and wakes whoever asked for it.
fn woken_by<'a>(driven: Driven, cx: &mut Context<'a>) -> Context<'a> {
    Context::from_waker(match driven {
        Driven::On if has_budget_remaining() => Waker::noop(),
        Driven::On | Driven::Ended => cx.waker(),
    })
}

impl std::fmt::Debug for Sole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sole").finish_non_exhaustive()
    }
}
