//! The map in `src/lib.rs`, held: what each folder may import, and what the pure ones may not touch.

#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What the code of each folder may import, besides itself. Whoever adds to this table says why in the commit.
const MAY_IMPORT: [(&str, &[&str]); 13] = [
    (
        "cli",
        &[
            "running", "pipeline", "ruleset", "admin", "sandbox", "config", "sources", "proxy",
            "journal", "state", "guard", "aws",
        ],
    ),
    (
        "running",
        &[
            "pipeline", "ruleset", "admin", "config", "sources", "proxy", "journal", "state",
            "guard", "aws",
        ],
    ),
    (
        "pipeline",
        &[
            "ruleset", "admin", "config", "sources", "proxy", "journal", "guard", "aws",
        ],
    ),
    ("ruleset", &["config", "guard", "aws"]),
    ("admin", &["sources", "journal", "guard", "aws"]),
    ("sandbox", &["aws"]),
    ("config", &["sources", "proxy", "guard", "aws"]),
    ("sources", &["proxy", "state", "guard", "aws"]),
    ("proxy", &["aws"]),
    ("journal", &["guard", "aws"]),
    ("state", &["guard"]),
    ("guard", &["aws"]),
    ("aws", &[]),
];

/// What `aws` and `guard` know nothing of: no I/O, no clock, no randomness, no threads.
const IMPURE: [&str; 23] = [
    "tokio::",
    "hyper::",
    "hyper_util::",
    "futures_util::",
    "tracing::",
    "rustls::",
    "tokio_rustls::",
    "async fn",
    ".await",
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::net::ToSocketAddrs",
    "std::io::std",
    "std::env::",
    "std::process",
    "std::thread",
    "SystemTime::now",
    "Instant::now",
    "now_utc",
    "Uuid::now",
    "Uuid::new_v",
    "fastrand::",
];

/// `println!` and the like, which a file's text may hold in longer words.
const PRINTS: [&str; 5] = ["println!(", "eprintln!(", "print!(", "eprint!(", "dbg!("];

struct Source {
    path: PathBuf,
    /// The top-level module that it belongs to.
    module: String,
    /// Without comments and without its tests.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    let of = |path: PathBuf| {
        let inside = path.strip_prefix(&root).unwrap();
        let first = inside.components().next().unwrap().as_os_str();
        let module = first.to_str().unwrap().trim_end_matches(".rs").to_owned();
        let code = code(&fs::read_to_string(&path).unwrap());
        Source { path, module, code }
    };
    found.into_iter().map(of).collect()
}

/// Rust files, without those that hold tests alone.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if name != "tests" {
                walk(&path, found);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" && !is_test_only(&path) {
            found.push(path);
        }
    }
}

/// Whether the file's parent declares it under `#[cfg(test)]`.
fn is_test_only(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let folder = path.parent().unwrap();
    let parents = [folder.join("mod.rs"), folder.with_extension("rs")];
    let declared = format!("#[cfg(test)]\nmod {name};");
    let texts = parents.iter().filter_map(|p| fs::read_to_string(p).ok());
    texts.into_iter().any(|text| text.contains(&declared))
}

fn code(text: &str) -> String {
    let untested = match text.find("#[cfg(test)]\nmod tests {") {
        Some(at) => &text[..at],
        None => text,
    };
    let lines = untested
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The top-level modules that code names: `crate::guard::…`, and several in braces.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let words: Vec<&str> = match after.strip_prefix('{') {
            Some(list) => list
                .split('}')
                .next()
                .unwrap_or_default()
                .split(',')
                .collect(),
            None => vec![after],
        };
        for word in words {
            let name = word
                .trim()
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next();
            found.extend(name.filter(|n| !n.is_empty()).map(str::to_owned));
        }
    }
    found
}

fn table() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let row = |(module, may): &(&'static str, &'static [&'static str])| {
        (*module, may.iter().copied().collect())
    };
    MAY_IMPORT.iter().map(row).collect()
}

#[test]
fn imports_point_one_way() {
    let table = table();
    let mut wrong = Vec::new();
    for source in sources() {
        if matches!(source.module.as_str(), "lib" | "main") {
            continue;
        }
        let path = source.path.display();
        let Some(may) = table.get(source.module.as_str()) else {
            wrong.push(format!("{path}: `{}` isn't in the table", source.module));
            continue;
        };
        for imported in imports(&source.code) {
            let known = table.contains_key(imported.as_str());
            if known && imported != source.module && !may.contains(imported.as_str()) {
                wrong.push(format!(
                    "{path}: `{}` may not import `{imported}`",
                    source.module
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_no_way_back() {
    // Each module stands above all that it may import, so that no round leads back to it.
    let order: Vec<&str> = MAY_IMPORT.iter().map(|(module, _)| *module).collect();
    let place = |module: &str| order.iter().position(|m| *m == module).unwrap();
    for (module, may) in MAY_IMPORT {
        for below in may {
            assert!(place(module) < place(below), "`{module}` and `{below}`");
        }
    }
}

#[test]
fn the_table_and_the_map_have_every_module() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let declared = lib
        .lines()
        .filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';'));
    let declared: BTreeSet<&str> = declared.collect();
    assert_eq!(declared, table().into_keys().collect());
    // The map lists them in the table's order, whatever stands between.
    let mut rest = lib.as_str();
    for (module, _) in MAY_IMPORT {
        let line = format!("\n//! {module} ");
        let at = rest.find(&line);
        assert!(
            at.is_some(),
            "the map has `{module}` in another place than the table, or not at all"
        );
        rest = &rest[at.unwrap()..];
    }
}

#[test]
fn what_is_pure_does_no_io_and_reads_no_clock() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !matches!(source.module.as_str(), "aws" | "guard") {
            continue;
        }
        for impure in IMPURE.iter().chain(&PRINTS) {
            if source.code.contains(impure) {
                wrong.push(format!("{}: `{impure}`", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The steps that nobody may skip: what makes each proof stands in one place.
#[test]
fn each_proof_is_made_in_one_place() {
    let made = |text: &str| -> Vec<String> {
        let sources = sources().into_iter().filter(|s| s.code.contains(text));
        let names = sources.map(|s| s.path.file_name().unwrap().to_str().unwrap().to_owned());
        names.collect()
    };
    assert_eq!(made("Ok(Allowed {"), ["decide.rs"]);
    assert_eq!(made("Ok(Admitted {"), ["admit.rs"]);
    assert!(made("Receipt {").contains(&"handle.rs".to_owned()));
    let of_journal = |s: &Source| s.module == "journal";
    let others = sources()
        .into_iter()
        .filter(|s| !of_journal(s) && s.code.contains("Receipt {"));
    assert_eq!(others.count(), 0);
}

#[test]
fn imports_are_read_in_every_spelling() {
    let all = |code: &str| imports(code).into_iter().collect::<Vec<_>>();
    assert_eq!(all("use crate::guard::call::Call;"), ["guard"]);
    assert_eq!(all("use crate::{aws, guard::call};"), ["aws", "guard"]);
    assert_eq!(all("let x = crate::journal::Record::new();"), ["journal"]);
    assert_eq!(
        code("a\n// crate::x\n    /// crate::y\n#[cfg(test)]\nmod tests {\ncrate::z"),
        "a\n"
    );
}
