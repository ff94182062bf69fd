//! The S3 double in a process of its own.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use obsync_doubles::s3::{BUCKET, Double};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::Result;

/// The argument that makes this program the double.
pub(crate) const NAME: &str = "s3-double";
/// How long it may take to start.
const START: Duration = Duration::from_secs(10);

/// A running double. It ends with this.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) endpoint: String,
    _process: Child,
}

impl Bucket {
    pub(crate) async fn start() -> Result<Self> {
        Self::far_away(Duration::ZERO).await
    }

    /// Starts one whose answers each take a round trip.
    pub(crate) async fn far_away(trip: Duration) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([NAME, &trip.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = process
            .stdout
            .take()
            .ok_or("the double's output is piped")?;
        let mut lines = BufReader::new(output).lines();
        let endpoint = tokio::time::timeout(START, lines.next_line()).await??;
        Ok(Self {
            endpoint: endpoint.ok_or("the S3 double did not start")?,
            _process: process,
        })
    }

    /// Its host and port.
    pub(crate) fn address(&self) -> String {
        self.endpoint.trim_start_matches("http://").to_owned()
    }

    /// The size of the largest object below a prefix.
    pub(crate) async fn largest_object(&self, prefix: &str) -> Result<u64> {
        let address = self.address();
        let mut stream = TcpStream::connect(&address).await?;
        let request = format!(
            "GET /{BUCKET}?prefix={prefix} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        tokio::time::timeout(START, stream.read_to_string(&mut answer)).await??;
        let sizes = answer.split("<Size>").skip(1);
        let sizes = sizes.filter_map(|rest| rest.split('<').next()?.parse().ok());
        Ok(sizes.max().ok_or("the S3 double has no such object")?)
    }
}

/// The double's own main: it serves until its input ends.
pub(crate) async fn main() -> Result<()> {
    let double = Double::start().await;
    let trip = std::env::args().nth(2).ok_or("no round trip was given")?;
    double.delay(Duration::from_millis(trip.parse()?));
    // `rclone` signs the address, or nothing of the body.
    double.ignore_signatures();
    writeln!(std::io::stdout(), "{}", double.url)?;
    std::io::stdout().flush()?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}
