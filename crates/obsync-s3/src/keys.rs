//! Names as keys: byte for byte, or refused.

use object_store::path::Path;
use obsync_core::{PathProblem, VaultPath};

/// The longest key that S3 takes, in bytes.
const LONGEST: usize = 1024;
/// Ours, below a vault's prefix: the mark and the trash. A dot-folder, so that no record may name it.
pub(crate) const OWN_FOLDER: &str = ".obsync/";
/// The user's ignore file at a vault's root.
pub(crate) const IGNORE_FILE: &str = ".obsyncignore";

/// The key of a path below a prefix.
pub(crate) fn key(prefix: &str, path: &VaultPath) -> Result<Path, PathProblem> {
    let text = path.as_str();
    if text == IGNORE_FILE
        || text.starts_with(OWN_FOLDER)
        || text == OWN_FOLDER.trim_end_matches('/')
    {
        return Err(unholdable("obsync keeps this name for itself"));
    }
    exact(&format!("{prefix}{text}"))
}

/// This text as a key, byte for byte.
pub(crate) fn exact(text: &str) -> Result<Path, PathProblem> {
    if text.len() > LONGEST {
        return Err(unholdable("as an S3 key it is longer than 1024 bytes"));
    }
    let key =
        Path::parse(text).map_err(|_| unholdable("an S3 key can't hold its control characters"))?;
    if key.as_ref() != text {
        return Err(unholdable("S3 would hold it under another name"));
    }
    Ok(key)
}

fn unholdable(reason: &str) -> PathProblem {
    PathProblem::Unholdable(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> VaultPath {
        VaultPath::parse(text).unwrap()
    }

    #[test]
    fn what_s3_can_not_hold_is_refused() {
        let long = "x".repeat(1021);
        for name in [
            "a\nb",
            "\u{1b}[0m",
            "tab\t",
            &long,
            ".obsync/id.json",
            ".obsync",
            ".obsyncignore",
        ] {
            let refused = key("p/v/", &path(name));
            assert!(
                matches!(refused, Err(PathProblem::Unholdable(_))),
                "{name:?}"
            );
        }
        assert!(key("", &path(&"x".repeat(1024))).is_ok());
        assert!(key("p/v/", &path("a/.obsync/b")).is_ok());
    }

    proptest! {
        #[test]
        fn a_key_is_the_prefix_and_the_path_byte_for_byte(name in "\\PC{1,40}|[%a-z/ .+&=?#~\\\\]{1,20}") {
            if let Ok(path) = VaultPath::parse(&name)
                && let Ok(key) = key("vaults/My vault/", &path)
            {
                prop_assert_eq!(key.as_ref(), format!("vaults/My vault/{name}"));
            }
        }
    }
}
