//! What the guard holds in memory: idle, after it has read thirty services of the catalog, and for each connection that
//! is intercepted and idle.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::aims::Aim;
use crate::calls::Call;
use crate::client::Client;
use crate::palisade::call_services;
use crate::peer::{Kind, Peer};
use crate::process::{Resident, resident};
use crate::rows::HUNDRED;
use crate::signed::Signed;
use crate::tls::{self, HTTP_1};
use crate::turns::Rig;

pub const NAME: &str = "memory";
/// How many connections are opened.
pub const CONNECTIONS: usize = 5_000;
/// How many of them are opened at a time.
const AT_A_TIME: usize = 32;
/// Sockets of the rig and of the guard beside those connections.
const OTHER_FILES: u64 = 200;
/// The longest that the guard rests before it's looked at.
const REST: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Serialize)]
pub struct Memory {
    /// After the start: the catalog of all services is there, none has been asked for.
    pub idle: Resident,
    /// After a call to each of thirty services.
    pub services: Resident,
    pub connections: usize,
    /// With so many connections idle after one call each.
    pub connected: Resident,
}

impl Memory {
    pub fn per_connection_kib(&self) -> f64 {
        let more = self.connected.all.saturating_sub(self.services.all);
        more as f64 / 1024.0 / self.connections as f64
    }

    pub fn aims(&self) -> Vec<Aim> {
        let mb = |resident: Resident| Some(resident.all as f64 / 1e6);
        vec![
            Aim::at_most(
                NAME,
                "idle, no service asked for yet",
                48.0,
                "MB",
                mb(self.idle),
            ),
            Aim::at_most(
                NAME,
                "idle, thirty services asked for",
                48.0,
                "MB",
                mb(self.services),
            ),
            Aim::at_most(
                NAME,
                "an intercepted connection, idle",
                40.0,
                "KiB",
                Some(self.per_connection_kib()),
            ),
        ]
    }
}

/// Lets this process, and those that it starts, open as many files as they may.
pub fn raise_limit_of_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// Measures a guard of its own.
pub fn run(rig: &mut Rig, wanted: usize) -> Result<Memory> {
    let possible = getrlimit(Resource::Nofile)
        .maximum
        .map_or(u64::MAX, |most| most.saturating_sub(OTHER_FILES));
    let connections = wanted.min(usize::try_from(possible).unwrap_or(usize::MAX));
    if connections < wanted {
        eprintln!("memory: no more than {connections} connections: the limit of open files");
    }
    eprint!("\r{:<70}", "memory");
    let peer = rig.start(Kind::Palisade, &HUNDRED)?;
    let id = peer.id().unwrap_or_default();
    let rest = REST.min(rig.pace.measured);
    let look = || {
        thread::sleep(rest);
        resident(id)
    };
    let idle = look()?;
    call_services(&peer)?;
    let services = look()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let open = runtime.block_on(open(&peer, connections))?;
    ensure!(
        open.len() == connections,
        "some connections were not opened"
    );
    let connected = look()?;
    drop(open);
    eprint!("\r{:70}\r", "");
    Ok(Memory {
        idle,
        services,
        connections,
        connected,
    })
}

/// Connections that have each made a call.
async fn open(peer: &Peer, connections: usize) -> Result<Vec<Client>> {
    let tls = tls::client(&peer.roots, HTTP_1)?;
    let door = Arc::new(peer.door.clone());
    let signed = Signed::new(&Call::unguarded(), &peer.key, SystemTime::now())?;
    let at_a_time = Arc::new(Semaphore::new(AT_A_TIME));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (tls, door, signed) = (Arc::clone(&tls), Arc::clone(&door), signed.clone());
        let turn = Arc::clone(&at_a_time).acquire_owned().await?;
        tasks.spawn(async move {
            let mut client = Client::open(&door, &tls).await?;
            client.call(&signed.whole).await?;
            drop(turn);
            anyhow::Ok(client)
        });
    }
    let mut open = Vec::with_capacity(connections);
    while let Some(done) = tasks.join_next().await {
        open.push(done??);
    }
    Ok(open)
}
