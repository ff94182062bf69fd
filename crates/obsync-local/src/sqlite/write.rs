//! One batch, one transaction.

use obsync_core::{Batch, Counts, Entry, UnappliedKind};
use rusqlite::{
    Connection, OptionalExtension as _, Result, Transaction, TransactionBehavior, params,
};

use super::read;

pub(super) fn commit(connection: &mut Connection, batch: &Batch) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let before = read::counts(&transaction)?;
    let mut counts = before;
    forget(&transaction, batch, &mut counts)?;
    set(&transaction, batch, &mut counts)?;
    if counts != before {
        let numbers = [counts.files.cast_signed(), counts.bytes.cast_signed()];
        transaction
            .prepare_cached("UPDATE header SET files = ?, bytes = ?")?
            .execute(numbers)?;
    }
    if let Some(header) = &batch.header {
        transaction
            .prepare_cached(
                "UPDATE header SET cursor = ?, highest = ?, fingerprint = ?, full_pending = ?,
                 destination = ?",
            )?
            .execute(params![
                header.cursor.0.cast_signed(),
                header.highest.0.cast_signed(),
                header.fingerprint,
                header.full_pending,
                header.destination,
            ])?;
    }
    intents(&transaction, batch)?;
    unapplied(&transaction, batch)?;
    transaction.commit()
}

/// The size of the file in state at a path, if one is.
fn size_of(transaction: &Transaction<'_>, path: &str) -> Result<Option<u64>> {
    let query = "SELECT size FROM entries WHERE path = ? AND hash IS NOT NULL";
    let size = |row: &rusqlite::Row<'_>| read::number(row, 0);
    transaction
        .prepare_cached(query)?
        .query_row([path], size)
        .optional()
}

fn take_off(counts: &mut Counts, size: Option<u64>) {
    if let Some(size) = size {
        counts.files = counts.files.wrapping_sub(1);
        counts.bytes = counts.bytes.wrapping_sub(size);
    }
}

fn forget(transaction: &Transaction<'_>, batch: &Batch, counts: &mut Counts) -> Result<()> {
    let mut delete = transaction.prepare_cached("DELETE FROM entries WHERE path = ?")?;
    for path in &batch.forget {
        take_off(counts, size_of(transaction, path.as_str())?);
        delete.execute([path.as_str()])?;
    }
    Ok(())
}

fn set(transaction: &Transaction<'_>, batch: &Batch, counts: &mut Counts) -> Result<()> {
    let mut replace =
        transaction.prepare_cached("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)")?;
    for (path, entry) in &batch.set {
        let path = path.as_str();
        take_off(counts, size_of(transaction, path)?);
        let uid = entry.uid().0.cast_signed();
        match entry {
            Entry::Folder { .. } => replace.execute(params![path, uid, None::<&[u8]>, 0, 0, ""])?,
            Entry::File(file) => {
                counts.files += 1;
                // A hostile service may claim any size.
                counts.bytes = counts.bytes.wrapping_add(file.size);
                replace.execute(params![
                    path,
                    uid,
                    &file.hash.0[..],
                    file.size.cast_signed(),
                    file.mtime.0,
                    file.stamp.0,
                ])?
            }
        };
    }
    Ok(())
}

fn intents(transaction: &Transaction<'_>, batch: &Batch) -> Result<()> {
    if batch.settle {
        transaction
            .prepare_cached("DELETE FROM intents")?
            .execute([])?;
    }
    let mut replace =
        transaction.prepare_cached("INSERT OR REPLACE INTO intents VALUES (?, ?, ?, ?, ?, ?)")?;
    for (path, meta) in &batch.intend {
        replace.execute(params![
            path.as_str(),
            meta.uid.0.cast_signed(),
            &meta.hash.0[..],
            meta.size.cast_signed(),
            meta.mtime.0,
            meta.ctime.0,
        ])?;
    }
    Ok(())
}

fn unapplied(transaction: &Transaction<'_>, batch: &Batch) -> Result<()> {
    let mut delete = transaction.prepare_cached("DELETE FROM unapplied WHERE name = ?")?;
    for name in &batch.unlist {
        delete.execute([name])?;
    }
    let mut replace =
        transaction.prepare_cached("INSERT OR REPLACE INTO unapplied VALUES (?, ?, ?, ?, ?, ?)")?;
    for unapplied in &batch.list {
        let kind = match unapplied.kind {
            UnappliedKind::Skipped => "skipped",
            UnappliedKind::Failed => "failed",
            UnappliedKind::Unfinished => "unfinished",
        };
        let record = unapplied
            .record
            .as_ref()
            .map(serde_json::to_string)
            .transpose()
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        replace.execute(params![
            unapplied.name,
            unapplied.uid.0.cast_signed(),
            kind,
            unapplied.message,
            unapplied.attempts,
            record,
        ])?;
    }
    Ok(())
}
