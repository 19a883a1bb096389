//! Whether a guard works, for whoever would start another in its place.

use std::sync::Arc;

use tokio::task::AbortHandle;

use crate::pipeline::InForce;
use crate::proxy::lanes::Turning;

/// Tells whether a guard works: one that refuses everything, because its disk is full, does.
#[derive(Debug)]
pub struct Pulse {
    guard: Arc<InForce>,
    task: AbortHandle,
    lanes: Turning,
}

impl Pulse {
    pub(super) const fn new(guard: Arc<InForce>, task: AbortHandle, lanes: Turning) -> Self {
        Self { guard, task, lanes }
    }

    /// Comes back if the guard turns: the event loop runs this, what is in force can be read, nothing that serves has
    /// ended, each lane serves its connections, and the thread that writes the journal answers. It doesn't come back
    /// where that thread is stuck.
    ///
    /// # Errors
    /// What has ended, or which lane is stuck.
    pub async fn beat(&self) -> Result<(), String> {
        if self.task.is_finished() {
            return Err("it serves no more".to_owned());
        }
        if let Some(stuck) = self.lanes.stuck() {
            return Err(stuck);
        }
        let journal = self.guard.now().journal.clone();
        journal.turns().await.map_err(|error| error.to_string())
    }
}
