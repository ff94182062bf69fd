//! Faults of the service and the network: each run ends by itself, and loses nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use obsidian_sync::Kind;
use obsync_core::report::{ProblemKind, Report, Status};
use obsync_core::{StateStore as _, SyncError};
use obsync_devserver::{Action, Fault, Point};

use crate::bench::{Bench, Recorder};

async fn filled() -> Bench {
    let bench = Bench::new().await;
    for number in 0..12 {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    bench.put_bytes("large.bin", &vec![1; 5 * 1024 * 1024]);
    bench
}

/// Whatever strikes once is survived within one run.
#[tokio::test]
async fn one_fault_of_each_kind_is_survived() {
    let faults = [
        Fault::new(Point::Backlog, Action::Drop).after(5),
        Fault::new(Point::Backlog, Action::Cut).after(3),
        Fault::new(Point::Ready, Action::Drop),
        Fault::new(Point::Ready, Action::Hang),
        Fault::new(Point::Init, Action::Hang),
        Fault::new(Point::Upgrade, Action::Hang),
        Fault::new(Point::Upgrade, Action::Html(504)),
        Fault::new(Point::Pull, Action::Drop).after(2),
        Fault::new(Point::Pull, Action::Cut).after(2),
        Fault::new(Point::Pull, Action::Hang).after(2),
        Fault::new(Point::Pull, Action::Garbage).after(2),
        Fault::new(Point::Pull, Action::Error("try again".into())),
        Fault::new(Point::Pull, Action::FlipBit),
        Fault::new(Point::Pull, Action::Short(3)),
        Fault::new(Point::Pull, Action::Long(3)),
        Fault::new(Point::Pull, Action::ClaimSize(1 << 60)),
        Fault::new(Point::Pull, Action::ClaimPieces(1 << 60)),
        Fault::new(Point::Piece, Action::Drop).after(4),
        Fault::new(Point::Piece, Action::Cut).after(4),
        Fault::new(Point::Piece, Action::Hang).after(4),
        Fault::new(Point::Frame, Action::Drop).after(20),
    ];
    for fault in faults {
        survived(fault).await;
    }
}

async fn survived(fault: Fault) {
    let bench = filled().await;
    let shown = format!("{fault:?}");
    let id = bench.server.faults().set(fault.once()).unwrap();
    // The deadlines that it takes pass in no time.
    let (report, _) = bench.flight(bench.sync_run(), &shown).await;
    let report = report.unwrap_or_else(|error| panic!("{shown}: {error}"));
    assert_eq!(
        bench.server.faults().struck(id),
        1,
        "{shown} did not strike"
    );
    assert_eq!(report.status, Status::Complete, "{shown}: {report:?}");
    bench.expect_same();
}

#[tokio::test]
async fn one_bad_file_does_not_hold_up_the_others() {
    let actions = [
        Action::FlipBit,
        Action::Gone,
        Action::Short(1),
        Action::Error("no such thing".into()),
        Action::Drop,
    ];
    join_all(
        actions
            .into_iter()
            .map(|action| Box::pin(one_bad_file(action))),
    )
    .await;
}

async fn one_bad_file(action: Action) {
    let bench = filled().await;
    let bad = bench.server.uid_of(&bench.vault, "5.md").unwrap();
    let fault = Fault::new(Point::Pull, action.clone()).uid(bad);
    bench.server.faults().set(fault).unwrap();
    let report = bench.try_sync().await.unwrap();
    assert_eq!(
        (report.status, report.files_failed),
        (Status::Partial, 1),
        "{action:?}"
    );
    assert_eq!(report.problems[0].path, "5.md");
    assert_eq!(report.problems[0].kind, ProblemKind::Failed);
    assert_eq!(bench.files().len(), 12, "{action:?}");
    assert!(!bench.files().contains_key("5.md"));
    let version = bench.server.version(&bench.vault).unwrap();
    assert_eq!(
        report.cursor, version,
        "listed durably, so the cursor may pass"
    );

    // It is tried again next time, though the service says nothing new.
    bench.server.faults().clear();
    bench.pulls();
    bench.sync().await;
    assert_eq!(bench.pulls(), 1, "{action:?}");
    bench.expect_same();
    assert!(bench.state.unapplied().await.unwrap().is_empty());
}

/// Invariant 1: content under a good tag that is not what the record promises.
#[tokio::test]
async fn swapped_content_is_not_published() {
    let bench = Bench::new().await;
    bench.put("a.md", "the one");
    let other = bench.put("b.md", "another");
    let uid = bench.server.uid_of(&bench.vault, "a.md").unwrap();
    let swap = Fault::new(Point::Pull, Action::Swap(other)).uid(uid);
    bench.server.faults().set(swap).unwrap();
    let report = bench.try_sync().await.unwrap();
    assert_eq!(report.files_failed, 1);
    // Found by the engine itself: a store that checks again is a kindness of the one in memory.
    assert!(
        report.problems[0].message.contains("SHA-256"),
        "{:?}",
        report.problems
    );
    bench.expect_files(&[("b.md", "another")]);
}

/// A record that lies about its size could otherwise fill the memory.
#[tokio::test]
async fn a_size_other_than_the_records_is_refused_before_it_is_fetched() {
    let bench = Bench::new().await;
    let uid = bench.put("a.md", "small");
    let large = bench.put_bytes("large.bin", &vec![1; 3 * 1024 * 1024]);
    let swap = Fault::new(Point::Pull, Action::Swap(large)).uid(uid);
    bench.server.faults().set(swap).unwrap();
    let report = bench.try_sync().await.unwrap();
    assert_eq!(report.files_failed, 1);
    assert!(
        report.problems[0].message.contains("where its record says"),
        "{report:?}"
    );
}

/// A large file is decrypted as it comes; nothing of it is seen before its tag was checked.
#[tokio::test]
async fn a_large_file_that_turns_out_bad_leaves_nothing() {
    let bench = filled().await;
    let large = bench.server.uid_of(&bench.vault, "large.bin").unwrap();
    bench
        .server
        .faults()
        .set(Fault::new(Point::Pull, Action::FlipBit).uid(large))
        .unwrap();
    let report = bench.try_sync().await.unwrap();
    assert_eq!(report.files_failed, 1);
    assert!(!bench.files().contains_key("large.bin"));
    assert_eq!(bench.store.staged(), 0);
}

#[tokio::test]
async fn a_service_that_is_gone_for_good_ends_the_run() {
    let bench = filled().await;
    bench
        .server
        .faults()
        .set(Fault::new(Point::Upgrade, Action::Status(502)))
        .unwrap();
    let error = bench.try_sync().await.unwrap_err();
    assert!(
        matches!(&error, SyncError::Remote(e) if e.kind() == Kind::Edge),
        "{error:?}"
    );
    assert_eq!(
        bench.state.status().await.unwrap().last_error.unwrap().kind,
        "edge"
    );
}

#[tokio::test]
async fn a_service_that_dies_in_the_middle_leaves_progress() {
    let mut bench = filled().await;
    bench.options.batch_size = 2;
    let drop = Fault::new(Point::Pull, Action::Drop).after(6);
    bench.server.faults().set(drop).unwrap();
    // Every dial but the feed's is refused.
    bench
        .server
        .faults()
        .set(Fault::new(Point::Upgrade, Action::Status(503)).after(1))
        .unwrap();
    let report = bench.try_sync().await.unwrap();
    assert_eq!(report.status, Status::Partial, "{report:?}");
    assert!(matches!(report.error, Some(SyncError::Remote(_))));
    assert_eq!(report.files_downloaded, 6);
    bench.server.faults().clear();
    bench.pulls();
    bench.sync().await;
    assert_eq!(bench.pulls(), 7, "what was committed is not fetched again");
    bench.expect_same();
}

#[tokio::test]
async fn final_words_are_final() {
    for (message, kind) in [
        (
            "Your subscription to Obsidian Sync has expired",
            Kind::SubscriptionExpired,
        ),
        ("Vault not found", Kind::VaultNotFound),
    ] {
        let bench = filled().await;
        bench
            .server
            .faults()
            .set(Fault::new(Point::Init, Action::Error(message.into())))
            .unwrap();
        let error = bench.try_sync().await.unwrap_err();
        assert!(
            matches!(&error, SyncError::Remote(e) if e.kind() == kind),
            "{error:?}"
        );
        assert_eq!(bench.server.stats().sockets, 1, "{kind:?} is not retried");
    }
}

#[tokio::test]
async fn fewer_connections_after_a_refusal() {
    let mut bench = filled().await;
    for number in 0..60 {
        bench.put(&format!("more/{number}.md"), &format!("more {number}"));
    }
    bench.options.connections = 8;
    bench.server.faults().set_latency(Duration::from_millis(5));
    let refuse = Fault::new(Point::Upgrade, Action::Status(503)).above(3);
    bench.server.faults().set(refuse).unwrap();
    let recorder = Arc::new(Recorder::default());
    let mut run = bench.sync_run();
    run.progress = recorder.clone();
    let report: Report = run.run().await.unwrap();
    assert_eq!(report.files_downloaded, 73);
    bench.expect_same();
    let events = recorder.0.lock().unwrap();
    let at = |wanted: &str| events.iter().position(|event| event == wanted);
    let full = at("Connections(3)").expect("the service let three in");
    let fewer = events[full..]
        .iter()
        .position(|event| event == "Connections(2)")
        .unwrap();
    let after = &events[full + fewer..];
    assert!(
        after.iter().any(|event| event.starts_with("Bytes")),
        "and most came over two"
    );
}

#[tokio::test]
async fn connections_ramp_up_to_what_was_asked() {
    let mut bench = Bench::new().await;
    for number in 0..300 {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    bench.options.connections = 6;
    bench.server.faults().set_latency(Duration::from_millis(10));
    bench.sync().await;
    assert_eq!(bench.server.stats().sockets_max, 6);
    assert_eq!(
        bench.server.stats().overlapping,
        0,
        "one request at a time on each"
    );
}
