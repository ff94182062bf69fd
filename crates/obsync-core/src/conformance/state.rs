//! The suite for [`StateStore`](crate::StateStore).

use std::collections::HashMap;

use obsidian_sync::{ContentHash, Millis, Uid, VaultVersion};

use super::StateHome;
use crate::path::VaultPath;
use crate::record::{Change, Record, RemoteFile};
use crate::state::{
    Batch, Counts, Entry, FileEntry, Header, LastError, RunStatus, Unapplied, UnappliedKind,
};
use crate::store::{FileMeta, Stamp};

/// Makes a test of each case, or with `together` one `async fn` of all, for the async function that gives a fresh [`StateHome`].
#[macro_export]
macro_rules! state_store_tests {
    ($home:path) => {
        $crate::state_store_tests!(@list each $home);
    };
    (together $home:path) => {
        $crate::state_store_tests!(@list together $home);
    };
    (@list $how:ident $home:path) => {
        $crate::state_store_tests!(@$how $home: starts_empty, keeps_the_header, keeps_entries,
            forgets, counts, counts_extremes, intents_settle, lists_unapplied, an_empty_batch,
            extremes_survive, many_entries, one_batch_is_one_change, keeps_the_status,
            commits_overlap);
    };
    (@each $home:path: $($case:ident),+) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::conformance::state::$case(&$home().await).await;
            }
        )+
    };
    (@together $home:path: $($case:ident),+) => {
        /// All cases, one after the other.
        async fn state_suite() {
            $(
                $crate::conformance::state::$case(&$home().await).await;
            )+
        }
    };
}

fn path(text: &str) -> VaultPath {
    VaultPath::parse(text).expect("the suite names valid paths")
}

fn file(uid: u64, size: u64) -> Entry {
    Entry::File(FileEntry {
        uid: Uid(uid),
        hash: ContentHash::of(&uid.to_le_bytes()),
        size,
        mtime: Millis(1_600_000_000_000 + uid as i64),
        stamp: Stamp(format!("stamp {uid}")),
    })
}

fn folder(uid: u64) -> Entry {
    Entry::Folder { uid: Uid(uid) }
}

fn meta(uid: u64) -> FileMeta {
    FileMeta {
        uid: Uid(uid),
        hash: ContentHash::of(b"intended"),
        size: uid * 3,
        mtime: Millis(5),
        ctime: Millis(-4),
    }
}

