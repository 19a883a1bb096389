//! The guard in force. A request takes it once, at its beginning, and keeps it to its end, and so does a connection for
//! its CONNECT; a reload puts another in its place.
//!
//! INVARIANT: whatever a request meets, from its keys to the way out, is of one reading of the configuration.

use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use http::Response;

use super::Guard;
use crate::aws::host::Host;
use crate::proxy::{Body, Handle, House, Intercepted};

/// Hands every request to the guard in force.
#[derive(Debug)]
pub struct InForce {
    now: RwLock<Arc<Guard>>,
    /// Those that requests in flight may still hold.
    earlier: Mutex<Vec<Weak<Guard>>>,
}

impl InForce {
    #[must_use]
    pub fn new(guard: Guard) -> Self {
        Self {
            now: RwLock::new(Arc::new(guard)),
            earlier: Mutex::default(),
        }
    }

    /// The guard that a request which begins now is judged by.
    #[must_use]
    pub fn now(&self) -> Arc<Guard> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another guard in force. Requests in flight end with the one that they began with.
    pub fn replace(&self, guard: Guard) -> Arc<Guard> {
        let guard = Arc::new(guard);
        let before = {
            let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *now, Arc::clone(&guard))
        };
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        earlier.retain(|guard| guard.strong_count() > 0);
        earlier.push(Arc::downgrade(&before));
        guard
    }

    /// The guard in force and those that requests in flight still hold: what must hold at once is told to all.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Guard>> {
        let earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        let held = earlier.iter().filter_map(Weak::upgrade);
        held.chain([self.now()]).collect()
    }
}

impl Handle for InForce {
    async fn handle(&self, request: Intercepted) -> Response<Body> {
        self.now().handle(request).await
    }

    fn misdirected(&self, host: &Host, found: &str) -> Response<Body> {
        self.now().misdirected(host, found)
    }

    fn malformed(&self, host: &Host, why: &str) -> Response<Body> {
        self.now().malformed(host, why)
    }

    fn failed(&self, host: &Host) -> Response<Body> {
        self.now().failed(host)
    }
}

impl House for InForce {
    type Doors = Guard;

    fn doors(self: &Arc<Self>) -> Arc<Guard> {
        self.now()
    }
}
