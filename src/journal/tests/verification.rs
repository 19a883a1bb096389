use super::*;

/// Changes the last segment's text, or whichever is named.
fn tamper(path: &Path, change: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(path).unwrap();
    fs::write(path, change(text)).unwrap();
}

#[track_caller]
fn problem(dir: &Path) -> (String, u64, String) {
    let problem = verify(dir).unwrap().problem.unwrap();
    let file = problem.file.file_name().unwrap().to_str().unwrap();
    (file.to_owned(), problem.line, problem.what)
}

async fn five(dir: &Path, options: Options) {
    let records: Vec<Record> = (1..=5).map(refused).collect();
    written(dir, options, &records).await;
}

#[tokio::test]
async fn a_changed_byte_is_found_at_the_line_after() {
    let dir = tempfile::tempdir().unwrap();
    five(dir.path(), unsynced()).await;
    let path = files(dir.path()).pop().unwrap();
    tamper(&path, |text| text.replacen("ws-1", "ws-2", 1));
    let (file, line, what) = problem(dir.path());
    assert_eq!((file.as_str(), line), ("00000000000000000001.jsonl", 2));
    assert!(what.contains("previous"), "{what}");
}

#[tokio::test]
async fn a_line_taken_out_is_found() {
    let dir = tempfile::tempdir().unwrap();
    five(dir.path(), unsynced()).await;
    let path = files(dir.path()).pop().unwrap();
    tamper(&path, |text| {
        let lines = text.split_inclusive('\n').enumerate();
        lines.filter(|(n, _)| *n != 2).map(|(_, l)| l).collect()
    });
    assert_eq!(problem(dir.path()).1, 3);
}

#[tokio::test]
async fn a_line_put_in_is_found() {
    let dir = tempfile::tempdir().unwrap();
    five(dir.path(), unsynced()).await;
    let path = files(dir.path()).pop().unwrap();
    tamper(&path, |text| {
        let line = text.lines().next().unwrap();
        format!("{text}{line}\n")
    });
    assert_eq!(problem(dir.path()).1, 6);
}

#[tokio::test]
async fn a_line_that_is_no_record_is_found() {
    let dir = tempfile::tempdir().unwrap();
    five(dir.path(), unsynced()).await;
    let path = files(dir.path()).pop().unwrap();
    tamper(&path, |text| text.replacen('{', "", 1));
    let (_, line, what) = problem(dir.path());
    assert_eq!(line, 1);
    assert!(what.contains("not a record"), "{what}");
}

#[tokio::test]
async fn a_segment_taken_out_is_found() {
    let dir = tempfile::tempdir().unwrap();
    five(dir.path(), small()).await;
    let all = files(dir.path());
    assert!(all.len() > 2);
    fs::remove_file(&all[1]).unwrap();
    let (file, line, what) = problem(dir.path());
    assert_eq!(file, all[2].file_name().unwrap().to_str().unwrap());
    assert_eq!(line, 1);
    assert!(what.contains("is the next"), "{what}");
}

#[tokio::test]
async fn the_first_segment_taken_out_is_found() {
    let dir = tempfile::tempdir().unwrap();
    five(dir.path(), small()).await;
    fs::remove_file(&files(dir.path())[0]).unwrap();
    assert!(problem(dir.path()).2.contains("1 is the next"));
}

#[tokio::test]
async fn a_seal_over_a_whole_record_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    five(dir.path(), unsynced()).await;
    let path = files(dir.path()).pop().unwrap();
    // The third line is broken, and the fourth pretends to account for it with a hash of its own.
    tamper(&path, |text| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[2] = "{".to_owned();
        let mut fourth: Value = serde_json::from_str(&lines[3]).unwrap();
        let zeros = "0".repeat(64);
        fourth["unmapped"]["palisade"]["sealed"] =
            json!({"bytes": 1, "sha256": Link::of(b"{").to_string(), "after": zeros});
        lines[3] = fourth.to_string();
        lines.join("\n") + "\n"
    });
    assert_eq!(problem(dir.path()).1, 3);
}

#[tokio::test]
async fn a_missing_outcome_is_found_where_the_decision_stands() {
    let dir = tempfile::tempdir().unwrap();
    // A start that did not settle what was open before it.
    written(
        dir.path(),
        unsynced(),
        &[start(), refused(1), allowed(2), start()],
    )
    .await;
    let (_, line, what) = problem(dir.path());
    assert_eq!(line, 3);
    assert!(what.contains("has no outcome"), "{what}");
}

#[tokio::test]
async fn an_outcome_without_a_decision_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let decision = allowed(1);
    let twice = [decision.clone(), outcome(&decision), outcome(&decision)];
    written(dir.path(), unsynced(), &twice).await;
    assert_eq!(problem(dir.path()).1, 3);
}

#[tokio::test]
async fn a_running_guard_may_have_calls_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(dir.path(), unsynced()).unwrap();
    let _receipt = journal.append(allowed(1)).await.unwrap();
    let verification = sound(dir.path());
    assert_eq!((verification.in_flight, verification.running), (1, true));
}

#[tokio::test]
async fn a_sound_journal_says_where_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let decision = allowed(1);
    let records = [start(), decision.clone(), outcome(&decision)];
    written(dir.path(), small(), &records).await;
    let verification = sound(dir.path());
    assert_eq!(verification.sequence, 3);
    assert_eq!(verification.decisions, 1);
    assert_eq!(verification.in_flight, 0);
    let last = fs::read_to_string(files(dir.path()).pop().unwrap()).unwrap();
    let last = last.lines().last().unwrap();
    assert_eq!(verification.head, Link::of(last.as_bytes()));
}

#[test]
fn an_empty_folder_is_sound() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(sound(dir.path()).records, 0);
}
