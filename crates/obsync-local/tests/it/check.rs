//! Looking whether a folder can be a destination.

use obsync_core::StoreErrorKind;

use crate::support::{kind, names, open};

#[tokio::test]
async fn a_folder_is_tried_and_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("notes");
    let found = open(&root).check().await.unwrap();
    assert!(!found.exists && found.free.is_some_and(|free| free > 0));
    assert!(!root.exists(), "nothing is created");

    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("mine.md"), "mine").unwrap();
    let found = open(&root).check().await.unwrap();
    assert!(found.exists && found.free.is_some_and(|free| free > 0));
    assert_eq!(names(&root), ["mine.md"]);

    std::fs::create_dir(root.join(".obsync")).unwrap();
    open(&root).check().await.unwrap();
    assert_eq!(names(&root), [".obsync", "mine.md"]);
    assert_eq!(names(&root.join(".obsync")), [""; 0]);
}

#[tokio::test]
async fn what_stands_in_the_way_is_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".obsync"), "a file").unwrap();
    let refused = open(dir.path()).check().await;
    assert_eq!(kind(refused), StoreErrorKind::InTheWay);

    std::fs::remove_file(dir.path().join(".obsync")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), dir.path().join(".obsync")).unwrap();
    let refused = open(dir.path()).check().await;
    assert_eq!(kind(refused), StoreErrorKind::InTheWay);
    assert_eq!(names(elsewhere.path()), [""; 0], "no link is followed");
}
