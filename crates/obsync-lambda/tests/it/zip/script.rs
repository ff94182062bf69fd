//! `scripts/build-lambda.sh` on programs that are none of ours.

use std::path::Path;
use std::process::{Command, Output};

/// Compiles a program that does nothing; `None` where the machine can't.
fn program(folder: &Path, name: &str, flags: &[&str]) -> Option<std::path::PathBuf> {
    let (source, path) = (folder.join(format!("{name}.c")), folder.join(name));
    let text = match flags.contains(&"-nostdlib") {
        true => "void _start(void) { for (;;) {} }\n",
        // A table of addresses, which a program that moves has to correct.
        false => {
            "#include <stdio.h>\nint (*const table[])(const char *) = {puts, puts};\n\
                  int main(int count, char **_) { return table[count & 1](\"x\"); }\n"
        }
    };
    std::fs::write(&source, text).unwrap();
    let output = Command::new("gcc")
        .args(flags)
        .arg(&source)
        .arg("-o")
        .arg(&path)
        .output();
    match output {
        Ok(output) if output.status.success() => Some(path),
        _ => None,
    }
}

fn build(program: &Path, profile: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/build-lambda.sh");
    let out = program.with_extension("zip");
    Command::new(script)
        .args(["--profile", profile, "--bootstrap"])
        .arg(program)
        .arg("--out")
        .arg(out)
        .output()
        .unwrap()
}

fn tools_are_there() -> bool {
    ["python3", "readelf"]
        .iter()
        .all(|tool| Command::new(tool).arg("--version").output().is_ok())
}

#[test]
fn a_program_that_needs_no_library_is_zipped() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["-nostdlib", "-static"];
    let (Some(program), true) = (program(folder.path(), "static", &flags), tools_are_there())
    else {
        return println!("SKIPPED: there is no C compiler or no readelf");
    };
    let output = build(&program, "lambda");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("glibc not used"), "{said}");
    assert!(program.with_extension("zip").exists());
}

#[test]
fn relocations_that_lambdas_glibc_does_not_know_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["-pie", "-fPIE", "-Wl,-z,pack-relative-relocs"];
    let program = program(folder.path(), "packed", &flags);
    let (Some(program), true) = (program, tools_are_there()) else {
        return println!("SKIPPED: there is no C compiler that packs relocations, or no readelf");
    };
    let versions = Command::new("readelf")
        .arg("-V")
        .arg(&program)
        .output()
        .unwrap();
    if !String::from_utf8_lossy(&versions.stdout).contains("GLIBC_ABI_DT_RELR") {
        return println!("SKIPPED: this linker does not pack relocations");
    }
    let output = build(&program, "lambda");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{told}");
    assert!(told.contains("GLIBC_ABI_DT_RELR"), "{told}");
    // On this machine it runs.
    assert!(build(&program, "dev").status.success());
}
