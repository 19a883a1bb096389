//! I/O in: lookups, upstream credentials, clock.

pub mod clock;
pub mod credentials;
pub mod keys;
pub mod lookup;
