//! Tables and properties for the plan.

mod properties;
mod world;

use super::*;
use crate::record::Change;
use crate::state::UnappliedKind;
use crate::store::Folding;
use world::World;

/// Renders a plan as one line per step, which is what the tables compare.
#[track_caller]
fn check(world: &World, expected: &[&str]) {
    let plan = world.plan();
    let mut lines = Vec::new();
    for (path, entry) in &plan.adopt {
        lines.push(format!("adopt {} @{}", path.as_str(), entry.uid()));
    }
    for path in &plan.forget {
        lines.push(format!("forget {}", path.as_str()));
    }
    for name in &plan.unlist {
        lines.push(format!("unlist {name}"));
    }
    for step in plan.steps(world.mode) {
        let from = step
            .from
            .map(|from| format!(" <- {from}"))
            .unwrap_or_default();
        let note = step
            .note
            .filter(|_| step.action != "keep")
            .map(|n| format!(" ({n})"));
        lines.push(format!(
            "{} {}{from}{}",
            step.action,
            step.path,
            note.unwrap_or_default()
        ));
    }
    assert_eq!(lines, expected);
}

const COPY: &str = "keeps your text as a conflicted copy";

#[test]
fn new_files_and_folders() {
    let world = World::new()
        .folder(1, "a")
        .file(2, "a/x.md", "X")
        .file(3, "y.md", "Y");
    check(
        &world,
        &["create-folder a", "download a/x.md", "download y.md"],
    );
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let world = World::new()
        .synced(1, "x.md", "X")
        .file(1, "x.md", "X")
        .whole();
    check(&world, &[]);
}

#[test]
fn an_old_record_again_changes_nothing() {
    check(
        &World::new().synced(5, "x.md", "new").file(4, "x.md", "old"),
        &[],
    );
    check(
        &World::new().synced(5, "x.md", "new").deleted(4, "x.md"),
        &[],
    );
}

#[test]
fn a_change_replaces_our_own_content() {
    let world = World::new().synced(1, "x.md", "old").file(2, "x.md", "new");
    check(&world, &["download x.md"]);
    assert_eq!(
        world.plan().downloads[0].target.over,
        Over::Ours(world.stamp("x.md"))
    );
}

#[test]
fn a_new_record_of_the_same_content_is_only_noted() {
    check(
        &World::new().synced(1, "x.md", "X").file(2, "x.md", "X"),
        &["adopt x.md @2"],
    );
    check(
        &World::new().local("x.md", "X").file(2, "x.md", "X"),
        &["adopt x.md @2"],
    );
}

#[test]
fn a_local_edit_meets_a_remote_change() {
    let world = World::new()
        .synced(1, "x.md", "old")
        .local("x.md", "mine")
        .file(2, "x.md", "new");
    check(&world, &[&format!("download x.md ({COPY})")]);
    check(&world.mirror(), &["download x.md (replaces your text)"]);
}

#[test]
fn a_local_edit_of_what_the_vault_did_not_change_stays() {
    let edited = World::new()
        .synced(1, "x.md", "X")
        .local("x.md", "mine")
        .file(1, "x.md", "X")
        .whole();
    check(&edited, &[]);
    let conflict = format!("download x.md ({COPY})");
    check(&edited.clone().doubting("x.md"), &[&conflict]);
    check(&edited.clone().file(2, "x.md", "X"), &["adopt x.md @2"]);
    check(&edited.mirror(), &["download x.md (replaces your text)"]);
    // The number alone says nothing: a restored service gives it away a second time.
    let restored = World::new()
        .synced(1, "x.md", "X")
        .local("x.md", "mine")
        .file(1, "x.md", "Y")
        .whole();
    check(&restored, &[&conflict]);
}

#[test]
fn a_strangers_file_meets_a_new_one() {
    let world = World::new()
        .local("x.md", "mine")
        .file(1, "x.md", "theirs")
        .whole();
    check(&world, &[&format!("download x.md ({COPY})")]);
}

#[test]
fn both_sides_made_the_same_change() {
    let world = World::new()
        .synced(1, "x.md", "old")
        .local("x.md", "new")
        .file(2, "x.md", "new");
    check(&world, &["adopt x.md @2"]);
}

#[test]
fn deletions() {
    check(
        &World::new().synced(1, "x.md", "X").deleted(2, "x.md"),
        &["delete x.md"],
    );
    check(
        &World::new()
            .synced(1, "x.md", "X")
            .gone("x.md")
            .deleted(2, "x.md"),
        &["forget x.md"],
    );
    check(&World::new().local("x.md", "mine").deleted(2, "x.md"), &[]);
}

