//! The list of records: what comes in odd orders, too slowly, or is too much.

use std::time::Duration;

use obsidian_sync::{EncodedName, Kind, Uid};
use obsync_core::SyncError;
use obsync_devserver::{Action, Fault, Point};
use serde_json::json;
use tokio::time::Instant;

use crate::bench::Bench;

impl Bench {
    fn encoded(&self, path: &str) -> EncodedName {
        self.server.cipher(&self.vault).unwrap().encode_name(path)
    }

    /// Lets a deletion come in a record's place.
    fn deletion_instead_of(&self, record: Uid, path: &str, uid: u64) {
        let push = json!({
            "op": "push", "uid": uid, "path": self.encoded(path).as_str(), "hash": "",
            "size": 0, "ctime": 0, "mtime": 0, "folder": false, "deleted": true, "device": "other",
        });
        let say = Action::Say(push.to_string());
        let fault = Fault::new(Point::Backlog, say).uid(record).once();
        self.server.faults().set(fault).unwrap();
    }
}

/// What another device deletes while a first sync reads its list.
#[tokio::test]
async fn a_deletion_during_a_first_sync_is_not_lost() {
    let bench = Bench::new().await;
    bench.store.write("mine.md", "mine");
    bench.put("a.md", "A");
    bench.put("b.md", "B");
    let place = bench.put("x.md", "X");
    let other = bench.put("y.md", "Y");
    bench.deletion_instead_of(place, "a.md", 5);
    bench.deletion_instead_of(other, "mine.md", 6);
    let report = bench.sync().await;
    assert_eq!(report.cursor.0, 6, "it passes the deletion");
    bench.expect_files(&[("b.md", "B"), ("mine.md", "mine")]);
    // By now the service's own version is there.
    bench.delete("a.md");
    bench.put("z.md", "Z");
    bench.sync().await;
    bench.expect_files(&[("b.md", "B"), ("mine.md", "mine")]);
}

/// One record just before each deadline: no step takes too long, and all of them do.
#[tokio::test]
async fn a_list_that_trickles_in_is_given_up() {
    let bench = Bench::new().await;
    for number in 0..100 {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    let drip = Action::Trickle(10, Duration::from_secs(1));
    let fault = Fault::new(Point::Backlog, drip);
    bench.server.faults().set(fault).unwrap();
    tokio::time::pause();
    let began = Instant::now();
    let ended = bench.try_sync().await;
    let took = began.elapsed();
    tokio::time::resume();
    let error = ended.unwrap_err();
    assert!(
        matches!(&error, SyncError::Remote(e) if e.kind() == Kind::Timeout),
        "{error:?}"
    );
    assert!(error.to_string().contains("records of its list"), "{error}");
    assert!(took < Duration::from_secs(1000), "{took:?}");
}

#[tokio::test]
async fn a_list_that_is_too_large_for_the_memory_is_refused() {
    let mut bench = Bench::new().await;
    for number in 0..100 {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    bench.options.most_backlog = 10_000;
    let error = bench.try_sync().await.unwrap_err();
    assert!(error.to_string().contains("more than 0 MiB"), "{error}");
    assert_eq!(bench.state.commits(), 0);
    bench.options.most_backlog = 100_000;
    bench.sync().await;
    bench.expect_same();
}

/// A service that does not say how far it is has not been restored, and has no news by that.
#[tokio::test]
async fn a_version_that_is_not_told_is_the_one_that_is_known() {
    let mut bench = Bench::new().await;
    let silent = Action::Say(r#"{"op":"ready"}"#.into());
    let fault = Fault::new(Point::Ready, silent);
    bench.server.faults().set(fault).unwrap();
    bench.put("a.md", "A");
    bench.put("b.md", "B");
    bench.delete("b.md");
    bench.sync().await;
    // A first list has no deletions, and nobody said that one was the last word.
    assert_eq!(bench.sync().await.cursor.0, 3);
    let commits = bench.state.commits();
    for full in [false, true, false] {
        bench.options.full = full;
        let report = bench.sync().await;
        assert!(report.notes.is_empty(), "{report:?}");
        assert_eq!(bench.state.commits(), commits, "nothing is new");
    }
    bench.put("c.md", "C");
    bench.delete("a.md");
    assert_eq!(bench.sync().await.cursor.0, 5);
    bench.expect_same();
    assert!(bench.sync().await.notes.is_empty());
}
