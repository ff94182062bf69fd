//! What is being tried just now: so that an input which hangs, or which ends the whole process, is not
//! lost with it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::{Corpus, Target};

/// Far more than any input takes, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(120);

/// Keeps an eye on one run.
pub(crate) struct Watch {
    now: Arc<Mutex<Now>>,
    /// Its end ends the watch.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

struct Now {
    input: Vec<u8>,
    since: Instant,
    /// Holds the input at hand: if the process dies of it, the next run has it in its corpus.
    file: Option<File>,
}

impl Watch {
    pub(crate) fn new(target: &Target, corpus: &Corpus) -> Self {
        let path = corpus.path("running");
        let now = Arc::new(Mutex::new(Now {
            input: Vec::new(),
            since: Instant::now(),
            file: File::create(&path).ok(),
        }));
        let (end, ended) = channel::<()>();
        let (name, kept) = (target.name, corpus.path("hung"));
        let seen = Arc::clone(&now);
        let thread = thread::spawn(move || {
            while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
                let now = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if now.since.elapsed() > LIMIT {
                    let told = fs::write(&kept, &now.input);
                    let text = format!(
                        "{name}: an input takes more than {LIMIT:?}; kept as {} ({told:?})\n",
                        kept.display()
                    );
                    let _ = std::io::stderr().write_all(text.as_bytes());
                    process::abort();
                }
            }
        });
        Self {
            now,
            end: Some(end),
            thread: Some(thread),
            path,
        }
    }

    /// This input comes next.
    pub(crate) fn begins(&self, input: &[u8]) {
        use std::os::unix::fs::FileExt as _;
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.input.clear();
        now.input.extend_from_slice(input);
        now.since = Instant::now();
        if let Some(file) = &now.file {
            let written = file.set_len(input.len() as u64);
            let _ = written.and_then(|()| file.write_all_at(input, 0));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}
