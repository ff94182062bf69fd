//! The official client and obsync against one service.
//!
//! Our client and our dev server could share one misreading of the protocol. Here the official
//! client, unmodified, stands on either side of obsync: what it encrypts obsync must read, and what
//! obsync encrypts it must read, byte for byte and for every kind of vault.
//!
//! Run it with `make interop`. It needs npm, Python 3, make and a C++ compiler and is skipped where
//! one of them is missing, unless `OBSYNC_INTEROP=require` says that this is a failure too. The
//! client is installed on first use, see [`obsync_interop::install`].

mod ours;
mod stage;
mod tree;

use std::fmt::Debug;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use futures_util::future::join_all;
use obsidian_sync::Millis;
use obsync_interop::Outcome;
use obsync_interop::install::{self, Client};

use ours::Ours;
use stage::{KINDS, Kind, Stage, VAULT};
use tree::{DELETED, EDITED, RENAMED, Tree};

const CASE: Duration = Duration::from_secs(170);

#[tokio::test(flavor = "multi_thread")]
async fn obsync_reads_what_the_official_client_encrypts() {
    for_each_kind(writes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_reads_what_obsync_encrypts() {
    for_each_kind(reads).await;
}

async fn writes(kind: Kind, client: Client) -> Outcome<()> {
    let stage = Stage::with_vault_of_the_client(kind, client).await?;
    let mut tree = stage.sample().await?;
    let source = stage.place("source");
    tree.write(&source)?;
    write_what_is_never_synced(&source)?;

    stage.official.link(VAULT, kind.password(), &source).await?;
    stage.official.sync(&source).await?;
    let copy = Ours::new(&stage, kind.password());
    let report = copy.pull(&stage).await?;
    Tree::read(&copy.folder)?.expect("obsync", &tree)?;
    same(
        "files that obsync counts",
        report.files_downloaded + report.files_moved,
        tree.len(),
    )?;
    does_nothing(&copy, &stage).await?;

    fs::rename(source.join(RENAMED.0), source.join(RENAMED.1))?;
    fs::remove_dir_all(source.join(DELETED))?;
    tree.change();
    tree.write_file(&source, EDITED)?;
    stage.official.sync(&source).await?;
    stage.server.reset_stats();
    copy.pull(&stage).await?;
    Tree::read(&copy.folder)?.expect("obsync, after changes,", &tree)?;
    same(
        "files that obsync downloaded",
        stage.server.stats().pulled(),
        1,
    )?;
    does_nothing(&copy, &stage).await
}

/// Another run of obsync's neither downloads nor writes.
async fn does_nothing(copy: &Ours, stage: &Stage) -> Outcome<()> {
    let (files, state) = (Tree::read(&copy.folder)?, copy.state()?);
    stage.server.reset_stats();
    copy.pull(stage).await?;
    same(
        "files that an idle run downloaded",
        stage.server.stats().pulled(),
        0,
    )?;
    Tree::read(&copy.folder)?.expect("obsync, after an idle run,", &files)?;
    same(
        "whether an idle run wrote to the state",
        copy.state()? != state,
        false,
    )
}

async fn reads(kind: Kind, client: Client) -> Outcome<()> {
    let stage = Stage::with_vault(kind, client).await?;
    let mut tree = stage.sample().await?;
    let (source, copy) = (stage.place("source"), stage.place("copy"));
    tree.write(&source)?;
    stage.server.seed(&stage.vault, &source)?;

    stage.official.link(VAULT, kind.password(), &copy).await?;
    stage.official.sync(&copy).await?;
    Tree::read(&copy)?.expect("the official client", &tree)?;

    stage.server.rename(&stage.vault, RENAMED.0, RENAMED.1)?;
    stage.server.delete(&stage.vault, DELETED)?;
    tree.change();
    let (content, mtime) = &tree.files[EDITED];
    stage.server.put(
        &stage.vault,
        EDITED,
        content,
        Millis(i64::try_from(*mtime)?),
    )?;
    stage.official.sync(&copy).await?;
    Tree::read(&copy)?.expect("the official client, after changes,", &tree)?;

    // Were one name, hash or time not what it makes of the file itself, it would upload it.
    stage.server.reset_stats();
    stage.official.sync(&copy).await?;
    let stats = stage.server.stats();
    same(
        "files pulled and pushed by a client with nothing to do",
        (stats.pulled(), stats.pushes),
        (0, 0),
    )
}

/// What no client sends (protocol section 5).
fn write_what_is_never_synced(root: &Path) -> Outcome<()> {
    for path in [".hidden.md", ".trash/old.md", ".obsidian/workspace.json"] {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap_or(root))?;
        fs::write(file, "not to be synced")?;
    }
    Ok(())
}

fn same<T: Copy + PartialEq + Debug>(what: &str, found: T, expected: T) -> Outcome<()> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: {found:?}, not {expected:?}").into())
    }
}

/// Runs a case for every kind of vault at once: the official client spends most of its time waiting.
async fn for_each_kind<R>(case: impl Fn(Kind, Client) -> R)
where
    R: Future<Output = Outcome<()>>,
{
    let client = match install::client().await {
        Ok(Ok(client)) => client,
        Ok(Err(missing)) => return skip(&missing),
        Err(error) => panic!("the official client could not be installed: {error}"),
    };
    let cases = KINDS.map(|kind| {
        // On the heap: all of them together are too much for a test thread's stack.
        let case = tokio::time::timeout(CASE, Box::pin(case(kind, client.clone())));
        async move {
            match case.await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{}: {error}", kind.name)),
                Err(_) => Some(format!("{}: not done in {} s", kind.name, CASE.as_secs())),
            }
        }
    });
    let failures: Vec<_> = join_all(cases).await.into_iter().flatten().collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Says so where it is seen: past the capture of the test harness.
fn skip(missing: &str) {
    let why = format!("{missing}; this test needs npm, Python 3, make and a C++ compiler");
    let required = std::env::var("OBSYNC_INTEROP").is_ok_and(|value| value == "require");
    assert!(!required, "{why}");
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(writeln!(std::io::stderr(), "skipped: {why}")));
}
