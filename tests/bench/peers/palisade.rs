//! The guard, as it would stand before AWS: its own authority, a key of its own making, policies, a journal, metrics.
//! All that isn't what it would be in service is that the origin takes AWS's place.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::calls::{ACCOUNT, Call, HOST};
use crate::client::{Client, Door};
use crate::peer::{Ground, Kind, Peer};
use crate::policies::{self, Tenth};
use crate::process::Process;
use crate::signed::{Key, Signed};
use crate::tls::{self, HTTP_1};

/// How the guard is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Setup {
    pub tenth: Tenth,
    /// How many policies there are for other actions.
    pub others: usize,
    pub fsync: bool,
    /// Whether it has had a call of each of thirty services before.
    pub services: bool,
}

/// The variables that name what it signs with.
const CREDENTIALS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "ASIAORIGINOFTHEBENCH"),
    (
        "AWS_SECRET_ACCESS_KEY",
        "origin/Secret+OfTheBench0123456789abcdefg",
    ),
];

#[derive(Deserialize)]
struct Issued {
    access_key_id: String,
    secret_access_key: String,
}

#[derive(Deserialize)]
struct Addresses {
    pid: i32,
    listen: SocketAddr,
}

pub fn start(ground: &Ground, setup: &Setup, folder: PathBuf) -> Result<Peer> {
    let program = &ground.programs.palisade;
    policies::write(&folder.join("policies"), setup.tenth, setup.others)?;
    let configuration = folder.join("palisade.toml");
    let state = folder.join("state");
    let text = format!(
        "listen = \"127.0.0.1:0\"\n\
         admin = \"127.0.0.1:0\"\n\
         policies = \"policies\"\n\
         state_dir = \"state\"\n\
         [[caller]]\n\
         name = \"bench\"\n\
         groups = [\"deployers\"]\n\
         credentials = \"prod\"\n\
         [[caller]]\n\
         name = \"root\"\n\
         groups = [\"admins\"]\n\
         credentials = \"prod\"\n\
         [credentials.prod]\n\
         source = \"default\"\n\
         accounts = [\"{ACCOUNT}\"]\n\
         [journal]\n\
         fsync = {fsync}\n\
         [upstream]\n\
         dangerous_override = \"https://localhost:{port}\"\n\
         ca_file = \"{ca}\"\n",
        fsync = setup.fsync,
        port = ground.ports.plain,
        ca = ground.files.ca.display(),
    );
    fs::write(&configuration, text)?;
    let issued = ask(
        program,
        &folder,
        &configuration,
        &["keys", "new", "bench", "--json"],
    )?;
    let issued: Issued = serde_json::from_slice(&issued)?;
    let log = folder.join("log");
    let out = File::create(&log)?;
    let mut command = command(program, &folder, &configuration, &["serve"]);
    command.stdout(out.try_clone()?).stderr(out);
    let mut process = Process::start(&mut command)?.that_ends_in_order();
    let listen = addresses(&mut process, &state, &log)?;
    let ca = ask(program, &folder, &configuration, &["ca"])?;
    let peer = Peer {
        kind: Kind::Palisade,
        door: Door {
            address: listen,
            connect: Some(format!("{HOST}:443")),
            name: HOST.to_owned(),
        },
        key: Key {
            id: issued.access_key_id,
            secret: issued.secret_access_key,
        },
        roots: vec![CertificateDer::from_pem_slice(&ca)?],
        process: Some(process),
        folder,
    };
    if setup.services {
        call_services(&peer)?;
    }
    Ok(peer)
}

/// Makes a call of each of thirty services.
pub fn call_services(peer: &Peer) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tls = tls::client(&peer.roots, HTTP_1)?;
    for call in Call::services() {
        let door = Door {
            connect: Some(format!("{}:443", call.host)),
            name: call.host.clone(),
            ..peer.door.clone()
        };
        let signed = Signed::new(&call, &peer.key, SystemTime::now())?;
        runtime
            .block_on(async { Client::open(&door, &tls).await?.call(&signed.whole).await })
            .with_context(|| format!("a call to {}", call.host))?;
    }
    Ok(())
}

/// Of what surrounds the rig it gets nothing but where programs are.
fn command(program: &Path, folder: &Path, configuration: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", folder)
        // Its journal is what is measured; the peers log nothing either.
        .env("PALISADE_LOG", "warn")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(CREDENTIALS)
        .args(arguments)
        .arg("--config")
        .arg(configuration)
        .stdin(Stdio::null());
    command
}

fn ask(program: &Path, folder: &Path, configuration: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let done = command(program, folder, configuration, arguments)
        .output()
        .with_context(|| format!("`{}`", program.display()))?;
    ensure!(
        done.status.success(),
        "palisade {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(done.stdout)
}

fn addresses(process: &mut Process, state: &Path, log: &Path) -> Result<SocketAddr> {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        let run = fs::read(state.join("run.json")).unwrap_or_default();
        // It may be half written.
        if let Ok(addresses) = serde_json::from_slice::<Addresses>(&run)
            && addresses.pid == process.id()
        {
            return Ok(addresses.listen);
        }
        process.check("palisade", log)?;
        thread::sleep(Duration::from_millis(20));
    }
    bail!("palisade doesn't listen")
}
