//! Bytes that pass unread: a tunnel, with its traffic counted and its idle time bounded.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// What one direction holds at a time, in bytes.
const BUFFER: usize = 16 * 1024;

/// What passed through a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes from the client.
    pub sent: u64,
    /// Bytes to the client.
    pub received: u64,
}

/// How a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Both sides closed.
    Closed,
    /// Nothing moved for too long.
    Idle,
    /// One side failed.
    Broken,
    /// The proxy shut down and its time was over.
    Cut,
}

/// Copies both ways until both sides have closed, one fails, no byte moved for `idle`, or `cut` completes. The end
/// of one direction is passed on while the other goes on.
pub async fn copy<C, U>(
    client: C,
    upstream: U,
    idle: Duration,
    cut: impl Future<Output = ()>,
) -> (Traffic, Ended)
where
    C: AsyncRead + AsyncWrite,
    U: AsyncRead + AsyncWrite,
{
    let watch = Watch {
        begun: Instant::now(),
        moved_ms: AtomicU64::new(0),
        sent: AtomicU64::new(0),
        received: AtomicU64::new(0),
    };
    let (client_read, client_write) = tokio::io::split(client);
    let (upstream_read, upstream_write) = tokio::io::split(upstream);
    let both = async {
        tokio::try_join!(
            one_way(client_read, upstream_write, &watch, &watch.sent),
            one_way(upstream_read, client_write, &watch, &watch.received),
        )
    };
    let ended = tokio::select! {
        done = both => done.map_or(Ended::Broken, |_| Ended::Closed),
        () = watch.idle(idle) => Ended::Idle,
        () = cut => Ended::Cut,
    };
    let traffic = Traffic {
        sent: watch.sent.load(Ordering::Relaxed),
        received: watch.received.load(Ordering::Relaxed),
    };
    (traffic, ended)
}

/// When a byte last moved, in either direction, and how many did.
struct Watch {
    begun: Instant,
    moved_ms: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Watch {
    fn moved(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(now, Ordering::Relaxed);
    }

    /// Ends once nothing has moved for `idle`.
    async fn idle(&self, idle: Duration) {
        loop {
            let moved = Duration::from_millis(self.moved_ms.load(Ordering::Relaxed));
            let due = self.begun + moved + idle;
            if Instant::now() >= due {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    watch: &Watch,
    count: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        watch.moved();
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..read).unwrap_or_default()).await?;
        to.flush().await?;
        watch.moved();
        count.fetch_add(read as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_ways_are_copied_and_counted_past_a_half_close() {
        let (mut client, near) = tokio::io::duplex(64);
        let (far, mut upstream) = tokio::io::duplex(64);
        let tunnel = tokio::spawn(copy(
            near,
            far,
            Duration::from_secs(5),
            std::future::pending(),
        ));
        client.write_all(b"hello").await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = String::new();
        upstream.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "hello");
        upstream.write_all(b"goodbye").await.unwrap();
        drop(upstream);
        got.clear();
        client.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "goodbye");
        let expected = Traffic {
            sent: 5,
            received: 7,
        };
        assert_eq!(tunnel.await.unwrap(), (expected, Ended::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_tunnel_ends_and_a_busy_one_does_not() {
        let (mut client, near) = tokio::io::duplex(64);
        let (far, upstream) = tokio::io::duplex(64);
        let begun = Instant::now();
        let tunnel = tokio::spawn(copy(
            near,
            far,
            Duration::from_secs(300),
            std::future::pending(),
        ));
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_secs(200)).await;
            client.write_all(b"x").await.unwrap();
        }
        let (traffic, ended) = tunnel.await.unwrap();
        assert_eq!((traffic.sent, ended), (4, Ended::Idle));
        assert_eq!(begun.elapsed().as_secs(), 1100);
        drop(upstream);
    }
}
