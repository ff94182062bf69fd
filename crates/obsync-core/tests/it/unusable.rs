//! Records that say nothing that can be used, under names that were good: what is there stays.

use obsync_core::plan::Mode;
use obsync_core::report::{ProblemKind, Report};
use obsync_core::verify::VerifyOptions;
use obsync_devserver::{Action, Fault, Point, RawRecord};
use serde_json::json;

use crate::bench::Bench;

/// A newer record of a file, with a size and without a hash.
fn spoil(bench: &Bench, name: &str) {
    let cipher = bench.server.cipher(&bench.vault).unwrap();
    let raw = RawRecord {
        path: cipher.encode_name(name),
        content: Some(cipher.seal(b"evil").into()),
        fields: json!({"size": 32}).as_object().unwrap().clone(),
        ..RawRecord::default()
    };
    bench.server.put_raw(&bench.vault, raw).unwrap();
}

#[track_caller]
fn expect_named(report: &Report, name: &str) {
    let skipped = |problem: &obsync_core::report::Problem| {
        problem.kind == ProblemKind::Skipped && problem.path == name
    };
    assert!(report.problems.iter().any(skipped), "{report:?}");
}

#[tokio::test]
async fn a_file_whose_newest_record_makes_no_sense_stays() {
    for mode in [Mode::Pull, Mode::Mirror] {
        let mut bench = Bench::new().await;
        bench.options.mode = mode;
        bench.put("dir/good.md", "good");
        bench.put("other.md", "other");
        bench.sync().await;
        spoil(&bench, "dir/good.md");
        expect_named(&bench.sync().await, "dir/good.md");
        for full in [true, false, true] {
            bench.options.full = full;
            expect_named(&bench.sync().await, "dir/good.md");
            bench.expect_files(&[("dir/good.md", "good"), ("other.md", "other")]);
        }
        // A record that can be used has its say again, be it a deletion.
        bench.options.full = false;
        bench.delete("dir/good.md");
        let report = bench.sync().await;
        assert!(report.problems.is_empty(), "{report:?}");
        bench.expect_files(&[("other.md", "other")]);
    }
}

#[tokio::test]
async fn a_mirror_neither_removes_nor_restores_under_a_name_that_makes_no_sense() {
    let mut bench = Bench::new().await;
    bench.options.mode = Mode::Mirror;
    bench.put("ours.md", "ours");
    bench.put("dir/theirs.md", "never brought");
    spoil(&bench, "dir/theirs.md");
    bench.store.write("dir/theirs.md", "mine");
    bench.sync().await;
    spoil(&bench, "ours.md");
    bench.store.write("ours.md", "an edit");
    for full in [false, true, false] {
        bench.options.full = full;
        let report = bench.sync().await;
        expect_named(&report, "ours.md");
        expect_named(&report, "dir/theirs.md");
        bench.expect_files(&[("dir/theirs.md", "mine"), ("ours.md", "an edit")]);
    }
    assert!(bench.store.trashed().is_empty());
}

#[tokio::test]
async fn a_repair_spares_what_has_a_name_that_makes_no_sense() {
    for mode in [Mode::Pull, Mode::Mirror] {
        let mut bench = Bench::new().await;
        bench.options.mode = mode;
        bench.put("good.md", "good");
        bench.put("gone.md", "gone");
        bench.sync().await;
        spoil(&bench, "good.md");
        bench.store.remove("gone.md");
        let found = bench.sync_run().verify(VerifyOptions::default()).await;
        let found = found.unwrap();
        let paths: Vec<&str> = found.differences.iter().map(|d| &d.path[..]).collect();
        assert_eq!((paths, found.skipped), (vec!["gone.md"], 1));
        bench.sync_run().repair(&found).await.unwrap();
        bench.expect_files(&[("good.md", "good"), ("gone.md", "gone")]);
    }
}

/// What failed before is not fetched any more once something newer is said of it.
#[tokio::test]
async fn an_older_record_is_not_tried_again_beside_one_that_makes_no_sense() {
    let bench = Bench::new().await;
    let old = bench.put("bad.md", "old");
    let no = Fault::new(Point::Pull, Action::Gone).uid(old);
    bench.server.faults().set(no).unwrap();
    bench.try_sync().await.unwrap();
    bench.server.faults().clear();
    spoil(&bench, "bad.md");
    for _ in 0..2 {
        let report = bench.sync().await;
        expect_named(&report, "bad.md");
        assert_eq!(report.files_skipped, 1);
        bench.expect_files(&[]);
    }
}

#[tokio::test]
async fn sizes_that_no_sum_can_hold_do_not_stop_a_comparison() {
    let bench = Bench::new().await;
    let cipher = bench.server.cipher(&bench.vault).unwrap();
    for name in ["a.md", "b.md", "c.md"] {
        let raw = RawRecord {
            path: cipher.encode_name(name),
            hash: cipher.encode_hash(Some(obsidian_sync::ContentHash::of(b"evil"))),
            content: Some(cipher.seal(b"evil").into()),
            fields: json!({"size": u64::MAX}).as_object().unwrap().clone(),
            ..RawRecord::default()
        };
        bench.server.put_raw(&bench.vault, raw).unwrap();
    }
    let run = bench.sync_run();
    let found = run.verify(VerifyOptions::default()).await.unwrap();
    assert_eq!(found.differences.len(), 3, "{found:?}");
}
