use std::sync::atomic::Ordering;

use super::append::Heard;
use super::*;

fn fail(count: &std::sync::atomic::AtomicU32, times: u32) {
    count.store(times, Ordering::SeqCst);
}

async fn until_written(journal: &Journal, sequence: u64) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while journal.status().sequence() < sequence {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
}

async fn until_sound(journal: &Journal) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while journal.status().is_failing() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_full_disk_is_said_and_leaves_no_half_line() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), Options::default()).unwrap();
    let _first = journal.append(refused(1)).await.unwrap();
    let good = fs::read(&files(dir.path())[0]).unwrap();
    fail(&journal.faults.writes, 1);
    let error = journal.append(refused(2)).await.unwrap_err();
    assert!(matches!(error, JournalError::DiskFull(_)), "{error:?}");
    assert!(error.is_lasting());
    assert!(matches!(
        journal.status().failure(),
        Some(JournalError::DiskFull(_))
    ));
    assert_eq!(fs::read(&files(dir.path())[0]).unwrap(), good);
    // The next one tries again, after the record that says since when it failed.
    let receipt = journal.append(refused(3)).await.unwrap();
    assert_eq!(receipt.sequence(), 3);
    assert!(!journal.status().is_failing());
    journal.close().await.unwrap();
    assert_eq!(sound(dir.path()).records, 3);
    let events: Vec<Value> = lines(dir.path())
        .iter()
        .map(|l| l["unmapped"]["palisade"]["event"].clone())
        .collect();
    assert_eq!(events, [Value::Null, json!("journal_failed"), Value::Null]);
}

#[tokio::test]
async fn a_failing_journal_heals_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), Options::default()).unwrap();
    fail(&journal.faults.writes, 1);
    let _error = journal.append(refused(1)).await.unwrap_err();
    let error = journal.append_later(read(2)).unwrap_err();
    assert!(matches!(error, JournalError::DiskFull(_)), "{error:?}");
    until_sound(&journal).await;
    journal.append_later(read(3)).unwrap();
    journal.close().await.unwrap();
    assert_eq!(sound(dir.path()).records, 2);
}

#[tokio::test]
async fn what_nobody_waits_for_is_kept_until_it_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), Options::default()).unwrap();
    fail(&journal.faults.writes, 1);
    journal.append_later(read(1)).unwrap();
    until_written(&journal, 2).await;
    journal.close().await.unwrap();
    let first = &lines(dir.path())[0];
    assert_eq!(
        first["metadata"]["correlation_uid"],
        Uuid::from_u128(1).to_string()
    );
    sound(dir.path());
}

#[tokio::test]
async fn the_observer_hears_once_of_what_nobody_waits_for_even_if_it_is_written_at_the_second_try()
{
    let dir = tempfile::tempdir().unwrap();
    let heard = Arc::new(Heard::default());
    let (journal, _) = Journal::open_observed(
        dir.path(),
        Options::default(),
        Some(Arc::clone(&heard) as _),
    )
    .unwrap();
    journal.append_later(read(1)).unwrap();
    assert_eq!(heard.sorted(), [Some(1)]);
    let _written = journal.append(refused(2)).await.unwrap();
    fail(&journal.faults.writes, 1);
    journal.append_later(read(3)).unwrap();
    until_written(&journal, 4).await;
    journal.close().await.unwrap();
    // The fourth says that the journal failed, and is of no decision.
    assert_eq!(heard.sorted(), [None, Some(1), Some(2), Some(3)]);
    assert_eq!(sound(dir.path()).records, 4);
}

#[tokio::test]
async fn after_a_failed_sync_the_segment_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), Options::default()).unwrap();
    let _first = journal.append(refused(1)).await.unwrap();
    let good = fs::read(&files(dir.path())[0]).unwrap();
    fail(&journal.faults.syncs, 1);
    let error = journal.append(refused(2)).await.unwrap_err();
    assert!(matches!(error, JournalError::Io { doing: "sync", .. }));
    let _third = journal.append(refused(3)).await.unwrap();
    journal.close().await.unwrap();
    let files = files(dir.path());
    assert_eq!(files.len(), 2);
    assert_eq!(fs::read(&files[0]).unwrap(), good);
    assert_eq!(sound(dir.path()).records, 3);
}

#[tokio::test]
async fn a_failed_sync_of_a_segments_first_line_frees_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), Options::default()).unwrap();
    fail(&journal.faults.syncs, 1);
    let _error = journal.append(refused(1)).await.unwrap_err();
    let _second = journal.append(refused(2)).await.unwrap();
    journal.close().await.unwrap();
    assert_eq!(sound(dir.path()).records, 2);
}

#[tokio::test]
async fn nothing_is_written_until_the_failed_batch_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), Options::default()).unwrap();
    let _first = journal.append(refused(1)).await.unwrap();
    fail(&journal.faults.writes, 1);
    fail(&journal.faults.rewinds, 2);
    let _full = journal.append(refused(2)).await.unwrap_err();
    let error = journal.append(refused(3)).await.unwrap_err();
    assert!(
        matches!(
            error,
            JournalError::Io {
                doing: "truncate",
                ..
            }
        ),
        "{error:?}"
    );
    let _fourth = journal.append(refused(4)).await.unwrap();
    journal.close().await.unwrap();
    assert_eq!(sequences(dir.path()), [1, 2, 3]);
    sound(dir.path());
}

#[tokio::test]
async fn every_waiter_of_a_failed_batch_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), Options::default()).unwrap();
    fail(&journal.faults.syncs, u32::MAX);
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.append(refused(n)).await })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().is_err());
    }
    fail(&journal.faults.syncs, 0);
    let _receipt = journal.append(refused(50)).await.unwrap();
    journal.close().await.unwrap();
    assert_eq!(sound(dir.path()).records, 2);
}

#[tokio::test]
async fn a_folder_that_went_away_fails_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, aside) = (dir.path().join("journal"), dir.path().join("aside"));
    let (journal, _) = Journal::open(&folder, small()).unwrap();
    let mut n = 0;
    while files(&folder).len() < 2 {
        n += 1;
        let _receipt = journal.append(refused(n)).await.unwrap();
    }
    fs::rename(&folder, &aside).unwrap();
    // The open segment can still be written to, the next can't be made.
    let error = loop {
        n += 1;
        if let Err(error) = journal.append(refused(n)).await {
            break error;
        }
    };
    assert!(matches!(
        error,
        JournalError::Io {
            doing: "create",
            ..
        }
    ));
    fs::rename(&aside, &folder).unwrap();
    let _receipt = journal.append(refused(0)).await.unwrap();
    journal.close().await.unwrap();
    sound(&folder);
}

#[tokio::test]
async fn closing_a_journal_that_fails_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let heard = Arc::new(Heard::default());
    let observer = Some(Arc::clone(&heard) as _);
    let (journal, _) = Journal::open_observed(dir.path(), Options::default(), observer).unwrap();
    fail(&journal.faults.writes, u32::MAX);
    journal.append_later(read(1)).unwrap();
    let error = journal.close().await.unwrap_err();
    assert!(matches!(error, JournalError::DiskFull(_)), "{error:?}");
    // What it was told of and could not be written is lost, as the log says: the second one is that it failed.
    assert_eq!(heard.sorted(), [None, Some(1)]);
}
