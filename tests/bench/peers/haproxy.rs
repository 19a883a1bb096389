//! HAProxy as a plain relay: TLS in, TLS out, connections kept and shared on both sides, no logs, no policy. What it
//! does is close to the least that a proxy which reads HTTP can do.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result};

use crate::calls::HOST;
use crate::client::Door;
use crate::peer::{Ground, Kind, Peer, free_port, local};

pub fn start(ground: &Ground, folder: PathBuf) -> Result<Peer> {
    let program = ground
        .programs
        .haproxy
        .as_ref()
        .context("no HAProxy: name its program by --haproxy")?;
    let address = local(free_port()?);
    let configuration = folder.join("haproxy.cfg");
    let text = format!(
        "global\n\
         \x20   nbthread {threads}\n\
         \x20   maxconn 4000\n\
         \x20   tune.ssl.cachesize 0\n\
         \x20   ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets\n\
         \x20   ssl-default-server-options ssl-min-ver TLSv1.2\n\
         defaults\n\
         \x20   mode http\n\
         \x20   timeout connect 5s\n\
         \x20   timeout client 120s\n\
         \x20   timeout server 120s\n\
         \x20   option http-keep-alive\n\
         \x20   http-reuse always\n\
         frontend in\n\
         \x20   bind {address} ssl crt {leaf} alpn h2,http/1.1 curves X25519\n\
         \x20   default_backend out\n\
         backend out\n\
         \x20   server origin 127.0.0.1:{port} ssl verify required ca-file {ca} sni str(localhost) \
         check-sni localhost verifyhost localhost alpn http/1.1 pool-max-conn -1\n",
        threads = thread::available_parallelism()?,
        leaf = ground.files.leaf.display(),
        port = ground.ports.plain,
        ca = ground.files.ca.display(),
    );
    fs::write(&configuration, text)?;
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(&configuration);
    let door = Door {
        address,
        connect: None,
        name: HOST.to_owned(),
    };
    Peer::of(Kind::Haproxy, &mut command, door, ground, folder)
}
