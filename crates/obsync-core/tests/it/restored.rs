//! A service that was restored gives its numbers away a second time.

use obsync_core::filter::FilterSpec;

use crate::bench::Bench;

#[tokio::test]
async fn a_number_that_is_given_away_again_is_not_taken_for_known() {
    let bench = Bench::new().await;
    bench.put("other.md", "other");
    bench.put("note.md", "old");
    let early = bench.server.version(&bench.vault).unwrap();
    bench.put("note.md", "newer");
    bench.sync().await;
    // What the restored service has can't be brought: the entry stays that of the later record.
    bench.store.remove("note.md");
    bench.store.plant_link("note.md");
    bench.server.rollback(&bench.vault, early).unwrap();
    assert_eq!(bench.sync().await.files_skipped, 1);
    bench.put("note.md", "newest");
    assert_eq!(bench.sync().await.files_skipped, 1);
    bench.store.remove("note.md");
    bench.sync().await;
    bench.expect_same();
}

#[tokio::test]
async fn what_a_filter_hides_does_not_hide_what_comes_in_its_place() {
    let mut bench = Bench::new().await;
    bench.put("other.md", "other");
    let early = bench.server.version(&bench.vault).unwrap();
    for _ in 0..9 {
        bench.mkdir("plans.md");
        bench.delete("plans.md");
    }
    bench.mkdir("plans.md");
    bench.sync().await;
    // With globs that say what is synced, folders are hidden, and the entry of this one stays.
    bench.options.filter = FilterSpec {
        include: vec!["*.md".into()],
        ..FilterSpec::default()
    };
    bench.server.rollback(&bench.vault, early).unwrap();
    bench.sync().await;
    bench.put("plans.md", "a file now");
    bench.sync().await;
    bench.expect_same();
    // And its name is as good as any other again.
    bench.put("plans.md", "changed");
    bench.sync().await;
    bench.expect_same();
}
