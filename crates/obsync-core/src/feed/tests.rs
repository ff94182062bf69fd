//! What is kept of a backlog.

use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::{ContentHash, EncodedName, EncryptionVersion, Password, Uid, VaultVersion};

use super::{Collector, Feed, RawRecord};
use crate::path::VaultPath;
use crate::record::{Change, Record, RemoteFile};
use crate::state::{Unapplied, UnappliedKind};

fn cipher() -> VaultCipher {
    let key = VaultKey::derive(&Password::new("secret"), "salt");
    VaultCipher::new(EncryptionVersion::LATEST, &key, "salt")
}

fn file(cipher: &VaultCipher, uid: u64, name: &str) -> RawRecord {
    RawRecord {
        uid: Uid(uid),
        path: cipher.encode_name(name),
        hash: cipher.encode_hash(Some(ContentHash::of(b"x"))),
        size: 33,
        ..RawRecord::default()
    }
}

fn deletion(cipher: &VaultCipher, uid: u64, name: &str) -> RawRecord {
    RawRecord {
        uid: Uid(uid),
        path: cipher.encode_name(name),
        deleted: true,
        ..RawRecord::default()
    }
}

fn without_hash(cipher: &VaultCipher, uid: u64, name: &str) -> RawRecord {
    RawRecord {
        hash: EncodedName::new("zz"),
        ..file(cipher, uid, name)
    }
}

fn feed(cipher: &VaultCipher, raw: &[RawRecord]) -> Feed {
    let mut collector = Collector::new(cipher);
    for record in raw {
        collector.take(record);
    }
    collector.finish(VaultVersion(0))
}

/// The uids of files, and those of deletions.
fn uids(feed: &Feed) -> (Vec<u64>, Vec<u64>) {
    let (deleted, live): (Vec<&Record>, Vec<&Record>) = feed
        .records
        .iter()
        .partition(|record| matches!(record.change, Change::Deleted { .. }));
    let uids = |records: Vec<&Record>| records.iter().map(|record| record.uid.0).collect();
    (uids(live), uids(deleted))
}

#[test]
fn the_highest_uid_wins_also_where_it_is_a_deletion() {
    let cipher = cipher();
    let (file, deletion) = (file(&cipher, 1, "a.md"), deletion(&cipher, 5, "a.md"));
    for order in [[file.clone(), deletion.clone()], [deletion, file]] {
        let feed = feed(&cipher, &order);
        assert_eq!(uids(&feed), (vec![], vec![5]));
        assert_eq!(feed.version, VaultVersion(5));
    }
}

#[test]
fn a_file_that_came_back_is_no_deletion() {
    let cipher = cipher();
    let feed = feed(
        &cipher,
        &[deletion(&cipher, 5, "a.md"), file(&cipher, 6, "a.md")],
    );
    assert_eq!(uids(&feed), (vec![6], vec![]));
}

fn failed(uid: u64, name: &str) -> Unapplied {
    let path = VaultPath::parse(name).unwrap();
    let hash = ContentHash::of(b"x");
    let change = Change::File(RemoteFile {
        hash,
        sealed_size: 33,
        mtime: obsidian_sync::Millis(0),
        ctime: obsidian_sync::Millis(0),
    });
    let uid = Uid(uid);
    Unapplied {
        name: name.to_owned(),
        uid,
        kind: UnappliedKind::Failed,
        message: "no room".to_owned(),
        attempts: 1,
        record: Some(Record { uid, path, change }),
    }
}

#[test]
fn what_failed_is_tried_again_unless_the_service_said_something_newer() {
    let cipher = cipher();
    let names = ["quiet.md", "new.md", "gone.md", "bad.md", "bad and gone.md"];
    let listed: Vec<Unapplied> = (20..)
        .zip(names)
        .map(|(uid, name)| failed(uid, name))
        .collect();
    let unusable_deletion = RawRecord {
        deleted: true,
        path: cipher.encode_name("../x"),
        uid: Uid(34),
        ..RawRecord::default()
    };
    let mut feed = feed(
        &cipher,
        &[
            file(&cipher, 30, "new.md"),
            deletion(&cipher, 31, "gone.md"),
            without_hash(&cipher, 32, "bad.md"),
            unusable_deletion,
        ],
    );
    // As a name that can't be used any more would be.
    feed.cleared.push("bad and gone.md".to_owned());
    feed.retry(&listed);
    assert_eq!(uids(&feed), (vec![20, 30], vec![31]));
    assert_eq!(feed.unusable[0].uid, Uid(32));
}

#[test]
fn the_memory_that_it_takes_is_known() {
    let cipher = cipher();
    let mut collector = Collector::new(&cipher);
    let long = format!("{}.md", "n".repeat(1000));
    for uid in 1..=100 {
        collector.take(&file(&cipher, uid, "the same.md"));
    }
    let one = collector.bytes();
    assert!((100..300).contains(&one), "{one} for one name");
    for uid in 101..=110 {
        collector.take(&file(&cipher, uid, &format!("{uid}{long}")));
    }
    let more = collector.bytes() - one;
    assert!((20_000..25_000).contains(&more), "{more}");
    // A name that can't be used, with all that is said of it.
    collector.take(&without_hash(&cipher, 111, &long));
    assert!(collector.bytes() - one - more > 2000);
    // And replaced by something smaller.
    let before = collector.bytes();
    collector.take(&file(&cipher, 112, &long));
    assert!(collector.bytes() < before);
}
