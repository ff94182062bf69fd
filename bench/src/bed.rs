//! The test bed: one service in memory, vaults in it, and a folder with a state for each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use obsidian_sync::{Millis, Token, Uid, VaultId};
use obsync_devserver::{DevServer, VaultSpec};
use tempfile::TempDir;

use crate::Result;
use crate::bucket::Bucket;
use crate::child::{Copied, Job, Place, Ran, StateTimes, Synced, Target, Task};
use crate::official::Rival;

pub(crate) const OWNER: &str = "bench@example.com";
pub(crate) const ACCOUNT_PASSWORD: &str = "account";
pub(crate) const PASSWORD: &str = "secret";
const SALT: &str = "0123456789abcdef";
const MTIME: Millis = Millis(1_700_000_000_000);
/// As many as a user gets who says nothing.
pub(crate) const DEFAULT_CONNECTIONS: usize = 4;
/// Files in one folder.
const FOLDER: u64 = 100;

/// The service and all that is beside it.
pub(crate) struct Bed {
    pub(crate) server: DevServer,
    quick: bool,
    token: Token,
    scratch: TempDir,
    /// Vaults of small files that were synced once, by their number of files.
    synced: HashMap<u64, (Home, Ran<Synced>)>,
    synced_to_s3: HashMap<u64, Ran<Synced>>,
    bucket: Option<Bucket>,
    /// The official client, once somebody asked for it.
    rival: Option<std::result::Result<Rival, String>>,
    vaults: u32,
}

/// A vault and where its copy goes.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) vault: VaultId,
    /// The vault's name, which no other has.
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    state: PathBuf,
}

impl Bed {
    pub(crate) async fn start(quick: bool) -> Result<Self> {
        let server = DevServer::start().await?;
        server.add_account(OWNER, ACCOUNT_PASSWORD, None)?;
        Ok(Self {
            quick,
            token: server.issue_token(OWNER)?,
            scratch: TempDir::with_prefix("obsync-bench-")?,
            server,
            synced: HashMap::new(),
            synced_to_s3: HashMap::new(),
            bucket: None,
            rival: None,
            vaults: 0,
        })
    }

    /// A size, or a tenth of it for a quick look.
    pub(crate) fn size(&self, full: u64) -> u64 {
        if self.quick { full / 10 } else { full }
    }

    /// A new vault without files.
    pub(crate) fn empty(&mut self) -> Result<Home> {
        self.vaults += 1;
        let name = format!("Bench {}", self.vaults);
        let spec = VaultSpec::encrypted(&name, OWNER, PASSWORD).salt(SALT);
        let vault = self.server.add_vault(spec)?;
        let home = self.scratch.path().join(vault.as_str());
        Ok(Home {
            vault,
            name,
            folder: home.join("copy"),
            state: home.join("state"),
        })
    }

    /// A new vault of so many notes, each of so many bytes, no two alike; and their records.
    pub(crate) fn notes(&mut self, count: u64, bytes: usize) -> Result<(Home, Vec<Uid>)> {
        let home = self.empty()?;
        let mut uids = Vec::new();
        for number in 0..count {
            let folder = format!("Folder {}", number / FOLDER);
            if number.is_multiple_of(FOLDER) {
                self.server.mkdir(&home.vault, &folder)?;
            }
            let mut text = format!("# Note {number}\n\nof so many. ").repeat(1 + bytes / 16);
            text.truncate(bytes);
            let path = format!("{folder}/A note with a title of usual length {number}.md");
            let uid = self
                .server
                .put(&home.vault, &path, text.as_bytes(), MTIME)?;
            uids.push(uid);
        }
        Ok((home, uids))
    }

    /// Changes one note of a vault.
    pub(crate) fn change(&self, home: &Home, text: &str) -> Result<()> {
        let path = "Folder 0/A note with a title of usual length 0.md";
        self.server.put(&home.vault, path, text.as_bytes(), MTIME)?;
        Ok(())
    }

