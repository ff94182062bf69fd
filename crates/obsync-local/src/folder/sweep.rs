//! Clearing what a crashed run left staged.

use std::io::Read as _;

use obsync_core::{StoreError, VaultPath};
use rustix::fs::{AtFlags, Dir, unlinkat};
use rustix::io::Errno;

use super::Inner;
use super::inspect::Parent;
use super::names::BESIDE;
use super::stage::NOTE;
use crate::error::Context as _;

impl Inner {
    /// Clears all in `tmp`, and what notes there say waits elsewhere.
    pub(super) fn sweep(&self) -> Result<(), StoreError> {
        let deed = || format!("can't clear {}", self.path.join(Self::tmp_path()).display());
        let Some(root) = self.root()? else {
            return Ok(());
        };
        let tmp = match root.folder(&Self::tmp_path()) {
            Ok(tmp) => tmp,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error).context(deed),
        };
        let mut left = Vec::new();
        for entry in Dir::read_from(&tmp).context(deed)? {
            // All names that we give are text.
            if let Ok(name) = entry.context(deed)?.file_name().to_str() {
                left.push(name.to_owned());
            }
        }
        left.retain(|name| !matches!(name.as_str(), "." | ".."));
        for name in &left {
            if let Some(stem) = name.strip_suffix(NOTE) {
                self.sweep_beside(stem, name)?;
            }
            match unlinkat(&tmp, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error).context(deed),
            }
        }
        Ok(())
    }

    /// Clears the one file that a note names. A note that makes no sense names none.
    fn sweep_beside(&self, stem: &str, note: &str) -> Result<(), StoreError> {
        let deed = || format!("can't clear what {note} names");
        let Ok(note) = VaultPath::parse(&format!("{}/{note}", Self::tmp_path())) else {
            return Ok(());
        };
        let Some((file, _)) = self.open_file(&note)? else {
            return Ok(());
        };
        let mut folder = Vec::new();
        file.take(1 << 16).read_to_end(&mut folder).context(deed)?;
        let beside = match String::from_utf8(folder).as_deref() {
            Ok("") => format!("{BESIDE}{stem}"),
            Ok(folder) => format!("{folder}/{BESIDE}{stem}"),
            Err(_) => return Ok(()),
        };
        let Ok(beside) = VaultPath::parse(&beside) else {
            return Ok(());
        };
        if let Parent::Open(folder, leaf) = self.parent(&beside)? {
            match unlinkat(&folder, leaf, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error).context(deed),
            }
        }
        Ok(())
    }
}
