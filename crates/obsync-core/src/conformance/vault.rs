//! The suite for [`VaultStore`]: its list of cases, and what they share.

mod change;
mod names;
mod publish;
mod read;

pub use change::*;
pub use names::*;
pub use publish::*;
pub use read::*;

use bytes::Bytes;
use obsidian_sync::{ContentHash, Millis, Uid};

use crate::path::VaultPath;
use crate::store::{
    Expect, FileMeta, PublishError, Retire, Stamp, StoreError, StoreErrorKind, VaultStore,
};

/// Makes a test of each case, or with `together` one `async fn` of all, for the async function that gives a fresh
/// [`VaultHome`](super::VaultHome).
#[macro_export]
macro_rules! vault_store_tests {
    ($home:path) => {
        $crate::vault_store_tests!(@list each $home);
    };
    (together $home:path) => {
        $crate::vault_store_tests!(@list together $home);
    };
    (@list $how:ident $home:path) => {
        $crate::vault_store_tests!(@$how $home: nothing_at_first, marks, publishes_with_parents,
            staged_is_invisible, dropped_leaves_nothing, empty_content, streams,
            absent_never_overwrites, replaces_what_was_expected, keeps_an_edit,
            keeps_an_edit_while_content_waits, nothing_to_replace, one_of_many_wins, many_at_once, sweeps_leftovers, hard_names,
            folding_is_told, carries_the_time, copies, copies_only_what_was_expected, renames,
            renames_over_nothing, sets_aside, sets_aside_over_nothing, removes,
            removes_only_what_was_expected, removes_many, trashes, folders, no_folder_over_a_file,
            no_file_over_a_folder, files_and_folders_swap, flushes_again, inspects, hashes, lists,
            lists_in_pages, lists_no_secrets, reads_the_ignore_file);
    };
    (@each $home:path: $($case:ident),+) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::conformance::vault::$case(&$home().await).await;
            }
        )+
    };
    (@together $home:path: $($case:ident),+) => {
        /// All cases, one after the other.
        async fn vault_suite() {
            $(
                $crate::conformance::vault::$case(&$home().await).await;
            )+
        }
    };
}

/// A valid path.
pub(super) fn path(text: &str) -> VaultPath {
    VaultPath::parse(text).expect("the suite names valid paths")
}

/// What a record says of this content.
pub(super) fn meta(content: &[u8]) -> FileMeta {
    FileMeta {
        uid: Uid(7),
        hash: ContentHash::of(content),
        size: content.len() as u64,
        mtime: Millis(1_600_000_000_123),
        ctime: Millis(1_500_000_000_000),
    }
}

/// Stages and publishes.
pub(super) async fn put(
    store: &dyn VaultStore,
    at: &str,
    content: &[u8],
    expect: Expect,
    retire: Retire,
) -> Result<Stamp, PublishError> {
    let bytes = Bytes::copy_from_slice(content);
    let staged = store
        .stage(&path(at), bytes, meta(content))
        .await
        .expect("stages");
    store.publish(staged, &expect, retire).await
}

/// Publishes a new file.
pub(super) async fn new(store: &dyn VaultStore, at: &str, content: &[u8]) -> Stamp {
    put(store, at, content, Expect::Absent, Retire::Discard)
        .await
        .expect("publishes")
}

/// The stamp of the file that is at a path now.
pub(super) async fn stamp(store: &dyn VaultStore, at: &str) -> Stamp {
    store
        .hash(&path(at))
        .await
        .expect("hashes")
        .expect("is a file")
        .1
}

pub(super) fn kind<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
    result.err().map(|error| error.kind)
}

/// Runs futures together and collects what they give, in order.
pub(super) async fn join<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(move |cx| {
        for (future, slot) in futures.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
            {
                *slot = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(done.drain(..).flatten().collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}
