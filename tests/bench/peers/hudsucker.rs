//! hudsucker, the Rust library for intercepting proxies, without a handler: `hudsucker/` makes a program of it. It knows
//! no way to send elsewhere what is for one host, so that CONNECT names the origin itself.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::peer::{Ground, Kind, Peer, free_port, local, to_origin};

pub fn start(ground: &Ground, folder: PathBuf) -> Result<Peer> {
    let program = ground
        .programs
        .hudsucker
        .as_ref()
        .context("no hudsucker: name its program by --hudsucker")?;
    let address = local(free_port()?);
    let mut command = Command::new(program);
    command
        .arg(address.to_string())
        .arg(&ground.files.ca)
        .arg(&ground.files.ca_key);
    let door = to_origin(address, ground);
    Peer::of(Kind::Hudsucker, &mut command, door, ground, folder)
}
