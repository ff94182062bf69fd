//! Comparing a copy with the vault, and mending it.

use obsync_core::guard::{MaxDelete, Tripped};
use obsync_core::plan::Mode;
use obsync_core::report::Status;
use obsync_core::verify::{DifferenceKind, Verification, VerifyOptions};
use obsync_core::{Batch, Entry, StateStore as _, SyncError, VaultPath};

use crate::bench::Bench;

async fn verify(bench: &Bench) -> Verification {
    let run = bench.sync_run();
    run.verify(VerifyOptions::default()).await.unwrap()
}

/// Kind, path and message of each difference.
fn told(found: &Verification) -> Vec<(DifferenceKind, &str, &str)> {
    let differences = found.differences.iter();
    differences
        .map(|one| (one.kind, one.path.as_str(), one.message.as_str()))
        .collect()
}

async fn filled(names: &[&str]) -> Bench {
    let bench = Bench::new().await;
    for name in names {
        bench.put(name, name);
    }
    bench.sync().await;
    bench
}

#[tokio::test]
async fn verify_tells_what_is_not_right_and_how_it_came_about() {
    use DifferenceKind::{Different, Extra, Missing};
    let bench = filled(&[
        "fine.md",
        "edited.md",
        "rotten.md",
        "gone.md",
        "old.md",
        "bye.md",
    ])
    .await;
    bench.put(".git/config", "never");
    let found = verify(&bench).await;
    assert!(found.is_right() && !found.needs_repair(), "{found:?}");
    assert_eq!((found.correct, found.skipped), (6, 1));

    bench.store.write("edited.md", "mine");
    bench.store.write("extra.md", "mine");
    bench.store.write("stranger.md", "mine");
    bench.store.rot("rotten.md", "rotten-md");
    bench.store.remove("gone.md");
    bench.put("old.md", "newer");
    bench.put("new.md", "new");
    bench.put("stranger.md", "theirs");
    bench.delete("bye.md");
    let before = bench.state.load().await.unwrap();
    let files = bench.files();
    let found = verify(&bench).await;
    assert!(!found.is_right() && found.needs_repair());
    assert_eq!(found.correct, 1);
    assert_eq!(
        told(&found),
        [
            (Missing, "gone.md", "it was written here and is gone"),
            (Missing, "new.md", "new in the vault since the last sync"),
            (Different, "edited.md", "changed here since it was written"),
            (
                Different,
                "old.md",
                "changed in the vault since the last sync"
            ),
            (
                Different,
                "rotten.md",
                "its bytes are not those that were written, though nothing seems to have changed it"
            ),
            (
                Different,
                "stranger.md",
                "a file that obsync did not write is in its place"
            ),
            (
                Extra,
                "bye.md",
                "the vault has deleted it since the last sync"
            ),
            (Extra, "extra.md", "the vault does not have it"),
        ]
    );
    let harmless = found.differences.iter().filter(|one| one.harmless);
    assert_eq!(
        harmless.map(|one| &one.path).collect::<Vec<_>>(),
        ["extra.md"]
    );
    assert_eq!(bench.files(), files, "nothing was written");
    assert_eq!(bench.state.load().await.unwrap(), before);
}

