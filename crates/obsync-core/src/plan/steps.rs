//! A plan in words: what `--dry-run` shows.

use serde::Serialize;

use super::{Clear, Mode, Over, Plan};
use crate::path::VaultPath;

/// One thing that a run will do, for people and for JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `download`, `move`, `copy`, `delete`, `keep`, `set-aside`, `create-folder`,
    /// `delete-folder` or `skip`.
    pub action: &'static str,
    /// The path it happens to, as the service has it.
    pub path: String,
    /// Where content comes from, for `move` and `copy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Plaintext bytes to fetch, for `download`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Plan {
    /// The plan's steps in the order in which they would be applied.
    pub fn steps(&self, mode: Mode) -> Vec<Step> {
        let step = |action, path: &VaultPath| Step {
            action,
            path: path.as_str().to_owned(),
            from: None,
            bytes: None,
            note: None,
        };
        let over = |over: &Over| match (over, mode) {
            (Over::Local(_), Mode::Pull) => Some("keeps your text as a conflicted copy".to_owned()),
            (Over::Local(_), Mode::Mirror) => Some("replaces your text".to_owned()),
            _ => None,
        };
        let mut steps = Vec::new();
        for item in &self.list {
            steps.push(Step {
                action: "skip",
                path: item.name.clone(),
                from: None,
                bytes: None,
                note: Some(item.message.clone()),
            });
        }
        for (path, _) in &self.kept {
            let note = Some("deleted in the vault, but edited here".to_owned());
            steps.push(Step {
                note,
                ..step("keep", path)
            });
        }
        for clear in &self.clear {
            steps.push(match clear {
                Clear::File(removal) => step("delete", &removal.path),
                Clear::Folder(path, _) => step("delete-folder", path),
                Clear::SetAside(path, _) => step("set-aside", path),
            });
        }
        steps.extend(
            self.folders
                .iter()
                .map(|(path, _)| step("create-folder", path)),
        );
        for reuse in &self.reuse {
            let action = if reuse.moved_by.is_some() {
                "move"
            } else {
                "copy"
            };
            steps.push(Step {
                from: Some(reuse.from.as_str().to_owned()),
                note: over(&reuse.target.over),
                ..step(action, &reuse.target.path)
            });
        }
        for download in &self.downloads {
            let target = &download.target;
            steps.push(Step {
                bytes: Some(target.size()),
                note: over(&target.over),
                ..step("download", &target.path)
            });
            for also in &download.also {
                steps.push(Step {
                    from: Some(target.path.as_str().to_owned()),
                    note: over(&also.over),
                    ..step("copy", &also.path)
                });
            }
        }
        steps.extend(
            self.removals
                .iter()
                .map(|removal| step("delete", &removal.path)),
        );
        steps.extend(
            self.folder_removals
                .iter()
                .map(|(path, _)| step("delete-folder", path)),
        );
        steps
    }
}
