//! Names that fold together at the destination, and names made up for local content.

use std::collections::HashMap;

use super::decide::replaces;
use super::listing::Listing;
use super::{Basis, Here, Input};
use crate::filter::Verdict;
use crate::path::VaultPath;
use crate::record::{Change, Record};

/// Who owns each folded name, and which paths are another spelling of one that goes.
///
/// Where names fold, `Note.md` and `note.md` are one file. The one that is there already stays;
/// among new ones the lower uid does. Empty on a store that tells all names apart.
pub(crate) struct Names<'a> {
    input: &'a Input<'a>,
    /// Folded name → the path that holds it after this run, and whether that is a file.
    owners: HashMap<String, (&'a VaultPath, bool)>,
    /// New spelling → the old spelling that this run deletes.
    respelled: HashMap<&'a VaultPath, &'a VaultPath>,
}

impl<'a> Names<'a> {
    /// As a plan for this input sees them.
    pub(crate) fn of(input: &'a Input<'a>) -> Self {
        Self::new(input, &Listing::new(input))
    }

    pub(super) fn new(input: &'a Input<'a>, listing: &Listing<'_>) -> Self {
        let mut names = Self {
            input,
            owners: HashMap::new(),
            respelled: HashMap::new(),
        };
        if !input.folding.any() {
            return names;
        }
        let records: HashMap<&VaultPath, &Record> = input
            .records
            .iter()
            .filter(|record| !listing.is_unusable(record.path.as_str()))
            .map(|record| (&record.path, record))
            .collect();
        let mut going = HashMap::new();
        let mut changing = Vec::new();
        let mut staying: Vec<_> = input.entries.iter().collect();
        // A fixed order, so that equal inputs give equal plans.
        staying.sort_by_key(|(path, entry)| (entry.uid(), *path));
        for (path, entry) in staying {
            let key = input.folding.key(path);
            let was_file = entry.file().is_some();
            let hidden = input.filter.verdict(path, !was_file) != Verdict::Sync;
            let (gone, is_file) = match records.get(path) {
                // What it is after this run, not what it was.
                Some(record) if is_written(input, record) => (
                    matches!(record.change, Change::Deleted { .. }),
                    !record.is_folder(),
                ),
                Some(record) => (replaces(input, record, entry), was_file),
                None => {
                    let spared = hidden || listing.is_unusable(path.as_str());
                    (input.basis == Basis::Whole && !spared, was_file)
                }
            };
            if gone {
                going.insert(key, path);
            } else if is_file != was_file {
                changing.push((key, path, is_file));
            } else if !(hidden && input.at(path) == Here::Absent) {
                names.owners.entry(key).or_insert((path, is_file));
            }
        }
        // Of two folders that are one here, the one that stays a folder was there all the time.
        for (key, path, is_file) in changing {
            names.owners.entry(key).or_insert((path, is_file));
        }
        for record in input.records.iter().filter(|record| {
            !listing.is_unusable(record.path.as_str()) && is_written(input, record)
        }) {
            let is_file = match record.change {
                Change::File(_) => true,
                Change::Folder => false,
                Change::Deleted { .. } => continue,
            };
            let path = &record.path;
            let key = input.folding.key(path);
            if let Some(old) = going.get(&key).filter(|old| **old != path) {
                names.respelled.insert(path, old);
            }
            names.owners.entry(key).or_insert((path, is_file));
        }
        names
    }

    /// The other path that holds this name already, if the two can't both be.
    pub(crate) fn taken_by(&self, path: &VaultPath, is_file: bool) -> Option<&'a VaultPath> {
        if !self.input.folding.any() {
            return None;
        }
        let (owner, owner_is_file) = self.owners.get(&self.input.folding.key(path))?;
        (*owner != path && (is_file || *owner_is_file)).then_some(*owner)
    }

    /// The old spelling, if this path is a new spelling of a file or folder that goes.
    pub(super) fn respelled(&self, path: &VaultPath) -> Option<&'a VaultPath> {
        self.respelled.get(path).copied()
    }

    /// What is at a path. Where names fold, our own file or folder of the old spelling is not seen as
    /// a stranger under the new one.
    pub(super) fn local(&self, path: &VaultPath) -> Here<'a> {
        match self.respelled(path) {
            Some(old) if matches!(self.input.at(old), Here::Ours(_) | Here::Folder) => Here::Absent,
            _ => self.input.at(path),
        }
    }
}

/// Whether a run would act on a record: one that is left out, or can't be written, takes no name.
fn is_written(input: &Input<'_>, record: &Record) -> bool {
    let deleted = matches!(record.change, Change::Deleted { .. });
    input.filter.verdict(&record.path, record.is_folder()) == Verdict::Sync
        && (deleted || (input.check_path)(&record.path).is_ok())
}

/// `NAME (note).ext`, with a number from the second attempt on. The stem gives way where the
/// name would become longer than file systems allow.
pub(super) fn beside(path: &VaultPath, note: &str, attempt: u32) -> VaultPath {
    const LONGEST: usize = 255;
    let (stem, extension) = match path.file_name().rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem, format!(".{extension}")),
        _ => (path.file_name(), String::new()),
    };
    let number = if attempt == 0 {
        String::new()
    } else {
        format!(" {}", attempt + 1)
    };
    let tail = format!(" ({note}){number}{extension}");
    let room = LONGEST.saturating_sub(tail.len());
    let cut = (0..=stem.len().min(room))
        .rev()
        .find(|at| stem.is_char_boundary(*at))
        .unwrap_or(0);
    path.with_file_name(&format!("{}{tail}", &stem[..cut]))
        .expect("a plain segment beside a valid path is valid")
}
