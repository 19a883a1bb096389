//! The heads of requests over HTTP/1.1, as they follow one another on a connection.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use palisade::proxy::framing::{Framing, Screened};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::{Builder, Runtime};

use super::cuts;

/// What comes over a connection: the same framing, however it is cut into reads.
pub fn read_heads(data: &[u8]) {
    let [whole, one_by_one, pieces] = cuts(data).map(notes);
    assert_eq!(whole, one_by_one, "it depends on how it is cut");
    assert_eq!(whole, pieces, "it depends on how it is cut");
    let ends = whole.iter().position(|note| *note != Framing::Plain);
    assert!(
        ends.is_none_or(|at| at + 1 == whole.len()),
        "something is read after what ends it: {whole:?}"
    );
}

fn notes(pieces: Vec<&[u8]>) -> Vec<Framing> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime for one thread")
    });
    let _entered = runtime.enter();
    let count = pieces.len();
    let pieces = Pieces(pieces.into_iter().map(<[u8]>::to_vec).collect());
    let (mut screened, notes) = Screened::new(pieces, Duration::from_secs(3600));
    let mut context = Context::from_waker(Waker::noop());
    let mut room = vec![0; 16 * 1024];
    for _ in 0..count {
        let mut room = ReadBuf::new(&mut room);
        let read = Pin::new(&mut screened).poll_read(&mut context, &mut room);
        assert!(matches!(read, Poll::Ready(Ok(()))), "{read:?}");
    }
    std::iter::from_fn(|| notes.take()).collect()
}

/// Gives out one piece at each read.
struct Pieces(VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut piece = self.0.pop_front().unwrap_or_default();
        let left = piece.split_off(piece.len().min(room.remaining()));
        room.put_slice(&piece);
        if !left.is_empty() {
            self.0.push_front(left);
        }
        Poll::Ready(Ok(()))
    }
}