#[test]
fn a_deletion_does_not_take_a_local_edit() {
    let world = World::new()
        .synced(1, "x.md", "X")
        .local("x.md", "mine")
        .deleted(2, "x.md");
    check(&world, &["forget x.md", "keep x.md"]);
    check(&world.mirror(), &["delete x.md"]);
}

#[test]
fn folders_go_where_they_are_empty_and_deep_ones_first() {
    let world = World::new()
        .synced_folder(1, "a")
        .synced_folder(2, "a/b")
        .synced(3, "a/b/x.md", "X")
        .deleted_folder(4, "a")
        .deleted_folder(5, "a/b")
        .deleted(6, "a/b/x.md");
    check(
        &world,
        &["delete a/b/x.md", "delete-folder a/b", "delete-folder a"],
    );
}

#[test]
fn a_removed_file_comes_back_with_its_next_change_or_a_full_comparison() {
    let removed = World::new().synced(1, "x.md", "X").gone("x.md");
    check(&removed, &[]);
    check(&removed.clone().file(2, "x.md", "Y"), &["download x.md"]);
    check(&removed.file(1, "x.md", "X").whole(), &["download x.md"]);
}

#[test]
fn the_whole_vault_tells_what_was_deleted() {
    let world = World::new()
        .synced(1, "x.md", "X")
        .synced(2, "y.md", "Y")
        .file(2, "y.md", "Y");
    check(&world.clone().whole(), &["delete x.md"]);
    check(&world, &[]);
}

#[test]
fn a_narrower_filter_hides_and_never_deletes() {
    let world = World::new()
        .synced(1, "x.md", "X")
        .synced(2, "private/y.md", "Y")
        .file(1, "x.md", "X")
        .file(5, "private/y.md", "Z")
        .exclude("private");
    check(&world.clone().whole(), &[]);
    assert_eq!(world.plan().hidden, 1);
    check(&world.whole().mirror(), &[]);
    let gone_meanwhile = World::new()
        .synced(2, "private/y.md", "Y")
        .exclude("private")
        .whole();
    check(&gone_meanwhile, &[]);
    check(&gone_meanwhile.mirror(), &[]);
}

#[test]
fn a_rename_moves() {
    let world = World::new()
        .synced(1, "a.md", "X")
        .deleted(2, "a.md")
        .file(3, "b/c.md", "X");
    check(&world, &["move b/c.md <- a.md"]);
    assert_eq!(world.plan().deletions(), 0);
}

#[test]
fn a_rename_of_an_edited_file_downloads_and_keeps_the_edit() {
    let world = World::new()
        .synced(1, "a.md", "X")
        .local("a.md", "mine")
        .deleted(2, "a.md")
        .file(3, "b.md", "X");
    check(&world, &["forget a.md", "keep a.md", "download b.md"]);
}

#[test]
fn a_file_renamed_twice_over_is_moved_once() {
    let world = World::new()
        .synced(1, "a.md", "X")
        .deleted(2, "a.md")
        .file(3, "b.md", "X")
        .file(4, "c.md", "X");
    check(&world, &["move b.md <- a.md", "download c.md"]);
}

#[test]
fn duplicates_are_copied() {
    let world = World::new().synced(1, "a.md", "X").file(2, "b.md", "X");
    check(&world, &["copy b.md <- a.md"]);
    let twins = World::new()
        .file(1, "a.md", "X")
        .file(2, "b.md", "X")
        .whole();
    check(&twins, &["download a.md", "copy b.md <- a.md"]);
}

#[test]
fn what_is_about_to_change_is_no_source() {
    let swapped = World::new()
        .synced(1, "a.md", "A")
        .synced(2, "b.md", "B")
        .file(3, "a.md", "B")
        .file(4, "b.md", "A");
    check(&swapped, &["download a.md", "download b.md"]);
}

#[test]
fn a_file_becomes_a_folder() {
    let world = World::new()
        .synced(1, "a", "X")
        .folder(3, "a")
        .file(4, "a/x.md", "Y");
    check(&world, &["delete a", "create-folder a", "download a/x.md"]);
    let edited = world.local("a", "mine");
    check(
        &edited,
        &["set-aside a", "create-folder a", "download a/x.md"],
    );
    check(
        &edited.mirror(),
        &["delete a", "create-folder a", "download a/x.md"],
    );
}

