//! Files that hold nothing but one secret.

use std::io::Read;
use std::path::Path;

use obsidian_sync::Password;
use zeroize::Zeroizing;

use crate::error::{ConfigError, ConfigErrorKind};
use crate::origin::{Origin, Sourced};

/// No password is longer; a larger file is a mistake.
const MOST: u64 = 64 * 1024;

/// Reads the secret in a file; `named_by` is the variable or flag that names it.
///
/// # Errors
/// When the file can't be read, is empty, or is no text.
pub(crate) fn read(path: &Path, named_by: &str) -> Result<Sourced<Password>, ConfigError> {
    let what = || format!("the file {} that {named_by} names", path.display());
    let unreadable = |error| {
        ConfigError::new(
            ConfigErrorKind::Unreadable,
            format!("can't read {}", what()),
        )
        .with_source(error)
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let secret = read_from(file, &what()).map_err(|fault| match fault {
        Fault::Read(error) => unreadable(error),
        Fault::Content(error) => error,
    })?;
    Ok(Sourced::new(
        secret,
        Origin::Content {
            path: path.to_owned(),
            named_by: named_by.to_owned(),
        },
    ))
}

/// Reads the secret that is all of an input.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_stdin(input: impl Read) -> Result<Sourced<Password>, ConfigError> {
    let secret = read_from(input, "standard input").map_err(|fault| match fault {
        Fault::Read(error) => {
            ConfigError::new(ConfigErrorKind::Unreadable, "can't read standard input")
                .with_source(error)
        }
        Fault::Content(error) => error,
    })?;
    Ok(Sourced::new(secret, Origin::Stdin))
}

enum Fault {
    Read(std::io::Error),
    Content(ConfigError),
}

/// One line end at the end is the editor's, not the secret's; everything else counts.
fn read_from(input: impl Read, what: &str) -> Result<Password, Fault> {
    // Large enough from the start: what a vector outgrows is not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST as usize + 1));
    input
        .take(MOST + 1)
        .read_to_end(&mut bytes)
        .map_err(Fault::Read)?;
    let content = |fault| Fault::Content(ConfigError::invalid(format!("{what} {fault}")));
    if bytes.len() as u64 > MOST {
        return Err(content("is too large to be a secret"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| content("is not text (UTF-8)"))?;
    let secret = text.strip_suffix('\n').unwrap_or(text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() {
        return Err(content("is empty"));
    }
    Ok(Password::new(secret))
}

/// Whether other users of this machine can read a file.
#[cfg(unix)]
pub(crate) fn others_can_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o044 != 0)
}

/// Elsewhere permissions are lists that we do not judge.
#[cfg(not(unix))]
pub(crate) fn others_can_read(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_not_part_of_the_secret() {
        for (content, secret) in [
            ("pass word", "pass word"),
            ("pass\n", "pass"),
            ("pass\r\n", "pass"),
            (" pass \n\n", " pass \n"),
        ] {
            assert_eq!(
                read_stdin(content.as_bytes()).unwrap().value.expose(),
                secret
            );
        }
    }

    #[test]
    fn what_can_be_no_secret_is_refused() {
        let large = vec![b'a'; 70_000];
        for (content, complaint) in [
            (&b"\n"[..], "standard input is empty"),
            (b"\xff", "standard input is not text (UTF-8)"),
            (&large, "standard input is too large to be a secret"),
        ] {
            assert_eq!(read_stdin(content).unwrap_err().to_string(), complaint);
        }
    }
}
