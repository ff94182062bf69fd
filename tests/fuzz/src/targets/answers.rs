//! What servers answer over HTTP: the account API, and S3.

use std::sync::Arc;
use std::time::Duration;

use obsidian_sync::rest::{RestClient, RestDeadlines};
use obsidian_sync::{Millis, Password, Token, Vault, VaultId};
use obsync_core::clock::SystemClock;
use obsync_core::{StateStore as _, VaultStore as _};
use obsync_s3::{EnvironmentCredentials, Place, S3Home, S3Settings};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::homes::runtime;

/// Answers every request with the input: the first byte picks the status, the rest is the body.
async fn server(input: &[u8], content_type: &'static str) -> String {
    const STATUSES: [u16; 6] = [200, 200, 400, 403, 404, 412];
    let (&which, body) = input.split_first().unwrap_or((&0, &[]));
    let status = STATUSES[usize::from(which) % STATUSES.len()];
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-type: {content_type}\r\netag: \"e\"\r\n\
         last-modified: Wed, 25 Nov 2026 10:00:00 GMT\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    let answer: Arc<[u8]> = [head.as_bytes(), body].concat().into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who hangs up has heard enough.
            tokio::spawn(say(stream, Arc::clone(&answer)));
        }
    });
    url
}

async fn say(stream: TcpStream, answer: Arc<[u8]>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if let Some(text) = line.to_lowercase().strip_prefix("content-length: ") {
            length = text.trim().parse().ok()?;
        }
    }
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    stream.write_all(&answer).await.ok()
}

/// Each call that a run makes. What is wrong with an answer is told without a secret, though it may say
/// back what it was told.
pub(super) fn rest(input: &[u8]) {
    runtime().block_on(async {
        let base = server(input, "application/json").await;
        let deadlines = RestDeadlines {
            pause: Duration::ZERO,
            ..RestDeadlines::default()
        };
        let client = RestClient::new(base.parse().unwrap(), "fuzz/1", deadlines).unwrap();
        let token = Token::new("marked-token");
        let vault = Vault {
            id: VaultId::new("v"),
            name: String::new(),
            host: String::new(),
            region: String::new(),
            salt: String::new(),
            encryption_version: 3,
            created: Millis(0),
            size: 0,
            managed_password: None,
            shared: false,
        };
        let password = Password::new("marked-password");
        let told = [
            format!("{:?}", client.sign_in("a@b", &password, None).await),
            format!("{:?}", client.user_info(&token).await.map(drop)),
            format!("{:?}", client.vaults(&token).await),
            format!("{:?}", client.regions(&token, None).await.map(drop)),
            format!(
                "{:?}",
                client.access(&token, &vault, "marked-keyhash").await
            ),
            format!("{:?}", client.sign_out(&token).await),
        ];
        for (call, told) in told.iter().enumerate() {
            // A list may hold it as a name; errors may not.
            let found = told.starts_with("Err") && told.contains("marked-token") && call != 0;
            assert!(!found, "a secret in: {told}");
        }
        assert!(
            !told[0].contains("marked-password"),
            "a secret in: {}",
            told[0]
        );
        assert!(
            !told[4].contains("marked-keyhash"),
            "a secret in: {}",
            told[4]
        );
    });
}

/// S3, whatever it is asked: listings, errors, deletions, uploads, and objects of our own.
pub(super) fn s3(input: &[u8]) {
    runtime().block_on(async {
        let mut settings = S3Settings::new("bucket");
        settings.endpoint = Some(server(input, "application/xml").await.parse().unwrap());
        settings.attempts = 1;
        let credentials = EnvironmentCredentials::from_variables(|name| Some(name.to_owned()));
        let credentials = Arc::new(credentials.unwrap());
        let patience = Duration::from_secs(30);
        let probe = obsync_s3::probe(&settings, credentials.clone(), "vaults/Notes/", patience);
        let told = format!("{:?}", probe.await.map(drop));
        assert!(
            !told.contains("AWS_SECRET_ACCESS_KEY"),
            "a secret in: {told}"
        );
        let about = obsync_s3::About {
            vault: VaultId::new("0123abcd"),
            name: "Notes".to_owned(),
            shared_name: false,
            place: Place::Usual,
        };
        let clock = Arc::new(SystemClock);
        if let Ok(home) = S3Home::open(&settings, &about, credentials, clock).await {
            let _ = (home.files.identity().await, home.files.is_empty().await);
            let _ = (home.files.list(".obsidian").await, home.files.sweep().await);
            let _ = (home.state.load().await, home.state.is_leased().await);
        }
    });
}
