//! I/O in: lookups, upstream credentials, clock.
