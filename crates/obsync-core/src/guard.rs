//! What stops a run before it does harm: too many deletions, an emptied or swapped destination.

use std::fmt;
use std::str::FromStr;

use obsidian_sync::VaultId;

/// How many files one run may delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxDelete {
    /// This many.
    Files(u64),
    /// This share of the files in state, but never fewer than [`MaxDelete::FLOOR`].
    Percent(u8),
}

impl MaxDelete {
    /// A share of few files would trip over ordinary tidying.
    pub const FLOOR: u64 = 20;

    /// The number for a destination with so many files.
    pub fn limit(self, files: u64) -> u64 {
        match self {
            Self::Files(count) => count,
            Self::Percent(percent) => {
                let share = u128::from(files) * u128::from(percent) / 100;
                u64::try_from(share).unwrap_or(u64::MAX).max(Self::FLOOR)
            }
        }
    }
}

impl Default for MaxDelete {
    fn default() -> Self {
        Self::Percent(50)
    }
}

impl fmt::Display for MaxDelete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for MaxDelete {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent
                .trim()
                .parse()
                .ok()
                .filter(|p| *p <= 100)
                .map(Self::Percent),
            None => text.parse().ok().map(Self::Files),
        };
        parsed.ok_or_else(|| format!("'{text}' is neither a number nor a percentage up to 100%"))
    }
}

/// Why a run was stopped before it changed anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Tripped {
    /// More deletions than allowed.
    #[error(
        "this run would delete {deletions} of {files} files, more than --max-delete {allowed} \
         allows ({limit}); nothing was changed"
    )]
    TooManyDeletions {
        /// What the plan would delete.
        deletions: u64,
        /// How many files the state lists.
        files: u64,
        /// The setting.
        allowed: MaxDelete,
        /// What it comes to here.
        limit: u64,
    },
    /// The destination is gone or empty though files were written there.
    #[error(
        "{location} is gone or empty, but {files} files were written there before; \
         is a disk not mounted?"
    )]
    Emptied {
        /// The destination.
        location: String,
        /// How many files the state lists.
        files: u64,
    },
    /// The destination bears another mark than the one in state.
    #[error("{location} is not the folder that was written before: its mark is another one's")]
    Swapped {
        /// The destination.
        location: String,
    },
    /// The destination holds another vault.
    #[error("{location} already holds a copy of another vault (id {vault})")]
    OtherVault {
        /// The destination.
        location: String,
        /// That vault's id.
        vault: String,
    },
}

/// Checks the number of deletions.
///
/// # Errors
/// [`Tripped::TooManyDeletions`].
pub fn check_deletions(deletions: u64, files: u64, allowed: MaxDelete) -> Result<(), Tripped> {
    let limit = allowed.limit(files);
    if deletions > limit {
        return Err(Tripped::TooManyDeletions {
            deletions,
            files,
            allowed,
            limit,
        });
    }
    Ok(())
}

/// What is known of a destination before a run touches it.
#[derive(Debug, Clone)]
pub struct Destination<'a> {
    /// For people.
    pub location: String,
    /// The mark that it bears.
    pub mark: Option<String>,
    /// Whether nothing but the mark is there.
    pub empty: bool,
    /// The mark that the state expects.
    pub expected: Option<&'a str>,
    /// How many files the state lists.
    pub files: u64,
}

/// Checks that the destination is the one that the state speaks of.
///
/// # Errors
/// The way in which it is not.
pub fn check_destination(vault: &VaultId, at: &Destination<'_>) -> Result<(), Tripped> {
    let location = || at.location.clone();
    if let Some(other) = at.mark.as_deref().and_then(marked_vault)
        && other != vault.as_str()
    {
        return Err(Tripped::OtherVault {
            location: location(),
            vault: other.to_owned(),
        });
    }
    if at.expected.is_none() {
        return Ok(());
    }
    if at.files > 0 && (at.empty || at.mark.is_none()) {
        return Err(Tripped::Emptied {
            location: location(),
            files: at.files,
        });
    }
    if at.mark.is_some() && at.mark.as_deref() != at.expected {
        return Err(Tripped::Swapped {
            location: location(),
        });
    }
    Ok(())
}

/// A new mark for a destination of this vault.
pub fn new_mark(vault: &VaultId) -> String {
    format!("{}/{:032x}", vault, rand::random::<u128>())
}

fn marked_vault(mark: &str) -> Option<&str> {
    mark.rsplit_once('/').map(|(vault, _)| vault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        for (setting, files, limit) in [
            ("50%", 1000, 500),
            ("50%", 10, 20),
            ("0%", 1000, 20),
            ("100%", 30, 30),
            ("3", 1000, 3),
            ("0", 1000, 0),
        ] {
            assert_eq!(
                setting.parse::<MaxDelete>().unwrap().limit(files),
                limit,
                "{setting}"
            );
        }
        for bad in ["", "x", "-1", "101%", "%", "5 files"] {
            assert!(bad.parse::<MaxDelete>().is_err(), "{bad}");
        }
    }

    #[test]
    fn deletions_at_the_limit_pass() {
        assert!(check_deletions(20, 10, MaxDelete::default()).is_ok());
        assert!(check_deletions(21, 10, MaxDelete::default()).is_err());
    }

    #[test]
    fn destinations() {
        let vault = VaultId::new("v1");
        let check = |mark: Option<&str>, empty, expected, files| {
            let at = Destination {
                location: "/x".into(),
                mark: mark.map(str::to_owned),
                empty,
                expected,
                files,
            };
            check_destination(&vault, &at)
        };
        assert_eq!(check(None, true, None, 0), Ok(()), "a new destination");
        assert_eq!(
            check(None, false, None, 0),
            Ok(()),
            "a folder with files of the user's"
        );
        assert_eq!(
            check(Some("v1/a"), false, Some("v1/a"), 5),
            Ok(()),
            "the usual case"
        );
        assert_eq!(
            check(Some("v1/a"), false, None, 0),
            Ok(()),
            "a state that was reset"
        );
        assert_eq!(
            check(None, true, Some("v1/a"), 0),
            Ok(()),
            "nothing was written yet"
        );
        let tripped = |result: Result<(), Tripped>| result.unwrap_err();
        assert!(matches!(
            tripped(check(None, true, Some("v1/a"), 5)),
            Tripped::Emptied { .. }
        ));
        assert!(matches!(
            tripped(check(None, false, Some("v1/a"), 5)),
            Tripped::Emptied { .. }
        ));
        let cleaned = check(Some("v1/a"), true, Some("v1/a"), 5);
        assert!(matches!(tripped(cleaned), Tripped::Emptied { .. }));
        let swapped = check(Some("v1/b"), false, Some("v1/a"), 5);
        assert!(matches!(tripped(swapped), Tripped::Swapped { .. }));
        let other = check(Some("v2/b"), false, None, 0);
        assert!(matches!(tripped(other), Tripped::OtherVault { .. }));
        assert_ne!(new_mark(&vault), new_mark(&vault));
        assert_eq!(marked_vault(&new_mark(&vault)), Some("v1"));
    }
}
