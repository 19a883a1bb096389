//! I/O in: lookups, upstream credentials, clock.

#![expect(
    clippy::disallowed_methods,
    reason = "this folder does I/O and may read the clock"
)]

pub mod clock;
pub mod credentials;
pub mod keys;
pub mod lookup;
