//! Large vaults through a process that may hold 128 MB, as a small function may (invariant 8).
//!
//! `OBSYNC_MEMORY_FILES` makes the vault larger, up to the 100,000 notes of `make soak`.

#![cfg(target_os = "linux")]

use std::process::Command;

use obsidian_sync::VaultId;
use obsync_doubles::s3::Double;

use crate::sandbox::{Run, Sandbox, TIME};

/// What the process may hold in anonymous memory: heap, stacks and all. In KiB, as the shell has it.
const LIMIT: u32 = 128 * 1024;
const LARGE: usize = 199 * 1024 * 1024;

fn count() -> usize {
    match std::env::var("OBSYNC_MEMORY_FILES") {
        Ok(count) => count.parse().expect("a number"),
        Err(_) => 5_000,
    }
}

/// A vault of many notes and one attachment as large as the service takes.
async fn large_vault() -> (Sandbox, VaultId) {
    let (sandbox, vault) = Sandbox::with_vault().await;
    for number in 0..count() {
        let path = format!("notes/{}/{number}.md", number % 100);
        sandbox.put(&vault, &path, &format!("note {number}"));
    }
    let large: Vec<u8> = (0..LARGE).map(|at| (at / 4096) as u8).collect();
    sandbox
        .server
        .put(&vault, "film.mp4", &large, TIME)
        .unwrap();
    (sandbox, vault)
}

/// The command under a limit of the kernel's: past it, memory is refused and the process dies.
fn limited(sandbox: &Sandbox, arguments: &[&str], limit: u32) -> Run {
    let command = sandbox.command(arguments);
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("ulimit -d {limit} && exec \"$0\" \"$@\""))
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap())
        .env_clear()
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    sandbox.finish(shell.spawn().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_notes_and_a_large_attachment_pass_through_128_megabytes_to_a_folder() {
    let (sandbox, _) = large_vault().await;
    let sync = ["sync", "My vault", "--dest", "notes", "--json"];
    let document = limited(&sandbox, &sync, LIMIT).exits(0).json();
    assert_eq!(document["files_downloaded"], count() + 4);
    let film = std::fs::metadata(sandbox.path("notes/film.mp4")).unwrap();
    assert_eq!(film.len(), LARGE as u64);
    let document = limited(&sandbox, &sync, LIMIT).exits(0).json();
    assert_eq!(document["files_downloaded"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_notes_and_a_large_attachment_pass_through_128_megabytes_to_a_bucket() {
    let (mut sandbox, _) = large_vault().await;
    let double = Double::start().await;
    sandbox.set("AWS_ENDPOINT_URL_S3", &double.url);
    sandbox.set("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    sandbox.set("AWS_SECRET_ACCESS_KEY", "hidden key");
    let sync = ["sync", "My vault", "--dest", "s3://notes/copies", "--json"];
    let document = limited(&sandbox, &sync, LIMIT).exits(0).json();
    assert_eq!(document["files_downloaded"], count() + 4);
    let film = double.object("copies/film.mp4").unwrap();
    assert_eq!(film.bytes.len(), LARGE);
    let document = limited(&sandbox, &sync, LIMIT).exits(0).json();
    assert_eq!(document["files_downloaded"], 0);
}

/// The limit is real: the key's derivation alone needs 32 MiB.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_may_hold_too_little_dies() {
    let (sandbox, _) = Sandbox::with_vault().await;
    let sync = ["sync", "My vault", "--dest", "notes"];
    let run = limited(&sandbox, &sync, 24 * 1024);
    assert!(run.status != Some(0), "{run:?}");
    limited(&sandbox, &sync, LIMIT).exits(0);
}
