//! The locks that claude itself takes: a directory (the protocol of npm's `proper-lockfile`). Whoever makes the directory
//! holds the lock and keeps its time fresh; one whose time is old belongs to a process that died.
//!
//! Every write of a `.claude.json` or of another file that claude writes under its lock goes through
//! [`ClaudeLock::acquire`]; the locks of a login renewal have names and times of their own and use [`ClaudeLock::take`].

use super::pause;
use std::ffi::OsString;
use std::fs::{self, File, FileTimes, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// After how long without a sign of life claude takes the lock of a file for abandoned: the protocol's default, which
/// claude 2.1.197 uses; later versions refresh the time each 5 s, so that it holds for them too.
pub const FILE_STALE: Duration = Duration::from_secs(10);

/// Between two tries at the lock of a file, which claude holds for a few milliseconds.
const FILE_POLL: Duration = Duration::from_millis(2);

/// A lock that is held. Dropping it lets go; one that somebody else took over meanwhile is left alone.
#[derive(Debug)]
pub struct ClaudeLock {
    dir: PathBuf,
    /// What tells it from one that somebody else makes in its place.
    inode: u64,
    /// The time that we gave the directory last: with another one it is no longer ours.
    touched: SystemTime,
}

impl ClaudeLock {
    /// Takes the lock of `file`, the directory `FILE.lock` beside it, waiting at most `patience`. None when somebody
    /// held it all the while.
    pub fn acquire(file: &Path, patience: Duration) -> io::Result<Option<Self>> {
        let mut name = OsString::from(file.file_name().unwrap_or_default());
        name.push(".lock");
        Self::take(file.with_file_name(name), FILE_STALE, FILE_POLL, patience)
    }

    /// Takes the lock that is the directory `dir`, waiting at most `patience` and trying each `poll`. One that showed
    /// no sign of life for `stale` is taken over. None when somebody held it all the while.
    pub fn take(
        dir: PathBuf,
        stale: Duration,
        poll: Duration,
        patience: Duration,
    ) -> io::Result<Option<Self>> {
        let started = Instant::now();
        loop {
            match fs::create_dir(&dir) {
                Ok(()) => {
                    let made = fs::symlink_metadata(&dir)?;
                    let (inode, touched) = (made.ino(), made.modified()?);
                    return Ok(Some(Self {
                        dir,
                        inode,
                        touched,
                    }));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            // Only an empty directory goes, and only one of several takers gets to make it anew.
            if is_stale(&dir, stale)
                && fs::remove_dir(&dir).is_ok()
                && started.elapsed() <= patience.saturating_add(poll)
            {
                continue;
            }
            if started.elapsed() >= patience {
                return Ok(None);
            }
            pause(poll.min(patience));
        }
    }

    /// The directory that is the lock.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Shows that the holder lives, right before what the lock is for, or each few seconds. False when somebody took the
    /// lock over: then it must not be relied on.
    #[must_use]
    pub fn refresh(&mut self) -> bool {
        #[expect(
            clippy::disallowed_methods,
            reason = "the protocol compares this very time with the wall clock"
        )]
        let now = FileTimes::new().set_modified(SystemTime::now());
        // By its descriptor: what comes into its place in between is not touched.
        let Ok(dir) = File::open(&self.dir) else {
            return false;
        };
        if !dir.metadata().is_ok_and(|found| self.is_this(&found)) || dir.set_times(now).is_err() {
            return false;
        }
        let Ok(touched) = dir.metadata().and_then(|found| found.modified()) else {
            return false;
        };
        self.touched = touched;
        self.is_ours()
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.dir).is_ok_and(|found| self.is_this(&found))
    }

    fn is_this(&self, found: &Metadata) -> bool {
        found.ino() == self.inode && found.modified().is_ok_and(|time| time == self.touched)
    }
}

impl Drop for ClaudeLock {
    fn drop(&mut self) {
        if self.is_ours() {
            let _ = fs::remove_dir(&self.dir);
        }
    }
}

fn is_stale(dir: &Path, stale: Duration) -> bool {
    // A time in the future is a clock that was set, or claude's own rounding, not a holder that died.
    let modified = fs::symlink_metadata(dir).and_then(|found| found.modified());
    modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > stale))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn age(dir: &Path, by: Duration) {
        #[expect(
            clippy::disallowed_methods,
            reason = "the protocol is one of wall-clock times"
        )]
        let old = FileTimes::new().set_modified(SystemTime::now() - by);
        File::open(dir)
            .and_then(|d| d.set_times(old))
            .expect("ages");
    }

    #[test]
    fn it_excludes_waits_with_a_bound_and_takes_over_from_the_dead() {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join(".claude.json");
        let dir = home.path().join(".claude.json.lock");
        let acquire = |ms| ClaudeLock::acquire(&file, Duration::from_millis(ms)).expect("looks");
        let mut held = acquire(0).expect("is free");
        assert!(dir.is_dir() && held.path() == dir && held.refresh());
        let started = Instant::now();
        assert!(acquire(20).is_none());
        assert!(started.elapsed() < Duration::from_secs(2));
        drop(held);
        assert!(!dir.exists());

        fs::create_dir(&dir).expect("somebody takes it and dies");
        age(&dir, FILE_STALE - Duration::from_secs(3));
        assert!(acquire(5).is_none(), "it may live");
        age(&dir, FILE_STALE + Duration::from_secs(1));
        let mut held = acquire(20).expect("is stale");
        fs::remove_dir(&dir).expect("another one thinks so too");
        assert!(!held.refresh(), "and we notice");
        fs::create_dir(&dir).expect("and takes it");
        assert!(!held.refresh());
        drop(held);
        assert!(dir.exists(), "what is not ours stays");
    }

    #[test]
    fn a_stale_one_that_cannot_be_removed_is_not_waited_for_without_end() {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join("f");
        let dir = home.path().join("f.lock");
        fs::create_dir_all(dir.join("not empty")).expect("makes");
        age(&dir, FILE_STALE * 2);
        let started = Instant::now();
        let taken = ClaudeLock::acquire(&file, Duration::from_millis(10)).expect("looks");
        assert!(taken.is_none() && started.elapsed() < Duration::from_secs(5));
        let nowhere = home.path().join("no/such/f");
        assert!(ClaudeLock::acquire(&nowhere, Duration::ZERO).is_err());
    }
}
