//! One large file over a fast line, beside what can't be avoided: the same sealed bytes through a
//! plain WebSocket, AES-256-GCM and SHA-256, one after the other in a process of its own.

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use super::median;
use crate::Result;
use crate::bed::{Bed, DEFAULT_CONNECTIONS, Home};
use crate::child::Copied;
use crate::table::{Aim, Line, Table};

const MIB: u64 = 1024 * 1024;
const PIECE: usize = 2 * MIB as usize;
const ROUNDS: usize = 3;

pub(super) async fn measure(bed: &mut Bed, table: &mut Table) -> Result<()> {
    let size = plain_size(bed);
    let (home, sealed) = bed.attachment(size)?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let bare = copy(bed, &home, &sealed).await?;
        rounds.push((bed.sync(&home, DEFAULT_CONNECTIONS, true).await?, bare));
        home.clear()?;
    }
    let total = |bare: &Copied| bare.socket + bare.cipher + bare.hash;
    let (synced, bare) = median(rounds, |(synced, bare)| total(bare) / synced.wall);
    let rate = |seconds: f64| size as f64 / 1e6 / seconds;
    table.add(Line {
        what: format!("one file of {} MiB, whole run", mib(size)),
        measured: Some(rate(synced.wall)),
        unit: "MB/s",
        bound: rate(total(&bare)),
        beside: "WebSocket + GCM + SHA-256, in a row".to_owned(),
        aim: Aim::Share(0.5),
        note: format!(
            "fetched at {:.0}; the parts: {:.0}, {:.0}, {:.0}",
            rate(*synced.fetched.last().unwrap_or(&0.0)),
            rate(bare.socket),
            rate(bare.cipher),
            rate(bare.hash),
        ),
    })
}

/// The size of the largest file that the service takes.
pub(super) fn plain_size(bed: &Bed) -> usize {
    (bed.size(199 * MIB) - obsidian_sync::crypto::SEAL_OVERHEAD) as usize
}

pub(super) fn mib(size: usize) -> usize {
    size.div_ceil(MIB as usize)
}

async fn copy(bed: &Bed, home: &Home, sealed: &Bytes) -> Result<Copied> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let copied = bed.copy(home, address, sealed.len());
    let (served, copied) = tokio::join!(serve(listener, sealed.clone()), copied);
    served?;
    copied
}

/// Sends the content in pieces to the first who connects.
async fn serve(listener: TcpListener, content: Bytes) -> Result<()> {
    let (stream, _) = listener.accept().await?;
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    for start in (0..content.len()).step_by(PIECE) {
        let piece = content.slice(start..content.len().min(start + PIECE));
        socket.send(Message::Binary(piece)).await?;
    }
    // The client leaves without a word once it has everything.
    Ok(())
}
