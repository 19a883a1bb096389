use std::io::Write;

use proptest::prelude::*;

use super::*;

/// Appends raw bytes to the last segment, as a crash would leave them.
fn tear(dir: &Path, bytes: &[u8]) {
    let path = files(dir).pop().unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

async fn reopened(dir: &Path, options: Options) -> Recovery {
    let (journal, recovery) = Journal::open(dir, options).unwrap();
    let _receipt = journal.append(start()).await.unwrap();
    journal.close().await.unwrap();
    recovery
}

#[tokio::test]
async fn the_sequence_and_the_chain_go_on() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), unsynced(), &[start(), refused(1)]).await;
    let recovery = reopened(dir.path(), unsynced()).await;
    assert!(recovery.records.is_empty());
    assert_eq!(sequences(dir.path()), [1, 2, 3]);
    sound(dir.path());
}

#[tokio::test]
async fn records_of_a_newer_release_that_say_more_are_followed_on() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), unsynced(), &[start(), refused(1)]).await;
    newer(dir.path(), |record| record["more"] = json!({"of": "it"}));
    let recovery = reopened(dir.path(), unsynced()).await;
    assert!(recovery.records.is_empty());
    assert_eq!(sequences(dir.path()), [1, 2, 3, 4]);
    sound(dir.path());
    let mut shown = 0;
    visit(dir.path(), |_, event| {
        shown += u32::from(event.is_some());
        Ok::<_, JournalError>(())
    })
    .unwrap();
    assert_eq!(shown, 4);
}

#[tokio::test]
async fn a_record_that_only_a_newer_release_reads_is_no_torn_line() {
    let kinds = [
        ("phase", json!("budget")),
        ("verdict", json!("deferred")),
        ("previous", json!({"sha512": ""})),
    ];
    for (member, value) in kinds {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), unsynced(), &[start(), refused(1)]).await;
        newer(dir.path(), |record| {
            record["unmapped"]["palisade"][member] = value.clone();
        });
        let before = fs::read(&files(dir.path())[0]).unwrap();
        let error = Journal::open(dir.path(), unsynced()).unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(error, JournalError::Newer { line: 3, .. }),
            "{text}"
        );
        assert!(text.contains("of palisade 9999.1.0"), "{text}");
        assert_eq!(fs::read(&files(dir.path())[0]).unwrap(), before);
        let problem = verify(dir.path()).unwrap().problem.unwrap();
        assert_eq!(problem.line, 3);
        assert!(problem.what.contains("of palisade 9999.1.0"), "{problem:?}");
        let shown = visit(dir.path(), |_, _| Ok::<_, JournalError>(()));
        assert!(
            matches!(shown, Err(JournalError::Newer { line: 3, .. })),
            "{shown:?}"
        );
    }
}

#[tokio::test]
async fn a_decision_that_only_a_newer_release_reads_is_not_given_an_outcome() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), unsynced(), &[start(), allowed(1)]).await;
    newer(dir.path(), |record| {
        record["unmapped"]["palisade"]["class"] = json!("budgeted");
        record["unmapped"]["palisade"]["decision_id"] = json!(Uuid::from_u128(2));
    });
    let error = Journal::open(dir.path(), unsynced()).unwrap_err();
    assert!(matches!(error, JournalError::Newer { .. }), "{error}");
}

/// Appends the last record once more, changed, as a newer release would chain it.
fn newer(dir: &Path, change: impl FnOnce(&mut Value)) {
    let path = files(dir).pop().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let last = text.lines().last().unwrap();
    let mut record: Value = serde_json::from_str(last).unwrap();
    let sequence = record["metadata"]["sequence"].as_u64().unwrap();
    record["metadata"]["sequence"] = json!(sequence + 1);
    record["metadata"]["product"]["version"] = json!("9999.1.0");
    record["unmapped"]["palisade"]["previous"] = json!(Link::of(last.as_bytes()));
    change(&mut record);
    tear(dir, format!("{record}\n").as_bytes());
}

#[tokio::test]
async fn a_torn_line_is_sealed_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), unsynced(), &[start(), refused(1)]).await;
    tear(dir.path(), b"{\"activity_id\":4,\"acti");
    let verification = verify(dir.path()).unwrap();
    assert_eq!(verification.problem.unwrap().line, 3);
    let recovery = reopened(dir.path(), unsynced()).await;
    assert_eq!(recovery.sealed.unwrap().bytes, 22);
    let verification = sound(dir.path());
    assert_eq!(verification.sealed[0].line, 3);
    assert_eq!(sequences(dir.path()), [1, 2, 3, 4]);
    let bytes = fs::read(&files(dir.path())[0]).unwrap();
    assert!(bytes.windows(22).any(|w| w == b"{\"activity_id\":4,\"acti"));
}

#[tokio::test]
async fn a_crash_while_sealing_is_sealed_too() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), unsynced(), &[start(), refused(1)]).await;
    tear(dir.path(), b"{\"torn\n\0\0\0\0\n{\"again");
    let recovery = reopened(dir.path(), unsynced()).await;
    assert_eq!(recovery.sealed.unwrap().bytes, 19);
    assert_eq!(sound(dir.path()).sealed.len(), 1);
}

#[tokio::test]
async fn a_whole_line_without_its_newline_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), unsynced(), &[start(), refused(1)]).await;
    let path = files(dir.path()).pop().unwrap();
    let len = fs::metadata(&path).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(len - 1).unwrap();
    let recovery = reopened(dir.path(), unsynced()).await;
    assert_eq!(recovery.sealed, None);
    assert_eq!(sequences(dir.path()), [1, 2, 3]);
    sound(dir.path());
}

