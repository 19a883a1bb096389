//! Load: connections that each send the next request when the last one is answered, warmed up, then measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustls::ClientConfig;

use crate::client::{Client, Door, Streams};
use crate::histogram::Histogram;
use crate::signed::Signed;

/// How a connection is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Kept for all requests.
    Kept,
    /// A new one for each request: TCP, CONNECT, TLS, the request, the end.
    Anew,
    /// Kept, over HTTP/2, with that many requests at a time.
    Streams(usize),
}

#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub connections: usize,
    pub manner: Manner,
    pub warm: Duration,
    pub measured: Duration,
}

/// Where the load goes.
#[derive(Debug, Clone)]
pub struct Course {
    pub door: Door,
    pub tls: Arc<ClientConfig>,
    pub signed: Signed,
}

/// What a load gave.
#[derive(Debug)]
pub struct Loaded {
    /// Of the calls that were answered in the measured time.
    pub histogram: Histogram,
    /// All calls, those of the warm-up too.
    pub sent: u64,
    /// How long was measured.
    pub took: Duration,
    /// CPU time of each watched process in that time, in order.
    pub used: Vec<Duration>,
}

impl Loaded {
    pub fn per_second(&self) -> f64 {
        self.histogram.total() as f64 / self.took.as_secs_f64()
    }

    /// A share of a time for each call, in µs.
    pub fn a_call(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1e6 / self.histogram.total() as f64
    }
}

/// What a run is at.
#[derive(Debug, Default)]
pub struct Phase {
    now: AtomicU8,
    /// Whether a call was answered in the measured time.
    answered: AtomicBool,
}

const MEASURED: u8 = 1;
const OVER: u8 = 2;

impl Phase {
    /// The warm-up is over.
    pub fn measure(&self) {
        self.now.store(MEASURED, Ordering::Relaxed);
    }

    /// No call begins any more, and none counts.
    pub fn end(&self) {
        self.now.store(OVER, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.now.load(Ordering::Relaxed) == OVER
    }

    /// A call was answered: whether it counts.
    pub fn counts(&self) -> bool {
        let counts = self.now.load(Ordering::Relaxed) == MEASURED;
        if counts && !self.answered() {
            self.answered.store(true, Ordering::Relaxed);
        }
        counts
    }

    pub fn answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }
}

/// How long a last call may take.
const LAST: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_millis(100);

/// Runs a load to its end; `cpu` tells the CPU time of each watched process so far.
pub fn run(load: Load, course: &Course, cpu: impl Fn() -> Result<Vec<Duration>>) -> Result<Loaded> {
    let phase = Arc::new(Phase::default());
    let (ready, readies) = channel();
    let cores = thread::available_parallelism()?.get();
    let threads = cores.min(load.connections);
    let mut running = Vec::new();
    for n in 0..threads {
        let share = (load.connections + threads - 1 - n) / threads;
        let (course, phase, ready) = (course.clone(), Arc::clone(&phase), ready.clone());
        running.push(thread::spawn(move || {
            drive(share, load, course, phase, ready)
        }));
    }
    drop(ready);
    let measured =
        connected(load.connections, &readies).and_then(|()| watch(load, &phase, cpu, &running));
    phase.end();
    let mut all = Tally::new();
    for thread in running {
        let tally = thread.join().map_err(|_| anyhow!("a client panicked"))??;
        all.merge(&tally);
    }
    let (took, used) = measured?;
    ensure!(
        all.histogram.total() > 0,
        "no call was answered within {:?}",
        load.measured
    );
    Ok(Loaded {
        histogram: all.histogram,
        sent: all.sent,
        took,
        used,
    })
}

/// What a connection has done.
struct Tally {
    histogram: Histogram,
    sent: u64,
}

