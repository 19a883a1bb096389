//! The judgement, pure: what a call would affect, what is known about it, what the policies say.
//!
//! INVARIANT: nothing here does I/O, reads a clock or knows tokio.

pub mod answer;
pub mod assume;
pub mod call;
pub mod case;
pub mod decide;
mod entity;
pub mod facts;
pub mod fit;
pub mod keyring;
pub mod knowledge;
pub mod path;
pub mod policies;
pub mod presign;
pub mod protected;
pub mod question;
pub mod reads;
pub mod refusal;
pub mod release;
#[cfg(test)]
mod sample;
pub mod schema;
pub mod target;
pub mod time;
pub mod token;
