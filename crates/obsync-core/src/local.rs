//! Looking at the destination before deciding: what is otherwise than the state says.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::path::VaultPath;
use crate::plan::{Basis, Local, Mode};
use crate::record::{Change, Record};
use crate::state::Entry;
use crate::store::{Folding, Found, Listed, StoreError, StoreErrorKind, Trust, VaultStore};

/// How many looks are under way at once.
const LOOKS: usize = 32;
/// So few paths are looked at one by one, also where a listing is at hand.
const FEW: usize = 64;
/// One file that can't be looked at must not stop the others. After so many the destination itself is
/// in trouble, and a run that waits for each further one would not end.
const MOST_FAULTS: usize = 32;

/// What a plan will want to know about.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) store: &'a dyn VaultStore,
    pub(crate) mode: Mode,
    pub(crate) basis: Basis,
    pub(crate) config_dir: &'a str,
    pub(crate) records: &'a [Record],
    pub(crate) entries: &'a HashMap<VaultPath, Entry>,
    /// Paths where no stamp is believed.
    pub(crate) doubted: &'a HashSet<VaultPath>,
}

/// What is otherwise than the entries say.
type Told = HashMap<VaultPath, Local>;

/// Looks at the path of every record; for a comparison with the whole vault at every entry's, too;
/// for a mirror at everything there is. What is as its entry says is not told: of a large vault most
/// is, and a small function has no room for it.
pub(crate) async fn look(question: Question<'_>) -> Result<Told, StoreError> {
    let store = question.store;
    let looker = Looker {
        spelled: Spellings::new(store.folding(), question.entries),
        faults: AtomicUsize::new(0),
        question,
    };
    let mut told = Told::new();
    if store.is_empty().await? {
        told.extend(looker.asked().filter_map(|path| looker.absent(path)));
        return Ok(told);
    }
    let everything = question.mode == Mode::Mirror;
    let many = question.basis == Basis::Whole && looker.asked().nth(FEW).is_some();
    let pages = (everything || many).then(|| store.pages(question.config_dir));
    let pages = match pages.flatten() {
        None if everything => {
            let all = store.list(question.config_dir).await;
            Some(stream::once(async { all }).boxed())
        }
        pages => pages,
    };
    let paths: Vec<VaultPath> = match pages {
        Some(mut pages) => {
            let mut due = looker.due();
            while let Some(page) = pages.try_next().await? {
                looker.take(page, &mut due, &mut told).await?;
            }
            // Where there are no folders, nothing can hide what is in them.
            if !store.has_folders() {
                told.extend(due.missing().filter_map(|path| looker.absent(path)));
                return Ok(told);
            }
            // What lies below a link, say, is not listed, and yet not simply absent.
            due.missing().cloned().collect()
        }
        None => looker.asked().cloned().collect(),
    };
    looker.look_at(paths, &mut told).await?;
    Ok(told)
}

struct Looker<'a> {
    question: Question<'a>,
    spelled: Spellings<'a>,
    faults: AtomicUsize,
}

/// What a listing is expected to have.
struct Due<'a> {
    entries: &'a HashMap<VaultPath, Entry>,
    seen: HashSet<&'a VaultPath>,
    /// Paths of records that have no entry and were not met yet.
    new: HashSet<&'a VaultPath>,
}

impl<'a> Due<'a> {
    /// Takes a path off; whether it was expected at all.
    fn met(&mut self, path: &VaultPath) -> bool {
        match self.entries.get_key_value(path) {
            Some((path, _)) => {
                self.seen.insert(path);
                true
            }
            None => self.new.remove(path),
        }
    }

    fn missing(&self) -> impl Iterator<Item = &'a VaultPath> {
        let entries = self.entries.keys();
        let entries = entries.filter(|path| !self.seen.contains(path));
        entries.chain(self.new.iter().copied())
    }
}

