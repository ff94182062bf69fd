//! Connections that wait: they are kept alive, and where one is lost all the same, no file pays for it.

use std::time::Duration;

use obsync_core::Budget;
use obsync_core::memory::{Faults, Op};
use obsync_core::report::Status;

use crate::bench::Bench;

/// As the service is said to do it.
const USUAL: Duration = Duration::from_secs(60);
/// Sooner than any ping.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A run whose connections wait for memory, a hundred seconds at a time. Tells how many it took.
async fn waiting_for_memory(idle: Duration) -> u64 {
    let mut bench = Bench::cutting_after(idle).await;
    bench.options.connections = 2;
    for number in 0..6 {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    let faults = Faults::none();
    faults.takes(Op::Stage, Duration::from_secs(100));
    let mut run = bench.run_under(&faults);
    run.budget = Budget::new(1);
    let (report, took) = bench.flight(run, "waits for memory").await;
    let report = report.unwrap();
    assert_eq!(report.status, Status::Complete, "{report:?}");
    assert!(took > Duration::from_secs(500), "{took:?}");
    bench.expect_same();
    bench.server.stats().sockets
}

/// A run that moves files for minutes before it fetches anything.
async fn moving_first(idle: Duration) -> u64 {
    let mut bench = Bench::cutting_after(idle).await;
    bench.options.connections = 1;
    for number in 0..3 {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    bench.sync().await;
    for number in 0..3 {
        bench.rename(&format!("{number}.md"), &format!("moved/{number}.md"));
    }
    bench.put("new.md", "new");
    bench.server.reset_stats();
    let faults = Faults::none();
    faults.takes(Op::Rename, Duration::from_secs(100));
    let run = bench.run_under(&faults);
    let (report, _) = bench.flight(run, "moves first").await;
    let report = report.unwrap();
    assert_eq!(report.status, Status::Complete, "{report:?}");
    bench.expect_same();
    bench.server.stats().sockets
}

#[tokio::test]
async fn a_connection_that_waits_for_memory_is_kept_alive() {
    assert_eq!(waiting_for_memory(USUAL).await, 2);
}

#[tokio::test]
async fn a_connection_lost_while_it_waits_costs_no_file_a_try() {
    let sockets = waiting_for_memory(AT_ONCE).await;
    assert!(sockets > 30, "{sockets}");
}

#[tokio::test]
async fn the_first_connection_is_kept_alive_while_files_are_moved() {
    assert_eq!(moving_first(USUAL).await, 1);
}

#[tokio::test]
async fn a_first_connection_lost_while_files_are_moved_is_replaced() {
    assert_eq!(moving_first(AT_ONCE).await, 2);
}
