//! AWS's wire, pure: hosts, operations, shapes, protocols, signatures, error shapes.
//!
//! INVARIANT: nothing here does I/O, reads a clock or knows tokio; time, randomness and
//! credentials are arguments.

pub mod answer;
pub mod arn;
pub mod catalog;
pub mod class;
pub mod endpoint;
pub mod event_stream;
pub mod head;
pub mod host;
pub mod iam;
pub mod nearest;
pub mod protocol;
pub mod role_keys;
pub mod sigv4;
mod text;
pub mod value;
