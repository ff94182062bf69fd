//! What comes over when the vault, the destination, or both change.

use obsidian_sync::{EncryptionVersion, VaultVersion};
use obsync_core::filter::{FileType, FilterSpec};
use obsync_core::plan::Mode;
use obsync_core::report::{ProblemKind, Status};
use obsync_core::{Folding, StateStore as _};
use obsync_devserver::VaultSpec;

use crate::bench::{Bench, MTIME, OWNER};

#[tokio::test]
async fn every_encryption_version() {
    for version in [
        EncryptionVersion::V0,
        EncryptionVersion::V2,
        EncryptionVersion::V3,
    ] {
        let bench = Bench::of_version(version).await;
        bench.mkdir("Ordner");
        bench.put("Ordner/日本語 é.md", "# Hallo");
        bench.put("leer.md", "");
        bench.put_bytes("groß.bin", &vec![7; 5 * 1024 * 1024 + 3]);
        let report = bench.sync().await;
        assert_eq!(report.files_downloaded, 3, "{version:?}");
        bench.expect_same();
        assert_eq!(bench.store.mtime("leer.md"), Some(MTIME));
        assert!(bench.store.folders().contains(&"Ordner".to_owned()));
    }
}

#[tokio::test]
async fn a_second_run_does_nothing() {
    let bench = Bench::new().await;
    bench.put("a.md", "A");
    bench.put("b/c.md", "C");
    bench.sync().await;
    assert_eq!(bench.pulls(), 2);
    let (commits, header) = (bench.state.commits(), bench.state.header().await.unwrap());
    let report = bench.sync().await;
    assert_eq!(
        (report.files_downloaded, report.bytes, bench.pulls()),
        (0, 0, 0)
    );
    assert_eq!(
        bench.state.commits(),
        commits,
        "invariant 4: the state is left untouched"
    );
    assert_eq!(bench.state.header().await.unwrap(), header);
    assert_eq!(
        bench.state.status().await.unwrap().last_success,
        Some(crate::bench::NOW)
    );
}

#[tokio::test]
async fn a_full_run_without_changes_does_nothing() {
    let mut bench = Bench::new().await;
    bench.put("a.md", "A");
    bench.sync().await;
    bench.pulls();
    let commits = bench.state.commits();
    bench.options.full = true;
    bench.sync().await;
    assert_eq!((bench.pulls(), bench.state.commits()), (0, commits));
}

#[tokio::test]
async fn changes_renames_and_deletions_follow() {
    let bench = Bench::new().await;
    bench.put("keep.md", "keep");
    bench.put("edit.md", "one");
    bench.put("old name.md", "moved");
    bench.put("gone.md", "gone");
    bench.sync().await;
    bench.pulls();
    bench.put("edit.md", "two");
    bench.rename("old name.md", "dir/new name.md");
    bench.delete("gone.md");
    bench.put("copy.md", "keep");
    let report = bench.sync().await;
    assert_eq!(report.files_downloaded, 1, "only the edit");
    assert_eq!(
        (report.files_moved, report.files_deleted, bench.pulls()),
        (2, 1, 1)
    );
    bench.expect_same();
    assert_eq!(bench.store.mtime("dir/new name.md"), Some(MTIME));
}

#[tokio::test]
async fn duplicates_are_fetched_once() {
    let bench = Bench::new().await;
    let large = vec![9; 6 * 1024 * 1024];
    for name in ["a.bin", "b.bin", "c/d.bin"] {
        bench.put_bytes(name, &large);
    }
    bench.put("x.md", "same");
    bench.put("y.md", "same");
    let report = bench.sync().await;
    assert_eq!(
        (report.files_downloaded, report.files_moved, bench.pulls()),
        (2, 3, 2)
    );
    bench.expect_same();
}

#[tokio::test]
async fn files_and_folders_swap_places() {
    let bench = Bench::new().await;
    bench.put("a", "file");
    bench.mkdir("b");
    bench.put("b/x.md", "x");
    bench.sync().await;
    bench.delete("a");
    bench.mkdir("a");
    bench.put("a/y.md", "y");
    bench.delete("b/x.md");
    bench.delete("b");
    bench.put("b", "file now");
    bench.sync().await;
    bench.expect_same();
    bench.expect_files(&[("a/y.md", "y"), ("b", "file now")]);
}

