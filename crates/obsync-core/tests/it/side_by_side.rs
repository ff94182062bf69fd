//! What goes on side by side, how much of it, and how soon it stops.

use std::time::Duration;

use obsync_core::memory::{Faults, MemoryVaultStore, Op};
use obsync_core::progress::Event;
use obsync_core::report::Status;
use obsync_core::{Budget, StateStore as _, SyncError};
use obsync_devserver::VaultSpec;

use crate::bench::{Bench, OWNER, Once};

const MIB: usize = 1024 * 1024;

async fn with_marks() -> Bench {
    Bench::with(
        VaultSpec::managed("Notes", OWNER),
        MemoryVaultStore::with_marks(),
    )
    .await
}

/// Each open writer may hold megabytes: one large file in many folders must not hold many times that.
#[tokio::test]
async fn a_large_file_at_many_paths_is_staged_once() {
    for bench in [Bench::new().await, with_marks().await] {
        let large = vec![7; 10 * MIB];
        for number in 0..10 {
            bench.put_bytes(&format!("{number}/large.pdf"), &large);
        }
        let faults = Faults::none();
        let report = bench.run_under(&faults).run().await.unwrap();
        assert_eq!(report.status, Status::Complete, "{report:?}");
        assert_eq!(faults.most_at_once(Op::StageStream), 1);
        assert_eq!(
            (report.files_downloaded, report.files_moved, bench.pulls()),
            (1, 9, 1)
        );
        bench.expect_same();
        assert_eq!(bench.store.staged(), 0);
    }
}

/// What a store's writer holds counts as what is in flight.
#[tokio::test]
async fn streams_share_the_memory_with_what_their_writers_hold() {
    const CLAIM: u64 = 10 * 1024 * 1024;
    for (holds, most) in [(0, 2), (CLAIM, 1)] {
        let mut bench = Bench::new().await;
        bench.options.connections = 2;
        for number in 0..4 {
            bench.put_bytes(&format!("{number}.bin"), &vec![number; 6 * MIB]);
        }
        let faults = Faults::none();
        faults.writers_hold(holds);
        faults.takes(Op::Write, Duration::from_secs(1));
        let mut run = bench.run_under(&faults);
        run.budget = Budget::new(16 * MIB as u64);
        let (report, _) = bench.flight(run, "streams").await;
        assert_eq!(report.unwrap().status, Status::Complete);
        assert_eq!(faults.most_at_once(Op::StageStream), most);
        bench.expect_same();
    }
}

/// Whatever becomes of the first of them: the others come.
#[tokio::test]
async fn a_large_file_whose_first_place_is_taken_comes_to_its_others() {
    for bench in [Bench::new().await, with_marks().await] {
        let large = vec![7; 5 * MIB];
        for number in 0..3 {
            bench.put_bytes(&format!("{number}/large.pdf"), &large);
        }
        let faults = Faults::none();
        let denied = obsync_core::StoreErrorKind::Denied;
        faults.fail_next(Op::Publish, Some("0/large.pdf"), denied);
        faults.fail_next(Op::StageCopy, Some("2/large.pdf"), denied);
        let report = bench.run_under(&faults).run().await.unwrap();
        assert_eq!(report.files_failed, 1, "{report:?}");
        assert_eq!(report.problems[0].path, "0/large.pdf");
        assert_eq!(report.remaining, 0);
        assert_eq!(bench.files().len(), 2);
        bench.sync().await;
        bench.expect_same();
    }
}

#[tokio::test]
async fn many_equal_files_are_staged_side_by_side() {
    let bench = Bench::new().await;
    for number in 0..200 {
        bench.put(&format!("{number}.md"), "the same");
    }
    let faults = Faults::none();
    faults.takes(Op::Stage, Duration::from_millis(100));
    let (report, took) = bench.flight(bench.run_under(&faults), "equal files").await;
    assert_eq!(report.unwrap().status, Status::Complete);
    bench.expect_same();
    assert_eq!(bench.pulls(), 1);
    let most = faults.most_at_once(Op::Stage);
    assert!((8..=16).contains(&most), "{most} at once");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn a_stop_among_many_equal_files_is_heeded() {
    for text in ["the same", ""] {
        for bench in [Bench::new().await, with_marks().await] {
            for number in 0..200 {
                bench.put(&format!("{number}.md"), text);
            }
            let faults = Faults::none();
            faults.takes(Op::Stage, Duration::from_millis(100));
            let mut run = bench.run_under(&faults);
            let stop = bench.stop.clone();
            let planned = |event: &Event<'_>| matches!(event, Event::Planned { .. });
            run.progress = Once::at(planned, move || {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(150)).await;
                    stop.cancel();
                });
            });
            let (report, took) = bench.flight(run, "a stop").await;
            let report = report.unwrap();
            assert!(matches!(report.error, Some(SyncError::Stopped)));
            assert!(took < Duration::from_millis(600), "{took:?}");
            let there = bench.files().len() as u64;
            assert!((1..150).contains(&there), "{there}");
            assert_eq!(there + report.remaining, 200, "{report:?}");
            assert_eq!(bench.state.counts().await.unwrap().files, there);
        }
    }
}

