//! A quick look at whether the bench still measures anything at all.

use std::process::Command;

#[test]
fn the_bench_measures_a_state_and_a_bucket() {
    let output = Command::new(env!("CARGO_BIN_EXE_obsync-bench"))
        .args(["--quick", "state", "s3"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{wrong}");
    for line in [
        "state of 10,000, SQLite: load",
        "state of 10,000, S3 JSON: commit 5,000",
        "1,000 notes to S3, 0 ms, 8 conn.",
    ] {
        assert!(said.contains(line), "no '{line}' in\n{said}");
    }
}
