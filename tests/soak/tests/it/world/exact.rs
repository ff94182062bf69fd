//! What must be so after a run, to the byte where that can be foretold.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use obsync_core::VaultPath;
use obsync_core::report::{ProblemKind, Report, Status};

use super::{Checked, Files, World, shown};
use crate::devices::mtime_of;
use crate::filters::Seen;
use crate::model::{Prediction, Vault};

impl World<'_> {
    /// All content that is there, in place or in the trash.
    pub(super) fn kept(&self) -> HashSet<Bytes> {
        let mut kept: HashSet<Bytes> = self.place.files().into_values().collect();
        kept.extend(self.place.trashed());
        kept
    }

    /// What holds at every moment: nothing that a person wrote is lost, and no file is torn.
    pub(super) fn intact(&mut self, before: &Files) -> Checked {
        let files = self.place.files();
        let kept = self.kept();
        for (path, content) in before {
            let theirs = match (&self.unsure, self.brought(path)) {
                // It is not known how far obsync came: what only a person can have written counts.
                (Some(_), _) => !self.remote.contains(content),
                (None, brought) => brought != Some(content),
            };
            if theirs && self.is_persons(content) && !kept.contains(content) {
                return Err(format!("lost what was at {path:?}: {}", shown(content)));
            }
        }
        for (path, content) in &files {
            if !self.remote.contains(content) && !self.is_persons(content) {
                return Err(format!(
                    "nobody wrote what is at {path:?}: {}",
                    shown(content)
                ));
            }
        }
        for path in files.keys() {
            let key = self.key(path);
            self.removed.remove(&key);
        }
        match self.place.harm() {
            harm if harm.is_empty() => Ok(()),
            harm => Err(format!("harm outside the destination: {harm:?}")),
        }
    }

    /// The report of a run that came to its end says the same in all its parts.
    pub(super) fn is_consistent(report: &Report) -> Checked {
        let count = |kind| {
            let those = report.problems.iter().filter(|found| found.kind == kind);
            those.count() as u64
        };
        let status = match report.files_failed {
            0 => Status::Complete,
            _ => Status::Partial,
        };
        let right = report.status == status
            && report.files_failed == count(ProblemKind::Failed)
            && report.files_skipped == count(ProblemKind::Skipped)
            && report.remaining == 0;
        match right {
            true => Ok(()),
            false => Err(format!("the report contradicts itself: {report:?}")),
        }
    }

    /// The paths that the run could not bring, each for a reason that can be seen.
    pub(super) fn left(&self, report: &Report, vault: &Vault) -> Result<BTreeSet<String>, String> {
        let files = self.place.files();
        let folders = self.place.folders();
        let is_file = |path: &str| {
            let key = self.key(path);
            files.keys().any(|file| self.key(file) == key)
        };
        let mut left = BTreeSet::new();
        for problem in &report.problems {
            let path = &problem.path;
            let parsed = VaultPath::parse(path).map_err(|error| format!("{path:?}: {error}"))?;
            let is_folder = vault.folders.contains_key(path);
            let reason = match problem.kind {
                ProblemKind::Kept => continue,
                ProblemKind::Failed => {
                    parsed.ancestors().any(|above| is_file(above.as_str()))
                        || (!is_folder && folders.iter().any(|f| self.key(f) == self.key(path)))
                        || (is_folder && is_file(path))
                }
                ProblemKind::Skipped => {
                    self.copy.seen(path, is_folder) == Seen::Refused || self.folds(path, vault)
                }
            };
            if !reason {
                return Err(format!("no reason for {problem:?}"));
            }
            left.insert(path.clone());
        }
        let names = vault.files.keys().map(|path| (path, false));
        let names = names.chain(vault.folders.keys().map(|path| (path, true)));
        for (path, folder) in names {
            if self.copy.seen(path, folder) == Seen::Refused && !left.contains(path) {
                return Err(format!("{path:?} is not reported: {:?}", report.problems));
            }
        }
        Ok(left)
    }

    /// Whether another name of the vault, or of what was brought and is hidden now, is the same here.
    fn folds(&self, path: &str, vault: &Vault) -> bool {
        let key = self.key(path);
        self.place.folding().any()
            && vault
                .files
                .keys()
                .chain(vault.folders.keys())
                .chain(self.copy.files.keys())
                .any(|other| other != path && self.key(other) == key)
    }

    /// What a run brought to a path last.
    pub(super) fn brought(&self, path: &str) -> Option<&Bytes> {
        self.copy.files.get(path).map(|brought| &brought.content)
    }

    pub(super) fn exactly(
        &self,
        vault: &Vault,
        before: &Files,
        predicted: &Prediction,
        left: &BTreeSet<String>,
    ) -> Checked {
        let mut extra = self.place.files();
        for (path, content) in &predicted.files {
            let found = extra.remove(path);
            if left.contains(path) && found.as_ref() == before.get(path) {
                continue;
            }
            match found {
                Some(found) if found == *content => self.has_its_time(path, content, before)?,
                Some(found) => {
                    let (is, should) = (shown(&found), shown(content));
                    return Err(format!("{path:?} is {is}, should be {should}"));
                }
                // A bucket is not asked about what has not changed.
                None if self.place.marks_files()
                    && self.removed.contains(path)
                    && self.brought(path) == Some(content) => {}
                // After a crash the marks tell what was the vault's, and the vault has deleted it.
                None if self.forgot
                    && !self.surely_persons(content)
                    && !vault.files.contains_key(path) => {}
                None => return Err(format!("{path:?} is missing: {}", shown(content))),
            }
        }
        let mut displaced = predicted.displaced.clone();
        if self.copy.mirror {
            extra.retain(|path, _| !left.contains(path));
            if let Some((path, content)) = extra.first_key_value() {
                return Err(format!("{path:?} should be gone: {}", shown(content)));
            }
            let trash: HashSet<Bytes> = self.place.trashed().into_iter().collect();
            displaced.retain(|(path, content)| !trash.contains(content) && !is_near(left, path));
            return match displaced.first() {
                Some((path, lost)) => Err(format!("not in the trash: {path:?}, {}", shown(lost))),
                None => Ok(()),
            };
        }
        for (path, content) in &extra {
            if left.contains(path) && before.get(path) == Some(content) {
                continue;
            }
            // In a bucket a file is not in the way of a folder of its name, and may stay.
            let stays = self.place.marks_files() && vault.folders.contains_key(path);
            let is_copy = |(of, kept): &(String, Bytes)| {
                let beside = parent(of) == parent(path) && path.contains(" (Conflicted copy");
                kept == content && (beside || stays && of == path)
            };
            match displaced.iter().position(is_copy) {
                Some(index) => drop(displaced.swap_remove(index)),
                None => return Err(format!("{path:?} should not be there: {}", shown(content))),
            }
        }
        displaced.retain(|(_, content)| self.surely_persons(content));
        displaced.retain(|(path, _)| !is_near(left, path));
        match displaced.first() {
            Some((path, lost)) => Err(format!("no copy was kept of {path:?}, {}", shown(lost))),
            None => Ok(()),
        }
    }

    /// Whether what was displaced can't be the vault's: in a bucket the marks tell of that, also where no
    /// state does any more.
    fn surely_persons(&self, content: &Bytes) -> bool {
        !self.place.marks_files() || !self.remote.contains(content)
    }

    /// What came to a path bears the time that its writer gave it.
    fn has_its_time(&self, path: &str, content: &Bytes, before: &Files) -> Checked {
        if before.get(path) == Some(content) {
            return Ok(());
        }
        let (is, should) = (self.place.mtime(path), mtime_of(content));
        match is == Some(should) {
            true => Ok(()),
            false => Err(format!(
                "the time of {path:?} is {is:?}, should be {should:?}"
            )),
        }
    }

    /// The numbers and the kept texts of a report are those of what changed.
    pub(super) fn counted(
        &self,
        vault: &Vault,
        before: &Files,
        predicted: &Prediction,
        left: &BTreeSet<String>,
        report: &Report,
    ) -> Checked {
        let after = self.place.files();
        let came = |path: &&String| {
            let now = after.get(*path);
            vault.files.contains_key(*path) && now.is_some() && now != before.get(*path)
        };
        let came = predicted.files.keys().filter(came).count() as u64;
        let told = report.files_downloaded + report.files_moved;
        if came != told {
            return Err(format!("{came} files came, told are {told}: {report:?}"));
        }
        let went = before.keys().filter(|path| !after.contains_key(*path));
        let aside: BTreeSet<&String> = predicted.displaced.iter().map(|(path, _)| path).collect();
        let (aside, went): (Vec<_>, Vec<_>) = went.partition(|path| aside.contains(path));
        let mut most = (went.len() + aside.len()) as u64;
        if self.place.marks_files() {
            // A bucket is not asked whether a person has removed them already.
            most += self.removed.len() as u64;
        }
        let told = report.files_deleted;
        if told > most || told + report.files_moved < went.len() as u64 {
            return Err(format!("{went:?} and {aside:?} went: {report:?}"));
        }
        if self.copy.mirror || !left.is_empty() {
            return Ok(());
        }
        let kept = report.problems.iter();
        let kept = kept.filter(|problem| problem.kind == ProblemKind::Kept);
        let kept: BTreeSet<&String> = kept.map(|problem| &problem.path).collect();
        let displaced = predicted.displaced.iter();
        let (sure, unsure): (Vec<_>, Vec<_>) =
            displaced.partition(|(_, content)| self.surely_persons(content));
        let unsure: BTreeSet<&String> = unsure.into_iter().map(|(path, _)| path).collect();
        let sure = sure.into_iter().map(|(path, _)| path);
        let should: BTreeSet<&String> = sure.chain(&predicted.spared).collect();
        match kept
            .symmetric_difference(&should)
            .all(|path| unsure.contains(path))
        {
            true => Ok(()),
            false => Err(format!("told as kept is {kept:?}, should be {should:?}")),
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Whether a path, or one above or below it, is among those that could not be brought.
fn is_near(left: &BTreeSet<String>, path: &str) -> bool {
    let below = |path: &str, dir: &str| path == dir || path.starts_with(&format!("{dir}/"));
    left.iter()
        .any(|other| below(path, other) || below(other, path))
}