#[tokio::test]
async fn a_local_edit_becomes_a_conflicted_copy() {
    let bench = Bench::new().await;
    bench.put("note.md", "base");
    bench.sync().await;
    bench.store.write("note.md", "mine");
    bench.store.write(
        "note (Conflicted copy box 202411221200).md",
        "an older conflict",
    );
    bench.put("note.md", "theirs");
    let report = bench.sync().await;
    bench.expect_files(&[
        ("note.md", "theirs"),
        (
            "note (Conflicted copy box 202411221200).md",
            "an older conflict",
        ),
        ("note (Conflicted copy box 202411221200) 2.md", "mine"),
    ]);
    assert_eq!(report.problems[0].kind, ProblemKind::Kept);
    // And it is a matter of that one run.
    assert!(bench.sync().await.problems.is_empty());
}

#[tokio::test]
async fn what_lost_its_place_is_told_by_every_run_until_it_is_gone() {
    let bench = Bench::new().await;
    bench.put("note.md", "base");
    bench.store.set_rescued(&[".obsync/kept/note.md"]);
    for _ in 0..2 {
        let report = bench.sync().await;
        assert_eq!(report.status, Status::Complete);
        let told = &report.problems[0];
        assert_eq!(told.kind, ProblemKind::Kept);
        assert_eq!(told.path, ".obsync/kept/note.md");
        assert!(told.message.contains("move it"), "{}", told.message);
    }
    bench.store.set_rescued(&[]);
    assert!(bench.sync().await.problems.is_empty());
}

#[tokio::test]
async fn extra_files_and_edits_without_a_remote_change_stay() {
    let bench = Bench::new().await;
    bench.put("note.md", "base");
    bench.store.write("before.md", "was here first");
    bench.sync().await;
    bench.store.write("note.md", "mine");
    bench.store.write("extra.md", "extra");
    bench.put("other.md", "other");
    bench.sync().await;
    bench.expect_files(&[
        ("before.md", "was here first"),
        ("extra.md", "extra"),
        ("note.md", "mine"),
        ("other.md", "other"),
    ]);
}

#[tokio::test]
async fn a_first_run_over_an_existing_copy_downloads_only_what_differs() {
    let bench = Bench::new().await;
    bench.put("same.md", "same");
    bench.put("other.md", "theirs");
    bench.store.write("same.md", "same");
    bench.store.write("other.md", "mine");
    let report = bench.sync().await;
    assert_eq!(report.files_downloaded, 1);
    bench.expect_files(&[
        ("same.md", "same"),
        ("other.md", "theirs"),
        ("other (Conflicted copy box 202411221200).md", "mine"),
    ]);
    // What was adopted is ours from now on.
    bench.delete("same.md");
    bench.sync().await;
    assert!(!bench.files().contains_key("same.md"));
}

#[tokio::test]
async fn a_deletion_spares_an_edited_file() {
    let bench = Bench::new().await;
    bench.put("note.md", "base");
    bench.sync().await;
    bench.store.write("note.md", "mine");
    bench.delete("note.md");
    let report = bench.sync().await;
    assert_eq!((report.files_deleted, report.problems.len()), (0, 1));
    bench.expect_files(&[("note.md", "mine")]);
}

#[tokio::test]
async fn mirror_makes_the_destination_the_vault() {
    let mut bench = Bench::new().await;
    for name in ["fine.md", "edited.md", "missing.md", "deleted.md"] {
        bench.put(name, name);
    }
    bench.mkdir("empty");
    bench.sync().await;
    bench.options.mode = Mode::Mirror;
    bench.store.write("edited.md", "mine");
    bench.store.write("extra/deep.md", "mine too");
    bench.store.remove("missing.md");
    bench.delete("deleted.md");
    bench.pulls();
    let report = bench.sync().await;
    bench.expect_same();
    assert_eq!(
        (report.files_downloaded, report.files_deleted, bench.pulls()),
        (2, 2, 2)
    );
    assert!(!bench.store.folders().contains(&"extra".to_owned()));
    let mut trashed: Vec<String> = bench
        .store
        .trashed()
        .into_iter()
        .map(|(path, _)| path)
        .collect();
    trashed.sort();
    assert_eq!(trashed, ["deleted.md", "edited.md", "extra/deep.md"]);
    let commits = bench.state.commits();
    bench.sync().await;
    assert_eq!((bench.pulls(), bench.state.commits()), (0, commits));
}

