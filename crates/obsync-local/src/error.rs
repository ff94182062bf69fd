//! From the system's errors to [`StoreError`]: what happened, to what, and what kind it is.

use std::io;

use obsync_core::{StoreError, StoreErrorKind};
use rustix::io::Errno;

/// Says what was being done when a call failed.
pub(crate) trait Context<T> {
    /// Names the deed, as in "can't create 'a.md'". The reason is added.
    fn context(self, deed: impl FnOnce() -> String) -> Result<T, StoreError>;

    /// As [`Context::context`], for a call that was given a new name: some systems answer a name
    /// that they can't hold with "invalid argument".
    fn naming(self, deed: impl FnOnce() -> String) -> Result<T, StoreError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, deed: impl FnOnce() -> String) -> Result<T, StoreError> {
        self.map_err(|error| wrap(&deed(), error.into(), false))
    }

    fn naming(self, deed: impl FnOnce() -> String) -> Result<T, StoreError> {
        self.map_err(|error| wrap(&deed(), error.into(), true))
    }
}

fn wrap(deed: &str, error: io::Error, naming: bool) -> StoreError {
    let (kind, reason) = explain(&error, naming);
    let message = match reason {
        Some(reason) => format!("{deed}: {reason}"),
        None => format!("{deed}: {error}"),
    };
    StoreError::new(kind, message).with_source(error)
}

fn explain(error: &io::Error, naming: bool) -> (StoreErrorKind, Option<&'static str>) {
    use StoreErrorKind as K;
    let Some(errno) = Errno::from_io_error(error) else {
        return (K::Other, None);
    };
    match errno {
        Errno::NOSPC => (K::Full, Some("no space is left on the device")),
        Errno::DQUOT => (K::Full, Some("the disk quota is used up")),
        Errno::ACCESS | Errno::PERM => (K::Denied, Some("permission denied")),
        Errno::ROFS => (K::Denied, Some("the file system is read-only")),
        Errno::NAMETOOLONG => (K::Unholdable, Some("the name is too long here")),
        Errno::ILSEQ => (
            K::Unholdable,
            Some("the file system doesn't take this name"),
        ),
        Errno::INVAL if naming => (
            K::Unholdable,
            Some("the file system doesn't take this name"),
        ),
        Errno::NOTDIR | Errno::EXIST => (
            K::InTheWay,
            Some("something that is no folder stands in the way"),
        ),
        Errno::LOOP => (K::InTheWay, Some("a symbolic link stands in the way")),
        Errno::ISDIR => (K::InTheWay, Some("a folder stands in the way")),
        Errno::NOTEMPTY => (
            K::InTheWay,
            Some("a folder that is not empty stands in the way"),
        ),
        _ => (K::Other, None),
    }
}

/// "Look again": what is there is not what was expected.
pub(crate) fn changed(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Changed, message)
}

/// A file, a folder or a link stands where something else is needed.
pub(crate) fn in_the_way(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::InTheWay, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_reason() {
        use StoreErrorKind as K;
        for (errno, kind, naming_kind) in [
            (Errno::NOSPC, K::Full, K::Full),
            (Errno::DQUOT, K::Full, K::Full),
            (Errno::ACCESS, K::Denied, K::Denied),
            (Errno::PERM, K::Denied, K::Denied),
            (Errno::ROFS, K::Denied, K::Denied),
            (Errno::NAMETOOLONG, K::Unholdable, K::Unholdable),
            (Errno::INVAL, K::Other, K::Unholdable),
            (Errno::IO, K::Other, K::Other),
        ] {
            let failed = || Err::<(), _>(errno);
            assert_eq!(
                failed().context(String::new).unwrap_err().kind,
                kind,
                "{errno}"
            );
            assert_eq!(
                failed().naming(String::new).unwrap_err().kind,
                naming_kind,
                "{errno}"
            );
        }
        let error = Err::<(), _>(Errno::NOSPC).context(|| "can't write 'a'".to_owned());
        assert_eq!(
            error.unwrap_err().message,
            "can't write 'a': no space is left on the device"
        );
    }
}
