//! One large file over a fast line, beside what can't be avoided: the same sealed bytes through a
//! plain WebSocket, AES-256-GCM and SHA-256, one after the other in a process of its own.

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use super::median;
use crate::Result;
use crate::bed::Bed;
use crate::child::{self, Copied, Synced};
use crate::table::{Aim, Line};

const MIB: u64 = 1024 * 1024;
/// The most that the service takes, in one file.
pub(super) const MOST: u64 = 199 * MIB;
const PIECE: usize = 2 * MIB as usize;
const ROUNDS: usize = 3;

pub(crate) async fn lines(bed: &mut Bed) -> Result<Vec<Line>> {
    let size = plain_size(bed);
    let (home, sealed) = bed.attachment(size)?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let bare = copy(bed, &sealed).await?;
        let synced = bed.sync(&home, 4, false).await?;
        home.clear()?;
        rounds.push((synced, bare));
    }
    let (synced, bare) = median(rounds, |(synced, bare)| bare.total() / synced.wall);
    Ok(vec![compare(size, &synced, &bare)])
}

/// The size of a file whose sealed form is as large as may be.
pub(super) fn plain_size(bed: &Bed) -> usize {
    (bed.size(MOST) - obsidian_sync::crypto::SEAL_OVERHEAD) as usize
}

fn compare(size: usize, synced: &Synced, bare: &Copied) -> Line {
    let rate = |seconds: f64| size as f64 / 1e6 / seconds;
    Line {
        what: format!("one file of {} MiB, whole run", size.div_ceil(MIB as usize)),
        measured: Some(rate(synced.wall)),
        unit: "MB/s",
        bound: rate(bare.total()),
        beside: "WebSocket + GCM + SHA-256, in a row".to_owned(),
        aim: Aim::Share(0.5),
        note: format!(
            "fetched at {:.0}; parts: {:.0}, {:.0}, {:.0}; disk alone {:.0}",
            rate(synced.last_bytes),
            rate(bare.socket),
            rate(bare.cipher),
            rate(bare.hash),
            rate(bare.disk),
        ),
    }
}

async fn copy(bed: &Bed, sealed: &Bytes) -> Result<Copied> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let job = bed.copy_job(listener.local_addr()?.to_string(), sealed.len());
    let (served, copied) = tokio::join!(serve(listener, sealed.clone()), child::run(&job));
    served?;
    copied
}

/// Sends the content in pieces to the first who connects.
async fn serve(listener: TcpListener, content: Bytes) -> Result<()> {
    let (stream, _) = listener.accept().await?;
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    for start in (0..content.len()).step_by(PIECE) {
        let end = content.len().min(start + PIECE);
        socket
            .send(Message::Binary(content.slice(start..end)))
            .await?;
    }
    // The client leaves without a word once it has everything.
    Ok(())
}