fn set(entries: impl IntoIterator<Item = (&'static str, Entry)>) -> Batch {
    let set = entries
        .into_iter()
        .map(|(at, entry)| (path(at), entry))
        .collect();
    Batch {
        set,
        ..Batch::default()
    }
}

fn unapplied(name: &str, uid: u64, record: Option<Record>) -> Unapplied {
    Unapplied {
        name: name.to_owned(),
        uid: Uid(uid),
        kind: if record.is_some() {
            UnappliedKind::Failed
        } else {
            UnappliedKind::Skipped
        },
        message: format!("no luck with {name}"),
        attempts: 3,
        record,
    }
}

/// A fresh state has nothing, and asking changes nothing.
pub async fn starts_empty(home: &impl StateHome) {
    for _ in 0..2 {
        let store = home.open().await;
        assert_eq!(store.header().await.unwrap(), Header::default());
        assert_eq!(store.counts().await.unwrap(), Counts::default());
        assert!(store.load().await.unwrap().entries.is_empty());
        assert_eq!(store.intents().await.unwrap(), []);
        assert_eq!(store.unapplied().await.unwrap(), []);
        assert_eq!(store.status().await.unwrap(), RunStatus::default());
    }
}

/// The header is kept, and stays when a batch has none.
pub async fn keeps_the_header(home: &impl StateHome) {
    let store = home.open().await;
    for full_pending in [true, false] {
        let header = Header {
            cursor: VaultVersion(41),
            highest: Uid(42),
            fingerprint: "mode=pull, \"quoted\" und ünicode".to_owned(),
            full_pending,
            destination: full_pending.then(|| "mark".to_owned()),
        };
        let batch = Batch {
            header: Some(header.clone()),
            ..Batch::default()
        };
        store.commit(batch).await.unwrap();
        store.commit(set([("a.md", file(1, 1))])).await.unwrap();
        assert_eq!(store.header().await.unwrap(), header);
    }
    store.checkpoint().await.unwrap();
    drop(store);
    let header = home.open().await.header().await.unwrap();
    assert_eq!(
        (header.cursor, header.destination),
        (VaultVersion(41), None)
    );
}

/// Entries are kept by path, the last one set counts, and a file can become a folder.
pub async fn keeps_entries(home: &impl StateHome) {
    let store = home.open().await;
    store
        .commit(set([
            ("a.md", file(1, 10)),
            ("d", folder(2)),
            ("x", file(3, 5)),
        ]))
        .await
        .unwrap();
    store
        .commit(set([
            ("a.md", file(4, 11)),
            ("x", folder(5)),
            ("d", file(6, 0)),
        ]))
        .await
        .unwrap();
    store
        .commit(set([("twice", file(7, 1)), ("twice", file(8, 2))]))
        .await
        .unwrap();
    store.checkpoint().await.unwrap();
    drop(store);
    let store = home.open().await;
    let expected: HashMap<_, _> = [
        ("a.md", file(4, 11)),
        ("x", folder(5)),
        ("d", file(6, 0)),
        ("twice", file(8, 2)),
    ]
    .map(|(at, entry)| (path(at), entry))
    .into();
    assert_eq!(store.load().await.unwrap().entries, expected);
}

/// Forgetting removes; what is not there is forgotten already; within a batch, setting wins.
pub async fn forgets(home: &impl StateHome) {
    let store = home.open().await;
    store
        .commit(set([
            ("a", file(1, 1)),
            ("b", file(2, 2)),
            ("c", folder(3)),
        ]))
        .await
        .unwrap();
    let mut batch = set([("b", file(4, 4))]);
    batch.forget = vec![path("a"), path("b"), path("c"), path("never")];
    store.commit(batch).await.unwrap();
    let entries = store.load().await.unwrap().entries;
    assert_eq!(entries, HashMap::from([(path("b"), file(4, 4))]));
    assert_eq!(store.counts().await.unwrap(), Counts { files: 1, bytes: 4 });
}

/// Counts follow each change; folders don't count.
pub async fn counts(home: &impl StateHome) {
    let store = home.open().await;
    let forget = |at: &str| Batch {
        forget: vec![path(at)],
        ..Batch::default()
    };
    for (batch, files, bytes) in [
        (
            set([("a", file(1, 10)), ("b", file(2, 20)), ("d", folder(3))]),
            2,
            30,
        ),
        (set([("a", file(4, 1))]), 2, 21),
        (set([("a", folder(5))]), 1, 20),
        (set([("d", file(6, 7))]), 2, 27),
        (set([("z", file(7, 1)), ("z", file(8, 2))]), 3, 29),
        (forget("b"), 2, 9),
        (forget("a"), 2, 9),
        (forget("never"), 2, 9),
    ] {
        store.commit(batch).await.unwrap();
        assert_eq!(store.counts().await.unwrap(), Counts { files, bytes });
    }
    store.checkpoint().await.unwrap();
    drop(store);
    assert_eq!(
        home.open().await.counts().await.unwrap(),
        Counts { files: 2, bytes: 9 }
    );
}

/// A huge size, such as a hostile service may claim, is kept and leaves the counts usable.
pub async fn counts_extremes(home: &impl StateHome) {
    let store = home.open().await;
    store
        .commit(set([("huge", file(1, i64::MAX as u64))]))
        .await
        .unwrap();
    store.commit(set([("a", file(2, 5))])).await.unwrap();
    assert_eq!(store.counts().await.unwrap().files, 2);
    let batch = Batch {
        forget: vec![path("huge")],
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    assert_eq!(store.counts().await.unwrap(), Counts { files: 1, bytes: 5 });
}

/// Settling drops the notes that were there before, never those of its own batch.
pub async fn intents_settle(home: &impl StateHome) {
    let store = home.open().await;
    let intend = |at: &str, uid| vec![(path(at), meta(uid))];
    store
        .commit(Batch {
            intend: intend("a", 1),
            ..Batch::default()
        })
        .await
        .unwrap();
    store
        .commit(Batch {
            intend: intend("b", 2),
            ..Batch::default()
        })
        .await
        .unwrap();
    store
        .commit(Batch {
            intend: intend("a", 3),
            ..Batch::default()
        })
        .await
        .unwrap();
    store.checkpoint().await.unwrap();
    drop(store);
    let store = home.open().await;
    let mut notes = store.intents().await.unwrap();
    notes.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert_eq!(notes, [(path("a"), meta(3)), (path("b"), meta(2))]);
    let batch = Batch {
        settle: true,
        intend: intend("c", 4),
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    assert_eq!(store.intents().await.unwrap(), [(path("c"), meta(4))]);
    store
        .commit(Batch {
            settle: true,
            ..Batch::default()
        })
        .await
        .unwrap();
    assert_eq!(store.intents().await.unwrap(), []);
}

/// Records that were not applied are listed by name until they are taken off.
pub async fn lists_unapplied(home: &impl StateHome) {
    let store = home.open().await;
    let remote = RemoteFile {
        hash: ContentHash::of(b"x"),
        sealed_size: u64::MAX,
        mtime: Millis(i64::MIN),
        ctime: Millis(0),
    };
    let record = Record {
        uid: Uid(9),
        path: path("ä/b"),
        change: Change::File(remote),
    };
    let failed = unapplied("ä/b", 9, Some(record));
    let skipped = unapplied("../\u{1b}[31mevil\0", 8, None);
    let list = vec![failed.clone(), skipped.clone()];
    store
        .commit(Batch {
            list,
            ..Batch::default()
        })
        .await
        .unwrap();
    store.checkpoint().await.unwrap();
    drop(store);
    let store = home.open().await;
    let mut listed = store.unapplied().await.unwrap();
    listed.sort_by_key(|unapplied| unapplied.uid);
    assert_eq!(listed, [skipped.clone(), failed.clone()]);
    // Replaced by name; taking off comes before listing.
    let again = Unapplied {
        kind: UnappliedKind::Unfinished,
        attempts: 4,
        record: None,
        ..failed
    };
    let unlist = vec![again.name.clone(), skipped.name.clone(), "never".to_owned()];
    store
        .commit(Batch {
            list: vec![again.clone()],
            unlist,
            ..Batch::default()
        })
        .await
        .unwrap();
    assert_eq!(store.unapplied().await.unwrap(), [again]);
}

/// An empty batch is none.
pub async fn an_empty_batch(home: &impl StateHome) {
    let store = home.open().await;
    store.commit(Batch::default()).await.unwrap();
    store.commit(set([("a", file(1, 1))])).await.unwrap();
    store.commit(Batch::default()).await.unwrap();
    assert_eq!(store.load().await.unwrap().entries.len(), 1);
}

/// Numbers and names at the edges of their types come back as they were.
pub async fn extremes_survive(home: &impl StateHome) {
    let store = home.open().await;
    let entry = Entry::File(FileEntry {
        uid: Uid(u64::MAX),
        hash: ContentHash([0xff; 32]),
        size: 0,
        mtime: Millis(i64::MIN),
        stamp: Stamp(String::new()),
    });
    let names = [
        " ",
        "a\nb",
        "e\u{301}",
        "\u{e9}",
        "A",
        "a",
        "'; DROP TABLE entries; --",
        "日本",
    ];
    let long = "x/".repeat(1000) + "y";
    let names: Vec<_> = names.into_iter().chain([long.as_str()]).map(path).collect();
    let set: Vec<_> = names
        .iter()
        .map(|name| (name.clone(), entry.clone()))
        .collect();
    let header = Header {
        cursor: VaultVersion(u64::MAX),
        highest: Uid(u64::MAX - 1),
        ..Header::default()
    };
    let batch = Batch {
        set: set.clone(),
        header: Some(header.clone()),
        ..Batch::default()
    };
    store.commit(batch).await.unwrap();
    store.checkpoint().await.unwrap();
    drop(store);
    let store = home.open().await;
    assert_eq!(
        store.load().await.unwrap().entries,
        set.into_iter().collect()
    );
    assert_eq!(store.header().await.unwrap(), header);
}

/// Thousands of entries in one batch.
pub async fn many_entries(home: &impl StateHome) {
    let store = home.open().await;
    let set = (0..5000u64)
        .map(|n| (path(&format!("d{}/{n}.md", n % 70)), file(n, n)))
        .collect();
    store
        .commit(Batch {
            set,
            ..Batch::default()
        })
        .await
        .unwrap();
    assert_eq!(store.load().await.unwrap().entries.len(), 5000);
    let forget = (0..5000u64).filter(|n| n % 2 == 0);
    let forget = forget
        .map(|n| path(&format!("d{}/{n}.md", n % 70)))
        .collect();
    store
        .commit(Batch {
            forget,
            ..Batch::default()
        })
        .await
        .unwrap();
    let bytes = (0..5000u64).filter(|n| n % 2 == 1).sum();
    assert_eq!(store.counts().await.unwrap(), Counts { files: 2500, bytes });
}

/// All parts of a batch are applied.
pub async fn one_batch_is_one_change(home: &impl StateHome) {
    let store = home.open().await;
    store.commit(set([("old", file(1, 1))])).await.unwrap();
    let batch = Batch {
        header: Some(Header {
            cursor: VaultVersion(5),
            ..Header::default()
        }),
        set: vec![(path("new"), file(2, 2))],
        forget: vec![path("old")],
        intend: vec![(path("soon"), meta(3))],
        settle: true,
        list: vec![unapplied("bad", 4, None)],
        unlist: vec!["good".to_owned()],
    };
    store.commit(batch).await.unwrap();
    store.checkpoint().await.unwrap();
    drop(store);
    let store = home.open().await;
    assert_eq!(store.header().await.unwrap().cursor, VaultVersion(5));
    let entries = store.load().await.unwrap().entries;
    assert_eq!(entries, HashMap::from([(path("new"), file(2, 2))]));
    assert_eq!(store.intents().await.unwrap().len(), 1);
    assert_eq!(store.unapplied().await.unwrap().len(), 1);
}

/// How runs went is kept, apart from the state.
pub async fn keeps_the_status(home: &impl StateHome) {
    let store = home.open().await;
    let mut status = RunStatus {
        schema: 1,
        vault_id: "id".to_owned(),
        vault_name: "Mein \"Vault\"".to_owned(),
        destination: "/some/where".to_owned(),
        last_run: Some(Millis(3)),
        last_error: Some(LastError {
            at: Millis(3),
            kind: "x".into(),
            message: "y\n".into(),
        }),
        ..RunStatus::default()
    };
    store.set_status(&status).await.unwrap();
    store.commit(set([("a", file(1, 1))])).await.unwrap();
    assert_eq!(store.status().await.unwrap(), status);
    status.last_success = status.last_run;
    status.last_error = None;
    store.set_status(&status).await.unwrap();
    store.checkpoint().await.unwrap();
    drop(store);
    let store = home.open().await;
    assert_eq!(store.status().await.unwrap(), status);
    assert_eq!(store.header().await.unwrap(), Header::default());
}

/// Batches that come at the same time are all applied.
pub async fn commits_overlap(home: &impl StateHome) {
    let store = home.open().await;
    let store = &*store;
    super::vault::join((0..20u64).map(|n| async move {
        let set = vec![(path(&format!("{n}.md")), file(n, 1))];
        store
            .commit(Batch {
                set,
                ..Batch::default()
            })
            .await
            .unwrap();
    }))
    .await;
    assert_eq!(
        store.counts().await.unwrap(),
        Counts {
            files: 20,
            bytes: 20
        }
    );
}
