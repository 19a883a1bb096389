//! What is measured, one beside the other: the guard, and what people would use instead.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustls::pki_types::CertificateDer;

use crate::calls::HOST;
use crate::certificates::{self, Files};
use crate::client::Door;
use crate::origin::Ports;
use crate::palisade::{self, Setup};
use crate::process::Process;
use crate::signed::Key;
use crate::{haproxy, hudsucker, mitmproxy};

/// Who stands between the client and the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Kind {
    /// Nobody.
    Direct,
    /// A relay without a policy: TLS in, TLS out.
    Haproxy,
    /// A library that intercepts, as a program without a handler.
    Hudsucker,
    /// An intercepting proxy in Python.
    Mitmproxy,
    /// The guard.
    Palisade,
}

impl Kind {
    pub const ALL: [Self; 5] = [
        Self::Direct,
        Self::Haproxy,
        Self::Hudsucker,
        Self::Mitmproxy,
        Self::Palisade,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Haproxy => "haproxy",
            Self::Hudsucker => "hudsucker",
            Self::Mitmproxy => "mitmproxy",
            Self::Palisade => "palisade",
        }
    }
}

/// The programs of the peers; a peer without a program is skipped.
#[derive(Debug, Clone)]
pub struct Programs {
    pub palisade: PathBuf,
    pub haproxy: Option<PathBuf>,
    pub hudsucker: Option<PathBuf>,
    pub mitmproxy: Option<PathBuf>,
}

impl Programs {
    /// Whether this peer can be started.
    pub const fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Direct | Kind::Palisade => true,
            Kind::Haproxy => self.haproxy.is_some(),
            Kind::Hudsucker => self.hudsucker.is_some(),
            Kind::Mitmproxy => self.mitmproxy.is_some(),
        }
    }
}

/// What every peer needs to know.
#[derive(Debug)]
pub struct Ground {
    pub programs: Programs,
    pub files: Files,
    pub ports: Ports,
    /// Each peer has a folder of its own in here.
    pub folder: PathBuf,
}

/// A peer that runs and is listening.
#[derive(Debug)]
pub struct Peer {
    pub kind: Kind,
    pub door: Door,
    pub key: Key,
    /// The authorities that its certificates come from.
    pub roots: Vec<CertificateDer<'static>>,
    /// None where nobody stands between.
    pub process: Option<Process>,
    pub folder: PathBuf,
}

impl Peer {
    /// Starts it, in a new folder of that name, and waits until it listens.
    pub fn start(kind: Kind, ground: &Ground, setup: &Setup, name: &str) -> Result<Self> {
        let folder = ground.folder.join(format!("{name}-{}", kind.name()));
        std::fs::create_dir_all(&folder)?;
        match kind {
            Kind::Direct => Ok(Self {
                kind,
                door: Door {
                    address: local(ground.ports.both),
                    connect: None,
                    name: HOST.to_owned(),
                },
                key: Key::any(),
                roots: certificates::read(&ground.files.ca)?,
                process: None,
                folder,
            }),
            Kind::Haproxy => haproxy::start(ground, folder),
            Kind::Hudsucker => hudsucker::start(ground, folder),
            Kind::Mitmproxy => mitmproxy::start(ground, folder),
            Kind::Palisade => palisade::start(ground, setup, folder),
        }
    }

    /// Starts a program of others, and waits until it listens at its door; its log is in its folder.
    pub fn of(
        kind: Kind,
        command: &mut Command,
        door: Door,
        ground: &Ground,
        folder: PathBuf,
    ) -> Result<Self> {
        let log = folder.join("log");
        let out = File::create(&log)?;
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        let mut process = Process::start(command)?;
        listens(&mut process, kind.name(), door.address, &log)?;
        Ok(Self {
            kind,
            door,
            key: Key::any(),
            roots: certificates::read(&ground.files.ca)?,
            process: Some(process),
            folder,
        })
    }

    pub fn id(&self) -> Option<i32> {
        self.process.as_ref().map(Process::id)
    }
}

/// The door of a forward proxy that knows no way to send elsewhere what is for one host: CONNECT names the origin itself.
pub fn to_origin(address: SocketAddr, ground: &Ground) -> Door {
    Door {
        address,
        connect: Some(format!("localhost:{}", ground.ports.plain)),
        name: "localhost".to_owned(),
    }
}

pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A port that was free just now, for peers that can't tell which one the system gave them.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(local(0))?.local_addr()?.port())
}

/// Waits until the process listens there.
fn listens(process: &mut Process, name: &str, address: SocketAddr, log: &Path) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(30);
    while Instant::now() < until {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        process.check(name, log)?;
        thread::sleep(Duration::from_millis(20));
    }
    bail!("{name} doesn't listen at {address}")
}
