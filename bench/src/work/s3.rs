//! A first pull to S3, beside what the S3 double takes at most, and beside a pull to a folder that
//! `rclone` then copies.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::thousands;
use crate::Result;
use crate::bed::{Bed, Home};
use crate::bucket::Bucket;
use crate::table::{Against, Aim, Line, Table, Unit};

/// Notes, and the round trip to the service and to the bucket in milliseconds.
const CELLS: [(u64, u64); 2] = [(10_000, 0), (2_000, 20)];
const BYTES: usize = 2048;
const CONNECTIONS: usize = 8;
/// Puts side by side: the engine's own number, and what `rclone` and the bare loop are given.
const PUTS: usize = 16;
/// How long `rclone` may take.
const LIMIT: Duration = Duration::from_secs(120);

pub(super) async fn measure(bed: &mut Bed, table: &mut Table) -> Result<()> {
    for cell in CELLS {
        first_pull(bed, table, cell).await?;
    }
    Ok(())
}

async fn first_pull(bed: &mut Bed, table: &mut Table, (full, trip): (u64, u64)) -> Result<()> {
    let notes = bed.size(full);
    let trip = Duration::from_millis(trip);
    let (home, _) = bed.notes(notes, BYTES)?;
    let bucket = Bucket::far_away(trip).await?;
    bed.server.faults().set_latency(trip);
    let ceiling = bed
        .puts(&home, PUTS, bucket.address(), notes as usize, BYTES)
        .await?;
    let ran = bed
        .sync_to_s3(&home, CONNECTIONS, bucket.endpoint.clone())
        .await?;
    let rate = |seconds: f64| notes as f64 / seconds;
    let line = Line {
        what: format!(
            "{} notes to S3, {} ms, {CONNECTIONS} conn.",
            thousands(notes),
            trip.as_millis()
        ),
        measured: Some(rate(ran.result.wall)),
        unit: Unit::Puts,
        memory: ran.memory,
        ..Line::default()
    };
    table.add(Line {
        bound: Some(rate(ceiling)),
        beside: format!("bare puts, {PUTS} at once"),
        note: format!("{:.1} s of CPU", ran.result.cpu),
        ..line.clone()
    })?;

    let folder = bed.sync(&home, CONNECTIONS, false).await?;
    bed.server.faults().set_latency(Duration::ZERO);
    let copied = rclone(&bucket, &home).await;
    bed.drop_vault(&home)?;
    let mut line = Line {
        against: Against::Rival,
        aim: Aim::Factor(1.0),
        headline: true,
        ..line
    };
    match copied? {
        Some(copied) => {
            line.bound = Some(rate(folder.result.wall + copied));
            line.beside = format!("to a folder, then rclone copy, {PUTS} transfers");
            line.note = format!(
                "{:.1} s, of it {copied:.1} s for rclone",
                folder.result.wall + copied
            );
        }
        None => line.beside = "rclone: not installed".to_owned(),
    }
    table.add(line)
}

/// Copies the folder to the bucket. `None` where there is no `rclone`; else how long it took.
async fn rclone(bucket: &Bucket, home: &Home) -> Result<Option<f64>> {
    let there = Command::new("rclone")
        .arg("version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !there.await.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let start = Instant::now();
    let remote = [
        ("TYPE", "s3"),
        // Path style: the double has no host names.
        ("PROVIDER", "Minio"),
        ("ACCESS_KEY_ID", "example"),
        ("SECRET_ACCESS_KEY", "example"),
        ("REGION", "us-east-1"),
        ("NO_CHECK_BUCKET", "true"),
        ("ENDPOINT", &bucket.endpoint),
    ];
    let mut command = Command::new("rclone");
    command
        .args(["copy", "--transfers", &PUTS.to_string(), "--config", ""])
        // The double's ETags are no MD5 sums.
        .args([
            "--exclude",
            "/.obsync/**",
            "--retries",
            "1",
            "--ignore-checksum",
        ])
        .arg(&home.folder)
        .arg("double:notes/rclone")
        .env_clear()
        .envs(remote.map(|(name, value)| (format!("RCLONE_CONFIG_DOUBLE_{name}"), value)))
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.folder.with_file_name("rclone"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await??;
    if output.status.success() {
        return Ok(Some(start.elapsed().as_secs_f64()));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<&str> = said.lines().take(3).collect();
    Err(format!("rclone failed, {}: {}", output.status, said.join(" ")).into())
}
