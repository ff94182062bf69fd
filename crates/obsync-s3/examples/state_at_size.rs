//! What a large state costs: time, bytes and memory of loading and writing it, beside the double.
//!
//! `cargo run --release -p obsync-s3 --example state_at_size [FILES]`. The double runs in this
//! process; what is measured, in children of it, each a run of its own.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for developers"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use obsidian_sync::{ContentHash, Millis, Uid, VaultId, VaultVersion};
use obsync_core::clock::SystemClock;
use obsync_core::{Batch, Entry, FileEntry, Header, Stamp, StateStore as _, VaultPath};
use obsync_doubles::s3::{BUCKET, Double};
use obsync_s3::{About, EnvironmentCredentials, Place, S3Home, S3Homes, S3Settings};

/// Files per commit, as the engine has it by default.
const BATCH: u64 = 50;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("fill") => fill(&arguments[1], arguments[2].parse().unwrap()).await,
        Some("load") => load(&arguments[1]).await,
        Some("change") => change(&arguments[1]).await,
        Some("warm") => warm(&arguments[1]).await,
        files => measure(files.map_or(100_000, |text| text.parse().unwrap())).await,
    }
}

async fn measure(files: u64) {
    let double = Double::start().await;
    for job in ["fill", "load", "change", "warm"] {
        double.requests();
        let output = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args([job, &double.url, &files.to_string()])
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        print!("{}", String::from_utf8(output.stdout).unwrap());
        let writes = double.requests();
        let writes = writes
            .iter()
            .filter(|line| line.starts_with("PUT state/0123abcd.json"));
        println!("        {} writes of the state", writes.count());
    }
    let bytes = double.object("state/0123abcd.json").unwrap().bytes.len();
    println!("state of {files} files: {:.1} MB", bytes as f64 / 1e6);
}

fn homes(url: &str) -> S3Homes {
    let mut settings = S3Settings::new(BUCKET);
    settings.endpoint = Some(url.parse().unwrap());
    let credentials = EnvironmentCredentials::from_variables(|name| Some(name.to_owned()));
    let credentials = Arc::new(credentials.unwrap());
    S3Homes::new(&settings, credentials, Arc::new(SystemClock)).unwrap()
}

async fn open(homes: &S3Homes) -> S3Home {
    let about = About {
        vault: VaultId::new("0123abcd"),
        name: "Notes".to_owned(),
        shared_name: false,
        place: Place::Usual,
    };
    homes.open(&about).await.unwrap()
}

fn batch(from: u64, to: u64) -> Batch {
    let entry = |n: u64| {
        let path = format!("Projects/{:03}/A note of middling length {n}.md", n % 500);
        let hash = ContentHash::of(&n.to_be_bytes());
        let file = FileEntry {
            uid: Uid(n),
            hash,
            size: 2_000,
            mtime: Millis(1_700_000_000_000 + n as i64),
            stamp: Stamp(format!("{}:2000", &hash.to_hex()[..32])),
        };
        (VaultPath::parse(&path).unwrap(), Entry::File(file))
    };
    Batch {
        header: Some(Header {
            cursor: VaultVersion(to),
            ..Header::default()
        }),
        set: (from..to).map(entry).collect(),
        ..Batch::default()
    }
}

/// A first sync at about 5,000 files a second: how much of it goes into the state.
async fn fill(url: &str, files: u64) {
    let homes = homes(url);
    let home = open(&homes).await;
    let began = Instant::now();
    let (mut spent, mut worst) = (Duration::ZERO, Duration::ZERO);
    let mut from = 0;
    while from < files {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let batch = batch(from, (from + BATCH).min(files));
        from += BATCH;
        let before = Instant::now();
        home.state.commit(batch).await.unwrap();
        let took = before.elapsed();
        spent += took;
        worst = worst.max(took);
    }
    let before = Instant::now();
    home.state.close().await.unwrap();
    let closing = before.elapsed();
    let whole = began.elapsed();
    let share = spent.as_secs_f64() / whole.as_secs_f64() * 100.0;
    println!(
        "fill    {:.1} s, of it {share:.1} % in commits (longest {}), closing {}; {}",
        whole.as_secs_f64(),
        ms(worst),
        ms(closing),
        memory()
    );
}

async fn load(url: &str) {
    let began = Instant::now();
    let home = open(&homes(url)).await;
    let opened = began.elapsed();
    let before = memory();
    let began = Instant::now();
    let contents = home.state.load().await.unwrap();
    let loaded = began.elapsed();
    println!(
        "load    opened in {} ({before}), {} entries in {}; {}",
        ms(opened),
        contents.entries.len(),
        ms(loaded),
        memory()
    );
}

/// The smallest run that changes something: all of the state is read, and written once.
async fn change(url: &str) {
    let home = open(&homes(url)).await;
    let contents = home.state.load().await.unwrap();
    let began = Instant::now();
    home.state.commit(batch(7, 8)).await.unwrap();
    let committed = began.elapsed();
    let began = Instant::now();
    home.state.close().await.unwrap();
    println!(
        "change  committed in {}, written in {}; {}",
        ms(committed),
        ms(began.elapsed()),
        memory()
    );
    drop(contents);
}

/// Beginning again in the same process, as a warm function does.
async fn warm(url: &str) {
    let homes = homes(url);
    drop(open(&homes).await);
    let began = Instant::now();
    let home = open(&homes).await;
    let counts = home.state.counts().await.unwrap();
    println!(
        "warm    {} files known again in {}; {}",
        counts.files,
        ms(began.elapsed()),
        memory()
    );
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// The most memory that this process has held.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: Option<f64> = peak.and_then(|text| text.trim().split(' ').next()?.parse().ok());
    match kilobytes {
        Some(kilobytes) => format!("peak {:.1} MiB", kilobytes / 1024.0),
        None => "peak memory unknown".to_owned(),
    }
}
