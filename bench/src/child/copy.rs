//! What a transfer can't do without, one after the other on one thread: the bytes through a plain
//! WebSocket into memory, AES-256-GCM (ring, whole), SHA-256. And the disk's part by itself.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use futures_util::StreamExt as _;
use obsidian_sync::crypto::{VaultCipher, VaultKey};
use obsidian_sync::{ContentHash, EncryptionVersion, Password};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::Result;

/// Where the bytes come from, and how they are sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CopyJob {
    pub(crate) address: String,
    pub(crate) sealed_size: usize,
    pub(crate) password: String,
    pub(crate) salt: String,
    /// Where to try the disk.
    pub(crate) folder: PathBuf,
}

/// What each part took, in seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Copied {
    pub(crate) socket: f64,
    pub(crate) cipher: f64,
    pub(crate) hash: f64,
    /// Writing and `fsync`: not part of the bound.
    pub(crate) disk: f64,
}

impl Copied {
    /// What cannot be avoided.
    pub(crate) fn total(&self) -> f64 {
        self.socket + self.cipher + self.hash
    }
}

pub(super) async fn run(job: CopyJob) -> Result<Copied> {
    let key = VaultKey::derive(&Password::new(job.password), &job.salt);
    let cipher = VaultCipher::new(EncryptionVersion::LATEST, &key, &job.salt);

    let start = Instant::now();
    let stream = TcpStream::connect(&job.address).await?;
    let url = format!("ws://{}/", job.address);
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await?;
    let mut sealed = Vec::with_capacity(job.sealed_size);
    while sealed.len() < job.sealed_size {
        match socket.next().await {
            Some(Ok(Message::Binary(piece))) => sealed.extend_from_slice(&piece),
            other => return Err(format!("a piece was due, {other:?} came").into()),
        }
    }
    let socket = start.elapsed().as_secs_f64();

    let start = Instant::now();
    let plain = cipher.open(sealed)?;
    let opened = start.elapsed().as_secs_f64();

    let start = Instant::now();
    std::hint::black_box(ContentHash::of(&plain));
    let hash = start.elapsed().as_secs_f64();

    let path = job.folder.join("disk");
    let start = Instant::now();
    let mut file = File::create(&path)?;
    file.write_all(&plain)?;
    file.sync_all()?;
    let disk = start.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;

    Ok(Copied {
        socket,
        cipher: opened,
        hash,
        disk,
    })
}
