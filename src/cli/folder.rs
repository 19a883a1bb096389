//! A folder of a command's own: for its owner alone, gone with the command.

use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use uuid::Uuid;

/// A folder below the system's temporary one; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes one whose name begins so.
    pub(super) fn make(name: &str) -> anyhow::Result<Self> {
        let id: String = Uuid::now_v7().simple().to_string();
        let random = id.get(20..).unwrap_or(&id);
        let path = std::env::temp_dir().join(format!("{name}-{random}"));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| {
            format!(
                "`{}` can't be made: set TMPDIR to a folder that you may write to",
                path.display()
            )
        })?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be taken away stays for the system's own tidying of temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Writes a file that its owner alone may read, in the place of one that is there.
pub(super) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        let fresh = path.with_extension("new");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(text.as_bytes())?;
        std::fs::rename(&fresh, path)
    };
    write().with_context(|| format!("`{}` can't be written", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_folder_is_its_owners_and_goes() {
        let folder = Folder::make("palisade-test").unwrap();
        let path = folder.path().to_owned();
        assert_eq!(mode(&path), 0o700);
        let file = path.join("a.pem");
        for text in ["one", "two"] {
            write_private(&file, text).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
            assert_eq!(mode(&file), 0o600);
        }
        drop(folder);
        assert!(!path.exists());
    }
}
