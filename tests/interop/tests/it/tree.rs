//! What lies in a folder: made up, written, read back, compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use obsidian_sync::crypto::VaultCipher;
use obsidian_sync::{ContentHash, EncodedName, EncryptionVersion};

use obsync_interop::Outcome;

const PIECE: usize = 2 * 1024 * 1024;
/// What encryption adds.
const SEAL: usize = 28;
/// obsync's own folder at a destination.
const OWN: &str = ".obsync";

/// What [`Tree::change`] edits, deletes with all below it, and renames.
pub(crate) const EDITED: &str = "Welcome.md";
pub(crate) const DELETED: &str = "Größe é";
pub(crate) const RENAMED: (&str, &str) = ("with spaces", "日本語/renamed");

/// Files, each with its content and time, and folders.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) files: BTreeMap<String, (Vec<u8>, u64)>,
    pub(crate) folders: BTreeSet<String>,
}

impl Tree {
    /// Everything that is odd and yet synced: names, sizes, types, config files. With a cipher of
    /// version 2 or 3, also a name and a content hash whose counters wrap.
    pub(crate) fn sample(cipher: &VaultCipher) -> Self {
        let mut tree = Self::default();
        for (path, text) in [
            ("Welcome.md", "# Welcome\n"),
            ("with spaces/and  two.md", "spaces\n"),
            ("with spaces/deep/er/note.md", "deep\n"),
            ("日本語/ノート.md", "こんにちは\n"),
            ("Größe é/Übersicht.md", "naïve\r\nCRLF\r\n"),
            ("🚀 emoji 👩‍🚀.md", "🚀\n"),
            ("it's \"quoted\" & 100% #1 [x] (y).md", "punctuation\n"),
            ("empty.md", ""),
            ("empty.png", ""),
            ("twice.md", "# Welcome\n"),
            ("byte-order mark.md", "\u{feff}BOM\n"),
            ("board.canvas", "{}"),
            ("table.base", "views: []\n"),
            ("without extension", "plain\n"),
            ("UPPER.MD", "case of the extension\n"),
            (".obsidian/app.json", "{\"alwaysUpdateLinks\": true}"),
            (".obsidian/appearance.json", "{}"),
            (".obsidian/hotkeys.json", "{ }"),
            (".obsidian/core-plugins.json", "[]"),
            (".obsidian/graph.json", "{\"scale\": 1}"),
            (".obsidian/community-plugins.json", "[\"demo\"]"),
            (".obsidian/plugins/demo/manifest.json", "{\"id\": \"demo\"}"),
            (".obsidian/plugins/demo/main.js", "/* demo */"),
            (".obsidian/themes/Plain/theme.css", "body {}"),
            (".obsidian/snippets/wide.css", "p {}"),
        ] {
            tree.add(path, text.as_bytes().to_vec());
        }
        tree.add("Attachments/image.png", noise(1, 70_000));
        tree.add("Attachments/sound.webm", noise(2, 3_000));
        tree.add("Attachments/paper.pdf", noise(3, 40_001));
        tree.add("Attachments/one whole piece.bin", noise(4, PIECE - SEAL));
        tree.add("Attachments/one byte more.bin", noise(5, PIECE - SEAL + 1));
        tree.add("Attachments/five MiB.bin", noise(6, 5 * 1024 * 1024));
        tree.add_folder("empty folder/inside");
        if cipher.version() != EncryptionVersion::V0 {
            let name = |n: u32| format!("Notes/wrap {n} {}.md", "abcdefgh".repeat(24));
            let path = first(name, |name| wraps(&cipher.encode_name(name)));
            tree.add(&path, b"the counter of its name wraps\n".to_vec());
            let hash = |text: &str| cipher.encode_hash(Some(ContentHash::of(text.as_bytes())));
            let text = first(|n| format!("wrap {n}\n"), |text| wraps(&hash(text)));
            tree.add("Notes/wrapping hash.md", text.into_bytes());
        }
        tree
    }

