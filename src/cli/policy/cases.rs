//! `palisade policy test`: the cases of a policy set, run and reported.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use crate::cli::failure::Failure;
use crate::cli::table;
use crate::config::Config;
use crate::guard::case::{self, Case, CaseFault, Outcome};
use crate::ruleset::{Ruleset, case_file, case_files, starter_cases};

/// What came of all cases.
pub(super) struct Report {
    rows: Vec<Row>,
    ruleset_hash: String,
}

/// What came of one.
struct Row {
    file: String,
    case: Case,
    outcome: Result<Outcome, CaseFault>,
    differences: Vec<String>,
}

/// Runs the cases of the files, or of the policies in force.
///
/// # Errors
/// Where a file can't be read, or there is no case.
pub(super) fn run(
    config: &Config,
    ruleset: &Ruleset,
    files: &[PathBuf],
) -> Result<Report, Failure> {
    let mut rows = Vec::new();
    for (file, text) in texts(config, files)? {
        for case in case::parse(&file, &text).map_err(Failure::usage)? {
            rows.push(Row::of(&file, case, ruleset));
        }
    }
    if rows.is_empty() {
        let folder = config.policies.as_deref().unwrap_or(Path::new("policies"));
        let none = anyhow::anyhow!("`{}` holds no case (`tests/*.toml`)", folder.display());
        return Err(Failure::usage(none).with_help(
            "a case is a table `[[case]]` with `name`, `action`, `input`, `resources` and `expect`"
                .to_owned(),
        ));
    }
    let ruleset_hash = ruleset.hash.clone();
    Ok(Report { rows, ruleset_hash })
}

fn texts(config: &Config, files: &[PathBuf]) -> Result<Vec<(String, String)>, Failure> {
    let read = match (&config.policies, files) {
        (None, []) => return Ok(starter_cases()),
        (Some(folder), []) => case_files(folder),
        (_, files) => files.iter().map(|file| case_file(file)).collect(),
    };
    read.map_err(Failure::usage)
}

impl Row {
    fn of(file: &str, case: Case, ruleset: &Ruleset) -> Self {
        let outcome = case::run(&case, &ruleset.catalog, ruleset.rules());
        let differences = match &outcome {
            Ok(outcome) => outcome.differences(&case.expect),
            Err(fault) => vec![fault.to_string()],
        };
        let file = file.to_owned();
        Self {
            file,
            case,
            outcome,
            differences,
        }
    }

    fn verdict(&self) -> &'static str {
        match &self.outcome {
            Ok(outcome) => outcome.verdict.as_str(),
            Err(_) => "none",
        }
    }

    fn policies(&self) -> &[String] {
        match &self.outcome {
            Ok(outcome) => &outcome.policies,
            Err(_) => &[],
        }
    }

    fn json(&self) -> Json {
        let refusal = self.outcome.as_ref().ok().and_then(|o| o.refusal.as_ref());
        json!({
            "file": self.file,
            "case": self.case.name,
            "action": self.case.action,
            "verdict": self.verdict(),
            "policies": self.policies(),
            "refusal": refusal.map(|r| r.reason()),
            "reason": refusal.map(|r| r.why()),
            "ok": self.differences.is_empty(),
            "differences": self.differences,
        })
    }
}

impl Report {
    /// Whether every case came out as expected.
    pub(super) fn is_good(&self) -> bool {
        self.failed() == 0
    }

    fn failed(&self) -> usize {
        let failed = |row: &&Row| !row.differences.is_empty();
        self.rows.iter().filter(failed).count()
    }

