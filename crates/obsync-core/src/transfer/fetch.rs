//! One file: pull, decrypt, check, hand on.

use std::sync::Arc;

use bytes::Bytes;
use obsidian_sync::client::SyncClient;
use obsidian_sync::wire::PIECE_SIZE;
use obsidian_sync::{ContentHash, Error, Kind};
use sha2::{Digest as _, Sha256};

use super::idle::meanwhile;
use super::put::{hand_on, put};
use super::queue::{Job, Queue};
use super::{Context, Rest};
use crate::budget::Share;
use crate::plan::Target;
use crate::progress::Event;
use crate::store::StoreError;

/// Larger files are decrypted piece by piece into the destination; smaller ones in memory, whole,
/// which is three times as fast.
const STREAM_ABOVE: u64 = 4 * 1024 * 1024;
/// What a streamed file holds at once, beside what its store does: a piece as it arrives, decrypted,
/// and as it is written.
const STREAM_COST: u64 = 3 * PIECE_SIZE as u64;
/// No service keeps larger files; past it the number is a lie.
const LARGEST: u64 = 16 * 1024 * 1024 * 1024;

/// Why a fetch did not end well.
pub(super) enum Fault {
    /// The service or the network.
    Remote(Error),
    /// The destination; the connection is in the middle of something.
    Store(StoreError),
    /// The run was told to stop before the pull began.
    Stopped,
    /// The connection was lost while it waited for memory; nothing was asked of the service yet.
    Idle(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Remote(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Fetches one content for all its targets.
pub(super) async fn fetch(
    context: &Arc<Context>,
    queue: &Arc<Queue>,
    client: &mut SyncClient,
    job: &mut Job,
) -> Result<(), Fault> {
    let target = &job.download.target;
    let empty = target.file.hash == ContentHash::of(b"");
    let size = if empty { 0 } else { target.file.sealed_size };
    if size > LARGEST {
        let message = format!("the record claims a size of {size} bytes");
        return Err(Error::new(Kind::Refused, message).into());
    }
    let streamed = size > STREAM_ABOVE;
    let cost = match streamed {
        true => STREAM_COST + context.placer.store.stream_memory(),
        false => size,
    };
    let share = tokio::select! {
        biased;
        () = context.stop.cancelled() => return Err(Fault::Stopped),
        share = meanwhile(client, context.remote.budget.take(cost)) => share.map_err(Fault::Idle)?,
    };
    if empty {
        put(context, &job.download, Bytes::new(), share);
        Ok(())
    } else if streamed {
        stream(context, queue, client, job, share).await
    } else {
        whole(context, client, job, share).await
    }
}

async fn whole(
    context: &Arc<Context>,
    client: &mut SyncClient,
    job: &mut Job,
    share: Share,
) -> Result<(), Fault> {
    let target = &job.download.target;
    let mut pull = client.pull(target.uid).await?;
    check_size(pull.size(), target)?;
    let mut sealed = Vec::with_capacity(usize::try_from(pull.size()).unwrap_or(0));
    while let Some(piece) = pull.piece().await? {
        sealed.extend_from_slice(&piece);
    }
    drop(pull);
    let content = context.remote.cipher.open(sealed)?;
    check_hash(ContentHash::of(&content), target)?;
    let arrived = Event::Bytes(content.len() as u64);
    context.placer.progress.event(arrived);
    put(context, &job.download, Bytes::from(content), share);
    Ok(())
}

/// Stages the first target alone: each that is being staged costs memory.
async fn stream(
    context: &Arc<Context>,
    queue: &Arc<Queue>,
    client: &mut SyncClient,
    job: &mut Job,
    share: Share,
) -> Result<(), Fault> {
    let target = &job.download.target;
    let mut pull = client.pull(target.uid).await?;
    check_size(pull.size(), target)?;
    let store = &context.placer.store;
    let mut writer = store.stage_stream_of(&target.path, &target.meta()).await?;
    let mut opener = context.remote.cipher.opener();
    let mut hasher = Sha256::new();
    let mut fetched = 0;
    let mut arrived = pull.piece().await?;
    while let Some(piece) = arrived {
        let mut plain = Vec::with_capacity(piece.len());
        opener.update(&piece, &mut plain);
        drop(piece);
        hasher.update(&plain);
        fetched += plain.len() as u64;
        let write = async { Ok::<_, Fault>(writer.write(Bytes::from(plain)).await?) };
        // The next piece comes while this one is written.
        let next = async { Ok::<_, Fault>(pull.piece().await?) };
        ((), arrived) = tokio::try_join!(write, next)?;
        // What an earlier try has told is not told again.
        if let Some(more) = fetched.checked_sub(job.told).filter(|more| *more > 0) {
            job.told = fetched;
            context.placer.progress.event(Event::Bytes(more));
        }
    }
    drop(pull);
    opener.finish()?;
    check_hash(ContentHash(hasher.finalize().into()), target)?;
    let staged = writer.finish(target.meta()).await;
    let rest = Rest::new(&job.download.also, queue);
    hand_on(context, target.clone(), true, staged, rest).await;
    drop(share);
    Ok(())
}

fn check_size(size: u64, target: &Target) -> Result<(), Error> {
    let promised = target.file.sealed_size;
    if size == promised {
        return Ok(());
    }
    let message = format!("the service offers {size} bytes where its record says {promised}");
    Err(Error::new(Kind::Corrupt, message))
}

fn check_hash(hash: ContentHash, target: &Target) -> Result<(), Error> {
    if hash == target.file.hash {
        return Ok(());
    }
    Err(Error::new(
        Kind::Corrupt,
        "the content is not what its record promises (SHA-256 differs)",
    ))
}
