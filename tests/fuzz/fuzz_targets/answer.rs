#![no_main]

#[allow(dead_code, unused_imports, reason = "each target takes its own of it")]
#[path = "../harness/mod.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::read_answer(data));
