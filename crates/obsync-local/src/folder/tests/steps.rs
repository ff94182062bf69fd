//! No text of others is lost, whichever step of a change it meets, and whatever fails or dies then.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Mutex;

use super::super::moves::{Place, Step};
use super::super::names::BESIDE;
use super::*;

/// What a run of obsync does to `a.md`, or to `b.md` where that is new.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Deed {
    PublishOver,
    PublishNew,
    Remove,
    Rename,
    SetAside,
}

/// What the file system can do.
#[derive(Debug, Clone, Copy, PartialEq)]
enum System {
    Whole,
    /// No exchange, and no rename that leaves a taken name alone: a network share.
    Links,
    /// All, but what is ours is on another file system than the tree.
    Mounted,
    /// Both.
    MountedLinks,
}

impl System {
    /// What a step meets that nobody meddles with.
    fn answers(self, step: Step, places: &[Place<'_>], root: &Path) -> rustix::io::Result<()> {
        let number = |place: &Place<'_>| rustix::fs::fstat(place.folder).unwrap().st_ino;
        let own = [".obsync/tmp", ".obsync/kept"].map(|folder| {
            let found = root.join(folder).metadata();
            found
                .map(|found| std::os::unix::fs::MetadataExt::ino(&found))
                .ok()
        });
        let inside = |place: &Place<'_>| own.contains(&Some(number(place)));
        let across = places.iter().any(inside) && !places.iter().all(inside);
        match (self, step) {
            (Self::Mounted | Self::MountedLinks, _) if across => Err(Errno::XDEV),
            (Self::Links | Self::MountedLinks, Step::Exchange | Step::RenameNew) => {
                Err(Errno::INVAL)
            }
            _ => Ok(()),
        }
    }

    fn has_exchange(self) -> bool {
        matches!(self, Self::Whole | Self::Mounted)
    }
}

/// What comes right before a step.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meddling {
    /// Somebody saves `a.md`, as editors do: by a new file in the old one's place.
    Save,
    /// Somebody makes a file of the name that is to be new.
    SaveNew,
    /// Somebody removes `a.md`.
    Remove,
    /// The step fails.
    Fail,
    /// The step is taken, but its answer is lost: it looks as if it had failed.
    Lost,
    /// The process is killed.
    Kill,
}
use Meddling::{Fail, Kill, Lost, Remove, Save, SaveNew};

/// The steps of a change and what comes before them.
type Script = Vec<(usize, Meddling)>;

struct Killed;

/// What others did, and what they may expect to find again.
#[derive(Default)]
struct Others {
    step: usize,
    reached: usize,
    last: Option<Step>,
    dead: bool,
    over: bool,
    texts: usize,
    expected: BTreeSet<String>,
}

impl Others {
    fn save(&mut self, root: &Path, name: &str, lost: bool) {
        self.forget(root, name);
        self.texts += 1;
        let text = format!("edit {}", self.texts);
        let new = root.with_file_name("new");
        fs::write(&new, &text).unwrap();
        fs::rename(&new, root.join(name)).unwrap();
        if !lost {
            self.expected.insert(text);
        }
    }

    /// What its own author replaces or removes is nobody's loss.
    fn forget(&mut self, root: &Path, name: &str) {
        if let Ok(text) = fs::read_to_string(root.join(name)) {
            self.expected.remove(&text);
        }
    }
}

