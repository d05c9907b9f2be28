//! That the benchmark works: everything starts, every answer is 2xx and the same on both sides. Never how fast.

use std::process::Command;

#[test]
fn the_benchmark_runs() {
    let output = Command::new(env!("CARGO_BIN_EXE_saas-kernel-benches")).arg("--quick").output().unwrap();
    let (report, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{log}");
    for part in ["### GET …/projects", "### POST …/projects", "| kernel |", "| by hand |", "| in a rush |"] {
        assert!(report.contains(part), "{part} is missing in:\n{report}");
    }
}
