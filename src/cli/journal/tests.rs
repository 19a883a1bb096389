use clap::Parser;

use super::*;
use crate::journal::tests::{allowed, noon, outcome, read, refused, start};
use crate::journal::{Journal, Options, Record};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    journal: JournalArgs,
}

fn palisade(dir: &Path, line: &str) -> (ExitCode, String) {
    let words = std::iter::once("journal").chain(line.split_whitespace());
    let cli = Cli::try_parse_from(words).unwrap();
    let mut out = Vec::new();
    let later = noon() + Duration::from_secs(3600);
    let code = run(&cli.journal, dir, later, &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

async fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let decision = allowed(1);
    let records: [Record; 5] = [
        start(),
        refused(2),
        read(3),
        decision.clone(),
        outcome(&decision),
    ];
    let (journal, _) = Journal::open(dir.path(), Options::default()).unwrap();
    for record in records {
        let _receipt = journal.append(record).await.unwrap();
    }
    journal.close().await.unwrap();
    dir
}

fn segment(dir: &Path) -> PathBuf {
    dir.join("00000000000000000001.jsonl")
}

#[tokio::test]
async fn a_sound_journal_verifies() {
    let dir = folder().await;
    let (code, out) = palisade(dir.path(), "verify");
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(out.ends_with("result     sound\n"), "{out}");
    let (_, json) = palisade(dir.path(), "verify --json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["sound"], true);
    assert_eq!(json["records"], 5);
    assert_eq!(json["decisions"], 1);
}

#[tokio::test]
async fn an_unsound_journal_names_file_and_line_and_exits_1() {
    let dir = folder().await;
    let text = std::fs::read_to_string(segment(dir.path())).unwrap();
    std::fs::write(segment(dir.path()), text.replacen("ws-1", "ws-2", 1)).unwrap();
    let (code, out) = palisade(dir.path(), "verify");
    assert_eq!(code, ExitCode::from(1));
    assert!(
        out.contains("00000000000000000001.jsonl:3: `previous`"),
        "{out}"
    );
    let (code, json) = palisade(dir.path(), "verify --json");
    assert_eq!(code, ExitCode::from(1));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["problem"]["line"], 3);
}

#[tokio::test]
async fn a_copy_elsewhere_is_checked_by_name() {
    let dir = folder().await;
    let line = format!("verify --dir {}", dir.path().display());
    let (code, _) = palisade(Path::new("/nonexistent"), &line);
    assert_eq!(code, ExitCode::SUCCESS);
}

#[tokio::test]
async fn records_are_a_table_for_people() {
    let dir = folder().await;
    let (_, out) = palisade(dir.path(), "show");
    let rows: Vec<&str> = out.lines().collect();
    assert_eq!(rows.len(), 6, "{out}");
    for (row, parts) in [
        (0, &["TIME", "CALLER", "ACTION", "VERDICT", "RESOURCES"][..]),
        (1, &["palisade", "palisade:start"]),
        (
            2,
            &[
                "2026-01-02T03:04:05.678Z",
                "ci",
                "workspaces:TerminateWorkspaces",
                "refused (policy)",
                "ws-1",
                "monthly-billing",
            ],
        ),
        (3, &["workspaces:DescribeWorkspaces", "allowed (sent)"]),
        (4, &["allowed "]),
        (5, &["outcome sent"]),
    ] {
        for part in parts {
            assert!(rows[row].contains(part), "{row}: {part}\n{out}");
        }
    }
}

#[tokio::test]
async fn records_are_filtered() {
    let dir = folder().await;
    let count = |line: &str| {
        let (_, out) = palisade(dir.path(), &format!("show --json {line}"));
        out.lines().count()
    };
    assert_eq!(count(""), 5);
    assert_eq!(count("--caller ci"), 4);
    assert_eq!(count("--caller ci --verdict refused"), 1);
    assert_eq!(count("--action workspaces:*"), 4);
    assert_eq!(count("--action workspaces:DescribeWorkspaces"), 1);
    assert_eq!(count("--action workspaces:Describe"), 0);
    assert_eq!(count("--since 2h"), 5);
    assert_eq!(count("--since 30m"), 0);
    assert_eq!(count("--since 2026-01-02"), 5);
    assert_eq!(count("--since 2026-01-02T03:04:06Z"), 0);
    assert_eq!(count("-n 2"), 2);
    assert_eq!(count("-n 0"), 0);
}

#[tokio::test]
async fn json_lines_are_those_of_the_file() {
    let dir = folder().await;
    let (_, out) = palisade(dir.path(), "show --json");
    assert_eq!(out, std::fs::read_to_string(segment(dir.path())).unwrap());
}

#[tokio::test]
async fn a_torn_line_is_shown_as_such() {
    let dir = folder().await;
    let text = std::fs::read_to_string(segment(dir.path())).unwrap();
    std::fs::write(segment(dir.path()), format!("{text}{{\"acti")).unwrap();
    let (_, out) = palisade(dir.path(), "show");
    assert!(out.lines().last().unwrap().contains("(not a record)"));
    let (_, out) = palisade(dir.path(), "show --caller ci");
    assert!(!out.contains("(not a record)"));
}

#[test]
fn a_folder_that_is_not_there_is_an_error_that_names_it() {
    let cli = Cli::try_parse_from(["journal", "verify"]).unwrap();
    let error = run(
        &cli.journal,
        Path::new("/nonexistent"),
        noon(),
        &mut Vec::new(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("`/nonexistent`"), "{error}");
}

#[test]
fn times_are_read_strictly() {
    assert_eq!(since("90s"), Ok(Since::Ago(Duration::from_secs(90))));
    assert_eq!(since("7d"), Ok(Since::Ago(Duration::from_secs(604_800))));
    assert_eq!(
        since("2026-01-02T03:04:05.678Z"),
        Ok(Since::At(1_767_323_045_678))
    );
    for bad in [
        "",
        "d",
        "-1d",
        "1w",
        "1dd",
        "yesterday",
        "2026-13-01",
        "99999999999999999999d",
    ] {
        assert!(since(bad).is_err(), "{bad}");
    }
}

#[test]
fn only_verdicts_are_verdicts() {
    assert!(Cli::try_parse_from(["journal", "show", "--verdict", "maybe"]).is_err());
}
