//! The subcommands, one file each.

pub mod journal;
pub mod table;
