//! A connection that was dialled: to the host itself, or through a parent proxy.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A stream of bytes to a host.
#[derive(Debug)]
pub struct Stream {
    inner: Inner,
    /// What came behind the head of a parent's answer: the host spoke first.
    early: Bytes,
    is_local: bool,
}

#[derive(Debug)]
enum Inner {
    Tcp(TcpStream),
    /// To an `https://` parent; what the host says is inside.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// A connection to the host's own address.
    pub(super) fn direct(tcp: TcpStream) -> Self {
        let is_local = tcp.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        Self {
            inner: Inner::Tcp(tcp),
            early: Bytes::new(),
            is_local,
        }
    }

    /// A connection to a parent, over TLS.
    pub(super) fn over_tls(tls: TlsStream<TcpStream>) -> Self {
        Self {
            inner: Inner::Tls(Box::new(tls)),
            early: Bytes::new(),
            is_local: false,
        }
    }

    /// The same connection once a parent has opened the way: it leads elsewhere now, and `early` came first.
    pub(super) fn opened(self, early: Bytes) -> Self {
        Self {
            inner: self.inner,
            early,
            is_local: false,
        }
    }

    /// Whether it ends on this machine, as far as can be told: not where a parent lies between.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.is_local
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let most = self.early.len().min(buf.remaining());
            buf.put_slice(self.early.get(..most).unwrap_or_default());
            self.early.advance(most);
            return Poll::Ready(Ok(()));
        }
        match &mut self.inner {
            Inner::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Inner::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            Inner::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Inner::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            Inner::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Inner::Tls(tls) => Pin::new(tls.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Tcp(tcp) => tcp.is_write_vectored(),
            Inner::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Inner::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Inner::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}
