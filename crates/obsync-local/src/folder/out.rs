//! What leaves the tree, and what somebody wrote to it an instant before.
//!
//! Between a look at a file and the step that replaces or removes it, somebody may save it. So the
//! step brings the file out of the tree under a name of ours, and it is looked at again. If it is
//! not what was expected, it is given back; what can't be given back is kept in `.obsync/kept`.
//!
//! A process that dies in between leaves that name. It tells which files were ours:
//!
//! ```text
//! out-<run>-<number>-<file>-<file>-<name in the tree>
//! ```

use obsync_core::StoreError;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::io::Errno;

use super::aside::Aside;
use super::inspect::{FileId, Seen, look};
use super::moves::{Moved, Place};
use super::names::OWN;
use super::publish::Target;
use super::stage::NOTE;
use super::{Inner, folder_mode};
use crate::durable;
use crate::error::{Context as _, changed};
use crate::trash;

/// How the name of a file begins that may be somebody's.
const OUT: &str = "out-";
/// How much of the name in the tree is kept, in bytes. Some file systems take no more than 143.
const LEAF_MAX: usize = 48;
/// How many names are tried in `kept`.
const NAMES: u32 = 1000;

/// What a name in `tmp` says of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role<'a> {
    /// Content in waiting.
    Staged { run: &'a str },
    /// A note on a file that is beside its target.
    Note { run: &'a str },
    /// On its way out of the tree.
    Out(Out<'a>),
    /// Nothing: we never gave it.
    Foreign,
}

/// What the name of a file on its way out says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Out<'a> {
    pub(super) run: &'a str,
    ours: [&'a str; 2],
    pub(super) leaf: &'a str,
}

impl Out<'_> {
    /// Whether nobody misses this file.
    pub(super) fn is_ours(&self, id: FileId) -> bool {
        self.ours.contains(&id.short().as_str())
    }
}

impl<'a> Role<'a> {
    pub(super) fn of(name: &'a str) -> Self {
        let found = match (name.strip_prefix(OUT), name.strip_suffix(NOTE)) {
            (Some(rest), _) => out(rest).map(Self::Out),
            (None, Some(stem)) => staged(stem).map(|run| Self::Note { run }),
            (None, None) => staged(name).map(|run| Self::Staged { run }),
        };
        found.unwrap_or(Self::Foreign)
    }
}

fn staged(name: &str) -> Option<&str> {
    let (run, number) = name.split_once('-')?;
    (is_hex(run) && is_number(number)).then_some(run)
}

fn out(rest: &str) -> Option<Out<'_>> {
    let mut parts = rest.splitn(5, '-');
    let mut part = || parts.next();
    let (run, number, one, other, leaf) = (part()?, part()?, part()?, part()?, part()?);
    let whole = [run, one, other].into_iter().all(is_hex) && is_number(number) && !leaf.is_empty();
    let ours = [one, other];
    whole.then_some(Out { run, ours, leaf })
}

