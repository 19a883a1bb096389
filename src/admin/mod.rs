//! What a guard shows of itself: `/metrics`, `/healthz`, `/readyz`.

mod declare;
pub mod metrics;
pub mod readiness;
pub mod server;
mod tally;

pub use metrics::{Effect, KnowsAction, Metrics, MetricsError, ReloadOutcome, Vocabulary};
pub use readiness::{Condition, Readiness};
pub use server::Admin;
