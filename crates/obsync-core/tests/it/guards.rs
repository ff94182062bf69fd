//! What stops a run before it does harm.

use obsync_core::guard::{MaxDelete, Tripped};
use obsync_core::plan::Mode;
use obsync_core::{StateStore as _, SyncError, VaultStore as _};

use crate::bench::Bench;

async fn filled(count: usize) -> Bench {
    let bench = Bench::new().await;
    for number in 0..count {
        bench.put(&format!("{number}.md"), &format!("note {number}"));
    }
    bench.sync().await;
    bench
}

#[tokio::test]
async fn too_many_deletions_change_nothing() {
    let mut bench = filled(30).await;
    for number in 0..25 {
        bench.delete(&format!("{number}.md"));
    }
    bench.put("new.md", "new");
    let commits = bench.state.commits();
    let tripped = bench.try_sync().await;
    let Err(SyncError::Guard(Tripped::TooManyDeletions {
        deletions, limit, ..
    })) = tripped
    else {
        panic!("{tripped:?}");
    };
    assert_eq!((deletions, limit), (25, 20));
    assert_eq!((bench.files().len(), bench.state.commits()), (30, commits));
    assert!(
        bench.sync_run().preview().await.unwrap().guard.is_some(),
        "a dry run says so"
    );
    assert_eq!(
        bench.state.status().await.unwrap().last_error.unwrap().kind,
        "guard"
    );
    bench.options.max_delete = MaxDelete::Files(25);
    bench.sync().await;
    bench.expect_same();
}

#[tokio::test]
async fn an_emptied_destination_is_not_filled_again() {
    let bench = filled(3).await;
    bench.store.clear();
    bench.put("new.md", "new");
    let tripped = bench.try_sync().await;
    assert!(
        matches!(tripped, Err(SyncError::Guard(Tripped::Emptied { .. }))),
        "{tripped:?}"
    );
    assert!(bench.files().is_empty());
}

#[tokio::test]
async fn a_swapped_destination_is_refused() {
    let bench = filled(3).await;
    bench
        .store
        .set_identity(&format!("{}/another", bench.vault))
        .await
        .unwrap();
    bench.put("new.md", "new");
    let tripped = bench.try_sync().await;
    assert!(
        matches!(tripped, Err(SyncError::Guard(Tripped::Swapped { .. }))),
        "{tripped:?}"
    );
    bench
        .store
        .set_identity("another vault/mark")
        .await
        .unwrap();
    let tripped = bench.try_sync().await;
    assert!(
        matches!(tripped, Err(SyncError::Guard(Tripped::OtherVault { .. }))),
        "{tripped:?}"
    );
}

#[tokio::test]
async fn a_mirror_into_a_full_folder_of_strangers_stops() {
    let mut bench = Bench::new().await;
    bench.put("a.md", "A");
    for number in 0..21 {
        bench.store.write(&format!("holiday {number}.jpg"), "photo");
    }
    bench.options.mode = Mode::Mirror;
    let tripped = bench.try_sync().await;
    let expected = matches!(
        tripped,
        Err(SyncError::Guard(Tripped::TooManyDeletions { .. }))
    );
    assert!(expected, "{tripped:?}");
    assert_eq!(bench.files().len(), 21);
}
