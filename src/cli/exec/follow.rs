//! Reads along in the journal of a guard that another process runs: from where it ends now on.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::journal::event::Event;

/// Where in the journal we are.
#[derive(Debug)]
pub(super) struct Follow {
    folder: PathBuf,
    /// The segment that is being read, and how far; `None` before the first one is there.
    at: Option<(PathBuf, u64)>,
}

impl Follow {
    /// Begins behind what is written.
    pub(super) fn from_end(folder: &Path) -> io::Result<Self> {
        let at = match segments(folder)?.pop() {
            Some(last) => {
                let bytes = std::fs::metadata(&last)?.len();
                Some((last, bytes))
            }
            None => None,
        };
        Ok(Self {
            folder: folder.to_owned(),
            at,
        })
    }

    /// Shows every record that was written since the last time. A line that isn't whole yet waits for the next time.
    pub(super) fn read(&mut self, mut see: impl FnMut(&Event)) -> io::Result<()> {
        let all = segments(&self.folder)?;
        let from = self.at.as_ref().map(|(path, _)| path.clone());
        let left = all
            .into_iter()
            .filter(|path| from.as_ref().is_none_or(|from| path >= from));
        for path in left {
            let begin = match &self.at {
                Some((at, offset)) if *at == path => *offset,
                Some(_) | None => 0,
            };
            let end = lines(&path, begin, &mut see)?;
            self.at = Some((path, end));
        }
        Ok(())
    }
}

/// Reads whole lines from an offset on; where the last of them ends.
fn lines(path: &Path, begin: u64, see: &mut impl FnMut(&Event)) -> io::Result<u64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(begin))?;
    let mut reader = BufReader::new(file);
    let (mut end, mut line) = (begin, Vec::new());
    loop {
        line.clear();
        let bytes = reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok(end);
        }
        end = end.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if let Ok(event) = serde_json::from_slice(&line) {
            see(&event);
        }
    }
}

/// The segments there are, in order: their names begin with their number.
fn segments(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::{read, refused};
    use crate::journal::{Durability, Journal, Options, Record};

    fn seen(follow: &mut Follow) -> Vec<String> {
        let mut seen = Vec::new();
        let read = follow.read(|event| seen.push(event.action()));
        read.unwrap();
        seen
    }

    #[tokio::test]
    async fn what_is_written_from_now_on_is_seen_once_over_all_segments() {
        let folder = tempfile::tempdir().unwrap();
        let mut early = Follow::from_end(folder.path()).unwrap();
        let options = Options {
            durability: Durability::Written,
            segment_bytes_max: 3000,
            ..Options::default()
        };
        let (journal, _) = Journal::open(folder.path(), options).unwrap();
        let write = async |record: Record| {
            let _receipt = journal.append(record).await.unwrap();
        };
        write(refused(1)).await;
        let mut follow = Follow::from_end(folder.path()).unwrap();
        assert!(seen(&mut follow).is_empty());
        for n in 0..8 {
            write(read(n)).await;
        }
        assert_eq!(seen(&mut follow), ["workspaces:DescribeWorkspaces"; 8]);
        assert!(seen(&mut follow).is_empty());
        write(refused(2)).await;
        assert_eq!(seen(&mut follow), ["workspaces:TerminateWorkspaces"]);
        assert_eq!(seen(&mut early).len(), 10);
        journal.close().await.unwrap();
    }
}
