//! Runs that are cut short again and again, as a function's are: they get to an end.

use std::sync::Arc;
use std::time::Duration;

use obsync_core::memory::{Faults, Op};
use obsync_core::report::{ProblemKind, Report, Status};
use obsync_core::{
    Advance, StateStore as _, SyncError, UnappliedKind, watchdog::Verdict, watchdog::Watchdog,
};
use obsync_devserver::{Action, Fault, FaultId, Point};
use tokio_util::sync::CancellationToken;

use crate::bench::Bench;

/// Runs until the fault has struck so often, and stops the run then.
async fn run_until(bench: &mut Bench, fault: FaultId, strikes: u64) -> Report {
    bench.stop = CancellationToken::new();
    let run = bench.sync_run();
    let watch = async {
        while bench.server.faults().struck(fault) < strikes {
            tokio::task::yield_now().await;
        }
        bench.stop.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        report = run.run() => report.unwrap(),
        () = watch => unreachable!(),
    }
}

/// Stops a run once the fault has struck, and lets it come to its end.
async fn run_on(bench: &Bench, fault: FaultId) -> Report {
    let run = bench.sync_run();
    let stop = async {
        while bench.server.faults().struck(fault) == 0 {
            tokio::task::yield_now().await;
        }
        bench.stop.cancel();
    };
    let (report, ()) = tokio::join!(run.run(), stop);
    report.unwrap()
}

/// The unfinished files in state, with the number of whole runs that tried them.
async fn unfinished(bench: &Bench) -> Vec<(String, UnappliedKind, u32)> {
    let listed = bench.state.unapplied().await.unwrap();
    let items = listed.into_iter();
    items
        .map(|item| (item.name, item.kind, item.attempts))
        .collect()
}

#[tokio::test]
async fn a_file_that_two_whole_runs_can_not_finish_is_listed_and_blocks_nothing() {
    let mut bench = Bench::new().await;
    bench.options.connections = 1;
    bench.put("a.md", "A");
    let slow = bench.put("slow.md", "never comes");
    let hang = Fault::new(Point::Pull, Action::Hang).uid(slow);
    let fault = bench.server.faults().set(hang).unwrap();

    // It came second: this run could not give it all its time.
    let report = run_until(&mut bench, fault, 1).await;
    assert!(matches!(report.error, Some(SyncError::Stopped)));
    assert_eq!(report.status, Status::Partial);
    assert_eq!((report.files_downloaded, report.remaining), (1, 1));
    assert!(report.advanced && report.problems.is_empty(), "{report:?}");
    assert!(report.cursor.0 < slow.0, "not passed");
    let noted = ("slow.md".to_owned(), UnappliedKind::Unfinished, 0);
    assert_eq!(unfinished(&bench).await, [noted]);
    let progress = bench.state.status().await.unwrap().progress;
    let (done, planned) = (1, 2);
    assert_eq!(progress, Some(Advance { done, planned }));

    // Now it is the first, before what is new.
    bench.put("b.md", "B");
    let report = run_until(&mut bench, fault, 2).await;
    assert_eq!((report.files_downloaded, report.remaining), (0, 2));
    assert!(report.advanced, "one more of its two runs is gone");
    let noted = ("slow.md".to_owned(), UnappliedKind::Unfinished, 1);
    assert_eq!(unfinished(&bench).await, [noted]);

    let report = run_until(&mut bench, fault, 3).await;
    assert_eq!((report.files_failed, report.remaining), (1, 1));
    assert_eq!(report.problems[0].kind, ProblemKind::Failed);
    assert!(report.problems[0].message.contains("two whole runs"));

    // From here on it comes last.
    let report = run_until(&mut bench, fault, 4).await;
    assert_eq!((report.files_downloaded, report.files_failed), (1, 1));
    assert_eq!(report.remaining, 0);
    assert_eq!(report.cursor, bench.server.version(&bench.vault).unwrap());

    let report = run_until(&mut bench, fault, 5).await;
    assert_eq!((report.files_failed, report.remaining), (1, 0));

    bench.stop = CancellationToken::new();
    bench.server.faults().clear();
    bench.sync().await;
    bench.expect_same();
    assert!(unfinished(&bench).await.is_empty());
    assert_eq!(bench.state.status().await.unwrap().progress, None);
}

#[tokio::test]
async fn a_first_file_that_never_comes_gives_its_connection_to_the_others() {
    let mut bench = Bench::new().await;
    bench.options.connections = 1;
    let slow = bench.put("slow.md", "never comes");
    bench.put("b.md", "B");
    let hang = Fault::new(Point::Pull, Action::Hang).uid(slow);
    let fault = bench.server.faults().set(hang).unwrap();

    // The cursor can't move, so that each of these runs is given the vault as it stands.
    for strikes in 1..=2 {
        let report = run_until(&mut bench, fault, strikes).await;
        assert!(report.advanced, "{report:?}");
        let attempts = u32::try_from(strikes).unwrap();
        let noted = ("slow.md".to_owned(), UnappliedKind::Unfinished, attempts);
        let given_up = attempts == 2;
        match given_up {
            false => assert_eq!(unfinished(&bench).await, [noted]),
            true => assert_eq!(report.files_failed, 1, "{report:?}"),
        }
    }
    // From here on it comes last.
    let report = run_until(&mut bench, fault, 3).await;
    assert_eq!((report.files_downloaded, report.files_failed), (1, 1));
    assert_eq!(report.remaining, 0);
    bench.expect_files(&[("b.md", "B")]);
}

