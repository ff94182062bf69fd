//! Symbolic links that come and go while a run writes: nothing outside the copy changes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use obsidian_sync::Millis;

use crate::place::{Folder, Place as _};
use crate::stage::Stage;
use crate::world;

/// Swaps folders of the copy for links that lead outside, and back, until told to stop.
fn swap(copy: &Path, outside: &Path, stop: &AtomicBool) -> u64 {
    let mut swaps = 0;
    while !stop.load(Ordering::Relaxed) {
        for name in ["d", "d/e", ".obsync/tmp"] {
            let (real, aside) = (copy.join(name), copy.join(format!("{name} aside")));
            // Whatever fails was in the middle of something: the next round will do.
            if fs::rename(&real, &aside).is_ok() {
                if symlink(outside, &real).is_ok() {
                    swaps += 1;
                }
                std::thread::yield_now();
                let _ = fs::remove_file(&real);
                let _ = fs::rename(&aside, &real);
            }
        }
    }
    swaps
}

/// Lets the other thread end, also when a check fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn links_that_come_and_go_during_runs_lead_nowhere() {
    let stage = Stage::new();
    stage.clear();
    let place = Folder::new(&stage.vault);
    let (copy, outside) = (place.copy(), place.outside());
    let put = |path: &str, content: &str| {
        let time = Millis(1_700_000_000_000);
        let content = content.as_bytes();
        stage
            .service
            .put(&stage.vault, path, content, time)
            .unwrap();
    };
    // Whatever becomes of the folders below, the copy never looks emptied.
    put("stays.md", "never moved");
    stage.service.mkdir(&stage.vault, "d").unwrap();
    stage.service.mkdir(&stage.vault, "d/e").unwrap();
    // What a run would change if it went through the link.
    for name in ["theirs.md", "e"] {
        put(&format!("d/{name} of d.md"), "first");
    }
    let stop = AtomicBool::new(false);
    let swaps = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| swaps.store(swap(&copy, &outside, &stop), Ordering::Relaxed));
        let _stop = Stop(&stop);
        for round in 0..12 {
            put("d/theirs.md", &format!("the vault's {round}"));
            for number in 0..6 {
                put(&format!("d/{number}.md"), &format!("{round} {number}"));
                put(
                    &format!("d/e/{number}.md"),
                    &format!("{round} {number}, deeper"),
                );
            }
            if round % 3 == 2 {
                stage.service.delete(&stage.vault, "d/theirs.md").unwrap();
                stage.service.delete(&stage.vault, "d/e/1.md").unwrap();
            }
            // Any end will do, but for one that changes something outside.
            let _ = stage.block_on(world::one_run(&stage, &place, round % 2 == 1));
            assert_eq!(place.harm(), [""; 0], "round {round}");
        }
    });
    assert!(swaps.load(Ordering::Relaxed) > 100, "{swaps:?}");
    for left in ["d aside", "d/e aside", ".obsync/tmp aside"] {
        let _ = fs::remove_dir_all(copy.join(left));
    }
    // Left in peace, the copy becomes the vault's.
    for _ in 0..2 {
        stage
            .block_on(world::one_run(&stage, &place, true))
            .unwrap();
    }
    let vault = stage.contents().files.into_iter();
    let vault: Vec<(String, Bytes)> = vault.map(|(path, (_, content))| (path, content)).collect();
    let here: Vec<(String, Bytes)> = place.files().into_iter().collect();
    assert_eq!(here, vault);
    assert_eq!(place.harm(), [""; 0]);
}
