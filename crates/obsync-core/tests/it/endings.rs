//! Every fault of the service, at every step: each run ends by itself, and says how.
//!
//! Time flies: a deadline of a minute passes as soon as nothing else happens.

use std::sync::Arc;
use std::time::Duration;

use obsidian_sync::Kind;
use obsync_core::memory::{MemoryStateStore, MemoryVaultStore};
use obsync_core::progress::{Event, Progress};
use obsync_core::report::{Report, Status};
use obsync_core::{StateStore as _, SyncError};
use obsync_devserver::{Action, Fault, Point, Service};

use crate::bench::{Bench, MTIME};

/// Runs while time flies. Says how the run ended, and after how long.
async fn flight(bench: &Bench, what: &str) -> (Result<Report, SyncError>, Duration) {
    bench.flight(bench.sync_run(), what).await
}

/// A run under a fault: it ends, what it says fits, and nothing wrong is at the destination. A
/// service that `hides` a record can't be found out: then only what is there must be right.
async fn ends_well(bench: &mut Bench, fault: Fault, hides: bool) {
    bench.store = MemoryVaultStore::new();
    bench.state = MemoryStateStore::new();
    let what = format!("{fault:?}");
    bench.server.faults().set(fault).unwrap();
    let (ended, _) = flight(bench, &what).await;
    bench.server.faults().clear();
    let vault = bench.server.tree(&bench.vault).unwrap();
    for (path, content) in bench.store.files() {
        assert_eq!(
            vault.get(&path).map(Vec::as_slice),
            Some(&content[..]),
            "{what}: {path}"
        );
    }
    assert_eq!(bench.store.staged(), 0, "{what}");
    let told = match &ended {
        Err(error) => error.to_string(),
        Ok(report) if report.status == Status::Complete => {
            let all = bench.store.files().len() == vault.len();
            assert!(all || hides, "{what}: {report:?}");
            String::new()
        }
        Ok(report) => {
            let problems = report
                .problems
                .iter()
                .map(|problem| problem.message.clone());
            let error = report.error.as_ref().map(ToString::to_string);
            let told: Vec<String> = problems.chain(error).collect();
            assert!(!told.is_empty(), "{what}: {report:?}");
            told.join(" ")
        }
    };
    assert!(!told.contains(char::is_control), "{what}: {told:?}");
    bench.options.full = hides;
    bench.sync().await;
    bench.options.full = false;
    bench.expect_same();
}

