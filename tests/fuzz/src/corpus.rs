//! The kept inputs: one folder a target, one file an input.

use std::fs;
use std::io;
use std::path::PathBuf;

/// The inputs of one target.
#[derive(Debug)]
pub struct Corpus {
    folder: PathBuf,
    /// The inputs, in the order of their files' names.
    pub inputs: Vec<Vec<u8>>,
}

impl Corpus {
    /// Reads a target's inputs.
    ///
    /// # Errors
    /// When there are none: a target without examples finds nothing.
    pub fn of(target: &str) -> io::Result<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(target);
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<_>>()?;
        files.sort();
        let inputs: Vec<Vec<u8>> = files.iter().map(fs::read).collect::<io::Result<_>>()?;
        if inputs.is_empty() {
            let message = format!("{} holds no input", folder.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(Self { folder, inputs })
    }

    /// A file in the corpus.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Keeps an input that failed.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn keep(&self, input: &[u8]) -> io::Result<PathBuf> {
        let hash = obsidian_sync::ContentHash::of(input).to_hex();
        let file = self.folder.join(format!("failed-{}", &hash[..12]));
        fs::write(&file, input)?;
        Ok(file)
    }
}
