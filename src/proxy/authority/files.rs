//! The two files of the authority: made once and never overwritten, the key for its owner alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::AuthorityError;

/// The certificate's file name.
pub(super) const CERTIFICATE: &str = "ca.pem";
/// The key's file name.
pub(super) const KEY: &str = "ca.key";

/// Others and the group may write.
const WRITE: u32 = 0o022;
/// Others and the group may read, write or run.
const READ_OR_WRITE: u32 = 0o077;
const GROUP_READ: u32 = 0o040;
/// The user who may do anything to our files anyway.
const ROOT: u32 = 0;

/// More than any pair of ours is long.
const BYTES_MAX: u64 = 64 * 1024;

/// Makes the folder, for its owner alone; refuses one in which others could swap the files.
pub(super) fn prepare(folder: &Path) -> Result<(), AuthorityError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    for_owner_alone(&mut builder);
    builder.create(folder).map_err(|e| at(folder, e))?;
    let mode = mode(&fs::metadata(folder).map_err(|e| at(folder, e))?);
    if mode & 0o022 != 0 {
        return Err(AuthorityError::FolderExposed {
            path: folder.to_owned(),
            mode,
        });
    }
    Ok(())
}

/// Certificate and key as PEM; `None` if neither file is there.
pub(super) fn load(folder: &Path) -> Result<Option<(String, String)>, AuthorityError> {
    let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
    let half = |present: &Path, missing: &Path| AuthorityError::Half {
        present: present.to_owned(),
        missing: missing.to_owned(),
    };
    match (open(&certificate)?, open(&key)?) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(half(&certificate, &key)),
        (None, Some(_)) => Err(half(&key, &certificate)),
        (Some(pem), Some(secret)) => {
            let mode = mode(&secret.metadata().map_err(|e| at(&key, e))?);
            if mode & 0o077 != 0 {
                return Err(AuthorityError::Exposed { path: key, mode });
            }
            Ok(Some((text(pem, &certificate)?, text(secret, &key)?)))
        }
    }
}

/// Certificate and key as PEM, from a folder that somebody else may have put there for us. By symbolic links the files may
/// lie in another folder: an orchestrator swaps a secret so.
pub(super) fn load_shared(folder: &Path) -> Result<(String, String), AuthorityError> {
    let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
    check_given(folder, WRITE)?;
    let read = |path: &Path, others| {
        let file = open(path)?.ok_or_else(|| AuthorityError::SharedMissing(path.to_owned()))?;
        let real = path.canonicalize().map_err(|e| at(path, e))?;
        real.parent()
            .map_or(Ok(()), |inner| check_given(inner, WRITE))?;
        given(path, &file.metadata().map_err(|e| at(path, e))?, others)?;
        text(file, path)
    };
    Ok((read(&certificate, WRITE)?, read(&key, READ_OR_WRITE)?))
}

fn check_given(folder: &Path, others: u32) -> Result<(), AuthorityError> {
    let metadata = match fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(AuthorityError::SharedMissing(folder.to_owned()));
        }
        Err(e) => return Err(at(folder, e)),
    };
    // What the sticky bit is set on nobody swaps files in but their owners.
    if metadata.is_dir() && mode(&metadata) & 0o1000 != 0 {
        return given(folder, &metadata, 0);
    }
    given(folder, &metadata, others)
}

/// Checks that it is root's or ours, and what others may do with it.
fn given(path: &Path, metadata: &fs::Metadata, others: u32) -> Result<(), AuthorityError> {
    let (owner, mode) = (owner(metadata), mode(metadata));
    let ours = owner == ROOT || owner == rustix::process::geteuid().as_raw();
    // Root may give a file to a group of its choice; ours are for nobody else.
    let others = if owner == ROOT {
        others & !GROUP_READ
    } else {
        others
    };
    if ours && mode & others == 0 {
        return Ok(());
    }
    Err(AuthorityError::SharedExposed {
        path: path.to_owned(),
        owner,
        mode,
    })
}

/// Writes both files. Neither is ever overwritten: a file that appeared meanwhile is an error.
pub(super) fn create(folder: &Path, pem: &str, key: &str) -> Result<(), AuthorityError> {
    publish(folder, KEY, key)?;
    publish(folder, CERTIFICATE, pem)?;
    sync(folder)
}

/// Writes a file aside, then links it to its name, which fails if the name is taken.
fn publish(folder: &Path, name: &str, content: &str) -> Result<(), AuthorityError> {
    let path = folder.join(name);
    let aside = folder.join(format!(".{name}.{}", uuid::Uuid::now_v7().simple()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options);
    let written = options
        .open(&aside)
        .and_then(|mut file| {
            file.write_all(content.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::hard_link(&aside, &path))
        .map_err(|e| at(&path, e));
    let removed = fs::remove_file(&aside).map_err(|e| at(&aside, e));
    written.and(removed)
}

fn open(path: &Path) -> Result<Option<File>, AuthorityError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(at(path, e)),
    }
}

fn text(file: File, path: &Path) -> Result<String, AuthorityError> {
    let mut text = String::new();
    file.take(BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|e| at(path, e))?;
    Ok(text)
}

fn at(path: &Path, source: io::Error) -> AuthorityError {
    AuthorityError::Io {
        path: PathBuf::from(path),
        source,
    }
}

#[cfg(unix)]
fn for_owner_alone(builder: &mut DirBuilder) {
    use std::os::unix::fs::DirBuilderExt;
    builder.mode(0o700);
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

#[cfg(unix)]
fn mode(metadata: &fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o7777
}

#[cfg(unix)]
fn owner(metadata: &fs::Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt;
    metadata.uid()
}

#[cfg(unix)]
fn sync(folder: &Path) -> Result<(), AuthorityError> {
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(|e| at(folder, e))
}

// Elsewhere the folder's inherited access list decides; a user's own profile folder is closed to others.
#[cfg(not(unix))]
fn for_owner_alone(_: &mut DirBuilder) {}
#[cfg(not(unix))]
fn private(_: &mut OpenOptions) {}
#[cfg(not(unix))]
fn owner(_: &fs::Metadata) -> u32 {
    ROOT
}
#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> u32 {
    0o600
}
#[cfg(not(unix))]
fn sync(_: &Path) -> Result<(), AuthorityError> {
    Ok(())
}
