//! hudsucker, the Rust library for intercepting proxies, without a handler: `hudsucker/` makes a program of it. It knows
//! no way to send elsewhere what is for one host, so that CONNECT names the origin itself.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::certificates;
use crate::client::Door;
use crate::peer::{Ground, Kind, Peer, free_port, listens, local};
use crate::process::Process;
use crate::signed::Key;

pub fn start(ground: &Ground, folder: PathBuf) -> Result<Peer> {
    let program = ground
        .programs
        .hudsucker
        .as_ref()
        .context("no hudsucker: name its program by --hudsucker")?;
    let address = local(free_port()?);
    let log = folder.join("log");
    let out = File::create(&log)?;
    let mut command = Command::new(program);
    command
        .arg(address.to_string())
        .arg(&ground.files.ca)
        .arg(&ground.files.ca_key)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out);
    let mut process = Process::start(&mut command)?;
    listens(&mut process, "hudsucker", address, &log)?;
    Ok(Peer {
        kind: Kind::Hudsucker,
        door: Door {
            address,
            connect: Some(format!("localhost:{}", ground.ports.plain)),
            name: "localhost".to_owned(),
        },
        key: Key::any(),
        roots: certificates::read(&ground.files.ca)?,
        process: Some(process),
        folder,
    })
}
