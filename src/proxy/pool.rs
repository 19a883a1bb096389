//! Idle connections to upstreams, bounded in number and age.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use super::body::Body;
use crate::aws::host::Host;

/// The most idle connections to one host.
const PER_HOST_MAX: usize = 32;
/// The most idle connections in all.
const TOTAL_MAX: usize = 512;

/// Idle connections by host and port.
///
/// INVARIANT: a connection in here has no request in flight; whoever takes it owns it alone.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<HashMap<(Host, u16), Vec<Idle>>>,
    age_max: Duration,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Body>,
    since: Instant,
}

impl Pool {
    pub(super) fn new(age_max: Duration) -> Self {
        Self {
            idle: Mutex::default(),
            age_max,
        }
    }

    /// The connection that was used last, if it has been idle for at most `idle_max`.
    pub(super) fn take(
        &self,
        target: &(Host, u16),
        idle_max: Duration,
    ) -> Option<SendRequest<Body>> {
        let idle_max = idle_max.min(self.age_max);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.get_mut(target)?;
        let mut found = None;
        while let Some(connection) = connections.pop() {
            if connection.since.elapsed() > idle_max {
                // Those below it have been idle for longer; they may still serve a caller with more patience.
                connections.push(connection);
                break;
            }
            if connection.sender.is_ready() {
                found = Some(connection.sender);
                break;
            }
        }
        if connections.is_empty() {
            idle.remove(target);
        }
        found
    }

    /// Takes a connection back. One too many is closed.
    pub(super) fn put(&self, target: (Host, u16), sender: SendRequest<Body>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.values().map(Vec::len).sum::<usize>() >= TOTAL_MAX {
            return;
        }
        let connections = idle.entry(target).or_default();
        if connections.len() < PER_HOST_MAX {
            connections.push(Idle {
                sender,
                since: Instant::now(),
            });
        }
    }

    /// Closes what is too old.
    pub(super) fn expire(&self) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|_, connections| {
            connections.retain(|c| c.since.elapsed() < self.age_max && !c.sender.is_closed());
            !connections.is_empty()
        });
    }

    pub(super) const fn age_max(&self) -> Duration {
        self.age_max
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.values().map(Vec::len).sum()
    }
}
