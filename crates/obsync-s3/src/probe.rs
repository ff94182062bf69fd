//! [`probe`]: can obsync work in this bucket? Each right is tried by itself, on one small object of its
//! own that is removed again, so that what is missing is told by name.

use std::time::Duration;

use bytes::Bytes;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use object_store::aws::AwsCredentialProvider;
use object_store::path::Path;
use obsync_core::{StoreError, StoreErrorKind};
use tokio::time::timeout;

use crate::bucket::{Ask, Bucket};
use crate::fault::Fault;
use crate::keys;
use crate::settings::{S3Settings, folder};

const CONTENT: &[u8] = b"obsync looks whether it may write here; this can be deleted\n";

/// One thing that was tried.
#[derive(Debug)]
pub struct Tried {
    /// A stable word: `s3_credentials`, `s3_list`, `s3_versioning`, `s3_put`, `s3_conditions`, `s3_get`
    /// or `s3_delete`.
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

struct Probe<'a> {
    bucket: Bucket,
    key: Path,
    prefix: &'a str,
    patience: Duration,
    tried: Vec<Tried>,
}

/// Tries what a run needs: to list below `prefix`, and to put, get and delete an object beside the
/// states, on conditions that the service must honour. Each try takes at most `patience`.
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
    let states = folder(&settings.state_prefix);
    let name = format!("{states}.obsync-probe-{:016x}", rand::random::<u64>());
    let key = keys::exact(&name)
        .map_err(|problem| StoreError::new(StoreErrorKind::Unusable, problem.to_string()))?;
    let mut probe = Probe {
        bucket: Bucket::open(&once, AwsCredentialProvider::clone(&credentials))?,
        key,
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
            let rest = ["s3_list", "s3_versioning", "s3_put"];
            self.skip(&rest, "there are no credentials");
            return self.skip(&["s3_conditions", "s3_get", "s3_delete"], "nothing was put");
        }
        let list = self.list().await;
        // Without the right to list, the others may still be there; without the bucket they are not.
        let reached = match &list {
            Outcome::Bad(error) => error.kind == StoreErrorKind::Denied,
            _ => true,
        };
        self.note("s3_list", list);
        if !reached {
            let rest = ["s3_versioning", "s3_put", "s3_conditions", "s3_get"];
            self.skip(&rest, "the bucket can't be used");
            return self.skip(&["s3_delete"], "the bucket can't be used");
        }
        let versioning = self.versioning().await;
        self.note("s3_versioning", versioning);
        let put = match self.put(absent()).await {
            Ok(()) => Outcome::Good(format!("'{}' was put", self.key)),
            Err(error) => Outcome::Bad(self.error(error, "s3:PutObject")),
        };
        self.note("s3_put", put);
        if self.failed("s3_put") {
            return self.skip(&["s3_conditions", "s3_get", "s3_delete"], "nothing was put");
        }
        let conditions = self.conditions().await;
        self.note("s3_conditions", conditions);
        let get = self.get().await;
        self.note("s3_get", get);
        // Whatever went wrong before: nothing is left behind if that can be had.
        let delete = match self.within(self.bucket.delete(&self.key, None)).await {
            Ok(()) => Outcome::Good("it was deleted again".to_owned()),
            Err(error) => {
                let mut error = self.error(error, "s3:DeleteObject");
                error.message = format!("{}; the probe '{}' stays", error.message, self.key);
                Outcome::Bad(error)
            }
        };
        self.note("s3_delete", delete);
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
        let ask = Ask {
            method: Method::GET,
            key: "",
            query: &[("versioning", "")],
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
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
        let stale = HeaderValue::from_static("\"0123456789abcdef\"");
        for (name, condition) in [("If-None-Match", absent()), ("If-Match", (IF_MATCH, stale))] {
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
        match self.within(self.bucket.read(&self.key)).await {
            Ok(Some(read)) if read.bytes == CONTENT => Outcome::Good("it was read back".to_owned()),
            Ok(_) => Outcome::Bad(StoreError::new(
                StoreErrorKind::Unusable,
                "what was put is not what was read back",
            )),
            Err(error) => Outcome::Bad(self.error(error, "s3:GetObject")),
        }
    }

    async fn put(&self, condition: (HeaderName, HeaderValue)) -> Result<(), Missed> {
        let headers = HeaderMap::from_iter([condition]);
        let ask = Ask {
            method: Method::PUT,
            key: self.key.as_ref(),
            query: &[],
            headers,
            body: Bytes::from_static(CONTENT),
        };
        self.within(self.bucket.ask(&ask)).await.map(drop)
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

/// Why a try has no result.
enum Missed {
    Fault(Fault),
    Deadline,
}

fn slow(who: &str, patience: Duration) -> StoreError {
    let what = format!("{who} did not answer within {} s", patience.as_secs());
    StoreError::new(StoreErrorKind::Other, what)
}
