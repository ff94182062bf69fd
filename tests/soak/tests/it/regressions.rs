//! Histories that once failed, as small as they could be made.

use crate::histories::{At, replay};
use crate::op::How::{Crash, Full, Plain, Stop};
use crate::op::Op::{
    self, Delete, Edit, Filter, Ignore, Mirror, Mkdir, Purge, Put, Remove, Rename, Reset, Rollback,
    Sync, Write,
};
use crate::op::Text::{Common, Fresh};
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
    let refused = [
        Mirror(true),
        Mkdir("d"),
        Put(".obsidian/workspace.json", Fresh),
    ];
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
    let history = [Put("d", Fresh), Sync(Plain), Rename(0, "D/x.md")];
    holds(At::FoldingMemory, &history);
}

#[test]
fn regression_a_file_takes_the_place_of_a_folder_whose_content_is_wanted_elsewhere() {
    let history = [
        Put("d/e/y.md", Common(2)),
        Sync(Plain),
        Put("swap", Common(2)),
        Put("d", Fresh),
    ];
    holds(At::Memory, &history);
    holds(At::Folder, &history);
}

#[test]
fn regression_an_empty_folder_changes_its_case() {
    let history = [
        Mkdir("D"),
        Put("a.md", Fresh),
        Delete(0),
        Mkdir("d"),
        Sync(Plain),
        Rollback(128),
    ];
    holds(At::FoldingMemory, &history);
}

#[test]
fn regression_a_mirror_tries_once_to_remove_a_folder_that_holds_hidden_files() {
    let history = [
        Mirror(true),
        Put("a.md", Fresh),
        Filter(3),
        Write("d/e/y.md", Fresh),
    ];
    holds(At::Memory, &history);
}

#[test]
fn regression_a_restored_record_that_is_tried_again_is_not_taken_for_known() {
    let history = [
        Put("a.md", Fresh),
        Delete(0),
        Put("D/x.md", Fresh),
        Rename(0, "pic.png"),
        Rename(0, "D/x.md"),
        Put("d", Fresh),
        Rename(41, "d/x.md"),
        Put("a.md", Fresh),
        Sync(Plain),
        Rollback(178),
    ];
    holds(At::FoldingMemory, &history);
}

#[test]
fn regression_a_stop_between_making_room_and_a_second_try_loses_nothing() {
    for at in 0..12 {
        let history = [
            Put("a.md", Fresh),
            Put("swap/in.md", Fresh),
            Sync(Plain),
            Write("swap/in.md", Fresh),
            Put("swap", Fresh),
            Sync(Plain),
            Sync(Stop(at)),
        ];
        holds(At::Memory, &history);
    }
}

#[test]
fn regression_what_was_right_already_is_in_state_before_the_cursor_passes_it() {
    let history = [
        Put("b.md", Fresh),
        Mkdir("d"),
        Sync(Plain),
        Reset,
        Put("b.md", Fresh),
        Sync(Crash(1, true)),
        Put("a.md", Fresh),
        Sync(Plain),
        Rename(113, "a.md"),
        Sync(Plain),
    ];
    holds(At::Memory, &history);
}

#[test]
fn regression_a_mirror_removes_at_once_what_no_longer_has_a_reason_to_stay() {
    let history = [
        Mkdir("c.md"),
        Put("d/x.md", Fresh),
        Sync(Plain),
        Write("c.md", Fresh),
        Mirror(true),
        Delete(0),
    ];
    holds(At::Bucket, &history);
    let history = [
        Write("d/x.md", Fresh),
        Put("a.md", Fresh),
        Put("d", Fresh),
        Sync(Plain),
        Filter(2),
        Mirror(true),
    ];
    holds(At::Memory, &history);
}

#[test]
fn regression_a_folder_that_became_a_hidden_file_is_not_brought_back() {
    let history = [
        Put("a.md", Fresh),
        Mkdir("d"),
        Sync(Plain),
        Put("d", Fresh),
        Filter(2),
        Mirror(true),
        Sync(Plain),
        Delete(1),
    ];
    holds(At::Memory, &history);
}

#[test]
fn regression_a_mirror_restores_what_a_stopped_run_brought_and_a_person_edited() {
    for at in 0..14 {
        let history = [
            Mirror(true),
            Put("swap", Fresh),
            Sync(Plain),
            Put("a.md", Fresh),
            Put("no\u{a0}break.md", Fresh),
            Put("swap", Fresh),
            Write("b.md", Fresh),
            Sync(Stop(at)),
            Write("a.md", Fresh),
        ];
        holds(At::Memory, &history);
        holds(At::FoldingMemory, &history);
    }
}

#[test]
fn regression_a_mirror_in_a_bucket_brings_back_what_was_removed() {
    let history = [
        Put("a.md", Fresh),
        Put("b.md", Fresh),
        Mirror(true),
        Sync(Plain),
        Remove(0),
    ];
    holds(At::Bucket, &history);
}

#[test]
fn regression_an_edit_stays_where_the_vault_has_the_same_text_again() {
    let history = [
        Put("c.md", Common(0)),
        Sync(Plain),
        Write("c.md", Fresh),
        Put("c.md", Common(0)),
        Sync(Crash(45, false)),
        Sync(Full),
    ];
    for at in [At::Memory, At::Folder, At::Bucket] {
        holds(at, &history);
    }
}

#[test]
fn regression_a_folder_that_stays_keeps_its_name_from_another_that_becomes_a_file() {
    let history = [
        Mkdir("d"),
        Put("a.md", Fresh),
        Sync(Plain),
        Put("D/x.md", Fresh),
        Filter(1),
        // Past its end: it only leaves open what was brought.
        Sync(Stop(200)),
        Remove(0),
        Put("d", Fresh),
    ];
    holds(At::FoldingMemory, &history);
}

#[test]
fn regression_a_number_of_a_restored_service_is_not_taken_for_known() {
    let history = [
        Put("d/e/y.md", Fresh),
        Put("D/x.md", Fresh),
        Rename(72, "b.md"),
        Put("c.md", Fresh),
        Sync(Plain),
        Filter(4),
        Rollback(104),
        Put("b.md", Fresh),
    ];
    holds(At::Bucket, &history);
}

#[test]
fn regression_a_mirror_keeps_no_folder_for_a_hidden_file_that_is_gone() {
    let history = [
        Mirror(true),
        Put("d/e/z.canvas", Fresh),
        Put("b.md", Fresh),
        Sync(Plain),
        Delete(1),
        Ignore(2),
        Sync(Plain),
        Remove(1),
    ];
    holds(At::Memory, &history);
}