#[test]
fn a_file_becomes_a_folder_that_no_record_names() {
    let world = World::new()
        .synced(1, "a", "X")
        .deleted(2, "a")
        .file(3, "a/x.md", "Y");
    check(&world, &["delete a", "download a/x.md"]);
    let same = World::new()
        .synced(1, "a", "X")
        .deleted(2, "a")
        .file(3, "a/x.md", "X");
    check(&same, &["delete a", "download a/x.md"]);
}

#[test]
fn a_folder_becomes_a_file() {
    let world = World::new()
        .synced_folder(1, "a")
        .synced(2, "a/x.md", "X")
        .deleted(3, "a/x.md")
        .file(5, "a", "Y");
    check(&world, &["delete a/x.md", "delete-folder a", "download a"]);
}

#[test]
fn what_must_not_be_written_is_listed_once() {
    let world = World::new().file(1, ".git/hooks/pre-commit", "X");
    let reason = "a dot-file or dot-folder; only the listed files of the config folder are synced";
    check(&world, &[&format!("skip .git/hooks/pre-commit ({reason})")]);
    check(&world.remember(), &[]);
}

#[test]
fn a_deletion_ends_the_report() {
    let world = World::new().file(1, ".x", "X").remember().deleted(2, ".x");
    check(&world, &["unlist .x"]);
}

#[test]
fn links_are_never_written_through() {
    let world = World::new()
        .foreign("x.md", "a symbolic link")
        .file(1, "x.md", "X");
    check(&world, &["skip x.md (a symbolic link is in the way)"]);
    // Kept for another look: the link may go.
    assert!(world.plan().list[0].record.is_some());
    check(
        &World::new()
            .synced(1, "x.md", "X")
            .foreign("x.md", "l")
            .deleted(2, "x.md"),
        &["forget x.md"],
    );
}

#[test]
fn a_file_that_cannot_be_read_fails_alone() {
    let world = World::new()
        .unreadable("x.md")
        .file(1, "x.md", "X")
        .file(2, "y.md", "Y");
    let plan = world.plan();
    assert_eq!(plan.downloads.len(), 1);
    assert_eq!(
        (plan.list[0].kind, plan.list[0].attempts),
        (UnappliedKind::Failed, 1)
    );
}

#[test]
fn a_deletion_waits_until_it_can_be_told_whose_the_file_is() {
    let fails = ["skip x.md (permission denied)"];
    let closed = World::new().synced(1, "x.md", "X").unreadable("x.md");
    check(&closed.clone().whole(), &fails);
    let deleted = closed.deleted(2, "x.md");
    check(&deleted, &fails);
    let plan = deleted.plan();
    assert_eq!(plan.list[0].kind, UnappliedKind::Failed);
    let again = plan.list[0].record.as_ref().unwrap();
    assert_eq!(again.change, Change::Deleted { folder: false });
    check(&deleted.mirror(), &fails);
    let folder = World::new().synced_folder(1, "d").unreadable("d");
    check(
        &folder.deleted_folder(2, "d"),
        &["skip d (permission denied)"],
    );
}

#[test]
fn a_mirror_says_what_it_cannot_make_right() {
    let closed = World::new().synced(1, "x.md", "X").unreadable("x.md");
    check(&closed, &[]);
    let closed = closed.mirror();
    check(&closed, &["skip x.md (permission denied)"]);
    let link = World::new()
        .synced(1, "x.md", "X")
        .foreign("x.md", "a symbolic link")
        .synced_folder(2, "d")
        .foreign("d", "a symbolic link")
        .mirror();
    let skips = [
        "skip d (a symbolic link is in the way)",
        "skip x.md (a symbolic link is in the way)",
    ];
    check(&link, &skips);
    // It is said once, and tried again.
    let again = link.remember().retried();
    check(&again, &[]);
    let right = again.synced(1, "x.md", "X").synced_folder(2, "d");
    check(&right, &["unlist x.md", "unlist d"]);
}

#[test]
fn what_became_something_that_is_hidden_is_the_vaults_no_longer() {
    // With globs that say what is synced all folders are hidden: they come with their files.
    let became = World::new()
        .synced(1, "x.md", "X")
        .folder(2, "x.md")
        .include("*.md");
    check(&became, &["delete x.md"]);
    check(&became.clone().whole(), &["delete x.md"]);
    check(&became.local("x.md", "mine"), &["forget x.md", "keep x.md"]);
    let and_went = World::new()
        .synced(1, "x.md", "X")
        .deleted_folder(3, "x.md")
        .include("*.md");
    check(&and_went, &["delete x.md"]);
    // Neither what was hidden all along, nor what a record older than the file says.
    let hidden = World::new()
        .synced(1, "p/x.md", "X")
        .folder(2, "p/x.md")
        .exclude("p");
    check(&hidden, &[]);
    let hidden = World::new()
        .synced_folder(1, "p")
        .file(2, "p", "X")
        .exclude("p");
    check(&hidden, &[]);
    let old = World::new()
        .synced(3, "x.md", "X")
        .folder(2, "x.md")
        .include("*.md");
    check(&old, &[]);
}

