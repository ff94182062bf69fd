//! Queries.

use std::collections::HashMap;

use obsidian_sync::{ContentHash, Millis, Uid, VaultVersion};
use obsync_core::{
    Contents, Counts, Entry, FileEntry, FileMeta, Header, Stamp, Unapplied, UnappliedKind,
    VaultPath,
};
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, Error, Result, Row};

use crate::paths::About;

pub(super) fn about(connection: &Connection) -> Result<About> {
    connection.query_row(
        "SELECT vault_id, vault_name, destination FROM about",
        [],
        |row| {
            Ok(About {
                vault_id: row.get(0)?,
                vault_name: row.get(1)?,
                destination: row.get(2)?,
            })
        },
    )
}

pub(super) fn header(connection: &Connection) -> Result<Header> {
    let query = "SELECT cursor, highest, fingerprint, full_pending, destination FROM header";
    connection.query_row(query, [], |row| {
        Ok(Header {
            cursor: VaultVersion(number(row, 0)?),
            highest: Uid(number(row, 1)?),
            fingerprint: row.get(2)?,
            full_pending: row.get(3)?,
            destination: row.get(4)?,
        })
    })
}

pub(super) fn counts(connection: &Connection) -> Result<Counts> {
    connection.query_row("SELECT files, bytes FROM header", [], |row| {
        Ok(Counts {
            files: number(row, 0)?,
            bytes: number(row, 1)?,
        })
    })
}

pub(super) fn entries(connection: &Connection) -> Result<Contents> {
    let counts = counts(connection)?;
    let mut entries =
        HashMap::with_capacity(usize::try_from(counts.files).unwrap_or(0).min(1 << 20));
    let mut found = Counts::default();
    let mut statement =
        connection.prepare_cached("SELECT path, uid, hash, size, mtime, stamp FROM entries")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let uid = Uid(number(row, 1)?);
        let entry = match row.get_ref(2)?.as_blob_or_null()? {
            None => Entry::Folder { uid },
            Some(hash) => {
                let size = number(row, 3)?;
                found.files += 1;
                found.bytes = found.bytes.wrapping_add(size);
                let (mtime, stamp) = (Millis(row.get(4)?), Stamp(row.get(5)?));
                Entry::File(FileEntry {
                    uid,
                    hash: content_hash(hash, 2)?,
                    size,
                    mtime,
                    stamp,
                })
            }
        };
        if entries.insert(path(row, 0)?, entry).is_some() {
            return Err(bad(0, "one path twice".to_owned()));
        }
    }
    // Kept with every change: if they differ, entries were lost or came from nowhere.
    if found != counts {
        return Err(bad(
            0,
            format!("{found:?} where there should be {counts:?}"),
        ));
    }
    Ok(Contents { entries })
}

pub(super) fn intents(connection: &Connection) -> Result<Vec<(VaultPath, FileMeta)>> {
    let query = "SELECT path, uid, hash, size, mtime, ctime FROM intents";
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map([], |row| {
        let meta = FileMeta {
            uid: Uid(number(row, 1)?),
            hash: content_hash(row.get_ref(2)?.as_blob()?, 2)?,
            size: number(row, 3)?,
            mtime: Millis(row.get(4)?),
            ctime: Millis(row.get(5)?),
        };
        Ok((path(row, 0)?, meta))
    })?;
    rows.collect()
}

pub(super) fn unapplied(connection: &Connection) -> Result<Vec<Unapplied>> {
    let query = "SELECT name, uid, kind, message, attempts, record FROM unapplied";
    let mut statement = connection.prepare_cached(query)?;
    let rows = statement.query_map([], |row| {
        let kind = match row.get_ref(2)?.as_str()? {
            "skipped" => UnappliedKind::Skipped,
            "failed" => UnappliedKind::Failed,
            "unfinished" => UnappliedKind::Unfinished,
            other => return Err(bad(2, format!("an unknown kind {other:?}"))),
        };
        let record = match row.get_ref(5)?.as_str_or_null()? {
            None => None,
            Some(json) => Some(serde_json::from_str(json).map_err(|error| bad(5, error))?),
        };
        Ok(Unapplied {
            name: row.get(0)?,
            uid: Uid(number(row, 1)?),
            kind,
            message: row.get(3)?,
            attempts: row.get(4)?,
            record,
        })
    })?;
    rows.collect()
}

/// Unsigned numbers are stored as the signed ones of the same bits.
pub(super) fn number(row: &Row<'_>, column: usize) -> Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

fn path(row: &Row<'_>, column: usize) -> Result<VaultPath> {
    VaultPath::parse(row.get_ref(column)?.as_str()?).map_err(|problem| bad(column, problem))
}

fn content_hash(bytes: &[u8], column: usize) -> Result<ContentHash> {
    bytes
        .try_into()
        .map(ContentHash)
        .map_err(|_| bad(column, FromSqlError::InvalidType))
}

/// A value that no obsync wrote.
fn bad(column: usize, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::FromSqlConversionFailure(column, Type::Null, why.into())
}
