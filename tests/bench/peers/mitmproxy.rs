//! mitmproxy's mitmdump, quiet and without an addon, as an intercepting proxy. CONNECT names the origin itself.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::peer::{Ground, Kind, Peer, free_port, local, to_origin};

pub fn start(ground: &Ground, folder: PathBuf) -> Result<Peer> {
    let program = ground
        .programs
        .mitmproxy
        .as_ref()
        .context("no mitmproxy: name its program by --mitmproxy")?;
    let address = local(free_port()?);
    // Its authority: the key, then the certificate.
    let authority =
        fs::read_to_string(&ground.files.ca_key)? + &fs::read_to_string(&ground.files.ca)?;
    fs::write(folder.join("mitmproxy-ca.pem"), authority)?;
    let set = |name: &str, value: String| ["--set".to_owned(), format!("{name}={value}")];
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", &folder)
        .args(["--quiet", "--listen-host", "127.0.0.1", "--listen-port"])
        .arg(address.port().to_string())
        .args(set("confdir", folder.display().to_string()))
        .args(set(
            "ssl_verify_upstream_trusted_ca",
            ground.files.ca.display().to_string(),
        ))
        .args(set("flow_detail", "0".to_owned()));
    let door = to_origin(address, ground);
    Peer::of(Kind::Mitmproxy, &mut command, door, ground, folder)
}
