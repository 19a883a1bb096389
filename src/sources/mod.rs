//! I/O in: lookups, upstream credentials and roles, clock.

#![expect(
    clippy::disallowed_methods,
    reason = "this folder does I/O and may read the clock"
)]

pub mod api;
pub mod clock;
pub mod credentials;
pub mod keys;
pub mod lookup;