    /// Adds a file, with the folders above it and a time of its own.
    pub(crate) fn add(&mut self, path: &str, content: Vec<u8>) {
        // Odd milliseconds, and none twice.
        let mtime = 1_600_000_000_123 + self.files.len() as u64 * 86_400_789;
        self.files.insert(path.to_owned(), (content, mtime));
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.add_folder(folder);
        }
    }

    fn add_folder(&mut self, path: &str) {
        let above = path
            .match_indices('/')
            .map(|(end, _)| path[..end].to_owned());
        self.folders.extend(above);
        self.folders.insert(path.to_owned());
    }

    /// Edits a file, deletes a folder and renames one.
    pub(crate) fn change(&mut self) {
        self.add(EDITED, b"# Welcome\n\nEdited.\n".to_vec());
        let within = |path: &str, folder| {
            path.strip_prefix(folder)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let moved = |path: String| match path.strip_prefix(RENAMED.0) {
            Some(rest) if within(&path, RENAMED.0) => format!("{}{rest}", RENAMED.1),
            _ => path,
        };
        let files = std::mem::take(&mut self.files).into_iter();
        let files = files.filter(|(path, _)| !within(path, DELETED));
        self.files = files.map(|(path, file)| (moved(path), file)).collect();
        let folders = std::mem::take(&mut self.folders).into_iter();
        self.folders = folders
            .filter(|path| !within(path, DELETED))
            .map(moved)
            .collect();
    }

    /// How many files there are.
    pub(crate) fn len(&self) -> u64 {
        self.files.len() as u64
    }

    /// Writes everything below a folder.
    ///
    /// # Errors
    /// Where the disk fails.
    pub(crate) fn write(&self, root: &Path) -> Outcome<()> {
        for folder in &self.folders {
            fs::create_dir_all(root.join(folder))?;
        }
        self.files
            .keys()
            .try_for_each(|path| self.write_file(root, path))
    }

    /// Writes one of the files, whose folder must be there.
    ///
    /// # Errors
    /// Where the disk fails.
    pub(crate) fn write_file(&self, root: &Path, path: &str) -> Outcome<()> {
        let (content, mtime) = &self.files[path];
        fs::write(root.join(path), content)?;
        let modified = UNIX_EPOCH + Duration::from_millis(*mtime);
        let file = File::options().write(true).open(root.join(path))?;
        file.set_times(FileTimes::new().set_modified(modified))?;
        Ok(())
    }

    /// Reads what is below a folder, apart from obsync's own.
    ///
    /// # Errors
    /// Where the disk fails, a name is not UTF-8, or something is neither file nor folder.
    pub(crate) fn read(root: &Path) -> Outcome<Self> {
        let mut tree = Self::default();
        tree.read_below(root, "")?;
        Ok(tree)
    }

    fn read_below(&mut self, folder: &Path, prefix: &str) -> Outcome<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry
                .file_name()
                .into_string()
                .map_err(|name| format!("{name:?}"))?;
            let path = format!("{prefix}{name}");
            let metadata = entry.metadata()?;
            if path == OWN {
                continue;
            } else if metadata.is_dir() {
                self.read_below(&entry.path(), &format!("{path}/"))?;
                self.folders.insert(path);
            } else if metadata.is_file() {
                let modified = metadata.modified()?.duration_since(UNIX_EPOCH)?;
                // Node sets times through a fraction of a second, up to a microsecond too early.
                let mtime = u64::try_from((modified.as_micros() + 500) / 1000)?;
                self.files.insert(path, (fs::read(entry.path())?, mtime));
            } else {
                return Err(format!("{path:?} is neither a file nor a folder").into());
            }
        }
        Ok(())
    }

    /// Compares with what was expected.
    ///
    /// # Errors
    /// Where anything differs: the paths and how, not the content.
    pub(crate) fn expect(&self, who: &str, expected: &Self) -> Outcome<()> {
        let mut wrong = Vec::new();
        for (path, (content, mtime)) in &expected.files {
            match self.files.get(path) {
                None => wrong.push(format!("{path:?} is missing")),
                Some((found, _)) if found != content => wrong.push(format!(
                    "{path:?} has {} bytes that are not the {} it should have",
                    found.len(),
                    content.len()
                )),
                Some((_, found)) if found != mtime => {
                    wrong.push(format!("{path:?} is of {found} ms, not of {mtime} ms"));
                }
                Some(_) => {}
            }
        }
        let extra = self
            .files
            .keys()
            .filter(|path| !expected.files.contains_key(*path));
        wrong.extend(extra.map(|path| format!("{path:?} should not be there")));
        let folders = self.folders.symmetric_difference(&expected.folders);
        wrong.extend(folders.map(|path| format!("the folder {path:?} is only on one side")));
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(format!("{who} has something else:\n  {}", wrong.join("\n  ")).into())
        }
    }
}

/// The first made-up text that is as wanted.
fn first(make: impl Fn(u32) -> String, wanted: impl Fn(&str) -> bool) -> String {
    (0..)
        .map(make)
        .find(|text| wanted(text))
        .expect("one in some ten thousand is")
}

/// Whether the 16-bit counter wraps in this AES-SIV text: it starts from the last two bytes of the
/// 16-byte SIV, and counts up once per block after the first.
fn wraps(encoded: &EncodedName) -> bool {
    let (siv, text) = encoded.as_str().split_at(32);
    let start = usize::from_str_radix(&siv[28..], 16).expect("it is hex");
    start + (text.len() / 2).div_ceil(16) > 0x1_0000
}

/// Bytes that do not compress, the same for the same seed (xorshift64).
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

#[test]
fn wrapping_is_told_from_not_wrapping() {
    let encoded = |start: &str, len| EncodedName::new(format!("{start:0>32}{}", "00".repeat(len)));
    assert!(wraps(&encoded("ffff", 17)));
    assert!(!wraps(&encoded("ffff", 16)));
    assert!(wraps(&encoded("fff0", 257)));
    assert!(!wraps(&encoded("fff0", 256)));
}
