//! Connections to upstreams that are kept for the next request, bounded in number and age.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::upstream::channel::{Channel, Multiplexed};
use super::upstream::sole::Sole;
use crate::aws::host::Host;

/// The most HTTP/2 connections to one host. One more serves its own request and is closed.
const SHARED_PER_HOST_MAX: usize = 8;
/// The most connections in all, where nobody says less: as many as clients that are busy at once keep busy.
const TOTAL_MAX: usize = 2048;
/// The part of their age that old connections wait at least for their end, so that many of them are one piece of work.
const SWEEPS: u32 = 8;
/// How many hosts are remembered before those without connections are forgotten.
const HOSTS_MAX: usize = 1024;

/// Connections by host and port.
///
/// INVARIANT: an HTTP/1.1 connection in here has no request in flight; whoever takes it owns it alone. HTTP/2 ones
/// stay in here and count their requests themselves.
#[derive(Debug)]
pub(super) struct Pool {
    hosts: Mutex<HashMap<Key, Connections>>,
    age_max: Duration,
    total_max: AtomicUsize,
    /// Whether somebody sweeps.
    swept: AtomicBool,
}

pub(super) type Key = (Host, u16);

#[derive(Debug, Default)]
struct Connections {
    /// The one that was used last is the last.
    idle: VecDeque<Idle>,
    shared: Vec<Arc<Multiplexed>>,
    /// The upstream chose HTTP/1.1 the last time: nobody waits to share a connection.
    unshared: bool,
    /// Closed once the connection that somebody opens is there, or has failed.
    opening: Option<watch::Receiver<()>>,
}

#[derive(Debug)]
struct Idle {
    sole: Sole,
    since: Instant,
}

/// The duty to open a connection; those who wait to share it go on when this is dropped.
#[derive(Debug)]
pub(super) struct Opening {
    _opened: Option<watch::Sender<()>>,
}

/// Who closes a connection when it gets old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Swept {
    BySomebody,
    /// Whoever put it in calls [`Pool::sweep`].
    ByNobody,
}

/// What becomes of somebody who wants to share a connection.
enum Step {
    Take(Channel),
    Open(Opening),
    Wait(watch::Receiver<()>),
}

impl Pool {
    pub(super) fn new(age_max: Duration) -> Self {
        Self {
            hosts: Mutex::default(),
            age_max,
            total_max: AtomicUsize::new(TOTAL_MAX),
            swept: AtomicBool::new(false),
        }
    }

    /// Keeps no more connections than this.
    pub(super) fn keep_at_most(&self, total: usize) {
        self.total_max
            .store(total.min(TOTAL_MAX), Ordering::Relaxed);
    }

    fn is_full(&self, hosts: &HashMap<Key, Connections>) -> bool {
        total(hosts) >= self.total_max.load(Ordering::Relaxed)
    }

    /// A connection for one request with no other beside it, idle for at most `idle_max`.
    pub(super) fn alone(&self, target: &Key, idle_max: Duration) -> Option<Channel> {
        let idle_max = idle_max.min(self.age_max);
        let mut hosts = self.lock();
        let connections = hosts.get_mut(target)?;
        let lease = connections
            .shared
            .iter()
            .find_map(|c| c.lease_alone(idle_max));
        lease
            .map(Channel::Many)
            .or_else(|| connections.take_idle(idle_max).map(Channel::One))
    }

    /// A connection for any request, or the duty to open one. While somebody else opens one that may be shared this
    /// waits for it, for at most `wait_max`.
    pub(super) async fn any(&self, target: &Key, wait_max: Duration) -> Result<Channel, Opening> {
        let deadline = Instant::now() + wait_max;
        loop {
            let mut opened = match self.step(target) {
                Step::Take(channel) => return Ok(channel),
                Step::Open(opening) => return Err(opening),
                Step::Wait(opened) => opened,
            };
            let waited = tokio::time::timeout_at(deadline, opened.changed()).await;
            if waited.is_err() {
                return Err(Opening { _opened: None });
            }
        }
    }

    fn step(&self, target: &Key) -> Step {
        let mut hosts = self.lock();
        if hosts.len() >= HOSTS_MAX && !hosts.contains_key(target) {
            hosts.retain(|_, connections| !connections.are_none());
        }
        let connections = hosts.entry(target.clone()).or_default();
        connections.shared.retain(|c| !c.is_spent(self.age_max));
        let lease = connections
            .shared
            .iter()
            .find_map(|c| c.lease(self.age_max));
        if let Some(lease) = lease {
            return Step::Take(Channel::Many(lease));
        }
        if let Some(sole) = connections.take_idle(self.age_max) {
            return Step::Take(Channel::One(sole));
        }
        if connections.unshared {
            return Step::Open(Opening { _opened: None });
        }
        if let Some(opening) = connections.opens() {
            return Step::Wait(opening);
        }
        let (opened, opening) = watch::channel(());
        connections.opening = Some(opening);
        Step::Open(Opening {
            _opened: Some(opened),
        })
    }

