//! Notices that a file of the configuration has changed.
//!
//! Files are looked at, not subscribed to: that works on every file system, through symbolic links, and where an
//! orchestrator swaps a whole folder. A change counts once the files have stayed as they are from one look to the next,
//! so that a set that is being copied isn't read half-way.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{ClientCertificates, Config, OwnCertificate};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_millis(500);

/// Watches the files that a configuration names, and its own.
#[derive(Debug)]
pub struct Watcher {
    watched: Vec<PathBuf>,
    applied: Look,
    last: Look,
}

/// What tells one version of a set of files from another.
type Look = Vec<(PathBuf, Option<Stamp>)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watcher {
    /// Watches from now on.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let watched = paths(config);
        let look = look(&watched);
        Self {
            watched,
            applied: look.clone(),
            last: look,
        }
    }

    /// Comes back once the files have changed since the last time, and have come to rest. May be dropped and asked
    /// again.
    pub async fn changed(&mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let now = look(&self.watched);
            let rests = now == self.last;
            self.last = now;
            if rests && self.last != self.applied {
                self.applied.clone_from(&self.last);
                return;
            }
        }
    }

    /// Watches what this configuration names instead.
    pub fn follow(&mut self, config: &Config) {
        let watched = paths(config);
        if watched != self.watched {
            *self = Self::new(config);
        }
    }
}

fn paths(config: &Config) -> Vec<PathBuf> {
    let named = [
        &config.file,
        &config.policies,
        &config.protected,
        &config.services,
        &config.catalog,
        &config.upstream.ca_file,
    ];
    let of_tls = config.listener.tls.iter().flat_map(|tls| {
        let own = match &tls.certificate {
            OwnCertificate::Files { chain, key } => vec![chain, key],
            OwnCertificate::Minted(_) => Vec::new(),
        };
        let clients = match &tls.clients {
            ClientCertificates::Optional(ca) | ClientCertificates::Required(ca) => Some(ca),
            ClientCertificates::None => None,
        };
        own.into_iter().chain(clients)
    });
    let named = named.into_iter().flatten().chain(of_tls);
    named.cloned().collect()
}

/// Each path, and where it is a folder, what is in it.
fn look(paths: &[PathBuf]) -> Look {
    let mut look = Vec::new();
    for path in paths {
        look.push((path.clone(), stamp(path)));
        let inside = std::fs::read_dir(path).into_iter().flatten().flatten();
        let mut inside: Vec<PathBuf> = inside.map(|entry| entry.path()).collect();
        inside.sort();
        look.extend(inside.into_iter().map(|path| {
            let stamp = stamp(&path);
            (path, stamp)
        }));
    }
    look
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        bytes: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}
