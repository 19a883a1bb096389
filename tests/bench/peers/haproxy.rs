//! HAProxy as a plain relay: TLS in, TLS out, connections kept and shared on both sides, no logs, no policy. What it
//! does is close to the least that a proxy which reads HTTP can do.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result};

use crate::calls::HOST;
use crate::certificates;
use crate::client::Door;
use crate::peer::{Ground, Kind, Peer, free_port, listens, local};
use crate::process::Process;
use crate::signed::Key;

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
    let log = folder.join("log");
    let out = File::create(&log)?;
    let mut command = Command::new(program);
    command
        .arg("-db")
        .arg("-f")
        .arg(&configuration)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out);
    let mut process = Process::start(&mut command)?;
    listens(&mut process, "HAProxy", address, &log)?;
    Ok(Peer {
        kind: Kind::Haproxy,
        door: Door {
            address,
            connect: None,
            name: HOST.to_owned(),
        },
        key: Key::any(),
        roots: certificates::read(&ground.files.ca)?,
        process: Some(process),
        folder,
    })
}
