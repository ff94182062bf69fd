//! Times of files: the record's, within what systems take.

use std::fs::File;
use std::time::SystemTime;

use obsync_core::FileMeta;
use rustix::fs::{Timespec, Timestamps, UTIME_OMIT, fstat, futimens};
use rustix::io::{Errno, Result};

use super::inspect::FileId;
use super::unsupported;

/// Gives a file its record's times.
///
/// A file without one gets the present, cut to milliseconds: an edit in the same tick of the
/// kernel's clock, which has no such round times, is then still told apart.
pub(super) fn set(file: &File, meta: &FileMeta) -> Result<()> {
    let mtime = match meta.mtime.0 {
        0 => SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |time| time.as_millis() as i64),
        mtime => mtime,
    };
    // Moving the time of writing back before the time of birth moves that too on Apple's systems;
    // it is the one way to set it.
    if cfg!(target_vendor = "apple") && meta.ctime.0 != 0 && meta.ctime.0 < mtime {
        set_mtime(file, timespec(meta.ctime.0))?;
    }
    set_mtime(file, timespec(mtime))
}

/// Gives a file another one's time.
pub(super) fn copy(from: &File, to: &File) -> Result<()> {
    let (tv_sec, tv_nsec) = FileId::of(&fstat(from)?).mtime();
    let tv_nsec = tv_nsec as _;
    set_mtime(to, Timespec { tv_sec, tv_nsec })
}

fn set_mtime(file: &File, last_modification: Timespec) -> Result<()> {
    let last_access = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    };
    let times = Timestamps {
        last_access,
        last_modification,
    };
    match futimens(file, &times) {
        // Some mounted shares keep their own times.
        Err(error) if error == Errno::PERM || unsupported(error) => Ok(()),
        done => done,
    }
}

/// A time that every system takes: a service may send any number.
fn timespec(millis: i64) -> Timespec {
    const YEAR_1902: i64 = -2_145_916_800_000;
    const YEAR_9999: i64 = 253_370_764_800_000;
    let millis = millis.clamp(YEAR_1902, YEAR_9999);
    Timespec {
        tv_sec: millis.div_euclid(1000),
        tv_nsec: (millis.rem_euclid(1000) * 1_000_000) as _,
    }
}