#[tokio::test]
async fn a_changed_filter_plans_anew_and_deletes_nothing() {
    let mut bench = Bench::new().await;
    bench.put("note.md", "note");
    bench.put("image.png", "image");
    bench.put("Private/x.md", "x");
    bench.sync().await;
    bench.options.filter = FilterSpec {
        file_types: [FileType::Pdf].into(),
        excluded_folders: vec!["Private".into()],
        ..FilterSpec::default()
    };
    bench.put("Private/x.md", "changed while hidden");
    bench.put("scan.pdf", "scan");
    bench.delete("image.png");
    let report = bench.sync().await;
    assert_eq!((report.files_downloaded, report.files_deleted), (1, 0));
    assert_eq!(bench.files()["image.png"], "image");
    assert_eq!(bench.files()["Private/x.md"], "x");
    // Opened again, everything that was missed comes, also the deletion.
    bench.options.filter = FilterSpec::default();
    let report = bench.sync().await;
    assert_eq!((report.files_downloaded, report.files_deleted), (1, 1));
    bench.expect_same();
}

#[tokio::test]
async fn an_ignore_file_at_the_destination_counts() {
    let bench = Bench::new().await;
    bench.store.write(".obsyncignore", "Drafts/\n");
    bench.put("Drafts/x.md", "x");
    bench.put("y.md", "y");
    let report = bench.sync().await;
    assert_eq!((report.files_downloaded, report.files_hidden), (1, 1));
    assert!(!bench.files().contains_key("Drafts/x.md"));
}

#[tokio::test]
async fn a_removed_file_comes_back_with_full() {
    let mut bench = Bench::new().await;
    bench.put("a.md", "A");
    bench.put("b.md", "B");
    bench.sync().await;
    bench.store.remove("a.md");
    bench.sync().await;
    assert!(
        !bench.files().contains_key("a.md"),
        "pull does not look for local deletions"
    );
    bench.options.full = true;
    bench.sync().await;
    bench.expect_same();
}

#[tokio::test]
async fn a_restored_service_is_compared_as_a_whole() {
    let bench = Bench::new().await;
    bench.put("a.md", "A");
    let early = bench.server.version(&bench.vault).unwrap();
    bench.put("b.md", "B");
    bench.put("a.md", "A2");
    bench.sync().await;
    bench.server.rollback(&bench.vault, early).unwrap();
    let report = bench.sync().await;
    assert_eq!(report.notes.len(), 1, "it is said");
    assert_eq!(report.cursor, early);
    bench.expect_files(&[("a.md", "A")]);
    // From here on it is an ordinary vault again.
    let commits = bench.state.commits();
    bench.sync().await;
    assert_eq!(bench.state.commits(), commits);
    bench.put("c.md", "C");
    bench.sync().await;
    bench.expect_same();
}

#[tokio::test]
async fn names_that_fold_are_reported_not_overwritten() {
    let folding = Folding {
        case: true,
        unicode: true,
    };
    let store = obsync_core::memory::MemoryVaultStore::with_folding(folding);
    let bench = Bench::with(VaultSpec::managed("Notes", OWNER), store).await;
    bench.put("Note.md", "first");
    bench.put("note.md", "second");
    let report = bench.sync().await;
    assert_eq!((report.status, report.files_skipped), (Status::Complete, 1));
    bench.expect_files(&[("Note.md", "first")]);
    // Reported in each summary, while the state stays as it is.
    let commits = bench.state.commits();
    assert_eq!(bench.sync().await.files_skipped, 1);
    assert_eq!(bench.state.commits(), commits);
    // The one in the way goes, the other one comes.
    bench.delete("Note.md");
    let report = bench.sync().await;
    assert_eq!(report.files_skipped, 0);
    bench.expect_files(&[("note.md", "second")]);
    // A change of case alone.
    bench.rename("note.md", "NOTE.md");
    assert_eq!(bench.sync().await.files_moved, 1);
    bench.expect_files(&[("NOTE.md", "second")]);
}

#[tokio::test]
async fn an_empty_vault_is_a_success() {
    let bench = Bench::new().await;
    let report = bench.sync().await;
    assert_eq!(
        (report.status, report.cursor),
        (Status::Complete, VaultVersion(0))
    );
    bench.sync().await;
}
