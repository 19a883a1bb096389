//! Load: connections that each send the next request when the last one is answered, warmed up, then measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustls::ClientConfig;

use crate::client::{Client, Door};
use crate::histogram::Histogram;
use crate::process::cpu;
use crate::signed::Signed;

/// How a connection is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Kept for all requests.
    Kept,
    /// A new one for each request: TCP, CONNECT, TLS, the request, the end.
    Anew,
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

/// What was measured.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Calls answered in the measured time.
    pub calls: u64,
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// CPU time a call, in µs, of each watched process, in order.
    pub cpu_us: Vec<f64>,
}

const WARM: u8 = 0;
const MEASURED: u8 = 1;
const OVER: u8 = 2;
/// How long a last call may take.
const LAST: Duration = Duration::from_secs(15);

/// Runs a load to its end; `watched` are processes.
pub fn run(load: Load, course: &Course, watched: &[i32]) -> Result<Figures> {
    let phase = Arc::new(AtomicU8::new(WARM));
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
        connected(load.connections, &readies).and_then(|()| watch(load, &phase, watched, &running));
    phase.store(OVER, Ordering::Relaxed);
    let mut all = Histogram::new();
    for thread in running {
        let histogram = thread.join().map_err(|_| anyhow!("a client panicked"))??;
        all.merge(&histogram);
    }
    let (took, used) = measured?;
    if all.total() == 0 {
        bail!("no call was answered within {:?}", load.measured);
    }
    let calls = all.total() as f64;
    Ok(Figures {
        calls: all.total(),
        per_second: calls / took.as_secs_f64(),
        p50_us: all.quantile_us(0.5),
        p99_us: all.quantile_us(0.99),
        cpu_us: used
            .iter()
            .map(|cpu| cpu.as_secs_f64() * 1e6 / calls)
            .collect(),
    })
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
    phase: &AtomicU8,
    watched: &[i32],
    running: &[JoinHandle<Result<Histogram>>],
) -> Result<(Duration, Vec<Duration>)> {
    sleep(load.warm, running)?;
    let before: Vec<Duration> = watched.iter().map(|id| cpu(*id)).collect::<Result<_>>()?;
    let begun = Instant::now();
    phase.store(MEASURED, Ordering::Relaxed);
    sleep(load.measured, running)?;
    phase.store(OVER, Ordering::Relaxed);
    let took = begun.elapsed();
    let mut used = Vec::new();
    for (id, before) in watched.iter().zip(before) {
        used.push(cpu(*id)?.saturating_sub(before));
    }
    Ok((took, used))
}

/// Sleeps, unless a client ends before its time.
fn sleep(time: Duration, running: &[JoinHandle<Result<Histogram>>]) -> Result<()> {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        if running.iter().any(JoinHandle::is_finished) {
            bail!("a client ended early");
        }
        thread::sleep(left.min(Duration::from_millis(100)));
    }
    Ok(())
}

/// One thread of the client and its connections.
fn drive(
    connections: usize,
    load: Load,
    course: Course,
    phase: Arc<AtomicU8>,
    ready: Sender<()>,
) -> Result<Histogram> {
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
                }
            });
        }
        drop(ready);
        let mut all = Histogram::new();
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

async fn kept(course: &Course, phase: &AtomicU8, ready: Sender<()>) -> Result<Histogram> {
    let mut histogram = Histogram::new();
    let mut client = Client::open(course.door, &course.tls).await?;
    // Nobody waits any more only if the run has failed.
    let _ = ready.send(());
    drop(ready);
    let mut begun = Instant::now();
    loop {
        if phase.load(Ordering::Relaxed) == OVER {
            return Ok(histogram);
        }
        client.call(&course.signed.whole).await?;
        let now = Instant::now();
        // What ends in the measured time counts, whenever it began: else slow peers would lose a share at its begin.
        if phase.load(Ordering::Relaxed) == MEASURED {
            histogram.add(now - begun);
        }
        begun = now;
    }
}

async fn anew(course: &Course, phase: &AtomicU8, ready: Sender<()>) -> Result<Histogram> {
    let mut histogram = Histogram::new();
    // Nobody waits any more only if the run has failed.
    let _ = ready.send(());
    drop(ready);
    loop {
        if phase.load(Ordering::Relaxed) == OVER {
            return Ok(histogram);
        }
        let begun = Instant::now();
        let mut client = Client::open(course.door, &course.tls).await?;
        client.call(&course.signed.whole).await?;
        client.close().await?;
        if phase.load(Ordering::Relaxed) == MEASURED {
            histogram.add(begun.elapsed());
        }
    }
}
