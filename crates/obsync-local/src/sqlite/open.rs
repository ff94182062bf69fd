//! Opening the database: creating and migrating it, and refusing what can't be worked on.

use std::fs::{self, Metadata};
use std::path::Path;
use std::time::Duration;

use obsync_core::{StoreError, StoreErrorKind};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::Context as _;
use crate::paths::{About, StatePaths};
use crate::private;

/// "obsy": tells our databases from others.
const APPLICATION_ID: i64 = 0x6f62_7379;

/// Each step brings a database from the version that is its index to the next. Steps that were
/// released are never changed.
const MIGRATIONS: &[&str] = &[include_str!("migrations/001-first.sql")];

/// The version that this obsync writes.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// How long to wait for another program that has the database open, a backup say.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the database for a run. The caller holds the lock.
pub(super) fn to_write(paths: &StatePaths, about: &About) -> Result<Connection, StoreError> {
    let deed = || format!("can't open the sync state {}", paths.db.display());
    if !paths.db.exists() {
        // SQLite would let others read it.
        private::open(&paths.db).context(deed)?;
        if let Some(folder) = paths.db.parent() {
            fs::File::open(folder)
                .and_then(|folder| folder.sync_all())
                .context(deed)?;
        }
    }
    let crashed = paths.side_files()[0]
        .metadata()
        .is_ok_and(|wal| wal.len() > 0);
    let fail = |error| failed(paths, Some(about), error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&paths.db, flags).map_err(fail)?;
    let version = prepare(&mut connection, about).map_err(fail)?;
    check_version(paths, Some(about), version)?;
    if crashed {
        let found: String = connection
            .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
            .map_err(fail)?;
        if found != "ok" {
            return Err(damaged(paths, Some(about), &found));
        }
    }
    let found = super::read::about(&connection).map_err(fail)?;
    if (&found.vault_id, &found.destination) != (&about.vault_id, &about.destination) {
        let reason = format!(
            "the sync state {} is of vault {} in {}, not of {} in {}; {}",
            paths.db.display(),
            found.vault_id,
            found.destination,
            about.vault_id,
            about.destination,
            way_out(Some(about)),
        );
        return Err(StoreError::new(StoreErrorKind::Unusable, reason));
    }
    if found.vault_name != about.vault_name {
        // People look for it by the name that it has now.
        connection
            .execute("UPDATE about SET vault_name = ?", [&about.vault_name])
            .map_err(fail)?;
    }
    Ok(connection)
}

/// Whose a database is, and of which version.
#[derive(Clone, Copy)]
enum Version {
    Known,
    Newer(i64),
    Foreign,
}

