//! Folders, which hold no content, and yet come and go.

use std::collections::BTreeSet;

use super::{Checked, World};
use crate::filters::Seen;
use crate::model::{Reach, Vault};

impl World<'_> {
    /// The vault's folders are there; what was one of them, or is extra in a mirror, is gone as
    /// soon as it is empty. One that a person emptied after a run that was cut short is that person's.
    pub(super) fn folders_are_right(
        &self,
        vault: &Vault,
        left: &BTreeSet<String>,
        reach: Reach,
        touched: &BTreeSet<String>,
    ) -> Checked {
        if !self.place.has_folders() {
            return Ok(());
        }
        // Of folders whose names fold, one stands for all, in whatever spelling.
        let here: BTreeSet<String> = self.place.folders().iter().map(|f| self.key(f)).collect();
        let files: Vec<String> = self.place.files().keys().map(|f| self.key(f)).collect();
        let mut keys = BTreeSet::new();
        for (path, uid) in &vault.folders {
            keys.insert(self.key(path));
            let whole = reach >= Reach::Whole || self.copy.mirror;
            let due = whole || self.copy.folders.get(path) != Some(uid);
            let synced = self.copy.seen(path, true) == Seen::Synced && !left.contains(path);
            if due && synced && !here.contains(&self.key(path)) {
                return Err(format!("the folder {path:?} is missing"));
            }
        }
        let mut gone: Vec<String> = match self.copy.mirror {
            true => self.place.folders(),
            false => self.copy.folders.keys().cloned().collect(),
        };
        gone.retain(|path| self.copy.seen(path, true) == Seen::Synced);
        for path in gone {
            let key = self.key(&path);
            let below = format!("{key}/");
            let holds = |other: &String| other.starts_with(&below);
            let empty = !files.iter().any(holds) && !here.iter().any(holds);
            // A file of the vault that the filter hides has the name too: let them be.
            let named = left.iter().chain(vault.files.keys());
            let blocked = named.map(|path| self.key(path)).any(|other| other == key);
            // A name that may also be a hidden file's: what it was last is not always known.
            let blocked = blocked || self.copy.seen(&path, false) != Seen::Synced;
            let theirs =
                !self.copy.mirror && touched.iter().any(|other| *other == key || holds(other));
            if here.contains(&key) && empty && !keys.contains(&key) && !blocked && !theirs {
                return Err(format!("the empty folder {path:?} is still there"));
            }
        }
        Ok(())
    }
}
