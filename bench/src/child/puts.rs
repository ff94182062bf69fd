//! What the S3 double takes at most: puts, side by side, written to bare sockets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::future::try_join_all;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Result;

/// Puts that many objects over that many sockets; says how many seconds that took.
pub(super) async fn run(address: &str, sockets: usize, puts: usize, bytes: usize) -> Result<f64> {
    let body = vec![b'a'; bytes];
    let sum = hex::encode(Sha256::digest(&body));
    let mut streams = Vec::new();
    for _ in 0..sockets {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let next = AtomicUsize::new(0);
    let start = Instant::now();
    try_join_all(streams.iter_mut().map(async |stream| {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= puts {
                return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(());
            }
            let head = format!(
                "PUT /notes/bare/{number} HTTP/1.1\r\nhost: {address}\r\n\
                 authorization: AWS4-HMAC-SHA256 SignedHeaders=x-amz-content-sha256\r\n\
                 x-amz-content-sha256: {sum}\r\ncontent-length: {bytes}\r\n\r\n"
            );
            stream.write_all(&[head.as_bytes(), &body].concat()).await?;
            answered(stream).await?;
        }
    }))
    .await?;
    Ok(start.elapsed().as_secs_f64())
}

/// Reads the head of an answer that has no body.
async fn answered(stream: &mut TcpStream) -> Result<()> {
    let mut answer = Vec::with_capacity(512);
    while !answer.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err("the S3 double hung up".into());
        }
    }
    match answer.starts_with(b"HTTP/1.1 200") {
        true => Ok(()),
        false => Err(format!("no put: {}", String::from_utf8_lossy(&answer)).into()),
    }
}