/// A comparison of everything takes no count of tries away from what fails again.
#[tokio::test]
async fn a_full_comparison_goes_on_counting_tries() {
    let mut bench = Bench::new().await;
    let bad = bench.put("bad.md", "bad");
    let no = Fault::new(Point::Pull, Action::Gone).uid(bad);
    bench.server.faults().set(no).unwrap();
    bench.options.full = true;
    for attempts in 1..=3 {
        bench.try_sync().await.unwrap();
        let noted = ("bad.md".to_owned(), UnappliedKind::Failed, attempts);
        assert_eq!(unfinished(&bench).await, [noted]);
    }
}

#[tokio::test]
async fn what_was_unfinished_and_is_replaced_in_the_vault_begins_anew() {
    let mut bench = Bench::new().await;
    bench.options.connections = 1;
    let slow = bench.put("slow.md", "never comes");
    let hang = Fault::new(Point::Pull, Action::Hang).uid(slow);
    let fault = bench.server.faults().set(hang).unwrap();
    run_until(&mut bench, fault, 1).await;
    assert_eq!(unfinished(&bench).await[0].2, 1);

    bench.put("slow.md", "shorter");
    bench.stop = CancellationToken::new();
    bench.sync().await;
    bench.expect_same();
    assert!(unfinished(&bench).await.is_empty());
}

/// As a function near its deadline: nothing new begins, and nothing that began is fetched twice.
#[tokio::test]
async fn what_is_on_its_way_when_a_run_is_stopped_may_come_to_its_end() {
    let mut bench = Bench::new().await;
    bench.options.connections = 1;
    bench.options.finishing = Duration::from_secs(60);
    let slow = bench.put("slow.md", "comes late");
    bench.put("z.md", "Z");
    let late = Action::Delay(Duration::from_millis(200));
    let late = Fault::new(Point::Pull, late).uid(slow);
    let fault = bench.server.faults().set(late).unwrap();

    let report = run_on(&bench, fault).await;
    assert!(matches!(report.error, Some(SyncError::Stopped)));
    assert_eq!((report.files_downloaded, report.remaining), (1, 1));
    assert!(unfinished(&bench).await.is_empty());
    let stats = bench.server.stats();
    assert_eq!(stats.pulls_of(&bench.vault, slow), 1);
    assert_eq!(stats.pulled(), 1, "nothing new began");
}

#[tokio::test]
async fn a_run_that_is_stopped_with_its_last_file_on_its_way_is_complete() {
    let mut bench = Bench::new().await;
    bench.options.finishing = Duration::from_secs(60);
    let slow = bench.put("slow.md", "comes late");
    let late = Action::Delay(Duration::from_millis(200));
    let late = Fault::new(Point::Pull, late).uid(slow);
    let fault = bench.server.faults().set(late).unwrap();
    let report = run_on(&bench, fault).await;
    assert_eq!(report.status, Status::Complete, "{report:?}");
    bench.expect_same();
}

/// The last of three dials is given up because of the stop, and not because the service is gone.
#[tokio::test]
async fn a_stop_during_a_dial_is_a_stop() {
    let mut bench = Bench::new().await;
    bench.options.connections = 1;
    bench.put("a.md", "A");
    let faults = bench.server.faults();
    faults.set(Fault::new(Point::Pull, Action::Drop)).unwrap();
    let hang = Fault::new(Point::Upgrade, Action::Hang).after(1);
    faults.set(hang).unwrap();
    let stop = bench.stop.clone();
    let stopping = async move {
        // In the third dial: each of the two before takes a minute.
        tokio::time::sleep(Duration::from_secs(150)).await;
        stop.cancel();
    };
    let ((report, _), ()) = tokio::join!(bench.flight(bench.sync_run(), "dials"), stopping);
    let report = report.unwrap();
    assert!(
        matches!(report.error, Some(SyncError::Stopped)),
        "{report:?}"
    );
    assert_eq!(report.remaining, 1);
}

/// A bug in a store ends the run as one: no file is silently left out.
#[tokio::test]
async fn a_panic_while_a_file_is_put_is_not_lost() {
    for count in [1, 40] {
        let bench = Bench::new().await;
        for number in 0..count {
            bench.put(&format!("{number}.md"), &format!("note {number}"));
        }
        let faults = Faults::none();
        faults.panic_at(Op::Stage);
        let run = bench.run_under(&faults);
        let ended = tokio::spawn(async move { run.run().await }).await;
        let error = ended.expect_err("it can't be complete");
        assert!(error.is_panic());
        bench.sync().await;
        bench.expect_same();
    }
}

/// Above the watchdog's mark a run creeps, one file at a time, and comes to its end all the same.
#[tokio::test]
async fn a_run_that_is_held_back_for_memory_still_ends() {
    let bench = Bench::new().await;
    for number in 0..20 {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    let run = bench.sync_run();
    let watchdog = Watchdog::new(100, run.budget.clone());
    assert_eq!(watchdog.observe(99), Verdict::Paused);
    let most = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let watch = async {
        loop {
            let now = run.budget.in_flight();
            most.fetch_max(now, std::sync::atomic::Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    };
    let report = tokio::select! {
        report = run.run() => report.unwrap(),
        () = watch => unreachable!(),
    };
    assert_eq!(report.status, Status::Complete);
    bench.expect_same();
    let most = most.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(most, 8 * 1024, "never two at once");
    assert_eq!(watchdog.observe(1), Verdict::Resumed);
}
