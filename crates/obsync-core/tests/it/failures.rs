//! A destination or a state that fails once and then works again: nothing is lost.

use obsidian_sync::Uid;
use obsync_core::memory::{Faults, MemoryVaultStore, When};
use obsync_core::plan::Mode;
use obsync_core::report::Status;
use obsync_core::{StateStore as _, StoreErrorKind};
use obsync_devserver::{Action, Fault, Point};

use crate::bench::Bench;
use crate::crash::{eventful, outcome, run_under};

/// What the vault brings in an [`eventful`] run and then deletes: obsync's own, so that it goes.
const BROUGHT: [&str; 6] = [
    "edit.md",
    "renamed.md",
    "swap/now.md",
    "copy.md",
    "new one.md",
    "new two.md",
];

/// Much to do, and a file that the service no longer has.
async fn with_a_bad_file(bench: &mut Bench, store: MemoryVaultStore) -> Uid {
    eventful(bench, store).await;
    let bad = bench.put("bad.md", "bad");
    let gone = Fault::new(Point::Pull, Action::Gone).uid(bad);
    bench.server.faults().set(gone).unwrap();
    bad
}

async fn mended(bench: &Bench) {
    bench.server.faults().clear();
    bench.sync().await;
}

fn delete_what_was_brought(bench: &Bench) {
    for path in BROUGHT {
        bench.delete(path);
    }
}

/// Fails at every effect, once, and looks at what the following runs make of it.
async fn fail_everywhere(mode: Mode, store: fn() -> MemoryVaultStore, when: When) {
    let mut bench = Bench::new().await;
    bench.options.batch_size = 3;
    bench.options.mode = mode;
    with_a_bad_file(&mut bench, store()).await;
    let counting = Faults::none();
    run_under(&bench, &counting).await;
    let effects = counting.effects();
    assert!(effects > 20, "{:?}", counting.trace());
    mended(&bench).await;
    let expected = outcome(&bench).await;
    delete_what_was_brought(&bench);
    bench.sync().await;
    let emptied = outcome(&bench).await;

    for n in 1..=effects {
        // One that is about a single file, one that ends the run; and the next run either finds the
        // vault as it was, or hears that much of it was deleted meanwhile.
        for (kind, deleted) in [
            (StoreErrorKind::Other, false),
            (StoreErrorKind::Other, true),
            (StoreErrorKind::Full, false),
            (StoreErrorKind::Full, true),
        ] {
            let bad = with_a_bad_file(&mut bench, store()).await;
            let faults = Faults::fail_at(n, when, kind);
            run_under(&bench, &faults).await;
            let what = format!("{n} {when:?} {kind:?}: {:#?}", faults.trace());
            assert!(faults.failed(), "it never came: {what}");
            let listed = bench.state.unapplied().await.unwrap();
            let passed = bench.state.header().await.unwrap().cursor.0 >= bad.0;
            assert!(
                !passed || listed.iter().any(|item| item.uid == bad),
                "passed and not listed: {what}"
            );
            if !deleted {
                mended(&bench).await;
                assert_eq!(outcome(&bench).await, expected, "{what}");
            }
            delete_what_was_brought(&bench);
            bench.server.faults().clear();
            let report = bench.try_sync().await.unwrap();
            assert_eq!(report.status, Status::Complete, "{what}: {report:?}");
            assert_eq!(outcome(&bench).await, emptied, "{what}");
            assert!(bench.state.intents().await.unwrap().is_empty(), "{what}");
            assert_eq!(bench.store.staged(), 0, "{what}");
        }
    }
}

#[tokio::test]
async fn pull_survives_a_failure_before_every_effect() {
    fail_everywhere(Mode::Pull, MemoryVaultStore::new, When::Before).await;
}

#[tokio::test]
async fn pull_survives_a_lost_reply_of_every_effect() {
    fail_everywhere(Mode::Pull, MemoryVaultStore::new, When::After).await;
}

#[tokio::test]
async fn mirror_survives_a_failure_before_every_effect() {
    fail_everywhere(Mode::Mirror, MemoryVaultStore::new, When::Before).await;
}

#[tokio::test]
async fn mirror_survives_a_lost_reply_of_every_effect() {
    fail_everywhere(Mode::Mirror, MemoryVaultStore::new, When::After).await;
}

/// Where files bear marks, they are in their places before the state hears of them.
#[tokio::test]
async fn marked_files_survive_a_failure_before_every_effect() {
    fail_everywhere(Mode::Pull, MemoryVaultStore::with_marks, When::Before).await;
}

#[tokio::test]
async fn marked_files_survive_a_lost_reply_of_every_effect() {
    fail_everywhere(Mode::Pull, MemoryVaultStore::with_marks, When::After).await;
}
