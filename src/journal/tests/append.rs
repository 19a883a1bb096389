use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use super::*;

#[tokio::test]
async fn a_receipt_names_the_decision_and_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, recovery) = Journal::open(dir.path(), Options::default()).unwrap();
    assert!(recovery.records.is_empty());
    let first = journal.append(refused(1)).await.unwrap();
    let second = journal.append(refused(2)).await.unwrap();
    assert_eq!((first.sequence(), second.sequence()), (1, 2));
    assert_eq!(second.decision_id(), Some(DecisionId(Uuid::from_u128(2))));
    assert_eq!(lines(dir.path()).len(), 2, "durable before it's answered");
    assert_eq!(journal.status().sequence(), 2);
}

#[tokio::test]
async fn the_first_line_carries_zeros_and_each_later_one_the_hash_before() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), unsynced(), &[refused(1), refused(2)]).await;
    let text = fs::read_to_string(dir.path().join("00000000000000000001.jsonl")).unwrap();
    let (first, second) = text.trim_end().split_once('\n').unwrap();
    let previous = |line: &str| -> String {
        let line: Value = serde_json::from_str(line).unwrap();
        line["unmapped"]["palisade"]["previous"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(previous(first), "0".repeat(64));
    assert_eq!(previous(second), Link::of(first.as_bytes()).to_string());
}

#[tokio::test]
async fn files_and_folder_are_the_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state/journal");
    written(&folder, unsynced(), &[refused(1)]).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&files(&folder)[0]), 0o600);
}

#[tokio::test]
async fn a_full_segment_is_followed_by_one_named_by_its_first_line() {
    let dir = tempfile::tempdir().unwrap();
    let records: Vec<Record> = (1..=7).map(refused).collect();
    written(dir.path(), small(), &records).await;
    let named = segments::list(dir.path()).unwrap();
    assert!(named.len() > 2, "{named:?}");
    assert_eq!(sound(dir.path()).records, 7);
    for segment in named {
        let text = fs::read_to_string(&segment.path).unwrap();
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["metadata"]["sequence"], segment.first);
    }
}

/// Holds the thread that writes up, for as long as it's locked.
#[derive(Default)]
struct Held(std::sync::Mutex<()>);

impl crate::journal::Observe for Held {
    fn recorded(&self, _: &Record) {
        drop(self.0.lock().unwrap());
    }

    fn appended(&self, _: std::time::Duration) {}
}

#[expect(
    clippy::await_holding_lock,
    reason = "it holds the journal's own thread up, and nobody else takes it"
)]
#[tokio::test]
async fn many_at_once_make_one_chain_with_fewer_syncs() {
    let dir = tempfile::tempdir().unwrap();
    let held = Arc::new(Held::default());
    let observer = Some(Arc::clone(&held) as _);
    let (journal, _) = Journal::open_observed(dir.path(), Options::default(), observer).unwrap();
    let lock = held.0.lock().unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.append(refused(n)).await.unwrap().sequence() })
        })
        .collect();
    // Each runs until it waits for the disk, and the first one's batch is held up. The runtime takes some sixty at a turn.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    drop(lock);
    let mut places = Vec::new();
    for task in tasks {
        places.push(task.await.unwrap());
    }
    places.sort_unstable();
    assert_eq!(places, (1..=200).collect::<Vec<u64>>());
    let batches = journal.status().batches();
    assert!(batches <= 3, "{batches}");
    journal.close().await.unwrap();
    assert_eq!(sound(dir.path()).records, 200);
}

#[tokio::test]
async fn what_is_queued_comes_before_what_is_appended_after() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), unsynced()).unwrap();
    for n in 0..20 {
        journal.append_later(read(n)).unwrap();
    }
    let receipt = journal.append(refused(20)).await.unwrap();
    assert_eq!(receipt.sequence(), 21);
    let ids: Vec<Value> = lines(dir.path())
        .iter()
        .map(|l| l["metadata"]["correlation_uid"].clone())
        .collect();
    let expected: Vec<Value> = (0..=20)
        .map(|n| json!(Uuid::from_u128(n).to_string()))
        .collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn what_is_queued_is_written_when_the_journal_closes() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), unsynced()).unwrap();
    journal.append_later(read(1)).unwrap();
    journal.close().await.unwrap();
    assert_eq!(sound(dir.path()).records, 1);
    let error = journal.append(read(2)).await.unwrap_err();
    assert!(matches!(error, JournalError::Closed), "{error:?}");
}

