//! What a malicious service might send: nothing leaves the destination, the report names it.

use obsidian_sync::{EncodedName, Uid};
use obsync_core::report::{ProblemKind, Status};
use obsync_devserver::RawRecord;
use serde_json::json;

use crate::bench::Bench;

impl Bench {
    /// A record under any name whatever, with content that is right in itself.
    fn forge(&self, name: &str) -> Uid {
        let cipher = self.server.cipher(&self.vault).unwrap();
        let hash = obsidian_sync::ContentHash::of(b"evil");
        let raw = RawRecord {
            path: cipher.encode_name(name),
            hash: cipher.encode_hash(Some(hash)),
            content: Some(cipher.seal(b"evil").into()),
            ..RawRecord::default()
        };
        self.server.put_raw(&self.vault, raw).unwrap()
    }
}

#[tokio::test]
async fn names_that_lead_out_are_skipped_and_reported_each_time() {
    let bench = Bench::new().await;
    bench.put("good.md", "good");
    let names = [
        "../outside.md",
        "a/../../outside.md",
        "/etc/passwd",
        "a//b.md",
        "nul\0.md",
        ".git/hooks/post-checkout",
        ".obsidian/plugins/x/evil.sh",
        "",
    ];
    for name in names {
        bench.forge(name);
    }
    let report = bench.sync().await;
    assert_eq!(report.status, Status::Complete, "running again can't help");
    assert_eq!(report.files_skipped, names.len() as u64);
    bench.expect_files(&[("good.md", "good")]);
    assert_eq!(bench.pulls(), 1, "they are not even fetched");
    let commits = bench.state.commits();
    let again = bench.sync().await;
    assert_eq!(again.problems.len(), names.len(), "named in each summary");
    assert!(
        again
            .problems
            .iter()
            .all(|problem| problem.kind == ProblemKind::Skipped)
    );
    assert_eq!(bench.state.commits(), commits);
}

#[tokio::test]
async fn names_that_cannot_be_decrypted_are_reported() {
    let bench = Bench::new().await;
    bench.put("good.md", "good");
    for path in ["", "zz", "00", "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"] {
        let raw = RawRecord {
            path: EncodedName::new(path),
            ..RawRecord::default()
        };
        bench.server.put_raw(&bench.vault, raw).unwrap();
    }
    let report = bench.sync().await;
    assert_eq!(report.files_skipped, 4, "{report:?}");
    bench.expect_files(&[("good.md", "good")]);
}

#[tokio::test]
async fn absurd_numbers_do_no_harm() {
    let bench = Bench::new().await;
    bench.put("good.md", "good");
    for (index, fields) in [
        json!({"size": u64::MAX, "mtime": i64::MAX, "ctime": i64::MIN}),
        json!({"size": -1, "mtime": -1e300}),
        json!({"size": 1e300, "mtime": null}),
        json!({"mtime": "yesterday"}),
    ]
    .into_iter()
    .enumerate()
    {
        let cipher = bench.server.cipher(&bench.vault).unwrap();
        let name = format!("odd {index}.md");
        let hash = obsidian_sync::ContentHash::of(b"evil");
        let raw = RawRecord {
            path: cipher.encode_name(&name),
            hash: cipher.encode_hash(Some(hash)),
            content: Some(cipher.seal(b"evil").into()),
            fields: fields.as_object().unwrap().clone(),
            ..RawRecord::default()
        };
        bench.server.put_raw(&bench.vault, raw).unwrap();
    }
    // Ends by itself; the good file is there, whatever became of the others.
    let result = bench.try_sync().await;
    match result {
        Ok(_) => assert_eq!(bench.files()["good.md"], "good"),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn sizes_that_add_up_to_more_than_there_is_do_no_harm() {
    let bench = Bench::new().await;
    bench.put("good.md", "good");
    let cipher = bench.server.cipher(&bench.vault).unwrap();
    for name in ["one.md", "two.md"] {
        let hash = obsidian_sync::ContentHash::of(name.as_bytes());
        let raw = RawRecord {
            path: cipher.encode_name(name),
            hash: cipher.encode_hash(Some(hash)),
            content: Some(cipher.seal(b"evil").into()),
            fields: json!({"size": u64::MAX}).as_object().unwrap().clone(),
            ..RawRecord::default()
        };
        bench.server.put_raw(&bench.vault, raw).unwrap();
    }
    let report = bench.try_sync().await.unwrap();
    assert_eq!((report.files_downloaded, report.files_failed), (1, 2));
    bench.expect_files(&[("good.md", "good")]);
}

#[tokio::test]
async fn a_link_in_the_way_is_not_written_through() {
    let bench = Bench::new().await;
    bench.put("target.md", "theirs");
    bench.put("dir/inside.md", "theirs");
    bench.store.plant_link("target.md");
    bench.store.plant_link("dir");
    let report = bench.try_sync().await.unwrap();
    assert!(bench.files().is_empty(), "{:?}", bench.files());
    assert_eq!(report.files_downloaded, 0);
    assert_eq!(report.files_skipped, 2, "{report:?}");
    assert_eq!(report.status, Status::Complete);
    // When the link is gone, the file comes.
    bench.store.remove("target.md");
    bench.store.remove("dir");
    bench.sync().await;
    bench.expect_same();
}

#[tokio::test]
async fn an_old_record_sent_again_does_not_undo_a_new_one() {
    let bench = Bench::new().await;
    bench.put("a.md", "old");
    bench.put("a.md", "new");
    bench.sync().await;
    let cipher = bench.server.cipher(&bench.vault).unwrap();
    let raw = RawRecord {
        path: cipher.encode_name("a.md"),
        hash: cipher.encode_hash(Some(obsidian_sync::ContentHash::of(b"old"))),
        content: Some(cipher.seal(b"old").into()),
        fields: json!({"uid": 1}).as_object().unwrap().clone(),
        ..RawRecord::default()
    };
    bench.server.put_raw(&bench.vault, raw).unwrap();
    bench.sync().await;
    bench.expect_files(&[("a.md", "new")]);
}
