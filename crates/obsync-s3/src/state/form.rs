//! A document as text and back: read as it comes, written in pieces, never held whole more than once.

use std::io::BufReader;
use std::sync::Arc;

use object_store::{PutPayload, PutPayloadMut};
use obsync_core::{RunStatus, StoreError, StoreErrorKind};
use tokio_util::io::SyncIoBridge;

use super::document::{Document, Head, SCHEMA};
use super::entries::Entries;
use crate::fault::Fault;
use crate::register::{Register, Version};

/// How long the pieces are, in bytes.
const PIECE: usize = 64 * 1024;
/// How much is read of a document at first: the heads of nearly all, and the whole of many.
const BEGINNING: u64 = 64 * 1024;

/// A state that was read.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) head: Head,
    /// `None`: not read yet.
    pub(crate) entries: Option<Entries>,
    pub(crate) version: Version,
}

impl Found {
    fn whole(document: Document<Entries>, version: Version) -> Self {
        let (mut head, entries) = document.split();
        head.counts = entries.counts();
        Self {
            head,
            entries: Some(entries),
            version,
        }
    }
}

/// Reads what a run needs of a state before it knows whether there is work; `None` before the first
/// run.
pub(crate) async fn read(register: &Register) -> Result<Option<Found>, StoreError> {
    let beginning = match register.read_first(BEGINNING).await {
        Ok(Some(beginning)) => beginning,
        Ok(None) => return Ok(None),
        // Nothing is not damaged in the middle: the usual way finds the words for it.
        Err(fault) if fault.is_empty_range() => return read_whole(register).await,
        Err(fault) => return Err(register.failed(fault, "s3:GetObject")),
    };
    let version = Version {
        stamp: beginning.stamp,
        id: beginning.version,
    };
    if beginning.size > beginning.bytes.len() as u64 {
        return match Head::read(&beginning.bytes) {
            Some(head) => Ok(Some(Found {
                head,
                entries: None,
                version,
            })),
            None => read_whole(register).await,
        };
    }
    match serde_json::from_slice(&beginning.bytes) {
        Ok(document) => understood(register, document, version).map(Some),
        Err(error) => Err(not_understood(register, error).await),
    }
}

/// Reads a state with all its entries; `None` before the first run.
pub(crate) async fn read_whole(register: &Register) -> Result<Option<Found>, StoreError> {
    match parse(register, None).await {
        Ok(None) => Ok(None),
        Ok(Some((Ok(document), version))) => understood(register, document, version).map(Some),
        Ok(Some((Err(error), _))) => Err(not_understood(register, error).await),
        Err(fault) => Err(register.failed(fault, "s3:GetObject")),
    }
}

/// Reads the entries of a state whose head was read before.
pub(super) async fn read_rest(register: &Register, version: &Version) -> Result<Found, StoreError> {
    match parse(register, Some(version)).await {
        Ok(Some((Ok(document), found))) => understood(register, document, found),
        Ok(Some((Err(error), _))) => Err(not_understood(register, error).await),
        Err(fault) if !fault.is_unmet() => Err(register.failed(fault, "s3:GetObject")),
        Ok(None) | Err(_) => {
            let what = "another run has worked on this vault meanwhile: run again";
            Err(StoreError::new(StoreErrorKind::Busy, what))
        }
    }
}

type Parsed = Result<Document<Entries>, serde_json::Error>;

async fn parse(
    register: &Register,
    only: Option<&Version>,
) -> Result<Option<(Parsed, Version)>, Fault> {
    let parse = async |text| {
        let text = BufReader::with_capacity(PIECE, SyncIoBridge::new(text));
        let read = tokio::task::spawn_blocking(move || serde_json::from_reader(text)).await;
        match read.unwrap_or_else(|error| Err(serde_json::Error::io(error.into()))) {
            // It did not come to its end.
            Err(error) if error.is_io() => Err(Fault::unanswered(&error)),
            parsed => Ok(parsed),
        }
    };
    register.take(only, parse).await
}

fn understood(
    register: &Register,
    document: Document<Entries>,
    version: Version,
) -> Result<Found, StoreError> {
    match document.schema {
        SCHEMA => Ok(Found::whole(document, version)),
        schema => Err(newer(&register.location(), schema)),
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
        Ok(Some(read)) => match serde_json::from_slice(&read.bytes) {
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

/// A document as JSON, in pieces: one that grows as a whole would take its size twice over. A large
/// one takes a while, which other tasks need not wait for.
pub(super) async fn text(head: Head, entries: Arc<Entries>) -> Result<PutPayload, StoreError> {
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
    let write = move || {
        let mut pieces = Pieces(PutPayloadMut::new().with_block_size(PIECE));
        let document = head.with(&*entries);
        serde_json::to_writer(&mut pieces, &document).map(|()| pieces.0.freeze())
    };
    let written = tokio::task::spawn_blocking(write).await;
    let written = written.unwrap_or_else(|error| Err(serde_json::Error::io(error.into())));
    written.map_err(|error| {
        let what = "the state can't be written as JSON";
        StoreError::new(StoreErrorKind::Other, what).with_source(error)
    })
}

/// Reads how runs went; the default before the first.
pub(crate) async fn read_status(register: &Register) -> Result<RunStatus, StoreError> {
    let Some(read) = register.read().await? else {
        return Ok(RunStatus::default());
    };
    serde_json::from_slice(&read.bytes).map_err(|error| {
        let what = format!("the status {} makes no sense", register.location());
        StoreError::new(StoreErrorKind::Other, what).with_source(error)
    })
}

/// Notes how runs went, over what was noted before.
pub(crate) async fn write_status(
    register: &Register,
    status: &RunStatus,
) -> Result<(), StoreError> {
    let text = serde_json::to_vec(status).expect("a status is plain JSON");
    register.overwrite(text.into()).await
}

fn newer(at: &str, schema: u32) -> StoreError {
    let what = format!("the state {at} is of a newer obsync (format {schema}): update this one");
    StoreError::new(StoreErrorKind::Unusable, what)
}
