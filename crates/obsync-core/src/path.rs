//! [`VaultPath`]: a path of the vault, validated once, after decryption.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A file's or folder's path inside a vault: `/` between segments, relative, no way out.
///
/// What holds for every value: it is not empty; no segment is empty, `.` or `..`; it holds no NUL.
/// The text is the service's, byte for byte. Whether a given file system can hold it is the
/// store's question ([`crate::VaultStore::check_path`]). Clones share the text: records, plan and state
/// of a large vault name the same paths.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VaultPath(Arc<str>);

/// Why a name can't be a [`VaultPath`] or can't be held by a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathProblem {
    /// The name is empty.
    #[error("the name is empty")]
    Empty,
    /// The name starts with a separator.
    #[error("the name is absolute")]
    Absolute,
    /// Two separators follow each other, or one ends the name.
    #[error("the name has an empty segment")]
    EmptySegment,
    /// A segment is `.` or `..`.
    #[error("the name has a '.' or '..' segment")]
    DotSegment,
    /// The name holds a NUL.
    #[error("the name holds a NUL character")]
    Nul,
    /// The destination can't hold the name; the text says why.
    #[error("the destination can't hold the name: {0}")]
    Unholdable(String),
}

impl VaultPath {
    /// Validates a decrypted name.
    ///
    /// # Errors
    /// The first [`PathProblem`] found; never [`PathProblem::Unholdable`].
    pub fn parse(name: &str) -> Result<Self, PathProblem> {
        if name.is_empty() {
            return Err(PathProblem::Empty);
        }
        if name.starts_with('/') {
            return Err(PathProblem::Absolute);
        }
        if name.contains('\0') {
            return Err(PathProblem::Nul);
        }
        for segment in name.split('/') {
            match segment {
                "" => return Err(PathProblem::EmptySegment),
                "." | ".." => return Err(PathProblem::DotSegment),
                _ => {}
            }
        }
        Ok(Self(name.into()))
    }

    /// The text, byte for byte as the service has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments from the root down; never empty.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The folder that holds it; `None` at the root.
    pub fn parent(&self) -> Option<VaultPath> {
        self.0
            .rsplit_once('/')
            .map(|(parent, _)| Self(parent.into()))
    }

    /// All folders above it, the nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = VaultPath> {
        std::iter::successors(self.parent(), VaultPath::parent)
    }

    /// How many segments it has.
    pub fn depth(&self) -> usize {
        self.segments().count()
    }

    /// Whether it is `folder` or lies below it.
    pub fn is_within(&self, folder: &str) -> bool {
        self.0
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The lower-case extension of the last segment, no dot; empty when there is none.
    ///
    /// A leading dot does not start an extension.
    pub fn extension(&self) -> String {
        match self.file_name().rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => extension.to_lowercase(),
            _ => String::new(),
        }
    }

    /// The same folder with another last segment.
    ///
    /// # Errors
    /// As [`VaultPath::parse`], should `name` not be one plain segment.
    pub fn with_file_name(&self, name: &str) -> Result<VaultPath, PathProblem> {
        match self.parent() {
            Some(parent) => Self::parse(&format!("{parent}/{name}", parent = parent.as_str())),
            None => Self::parse(name),
        }
    }

    /// For people: control and format characters escaped, so that a name can't drive a terminal.
    pub fn display(&self) -> String {
        escape_name(&self.0)
    }
}

impl fmt::Debug for VaultPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

impl Serialize for VaultPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for VaultPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = VaultPath;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path of a vault")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<VaultPath, E> {
                VaultPath::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Escapes what [`obsidian_sync::misleads`]: what a terminal would act on, and what would hide.
pub fn escape_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if obsidian_sync::misleads(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_every_way_out() {
        for (name, problem) in [
            ("", PathProblem::Empty),
            ("/etc/passwd", PathProblem::Absolute),
            ("a//b", PathProblem::EmptySegment),
            ("a/", PathProblem::EmptySegment),
            ("..", PathProblem::DotSegment),
            ("a/../b", PathProblem::DotSegment),
            ("./a", PathProblem::DotSegment),
            ("a\0b", PathProblem::Nul),
        ] {
            assert_eq!(VaultPath::parse(name), Err(problem), "{name:?}");
        }
    }

    #[test]
    fn keeps_odd_but_harmless_names() {
        for name in [
            "..a",
            "a..",
            "...",
            " a ",
            "a\\b",
            "a\nb",
            "日本語/ノート.md",
            "a\u{a0}b",
        ] {
            assert_eq!(VaultPath::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn parts() {
        let path = VaultPath::parse("a/b/C.Tar.GZ").unwrap();
        assert_eq!(path.file_name(), "C.Tar.GZ");
        assert_eq!(path.extension(), "gz");
        assert_eq!(path.depth(), 3);
        let above: Vec<_> = path.ancestors().map(|p| p.as_str().to_owned()).collect();
        assert_eq!(above, ["a/b", "a"]);
        assert!(path.is_within("a/b") && path.is_within("a") && !path.is_within("a/bb"));
        assert!(!VaultPath::parse("ab").unwrap().is_within("a"));
        assert_eq!(VaultPath::parse(".obsidian").unwrap().extension(), "");
    }

    #[test]
    fn display_defuses_terminal_escapes() {
        let path = VaultPath::parse("a\u{1b}]0;x\u{7}\u{202e}b").unwrap();
        assert_eq!(path.display(), "a\\u{1b}]0;x\\u{7}\\u{202e}b");
        assert_eq!(
            escape_name("a\u{61c}\u{2065}\u{feff}"),
            "a\\u{61c}\\u{2065}\\u{feff}"
        );
    }

    proptest! {
        #[test]
        fn no_valid_path_leaves_its_root(name in "\\PC{0,40}|[./a\\\\]{0,12}") {
            if let Ok(path) = VaultPath::parse(&name) {
                prop_assert!(path.segments().all(|s| !s.is_empty() && s != "." && s != ".."));
                prop_assert!(!path.as_str().starts_with('/'));
                prop_assert_eq!(path.as_str(), name.as_str());
            }
        }
    }
}
