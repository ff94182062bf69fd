//! A document as text and back: read as it comes, written in pieces, never held whole more than once.

use std::io::BufReader;

use object_store::{PutPayload, PutPayloadMut};
use obsync_core::{RunStatus, StoreError, StoreErrorKind};
use tokio_util::io::SyncIoBridge;

use super::document::{Document, SCHEMA};
use crate::register::{Register, Version};

/// How long the pieces are, in bytes.
const PIECE: usize = 64 * 1024;

/// Reads a state document; `None` before the first run.
pub(crate) async fn read(register: &Register) -> Result<Option<(Document, Version)>, StoreError> {
    let Some((text, version)) = register.open().await? else {
        return Ok(None);
    };
    let text = BufReader::with_capacity(PIECE, SyncIoBridge::new(text));
    let read = tokio::task::spawn_blocking(move || serde_json::from_reader(text)).await;
    match read.unwrap_or_else(|error| Err(serde_json::Error::io(error.into()))) {
        Ok::<Document, _>(document) if document.schema == SCHEMA => Ok(Some((document, version))),
        Ok(document) => Err(newer(&register.location(), document.schema)),
        Err(error) if error.is_io() => Err(register.unread(&error)),
        Err(error) => Err(not_understood(register, error).await),
    }
}

/// Why a document that came whole is none of ours.
async fn not_understood(register: &Register, error: serde_json::Error) -> StoreError {
    #[derive(serde::Deserialize)]
    struct Version {
        schema: u32,
    }
    let at = register.location();
    match register.read().await {
        Ok(Some((bytes, _))) => match serde_json::from_slice(&bytes) {
            Ok(Version { schema }) if schema > SCHEMA => newer(&at, schema),
            _ => {
                let what = format!(
                    "the state {at} is damaged: restore an earlier version of it, or delete it and \
                     let the next run compare everything"
                );
                StoreError::new(StoreErrorKind::Unusable, what).with_source(error)
            }
        },
        Ok(None) => StoreError::new(StoreErrorKind::Other, format!("the state {at} is gone")),
        Err(error) => error,
    }
}

/// A document as JSON, in pieces: one that grows as a whole would take its size twice over.
pub(super) fn text(document: &Document) -> Result<PutPayload, StoreError> {
    struct Pieces(PutPayloadMut);
    impl std::io::Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut pieces = Pieces(PutPayloadMut::new().with_block_size(PIECE));
    match serde_json::to_writer(&mut pieces, document) {
        Ok(()) => Ok(pieces.0.freeze()),
        Err(error) => {
            let what = "the state can't be written as JSON";
            Err(StoreError::new(StoreErrorKind::Other, what).with_source(error))
        }
    }
}

/// Reads how runs went; the default before the first.
pub(crate) async fn read_status(register: &Register) -> Result<RunStatus, StoreError> {
    let Some((bytes, _)) = register.read().await? else {
        return Ok(RunStatus::default());
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        let what = format!("the status {} makes no sense", register.location());
        StoreError::new(StoreErrorKind::Other, what).with_source(error)
    })
}

fn newer(at: &str, schema: u32) -> StoreError {
    let what = format!("the state {at} is of a newer obsync (format {schema}): update this one");
    StoreError::new(StoreErrorKind::Unusable, what)
}
