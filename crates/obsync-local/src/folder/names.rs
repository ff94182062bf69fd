//! [`NameRules`]: which names a folder store can hold. Pure, so that each rule set is tested
//! everywhere.

use obsync_core::{PathProblem, VaultPath};

/// Our own folder at the root: the mark, the lock, and content in waiting.
pub(crate) const OWN: &str = ".obsync";
/// The user's ignore file at the root.
pub(crate) const IGNORE: &str = ".obsyncignore";
/// How a file begins that waits beside its target, where `.obsync` is on another file system.
pub(crate) const BESIDE: &str = ".obsync-tmp-";

/// The longest part of a path, in bytes: `NAME_MAX` of the usual file systems.
const PART_MAX: usize = 255;

/// Whose rules names follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum NameRules {
    /// Linux and macOS: anything but `/` and NUL.
    #[default]
    Unix,
    /// What Windows can open: a stick or a share that Windows machines read.
    Windows,
}

impl NameRules {
    /// Whether a path can be held below a root whose own path has `root_len` bytes.
    pub(super) fn check(self, path: &VaultPath, root_len: usize) -> Result<(), PathProblem> {
        let refuse = |why: String| Err(PathProblem::Unholdable(why));
        let first = path.segments().next().unwrap_or_default();
        // Whatever the case: the folder may come to lie where names fold.
        if first.eq_ignore_ascii_case(OWN) || path.as_str().eq_ignore_ascii_case(IGNORE) {
            return refuse("obsync keeps this name for itself".to_owned());
        }
        for part in path.segments() {
            if part.len() > PART_MAX {
                return refuse(format!("a part of it is longer than {PART_MAX} bytes"));
            }
            if part
                .get(..BESIDE.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(BESIDE))
            {
                return refuse("obsync keeps such names for itself".to_owned());
            }
            if self == Self::Windows {
                check_windows(part)?;
            }
        }
        // Longer ones can be made piece by piece, and then no program can open them.
        let max = if cfg!(target_os = "linux") {
            4095
        } else {
            1023
        };
        if root_len + 1 + path.as_str().len() > max {
            return refuse(format!(
                "with the destination before it, it is longer than {max} bytes"
            ));
        }
        Ok(())
    }
}

fn check_windows(part: &str) -> Result<(), PathProblem> {
    let refuse = |why: String| Err(PathProblem::Unholdable(why));
    if let Some(c) = part
        .chars()
        .find(|c| c.is_ascii_control() || r#"\:*?"<>|"#.contains(*c))
    {
        return refuse(format!("names here follow Windows, which allows no {c:?}"));
    }
    if part.ends_with(['.', ' ']) {
        let why = "names here follow Windows, which drops a dot or space at the end";
        return refuse(why.to_owned());
    }
    let stem = part
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_ascii_uppercase();
    let device = matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) || ["COM", "LPT"].iter().any(|port| {
        let mut rest = stem.strip_prefix(port).unwrap_or_default().chars();
        matches!(
            (rest.next(), rest.next()),
            (Some('1'..='9' | '¹' | '²' | '³'), None)
        )
    });
    if device {
        return refuse(format!(
            "names here follow Windows, where {stem} is a device"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(rules: NameRules, name: &str) -> bool {
        rules.check(&VaultPath::parse(name).unwrap(), 20).is_ok()
    }

    #[test]
    fn unix_takes_what_fits() {
        for name in [
            "a\\b:c*?\"<>|",
            "CON",
            "a.",
            " ",
            "a\nb",
            ".obsidian/x",
            "a/.obsync/b",
        ] {
            assert!(holds(NameRules::Unix, name), "{name:?}");
        }
        assert!(holds(NameRules::Unix, &"é".repeat(127)));
        assert!(!holds(NameRules::Unix, &"é".repeat(128)));
        assert!(!holds(NameRules::Unix, &["x"; 2100].join("/")));
    }

    #[test]
    fn our_own_names_are_taken() {
        for name in [
            ".obsync",
            ".obsync/id.json",
            ".Obsync/tmp/x",
            ".obsyncIgnore",
            "a/.obsync-tmp-1",
        ] {
            assert!(!holds(NameRules::Unix, name), "{name}");
        }
    }

    #[test]
    fn windows_takes_less() {
        for name in [
            "a:b", "a\\b", "x/que?", "a\u{1}", "a.", "d /b", "con", "NUL.txt", "lpt9.md", "COM¹",
            "aux .md",
        ] {
            assert!(!holds(NameRules::Windows, name), "{name:?}");
        }
        for name in [
            "console.md",
            "com",
            "com0",
            "COM10",
            "a.b",
            ".obsidian/app.json",
            "é/日本",
        ] {
            assert!(holds(NameRules::Windows, name), "{name:?}");
        }
    }
}
