//! Which names the file system takes for the same.
//!
//! `.obsync` holds an empty file whose name has a capital and an accent. Looking for it under
//! other spellings tells, without a write, and stays true when the folder is moved to another
//! file system.

use std::path::Path;

use obsync_core::Folding;
use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, CWD, statat};

/// The probe's name, its accent composed.
pub(super) const PROBE: &str = "Folding-\u{e9}";
/// The same in another case.
const OTHER_CASE: &str = "fOLDING-\u{e9}";
/// The same decomposed.
const DECOMPOSED: &str = "Folding-e\u{301}";

/// Asks the probe; `None` when there is none.
pub(super) fn ask(own: BorrowedFd<'_>) -> Option<Folding> {
    let number = |name| {
        let stat = statat(own, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some((stat.st_dev, stat.st_ino))
    };
    let probe = number(PROBE)?;
    let same = |name| number(name) == Some(probe);
    Some(Folding {
        case: same(OTHER_CASE),
        unicode: same(DECOMPOSED),
    })
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
        for (links, case, unicode) in [
            (&[][..], false, false),
            (&[OTHER_CASE][..], true, false),
            (&[DECOMPOSED][..], false, true),
            (&[OTHER_CASE, DECOMPOSED][..], true, true),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let own = openat(CWD, dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
            use rustix::fd::AsFd as _;
            assert_eq!(ask(own.as_fd()), None);
            fs::write(dir.path().join(PROBE), "").unwrap();
            for link in links {
                fs::hard_link(dir.path().join(PROBE), dir.path().join(link)).unwrap();
            }
            assert_eq!(ask(own.as_fd()), Some(Folding { case, unicode }));
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
