//! A crash at any instant, then one more run, gives the same result as a run without the crash.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use obsync_core::StoreErrorKind;
use obsync_core::memory::{
    FailingStateStore, FailingVaultStore, Faults, MemoryStateStore, MemoryVaultStore, Op, When,
};
use obsync_core::plan::Mode;
use obsync_core::report::Status;
use obsync_core::{StateStore as _, VaultStore as _};

use crate::bench::Bench;

/// A vault with a past and changes of every kind to come, at an empty store.
pub(crate) async fn eventful(bench: &mut Bench, store: MemoryVaultStore) {
    bench.store = store;
    bench.state = MemoryStateStore::new();
    bench
        .server
        .rollback(&bench.vault, obsidian_sync::VaultVersion(0))
        .unwrap();
    for name in [
        "keep.md",
        "edit.md",
        "rename.md",
        "gone.md",
        "swap",
        "mine.md",
    ] {
        bench.put(name, name);
    }
    bench.mkdir("dir");
    bench.put("dir/inside.md", "inside");
    bench.sync().await;
    bench.store.write("mine.md", "edited here");
    bench.store.write("extra.md", "extra");
    bench.store.remove("removed.md");
    // What a person wrote is on disk long before the power fails.
    bench.store.flush().await.unwrap();
    bench.put("edit.md", "edited there");
    bench.put("mine.md", "edited there, too");
    bench.rename("rename.md", "renamed.md");
    bench.delete("gone.md");
    bench.delete("swap");
    bench.mkdir("swap");
    bench.put("swap/now.md", "a folder now");
    bench.delete("dir/inside.md");
    bench.delete("dir");
    bench.put("copy.md", "keep.md");
    bench.put("new one.md", "new");
    bench.put("new two.md", "new");
}

pub(crate) async fn outcome(bench: &Bench) -> (BTreeMap<String, Bytes>, u64, u64) {
    let header = bench.state.header().await.unwrap();
    (
        bench.store.files(),
        header.cursor.0,
        bench.state.counts().await.unwrap().files,
    )
}

async fn crash_everywhere(mode: Mode, full: bool) {
    let mut bench = Bench::new().await;
    bench.options.batch_size = 3;
    bench.options.mode = mode;
    eventful(&mut bench, MemoryVaultStore::new()).await;
    bench.options.full = full;
    let counting = Faults::none();
    run_under(&bench, &counting).await;
    let expected = outcome(&bench).await;
    let effects = counting.effects();
    assert!(effects > 20, "{:?}", counting.trace());

    for n in 1..=effects {
        // A process that is killed, and a machine that loses power.
        for (when, power_cut) in [
            (When::Before, false),
            (When::After, false),
            (When::After, true),
        ] {
            bench.options.full = false;
            eventful(&mut bench, MemoryVaultStore::new()).await;
            bench.options.full = full;
            let faults = Faults::crash(n, when);
            run_under(&bench, &faults).await;
            assert!(faults.crashed(), "effect {n} {when:?} never came");
            if power_cut {
                bench.store.lose_unflushed();
            }
            let trace = faults.trace();
            let (files, cursor, _) = outcome(&bench).await;
            let unfinished = files != expected.0;
            assert!(
                !unfinished || cursor < expected.1,
                "the cursor ran ahead: {trace:#?}"
            );
            // Once begun, a full comparison is finished by whatever run comes next.
            bench.options.full = full && !bench.state.header().await.unwrap().full_pending;
            let report = bench.try_sync().await;
            let report = report.unwrap_or_else(|e| panic!("after {n} {when:?}: {e}\n{trace:#?}"));
            assert_eq!(
                report.status,
                Status::Complete,
                "after {n} {when:?}: {report:?}"
            );
            let result = outcome(&bench).await;
            assert_eq!(result, expected, "after {n} {when:?}, which was {trace:#?}");
            assert!(bench.state.intents().await.unwrap().is_empty());
        }
    }
}

pub(crate) async fn run_under(bench: &Bench, faults: &Faults) {
    let _ = bench.run_under(faults).run().await;
}

#[tokio::test]
async fn pull_survives_a_crash_at_every_effect() {
    crash_everywhere(Mode::Pull, false).await;
}

#[tokio::test]
async fn a_full_comparison_survives_a_crash_at_every_effect() {
    crash_everywhere(Mode::Pull, true).await;
}

#[tokio::test]
async fn mirror_survives_a_crash_at_every_effect() {
    crash_everywhere(Mode::Mirror, false).await;
}