#[test]
fn mirror_restores_and_removes() {
    let world = World::new()
        .synced(1, "missing.md", "M")
        .gone("missing.md")
        .synced(2, "edited.md", "E")
        .local("edited.md", "mine")
        .synced(3, "fine.md", "F")
        .synced_folder(4, "dir")
        .gone("dir")
        .local("extra.md", "mine")
        .local_folder("extra")
        .local("extra/deep.md", "mine")
        .local(".git/config", "mine");
    check(
        &world.clone().mirror(),
        &[
            "create-folder dir",
            "download missing.md",
            "download edited.md (replaces your text)",
            "delete extra.md",
            "delete extra/deep.md",
            "delete-folder extra",
        ],
    );
    check(&world, &[]);
}

#[test]
fn mirror_keeps_what_the_vault_has_but_could_not_be_brought() {
    let world = World::new()
        .file(1, "x.md", "X")
        .fail_remembered()
        .local("x.md", "half")
        .mirror();
    check(&world, &[]);
}

#[test]
fn a_whole_comparison_unlists_only_what_the_vault_has_no_longer() {
    let failed = World::new().file(1, "x.md", "X").fail_remembered().whole();
    check(&failed, &["unlist x.md"]);
    check(&failed.file(1, "x.md", "X"), &["download x.md"]);
}

#[test]
fn what_is_under_a_name_that_makes_no_sense_stays() {
    let skip = "skip x.md (no hash)";
    let ours = World::new().synced(1, "x.md", "X").nonsense(2, "x.md");
    check(&ours, &[skip]);
    check(&ours.clone().whole(), &[skip]);
    check(&ours.clone().whole().mirror(), &[skip]);
    check(&ours.local("x.md", "mine").mirror(), &[skip]);
    let theirs = World::new().local("x.md", "mine").nonsense(2, "x.md");
    check(&theirs.clone().whole().mirror(), &[skip]);
    check(&theirs.mirror().remember(), &[]);
    // It keeps its name, too.
    let folding = Folding {
        case: true,
        unicode: false,
    };
    let folded = World::new()
        .synced(1, "x.md", "X")
        .nonsense(2, "x.md")
        .file(3, "X.md", "Y")
        .folding(folding)
        .whole();
    let taken = "skip X.md ('x.md' has the same name at this destination)";
    check(&folded, &[taken, skip]);
}

#[test]
fn a_mirror_keeps_no_folder_for_a_hidden_file_that_is_gone() {
    let hidden = World::new()
        .synced(1, "d/x.md", "X")
        .local_folder("d")
        .exclude("d/x.md")
        .mirror();
    check(&hidden, &[]);
    check(&hidden.gone("d/x.md"), &["delete-folder d"]);
}

#[test]
fn names_that_fold_together() {
    let folding = Folding {
        case: true,
        unicode: true,
    };
    let world = World::new()
        .file(1, "Note.md", "A")
        .file(2, "note.md", "B")
        .folding(folding);
    check(
        &world,
        &[
            "skip note.md ('Note.md' has the same name at this destination)",
            "download Note.md",
        ],
    );
    let composed = World::new()
        .file(1, "é.md", "A")
        .file(2, "e\u{301}.md", "B")
        .folding(folding);
    assert_eq!(composed.plan().list.len(), 1);
    // Who is there already stays, whatever its uid has become.
    let incumbent = World::new()
        .synced(9, "note.md", "B")
        .file(3, "Note.md", "A")
        .folding(folding);
    assert_eq!(incumbent.plan().list[0].name, "Note.md");
    // Folders of one name are one folder.
    let folders = World::new()
        .folder(1, "Dir")
        .folder(2, "dir")
        .folding(folding);
    assert!(folders.plan().list.is_empty());
}

