//! moto, a model of AWS's own semantics, as a process: for tests that must not take this crate's word.
//!
//! It is installed once, pinned, into a virtual environment below the user's cache.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

const MOTO: &str = "moto[server,s3]==5.2.5";

/// A running server. A process of tests has one.
struct Moto {
    address: String,
    _server: Child,
}

/// Says why there is none.
async fn start() -> Result<Moto, String> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache")));
    let place = cache.ok_or("no cache folder")?.join("obsync/moto-5.2.5");
    let python = place.join("bin/python");
    let done = place.join("installed");
    if !done.exists() {
        let mut venv = Command::new("python3");
        run("python3 -m venv", venv.args(["-m", "venv"]).arg(&place)).await?;
        let mut pip = Command::new(&python);
        run(
            "pip install",
            pip.args(["-m", "pip", "install", "--quiet", MOTO]),
        )
        .await?;
        std::fs::write(&done, MOTO).map_err(|error| error.to_string())?;
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = free.local_addr().map_err(|error| error.to_string())?;
    drop(free);
    // A static is never dropped: the shell ends the server when our end of its input closes.
    let server = Command::new("sh")
        .arg("-c")
        .arg(r#""$0" -m moto.server -H 127.0.0.1 -p "$1" & read -r _; kill $!"#)
        .arg(&python)
        .arg(address.port().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("moto does not start: {error}"))?;
    let address = address.to_string();
    let up = async {
        while TcpStream::connect(&address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let up = tokio::time::timeout(Duration::from_secs(30), up).await;
    up.map_err(|_| "moto does not come up".to_owned())?;
    Ok(Moto {
        address,
        _server: server,
    })
}

async fn run(what: &str, command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().await;
    let output = output.map_err(|error| format!("{what}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{what}: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Where this process's server listens, as `host:port`.
///
/// # Errors
/// Why there is none.
pub async fn server() -> Result<&'static str, &'static str> {
    static MOTO: OnceCell<Result<Moto, String>> = OnceCell::const_new();
    match MOTO.get_or_init(start).await {
        Ok(moto) => Ok(&moto.address),
        Err(why) => Err(why),
    }
}

/// Whether there is a server; says why not. With `OBSYNC_S3=require` there must be.
pub async fn is_there() -> bool {
    match server().await {
        Ok(_) => true,
        Err(why) if std::env::var("OBSYNC_S3").is_ok_and(|word| word == "require") => {
            panic!("no S3 server for the tests: {why}")
        }
        Err(why) => {
            tell(&format!("SKIPPED: no S3 server for the tests: {why}"));
            false
        }
    }
}

#[expect(clippy::print_stderr, reason = "tests that are skipped say so")]
fn tell(words: &str) {
    eprintln!("{words}");
}
