//! The corpus of the fuzz targets, replayed: no panic, and whatever decodes encodes to what decodes to the same.
//! What fuzzing finds becomes a file of the corpus before its fix.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test, which shares its harness with the fuzz targets"
)]

mod harness;
mod seeds;

use std::fs;
use std::path::Path;

/// Each target has at least this many inputs, so that a corpus that got lost is noticed.
const INPUTS_MIN: usize = 5;

#[test]
fn the_corpus_of_every_target_is_read_without_panic_and_written_stably() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for (target, read) in harness::TARGETS {
        let mut inputs: Vec<_> = fs::read_dir(corpus.join(target))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        inputs.sort();
        assert!(
            inputs.len() >= INPUTS_MIN,
            "{target} has {} inputs",
            inputs.len()
        );
        for input in inputs {
            println!("{}", input.display());
            read(&fs::read(&input).unwrap());
        }
    }
}

#[test]
fn every_target_can_be_grown_and_every_folder_of_the_corpus_is_some_targets() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let targets = harness::TARGETS.map(|(target, _)| target.to_owned());
    let names = |folder: &str| {
        let entries = fs::read_dir(fuzz.join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for target in targets {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")));
    }
}