/// Creates the tables where they are missing, and migrates. Nothing is written to a database that
/// is up to date.
fn prepare(connection: &mut Connection, about: &About) -> rusqlite::Result<Version> {
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let found = match version(connection)? {
        (0, 0) if is_blank(connection)? => 0,
        (APPLICATION_ID, found) => match usize::try_from(found) {
            Ok(found) if found <= VERSION => found,
            _ => return Ok(Version::Newer(found)),
        },
        _ => return Ok(Version::Foreign),
    };
    if found == VERSION {
        return Ok(Version::Known);
    }
    if found == 0 {
        // Kept in the file, so this is for the first time only.
        connection.pragma_update(None, "journal_mode", "WAL")?;
    }
    let transaction = connection.transaction()?;
    for step in &MIGRATIONS[found..] {
        transaction.execute_batch(step)?;
    }
    if found == 0 {
        transaction.execute(
            "INSERT INTO about VALUES (?, ?, ?)",
            [&about.vault_id, &about.vault_name, &about.destination],
        )?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    transaction.pragma_update(None, "user_version", VERSION as i64)?;
    transaction.commit()?;
    Ok(Version::Known)
}

fn version(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

fn is_blank(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| {
        row.get(0)
    })
}

fn check_version(
    paths: &StatePaths,
    about: Option<&About>,
    version: Version,
) -> Result<(), StoreError> {
    let reason = match version {
        Version::Known => return Ok(()),
        Version::Newer(found) => format!(
            "the sync state {} was written by a newer obsync (version {found}, this one knows \
             {VERSION}): update this one; or, {}",
            paths.db.display(),
            way_out(about)
        ),
        Version::Foreign => {
            format!(
                "{} is no sync state of obsync; {}",
                paths.db.display(),
                way_out(about)
            )
        }
    };
    Err(StoreError::new(StoreErrorKind::Unusable, reason))
}

/// Runs a query without the lock; `None` where there is no database. Nothing is created.
///
/// A database whose last run has ended has no `-wal`. Then it is read as immutable: SQLite would
/// otherwise create side files. Should a run begin meanwhile, the answer is thrown away.
pub(super) fn to_read<T>(
    paths: &StatePaths,
    query: impl Fn(&Connection) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    let wal = &paths.side_files()[0];
    let state = || paths.db.metadata().ok().map(|db| look(&db));
    for _ in 0..10 {
        let Some(before) = state() else {
            return Ok(None);
        };
        let quiet = !wal.exists();
        let answer = read_once(paths, quiet, &query);
        if !quiet || (!wal.exists() && state() == Some(before)) {
            return answer;
        }
    }
    let reason = format!("the sync state {} is in use; try again", paths.db.display());
    Err(StoreError::new(StoreErrorKind::Busy, reason))
}

fn look(db: &Metadata) -> (u64, Option<std::time::SystemTime>) {
    (db.len(), db.modified().ok())
}

fn read_once<T>(
    paths: &StatePaths,
    quiet: bool,
    query: impl Fn(&Connection) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    let fail = |error| failed(paths, None, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(&paths.db, quiet), flags).map_err(fail)?;
    connection.busy_timeout(PATIENCE).map_err(fail)?;
    let found = match version(&connection).map_err(fail)? {
        // A run is creating it this moment.
        (0, 0) if is_blank(&connection).map_err(fail)? => return Ok(None),
        (APPLICATION_ID, found) if found == VERSION as i64 => Version::Known,
        (APPLICATION_ID, found) if found > VERSION as i64 => Version::Newer(found),
        (APPLICATION_ID, found) => {
            let reason = format!(
                "the sync state {} is of an older obsync (version {found}); the next sync brings \
                 it up to date",
                paths.db.display()
            );
            return Err(StoreError::new(StoreErrorKind::Unusable, reason));
        }
        _ => Version::Foreign,
    };
    check_version(paths, None, found)?;
    query(&connection).map(Some).map_err(fail)
}

fn uri(path: &Path, immutable: bool) -> String {
    use std::fmt::Write as _;
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte));
            }
            byte => write!(uri, "%{byte:02x}").expect("a string takes any text"),
        }
    }
    if immutable {
        uri.push_str("?immutable=1");
    }
    uri
}

/// What an error of SQLite's means to the caller.
pub(super) fn failed(
    paths: &StatePaths,
    about: Option<&About>,
    error: rusqlite::Error,
) -> StoreError {
    use StoreErrorKind as K;
    let db = paths.db.display();
    let (kind, reason) = match &error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                return damaged(paths, about, &error.to_string()).with_source(error);
            }
            ErrorCode::DiskFull => (K::Full, "no space is left".to_owned()),
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => {
                (K::Denied, error.to_string())
            }
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
                (K::Busy, "another program has it open".to_owned())
            }
            // "No such table", say: the version promised one.
            ErrorCode::Unknown => {
                return damaged(paths, about, &error.to_string()).with_source(error);
            }
            _ => (K::Other, error.to_string()),
        },
        // Values that no obsync wrote.
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::QueryReturnedNoRows => {
            return damaged(paths, about, &error.to_string()).with_source(error);
        }
        _ => (K::Other, error.to_string()),
    };
    StoreError::new(kind, format!("the sync state {db} can't be used: {reason}")).with_source(error)
}

fn damaged(paths: &StatePaths, about: Option<&About>, reason: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unusable,
        format!(
            "the sync state {} is damaged ({reason}); {}",
            paths.db.display(),
            way_out(about)
        ),
    )
}

/// A text as one word of a shell's command.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

fn way_out(about: Option<&About>) -> String {
    let (vault, destination) = match about {
        Some(about) => (shell_word(&about.vault_id), shell_word(&about.destination)),
        None => ("VAULT".to_owned(), "DIR".to_owned()),
    };
    format!(
        "the copied files are safe: `obsync reset {vault} --dest {destination}` forgets the state, \
         and the next sync compares the files with the vault"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_can_be_pasted() {
        for (destination, word) in [
            ("/srv/notes", "/srv/notes"),
            ("/home/me/My vault", "'/home/me/My vault'"),
            ("/it's; rm -rf", r"'/it'\''s; rm -rf'"),
            ("", "''"),
        ] {
            let about = About {
                vault_id: "0a1b".to_owned(),
                vault_name: String::new(),
                destination: destination.to_owned(),
            };
            let told = way_out(Some(&about));
            assert!(
                told.contains(&format!("`obsync reset 0a1b --dest {word}`")),
                "{told}"
            );
        }
    }
}