/// What a service can say that is no answer, and what it can do instead.
fn actions() -> Vec<Action> {
    let second = Duration::from_secs(1);
    let deep = |open: &str, close: &str| {
        Action::Say(format!("{}{}", open.repeat(100_000), close.repeat(100_000)))
    };
    let say = |text: &str| Action::Say(text.to_owned());
    vec![
        Action::Drop,
        Action::Cut,
        Action::Hang,
        Action::Skip,
        Action::Delay(second * 100),
        Action::Trickle(1, second),
        Action::Garbage,
        Action::Huge(100),
        Action::Huge(5 * 1024 * 1024),
        Action::Flood(500),
        deep("[", "]"),
        deep(r#"{"op":"#, "}"),
        say(""),
        say("null"),
        say(r#"{"res":"ok"}"#),
        say(r#"{"op":"pong"}"#),
        say(r#"{"op":"ready","version":1e308}"#),
        say(r#"{"op":"ready","version":-7}"#),
        say(r#"{"op":"push","uid":1e300,"path":7,"size":-1,"mtime":1e308}"#),
        say(r#"{"op":"push","uid":9007199254740991,"path":"aa","size":18446744073709551615}"#),
        say(r#"{"size":99999999999999999999999999,"pieces":99999999999999999999,"hash":""}"#),
        say(r#"{"size":-1,"pieces":-1,"hash":"zz"}"#),
        say(r#"{"size":9223372036854775807,"pieces":4398046511104,"hash":""}"#),
        say("{\"err\":\"\u{1b}[2J\u{202e}\u{7}\"}"),
        Action::Error("\u{1b}]0;x\u{7}".to_owned()),
        Action::overloaded(),
        Action::Status(200),
        Action::Status(503),
        Action::TooMany(u64::MAX),
        Action::Html(504),
        Action::Redirect("http://127.0.0.1:9/elsewhere".to_owned()),
        Action::FlipBit,
        Action::Short(1),
        Action::Long(1),
        Action::Gone,
        Action::Swap(obsidian_sync::Uid(1)),
        Action::ClaimSize(u64::MAX),
        Action::ClaimSize(0),
        Action::ClaimPieces(u64::MAX),
        Action::ClaimPieces(0),
    ]
}

async fn every_action_at(points: &[Point], large: bool) {
    let mut bench = Bench::new().await;
    for number in 0..4 {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    if large {
        bench.put_bytes("large.bin", &vec![1; 4_400_000]);
    }
    let mut tried = 0;
    for point in points {
        for action in actions() {
            let hides = matches!(action, Action::Skip | Action::Say(_))
                && matches!(point, Point::Backlog | Point::Frame);
            let fault = Fault::new(*point, action);
            if bench.server.faults().set(fault.clone()).is_err() {
                continue; // It makes no sense there.
            }
            bench.server.faults().clear();
            ends_well(&mut bench, fault.clone().after(1).once(), hides).await;
            ends_well(&mut bench, fault, hides).await;
            tried += 2;
        }
    }
    assert!(tried > 20, "{tried}");
}

#[tokio::test]
async fn every_fault_while_a_connection_is_opened_ends_by_itself() {
    every_action_at(&[Point::Accept, Point::Upgrade, Point::Init], false).await;
}

#[tokio::test]
async fn every_fault_in_the_backlog_ends_by_itself() {
    every_action_at(&[Point::Backlog, Point::Ready, Point::Frame], false).await;
}

#[tokio::test]
async fn every_fault_of_a_pull_ends_by_itself() {
    every_action_at(&[Point::Pull], false).await;
}

#[tokio::test]
async fn every_fault_between_the_pieces_of_a_large_file_ends_by_itself() {
    every_action_at(&[Point::Piece], true).await;
}

/// Pongs are signs of life, and still no answer.
#[tokio::test]
async fn a_service_that_says_nothing_but_pong_is_given_up() {
    let bench = Bench::new().await;
    bench.put("a.md", "A");
    let skip = Fault::new(Point::Ready, Action::Skip);
    bench.server.faults().set(skip).unwrap();
    let (ended, took) = flight(&bench, "no ready").await;
    let error = ended.unwrap_err();
    assert!(
        matches!(&error, SyncError::Remote(e) if e.kind() == Kind::Timeout),
        "{error:?}"
    );
    assert!(took < Duration::from_secs(600), "{took:?}");
}

/// However many files there are: a service that takes every connection and answers no pull is not
/// waited for once per file.
#[tokio::test]
async fn a_service_that_hangs_at_every_pull_is_given_up() {
    let bench = Bench::new().await;
    for number in 0..300 {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    let hang = Fault::new(Point::Pull, Action::Hang);
    bench.server.faults().set(hang).unwrap();
    let (ended, took) = flight(&bench, "no content").await;
    let report = ended.unwrap();
    assert_eq!(report.status, Status::Partial, "{report:?}");
    assert!(
        report.error.is_some() && report.remaining > 200,
        "{report:?}"
    );
    assert!(took < Duration::from_secs(1800), "{took:?}");
    bench.server.faults().clear();
    bench.sync().await;
    bench.expect_same();
}

/// What cost one connection after the other comes last in the next run.
#[tokio::test]
async fn many_bad_files_hold_up_the_others_for_one_run_at_most() {
    let mut bench = Bench::new().await;
    bench.options.connections = 1;
    for number in 0..40 {
        let uid = bench.put(&format!("bad {number}.md"), &format!("bad {number}"));
        let drop = Fault::new(Point::Pull, Action::Drop).uid(uid);
        bench.server.faults().set(drop).unwrap();
    }
    for number in 0..5 {
        bench.put(&format!("good {number}.md"), &format!("good {number}"));
    }
    let (first, _) = flight(&bench, "bad files").await;
    assert!(first.unwrap().error.is_some());
    let (second, _) = flight(&bench, "bad files again").await;
    let second = second.unwrap();
    let good = bench
        .files()
        .into_keys()
        .filter(|path| path.starts_with("good"));
    assert_eq!(good.count(), 5, "{second:?}");
    bench.server.faults().clear();
    bench.sync().await;
    bench.expect_same();
}

/// Pushes something with each event.
struct Pushing {
    service: Service,
    vault: obsidian_sync::VaultId,
    events: std::sync::atomic::AtomicU64,
}

impl Progress for Pushing {
    fn event(&self, _: Event<'_>) {
        let number = self
            .events
            .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let path = format!("pushed {}.md", number % 7);
        let content = format!("pushed {number}");
        self.service
            .put(&self.vault, &path, content.as_bytes(), MTIME)
            .unwrap();
        if number.is_multiple_of(5) {
            self.service.delete(&self.vault, &path).unwrap();
        }
    }
}

/// Other devices push at every moment of a run, also between the pieces of a download.
#[tokio::test]
async fn pushes_during_a_run_come_with_the_next() {
    let mut bench = Bench::new().await;
    bench.options.batch_size = 2;
    for number in 0..12 {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    bench.put_bytes("large.bin", &vec![1; 9 * 1024 * 1024]);
    let before = bench.server.version(&bench.vault).unwrap();
    let mut run = bench.sync_run();
    run.progress = Arc::new(Pushing {
        service: (*bench.server).clone(),
        vault: bench.vault.clone(),
        events: std::sync::atomic::AtomicU64::new(0),
    });
    let report = run.run().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{report:?}");
    let after = bench.server.version(&bench.vault).unwrap();
    assert!(after.0 > before.0 + 20, "{after:?}");
    let cursor = bench.state.header().await.unwrap().cursor;
    assert!(cursor >= before && cursor < after, "{cursor:?}");
    bench.sync().await;
    bench.expect_same();
    assert_eq!(bench.state.header().await.unwrap().cursor, after);
}