/// Runs a deed with a script; returns how many entries of the script came to pass.
fn run(deed: Deed, system: System, script: &Script) -> usize {
    let what = format!("{deed:?} {system:?} {script:?}");
    // There are thousands of these.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let dir = dir.unwrap();
    let root = dir.path().join("notes");
    let open = || FolderStore::with_sync(&root, FolderOptions::default(), |_| Ok(())).unwrap();
    let store = open();
    let inner = &store.inner;
    let stage = |at: &str, content: &[u8]| inner.stage(path(at), content, meta(content)).unwrap();
    let ours = stage("a.md", b"ours");
    let stamp = inner.publish(ours, &Expect::Absent, Retire::Discard);
    let stamp = stamp.unwrap();
    let staged = match deed {
        Deed::PublishOver => Some((stage("a.md", b"remote"), Expect::Is(stamp.clone()))),
        Deed::PublishNew => Some((stage("b.md", b"remote"), Expect::Absent)),
        _ => None,
    };

    let others = Arc::new(Mutex::new(Others::default()));
    let meddle = {
        let (others, script, root) = (Arc::clone(&others), script.clone(), root.clone());
        move |step: Step, places: &[Place<'_>]| {
            let mut others = others.lock().unwrap();
            if others.dead {
                return Err(Errno::IO);
            }
            if others.over {
                return system.answers(step, places, &root);
            }
            // The one gap that such a system leaves: after the last look.
            let over = step == Step::Rename && places[1].name == "a.md";
            let gap = over && others.last == Some(Step::Exchange);
            let number = others.step;
            others.step += 1;
            others.last = Some(step);
            let mut result = system.answers(step, places, &root);
            for (_, meddling) in script.iter().filter(|(at, _)| *at == number) {
                others.reached += 1;
                match meddling {
                    Save => others.save(&root, "a.md", gap && !system.has_exchange()),
                    SaveNew => others.save(&root, "b.md", false),
                    Remove => {
                        others.forget(&root, "a.md");
                        let _ = fs::remove_file(root.join("a.md"));
                    }
                    Fail => result = Err(Errno::IO),
                    Lost => {
                        if result.is_ok() {
                            take(step, places);
                        }
                        result = Err(Errno::IO);
                    }
                    Kill => {
                        others.dead = true;
                        drop(others);
                        resume_unwind(Box::new(Killed));
                    }
                }
            }
            result
        }
    };
    inner.moves.before.set(Box::new(meddle)).ok().unwrap();

    let done = catch_unwind(AssertUnwindSafe(|| match (deed, staged) {
        (_, Some((staged, expect))) => {
            let refused = inner.publish(staged, &expect, Retire::Discard).err();
            refused.and_then(|refused| refused.staged)
        }
        (Deed::Remove, None) => {
            let _ = inner.remove_file(&path("a.md"), &stamp, Retire::Discard);
            None
        }
        (Deed::Rename, None) => {
            let _ = inner.rename(&path("a.md"), &stamp, &path("b.md"), &meta(b"ours"));
            None
        }
        _ => {
            let _ = inner.set_aside(&path("a.md"), &path("b.md"));
            None
        }
    }));
    others.lock().unwrap().over = true;
    // What is handed back is whole.
    if let Ok(Some(staged)) = done {
        let again = Staged {
            path: path("c.md"),
            ..staged
        };
        let published = inner.publish(again, &Expect::Absent, Retire::Discard);
        published.unwrap_or_else(|refused| panic!("{what}: {refused}"));
        assert_eq!(
            fs::read_to_string(root.join("c.md")).unwrap(),
            "remote",
            "{what}"
        );
    }
    drop(store);

    let others = others.lock().unwrap();
    for _ in 0..2 {
        open().inner.sweep().unwrap();
        let (tree, kept) = (
            texts(&root, false),
            texts(&root.join(".obsync/kept"), false),
        );
        for text in &others.expected {
            let found = tree.contains(text) || kept.contains(text);
            assert!(found, "{what}: '{text}' is lost");
        }
        let theirs = kept.iter().all(|text| text.starts_with("edit"));
        assert!(theirs, "{what}: {kept:?} is kept");
        let mut left = texts(&root.join(".obsync/tmp"), false);
        left.extend(texts(&root, true));
        assert!(left.is_empty(), "{what}: {left:?} is left");
    }
    others.reached
}

fn take(step: Step, places: &[Place<'_>]) {
    let moves = moves::Moves::default();
    let _ = match (step, places) {
        (Step::Exchange, [a, b]) => moves.exchange(*a, *b),
        (Step::RenameNew, [a, b]) => moves.rename_new(*a, *b),
        (Step::Link, [a, b]) => moves.link(*a, *b),
        (Step::Rename, [a, b]) => moves.rename(*a, *b),
        (Step::Unlink, [place]) => moves.unlink(*place),
        _ => Ok(()),
    };
}

/// The texts of the files right in a folder: those beside their target, or the others.
fn texts(folder: &Path, beside: bool) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(BESIDE) == beside
    };
    let files = entries.map(|entry| entry.unwrap().path()).filter(named);
    files
        .filter(|path| path.is_file())
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

/// Runs every script that begins with `script` and goes on with up to `more` of these.
fn every(deed: Deed, system: System, script: &mut Script, meddlings: &[Meddling], more: usize) {
    let from = script.last().map_or(0, |(at, _)| *at);
    for at in from.. {
        let mut reached = false;
        for meddling in meddlings {
            script.push((at, *meddling));
            if run(deed, system, script) == script.len() {
                reached = true;
                if more > 1 && *meddling != Kill {
                    every(deed, system, script, meddlings, more - 1);
                }
            }
            script.pop();
        }
        if !reached {
            return;
        }
    }
}

fn whatever_happens(deed: Deed) {
    use System::{Links, Mounted, MountedLinks, Whole};
    // What others do where nothing of the deed is makes no difference.
    let (all, few) = match deed {
        Deed::PublishNew => (
            &[SaveNew, Fail, Lost, Kill][..],
            [SaveNew, Fail, Lost, Kill],
        ),
        Deed::PublishOver | Deed::Remove => (
            &[Save, Remove, Fail, Lost, Kill][..],
            [Save, Fail, Lost, Kill],
        ),
        Deed::Rename | Deed::SetAside => (
            &[Save, SaveNew, Remove, Fail, Lost, Kill][..],
            [Save, Fail, Lost, Kill],
        ),
    };
    for system in [Whole, Links, Mounted, MountedLinks] {
        assert_eq!(run(deed, system, &Vec::new()), 0);
        every(deed, system, &mut Vec::new(), all, 2);
        if matches!(system, Whole | Mounted) {
            every(deed, system, &mut Vec::new(), &few, 3);
        }
    }
}

#[test]
fn no_edit_is_lost_where_a_file_is_replaced() {
    whatever_happens(Deed::PublishOver);
}

#[test]
fn no_edit_is_lost_where_a_file_is_new() {
    whatever_happens(Deed::PublishNew);
}

#[test]
fn no_edit_is_lost_where_a_file_is_removed() {
    whatever_happens(Deed::Remove);
}

#[test]
fn no_edit_is_lost_where_a_file_is_moved() {
    whatever_happens(Deed::Rename);
}

#[test]
fn no_edit_is_lost_where_a_file_is_set_aside() {
    whatever_happens(Deed::SetAside);
}
