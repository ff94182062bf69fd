//! [`probe`]: can obsync work in this bucket? Each right is tried by itself, so that what is missing is
//! told by name: on one small object of its own that is removed again, written as a vault's are, and
//! beside the states, where nothing may be deleted, by a write that can't succeed.

use std::time::Duration;

use bytes::Bytes;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use object_store::PutPayload;
use object_store::aws::AwsCredentialProvider;
use object_store::path::Path;
use obsidian_sync::{ContentHash, Millis, Uid};
use obsync_core::{FileMeta, StoreError, StoreErrorKind};
use tokio::time::timeout;

use crate::ask::Ask;
use crate::bucket::Bucket;
use crate::fault::Fault;
use crate::keys;
use crate::settings::{S3Settings, folder};

const CONTENT: &[u8] = b"obsync looks whether it may write here; this can be deleted\n";

/// One thing that was tried.
#[derive(Debug)]
pub struct Tried {
    /// A stable word: `s3_credentials`, `s3_list`, `s3_versioning`, `s3_put`, `s3_conditions`, `s3_get`,
    /// `s3_delete`, `s3_uploads` or `s3_state`.
    pub name: &'static str,
    /// How it went.
    pub outcome: Outcome,
}

/// How a try went.
#[derive(Debug)]
pub enum Outcome {
    /// Well; what was seen.
    Good(String),
    /// It works, but a person should know this.
    Doubtful(String),
    /// obsync can't work so.
    Bad(StoreError),
    /// Not tried, since this failed before.
    Skipped(&'static str),
}

/// What follows on `s3_put`.
const AFTER_PUT: [&str; 3] = ["s3_conditions", "s3_get", "s3_delete"];

struct Probe<'a> {
    bucket: Bucket,
    /// Among what is obsync's own below the vault's prefix.
    key: Path,
    /// Beside the states; nothing is ever there.
    beside: Path,
    prefix: &'a str,
    patience: Duration,
    tried: Vec<Tried>,
}

/// Tries what a run needs: to list below `prefix`, the vault's, to put, get and delete an object there,
/// on conditions that the service must honour, to upload in parts, and to write states. Each try takes
/// at most `patience`.
///
/// # Errors
/// When the settings make no sense.
pub async fn probe(
    settings: &S3Settings,
    credentials: AwsCredentialProvider,
    prefix: &str,
    patience: Duration,
) -> Result<Vec<Tried>, StoreError> {
    let once = S3Settings {
        attempts: 1,
        ..settings.clone()
    };
    let key = |text: String| {
        keys::exact(&text)
            .map_err(|problem| StoreError::new(StoreErrorKind::Unusable, problem.to_string()))
    };
    let number = rand::random::<u64>();
    let states = folder(&settings.state_prefix);
    let mut probe = Probe {
        bucket: Bucket::open(&once, AwsCredentialProvider::clone(&credentials))?,
        key: key(format!("{prefix}{}probe-{number:016x}", keys::OWN_FOLDER))?,
        beside: key(format!("{states}.obsync-probe"))?,
        prefix,
        patience,
        tried: Vec::new(),
    };
    let given = timeout(patience, credentials.get_credential()).await;
    let given = match given {
        Ok(Ok(_)) => Outcome::Good("AWS credentials were found".to_owned()),
        Ok(Err(error)) => {
            let what = "there are no usable AWS credentials";
            Outcome::Bad(StoreError::new(StoreErrorKind::Denied, what).with_source(error))
        }
        Err(_) => Outcome::Bad(slow("where the AWS credentials come from", patience)),
    };
    probe.note("s3_credentials", given);
    probe.run().await;
    Ok(probe.tried)
}

