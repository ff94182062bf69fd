//! Histories that once failed, as small as they could be made.

use crate::histories::{At, replay};
use crate::op::How::{Plain, Stop};
use crate::op::Op::{
    self, Delete, Edit, Filter, Mirror, Mkdir, Purge, Put, Rename, Rollback, Sync, Write,
};
use crate::op::Text::Fresh;
use crate::stage::Stage;

fn holds(at: At, history: &[Op]) {
    if let Err(what) = replay(&Stage::new(), at, history) {
        panic!("{what}");
    }
}

#[test]
fn regression_full_in_a_bucket_looks_at_what_is_there() {
    let history = [Put("a.md", Fresh), Sync(Plain), Edit(0, Fresh), Purge];
    holds(At::Bucket, &history);
}

#[test]
fn regression_a_mirror_in_a_bucket_makes_its_folders_once() {
    holds(At::Bucket, &[Mirror(true), Put("d/x.md", Fresh)]);
    let refused = [Mirror(true), Mkdir("d"), Put(".obsidian/workspace.json", Fresh)];
    holds(At::Bucket, &refused);
}

#[test]
fn regression_a_restored_service_and_nothing_left_of_what_was_brought() {
    let history = [
        Put("a.md", Fresh),
        Put("b.md", Fresh),
        Delete(0),
        Delete(0),
        Sync(Plain),
        Rollback(1),
        Put("a.md", Fresh),
        Put("a.md", Fresh),
    ];
    holds(At::Memory, &history);
}

#[test]
fn regression_a_service_restored_after_a_first_run_that_was_stopped() {
    let history = [
        Put("d/e/y.md", Fresh),
        Put("a.md", Fresh),
        Put("a.md", Fresh),
        Sync(Stop(2)),
        Rollback(0),
        Put("a.md", Fresh),
    ];
    holds(At::Memory, &history);
}

#[test]
fn regression_a_mirror_removes_a_folder_that_is_named_like_a_hidden_file_at_once() {
    let history = [
        Mirror(true),
        Filter(2),
        Put("d", Fresh),
        Write("d/x.md", Fresh),
    ];
    holds(At::Memory, &history);
}

#[test]
fn regression_a_file_and_a_folder_that_fold_change_places() {
    let history = [
        Put("D/x.md", Fresh),
        Put("a.md", Fresh),
        Sync(Plain),
        Rollback(1),
        Put("d", Fresh),
    ];
    holds(At::FoldingMemory, &history);
    let history = [
        Put("a.md", Fresh),
        Rename(0, "D"),
        Sync(Plain),
        Mkdir("D"),
        Put("d/x.md", Fresh),
    ];
    holds(At::FoldingMemory, &history);
}