fn is_hex(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The end of a name: it has the extension.
fn short(leaf: &str) -> &str {
    let mut from = leaf.len().saturating_sub(LEAF_MAX);
    while !leaf.is_char_boundary(from) {
        from += 1;
    }
    &leaf[from..]
}

impl Inner {
    /// A name for a file on its way out, of which these two are ours.
    pub(super) fn out_name(&self, one: FileId, other: FileId, leaf: &str) -> String {
        let (one, other) = (one.short(), other.short());
        format!("{OUT}{}-{one}-{other}-{}", self.temp_name(), short(leaf))
    }

    /// Whether a place holds this file, as it was.
    pub(super) fn holds(place: Place<'_>, id: FileId) -> bool {
        matches!(look(place.folder, place.name),
            Ok(Seen::File { id: now, .. }) if now.content() == id.content())
    }

    /// Removes the file `before`.
    pub(super) fn take_away(&self, target: &Target<'_>, before: FileId) -> Result<(), StoreError> {
        let expected = |id: FileId| id.content() == before.content();
        match self.take(target, before, expected)? {
            true => Ok(()),
            false => {
                let path = target.path.display();
                Err(changed(format!("'{path}' is not what it was")))
            }
        }
    }

    /// Moves a name of the tree onto one that must be free. The inner error is that of the move.
    pub(super) fn move_new(
        &self,
        source: &Target<'_>,
        to: Place<'_>,
    ) -> Result<rustix::io::Result<()>, StoreError> {
        match self.moves.rename_or_link(source.place, to) {
            Ok(Moved::Whole) => Ok(Ok(())),
            Ok(Moved::Linked) => {
                let deed = || format!("can't look at '{}'", source.path.display());
                // Gone again, or another file's: then the old name is not ours to remove either.
                if let Seen::File { id, .. } = look(to.folder, to.name).context(deed)? {
                    self.take(source, id, |now| now.number() == id.number())?;
                }
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Takes a file out of the tree, and removes it if it is the one that is `expected`. If not, it
    /// stays: `false`. `before` is what lay there at the last look.
    fn take(
        &self,
        target: &Target<'_>,
        before: FileId,
        expected: impl Fn(FileId) -> bool,
    ) -> Result<bool, StoreError> {
        let Target { place, path } = target;
        let deed = || format!("can't remove '{}'", path.display());
        let name = self.out_name(before, before, place.name);
        let mut out = Aside::in_tmp(self, name)?;
        let moved = match self.moves.rename(*place, out.place()) {
            Err(Errno::XDEV) => {
                out = Aside::beside(self, target, &out.name)?;
                self.moves.rename(*place, out.place())
            }
            moved => moved,
        };
        match moved {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(true),
            Err(error) => return Err(error).context(deed),
        }
        match look(out.place().folder, &out.name) {
            Ok(Seen::File { id, .. }) if expected(id) => {
                // If this fails, it is swept by the next run.
                let _ = self.moves.unlink(out.place());
                Ok(true)
            }
            _ => {
                if self.moves.rename_new(out.place(), *place).is_err() {
                    self.rescue(out.place(), place.name)?;
                }
                Ok(false)
            }
        }
    }

    pub(super) fn kept_path() -> String {
        format!("{OWN}/kept")
    }

    /// Keeps what is not ours and has no place in the tree any more, where no sweep removes it.
    pub(super) fn rescue(&self, from: Place<'_>, leaf: &str) -> Result<(), StoreError> {
        if look(from.folder, from.name) == Ok(Seen::Absent) {
            // It found its place: a step was taken, and only its answer is lost.
            return Ok(());
        }
        let folder = Self::kept_path();
        let deed = || {
            let (tmp, folder) = (Self::tmp_path(), self.path.join(&folder));
            let folder = folder.display();
            format!(
                "can't move '{}', which another program wrote, from {tmp} to {folder}; it stays \
                 there, and the next run tries again",
                from.name.escape_debug()
            )
        };
        let kept = self.create_root()?;
        let kept = kept.create(&folder, folder_mode(), |_| {}).context(deed)?;
        let name = self.keep(from, &kept, leaf).context(deed)?;
        // It may be all that there is of somebody's text. The rename holds without it, mostly.
        let _ = durable::folder(kept.as_fd(), self.sync);
        tracing::warn!(
            kept = %self.path.join(folder).join(name).display(),
            "this was written while obsync replaced or removed the file, and is kept"
        );
        Ok(())
    }

    fn keep(&self, from: Place<'_>, kept: &OwnedFd, leaf: &str) -> std::io::Result<String> {
        for number in 1..NAMES {
            let name = trash::numbered(leaf, number);
            let to = Place {
                folder: kept.as_fd(),
                name: &name,
            };
            let moved = match self.moves.rename_new(from, to) {
                Err(Errno::XDEV) => self.copy_kept(from, to),
                moved => moved.map_err(Into::into),
            };
            match moved {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                moved => return moved.map(|()| name),
            }
        }
        Err(Errno::EXIST.into())
    }

    /// Keeps what lies on another file system.
    fn copy_kept(&self, from: Place<'_>, to: Place<'_>) -> std::io::Result<()> {
        let before = look(from.folder, from.name)?;
        trash::copy(&self.moves, from, to)?;
        durable::folder(to.folder, self.sync)?;
        // Whoever still writes to it finds it under its name, and the next run keeps it again.
        if look(from.folder, from.name)? == before {
            self.moves.unlink(from)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_role() {
        let run = "0123456789abcdef";
        assert_eq!(Role::of(&format!("{run}-7")), Role::Staged { run });
        assert_eq!(Role::of(&format!("{run}-7.beside")), Role::Note { run });
        let name = format!("out-{run}-12-{run}-{run}-a-b.md");
        let out = Out {
            run,
            ours: [run, run],
            leaf: "a-b.md",
        };
        assert_eq!(Role::of(&name), Role::Out(out));
        for name in [
            "",
            "a.md",
            "0123456789abcdef-",
            "0123456789abcdef-x",
            "123456789abcdef-1",
            "x.beside",
            "out-",
            "out-0123456789abcdef-1-0123456789abcdef-0123456789abcdef-",
            "out-0123456789abcdef-1-0123456789abcdef-a.md",
        ] {
            assert_eq!(Role::of(name), Role::Foreign, "{name}");
        }
    }

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(short("a.md"), "a.md");
        let long = format!("{}.md", "é".repeat(100));
        assert!(short(&long).ends_with("é.md") && short(&long).len() <= LEAF_MAX);
    }
}