impl Probe<'_> {
    fn note(&mut self, name: &'static str, outcome: Outcome) {
        self.tried.push(Tried { name, outcome });
    }

    fn skip(&mut self, names: &[&'static str], why: &'static str) {
        for name in names {
            self.note(name, Outcome::Skipped(why));
        }
    }

    async fn run(&mut self) {
        if self.failed("s3_credentials") {
            return self.skip_from("s3_list", "there are no credentials");
        }
        let list = self.list().await;
        // Without the right to list, the others may still be there; without the bucket they are not.
        let reached = match &list {
            Outcome::Bad(error) => error.kind == StoreErrorKind::Denied,
            _ => true,
        };
        self.note("s3_list", list);
        if !reached {
            return self.skip_from("s3_versioning", "the bucket can't be used");
        }
        let versioning = self.versioning().await;
        self.note("s3_versioning", versioning);
        let put = match self.put(absent()).await {
            Ok(()) => Outcome::Good(format!("'{}' was put", self.key)),
            Err(error) => Outcome::Bad(self.error(error, "s3:PutObject")),
        };
        self.note("s3_put", put);
        if self.failed("s3_put") {
            self.skip(&AFTER_PUT, "nothing was put");
        } else {
            let conditions = self.conditions().await;
            self.note("s3_conditions", conditions);
            let get = self.get().await;
            self.note("s3_get", get);
            let delete = self.delete().await;
            self.note("s3_delete", delete);
        }
        let uploads = self.uploads().await;
        self.note("s3_uploads", uploads);
        if self.failed("s3_conditions") {
            // It would be written, and stay.
            return self.skip(&["s3_state"], "the service takes any write");
        }
        let state = self.state().await;
        self.note("s3_state", state);
    }

    /// Skips this one and all that come after it.
    fn skip_from(&mut self, first: &str, why: &'static str) {
        let all = [
            "s3_list",
            "s3_versioning",
            "s3_put",
            "s3_conditions",
            "s3_get",
        ];
        let all = all
            .into_iter()
            .chain(["s3_delete", "s3_uploads", "s3_state"]);
        let rest: Vec<_> = all.skip_while(|name| *name != first).collect();
        self.skip(&rest, why);
    }

    fn failed(&self, name: &str) -> bool {
        let mut those = self.tried.iter().filter(|tried| tried.name == name);
        those.any(|tried| matches!(tried.outcome, Outcome::Bad(_)))
    }

    async fn list(&self) -> Outcome {
        let listed = timeout(self.patience, self.bucket.list_some(self.prefix, "", 1)).await;
        match listed {
            Ok(Ok(_)) => Outcome::Good(format!(
                "the bucket '{}' is there, and can be listed below '{}'",
                self.bucket.name(),
                self.prefix
            )),
            Ok(Err(error)) => Outcome::Bad(error),
            Err(_) => Outcome::Bad(slow("S3", self.patience)),
        }
    }

    async fn versioning(&self) -> Outcome {
        let ask = Ask::new(Method::GET, "").query(&[("versioning", "")]);
        let answer = match self.within(self.bucket.ask(&ask)).await {
            Ok(answer) => answer,
            Err(error) => {
                let error = self.error(error, "s3:GetBucketVersioning");
                return Outcome::Doubtful(format!(
                    "whether the bucket keeps old versions can't be told: {}",
                    error.message
                ));
            }
        };
        if String::from_utf8_lossy(answer.body()).contains("<Status>Enabled</Status>") {
            return Outcome::Good("the bucket keeps old versions".to_owned());
        }
        Outcome::Doubtful(
            "the bucket keeps no old versions: what is overwritten or deleted there is gone"
                .to_owned(),
        )
    }

    /// Whether the service minds conditions, which is what keeps two runs apart.
    async fn conditions(&self) -> Outcome {
        for (name, condition) in [("If-None-Match", absent()), ("If-Match", stale())] {
            match self.put(condition).await {
                Err(Missed::Fault(fault)) if fault.is_unmet() => {}
                Ok(()) => {
                    let what = format!(
                        "the service takes a write whose {name} does not hold: two runs could undo \
                         each other there"
                    );
                    return Outcome::Bad(StoreError::new(StoreErrorKind::Unusable, what));
                }
                Err(error) => return Outcome::Bad(self.error(error, "s3:PutObject")),
            }
        }
        Outcome::Good("writes on a condition are refused where it does not hold".to_owned())
    }

    async fn get(&self) -> Outcome {
        match self.within(self.bucket.read(&self.key, None)).await {
            Ok(Some(read)) if read.bytes == CONTENT => Outcome::Good("it was read back".to_owned()),
            Ok(_) => Outcome::Bad(StoreError::new(
                StoreErrorKind::Unusable,
                "what was put is not what was read back",
            )),
            Err(error) => Outcome::Bad(self.error(error, "s3:GetObject")),
        }
    }

    async fn put(&self, condition: (HeaderName, HeaderValue)) -> Result<(), Missed> {
        let meta = FileMeta {
            uid: Uid(0),
            hash: ContentHash::of(CONTENT),
            size: CONTENT.len() as u64,
            mtime: Millis(0),
            ctime: Millis(0),
        };
        // With class, tags and encryption as the settings have them: each may need a right of its own.
        let mut headers = self.bucket.dressed(&self.key, &meta);
        headers.extend([condition]);
        let content = PutPayload::from_static(CONTENT);
        let put = self.bucket.put(&self.key, headers, content, &meta.hash.0);
        self.within(put).await.map(drop)
    }

    /// Whatever went wrong before: nothing is left behind if that can be had.
    async fn delete(&self) -> Outcome {
        match self.within(self.bucket.delete(&self.key, None)).await {
            Ok(()) => Outcome::Good("it was deleted again".to_owned()),
            Err(error) => {
                let mut error = self.error(error, "s3:DeleteObject");
                error.message = format!("{}; the probe '{}' stays", error.message, self.key);
                Outcome::Bad(error)
            }
        }
    }

    /// Begins an upload in parts, finds it, and gives it up.
    async fn uploads(&self) -> Outcome {
        let begun = self.bucket.begin_upload(&self.key, HeaderMap::new());
        let id = match self.within(begun).await {
            Ok(id) => id,
            Err(error) => return Outcome::Bad(self.error(error, "s3:PutObject")),
        };
        let listed = timeout(self.patience, self.bucket.uploads(self.key.as_ref())).await;
        let aborted = self.bucket.abort_upload(self.key.as_ref(), &id);
        let aborted = self.within(aborted).await;
        match listed {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Outcome::Bad(error),
            Err(_) => return Outcome::Bad(slow("S3", self.patience)),
        }
        match aborted {
            Ok(()) => Outcome::Good("an upload in parts was begun and given up again".to_owned()),
            Err(error) => Outcome::Bad(self.error(error, "s3:AbortMultipartUpload")),
        }
    }

    /// Whether states may be written: a write on a condition that can't hold is refused for that reason
    /// only where the right is there.
    async fn state(&self) -> Outcome {
        let (name, stale) = stale();
        let ask = Ask::new(Method::PUT, self.beside.as_ref())
            .headers(HeaderMap::from_iter([(name, stale)]))
            .body(Bytes::from_static(CONTENT));
        match self.within(self.bucket.ask(&ask)).await {
            Err(Missed::Fault(fault)) if fault.is_unmet() || fault.is_absent() => {
                Outcome::Good("states can be written".to_owned())
            }
            Err(Missed::Fault(fault)) => {
                let key = self.beside.as_ref();
                Outcome::Bad(self.bucket.error(fault, "s3:PutObject", key))
            }
            Err(Missed::Deadline) => Outcome::Bad(slow("S3", self.patience)),
            Ok(_) => {
                let what = format!(
                    "the service took a write that it should not: '{}'",
                    self.beside
                );
                Outcome::Bad(StoreError::new(StoreErrorKind::Unusable, what))
            }
        }
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Missed> {
        match timeout(self.patience, work).await {
            Ok(done) => done.map_err(Missed::Fault),
            Err(_) => Err(Missed::Deadline),
        }
    }

    fn error(&self, missed: Missed, action: &str) -> StoreError {
        match missed {
            Missed::Fault(fault) => self.bucket.error(fault, action, self.key.as_ref()),
            Missed::Deadline => slow("S3", self.patience),
        }
    }
}

/// The condition that nothing is there.
fn absent() -> (HeaderName, HeaderValue) {
    (IF_NONE_MATCH, HeaderValue::from_static("*"))
}

/// A condition that never holds.
fn stale() -> (HeaderName, HeaderValue) {
    (IF_MATCH, HeaderValue::from_static("\"0123456789abcdef\""))
}

/// Why a try has no result.
enum Missed {
    Fault(Fault),
    Deadline,
}

fn slow(who: &str, patience: Duration) -> StoreError {
    let what = format!("{who} did not answer within {} s", patience.as_secs());
    StoreError::new(StoreErrorKind::Other, what)
}
