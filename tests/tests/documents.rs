//! Documents that are made from the code are as the code has them.

use std::fmt::Write;

use saas_kernel::codes;
use saas_kernel_tests::TestResult;

#[test]
fn the_error_codes_are_documented() -> TestResult {
    let mut text = "# Error codes\n\nGenerated from the codes in `kernel/src/*/names.rs` and `kernel/src/base/error/refusal.rs`. Every failure is `{\"error\": {\"code\": …, \"message\": …, \"fields\": […]}}`; \
                    programs go by `code`, people by `message`, which says what is wrong and what to do. A product adds its own with `codes!`.\n\n\
                    | code | status | what to do |\n|---|---|---|\n"
        .to_owned();
    for code in codes::all() {
        writeln!(text, "| `{}` | {} | {} |", code.name, code.kind.status(), code.help)?;
    }
    let committed = include_str!("../../docs/errors.md");
    assert!(committed == text, "the error codes have changed; write this to docs/errors.md:\n{text}");
    Ok(())
}