    /// A new vault of so many files of one size, no two alike. Returns the sealed content of the last.
    pub(crate) fn attachments(&mut self, count: usize, size: usize) -> Result<(Home, Bytes)> {
        let home = self.empty()?;
        let cipher = self.server.cipher(&home.vault)?;
        let mut plain: Vec<u8> = (0..size)
            .map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8)
            .collect();
        let mut sealed = Bytes::new();
        for number in 0..count {
            let mark = (number as u64).to_le_bytes();
            plain[..mark.len()].copy_from_slice(&mark);
            sealed = Bytes::from(cipher.seal(&plain));
            let record = obsync_devserver::RawRecord {
                path: cipher.encode_name(&format!("Film {number}.mp4")),
                hash: cipher.encode_hash(Some(obsidian_sync::ContentHash::of(&plain))),
                content: Some(sealed.clone()),
                ..Default::default()
            };
            self.server.put_raw(&home.vault, record)?;
        }
        Ok((home, sealed))
    }

    /// Runs the engine once, in a process of its own.
    pub(crate) async fn sync(
        &self,
        home: &Home,
        connections: usize,
        times: bool,
    ) -> Result<Ran<Synced>> {
        self.sync_over(self.server.host(), home, connections, times)
            .await
    }

    /// The same, with another way to the service.
    pub(crate) async fn sync_over(
        &self,
        host: String,
        home: &Home,
        connections: usize,
        times: bool,
    ) -> Result<Ran<Synced>> {
        let task = Task::Sync {
            target: home.target(),
            times,
            full: false,
        };
        let mut job = self.job(home, connections, task);
        job.host = host;
        job.run().await
    }

    /// Runs the engine once, with what a user gets who says nothing but, perhaps, `--full`.
    pub(crate) async fn sync_to(
        &self,
        home: &Home,
        target: Target,
        full: bool,
    ) -> Result<Ran<Synced>> {
        let times = false;
        let task = Task::Sync {
            target,
            times,
            full,
        };
        self.job(home, DEFAULT_CONNECTIONS, task).run().await
    }

    /// Runs the engine once, to the S3 double at this URL.
    pub(crate) async fn sync_to_s3(
        &self,
        home: &Home,
        connections: usize,
        endpoint: String,
    ) -> Result<Ran<Synced>> {
        let task = Task::Sync {
            target: Target::S3 { endpoint },
            times: false,
            full: false,
        };
        self.job(home, connections, task).run().await
    }

    /// Pulls some of the vault's records and does nothing with them. Says how long it took.
    pub(crate) async fn pull(
        &self,
        home: &Home,
        connections: usize,
        uids: Vec<Uid>,
    ) -> Result<f64> {
        let version = self.server.version(&home.vault)?;
        let task = Task::Pull { version, uids };
        let pulled: Ran<f64> = self.job(home, connections, task).run().await?;
        Ok(pulled.result)
    }

    /// Writes as many files as a vault has, and nothing else. Says how long it took.
    pub(crate) async fn files(&self, home: &Home, files: u64, bytes: usize) -> Result<f64> {
        let folder = home.place()?.join("bare");
        let task = Task::Files {
            folder,
            files,
            bytes,
        };
        let written: Ran<f64> = self.job(home, 1, task).run().await?;
        Ok(written.result)
    }

    /// Copies and opens content from a bare WebSocket.
    pub(crate) async fn copy(
        &self,
        home: &Home,
        address: String,
        size: usize,
        files: usize,
    ) -> Result<Copied> {
        let task = Task::Copy {
            address,
            size,
            files,
        };
        let copied: Ran<Copied> = self.job(home, 1, task).run().await?;
        Ok(copied.result)
    }

    /// Puts objects to the S3 double without more ado. Says how long it took.
    pub(crate) async fn puts(
        &self,
        home: &Home,
        sockets: usize,
        address: String,
        puts: usize,
        bytes: usize,
    ) -> Result<f64> {
        let task = Task::Puts {
            address,
            puts,
            bytes,
        };
        let put: Ran<f64> = self.job(home, sockets, task).run().await?;
        Ok(put.result)
    }

    /// Fills a state, in a process of its own: what that takes is not measured.
    pub(crate) async fn fill_state(&self, home: &Home, place: Place, files: u64) -> Result<()> {
        let job = self.job(home, 1, Task::FillState { place, files });
        let _: Ran<()> = job.run().await?;
        Ok(())
    }

    /// Measures a state that was filled.
    pub(crate) async fn state(
        &self,
        home: &Home,
        place: Place,
        files: u64,
    ) -> Result<Ran<StateTimes>> {
        self.job(home, 1, Task::State { place, files }).run().await
    }

    /// The account's token.
    pub(crate) fn token(&self) -> &str {
        self.token.expose()
    }

    /// The official client, or why there is none.
    pub(crate) async fn rival(&mut self) -> std::result::Result<Rival, String> {
        if self.rival.is_none() {
            let home = self.scratch.path().join("official");
            self.rival = Some(Rival::sign_in(home, self.server.url()).await);
        }
        let rival = self.rival.clone();
        rival.unwrap_or_else(|| Err("not asked for".to_owned()))
    }

    /// A place for what a work needs beside vaults.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn job(&self, home: &Home, connections: usize, task: Task) -> Job {
        Job {
            task,
            vault: home.vault.clone(),
            host: self.server.host(),
            token: self.token().to_owned(),
            password: PASSWORD.to_owned(),
            salt: SALT.to_owned(),
            connections,
        }
    }

    /// A vault of so many small files and its first sync, done once for all who ask.
    pub(crate) async fn synced(&mut self, files: u64) -> Result<(Home, Ran<Synced>)> {
        if let Some(synced) = self.synced.get(&files) {
            return Ok(synced.clone());
        }
        let (home, _) = self.notes(files, 1024)?;
        let first = self.sync(&home, DEFAULT_CONNECTIONS, false).await?;
        self.synced.insert(files, (home.clone(), first.clone()));
        Ok((home, first))
    }

    /// The S3 double that large vaults are synced to, once somebody asked for it.
    pub(crate) async fn bucket(&mut self) -> Result<Target> {
        let bucket = match self.bucket.take() {
            Some(bucket) => bucket,
            None => Bucket::start().await?,
        };
        let endpoint = self.bucket.insert(bucket).endpoint.clone();
        Ok(Target::S3 { endpoint })
    }

    /// The first sync of a vault of so many small files to that bucket, done once for all who ask.
    pub(crate) async fn synced_to_s3(&mut self, files: u64) -> Result<(Home, Ran<Synced>)> {
        let (home, _) = self.synced(files).await?;
        if let Some(first) = self.synced_to_s3.get(&files) {
            return Ok((home, first.clone()));
        }
        let target = self.bucket().await?;
        let first = self.sync_to(&home, target, false).await?;
        self.synced_to_s3.insert(files, first.clone());
        Ok((home, first))
    }

    /// Throws a vault away, with its copy.
    pub(crate) fn drop_vault(&self, home: &Home) -> Result<()> {
        self.server.remove_vault(&home.vault)?;
        home.clear()
    }

    /// Throws away what is left.
    pub(crate) fn end(self) -> Result<()> {
        empty(self.scratch.path());
        Ok(self.scratch.close()?)
    }
}

