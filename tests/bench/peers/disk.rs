//! What the disk gives a journal: one thread writes what waits at once, syncs once, and answers everybody, as the guard's
//! does, with nothing else to do.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use tokio::sync::oneshot;

use crate::histogram::Histogram;
use crate::load::Phase;
use crate::taken::Figures;

/// `waiting` tasks that each write `waits` records one after the other, again and again.
#[derive(Debug, Clone, Copy)]
pub struct Disk {
    pub waiting: usize,
    pub waits: usize,
    pub record_bytes: usize,
    pub warm: Duration,
    pub measured: Duration,
}

/// How much longer than measured a slow disk has to answer once.
const LAST: Duration = Duration::from_secs(15);

type Waiter = oneshot::Sender<()>;

impl Disk {
    pub fn run(self, file: &Path) -> Result<Figures> {
        let (send, receive) = channel();
        let record = vec![b'x'; self.record_bytes];
        let file = File::create(file)?;
        let writer = thread::spawn(move || write(file, &record, &receive));
        let phase = Arc::new(Phase::default());
        let tasks = thread::spawn({
            let phase = Arc::clone(&phase);
            move || self.tasks(&phase, send)
        });
        thread::sleep(self.warm);
        phase.measure();
        let begun = Instant::now();
        thread::sleep(self.measured);
        while !phase.answered() && begun.elapsed() < self.measured + LAST {
            thread::sleep(self.warm);
        }
        phase.end();
        let took = begun.elapsed();
        let histogram = tasks.join().map_err(|_| anyhow!("a task panicked"))??;
        writer
            .join()
            .map_err(|_| anyhow!("the writer panicked"))??;
        Ok(Figures {
            calls: histogram.total(),
            per_second: histogram.total() as f64 / took.as_secs_f64(),
            p50_us: histogram.quantile_us(0.5),
            p99_us: histogram.quantile_us(0.99),
            peer_cpu_us: None,
            upstream_connections: 0.0,
            client_cpu_us: 0.0,
            origin_cpu_us: 0.0,
        })
    }

    fn tasks(self, phase: &Arc<Phase>, send: Sender<Waiter>) -> Result<Histogram> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..self.waiting {
                tasks.spawn(self.task(Arc::clone(phase), send.clone()));
            }
            drop(send);
            let mut all = Histogram::new();
            while let Some(done) = tasks.join_next().await {
                all.merge(&done??);
            }
            Ok(all)
        })
    }

    async fn task(self, phase: Arc<Phase>, send: Sender<Waiter>) -> Result<Histogram> {
        let mut histogram = Histogram::new();
        while !phase.is_over() {
            let begun = Instant::now();
            for _ in 0..self.waits {
                let (waiter, written) = oneshot::channel();
                send.send(waiter).ok().context("the writer ended")?;
                written.await.context("the writer ended")?;
            }
            if phase.counts() {
                histogram.add(begun.elapsed());
            }
        }
        Ok(histogram)
    }
}

fn write(mut file: File, record: &[u8], waiters: &Receiver<Waiter>) -> Result<()> {
    while let Ok(first) = waiters.recv() {
        let mut batch = vec![first];
        batch.extend(waiters.try_iter());
        file.write_all(&record.repeat(batch.len()))?;
        file.sync_data()?;
        for waiter in batch {
            // It waits, unless the run has failed.
            let _ = waiter.send(());
        }
    }
    Ok(())
}
