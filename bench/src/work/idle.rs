//! A run that finds no change, beside the key derivation that every run begins with. It must not
//! touch the state, however much is in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{median, rival, thousands};
use crate::Result;
use crate::bed::{Bed, DEFAULT_CONNECTIONS, Home};
use crate::table::{Aim, Line, Table, Unit};

const ROUNDS: usize = 5;

pub(super) async fn measure(bed: &mut Bed, table: &mut Table) -> Result<()> {
    for full in [1_000, 10_000, 100_000] {
        let files = bed.size(full);
        let (home, _) = bed.synced(files).await?;
        let database = home.database()?;
        let look = || {
            Ok::<_, std::io::Error>((std::fs::read(&database)?, database.metadata()?.modified()?))
        };
        let before = look()?;
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push(bed.sync(&home, DEFAULT_CONNECTIONS, false).await?);
        }
        let [sent, received] = bytes(bed, &home).await?;
        if look()? != before || rounds.iter().any(|ran| ran.result.downloaded > 0) {
            return Err("a run without changes wrote to the state, or downloaded".into());
        }
        let ran = median(rounds, |ran| ran.result.cpu);
        let run = ran.result;
        table.add(Line {
            what: format!("no change, {} files in state", thousands(files)),
            measured: Some(run.cpu * 1e3),
            unit: Unit::MillisOfCpu,
            bound: Some(run.derivation * 1e3),
            beside: "key derivation".to_owned(),
            aim: if full == 100_000 {
                Aim::Most(100.0)
            } else {
                Aim::Look
            },
            memory: ran.memory,
            headline: full == 100_000,
            note: format!(
                "{:.0} ms wall; {sent} bytes sent, {received} received; state untouched",
                run.wall * 1e3
            ),
            ..Line::default()
        })?;
    }
    in_a_bucket(bed, table).await?;
    beside_the_official_client(bed, table).await
}

async fn in_a_bucket(bed: &mut Bed, table: &mut Table) -> Result<()> {
    let files = bed.size(100_000);
    let (home, _) = bed.synced_to_s3(files).await?;
    let bucket = bed.bucket().await?;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(bed.sync_to(&home, bucket.clone(), false).await?);
    }
    if rounds.iter().any(|ran| ran.result.downloaded > 0) {
        return Err("a run without changes downloaded".into());
    }
    let ran = median(rounds, |ran| ran.result.cpu);
    table.add(Line {
        what: format!("no change, {} files in state, S3", thousands(files)),
        measured: Some(ran.result.cpu * 1e3),
        unit: Unit::MillisOfCpu,
        bound: Some(ran.result.derivation * 1e3),
        beside: "key derivation".to_owned(),
        aim: Aim::Most(100.0),
        memory: ran.memory,
        headline: true,
        note: format!("{:.0} ms wall", ran.result.wall * 1e3),
        ..Line::default()
    })
}

/// A second run of each, on a vault that the official client brings in a minute.
async fn beside_the_official_client(bed: &mut Bed, table: &mut Table) -> Result<()> {
    let files = bed.size(1_000);
    let (home, _) = bed.notes(files, 1024)?;
    let line = Line {
        what: format!("no change, {} files, whole process", thousands(files)),
        unit: Unit::Seconds,
        headline: true,
        ..Line::default()
    };
    let none = Duration::ZERO;
    rival::compare(bed, &home, none, line.clone(), 1.0).await?;
    let line = rival::compare(bed, &home, none, line, 1.0).await;
    bed.drop_vault(&home)?;
    table.add(line?)
}

/// How many bytes one more such run sends and receives.
async fn bytes(bed: &Bed, home: &Home) -> Result<[u64; 2]> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let host = listener.local_addr()?.to_string();
    let counts: Arc<[AtomicU64; 2]> = Arc::default();
    let service = bed.server.host();
    let relaying = tokio::spawn(relay(listener, service, Arc::clone(&counts)));
    let ran = bed.sync_over(host, home, DEFAULT_CONNECTIONS, false).await;
    relaying.abort();
    ran?;
    Ok([0, 1].map(|way| counts[way].load(Ordering::Relaxed)))
}

/// Passes connections on to the service, and counts.
async fn relay(
    listener: TcpListener,
    service: String,
    counts: Arc<[AtomicU64; 2]>,
) -> std::io::Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        let service = TcpStream::connect(&service).await?;
        client.set_nodelay(true)?;
        service.set_nodelay(true)?;
        let (from_client, to_client) = client.into_split();
        let (from_service, to_service) = service.into_split();
        tokio::spawn(pass(from_client, to_service, Arc::clone(&counts), 0));
        tokio::spawn(pass(from_service, to_client, Arc::clone(&counts), 1));
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    counts: Arc<[AtomicU64; 2]>,
    way: usize,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        counts[way].fetch_add(read as u64, Ordering::Relaxed);
        to.write_all(&buffer[..read]).await?;
    }
}
