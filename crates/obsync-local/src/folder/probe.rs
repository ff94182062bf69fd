//! Which names the file system takes for the same, and whose rules it follows.
//!
//! `.obsync` holds an empty file whose name has a capital and an accent. Looking for it under
//! other spellings tells, without a write, and stays true when the folder is moved to another
//! file system. One that drops a dot at the end is a stick or a share of Windows machines.

use std::path::Path;

use obsync_core::Folding;
use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, CWD, statat};

use super::names::NameRules;

/// The probe's name, its accent composed.
pub(super) const PROBE: &str = "Folding-\u{e9}";
/// The same in another case.
const OTHER_CASE: &str = "fOLDING-\u{e9}";
/// The same decomposed.
const DECOMPOSED: &str = "Folding-e\u{301}";

/// The same with a dot at its end.
const DOTTED: &str = "Folding-\u{e9}.";

/// What the probe tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probed {
    pub(super) folding: Folding,
    pub(super) names: NameRules,
}

/// Asks the probe; `None` when there is none.
pub(super) fn ask(own: BorrowedFd<'_>) -> Option<Probed> {
    let number = |name| {
        let stat = statat(own, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some((stat.st_dev, stat.st_ino))
    };
    let probe = number(PROBE)?;
    let same = |name| number(name) == Some(probe);
    let folding = Folding {
        case: same(OTHER_CASE),
        unicode: same(DECOMPOSED),
    };
    let names = match same(DOTTED) {
        true => NameRules::Windows,
        false => NameRules::Unix,
    };
    Some(Probed { folding, names })
}

/// Estimates, where nothing may be written yet: does the nearest folder that exists answer to its
/// own name in another case? Systems that fold case mostly fold Unicode as well.
pub(super) fn estimate(path: &Path) -> Folding {
    let folds = path.ancestors().find_map(|folder| {
        let name = folder.file_name()?.to_str()?;
        let number = |path: &Path| {
            let stat = statat(CWD, path, AtFlags::empty()).ok()?;
            Some((stat.st_dev, stat.st_ino))
        };
        let here = number(folder)?;
        let swapped: String = name.chars().map(swap_case).collect();
        if swapped == name {
            return None;
        }
        Some(number(&folder.with_file_name(swapped)) == Some(here))
    });
    let folds = folds.unwrap_or(cfg!(target_vendor = "apple"));
    Folding {
        case: folds,
        unicode: folds,
    }
}

fn swap_case(c: char) -> char {
    if c.is_ascii_lowercase() {
        c.to_ascii_uppercase()
    } else {
        c.to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags, openat};
    use std::fs;

    #[test]
    fn the_probe_tells_each_kind() {
        // What a folding file system answers by itself, hard links answer here.
        use NameRules::{Unix, Windows};
        for (links, case, unicode, names) in [
            (&[][..], false, false, Unix),
            (&[OTHER_CASE][..], true, false, Unix),
            (&[DECOMPOSED][..], false, true, Unix),
            (&[OTHER_CASE, DECOMPOSED][..], true, true, Unix),
            (&[OTHER_CASE, DOTTED][..], true, false, Windows),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let own = openat(CWD, dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
            use rustix::fd::AsFd as _;
            assert_eq!(ask(own.as_fd()), None);
            fs::write(dir.path().join(PROBE), "").unwrap();
            for link in links {
                fs::hard_link(dir.path().join(PROBE), dir.path().join(link)).unwrap();
            }
            let folding = Folding { case, unicode };
            assert_eq!(ask(own.as_fd()), Some(Probed { folding, names }));
        }
    }

    #[test]
    fn the_estimate_looks_at_what_exists() {
        let dir = tempfile::tempdir().unwrap();
        let notes = dir.path().join("Notes");
        fs::create_dir(&notes).unwrap();
        assert!(!estimate(&notes.join("7/8")).any());
        std::os::unix::fs::symlink(&notes, dir.path().join("nOTES")).unwrap();
        assert!(estimate(&notes.join("7/8")).case);
    }
}
