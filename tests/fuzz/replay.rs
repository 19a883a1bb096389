//! The corpus of the fuzz targets, replayed: no panic, and whatever decodes encodes to what decodes to the same.
//! What fuzzing finds becomes a file of the corpus before its fix.

#![expect(
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test, which shares its harness with the fuzz targets"
)]

mod harness;

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