/// A vault whose files all get new places.
async fn moving(mut bench: Bench, count: usize) -> Bench {
    bench.options.batch_size = 50;
    for number in 0..count {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    bench.sync().await;
    bench.pulls();
    bench
}

#[tokio::test]
async fn copies_are_noted_in_batches() {
    for bench in [Bench::new().await, with_marks().await] {
        let bench = moving(bench, 100).await;
        for number in 0..100 {
            bench.put(&format!("copy {number}.md"), &format!("note {number}"));
        }
        let commits = bench.state.commits();
        let report = bench.sync().await;
        assert_eq!((report.files_moved, bench.pulls()), (100, 0));
        bench.expect_same();
        let commits = bench.state.commits() - commits;
        assert!(commits <= 8, "{commits} commits for two batches");
    }
}

#[tokio::test]
async fn copies_go_side_by_side() {
    for bench in [Bench::new().await, with_marks().await] {
        let bench = moving(bench, 60).await;
        for number in 0..60 {
            bench.put(&format!("copy {number}.md"), &format!("note {number}"));
        }
        let faults = Faults::none();
        faults.takes(Op::StageCopy, Duration::from_millis(100));
        let (report, took) = bench.flight(bench.run_under(&faults), "copies").await;
        assert_eq!(report.unwrap().files_moved, 60);
        bench.expect_same();
        assert_eq!(faults.most_at_once(Op::StageCopy), 16);
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}

/// Where there are no folders, no move waits for another one's.
#[tokio::test]
async fn moves_in_a_bucket_go_side_by_side_and_are_noted_meanwhile() {
    let bench = moving(with_marks().await, 120).await;
    for number in 0..120 {
        bench.rename(&format!("{number}.md"), &format!("moved/{number}.md"));
    }
    let faults = Faults::none();
    faults.takes(Op::Rename, Duration::from_millis(500));
    faults.takes(Op::Publish, Duration::from_millis(500));
    let (report, took) = bench.flight(bench.run_under(&faults), "moves").await;
    assert_eq!(report.unwrap().files_moved, 120);
    bench.expect_same();
    assert_eq!(faults.most_at_once(Op::Rename), 16);
    assert!(took < Duration::from_secs(8), "{took:?}");
    let trace = faults.trace();
    let renames = |effect: &String| effect.starts_with("Rename");
    let first = trace.iter().position(renames).unwrap();
    let last = trace.iter().rposition(renames).unwrap();
    assert!(trace[first..last].iter().any(|effect| effect == "Commit"));
}

#[tokio::test]
async fn a_stop_among_moves_is_heeded() {
    let bench = moving(Bench::new().await, 50).await;
    for number in 0..50 {
        bench.rename(&format!("{number}.md"), &format!("moved/{number}.md"));
    }
    let faults = Faults::none();
    faults.takes(Op::Rename, Duration::from_millis(100));
    let mut run = bench.run_under(&faults);
    let stop = bench.stop.clone();
    let planned = |event: &Event<'_>| matches!(event, Event::Planned { .. });
    run.progress = Once::at(planned, move || {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(350)).await;
            stop.cancel();
        });
    });
    let (report, took) = bench.flight(run, "a stop").await;
    let report = report.unwrap();
    assert!(matches!(report.error, Some(SyncError::Stopped)));
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!((1..10).contains(&report.files_moved), "{report:?}");
}

/// `a` moves away, and a copy comes below it.
#[tokio::test]
async fn a_copy_below_a_file_that_moves_away_comes_after_it() {
    let bench = Bench::new().await;
    bench.put("a", "a");
    bench.put("keep.md", "keep");
    bench.sync().await;
    bench.rename("a", "b");
    bench.put("a/copy.md", "keep");
    let report = bench.sync().await;
    assert_eq!(report.files_failed, 0, "{report:?}");
    bench.expect_same();
}
