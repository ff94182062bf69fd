//! One execution environment: a process, its Runtime API and its `/tmp`.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Child;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::limit::{Group, peak_rss};
use super::{Outcome, RuntimeApi};

/// Lambda gives init ten seconds.
const INIT: Duration = Duration::from_secs(10);

/// Where a line came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output: metrics and logs.
    Stdout,
    /// Standard error.
    Stderr,
}

#[derive(Debug, Default)]
struct Lines {
    all: Mutex<Vec<(Stream, String)>>,
    more: Notify,
}

impl Lines {
    fn all(&self) -> MutexGuard<'_, Vec<(Stream, String)>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type OnLine = Arc<dyn Fn(Stream, &str) + Send + Sync>;

/// What a function is started with.
pub struct Setup {
    bootstrap: PathBuf,
    environment: Vec<(OsString, OsString)>,
    memory: u64,
    limited: bool,
    tmp: Option<PathBuf>,
    on_line: Option<OnLine>,
}

impl fmt::Debug for Setup {
    // The environment holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("bootstrap", &self.bootstrap)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

impl Setup {
    /// Sets an environment variable, or replaces one that Lambda sets.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Sets the function's memory, in MB; 128 unless told. It is announced, not enforced.
    #[must_use]
    pub fn memory(mut self, megabytes: u64) -> Self {
        self.memory = megabytes;
        self
    }

    /// Has the kernel hold the process to its memory, where
    /// [`limits_memory`](super::limits_memory).
    #[must_use]
    pub fn limit_memory(mut self) -> Self {
        self.limited = true;
        self
    }

    /// Sets the folder that stands for `/tmp`; else there is a new and empty one.
    #[must_use]
    pub fn tmp(mut self, folder: impl Into<PathBuf>) -> Self {
        self.tmp = Some(folder.into());
        self
    }

    /// Shows each line of output as it comes; it is kept all the same.
    #[must_use]
    pub fn on_line(mut self, show: impl Fn(Stream, &str) + Send + Sync + 'static) -> Self {
        self.on_line = Some(Arc::new(show));
        self
    }

