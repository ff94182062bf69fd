//! Looking at the destination before deciding: what is at each path that matters.

use std::collections::{HashMap, HashSet};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use obsidian_sync::ContentHash;

use crate::path::VaultPath;
use crate::plan::{Basis, Local, Mode};
use crate::record::{Change, Record};
use crate::state::{Entry, FileEntry};
use crate::store::{Folding, Found, Stamp, StoreError, Trust, VaultStore};

/// How many looks are under way at once.
const LOOKS: usize = 32;

/// What a plan will want to know about.
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

/// Looks at the path of every record; for a comparison with the whole vault at every entry's, too;
/// for a mirror at everything there is.
pub(crate) async fn look(question: &Question<'_>) -> Result<HashMap<VaultPath, Local>, StoreError> {
    let Question {
        store,
        mode,
        basis,
        config_dir,
        records,
        entries,
        doubted,
    } = *question;
    if store.is_empty().await? {
        return Ok(with_folders(store, HashMap::new(), entries));
    }
    let mut found: HashMap<VaultPath, Found> = HashMap::new();
    if mode == Mode::Mirror {
        let listed = store.list(config_dir).await?;
        let spelled = Spellings::new(store.folding(), entries);
        found.extend(
            listed
                .into_iter()
                .map(|item| (spelled.ours(item.path), item.found)),
        );
    }
    let mut paths: HashSet<&VaultPath> = records
        .iter()
        // A deletion of what was never written asks for nothing.
        .filter(|r| !matches!(r.change, Change::Deleted { .. }) || entries.contains_key(&r.path))
        .map(|record| &record.path)
        .collect();
    if basis == Basis::Whole {
        paths.extend(entries.keys());
    }
    paths.retain(|path| !found.contains_key(*path) && store.check_path(path).is_ok());
    // Owned: a closure over borrowed paths would keep the run from moving between threads.
    let paths: Vec<VaultPath> = paths.into_iter().cloned().collect();
    let looked: Vec<(VaultPath, Found)> = stream::iter(paths)
        .map(|path| async move {
            let known = entries
                .get(&path)
                // Who compares everything wants to see what is there, not what was.
                .filter(|_| basis == Basis::Changes && !doubted.contains(&path))
                .and_then(Entry::file)
                .map(|file| &file.stamp);
            let found = store.inspect(&path, known).await?;
            Ok::<_, StoreError>((path, found))
        })
        .buffer_unordered(LOOKS)
        .try_collect()
        .await?;
    found.extend(looked);
    let compared = stream::iter(found)
        .map(|(path, found)| async move {
            let entry = entries.get(&path);
            let local = match doubted.contains(&path) {
                true => read(store, &path, found, entry).await,
                false => compare(store, &path, found, entry).await,
            };
            (path, local)
        })
        .buffer_unordered(LOOKS)
        .collect();
    Ok(with_folders(store, compared.await, entries))
}

/// Where folders don't exist by themselves, those that were created count as there.
fn with_folders(
    store: &dyn VaultStore,
    mut found: HashMap<VaultPath, Local>,
    entries: &HashMap<VaultPath, Entry>,
) -> HashMap<VaultPath, Local> {
    if store.has_folders() {
        return found;
    }
    let folders = entries.iter().filter(|(_, entry)| entry.file().is_none());
    for (path, _) in folders {
        let there = found.entry(path.clone()).or_insert(Local::Absent);
        if *there == Local::Absent {
            *there = Local::Folder;
        }
    }
    found
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

/// Tells the vault's own content from everything else.
async fn compare(
    store: &dyn VaultStore,
    path: &VaultPath,
    found: Found,
    entry: Option<&Entry>,
) -> Local {
    let stamp = match found {
        Found::File { stamp, .. } => stamp,
        other => return no_file(other),
    };
    let known = entry.and_then(Entry::file);
    if known.is_some_and(|file| file.stamp == stamp) {
        return Local::Ours(stamp);
    }
    // Touched, or not ours: only the content tells.
    told(store.hash(path).await, known)
}

/// As [`compare`], by every byte: what a stamp says is in doubt.
async fn read(
    store: &dyn VaultStore,
    path: &VaultPath,
    found: Found,
    entry: Option<&Entry>,
) -> Local {
    match found {
        Found::File { .. } => {
            let hash = store.check_hash(path, Trust::Nothing).await;
            told(hash, entry.and_then(Entry::file))
        }
        other => no_file(other),
    }
}

fn no_file(found: Found) -> Local {
    match found {
        Found::Folder => Local::Folder,
        Found::Foreign(what) => Local::Foreign(what),
        Found::Absent | Found::File { .. } => Local::Absent,
    }
}

fn told(
    hash: Result<Option<(ContentHash, Stamp)>, StoreError>,
    known: Option<&FileEntry>,
) -> Local {
    match hash {
        Ok(None) => Local::Absent,
        Ok(Some((hash, stamp))) if known.is_some_and(|file| file.hash == hash) => {
            Local::Ours(stamp)
        }
        Ok(Some((hash, stamp))) => Local::Other { hash, stamp },
        // One file that can't be read must not stop the others.
        Err(error) => Local::Unreadable(error.to_string()),
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
