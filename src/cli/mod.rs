//! The subcommands, one file each: arguments in, text for people or programs out.

pub mod catalog;
