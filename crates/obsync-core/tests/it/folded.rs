//! Names that are one at the destination.

use obsync_core::Folding;
use obsync_core::memory::MemoryVaultStore;
use obsync_core::verify::VerifyOptions;
use obsync_devserver::VaultSpec;

use crate::bench::{Bench, OWNER};

async fn folding() -> Bench {
    let store = MemoryVaultStore::with_folding(Folding {
        case: true,
        unicode: true,
    });
    Bench::with(VaultSpec::managed("Notes", OWNER), store).await
}

/// The one that is there stays, also to verify, also once its record is the newer one.
#[tokio::test]
async fn verify_takes_the_name_that_is_there() {
    let bench = folding().await;
    bench.put("note.md", "there first");
    bench.sync().await;
    bench.put("Note.md", "another");
    bench.put("note.md", "there first, and changed");
    // A folder has its name, too.
    bench.mkdir("dir");
    bench.put("Dir", "a file");
    assert_eq!(bench.sync().await.files_skipped, 2);
    let run = bench.sync_run();
    let found = run.verify(VerifyOptions::default()).await.unwrap();
    assert_eq!(found.differences, []);
    assert_eq!((found.correct, found.skipped), (1, 2));
    assert!(!found.needs_repair(), "{found:?}");
}
