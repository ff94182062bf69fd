//! What one core does before anything is fetched: names decoded, a key derived. Measured by
//! `obsync-counts`, whose allocator counts, so that here no other figure pays for the counting.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use super::thousands;
use crate::Result;
use crate::table::{Against, Line, Table, Unit};

const LIMIT: Duration = Duration::from_secs(40);
/// OpenSSL's scrypt, with what most systems have; it prints milliseconds.
const OPENSSL: &str = "
import hashlib, time
def once():
    start = time.perf_counter()
    hashlib.scrypt(b'secret', salt=b'0123456789abcdef', n=32768, r=8, p=1, maxmem=1 << 26, dklen=32)
    return time.perf_counter() - start
print(sorted(once() for _ in range(5))[2] * 1e3)
";

/// What `obsync-counts measure` prints.
#[derive(Debug, Deserialize)]
struct Measured {
    records: u64,
    decode_ms: f64,
    decode_allocations: u64,
    decode_peak_bytes: u64,
    aes_ms: f64,
    derivation_ms: f64,
    derivation_allocations: u64,
    derivation_peak_bytes: u64,
}

pub(super) async fn measure(table: &mut Table) -> Result<()> {
    let counts = std::env::current_exe()?.with_file_name("obsync-counts");
    let said = said(Command::new(&counts).arg("measure")).await;
    let said = said.map_err(|error| {
        format!(
            "{error}; `make bench` builds what is missing ({})",
            counts.display()
        )
    })?;
    let measured: Measured = serde_json::from_str(&said)?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let records = thousands(measured.records);
    let each = measured.decode_allocations as f64 / measured.records as f64;
    table.add(Line {
        what: format!("decode {records} records, one core"),
        measured: Some(measured.decode_ms),
        unit: Unit::Millis,
        bound: Some(measured.aes_ms),
        beside: "their AES blocks alone".to_owned(),
        note: format!(
            "{each:.1} allocations a record, {:.0} MiB at most",
            mib(measured.decode_peak_bytes)
        ),
        ..Line::default()
    })?;
    let openssl = self::said(Command::new("python3").args(["-c", OPENSSL])).await;
    let openssl = openssl.ok().and_then(|ms| ms.trim().parse().ok());
    table.add(Line {
        what: "key derivation, one core".to_owned(),
        measured: Some(measured.derivation_ms),
        unit: Unit::Millis,
        bound: openssl,
        beside: match openssl {
            Some(_) => "OpenSSL's scrypt".to_owned(),
            None => "OpenSSL's scrypt: no Python with it".to_owned(),
        },
        against: Against::Rival,
        note: format!(
            "{} allocations, {:.0} MiB",
            measured.derivation_allocations,
            mib(measured.derivation_peak_bytes)
        ),
        ..Line::default()
    })
}

/// What a command prints.
async fn said(command: &mut Command) -> Result<String> {
    command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await??;
    if !output.status.success() {
        return Err(format!("it failed: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