#[tokio::test]
async fn what_is_in_the_way_is_named() {
    let bench = filled(&["folder.md", "link.md"]).await;
    for name in ["folder.md", "link.md"] {
        bench.store.remove(name);
    }
    bench.store.make_folder("folder.md");
    bench.store.plant_link("link.md");
    let found = verify(&bench).await;
    assert_eq!(found.count(DifferenceKind::Missing), 2);
    assert_eq!(found.differences[0].message, "a folder is in its place");
    assert!(
        found.differences[1].message.ends_with("is in the way"),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_mirror_has_no_harmless_extras() {
    let mut bench = filled(&["a.md"]).await;
    bench.store.write("extra.md", "mine");
    assert!(verify(&bench).await.is_right());
    bench.options.mode = Mode::Mirror;
    assert!(!verify(&bench).await.is_right());
}

#[tokio::test]
async fn a_repair_mends_and_keeps_local_edits() {
    let bench = filled(&["fine.md", "edited.md", "rotten.md", "gone.md"]).await;
    bench.store.write("edited.md", "my own words");
    bench.store.rot("rotten.md", "rotten-md");
    bench.store.remove("gone.md");
    let before = verify(&bench).await;
    bench.pulls();
    let mut run = bench.sync_run();
    let report = run.repair(&before).await.unwrap();
    assert_eq!(report.status, Status::Complete);
    assert_eq!(bench.pulls(), 3, "only what differed was fetched");
    let after = verify(&bench).await;
    assert!(after.is_right() && after.stale.is_empty(), "{after:?}");
    assert_eq!(before.mended(&after).len(), 3);
    let files = bench.files();
    for name in ["fine.md", "edited.md", "rotten.md", "gone.md"] {
        assert_eq!(files[name], name);
    }
    let kept: Vec<&str> = files
        .iter()
        .filter(|(name, _)| name.contains("Conflicted copy"))
        .map(|(_, content)| content.as_str())
        .collect();
    assert_eq!(kept, ["my own words", "rotten-md"], "{files:?}");
}

#[tokio::test]
async fn without_the_doubt_a_full_run_believes_the_stamp() {
    let mut bench = filled(&["rotten.md"]).await;
    bench.store.rot("rotten.md", "rotten-md");
    bench.options.full = true;
    bench.sync().await;
    bench.expect_files(&[("rotten.md", "rotten-md")]);
}

#[tokio::test]
async fn a_mirror_is_mended_with_trash() {
    let mut bench = filled(&["edited.md"]).await;
    bench.options.mode = Mode::Mirror;
    bench.store.write("edited.md", "my own words");
    bench.store.write("extra.md", "extra");
    let before = verify(&bench).await;
    let mut run = bench.sync_run();
    run.repair(&before).await.unwrap();
    assert!(verify(&bench).await.is_right());
    bench.expect_files(&[("edited.md", "edited.md")]);
    let mut trash = bench.store.trashed();
    trash.sort();
    let trash: Vec<_> = trash
        .iter()
        .map(|(name, text)| (&name[..], &text[..]))
        .collect();
    assert_eq!(
        trash,
        [
            ("edited.md", &b"my own words"[..]),
            ("extra.md", &b"extra"[..])
        ]
    );
}

#[tokio::test]
async fn a_repair_stops_at_the_guards() {
    let mut bench = filled(&["a.md", "b.md"]).await;
    bench.options.mode = Mode::Mirror;
    bench.options.max_delete = MaxDelete::Files(1);
    bench.store.write("mine/one.md", "1");
    bench.store.write("mine/two.md", "2");
    let before = verify(&bench).await;
    let tripped = bench.sync_run().repair(&before).await;
    let expected = matches!(
        tripped,
        Err(SyncError::Guard(Tripped::TooManyDeletions { .. }))
    );
    assert!(expected, "{tripped:?}");
    assert_eq!(bench.files().len(), 4);

    // All is missing, and no repair fills the place where a disk should be mounted.
    bench.store.clear();
    let before = verify(&bench).await;
    assert_eq!(before.count(DifferenceKind::Missing), 2);
    let tripped = bench.sync_run().repair(&before).await;
    let expected = matches!(tripped, Err(SyncError::Guard(Tripped::Emptied { .. })));
    assert!(expected, "{tripped:?}");
    assert!(bench.files().is_empty());
}

#[tokio::test]
async fn a_state_that_is_wrong_about_a_right_file_is_told_and_mended() {
    let bench = filled(&["a.md", "b.md", "c.md"]).await;
    let mut entries = bench.state.load().await.unwrap().entries;
    let path = |name: &str| VaultPath::parse(name).unwrap();
    let (a, b) = (path("a.md"), path("b.md"));
    let Some(Entry::File(other)) = entries.remove(&b) else {
        panic!("b.md is a file");
    };
    let batch = Batch {
        forget: vec![a.clone()],
        set: vec![(
            b.clone(),
            Entry::File(obsync_core::FileEntry {
                stamp: obsync_core::Stamp("another".into()),
                ..other
            }),
        )],
        ..Batch::default()
    };
    bench.state.commit(batch).await.unwrap();
    let found = verify(&bench).await;
    assert!(found.is_right() && found.needs_repair());
    assert_eq!((found.correct, &found.stale), (3, &vec![a, b]));
    bench.pulls();
    bench.sync_run().repair(&found).await.unwrap();
    assert_eq!(bench.pulls(), 0, "nothing is fetched for it");
    assert!(!verify(&bench).await.needs_repair());
}

#[tokio::test]
async fn a_stop_ends_a_comparison() {
    let bench = filled(&["a.md"]).await;
    let run = bench.sync_run();
    bench.stop.cancel();
    let stopped = run.verify(VerifyOptions::default()).await;
    assert!(matches!(stopped, Err(SyncError::Stopped)), "{stopped:?}");
}
