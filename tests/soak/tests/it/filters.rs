//! Filters to choose from, and what each of them leaves out, said a second time.

use std::collections::BTreeSet;

use obsync_core::filter::{FileType, FilterSpec};

/// What the user wants synced: settings, and the ignore file at the destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// One of [`FILTERS`].
    pub(crate) filter: u8,
    /// One of [`IGNORES`].
    pub(crate) ignore: u8,
}

/// Why a name of the vault is not at the destination, if it can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Synced,
    /// Left out by the user.
    Hidden,
    /// Never written; every report names it.
    Refused,
}

/// How many filters there are.
pub(crate) const FILTERS: u8 = 5;

/// Texts of the ignore file.
pub(crate) const IGNORES: [&str; 3] = [
    "",
    "Private/\n*.zip\n",
    "# none of these\n*.canvas\n/a.md\n",
];

impl Rules {
    /// The settings.
    pub(crate) fn spec(self) -> FilterSpec {
        let all = FilterSpec::default();
        match self.filter {
            1 => FilterSpec {
                excluded_folders: vec!["Private".into()],
                ..all
            },
            2 => FilterSpec {
                file_types: [FileType::Image].into(),
                ..all
            },
            3 => FilterSpec {
                configs: BTreeSet::new(),
                exclude: vec!["d/e".into()],
                ..all
            },
            4 => FilterSpec {
                include: vec!["*.md".into(), "/d/e".into()],
                ..all
            },
            _ => all,
        }
    }

    /// What is to become of a name.
    pub(crate) fn seen(self, holds: fn(&str) -> bool, path: &str, folder: bool) -> Seen {
        let config = path == ".obsidian" && folder || path == ".obsidian/app.json" && !folder;
        let dots = path.split('/').any(|part| part.starts_with('.'));
        if dots && !config {
            return Seen::Refused;
        }
        let hidden = self.filtered(path, folder, config) || self.ignored(path, folder);
        if hidden {
            Seen::Hidden
        } else if holds(path) {
            Seen::Synced
        } else {
            Seen::Refused
        }
    }

    fn filtered(self, path: &str, folder: bool, config: bool) -> bool {
        let below = |dir: &str| path == dir || path.starts_with(&format!("{dir}/"));
        let note = [".md", ".canvas", ".base"]
            .iter()
            .any(|end| path.ends_with(end));
        match self.filter {
            1 => below("Private"),
            2 => !config && !folder && !note && !path.ends_with(".png"),
            3 => config || below("d/e"),
            4 => folder || !(path.split('/').any(|part| part.ends_with(".md")) || below("d/e")),
            _ => false,
        }
    }

    fn ignored(self, path: &str, folder: bool) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        // Of a file, its own name is no folder's.
        let folders = &parts[..parts.len() - usize::from(!folder)];
        match self.ignore {
            1 => folders.contains(&"Private") || parts.iter().any(|part| part.ends_with(".zip")),
            2 => parts[0] == "a.md" || parts.iter().any(|part| part.ends_with(".canvas")),
            _ => false,
        }
    }
}