    /// For people: a table, then what differs.
    pub(super) fn text(&self) -> String {
        let row = |row: &Row| {
            let result = if row.differences.is_empty() {
                "ok"
            } else {
                "FAILED"
            };
            [
                row.case.name.clone(),
                row.case.action.clone(),
                row.verdict().to_owned(),
                row.policies().join(", "),
                result.to_owned(),
            ]
        };
        let rows: Vec<[String; 5]> = self.rows.iter().map(row).collect();
        let mut text = table::text(&["CASE", "ACTION", "VERDICT", "POLICIES", "RESULT"], &rows);
        for row in self.rows.iter().filter(|row| !row.differences.is_empty()) {
            text.push_str(&table::printable(&format!(
                "{}: {}",
                row.file, row.case.name
            )));
            for difference in &row.differences {
                text.push_str(&format!("\n  {}", table::printable(difference)));
            }
            text.push('\n');
        }
        let (all, failed) = (self.rows.len(), self.failed());
        let hash = &self.ruleset_hash;
        text.push_str(&format!(
            "\n{all} cases, {failed} failed, rule set {hash:.12}\n"
        ));
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> String {
        let cases: Vec<Json> = self.rows.iter().map(Row::json).collect();
        let all = json!({
            "ok": self.is_good(),
            "ruleset_hash": self.ruleset_hash,
            "cases": cases,
        });
        format!("{all}\n")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const POLICY: &str = "@id(\"all\") permit (principal, action, resource);";
    const GOOD: &str = "[[case]]\nname = \"reads\"\naction = \"mgn:ListWaves\"\nexpect = { verdict = \"allowed\", policies = [\"all\"] }\n";
    const BAD: &str = "[[case]]\nname = \"writes\"\naction = \"mgn:CreateWave\"\nexpect = { verdict = \"refused\" }\n";
    const FAULTY: &str = "[[case]]\nname = \"typo\"\naction = \"mgn:CreateWaves\"\nexpect = { verdict = \"allowed\" }\n";

    fn report(
        policies: Option<&str>,
        cases: &[(&str, &str)],
        named: bool,
    ) -> Result<Report, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let mut config =
            Config::from_environment(&[("HOME".to_owned(), "/nonexistent".to_owned())]).unwrap();
        let tests = folder.path().join("tests");
        fs::create_dir(&tests).unwrap();
        for (file, text) in cases {
            fs::write(tests.join(file), text).unwrap();
        }
        if let Some(policy) = policies {
            fs::write(folder.path().join("x.cedar"), policy).unwrap();
            config.policies = Some(folder.path().to_path_buf());
        }
        let files: Vec<PathBuf> = cases.iter().map(|(file, _)| tests.join(file)).collect();
        let ruleset = Ruleset::load(&config).unwrap();
        run(&config, &ruleset, if named { &files } else { &[] })
    }

    #[test]
    fn the_cases_of_the_starter_set_pass() {
        let report = report(None, &[], false).unwrap();
        assert!(report.is_good(), "{}", report.text());
        assert!(report.rows.len() > 50);
    }

    #[test]
    fn cases_of_a_folder_are_all_run_and_one_that_fails_fails_the_run() {
        let report = report(
            Some(POLICY),
            &[("a.toml", GOOD), ("b.toml", BAD), ("c.toml", FAULTY)],
            false,
        )
        .unwrap();
        assert!(!report.is_good());
        let text = report.text();
        for expected in [
            "reads   mgn:ListWaves    allowed  all       ok",
            "writes  mgn:CreateWave   allowed  all       FAILED",
            "typo    mgn:CreateWaves  none               FAILED",
            "verdict: expected refused, got allowed",
            "did you mean `mgn:CreateWave`?",
            "3 cases, 2 failed, rule set ",
        ] {
            assert!(text.contains(expected), "`{expected}`:\n{text}");
        }
        let json: Json = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["cases"][0]["ok"], true);
        assert_eq!(
            json["cases"][1]["differences"][0],
            "verdict: expected refused, got allowed"
        );
    }

    #[test]
    fn files_that_are_named_are_run_on_whatever_set_is_in_force() {
        let report = report(
            None,
            &[("a.toml", &GOOD.replace("\"all\"", "\"base\""))],
            true,
        )
        .unwrap();
        assert!(report.is_good(), "{}", report.text());
    }

    #[test]
    fn no_case_and_no_file_are_wrong_command_lines() {
        let none = report(Some(POLICY), &[], false).err().unwrap().to_string();
        assert!(none.contains("holds no case"), "{none}");
        let config =
            Config::from_environment(&[("HOME".to_owned(), "/nonexistent".to_owned())]).unwrap();
        let ruleset = Ruleset::load(&config).unwrap();
        let missing = run(&config, &ruleset, &[PathBuf::from("/nonexistent/x.toml")])
            .err()
            .unwrap();
        assert!(missing.to_string().contains("can't be read"));
        let syntax = report(Some(POLICY), &[("a.toml", "[[case]]\nnam = 1")], false)
            .err()
            .unwrap();
        assert!(syntax.to_string().contains("a.toml"), "{syntax}");
    }
}
