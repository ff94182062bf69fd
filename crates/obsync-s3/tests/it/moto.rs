//! The suites over moto, a model of AWS's own semantics, where Python can have it.
//!
//! Without Python or a package index the suites are skipped, and say so; `OBSYNC_S3=require` makes
//! that a failure.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use obsidian_sync::Millis;
use obsync_core::conformance::{StateHome, VaultHome};
use obsync_core::{StateStore, VaultStore};
use obsync_doubles::s3::moto;
use obsync_s3::S3Home;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::support::{HandClock, about, open_with, settings};

const PREFIX: &str = "vaults/Notes/";

/// A bucket of its own at the server.
struct Home {
    address: String,
    bucket: String,
    clock: HandClock,
    last: Mutex<Option<S3Home>>,
}

async fn home() -> Home {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let moto = moto::server().await.expect("asked before");
    let bucket = format!("bucket-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let home = Home {
        address: moto.to_owned(),
        bucket,
        clock: HandClock::new(),
        last: Mutex::default(),
    };
    assert_eq!(home.http("PUT", "", "", b"").await.0, 200);
    let versioned = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(home.http("PUT", "", "versioning", versioned).await.0, 200);
    home
}

impl Home {
    async fn fresh(&self) -> S3Home {
        let mut last = self.last.lock().await;
        if let Some(before) = last.take() {
            before.state.close().await.unwrap();
        }
        let mut settings = settings(&format!("http://{}", self.address));
        settings.bucket.clone_from(&self.bucket);
        let home = open_with(&settings, &about("Notes"), &self.clock)
            .await
            .unwrap();
        *last = Some(home.clone());
        home
    }

    /// A request as any other program's; gives status, head and body.
    async fn http(
        &self,
        method: &str,
        key: &str,
        query: &str,
        body: &[u8],
    ) -> (u16, String, Vec<u8>) {
        const SET: percent_encoding::AsciiSet = percent_encoding::NON_ALPHANUMERIC.remove(b'/');
        let key = percent_encoding::utf8_percent_encode(key, &SET);
        let (bucket, address) = (&self.bucket, &self.address);
        let head = format!(
            "{method} /{bucket}/{key}?{query} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, \
             SignedHeaders=host, Signature=b\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head, answer.split_off(end + 4))
    }
}

#[async_trait]
impl VaultHome for Home {
    async fn open(&self) -> Box<dyn VaultStore> {
        Box::new(self.fresh().await.files)
    }

    async fn write(&self, path: &str, content: &[u8]) {
        let put = self
            .http("PUT", &format!("{PREFIX}{path}"), "", content)
            .await;
        assert_eq!(put.0, 200);
    }

    async fn remove(&self, path: &str) {
        self.http("DELETE", &format!("{PREFIX}{path}"), "", b"")
            .await;
    }

    async fn read(&self, path: &str) -> Option<Vec<u8>> {
        let (status, _, body) = self.http("GET", &format!("{PREFIX}{path}"), "", b"").await;
        (status == 200).then_some(body)
    }

    async fn mtime(&self, path: &str) -> Option<Millis> {
        let (_, head, _) = self.http("HEAD", &format!("{PREFIX}{path}"), "", b"").await;
        let line = head
            .lines()
            .find_map(|line| line.strip_prefix("x-amz-meta-mtime:"))?;
        let seconds: f64 = line.trim().parse().ok()?;
        Some(Millis((seconds * 1000.0).round() as i64))
    }

    async fn trashed(&self) -> Option<Vec<Vec<u8>>> {
        let query = format!("list-type=2&prefix={PREFIX}.obsync/trash/");
        let (_, _, body) = self.http("GET", "", &query, b"").await;
        let text = String::from_utf8(body).unwrap();
        let mut found = Vec::new();
        for part in text.split("<Key>").skip(1) {
            let (key, _) = part.split_once("</Key>").unwrap();
            found.push(self.http("GET", key, "", b"").await.2);
        }
        Some(found)
    }

    fn has_folders(&self) -> bool {
        false
    }
}

#[async_trait]
impl StateHome for Home {
    async fn open(&self) -> Box<dyn StateStore> {
        Box::new(self.fresh().await.state)
    }
}

#[tokio::test]
async fn stores_pass_the_suites() {
    if moto::is_there().await {
        vault_suite().await;
        state_suite().await;
    }
}

obsync_core::vault_store_tests!(together home);
obsync_core::state_store_tests!(together home);
