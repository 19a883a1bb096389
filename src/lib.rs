//! Palisade: a policy guard for AWS.
//!
//! A forwarding HTTPS proxy that understands every AWS API call that passes, asks Cedar policies whether it may happen,
//! signs what is allowed with credentials that the caller never holds, and records each decision before it acts on it.
//! This page is the map; [`pipeline`] is the story.
//!
//! # Words
//! - **Call**: one API call, understood ([`guard::call::Call`]). **Caller**: whose signature it carried.
//! - **Class** of an operation, exactly one, from the catalog ([`aws::class::Class`]). **Guarded**: every class but
//!   `read` and `write`, and those reads and writes that a service file or a policy asks for: parsed in full, looked up,
//!   rebuilt.
//! - **Target**: what a call names ([`guard::target::Target`]). **Resource**: a target with its **facts**, which lookups
//!   learnt ([`guard::facts::Facts`]).
//! - **Slice**: the policies that can apply to one action ([`guard::policies::Slice`]).
//! - **Session**: virtual keys that expire, with a sealed token that says whose they are and for which role
//!   ([`guard::keyring::Session`]). **Power**: what upstream credentials are for, work or an allowed guarded call
//!   ([`sources::credentials::Power`]).
//! - **Monitor**: what would have been refused goes on and is recorded so, by one policy or by the whole guard
//!   ([`guard::call::Mode`]).
//! - **Verdict**: what became of a call or a resource. **Refusal**: every reason for not forwarding, one enum
//!   ([`guard::refusal::Refusal`]). **Outcome**: what became of it at AWS.
//! - **Journal**: the durable record. **Catalog**: what AWS's service models say, compiled and embedded. **Keyring**:
//!   access key id → secret and caller. **Ruleset**: all that decisions are made by.
//!
//! # Folders, and what may happen inside
//! ```text
//! cli        one file per subcommand; anyhow lives only here
//! running    from a configuration to listeners, and back down in order
//! pipeline   the path of one request
//! ruleset    catalog, service files, policies and protected list, read together
//! admin      /metrics, /healthz, /readyz
//! sandbox    an embedded stand-in for AWS
//! config     the whole configuration, checked once
//! sources    I/O in: lookups, upstream credentials and roles, the clock, the keys in force
//! proxy      bytes: listen, connect, intercept, the certificate authority, the way out
//! journal    the durable record; log lines and metrics derive from it
//! state      the state folder: master key, key ledger, lock
//! guard      PURE: targets, facts, schema, policies, decide, refusal
//! aws        PURE: hosts, catalog, protocols, signatures, error shapes
//! ```
//! Imports point one way, downwards in this list; `tests/architecture.rs` holds that as a table. `aws` and `guard` know
//! no tokio, no hyper server or client, no clock and no file.
//!
//! # Invariants
//! - Allow is the only special state: every error, timeout and unknown is a [`Refusal`](guard::refusal::Refusal).
//! - What was judged is what is sent: a guarded call is rebuilt from its parsed form.
//! - [`Allowed`](guard::decide::Allowed) is made only by [`decide`](guard::decide::decide) and owns the request; a
//!   [`Receipt`](journal::Receipt) is made only by the journal, once the record is on disk; a guarded request is sent only
//!   with both.
//! - A guarded request is sent at most once. What fails after the send began is `unknown`, never tried again.
//! - Failure is not absence: a tag is absent only if AWS answered about that very resource without it.
//! - A request meets one reading of the configuration, from its keys to the way out
//!   ([`InForce`](pipeline::InForce)).
//! - Nothing that works without the guard is handed out by it, unless a policy permits just that: `sts:AssumeRole` is
//!   answered here, tokens and presigned URLs are of class `credentials`, and AWS's words about the guard's own signature are
//!   withheld.
//! - An API host is never tunnelled, whatever the configuration says.

pub mod admin;
pub mod aws;
pub mod cli;
pub mod config;
pub mod guard;
pub mod journal;
pub mod pipeline;
pub mod proxy;
pub mod ruleset;
pub mod running;
pub mod sandbox;
pub mod sources;
pub mod state;
