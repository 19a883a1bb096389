//! The proofs that no code can forge: an `Allowed` comes from `decide` alone, a `Receipt` from the journal alone, and
//! what they hold can't be changed. Each file here must fail to compile, for the reason beside it.

#[test]
fn proofs_can_not_be_forged() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/proofs/*.rs");
}