    /// Takes a connection back. Where there are too many, that which has been idle for longest is closed.
    pub(super) fn put(&self, target: Key, sole: Sole) -> Swept {
        let mut hosts = self.lock();
        if self.is_full(&hosts) && !close_oldest(&mut hosts) {
            return Swept::BySomebody;
        }
        hosts.entry(target).or_default().idle.push_back(Idle {
            sole,
            since: Instant::now(),
        });
        if self.swept.load(Ordering::Acquire) {
            Swept::BySomebody
        } else {
            Swept::ByNobody
        }
    }

    /// The upstream chose HTTP/1.1.
    pub(super) fn unshared(&self, target: Key) {
        self.lock().entry(target).or_default().unshared = true;
    }

    /// A new connection that requests may share. One too many is not kept.
    pub(super) fn share(&self, target: Key, connection: &Arc<Multiplexed>) {
        let mut hosts = self.lock();
        let full = self.is_full(&hosts);
        let connections = hosts.entry(target).or_default();
        connections.unshared = false;
        if !full && connections.shared.len() < SHARED_PER_HOST_MAX {
            connections.shared.push(Arc::clone(connection));
        }
    }

    /// Closes what is too old.
    pub(super) fn expire(&self) {
        self.lock().retain(|_, connections| {
            connections
                .idle
                .retain_mut(|c| c.since.elapsed() < self.age_max && c.sole.is_idle());
            connections.shared.retain(|c| !c.is_spent(self.age_max));
            !connections.are_none()
        });
    }

    /// Closes HTTP/1.1 connections when they get old, for as long as there are any. One task does it for all: comes back
    /// at once where another does already.
    pub(super) async fn sweep(&self) {
        while !self.swept.swap(true, Ordering::AcqRel) {
            while let Some(oldest) = self.oldest() {
                let due = oldest + self.age_max;
                tokio::time::sleep_until(due.max(Instant::now() + self.age_max / SWEEPS)).await;
                self.expire();
            }
            self.swept.store(false, Ordering::Release);
            // One that was put in just before the store is nobody's yet.
            if self.oldest().is_none() {
                return;
            }
        }
    }

    /// Since when the HTTP/1.1 connection that was idle first has been.
    fn oldest(&self) -> Option<Instant> {
        let hosts = self.lock();
        let idle = hosts.values().flat_map(|c| &c.idle);
        idle.map(|idle| idle.since).min()
    }

    pub(super) const fn age_max(&self) -> Duration {
        self.age_max
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Connections>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        total(&self.lock())
    }
}

/// Closes the HTTP/1.1 connection that has been idle for longest, if there is one.
fn close_oldest(hosts: &mut HashMap<Key, Connections>) -> bool {
    let oldest = hosts
        .values_mut()
        .filter(|connections| !connections.idle.is_empty())
        .min_by_key(|connections| connections.idle.front().map(|idle| idle.since));
    oldest.is_some_and(|connections| connections.idle.pop_front().is_some())
}

fn total(hosts: &HashMap<Key, Connections>) -> usize {
    hosts
        .values()
        .map(|connections| connections.idle.len() + connections.shared.len())
        .sum()
}

impl Connections {
    /// The connection that was used last, if it has been idle for at most `idle_max`.
    fn take_idle(&mut self, idle_max: Duration) -> Option<Sole> {
        while let Some(mut connection) = self.idle.pop_back() {
            if connection.since.elapsed() > idle_max {
                // Those below it have been idle for longer; they may still serve a caller with more patience.
                self.idle.push_back(connection);
                return None;
            }
            if connection.sole.is_idle() {
                return Some(connection.sole);
            }
        }
        None
    }

    /// What tells that somebody's opening is over, while it isn't.
    fn opens(&self) -> Option<watch::Receiver<()>> {
        let opening = self.opening.as_ref()?;
        opening.has_changed().is_ok().then(|| opening.clone())
    }

    fn are_none(&self) -> bool {
        self.idle.is_empty() && self.shared.is_empty() && self.opens().is_none()
    }
}
