//! Dry runs, stops, batches and the numbers in between.

use std::sync::Arc;

use obsync_core::report::Status;
use obsync_core::verify::VerifyOptions;
use obsync_core::{StateStore as _, SyncError};

use crate::bench::{Bench, Recorder};

#[tokio::test]
async fn a_dry_run_shows_the_plan_and_does_nothing() {
    let bench = Bench::new().await;
    bench.put("a.md", "A");
    bench.put("b.md", "B");
    let preview = bench.sync_run().preview().await.unwrap();
    let steps: Vec<String> = preview
        .steps
        .iter()
        .map(|step| format!("{} {}", step.action, step.path))
        .collect();
    assert_eq!(steps, ["download a.md", "download b.md"]);
    assert_eq!((bench.pulls(), bench.state.commits()), (0, 0));
    assert!(bench.files().is_empty());
    assert_eq!(bench.state.status().await.unwrap().last_run, None);
    let report = bench.sync().await;
    assert_eq!(report.files_downloaded, steps.len() as u64);
    assert!(bench.sync_run().preview().await.unwrap().steps.is_empty());
}

#[tokio::test]
async fn a_stopped_run_saves_its_progress_and_the_next_goes_on() {
    let mut bench = Bench::new().await;
    for number in 0..40 {
        bench.put(&format!("{number:02}.md"), &format!("note {number}"));
    }
    bench.options.batch_size = 5;
    bench.options.connections = 1;
    let stop = bench.stop.clone();
    let mut run = bench.sync_run();
    run.progress = Arc::new(StopAfter {
        count: 10.into(),
        stop,
    });
    let report = run.run().await.unwrap();
    assert_eq!(report.status, Status::Partial);
    assert!(matches!(report.error, Some(SyncError::Stopped)));
    assert!(report.remaining > 0);
    let done = bench.files().len() as u64;
    assert!((10..40).contains(&done));
    assert_eq!(
        bench.state.counts().await.unwrap().files,
        done,
        "what is there is noted"
    );
    bench.stop = tokio_util::sync::CancellationToken::new();
    let first = bench.pulls();
    bench.sync().await;
    bench.expect_same();
    // What was only in flight may come again, what was committed may not.
    assert!(first + bench.pulls() <= 40 + 20);
    assert!(
        bench.server.stats().inits.iter().all(|init| !init.initial),
        "resumed from the cursor"
    );
}

/// Stops a run after so many files.
struct StopAfter {
    count: std::sync::atomic::AtomicI64,
    stop: tokio_util::sync::CancellationToken,
}

impl obsync_core::progress::Progress for StopAfter {
    fn event(&self, event: obsync_core::progress::Event<'_>) {
        if let obsync_core::progress::Event::Downloaded(_) = event
            && self
                .count
                .fetch_sub(1, std::sync::atomic::Ordering::Relaxed)
                == 1
        {
            self.stop.cancel();
        }
    }
}

#[tokio::test]
async fn a_stop_before_the_feed_changes_nothing() {
    let bench = Bench::new().await;
    bench.put("a.md", "A");
    bench.stop.cancel();
    assert!(matches!(bench.try_sync().await, Err(SyncError::Stopped)));
    assert_eq!(bench.state.commits(), 0);
}

#[tokio::test]
async fn state_is_written_in_batches() {
    let mut bench = Bench::new().await;
    for number in 0..100 {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    bench.options.batch_size = 50;
    bench.sync().await;
    let commits = bench.state.commits();
    assert!(commits <= 8, "{commits} commits for two batches");
}

#[tokio::test]
async fn progress_tells_the_plan_and_every_file() {
    let bench = Bench::new().await;
    bench.put("a.md", "AAAA");
    bench.put("b.md", "B");
    let recorder = Arc::new(Recorder::default());
    let mut run = bench.sync_run();
    run.progress = recorder.clone();
    run.run().await.unwrap();
    let events = recorder.0.lock().unwrap();
    let count = |start: &str| {
        events
            .iter()
            .filter(|event| event.starts_with(start))
            .count()
    };
    assert_eq!(count("Planned { downloads: 2, bytes: 5,"), 1, "{events:?}");
    assert_eq!((count("Downloaded"), count("Bytes")), (2, 2));
}

/// Front ends spawn runs: several vaults side by side, or one beside a signal handler.
#[tokio::test]
async fn runs_can_be_spawned() {
    let bench = Bench::new().await;
    bench.put("a.md", "A");
    let run = bench.sync_run();
    let report = tokio::spawn(async move { run.run().await })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(report.files_downloaded, 1);
    let run = bench.sync_run();
    assert!(
        tokio::spawn(async move { run.verify(VerifyOptions::default()).await })
            .await
            .unwrap()
            .unwrap()
            .is_right()
    );
}
