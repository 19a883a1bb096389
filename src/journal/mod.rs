//! The durable record: JSON lines, hash-chained, in segments.
//!
//! INVARIANT: a [`Receipt`] exists only for a record that is on disk. The lines of all segments, in order, are one
//! chain with sequence numbers from 1 and no gap; a torn line is never taken away, a later line accounts for it.

#![expect(
    clippy::disallowed_methods,
    reason = "this folder does I/O and may read the clock"
)]

mod bound;
pub mod chain;
mod draft;
pub mod error;
pub mod event;
mod fill;
mod handle;
mod id;
mod inbox;
mod json;
pub mod json_text;
mod ledger;
mod log;
mod read;
pub mod record;
mod recover;
mod redact;
mod segments;
mod status;
pub mod verify;
mod writer;

pub use chain::Link;
pub use error::JournalError;
pub use event::Phase;
pub use handle::{Journal, Observe, Options, Receipt};
pub use id::uuid_at;
pub use read::visit;
pub use record::{
    Decision, Happened, Judgement, Lifecycle, OutcomeRecord, Pending, Record, Refused, Resource,
    Tunnel,
};
pub use recover::Recovery;
pub use redact::redact;
pub use segments::Durability;
pub use status::Status;
pub use verify::{Verification, verify};

#[cfg(test)]
pub(crate) mod tests;
