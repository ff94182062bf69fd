//! What a folder can't do without: files created, written, made durable and renamed. No network, no
//! state.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::Result;

/// As many as the engine puts side by side.
const THREADS: usize = 16;
/// Files in one folder.
const FOLDER: u64 = 100;

/// Writes so many files; says how many seconds that took.
pub(super) fn run(folder: &Path, files: u64, bytes: usize) -> Result<f64> {
    let staging = folder.join("staging");
    fs::create_dir_all(&staging)?;
    for number in 0..files.div_ceil(FOLDER) {
        fs::create_dir(folder.join(format!("Folder {number}")))?;
    }
    let content = vec![b'a'; bytes];
    let next = AtomicU64::new(0);
    let write = || -> std::io::Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= files {
                return Ok(());
            }
            let staged = staging.join(number.to_string());
            let mut file = File::create_new(&staged)?;
            file.write_all(&content)?;
            file.sync_all()?;
            let place = folder.join(format!("Folder {}/{number}.md", number / FOLDER));
            fs::rename(staged, place)?;
        }
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(write)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| match thread.join() {
                Ok(ended) => ended,
                Err(panic) => std::panic::resume_unwind(panic),
            })
    })?;
    Ok(start.elapsed().as_secs_f64())
}