impl Home {
    /// Its folder and state on the disk.
    pub(crate) fn target(&self) -> Target {
        Target::Folder {
            folder: self.folder.clone(),
            state: self.state.clone(),
        }
    }

    /// The folder that holds all of it.
    pub(crate) fn place(&self) -> Result<&Path> {
        Ok(self.folder.parent().ok_or("a home has a parent")?)
    }

    /// The state's database.
    pub(crate) fn database(&self) -> Result<PathBuf> {
        let known = obsync_local::StateDir::new(&self.state).known(None)?;
        Ok(known.into_iter().next().ok_or("there is no state")?.db)
    }

    /// Puts the copy and its state out of the way. Nothing is deleted before the end: ext4 gives no inode
    /// away for a minute and more after it was freed, and until then each new file searches past all of
    /// them, at twice its usual price.
    pub(crate) fn clear(&self) -> Result<()> {
        let place = self.place()?;
        if !place.exists() {
            return Ok(());
        }
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let mut free = (0..).map(|number| place.with_file_name(format!("{name} gone {number}")));
        let free = free.find(|path| !path.exists()).ok_or("no name is free")?;
        Ok(std::fs::rename(place, free)?)
    }
}

/// Removes what is below a folder, up to the second level by many at once: file systems that are slow to give
/// space back are so for each file by itself, and this takes a tenth of the time.
fn empty(folder: &Path) {
    let below = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = below(folder).map(|entry| entry.path()).collect();
    for _ in 0..2 {
        folders = folders
            .iter()
            .flat_map(|folder| below(folder).map(|entry| entry.path()))
            .collect();
    }
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Some(folder) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // What is left, files included, goes at the end, where a failure is told.
                    let _ = std::fs::remove_dir_all(folder);
                }
            });
        }
    });
}
