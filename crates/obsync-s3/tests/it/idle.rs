//! What a run costs that finds nothing to do, and what it knows without reading everything.

use obsidian_sync::{ContentHash, Millis, Uid, VaultVersion};
use obsync_core::{
    Batch, Entry, FileEntry, Header, Stamp, StateStore as _, StoreErrorKind, VaultStore as _,
};
use obsync_doubles::s3::Double;

use crate::support::{HandClock, STATE, open, path};

const FILES: u64 = 3_000;

fn at_cursor(cursor: u64) -> Batch {
    Batch {
        header: Some(Header {
            cursor: VaultVersion(cursor),
            ..Header::default()
        }),
        ..Batch::default()
    }
}

/// A bucket with a state of many files.
async fn bucket() -> (Double, HandClock) {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let set = (0..FILES).map(|number| {
        let entry = FileEntry {
            uid: Uid(number),
            hash: ContentHash::of(&number.to_le_bytes()),
            size: 10,
            mtime: Millis(5),
            stamp: Stamp("0123456789abcdef0123456789abcdef:10".into()),
        };
        (
            path(&format!("folder/note {number}.md")),
            Entry::File(entry),
        )
    });
    let batch = Batch {
        set: set.collect(),
        ..at_cursor(FILES)
    };
    home.state.commit(batch).await.unwrap();
    home.state.close().await.unwrap();
    assert!(double.object(STATE).unwrap().bytes.len() > 300_000);
    (double, clock)
}

#[tokio::test]
async fn an_idle_run_reads_the_head_of_the_state() {
    let (double, clock) = bucket().await;
    double.sent();
    let home = open(&double.url, &clock).await;
    assert_eq!(
        home.state.header().await.unwrap().cursor,
        VaultVersion(FILES)
    );
    let counts = home.state.counts().await.unwrap();
    assert_eq!((counts.files, counts.bytes), (FILES, 10 * FILES));
    assert_eq!(home.state.intents().await.unwrap(), []);
    assert_eq!(home.state.unapplied().await.unwrap(), []);
    home.files.identity().await.unwrap();
    home.files.is_empty().await.unwrap();
    home.files.ignore_file().await.unwrap();
    home.state.checkpoint().await.unwrap();
    let sent = double.sent();
    assert!(sent < 70_000, "{sent}");
    // The rest is there when it is needed.
    let entries = home.state.load().await.unwrap().entries;
    assert_eq!(entries.len() as u64, FILES);
    home.state.commit(at_cursor(FILES + 1)).await.unwrap();
    home.state.close().await.unwrap();
    let again = open(&double.url, &clock).await;
    assert_eq!(again.state.load().await.unwrap().entries, entries);
}

#[tokio::test]
async fn what_was_not_read_at_first_is_written_whole() {
    let (double, clock) = bucket().await;
    let home = open(&double.url, &clock).await;
    let forget = vec![path("folder/note 1.md")];
    let batch = Batch {
        forget,
        ..at_cursor(FILES + 1)
    };
    home.state.commit(batch).await.unwrap();
    home.state.close().await.unwrap();
    let again = open(&double.url, &clock).await;
    assert_eq!(again.state.counts().await.unwrap().files, FILES - 1);
    let entries = again.state.load().await.unwrap().entries;
    assert_eq!(entries.len() as u64, FILES - 1);
}

#[tokio::test]
async fn entries_of_another_state_than_the_head_are_refused() {
    let (double, clock) = bucket().await;
    let home = open(&double.url, &clock).await;
    let other = open(&double.url, &clock).await;
    other.state.commit(at_cursor(FILES + 1)).await.unwrap();
    other.state.close().await.unwrap();
    for _ in 0..2 {
        let refused = home.state.load().await;
        match refused {
            // Once told, it looks anew.
            Ok(_) => {
                let header = home.state.header().await.unwrap();
                assert_eq!(header.cursor, VaultVersion(FILES + 1));
                return;
            }
            Err(error) => assert_eq!(error.kind, StoreErrorKind::Busy, "{error}"),
        }
    }
    panic!("it does not look anew");
}

#[tokio::test]
async fn a_state_that_is_damaged_at_its_end_is_refused_and_left_alone() {
    let (double, clock) = bucket().await;
    let whole = double.object(STATE).unwrap().bytes;
    let torn = &whole[..whole.len() - 500];
    double.put(STATE, torn);
    let home = open(&double.url, &clock).await;
    for _ in 0..2 {
        let error = home.state.load().await.unwrap_err();
        assert!(
            error.kind == StoreErrorKind::Unusable && error.message.contains("damaged"),
            "{error}"
        );
        let error = home.state.commit(at_cursor(1)).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unusable, "{error}");
        home.state.close().await.unwrap();
    }
    assert_eq!(double.object(STATE).unwrap().bytes, torn);
}