impl Tally {
    fn new() -> Self {
        Self {
            histogram: Histogram::new(),
            sent: 0,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.histogram.merge(&other.histogram);
        self.sent += other.sent;
    }

    /// A call was answered. What ends in the measured time counts, whenever it began: else slow peers would lose a share
    /// at its begin.
    fn answered(&mut self, took: Duration, phase: &Phase) {
        self.sent += 1;
        if phase.counts() {
            self.histogram.add(took);
        }
    }
}

/// Waits until every connection is open; an error if one fails, which its thread tells.
fn connected(connections: usize, readies: &Receiver<()>) -> Result<()> {
    for _ in 0..connections {
        readies
            .recv_timeout(Duration::from_secs(60))
            .context("a connection failed")?;
    }
    Ok(())
}

/// Measures: how long, and what CPU time each process used meanwhile.
fn watch(
    load: Load,
    phase: &Phase,
    cpu: impl Fn() -> Result<Vec<Duration>>,
    running: &[JoinHandle<Result<Tally>>],
) -> Result<(Duration, Vec<Duration>)> {
    sleep(load.warm, running)?;
    let before = cpu()?;
    let begun = Instant::now();
    phase.measure();
    sleep(load.measured, running)?;
    // However slow it is, it has its number.
    while !phase.answered() && begun.elapsed() < load.measured + LAST {
        sleep(STEP, running)?;
    }
    phase.end();
    let took = begun.elapsed();
    let used = cpu()?.into_iter().zip(before);
    Ok((
        took,
        used.map(|(now, then)| now.saturating_sub(then)).collect(),
    ))
}

/// Sleeps, unless a client ends before its time.
fn sleep(time: Duration, running: &[JoinHandle<Result<Tally>>]) -> Result<()> {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        if running.iter().any(JoinHandle::is_finished) {
            bail!("a client ended early");
        }
        thread::sleep(left.min(STEP));
    }
    Ok(())
}

/// One thread of the client and its connections.
fn drive(
    connections: usize,
    load: Load,
    course: Course,
    phase: Arc<Phase>,
    ready: Sender<()>,
) -> Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let course = Arc::new(course);
    let all = async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..connections {
            let (course, phase, ready) = (Arc::clone(&course), Arc::clone(&phase), ready.clone());
            tasks.spawn(async move {
                match load.manner {
                    Manner::Kept => kept(&course, &phase, ready).await,
                    Manner::Anew => anew(&course, &phase, ready).await,
                    Manner::Streams(count) => streams(count, &course, &phase, ready).await,
                }
            });
        }
        drop(ready);
        let mut all = Tally::new();
        while let Some(done) = tasks.join_next().await {
            all.merge(&done??);
        }
        Ok(all)
    };
    let longest = load.warm + load.measured + LAST + Duration::from_secs(60);
    runtime
        .block_on(async { tokio::time::timeout(longest, all).await })
        .context("a call took too long")?
}

async fn kept(course: &Course, phase: &Phase, ready: Sender<()>) -> Result<Tally> {
    let mut client = Client::open(&course.door, &course.tls).await?;
    // Nobody waits any more only if the run has failed.
    let _ = ready.send(());
    drop(ready);
    let mut tally = Tally::new();
    let mut begun = Instant::now();
    loop {
        if phase.is_over() {
            return Ok(tally);
        }
        client.call(&course.signed.whole).await?;
        let now = Instant::now();
        tally.answered(now - begun, phase);
        begun = now;
    }
}

async fn anew(course: &Course, phase: &Phase, ready: Sender<()>) -> Result<Tally> {
    let mut tally = Tally::new();
    // Nobody waits any more only if the run has failed.
    let _ = ready.send(());
    drop(ready);
    loop {
        if phase.is_over() {
            return Ok(tally);
        }
        let begun = Instant::now();
        let mut client = Client::open(&course.door, &course.tls).await?;
        client.call(&course.signed.whole).await?;
        client.close().await?;
        tally.answered(begun.elapsed(), phase);
    }
}

async fn streams(
    count: usize,
    course: &Course,
    phase: &Arc<Phase>,
    ready: Sender<()>,
) -> Result<Tally> {
    let opened = Streams::open(&course.door, &course.tls).await?;
    // Nobody waits any more only if the run has failed.
    let _ = ready.send(());
    drop(ready);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (mut stream, signed, phase) =
            (opened.clone(), course.signed.clone(), Arc::clone(phase));
        tasks.spawn(async move {
            let mut tally = Tally::new();
            loop {
                let begun = Instant::now();
                if phase.is_over() {
                    return anyhow::Ok(tally);
                }
                stream.call(&signed).await?;
                tally.answered(begun.elapsed(), &phase);
            }
        });
    }
    let mut all = Tally::new();
    while let Some(done) = tasks.join_next().await {
        all.merge(&done??);
    }
    Ok(all)
}
