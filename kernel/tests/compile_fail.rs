//! What must not happen does not compile.

#[test]
fn proofs_cannot_be_made_up() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
