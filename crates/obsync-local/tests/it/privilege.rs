//! What depends on who runs the tests: mounts need root, and permissions don't bind it.

use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A small file system in memory, unmounted when dropped.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// `None`, said loudly, where tests may not mount.
    pub(crate) fn new(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        match mount(at) {
            Ok(()) => Some(Self(at.to_owned())),
            Err(error) => {
                skipped(&format!("it needs the right to mount a tmpfs: {error}"));
                None
            }
        }
    }

    pub(crate) fn make_read_only(&self) {
        #[cfg(target_os = "linux")]
        {
            use rustix::mount::{MountFlags, mount_remount};
            mount_remount(&self.0, MountFlags::RDONLY, "").unwrap();
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        {
            use rustix::mount::{UnmountFlags, unmount};
            let _ = unmount(&self.0, UnmountFlags::DETACH);
        }
    }
}

#[cfg(target_os = "linux")]
fn mount(at: &Path) -> rustix::io::Result<()> {
    use rustix::mount::{MountFlags, mount};
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), c"size=1m")
}

#[cfg(not(target_os = "linux"))]
fn mount(_: &Path) -> rustix::io::Result<()> {
    Err(rustix::io::Errno::NOSYS)
}

/// Runs a test with a folder of its own as somebody whom permissions bind, whoever runs the tests.
pub(crate) fn without_privileges<F: Future<Output = ()>>(
    test: impl FnOnce(TempDir) -> F + Send + 'static,
) {
    let dir = tempfile::tempdir().unwrap();
    let root = rustix::process::geteuid().is_root();
    if root && !cfg!(target_os = "linux") {
        return skipped("permissions don't bind root");
    }
    // Rights are a thread's own on Linux, and those that it starts inherit them.
    let run = move || {
        if root {
            step_down(dir.path());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(test(dir));
    };
    if let Err(panic) = std::thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

#[cfg(target_os = "linux")]
fn step_down(own: &Path) {
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    const NOBODY: u32 = 65534;
    std::os::unix::fs::chown(own, Some(NOBODY), Some(NOBODY)).unwrap();
    let (uid, gid) = (
        rustix::process::Uid::from_raw(NOBODY),
        rustix::process::Gid::from_raw(NOBODY),
    );
    set_thread_groups(&[]).unwrap();
    set_thread_res_gid(gid, gid, gid).unwrap();
    set_thread_res_uid(uid, uid, uid).unwrap();
}

#[cfg(not(target_os = "linux"))]
fn step_down(_: &Path) {}

/// Says so past the capture of a test's output: a test that did nothing looks like one that passed.
fn skipped(why: &str) {
    let test = std::thread::current();
    let test = test.name().unwrap_or("a test");
    let _ = writeln!(std::io::stderr(), "\nSKIPPED {test}: {why}");
}
