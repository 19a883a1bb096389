//! Palisade: a policy guard for AWS.

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
