//! What must be so where it can't be foretold to the byte: runs were cut short and other things happened
//! in between, or names fold.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Checked, World, shown};
use crate::filters::Seen;
use crate::model::{Reach, Vault};

impl World<'_> {
    /// Every path holds what the vault has or what a person wrote, and nothing stale is left. `touched` is
    /// where a person may have come after a run.
    pub(super) fn roughly(
        &self,
        vault: &Vault,
        reach: Reach,
        left: &BTreeSet<String>,
        touched: &BTreeSet<String>,
    ) -> Checked {
        // An edit stays where the vault changed nothing; what was removed then comes back.
        let reverts = self.copy.mirror || reach == Reach::Mending;
        let restores = self.copy.mirror || reach >= Reach::Whole;
        let files = self.place.files();
        let by_key: BTreeMap<String, &Bytes> = files
            .iter()
            .map(|(path, content)| (self.key(path), content))
            .collect();
        let mut wanted: BTreeMap<String, Vec<&Bytes>> = BTreeMap::new();
        // Where the vault has the text that was brought, and where it has not even said so again.
        let mut same = BTreeSet::new();
        let mut unsaid = BTreeSet::new();
        for (path, (uid, content)) in &vault.files {
            if self.copy.seen(path, false) == Seen::Synced {
                let key = self.key(path);
                if self.brought(path) == Some(content) {
                    same.insert(key.clone());
                }
                // A bucket is not asked about what is the same.
                if self.copy.has(path, *uid, content) || self.place.marks_files() {
                    unsaid.insert(key.clone());
                }
                wanted.entry(key).or_default().push(content);
            }
        }
        let left: BTreeSet<String> = left.iter().map(|path| self.key(path)).collect();
        for (key, contents) in &wanted {
            if left.contains(key) {
                continue;
            }
            let edited = same.contains(key) || touched.contains(key);
            let removed = same.contains(key) && unsaid.contains(key) || touched.contains(key);
            match by_key.get(key) {
                Some(found) if contents.contains(found) => {}
                Some(found) if !reverts && edited && self.is_persons_at(key, found) => {}
                None if !restores && removed && self.removed.contains(key) => {}
                found => {
                    let found = found.map(|content| shown(content));
                    let wanted = shown(contents[0]);
                    return Err(format!("{key:?} is {found:?}, should be {wanted}"));
                }
            }
        }
        for (path, content) in &files {
            let key = self.key(path);
            // Under another spelling a file of ours may look like a person's: kept once too often.
            let copy = path.contains(" (Conflicted copy");
            let kept = copy && (self.is_persons(content) || self.place.folding().any());
            let theirs = (kept || self.is_persons_at(&key, content)) && !self.copy.mirror;
            let synced = self.copy.seen(path, false) == Seen::Synced;
            if synced && !wanted.contains_key(&key) && !left.contains(&key) && !theirs {
                return Err(format!("{path:?} is stale: {}", shown(content)));
            }
        }
        Ok(())
    }
}
