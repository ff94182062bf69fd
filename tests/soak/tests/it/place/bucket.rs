//! A prefix of a bucket, with its state beside it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use obsidian_sync::{Millis, VaultId};
use obsync_core::clock::FixedClock;
use obsync_core::memory::Faults;
use obsync_doubles::s3::{BUCKET, Double};
use obsync_s3::{About, EnvironmentCredentials, S3Home, S3Settings};

use super::{Place, Stores};
use crate::world::NOW;

const PREFIX: &str = "vaults/Notes/";
const OWN: &str = "vaults/Notes/.obsync/";
const IGNORE: &str = "vaults/Notes/.obsyncignore";
const TRASH: &str = "vaults/Notes/.obsync/trash/";
const THEIRS: &str = "vaults/Notes 2/theirs.md";
/// A dead run's lease has run out after this.
const LEASE: Duration = Duration::from_secs(31);

pub(crate) struct Bucket {
    double: Double,
    about: About,
}

impl Bucket {
    /// Empties the service and begins anew.
    pub(crate) fn new(double: &Double, vault: &VaultId) -> Self {
        for key in double.keys() {
            double.remove(&key);
        }
        double.put(THEIRS, b"theirs");
        let about = About {
            vault: vault.clone(),
            name: "Notes".to_owned(),
            shared_name: false,
            place: obsync_s3::Place::Usual,
        };
        Self {
            double: double.clone(),
            about,
        }
    }

    fn objects(&self) -> impl Iterator<Item = (String, obsync_doubles::s3::Object)> {
        let keys = self.double.keys().into_iter();
        keys.filter_map(|key| self.double.object(&key).map(|object| (key, object)))
    }
}

#[async_trait]
impl Place for Bucket {
    fn holds(&self) -> fn(&str) -> bool {
        |path| !path.contains(char::is_control)
    }

    fn has_folders(&self) -> bool {
        false
    }

    fn marks_files(&self) -> bool {
        true
    }

    async fn open(&self, faults: &Faults) -> Stores {
        let mut settings = S3Settings::new(BUCKET);
        settings.endpoint = Some(self.double.url.parse().unwrap());
        settings.first_pause = Duration::from_millis(1);
        let read = |name: &str| Some(format!("test-{name}"));
        let credentials = EnvironmentCredentials::from_variables(read).unwrap();
        let clock = Arc::new(FixedClock(NOW));
        let home = S3Home::open(&settings, &self.about, Arc::new(credentials), clock).await;
        let home = home.unwrap();
        Stores::new(home.files, home.state, faults)
    }

    async fn closed(&self, stores: Stores, died: bool) {
        // As front ends do, however a run ended: it lets others in. A crash may fall here, too.
        let died = died || stores.state.checkpoint().await.is_err();
        drop(stores);
        if died {
            self.double.pass(LEASE);
        }
    }

    async fn reset(&self) {
        for key in self.double.keys() {
            if key.starts_with("state/") {
                self.double.remove(&key);
            }
        }
    }

    fn write(&self, path: &str, content: &Bytes) {
        self.double.put(&format!("{PREFIX}{path}"), content);
    }

    fn remove(&self, path: &str) {
        self.double.remove(&format!("{PREFIX}{path}"));
    }

    fn ignore(&self, text: &str) {
        self.double.put(IGNORE, text.as_bytes());
    }

    fn mtime(&self, path: &str) -> Option<Millis> {
        let object = self.double.object(&format!("{PREFIX}{path}"))?;
        let mtime = object.headers.get("x-amz-meta-mtime")?;
        let (seconds, fraction) = mtime.split_once('.').unwrap_or((mtime, ""));
        let millis = format!("{fraction:0<3}");
        Some(Millis(format!("{seconds}{}", &millis[..3]).parse().ok()?))
    }

    fn make_folder(&self, _: &str) {}

    fn files(&self) -> BTreeMap<String, Bytes> {
        self.objects()
            .filter(|(key, _)| !key.starts_with(OWN) && key != IGNORE)
            .filter_map(|(key, object)| {
                let name = key.strip_prefix(PREFIX)?;
                Some((name.to_owned(), object.bytes))
            })
            .collect()
    }

    fn folders(&self) -> Vec<String> {
        Vec::new()
    }

    fn trashed(&self) -> Vec<Bytes> {
        self.objects()
            .filter(|(key, _)| key.starts_with(TRASH))
            .map(|(_, object)| object.bytes)
            .collect()
    }

    fn leftovers(&self) -> Vec<String> {
        match self.double.uploads() {
            0 => Vec::new(),
            count => vec![format!("{count} uploads")],
        }
    }

    fn print(&self) -> String {
        let mut print = String::new();
        for (key, object) in self.objects() {
            if !key.ends_with(".status.json") {
                let _ = writeln!(print, "{key:?} {} {}", object.e_tag, object.version);
            }
        }
        print
    }

    fn harm(&self) -> Vec<String> {
        let mut harm: Vec<_> = self
            .double
            .keys()
            .into_iter()
            .filter(|key| !key.starts_with(PREFIX) && !key.starts_with("state/") && key != THEIRS)
            .collect();
        let theirs = self.double.object(THEIRS);
        if theirs.is_none_or(|object| object.bytes != "theirs") {
            harm.push(THEIRS.to_owned());
        }
        harm
    }
}