/// Invariant 2: a file put just before the crash is known as ours when its deletion arrives.
#[tokio::test]
async fn a_file_published_just_before_a_crash_is_known_as_ours() {
    let bench = Bench::new().await;
    bench.put("note.md", "note");
    let counting = Faults::none();
    let store = FailingVaultStore::new(MemoryVaultStore::new(), counting.clone());
    let state = FailingStateStore::new(MemoryStateStore::new(), counting.clone());
    bench
        .run_with(Arc::new(store), Arc::new(state))
        .run()
        .await
        .unwrap();
    let publish = counting
        .trace()
        .iter()
        .position(|effect| effect == "Publish note.md")
        .unwrap();

    let faults = Faults::crash(publish as u64 + 1, When::After);
    run_under(&bench, &faults).await;
    assert_eq!(
        bench.files()["note.md"],
        "note",
        "it is there, and state does not list it"
    );
    assert_eq!(bench.state.counts().await.unwrap().files, 0);
    bench.delete("note.md");
    bench.sync().await;
    assert!(
        bench.files().is_empty(),
        "it was ours, so the deletion took it"
    );
}

/// An intent is a hint, not a claim: only the very content that was intended is ours.
#[tokio::test]
async fn a_file_written_where_one_was_intended_stays_the_users() {
    let bench = Bench::new().await;
    bench.put("note.md", "note");
    let intend = intent_of(&bench, "note.md", "note");
    bench.state.commit(intend).await.unwrap();
    bench.store.write("note.md", "mine");
    bench.delete("note.md");
    bench.sync().await;
    bench.expect_files(&[("note.md", "mine")]);
}

#[tokio::test]
async fn one_unreadable_file_of_a_crashed_run_holds_nothing_up() {
    let bench = Bench::new().await;
    for name in ["a.md", "b.md", "c.md"] {
        bench.put(name, name);
    }
    for name in ["a.md", "b.md"] {
        let intent = intent_of(&bench, name, name);
        bench.state.commit(intent).await.unwrap();
        bench.store.write(name, name);
    }
    let faults = Faults::none();
    faults.unreadable("a.md");
    let report = bench.run_under(&faults).run().await.unwrap();
    assert_eq!(report.files_failed, 1, "{report:?}");
    assert_eq!(report.problems[0].path, "a.md");
    assert_eq!(bench.pulls(), 1, "b.md is known, and c.md comes");
    bench.sync().await;
    bench.expect_same();
    for name in ["a.md", "b.md"] {
        bench.delete(name);
    }
    bench.sync().await;
    bench.expect_files(&[("c.md", "c.md")]);
}

/// The note of intent that a run leaves when it dies just before it publishes.
fn intent_of(bench: &Bench, path: &str, text: &str) -> obsync_core::Batch {
    let uid = bench.server.uid_of(&bench.vault, path).unwrap();
    let meta = obsync_core::FileMeta {
        uid,
        hash: obsidian_sync::ContentHash::of(text.as_bytes()),
        size: text.len() as u64,
        mtime: crate::bench::MTIME,
        ctime: crate::bench::MTIME,
    };
    let path = obsync_core::VaultPath::parse(path).unwrap();
    obsync_core::Batch {
        intend: vec![(path, meta)],
        ..Default::default()
    }
}

#[tokio::test]
async fn a_full_destination_ends_the_run_and_keeps_what_arrived() {
    let mut bench = Bench::new().await;
    bench.options.batch_size = 2;
    bench.options.connections = 1;
    for number in 0..9 {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    let faults = Faults::none();
    faults.fail_next(Op::Stage, Some("6.md"), StoreErrorKind::Full);
    let store = FailingVaultStore::new(bench.store.clone(), faults.clone());
    let run = bench.run_with(Arc::new(store), Arc::new(bench.state.clone()));
    let report = run.run().await.unwrap();
    assert_eq!(report.status, Status::Failed);
    assert_eq!(report.error.as_ref().unwrap().kind(), "destination_full");
    let there = bench.files().len() as u64;
    assert!(!bench.files().contains_key("6.md"));
    assert_eq!(bench.state.counts().await.unwrap().files, there);
    bench.sync().await;
    bench.expect_same();
}

#[tokio::test]
async fn a_full_comparison_cut_short_is_finished_by_a_plain_run() {
    let mut bench = Bench::new().await;
    bench.put("a.md", "A");
    bench.put("b.md", "B");
    bench.sync().await;
    bench.store.remove("a.md");
    bench.options.full = true;
    let faults = Faults::none();
    faults.fail_next(Op::Stage, None, StoreErrorKind::Full);
    run_under(&bench, &faults).await;
    assert!(!bench.files().contains_key("a.md"));
    bench.options.full = false;
    bench.sync().await;
    bench.expect_same();
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_reported_and_tried_again() {
    let bench = Bench::new().await;
    bench.put("a.md", "A");
    bench.put("b.md", "B");
    let faults = Faults::none();
    faults.fail_next(Op::Publish, Some("a.md"), StoreErrorKind::Denied);
    let store = FailingVaultStore::new(bench.store.clone(), faults);
    let report = bench
        .run_with(Arc::new(store), Arc::new(bench.state.clone()))
        .run()
        .await
        .unwrap();
    assert_eq!((report.status, report.files_failed), (Status::Partial, 1));
    bench.expect_files(&[("b.md", "B")]);
    bench.sync().await;
    bench.expect_same();
}
