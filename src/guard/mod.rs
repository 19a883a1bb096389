//! The judgement, pure: what a call would affect, what is known about it, what the policies say.
//!
//! INVARIANT: nothing here does I/O, reads a clock or knows tokio.

pub mod call;
pub mod keyring;
pub mod refusal;
