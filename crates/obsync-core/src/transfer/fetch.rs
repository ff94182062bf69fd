//! One file: pull, decrypt, check, hand on.

use std::sync::Arc;

use bytes::Bytes;
use obsidian_sync::client::SyncClient;
use obsidian_sync::wire::PIECE_SIZE;
use obsidian_sync::{ContentHash, Error, Kind};
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use super::{Context, Outcome};
use crate::budget::Share;
use crate::plan::{Download, Target};
use crate::progress::Event;
use crate::store::{Staged, StagedWriter, StoreError};

/// Larger files are decrypted piece by piece into the destination; smaller ones in memory, whole,
/// which is three times as fast.
const STREAM_ABOVE: u64 = 4 * 1024 * 1024;
/// What a streamed file holds at once: a piece as it arrives, decrypted, and as it is written.
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
    client: &mut SyncClient,
    download: &Download,
) -> Result<(), Fault> {
    let target = &download.target;
    let size = target.file.sealed_size;
    if target.file.hash == ContentHash::of(b"") {
        let share = context.budget.take(0).await;
        put(context, download.clone(), Bytes::new(), share);
        return Ok(());
    }
    if size > LARGEST {
        let message = format!("the record claims a size of {size} bytes");
        return Err(Error::new(Kind::Refused, message).into());
    }
    let streamed = size > STREAM_ABOVE;
    let cost = if streamed { STREAM_COST } else { size };
    let share = tokio::select! {
        biased;
        () = context.stop.cancelled() => return Err(Fault::Stopped),
        share = context.budget.take(cost) => share,
    };
    if streamed {
        stream(context, client, download, share).await
    } else {
        whole(context, client, download, share).await
    }
}

async fn whole(
    context: &Arc<Context>,
    client: &mut SyncClient,
    download: &Download,
    share: Share,
) -> Result<(), Fault> {
    let target = &download.target;
    let mut pull = client.pull(target.uid).await?;
    check_size(pull.size(), target)?;
    let mut sealed = Vec::with_capacity(usize::try_from(pull.size()).unwrap_or(0));
    while let Some(piece) = pull.piece().await? {
        sealed.extend_from_slice(&piece);
    }
    drop(pull);
    let content = context.cipher.open(sealed)?;
    check_hash(ContentHash::of(&content), target)?;
    context.progress.event(Event::Bytes(content.len() as u64));
    put(context, download.clone(), Bytes::from(content), share);
    Ok(())
}

async fn stream(
    context: &Arc<Context>,
    client: &mut SyncClient,
    download: &Download,
    share: Share,
) -> Result<(), Fault> {
    let target = &download.target;
    let mut pull = client.pull(target.uid).await?;
    check_size(pull.size(), target)?;
    let mut writers: Vec<(&Target, Box<dyn StagedWriter>)> = Vec::new();
    for target in std::iter::once(target).chain(&download.also) {
        writers.push((
            target,
            context
                .store
                .stage_stream_of(&target.path, &target.meta())
                .await?,
        ));
    }
    let mut opener = context.cipher.opener();
    let mut hasher = Sha256::new();
    let mut arrived = pull.piece().await?;
    while let Some(piece) = arrived {
        let mut plain = Vec::with_capacity(piece.len());
        opener.update(&piece, &mut plain);
        drop(piece);
        hasher.update(&plain);
        let plain = Bytes::from(plain);
        let write = async {
            for (_, writer) in &mut writers {
                writer.write(plain.clone()).await?;
            }
            Ok::<_, Fault>(())
        };
        // The next piece comes while this one is written.
        let next = async { Ok::<_, Fault>(pull.piece().await?) };
        ((), arrived) = tokio::try_join!(write, next)?;
        context.progress.event(Event::Bytes(plain.len() as u64));
    }
    drop(pull);
    opener.finish()?;
    check_hash(ContentHash(hasher.finalize().into()), target)?;
    for (index, (target, writer)) in writers.into_iter().enumerate() {
        let staged = writer.finish(target.meta()).await;
        hand_on(context, target.clone(), index == 0, staged).await;
    }
    drop(share);
    Ok(())
}

/// Stages content in the background, so that the connection goes on to its next pull.
fn put(context: &Arc<Context>, download: Download, content: Bytes, share: Share) {
    let task_context = Arc::clone(context);
    let putting = async move {
        let context = task_context;
        // Never closed; without a permit nothing is lost but the limit.
        let _permit = context.puts.acquire().await.ok();
        let targets = std::iter::once(download.target).chain(download.also);
        for (index, target) in targets.enumerate() {
            let staged = context
                .store
                .stage(&target.path, content.clone(), target.meta())
                .await;
            hand_on(&context, target, index == 0, staged).await;
        }
        drop(share);
    };
    context.tasks.spawn(putting.in_current_span());
}

async fn hand_on(
    context: &Context,
    target: Target,
    fetched: bool,
    staged: Result<Staged, StoreError>,
) {
    let outcome = match staged {
        Ok(staged) if context.store.marks_own_files() => {
            match context.placer.place(&target, staged).await {
                Ok(stamp) => Outcome::Placed(stamp),
                Err(error) => Outcome::Store(error),
            }
        }
        Ok(staged) => Outcome::Staged(staged),
        Err(error) => Outcome::Store(error),
    };
    context.arrive(target, fetched, outcome).await;
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
