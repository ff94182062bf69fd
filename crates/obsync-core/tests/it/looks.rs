//! Looking at the destination: paths that can't be looked at, and listings that come in pages.

use obsync_core::plan::Mode;
use obsync_core::report::{ProblemKind, Report, Status};
use obsync_core::{StateStore as _, StoreErrorKind, SyncError};

use crate::bench::Bench;

/// The names of what failed.
fn failed(report: &Report) -> Vec<&str> {
    let failed = report.problems.iter();
    let failed = failed.filter(|problem| problem.kind == ProblemKind::Failed);
    failed.map(|problem| problem.path.as_str()).collect()
}

#[tokio::test]
async fn a_path_that_nobody_can_look_at_fails_alone() {
    for mode in [Mode::Pull, Mode::Mirror] {
        let mut bench = Bench::new().await;
        bench.options.mode = mode;
        bench.put("dir/closed.md", "one");
        bench.put("a.md", "one");
        bench.sync().await;
        bench.store.refuse("dir", Some(StoreErrorKind::Denied));
        bench.put("dir/closed.md", "two");
        bench.put("a.md", "two");
        for full in [false, true, false] {
            bench.options.full = full;
            let report = bench.try_sync().await.unwrap();
            assert_eq!(report.status, Status::Partial, "{report:?}");
            assert_eq!(failed(&report), ["dir/closed.md"]);
            assert_eq!(bench.files()["a.md"], "two");
            assert_eq!(bench.files()["dir/closed.md"], "one");
        }
        bench.store.refuse("dir", None);
        bench.sync().await;
        bench.expect_same();
    }
}

/// A destination that answers nothing any more ends the run, and not after a wait for each file.
#[tokio::test]
async fn a_destination_in_trouble_ends_the_run() {
    let bench = Bench::new().await;
    for number in 0..500 {
        bench.put(&format!("{number}.md"), "one");
    }
    bench.store.write("theirs.md", "mine");
    bench.store.refuse("", Some(StoreErrorKind::Other));
    let ended = bench.try_sync().await;
    assert!(matches!(ended, Err(SyncError::Store(_))), "{ended:?}");
    assert!(bench.store.looks() < 100, "{}", bench.store.looks());
    for kind in [StoreErrorKind::Full, StoreErrorKind::Busy] {
        bench.store.refuse("", Some(kind));
        let ended = bench.try_sync().await;
        assert!(matches!(ended, Err(SyncError::Store(_))), "{ended:?}");
    }
    assert_eq!(bench.state.header().await.unwrap().cursor.0, 0);
}

/// One look at everything, in pages, tells the same as a look at each path.
#[tokio::test]
async fn a_listing_in_pages_tells_what_single_looks_tell() {
    for (mode, paged) in [
        (Mode::Pull, false),
        (Mode::Pull, true),
        (Mode::Mirror, false),
        (Mode::Mirror, true),
    ] {
        let mut bench = Bench::new().await;
        bench.options.mode = mode;
        bench.mkdir("empty");
        bench.mkdir("lost");
        for number in 0..100 {
            bench.put(&format!("dir/{number}.md"), &format!("{number}"));
        }
        bench.sync().await;
        if paged {
            bench.store.list_in_pages(7);
        }
        bench.store.remove("lost");
        bench.store.remove("dir/1.md");
        bench.store.write("dir/2.md", "mine");
        bench.store.write("dir/3.md", "3");
        bench.store.write("new.md", "in the way");
        bench.store.write("extra.md", "extra");
        bench.put("dir/2.md", "theirs");
        bench.put("new.md", "new");
        bench.delete("dir/4.md");
        let looks = bench.store.looks();
        bench.options.full = true;
        bench.pulls();
        let report = bench.sync().await;
        assert_eq!((report.files_downloaded, bench.pulls()), (3, 3));
        let single = bench.store.looks() - looks > 50;
        assert_eq!(single, mode == Mode::Pull && !paged, "{mode:?} {paged}");
        let mut files = bench.files();
        if mode == Mode::Pull {
            assert_eq!(files.remove("extra.md").as_deref(), Some("extra"));
            let copies = files.extract_if(.., |name, _| name.contains("Conflicted copy"));
            let copies: Vec<String> = copies.map(|(_, text)| text).collect();
            assert_eq!(copies, ["mine", "in the way"]);
        }
        assert_eq!(files.len(), 100);
        assert_eq!(
            (&files["dir/2.md"][..], &files["new.md"][..]),
            ("theirs", "new")
        );
        assert!(files.contains_key("dir/1.md") && !files.contains_key("dir/4.md"));
        let folders = bench.store.folders();
        assert!(folders.contains(&"lost".to_owned()), "{folders:?}");
        // And then there is nothing left to do.
        let commits = bench.state.commits();
        bench.sync().await;
        assert_eq!((bench.pulls(), bench.state.commits()), (0, commits));
    }
}

#[tokio::test]
async fn a_deletion_waits_for_a_file_that_nobody_can_look_at() {
    for full in [false, true] {
        let mut bench = Bench::new().await;
        bench.put("a.md", "A");
        bench.put("b.md", "B");
        bench.sync().await;
        bench.store.refuse("a.md", Some(StoreErrorKind::Denied));
        bench.delete("a.md");
        bench.options.full = full;
        for _ in 0..2 {
            let report = bench.try_sync().await.unwrap();
            assert_eq!(failed(&report), ["a.md"]);
            assert_eq!(report.cursor, bench.server.version(&bench.vault).unwrap());
            bench.expect_files(&[("a.md", "A"), ("b.md", "B")]);
        }
        bench.store.refuse("a.md", None);
        bench.options.full = false;
        let report = bench.sync().await;
        assert_eq!(report.files_deleted, 1);
        bench.expect_files(&[("b.md", "B")]);
        assert!(bench.state.unapplied().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_mirror_says_where_a_link_took_the_place_of_a_note() {
    let mut bench = Bench::new().await;
    bench.options.mode = Mode::Mirror;
    bench.put("a.md", "A");
    bench.put("b.md", "B");
    bench.sync().await;
    bench.store.remove("a.md");
    bench.store.plant_link("a.md");
    for full in [false, false, true, true, false, false] {
        bench.options.full = full;
        let before = bench.state.commits();
        let report = bench.sync().await;
        assert_eq!(report.files_skipped, 1, "{report:?}");
        assert_eq!(report.problems[0].path, "a.md");
        // What is known is not noted again.
        let noted = bench.state.commits() - before;
        assert!(noted <= 1, "{noted}");
    }
    let before = bench.state.commits();
    bench.sync().await;
    assert_eq!(bench.state.commits(), before);
    bench.store.remove("a.md");
    let report = bench.sync().await;
    assert!(report.problems.is_empty(), "{report:?}");
    bench.expect_same();
}

#[tokio::test]
async fn a_mirror_says_which_note_nobody_can_look_at() {
    let mut bench = Bench::new().await;
    bench.options.mode = Mode::Mirror;
    bench.put("a.md", "A");
    bench.sync().await;
    bench.store.write("a.md", "mine");
    bench.store.refuse("a.md", Some(StoreErrorKind::Denied));
    let report = bench.try_sync().await.unwrap();
    assert_eq!(failed(&report), ["a.md"]);
    bench.store.refuse("a.md", None);
    bench.sync().await;
    bench.expect_same();
    assert!(bench.state.unapplied().await.unwrap().is_empty());
}
