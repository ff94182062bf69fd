//! Edits that happen while a run is under way, after it has looked and before it writes.

use std::sync::Arc;

use obsync_core::StoreErrorKind;
use obsync_core::memory::{FailingVaultStore, Faults, Op};
use obsync_core::plan::Mode;
use obsync_core::progress::Event;
use obsync_core::report::{ProblemKind, Report, Status};

use crate::bench::{Bench, Once};

const COPY: &str = "note (Conflicted copy box 202411221200).md";

/// Runs, and writes a file at the destination as soon as the first content has arrived.
async fn edited_meanwhile(bench: &Bench, path: &'static str, text: &'static str) -> Report {
    let arrived = |event: &Event<'_>| matches!(event, Event::Bytes(_));
    edited_at(bench, arrived, path, text).await
}

/// Runs, and writes a file at the destination right after the plan was made.
async fn edited_after_the_plan(bench: &Bench, path: &'static str, text: &'static str) -> Report {
    let planned = |event: &Event<'_>| matches!(event, Event::Planned { .. });
    edited_at(bench, planned, path, text).await
}

async fn edited_at(
    bench: &Bench,
    when: fn(&Event<'_>) -> bool,
    path: &'static str,
    text: &'static str,
) -> Report {
    let store = bench.store.clone();
    let hook = Once::at(when, move || store.write(path, text));
    let mut run = bench.sync_run();
    run.progress = hook.clone();
    let report = run.run().await.unwrap();
    assert!(hook.done());
    report
}

async fn with_a_note(mode: Mode) -> Bench {
    let mut bench = Bench::new().await;
    bench.options.mode = mode;
    bench.put("note.md", "base");
    bench.sync().await;
    bench
}

fn trashed(bench: &Bench) -> Vec<(String, String)> {
    let trash = bench.store.trashed().into_iter();
    trash
        .map(|(path, text)| (path, String::from_utf8(text.to_vec()).unwrap()))
        .collect()
}

#[tokio::test]
async fn an_edit_during_a_run_is_kept_beside_the_change() {
    let bench = with_a_note(Mode::Pull).await;
    bench.put("note.md", "theirs");
    let report = edited_meanwhile(&bench, "note.md", "mine").await;
    assert_eq!(report.status, Status::Complete, "{report:?}");
    assert_eq!(report.problems[0].kind, ProblemKind::Kept);
    bench.expect_files(&[("note.md", "theirs"), (COPY, "mine")]);
}

#[tokio::test]
async fn a_file_written_during_a_run_is_kept_beside_a_new_one() {
    let bench = Bench::new().await;
    bench.put("note.md", "theirs");
    edited_meanwhile(&bench, "note.md", "mine").await;
    bench.expect_files(&[("note.md", "theirs"), (COPY, "mine")]);
}

#[tokio::test]
async fn a_mirror_keeps_an_edit_during_a_run_in_the_trash() {
    let bench = with_a_note(Mode::Mirror).await;
    bench.put("note.md", "theirs");
    edited_meanwhile(&bench, "note.md", "mine").await;
    bench.expect_files(&[("note.md", "theirs")]);
    assert_eq!(trashed(&bench), [("note.md".into(), "mine".into())]);
}

#[tokio::test]
async fn the_same_text_written_during_a_run_is_no_conflict() {
    let bench = with_a_note(Mode::Pull).await;
    bench.put("note.md", "theirs");
    let report = edited_meanwhile(&bench, "note.md", "theirs").await;
    assert!(report.problems.is_empty(), "{report:?}");
    bench.expect_files(&[("note.md", "theirs")]);
    // And it is the vault's from now on.
    bench.delete("note.md");
    bench.sync().await;
    bench.expect_files(&[]);
}

#[tokio::test]
async fn an_edit_during_a_run_survives_a_deletion() {
    let bench = with_a_note(Mode::Pull).await;
    bench.delete("note.md");
    bench.put("other.md", "other");
    let report = edited_meanwhile(&bench, "note.md", "mine").await;
    assert_eq!((report.files_deleted, report.problems.len()), (0, 1));
    bench.expect_files(&[("note.md", "mine"), ("other.md", "other")]);
    bench.sync().await;
    bench.expect_files(&[("note.md", "mine"), ("other.md", "other")]);
}

#[tokio::test]
async fn a_mirror_lets_an_edit_during_a_run_survive_a_deletion_until_the_next() {
    let bench = with_a_note(Mode::Mirror).await;
    bench.delete("note.md");
    bench.put("other.md", "other");
    edited_meanwhile(&bench, "note.md", "mine").await;
    bench.expect_files(&[("note.md", "mine"), ("other.md", "other")]);
    bench.sync().await;
    bench.expect_files(&[("other.md", "other")]);
    assert_eq!(trashed(&bench), [("note.md".into(), "mine".into())]);
}

#[tokio::test]
async fn what_is_set_aside_is_what_is_there_by_then() {
    let bench = Bench::new().await;
    bench.store.write("dir", "mine");
    bench.mkdir("dir");
    bench.put("dir/a.md", "A");
    edited_after_the_plan(&bench, "dir", "mine, too").await;
    bench.expect_files(&[("dir (Conflicted copy)", "mine, too"), ("dir/a.md", "A")]);
}

#[tokio::test]
async fn a_file_written_during_a_run_where_a_folder_comes_is_set_aside_by_the_next() {
    let bench = Bench::new().await;
    bench.mkdir("dir");
    bench.put("other.md", "other");
    let report = edited_after_the_plan(&bench, "dir", "mine").await;
    assert_eq!(report.files_failed, 1, "{report:?}");
    bench.expect_files(&[("dir", "mine"), ("other.md", "other")]);
    bench.sync().await;
    bench.expect_files(&[("dir (Conflicted copy)", "mine"), ("other.md", "other")]);
}

#[tokio::test]
async fn an_edit_during_a_run_survives_a_folder_that_takes_its_place() {
    for mode in [Mode::Pull, Mode::Mirror] {
        let bench = with_a_note(mode).await;
        bench.delete("note.md");
        bench.mkdir("note.md");
        let report = edited_after_the_plan(&bench, "note.md", "mine").await;
        assert_eq!(report.files_failed, 1, "{report:?}");
        bench.expect_files(&[("note.md", "mine")]);
        bench.sync().await;
        match mode {
            Mode::Pull => bench.expect_files(&[("note (Conflicted copy).md", "mine")]),
            Mode::Mirror => assert_eq!(trashed(&bench), [("note.md".into(), "mine".into())]),
        }
    }
}

/// A store may fail a condition for other reasons than an edit: two writes that met, say.
#[tokio::test]
async fn our_own_old_text_is_no_conflict_whatever_the_store_says() {
    for (times, status) in [(1, Status::Complete), (100, Status::Partial)] {
        let bench = with_a_note(Mode::Pull).await;
        bench.put("note.md", "theirs");
        let faults = Faults::none();
        for _ in 0..times {
            faults.fail_next(Op::Publish, Some("note.md"), StoreErrorKind::Changed);
        }
        let store = FailingVaultStore::new(bench.store.clone(), faults);
        let run = bench.run_with(Arc::new(store), Arc::new(bench.state.clone()));
        let report = run.run().await.unwrap();
        assert_eq!(report.status, status, "{report:?}");
        if status == Status::Partial {
            bench.expect_files(&[("note.md", "base")]);
            // In the store's words.
            assert!(
                report.problems[0].message.contains("injected"),
                "{report:?}"
            );
        }
        bench.sync().await;
        bench.expect_files(&[("note.md", "theirs")]);
    }
}

#[tokio::test]
async fn deletions_come_last() {
    let mut bench = Bench::new().await;
    for name in [
        "keep.md",
        "old.md",
        "gone 1.md",
        "gone 2.md",
        "dir/gone 3.md",
    ] {
        bench.put(name, name);
    }
    bench.sync().await;
    for name in ["gone 1.md", "gone 2.md", "dir/gone 3.md"] {
        bench.delete(name);
    }
    bench.rename("old.md", "new.md");
    bench.put("copy.md", "keep.md");
    for number in 0..9 {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    bench.options.batch_size = 2;
    let effects = Faults::none();
    let store = FailingVaultStore::new(bench.store.clone(), effects.clone());
    let run = bench.run_with(Arc::new(store), Arc::new(bench.state.clone()));
    assert_eq!(run.run().await.unwrap().status, Status::Complete);
    let trace = effects.trace();
    let writes = |effect: &String| effect.starts_with("Publish") || effect.starts_with("Rename");
    let last = trace.iter().rposition(writes).unwrap();
    let removes = |effect: &&String| effect.starts_with("RemoveFile");
    assert_eq!(trace.iter().filter(removes).count(), 3, "{trace:#?}");
    let after = trace[last..].iter().filter(removes).count();
    assert_eq!(after, 3, "{trace:#?}");
}