#[test]
fn a_folder_that_stays_keeps_its_name_from_another_that_becomes_a_file() {
    let folding = Folding {
        case: true,
        unicode: false,
    };
    let world = World::new()
        .synced_folder(1, "d")
        .synced_folder(2, "D")
        .file(3, "d", "X")
        .folding(folding);
    let taken = "skip d ('D' has the same name at this destination)";
    check(&world, &[taken]);
    let alone = World::new()
        .synced_folder(1, "d")
        .file(3, "d", "X")
        .folder(4, "D")
        .folding(folding);
    let taken = "skip D ('d' has the same name at this destination)";
    check(&alone, &[taken, "delete-folder d", "download d"]);
}

#[test]
fn a_name_that_is_not_written_takes_none_away() {
    let folding = Folding {
        case: true,
        unicode: false,
    };
    let hidden = World::new()
        .file(1, "Private/x.md", "A")
        .file(2, "private/x.md", "B")
        .file(4, ".dot", "D")
        .exclude("Private")
        .folding(folding);
    let refused = "a dot-file or dot-folder; only the listed files of the config folder are synced";
    check(
        &hidden,
        &[&format!("skip .dot ({refused})"), "download private/x.md"],
    );
    let unholdable = World::new()
        .file(1, "unholdable.md", "A")
        .file(2, "Unholdable.md", "B")
        .folding(folding);
    let problem = "the destination can't hold the name: by this test";
    check(
        &unholdable,
        &[
            &format!("skip unholdable.md ({problem})"),
            "download Unholdable.md",
        ],
    );
    // What is hidden and there has its name, whatever the vault says.
    let there = World::new()
        .synced(1, "Private/x.md", "A")
        .file(2, "private/x.md", "B")
        .exclude("Private")
        .folding(folding);
    let taken = "skip private/x.md ('Private/x.md' has the same name at this destination)";
    check(&there, &[taken]);
    check(&there.clone().whole(), &[taken]);
    check(&there.clone().deleted(3, "Private/x.md"), &[taken]);
    let gone = there.gone("Private/x.md").whole();
    check(&gone, &["download private/x.md"]);
}

#[test]
fn a_change_of_case_alone_moves() {
    let folding = Folding {
        case: true,
        unicode: false,
    };
    let world = World::new()
        .synced(1, "Note.md", "A")
        .deleted(2, "Note.md")
        .file(3, "note.md", "A")
        .folding(folding);
    check(&world, &["move note.md <- Note.md"]);
    let changed = World::new()
        .synced(1, "Note.md", "A")
        .deleted(2, "Note.md")
        .file(3, "note.md", "B")
        .folding(folding);
    check(&changed, &["delete Note.md", "download note.md"]);
}

#[test]
fn a_mirror_leaves_two_folders_that_are_one_alone() {
    let folding = Folding {
        case: true,
        unicode: false,
    };
    let world = World::new()
        .synced_folder(1, "Dir")
        .synced_folder(2, "dir")
        .gone("dir")
        .folding(folding)
        .mirror();
    check(&world, &[]);
}

#[test]
fn every_waiting_uid_is_outstanding() {
    let world = World::new()
        .synced(1, "a.md", "X")
        .deleted(2, "a.md")
        .file(3, "b.md", "X")
        .file(4, "c.md", "Y")
        .file(5, "d.md", "Y")
        .folder(6, "e")
        .synced(7, "f.md", "F")
        .deleted(8, "f.md");
    let mut uids: Vec<u64> = world.plan().outstanding().map(|uid| uid.0).collect();
    uids.sort_unstable();
    assert_eq!(uids, [2, 3, 4, 5, 6, 8]);
}

#[test]
fn conflict_names() {
    let now = Millis(1_732_276_800_000); // 2024-11-22 12:00 UTC
    let name = |path: &str, attempt| {
        let path = VaultPath::parse(path).unwrap();
        conflict_name(&path, "my/box", now, attempt)
            .as_str()
            .to_owned()
    };
    assert_eq!(
        name("a/Note.md", 0),
        "a/Note (Conflicted copy my-box 202411221200).md"
    );
    assert_eq!(
        name("Note.md", 1),
        "Note (Conflicted copy my-box 202411221200) 2.md"
    );
    assert_eq!(
        name("README", 0),
        "README (Conflicted copy my-box 202411221200)"
    );
    let long = name(&format!("{}.md", "é".repeat(126)), 0);
    assert!(long.len() <= 255 && long.ends_with(" (Conflicted copy my-box 202411221200).md"));
    let aside = aside_name(&VaultPath::parse("x/a.md").unwrap(), 0);
    assert_eq!(aside.as_str(), "x/a (Conflicted copy).md");
}
