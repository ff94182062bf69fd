//! Large files over a fast line, beside what can't be avoided: the same sealed bytes through a plain
//! WebSocket, AES-256-GCM and SHA-256, one after the other in a process of its own. And the program
//! beside the official client.

use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use super::{median, rival};
use crate::Result;
use crate::bed::{Bed, DEFAULT_CONNECTIONS, Home};
use crate::child::{Copied, Ran};
use crate::table::{Aim, Line, Table, Unit};

const MIB: u64 = 1024 * 1024;
const PIECE: usize = 2 * MIB as usize;
const ROUNDS: usize = 3;

pub(super) async fn measure(bed: &mut Bed, table: &mut Table) -> Result<()> {
    let size = plain_size(bed);
    let what = format!("one file of {} MiB", mib(size));
    for line in compare(bed, 1, size, what, ROUNDS, Aim::Share(0.5)).await? {
        table.add(line)?;
    }
    let count = bed.size(200) as usize;
    let what = format!("{count} files of 5 MiB");
    for line in compare(bed, count, 5 * MIB as usize, what, 1, Aim::Look).await? {
        table.add(line)?;
    }
    Ok(())
}

async fn compare(
    bed: &mut Bed,
    count: usize,
    size: usize,
    what: String,
    most_rounds: usize,
    aim: Aim,
) -> Result<[Line; 2]> {
    let (home, sealed) = bed.attachments(count, size)?;
    let mut rounds = Vec::new();
    for _ in 0..most_rounds {
        let bare = copy(bed, &home, &sealed, count).await?;
        rounds.push((bed.sync(&home, DEFAULT_CONNECTIONS, true).await?, bare));
        home.clear()?;
    }
    let megabytes = (count * size) as f64 / 1e6;
    let whole = Line {
        what: format!("{what}, whole process"),
        unit: Unit::Megabytes,
        headline: true,
        ..Line::default()
    };
    let whole = rival::compare(bed, &home, Duration::ZERO, whole, megabytes).await;
    bed.drop_vault(&home)?;
    let total = |bare: &Copied| bare.socket + bare.cipher + bare.hash;
    let (ran, bare) = median(rounds, |(ran, bare)| total(bare) / ran.result.wall);
    let Ran {
        result: synced,
        memory,
        ..
    } = ran;
    let rate = |seconds: f64| megabytes / seconds;
    let engine = Line {
        what,
        measured: Some(rate(synced.wall)),
        unit: Unit::Megabytes,
        bound: Some(rate(total(&bare))),
        beside: "WebSocket + GCM + SHA-256, in a row".to_owned(),
        aim,
        memory,
        headline: true,
        note: format!(
            "fetched at {:.0}; the parts: {:.0}, {:.0}, {:.0}; no disk in them",
            rate(*synced.fetched.last().unwrap_or(&0.0)),
            rate(bare.socket),
            rate(bare.cipher),
            rate(bare.hash),
        ),
        ..Line::default()
    };
    Ok([engine, whole?])
}

/// The size of the largest file that the service takes.
pub(super) fn plain_size(bed: &Bed) -> usize {
    (bed.size(199 * MIB) - obsidian_sync::crypto::SEAL_OVERHEAD) as usize
}

pub(super) fn mib(size: usize) -> usize {
    size.div_ceil(MIB as usize)
}

async fn copy(bed: &Bed, home: &Home, sealed: &Bytes, count: usize) -> Result<Copied> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let copied = bed.copy(home, address, sealed.len(), count);
    let serving = tokio::spawn(serve(listener, sealed.clone(), count));
    let copied = copied.await;
    serving.abort();
    copied
}

/// Sends the content in pieces, so many times, to the first who connects.
async fn serve(listener: TcpListener, content: Bytes, count: usize) -> Result<()> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    for _ in 0..count {
        for start in (0..content.len()).step_by(PIECE) {
            let piece = content.slice(start..content.len().min(start + PIECE));
            socket.send(Message::Binary(piece)).await?;
        }
    }
    // The client leaves without a word once it has everything.
    Ok(())
}
