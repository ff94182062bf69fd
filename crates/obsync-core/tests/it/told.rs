//! What is noted of a run beside the state, and what its progress adds up to.

use std::sync::Arc;

use obsync_core::memory::{Faults, Op};
use obsync_core::progress::Event;
use obsync_core::report::Status;
use obsync_core::{RunStatus, StateStore as _, StoreErrorKind, SyncError};
use obsync_devserver::{Action, Fault, Point};
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, NOW, Once, Recorder};

async fn noted(bench: &Bench) -> RunStatus {
    bench.state.status().await.unwrap()
}

/// A function that is near its deadline every time is not in trouble.
#[tokio::test]
async fn a_stop_is_no_error_where_the_run_came_further() {
    let mut bench = Bench::new().await;
    bench.options.connections = 1;
    bench.options.batch_size = 2;
    for number in 0..20 {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    let mut run = bench.sync_run();
    let stop = bench.stop.clone();
    let arrived = |event: &Event<'_>| matches!(event, Event::Downloaded(_));
    run.progress = Once::at(arrived, move || stop.cancel());
    let report = run.run().await.unwrap();
    assert!(matches!(report.error, Some(SyncError::Stopped)));
    assert!(report.advanced && report.remaining > 0, "{report:?}");
    let status = noted(&bench).await;
    assert_eq!((status.last_error, status.last_success), (None, None));
    assert_eq!(status.pending, report.remaining);
    assert!(status.progress.is_some());

    // One that got nowhere says why.
    bench.stop = CancellationToken::new();
    bench.stop.cancel();
    assert!(matches!(bench.try_sync().await, Err(SyncError::Stopped)));
    assert_eq!(noted(&bench).await.last_error.unwrap().kind, "stopped");
}

#[tokio::test]
async fn files_that_failed_are_noted_by_the_word_that_answers_use() {
    let bench = Bench::new().await;
    let uid = bench.put("a.md", "A");
    let gone = Fault::new(Point::Pull, Action::Gone).uid(uid);
    bench.server.faults().set(gone).unwrap();
    let report = bench.try_sync().await.unwrap();
    assert_eq!(report.status, Status::Partial);
    let error = noted(&bench).await.last_error.unwrap();
    assert_eq!(error.kind, "files_failed");
    assert!(error.message.starts_with("a.md: "), "{error:?}");
}

/// The run that is at work notes how it went; the one that met it has no say.
#[tokio::test]
async fn a_run_that_meets_another_leaves_its_note_alone() {
    let bench = Bench::new().await;
    bench.put("a.md", "A");
    bench.sync().await;
    let before = noted(&bench).await;
    assert_eq!(before.last_success, Some(NOW));
    bench.put("b.md", "B");
    for op in [Op::Sweep, Op::Commit, Op::Stage] {
        let faults = Faults::none();
        faults.fail_next(op, None, StoreErrorKind::Busy);
        match bench.run_under(&faults).run().await {
            Ok(report) => assert_eq!(report.error.unwrap().kind(), "busy", "{op:?}"),
            Err(error) => assert_eq!(error.kind(), "busy", "{op:?}"),
        }
        assert_eq!(noted(&bench).await, before, "{op:?}");
    }
    bench.sync().await;
    bench.expect_same();
}

/// A file that is tried again does not count twice.
#[tokio::test]
async fn progress_never_passes_its_end() {
    let bench = Bench::new().await;
    let size = 9 * 1024 * 1024;
    bench.put_bytes("large.bin", &vec![1; size]);
    for cut in [
        Fault::new(Point::Piece, Action::Cut).after(3),
        Fault::new(Point::Piece, Action::Drop).after(8),
    ] {
        bench.server.faults().set(cut.once()).unwrap();
    }
    let recorder = Arc::new(Recorder::default());
    let mut run = bench.sync_run();
    run.progress = recorder.clone();
    assert_eq!(run.run().await.unwrap().status, Status::Complete);
    let events = recorder.0.lock().unwrap();
    let bytes = events.iter().filter_map(|event| {
        let number = event.strip_prefix("Bytes(")?.strip_suffix(')')?;
        number.parse::<usize>().ok()
    });
    assert_eq!(bytes.sum::<usize>(), size, "{events:?}");
}
