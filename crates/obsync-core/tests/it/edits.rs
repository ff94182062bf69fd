//! Local edits of files that did not change in the vault.

use obsync_core::filter::FilterSpec;
use obsync_core::plan::Mode;
use obsync_core::verify::VerifyOptions;

use crate::bench::Bench;

async fn edited() -> Bench {
    let bench = Bench::new().await;
    bench.put("note.md", "base");
    bench.put("other.md", "other");
    bench.sync().await;
    bench.store.write("note.md", "mine");
    bench
}

const STAYS: [(&str, &str); 2] = [("note.md", "mine"), ("other.md", "other")];

#[tokio::test]
async fn edits_stay_however_the_vault_is_compared() {
    let mut bench = edited().await;
    bench.options.full = true;
    bench.sync().await;
    bench.expect_files(&STAYS);
    bench.options.full = false;
    bench.options.filter = FilterSpec {
        exclude: vec!["*.pdf".into()],
        ..FilterSpec::default()
    };
    bench.sync().await;
    bench.expect_files(&STAYS);
    bench.store.write(".obsyncignore", "*.png\n");
    bench.sync().await;
    bench.expect_files(&STAYS);
    // The service is restored to what it was before a file that came later.
    let early = bench.server.version(&bench.vault).unwrap();
    bench.put("later.md", "later");
    bench.sync().await;
    bench.server.rollback(&bench.vault, early).unwrap();
    let report = bench.sync().await;
    assert_eq!(report.notes.len(), 1, "{report:?}");
    bench.expect_files(&STAYS);
    assert_eq!(bench.pulls(), 3, "nothing is fetched for it");
    // Another device writes the same text again.
    bench.put("note.md", "other text");
    bench.put("note.md", "base");
    bench.sync().await;
    bench.expect_files(&STAYS);
    // It is an edit still: what the vault changes next takes its place.
    bench.put("note.md", "theirs");
    bench.sync().await;
    let copy = "note (Conflicted copy box 202411221200).md";
    bench.expect_files(&[("note.md", "theirs"), (copy, "mine"), STAYS[1]]);
}

#[tokio::test]
async fn a_mirror_and_a_repair_bring_the_vaults_text_back() {
    let mut bench = edited().await;
    let found = bench.sync_run().verify(VerifyOptions::default()).await;
    bench.sync_run().repair(&found.unwrap()).await.unwrap();
    let copy = "note (Conflicted copy box 202411221200).md";
    bench.expect_files(&[("note.md", "base"), (copy, "mine"), STAYS[1]]);
    bench.store.write("note.md", "mine again");
    bench.options.mode = Mode::Mirror;
    bench.sync().await;
    bench.expect_same();
}
