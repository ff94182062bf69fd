//! Memory: a hard limit by control group where this user may make one, else what was measured.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A control group for one process. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Group {
    folder: PathBuf,
}

impl Group {
    /// A group whose processes get `bytes` and no swap, or `None` where this user can't make one.
    pub(super) fn new(bytes: u64) -> Option<Self> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("obsync-{}-{serial}", std::process::id());
        let (root, files) = controller()?;
        let folder = root.join(name);
        std::fs::create_dir(&folder).ok()?;
        let group = Self { folder };
        // The first is the limit. The second is about swap, which not every kernel counts.
        let [limit, swap] = files;
        std::fs::write(group.folder.join(limit), bytes.to_string()).ok()?;
        let swap_bytes = if swap == "memory.swap.max" { 0 } else { bytes };
        let _ = std::fs::write(group.folder.join(swap), swap_bytes.to_string());
        Some(group)
    }

    /// A command that runs `program` in the group from its first instruction on.
    pub(super) fn command(&self, program: &Path) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("/bin/sh");
        let procs = self.folder.join("cgroup.procs");
        command.arg("-c").arg("echo $$ > \"$0\" && exec \"$@\"");
        command.arg(procs).arg(program);
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that was killed with the whole runtime takes a moment to leave.
        for _ in 0..1000 {
            match std::fs::remove_dir(&self.folder) {
                Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                _ => return,
            }
        }
    }
}

/// Where groups are made, and the names of the files with the limits: version 2, then 1.
fn controller() -> Option<(PathBuf, [&'static str; 2])> {
    let root = Path::new("/sys/fs/cgroup");
    let enabled = std::fs::read_to_string(root.join("cgroup.subtree_control"));
    if enabled.is_ok_and(|names| names.split_whitespace().any(|name| name == "memory")) {
        return Some((root.to_owned(), ["memory.max", "memory.swap.max"]));
    }
    let root = root.join("memory");
    let files = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"];
    root.join(files[0]).exists().then_some((root, files))
}

/// Whether [`Setup::limit_memory`](super::Setup::limit_memory) can hold a process to its memory.
pub fn limits_memory() -> bool {
    Group::new(64 << 20).is_some()
}

/// The most memory that a living process has had resident, in bytes.
pub(super) fn peak_rss(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kibibytes * 1024)
}