    /// Starts the process.
    ///
    /// # Panics
    /// Where it can't be started, or its memory can't be limited though asked for.
    pub async fn start(self) -> Function {
        let api = RuntimeApi::start().await;
        let own_tmp = tempfile::tempdir().unwrap();
        let tmp = self.tmp.as_deref().unwrap_or(own_tmp.path());
        let group = self.limited.then(|| {
            Group::new(self.memory << 20).expect("this user can make memory control groups")
        });
        let mut command = match &group {
            Some(group) => group.command(&self.bootstrap),
            None => tokio::process::Command::new(&self.bootstrap),
        };
        let task_root = self.bootstrap.parent().unwrap_or(Path::new("/"));
        command
            .env_clear()
            .envs(lambda(&api, self.memory))
            .env("LAMBDA_TASK_ROOT", task_root)
            .env("TMPDIR", tmp)
            .env("HOME", tmp)
            .envs(self.environment)
            .current_dir(task_root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let started = Instant::now();
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("start {}: {error}", self.bootstrap.display()));
        let lines = Arc::<Lines>::default();
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        let readers = vec![
            tokio::spawn(read(
                stdout,
                Stream::Stdout,
                lines.clone(),
                self.on_line.clone(),
            )),
            tokio::spawn(read(stderr, Stream::Stderr, lines.clone(), self.on_line)),
        ];
        let pid = child.id().expect("it was not waited for");
        let (kill, killed) = watch::channel(false);
        let (over, exit) = watch::channel(None);
        tokio::spawn(reap(group, child, killed, over));
        Function {
            api,
            pid,
            started,
            kill,
            exit,
            lines,
            readers,
            _tmp: own_tmp,
        }
    }
}

/// What Lambda sets, with credentials that open nothing.
fn lambda(api: &RuntimeApi, memory: u64) -> Vec<(&'static str, String)> {
    let own = |name, value: &str| (name, value.to_owned());
    vec![
        ("AWS_LAMBDA_RUNTIME_API", api.address()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory.to_string()),
        own("AWS_LAMBDA_FUNCTION_NAME", "obsync"),
        own("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        own("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        own("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/obsync"),
        own(
            "AWS_LAMBDA_LOG_STREAM_NAME",
            "2026/11/22/[$LATEST]0123456789abcdef",
        ),
        own("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
        own("AWS_REGION", "eu-central-1"),
        own("AWS_DEFAULT_REGION", "eu-central-1"),
        own("AWS_ACCESS_KEY_ID", "ASIAEXAMPLE"),
        own("AWS_SECRET_ACCESS_KEY", "hidden key"),
        own("AWS_SESSION_TOKEN", "hidden token"),
        own("_HANDLER", "bootstrap"),
        own("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        own("LANG", "en_US.UTF-8"),
        own("TZ", ":UTC"),
        own("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin"),
    ]
}

async fn read(
    from: impl AsyncRead + Unpin,
    stream: Stream,
    lines: Arc<Lines>,
    on_line: Option<OnLine>,
) {
    let mut from = BufReader::new(from).split(b'\n');
    while let Ok(Some(line)) = from.next_segment().await {
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Some(show) = &on_line {
            show(stream, &line);
        }
        lines.all().push((stream, line));
        lines.more.notify_waiters();
    }
}

async fn reap(
    // Goes last: a group with a process in it can't be removed.
    _group: Option<Group>,
    mut child: Child,
    mut killed: watch::Receiver<bool>,
    over: watch::Sender<Option<ExitStatus>>,
) {
    let status = tokio::select! {
        status = child.wait() => status,
        // Also when the function is dropped.
        _ = killed.changed() => {
            // It may have ended by itself just now.
            let _ = child.start_kill();
            child.wait().await
        }
    };
    over.send_replace(Some(status.unwrap_or_default()));
}

/// A running function. Dropping it kills it.
#[derive(Debug)]
pub struct Function {
    api: RuntimeApi,
    pid: u32,
    started: Instant,
    kill: watch::Sender<bool>,
    exit: watch::Receiver<Option<ExitStatus>>,
    lines: Arc<Lines>,
    readers: Vec<JoinHandle<()>>,
    _tmp: tempfile::TempDir,
}

impl Function {
    /// Starts to set up a function whose program is `bootstrap`.
    ///
    /// Of this process's environment it gets nothing.
    pub fn of(bootstrap: impl Into<PathBuf>) -> Setup {
        Setup {
            bootstrap: bootstrap.into(),
            environment: Vec::new(),
            memory: 128,
            limited: false,
            tmp: None,
            on_line: None,
        }
    }

    /// Waits until init is over, for ten seconds as Lambda does; returns how long it took from
    /// the start of the process to its first request for an event.
    ///
    /// # Errors
    /// With what the process reported or how it ended.
    pub async fn ready(&self) -> Result<Duration, Outcome> {
        tokio::select! {
            ready = self.api.ready() => Ok(ready?.duration_since(self.started)),
            () = self.ended() => Err(Outcome::Died),
            () = tokio::time::sleep(INIT) => Err(Outcome::TimedOut),
        }
    }

    /// Invokes the function once it is ready. As on Lambda, a process that does not answer in
    /// time is killed, and one that reported an error in init gets no events.
    pub async fn invoke(&self, event: Value, time: Duration) -> Outcome {
        if let Err(outcome) = self.ready().await {
            return outcome;
        }
        let outcome = tokio::select! {
            // A process may answer and end; then the answer counts.
            biased;
            outcome = self.api.invoke(event, time) => outcome,
            () = self.ended() => Outcome::Died,
        };
        if outcome == Outcome::TimedOut {
            self.kill().await;
        }
        outcome
    }

    /// Kills the process at once and waits for its end.
    pub async fn kill(&self) -> Option<ExitStatus> {
        self.kill.send_replace(true);
        self.ended().await;
        *self.exit.borrow()
    }

    async fn ended(&self) {
        let mut exit = self.exit.clone();
        // It only fails where the runtime ends, and then so does this.
        let _ = exit.wait_for(Option::is_some).await;
    }

    /// Waits until the process is gone and all its output is read.
    pub async fn gone(&mut self) {
        self.ended().await;
        for reader in self.readers.drain(..) {
            let _ = reader.await;
        }
    }

    /// Freezes the process, as Lambda does between two invocations.
    ///
    /// # Panics
    /// Where there is no `kill`.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// Where there is no `kill`.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let mut kill = std::process::Command::new("kill");
        let status = kill.arg(name).arg(self.pid.to_string()).status().unwrap();
        assert!(status.success(), "kill {name}: {status}");
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The most memory that the process has had resident, in bytes; `None` once it is gone.
    pub fn peak_rss(&self) -> Option<u64> {
        peak_rss(self.pid)
    }

    /// The lines that came out of a stream so far. A line may come a moment after the answer:
    /// see [`Self::line`].
    pub fn lines(&self, stream: Stream) -> Vec<String> {
        let lines = self.lines.all();
        let of_stream = lines.iter().filter(|(from, _)| *from == stream);
        of_stream.map(|(_, line)| line.clone()).collect()
    }

    /// All output so far, in the order it came.
    pub fn output(&self) -> String {
        let lines = self.lines.all();
        lines.iter().map(|(_, line)| format!("{line}\n")).collect()
    }

    /// Waits for the first line, of all there are, that is `wanted`; `None` where it does not come
    /// within `time`.
    pub async fn line(&self, wanted: impl Fn(&str) -> bool, time: Duration) -> Option<String> {
        let found = async {
            loop {
                let more = self.lines.more.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                let found = self
                    .lines
                    .all()
                    .iter()
                    .find(|(_, line)| wanted(line))
                    .cloned();
                match found {
                    Some((_, line)) => return line,
                    None => more.await,
                }
            }
        };
        tokio::time::timeout(time, found).await.ok()
    }
}
