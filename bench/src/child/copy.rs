//! What a transfer can't do without, one after the other on one thread: the bytes through a plain
//! WebSocket into memory, AES-256-GCM (ring, whole), SHA-256. No disk.

use std::time::Instant;

use futures_util::StreamExt as _;
use obsidian_sync::ContentHash;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::Job;
use crate::Result;

/// What each part took, in seconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Copied {
    pub(crate) socket: f64,
    pub(crate) cipher: f64,
    pub(crate) hash: f64,
}

pub(super) async fn run(job: &Job, address: &str, size: usize) -> Result<Copied> {
    let (_, cipher) = job.connector()?;

    let start = Instant::now();
    let stream = TcpStream::connect(address).await?;
    let url = format!("ws://{address}/");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await?;
    let mut sealed = Vec::with_capacity(size);
    while sealed.len() < size {
        match socket.next().await {
            Some(Ok(Message::Binary(piece))) => sealed.extend_from_slice(&piece),
            _ => return Err("the copied file ended early".into()),
        }
    }
    let received = Instant::now();
    let plain = cipher.open(sealed)?;
    let opened = Instant::now();
    std::hint::black_box(ContentHash::of(&plain));

    Ok(Copied {
        socket: (received - start).as_secs_f64(),
        cipher: (opened - received).as_secs_f64(),
        hash: opened.elapsed().as_secs_f64(),
    })
}