#[tokio::test]
async fn a_segment_that_holds_only_a_torn_line_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), unsynced(), &[start(), refused(1)]).await;
    fs::write(dir.path().join("00000000000000000003.jsonl"), b"{\"to").unwrap();
    let recovery = reopened(dir.path(), unsynced()).await;
    assert!(recovery.sealed.is_some());
    assert_eq!(sound(dir.path()).records, 4);
}

#[tokio::test]
async fn a_torn_line_that_fills_its_segment_is_sealed_in_it() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), small(), &[start()]).await;
    let torn = vec![b'x'; 5000];
    fs::write(dir.path().join("00000000000000000002.jsonl"), torn).unwrap();
    let recovery = reopened(dir.path(), small()).await;
    assert!(recovery.sealed.is_some());
    sound(dir.path());
}

#[tokio::test]
async fn an_empty_segment_is_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), unsynced(), &[start()]).await;
    fs::write(dir.path().join("00000000000000000002.jsonl"), b"").unwrap();
    let recovery = reopened(dir.path(), unsynced()).await;
    assert!(recovery.records.is_empty());
    assert_eq!(files(dir.path()).len(), 1);
    sound(dir.path());
}

#[tokio::test]
async fn a_decision_without_an_outcome_becomes_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let settled = allowed(1);
    let records = [
        start(),
        settled.clone(),
        allowed(2),
        outcome(&settled),
        refused(3),
        read(4),
        allowed(5),
    ];
    written(dir.path(), small(), &records).await;
    let problem = verify(dir.path()).unwrap().problem.unwrap();
    assert!(problem.what.contains("has no outcome"), "{problem:?}");
    let recovery = reopened(dir.path(), small()).await;
    let ids = [2, 5].map(|n| DecisionId(Uuid::from_u128(n)));
    assert_eq!(recovery.unknown, ids);
    sound(dir.path());
    let line = &lines(dir.path())[7];
    assert_eq!(line["unmapped"]["palisade"]["outcome"], "unknown");
    assert_eq!(line["unmapped"]["palisade"]["reason"], "recovered_at_start");
    assert_eq!(line["actor"]["user"]["name"], "ci");
    assert_eq!(line["status_id"], 0);
    let again = reopened(dir.path(), small()).await;
    assert!(again.unknown.is_empty(), "each is settled once");
    sound(dir.path());
}

#[tokio::test]
async fn a_crash_during_recovery_leaves_the_rest_to_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), unsynced(), &[start(), allowed(1), allowed(2)]).await;
    // Opened, and stopped before the start was recorded; only the first outcome reached the disk.
    let (journal, _) = Journal::open(dir.path(), unsynced()).unwrap();
    journal.close().await.unwrap();
    let path = files(dir.path()).pop().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let keep: usize = text.split_inclusive('\n').take(4).map(str::len).sum();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(u64::try_from(keep).unwrap()).unwrap();
    let recovery = reopened(dir.path(), unsynced()).await;
    assert_eq!(recovery.unknown, [DecisionId(Uuid::from_u128(2))]);
    sound(dir.path());
}

#[tokio::test]
async fn a_file_that_lost_its_name_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("1.jsonl"), b"").unwrap();
    let error = Journal::open(dir.path(), unsynced()).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error:?}");
}

/// What a journal is made of, in some order.
#[derive(Debug, Clone, Copy)]
enum Step {
    Start,
    Refuse,
    Read,
    Allow,
    Settle,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::Refuse),
        Just(Step::Read),
        Just(Step::Allow),
        Just(Step::Settle),
    ];
    proptest::collection::vec(step, 1..20)
}

fn records(steps: &[Step]) -> Vec<Record> {
    let mut open = Vec::new();
    let mut records = Vec::new();
    for (n, step) in (1..).zip([Step::Start].iter().chain(steps)) {
        match step {
            Step::Start => records.push(start()),
            Step::Refuse => records.push(refused(n)),
            Step::Read => records.push(read(n)),
            Step::Allow => {
                records.push(allowed(n));
                open.push(allowed(n));
            }
            Step::Settle => records.extend(open.pop().map(|decision| outcome(&decision))),
        }
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Cut anywhere, a journal opens again, is sound, and holds every whole line from before the cut.
    #[test]
    fn a_cut_at_any_byte_is_recovered(steps in steps(), at in 0.0..1.0_f64, segment_bytes_max in 1..20_000_u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let options = Options { segment_bytes_max, ..unsynced() };
        runtime.block_on(written(dir.path(), options, &records(&steps)));
        let last = files(dir.path()).pop().unwrap();
        let mut bytes = fs::read(&last).unwrap();
        bytes.truncate((bytes.len() as f64 * at) as usize);
        fs::write(&last, &bytes).unwrap();
        let whole = whole_lines(dir.path());
        runtime.block_on(reopened(dir.path(), options));
        let verification = sound(dir.path());
        prop_assert!(verification.records > u64::try_from(whole.len()).unwrap());
        prop_assert_eq!(&whole_lines(dir.path())[..whole.len()], whole.as_slice());
    }
}

fn whole_lines(dir: &Path) -> Vec<Vec<u8>> {
    let bytes: Vec<u8> = files(dir)
        .iter()
        .flat_map(|p| fs::read(p).unwrap())
        .collect();
    bytes
        .split_inclusive(|b| *b == b'\n')
        .filter(|line| line.ends_with(b"\n"))
        .map(<[u8]>::to_vec)
        .collect()
}
