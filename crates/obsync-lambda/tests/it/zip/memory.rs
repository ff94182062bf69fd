//! What is large passes through a small function. `OBSYNC_MEMORY_MIB` and `OBSYNC_MEMORY_FILES` say how
//! large: 199 and 100000 are what is promised, and take minutes.

use std::time::Duration;

use obsync_doubles::runtime::Function;
use obsync_lambda_local::{SAMPLE, Stage};

use super::{program, sync};

const MIB: u64 = 1 << 20;
/// What the process may ever have, without what it knows of each file.
const MOST: u64 = 64 * MIB;
/// What it may know of each: 96 MiB are promised for 100,000.
const EACH: u64 = 335;
/// Ends only a test that has gone wrong.
const LONG: Duration = Duration::from_secs(900);

fn scale(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |text| text.parse().expect(name))
}

/// A function with the least memory there is, held to it where that is possible.
async fn small(stage: &Stage, program: &super::Program) -> Function {
    let mut setup = super::function(stage, program).memory(128);
    if obsync_doubles::runtime::limits_memory() {
        setup = setup.limit_memory();
    }
    setup.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_attachment_passes_through_a_small_function() {
    let size = scale("OBSYNC_MEMORY_MIB", 48) << 20;
    let program = program();
    let stage = Stage::start().await;
    let vault = stage.vault(SAMPLE);
    // Not compressible, not periodic at any power of two.
    let content: Vec<u8> = (0..size as u32)
        .map(|at| (at % 251 + at / 65_521) as u8)
        .collect();
    stage.put(&vault, "film.mp4", &content);
    let function = small(&stage, &program).await;
    let answer = function.invoke(sync(&vault), LONG).await.answer();
    assert_eq!(answer["status"], "complete", "{answer}");
    let peak = function.peak_rss().unwrap();
    println!("{} MiB for {} MiB", peak / MIB, size >> 20);
    // It is what deriving the key takes; the file held whole once, besides, would be too much.
    assert!(peak < MOST, "{} MiB", peak / MIB);
    assert!(stage.objects(SAMPLE.1)["film.mp4"] == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_notes_pass_through_a_small_function() {
    let count = scale("OBSYNC_MEMORY_FILES", 1500);
    let program = program();
    let stage = Stage::start().await;
    let vault = stage.vault(SAMPLE);
    for number in 0..count {
        let path = format!("folder {}/a note of some length {number}.md", number % 97);
        stage.put(&vault, &path, format!("# Note {number}\n").as_bytes());
    }
    let function = small(&stage, &program).await;
    for downloaded in [count, 0] {
        let answer = function.invoke(sync(&vault), LONG).await.answer();
        assert_eq!(answer["status"], "complete", "{answer}");
        assert_eq!(answer["vaults"][0]["files_downloaded"], downloaded);
        let peak = function.peak_rss().unwrap();
        println!("{} MiB for {count} notes", peak / MIB);
        let most = MOST + EACH * count as u64;
        assert!(peak < most, "{} MiB", peak / MIB);
    }
    assert_eq!(stage.objects(SAMPLE.1).len(), count);
}