impl<'a> Looker<'a> {
    /// The paths that the plan will ask about.
    fn asked(&self) -> impl Iterator<Item = &'a VaultPath> {
        let Question {
            mode,
            basis,
            records,
            entries,
            ..
        } = self.question;
        let all = mode == Mode::Mirror || basis == Basis::Whole;
        let records = records.iter().filter(move |record| {
            let known = entries.contains_key(&record.path);
            // A deletion of what was never written asks for nothing.
            known && !all || !known && !matches!(record.change, Change::Deleted { .. })
        });
        let entries = all.then(|| entries.keys()).into_iter().flatten();
        entries.chain(records.map(|record| &record.path))
    }

    fn due(&self) -> Due<'a> {
        let entries = self.question.entries;
        Due {
            entries,
            seen: HashSet::with_capacity(entries.len()),
            new: self
                .asked()
                .filter(|path| !entries.contains_key(path))
                .collect(),
        }
    }

    /// Takes a part of a listing.
    async fn take(
        &self,
        page: Vec<Listed>,
        due: &mut Due<'a>,
        told: &mut Told,
    ) -> Result<(), StoreError> {
        let mut found = Vec::new();
        for item in page {
            let path = self.spelled.ours(item.path);
            let expected = due.met(&path);
            if (expected || self.question.mode == Mode::Mirror)
                && !self.is_as_known(&path, &item.found)
            {
                found.push((path, item.found));
            }
        }
        let mut compared = stream::iter(found)
            .map(|(path, found)| async move {
                let local = self.compare(&path, found).await?;
                Ok::<_, StoreError>(local.map(|local| (path, local)))
            })
            .buffer_unordered(LOOKS);
        while let Some(local) = compared.try_next().await? {
            told.extend(local);
        }
        Ok(())
    }

    /// Looks at each of these paths. Owned: a closure over borrowed ones would keep the run from moving
    /// between threads.
    async fn look_at(&self, paths: Vec<VaultPath>, told: &mut Told) -> Result<(), StoreError> {
        let mut looked = stream::iter(paths)
            .map(|path| async move {
                let local = match self.inspect(&path).await {
                    Ok(found) => self.compare(&path, found).await?,
                    Err(error) => Some(self.survive(error)?),
                };
                Ok::<_, StoreError>(local.map(|local| (path, local)))
            })
            .buffer_unordered(LOOKS);
        while let Some(local) = looked.try_next().await? {
            told.extend(local);
        }
        Ok(())
    }

    async fn inspect(&self, path: &VaultPath) -> Result<Found, StoreError> {
        let Question {
            store, mode, basis, ..
        } = self.question;
        if store.check_path(path).is_err() {
            return Ok(Found::Absent);
        }
        let known = self
            .question
            .entries
            .get(path)
            // Who compares everything wants to see what is there, not what was.
            .filter(|_| mode == Mode::Pull && basis == Basis::Changes)
            .filter(|_| !self.question.doubted.contains(path))
            .and_then(Entry::file)
            .map(|file| &file.stamp);
        store.inspect(path, known).await
    }

    /// Whether this is what the state says, and can be believed.
    fn is_as_known(&self, path: &VaultPath, found: &Found) -> bool {
        match (self.question.entries.get(path), found) {
            (Some(Entry::File(file)), Found::File { stamp, .. }) => {
                file.stamp == *stamp && !self.question.doubted.contains(path)
            }
            (Some(Entry::Folder { .. }), found) => *found == Found::Folder,
            _ => false,
        }
    }

    /// Tells the vault's own content from everything else; nothing of what is as the state says.
    async fn compare(&self, path: &VaultPath, found: Found) -> Result<Option<Local>, StoreError> {
        if self.is_as_known(path, &found) {
            return Ok(None);
        }
        let absent = || self.absent(path).map(|(_, absent)| absent);
        match found {
            Found::Folder => return Ok(Some(Local::Folder)),
            Found::Foreign(what) => return Ok(Some(Local::Foreign(what))),
            Found::Absent => return Ok(absent()),
            Found::File { .. } => {}
        }
        // Touched, or not ours, or in doubt: only the content tells.
        let store = self.question.store;
        let hash = match self.question.doubted.contains(path) {
            true => store.check_hash(path, Trust::Nothing).await,
            false => store.hash(path).await,
        };
        let known = self.question.entries.get(path).and_then(Entry::file);
        Ok(match hash {
            Ok(None) => absent(),
            Ok(Some((hash, stamp))) => match known {
                Some(file) if file.hash == hash && file.stamp == stamp => None,
                Some(file) if file.hash == hash => Some(Local::Ours(stamp)),
                _ => Some(Local::Other { hash, stamp }),
            },
            Err(error) => Some(self.survive(error)?),
        })
    }

    /// That nothing is at a path, where that is news. Where folders don't exist by themselves, those that
    /// were created count as there.
    fn absent(&self, path: &VaultPath) -> Option<(VaultPath, Local)> {
        let entry = self.question.entries.get(path)?;
        let told = entry.file().is_some() || self.question.store.has_folders();
        told.then(|| (path.clone(), Local::Absent))
    }

    /// Lets a run go on after a path that can't be looked at, but not after what every path would meet.
    fn survive(&self, error: StoreError) -> Result<Local, StoreError> {
        let ends = match error.kind {
            StoreErrorKind::Full | StoreErrorKind::Unusable | StoreErrorKind::Busy => true,
            StoreErrorKind::Other => self.faults.fetch_add(1, Ordering::Relaxed) >= MOST_FAULTS,
            _ => false,
        };
        if ends {
            return Err(error);
        }
        Ok(Local::Unreadable(error.to_string()))
    }
}

/// Our own spelling of what is listed. Where names fold, a file of ours may be listed under another
/// one: that of a folder which was there first, or of a system that keeps none.
struct Spellings<'a> {
    folding: Folding,
    ours: HashMap<String, &'a VaultPath>,
}

impl<'a> Spellings<'a> {
    fn new(folding: Folding, entries: &'a HashMap<VaultPath, Entry>) -> Self {
        let ours = match folding.any() {
            true => entries
                .keys()
                .map(|path| (folding.key(path), path))
                .collect(),
            false => HashMap::new(),
        };
        Self { folding, ours }
    }

    fn ours(&self, listed: VaultPath) -> VaultPath {
        if self.ours.is_empty() {
            return listed;
        }
        match self.ours.get(&self.folding.key(&listed)) {
            Some(path) => (*path).clone(),
            None => listed,
        }
    }
}

#[cfg(test)]
mod tests {
    use obsidian_sync::Uid;

    use super::*;

    #[test]
    fn what_is_listed_under_another_spelling_is_still_ours() {
        let path = |text: &str| VaultPath::parse(text).unwrap();
        let entries = HashMap::from([(path("dir/b.md"), Entry::Folder { uid: Uid(1) })]);
        let folding = Folding {
            case: true,
            unicode: false,
        };
        let folded = Spellings::new(folding, &entries);
        assert_eq!(folded.ours(path("Dir/B.md")), path("dir/b.md"));
        assert_eq!(folded.ours(path("Other.md")), path("Other.md"));
        let exact = Spellings::new(Folding::default(), &entries);
        assert_eq!(exact.ours(path("Dir/B.md")), path("Dir/B.md"));
    }
}
