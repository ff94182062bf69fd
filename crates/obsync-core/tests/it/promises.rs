//! `docs/semantics.md` names a test for each promise; every one of them must exist.

use std::fs;
use std::path::Path;

#[test]
fn every_promise_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join("docs/semantics.md")).unwrap();
    let mut sources = String::new();
    for folder in [
        "crates/obsync-core",
        "crates/obsync-local",
        "crates/obsync-s3",
        "crates/obsync-cli/tests",
        "tests/soak/tests",
    ] {
        read_rust(&root.join(folder), &mut sources);
    }
    let mut named = 0;
    for quoted in text.split('`').skip(1).step_by(2) {
        let Some(name) = quoted
            .rsplit_once("::")
            .or_else(|| quoted.rsplit_once(": "))
        else {
            continue;
        };
        if name.1 == "test" {
            continue; // The legend.
        }
        named += 1;
        assert!(
            sources.contains(&format!("fn {}(", name.1)),
            "there is no test '{quoted}'"
        );
    }
    assert!(named > 30, "only {named} tests are named");
}

fn read_rust(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_rust(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
