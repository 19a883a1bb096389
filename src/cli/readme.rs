//! Holds the README, and the page for platform teams, to what the program is: its configurations load, its policies are
//! valid, its commands and metrics are there, its links lead somewhere; and to how long a beginning may be.

use std::collections::BTreeSet;
use std::path::Path;

use clap::Parser as _;
use clap::error::ErrorKind;

use super::{Arguments, Command, UNBUILT};
use crate::aws::catalog::Catalog;
use crate::config::Config;
use crate::guard::policies::PolicyFile;
use crate::guard::protected::Protected;
use crate::ruleset::{Ruleset, starter};

const README: &str = include_str!("../../README.md");
const DEPLOY: &str = include_str!("../../deploy/README.md");

/// What a terminal or a page shows without scrolling, in lines.
const SCREEN: usize = 40;

/// The blocks of one language.
pub(super) fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    let after = README.split(&fence).skip(1);
    after.filter_map(|text| text.split("```").next()).collect()
}

/// What stands between backticks outside of blocks.
fn inline() -> Vec<&'static str> {
    let prose = README.split("```").step_by(2);
    prose
        .flat_map(|text| text.split('`').skip(1).step_by(2))
        .collect()
}

fn ruleset(more: &[&str]) -> Ruleset {
    let mut files = starter();
    files.extend(more.iter().map(|text| PolicyFile {
        name: "README.md".to_owned(),
        text: (*text).to_owned(),
    }));
    let groups = BTreeSet::from(["admins", "deployers"]);
    let catalog = Catalog::embedded().unwrap();
    Ruleset::new(catalog, &[], &files, None, &groups, true).unwrap()
}

/// What stands below a heading, as far as the next one.
fn section(heading: &str) -> &'static str {
    let (_, after) = README.split_once(&format!("\n{heading}\n")).unwrap();
    after.split("\n#").next().unwrap()
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page
        .split("```")
        .step_by(2)
        .flat_map(str::lines)
        .filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            text.chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

#[test]
fn the_first_screen_shows_the_demo_and_its_two_commands() {
    let screen: Vec<&str> = README.lines().take(SCREEN).collect();
    let screen = screen.join("\n");
    for part in [
        "```text\n",
        "refused",
        "cargo run --release -- demo\ntests/run\n```",
    ] {
        assert!(screen.contains(part), "{part}");
    }
}

#[test]
fn each_quick_start_is_under_ten_lines() {
    for heading in ["### On a laptop", "### For a team", "### For compliance"] {
        let lines = section(heading).lines().filter(|line| !line.is_empty());
        let count = lines.count();
        assert!((1..10).contains(&count), "{heading}: {count}");
    }
}

#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for (page, folder) in [(README, root.to_owned()), (DEPLOY, root.join("deploy"))] {
        let targets = page.split("](").skip(1);
        for target in targets.filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("https://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let of_page;
            let linked = if path.is_empty() {
                page
            } else {
                let path = folder.join(path);
                assert!(path.exists(), "{target}");
                of_page = std::fs::read_to_string(path).unwrap_or_default();
                &of_page
            };
            assert!(
                anchor.is_empty() || anchors(linked).contains(anchor),
                "{target}"
            );
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}

#[test]
fn its_configurations_load() {
    let home = [("HOME".to_owned(), "/home/me".to_owned())];
    let file = Path::new("/etc/palisade/palisade.toml");
    let (lists, configurations): (Vec<&str>, Vec<&str>) =
        blocks("toml").iter().partition(|b| b.contains("ids = "));
    assert_eq!((lists.len(), configurations.len()), (1, 5));
    for text in configurations {
        let config = Config::from_toml(text, file, &home).unwrap();
        assert!(!config.callers.is_empty());
    }
    Protected::parse("README.md", lists[0], &["workspaces"]).unwrap();
}

#[test]
fn its_policy_is_valid_and_its_tag_open_to_all_as_it_says() {
    let ruleset = ruleset(&blocks("cedar"));
    let open = ruleset.policies.unguarded_tag_keys();
    assert_eq!(open, [("team".to_owned(), "team-desktop".to_owned())]);
}

#[test]
fn its_table_of_starter_policies_is_whole() {
    let (_, table) = README.split_once("| id | refuses |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: BTreeSet<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    let ruleset = ruleset(&[]);
    let rules = ruleset.policies.rules().iter();
    assert_eq!(told, rules.map(|rule| rule.id.as_str()).collect());
}

#[test]
fn its_commands_are_there() {
    let lines = blocks("sh").into_iter().flat_map(str::lines);
    let commands = lines.chain(inline()).filter_map(|text| {
        let (_, command) = text
            .split_once("palisade ")
            .filter(|(before, _)| before.is_empty() || before.ends_with("$("))?;
        command.split(['#', '>', '|', ')']).next()
    });
    let mut count = 0;
    for command in commands {
        let words = ["palisade"].into_iter().chain(command.split_whitespace());
        match Arguments::try_parse_from(words) {
            Ok(parsed) => assert!(!matches!(parsed.command, Command::Other(_)), "{command}"),
            // Prose names some without what they are used on.
            Err(error) => assert_eq!(
                error.kind(),
                ErrorKind::MissingRequiredArgument,
                "{command}: {error}"
            ),
        }
        count += 1;
    }
    assert!(count > 12, "{count}");
    for name in UNBUILT {
        assert!(inline().contains(name), "`{name}` isn't named as unbuilt");
    }
}

#[test]
fn its_metrics_are_those_that_there_are() {
    let declared = [
        include_str!("../admin/metrics.rs"),
        include_str!("../admin/metrics/asked.rs"),
        include_str!("../admin/metrics/expiries.rs"),
    ];
    let quoted = declared.into_iter().flat_map(|text| text.split('"'));
    let there: BTreeSet<&str> = quoted
        .filter(|t| t.starts_with("palisade_"))
        .filter(|t| t.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    let told: BTreeSet<&str> = inline()
        .into_iter()
        .filter(|t| t.starts_with("palisade_"))
        .filter_map(|t| t.split('{').next())
        .collect();
    assert_eq!(told, there);
}

#[test]
fn the_changelog_speaks_of_this_version() {
    let version = format!("## {}", env!("CARGO_PKG_VERSION"));
    assert!(include_str!("../../CHANGELOG.md").contains(&version));
}