#[tokio::test]
async fn a_full_queue_refuses_what_would_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        queue_bytes_max: 4096,
        ..Options::default()
    };
    let (journal, _) = Journal::open(dir.path(), options).unwrap();
    // The queue holds two; writing takes longer than queueing.
    let overloaded = (0..10_000)
        .filter_map(|n| journal.append_later(read(n)).err())
        .next()
        .unwrap();
    assert!(matches!(overloaded, JournalError::Overloaded));
    assert!(!overloaded.is_lasting());
    let _waited_for_its_turn = journal.append(refused(1)).await.unwrap();
    journal.close().await.unwrap();
    sound(dir.path());
}

#[tokio::test]
async fn a_line_that_no_reader_would_take_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), unsynced()).unwrap();
    let mut record = refused(1);
    record.event.unmapped.palisade.groups = vec!["x".repeat(9_000_000)];
    let error = journal.append(record).await.unwrap_err();
    assert!(matches!(error, JournalError::TooLarge { .. }), "{error:?}");
    let _receipt = journal.append(refused(2)).await.unwrap();
}

#[tokio::test]
async fn one_guard_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), unsynced()).unwrap();
    let error = Journal::open(dir.path(), unsynced()).unwrap_err();
    assert!(matches!(error, JournalError::Locked(_)), "{error:?}");
    assert!(verify(dir.path()).unwrap().running);
    journal.close().await.unwrap();
    assert!(!verify(dir.path()).unwrap().running);
    let _again = Journal::open(dir.path(), unsynced()).unwrap();
}

#[derive(Default)]
struct Seen(Mutex<Vec<u64>>);

impl Observe for Seen {
    fn recorded(&self, record: &Record) {
        let sequence = record.event().metadata.sequence;
        self.0.lock().unwrap().push(sequence);
    }

    fn appended(&self, _: Duration) {}
}

#[tokio::test]
async fn the_observer_hears_of_each_record_in_order_before_the_waiter() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), unsynced(), &[allowed(1)]).await;
    let seen = Arc::new(Seen::default());
    let (journal, _) =
        Journal::open_observed(dir.path(), unsynced(), Some(Arc::clone(&seen) as _)).unwrap();
    for n in 2..10 {
        let receipt = journal.append(refused(n)).await.unwrap();
        assert_eq!(seen.0.lock().unwrap().last(), Some(&receipt.sequence()));
    }
    assert_eq!(*seen.0.lock().unwrap(), (2..=10).collect::<Vec<u64>>());
}

/// How often it heard of which decision.
#[derive(Default)]
pub(super) struct Heard(Mutex<Vec<Option<DecisionId>>>);

impl Heard {
    /// In no order.
    pub(super) fn sorted(&self) -> Vec<Option<u128>> {
        let heard = self.0.lock().unwrap();
        let mut ids: Vec<_> = heard.iter().map(|id| id.map(|id| id.0.as_u128())).collect();
        ids.sort_unstable();
        ids
    }
}

impl Observe for Heard {
    fn recorded(&self, record: &Record) {
        let decision = record.event().unmapped.palisade.decision_id;
        self.0.lock().unwrap().push(decision);
    }

    fn appended(&self, _: Duration) {}
}

#[tokio::test]
async fn the_observer_does_not_hear_of_what_is_not_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let heard = Arc::new(Heard::default());
    let (journal, _) =
        Journal::open_observed(dir.path(), unsynced(), Some(Arc::clone(&heard) as _)).unwrap();
    journal.close().await.unwrap();
    let error = journal.append_later(read(1)).unwrap_err();
    assert!(matches!(error, JournalError::Closed), "{error:?}");
    assert_eq!(heard.sorted(), []);
}

#[expect(
    clippy::await_holding_lock,
    reason = "what is awaited is that somebody else waits for the lock"
)]
#[tokio::test]
async fn a_journal_turns_while_it_fails_and_not_where_its_thread_is_held_up_or_gone() {
    let dir = tempfile::tempdir().unwrap();
    let held = Arc::new(Held::default());
    let (journal, _) =
        Journal::open_observed(dir.path(), unsynced(), Some(Arc::clone(&held) as _)).unwrap();
    journal.turns().await.unwrap();
    journal
        .faults
        .writes
        .store(u32::MAX, std::sync::atomic::Ordering::SeqCst);
    journal.append(refused(1)).await.unwrap_err();
    journal.turns().await.unwrap();
    journal
        .faults
        .writes
        .store(0, std::sync::atomic::Ordering::SeqCst);
    {
        // The record that says that it failed is written within a second, and then held up.
        let _held = held.0.lock().unwrap();
        let turned = tokio::time::timeout(std::time::Duration::from_secs(3), async {
            loop {
                journal.turns().await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        });
        assert!(turned.await.is_err());
    }
    journal.close().await.unwrap();
    let gone = journal.turns().await.unwrap_err();
    assert!(matches!(gone, JournalError::Closed), "{gone}");
}
