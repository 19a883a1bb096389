//! Threads that serve connections, each with a runtime of its own.
//!
//! A connection stays in the lane that it was given: its tasks, its upstream connections and what they allocate are
//! touched by one thread alone. A runtime that shares its tasks among its threads moves each to whichever thread is free
//! when it is woken, and its data after it from one core's cache to another's. What belongs to no connection (accepting,
//! the admin port, reloads) stays with the runtime that starts the lanes.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// How often a lane shows that it turns.
const TURN: Duration = Duration::from_secs(1);
/// A lane that has shown nothing for so long is stuck, or has ended.
const STUCK: Duration = Duration::from_secs(15);

thread_local! {
    /// Which lane this thread is, from 1; 0 is none.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// The file descriptors of a lane: what it waits with for its connections, and what wakes it.
pub const DESCRIPTORS: u64 = 4;

/// As many lanes as the machine, or the container, has cores.
#[must_use]
pub fn count() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// The lanes of a proxy. They end when this is dropped, and whatever is still going on in them with them.
#[derive(Debug)]
pub struct Lanes(Vec<Lane>);

#[derive(Debug)]
struct Lane {
    runtime: Handle,
    /// How many connections it has.
    load: Arc<AtomicUsize>,
    turned: Turned,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

impl Lanes {
    /// Starts [`count`] threads.
    ///
    /// # Errors
    /// The system has no more threads or descriptors.
    pub fn start() -> io::Result<Self> {
        (1..=count())
            .map(Lane::start)
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Whether they turn, for whoever would start another guard in this one's place.
    #[must_use]
    pub fn turning(&self) -> Turning {
        Turning(self.0.iter().map(|lane| lane.turned.clone()).collect())
    }

    /// Serves a connection in the lane that has the fewest, as one of `tasks`.
    pub(super) fn serve<F>(
        &self,
        tasks: &mut JoinSet<()>,
        tcp: TcpStream,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let load = |lane: &&Lane| lane.load.load(Ordering::Relaxed);
        let Some(lane) = self.0.iter().min_by_key(load) else {
            return;
        };
        let held = Held::one(&lane.load);
        // It is polled by the lane's runtime from here on.
        let tcp = tcp.into_std();
        let served = async move {
            let _held = held;
            match tcp.and_then(TcpStream::from_std) {
                Ok(tcp) => serve(tcp).await,
                Err(error) => tracing::warn!(%error, "a connection could not be served"),
            }
        };
        tasks.spawn_on(served, &lane.runtime);
    }
}

impl Lane {
    fn start(number: usize) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let turned = Turned::default();
        let turns = turned.clone();
        let (tell, told) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name(format!("lane-{number}"))
            .spawn(move || {
                HERE.set(number);
                // A runtime that is dropped where another runs panics: it is made where it ends.
                let runtime = match Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(tell.send(Err(error))),
                };
                if tell.send(Ok(runtime.handle().clone())).is_err() {
                    return;
                }
                runtime.block_on(async {
                    tokio::select! {
                        // Nobody sends anything: it is over when the other end is dropped.
                        _ = stopped => {}
                        () = turns.go_on() => {}
                    }
                });
                runtime.shutdown_background();
            })?;
        let runtime = told.recv().map_err(io::Error::other)??;
        Ok(Self {
            runtime,
            load: Arc::default(),
            turned,
            _stop: stop,
        })
    }
}

/// When a lane last turned; `None` until it does.
#[derive(Debug, Clone, Default)]
struct Turned(Arc<Mutex<Option<Instant>>>);

impl Turned {
    async fn go_on(&self) {
        loop {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            tokio::time::sleep(TURN).await;
        }
    }
}

/// Whether the lanes of a proxy turn.
#[derive(Debug, Clone)]
pub struct Turning(Vec<Turned>);

impl Turning {
    /// Which lane doesn't, and since when, if there is one.
    #[must_use]
    pub fn stuck(&self) -> Option<String> {
        self.stuck_for(STUCK)
    }

    fn stuck_for(&self, most: Duration) -> Option<String> {
        let since = |lane: &Turned| *lane.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = self.0.iter().zip(1..).find_map(|(lane, number)| {
            let still = since(lane)?.elapsed();
            (still > most).then_some((number, still.as_secs()))
        });
        stuck.map(|(number, seconds)| {
            format!("the thread `lane-{number}` has served none of its connections for {seconds} s")
        })
    }
}

/// One connection of a lane's.
struct Held(Arc<AtomicUsize>);

impl Held {
    fn one(load: &Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(load))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of a thing for each lane, and one for all threads that are none.
#[derive(Debug)]
pub(super) struct PerLane<T> {
    beside: T,
    lanes: Vec<T>,
}

impl<T> PerLane<T> {
    pub(super) fn new(make: impl Fn() -> T) -> Self {
        Self {
            beside: make(),
            lanes: (0..count()).map(|_| make()).collect(),
        }
    }

    /// This thread's.
    pub(super) fn here(&self) -> &T {
        let lane = HERE.get().checked_sub(1);
        lane.and_then(|lane| self.lanes.get(lane))
            .unwrap_or(&self.beside)
    }

    /// Gives each the same part of a number, at least one.
    pub(super) fn share_out(&self, number: usize, give: impl Fn(&T, usize)) {
        let share = (number / (self.lanes.len() + 1)).max(1);
        give(&self.beside, share);
        self.lanes.iter().for_each(|lane| give(lane, share));
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn connections_are_spread_over_the_lanes_and_stay_there() {
        let lanes = Lanes(vec![Lane::start(1).unwrap(), Lane::start(2).unwrap()]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        let mut clients = Vec::new();
        for _ in 0..4 {
            clients.push(TcpStream::connect(address).await.unwrap());
            let (tcp, _) = listener.accept().await.unwrap();
            lanes.serve(&mut tasks, tcp, |mut tcp| async move {
                for _ in 0..3 {
                    tcp.read_u8().await.unwrap();
                    let here = tokio::spawn(async { HERE.get() }).await.unwrap();
                    assert_eq!(here, HERE.get());
                    tcp.write_u8(u8::try_from(here).unwrap()).await.unwrap();
                }
            });
        }
        assert_eq!(HERE.get(), 0);
        let mut served_by = Vec::new();
        for client in &mut clients {
            let mut said = Vec::new();
            for _ in 0..3 {
                client.write_u8(0).await.unwrap();
                said.push(client.read_u8().await.unwrap());
            }
            assert!(said.iter().all(|lane| *lane == said[0]), "{said:?}");
            served_by.push(said[0]);
        }
        served_by.sort_unstable();
        assert_eq!(served_by, [1, 1, 2, 2]);
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        for lane in &lanes.0 {
            assert_eq!(lane.load.load(Ordering::Relaxed), 0);
        }
    }

    #[tokio::test]
    async fn a_lane_that_is_stuck_is_told() {
        let lanes = Lanes(vec![Lane::start(1).unwrap(), Lane::start(2).unwrap()]);
        let turning = lanes.turning();
        assert_eq!(turning.stuck(), None);
        let (free, stuck) = std::sync::mpsc::channel::<()>();
        lanes.0[1].runtime.spawn(async move {
            let _ = stuck.recv();
        });
        let told = || turning.stuck_for(TURN * 2);
        until(|| told().is_some_and(|told| told.contains("`lane-2`"))).await;
        free.send(()).unwrap();
        until(|| told().is_none()).await;
    }

    async fn until(done: impl Fn() -> bool) {
        let waiting = async {
            while !done() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn what_goes_on_in_a_lane_ends_with_it() {
        let lane = Lane::start(1).unwrap();
        let (alive, gone) = oneshot::channel::<()>();
        lane.runtime.spawn(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        drop(lane);
        assert!(gone.await.is_err());
    }
}
